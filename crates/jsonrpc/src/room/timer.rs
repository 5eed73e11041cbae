//! The hub's deadlines, in order.

use std::collections::BTreeSet;
use std::time::Instant;

use super::hub::SocketId;
use super::session::SessionId;

/// Why the hub wants to be woken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// A socket that pings has not done so for three intervals.
    Watchdog(SocketId),
    /// A session without a socket was not resumed in time.
    Grace(SessionId),
    /// The socket of a session did not show that it lives while another one asked for the session.
    Takeover(SessionId),
}

/// A set of deadlines. Whoever sets one keeps its instant, so that it can be taken back.
#[derive(Debug, Default)]
pub(super) struct Timers(BTreeSet<(Instant, Timer)>);

impl Timers {
    pub(super) fn set(&mut self, at: Instant, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub(super) fn cancel(&mut self, at: Instant, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub(super) fn next(&self) -> Option<&(Instant, Timer)> {
        self.0.first()
    }

    /// Takes out the earliest deadline that has passed.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        if self.0.first()?.0 > now {
            return None;
        }
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
