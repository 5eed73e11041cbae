//! What happens without having been asked for.

use salono_room_proto::Notification;
use serde_json::Value;

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The server says something about the room.
    Notification(Notification),
    /// The server says what this version does not know, or knows in another shape.
    Unknown {
        /// The event's name.
        method: String,
        /// What it says.
        params: Option<Value>,
    },
    /// The connection was lost; the client tries to open it again. The place in the room is kept
    /// for some seconds, and media flows on by its own connections.
    Disconnected,
    /// The connection is there again.
    Reconnected {
        /// Whether the client is still in its room: what happened meanwhile follows as if nothing
        /// had been. Otherwise it has to join and to publish anew.
        resumed: bool,
    },
    /// This many events are gone, because the application was too slow
    /// ([`Overflow`](crate::Overflow)), or was away for longer than the server could keep them. Who
    /// needs to know everything leaves and joins anew.
    Missed(u64),
}
