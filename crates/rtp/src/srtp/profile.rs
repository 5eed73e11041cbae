//! Protection profiles and the split of DTLS keying material into master keys (RFC 5764 §4.2).

use super::SrtpError;

/// A protection profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// AEAD_AES_128_GCM (RFC 7714): the cheapest one here, and preferred.
    AeadAes128Gcm,
    /// AEAD_AES_256_GCM (RFC 7714).
    AeadAes256Gcm,
    /// AES_CM_128_HMAC_SHA1_80 (RFC 3711).
    Aes128CmSha1_80,
    /// AES_CM_128_HMAC_SHA1_32 (RFC 3711); RTCP keeps an 80 bit tag.
    Aes128CmSha1_32,
    /// AES_256_CM_HMAC_SHA1_80 (RFC 6188), for SDES only.
    Aes256CmSha1_80,
    /// AES_256_CM_HMAC_SHA1_32 (RFC 6188), for SDES only.
    Aes256CmSha1_32,
}

impl Profile {
    /// Every profile, preferred ones first.
    pub const ALL: [Self; 6] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::Aes128CmSha1_80,
        Self::Aes128CmSha1_32,
        Self::Aes256CmSha1_80,
        Self::Aes256CmSha1_32,
    ];

    /// The identifier in the DTLS `use_srtp` extension; `None` for profiles that exist in SDES only.
    pub const fn dtls_id(self) -> Option<u16> {
        match self {
            Self::Aes128CmSha1_80 => Some(0x0001),
            Self::Aes128CmSha1_32 => Some(0x0002),
            Self::AeadAes128Gcm => Some(0x0007),
            Self::AeadAes256Gcm => Some(0x0008),
            Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 => None,
        }
    }

    /// The profile that a DTLS `use_srtp` identifier names.
    pub fn from_dtls_id(id: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.dtls_id() == Some(id))
    }

    /// The crypto suite name in SDP (RFC 4568, RFC 6188, RFC 7714).
    pub const fn sdes_name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::Aes128CmSha1_32 => "AES_CM_128_HMAC_SHA1_32",
            Self::Aes256CmSha1_80 => "AES_256_CM_HMAC_SHA1_80",
            Self::Aes256CmSha1_32 => "AES_256_CM_HMAC_SHA1_32",
        }
    }

    /// The profile that an SDP crypto suite names.
    pub fn from_sdes_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.sdes_name() == name)
    }

    /// Length of the master key in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 16,
            Self::AeadAes256Gcm | Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 => 32,
        }
    }

    /// Length of the master salt in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80
            | Self::Aes128CmSha1_32
            | Self::Aes256CmSha1_80
            | Self::Aes256CmSha1_32 => 14,
        }
    }

    /// Length of the DTLS keying material to export: two keys and two salts (RFC 5764 §4.2).
    pub const fn keying_material_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm => 56,
            Self::AeadAes256Gcm => 88,
            Self::Aes128CmSha1_80 | Self::Aes128CmSha1_32 => 60,
            Self::Aes256CmSha1_80 | Self::Aes256CmSha1_32 => 92,
        }
    }

    /// Bytes that protection adds to an RTP packet.
    pub const fn rtp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            Self::Aes128CmSha1_80 | Self::Aes256CmSha1_80 => 10,
            Self::Aes128CmSha1_32 | Self::Aes256CmSha1_32 => 4,
        }
    }

    /// Length of the tag of an RTCP packet; protection adds four bytes of index to it.
    pub const fn rtcp_tag_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 16,
            // RFC 5764 §4.1.2: the short tag is for RTP only.
            Self::Aes128CmSha1_80
            | Self::Aes256CmSha1_80
            | Self::Aes128CmSha1_32
            | Self::Aes256CmSha1_32 => 10,
        }
    }

    /// Whether encryption and authentication are one AEAD transform.
    pub(super) const fn is_aead(self) -> bool {
        matches!(self, Self::AeadAes128Gcm | Self::AeadAes256Gcm)
    }
}

/// Master key and salt of one direction.
#[derive(Clone)]
pub struct MasterKey {
    profile: Profile,
    key: [u8; 32],
    salt: [u8; 14],
}

impl MasterKey {
    /// From key and salt, whose lengths must be those of the profile.
    pub fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Result<Self, SrtpError> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return Err(SrtpError::KeyLength);
        }
        // A 96 bit salt is extended by 16 zero bits (RFC 7714 §11).
        let mut master = Self {
            profile,
            key: [0; 32],
            salt: [0; 14],
        };
        master
            .key
            .get_mut(..key.len())
            .ok_or(SrtpError::KeyLength)?
            .copy_from_slice(key);
        master
            .salt
            .get_mut(..salt.len())
            .ok_or(SrtpError::KeyLength)?
            .copy_from_slice(salt);
        Ok(master)
    }

    /// From key and salt in one piece, as the `inline:` parameter of SDES has them (RFC 4568 §6.1).
    pub fn from_concatenated(profile: Profile, key_and_salt: &[u8]) -> Result<Self, SrtpError> {
        let (key, salt) = key_and_salt
            .split_at_checked(profile.key_len())
            .ok_or(SrtpError::KeyLength)?;
        Self::new(profile, key, salt)
    }

    /// The profile that the key is for.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn key(&self) -> &[u8] {
        self.key.get(..self.profile.key_len()).unwrap_or(&[])
    }

    pub(super) const fn salt(&self) -> &[u8; 14] {
        &self.salt
    }
}

impl std::fmt::Debug for MasterKey {
    /// Never shows key bytes.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKey")
            .field("profile", &self.profile)
            .finish_non_exhaustive()
    }
}

/// Master keys of both directions.
#[derive(Debug, Clone)]
pub struct DirectionalKeys {
    /// For what we send.
    pub local: MasterKey,
    /// For what the peer sends.
    pub remote: MasterKey,
}

/// Splits what the DTLS exporter `EXTRACTOR-dtls_srtp` gave: client key, server key, client salt, server salt
/// (RFC 5764 §4.2). `is_client` says that this side was the DTLS client. More bytes than needed are ignored.
///
/// # Errors
/// [`SrtpError::KeyLength`] when `material` is too short for `profile`.
pub fn split_keying_material(
    profile: Profile,
    material: &[u8],
    is_client: bool,
) -> Result<DirectionalKeys, SrtpError> {
    let take = |bytes, len| <[u8]>::split_at_checked(bytes, len).ok_or(SrtpError::KeyLength);
    let (client_key, rest) = take(material, profile.key_len())?;
    let (server_key, rest) = take(rest, profile.key_len())?;
    let (client_salt, rest) = take(rest, profile.salt_len())?;
    let (server_salt, _) = take(rest, profile.salt_len())?;
    let client = MasterKey::new(profile, client_key, client_salt)?;
    let server = MasterKey::new(profile, server_key, server_salt)?;
    Ok(if is_client {
        DirectionalKeys {
            local: client,
            remote: server,
        }
    } else {
        DirectionalKeys {
            local: server,
            remote: client,
        }
    })
}
