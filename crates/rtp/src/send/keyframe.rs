//! When to ask a publisher for a keyframe on behalf of any number of subscribers.

use std::time::{Duration, Instant};

/// Behaviour of a [`KeyframeThrottle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Least time between two requests to the publisher.
    pub min_interval: Duration,
    /// Time without a keyframe after which a request is repeated.
    pub retry_after: Duration,
    /// Requests for one keyframe before the publisher is left alone until somebody asks again.
    pub max_requests: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            min_interval: Duration::from_millis(500),
            retry_after: Duration::from_millis(1_000),
            max_requests: 10,
        }
    }
}

/// Bundles the keyframe requests for one track.
///
/// The first request goes out at once, the next no sooner than the interval; one that came in between is kept and
/// goes out then, unless a keyframe came that the asker has seen. Requests are repeated until a keyframe comes.
///
/// **Drive:** [`request`](Self::request) and [`keyframe`](Self::keyframe) as they happen, and send PLI or FIR to the
/// publisher whenever [`poll`](Self::poll) says so, at the latest at [`poll_timeout`](Self::poll_timeout).
#[derive(Debug, Clone)]
pub struct KeyframeThrottle {
    config: Config,
    /// Somebody waits for a keyframe.
    is_wanted: bool,
    /// Requests sent since somebody began to wait.
    requests: u8,
    /// When the last request was sent.
    sent: Option<Instant>,
    /// Earliest next request while wanted.
    due: Option<Instant>,
}

impl KeyframeThrottle {
    /// Nobody asked yet.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            is_wanted: false,
            requests: 0,
            sent: None,
            due: None,
        }
    }

    /// A subscriber needs a keyframe.
    pub fn request(&mut self, now: Instant) {
        let earliest = self
            .sent
            .and_then(|sent| sent.checked_add(self.config.min_interval))
            .map_or(now, |earliest| earliest.max(now));
        if !self.is_wanted {
            self.requests = 0;
        }
        self.is_wanted = true;
        self.due = Some(self.due.map_or(earliest, |due| due.min(earliest)));
    }

    /// A keyframe began to arrive from the publisher. It serves everybody who asked so far.
    pub const fn keyframe(&mut self) {
        self.is_wanted = false;
        self.requests = 0;
        self.due = None;
    }

    /// Whether to send a request to the publisher now.
    pub fn poll(&mut self, now: Instant) -> bool {
        if self.due.is_none_or(|due| now < due) {
            return false;
        }
        self.sent = Some(now);
        self.requests = self.requests.saturating_add(1);
        if self.requests >= self.config.max_requests {
            self.is_wanted = false;
            self.due = None;
        } else {
            self.due = now.checked_add(self.config.retry_after.max(self.config.min_interval));
        }
        true
    }

    /// When to [`poll`](Self::poll) next.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_crowd_gets_one_request_at_once_and_one_after_the_interval() {
        let start = crate::virtual_time::origin();
        let mut throttle = KeyframeThrottle::new(Config::default());
        assert!(!throttle.poll(start));
        throttle.request(start);
        throttle.request(start);
        assert!(throttle.poll(start));
        assert!(!throttle.poll(start));
        throttle.keyframe();
        throttle.request(at(start, 100));
        throttle.request(at(start, 200));
        assert!(!throttle.poll(at(start, 499)));
        assert_eq!(throttle.poll_timeout(), Some(at(start, 500)));
        assert!(throttle.poll(at(start, 500)));
        throttle.keyframe();
        assert_eq!(throttle.poll_timeout(), None);
    }

    #[test]
    fn an_unanswered_request_is_repeated_until_the_limit() {
        let start = crate::virtual_time::origin();
        let mut throttle = KeyframeThrottle::new(Config::default());
        throttle.request(start);
        let mut sent = Vec::new();
        while let Some(due) = throttle.poll_timeout() {
            assert!(throttle.poll(due));
            sent.push(due);
        }
        assert_eq!(sent.len(), 10);
        assert_eq!(sent[9], at(start, 9_000));
        throttle.request(at(start, 20_000));
        assert!(throttle.poll(at(start, 20_000)));
        assert!(throttle.poll_timeout().is_some());
    }
}
