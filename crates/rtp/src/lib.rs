//! RTP, RTCP and SRTP on the wire: headers, feedback, protection, continuity, without sockets or clocks.
//!
//! Everything here is computation on byte slices and small state; time is a `now` argument. Functions that run per
//! packet do not allocate, and no input makes any of them panic.

pub mod codec;
pub mod ext;
pub mod guard;
pub mod header;
pub mod layers;
pub mod munge;
pub mod rate;
pub mod recv;
pub mod red;
pub mod ring;
pub mod rtcp;
pub mod rtx;
pub mod send;
pub mod seq;
pub mod srtp;
pub mod time;
#[cfg(test)]
mod virtual_time;
mod wire;
