//! The SRTP contexts of one transport.

use dimpl::SrtpProfile;
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
    pub(super) fn new(
        profile: SrtpProfile,
        material: &[u8],
        client: bool,
    ) -> Result<Self, SrtpError> {
        let profile = match profile {
            SrtpProfile::AES128_CM_SHA1_80 => Profile::Aes128CmSha1_80,
            SrtpProfile::AEAD_AES_128_GCM => Profile::AeadAes128Gcm,
            SrtpProfile::AEAD_AES_256_GCM => Profile::AeadAes256Gcm,
            // Of a newer library; nothing here offers it.
            _ => return Err(SrtpError::Crypto),
        };
        let keys = split_keying_material(profile, material, client)?;
        Ok(Self {
            opener: Opener::new(&keys.remote)?,
            rtp: Arc::new(Sealer::new(&keys.local)?),
            rtcp: Sealer::new(&keys.local)?,
        })
    }
}
