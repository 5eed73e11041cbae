//! WebRTC endpoints: negotiation, transports, data channels.

mod candidates;
mod data;
mod dcep;
mod dtls;
mod endpoint;
mod negotiation;
mod srtp;
mod transport;

pub(crate) use data::{DataChannels, DataEvent};
pub(crate) use dtls::context as dtls_context;
pub(crate) use endpoint::{Changes, Endpoint};
pub(crate) use negotiation::LocalSsrcs;
pub(crate) use srtp::Srtp;
pub(crate) use transport::Path;
