//! The RTP header (RFC 3550 §5.1) and the header extension block (RFC 8285).
//!
//! [`Header`] is a small copy of the fixed fields plus offsets into the packet that it was parsed from; it borrows
//! nothing. Padding is not looked at while parsing, since under SRTP it is still encrypted then: ask
//! [`Header::payload`] once the packet is plain. Extensions are read and written in the one-byte and the two-byte
//! form.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod write;

pub use write::{ExtensionWriter, Fields, Form, ShortBlock, WriteError};

use crate::wire;

/// Length in bytes of the header without CSRC list and extension.
pub const FIXED_LEN: usize = 12;

/// RFC 8285 §4.2: the "defined by profile" value of the one-byte form.
pub const ONE_BYTE_PROFILE: u16 = 0xBEDE;

/// RFC 8285 §4.3: the two-byte form is `0x100` followed by four application bits.
const TWO_BYTE_PROFILE: u16 = 0x1000;
const TWO_BYTE_MASK: u16 = 0xFFF0;

/// Why bytes are not an RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The packet ends before its header does.
    #[error("RTP packet is cut short")]
    Short,
    /// The version field is not 2.
    #[error("RTP version is not 2")]
    Version,
    /// The padding count is zero or exceeds the payload.
    #[error("RTP padding is longer than the payload")]
    Padding,
    /// The packet is longer than a UDP datagram can be.
    #[error("RTP packet is too long")]
    Long,
}

/// Where the extension block of a packet lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionBlock {
    /// The "defined by profile" field, which tells the form.
    pub profile: u16,
    /// Offset of the first element in the packet.
    pub offset: u16,
    /// Length in bytes, a multiple of four.
    pub len: u16,
}

/// The header of one RTP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Marker bit, whose meaning is the codec's: end of a frame for video, start of a talkspurt for audio.
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number on the wire.
    pub sequence_number: u16,
    /// Timestamp in units of the payload's clock.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
    /// Number of contributing sources, 0 to 15.
    pub csrc_count: u8,
    /// Whether the padding bit is set; the padding itself ends the (decrypted) payload.
    pub has_padding: bool,
    /// The extension block, if any.
    pub extension: Option<ExtensionBlock>,
    /// Offset of the payload: the length of everything before it.
    pub payload_offset: u16,
}

impl Header {
    /// Reads the header at the start of `packet`, which may still be protected by SRTP.
    pub fn parse(packet: &[u8]) -> Result<Self, ParseError> {
        if packet.len() > usize::from(u16::MAX) {
            return Err(ParseError::Long);
        }
        let [first, second, ..] = *packet.first_chunk::<FIXED_LEN>().ok_or(ParseError::Short)?;
        if first >> 6 != 2 {
            return Err(ParseError::Version);
        }
        let csrc_count = first & 0x0F;
        let mut offset = FIXED_LEN.saturating_add(usize::from(csrc_count).saturating_mul(4));
        let mut extension = None;
        if first & 0x10 != 0 {
            let profile = wire::u16_at(packet, offset).ok_or(ParseError::Short)?;
            let words = wire::u16_at(packet, offset.saturating_add(2)).ok_or(ParseError::Short)?;
            let len = usize::from(words).saturating_mul(4);
            offset = offset.saturating_add(4);
            extension = Some(ExtensionBlock {
                profile,
                offset: u16::try_from(offset).map_err(|_| ParseError::Long)?,
                len: u16::try_from(len).map_err(|_| ParseError::Short)?,
            });
            offset = offset.saturating_add(len);
        }
        if offset > packet.len() {
            return Err(ParseError::Short);
        }
        Ok(Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7F,
            sequence_number: wire::u16_at(packet, 2).ok_or(ParseError::Short)?,
            timestamp: wire::u32_at(packet, 4).ok_or(ParseError::Short)?,
            ssrc: wire::u32_at(packet, 8).ok_or(ParseError::Short)?,
            csrc_count,
            has_padding: first & 0x20 != 0,
            extension,
            payload_offset: u16::try_from(offset).map_err(|_| ParseError::Long)?,
        })
    }

    /// Length of the header with CSRC list and extension block, in bytes.
    pub fn len(&self) -> usize {
        usize::from(self.payload_offset)
    }

    /// Never: a header has at least its fixed part.
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The payload of the decrypted `packet` without padding.
    ///
    /// # Errors
    /// [`ParseError::Padding`] when the padding bit is set and the count in the last byte is zero or too large,
    /// [`ParseError::Short`] when `packet` is shorter than the one that was parsed.
    pub fn payload<'a>(&self, packet: &'a [u8]) -> Result<&'a [u8], ParseError> {
        let payload = packet.get(self.len()..).ok_or(ParseError::Short)?;
        if !self.has_padding {
            return Ok(payload);
        }
        let count = usize::from(*payload.last().ok_or(ParseError::Padding)?);
        if count == 0 {
            return Err(ParseError::Padding);
        }
        let keep = payload
            .len()
            .checked_sub(count)
            .ok_or(ParseError::Padding)?;
        payload.get(..keep).ok_or(ParseError::Padding)
    }

    /// The extension elements of `packet`, the one that was parsed.
    pub fn extensions<'a>(&self, packet: &'a [u8]) -> Extensions<'a> {
        let Some(block) = self.extension else {
            return Extensions::EMPTY;
        };
        let start = usize::from(block.offset);
        let bytes = packet
            .get(start..start.saturating_add(usize::from(block.len)))
            .unwrap_or(&[]);
        Extensions::new(block.profile, bytes)
    }
}

