//! Tracks of this shard that others mirror.

use super::mirrors::NEEDS_INTERVAL;
use crate::demux::EndpointSlot;
use crate::links::{Description, ExportSlot, MirrorSlot, Needs, ShardId};
use crate::shard::Shard;
use crate::track::{Inbound, TrackSlot, layer_names};
use salono_media_api::ElementKey;
use salono_sdp::negotiate::NegotiatedMedia;
use std::time::Instant;

impl Shard {
    /// Brings what other shards mirror of an endpoint up to date.
    pub(in crate::shard) fn describe_element(&mut self, element: ElementKey, now: Instant) {
        for at in 0..self.links.exports.of_element(element).len() {
            if let Some(slot) = self.links.exports.of_element(element).get(at) {
                self.describe(*slot, now);
            }
        }
    }

    pub(in crate::shard) fn describe(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get(slot) else {
            return;
        };
        let source = &export.source;
        let peer = match source.takes {
            None => self
                .elements
                .get(&source.element)
                .and_then(|home| self.peers.get(home.endpoint?)),
            Some(_) => self.outlet_for(source),
        };
        let track = peer.and_then(|peer| peer.inbound_of(source.kind, &source.name));
        let media = peer.and_then(|peer| peer.negotiated(source.kind, &source.name));
        let described = media.zip(track).map(|(media, track)| {
            let tracks = self.announced(track, media);
            let ssrc = match tracks.as_slice() {
                [(track, _)] => self.router.track(*track).map_or(0, Inbound::ssrc),
                _ => 0,
            };
            (Box::new(Description::new(media, ssrc)), tracks)
        });
        let (description, tracks) = described.unzip();
        let tracks = tracks.unwrap_or_default();
        let before = self.links.exports.set_tracks(slot, tracks.clone());
        for (track, _) in before.iter().chain(&tracks) {
            self.mirror(*track);
        }
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        if !before.is_empty() && before != tracks {
            export.ended = true;
            export.forget_captures();
        }
        export.description = description;
        // What was sent before is of the past.
        let bytes = export.forget_packets();
        self.links.forget_bytes(slot, bytes);
        self.links.tell_of(slot);
        self.note_report_of(slot, now);
        let check = self.clock.beat(now + NEEDS_INTERVAL);
        self.mirrors_due.get_or_insert(check);
    }

    /// The tracks of a source with their places in the announcement of its layers.
    fn announced(&self, source: TrackSlot, media: &NegotiatedMedia) -> Vec<(TrackSlot, u8)> {
        let names = layer_names(media);
        let tracks = self.router.layer_tracks(source).into_iter().flatten();
        tracks
            .map(|slot| {
                let name = self.router.track(slot).and_then(Inbound::name);
                let place = names.iter().position(|known| Some(known) == name);
                (
                    slot,
                    place.and_then(|it| u8::try_from(it).ok()).unwrap_or(0),
                )
            })
            .collect()
    }

    /// An endpoint ends; whoever mirrors it is told by the engine, too.
    pub(in crate::shard) fn end_exports_of(&mut self, element: ElementKey) {
        for slot in self.links.exports.of_element(element).to_vec() {
            self.end_export(slot);
        }
    }

    pub(super) fn end_export(&mut self, slot: ExportSlot) {
        let tracks = self.links.exports.set_tracks(slot, Vec::new());
        let source = self.links.exports.get(slot).map(|it| it.source.clone());
        self.links.end_export(slot);
        for (track, _) in tracks {
            self.mirror(track);
        }
        if let Some(source) = source {
            self.unwant_outlet(&source);
        }
    }

    /// Copies a track as long as somebody mirrors it, and heeds what its receivers need.
    fn mirror(&mut self, track: TrackSlot) {
        let needs = self.links.exports.needs(track);
        self.router.set_mirrored(track, needs);
    }

    /// Hands the copies of this batch to who mirrors them.
    pub(in crate::shard) fn send_copies(&mut self) {
        while let Some((track, packets)) = self.router.next_copy() {
            self.links.send(track, &packets);
        }
    }

    pub(super) fn handle_needs(
        &mut self,
        (from, mirror): (ShardId, MirrorSlot),
        (needs, version): (Needs, u8),
        keyframes: u8,
        now: Instant,
    ) {
        let Some(slot) = self.links.exports.find(from, mirror) else {
            return;
        };
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        (export.needs, export.version) = (needs, version);
        for (track, layer) in export.tracks.clone() {
            let before = self.router.caps(track).bitrate();
            self.mirror(track);
            if self.router.source_of(track) == track {
                self.router.note_fall(track, before);
                self.router.use_layer(track, needs.spatial);
            }
            if keyframes >> (layer & 7) & 1 == 1 {
                self.router.want_keyframe(track);
            }
        }
        self.note_state_of(slot, now);
    }

    /// Sources that others mirror send other layers than before.
    pub(in crate::shard) fn note_restated(&mut self, now: Instant) {
        while let Some(track) = self.router.next_restated() {
            for slot in self.links.exports.of_track(track).to_vec() {
                self.note_state_of(slot, now);
            }
        }
    }

    /// Lets the shard of a mirror know what it cannot see.
    pub(super) fn note_state_of(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get(slot) else {
            return;
        };
        let mut tracks = export.tracks.clone();
        let version = export.version;
        tracks.sort_by_key(|(_, layer)| *layer);
        let Some((first, _)) = tracks.first().copied() else {
            return;
        };
        let source = self.router.source_of(first);
        let is_only = self.links.exports.of_track(source).len() == 1;
        let tracks: Vec<TrackSlot> = tracks.into_iter().map(|(track, _)| track).collect();
        let mut state = self.router.state(source, &tracks, now);
        state.version = version;
        state.is_alone &= is_only;
        let export = self.links.exports.get_mut(slot);
        if export.is_some_and(|export| export.push_state(state)) {
            self.links.tell_of(slot);
        }
    }

    /// The peer reported something: what others mirror of it keeps in step.
    pub(in crate::shard) fn note_report(&mut self, slot: EndpointSlot, now: Instant) {
        if self.links.exports.is_empty() {
            return;
        }
        let Some(element) = self.peers.get(slot).map(|peer| peer.endpoint.key()) else {
            return;
        };
        for at in 0..self.links.exports.of_element(element).len() {
            if let Some(export) = self.links.exports.of_element(element).get(at) {
                self.note_report_of(*export, now);
            }
        }
    }

    fn note_report_of(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        let mut is_news = false;
        for at in 0..export.tracks.len() {
            let Some((track, layer)) = export.tracks.get(at).copied() else {
                continue;
            };
            let track = self.router.track(track);
            if let Some((capture, said)) = track.and_then(|it| it.capture(self.clock, now)) {
                is_news |= export.push_capture(layer, capture, said);
            }
        }
        if is_news {
            self.links.tell_of(slot);
        }
    }
}
