//! The RTP header (RFC 3550 §5.1) and the header extension block (RFC 8285).
//!
//! [`Header`] is a small copy of the fixed fields plus offsets into the packet that it was parsed from; it borrows
//! nothing. Padding is not looked at while parsing, since under SRTP it is still encrypted then: ask
//! [`Header::payload`] once the packet is plain. Extensions are read in the one-byte and the two-byte form and
//! written in the one-byte form.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

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

/// Why a header could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The buffer ends before the header does.
    #[error("buffer is too small for the RTP header")]
    BufferFull,
    /// The identifier is not in 1..=14 or the value is not 1 to 16 bytes long.
    #[error("header extension does not fit the one-byte form")]
    NotOneByte,
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

/// The fields of a header to write. There is no CSRC list: a forwarder speaks for one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields {
    /// Marker bit.
    pub marker: bool,
    /// Payload type, 0 to 127; the upper bit is ignored.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence_number: u16,
    /// Timestamp.
    pub timestamp: u32,
    /// Synchronisation source.
    pub ssrc: u32,
}

/// Writes a header into a buffer: the fixed fields at once, then extension elements, then [`finish`](Self::finish).
#[derive(Debug)]
#[must_use = "the header is complete only after finish()"]
pub struct ExtensionWriter<'a> {
    /// The packet buffer.
    buf: &'a mut [u8],
    /// Where the next element goes; stays at the fixed length until there is one.
    at: usize,
}

impl<'a> ExtensionWriter<'a> {
    /// Offset of the first element: fixed header, profile and length.
    const FIRST: usize = FIXED_LEN + 4;

    /// Writes the fixed fields at the start of `buf`.
    pub fn new(buf: &'a mut [u8], fields: &Fields) -> Result<Self, WriteError> {
        let fixed = buf
            .first_chunk_mut::<FIXED_LEN>()
            .ok_or(WriteError::BufferFull)?;
        let [s0, s1] = fields.sequence_number.to_be_bytes();
        let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = fields.ssrc.to_be_bytes();
        let second = (u8::from(fields.marker) << 7) | (fields.payload_type & 0x7F);
        *fixed = [0x80, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3];
        Ok(Self { buf, at: FIXED_LEN })
    }

    /// Adds one element: `id` 1 to 14, `value` 1 to 16 bytes. On error nothing is added.
    pub fn push(&mut self, id: u8, value: &[u8]) -> Result<(), WriteError> {
        if !(1..=14).contains(&id) || value.is_empty() || value.len() > 16 {
            return Err(WriteError::NotOneByte);
        }
        let at = self.at.max(Self::FIRST);
        let after = at.saturating_add(1);
        // Room for the padding to the next word is claimed too, so that finish() cannot fail.
        let end = after.saturating_add(value.len()).next_multiple_of(4);
        if end > self.buf.len() {
            return Err(WriteError::BufferFull);
        }
        let len_bits = u8::try_from(value.len().saturating_sub(1)).unwrap_or(15);
        wire::put(self.buf, at, &[(id << 4) | len_bits]).ok_or(WriteError::BufferFull)?;
        wire::put(self.buf, after, value).ok_or(WriteError::BufferFull)?;
        self.at = after.saturating_add(value.len());
        Ok(())
    }

