//! Shard threads, UDP sockets and timers around `media-core`.
//!
//! [`Engine::start`] binds one UDP port per shard (on every local address) and runs each
//! [`Shard`](salono_media_core::Shard) on a thread of its own; [`EngineHandle`] carries commands to
//! the shard that owns their pipeline. The threads know no async runtime and take no lock on the
//! way of a packet:
//!
//! ```text
//! wait ─▶ receive a batch ─▶ decrypt, queue ─▶ forward into one arena ─▶ send ─▶ again, bounded
//!   ▲                                                                             │
//!   └── publish metrics ◀── events out ◀── send ◀── timers due ◀── some commands ◀┘
//! ```
//!
//! Queues: commands are lossless and bounded (the caller sees "full"), events wait bounded and are
//! then dropped and counted, datagrams are never waited for. A panic in a shard costs what it was
//! doing; a shard that keeps panicking is restarted empty and its elements are reported failed.
//!
//! Runs on Linux.

mod bind;
mod config;
mod core;
mod engine;
mod lookup;
mod mailbox;
mod network;
pub mod os;
mod outbox;
mod placement;
mod roster;
pub mod udp;
mod worker;

pub use bind::StartError;
pub use config::EngineConfig;
pub use engine::{Engine, EngineHandle};
