//! The shard's wall clock: monotonic time plus the moment it was set at.

use salono_rtp::time::Ntp;
use std::time::{Duration, Instant};

/// What many peers do now and then, they do at common moments this far apart: one wake-up of the
/// shard then serves many of them.
const BEAT: Duration = Duration::from_millis(50);

/// Maps monotonic time to NTP time for sender reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    unix: Duration,
}

impl Clock {
    /// `unix` since 1970 was it at `origin`.
    pub(crate) fn new(origin: Instant, unix: Duration) -> Self {
        Self { origin, unix }
    }

    pub(crate) fn unix(self, now: Instant) -> Duration {
        self.unix + now.saturating_duration_since(self.origin)
    }

    /// The first common moment that is not before `at`.
    pub(crate) fn beat(self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.origin);
        let past = since.as_nanos() % BEAT.as_nanos();
        if past == 0 {
            at
        } else {
            at + BEAT.saturating_sub(Duration::from_nanos(past as u64))
        }
    }

    pub(crate) fn ntp(self, now: Instant) -> Ntp {
        Ntp::from_unix(self.unix(now))
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
    fn common_moments_are_never_early_and_the_same_for_all() {
        let origin = Instant::now();
        let clock = Clock::new(origin, Duration::ZERO);
        for (at, beat) in [
            (0, 0),
            (1, 50),
            (49, 50),
            (50, 50),
            (51, 100),
            (1_000_001, 1_000_050),
        ] {
            let after = |ms| origin + Duration::from_millis(ms);
            assert_eq!(clock.beat(after(at)), after(beat), "{at} ms");
        }
    }
}
