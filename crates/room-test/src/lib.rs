//! A test kit for applications with video rooms: participants that nobody sits behind.
//!
//! A [`FakeParticipant`] joins a room of a running server over its WebSocket, publishes a film that it plays
//! again and again, and watches everybody else. Signalling is that of `salono-room-client`; media is that of
//! str0m, a WebRTC stack that has nothing to do with the server's. To the server and to browsers in the same
//! room it is a participant like any other.
//!
//! ```no_run
//! use std::time::Duration;
//! use salono_room_test::{FakeParticipant, Film, Options};
//!
//! # async fn example() -> Result<(), salono_room_test::FakeError> {
//! let options = Options::new("ws://127.0.0.1:8080/room", "tea");
//! let ann = FakeParticipant::join(&options, "ann").await?;
//! let bob = FakeParticipant::join(&options, "bob").await?;
//! ann.sees("bob", Duration::from_secs(10)).await?;
//! bob.sees("ann", Duration::from_secs(10)).await?;
//! ann.leave().await;
//! bob.leave().await;
//! # Ok(()) }
//! ```
//!
//! [`Crowd`] does that with many at once, [`joins`] measures how long joining takes, and the program
//! `salono-room-test` does both from a shell.

mod connection;
mod crowd;
mod film;
pub mod joins;
mod participant;

pub use connection::{MediaError, Seen};
pub use crowd::Crowd;
pub use film::{Film, FilmError};
pub use participant::{FakeError, FakeParticipant, Options};
