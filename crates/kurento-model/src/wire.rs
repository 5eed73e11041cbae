//! Seam A: what a client says to the object model and hears back.
//!
//! A client in the same process and a client behind a WebSocket speak the same values: two bounded
//! queues, one of [`ClientMessage`] and one of [`ServerMessage`]. Only the WebSocket shell turns
//! them into text. Shapes follow the Kurento Protocol (JSON-RPC 2.0 with a `sessionId`).

use crate::Error;
pub use serde_json::{Map, Value};

/// The identifier of a request, echoed with the JSON type it came in (number or string).
///
/// `None` marks a JSON-RPC notification: the request runs and its answer is an error that says so.
pub type RequestId = Option<Value>;

/// One request on its way to the object model.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientMessage {
    /// Echoed in the [`ServerMessage::Response`].
    pub id: RequestId,
    /// `params.sessionId`; `None` selects the session that the connection used last.
    pub session: Option<String>,
    /// What is asked.
    pub request: Request,
}

/// What the object model sends to a client, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// The answer to one request.
    Response {
        /// Identifier of the request.
        id: RequestId,
        /// The whole `result` member (an object with `value` and `sessionId`, or `null`), or the error.
        result: Result<Value, Error>,
    },
    /// An event of an object that the session subscribed to (`onEvent`).
    Event(Notification),
}

/// One event as a subscriber receives it: `params.value` of `onEvent`.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// Id of the object that raised the event.
    pub object: String,
    /// Event name, for example `IceCandidateFound`.
    pub event: String,
    /// Event members: always `source`, `tags`, `timestampMillis`, and `type` for media events.
    pub data: Map<String, Value>,
}

/// The methods of the Kurento Protocol with their own parameters (`sessionId` apart).
///
/// Parameters that only the class descriptors can judge stay JSON values.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Opens a session, or resumes the one named in [`ClientMessage::session`].
    Connect,
    /// Keep-alive of the connection; creates no session.
    Ping {
        /// How long until the next one, in milliseconds; servers make no use of it.
        interval_ms: Option<u64>,
    },
    /// Creates a media object.
    Create {
        /// Simple or qualified class name.
        class: String,
        /// `constructorParams`, unchecked.
        params: Option<Value>,
    },
    /// Names the class of an object and its ancestors.
    Describe {
        /// Object id.
        object: String,
    },
    /// Calls a method or a property accessor.
    Invoke {
        /// Object id.
        object: String,
        /// Method name, `get<Property>` or `set<Property>`.
        operation: String,
        /// `operationParams`, unchecked.
        params: Option<Value>,
    },
    /// Asks for the events of one type of one object.
    Subscribe {
        /// Object id.
        object: String,
        /// Event name.
        event: String,
    },
    /// Ends a subscription.
    Unsubscribe {
        /// Object id.
        object: String,
        /// What `subscribe` returned.
        subscription: String,
    },
    /// Destroys an object and its children for every session.
    Release {
        /// Object id.
        object: String,
    },
    /// Adds this session's reference to an object.
    Ref {
        /// Object id.
        object: String,
    },
    /// Drops this session's reference to an object.
    Unref {
        /// Object id.
        object: String,
    },
    /// Marks the session as in use.
    KeepAlive,
    /// Ends the session.
    CloseSession {
        /// Destroy the session's objects for everybody instead of dropping its references.
        release: bool,
    },
    /// Several operations in order, with `newref:N` standing for results of earlier ones.
    Transaction {
        /// Raw JSON-RPC requests, checked one by one.
        operations: Vec<Value>,
    },
}
