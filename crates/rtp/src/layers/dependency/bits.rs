//! Fields that do not end at bytes, highest bit first.

/// Reads bits.
#[derive(Debug, Clone)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// From this bit on.
    pub(super) const fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// Bits that were read.
    pub(super) const fn position(&self) -> usize {
        self.at
    }

    /// Bits that are left.
    pub(super) const fn left(&self) -> usize {
        self.bytes.len().saturating_mul(8).saturating_sub(self.at)
    }

    /// The next `count` bits, 32 at most.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.at >> 3)?;
            let shift = 7u32.saturating_sub((self.at & 7) as u32);
            value = value.wrapping_shl(1) | (u32::from(byte).wrapping_shr(shift) & 1);
            self.at = self.at.checked_add(1)?;
        }
        Some(value)
    }

    /// The next bit.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// A number below `end` in as few bits as possible (`ns(n)`).
    pub(super) fn non_symmetric(&mut self, end: u32) -> Option<u32> {
        let width = 32u32.saturating_sub(end.leading_zeros());
        let short = 1u32.wrapping_shl(width).wrapping_sub(end);
        let value = self.take(width.saturating_sub(1))?;
        if value < short {
            return Some(value);
        }
        let extra = self.take(1)?;
        let value = value.wrapping_shl(1).wrapping_add(extra);
        Some(value.wrapping_sub(short))
    }
}

/// Writes bits into bytes, of which it clears those that it comes to.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    bytes: &'a mut [u8],
    at: usize,
}

impl<'a> BitWriter<'a> {
    pub(super) const fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The lowest `count` bits of a value; `None` when there is no room.
    pub(super) fn put(&mut self, count: u32, value: u32) -> Option<()> {
        for place in (0..count).rev() {
            let byte = self.bytes.get_mut(self.at >> 3)?;
            if self.at & 7 == 0 {
                *byte = 0;
            }
            let shift = 7u32.saturating_sub((self.at & 7) as u32);
            let bit = value.wrapping_shr(place) & 1;
            *byte |= (bit.wrapping_shl(shift)) as u8;
            self.at = self.at.checked_add(1)?;
        }
        Some(())
    }

    /// The next `count` bits of what is read.
    pub(super) fn copy(&mut self, from: &mut Bits<'_>, count: usize) -> Option<()> {
        let mut left = count;
        while left > 0 {
            let now = left.min(32) as u32;
            self.put(now, from.take(now)?)?;
            left = left.saturating_sub(now as usize);
        }
        Some(())
    }

    /// Bytes that are written, the last one filled up with zeros.
    pub(super) const fn len(&self) -> usize {
        self.at.div_ceil(8)
    }
}
