//! The client of rooms for Kotlin and Swift.
//!
//! [`salono_room_client`] as UniFFI can carry it to other languages: objects, records and
//! enumerations without generics, JSON as text, one asynchronous call per request and one for the
//! next event. `cargo xtask bindings` makes the sources in `clients/android` and `clients/ios` of
//! this crate; what is more idiomatic in either language is written by hand there, beside them.
//!
//! Requests run on a thread that UniFFI keeps for Tokio; programs bring no runtime. Documentation
//! comments reach the generated sources, so they speak to readers of those.

#![allow(unsafe_code, reason = "the generated scaffolding speaks C")]

mod client;
mod error;
mod event;
mod options;

pub use client::{Candidate, RoomClient, StreamRef, VideoPreference};
pub use error::RoomError;
pub use event::{AudioLevel, RoomEvent};
pub use options::{ClientOptions, Grants, JoinOptions, Joined, Peer, ServerTrust};

uniffi::setup_scaffolding!();
