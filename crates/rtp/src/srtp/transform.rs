//! The transforms behind both directions: AES-GCM (RFC 7714) and AES-CM with HMAC-SHA1 (RFC 3711 §4).
//!
//! Each is set up once from session keys and then works in place with no allocation and no key schedule per packet.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::EncryptingKey;
use aws_lc_rs::{constant_time, hmac};

use super::kdf::{self, Protocol};
use super::{MasterKey, SrtpError};
use crate::wire;

/// Length of a GCM tag.
pub(super) const GCM_TAG_LEN: usize = 16;

/// The longest tag that AES-CM profiles cut from HMAC-SHA1.
const HMAC_TAG_MAX: usize = 10;

/// One protocol's transform in one direction.
pub(super) enum Transform {
    Gcm(Gcm),
    /// Boxed for its size: the hash and cipher states take 1.7 kB, GCM keeps its own on the heap.
    Cm(Box<Cm>),
    /// No protection: plain RTP (RFC 3550).
    Plain,
}

impl Transform {
    pub(super) fn new(master: &MasterKey, protocol: Protocol) -> Result<Self, SrtpError> {
        let keys = kdf::derive(master, protocol)?;
        let profile = master.profile();
        let cipher = keys
            .cipher
            .get(..profile.key_len())
            .ok_or(SrtpError::KeyLength)?;
        if profile.is_aead() {
            let algorithm = if cipher.len() == 16 {
                &AES_128_GCM
            } else {
                &AES_256_GCM
            };
            let unbound = UnboundKey::new(algorithm, cipher).map_err(|_| SrtpError::Crypto)?;
            let salt = *keys.salt.first_chunk().ok_or(SrtpError::KeyLength)?;
            return Ok(Self::Gcm(Gcm::from_parts(LessSafeKey::new(unbound), salt)));
        }
        let tag_len = match protocol {
            Protocol::Rtp => profile.rtp_tag_len(),
            Protocol::Rtcp => profile.rtcp_tag_len(),
        };
        Ok(Self::Cm(Box::new(Cm {
            cipher: kdf::counter_mode_key(cipher)?,
            salt: keys.salt,
            auth: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &keys.auth),
            tag_len,
        })))
    }
}

/// AES-GCM with its salt.
pub(super) struct Gcm {
    key: LessSafeKey,
    /// The low 96 bits; a nonce is made in registers.
    salt: u128,
}

impl Gcm {
    /// From session key and salt.
    pub(super) fn from_parts(key: LessSafeKey, salt: [u8; 12]) -> Self {
        let mut wide = [0; 16];
        for (byte, salt) in wide.iter_mut().skip(4).zip(salt) {
            *byte = salt;
        }
        Self {
            key,
            salt: u128::from_be_bytes(wide),
        }
    }

    /// IV of an RTP packet (RFC 7714 §8.1): `00 00 | SSRC | ROC | SEQ`, XOR salt.
    #[inline]
    pub(super) fn rtp_nonce(&self, ssrc: u32, roc: u32, seq: u16) -> Nonce {
        let index = (u64::from(roc) << 16) | u64::from(seq);
        self.nonce(ssrc, index)
    }

    /// IV of an RTCP packet (RFC 7714 §9.1): `00 00 | SSRC | 00 00 | index`, XOR salt.
    #[inline]
    pub(super) fn rtcp_nonce(&self, ssrc: u32, index: u32) -> Nonce {
        self.nonce(ssrc, u64::from(index & 0x7FFF_FFFF))
    }

    /// `index` has 48 bits.
    #[inline]
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let iv = (u128::from(ssrc) << 48) | u128::from(index);
        let [_, _, _, _, iv @ ..] = (iv ^ self.salt).to_be_bytes();
        Nonce::assume_unique_for_key(iv)
    }

    /// Encrypts `text` in place and writes the tag of `aad` and text to `tag`.
    pub(super) fn seal(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text: &mut [u8],
        tag: &mut [u8; GCM_TAG_LEN],
    ) -> Result<(), SrtpError> {
        self.key
            .seal_in_place_scatter(nonce, Aad::from(aad), text, &[], tag)
            .map_err(|_| SrtpError::Crypto)
    }

    /// Encrypts `plain` into `text`, which has the same length.
    pub(super) fn seal_from(
        &self,
        nonce: Nonce,
        aad: &[u8],
        plain: &[u8],
        text: &mut [u8],
        tag: &mut [u8; GCM_TAG_LEN],
    ) -> Result<(), SrtpError> {
        self.key
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plain, text, &[], tag)
            .map_err(|_| SrtpError::Crypto)
    }

    /// Verifies and decrypts `text_and_tag` in place.
    pub(super) fn open(
        &self,
        nonce: Nonce,
        aad: &[u8],
        text_and_tag: &mut [u8],
    ) -> Result<(), SrtpError> {
        self.key
            .open_in_place(nonce, Aad::from(aad), text_and_tag)
            .map(|_| ())
            .map_err(|_| SrtpError::Authentication)
    }
}

