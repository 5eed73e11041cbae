//! Tracks of other shards that are mirrored here.

use crate::links::{Description, MirrorSlot, Needs, Packets, State, Stream};
use crate::shard::Shard;
use crate::track::{Inbound, Taken, TrackSlot};
use salono_media_api::{ElementKey, MediaKind, PipelineKey};
use std::time::{Duration, Instant};

/// How often other shards are told what receivers of their tracks need, and what is sent of the tracks here.
pub(super) const NEEDS_INTERVAL: Duration = Duration::from_secs(1);

impl Shard {
    /// The track that feeds a sink from another shard, if its source lives there. It may come later.
    pub(in crate::shard) fn mirror_for(
        &mut self,
        sink: &Stream,
        source: Option<Stream>,
    ) -> Option<TrackSlot> {
        let source = source.and_then(|source| {
            let shard = match source.takes {
                None => self.links.remote.get(&source.element)?.shard,
                Some(_) => self.processor_of(&source)?,
            };
            Some((source, shard))
        });
        let mirror = self.links.feed(sink, source);
        self.remove_orphans();
        self.links.imports.get(mirror?)?.track
    }

    /// A sink ends: no other shard feeds it any more.
    pub(in crate::shard) fn unfeed(&mut self, sink: ElementKey) {
        for sink in self.links.imports.fed(sink) {
            self.links.unfeed(&sink);
        }
        self.remove_orphans();
    }

    pub(in crate::shard) fn remove_orphans(&mut self) {
        while let Some(track) = self.links.orphans.pop() {
            self.router.remove_track(track);
        }
    }

    pub(super) fn handle_description(
        &mut self,
        mirror: MirrorSlot,
        description: &Description,
        now: Instant,
    ) {
        let Some(import) = self.links.imports.get(mirror).filter(|it| it.is_wanted()) else {
            return;
        };
        let (kind, sinks) = (import.source.kind, import.sinks());
        if let Some(slot) = import.track {
            if let Some(track) = self.router.track_mut(slot) {
                track.describe_again(description);
            }
            self.describe_layers(mirror, kind, slot, description);
            return;
        }
        let track = Inbound::mirror(kind, description, &self.config.limits);
        let element = import.source.element;
        // Who speaks is heard in what peers send.
        let is_plain = import.source.takes.is_none();
        let remote = self.links.remote.get(&element);
        let pipeline = remote.filter(|_| is_plain).map(|remote| remote.pipeline);
        let track = self.router.add_track(track);
        if let Some(pipeline) = pipeline {
            self.router.join_detector(track, pipeline, element);
            let is_prominent = self.router.detectors.prominent(pipeline) == Some(element);
            self.router.set_prominent(track, is_prominent);
        }
        self.describe_layers(mirror, kind, track, description);
        let check = self.clock.beat(now + NEEDS_INTERVAL);
        self.mirrors_due.get_or_insert(check);
        self.reroute(&sinks);
    }

    /// Makes the tracks of the layers that a mirror's source comes in.
    fn describe_layers(
        &mut self,
        mirror: MirrorSlot,
        kind: MediaKind,
        source: TrackSlot,
        description: &Description,
    ) {
        let limits = &self.config.limits;
        let layers = self.router.set_up_layers(source, &description.media, || {
            Inbound::mirror(kind, description, limits)
        });
        self.links.imports.set_track(mirror, source, layers);
        if let Some(import) = self.links.imports.get(mirror) {
            let (spatial, version) = (import.needs.spatial, import.version);
            self.router.ask_spatial(source, spatial, version);
        }
        let pipeline = self.links.imports.get(mirror).and_then(|import| {
            let remote = self.links.remote.get(&import.source.element)?;
            Some(remote.pipeline)
        });
        let measured = pipeline.is_some_and(|it| self.measured.contains(&it));
        for layer in self.router.layer_tracks(source).into_iter().flatten() {
            if let Some(track) = self.router.track_mut(layer) {
                track.measure_latency(measured);
            }
        }
    }

    pub(super) fn handle_copies(
        &mut self,
        (mirror, layer): (MirrorSlot, u8),
        packets: &Packets,
        missed: u32,
    ) {
        let import = self.links.imports.get(mirror);
        let Some(slot) = import.and_then(|import| import.layer(layer)) else {
            return;
        };
        let Some(track) = self.router.track_mut(slot) else {
            return;
        };
        let mut news = false;
        for copied in packets.iter() {
            news |= track.receive_copy(packets.ssrc, &copied) == Taken::First;
        }
        if news {
            self.router.mark_dirty(slot);
        }
        if missed > 0 {
            self.router.want_keyframe(slot);
        }
    }

