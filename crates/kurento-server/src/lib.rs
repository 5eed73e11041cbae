//! Serves the Kurento Protocol: owns the object model, joins clients to the media engine.
//!
//! ```text
//! in-process clients ─┐                    ┌─▶ media engine (bounded queue per shard)
//!                     ├─▶ control task ────┤
//! WebSocket clients ──┘   (ObjectModel)    └─◀ reports of the media engine
//! ```
//!
//! [`Server::new`] returns a handle and the control task's future; whoever calls it decides where it
//! runs. The control task never waits for a client: one that does not take its messages loses its
//! connection, and its session stays to be resumed.

mod control;
mod graph;
mod handshake;
mod host;
mod listener;
mod registrar;
mod submit;
mod uploads;

pub use control::{Config, Counts, Server, ServerClosed, ServerHandle};
pub use listener::{ListenerConfig, serve_listener, serve_tls_listener};
pub use registrar::{RegistrarConfig, keep_registered};
pub use salono_kurento_core::{Config as ModelConfig, EndpointDefaults, UriDefaults, is_available};
pub use uploads::UploadConfig;
