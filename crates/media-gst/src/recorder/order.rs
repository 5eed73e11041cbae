//! Frames of both tracks in the order of their time, although they come in another.

use super::session::{Frame, Slot};
use std::collections::VecDeque;

/// A track that is behind by more than this, in nanoseconds, is not waited for.
pub(super) const REORDER: u64 = 500_000_000;

/// Frames that wait, with running times.
#[derive(Default)]
pub(super) struct Order {
    queues: [VecDeque<Frame>; 2],
    bytes: usize,
    /// Latest time of a frame that came.
    newest: u64,
}

impl Order {
    /// Adds the next frame of a track.
    pub(super) fn push(&mut self, slot: Slot, frame: Frame) {
        self.bytes += frame.data.bytes().len();
        self.newest = self.newest.max(frame.dts);
        self.queues[slot as usize].push_back(frame);
    }

    /// Takes the next frame: the earliest one, once it is known that no earlier one of the other track will come, or that one is not
    /// waited for any longer. With `all`, at once. `expected` are the tracks that may deliver.
    pub(super) fn pop(&mut self, expected: [bool; 2], all: bool) -> Option<(Slot, Frame)> {
        let head = |slot: Slot| self.queues[slot as usize].front().map(|frame| frame.dts);
        let (slot, time) = match (head(Slot::Audio), head(Slot::Video)) {
            (Some(audio), Some(video)) if audio <= video => (Slot::Audio, audio),
            (_, Some(video)) => (Slot::Video, video),
            (Some(audio), None) => (Slot::Audio, audio),
            (None, None) => return None,
        };
        let other = match slot {
            Slot::Audio => Slot::Video,
            Slot::Video => Slot::Audio,
        };
        let ready = all
            || !expected[other as usize]
            || head(other).is_some()
            || self.newest.saturating_sub(time) > REORDER;
        if !ready {
            return None;
        }
        let frame = self.queues[slot as usize].pop_front()?;
        self.bytes -= frame.data.bytes().len();
        Some((slot, frame))
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// No frame of this track waits.
    pub(super) fn is_empty(&self, slot: Slot) -> bool {
        self.queues[slot as usize].is_empty()
    }

    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Latest time that came.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// Earliest time that waits.
    pub(super) fn first(&self) -> Option<u64> {
        let times = self.queues.iter().filter_map(VecDeque::front);
        times.map(|frame| frame.dts.min(frame.pts)).min()
    }
}
