//! Whether a queue builds up: the slope of the delay over the last groups, against a threshold that adapts
//! (draft-ietf-rmcat-gcc-02 §5.3 to §5.4; with a fitted line in place of the Kalman filter).
//!
//! A queue that is full does not grow, and has no slope; one that filled up before there was a line to fit would stay
//! for good. So a delay that stays far above the least one that was seen is overuse as well. And one that rises far
//! above it at once is: frames of video are few and far between, and a line takes many of them.

use super::groups::Delta;
use std::collections::VecDeque;

/// Groups that the line is fitted through.
const WINDOW: usize = 20;
/// Share of the old value in the smoothed delay.
const SMOOTHING: f64 = 0.9;
/// Factor from the slope to what is compared with the threshold.
const GAIN: f64 = 4.0;
/// Groups from which the line is fitted.
const FIRST_FIT: usize = 10;
/// Delay above the least one that is a queue when so many groups in a row have it.
const STANDING_MS: f64 = 150.0;
const STANDING_GROUPS: u8 = 10;
/// A queue that stands for so long although less is sent is somebody else's: it counts as the path's own delay from
/// then on, or others would take all of the path.
const OWN_QUEUE_MS: f64 = 3_000.0;
/// Delay above the least one that is a queue when it still rises after this time.
const SUDDEN_MS: f64 = 60.0;
const SUDDEN_FOR_MS: f64 = 30.0;
/// The least delay ages by this much per millisecond: clocks drift and paths change.
const AGING: f64 = 0.002;
/// Groups from which the slope counts fully.
const FULL_WEIGHT: f64 = 60.0;
/// Adaptation of the threshold per millisecond, upwards and downwards.
const RISE: f64 = 0.0087;
const FALL: f64 = 0.039;
const THRESHOLD_START: f64 = 12.5;
const THRESHOLD_MIN: f64 = 6.0;
const THRESHOLD_MAX: f64 = 600.0;
/// Peaks this far above the threshold do not move it.
const PEAK: f64 = 15.0;
/// The slope has to stay above the threshold for so long.
const OVERUSE_MS: f64 = 10.0;

/// What the queue on the way does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Usage {
    /// It stays as it is.
    #[default]
    Normal,
    /// It builds up.
    Over,
    /// It empties.
    Under,
}

/// The fitted line and the detector.
#[derive(Debug)]
pub(super) struct Trend {
    /// Arrival since the first group and smoothed delay, both in milliseconds.
    points: VecDeque<(f64, f64)>,
    first_arrival: Option<f64>,
    groups: f64,
    accumulated: f64,
    smoothed: f64,
    slope: f64,
    threshold: f64,
    updated: Option<f64>,
    over_ms: f64,
    over_groups: u8,
    /// The least delay, and groups in a row that were far above it.
    least_delay: Option<f64>,
    standing: u8,
    standing_ms: f64,
    /// The last delay, and for how long it has been rising above what is usual.
    last_delay: f64,
    rising_ms: f64,
    usage: Usage,
}

impl Trend {
    pub(super) fn new() -> Self {
        Self {
            points: VecDeque::with_capacity(WINDOW),
            first_arrival: None,
            groups: 0.0,
            accumulated: 0.0,
            smoothed: 0.0,
            slope: 0.0,
            threshold: THRESHOLD_START,
            updated: None,
            over_ms: 0.0,
            over_groups: 0,
            least_delay: None,
            standing: 0,
            standing_ms: 0.0,
            last_delay: 0.0,
            rising_ms: 0.0,
            usage: Usage::Normal,
        }
    }

    pub(super) const fn usage(&self) -> Usage {
        self.usage
    }

    /// Adds the distance of a group that arrived at `arrival` on the peer's clock, in milliseconds.
    pub(super) fn add(&mut self, delta: Delta, arrival: f64) {
        let since = arrival - *self.first_arrival.get_or_insert(arrival);
        self.groups = (self.groups + 1.0).min(1_000.0);
        self.accumulated += delta.arrival_ms - delta.send_ms;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.points.len() >= WINDOW {
            self.points.pop_front();
        }
        self.points.push_back((since, self.smoothed));
        let before = self.slope;
        if self.points.len() >= FIRST_FIT {
            self.slope = slope(&self.points).unwrap_or(before);
        }
        self.judge(before, delta.send_ms, arrival);
        self.look_for_queue(delta);
    }

    fn look_for_queue(&mut self, delta: Delta) {
        let aged = self
            .least_delay
            .map_or(f64::MAX, |least| least + AGING * delta.arrival_ms);
        let least = aged.min(delta.delay_ms);
        self.least_delay = Some(least);
        if delta.delay_ms - least > STANDING_MS {
            self.standing = self.standing.saturating_add(1);
            self.standing_ms += delta.arrival_ms;
        } else {
            self.standing = 0;
            self.standing_ms = 0.0;
        }
        if self.standing_ms > OWN_QUEUE_MS {
            self.least_delay = Some(delta.delay_ms);
            self.standing = 0;
            self.standing_ms = 0.0;
        }
        let rises = delta.delay_ms > self.last_delay;
        if rises && delta.delay_ms - least > SUDDEN_MS {
            self.rising_ms += delta.send_ms;
        } else {
            self.rising_ms = 0.0;
        }
        self.last_delay = delta.delay_ms;
        let is_sudden = self.rising_ms > SUDDEN_FOR_MS;
        let stands = self.standing >= STANDING_GROUPS && self.usage == Usage::Normal;
        if is_sudden || stands {
            self.usage = Usage::Over;
        }
    }

