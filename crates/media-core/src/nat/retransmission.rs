//! When a request to a server is sent again (RFC 8489 §6.2.1), within what a gathering may take.

use std::time::{Duration, Instant};

/// First interval; each is twice the one before.
const INTERVAL: Duration = Duration::from_millis(500);
/// No answer for this long, no server. RFC 8489 would wait for 39.5 s; who waits for candidates
/// has no use for one that is so far away.
pub(super) const TIMEOUT: Duration = Duration::from_millis(4_500);

/// Requests at 0, 0.5, 1.5 and 3.5 s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retransmission {
    next: Instant,
    interval: Duration,
    end: Instant,
}

impl Retransmission {
    /// The first request is sent at `now`.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            next: now + INTERVAL,
            interval: INTERVAL,
            end: now + TIMEOUT,
        }
    }

    /// For a reliable transport: one request and the time that an answer may take.
    pub(super) fn once(now: Instant) -> Self {
        Self {
            next: now + TIMEOUT,
            interval: TIMEOUT,
            end: now + TIMEOUT,
        }
    }

    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.end <= now
    }

    /// Whether the request is to be sent again now; the interval grows then.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next <= now && !self.is_over(now);
        if due {
            self.interval *= 2;
            self.next = now + self.interval;
        }
        due
    }

    pub(super) fn next(&self) -> Instant {
        self.next.min(self.end)
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
    fn requests_are_repeated_at_doubling_intervals_and_given_up() {
        let start = Instant::now();
        let mut retransmission = Retransmission::new(start);
        let mut sent = Vec::new();
        loop {
            let now = retransmission.next();
            if retransmission.is_over(now) {
                assert_eq!(now - start, TIMEOUT);
                break;
            }
            assert!(retransmission.is_due(now));
            sent.push((now - start).as_millis());
        }
        assert_eq!(sent, [500, 1_500, 3_500]);
    }
}
