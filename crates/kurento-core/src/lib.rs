//! The Kurento object model as a sans-IO state machine.
//!
//! [`ObjectModel`] owns sessions, the object tree, subscriptions and the state of every media
//! object. It takes messages of clients and reports of the media engine, and answers with
//! [`Effect`]s. No sockets, no clock, no threads: time comes in with every call, and one seed and
//! one sequence of inputs make one sequence of effects.
//!
//! What it is not: it parses no text (that is `salono-jsonrpc`) and touches no media; session
//! descriptions pass through as texts.

mod adaptation;
mod answer;
mod cache;
mod call;
mod config;
mod create;
mod dot;
mod element;
mod encoding;
mod endpoint;
mod engine;
mod failure;
mod filter;
mod hub;
mod ice;
mod invoke;
mod layout;
mod links;
mod manager;
mod mixing;
mod model;
mod negotiation;
mod notice;
mod object;
mod plugin;
mod processing;
mod random;
mod release;
mod request;
mod rtp;
mod rtp_base;
mod session;
mod speakers;
mod stats;
mod transaction;
mod tree;
mod upload;
mod uri;
mod usage;
mod waiting;

pub use config::UriDefaults;
pub use config::{Config, EndpointDefaults, Limits};
pub use create::is_available;
pub use manager::HostFacts;
pub use model::{ConnectionKey, Effect, Now, ObjectModel, ReadRequest, Timer};
pub use upload::{UploadKey, UploadOrder, UploadReport};
pub use usage::{Level, Usage};
