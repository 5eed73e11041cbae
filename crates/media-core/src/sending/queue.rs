//! Packets of one stream that wait for their turn: references into the store of their publisher.

use crate::track::TrackSlot;
use salono_rtp::seq::ExtSeq;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Packets that wait at most: a large keyframe.
const MAX_PACKETS: usize = 512;
/// Packets wait no longer than this. Publishers' stores keep them for a second.
const MAX_WAIT: Duration = Duration::from_millis(400);

/// A packet that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) track: TrackSlot,
    pub(crate) seq: ExtSeq,
    /// When it began to wait.
    pub(crate) since: Instant,
    /// Decoding can start with it.
    pub(crate) is_keyframe_start: bool,
}

/// The packets of one stream that wait, oldest first. When they are too many, or wait for too long,
/// the oldest frame is dropped, with all that depend on it: everything up to the next keyframe.
#[derive(Debug, Default)]
pub(crate) struct PacedQueue {
    packets: VecDeque<Waiting>,
}

impl PacedQueue {
    pub(crate) fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }

    /// Lets a packet wait. True when others were dropped for it, so that decoding has to start anew.
    pub(crate) fn push(&mut self, packet: Waiting) -> bool {
        self.packets.push_back(packet);
        let is_late = self
            .packets
            .front()
            .is_some_and(|oldest| packet.since.saturating_duration_since(oldest.since) > MAX_WAIT);
        let is_full = self.packets.len() > MAX_PACKETS;
        if is_late || is_full {
            self.drop_oldest();
        }
        is_late || is_full
    }

    /// The packet whose turn is next.
    pub(crate) fn pop(&mut self) -> Option<Waiting> {
        self.packets.pop_front()
    }

    /// Drops everything; true when there was anything.
    pub(crate) fn clear(&mut self) -> bool {
        let had = !self.packets.is_empty();
        self.packets.clear();
        had
    }

    fn drop_oldest(&mut self) {
        self.packets.pop_front();
        while self
            .packets
            .front()
            .is_some_and(|packet| !packet.is_keyframe_start)
        {
            self.packets.pop_front();
        }
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    fn packet(seq: u64, since: Instant, is_keyframe_start: bool) -> Waiting {
        Waiting {
            track: TrackSlot::default(),
            seq: ExtSeq::new(seq),
            since,
            is_keyframe_start,
        }
    }

    #[test]
    fn packets_leave_in_order() {
        let now = Instant::now();
        let mut queue = PacedQueue::default();
        for seq in 0..100 {
            assert!(!queue.push(packet(seq, now, seq == 0)));
        }
        for seq in 0..100 {
            assert_eq!(queue.pop().map(|packet| packet.seq), Some(ExtSeq::new(seq)));
        }
        assert!(queue.is_empty() && !queue.clear());
    }

    #[test]
    fn what_waits_too_long_is_dropped_up_to_the_next_keyframe() {
        let start = Instant::now();
        let mut queue = PacedQueue::default();
        for seq in 0..50 {
            let since = start + Duration::from_millis(seq * 8);
            assert!(!queue.push(packet(seq, since, seq % 20 == 0)));
        }
        assert!(queue.push(packet(50, start + MAX_WAIT * 2, false)));
        assert_eq!(queue.pop().map(|packet| packet.seq), Some(ExtSeq::new(20)));
    }

    #[test]
    fn however_much_comes_the_queue_is_bounded() {
        let now = Instant::now();
        let mut queue = PacedQueue::default();
        let mut drops = 0;
        for seq in 0..10_000 {
            drops += usize::from(queue.push(packet(seq, now, false)));
            assert!(queue.packets.len() <= MAX_PACKETS);
        }
        assert!(drops > 10);
    }
}
