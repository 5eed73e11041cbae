//! Protection of what goes out.

use super::kdf::Protocol;
use super::transform::{GCM_TAG_LEN, Transform};
use super::{MasterKey, Profile, SrtpError};
use crate::seq::ExtSeq;
use crate::wire;

/// The E bit of the SRTCP trailer: the packet is encrypted (RFC 3711 §3.4).
const ENCRYPTED: u32 = 0x8000_0000;

/// Packets that a key is good for when [`Sealer::is_near_limit`] begins to say so.
pub const SOFT_LIMIT: u32 = 0x1_0000;

/// Where the encrypted part of an RTCP packet begins: after header word and sender SSRC.
const RTCP_CLEAR_LEN: usize = 8;

/// Protects all streams of one transport in the sending direction.
///
/// RTP needs `&self` only: the state per source is the rollover counter, which the caller holds (see [`RocSender`]).
///
/// **A sequence number must never be sealed twice with different bytes**: with GCM this would reveal the
/// authentication key, with AES-CM the XOR of the payloads. A retransmission on the original SSRC is the same header,
/// extensions included, and the same payload, or it goes by RTX (RFC 4588) with a number of its own.
pub struct Sealer {
    /// Absent for plain RTP.
    profile: Option<Profile>,
    rtp: Transform,
    rtcp: Transform,
    /// Index of the next SRTCP packet, below 2³¹. One counter serves all SSRCs.
    rtcp_index: u32,
}

impl Sealer {
    /// Sets up the session keys.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            profile: Some(master.profile()),
            rtp: Transform::new(master, Protocol::Rtp)?,
            rtcp: Transform::new(master, Protocol::Rtcp)?,
            rtcp_index: 0,
        })
    }

    /// Protects nothing: packets go out as they are (RFC 3550).
    pub const fn plain() -> Self {
        Self {
            profile: None,
            rtp: Transform::Plain,
            rtcp: Transform::Plain,
            rtcp_index: 0,
        }
    }

    /// Whether the keys are used up but for [`SOFT_LIMIT`] packets, so that new ones should be agreed on. Only SRTCP
    /// comes near its limit of 2³¹ packets; that of SRTP is 2⁴⁸ (RFC 3711 §9.2).
    pub const fn is_near_limit(&self) -> bool {
        self.rtcp_index >= ENCRYPTED.saturating_sub(SOFT_LIMIT)
    }

    /// RTCP packets that were protected with these keys.
    pub const fn rtcp_packets(&self) -> u32 {
        self.rtcp_index
    }

    /// Protects the RTCP compound packet `buf[..plain_len]` in place; returns its new length.
    ///
    /// # Errors
    /// [`SrtpError::BufferFull`] without [`MAX_RTCP_OVERHEAD`](super::MAX_RTCP_OVERHEAD) bytes of room,
    /// [`SrtpError::Short`] below 8 bytes, [`SrtpError::KeyExhausted`] after 2³¹ packets.
    pub fn seal_rtcp(&mut self, buf: &mut [u8], plain_len: usize) -> Result<usize, SrtpError> {
        let Some(profile) = self.profile else {
            return if plain_len <= buf.len() {
                Ok(plain_len)
            } else {
                Err(SrtpError::BufferFull)
            };
        };
        let tag_len = profile.rtcp_tag_len();
        let total = plain_len.saturating_add(tag_len).saturating_add(4);
        if buf.len() < total {
            return Err(SrtpError::BufferFull);
        }
        let index = self.rtcp_index;
        if index & ENCRYPTED != 0 {
            return Err(SrtpError::KeyExhausted);
        }
        let ssrc = wire::u32_at(buf, 4).ok_or(SrtpError::Short)?;
        let trailer = (ENCRYPTED | index).to_be_bytes();
        let plain = buf.get_mut(..plain_len).ok_or(SrtpError::BufferFull)?;
        let (clear, text) = plain
            .split_at_mut_checked(RTCP_CLEAR_LEN)
            .ok_or(SrtpError::Short)?;
        // Taken even if sealing fails below: a gap costs nothing, a number used twice would.
        self.rtcp_index = index.wrapping_add(1);
        match &self.rtcp {
            Transform::Gcm(gcm) => {
                let aad = rtcp_aad(clear, trailer)?;
                let mut tag = [0; GCM_TAG_LEN];
                gcm.seal(gcm.rtcp_nonce(ssrc, index), &aad, text, &mut tag)?;
                let at = plain_len.saturating_add(GCM_TAG_LEN);
                wire::put(buf, plain_len, &tag).ok_or(SrtpError::BufferFull)?;
                wire::put(buf, at, &trailer).ok_or(SrtpError::BufferFull)?;
                Ok(total)
            }
            Transform::Cm(cm) => {
                cm.crypt(ssrc, u64::from(index), text)?;
                wire::put(buf, plain_len, &trailer).ok_or(SrtpError::BufferFull)?;
                cm.sign(buf, plain_len.saturating_add(4), &[])
            }
            Transform::Plain => Ok(plain_len),
        }
    }

    /// Protects the RTP packet `buf[..plain_len]` in place, whose header (extensions included) is `header_len` bytes;
    /// returns its new length. `roc` is the rollover counter of its SSRC.
    ///
    /// # Errors
    /// [`SrtpError::BufferFull`] without [`Profile::rtp_tag_len`] bytes of room after the packet,
    /// [`SrtpError::Short`] when `header_len` is not between 12 and `plain_len`.
    pub fn seal_rtp(
        &self,
        roc: u32,
        header_len: usize,
        buf: &mut [u8],
        plain_len: usize,
    ) -> Result<usize, SrtpError> {
        let tag_len = self.profile.map_or(0, Profile::rtp_tag_len);
        let total = plain_len.saturating_add(tag_len);
        let packet = buf.get_mut(..total).ok_or(SrtpError::BufferFull)?;
        let (seq, ssrc) = rtp_identity(packet, header_len)?;
        match &self.rtp {
            Transform::Gcm(gcm) => {
                let (plain, tag) = packet
                    .split_last_chunk_mut::<GCM_TAG_LEN>()
                    .ok_or(SrtpError::BufferFull)?;
                let (header, text) = plain
                    .split_at_mut_checked(header_len)
                    .ok_or(SrtpError::Short)?;
                gcm.seal(gcm.rtp_nonce(ssrc, roc, seq), header, text, tag)?;
                Ok(total)
            }
            Transform::Cm(cm) => {
                let text = packet
                    .get_mut(header_len..plain_len)
                    .ok_or(SrtpError::Short)?;
                cm.crypt(ssrc, ExtSeq::from_parts(roc, seq).get(), text)?;
                cm.sign(packet, plain_len, &roc.to_be_bytes())
            }
            Transform::Plain => Ok(total),
        }
    }

    /// Protects the packet made of the header `buf[..header_len]` and `payload`, which stays where it is: GCM encrypts
    /// straight from it into `buf`, so that fanning one payload out costs no copy. Returns the packet's length.
    ///
    /// # Errors
    /// As [`seal_rtp`](Self::seal_rtp), for a packet of `header_len + payload.len()`.
    pub fn seal_rtp_from(
        &self,
        roc: u32,
        header_len: usize,
        payload: &[u8],
        buf: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let plain_len = header_len.saturating_add(payload.len());
        match &self.rtp {
            Transform::Gcm(gcm) => {
                let total = plain_len.saturating_add(GCM_TAG_LEN);
                let packet = buf.get_mut(..total).ok_or(SrtpError::BufferFull)?;
                let (seq, ssrc) = rtp_identity(packet, header_len)?;
                let (plain, tag) = packet
                    .split_last_chunk_mut::<GCM_TAG_LEN>()
                    .ok_or(SrtpError::BufferFull)?;
                let (header, text) = plain
                    .split_at_mut_checked(header_len)
                    .ok_or(SrtpError::Short)?;
                gcm.seal_from(gcm.rtp_nonce(ssrc, roc, seq), header, payload, text, tag)?;
                Ok(total)
            }
            Transform::Cm(_) | Transform::Plain => {
                wire::put(buf, header_len, payload).ok_or(SrtpError::BufferFull)?;
                self.seal_rtp(roc, header_len, buf, plain_len)
            }
        }
    }

    /// The profile in use; `None` for plain RTP.
    pub const fn profile(&self) -> Option<Profile> {
        self.profile
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer")
            .field("profile", &self.profile)
            .field("rtcp_index", &self.rtcp_index)
            .finish_non_exhaustive()
    }
}

