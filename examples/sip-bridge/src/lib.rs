//! A telephone at the door of a pipeline: answers SIP calls (RFC 3261) over UDP with an
//! `RtpEndpoint` and lets the caller hear and see themselves.
//!
//! [`message`] reads requests and writes responses, [`bridge`] has the calls. What a call is
//! connected to is one function, [`bridge::answer`]: put a recorder, a room or the `WebRtcEndpoint`
//! of a browser there.

pub mod bridge;
pub mod message;

pub use bridge::Bridge;
