//! Requests that an application adds to the room protocol.

use futures_util::future::BoxFuture;
use salono_room_sdk::{NotificationRoomManager, ParticipantId};
use salono_room_token::Grants;
use serde_json::{Map, Value};

/// What `customRequest` does. Kurento Room leaves it to applications, and so does this server: without
/// one, every such request fails.
pub trait CustomRequests: Send + Sync {
    /// Carries out one request of a session, which need not be in a room; `grants` is what it may do
    /// there, which only the application can relate to what it asks for. The answer is sent as it is;
    /// an error is a sentence that the client gets with the code -1.
    fn request<'a>(
        &'a self,
        manager: &'a NotificationRoomManager,
        participant: &'a ParticipantId,
        grants: Grants,
        params: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Map<String, Value>, String>>;

    /// A session has left its room, or ended: what was kept for it is of no use any more.
    fn left(&self, participant: &ParticipantId) {
        let _ = participant;
    }
}

/// Fails every request.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoCustomRequests;

impl CustomRequests for NoCustomRequests {
    fn request<'a>(
        &'a self,
        _manager: &'a NotificationRoomManager,
        _participant: &'a ParticipantId,
        _grants: Grants,
        _params: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Map<String, Value>, String>> {
        Box::pin(async { Err("this server has no custom requests".to_owned()) })
    }
}
