//! Which layer each receiver follows, and the way from one to another.

use super::{OutSlot, Router, TrackSlot};
use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::track::inbound::Inbound;
use crate::track::layers::{Layer, MAX_SPATIAL, Qualities, Quality};
use crate::track::outbound::Outbound;
use salono_media_api::{ElementEvent, ShardMetrics, VideoWish};
use std::time::{Duration, Instant};

/// A layer that sent nothing for this long while others did has been turned off by its sender.
const SILENCE: Duration = Duration::from_millis(300);

impl Router {
    /// What the source of a stream comes in, ascending by bitrate; nothing without a source.
    pub(crate) fn qualities(&mut self, slot: OutSlot, now: Instant) -> Qualities {
        let mut qualities = Qualities::default();
        let Some(source) = self.outs.get(slot).and_then(Outbound::source) else {
            return qualities;
        };
        match self.simulcasts.get(source) {
            None => {
                if let Some(track) = self.tracks.get_mut(source) {
                    track.qualities(&mut qualities, now);
                }
                self.add_unused(source, &mut qualities);
            }
            Some(simulcast) => {
                for (rank, layer) in (0u8..).zip(&simulcast.layers) {
                    let usual = simulcast.rates.get(usize::from(rank)).copied();
                    let sends = simulcast.active >> rank & 1 == 1;
                    let Some(track) = self.tracks.get_mut(*layer) else {
                        continue;
                    };
                    if sends {
                        track.stream_qualities(rank, &mut qualities, now);
                    } else if let Some(bitrate) = usual.filter(|rate| *rate > 0) {
                        qualities.push(Quality {
                            layer: Layer {
                                spatial: rank,
                                temporal: track.top_temporal(),
                            },
                            bitrate,
                            height: track.height(),
                        });
                    }
                }
                let usual = simulcast.rates;
                self.raise_unused(source, &usual, &mut qualities);
            }
        }
        if self.outs.get(slot).is_some_and(Outbound::is_flat) {
            qualities.keep_smallest();
        }
        qualities.sort();
        qualities
    }

