//! Tracks of this shard that others mirror.

use super::{Capture, ExportSlot, MirrorSlot, Needs, Packets, ShardId, State, Stream};
use crate::track::{Mirrored, TrackSlot};
use salono_media_api::ElementKey;
use slotmap::SlotMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What one shard mirrors of one source.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) shard: ShardId,
    /// Its name there.
    pub(crate) mirror: MirrorSlot,
    pub(crate) source: Stream,
    /// Its track, or those of its layers with their place in the announcement.
    pub(crate) tracks: Vec<(TrackSlot, u8)>,
    /// What receivers over there need.
    pub(crate) needs: Needs,
    /// Which version of it.
    pub(crate) version: u8,
    /// It waits to be talked about.
    pub(crate) is_queued: bool,
    /// What waits to be told, in this order.
    pub(crate) ended: bool,
    pub(crate) description: Option<Box<super::Description>>,
    pub(super) waiting: VecDeque<(u8, Arc<Packets>)>,
    pub(super) waiting_bytes: usize,
    pub(super) missed: u32,
    state: Option<State>,
    told_state: Option<State>,
    captures: BTreeMap<u8, Capture>,
    /// As they were told last: timestamp and NTP time.
    told_captures: BTreeMap<u8, (u32, i64)>,
}

impl Export {
    /// Forgets packets that wait; returns their bytes.
    pub(crate) fn forget_packets(&mut self) -> usize {
        self.waiting.clear();
        self.missed = 0;
        std::mem::take(&mut self.waiting_bytes)
    }

    /// What the publisher reported of a layer waits to be told; false when it was told before.
    pub(crate) fn push_capture(&mut self, layer: u8, capture: Capture, said: (u32, i64)) -> bool {
        let is_news = self.told_captures.insert(layer, said) != Some(said);
        if is_news {
            self.captures.insert(layer, capture);
        }
        is_news
    }

    /// What is known of the source waits to be told; false when it was told before.
    pub(crate) fn push_state(&mut self, state: State) -> bool {
        let is_news = self.told_state.replace(state) != Some(state);
        if is_news {
            self.state = Some(state);
        }
        is_news
    }

    pub(super) fn next_state(&mut self) -> Option<State> {
        self.state.take()
    }

    /// What was reported before is of another track.
    pub(crate) fn forget_captures(&mut self) {
        self.captures.clear();
        self.told_captures.clear();
        (self.state, self.told_state) = (None, None);
    }

    pub(super) fn next_capture(&mut self) -> Option<(u8, Capture)> {
        self.captures.pop_first()
    }

    /// The layer that a track is.
    pub(super) fn layer_of(&self, track: TrackSlot) -> u8 {
        let mut tracks = self.tracks.iter();
        tracks
            .find(|(known, _)| *known == track)
            .map_or(0, |(_, layer)| *layer)
    }
}

/// Everything that other shards mirror.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    exports: SlotMap<ExportSlot, Export>,
    by_mirror: BTreeMap<(ShardId, MirrorSlot), ExportSlot>,
    by_element: BTreeMap<ElementKey, Vec<ExportSlot>>,
    by_track: BTreeMap<TrackSlot, Vec<ExportSlot>>,
}

impl Exports {
    pub(crate) fn get_mut(&mut self, slot: ExportSlot) -> Option<&mut Export> {
        self.exports.get_mut(slot)
    }

    pub(crate) fn get(&self, slot: ExportSlot) -> Option<&Export> {
        self.exports.get(slot)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.exports.len()
    }

    /// Begins to mirror a source for another shard; it has no track yet.
    pub(crate) fn add(&mut self, shard: ShardId, mirror: MirrorSlot, source: Stream) -> ExportSlot {
        let element = source.element;
        let slot = self.exports.insert(Export {
            shard,
            mirror,
            source,
            tracks: Vec::new(),
            needs: Needs::default(),
            version: 0,
            state: None,
            told_state: None,
            is_queued: false,
            ended: false,
            description: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            missed: 0,
            captures: BTreeMap::new(),
            told_captures: BTreeMap::new(),
        });
        self.by_mirror.insert((shard, mirror), slot);
        self.by_element.entry(element).or_default().push(slot);
        slot
    }

    pub(super) fn remove(&mut self, slot: ExportSlot) -> Option<Export> {
        self.set_tracks(slot, Vec::new());
        let export = self.exports.remove(slot)?;
        self.by_mirror.remove(&(export.shard, export.mirror));
        take_out(&mut self.by_element, export.source.element, slot);
        Some(export)
    }

    /// Feeds a mirror from these tracks; returns the former ones.
    pub(crate) fn set_tracks(
        &mut self,
        slot: ExportSlot,
        tracks: Vec<(TrackSlot, u8)>,
    ) -> Vec<(TrackSlot, u8)> {
        let Some(export) = self.exports.get_mut(slot) else {
            return Vec::new();
        };
        let before = std::mem::replace(&mut export.tracks, tracks);
        for (track, _) in &before {
            take_out(&mut self.by_track, *track, slot);
        }
        for (track, _) in &export.tracks {
            self.by_track.entry(*track).or_default().push(slot);
        }
        before
    }

    pub(crate) fn find(&self, shard: ShardId, mirror: MirrorSlot) -> Option<ExportSlot> {
        self.by_mirror.get(&(shard, mirror)).copied()
    }

    pub(crate) fn of_element(&self, element: ElementKey) -> &[ExportSlot] {
        self.by_element.get(&element).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_track(&self, track: TrackSlot) -> &[ExportSlot] {
        self.by_track.get(&track).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn of_shard(&self, shard: ShardId) -> Vec<ExportSlot> {
        self.by_mirror
            .iter()
            .filter(|((of, _), _)| *of == shard)
            .map(|(_, slot)| *slot)
            .collect()
    }

    /// What the mirrors of a track need of it; `None` without any.
    pub(crate) fn needs(&self, track: TrackSlot) -> Option<Mirrored> {
        let exports = self.of_track(track).iter();
        let all = exports.filter_map(|slot| {
            let export = self.get(*slot)?;
            let needs = export.needs;
            Some(Mirrored {
                caps: needs.caps,
                spatial: needs.spatial,
                is_copied: needs.has(export.layer_of(track)),
            })
        });
        all.reduce(|one, two| Mirrored {
            caps: one.caps.join(two.caps),
            spatial: one.spatial.max(two.spatial),
            is_copied: one.is_copied || two.is_copied,
        })
    }

    /// Everything that is mirrored.
    pub(crate) fn slots(&self) -> Vec<ExportSlot> {
        self.exports.keys().collect()
    }
}

/// Removes one entry, and its list with the last one.
fn take_out<K: Ord + Copy>(map: &mut BTreeMap<K, Vec<ExportSlot>>, key: K, slot: ExportSlot) {
    if let Some(slots) = map.get_mut(&key) {
        slots.retain(|known| *known != slot);
        if slots.is_empty() {
            map.remove(&key);
        }
    }
}
