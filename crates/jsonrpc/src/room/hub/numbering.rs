//! Frames that reach their client exactly once, whatever becomes of its sockets.
//!
//! Frames of a session that asks for it are numbered from 1, and kept until the client says that it
//! has seen them. On a new socket it gets what it has not seen.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::super::frame::{Call, RequestId};
use super::super::session::{Binding, SessionId};
use super::{Config, Effect, Hub, SocketId, envelope};

/// Numbered frames of a session.
#[derive(Debug, Default)]
pub(in super::super) struct Numbered {
    /// Number of the newest frame.
    newest: u64,
    /// Those that the client may not have seen, with their numbers, oldest first.
    kept: VecDeque<(u64, String)>,
    /// Length of these frames, in bytes.
    bytes: usize,
    /// What the client has seen for certain.
    seen: u64,
}

impl Numbered {
    /// Gives a frame its number and keeps it. The oldest ones give way, and are counted.
    fn push(&mut self, mut text: String, config: &Config) -> (String, u64) {
        self.newest += 1;
        // A frame is an object, and never an empty one.
        if text.pop() == Some('}') {
            text.push_str(&format!(",\"seq\":{}}}", self.newest));
        }
        self.bytes += text.len();
        self.kept.push_back((self.newest, text.clone()));
        let mut lost = 0;
        while self.kept.len() > config.max_missed_frames || self.bytes > config.max_missed_bytes {
            if self.drop_oldest().is_none() {
                break;
            }
            lost += 1;
        }
        (text, lost)
    }

    /// The client has seen everything up to this number.
    fn see(&mut self, seen: u64) {
        self.seen = self.seen.max(seen.min(self.newest));
        while self
            .kept
            .front()
            .is_some_and(|(number, _)| *number <= self.seen)
        {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> Option<()> {
        let (_, text) = self.kept.pop_front()?;
        self.bytes -= text.len();
        Some(())
    }

    /// How many frames the client has not seen and cannot get any more.
    fn lost(&self) -> u64 {
        let oldest = self
            .kept
            .front()
            .map_or(self.newest + 1, |(number, _)| *number);
        oldest - self.seen - 1
    }
}

impl Hub {
    /// From now on the frames of a session are numbered, replies to `ping`, `connect` and
    /// `closeSession` excepted.
    pub fn number(&mut self, session: &SessionId) {
        if let Some(state) = self.sessions.get_mut(session) {
            state.numbered.get_or_insert_default();
        }
    }

    /// Numbers a frame of a numbered session and sends it, if there is a socket. Gives others back.
    pub(super) fn deliver_numbered(&mut self, session: &SessionId, text: String) -> Option<String> {
        let state = self.sessions.get_mut(session)?;
        let Some(numbered) = &mut state.numbered else {
            return Some(text);
        };
        if state.binding.is_ended() {
            return None;
        }
        let (text, lost) = numbered.push(text, &self.config);
        match state.binding {
            Binding::Bound(socket) => self.effects.push_back(Effect::Send { socket, text }),
            // Whoever is there has seen it, or is about to say what it has seen.
            Binding::Detached(_) => self.counters.missed += lost,
            Binding::Ended { .. } => {}
        }
        None
    }

    /// A request says how much its client has seen.
    pub(super) fn note_seen(&mut self, session: &SessionId, call: &Call) {
        if let Some(seen) = seen(call)
            && let Some(state) = self.sessions.get_mut(session)
            && let Some(numbered) = &mut state.numbered
        {
            numbered.see(seen);
        }
    }

    /// The reply to a `connect` that resumes a session.
    pub(super) fn reply_resumed(
        &mut self,
        session: &SessionId,
        socket: SocketId,
        request: Option<RequestId>,
    ) {
        let numbered = self.sessions.get(session).and_then(|s| s.numbered.as_ref());
        let Some(numbered) = numbered else {
            return self.reply_connected(socket, request, super::builtin::RESUMED, session);
        };
        let mut reply = Map::new();
        reply.insert("value".into(), super::builtin::RESUMED.into());
        reply.insert("seq".into(), numbered.newest.into());
        if numbered.lost() > 0 {
            reply.insert("lost".into(), numbered.lost().into());
        }
        let text = envelope::result(request, &Value::Object(reply), Some(session.as_str()));
        self.effects.push_back(Effect::Send { socket, text });
    }

    /// Sends what the client has not seen, in order.
    pub(super) fn deliver_unseen(&mut self, session: &SessionId) {
        let Some(state) = self.sessions.get(session) else {
            return;
        };
        let (Binding::Bound(socket), Some(numbered)) = (&state.binding, &state.numbered) else {
            return;
        };
        let socket = *socket;
        let unseen = numbered.kept.iter().map(|(_, text)| Effect::Send {
            socket,
            text: text.clone(),
        });
        self.effects.extend(unseen);
    }
}

/// `params.seq`, as a number or as its text.
fn seen(call: &Call) -> Option<u64> {
    match call.params.as_ref()?.get("seq")? {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
