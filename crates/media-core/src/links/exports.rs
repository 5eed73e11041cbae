//! Tracks of this shard that others mirror.

use super::{Capture, ExportSlot, MirrorSlot, Needs, Packets, ShardId, Stream};
use crate::sending::Caps;
use crate::track::TrackSlot;
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
    pub(crate) track: Option<TrackSlot>,
    /// What receivers over there need.
    pub(crate) needs: Needs,
    /// It waits to be talked about.
    pub(crate) is_queued: bool,
    /// What waits to be told, in this order.
    pub(crate) ended: bool,
    pub(crate) description: Option<Box<super::Description>>,
    pub(super) waiting: VecDeque<Arc<Packets>>,
    pub(super) waiting_bytes: usize,
    pub(super) missed: u32,
    pub(crate) capture: Option<Capture>,
    /// As it was told last: timestamp and NTP time.
    pub(crate) told_capture: Option<(u32, i64)>,
}

impl Export {
    /// Forgets packets that wait; returns their bytes.
    pub(crate) fn forget_packets(&mut self) -> usize {
        self.waiting.clear();
        self.missed = 0;
        std::mem::take(&mut self.waiting_bytes)
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
            track: None,
            needs: Needs::default(),
            is_queued: false,
            ended: false,
            description: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            missed: 0,
            capture: None,
            told_capture: None,
        });
        self.by_mirror.insert((shard, mirror), slot);
        self.by_element.entry(element).or_default().push(slot);
        slot
    }

    pub(super) fn remove(&mut self, slot: ExportSlot) -> Option<Export> {
        self.set_track(slot, None);
        let export = self.exports.remove(slot)?;
        self.by_mirror.remove(&(export.shard, export.mirror));
        take_out(&mut self.by_element, export.source.element, slot);
        Some(export)
    }

    /// Feeds a mirror from a track, or from none; returns the former one.
    pub(crate) fn set_track(
        &mut self,
        slot: ExportSlot,
        track: Option<TrackSlot>,
    ) -> Option<TrackSlot> {
        let export = self.exports.get_mut(slot)?;
        let before = std::mem::replace(&mut export.track, track);
        if before != track {
            if let Some(before) = before {
                take_out(&mut self.by_track, before, slot);
            }
            if let Some(track) = track {
                self.by_track.entry(track).or_default().push(slot);
            }
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

    /// What the mirrors of a track shall be sent at most.
    pub(crate) fn caps(&self, track: TrackSlot) -> Caps {
        let caps = self
            .of_track(track)
            .iter()
            .filter_map(|slot| Some(self.get(*slot)?.needs.caps));
        caps.reduce(Caps::join).unwrap_or_default()
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