    /// Pads and closes the extension block; returns the length of the header, where the payload goes.
    pub fn finish(self) -> usize {
        if self.at == FIXED_LEN {
            return FIXED_LEN;
        }
        let end = self.at.next_multiple_of(4);
        if let Some(padding) = self.buf.get_mut(self.at..end) {
            padding.fill(0);
        }
        let words = end.saturating_sub(Self::FIRST) / 4;
        let [p0, p1] = ONE_BYTE_PROFILE.to_be_bytes();
        let [w0, w1] = u16::try_from(words).unwrap_or(0).to_be_bytes();
        if let Some(block) = self.buf.get_mut(FIXED_LEN..Self::FIRST) {
            block.copy_from_slice(&[p0, p1, w0, w1]);
        }
        if let Some(first) = self.buf.first_mut() {
            *first |= 0x10;
        }
        end
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields() -> Fields {
        Fields {
            marker: true,
            payload_type: 96,
            sequence_number: 0xFFFE,
            timestamp: 7,
            ssrc: 0xDEAD_BEEF,
        }
    }

    #[test]
    fn written_headers_read_back_with_their_extensions() {
        let mut buf = [0xFF; 64];
        let mut writer = ExtensionWriter::new(&mut buf, &fields()).unwrap();
        writer.push(3, &[1, 2, 3]).unwrap();
        writer.push(14, &[9; 16]).unwrap();
        assert_eq!(writer.push(15, &[0]), Err(WriteError::NotOneByte));
        assert_eq!(writer.push(1, &[]), Err(WriteError::NotOneByte));
        let len = writer.finish();
        assert_eq!(len, 12 + 4 + 24);
        let header = Header::parse(&buf[..len + 5]).unwrap();
        assert!(header.marker);
        assert_eq!(header.sequence_number, 0xFFFE);
        assert_eq!(header.ssrc, 0xDEAD_BEEF);
        assert_eq!(header.len(), len);
        let found: Vec<_> = header.extensions(&buf).collect();
        assert_eq!(found, vec![(3, &[1, 2, 3][..]), (14, &[9; 16][..])]);
        assert_eq!(header.extensions(&buf).find(14), Some(&[9; 16][..]));
    }

    #[test]
    fn two_byte_extensions_are_read_with_empty_values_and_padding() {
        let mut packet = vec![0x90, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0x10, 0x05, 0, 2];
        packet.extend([20, 0, 0, 21, 2, 7, 8, 0]);
        let header = Header::parse(&packet).unwrap();
        let found: Vec<_> = header.extensions(&packet).collect();
        assert_eq!(found, vec![(20, &[][..]), (21, &[7, 8][..])]);
    }

    #[test]
    fn identifier_fifteen_ends_a_one_byte_block() {
        let all: Vec<_> = Extensions::new(ONE_BYTE_PROFILE, &[0x10, 5, 0xF0, 1, 0x20, 6]).collect();
        assert_eq!(all, vec![(1, &[5][..])]);
    }

    #[test]
    fn padding_is_taken_off_the_payload_and_bad_counts_are_refused() {
        let mut packet = vec![0xA0, 96, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 0, 2];
        let header = Header::parse(&packet).unwrap();
        assert_eq!(header.payload(&packet), Ok(&[1, 2][..]));
        packet[15] = 5;
        assert_eq!(header.payload(&packet), Err(ParseError::Padding));
        packet[15] = 0;
        assert_eq!(header.payload(&packet), Err(ParseError::Padding));
        packet[15] = 4;
        assert_eq!(header.payload(&packet), Ok(&[][..]));
    }

    #[test]
    fn a_full_buffer_refuses_the_extension_and_keeps_the_header() {
        let mut buf = [0; 17];
        let mut writer = ExtensionWriter::new(&mut buf, &fields()).unwrap();
        assert_eq!(writer.push(1, &[1]), Err(WriteError::BufferFull));
        assert_eq!(writer.finish(), 12);
        assert!(Header::parse(&buf[..12]).unwrap().extension.is_none());
        assert!(ExtensionWriter::new(&mut [0; 11], &fields()).is_err());
    }

    #[test]
    fn datagrams_are_told_apart_by_their_first_bytes() {
        assert_eq!(Kind::of(&[0, 1]), Kind::Stun);
        assert_eq!(Kind::of(&[22, 254]), Kind::Dtls);
        assert_eq!(Kind::of(&[0x80, 200]), Kind::Rtcp);
        assert_eq!(Kind::of(&[0x80, 0xE0]), Kind::Rtp);
        assert_eq!(Kind::of(&[0x80]), Kind::Unknown);
        assert_eq!(Kind::of(&[]), Kind::Unknown);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..120), force in any::<bool>()) {
            let mut bytes = bytes;
            if force && !bytes.is_empty() {
                bytes[0] = 0x80 | (bytes[0] & 0x3F);
            }
            if let Ok(header) = Header::parse(&bytes) {
                let _ = header.payload(&bytes);
                prop_assert!(header.extensions(&bytes).count() <= bytes.len());
            }
        }

        #[test]
        fn any_elements_survive_the_round_trip(
            elements in proptest::collection::vec((1u8..15, proptest::collection::vec(any::<u8>(), 1..17)), 0..8)
        ) {
            let mut buf = [0xAA; 256];
            let mut writer = ExtensionWriter::new(&mut buf, &fields()).unwrap();
            for (id, value) in &elements {
                writer.push(*id, value).unwrap();
            }
            let len = writer.finish();
            let header = Header::parse(&buf[..len]).unwrap();
            let found: Vec<_> = header.extensions(&buf[..len]).map(|(id, v)| (id, v.to_vec())).collect();
            prop_assert_eq!(found, elements);
        }
    }
}
