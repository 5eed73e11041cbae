//! Bitrate over a sliding window, and how many frames come in a second.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::time::{Duration, Instant};

/// Slots of the window.
const SLOTS: usize = 20;

/// Duration of one slot; the window is one second.
const SLOT: Duration = Duration::from_millis(SLOT_MILLIS);
const SLOT_MILLIS: u64 = 50;

/// Bytes of the last second, in slots of 50 ms.
///
/// Counts until a second has passed relate to the time since the first packet (at least one slot), so that the rate
/// is right from the start.
#[derive(Debug, Clone)]
pub struct BitrateMeter {
    /// Bytes by slot number modulo the window.
    slots: [u32; SLOTS],
    /// Sum of the slots.
    sum: u64,
    /// Time of the first byte and begin of slot 0.
    origin: Option<Instant>,
    /// Number of the newest slot.
    newest: u64,
    /// When the one after it begins.
    next_at: Option<Instant>,
}

impl Default for BitrateMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl BitrateMeter {
    /// Nothing counted yet.
    pub const fn new() -> Self {
        Self {
            slots: [0; SLOTS],
            sum: 0,
            origin: None,
            newest: 0,
            next_at: None,
        }
    }

    /// Counts `bytes` at `now`.
    pub fn add(&mut self, bytes: usize, now: Instant) {
        self.advance(now);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let at = place(self.newest);
        if let Some(slot) = self.slots.get_mut(at) {
            let before = *slot;
            *slot = before.saturating_add(bytes);
            self.sum = self
                .sum
                .saturating_add(u64::from(slot.saturating_sub(before)));
        }
    }

    /// Bits per second over the window that ends at `now`.
    pub fn bits_per_second(&mut self, now: Instant) -> u64 {
        let Some(origin) = self.origin else { return 0 };
        self.advance(now);
        // The newest slot has only begun; the window is the full slots before it and the part of it that has passed.
        let elapsed = now.saturating_duration_since(origin);
        let newest_began = SLOT.saturating_mul(u32::try_from(self.newest).unwrap_or(u32::MAX));
        let full = SLOT.saturating_mul((SLOTS as u32).saturating_sub(1));
        let window = full.saturating_add(elapsed.saturating_sub(newest_began));
        let span = elapsed.min(window).max(SLOT);
        let bits = u128::from(self.sum)
            .saturating_mul(8)
            .saturating_mul(1_000_000);
        u64::try_from(bits.checked_div(span.as_micros()).unwrap_or(0)).unwrap_or(u64::MAX)
    }

    /// Empties the slots that `now` has moved past.
    #[inline]
    fn advance(&mut self, now: Instant) {
        if self.next_at.is_none_or(|next| next <= now) {
            self.advance_slot(now);
            let next =
                Duration::from_millis(SLOT_MILLIS.saturating_mul(self.newest.saturating_add(1)));
            self.next_at = self.origin.and_then(|origin| origin.checked_add(next));
        }
    }

    fn advance_slot(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin);
        // In 64 bits: a division of 128 bits is a call.
        let slot = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .checked_div(SLOT_MILLIS)
            .unwrap_or(0);
        if slot.saturating_sub(self.newest) >= SLOTS as u64 {
            self.slots = [0; SLOTS];
            self.sum = 0;
            self.newest = slot;
            return;
        }
        while self.newest < slot {
            self.newest = self.newest.saturating_add(1);
            if let Some(old) = self.slots.get_mut(place(self.newest)) {
                self.sum = self.sum.saturating_sub(u64::from(*old));
                *old = 0;
            }
        }
    }
}

/// Index of a slot number.
fn place(slot: u64) -> usize {
    slot.checked_rem(SLOTS as u64).unwrap_or(0) as usize
}

/// Frames: all of them, and how many of them came in the last second.
///
/// Seconds are counted one after the other, so the rate is that of the last whole one.
#[derive(Debug, Clone, Default)]
pub struct FrameMeter {
    total: u64,
    /// Begin of the second that is being counted.
    began: Option<Instant>,
    counted: u16,
    /// Of the second before.
    rate: u16,
}

impl FrameMeter {
    /// The second that a rate relates to.
    const SECOND: Duration = Duration::from_secs(1);

    /// Counts a frame that ended at `now`.
    pub fn add(&mut self, now: Instant) {
        self.total = self.total.saturating_add(1);
        let began = *self.began.get_or_insert(now);
        let passed = now.saturating_duration_since(began);
        if passed >= Self::SECOND {
            // A second without a frame has no rate that would be worth telling.
            self.rate = if passed < Self::SECOND.saturating_mul(2) {
                self.counted
            } else {
                0
            };
            self.counted = 0;
            self.began = Some(now);
        }
        self.counted = self.counted.saturating_add(1);
    }

    /// All frames.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Frames per second; what came so far in the first second, and none after two without any.
    pub fn per_second(&self, now: Instant) -> u16 {
        let passed = self
            .began
            .map_or(Duration::MAX, |began| now.saturating_duration_since(began));
        if passed >= Self::SECOND.saturating_mul(2) {
            0
        } else if self.rate == 0 || passed >= Self::SECOND {
            self.counted
        } else {
            self.rate
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_stream_measures_its_rate_at_once_and_forever() {
        let start = crate::virtual_time::origin();
        let mut meter = BitrateMeter::new();
        for packet in 0..1_000u64 {
            let now = start + Duration::from_millis(packet * 10);
            meter.add(1_250, now);
            if packet >= 10 {
                let bps = meter.bits_per_second(now);
                assert!((900_000..=1_200_000).contains(&bps), "{packet}: {bps}");
            }
        }
    }

    #[test]
    fn silence_brings_the_rate_to_zero() {
        let start = crate::virtual_time::origin();
        let mut meter = BitrateMeter::new();
        assert_eq!(meter.bits_per_second(start), 0);
        meter.add(100_000, start);
        assert!(meter.bits_per_second(start + Duration::from_millis(900)) > 0);
        assert_eq!(
            meter.bits_per_second(start + Duration::from_millis(1_100)),
            0
        );
        meter.add(usize::MAX, start + Duration::from_secs(100));
        assert!(meter.bits_per_second(start + Duration::from_secs(100)) > 0);
    }

    #[test]
    fn frames_are_counted_by_the_second() {
        let start = crate::virtual_time::origin();
        let mut meter = FrameMeter::default();
        assert_eq!(meter.per_second(start), 0);
        for frame in 0..300u64 {
            let now = start + Duration::from_micros(frame * 33_334);
            meter.add(now);
            if frame >= 30 {
                assert!((29..=31).contains(&meter.per_second(now)), "{frame}");
            }
        }
        assert_eq!(meter.total(), 300);
        let last = start + Duration::from_secs(10);
        assert_eq!(meter.per_second(last + Duration::from_secs(2)), 0);
        // The rate is that of now, not of before the pause.
        meter.add(last + Duration::from_secs(60));
        assert_eq!(meter.per_second(last + Duration::from_secs(60)), 1);
    }
}
