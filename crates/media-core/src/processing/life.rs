//! Whether a pipeline has a processor: asked for with the first need, given back with the last, and asked for again
//! when it is lost; not too often when that repeats.

use crate::network::SocketId;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many losses within [`WINDOW`] are not a coincidence.
const MAX_LOSSES: usize = 3;
const WINDOW: Duration = Duration::from_secs(10);
/// How long to wait from then on, each time.
const RESTS: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
];
/// After so long without a loss all is forgotten.
const FORGIVEN: Duration = Duration::from_secs(60);
/// When one is asked for again that could not be had.
const UNAVAILABLE_REST: Duration = Duration::from_secs(30);

/// Where the processor of a pipeline is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nobody needs one.
    #[default]
    Off,
    /// One is being started.
    Asked,
    /// It waits for commands and media.
    On(SocketId),
    /// One is needed, and is asked for then.
    Resting(Instant),
}

/// What is to be asked of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// A processor.
    Attach,
    /// No processor any more.
    Detach,
}

/// The life of a pipeline's processor.
#[derive(Debug, Default)]
pub(crate) struct Life {
    state: State,
    /// Within the window.
    losses: VecDeque<Instant>,
    last_loss: Option<Instant>,
    rests: usize,
}

impl Life {
    /// Whether a processor is needed now; returns what follows.
    pub(crate) fn need(&mut self, needed: bool) -> Option<Step> {
        match (self.state, needed) {
            (State::Off, true) => {
                self.state = State::Asked;
                Some(Step::Attach)
            }
            (State::Asked | State::On(_), false) => {
                self.state = State::Off;
                Some(Step::Detach)
            }
            (State::Resting(_), false) => {
                self.state = State::Off;
                None
            }
            (State::Off, false) | (State::Asked | State::On(_) | State::Resting(_), true) => None,
        }
    }

    /// One is there; false when none was asked for.
    pub(crate) fn attached(&mut self, socket: SocketId) -> bool {
        let is_asked = self.state == State::Asked;
        if is_asked {
            self.state = State::On(socket);
        }
        is_asked
    }

    /// It is gone. `None` when there was none; else how long nothing is asked for, zero for not at all.
    pub(crate) fn lost(&mut self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Off | State::Resting(_) => return None,
            State::Asked | State::On(_) => {}
        }
        let is_forgiven = self
            .last_loss
            .is_none_or(|last| now.saturating_duration_since(last) >= FORGIVEN);
        if is_forgiven {
            self.rests = 0;
        }
        self.last_loss = Some(now);
        while let Some(first) = self.losses.front()
            && now.saturating_duration_since(*first) >= WINDOW
        {
            self.losses.pop_front();
        }
        self.losses.push_back(now);
        if self.losses.len() < MAX_LOSSES && self.rests == 0 {
            // At the next moment that it is needed, which is at once.
            self.state = State::Off;
            return Some(Duration::ZERO);
        }
        let rest = RESTS[self.rests.min(RESTS.len() - 1)];
        self.rests += 1;
        self.losses.clear();
        self.state = State::Resting(now + rest);
        Some(rest)
    }

    /// None can be had now; false when none was asked for.
    pub(crate) fn unavailable(&mut self, now: Instant) -> bool {
        let is_asked = self.state == State::Asked;
        if is_asked {
            self.state = State::Resting(now + UNAVAILABLE_REST);
        }
        is_asked
    }

    /// Asks at once, though the last answer was that none can be had.
    pub(crate) fn hurry(&mut self) {
        if let State::Resting(_) = self.state
            && self.rests == 0
        {
            self.state = State::Off;
        }
    }

    /// Its media, while it is there.
    pub(crate) fn socket(&self) -> Option<SocketId> {
        match self.state {
            State::On(socket) => Some(socket),
            State::Off | State::Asked | State::Resting(_) => None,
        }
    }

    /// When one is to be asked for again.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self.state {
            State::Resting(until) => Some(until),
            State::Off | State::Asked | State::On(_) => None,
        }
    }

    /// The rest is over; true when it is.
    pub(crate) fn wake(&mut self, now: Instant) -> bool {
        let is_over = self.due().is_some_and(|due| due <= now);
        if is_over {
            self.state = State::Off;
        }
        is_over
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId(9);

    #[test]
    fn a_processor_is_asked_for_once_and_given_back_once() {
        let mut life = Life::default();
        assert_eq!(life.need(false), None);
        assert_eq!(life.need(true), Some(Step::Attach));
        assert_eq!(life.need(true), None);
        assert_eq!(life.socket(), None);
        assert!(life.attached(SOCKET));
        assert_eq!(life.socket(), Some(SOCKET));
        assert_eq!(life.need(true), None);
        assert_eq!(life.need(false), Some(Step::Detach));
        assert!(!life.attached(SOCKET), "too late");
        assert_eq!(life.need(false), None);
    }

    #[test]
    fn one_that_dies_again_and_again_is_asked_for_ever_later_until_it_lived_for_a_while() {
        let mut life = Life::default();
        let mut now = Instant::now();
        let secs = Duration::from_secs;
        let mut rests = Vec::new();
        for _ in 0..7 {
            assert_eq!(life.need(true), Some(Step::Attach));
            assert!(life.attached(SOCKET));
            now += secs(1);
            let rest = life.lost(now).expect("there was one");
            rests.push(rest.as_secs());
            if rest > Duration::ZERO {
                assert_eq!(life.need(true), None, "it rests");
                assert!(!life.wake(now));
                assert_eq!(life.due(), Some(now + rest));
                now += rest;
                assert!(life.wake(now));
            }
        }
        assert_eq!(rests, [0, 0, 1, 5, 30, 30, 30]);
        assert_eq!(life.need(true), Some(Step::Attach));
        assert!(life.attached(SOCKET));
        assert_eq!(life.lost(now + FORGIVEN), Some(Duration::ZERO));
        assert_eq!(life.lost(now + FORGIVEN), None, "it is gone already");
    }

    #[test]
    fn who_creates_something_does_not_wait_for_the_next_try() {
        let mut life = Life::default();
        let now = Instant::now();
        assert!(!life.unavailable(now));
        assert_eq!(life.need(true), Some(Step::Attach));
        assert!(life.unavailable(now));
        assert_eq!(life.need(true), None);
        life.hurry();
        assert_eq!(life.need(true), Some(Step::Attach));
    }
}
