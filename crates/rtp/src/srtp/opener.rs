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
    /// Absent for plain RTP.
    profile: Option<Profile>,
    /// Bytes of the master key identifier before each tag, which only names the key that we have.
    mki_len: usize,
    rtp: Transform,
    rtcp: Transform,
    rtp_sources: Sources,
    rtcp_sources: Sources,
    /// In plain RTP the source and number of a packet far off, until the next shows whether it began anew.
    restart: Option<(u32, u16)>,
}

impl Opener {
    /// Sets up the session keys.
    pub fn new(master: &MasterKey) -> Result<Self, SrtpError> {
        Ok(Self {
            profile: Some(master.profile()),
            mki_len: 0,
            rtp: Transform::new(master, Protocol::Rtp)?,
            rtcp: Transform::new(master, Protocol::Rtcp)?,
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
            restart: None,
        })
    }

    /// Like [`new`](Self::new) for a peer whose packets carry a master key identifier of this many bytes
    /// (RFC 3711 §3.1).
    pub fn with_mki(master: &MasterKey, mki_len: usize) -> Result<Self, SrtpError> {
        Ok(Self {
            mki_len,
            ..Self::new(master)?
        })
    }

    /// Takes packets as they are (RFC 3550) and only counts their sequence numbers on.
    pub fn plain() -> Self {
        Self {
            profile: None,
            mki_len: 0,
            rtp: Transform::Plain,
            rtcp: Transform::Plain,
            rtp_sources: Sources::default(),
            rtcp_sources: Sources::default(),
            restart: None,
        }
    }

