//! What the server knows of those who are in rooms, beside what rooms know.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use salono_jsonrpc::room::SessionId;
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
}

/// One participant.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) admission: Admission,
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
        state.members.remove(session);
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
    fn greeting(&self) -> Map<String, Value> {
        let mut greeting = Map::new();
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
