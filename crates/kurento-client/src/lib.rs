//! A typed Kurento client, in process or over a WebSocket.
//!
//! A [`Client`] is one session with a media server: Salono's own object model over a pair of
//! queues ([`Client::from_channel`]) or any Kurento Media Server behind a URL
//! ([`Client::connect`], feature `ws`). Both come with a [`Driver`] that the caller runs; the
//! crate spawns nothing.
//!
//! Typed handles ([`MediaPipeline`], [`WebRtcEndpoint`], …) are generated from the module
//! descriptors. A handle dereferences to the class that it extends, so a `&WebRtcEndpoint` is
//! accepted where a `&MediaElement` is asked for. Underneath are requests by name
//! ([`Client::invoke`]), for classes that were not known at compile time.
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
mod trust;
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
#[path = "gen/videosampler.rs"]
pub mod videosampler;

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
pub use transaction::{Failure, Outcome, Queued, Transaction, TransactionError};
#[cfg(feature = "ws")]
pub use trust::{Trust, TrustError};
#[cfg(feature = "ws")]
pub use ws::ConnectError;

pub(crate) use args::Args;

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
