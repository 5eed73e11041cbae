//! One call, from INVITE to BYE.

use std::{net::SocketAddr, time::Duration};

use tokio::time::Instant;

use crate::{media::Media, message::Request};

/// First and longest interval of repetitions (RFC 3261 §17.1.1.1: T1 and T2).
const INTERVALS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(4));
/// What is not answered within this time never will be (RFC 3261 §13.3.1.4, §17.1.2.2).
const PATIENCE: Duration = Duration::from_secs(32);

/// A message that is repeated until the other side has heard it.
#[derive(Debug)]
pub(crate) struct Repeated {
    pub(crate) text: String,
    pub(crate) to: SocketAddr,
    next: Instant,
    interval: Duration,
    until: Instant,
}

impl Repeated {
    pub(crate) fn new(text: String, to: SocketAddr) -> Self {
        let now = Instant::now();
        Self {
            text,
            to,
            next: now + INTERVALS.0,
            interval: INTERVALS.0,
            until: now + PATIENCE,
        }
    }

    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// Whether it was said for the last time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.until <= now
    }

    /// Whether it is to be said again now.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self.next <= now;
        if due {
            self.interval = (self.interval * 2).min(INTERVALS.1);
            self.next = now + self.interval;
        }
        due
    }
}

/// Where a call stands.
#[derive(Debug)]
pub(crate) enum Phase {
    /// The media server is at work.
    Answering,
    /// The caller gave up before it was done.
    Cancelled,
    /// A page is asked whether it takes the call.
    Ringing { until: Instant },
    /// The page that takes it is being connected.
    Joining,
    /// The success is repeated until it is acknowledged.
    Accepted(Repeated),
    /// The caller has acknowledged.
    Established,
    /// A further offer is being answered.
    Changing,
}

/// A caller.
#[derive(Debug)]
pub(crate) struct Call {
    /// The last INVITE.
    pub(crate) invite: Request,
    pub(crate) from: SocketAddr,
    pub(crate) tag: String,
    pub(crate) phase: Phase,
    /// The last response to the INVITE.
    pub(crate) response: String,
    /// Our session description, once there is one, and the offer that it answers.
    pub(crate) answer: String,
    pub(crate) offer: String,
    pub(crate) media: Option<Media>,
    /// Who takes it.
    pub(crate) agent: Option<u64>,
}

impl Call {
    /// Whether it was answered with success.
    pub(crate) fn is_answered(&self) -> bool {
        match self.phase {
            Phase::Accepted(_) | Phase::Established | Phase::Changing => true,
            Phase::Answering | Phase::Cancelled | Phase::Ringing { .. } | Phase::Joining => false,
        }
    }

    /// It is taken, and the caller is told so until it acknowledges.
    pub(crate) fn accept(&mut self, response: String) {
        self.response.clone_from(&response);
        self.phase = Phase::Accepted(Repeated::new(response, self.from));
    }

    /// When something is to be done without being asked.
    pub(crate) fn next(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Accepted(success) => Some(success.next()),
            Phase::Ringing { until } => Some(*until),
            Phase::Answering
            | Phase::Cancelled
            | Phase::Joining
            | Phase::Established
            | Phase::Changing => None,
        }
    }
}
