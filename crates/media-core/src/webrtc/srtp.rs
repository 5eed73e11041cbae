//! The SRTP contexts of one transport.

use salono_rtp::srtp::{Opener, Profile, Sealer, SrtpError, split_keying_material};
use std::sync::Arc;

/// Keys of both directions, in the forms in which they are used.
pub(crate) struct Srtp {
    /// Opens what the peer sends.
    pub(crate) opener: Opener,
    /// Seals RTP. Shared, within the shard's one thread, by every stream that goes to this peer, so
    /// that the forwarding loop finds it beside the stream's other state.
    pub(crate) rtp: Arc<Sealer>,
    /// Seals RTCP; the only holder of the SRTCP index.
    pub(crate) rtcp: Sealer,
}

impl Srtp {
    /// From what the DTLS exporter gave (RFC 5764 §4.2).
    pub(super) fn new(profile: Profile, material: &[u8], client: bool) -> Result<Self, SrtpError> {
        let keys = split_keying_material(profile, material, client)?;
        Ok(Self {
            opener: Opener::new(&keys.remote)?,
            rtp: Arc::new(Sealer::new(&keys.local)?),
            rtcp: Sealer::new(&keys.local)?,
        })
    }
}
