//! The dialect between media servers and their clients (Kurento Protocol).
//!
//! Server side: [`decode_request`] and [`encode_message`]. Client side: [`encode_request`] and
//! [`parse_incoming`]. Scalars are read as leniently as Kurento reads them: a string parameter also
//! takes numbers, booleans and `null`. Unknown members are ignored everywhere.

mod client;
mod server;
#[cfg(test)]
mod tests;

pub use client::{Incoming, encode_operation, encode_request, parse_incoming};
pub use server::{decode_request, encode_message, error_object, read_operation, request};

/// Name of the only notification that a server sends.
const ON_EVENT: &str = "onEvent";