/// Iterator over the elements of an extension block: identifier and value.
///
/// Padding is skipped; a malformed rest ends the iteration. Blocks of a profile other than RFC 8285 yield nothing.
#[derive(Debug, Clone)]
pub struct Extensions<'a> {
    /// What is left to read.
    rest: &'a [u8],
    /// Whether elements have two-byte headers.
    two_byte: bool,
}

impl<'a> Extensions<'a> {
    /// No elements.
    pub const EMPTY: Self = Self {
        rest: &[],
        two_byte: false,
    };

    /// Reads `bytes` in the form that `profile` announces.
    pub fn new(profile: u16, bytes: &'a [u8]) -> Self {
        if profile == ONE_BYTE_PROFILE {
            Self {
                rest: bytes,
                two_byte: false,
            }
        } else if profile & TWO_BYTE_MASK == TWO_BYTE_PROFILE {
            Self {
                rest: bytes,
                two_byte: true,
            }
        } else {
            Self::EMPTY
        }
    }

    /// The value of the first element with identifier `id`.
    pub fn find(self, id: u8) -> Option<&'a [u8]> {
        let mut all = self;
        all.find_map(|(found, value)| (found == id).then_some(value))
    }
}

impl<'a> Iterator for Extensions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some((&head, tail)) = self.rest.split_first() {
            let (id, len, tail) = if self.two_byte {
                if head == 0 {
                    self.rest = tail;
                    continue;
                }
                let Some((&len, tail)) = tail.split_first() else {
                    break;
                };
                (head, usize::from(len), tail)
            } else {
                let id = head >> 4;
                if id == 0 {
                    // RFC 8285 §4.2: padding; a length with identifier 0 is to be ignored with the rest, but a zero
                    // byte alone is the only padding seen in practice.
                    self.rest = tail;
                    continue;
                }
                if id == 15 {
                    // RFC 8285 §4.2: stop processing here.
                    break;
                }
                (id, usize::from(head & 0x0F).saturating_add(1), tail)
            };
            let Some((value, tail)) = tail.split_at_checked(len) else {
                break;
            };
            self.rest = tail;
            return Some((id, value));
        }
        self.rest = &[];
        None
    }
}

/// What the first bytes of a datagram on a shared port say it is (RFC 7983, RFC 5761 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// STUN: first byte 0 to 3.
    Stun,
    /// DTLS: first byte 20 to 63.
    Dtls,
    /// RTP or SRTP.
    Rtp,
    /// RTCP or SRTCP.
    Rtcp,
    /// Anything else.
    Unknown,
}

impl Kind {
    /// Classifies one datagram.
    pub fn of(datagram: &[u8]) -> Self {
        match datagram {
            [0..=3, ..] => Self::Stun,
            [20..=63, ..] => Self::Dtls,
            // RFC 5761 §4: RTCP packet types 192 to 223.
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, _, ..] => Self::Rtp,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests;
