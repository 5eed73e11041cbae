//! The room server as its clients meet it: over real WebSockets and HTTP on the loopback
//! interface, or within the process where time has to pass. Its media server is scripted.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "all of it is test code, in which a surprise is a failure"
)]

mod admin;
mod garbage;
mod server;
mod support;
mod transcripts;
