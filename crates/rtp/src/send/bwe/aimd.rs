//! The delay-based bound: up as long as no queue builds up, down below what gets through when one does
//! (draft-ietf-rmcat-gcc-02 §5.5).

use super::trend::Usage;

/// What is left of the throughput after overuse.
pub(super) const BACKOFF: f64 = 0.85;
/// Growth per second far from the capacity.
const GROWTH: f64 = 1.08;
/// Growth stops at this multiple of what arrives.
const AHEAD: f64 = 1.5;
const AHEAD_MARGIN_BPS: f64 = 10_000.0;
/// Least growth per second near the capacity.
const LEAST_STEP_BPS: f64 = 4_000.0;
/// Share of the old value in the mean of the capacity.
const CAPACITY_SMOOTHING: f64 = 0.95;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Hold,
    Increase,
}

/// What the path carried whenever it was overused: mean and relative variance, in kilobits per second.
#[derive(Debug, Default)]
struct Capacity {
    mean: Option<f64>,
    variance: f64,
}

/// The rate and how it moves.
#[derive(Debug)]
pub(super) struct Aimd {
    rate: f64,
    state: State,
    capacity: Capacity,
    changed: Option<f64>,
    decreased: Option<f64>,
}

/// What the rate is moved by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) usage: Usage,
    /// What arrives, in bits per second.
    pub(super) throughput: Option<f64>,
    pub(super) round_trip_ms: f64,
    /// Less is sent than may be: that it gets through proves nothing.
    pub(super) is_limited: bool,
    /// In milliseconds, on the sender's clock.
    pub(super) now: f64,
}

impl Aimd {
    pub(super) fn new(start_bps: f64) -> Self {
        Self {
            rate: start_bps,
            state: State::Increase,
            capacity: Capacity::default(),
            changed: None,
            decreased: None,
        }
    }

    /// Bits per second.
    pub(super) const fn bps(&self) -> f64 {
        self.rate
    }

    /// When the rate last fell, in milliseconds.
    pub(super) const fn decreased(&self) -> Option<f64> {
        self.decreased
    }

    /// Takes over what a probe has found.
    pub(super) fn set(&mut self, bps: f64, now: f64) {
        self.rate = bps;
        self.changed = Some(now);
        if self.capacity.is_below(bps) {
            self.capacity = Capacity::default();
        }
    }

    /// Keeps the rate within bounds.
    pub(super) fn clamp(&mut self, min: f64, max: f64) {
        self.rate = self.rate.clamp(min, max.max(min));
    }

    /// Neither up nor down.
    pub(super) fn hold(&mut self) {
        self.state = State::Hold;
    }

    pub(super) fn step(&mut self, step: Step) {
        match step.usage {
            Usage::Over => {
                if self.may_fall(&step) {
                    self.fall(&step);
                }
                self.state = State::Hold;
            }
            Usage::Under => self.state = State::Hold,
            Usage::Normal if self.state == State::Hold => {
                self.state = State::Increase;
                self.changed = Some(step.now);
            }
            Usage::Normal => self.grow(&step),
        }
    }

    /// Not more than once per round trip, unless much less than that gets through.
    fn may_fall(&self, step: &Step) -> bool {
        let interval = step.round_trip_ms.clamp(10.0, 200.0);
        let is_due = self
            .decreased
            .is_none_or(|decreased| step.now - decreased >= interval);
        is_due || step.throughput.is_some_and(|bps| bps < self.rate * 0.5)
    }

    fn fall(&mut self, step: &Step) {
        let is_first = self.decreased.is_none();
        self.decreased = Some(step.now);
        self.changed = Some(step.now);
        let Some(throughput) = step.throughput else {
            self.rate *= 0.5;
            return;
        };
        let mut rate = throughput * BACKOFF;
        if rate > self.rate
            && let Some(mean) = self.capacity.mean
        {
            rate = mean * 1_000.0 * BACKOFF;
        }
        // Before the path was known to end anywhere, more may have been sent than the rate said.
        self.rate = if is_first { rate } else { rate.min(self.rate) };
        if self.capacity.is_above(throughput) {
            self.capacity = Capacity::default();
        }
        self.capacity.add(throughput);
    }

