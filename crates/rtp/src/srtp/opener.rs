//! Verification and decryption of what comes in.

use super::kdf::Protocol;
use super::replay::Window;
use super::sealer::rtcp_aad;
use super::transform::{GCM_TAG_LEN, Transform};
use super::{MasterKey, Profile, SrtpError};
use crate::header::Header;
use crate::seq::ExtSeq;
use crate::wire;

/// SSRCs whose state one transport keeps, for RTP and RTCP each. A browser with three simulcast layers and RTX uses
/// eight; packets of sources beyond the cap are refused with [`SrtpError::TooManySources`].
pub const MAX_SOURCES: usize = 128;

/// The E bit of the SRTCP trailer.
const ENCRYPTED: u32 = 0x8000_0000;

/// An authentic RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// Length of header and decrypted payload at the start of the buffer; the tag is beyond.
    pub plain_len: usize,
    /// The packet's index: its sequence number extended by the rollover counter.
    pub seq: ExtSeq,
}

/// Verifies and decrypts all streams of one transport in the receiving direction.
///
/// Keeps a rollover counter and a replay window per SSRC. A packet that is not authentic changes no state.
pub struct Opener {
    profile: Profile,
    rtp: Transform,
    rtcp: Transform,
    rtp_sources: Sources,
    rtcp_sources: Sources,
}

impl Opener {
    /// Sets up the session keys.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            profile: master.profile(),
            rtp: Transform::new(master, Protocol::Rtp)?,
            rtcp: Transform::new(master, Protocol::Rtcp)?,
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
        })
    }

    /// Opens the SRTP `packet` in place; `header` was parsed from it.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] and [`SrtpError::TooOld`] before any cryptography, [`SrtpError::Authentication`] when
    /// the tag does not match (the payload may then be garbage).
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<Opened, SrtpError> {
        let slot = self.rtp_sources.find(header.ssrc);
        let seq = match self.rtp_sources.window(slot) {
            // RFC 3711 §3.3.1: the index nearest to the newest one. Before zero there is nothing.
            Some(window) => {
                let seq = ExtSeq::new(window.newest())
                    .nearest(header.sequence_number)
                    .ok_or(SrtpError::TooOld)?;
                window.check(seq.get())?;
                seq
            }
            None if self.rtp_sources.is_full() => return Err(SrtpError::TooManySources),
            None => ExtSeq::from_parts(0, header.sequence_number),
        };
        let text_len = packet
            .len()
            .checked_sub(header.len())
            .and_then(|len| len.checked_sub(self.profile.rtp_tag_len()))
            .ok_or(SrtpError::Short)?;
        let plain_len = header.len().saturating_add(text_len);
        match &self.rtp {
            Transform::Gcm(gcm) => {
                let (clear, text_and_tag) = packet
                    .split_at_mut_checked(header.len())
                    .ok_or(SrtpError::Short)?;
                let nonce = gcm.rtp_nonce(header.ssrc, seq.roc(), seq.wire());
                gcm.open(nonce, clear, text_and_tag)?;
            }
            Transform::Cm(cm) => {
                cm.verify(packet, &seq.roc().to_be_bytes())?;
                let text = packet
                    .get_mut(header.len()..plain_len)
                    .ok_or(SrtpError::Short)?;
                cm.crypt(header.ssrc, seq.get(), text)?;
            }
        }
        self.rtp_sources.commit(slot, header.ssrc, seq.get());
        Ok(Opened { plain_len, seq })
    }

    /// Opens the SRTCP `packet` in place; returns the length of the plain compound packet at its start.
    ///
    /// # Errors
    /// As [`open_rtp`](Self::open_rtp).
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let ssrc = wire::u32_at(packet, 4).ok_or(SrtpError::Short)?;
        let tag_len = self.profile.rtcp_tag_len();
        let overhead = tag_len.saturating_add(4);
        let plain_len = packet
            .len()
            .checked_sub(overhead)
            .filter(|&len| len >= 8)
            .ok_or(SrtpError::Short)?;
        let trailer_at = match &self.rtcp {
            Transform::Gcm(_) => plain_len.saturating_add(tag_len),
            Transform::Cm(_) => plain_len,
        };
        let trailer = wire::u32_at(packet, trailer_at).ok_or(SrtpError::Short)?;
        let index = trailer & !ENCRYPTED;
        let is_encrypted = trailer & ENCRYPTED != 0;
        let slot = self.rtcp_sources.find(ssrc);
        match self.rtcp_sources.window(slot) {
            Some(window) => window.check(u64::from(index))?,
            None if self.rtcp_sources.is_full() => return Err(SrtpError::TooManySources),
            None => {}
        }
        match &self.rtcp {
            Transform::Gcm(gcm) => {
                let nonce = gcm.rtcp_nonce(ssrc, index);
                let trailer = trailer.to_be_bytes();
                if is_encrypted {
                    let aad = rtcp_aad(packet, trailer)?;
                    let text_and_tag = packet.get_mut(8..trailer_at).ok_or(SrtpError::Short)?;
                    gcm.open(nonce, &aad, text_and_tag)?;
                } else {
                    // RFC 7714 §9.3: all of the packet and the trailer are additional data, the text is empty. The
                    // tag lies between the two; swap it with the trailer to have the data in one piece.
                    let mut tag = [0; GCM_TAG_LEN];
                    tag.copy_from_slice(packet.get(plain_len..trailer_at).ok_or(SrtpError::Short)?);
                    wire::put(packet, plain_len, &trailer).ok_or(SrtpError::Short)?;
                    let aad = packet
                        .get(..plain_len.saturating_add(4))
                        .ok_or(SrtpError::Short)?;
                    gcm.open(nonce, aad, &mut tag)?;
                }
            }
            Transform::Cm(cm) => {
                cm.verify(packet, &[])?;
                if is_encrypted {
                    let text = packet.get_mut(8..plain_len).ok_or(SrtpError::Short)?;
                    cm.crypt(ssrc, u64::from(index), text)?;
                }
            }
        }
        self.rtcp_sources.commit(slot, ssrc, u64::from(index));
        Ok(plain_len)
    }

    /// Drops the state of a source that left for good, so that it no longer counts against [`MAX_SOURCES`]. Its old
    /// packets could be replayed from then on; call it only for sources that nothing listens to any more.
    pub fn forget(&mut self, ssrc: u32) {
        self.rtp_sources.remove(ssrc);
        self.rtcp_sources.remove(ssrc);
    }

    /// The profile in use.
    pub const fn profile(&self) -> Profile {
        self.profile
    }
}