    fn judge(&mut self, before: f64, send_ms: f64, arrival: f64) {
        if self.groups < 2.0 {
            return;
        }
        let weighted = self.groups.min(FULL_WEIGHT) * self.slope * GAIN;
        if weighted > self.threshold {
            // Half of the first distance: the queue began to build up somewhere in it.
            self.over_ms += if self.over_groups == 0 {
                send_ms / 2.0
            } else {
                send_ms
            };
            self.over_groups = self.over_groups.saturating_add(1);
            if self.over_ms > OVERUSE_MS && self.over_groups > 1 && self.slope >= before {
                self.over_ms = 0.0;
                self.over_groups = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.over_ms = 0.0;
            self.over_groups = 0;
            self.usage = if weighted < -self.threshold {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.adapt(weighted.abs(), arrival);
    }

    fn adapt(&mut self, weighted: f64, arrival: f64) {
        let updated = self.updated.replace(arrival).unwrap_or(arrival);
        if weighted > self.threshold + PEAK {
            return;
        }
        let speed = if weighted < self.threshold {
            FALL
        } else {
            RISE
        };
        let elapsed = (arrival - updated).clamp(0.0, 100.0);
        self.threshold += speed * (weighted - self.threshold) * elapsed;
        self.threshold = self.threshold.clamp(THRESHOLD_MIN, THRESHOLD_MAX);
    }
}

/// Least squares; `None` when all points lie above one another.
fn slope(points: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = points.len() as f64;
    let (sum_x, sum_y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (mut numerator, mut denominator) = (0.0, 0.0);
    for (x, y) in points {
        numerator += (x - mean_x) * (y - mean_y);
        denominator += (x - mean_x) * (x - mean_x);
    }
    (denominator > 0.0).then(|| numerator / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(trend: &mut Trend, from: f64, groups: u32, extra_ms: f64) -> (f64, Vec<Usage>) {
        let mut arrival = from;
        let mut seen = Vec::new();
        for _ in 0..groups {
            let delta = Delta {
                send_ms: 10.0,
                arrival_ms: 10.0 + extra_ms,
                delay_ms: 0.0,
            };
            arrival += delta.arrival_ms;
            trend.add(delta, arrival);
            seen.push(trend.usage());
        }
        (arrival, seen)
    }

    #[test]
    fn a_growing_queue_is_overuse_and_one_that_empties_underuse() {
        let mut trend = Trend::new();
        let (at, steady) = run(&mut trend, 0.0, 100, 0.0);
        assert!(steady.iter().all(|usage| *usage == Usage::Normal));
        let (at, growing) = run(&mut trend, at, 30, 2.0);
        assert!(growing.contains(&Usage::Over));
        let (_, emptying) = run(&mut trend, at, 60, -2.0);
        assert_eq!(emptying.last(), Some(&Usage::Under));
    }

    #[test]
    fn jitter_is_neither() {
        let mut trend = Trend::new();
        let mut arrival = 0.0;
        for n in 0..500u32 {
            let jitter = f64::from(n * 7 % 5) - f64::from((n + 499) * 7 % 5);
            arrival += 10.0 + jitter;
            let delta = Delta {
                send_ms: 10.0,
                arrival_ms: 10.0 + jitter,
                delay_ms: 0.0,
            };
            trend.add(delta, arrival);
            assert_ne!(trend.usage(), Usage::Over, "group {n}");
        }
    }

    #[test]
    fn a_full_queue_is_overuse_although_it_does_not_grow() {
        let mut trend = Trend::new();
        for n in 0..40u8 {
            let delta = Delta {
                send_ms: 10.0,
                arrival_ms: 10.0,
                delay_ms: if n < 10 { 50.0 } else { 250.0 },
            };
            trend.add(delta, f64::from(n) * 10.0);
        }
        assert_eq!(trend.usage(), Usage::Over);
    }

    #[test]
    fn a_queue_that_stays_although_less_is_sent_is_not_ours() {
        let mut trend = Trend::new();
        let mut over = 0;
        for n in 0..1_000u16 {
            let delta = Delta {
                send_ms: 10.0,
                arrival_ms: 10.0,
                delay_ms: if n < 10 { 50.0 } else { 250.0 },
            };
            trend.add(delta, f64::from(n) * 10.0);
            over += u16::from(trend.usage() == Usage::Over);
        }
        assert!((250..350).contains(&over), "{over} of 1 000 groups");
        assert_eq!(trend.usage(), Usage::Normal);
    }
}
