//! A typed client of Kurento media servers, in process or over a WebSocket.
//!
//! A [`Client`] is one session with a media server: Salono's own object model over a pair of
//! queues ([`Client::from_channel`]), or any Kurento Media Server 6 or 7 behind a URL
//! ([`Client::connect`], feature `ws`). Both come with a [`Driver`] that the caller runs; the
//! crate spawns nothing.
//!
//! # Quick start
//!
//! A browser that sees itself, by way of the media server:
//!
//! ```no_run
//! use salono_kurento_client::{Client, MediaPipeline, WebRtcEndpoint};
//!
//! # async fn loopback(offer: &str) -> Result<(), Box<dyn std::error::Error>> {
//! let (client, driver) = Client::connect("ws://127.0.0.1:8888/kurento").await?;
//! tokio::spawn(driver.run());
//!
//! let pipeline = MediaPipeline::create(&client).await?;
//! let endpoint = WebRtcEndpoint::builder(&pipeline).use_data_channels(true).create().await?;
//! let mut candidates = endpoint.on_ice_candidate_found().await?;
//! endpoint.connect(&endpoint).await?;
//!
//! let answer = endpoint.process_offer(offer).await?;
//! endpoint.gather_candidates().await?;
//! while let Some(found) = candidates.recv().await {
//!     println!("{}", found?.candidate.candidate);
//! }
//! pipeline.release().await?;
//! # let _ = answer;
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` of the repository has whole programs, each with its page.
//!
//! # Objects
//!
//! Handles ([`MediaPipeline`], [`WebRtcEndpoint`], …), structs and enumerations ([`types`]) and
//! events ([`events`]) are generated from the module descriptors of Kurento 7. A handle
//! dereferences to the class that it extends, so a `&WebRtcEndpoint` is accepted where a
//! `&MediaElement` is asked for. Members and values that a newer server adds are passed over, or
//! kept as `Unknown`.
//!
//! Optional parameters of constructors are set on a builder; methods with optional parameters
//! have a sibling that takes them, as [`MediaElement::connect_with`]. Underneath are requests by
//! name ([`RemoteObject::invoke`], [`Client::create`]), for classes that were not known at compile
//! time.
//!
//! Dropping a handle releases nothing: [`RemoteObject::release`] does, and the end of the session,
//! which comes when the last clone of the client is gone.
//!
//! # Events
//!
//! `on_…` methods subscribe and answer a stream of one event of one object ([`Events`]); dropping
//! the stream ends the subscription. [`Client::events`] has everything of the session in order,
//! with what happens to the connection in between ([`SessionEvent`]).
//!
//! # Transactions
//!
//! Calls are values ([`Call`], [`Create`], [`Subscribe`]): awaited, they run at once; queued in a
//! [`Transaction`], they travel together, and objects that it creates can be used by the operations
//! after them. [`Client::transact`] builds and carries one out in a single step.
//!
//! # When the connection breaks
//!
//! The driver opens a lost WebSocket again, first after 100 ms, then after pauses that double up
//! to 10 s, and resumes the session. Objects, handles, subscriptions and streams stay what they
//! are; events that were raised in the meantime are lost. [`Config::on_disconnect`] chooses what
//! becomes of requests: they fail with [`Error::Disconnected`], or wait and are sent again.
//!
//! A server that was restarted, or that was away for longer than it keeps idle sessions (at least
//! four minutes), does not know the session any more. Then
//! [`SessionEvent::Reconnected`] says `same_session: false`, streams end, handles of the lost
//! session fail with [`Error::SessionLost`], and the client goes on with a new session:
//!
//! ```no_run
//! # use salono_kurento_client::{Client, SessionEvent};
//! # async fn watch(client: &Client) {
//! let mut session = client.events();
//! while let Some(event) = session.recv().await {
//!     match event {
//!         SessionEvent::Reconnected { same_session: false } => { /* build everything anew */ }
//!         SessionEvent::Reconnected { same_session: true } | SessionEvent::Disconnected => {}
//!         SessionEvent::Notification(_) | SessionEvent::Lagged(_) => {}
//!     }
//! }
//! # }
//! ```
//!
//! A `ping` in each [`Config::ping_interval`] finds connections that are dead without a word, and
//! keeps the session alive.
//!
//! # Errors
//!
//! [`Error::Server`] is the server's refusal, with its code ([`Error::code`]), its name for it
//! ([`Error::kind`]) and its text. All other errors come from this side. After
//! [`Error::Timeout`] and [`Error::Disconnected`] it is open whether the server has carried the
//! request out. Nothing is left behind by that: objects and subscriptions of requests that timed
//! out, and objects whose creation nobody waits for any more, are released when the server says
//! that it has made them; those of a connection that is lost for good live as long as the session.
//!
//! ```no_run
//! # use salono_kurento_client::{ErrorCode, WebRtcEndpoint};
//! # async fn offer(endpoint: &WebRtcEndpoint) -> Result<String, Box<dyn std::error::Error>> {
//! match endpoint.generate_offer().await {
//!     Err(error) if error.code() == Some(ErrorCode::SdpAlreadyNegotiated) => {
//!         Ok(endpoint.get_local_session_descriptor().await?)
//!     }
//!     other => Ok(other?),
//! }
//! # }
//! ```
//!
//! # Queues
//!
//! Nothing grows without bounds. Where a queue is full, either somebody waits or something is
//! dropped and counted:
//!
//! | what waits | at most | beyond it |
//! | --- | --- | --- |
//! | requests for the driver | [`WAITING_REQUESTS`] | callers wait |
//! | requests without an answer | [`UNANSWERED_REQUESTS`] | callers wait |
//! | events in one typed stream | [`OBJECT_EVENTS`] | new events are dropped; [`EventError::Lagged`] counts them |
//! | events of a session | [`SESSION_EVENTS`] | the oldest are dropped; [`SessionEvent::Lagged`] counts them |
//! | bytes of one message of the server | 16 MiB | the connection is given up and opened again |

