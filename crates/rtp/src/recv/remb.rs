//! The receiver's estimate of the bitrate it can take, by Kurento's rules.
//!
//! Without loss the estimate grows: by 4 % per step below a threshold that the last loss has set, and by a constant
//! above it. Little loss holds it; loss from 12/256 on halves it. It never exceeds twice the highest bitrate that
//! was received, since nothing is known beyond.

use std::time::{Duration, Instant};

/// Bounds and constants of a [`RembEstimator`]; the default constants are Kurento's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Config {
    /// Lower bound in bits per second; values below 30 kb/s count as 30 kb/s.
    pub min_bps: u64,
    /// Upper bound in bits per second; 0 means none.
    pub max_bps: u64,
    /// Packets in an interval from which its loss counts fully; with fewer, earlier loss keeps a share.
    pub packets_interval_top: u32,
    /// Growth per step below the threshold.
    pub exponential_factor: f64,
    /// Least growth per step above the threshold, in bits per second.
    pub linear_min_bps: u64,
    /// Steps to climb from the threshold back to where loss occurred, at least one.
    pub linear_grade: f64,
    /// Share of the bitrate that is left after loss.
    pub decrement_factor: f64,
    /// Threshold as a share of the bitrate at which loss occurred.
    pub threshold_factor: f64,
    /// Loss in 1/256 from which the estimate falls.
    pub up_losses: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_bps: 0,
            max_bps: 0,
            packets_interval_top: 100,
            exponential_factor: 0.04,
            linear_min_bps: 50,
            linear_grade: 30.0,
            decrement_factor: 0.5,
            threshold_factor: 0.8,
            up_losses: 12,
        }
    }
}

/// Lower bound under all circumstances.
const FLOOR_BPS: u64 = 30_000;

/// How far the estimate may exceed the highest received bitrate.
const MAX_FACTOR: u64 = 2;

/// Least time between two estimates.
const PERIOD: Duration = Duration::from_millis(200);

/// What was received since the previous step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Bitrate received, in bits per second.
    pub bitrate_bps: u64,
    /// Share of packets lost, in 1/256.
    pub fraction_lost: u8,
    /// Packets received in the interval.
    pub packets: u32,
}

/// Estimates what the path from one sender can carry.
#[derive(Debug, Clone)]
pub struct RembEstimator {
    config: Config,
    /// The estimate; `None` until anything was received.
    estimate: Option<u64>,
    /// Where exponential growth ends; `None` before the first loss.
    threshold: Option<u64>,
    linear_step: u64,
    /// Highest bitrate received since the last loss.
    max_received: u64,
    average_received: u64,
    /// Smoothed loss in 1/256.
    loss: f64,
    /// Least bitrate that a receiver downstream asked for.
    downstream: Option<u64>,
    /// When the next estimate may be given.
    next: Option<Instant>,
}

