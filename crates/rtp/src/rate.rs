//! Bitrate over a sliding window.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::time::{Duration, Instant};

/// Slots of the window.
const SLOTS: usize = 20;

/// Duration of one slot; the window is one second.
const SLOT: Duration = Duration::from_millis(50);

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
    fn advance(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let elapsed = now.saturating_duration_since(origin);
        let slot = elapsed.as_nanos().checked_div(SLOT.as_nanos()).unwrap_or(0);
        let slot = u64::try_from(slot).unwrap_or(u64::MAX);
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
}
