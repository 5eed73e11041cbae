//! RTP endpoints: plain RTP, and SRTP with keys in the description, without ICE and DTLS.
//!
//! Each accepted m-line has a pair of ports of its own, RTP on the even one and RTCP on the next.

mod address;
mod endpoint;
mod line;
mod sockets;

pub(crate) use endpoint::{Endpoint, Finished};
pub(crate) use sockets::{Component, Sockets};