impl std::fmt::Debug for Opener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opener")
            .field("profile", &self.profile)
            .field("rtp_sources", &self.rtp_sources.entries.len())
            .field("rtcp_sources", &self.rtcp_sources.entries.len())
            .finish_non_exhaustive()
    }
}

/// Replay windows by SSRC, in ascending order.
#[derive(Debug, Default)]
struct Sources {
    entries: Vec<(u32, Window)>,
}

impl Sources {
    /// The place of `ssrc`, or where it would go.
    fn find(&self, ssrc: u32) -> Result<usize, usize> {
        self.entries
            .binary_search_by_key(&ssrc, |(entry, _)| *entry)
    }

    fn window(&self, slot: Result<usize, usize>) -> Option<&Window> {
        self.entries.get(slot.ok()?).map(|(_, window)| window)
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= MAX_SOURCES
    }

    fn commit(&mut self, slot: Result<usize, usize>, ssrc: u32, index: u64) {
        match slot {
            Ok(at) => {
                if let Some((_, window)) = self.entries.get_mut(at) {
                    window.commit(index);
                }
            }
            Err(at) => self.entries.insert(at, (ssrc, Window::starting_at(index))),
        }
    }

    fn remove(&mut self, ssrc: u32) {
        if let Ok(at) = self.find(ssrc) {
            self.entries.remove(at);
        }
    }
}
