//! SRTP and SRTCP (RFC 3711, RFC 7714, RFC 6188): one [`Sealer`] for what goes out on a transport and one [`Opener`]
//! for what comes in.
//!
//! Keys are set up once; sealing and opening a packet neither allocates nor derives anything. Both work in place on
//! the caller's buffer. Keys are never derived again (key derivation rate 0, as DTLS-SRTP prescribes, RFC 5764 §4.1.2).
//!
//! ```
//! use salono_rtp::{header::Header, srtp};
//!
//! let profile = srtp::Profile::AeadAes128Gcm;
//! let material = [7; 2 * (16 + 12)]; // from the DTLS exporter
//! let client = srtp::split_keying_material(profile, &material, true)?;
//! let server = srtp::split_keying_material(profile, &material, false)?;
//!
//! let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, b'h', b'i'];
//! let plain_len = packet.len();
//! packet.resize(plain_len + srtp::MAX_RTP_OVERHEAD, 0);
//! let len = srtp::Sealer::new(&client.local)?.seal_rtp(0, 12, &mut packet, plain_len)?;
//! packet.truncate(len);
//!
//! let header = Header::parse(&packet).expect("an RTP packet");
//! let opened = srtp::Opener::new(&server.remote)?.open_rtp(&mut packet, &header)?;
//! assert_eq!(&packet[12..opened.plain_len], b"hi");
//! # Ok::<(), srtp::SrtpError>(())
//! ```

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod kdf;
mod opener;
mod profile;
mod replay;
mod sealer;
mod transform;
#[cfg(test)]
mod vectors;

pub use opener::{MAX_SOURCES, Opened, Opener};
pub use profile::{DirectionalKeys, MasterKey, Profile, split_keying_material};
pub use sealer::{RocSender, SOFT_LIMIT, Sealer};

/// The most bytes that [`Sealer::seal_rtp`] adds to a packet, over all profiles.
pub const MAX_RTP_OVERHEAD: usize = 16;

/// The most bytes that [`Sealer::seal_rtcp`] adds to a packet, over all profiles.
pub const MAX_RTCP_OVERHEAD: usize = 20;

/// Why a packet could not be protected, or was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SrtpError {
    /// Keying material of the wrong length for the profile.
    #[error("keying material has the wrong length for the profile")]
    KeyLength,
    /// The packet is too short to hold its header and tag.
    #[error("packet is too short for its header and tag")]
    Short,
    /// The buffer has no room for the tag.
    #[error("buffer has no room for the authentication tag")]
    BufferFull,
    /// The authentication tag does not match. The payload in the buffer may be overwritten.
    #[error("authentication failed")]
    Authentication,
    /// The packet was received before.
    #[error("packet was received before")]
    Replayed,
    /// The packet is older than the replay window.
    #[error("packet is older than the replay window")]
    TooOld,
    /// More sources than [`MAX_SOURCES`] send on this transport.
    #[error("too many sources on one transport")]
    TooManySources,
    /// The SRTCP index is used up (2³¹ packets); the session needs new keys.
    #[error("SRTCP index is used up")]
    KeyExhausted,
    /// The cryptographic library refused.
    #[error("cryptographic operation failed")]
    Crypto,
}