mod args;
mod call;
mod client;
mod config;
mod driver;
mod error;
mod event;
mod link;
mod object;
mod transaction;
#[cfg(feature = "ws")]
mod ws;

#[path = "gen/core.rs"]
mod core_module;
#[path = "gen/elements.rs"]
mod elements_module;
#[path = "gen/filters.rs"]
mod filters_module;

#[path = "gen/chroma.rs"]
pub mod chroma;
#[path = "gen/crowddetector.rs"]
pub mod crowddetector;
#[path = "gen/datachannelexample.rs"]
pub mod datachannelexample;
#[path = "gen/gstreamerexample.rs"]
pub mod gstreamerexample;
#[path = "gen/markerdetector.rs"]
pub mod markerdetector;
#[path = "gen/opencvexample.rs"]
pub mod opencvexample;
#[path = "gen/platedetector.rs"]
pub mod platedetector;
#[path = "gen/pointerdetector.rs"]
pub mod pointerdetector;
#[path = "gen/salono.rs"]
pub mod salono;
#[path = "gen/videosampler.rs"]
pub mod videosampler;

pub use args::Args;
pub use call::{Call, Create, Subscribe};
pub use client::{Client, WAITING_REQUESTS};
pub use config::{Config, OnDisconnect};
pub use core_module::*;
pub use driver::{Driver, UNANSWERED_REQUESTS};
pub use elements_module::*;
pub use error::Error;
pub use event::{EventError, EventStream, Events, OBJECT_EVENTS, SESSION_EVENTS, SessionEvent};
pub use filters_module::*;
pub use object::{Description, RemoteObject};
pub use salono_kurento_model::{ErrorCode, Map, Value, events, types, wire};
#[cfg(feature = "ws")]
pub use salono_tls_trust::{Trust, TrustError};
pub use transaction::{Failure, Outcome, Queued, Transaction, TransactionError};
#[cfg(feature = "ws")]
pub use ws::ConnectError;

/// Id of the one object that every media server has.
const SERVER_MANAGER: &str = "manager_ServerManager";

impl Client {
    /// The media server itself: version, modules, load, and events about objects.
    #[must_use]
    pub fn server_manager(&self) -> ServerManager {
        // It outlives every session.
        RemoteObject::known(self, SERVER_MANAGER.to_owned(), args::Origin::Anywhere).into()
    }
}

/// The examples of the page of this crate.
#[cfg(all(doctest, feature = "ws"))]
#[doc = include_str!("../README.md")]
struct Readme;
