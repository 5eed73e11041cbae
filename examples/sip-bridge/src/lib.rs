//! A telephone exchange at the door of a pipeline: answers SIP calls (RFC 3261) over UDP with an
//! `RtpEndpoint`, and connects each caller with a browser that has the page open: an `RtpEndpoint`
//! and a `WebRtcEndpoint`, connected both ways. While no page is open callers hear themselves.
//!
//! [`message`] reads requests and writes messages, [`bridge`] has the calls, [`desk`] the pages, and
//! [`media`] what the media server does for a call. That is the place to change what callers get: put
//! a recorder or a room there.

pub mod bridge;
mod call;
pub mod desk;
pub mod media;
pub mod message;

pub use bridge::Bridge;
pub use desk::Desk;
