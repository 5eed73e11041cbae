//! Sources that come in several streams, one per layer, and which of them each receiver follows.
//!
//! The element graph knows a source by one track. With simulcast that track is one of several, all
//! of the same m-line, and a receiver of the source is linked to whichever of them it follows, and
//! while it waits for a keyframe of another to that one as well.

use super::unused::Use;
use super::{OutSlot, Router, TrackSlot};
use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::track::inbound::Inbound;
use crate::track::layers::{Layer, MAX_SPATIAL, Qualities, Quality};
use crate::track::outbound::Outbound;
use salono_media_api::{ElementEvent, ShardMetrics, VideoWish};
use salono_rtp::codec::Heights;
use salono_rtp::header::Header;
use salono_sdp::negotiate::{NegotiatedCodec, NegotiatedMedia, RemoteSource};
use std::time::{Duration, Instant};

/// A layer that sent nothing for this long while others did has been turned off by its sender.
const SILENCE: Duration = Duration::from_millis(300);

/// How a layer is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LayerName {
    /// By the stream identifier in its packets (RFC 8852).
    Rid(Box<str>),
    /// By its announced SSRC.
    Source(RemoteSource),
}

/// The streams of one source.
#[derive(Default)]
pub(super) struct Simulcast {
    /// Ascending by the size of the picture; the source's own track is one of them.
    layers: Vec<TrackSlot>,
    /// Bit `n`: layer `n` sends.
    active: u8,
    /// Whom the source feeds.
    outs: Vec<OutSlot>,
    looked_at: Option<Instant>,
    /// Sum of the heights of the pictures when it was looked at last.
    heights: u32,
    /// Bits per second of each layer when it last sent.
    rates: [u64; MAX_SPATIAL],
    pub(super) usage: Use,
}

impl Simulcast {
    /// Whom the source feeds.
    pub(super) fn outs(&self) -> &[OutSlot] {
        &self.outs
    }

    /// Bits per second of each layer when it last sent.
    pub(super) fn rates(&self) -> &[u64] {
        &self.rates
    }

    /// The layer for a receiver that may get `spatial` at most: the best one that sends, or else
    /// the least beyond.
    fn choose(&self, spatial: u8) -> Option<(usize, TrackSlot)> {
        let sends = |at: &usize| self.active >> *at & 1 == 1;
        let most = usize::from(spatial).min(self.layers.len().saturating_sub(1));
        let at = (0..=most)
            .rev()
            .find(sends)
            .or_else(|| (most..self.layers.len()).find(sends))?;
        self.layers.get(at).map(|layer| (at, *layer))
    }
}

/// The layers that an m-line comes in; none when it is one stream.
fn names(media: &NegotiatedMedia) -> Vec<LayerName> {
    let rids = media
        .rids
        .iter()
        .map(|rid| LayerName::Rid(rid.id.as_str().into()));
    let sources = media.remote_sources.iter().filter(|source| source.is_layer);
    let sources = sources.cloned().map(LayerName::Source);
    let names: Vec<LayerName> = if media.rids.is_empty() {
        sources.take(MAX_SPATIAL).collect()
    } else {
        rids.take(MAX_SPATIAL).collect()
    };
    if names.len() > 1 { names } else { Vec::new() }
}

impl Router {
    /// Makes the tracks of the layers of a source, or holds those that are there to what was
    /// negotiated now. Returns the tracks in announced order.
    pub(crate) fn set_up_layers(
        &mut self,
        source: TrackSlot,
        media: &NegotiatedMedia,
        make: impl Fn() -> Inbound,
    ) -> Vec<TrackSlot> {
        let names = names(media);
        if names.is_empty() && !self.simulcasts.contains_key(source) {
            return vec![source];
        }
        let known = self.layer_tracks(source);
        let mut slots: Vec<Option<TrackSlot>> = names
            .iter()
            .map(|name| {
                let mut known = known.into_iter().flatten();
                known.find(|slot| self.tracks.get(*slot).and_then(Inbound::name) == Some(name))
            })
            .collect();
        if !slots.contains(&Some(source))
            && let Some(free) = slots.iter().position(Option::is_none).or(Some(0))
            && let Some(slot) = slots.get_mut(free)
        {
            *slot = Some(source);
        }
        let mut layers = Vec::new();
        for (name, slot) in names.iter().zip(slots) {
            let slot = slot.unwrap_or_else(|| self.tracks.insert(make()));
            if let Some(track) = self.tracks.get_mut(slot) {
                track.set_name(Some(name.clone()), Some(source));
                track.renegotiate(media);
            }
            layers.push(slot);
        }
        let is_known = self.simulcasts.get(source).is_some_and(|simulcast| {
            let mut kept = simulcast.layers.iter();
            simulcast.layers.len() == layers.len() && kept.all(|layer| layers.contains(layer))
        });
        if is_known {
            return layers;
        }
        let mut outs = match self.simulcasts.remove(source) {
            Some(simulcast) => simulcast.outs,
            None => self
                .tracks
                .get(source)
                .map_or_else(Vec::new, |track| track.links().to_vec()),
        };
        for slot in known.into_iter().flatten() {
            if !layers.contains(&slot) && slot != source {
                self.drop_layer(slot);
            }
        }
        if layers.is_empty() {
            if let Some(track) = self.tracks.get_mut(source) {
                track.set_name(None, None);
            }
            outs.retain(|out| self.outs.contains_key(*out));
            for out in outs {
                self.follow(out, None);
                self.link_track(out, source);
            }
            return vec![source];
        }
        self.simulcasts.insert(
            source,
            Simulcast {
                layers: layers.clone(),
                outs,
                ..Simulcast::default()
            },
        );
        layers
    }

