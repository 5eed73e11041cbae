//! How long packets stay in the process.

use std::time::{Duration, Instant};

/// A moving average: a quarter of each new value, as in Kurento. Off, it costs a branch.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Latency(State);

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Off,
    /// On, and nothing came yet.
    Empty,
    Average(Duration),
}

impl Latency {
    /// Begins anew, or ends.
    pub(crate) fn measure(&mut self, on: bool) {
        self.0 = match (on, self.0) {
            (false, _) => State::Off,
            (true, State::Off) => State::Empty,
            (true, state @ (State::Empty | State::Average(_))) => state,
        };
    }

    /// A packet that arrived at `arrival` has come so far now.
    #[inline]
    pub(crate) fn add(&mut self, arrival: Instant, now: Instant) {
        if self.is_on() {
            self.average_in(arrival, now);
        }
    }

    #[cold]
    fn average_in(&mut self, arrival: Instant, now: Instant) {
        self.0 = match self.0 {
            State::Off => return,
            State::Empty => State::Average(now.saturating_duration_since(arrival)),
            State::Average(average) => {
                State::Average((average * 3 + now.saturating_duration_since(arrival)) / 4)
            }
        };
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.0, State::Off)
    }

    /// The average, once something was measured.
    pub(crate) fn average(&self) -> Option<Duration> {
        match self.0 {
            State::Average(average) => Some(average),
            State::Off | State::Empty => None,
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

    #[test]
    fn each_packet_moves_the_average_a_quarter_of_the_way_and_only_while_it_is_on() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut latency = Latency::default();
        latency.add(start, after(8));
        assert_eq!(latency.average(), None);
        latency.measure(true);
        latency.add(start, after(8));
        latency.measure(true);
        latency.add(start, after(16));
        assert_eq!(latency.average(), Some(Duration::from_millis(10)));
        latency.measure(false);
        assert!(latency.average().is_none() && !latency.is_on());
    }
}
