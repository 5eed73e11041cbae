//! The room dialect of JSON-RPC 2.0.
//!
//! Room clients (JavaScript, Java, Android, iOS) grew up with one server, and each relies on some
//! accident of it. This module speaks to them as that server does, and keeps the accidents in one
//! place:
//!
//! * [`parse`] reads frames as leniently as they are written: `jsonrpc` may be missing, ids may be
//!   numeric strings, whatever cannot be answered is dropped without a word.
//! * [`envelope`] writes replies and events with exactly the members that clients look for: the
//!   session id inside `result` or inside `error`, scalars wrapped in `value`.
//! * [`Hub`] is the state of all sockets and sessions: `ping` and its watchdog, `connect`,
//!   `closeSession`, one request of a session at a time, and sessions that outlive their socket for
//!   a while so that a client can come back.
//! * [`client`] is the other side: what a client writes, and how it reads the above.
//!
//! What the requests mean is not known here; the [`Hub`] hands them out as
//! [`Effect::Execute`] and takes replies by [`Hub::respond`]. No sockets, no clock: time is an
//! argument.

pub mod client;
pub mod envelope;
mod frame;
mod hub;
mod session;
mod timer;

pub use frame::{Call, Incoming, RequestId, Unusable, parse};
pub use hub::{Config, Counters, Effect, Hub, SocketId};
pub use session::SessionId;
pub use timer::Timer;

/// `error.code` when a frame is understood as a request but cannot be carried out as it stands.
pub const CODE_NOT_UNDERSTOOD: i32 = -1;

/// `error.code` when a cap of the server is reached; trying again later may succeed.
pub const CODE_OVERLOADED: i32 = -32000;

/// `error.code` when a session cannot be resumed, or belongs to another connection. Java clients
/// answer it by opening a new session.
pub const CODE_SESSION: i32 = 40007;
