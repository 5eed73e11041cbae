//! What of the measured packets arrived, and how late.
//!
//! Every packet carries its number, its stream and when it was handed to the publisher's stack. The publisher
//! says which numbers are measured, so that nothing before, after or on the way counts as lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Where the stamp lies in a payload: behind everything that a codec or the server looks at.
const STAMP_AT: usize = 16;

/// Bytes that a payload needs for its stamp.
pub(super) const STAMPED_BYTES: usize = STAMP_AT + 17;

/// Most latencies that one receiver keeps: five minutes of the usual pattern.
const MAX_LATENCIES: usize = 60_000;

/// The numbers of the packets that are measured, and the clock that all agree on.
#[derive(Debug)]
pub(super) struct Window {
    /// First number.
    start: AtomicU64,
    /// First number that is not measured any more.
    end: AtomicU64,
    /// When time began.
    epoch: Instant,
}

/// Counters of one receiver.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Measured packets that arrived.
    pub(super) packets: u64,
    /// Measured packets that arrived after a later one of the same stream.
    pub(super) reordered: u64,
    /// Highest number of audio and video so far.
    newest: [Option<u64>; 2],
    /// From the publisher's stack to the receiver's, if this receiver looks often enough.
    pub(super) latencies: Vec<Duration>,
    /// Whether it does.
    is_probe: bool,
}

impl Window {
    /// Nothing is measured yet.
    pub(super) fn new() -> Self {
        Self {
            start: AtomicU64::new(u64::MAX),
            end: AtomicU64::new(u64::MAX),
            epoch: Instant::now(),
        }
    }

    /// Measures from the packet with this number on.
    pub(super) fn open(&self, number: u64) {
        self.start.store(number, Ordering::SeqCst);
    }

    /// Measures up to the packet before this number.
    pub(super) fn close(&self, number: u64) {
        self.end.store(number, Ordering::SeqCst);
    }

    /// Packets that are measured; 0 before it is closed.
    pub(super) fn packets(&self) -> u64 {
        let end = self.end.load(Ordering::SeqCst);
        if end == u64::MAX {
            return 0;
        }
        end.saturating_sub(self.start.load(Ordering::SeqCst))
    }

    /// Writes number, time and stream into a payload that has room for them.
    pub(super) fn stamp(&self, payload: &mut [u8], number: u64, is_video: bool) {
        let nanos = self.epoch.elapsed().as_nanos() as u64;
        if let Some(stamp) = payload.get_mut(STAMP_AT..STAMPED_BYTES) {
            stamp[..8].copy_from_slice(&number.to_be_bytes());
            stamp[8..16].copy_from_slice(&nanos.to_be_bytes());
            stamp[16] = u8::from(is_video);
        }
    }

    /// Number of a stamped packet, how long ago it was stamped, and whether it is video.
    fn read(&self, payload: &[u8]) -> Option<(u64, Duration, bool)> {
        let stamp = payload.get(STAMP_AT..STAMPED_BYTES)?;
        let number = u64::from_be_bytes(*stamp.first_chunk()?);
        let nanos = u64::from_be_bytes(*stamp.get(8..)?.first_chunk()?);
        let age = self
            .epoch
            .elapsed()
            .saturating_sub(Duration::from_nanos(nanos));
        Some((number, age, stamp.last() == Some(&1)))
    }

    /// Whether a packet is measured.
    fn covers(&self, number: u64) -> bool {
        number >= self.start.load(Ordering::Relaxed) && number < self.end.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// Nothing arrived yet.
    pub(super) fn new(is_probe: bool) -> Self {
        Self {
            is_probe,
            ..Self::default()
        }
    }

    /// Counts a packet that arrived.
    pub(super) fn count(&mut self, window: &Window, payload: &[u8]) {
        let Some((number, age, is_video)) = window.read(payload) else {
            return;
        };
        let newest = &mut self.newest[usize::from(is_video)];
        let late = newest.is_some_and(|newest| number < newest);
        *newest = (*newest).max(Some(number));
        if !window.covers(number) {
            return;
        }
        self.packets += 1;
        self.reordered += u64::from(late);
        if self.is_probe && self.latencies.len() < MAX_LATENCIES {
            self.latencies.push(age);
        }
    }

    /// Whether video arrived at all.
    pub(super) fn has_video(&self) -> bool {
        self.newest[1].is_some()
    }
}

/// The value that `share` (0 to 1) of the sorted values do not exceed; `None` of none.
pub(super) fn percentile(sorted: &[Duration], share: f64) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_window_is_counted_and_order_is_judged_per_stream() {
        let window = Window::new();
        let mut tally = Tally::new(true);
        let mut receive = |number, is_video| {
            let mut payload = [0; STAMPED_BYTES];
            window.stamp(&mut payload, number, is_video);
            tally.count(&window, &payload);
        };
        receive(9, true);
        window.open(10);
        for (number, is_video) in [(10, true), (12, true), (11, false), (13, false), (11, true)] {
            receive(number, is_video);
        }
        window.close(14);
        receive(14, true);
        assert_eq!((tally.packets, tally.reordered), (5, 1));
        assert_eq!((tally.latencies.len(), window.packets()), (5, 4));
    }

    #[test]
    fn foreign_payload_is_not_counted() {
        let (window, mut tally) = (Window::new(), Tally::new(false));
        window.open(0);
        tally.count(&window, &[0; STAMPED_BYTES - 1]);
        assert_eq!(tally.packets, 0);
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<_> = (0..=100).map(Duration::from_millis).collect();
        assert_eq!(percentile(&values, 0.5), Some(Duration::from_millis(50)));
        assert_eq!(percentile(&values, 0.99), Some(Duration::from_millis(99)));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
