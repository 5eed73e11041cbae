//! One session: what outlives a socket.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::frame::{Call, RequestId};
use super::hub::{Numbered, SocketId};

/// The name of a session, known to its client only: whoever can name a session may resume it.
///
/// 130 random bits in base 32, digits and `a` to `v`. `Debug` shows the beginning only, so that
/// logs cannot be used to resume.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(Arc<str>);

impl SessionId {
    /// How many characters an id has, five random bits each.
    pub const CHARS: usize = 26;

    /// The id made of these random bytes, the low five bits of each. They must be unpredictable.
    #[must_use]
    pub fn from_entropy(bytes: &[u8; Self::CHARS]) -> Self {
        const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
        let text: String = bytes
            .iter()
            .map(|byte| char::from(DIGITS[usize::from(byte % 32)]))
            .collect();
        Self(text.into())
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::borrow::Borrow<str> for SessionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(6).collect();
        write!(f, "{shown}…")
    }
}

/// The request of a session that is being carried out.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: RequestId,
    pub(super) answered: bool,
}

/// Another socket's claim to a session, while its present socket is asked for a sign of life.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) by: SocketId,
    /// The `connect` to answer.
    pub(super) request: Option<RequestId>,
    pub(super) deadline: Instant,
}

/// Where a session stands.
#[derive(Debug)]
pub(super) enum Binding {
    /// On this socket.
    Bound(SocketId),
    /// Its socket is gone; it can be resumed until then.
    Detached(Instant),
    /// Over; kept only until its running request is done.
    Ended {
        /// Whether the end has to be reported again by then, because that request may undo it.
        report: bool,
    },
}

impl Binding {
    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended { .. })
    }
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) binding: Binding,
    pub(super) running: Option<Running>,
    /// Requests that wait for the running one, in the order of their arrival.
    pub(super) waiting: VecDeque<Call>,
    /// Length of the waiting frames, in bytes.
    pub(super) waiting_bytes: usize,
    /// Frames for a client that is away, in order.
    pub(super) missed: VecDeque<String>,
    /// Length of the missed frames, in bytes.
    pub(super) missed_bytes: usize,
    /// Frames that are to arrive exactly once, if the client asked for it.
    pub(super) numbered: Option<Numbered>,
    pub(super) claim: Option<Claim>,
}

impl Session {
    pub(super) fn on(socket: SocketId) -> Self {
        Self {
            binding: Binding::Bound(socket),
            running: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            missed: VecDeque::new(),
            missed_bytes: 0,
            numbered: None,
            claim: None,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.binding.is_ended()
    }

    pub(super) fn has_request(&self, id: RequestId) -> bool {
        self.running
            .as_ref()
            .is_some_and(|running| running.id == id)
            || self.waiting.iter().any(|call| call.id == Some(id))
    }

    pub(super) fn next_waiting(&mut self) -> Option<Call> {
        let call = self.waiting.pop_front()?;
        self.waiting_bytes -= call.bytes;
        Some(call)
    }

    pub(super) fn forget_everything_queued(&mut self) {
        self.waiting.clear();
        self.waiting_bytes = 0;
        self.missed.clear();
        self.missed_bytes = 0;
        self.numbered = None;
    }
}

#[cfg(test)]
mod tests {
    use super::SessionId;

    #[test]
    fn an_id_is_26_digits_of_base_32_and_is_not_logged_whole() {
        let bytes: [u8; SessionId::CHARS] = std::array::from_fn(|i| (i * 37) as u8);
        let id = SessionId::from_entropy(&bytes);
        assert_eq!(id.as_str().len(), 26);
        assert!(
            id.as_str()
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'v'))
        );
        assert!(!format!("{id:?}").contains(id.as_str()));
    }
}
