//! When each peer of a shard wants to be woken.
//!
//! A heap with lazy deletion: a peer has one live entry, the earliest that was asked for; entries
//! that it has outlived are skipped when they come up.

use crate::demux::EndpointSlot;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

#[derive(Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, EndpointSlot)>>,
}

/// A peer's side of the bargain: what it has in the heap.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Alarm(Option<Instant>);

impl Timers {
    /// Wakes a peer at `at` or earlier.
    pub(crate) fn schedule(&mut self, alarm: &mut Alarm, slot: EndpointSlot, at: Instant) {
        if alarm.0.is_none_or(|set| at < set) {
            alarm.0 = Some(at);
            self.heap.push(Reverse((at, slot)));
        }
    }

    /// The next entry, perhaps one that its peer has outlived: waking early does no harm.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// The next peer whose time has come; the caller asks [`Alarm::ring`] whether it still counts.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(Instant, EndpointSlot)> {
        match self.heap.peek() {
            Some(Reverse((at, _))) if *at <= now => self.heap.pop().map(|Reverse(entry)| entry),
            _ => None,
        }
    }
}

impl Alarm {
    /// Whether an entry for `at` is the live one; it is spent then.
    pub(crate) fn ring(&mut self, at: Instant) -> bool {
        let live = self.0 == Some(at);
        if live {
            self.0 = None;
        }
        live
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_the_earliest_entry_of_a_peer_rings() {
        let (mut timers, mut alarm, slot) =
            (Timers::default(), Alarm::default(), EndpointSlot::default());
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        timers.schedule(&mut alarm, slot, at(50));
        timers.schedule(&mut alarm, slot, at(20));
        timers.schedule(&mut alarm, slot, at(70));
        assert_eq!(timers.next(), Some(at(20)));
        assert_eq!(timers.pop(at(10)), None);
        let mut rings = 0;
        while let Some((entry, _)) = timers.pop(at(100)) {
            rings += usize::from(alarm.ring(entry));
        }
        assert_eq!(rings, 1);
    }
}