    /// Opens the SRTP `packet` in place; `header` was parsed from it.
    ///
    /// # Errors
    /// [`SrtpError::Replayed`] and [`SrtpError::TooOld`] before any cryptography, [`SrtpError::Authentication`] when
    /// the tag does not match (the payload may then be garbage).
    pub fn open_rtp(&mut self, packet: &mut [u8], header: &Header) -> Result<Opened, SrtpError> {
        let Some(profile) = self.profile else {
            return self.take_plain(packet.len(), header);
        };
        let packet = without_mki(packet, self.mki_len, profile.rtp_tag_len())?;
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
            .and_then(|len| len.checked_sub(profile.rtp_tag_len()))
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
            Transform::Plain => {}
        }
        self.rtp_sources.commit(slot, header.ssrc, seq.get());
        Ok(Opened { plain_len, seq })
    }

    /// Opens the SRTCP `packet` in place; returns the length of the plain compound packet at its start.
    ///
    /// # Errors
    /// As [`open_rtp`](Self::open_rtp).
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let Some(profile) = self.profile else {
            return Ok(packet.len());
        };
        let packet = without_mki(packet, self.mki_len, profile.rtcp_tag_len())?;
        let ssrc = wire::u32_at(packet, 4).ok_or(SrtpError::Short)?;
        let tag_len = profile.rtcp_tag_len();
        let overhead = tag_len.saturating_add(4);
        let plain_len = packet
            .len()
            .checked_sub(overhead)
            .filter(|&len| len >= 8)
            .ok_or(SrtpError::Short)?;
        let trailer_at = match &self.rtcp {
            Transform::Gcm(_) => plain_len.saturating_add(tag_len),
            Transform::Cm(_) | Transform::Plain => plain_len,
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
            Transform::Plain => {}
        }
        self.rtcp_sources.commit(slot, ssrc, u64::from(index));
        Ok(plain_len)
    }

    /// The index of a plain packet. A sender that begins anew under its old SSRC is believed at the second packet in
    /// a row (RFC 3550 appendix A.1).
    fn take_plain(&mut self, plain_len: usize, header: &Header) -> Result<Opened, SrtpError> {
        let (ssrc, wire) = (header.ssrc, header.sequence_number);
        if self.rtp_sources.is_full() {
            // Nothing is at stake but the recognition of repetitions.
            self.rtp_sources = Sources::default();
        }
        let slot = self.rtp_sources.find(ssrc);
        let Some(window) = self.rtp_sources.window(slot) else {
            let seq = ExtSeq::from_parts(0, wire);
            self.rtp_sources.commit(slot, ssrc, seq.get());
            return Ok(Opened { plain_len, seq });
        };
        let newest = ExtSeq::new(window.newest());
        let seq = newest.nearest(wire).ok_or(SrtpError::TooOld);
        let checked = seq.and_then(|seq| window.check(seq.get()).map(|()| seq));
        let seq = match checked {
            Ok(seq) => seq,
            Err(SrtpError::TooOld) if self.restart == Some((ssrc, wire)) => {
                // Counted on as a jump ahead, so that what was there before stays older.
                ExtSeq::from_parts(newest.roc().wrapping_add(1), wire)
            }
            Err(error) => {
                if error == SrtpError::TooOld {
                    self.restart = Some((ssrc, wire.wrapping_add(1)));
                }
                return Err(error);
            }
        };
        self.restart = None;
        self.rtp_sources.commit(slot, ssrc, seq.get());
        Ok(Opened { plain_len, seq })
    }

    /// Drops the state of a source that left for good, so that it no longer counts against [`MAX_SOURCES`]. Its old
    /// packets could be replayed from then on; call it only for sources that nothing listens to any more.
    pub fn forget(&mut self, ssrc: u32) {
        self.rtp_sources.remove(ssrc);
        self.rtcp_sources.remove(ssrc);
    }

    /// The profile in use; `None` for plain RTP.
    pub const fn profile(&self) -> Option<Profile> {
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

/// Moves the tag to where the master key identifier before it begins; gives the packet without that.
fn without_mki(packet: &mut [u8], mki_len: usize, tag_len: usize) -> Result<&mut [u8], SrtpError> {
    if mki_len == 0 {
        return Ok(packet);
    }
    let tag_at = packet.len().checked_sub(tag_len).ok_or(SrtpError::Short)?;
    let mki_at = tag_at.checked_sub(mki_len).ok_or(SrtpError::Short)?;
    packet.copy_within(tag_at.., mki_at);
    let len = mki_at.saturating_add(tag_len);
    packet.get_mut(..len).ok_or(SrtpError::Short)
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

#[cfg(test)]
mod tests {
    use super::super::{MAX_RTP_OVERHEAD, Sealer};
    use super::*;

    fn packet(seq: u16) -> Vec<u8> {
        let [high, low] = seq.to_be_bytes();
        vec![0x80, 96, high, low, 0, 0, 0, 2, 0, 0, 0, 3, b'h', b'i']
    }

    #[test]
    fn plain_packets_pass_once_and_wrap() {
        let mut opener = Opener::plain();
        let mut open = |seq: u16| {
            let mut packet = packet(seq);
            let header = Header::parse(&packet).unwrap();
            opener.open_rtp(&mut packet, &header)
        };
        assert_eq!(open(65_535).unwrap().plain_len, 14);
        assert_eq!(open(0).unwrap().seq, ExtSeq::from_parts(1, 0));
        assert_eq!(open(0), Err(SrtpError::Replayed));
    }

    #[test]
    fn plain_sender_that_begins_anew_is_believed_at_its_second_packet() {
        let mut opener = Opener::plain();
        let mut open = |seq: u16| {
            let mut packet = packet(seq);
            let header = Header::parse(&packet).unwrap();
            opener.open_rtp(&mut packet, &header)
        };
        let before = open(30_000).unwrap().seq;
        assert_eq!(open(10), Err(SrtpError::TooOld));
        assert!(open(11).unwrap().seq > before);
        assert!(open(12).is_ok());
    }

    #[test]
    fn packets_with_a_master_key_identifier_open() {
        for profile in [Profile::Aes128CmSha1_80, Profile::Aes256CmSha1_32] {
            let material = vec![5; profile.key_len() + profile.salt_len()];
            let master = MasterKey::from_concatenated(profile, &material).unwrap();
            let mut bytes = packet(7);
            let plain_len = bytes.len();
            bytes.resize(plain_len + MAX_RTP_OVERHEAD, 0);
            let sealer = Sealer::new(&master).unwrap();
            let len = sealer.seal_rtp(0, 12, &mut bytes, plain_len).unwrap();
            bytes.truncate(len);
            let tag_at = len - profile.rtp_tag_len();
            bytes.splice(tag_at..tag_at, [0, 0, 0, 1]);
            let header = Header::parse(&bytes).unwrap();
            let mut opener = Opener::with_mki(&master, 4).unwrap();
            let opened = opener.open_rtp(&mut bytes, &header).unwrap();
            assert_eq!(&bytes[12..opened.plain_len], b"hi");
        }
    }

    #[test]
    fn sealing_plainly_changes_nothing() {
        let mut sealer = Sealer::plain();
        let mut bytes = packet(7);
        let len = bytes.len();
        assert_eq!(sealer.seal_rtp(0, 12, &mut bytes, len), Ok(len));
        assert_eq!(sealer.seal_rtp_from(0, 12, b"ho", &mut bytes), Ok(len));
        assert_eq!(&bytes[12..], b"ho");
        assert_eq!(sealer.seal_rtcp(&mut bytes, len), Ok(len));
        assert!(!sealer.is_near_limit());
    }
}
