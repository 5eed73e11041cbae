//! Kurento's dialects of JSON-RPC 2.0: frames with limits, and text ⇄ typed messages.
//!
//! [`frame`] knows envelopes only. [`kurento`] is the dialect of media servers and their clients.
//! No sockets, no state: whoever owns a connection calls these functions per text.

pub mod frame;
pub mod kurento;
pub mod room;

pub use frame::Limits;
