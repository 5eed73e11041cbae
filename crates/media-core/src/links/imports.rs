//! Tracks of other shards that are mirrored here.

use super::{MirrorSlot, Needs, ShardId, Stream};
use crate::track::TrackSlot;
use salono_media_api::{ElementKey, MediaKind};
use slotmap::SlotMap;
use std::collections::{BTreeMap, BTreeSet};

/// A mirror, or the wish for one.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) source: Stream,
    pub(crate) shard: ShardId,
    /// Once the source has one: its track here, as the graph knows it.
    pub(crate) track: Option<TrackSlot>,
    /// That, or its layers in the order of their announcement.
    layers: Vec<TrackSlot>,
    /// Endpoints of this shard that it feeds; without any it is about to end.
    sinks: BTreeSet<Stream>,
    /// It waits to be talked about.
    pub(crate) is_queued: bool,
    /// Its shard has been told that it is wanted.
    pub(crate) is_asked_for: bool,
    /// Layers of which a keyframe is wanted, a bit each.
    pub(crate) keyframes: u8,
    pub(crate) needs: Needs,
    pub(crate) told_needs: Needs,
    /// Counts changes of the needs.
    pub(crate) version: u8,
}

impl Import {
    /// Endpoints of this shard that it feeds, with the kind of media.
    pub(crate) fn sinks(&self) -> BTreeSet<(ElementKey, MediaKind)> {
        let sinks = self.sinks.iter();
        sinks.map(|sink| (sink.element, sink.kind)).collect()
    }

    /// The track of a layer.
    pub(crate) fn layer(&self, layer: u8) -> Option<TrackSlot> {
        self.layers.get(usize::from(layer)).copied()
    }

    /// The tracks of its layers in the order of their announcement.
    pub(crate) fn layers(&self) -> &[TrackSlot] {
        &self.layers
    }

    /// Which layer a track is.
    pub(crate) fn place_of(&self, track: TrackSlot) -> u8 {
        let place = self.layers.iter().position(|layer| *layer == track);
        place
            .and_then(|place| u8::try_from(place).ok())
            .unwrap_or(0)
    }

    pub(crate) fn is_wanted(&self) -> bool {
        !self.sinks.is_empty()
    }
}

/// All mirrors of a shard.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    mirrors: SlotMap<MirrorSlot, Import>,
    /// The wanted ones.
    by_source: BTreeMap<Stream, MirrorSlot>,
    by_track: BTreeMap<TrackSlot, MirrorSlot>,
    by_sink: BTreeMap<Stream, MirrorSlot>,
}

impl Imports {
    pub(crate) fn get(&self, mirror: MirrorSlot) -> Option<&Import> {
        self.mirrors.get(mirror)
    }

    pub(crate) fn get_mut(&mut self, mirror: MirrorSlot) -> Option<&mut Import> {
        self.mirrors.get_mut(mirror)
    }

    /// Mirrors with a track.
    pub(crate) fn len(&self) -> usize {
        let mirrors = self.mirrors.values();
        mirrors.filter(|import| import.track.is_some()).count()
    }

    /// The mirror that feeds a sink.
    pub(crate) fn feeding(&self, sink: &Stream) -> Option<MirrorSlot> {
        self.by_sink.get(sink).copied()
    }

    /// What an element gets from other shards.
    pub(crate) fn fed(&self, element: ElementKey) -> Vec<Stream> {
        let first = Stream::default_of(element, MediaKind::Audio);
        let sinks = self.by_sink.range(first..).map(|(sink, _)| sink);
        sinks
            .take_while(|sink| sink.element == element)
            .cloned()
            .collect()
    }

    /// The mirrors of the video of an element.
    pub(crate) fn pictures_of(&self, element: ElementKey) -> Vec<TrackSlot> {
        let first = Stream::default_of(element, MediaKind::Audio);
        let sources = self.by_source.range(first..);
        sources
            .take_while(|(source, _)| source.element == element)
            .filter(|(source, _)| source.kind == MediaKind::Video)
            .filter_map(|(_, mirror)| self.mirrors.get(*mirror)?.track)
            .collect()
    }

    /// Adds a sink to the mirror of a source; true when there was none.
    pub(super) fn feed(
        &mut self,
        sink: &Stream,
        source: Stream,
        shard: ShardId,
    ) -> (MirrorSlot, bool) {
        let known = self.by_source.get(&source).copied();
        let mirror = known.unwrap_or_else(|| {
            let mirror = self.mirrors.insert(Import {
                source: source.clone(),
                shard,
                track: None,
                layers: Vec::new(),
                sinks: BTreeSet::new(),
                is_queued: false,
                is_asked_for: false,
                keyframes: 0,
                needs: Needs::default(),
                told_needs: Needs::default(),
                version: 0,
            });
            self.by_source.insert(source, mirror);
            mirror
        });
        if let Some(import) = self.mirrors.get_mut(mirror) {
            import.sinks.insert(sink.clone());
        }
        self.by_sink.insert(sink.clone(), mirror);
        (mirror, known.is_none())
    }

    /// Takes a sink from its mirror; returns one that nobody needs any more.
    pub(super) fn unfeed(&mut self, sink: &Stream) -> Option<MirrorSlot> {
        let mirror = self.by_sink.remove(sink)?;
        let import = self.mirrors.get_mut(mirror)?;
        import.sinks.remove(sink);
        if import.is_wanted() {
            return None;
        }
        self.by_source.remove(&import.source);
        Some(mirror)
    }

    /// Gives a mirror its track and the layers of it.
    pub(crate) fn set_track(
        &mut self,
        mirror: MirrorSlot,
        track: TrackSlot,
        layers: Vec<TrackSlot>,
    ) {
        let Some(import) = self.mirrors.get_mut(mirror) else {
            return;
        };
        import.track = Some(track);
        let before = std::mem::replace(&mut import.layers, layers);
        for old in before {
            self.by_track.remove(&old);
        }
        for layer in &import.layers {
            self.by_track.insert(*layer, mirror);
        }
    }

    /// The track of a mirror, which has none afterwards.
    pub(crate) fn take_track(&mut self, mirror: MirrorSlot) -> Option<TrackSlot> {
        let import = self.mirrors.get_mut(mirror)?;
        for layer in std::mem::take(&mut import.layers) {
            self.by_track.remove(&layer);
        }
        import.track.take()
    }

    pub(crate) fn of_track(&self, track: TrackSlot) -> Option<MirrorSlot> {
        self.by_track.get(&track).copied()
    }

    /// Forgets a mirror that nobody needs.
    pub(super) fn remove(&mut self, mirror: MirrorSlot) {
        self.take_track(mirror);
        self.mirrors.remove(mirror);
    }

    /// Every mirror with its track.
    pub(crate) fn tracks(&self) -> impl Iterator<Item = (MirrorSlot, TrackSlot)> + '_ {
        self.by_track
            .iter()
            .map(|(track, mirror)| (*mirror, *track))
    }

    /// Mirrors of tracks of one shard.
    pub(crate) fn of_shard(&self, shard: ShardId) -> Vec<MirrorSlot> {
        self.mirrors
            .iter()
            .filter(|(_, import)| import.shard == shard)
            .map(|(mirror, _)| mirror)
            .collect()
    }
}
