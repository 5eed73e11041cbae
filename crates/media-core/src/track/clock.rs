//! The shard's wall clock: monotonic time plus the moment it was set at.

use salono_rtp::time::Ntp;
use std::time::{Duration, Instant};

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

    pub(crate) fn ntp(self, now: Instant) -> Ntp {
        Ntp::from_unix(self.unix(now))
    }
}
