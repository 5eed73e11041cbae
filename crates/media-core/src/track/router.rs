//! The forwarding loop: every fresh packet of every track to every receiver.
//!
//! A batch of datagrams is taken in first and forwarded afterwards, receiver by receiver, so that
//! all packets of one batch for one receiver lie side by side in the egress and leave in one
//! segmentation-offload message.

mod following;
mod mirroring;
mod prominence;
mod sending;
mod sharing;
mod simulcast;
mod starting;
mod unused;

use super::inbound::{Batch, Inbound};
use super::outbound::Outbound;
use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::links::{Packets, Pool};
use crate::sending::{Caps, Paths, Sender, SenderSlot};
use crate::speakers::Detectors;
use salono_media_api::{ElementKey, PipelineKey, ShardMetrics};
use simulcast::Simulcast;
use slotmap::{SecondaryMap, SlotMap, SparseSecondaryMap, new_key_type};
use std::sync::Arc;
use std::time::{Duration, Instant};
use unused::Use;

pub(crate) use simulcast::{LayerName, names as layer_names};

new_key_type! {
    /// A track that a peer sends.
    pub(crate) struct TrackSlot;
    /// A stream that a peer receives.
    pub(crate) struct OutSlot;
}

/// What other shards need of a track that they mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mirrored {
    /// The most that receivers there shall be sent.
    pub(crate) caps: Caps,
    /// The highest spatial layer that one of them may get.
    pub(crate) spatial: u8,
    /// Its packets cross.
    pub(crate) is_copied: bool,
}

/// All tracks of a shard and the streams made of them.
#[derive(Default)]
pub(crate) struct Router {
    tracks: SlotMap<TrackSlot, Inbound>,
    outs: SlotMap<OutSlot, Outbound>,
    senders: SlotMap<SenderSlot, Sender>,
    paths: Paths,
    /// The layers of sources that come in several streams.
    simulcasts: SecondaryMap<TrackSlot, Simulcast>,
    /// Which layers of sources their publishers are asked for.
    uses: SecondaryMap<TrackSlot, Use>,
    /// Streams for which another layer of their source is ready.
    switching: Vec<OutSlot>,
    /// Streams that may have got another layer.
    changed: Vec<OutSlot>,
    /// Tracks with packets that are not forwarded yet; each is in here once.
    dirty: Vec<TrackSlot>,
    /// Those of them that wait for the rest of a frame, while the others are forwarded.
    gathering: Vec<TrackSlot>,
    /// When the first of them is forwarded as it is.
    gathered_at: Option<Instant>,
    /// Tracks whose sender is to be asked for a keyframe.
    keyframes: Vec<TrackSlot>,
    /// Peers with packets that wait for their turn.
    waiting: Vec<EndpointSlot>,
    /// Tracks whose publisher is to be told of less.
    capped: Vec<TrackSlot>,
    /// Streams that can flow from now on.
    starting: Vec<OutSlot>,
    /// Streams whose first packet of a while went out.
    started: Vec<OutSlot>,
    /// Tracks that come with another codec than before.
    recoded: Vec<TrackSlot>,
    /// Losses of tracks that are gone.
    lost_before: u64,
    /// Who speaks, where somebody wants to know.
    pub(crate) detectors: Detectors,
    /// Tracks that other shards mirror.
    mirrored: SecondaryMap<TrackSlot, Mirrored>,
    /// Sources of which other layers are sent than before.
    restated: Vec<TrackSlot>,
    /// Pictures of those who speak.
    prominent: SparseSecondaryMap<TrackSlot, ()>,
    /// Their fresh packets.
    copies: Vec<(TrackSlot, Arc<Packets>)>,
    pool: Pool,
}

impl Router {
    pub(crate) fn add_track(&mut self, track: Inbound) -> TrackSlot {
        self.tracks.insert(track)
    }

    pub(crate) fn add_out(&mut self, out: Outbound) -> OutSlot {
        self.outs.insert(out)
    }

    pub(crate) fn track(&self, slot: TrackSlot) -> Option<&Inbound> {
        self.tracks.get(slot)
    }

    pub(crate) fn track_mut(&mut self, slot: TrackSlot) -> Option<&mut Inbound> {
        self.tracks.get_mut(slot)
    }

    pub(crate) fn out(&self, slot: OutSlot) -> Option<&Outbound> {
        self.outs.get(slot)
    }

    pub(crate) fn out_mut(&mut self, slot: OutSlot) -> Option<&mut Outbound> {
        self.outs.get_mut(slot)
    }

    /// A stream with the track that it is made of at the moment.
    pub(crate) fn out_with_source(
        &mut self,
        slot: OutSlot,
    ) -> Option<(&mut Outbound, Option<&mut Inbound>)> {
        let out = self.outs.get_mut(slot)?;
        let source = out.followed().and_then(|track| self.tracks.get_mut(track));
        Some((out, source))
    }

