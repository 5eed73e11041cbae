//! What arrives at the peer, in bits per second.

use std::collections::VecDeque;

/// Window of one sample, once there is an estimate.
const WINDOW_MS: f64 = 150.0;
/// Window of the first one.
const FIRST_WINDOW_MS: f64 = 500.0;
/// How uncertain a sample is, as a multiple of its distance from the estimate.
const UNCERTAINTY: f64 = 10.0;
/// Variance that a window adds: the rate may change.
const DRIFT: f64 = 5.0;
const START_VARIANCE: f64 = 50.0;

/// Packets of which the latest rate is made.
const LATEST: usize = 16;

/// A running estimate that believes samples the less, the farther they are from it.
#[derive(Debug, Default)]
pub(super) struct Throughput {
    began: Option<f64>,
    bytes: f64,
    /// Kilobits per second, and its variance.
    estimate: Option<(f64, f64)>,
    /// Arrival and bytes of the latest packets.
    latest: VecDeque<(f64, f64)>,
}

impl Throughput {
    /// Adds a packet that arrived at `arrival` on the peer's clock, in milliseconds.
    pub(super) fn add(&mut self, bytes: u16, arrival: f64) {
        let began = *self.began.get_or_insert(arrival);
        let elapsed = arrival - began;
        let window = if self.estimate.is_some() {
            WINDOW_MS
        } else {
            FIRST_WINDOW_MS
        };
        if elapsed >= window {
            // A pause of more than a window belongs to no sample.
            let windows = (elapsed / window).floor();
            let sample = self.bytes * 8.0 / window;
            let is_after_pause = windows >= 2.0;
            if self.bytes > 0.0 && !(is_after_pause && self.estimate.is_some()) {
                self.sample(sample);
            }
            self.bytes = 0.0;
            self.began = Some(began + windows * window);
        } else if elapsed < 0.0 {
            // The peer's clock went back.
            self.began = Some(arrival);
            self.bytes = 0.0;
        }
        self.bytes += f64::from(bytes);
        if self.latest.len() >= LATEST {
            self.latest.pop_front();
        }
        self.latest.push_back((arrival, f64::from(bytes)));
    }

    /// The rate of the latest packets alone, in bits per second: while a queue builds up they arrive as fast as the
    /// path lets them, and show a change before the estimate does.
    pub(super) fn latest_bps(&self) -> Option<f64> {
        let (first, last) = (self.latest.front()?, self.latest.back()?);
        let elapsed = last.0 - first.0;
        let bytes: f64 = self.latest.iter().skip(1).map(|(_, bytes)| bytes).sum();
        (self.latest.len() >= LATEST / 2 && elapsed > 0.0).then(|| bytes * 8_000.0 / elapsed)
    }

    /// Bits per second; `None` before half a second was seen.
    pub(super) fn bps(&self) -> Option<f64> {
        self.estimate.map(|(kbps, _)| kbps * 1_000.0)
    }

    /// Believes the next samples more: a probe has found out that much has changed.
    pub(super) fn expect_change(&mut self) {
        if let Some((_, variance)) = self.estimate.as_mut() {
            *variance += 200.0;
        }
    }

    fn sample(&mut self, sample: f64) {
        let Some((estimate, variance)) = self.estimate else {
            self.estimate = Some((sample, START_VARIANCE));
            return;
        };
        let distance = (estimate - sample).abs() / estimate.max(1.0);
        let sample_variance = (UNCERTAINTY * distance).powi(2).max(f64::EPSILON);
        let before = variance + DRIFT;
        let kbps = (sample_variance * estimate + before * sample) / (sample_variance + before);
        let after = sample_variance * before / (sample_variance + before);
        self.estimate = Some((kbps.max(1.0), after));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_measured_and_a_lasting_change_followed() {
        let mut throughput = Throughput::default();
        let mut arrival = 0.0;
        for _ in 0..400 {
            throughput.add(1_250, arrival);
            arrival += 10.0;
        }
        let bps = throughput.bps().expect("half a second has passed");
        assert!((900_000.0..1_100_000.0).contains(&bps), "{bps}");
        for _ in 0..100 {
            throughput.add(1_250, arrival);
            arrival += 20.0;
        }
        let bps = throughput.bps().expect("an estimate");
        assert!((450_000.0..600_000.0).contains(&bps), "{bps}");
    }

    #[test]
    fn a_pause_is_not_taken_for_a_low_rate() {
        let mut throughput = Throughput::default();
        let mut arrival = 0.0;
        for _ in 0..20 {
            for _ in 0..50 {
                throughput.add(1_250, arrival);
                arrival += 10.0;
            }
            arrival += 2_000.0;
        }
        let bps = throughput.bps().expect("an estimate");
        assert!((850_000.0..1_100_000.0).contains(&bps), "{bps}");
    }
}