    /// Asks the shard of a mirror for a keyframe, unless it was asked just now; false when the track
    /// is none.
    pub(in crate::shard) fn ask_shard_for_keyframe(
        &mut self,
        slot: TrackSlot,
        now: Instant,
    ) -> bool {
        let Some(mirror) = self.links.imports.of_track(slot) else {
            return false;
        };
        let Some(track) = self.router.track_mut(slot) else {
            return true;
        };
        let is_due = track.is_keyframe_due(now);
        let next = track.keyframe_timeout();
        let import = self.links.imports.get(mirror);
        let crosses = import.is_some_and(|import| import.needs.has(import.place_of(slot)));
        if is_due || !crosses {
            self.tell_needs(slot);
        }
        if is_due && let Some(import) = self.links.imports.get_mut(mirror) {
            import.keyframes |= 1 << (import.place_of(slot) & 7);
            self.links.tell_about(mirror);
        }
        self.mirrors_due = [self.mirrors_due, next].into_iter().flatten().min();
        true
    }

    /// Asks again for keyframes that did not come, and tells what receivers need.
    pub(in crate::shard) fn check_mirrors(&mut self, now: Instant) {
        if self.mirrors_due.is_none_or(|due| due > now) {
            return;
        }
        self.mirrors_due = None;
        let tracks: Vec<_> = self.links.imports.tracks().collect();
        let exports = self.links.exports.slots();
        if !tracks.is_empty() || !exports.is_empty() {
            self.mirrors_due = Some(self.clock.beat(now + NEEDS_INTERVAL));
        }
        for (_, track) in tracks {
            self.ask_shard_for_keyframe(track, now);
            self.tell_needs(track);
        }
        for export in exports {
            self.note_state_of(export, now);
        }
    }

    /// Takes in what is known of the source of a mirror.
    pub(super) fn handle_state(&mut self, mirror: MirrorSlot, state: &State, now: Instant) {
        let Some(import) = self.links.imports.get(mirror) else {
            return;
        };
        if let Some(source) = import.track {
            let tracks = import.layers().to_vec();
            self.router.set_state(source, &tracks, state, now);
        }
    }

    /// Tells the shard of a mirror what its receivers need, if that is news.
    pub(in crate::shard) fn tell_needs(&mut self, track: TrackSlot) {
        let Some(mirror) = self.links.imports.of_track(track) else {
            return;
        };
        let Some(import) = self.links.imports.get(mirror) else {
            return;
        };
        let source = import.track.unwrap_or(track);
        let is_fed = |layer: &TrackSlot| {
            let layer = self.router.track(*layer);
            layer.is_some_and(|layer| !layer.links().is_empty())
        };
        let streams = match import.layers() {
            // Its detector of speakers may listen to what nobody receives.
            [] | [_] => u8::MAX,
            layers => (0u8..)
                .zip(layers)
                .filter(|(_, layer)| is_fed(layer))
                .fold(0, |all, (place, _)| all | 1 << (place & 7)),
        };
        let needs = Needs {
            caps: self.router.caps(source),
            spatial: self.router.wanted_spatial(source),
            streams,
        };
        let Some(import) = self.links.imports.get_mut(mirror) else {
            return;
        };
        if std::mem::replace(&mut import.needs, needs) != needs {
            import.version = import.version.wrapping_add(1);
            let version = import.version;
            self.links.tell_about(mirror);
            self.router.ask_spatial(source, needs.spatial, version);
        }
    }

    /// Mirrors of a pipeline measure latency, or no longer.
    pub(in crate::shard) fn measure_mirrors(&mut self, pipeline: PipelineKey, on: bool) {
        for (mirror, track) in self.links.imports.tracks() {
            let element = self.links.imports.get(mirror).map(|it| it.source.element);
            let remote = element.and_then(|element| self.links.remote.get(&element));
            if remote.is_some_and(|remote| remote.pipeline == pipeline)
                && let Some(track) = self.router.track_mut(track)
            {
                track.measure_latency(on);
            }
        }
    }
}
