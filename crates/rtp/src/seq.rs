//! Sequence numbers: the 16 bits on the wire and the counter that does not wrap.
//!
//! A `u16` is always a number as it stands in a packet; an [`ExtSeq`] counts on over wraps (RFC 3550 §A.1, RFC 3711
//! §3.3.1: `65536 × ROC + SEQ`). The two never mix without a conversion.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// A sequence number extended by the number of wraps before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ExtSeq(u64);

impl ExtSeq {
    /// From the whole counter.
    pub const fn new(value: u64) -> Self {
        Self(value)
    }

    /// From a rollover counter (RFC 3711 §3.3.1) and the number on the wire.
    pub const fn from_parts(roc: u32, seq: u16) -> Self {
        Self(((roc as u64) << 16) | seq as u64)
    }

    /// The whole counter.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The 16 bits that go on the wire.
    pub const fn wire(self) -> u16 {
        self.0 as u16
    }

    /// The rollover counter, modulo 2³².
    pub const fn roc(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// This number moved by `delta`, saturating at both ends.
    pub const fn offset(self, delta: i64) -> Self {
        Self(self.0.saturating_add_signed(delta))
    }

    /// The number after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Steps from `earlier` to this number; negative when this one is older.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0) as i64
    }

    /// The extended number nearest to this one whose wire form is `seq`; `None` when it would lie before zero.
    pub const fn nearest(self, seq: u16) -> Option<Self> {
        let delta = seq.wrapping_sub(self.wire()) as i16;
        match self.0.checked_add_signed(delta as i64) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }
}

/// Whether `a` is newer than `b` on the 16 bit circle. Exactly half the circle apart counts as not newer.
pub const fn is_newer(a: u16, b: u16) -> bool {
    (a.wrapping_sub(b) as i16) > 0
}

/// Turns wire sequence numbers of one stream into [`ExtSeq`], following the newest one seen.
///
/// The first number is placed one wrap above zero, so that packets which were overtaken by it still have a place.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwrapper {
    /// The newest number so far.
    newest: Option<ExtSeq>,
}

impl Unwrapper {
    /// Nothing seen yet.
    pub const fn new() -> Self {
        Self { newest: None }
    }

    /// The extended form of `seq`, which becomes the reference when it is the newest.
    pub fn unwrap(&mut self, seq: u16) -> ExtSeq {
        let Some(newest) = self.newest else {
            let first = ExtSeq::from_parts(1, seq);
            self.newest = Some(first);
            return first;
        };
        // The first number is at least 65536, so the nearest one exists unless a peer walks backwards for that long.
        let extended = newest.nearest(seq).unwrap_or(newest);
        if extended > newest {
            self.newest = Some(extended);
        }
        extended
    }

    /// The newest number seen.
    pub const fn newest(&self) -> Option<ExtSeq> {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_on_over_the_wrap_and_back() {
        let mut unwrapper = Unwrapper::new();
        let first = unwrapper.unwrap(65_534);
        assert_eq!(unwrapper.unwrap(65_535).since(first), 1);
        assert_eq!(unwrapper.unwrap(1).since(first), 3);
        assert_eq!(unwrapper.unwrap(0).since(first), 2);
        assert_eq!(unwrapper.unwrap(65_533).since(first), -1);
        assert_eq!(unwrapper.newest(), Some(ExtSeq::from_parts(2, 1)));
    }

    #[test]
    fn nothing_lies_before_zero() {
        assert_eq!(ExtSeq::new(3).nearest(65_530), None);
        assert_eq!(ExtSeq::new(3).nearest(0), Some(ExtSeq::new(0)));
        assert_eq!(ExtSeq::from_parts(2, 7).wire(), 7);
        assert_eq!(ExtSeq::from_parts(2, 7).roc(), 2);
    }

    #[test]
    fn newer_is_a_half_circle() {
        assert!(is_newer(0, 65_535));
        assert!(!is_newer(65_535, 0));
        assert!(!is_newer(5, 5));
        assert!(!is_newer(32_768, 0));
    }
}
