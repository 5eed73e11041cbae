//! The room protocol over WebSocket and REST as an axum router.
//!
//! [`RoomServer`] serves Kurento Room's protocol to browsers and apps: a WebSocket at `/room`, the
//! REST resources of the original, and whatever static pages it is given. It drives any Kurento
//! media server through the room SDK; which one, a
//! [`KurentoClientProvider`](salono_room_sdk::KurentoClientProvider) decides.
//!
//! ```text
//!  socket ──frame──▶ Exchange (sessions, queues) ──request──▶ dispatch ──▶ NotificationRoomManager
//!    ▲                   │  one lock, held for microseconds                        │
//!    └──bounded outbox───┘◀──────────── replies and events, in order ──────────────┘
//! ```
//!
//! ```no_run
//! # async fn example(provider: std::sync::Arc<dyn salono_room_sdk::KurentoClientProvider>)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use salono_room_server::{RoomServer, RoomServerConfig, StaticFiles, router};
//!
//! let server = RoomServer::start(RoomServerConfig::default(), provider);
//! let app = router(&server, StaticFiles::default());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! axum::serve(listener, app).await?;
//! server.shutdown().await;
//! # Ok(()) }
//! ```

mod access;
mod config;
mod custom;
mod dispatch;
mod exchange;
mod members;
mod metrics;
mod moderation;
mod notifier;
mod outbox;
mod policy;
mod server;
mod socket;
mod web;

pub use access::{Access, KeySource};
pub use config::{AdminToken, ClientConfig, OriginPolicy, RoomServerConfig};
pub use custom::{CustomRequests, NoCustomRequests};
pub use metrics::RoomServerMetrics;
pub use policy::Policy;
pub use salono_jsonrpc::room::Config as SessionConfig;
pub use salono_room_token::{Grants, KeySet};
pub use server::RoomServer;
pub use web::{DEFAULT_CONTENT_SECURITY_POLICY, StaticFile, StaticFiles, router};
