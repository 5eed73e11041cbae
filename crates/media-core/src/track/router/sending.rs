//! What streams get of the paths that they take, what publishers hear of that, and what waits for its turn.

use super::{OutSlot, Router, TrackSlot};
use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::sending::{Caps, Grant};
use crate::track::Outbound;
use salono_media_api::ShardMetrics;
use std::time::Instant;

impl Router {
    /// What the receivers of a track bound of what its publisher sends.
    pub(crate) fn caps(&self, slot: TrackSlot) -> Caps {
        let caps = self
            .receivers(slot)
            .iter()
            .filter_map(|out| self.outs.get(*out))
            .filter(|out| out.has_destination())
            .map(Outbound::caps)
            .chain(self.mirrored.get(slot).map(|mirrored| mirrored.caps))
            .reduce(Caps::join)
            .unwrap_or_default();
        self.without_unused(slot, caps)
    }

    /// Whether the publisher of what feeds a stream can be asked to send less for its sake: nobody
    /// else is fed by it, and it understands.
    pub(crate) fn is_steerable(&self, slot: OutSlot) -> bool {
        let source = self.outs.get(slot).and_then(Outbound::source);
        source
            .filter(|track| !self.mirrored.contains_key(*track) && !self.has_layers(*track))
            .and_then(|track| self.tracks.get(track))
            .is_some_and(|track| {
                let can_be_asked = track.can_be_capped() || track.is_steered_from_here();
                track.links().len() == 1 && can_be_asked
            })
    }

    /// Gives a stream its part of what the path carries. The publisher hears of it soon when it is
    /// less than before.
    pub(crate) fn grant(&mut self, slot: OutSlot, grant: Grant) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let before = out.grant();
        if before == grant {
            return;
        }
        out.set_grant(grant);
        let source = out.source();
        if before.ceiling != grant.ceiling {
            self.set_ceiling(slot, grant.ceiling);
        }
        let falls = match (before.share, grant.share) {
            (Some(before), Some(share)) => share < before,
            (None, Some(_)) => true,
            (_, None) => false,
        };
        if let (true, Some(track)) = (falls, source)
            && !self.capped.contains(&track)
        {
            self.capped.push(track);
        }
    }

    /// The receivers of a track bound it otherwise than by `before`, in bits per second: its publisher
    /// hears of it soon when that is less.
    pub(crate) fn note_fall(&mut self, slot: TrackSlot, before: u64) {
        let cap = self.caps(slot).bitrate();
        let falls = cap > 0 && (before == 0 || cap < before);
        if falls && !self.capped.contains(&slot) {
            self.capped.push(slot);
        }
    }

    /// A track whose publisher shall send less than before, each once per batch.
    pub(crate) fn next_capped(&mut self) -> Option<TrackSlot> {
        self.capped.pop()
    }

    /// Leaves out everything up to the next keyframe of a stream's source, which is asked for.
    pub(crate) fn resynchronise(&mut self, slot: OutSlot) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let source = out.followed();
        if let (true, Some(track)) = (out.resynchronise(), source) {
            self.want_keyframe(track);
        }
    }

    /// A peer with packets that wait for their turn.
    pub(crate) fn next_waiting(&mut self) -> Option<EndpointSlot> {
        self.waiting.pop()
    }

    /// Sends what has waited and may go now.
    pub(crate) fn release(
        &mut self,
        slot: OutSlot,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        let Some(out) = self.outs.get_mut(slot).filter(|out| out.is_waiting()) else {
            return;
        };
        let mut sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
        let mut wanted = None;
        while !sender
            .as_deref_mut()
            .is_some_and(|sender| sender.must_wait(now))
        {
            let Some(waiting) = out.next_waiting() else {
                break;
            };
            let followed = out.followed().filter(|track| *track == waiting.track);
            let Some(track) = followed.and_then(|track| self.tracks.get(track)) else {
                continue;
            };
            let Some(packet) = track.packet(waiting.seq) else {
                continue;
            };
            let fresh = track.describe(&packet);
            let sender = sender.as_deref_mut();
            if out.forward_now(&fresh, track, sender, egress, metrics, now) {
                wanted = Some(waiting.track);
            }
        }
        out.end_batch(now);
        let is_ready = out.is_ready_to_switch(now);
        if let Some(track) = wanted {
            self.want_keyframe(track);
        }
        if is_ready {
            self.switch_layer(slot, egress, metrics, now);
        }
    }
}