    /// A stream with the track that it is made of and what it shares with others to the same peer.
    pub(crate) fn out_with_all(
        &mut self,
        slot: OutSlot,
    ) -> Option<(&mut Outbound, &Inbound, Option<&mut Sender>)> {
        let out = self.outs.get_mut(slot)?;
        let track = self.tracks.get(out.followed()?)?;
        let sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
        Some((out, track, sender))
    }

    pub(crate) fn owner_of(&self, slot: TrackSlot) -> Option<EndpointSlot> {
        self.tracks.get(slot).map(Inbound::owner)
    }

    /// Removes a track; what it fed falls silent.
    pub(crate) fn remove_track(&mut self, slot: TrackSlot) {
        self.remove_layers(slot);
        let Some(track) = self.tracks.remove(slot) else {
            return;
        };
        self.mirrored.remove(slot);
        self.uses.remove(slot);
        self.prominent.remove(slot);
        self.lost_before += track.lost();
        if let Some(membership) = track.membership() {
            self.detectors.leave(membership);
        }
        for out in track.links() {
            if let Some(out) = self.outs.get_mut(*out) {
                out.set_source(None);
            }
        }
    }

    pub(crate) fn remove_out(&mut self, slot: OutSlot) {
        self.link(slot, None);
        self.outs.remove(slot);
    }

    /// Packets that never arrived, over all tracks there ever were.
    pub(crate) fn lost(&self) -> u64 {
        self.lost_before + self.tracks.values().map(Inbound::lost).sum::<u64>()
    }