    fn grow(&mut self, step: &Step) {
        let changed = self.changed.replace(step.now).unwrap_or(step.now);
        let seconds = ((step.now - changed) / 1_000.0).clamp(0.0, 1.0);
        if step.is_limited {
            return;
        }
        if step
            .throughput
            .is_some_and(|throughput| self.capacity.is_below(throughput))
        {
            self.capacity = Capacity::default();
        }
        let grown = if self.capacity.mean.is_some() {
            self.rate + self.near_step(step.round_trip_ms) * seconds
        } else {
            (self.rate * GROWTH.powf(seconds)).max(self.rate + 1_000.0 * seconds)
        };
        let cap = step
            .throughput
            .map_or(f64::MAX, |bps| bps * AHEAD + AHEAD_MARGIN_BPS);
        self.rate = grown.min(cap).max(self.rate);
    }

    /// Near the capacity, one packet more per response time: bits per second and second.
    fn near_step(&self, round_trip_ms: f64) -> f64 {
        let frame_bits = self.rate / 30.0;
        let packet_bits = frame_bits / (frame_bits / (1_200.0 * 8.0)).ceil().max(1.0);
        let response = (round_trip_ms + 100.0) / 1_000.0;
        (packet_bits / response).max(LEAST_STEP_BPS)
    }
}

impl Capacity {
    fn add(&mut self, bps: f64) {
        let sample = bps / 1_000.0;
        let Some(mean) = self.mean else {
            self.mean = Some(sample);
            self.variance = 0.4;
            return;
        };
        let mean = CAPACITY_SMOOTHING * mean + (1.0 - CAPACITY_SMOOTHING) * sample;
        let error = (mean - sample).powi(2) / mean.max(1.0);
        self.variance = CAPACITY_SMOOTHING * self.variance + (1.0 - CAPACITY_SMOOTHING) * error;
        self.variance = self.variance.clamp(0.4, 2.5);
        self.mean = Some(mean);
    }

    /// Three standard deviations.
    fn spread(&self, mean: f64) -> f64 {
        3.0 * (self.variance * mean).sqrt()
    }

    fn is_below(&self, bps: f64) -> bool {
        self.mean
            .is_some_and(|mean| bps / 1_000.0 > mean + self.spread(mean))
    }

    fn is_above(&self, bps: f64) -> bool {
        self.mean
            .is_some_and(|mean| bps / 1_000.0 < mean - self.spread(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(usage: Usage, throughput: f64, now: f64) -> Step {
        Step {
            usage,
            throughput: Some(throughput),
            round_trip_ms: 50.0,
            is_limited: false,
            now,
        }
    }

    #[test]
    fn overuse_takes_the_rate_below_what_gets_through_once_per_round_trip() {
        let mut aimd = Aimd::new(2_000_000.0);
        aimd.step(step(Usage::Over, 1_000_000.0, 0.0));
        assert!((aimd.bps() - 850_000.0).abs() < 1.0);
        aimd.step(step(Usage::Over, 800_000.0, 20.0));
        assert!((aimd.bps() - 850_000.0).abs() < 1.0, "too soon");
        aimd.step(step(Usage::Over, 800_000.0, 60.0));
        assert!((aimd.bps() - 680_000.0).abs() < 1.0);
    }

    #[test]
    fn growth_is_fast_far_from_the_capacity_and_slow_near_it() {
        let mut far = Aimd::new(1_000_000.0);
        let mut near = Aimd::new(1_000_000.0);
        near.step(step(Usage::Over, 1_000_000.0, 0.0));
        near.set(1_000_000.0, 0.0);
        for n in 0..11u8 {
            let now = f64::from(n) * 100.0;
            far.step(step(Usage::Normal, 1_000_000.0, now));
            near.step(step(Usage::Normal, 1_000_000.0, now));
        }
        assert!((1_070_000.0..1_085_000.0).contains(&far.bps()), "{far:?}");
        assert!((1_020_000.0..1_065_000.0).contains(&near.bps()), "{near:?}");
    }

    #[test]
    fn what_is_not_used_does_not_grow() {
        let mut aimd = Aimd::new(1_000_000.0);
        for n in 0..50u8 {
            let now = f64::from(n) * 100.0;
            let mut limited = step(Usage::Normal, 100_000.0, now);
            limited.is_limited = true;
            aimd.step(limited);
        }
        assert!((aimd.bps() - 1_000_000.0).abs() < 1.0);
    }
}
