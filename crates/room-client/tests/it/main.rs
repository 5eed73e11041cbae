//! The client against the real room server over real WebSockets on the loopback interface, and
//! against servers that misbehave in ways that the real one does not.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "all of it is test code, in which a surprise is a failure"
)]

mod calls;
mod closing;
mod connections;
mod hostile;
mod moderation;
mod support;
mod tls;

/// The scripted media server of the room server's own tests.
#[allow(dead_code, reason = "not all of its orders are needed here")]
#[path = "../../../room-server/tests/it/support/kurento.rs"]
mod kurento;
