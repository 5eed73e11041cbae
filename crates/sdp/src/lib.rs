//! Session descriptions (RFC 8866, RFC 8829) as Kurento's clients write them: parse, answer, offer.
//!
//! Three steps, each a pure function of its arguments:
//!
//! 1. [`Description::parse`] reads what a peer sent, leniently and within [`Limits`].
//! 2. [`negotiate::answer`], [`negotiate::offer`] and [`negotiate::apply_answer`] (RFC 3264) turn
//!    descriptions plus a [`negotiate::Local`] into a [`negotiate::Negotiated`]: what to send, with
//!    which payload types, over which transports.
//! 3. `Display` of [`Description`] writes it with CRLF line ends, ready for the wire.
//!
//! The crate knows nothing of sockets, ICE agents or DTLS; it carries their parameters.
//!
//! # Why a line parser of its own
//!
//! Remote descriptions are munged by hand, cut off, glued together and sent by clients that are
//! ten years old. `sdp-types`, the usual parser, refuses a repeated `c=` or `i=` line, a malformed
//! `b=` and any line that is not `x=…`, and forgets line numbers once it has parsed, so that an
//! error in an attribute cannot be located. Only two things are errors here: a description that
//! does not begin with `v=0` and an `m=` line that cannot be read. Any other malformed line counts
//! as absent, and negotiation rejects the m-line that it was needed for.
//!
//! # Example
//!
//! ```
//! use salono_sdp::{Description, Limits, MediaKind};
//!
//! let text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=audio 9 RTP/SAVPF 0\r\n";
//! let description = Description::parse(text, &Limits::default())?;
//! assert_eq!(description.media[0].kind, MediaKind::Audio);
//! assert_eq!(description.media[0].codecs[0].name, "PCMU");
//! # Ok::<(), salono_sdp::ParseError>(())
//! ```

pub mod attribute;
mod codec;
mod description;
mod extension;
pub mod h264;
mod limits;
mod line;
pub mod negotiate;
mod parse;
mod write;

pub use attribute::{Direction, Fingerprint, HashFunction, IceCredentials, Setup};
pub use codec::{CodecKind, fmtp_value, red_primary};
pub use description::{Codec, Description, Media, MediaKind, Origin, TransportAttributes};
pub use extension::ExtensionKind;
pub use limits::Limits;
pub use parse::{Counted, ParseError};
