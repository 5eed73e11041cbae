//! Shard threads, sockets and timers around `media-core`.
//!
//! [`Engine::start`] binds one UDP port per shard (on every local address), listens beside it for
//! ICE over TCP, and runs each
//! [`Shard`](salono_media_core::Shard) on a thread of its own; [`EngineHandle`] carries commands to
//! the shard that has the element, or to every shard that has a part of the pipeline. The threads
//! know no async runtime and take no lock on the way of a packet:
//!
//! ```text
//! wait ─▶ receive a batch ─▶ decrypt, queue ─▶ forward into one arena ─▶ send ─▶ again, bounded
//!   ▲                                                                             │
//!   └── publish metrics ◀── events out ◀── send ◀── timers due ◀── some commands ◀┘
//! ```
//!
//! Sockets that a shard asks for, among them TCP and TLS streams, are served in the same loop. What
//! only blocking calls can do, such as looking up a name, is done by threads beside it.
//!
//! Media processors are child processes, which a thread beside the shards starts and looks after; what
//! goes between them and a shard as media takes a socket of its own in the same loop.
//!
//! Packets for receivers on another shard go there by a ring per pair of shards; whoever sleeps is
//! woken once per batch.
//!
//! Queues: commands are lossless and bounded (the caller sees "full"), events wait bounded and are
//! then dropped and counted, datagrams are never waited for, and what a TCP connection does not take
//! waits bounded and is then dropped and counted. A panic in a shard costs what it was doing; a shard
//! that keeps panicking is restarted empty and its elements are reported failed.
//!
//! Runs on Linux.

mod bind;
mod config;
mod core;
mod engine;
mod links;
mod lookup;
mod mailbox;
mod network;
pub mod os;
mod outbox;
pub mod processors;
mod roster;
pub mod udp;
mod worker;

pub use bind::StartError;
pub use config::EngineConfig;
pub use engine::{Engine, EngineHandle};
