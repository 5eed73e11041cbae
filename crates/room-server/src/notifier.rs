//! How the rooms reach their clients: replies and events from the room SDK to sessions.

use std::sync::Weak;

use salono_jsonrpc::room::envelope::Failure;
use salono_jsonrpc::room::{Hub, RequestId, SessionId};
use salono_room_proto::Notification;
use salono_room_sdk::{ParticipantId, ParticipantRequest, RoomError, UserNotificationService};
use serde_json::{Map, Value};

use crate::server::Shared;

/// Knows participants by their session: both have the same id.
pub(crate) struct Notifier(Weak<Shared>);

impl Notifier {
    /// Reports to the server while there is one.
    pub(crate) fn new(server: Weak<Shared>) -> Self {
        Self(server)
    }

    /// Only a join is answered with a list; who joined may be told more.
    fn with_greeting(&self, session: &SessionId, result: Value) -> Value {
        let (Value::Array(_), Some(server)) = (&result, self.0.upgrade()) else {
            return result;
        };
        let mut greeting = server.members.joined(session);
        if greeting.is_empty() {
            return result;
        }
        greeting.insert("value".into(), result);
        Value::Object(greeting)
    }

    fn drive<R>(&self, change: impl FnOnce(&mut Hub, std::time::Instant) -> R) {
        if let Some(server) = self.0.upgrade() {
            server.drive(change);
        }
    }
}

impl UserNotificationService for Notifier {
    fn send_response(&self, request: &ParticipantRequest, result: Value) {
        if let Some((session, id)) = address(request) {
            let result = self.with_greeting(&session, result);
            self.drive(|hub, _| hub.respond(&session, id, &result));
        }
    }

    fn send_error_response(
        &self,
        request: &ParticipantRequest,
        _: Option<Value>,
        error: &RoomError,
    ) {
        if let Some((session, id)) = address(request) {
            let failure = Failure::refused(error.code.number(), error.message.as_str());
            self.drive(|hub, _| hub.refuse(&session, id, &failure));
        }
    }

    fn send_notification(
        &self,
        participant: &ParticipantId,
        method: &str,
        params: Map<String, Value>,
    ) {
        let session = SessionId::from(participant.as_str());
        let params = Value::Object(params);
        self.drive(|hub, _| match Notification::parse(method, Some(&params)) {
            // Written from its type, so that members have their customary order.
            Ok(event) => hub.notify(&session, event.method(), &event),
            Err(_) => hub.notify(&session, method, &params),
        });
    }

    fn close_session(&self, request: &ParticipantRequest) {
        let session = SessionId::from(request.participant_id.as_str());
        self.drive(|hub, now| hub.hang_up(&session, now));
    }
}

/// Where the reply to a request goes.
fn address(request: &ParticipantRequest) -> Option<(SessionId, RequestId)> {
    let id = request.request_id.as_deref()?.parse().ok()?;
    Some((
        SessionId::from(request.participant_id.as_str()),
        RequestId(id),
    ))
}
