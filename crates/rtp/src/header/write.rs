//! Headers of packets that go out.

use super::{FIXED_LEN, ONE_BYTE_PROFILE, TWO_BYTE_PROFILE};
use crate::wire;

/// Why a header could not be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// The buffer ends before the header does.
    #[error("buffer is too small for the RTP header")]
    BufferFull,
    /// The identifier or the length of the value does not fit the form: 1 to 14 and 1 to 16 bytes in the one-byte
    /// form, 1 to 255 and up to 255 bytes in the two-byte form.
    #[error("header extension does not fit its form")]
    Unfit,
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

/// How the elements of an extension block are written (RFC 8285 §4.2, §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// Identifiers 1 to 14, values of 1 to 16 bytes.
    #[default]
    OneByte,
    /// Identifiers 1 to 255, values of up to 255 bytes; for receivers that agreed to `extmap-allow-mixed`.
    TwoByte,
}

impl Form {
    const fn profile(self) -> u16 {
        match self {
            Self::OneByte => ONE_BYTE_PROFILE,
            Self::TwoByte => TWO_BYTE_PROFILE,
        }
    }

    /// Whether an element can be written.
    pub const fn fits(self, id: u8, len: usize) -> bool {
        match self {
            Self::OneByte => matches!((id, len), (1..=14, 1..=16)),
            Self::TwoByte => matches!((id, len), (1.., 0..=255)),
        }
    }
}

/// Extension elements in the one-byte form that take two words at most, put together in a register: what is written for
/// every receiver of every packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShortBlock {
    /// The elements, from the most significant byte on.
    bytes: u64,
    /// How many bytes they take.
    len: u32,
}

impl ShortBlock {
    /// Bytes that elements may take.
    const ROOM: u32 = 8;

    /// Adds an element with a value of one byte. Identifiers outside 1 to 14 and what finds no room are left out.
    #[inline]
    #[must_use]
    pub const fn with_byte(self, id: u8, value: u8) -> Self {
        self.with(id, ((id as u64) << 12) | value as u64, 2)
    }

    /// Adds an element with a value of two bytes. Identifiers outside 1 to 14 and what finds no room are left out.
    #[inline]
    #[must_use]
    pub const fn with_word(self, id: u8, value: u16) -> Self {
        self.with(id, ((id as u64) << 20) | 0x1_0000 | value as u64, 3)
    }

    #[inline]
    const fn with(self, id: u8, element: u64, bytes: u32) -> Self {
        let len = self.len.saturating_add(bytes);
        if id == 0 || id > 14 || len > Self::ROOM {
            return self;
        }
        let shift = Self::ROOM.wrapping_sub(len).wrapping_mul(8);
        Self {
            bytes: self.bytes | element.wrapping_shl(shift),
            len,
        }
    }
}

impl Fields {
    /// Bytes of buffer that [`write_short`](Self::write_short) wants.
    pub const SHORT_ROOM: usize = FIXED_LEN + 4 + ShortBlock::ROOM as usize;

    /// Writes a header with these elements at the start of `buf`; returns its length, where the payload goes. `None`
    /// when `buf` has less than [`SHORT_ROOM`](Self::SHORT_ROOM) bytes, all of which are written to.
    #[inline]
    pub fn write_short(&self, buf: &mut [u8], block: ShortBlock) -> Option<usize> {
        let room = buf.first_chunk_mut::<{ Self::SHORT_ROOM }>()?;
        let words = block.len.div_ceil(4);
        let has_block = words > 0;
        let first = 0x8000
            | (u32::from(has_block) << 12)
            | (u32::from(self.marker) << 7)
            | u32::from(self.payload_type & 0x7F);
        let first = (first << 16) | u32::from(self.sequence_number);
        let head = (u32::from(ONE_BYTE_PROFILE) << 16) | words;
        let [a0, a1, a2, a3] = first.to_be_bytes();
        let [t0, t1, t2, t3] = self.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = self.ssrc.to_be_bytes();
        let [h0, h1, h2, h3] = head.to_be_bytes();
        let [e0, e1, e2, e3, e4, e5, e6, e7] = block.bytes.to_be_bytes();
        *room = [
            a0, a1, a2, a3, t0, t1, t2, t3, i0, i1, i2, i3, h0, h1, h2, h3, e0, e1, e2, e3, e4, e5,
            e6, e7,
        ];
        let extension = if has_block {
            4usize.saturating_add((words as usize).saturating_mul(4))
        } else {
            0
        };
        Some(FIXED_LEN.saturating_add(extension))
    }
}

/// Writes a header into a buffer: the fixed fields at once, then extension elements, then [`finish`](Self::finish).
#[derive(Debug)]
#[must_use = "the header is complete only after finish()"]
pub struct ExtensionWriter<'a> {
    /// The packet buffer.
    buf: &'a mut [u8],
    /// Where the next element goes; stays at the fixed length until there is one.
    at: usize,
    form: Form,
}

impl<'a> ExtensionWriter<'a> {
    /// Offset of the first element: fixed header, profile and length.
    const FIRST: usize = FIXED_LEN + 4;

    /// Writes the fixed fields at the start of `buf`; elements will be in the one-byte form.
    pub fn new(buf: &'a mut [u8], fields: &Fields) -> Result<Self, WriteError> {
        Self::with_form(buf, fields, Form::OneByte)
    }

    /// Writes the fixed fields at the start of `buf`.
    pub fn with_form(buf: &'a mut [u8], fields: &Fields, form: Form) -> Result<Self, WriteError> {
        let fixed = buf
            .first_chunk_mut::<FIXED_LEN>()
            .ok_or(WriteError::BufferFull)?;
        let [s0, s1] = fields.sequence_number.to_be_bytes();
        let [t0, t1, t2, t3] = fields.timestamp.to_be_bytes();
        let [i0, i1, i2, i3] = fields.ssrc.to_be_bytes();
        let second = (u8::from(fields.marker) << 7) | (fields.payload_type & 0x7F);
        *fixed = [0x80, second, s0, s1, t0, t1, t2, t3, i0, i1, i2, i3];
        let at = FIXED_LEN;
        Ok(Self { buf, at, form })
    }

    /// Adds one element. On error nothing is added.
    pub fn push(&mut self, id: u8, value: &[u8]) -> Result<(), WriteError> {
        if !self.form.fits(id, value.len()) {
            return Err(WriteError::Unfit);
        }
        let at = self.at.max(Self::FIRST);
        let after = match self.form {
            Form::OneByte => at.saturating_add(1),
            Form::TwoByte => at.saturating_add(2),
        };
        // Room for the padding to the next word is claimed too, so that finish() cannot fail.
        let end = after.saturating_add(value.len()).next_multiple_of(4);
        if end > self.buf.len() {
            return Err(WriteError::BufferFull);
        }
        let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
        match self.form {
            Form::OneByte => wire::put(self.buf, at, &[(id << 4) | len.saturating_sub(1)]),
            Form::TwoByte => wire::put(self.buf, at, &[id, len]),
        }
        .ok_or(WriteError::BufferFull)?;
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
        let [p0, p1] = self.form.profile().to_be_bytes();
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