    /// The highest layer that a stream may get; `None` pauses it. Without a call it is the highest
    /// that there is.
    pub(crate) fn set_ceiling(&mut self, slot: OutSlot, ceiling: Option<Layer>) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let resumes = out.set_ceiling(ceiling);
        let track = out.followed();
        self.choose(slot);
        if let (true, Some(track)) = (resumes, track) {
            self.want_keyframe(track);
        }
    }

    /// Asks the source of a stream for a keyframe of what the stream follows; false when nothing
    /// feeds it.
    pub(crate) fn want_keyframe_for(&mut self, slot: OutSlot) -> bool {
        let Some(out) = self.outs.get(slot) else {
            return false;
        };
        let has_source = out.source().is_some();
        if let Some(track) = out.followed() {
            self.want_keyframe(track);
        }
        has_source
    }

    /// Which quality a receiver wishes.
    pub(crate) fn set_wish(&mut self, slot: OutSlot, wish: VideoWish) {
        if let Some(out) = self.outs.get_mut(slot) {
            out.set_wish(wish);
            self.choose(slot);
        }
    }

    /// What changed for a receiver that wished to be told, with its owner.
    pub(crate) fn next_layer_change(&mut self) -> Option<(EndpointSlot, ElementEvent)> {
        while let Some(slot) = self.changed.pop() {
            let Some(out) = self.outs.get(slot) else {
                continue;
            };
            let Some((track, layer)) = out.followed().zip(out.current_layer()) else {
                continue;
            };
            let rank = out
                .source()
                .and_then(|source| self.simulcasts.get(source))
                .and_then(|simulcast| simulcast.layers.iter().position(|layer| *layer == track));
            let track = self.tracks.get(track);
            let layer = Layer {
                temporal: layer.temporal.min(track.map_or(0, Inbound::top_temporal)),
                ..layer
            };
            let layer = match rank {
                Some(rank) => Layer {
                    spatial: rank as u8,
                    ..layer
                },
                None => Layer {
                    spatial: layer.spatial.min(track.map_or(0, Inbound::top_spatial)),
                    ..layer
                },
            };
            let height = track.and_then(|track| match rank {
                Some(_) => track.height(),
                None => track.height_of(layer.spatial),
            });
            if let Some(out) = self.outs.get_mut(slot)
                && out.is_news((layer, height))
            {
                let event = ElementEvent::LayerChanged {
                    spatial: layer.spatial,
                    temporal: layer.temporal,
                    height,
                };
                return Some((out.owner(), event));
            }
        }
        None
    }

    /// Takes a stream out of the source that fed it.
    pub(super) fn unlink(&mut self, slot: OutSlot) {
        let Some(source) = self.outs.get(slot).and_then(Outbound::source) else {
            return;
        };
        if let Some(simulcast) = self.simulcasts.get_mut(source) {
            simulcast.outs.retain(|out| *out != slot);
        }
        self.follow(slot, None);
        if let Some(track) = self.tracks.get_mut(source) {
            track.unlink(slot);
        }
    }

    /// Feeds a stream from a source that it is not linked to yet.
    pub(super) fn link_source(&mut self, slot: OutSlot, source: TrackSlot) {
        match self.simulcasts.get_mut(source) {
            Some(simulcast) => {
                simulcast.outs.push(slot);
                self.choose(slot);
            }
            None => self.link_track(slot, source),
        }
    }

    /// Feeds a stream from one track alone.
    pub(super) fn link_track(&mut self, slot: OutSlot, track: TrackSlot) {
        if let (Some(out), Some(inbound)) = (self.outs.get_mut(slot), self.tracks.get_mut(track)) {
            inbound.link(slot);
            out.set_followed(Some(track));
            // Before a receiver is there, a keyframe would be wasted; it is asked for then.
            if out.has_destination() {
                self.want_keyframe(track);
            }
        }
    }

    /// Gives up the layers that a stream follows and waits for, and follows another.
    pub(super) fn follow(&mut self, slot: OutSlot, track: Option<TrackSlot>) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let old = [out.followed(), out.take_next()];
        out.set_followed(track);
        for old in old.into_iter().flatten() {
            if let Some(old) = self.tracks.get_mut(old) {
                old.unlink(slot);
            }
        }
        if let Some(track) = track.and_then(|track| self.tracks.get_mut(track)) {
            track.link(slot);
        }
    }

    /// Finds the layer that a stream is to follow and begins to go there.
    pub(super) fn choose(&mut self, slot: OutSlot) {
        let source = self.outs.get(slot).and_then(Outbound::source);
        let heights = source.map(|source| self.heights(source));
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let Some(mut limit) = out.limit(heights.unwrap_or_default()) else {
            return;
        };
        if let Some(source) = source {
            self.use_layer(source, limit.spatial);
            if let Some(track) = self.tracks.get(source) {
                if track.lacks_spatial(limit.spatial) {
                    self.capped.push(source);
                }
                // What does not cross complete cannot be sent.
                if !self.simulcasts.contains_key(source) {
                    limit.spatial = limit.spatial.min(track.crossing_spatial());
                }
            }
        }
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let Some(simulcast) = source.and_then(|source| self.simulcasts.get(source)) else {
            out.limit_layers(limit);
            return;
        };
        let Some((rank, wanted)) = simulcast.choose(limit.spatial) else {
            return;
        };
        // Below its limit, a stream is not thinned.
        out.limit_layers(if rank < usize::from(limit.spatial) {
            Layer::HIGHEST
        } else {
            Layer {
                spatial: u8::MAX,
                ..limit
            }
        });
        if out.next() == Some(wanted) {
            return;
        }
        let given_up = out.take_next();
        let is_followed = out.followed() == Some(wanted);
        if !is_followed {
            out.set_next(wanted);
        }
        if let Some(track) = given_up.and_then(|track| self.tracks.get_mut(track)) {
            track.unlink(slot);
        }
        if !is_followed {
            if let Some(track) = self.tracks.get_mut(wanted) {
                track.link(slot);
            }
            self.want_keyframe(wanted);
        }
    }

    /// Looks which layers of a source send, after one of them did.
    pub(super) fn look_after(&mut self, source: TrackSlot, now: Instant) {
        let is_bound = self.is_bound(source);
        let Some(simulcast) = self.simulcasts.get_mut(source) else {
            return;
        };
        if simulcast.looked_at == Some(now) {
            return;
        }
        simulcast.looked_at = Some(now);
        let tracks = &mut self.tracks;
        let height = |slot: &TrackSlot| tracks.get(*slot).and_then(Inbound::height);
        let heights = simulcast
            .layers
            .iter()
            .map(|layer| height(layer).unwrap_or(0));
        let heights: u32 = heights.map(u32::from).sum();
        let mut changed = simulcast.heights != heights;
        simulcast.heights = heights;
        if simulcast.layers.iter().all(|layer| height(layer).is_some())
            && !simulcast.layers.is_sorted_by_key(height)
        {
            // The order of the description was another one.
            simulcast.layers.sort_by_key(height);
            simulcast.rates = [0; MAX_SPATIAL];
            changed = true;
        }
        let mut active = 0u8;
        for (at, layer) in simulcast.layers.iter().enumerate() {
            let Some(track) = tracks.get_mut(*layer) else {
                continue;
            };
            let last = track.last_packet();
            let is_heard = last.is_some_and(|at| now.saturating_duration_since(at) < SILENCE);
            // Of a mirror, not every stream that is sent crosses.
            if track.stream_state().map_or(is_heard, |state| state.sends) {
                active |= 1 << at;
                if let Some(rate) = simulcast.rates.get_mut(at)
                    && !is_bound
                {
                    *rate = track.bitrate_as_sent(now);
                }
            }
        }
        if simulcast.active != active && self.mirrored.contains_key(source) {
            self.restated.push(source);
        }
        changed |= simulcast.active != active;
        simulcast.active = active;
        if changed {
            self.choose_all(source);
        }
        self.review_use(source, now);
    }

    /// Finds the layers of all receivers of a source anew.
    pub(super) fn choose_all(&mut self, source: TrackSlot) {
        let mut at = 0;
        while let Some(out) = self.receivers(source).get(at).copied() {
            self.choose(out);
            at += 1;
        }
    }

    /// Lets a stream go on with the layer that it waited for: from its keyframe on, of which the
    /// packets that came meanwhile are in the ring.
    pub(super) fn switch_layer(
        &mut self,
        slot: OutSlot,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let Some((wanted, start)) = out.next_start() else {
            return;
        };
        let old = out.followed();
        if let Some(track) = old.and_then(|track| self.tracks.get(track)) {
            out.keep_time(track);
        }
        out.take_next();
        out.set_followed(Some(wanted));
        if let Some(old) = old.and_then(|track| self.tracks.get_mut(track)) {
            old.unlink(slot);
        }
        let Some(track) = self.tracks.get(wanted) else {
            return;
        };
        let Some(newest) = track.newest() else { return };
        let mut sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
        let mut seq = start;
        while seq <= newest {
            // What is fresh comes with its batch.
            if let Some(packet) = track.packet(seq).filter(|_| !track.is_fresh(seq)) {
                let fresh = track.describe(&packet);
                let sender = sender.as_deref_mut();
                let source = (wanted, track);
                out.forward(&fresh, source, sender, egress, metrics, now);
            }
            seq = seq.next();
        }
        if out.take_started() {
            self.started.push(slot);
        }
    }

    /// Sends packets again that a peer missed, of whichever layer they were.
    pub(crate) fn retransmit(
        &mut self,
        slot: OutSlot,
        lost: impl Iterator<Item = u16>,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        let Some(source) = self.outs.get(slot).and_then(Outbound::source) else {
            return;
        };
        let layers = self.layer_tracks(source);
        let tracks = layers.map(|layer| layer.and_then(|layer| self.tracks.get(layer)));
        if let Some(out) = self.outs.get_mut(slot) {
            let sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
            out.retransmit(lost, &tracks, sender, egress, metrics, now);
        }
    }
}
