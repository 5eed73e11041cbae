//! Packets of a frame that has not ended wait for the rest of it, for a moment.
//!
//! A publisher's packets come one by one, and nobody can decode a frame before its last. Those that
//! are forwarded together leave in one message per receiver instead of one each, which is most of
//! what sending costs.

use std::time::{Duration, Instant};

/// The longest wait: a browser sends a frame, or the piece of it that its pacer lets go, in less.
const PATIENCE: Duration = Duration::from_micros(500);
/// Frames that go without after one waited in vain: their publisher spreads them over more time.
const PAUSE: u8 = 60;

/// What is known of the frame that comes in.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    /// When the first packet came that waits for the rest of its frame.
    since: Option<Instant>,
    /// Frames that do not wait.
    pause: u8,
}

impl Gathering {
    /// The newest packet so far has come; `ends_frame` says that no more of its frame does.
    pub(super) fn note(&mut self, ends_frame: bool, now: Instant) {
        if ends_frame {
            self.since = None;
            self.pause = self.pause.saturating_sub(1);
        } else if self.pause == 0 {
            self.since.get_or_insert(now);
        }
    }

    /// Until when the `waiting` packets may stay; `None` when they go now.
    pub(super) fn until(&mut self, waiting: usize, now: Instant) -> Option<Instant> {
        let until = self.since?.checked_add(PATIENCE)?;
        if now < until {
            return Some(until);
        }
        if waiting <= 1 {
            self.pause = PAUSE;
        }
        None
    }

    /// What waited was forwarded.
    pub(super) fn clear(&mut self) {
        self.since = None;
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
    fn frames_go_when_they_end_and_not_much_later_when_they_do_not() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        gathering.note(false, start);
        assert_eq!(gathering.until(1, start), Some(start + PATIENCE));
        gathering.note(false, start + PATIENCE / 2);
        assert_eq!(
            gathering.until(2, start + PATIENCE / 2),
            Some(start + PATIENCE)
        );
        gathering.note(true, start + PATIENCE / 2);
        assert_eq!(gathering.until(3, start + PATIENCE / 2), None);
        gathering.note(false, start);
        assert_eq!(gathering.until(2, start + PATIENCE), None);
    }

    #[test]
    fn publishers_that_send_slowly_are_not_waited_for() {
        let (mut gathering, start) = (Gathering::default(), Instant::now());
        gathering.note(false, start);
        assert_eq!(gathering.until(1, start + PATIENCE), None);
        gathering.clear();
        for _ in 0..PAUSE {
            gathering.note(false, start);
            assert_eq!(gathering.until(1, start), None);
            gathering.note(true, start);
        }
        gathering.note(false, start);
        assert!(gathering.until(1, start).is_some());
    }
}
