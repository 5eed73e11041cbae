//! What the server knows of those who are in rooms, beside what rooms know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use salono_jsonrpc::room::SessionId;
use salono_room_proto::JoinRoom;
use salono_room_token::Grants;
use serde_json::{Map, Value};

use crate::access::Admission;

/// Participants by their sessions.
#[derive(Debug, Default)]
pub(crate) struct Members(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Those whose join is under way.
    joining: BTreeMap<SessionId, Member>,
    members: BTreeMap<SessionId, Member>,
    /// Who may be replaced by whom shows such a token.
    tokens: BTreeMap<String, SessionId>,
}

impl State {
    fn remove(&mut self, session: &SessionId) {
        let member = self.members.remove(session);
        if let Some(token) = member.and_then(|member| member.resume_token) {
            self.tokens.remove(&token);
        }
    }
}

/// One participant.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    admission: Admission,
    room: String,
    user: String,
    knows_streams: bool,
    /// By which it takes its own place after a crash, if it asked for that.
    pub(crate) resume_token: Option<String>,
}

impl Members {
    /// Somebody is about to join.
    pub(crate) fn expect(&self, session: &SessionId, member: Member) {
        self.state().joining.insert(session.clone(), member);
    }

    /// Its join succeeded. The result is what its reply says beside who is there, if anything.
    pub(crate) fn joined(&self, session: &SessionId) -> Map<String, Value> {
        let mut state = self.state();
        let Some(member) = state.joining.remove(session) else {
            return Map::new();
        };
        let greeting = member.greeting();
        state.remove(session);
        if let Some(token) = &member.resume_token {
            state.tokens.insert(token.clone(), session.clone());
        }
        state.members.insert(session.clone(), member);
        greeting
    }

    /// Its join is over, whatever became of it.
    pub(crate) fn settle(&self, session: &SessionId) {
        self.state().joining.remove(session);
    }

    /// It left, or its session ended.
    pub(crate) fn forget(&self, session: &SessionId) {
        let mut state = self.state();
        state.joining.remove(session);
        state.remove(session);
    }

    /// The session of whom such a token was given to, in this room and under this name.
    pub(crate) fn holder(&self, token: &str, room: &str, user: &str) -> Option<SessionId> {
        let state = self.state();
        let session = state.tokens.get(token)?;
        let member = state.members.get(session)?;
        (member.room == room && member.user == user).then(|| session.clone())
    }

    /// Whether a session knows of streams other than the one that everybody has.
    pub(crate) fn knows_streams(&self, session: &SessionId) -> bool {
        let state = self.state();
        let member = state.members.get(session);
        member.is_some_and(|member| member.knows_streams)
    }

    /// What a session may do in the room that it is in.
    pub(crate) fn grants(&self, session: &SessionId) -> Grants {
        let state = self.state();
        let member = state.members.get(session);
        member
            .map_or(Admission::OPEN, |member| member.admission)
            .grants
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Each method leaves the state in order.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Somebody who is let in.
    pub(crate) fn new(join: &JoinRoom, admission: Admission) -> Self {
        Self {
            admission,
            room: join.room.clone(),
            user: join.user.clone(),
            knows_streams: join.streams,
            resume_token: join.resume.then(random_token).flatten(),
        }
    }

    fn greeting(&self) -> Map<String, Value> {
        let mut greeting = Map::new();
        if let Some(token) = &self.resume_token {
            greeting.insert("resumeToken".into(), token.as_str().into());
        }
        if let Some(role) = self.admission.role {
            let grants = self.admission.grants;
            let grants = salono_room_proto::Grants {
                publish: grants.publish,
                subscribe: grants.subscribe,
                moderate: grants.moderate,
                record: grants.record,
            };
            greeting.insert("role".into(), role.name().into());
            // A struct of booleans always becomes a value.
            let grants = serde_json::to_value(grants).unwrap_or_default();
            greeting.insert("grants".into(), grants);
        }
        greeting
    }
}

/// As hard to guess as the id of a session; `None` if the operating system has no randomness.
fn random_token() -> Option<String> {
    let mut bytes = [0; SessionId::CHARS];
    StdRng::try_from_rng(&mut SysRng)
        .ok()?
        .fill_bytes(&mut bytes);
    Some(SessionId::from_entropy(&bytes).as_str().to_owned())
}
