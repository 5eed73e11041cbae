//! How fast packets may leave: a bucket that runs dry at a rate, and overflows into waiting.

use std::time::{Duration, Instant};

/// Packets leave together that would leave within this time.
const TICK: Duration = Duration::from_millis(5);

/// Bytes that left and are not paid for yet. With no rate set, nothing waits and nothing is counted.
#[derive(Debug, Default)]
pub(crate) struct Pacer {
    /// Bytes per second; 0 is no limit.
    rate: f64,
    debt: f64,
    updated: Option<Instant>,
}

impl Pacer {
    /// Changes the rate, in bits per second; 0 is no limit.
    pub(crate) fn set_rate(&mut self, bits_per_second: f64) {
        self.rate = bits_per_second / 8.0;
        if self.rate <= 0.0 {
            self.debt = 0.0;
        }
    }

    /// A packet leaves.
    pub(crate) fn spend(&mut self, bytes: usize, now: Instant) {
        if self.rate > 0.0 {
            self.pay(now);
            self.debt += bytes as f64;
        }
    }

    /// Whether the next packet has to wait.
    pub(crate) fn must_wait(&mut self, now: Instant) -> bool {
        if self.rate <= 0.0 {
            return false;
        }
        self.pay(now);
        self.debt > self.allowance()
    }

    /// When the next packets may go, at least a tick after the last, so that they leave together;
    /// `None` before anything was counted.
    pub(crate) fn due(&self) -> Option<Instant> {
        let updated = self.updated?;
        if self.rate <= 0.0 {
            return Some(updated);
        }
        let seconds = (self.debt / self.rate).clamp(0.0, 1.0);
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(TICK);
        updated.checked_add(wait.max(TICK))
    }

    fn pay(&mut self, now: Instant) {
        let since = self
            .updated
            .replace(now)
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.debt = (self.debt - since.as_secs_f64() * self.rate).max(0.0);
    }

    /// Bytes that leave without waiting.
    fn allowance(&self) -> f64 {
        self.rate * TICK.as_secs_f64()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    #[test]
    fn without_a_rate_nothing_waits() {
        let now = Instant::now();
        let mut pacer = Pacer::default();
        for _ in 0..10_000 {
            pacer.spend(1_200, now);
            assert!(!pacer.must_wait(now));
        }
    }

    #[test]
    fn a_burst_leaves_at_the_rate_and_a_packet_at_once() {
        let start = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(1_000_000.0);
        let (mut now, mut left) = (start, 50);
        assert!(!pacer.must_wait(now));
        while left > 0 {
            while left > 0 && !pacer.must_wait(now) {
                pacer.spend(1_250, now);
                left -= 1;
            }
            now = pacer.due().unwrap();
        }
        let took = (now - start).as_secs_f64();
        assert!(
            (0.45..0.55).contains(&took),
            "50 × 10 kbit at 1 Mbit/s: {took}"
        );
    }

    #[test]
    fn a_rate_that_is_taken_back_forgives_the_debt() {
        let now = Instant::now();
        let mut pacer = Pacer::default();
        pacer.set_rate(100_000.0);
        pacer.spend(100_000, now);
        assert!(pacer.must_wait(now));
        pacer.set_rate(0.0);
        assert!(!pacer.must_wait(now));
        assert_eq!(pacer.due(), Some(now));
    }
}
