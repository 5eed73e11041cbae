//! WebRTC endpoints: negotiation, transports, data channels.

mod candidates;
mod data;
mod dcep;
mod endpoint;
mod negotiation;
mod srtp;
mod transport;

pub(crate) use data::DataEvent;
pub(crate) use endpoint::Endpoint;
pub(crate) use transport::{Path, dtls_config};