    /// The tracks of a source: itself, or its layers in ascending order.
    pub(crate) fn layer_tracks(&self, source: TrackSlot) -> [Option<TrackSlot>; MAX_SPATIAL] {
        let mut tracks = [None; MAX_SPATIAL];
        match self.simulcasts.get(source) {
            Some(simulcast) => {
                for (entry, layer) in tracks.iter_mut().zip(&simulcast.layers) {
                    *entry = Some(*layer);
                }
            }
            None => tracks[0] = Some(source),
        }
        tracks
    }

    /// The source that a track is a layer of; itself when it is no layer.
    pub(crate) fn source_of(&self, track: TrackSlot) -> TrackSlot {
        let of = self.tracks.get(track).and_then(Inbound::layer_of);
        of.unwrap_or(track)
    }

    /// All streams that a source feeds, whichever layer they follow.
    pub(crate) fn receivers(&self, source: TrackSlot) -> &[OutSlot] {
        match self.simulcasts.get(source) {
            Some(simulcast) => &simulcast.outs,
            None => self.tracks.get(source).map_or(&[], Inbound::links),
        }
    }

    /// Whether a source comes in several streams.
    pub(super) fn has_layers(&self, source: TrackSlot) -> bool {
        self.simulcasts.contains_key(source)
    }

    /// When a source sent last, in whichever layer.
    pub(crate) fn last_packet(&self, source: TrackSlot) -> Option<Instant> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track)?.last_packet())
            .max()
    }

    /// What a source sends with now.
    pub(crate) fn current_codec(&self, source: TrackSlot) -> Option<&NegotiatedCodec> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track))
            .max_by_key(|track| track.last_packet())?
            .current_codec()
    }

    /// The track of a packet whose SSRC is new: the source itself, or the layer that its header
    /// names. `None` for a packet of a layered source that does not say which layer it is.
    pub(crate) fn layer_named(
        &self,
        source: TrackSlot,
        header: &Header,
        packet: &[u8],
        is_rtx: bool,
    ) -> Option<TrackSlot> {
        if !self.simulcasts.contains_key(source) {
            return Some(source);
        }
        let ids = self.tracks.get(source)?.extensions();
        let find = |id: u8| match id {
            0 => None,
            id => header.extensions(packet).find(id),
        };
        let rid = match is_rtx {
            true => find(ids.repaired_rid).or_else(|| find(ids.rid)),
            false => find(ids.rid),
        }?;
        let mut tracks = self.layer_tracks(source).into_iter().flatten();
        tracks.find(|track| {
            let name = self.tracks.get(*track).and_then(Inbound::name);
            matches!(name, Some(LayerName::Rid(known)) if known.as_bytes() == rid)
        })
    }

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
            }
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

    /// When the publisher of a source is to be asked for something next.
    pub(crate) fn requests_due(&self, source: TrackSlot) -> Option<Instant> {
        let tracks = self.layer_tracks(source).into_iter().flatten();
        tracks
            .filter_map(|track| self.tracks.get(track)?.poll_timeout())
            .min()
    }

    /// The heights of a source's spatial layers, ascending; 0 where not known.
    pub(super) fn heights(&self, source: TrackSlot) -> Heights {
        let mut heights = Heights::default();
        match self.simulcasts.get(source) {
            Some(simulcast) => {
                for (height, layer) in heights.iter_mut().zip(&simulcast.layers) {
                    *height = self
                        .tracks
                        .get(*layer)
                        .and_then(Inbound::height)
                        .unwrap_or(0);
                }
            }
            None => {
                if let Some(track) = self.tracks.get(source) {
                    heights = track.heights();
                }
            }
        }
        heights
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
    fn link_track(&mut self, slot: OutSlot, track: TrackSlot) {
        if let (Some(out), Some(inbound)) = (self.outs.get_mut(slot), self.tracks.get_mut(track)) {
            inbound.link(slot);
            out.set_followed(Some(track));
            self.want_keyframe(track);
        }
    }

    /// Removes the other layers of a source that goes.
    pub(super) fn remove_layers(&mut self, source: TrackSlot) {
        let Some(simulcast) = self.simulcasts.remove(source) else {
            return;
        };
        for out in simulcast.outs {
            if let Some(out) = self.outs.get_mut(out) {
                out.set_source(None);
            }
        }
        for layer in simulcast.layers {
            if layer != source {
                self.drop_layer(layer);
            }
        }
    }

    fn drop_layer(&mut self, layer: TrackSlot) {
        let Some(track) = self.tracks.remove(layer) else {
            return;
        };
        self.lost_before += track.lost();
        for out in track.links() {
            if let Some(out) = self.outs.get_mut(*out) {
                out.forget_layer(layer);
            }
        }
    }

    /// Gives up the layers that a stream follows and waits for, and follows another.
    fn follow(&mut self, slot: OutSlot, track: Option<TrackSlot>) {
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
    fn choose(&mut self, slot: OutSlot) {
        let source = self.outs.get(slot).and_then(Outbound::source);
        let heights = source.map(|source| self.heights(source));
        let Some(out) = self.outs.get_mut(slot) else {
            return;
        };
        let Some(limit) = out.limit(heights.unwrap_or_default()) else {
            return;
        };
        if let Some(source) = source {
            self.use_layer(source, limit.spatial);
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
            if last.is_some_and(|last| now.saturating_duration_since(last) < SILENCE) {
                active |= 1 << at;
                if let Some(rate) = simulcast.rates.get_mut(at)
                    && !simulcast.usage.is_bound()
                {
                    *rate = track.bitrate(now);
                }
            }
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
            if let Some(packet) = track.packet(seq) {
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
