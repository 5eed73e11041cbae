//! What becomes of a request in which the model itself fails.
//!
//! A panic is a defect, and what it leaves half-done is not known. So what the request touched is
//! given up (the object that it named, and what it created), the request is answered, and everything
//! else goes on. The shell catches the panic; this cleans up behind it.

use crate::{ConnectionKey, Now, ObjectModel, call::Origin, tree::MANAGER};
use salono_kurento_model::{Error, ErrorCode, wire::Request};

/// The request that is being carried out.
#[derive(Debug)]
pub(crate) struct Current {
    /// Who gets the answer.
    pub(crate) origin: Origin,
    /// Number of the object that it names.
    object: Option<u64>,
    /// Objects from this number on were created by it.
    first_new: u64,
}

impl ObjectModel {
    /// Notes what a request is about, before anything of it is done.
    pub(crate) fn note_request(&mut self, origin: &Origin, request: &Request) {
        let id = match request {
            Request::Describe { object }
            | Request::Invoke { object, .. }
            | Request::Subscribe { object, .. }
            | Request::Unsubscribe { object, .. }
            | Request::Release { object }
            | Request::Ref { object }
            | Request::Unref { object } => Some(object),
            Request::Ping { .. }
            | Request::Connect
            | Request::Create { .. }
            | Request::KeepAlive
            | Request::CloseSession { .. }
            | Request::Transaction { .. } => None,
        };
        let object = id
            .and_then(|id| self.tree.by_id(id))
            .map(|object| object.key);
        self.current = Some(Current {
            origin: origin.clone(),
            object,
            first_new: self.tree.next_key(),
        });
    }

    /// Notes that an object is about to be changed by a report of the engine.
    pub(crate) fn note_object(&mut self, origin: Option<&Origin>, object: Option<u64>) {
        self.current = Some(Current {
            origin: origin.cloned().unwrap_or(Origin {
                connection: ConnectionKey(u64::MAX),
                session: None,
                id: None,
                step: false,
            }),
            object,
            first_new: self.tree.next_key(),
        });
    }

    /// Cleans up after one of the `handle_…` methods has panicked: gives up the objects that the
    /// request touched, answers it with -32603, and ends the connection's transactions.
    ///
    /// Call it once after each panic that was caught, then go on as after any input.
    pub fn handle_panic(&mut self, now: Now) {
        let Some(Current {
            origin,
            object,
            first_new,
        }) = self.current.take()
        else {
            return;
        };
        let connection = origin.connection;
        tracing::error!(
            connection = connection.0,
            ?object,
            "a request was given up because of a defect of this server"
        );
        let mut unanswered = Vec::new();
        if let Some(state) = self.connections.get_mut(&connection) {
            state.step_waits = false;
            let transactions = std::mem::take(&mut state.transactions);
            // The outermost is what the client waits for; those inside are its operations.
            unanswered.extend(transactions.into_iter().map(|it| it.into_origin()).next());
        }
        if !origin.step {
            unanswered.push(origin);
        }
        self.pending.forget_steps(connection);
        let in_flight = self.waiting_requests(connection);
        if let Some(state) = self.connections.get_mut(&connection) {
            state.in_flight = in_flight;
        }
        let touched = object
            .into_iter()
            .filter(|key| *key != MANAGER)
            .chain(self.tree.keys_from(first_new));
        for key in touched.collect::<Vec<u64>>() {
            self.destroy(key, now);
        }
        for origin in unanswered {
            let error = Error::new(
                ErrorCode::InternalError,
                "Unexpected error while processing method: the server has a defect; what the \
                 request touched is released",
            );
            self.finish(&origin, Err(error), now);
        }
        self.after_input(connection, now);
    }
}

/// For tests of what surrounds the model.
#[cfg(feature = "fault-injection")]
pub(crate) fn inject(config: &crate::Config, operation: &str) {
    assert!(
        config.panic_at.as_deref() != Some(operation),
        "a fault was injected"
    );
}

/// The same without faults.
#[cfg(not(feature = "fault-injection"))]
pub(crate) fn inject(_: &crate::Config, _: &str) {}
