//! The Kurento object model as a sans-IO state machine.
//!
//! [`ObjectModel`] owns sessions, the object tree, subscriptions and the state of every media
//! object. It takes messages of clients and reports of the media engine, and answers with
//! [`Effect`]s. No sockets, no clock, no threads: time comes in with every call, and one seed and
//! one sequence of inputs make one sequence of effects.
//!
//! What it is not: it parses no text (that is `salono-jsonrpc`) and touches no media; session
//! descriptions pass through as texts.

mod answer;
mod cache;
mod call;
mod config;
mod create;
mod dot;
mod element;
mod endpoint;
mod engine;
mod failure;
mod hub;
mod ice;
mod invoke;
mod links;
mod manager;
mod model;
mod negotiation;
mod notice;
mod object;
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
mod usage;

pub use config::{Config, EndpointDefaults, Limits};
pub use create::is_available;
pub use manager::HostFacts;
pub use model::{ConnectionKey, Effect, Now, ObjectModel, ReadRequest, Timer};
pub use usage::{Level, Usage};