impl RembEstimator {
    /// Nothing received yet.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            estimate: None,
            threshold: None,
            linear_step: config.linear_min_bps,
            max_received: 0,
            average_received: 0,
            loss: 0.0,
            downstream: None,
            next: None,
        }
    }

    /// Changes everything but the bounds; the estimate goes on.
    pub const fn configure(&mut self, config: Config) {
        self.config = Config {
            min_bps: self.config.min_bps,
            max_bps: self.config.max_bps,
            ..config
        };
    }

    /// Changes the bounds.
    pub const fn set_bounds(&mut self, min_bps: u64, max_bps: u64) {
        self.config.min_bps = min_bps;
        self.config.max_bps = max_bps;
    }

    /// Sets the least bitrate that receivers of the stream can take; `None` when none of them said.
    pub const fn set_downstream(&mut self, bps: Option<u64>) {
        self.downstream = bps;
    }

    /// When [`update`](Self::update) will take a step again; `None` means at once.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    /// Takes a step, unless the previous one was less than 200 ms ago; returns the bitrate to report, in bits per
    /// second.
    pub fn update(&mut self, interval: Interval, now: Instant) -> Option<u64> {
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        if self.estimate.is_none() && interval.bitrate_bps == 0 {
            return None;
        }
        self.next = now.checked_add(PERIOD);
        self.step(interval);
        self.current()
    }

    /// The bitrate to report, within all bounds.
    pub fn current(&self) -> Option<u64> {
        let min = self.config.min_bps.max(FLOOR_BPS);
        let bounded = self.estimate?.max(min);
        let max = if self.config.max_bps == 0 {
            u64::MAX
        } else {
            self.config.max_bps
        };
        let bounded = bounded.min(max);
        Some(
            self.downstream
                .map_or(bounded, |limit| bounded.min(limit.max(min))),
        )
    }

    fn step(&mut self, interval: Interval) {
        let received = interval.bitrate_bps;
        self.max_received = self.max_received.max(received);
        self.average_received = if self.average_received == 0 {
            received
        } else {
            self.average_received
                .saturating_mul(7)
                .saturating_add(received)
                / 8
        };
        let top = self.config.packets_interval_top.max(1);
        let weight = f64::from(interval.packets.min(top)) / f64::from(top);
        self.loss = self.loss * (1.0 - weight) + f64::from(interval.fraction_lost) * weight;
        let estimate = self.estimate.unwrap_or(received);
        self.estimate = Some(if self.loss < 1.0 {
            self.grown(estimate)
        } else if self.loss < f64::from(self.config.up_losses) {
            estimate
        } else {
            self.fallen(estimate)
        });
    }

    fn grown(&self, estimate: u64) -> u64 {
        let grown = match self.threshold {
            Some(threshold) if estimate >= threshold => estimate.saturating_add(self.linear_step),
            // The conversion from float saturates.
            Some(_) | None => (estimate as f64 * (1.0 + self.config.exponential_factor)) as u64,
        };
        // The cap stops growth; it does not take back what was reached before.
        grown
            .min(self.max_received.saturating_mul(MAX_FACTOR))
            .max(estimate.min(grown))
    }

    fn fallen(&mut self, estimate: u64) -> u64 {
        let base = estimate.max(self.average_received);
        let threshold = (base as f64 * self.config.threshold_factor) as u64;
        self.threshold = Some(threshold);
        let climb = base.saturating_sub(threshold) as f64 / self.config.linear_grade.max(1.0);
        // The conversion from float saturates.
        self.linear_step = (climb as u64).max(self.config.linear_min_bps);
        self.loss = 0.0;
        self.max_received = 0;
        self.average_received = 0;
        (base as f64 * self.config.decrement_factor) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Drives an estimator in steps of 200 ms.
    struct Drive {
        estimator: RembEstimator,
        now: Instant,
    }

    impl Drive {
        fn new(config: Config) -> Self {
            Self {
                estimator: RembEstimator::new(config),
                now: crate::virtual_time::origin(),
            }
        }

        fn step(&mut self, bitrate_bps: u64, fraction_lost: u8) -> Option<u64> {
            self.now += PERIOD;
            let interval = Interval {
                bitrate_bps,
                fraction_lost,
                packets: 100,
            };
            self.estimator.update(interval, self.now)
        }
    }

    #[test]
    fn grows_by_four_percent_up_to_twice_what_is_received() {
        let mut drive = Drive::new(Config::default());
        assert_eq!(drive.step(0, 0), None);
        assert_eq!(drive.step(500_000, 0), Some(520_000));
        assert_eq!(drive.step(500_000, 0), Some(540_800));
        for _ in 0..100 {
            drive.step(500_000, 0);
        }
        assert_eq!(drive.step(500_000, 0), Some(1_000_000));
    }

    #[test]
    fn holds_at_little_loss_halves_at_more_and_climbs_back_in_two_ways() {
        let mut drive = Drive::new(Config::default());
        drive.step(1_000_000, 0);
        assert_eq!(drive.step(1_000_000, 5), Some(1_040_000));
        assert_eq!(drive.step(1_000_000, 100), Some(520_000));
        let mut before = 520_000;
        let mut linear = 0;
        for _ in 0..40 {
            let next = drive.step(800_000, 0).unwrap();
            if before >= 832_000 {
                assert_eq!(next - before, 6_933);
                linear += 1;
            } else {
                assert_eq!(next, (before as f64 * 1.04) as u64);
            }
            before = next;
        }
        assert!(linear > 10);
    }

    #[test]
    fn bounds_hold_and_the_weakest_receiver_counts() {
        let bounded = Config {
            min_bps: 100_000,
            max_bps: 600_000,
            ..Config::default()
        };
        let mut drive = Drive::new(bounded);
        assert_eq!(drive.step(2_000_000, 0), Some(600_000));
        drive.estimator.set_downstream(Some(200_000));
        assert_eq!(drive.estimator.current(), Some(200_000));
        drive.estimator.set_downstream(Some(1));
        assert_eq!(drive.estimator.current(), Some(100_000));
        drive.estimator.set_bounds(0, 0);
        assert_eq!(drive.estimator.current(), Some(30_000));
        drive.estimator.set_downstream(None);
        assert_eq!(drive.estimator.current(), Some(2_080_000));
    }

    #[test]
    fn steps_are_at_least_200_ms_apart() {
        let mut drive = Drive::new(Config::default());
        drive.step(500_000, 0).unwrap();
        let interval = Interval {
            bitrate_bps: 500_000,
            fraction_lost: 0,
            packets: 9,
        };
        let early = drive.now + Duration::from_millis(199);
        assert_eq!(drive.estimator.update(interval, early), None);
        assert_eq!(drive.estimator.poll_timeout(), Some(drive.now + PERIOD));
    }
}
