//! Offer and answer (RFC 3264) the way a Kurento `WebRtcEndpoint` does them, as pure functions.
//!
//! All audio and video m-lines are taken, and the first acceptable application m-line; everything
//! else is rejected with port 0 and its first format. Answers keep the offer's order of
//! codecs, payload types, extension identifiers, mids, groups and protocol words. Where this
//! differs from Kurento: an `actpass` offer is answered `passive`, because the DTLS server picks
//! the SRTP profile; `rtx`, `transport-cc`, simulcast and `msid` lines are negotiated; and offers
//! say `UDP/TLS/RTP/SAVPF`.

mod again;
mod answer;
mod apply;
mod feedback;
mod local;
mod media;
mod negotiated;
mod offer;
pub mod plain;
mod transport;

pub use again::{answer_again, apply_answer_again, offer_again};
pub use answer::answer;
pub use apply::apply_answer;
pub use feedback::Feedback;
pub use local::{Local, LocalCodec, LocalSctp, LocalSource, MAX_TRANSPORTS};
pub use negotiated::{
    DtlsRole, Negotiated, NegotiatedCodec, NegotiatedExtension, NegotiatedMedia, NegotiatedSctp,
    NegotiationError, Rejection, RemoteSource, TransportParams,
};
pub use offer::{OfferOptions, Offered, offer};