/// Sequence number and SSRC of the packet at the start of `packet`.
fn rtp_identity(packet: &[u8], header_len: usize) -> Result<(u16, u32), SrtpError> {
    if header_len < crate::header::FIXED_LEN {
        return Err(SrtpError::Short);
    }
    let seq = wire::u16_at(packet, 2).ok_or(SrtpError::Short)?;
    let ssrc = wire::u32_at(packet, 8).ok_or(SrtpError::Short)?;
    Ok((seq, ssrc))
}

/// Additional data of an encrypted SRTCP packet (RFC 7714 §9.2): the clear part and the trailer.
pub(super) fn rtcp_aad(clear: &[u8], trailer: [u8; 4]) -> Result<[u8; 12], SrtpError> {
    let mut aad = [0; 12];
    let (head, tail) = aad.split_at_mut(RTCP_CLEAR_LEN);
    head.copy_from_slice(clear.get(..RTCP_CLEAR_LEN).ok_or(SrtpError::Short)?);
    tail.copy_from_slice(&trailer);
    Ok(aad)
}

/// The rollover counter of one outgoing SSRC.
///
/// Follows the sequence numbers in either direction, so that a retransmission from before a wrap gets the counter
/// that it had.
#[derive(Debug, Clone, Copy, Default)]
pub struct RocSender {
    /// The newest number sent, if any.
    newest: Option<ExtSeq>,
}

impl RocSender {
    /// Nothing sent yet: the counter is 0.
    pub const fn new() -> Self {
        Self { newest: None }
    }

    /// The rollover counter to seal sequence number `seq` with.
    pub fn roc_for(&mut self, seq: u16) -> u32 {
        let Some(newest) = self.newest else {
            self.newest = Some(ExtSeq::from_parts(0, seq));
            return 0;
        };
        let extended = newest.nearest(seq).unwrap_or(ExtSeq::from_parts(0, seq));
        if extended > newest {
            self.newest = Some(extended);
        }
        extended.roc()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_key_is_told_before_it_is_reached() {
        let master = MasterKey::from_concatenated(Profile::Aes128CmSha1_80, &[7; 30]).unwrap();
        let mut sealer = Sealer::new(&master).unwrap();
        sealer.rtcp_index = ENCRYPTED - SOFT_LIMIT - 1;
        let mut report = [0x80, 201, 0, 1, 0, 0, 0, 9].to_vec();
        report.resize(8 + super::super::MAX_RTCP_OVERHEAD, 0);
        assert!(!sealer.is_near_limit());
        sealer.seal_rtcp(&mut report, 8).unwrap();
        assert!(sealer.is_near_limit());
        sealer.rtcp_index = ENCRYPTED;
        assert_eq!(
            sealer.seal_rtcp(&mut report, 8),
            Err(SrtpError::KeyExhausted)
        );
    }
}