    /// Feeds a stream from another track, or from none. A keyframe is asked for where decoding
    /// needs one to start.
    pub(crate) fn link(&mut self, slot: OutSlot, source: Option<TrackSlot>) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let source = source.filter(|track| self.tracks.contains_key(*track));
        if out.source() == source {
            return;
        }
        if let Some(old) = out.followed().and_then(|track| self.tracks.get(track)) {
            out.keep_time(old);
        }
        self.unlink(slot);
        if let Some(out) = self.outs.get_mut(slot) {
            out.set_source(source);
        }
        if let Some(source) = source {
            self.link_source(slot, source);
        }
    }

    /// Asks the sender of a track for a keyframe at the end of the batch.
    pub(crate) fn want_keyframe(&mut self, slot: TrackSlot) {
        if let Some(track) = self.tracks.get_mut(slot)
            && track.is_video()
            && track.mark_keyframe_wanted()
        {
            self.keyframes.push(slot);
        }
    }

    /// A track that wants a keyframe, each once per batch.
    pub(crate) fn next_keyframe_request(&mut self, now: Instant) -> Option<TrackSlot> {
        let slot = self.keyframes.pop()?;
        if let Some(track) = self.tracks.get_mut(slot) {
            track.clear_keyframe_wanted();
            track.request_keyframe(now);
        }
        Some(slot)
    }

    /// A stream whose first packet of a while went out, with its owner.
    pub(crate) fn next_started(&mut self) -> Option<(OutSlot, EndpointSlot)> {
        while let Some(slot) = self.started.pop() {
            if let Some(out) = self.outs.get(slot) {
                return Some((slot, out.owner()));
            }
        }
        None
    }

    /// A track that comes with another codec than before, or for the first time.
    pub(crate) fn next_recoded(&mut self) -> Option<TrackSlot> {
        self.recoded.pop()
    }

    /// How long packets of a track wait to be forwarded; zero without a track or a measurement.
    pub(crate) fn latency_of(&self, slot: Option<TrackSlot>) -> Duration {
        slot.and_then(|slot| self.tracks.get(slot)?.latency())
            .unwrap_or(Duration::ZERO)
    }

    /// Lets a track take part in the detection of speakers, if its pipeline has a detector.
    pub(crate) fn join_detector(
        &mut self,
        slot: TrackSlot,
        pipeline: PipelineKey,
        element: ElementKey,
    ) {
        let Some(track) = self.tracks.get_mut(slot).filter(|track| track.is_audio()) else {
            return;
        };
        let is_member = track
            .membership()
            .is_some_and(|known| self.detectors.knows(known));
        if !is_member {
            track.set_membership(self.detectors.join(pipeline, element));
        }
    }

    /// Copies a track for other shards from now on as far as they need it; with `None` no longer.
    pub(crate) fn set_mirrored(&mut self, slot: TrackSlot, needs: Option<Mirrored>) {
        match needs.filter(|_| self.tracks.contains_key(slot)) {
            Some(needs) => {
                self.mirrored.insert(slot, needs);
            }
            None => {
                self.mirrored.remove(slot);
            }
        }
    }

    /// Fresh packets of a track that others mirror.
    pub(crate) fn next_copy(&mut self) -> Option<(TrackSlot, Arc<Packets>)> {
        self.copies.pop()
    }

    /// Tracks that there are.
    pub(crate) fn tracks(&self) -> usize {
        self.tracks.len()
    }

    /// Notes that a track has fresh packets.
    pub(crate) fn mark_dirty(&mut self, slot: TrackSlot) {
        self.dirty.push(slot);
    }

    /// Sets aside the tracks that wait for the rest of a frame.
    fn gather(&mut self, now: Instant) {
        self.gathered_at = None;
        let Self {
            tracks,
            dirty,
            gathering,
            gathered_at,
            ..
        } = self;
        dirty.retain(|slot| {
            let until = tracks
                .get_mut(*slot)
                .and_then(|track| track.waits_until(now));
            let Some(until) = until else { return true };
            gathering.push(*slot);
            *gathered_at = Some(gathered_at.map_or(until, |first| first.min(until)));
            false
        });
    }

    /// When a part of a frame has waited long enough for the rest.
    pub(crate) fn gathered_at(&self) -> Option<Instant> {
        self.gathered_at
    }

    /// Sends every fresh packet to every receiver, but for parts of frames whose rest is about to come. Stops
    /// when it is time to send; the next call goes on where this one stopped.
    pub(crate) fn forward(
        &mut self,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        if !self.dirty.is_empty() {
            self.gather(now);
        }
        while let Some(slot) = self.dirty.pop() {
            let Some(batch) = self.begin_batch(slot, now) else {
                continue;
            };
            match self.forward_batch(slot, batch, egress, metrics, now) {
                None => self.end_batch(slot, batch.packets, now),
                Some(rest) => {
                    if let Some(track) = self.tracks.get_mut(slot) {
                        track.set_batch(rest);
                    }
                    self.dirty.push(slot);
                    break;
                }
            }
        }
        self.dirty.append(&mut self.gathering);
        while let Some(out) = self.switching.pop() {
            self.switch_layer(out, egress, metrics, now);
        }
    }

    /// The fresh packets of a track, from the first receiver on or from where they have come to; `None` when nobody
    /// gets them.
    fn begin_batch(&mut self, slot: TrackSlot, now: Instant) -> Option<Batch> {
        let track = self.tracks.get_mut(slot)?;
        if let Some(batch) = track.take_batch() {
            return Some(batch);
        }
        track.note_latency(now);
        track.level();
        // Other shards decide for themselves what they withhold.
        if let Some(mirrored) = self.mirrored.get(slot)
            && mirrored.is_copied
        {
            let copy = self.pool.copy(track, mirrored.spatial);
            self.copies.push((slot, copy));
        }
        if let Some(membership) = track.membership() {
            let levels = track.fresh().iter().map(|fresh| fresh.audio_level);
            if !self.detectors.hear(membership, levels, now) {
                track.withhold();
                return None;
            }
        }
        if let Some(last) = track.take_withheld() {
            for link in track.links() {
                if let Some(out) = self.outs.get_mut(*link) {
                    out.resume(track.ssrc(), last);
                }
            }
        }
        Some(Batch {
            packets: track.fresh().len(),
            served: 0,
            wants_keyframe: false,
        })
    }

    /// Sends a batch to the receivers that have not got it yet. What is left of it when it is time to send.
    fn forward_batch(
        &mut self,
        slot: TrackSlot,
        mut batch: Batch,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) -> Option<Batch> {
        let track = self.tracks.get(slot)?;
        let layer_of = track.layer_of();
        let fresh = track.fresh();
        let fresh = fresh.get(..batch.packets).unwrap_or(fresh);
        for link in track.links().get(batch.served..).unwrap_or_default() {
            if egress.is_full() {
                return Some(batch);
            }
            batch.served += 1;
            let Some(out) = self.outs.get_mut(*link) else {
                continue;
            };
            if layer_of.is_some() && out.followed() != Some(slot) {
                batch.wants_keyframe |= out.look_for_start(track, now);
            } else {
                let mut sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
                for fresh in fresh {
                    if out.leaves_at(fresh) {
                        break;
                    }
                    let (sender, source) = (sender.as_deref_mut(), (slot, track));
                    batch.wants_keyframe |=
                        out.forward(fresh, source, sender, egress, metrics, now);
                }
            }
            if out.is_waiting() {
                self.waiting.push(out.owner());
            }
            out.end_batch(now);
            if out.is_ready_to_switch(now) {
                self.switching.push(*link);
            }
            if out.take_started() {
                self.started.push(*link);
            }
            if out.tells_layers() {
                self.changed.push(*link);
            }
        }
        if batch.wants_keyframe {
            self.want_keyframe(slot);
        }
        None
    }

    /// All receivers have got the fresh packets of a track.
    fn end_batch(&mut self, slot: TrackSlot, packets: usize, now: Instant) {
        let Some(track) = self.tracks.get_mut(slot) else {
            return;
        };
        if track.clear_fresh(packets) {
            self.gathering.push(slot);
        }
        let layer_of = track.layer_of();
        let is_resized = track.take_heights_changed();
        let lost_structure = track.take_lost_structure();
        let has_spatial = track.top_spatial() > 0;
        if track.take_recoded() {
            self.recoded.push(slot);
        }
        if lost_structure {
            self.want_keyframe(slot);
        }
        match layer_of {
            Some(source) => self.look_after(source, now),
            None => {
                if is_resized {
                    self.choose_all(slot);
                }
                if has_spatial {
                    self.review_use(slot, now);
                }
            }
        }
    }
}