/// AES in counter mode and HMAC-SHA1.
pub(super) struct Cm {
    cipher: EncryptingKey,
    salt: [u8; 14],
    auth: hmac::Key,
    tag_len: usize,
}

impl Cm {
    /// Encrypts or decrypts the text of the packet with 48 bit `index` (RFC 3711 §4.1.1).
    pub(super) fn crypt(&self, ssrc: u32, index: u64, text: &mut [u8]) -> Result<(), SrtpError> {
        // IV = salt·2¹⁶ XOR SSRC·2⁶⁴ XOR index·2¹⁶: 14 bytes and a 16 bit block counter from zero.
        let [.., i0, i1, i2, i3, i4, i5] = index.to_be_bytes();
        let [s0, s1, s2, s3] = ssrc.to_be_bytes();
        let mut iv = [0, 0, 0, 0, s0, s1, s2, s3, i0, i1, i2, i3, i4, i5, 0, 0];
        iv.iter_mut()
            .zip(self.salt)
            .for_each(|(byte, salt)| *byte ^= salt);
        kdf::apply_key_stream(&self.cipher, iv, text)
    }

    /// The untruncated tag of `bytes`.
    fn full_tag(&self, bytes: &[u8]) -> Result<[u8; 20], SrtpError> {
        let mut tag = [0; 20];
        hmac::sign_to_buffer(&self.auth, bytes, &mut tag).map_err(|_| SrtpError::Crypto)?;
        Ok(tag)
    }

    /// Authenticates `buf[..len]` followed by `trailer`, which is not sent, and puts the tag at `buf[len..]`.
    ///
    /// The trailer is written where the tag goes, so that the hash runs over one piece: every tag is at least as
    /// long as the trailer, the four bytes of the rollover counter.
    pub(super) fn sign(
        &self,
        buf: &mut [u8],
        len: usize,
        trailer: &[u8],
    ) -> Result<usize, SrtpError> {
        let end = len.saturating_add(self.tag_len);
        if end > buf.len() {
            return Err(SrtpError::BufferFull);
        }
        wire::put(buf, len, trailer).ok_or(SrtpError::BufferFull)?;
        let signed = buf
            .get(..len.saturating_add(trailer.len()))
            .ok_or(SrtpError::BufferFull)?;
        let tag = self.full_tag(signed)?;
        let cut = tag.get(..self.tag_len).ok_or(SrtpError::Crypto)?;
        wire::put(buf, len, cut).ok_or(SrtpError::BufferFull)?;
        Ok(end)
    }

    /// Verifies the tag at the end of `packet`; returns the length before it. The packet is left as it was, up to
    /// the tag bytes on success.
    pub(super) fn verify(&self, packet: &mut [u8], trailer: &[u8]) -> Result<usize, SrtpError> {
        let len = packet
            .len()
            .checked_sub(self.tag_len)
            .ok_or(SrtpError::Short)?;
        let mut received = [0; HMAC_TAG_MAX];
        let received = received.get_mut(..self.tag_len).ok_or(SrtpError::Crypto)?;
        received.copy_from_slice(packet.get(len..).ok_or(SrtpError::Short)?);
        wire::put(packet, len, trailer).ok_or(SrtpError::Short)?;
        let signed = packet
            .get(..len.saturating_add(trailer.len()))
            .ok_or(SrtpError::Short)?;
        let tag = self.full_tag(signed)?;
        let expected = tag.get(..self.tag_len).ok_or(SrtpError::Crypto)?;
        if constant_time::verify_slices_are_equal(expected, received).is_err() {
            wire::put(packet, len, received).ok_or(SrtpError::Short)?;
            return Err(SrtpError::Authentication);
        }
        Ok(len)
    }
}
