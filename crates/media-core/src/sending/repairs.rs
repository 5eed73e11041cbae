//! Which packets were sent again lately: a receiver that asks again before the repair can have arrived
//! is not answered twice.

use salono_rtp::seq::ExtSeq;
use std::time::{Duration, Instant};

/// Repairs that are remembered.
const ENTRIES: usize = 64;
/// Part of the round trip within which asking again is too early: the measured one has the time in
/// it that receivers take to report.
const EARLY: f64 = 0.6;
/// Without a measurement, and at most.
const ASSUMED: Duration = Duration::from_millis(20);
const LONGEST: Duration = Duration::from_millis(500);

/// Repairs of late, found by the low bits of their number. It takes memory from the first one on.
#[derive(Debug, Default)]
pub(crate) struct Repairs {
    entries: Vec<Option<(ExtSeq, Instant)>>,
}

impl Repairs {
    /// Whether a packet may be sent again, which then counts as done.
    pub(crate) fn is_due(
        &mut self,
        seq: ExtSeq,
        round_trip: Option<Duration>,
        now: Instant,
    ) -> bool {
        if self.entries.is_empty() {
            self.entries = vec![None; ENTRIES];
        }
        let Some(entry) = self.entries.get_mut((seq.get() as usize) % ENTRIES) else {
            return true;
        };
        let spacing = round_trip.map_or(ASSUMED, |trip| trip.mul_f64(EARLY).min(LONGEST));
        let is_early =
            entry.is_some_and(|(of, at)| of == seq && now.saturating_duration_since(at) < spacing);
        if !is_early {
            *entry = Some((seq, now));
        }
        !is_early
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
    fn a_packet_is_sent_again_once_per_round_trip_however_often_it_is_asked_for() {
        let start = Instant::now();
        let mut repairs = Repairs::default();
        let trip = Some(Duration::from_millis(100));
        let mut sent = 0;
        for ms in 0..300 {
            let now = start + Duration::from_millis(ms);
            sent += usize::from(repairs.is_due(ExtSeq::new(7), trip, now));
        }
        assert_eq!(sent, 5);
        assert!(repairs.is_due(ExtSeq::new(7 + ENTRIES as u64), trip, start));
    }
}
