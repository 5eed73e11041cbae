//! The order of a connection's requests, and their answers.
//!
//! Requests begin as they came; those that wait for the engine, the host or a timer are answered when
//! what they wait for is there.

use crate::{
    ConnectionKey, Effect, Now, ObjectModel,
    call::{Origin, Pending, Then},
};
use salono_kurento_model::{Error, ErrorCode, Map, Value, wire::ServerMessage};
use salono_media_api::Token;

impl ObjectModel {
    /// Goes on with a connection after its request was given up.
    pub(crate) fn after_input(&mut self, connection: ConnectionKey, now: Now) {
        self.run(connection, now);
    }

    /// Requests of a connection that wait for the engine, the host or a timer.
    pub(crate) fn waiting_requests(&self, connection: ConnectionKey) -> usize {
        let mine = |origin: &Origin| origin.connection == connection && !origin.step;
        let pending = self.pending.requests_of(connection);
        let reading = self.load_readings.values().filter(|it| mine(&it.0)).count();
        pending + reading
    }

    /// Sends an answer, or gives it to the transaction that waits for it, and goes on.
    pub(crate) fn resume(&mut self, origin: Origin, value: Result<Value, Error>, now: Now) {
        let result = value.map(|value| with_session(&origin, Some(value)));
        self.conclude(origin, result, now);
    }

    /// As [`Self::resume`], with the whole `result`.
    pub(crate) fn conclude(&mut self, origin: Origin, result: Result<Value, Error>, now: Now) {
        let connection = origin.connection;
        if let Some(state) = self.connections.get_mut(&connection) {
            if origin.step {
                state.step_waits = false;
            } else {
                state.in_flight = state.in_flight.saturating_sub(1);
            }
        }
        self.finish(&origin, result, now);
        self.flush_deferred();
        self.run(connection, now);
    }

    /// Carries out what the connection asks for, until something has to wait.
    pub(crate) fn run(&mut self, connection: ConnectionKey, now: Now) {
        while let Some(state) = self.connections.get_mut(&connection) {
            if state.step_waits {
                break;
            }
            if !state.transactions.is_empty() {
                self.run_transaction(connection, now);
            } else if let Some(message) = state.queue.pop_front() {
                self.begin(connection, message, now);
            } else {
                if state.closed && state.in_flight == 0 {
                    self.connections.remove(&connection);
                }
                break;
            }
            self.flush_deferred();
        }
        self.flush_deferred();
    }

    /// Ends a request: its answer is kept, sent, or given to its transaction.
    pub(crate) fn finish(&mut self, origin: &Origin, result: Result<Value, Error>, now: Now) {
        if origin.step {
            self.step_done(origin.connection, result);
            return;
        }
        let mut repetitions = Vec::new();
        if let (Some(session), Some(id)) = (&origin.session, &origin.id) {
            let keep = fits(&result, self.config.limits.reply_bytes);
            repetitions = self
                .replies
                .finish(session, id, &result, keep, now.monotonic);
        }
        // The newest connection comes last and keeps the session.
        if repetitions.is_empty() {
            return self.deliver(origin, result);
        }
        self.deliver(origin, result.clone());
        for again in &repetitions {
            self.deliver(again, result.clone());
        }
    }

    /// Binds the session to the connection that used it with success, and sends the answer.
    pub(crate) fn deliver(&mut self, origin: &Origin, result: Result<Value, Error>) {
        if let (Ok(value), Some(session)) = (&result, &origin.session)
            && value.get("sessionId").is_some()
            && self.is_open(origin.connection)
        {
            self.sessions.associate(origin.connection, session);
        }
        self.answer(origin, result);
    }

    /// Sends an answer.
    pub(crate) fn answer(&mut self, origin: &Origin, result: Result<Value, Error>) {
        if !self.is_open(origin.connection) {
            return;
        }
        let result = match (&origin.id, result) {
            // A notification must not be answered, but Kurento does, and says so.
            (None, Ok(value)) => Err(Error {
                data: Some(value),
                ..Error::new(
                    ErrorCode::ServerError,
                    "Ignoring response because of a notification request",
                )
            }),
            (_, result) => result,
        };
        let message = ServerMessage::Response {
            id: origin.id.clone(),
            result,
        };
        self.effects.push_back(Effect::Send {
            connection: origin.connection,
            message,
        });
    }

    pub(crate) fn is_open(&self, connection: ConnectionKey) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|state| !state.closed)
    }

    /// Remembers a request that waits.
    pub(crate) fn wait(&mut self, origin: Origin, token: Token, then: Then, now: Now) {
        let deadline = now.monotonic + then.patience(&self.config);
        let pending = Pending {
            origin,
            then,
            deadline,
        };
        self.pending.insert(token, pending);
    }
}

/// `result` of an answer: the session beside the value.
pub(crate) fn with_session(origin: &Origin, value: Option<Value>) -> Value {
    let mut result = Map::new();
    if let Some(session) = &origin.session {
        result.insert("sessionId".to_owned(), session.as_ref().into());
    }
    if let Some(value) = value {
        result.insert("value".to_owned(), value);
    }
    Value::Object(result)
}

/// Whether an answer is small enough to be kept.
fn fits(result: &Result<Value, Error>, limit: usize) -> bool {
    match result {
        Ok(value) => spend(value, &mut { limit }),
        Err(error) => error.message.len() <= limit,
    }
}

/// Takes about the bytes of a value from what is left; false, and early, when that is not enough.
pub(crate) fn spend(value: &Value, left: &mut usize) -> bool {
    let cost = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 2 + text.len(),
        Value::Array(items) => 2 + items.len(),
        Value::Object(members) => 2 + members.keys().map(|name| name.len() + 4).sum::<usize>(),
    };
    let Some(rest) = left.checked_sub(cost) else {
        return false;
    };
    *left = rest;
    match value {
        Value::Array(items) => items.iter().all(|item| spend(item, left)),
        Value::Object(members) => members.values().all(|item| spend(item, left)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}
