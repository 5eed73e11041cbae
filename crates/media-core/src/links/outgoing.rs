//! What waits for one other shard, and in which order it is told.

use super::{Body, Data, ExportSlot, Exports, Flow, Imports, MirrorSlot, Packets, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Bytes of packets that may wait for a shard that stands still; a second of four good videos.
const MAX_PACKET_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of data channel messages that may wait; beyond, new ones are dropped, as at an endpoint
/// whose peer does not read.
const MAX_DATA_BYTES: usize = 1024 * 1024;

/// What became of something that was to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
    /// It waits.
    Taken,
    /// So many packets were dropped: older ones of the track, or these themselves.
    Dropped(usize),
}

/// State that another shard has not been told.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    /// We have lost everything.
    pub(crate) restarted: bool,
    /// We have noted that the other one has.
    pub(crate) heard: bool,
    /// What comes is meant for what we were before.
    pub(crate) is_stale: bool,
    /// Each once.
    pub(super) mirrors: VecDeque<MirrorSlot>,
    /// Each once.
    pub(super) exports: VecDeque<ExportSlot>,
    /// Bytes of packets in the exports.
    pub(super) waiting_bytes: usize,
    flows: BTreeMap<Stream, Flow>,
    data: VecDeque<Data>,
    data_bytes: usize,
}

impl Outgoing {
    /// Lets packets of a track wait.
    pub(crate) fn push_packets(
        &mut self,
        export: &mut super::Export,
        layer: u8,
        packets: &Arc<Packets>,
    ) -> Push {
        let is_full = |waiting: usize| waiting + packets.weight() > MAX_PACKET_BYTES;
        let mut dropped = 0;
        while is_full(self.waiting_bytes)
            && let Some((_, oldest)) = export.waiting.pop_front()
        {
            self.waiting_bytes -= oldest.weight();
            export.waiting_bytes -= oldest.weight();
            dropped += oldest.len();
        }
        if is_full(self.waiting_bytes) {
            // Other tracks fill it.
            dropped += packets.len();
        } else {
            self.waiting_bytes += packets.weight();
            export.waiting_bytes += packets.weight();
            export.waiting.push_back((layer, Arc::clone(packets)));
        }
        if dropped == 0 {
            return Push::Taken;
        }
        export.missed = export
            .missed
            .saturating_add(u32::try_from(dropped).unwrap_or(u32::MAX));
        Push::Dropped(dropped)
    }

    /// Forgets what waits for tracks and endpoints that are no more.
    pub(crate) fn forget(&mut self) {
        *self = Self {
            restarted: self.restarted,
            heard: self.heard,
            is_stale: self.is_stale,
            ..Self::default()
        };
    }

    pub(crate) fn push_flow(&mut self, stream: Stream, flow: Flow) {
        let known = self.flows.entry(stream).or_default();
        *known = Flow {
            is_news: known.is_news || flow.is_news,
            ..flow
        };
    }

    /// Lets a message wait; false when there is no room.
    pub(crate) fn push_data(&mut self, data: Data) -> bool {
        if self.data_bytes + data.weight() > MAX_DATA_BYTES {
            return false;
        }
        self.data_bytes += data.weight();
        self.data.push_back(data);
        true
    }

    /// The next message.
    pub(super) fn poll(&mut self, imports: &mut Imports, exports: &mut Exports) -> Option<Body> {
        if std::mem::take(&mut self.restarted) {
            return Some(Body::Restarted);
        }
        if std::mem::take(&mut self.heard) {
            return Some(Body::Heard);
        }
        while let Some(mirror) = self.mirrors.front().copied() {
            if let Some(body) = about(mirror, imports) {
                return Some(body);
            }
            self.mirrors.pop_front();
        }
        while let Some(slot) = self.exports.front().copied() {
            if let Some(body) = self.of(slot, exports) {
                return Some(body);
            }
            self.exports.pop_front();
        }
        if let Some((stream, flow)) = self.flows.pop_first() {
            return Some(Body::Flow { stream, flow });
        }
        let data = self.data.pop_front()?;
        self.data_bytes -= data.weight();
        Some(Body::Data(Box::new(data)))
    }

    /// The next message to a mirror of a track of ours.
    fn of(&mut self, slot: ExportSlot, exports: &mut Exports) -> Option<Body> {
        let export = exports.get_mut(slot)?;
        let mirror = export.mirror;
        if std::mem::take(&mut export.ended) {
            return Some(Body::Ended { mirror });
        }
        if let Some(description) = export.description.take() {
            return Some(Body::Described {
                mirror,
                description,
            });
        }
        if let Some((layer, packets)) = export.waiting.pop_front() {
            self.waiting_bytes -= packets.weight();
            export.waiting_bytes -= packets.weight();
            let missed = std::mem::take(&mut export.missed);
            return Some(Body::Packets {
                mirror,
                layer,
                packets,
                missed,
            });
        }
        if let Some((layer, capture)) = export.next_capture() {
            return Some(Body::Reported {
                mirror,
                layer,
                capture,
            });
        }
        if let Some(state) = export.next_state() {
            return Some(Body::State { mirror, state });
        }
        export.is_queued = false;
        None
    }
}

/// The next message about a mirror of ours.
fn about(mirror: MirrorSlot, imports: &mut Imports) -> Option<Body> {
    let import = imports.get_mut(mirror)?;
    if !import.is_wanted() {
        let was_asked_for = import.is_asked_for;
        imports.remove(mirror);
        return was_asked_for.then_some(Body::Unwant { mirror });
    }
    if !std::mem::replace(&mut import.is_asked_for, true) {
        let source = import.source.clone();
        return Some(Body::Want { mirror, source });
    }
    let keyframes = std::mem::take(&mut import.keyframes);
    if keyframes != 0 || import.needs != import.told_needs {
        import.told_needs = import.needs;
        let needs = import.needs;
        return Some(Body::Need {
            mirror,
            needs,
            version: import.version,
            keyframes,
        });
    }
    import.is_queued = false;
    None
}
