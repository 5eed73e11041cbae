//! A watch over what is sent: sequence numbers and timestamps of one outgoing stream must make sense.
//!
//! Meant for debug builds and tests; it judges and counts, and never stops anything.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::seq::ExtSeq;
use crate::time;

/// Farthest that a timestamp may go ahead of the newest one, in seconds of its clock.
const MAX_JUMP_SECONDS: u32 = 30;

/// Numbers behind the newest that are checked for duplicates.
const WINDOW: u32 = 128;

/// What is wrong with an outgoing packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// The sequence number was used before.
    #[error("sequence number {0} was sent before")]
    Duplicate(u64),
    /// A later packet has an earlier timestamp.
    #[error("timestamp went back by {0} ticks")]
    TimestampBackwards(u32),
    /// The timestamp leaped ahead.
    #[error("timestamp leaped ahead by {0} ticks")]
    TimestampLeap(u32),
}

/// Checks the packets of one outgoing stream, retransmissions excepted.
#[derive(Debug, Clone)]
pub struct EgressGuard {
    clock_rate: u32,
    /// Newest packet.
    newest: Option<(ExtSeq, u32)>,
    /// Bit `n`: number `newest − n` was sent.
    sent: u128,
    violations: u64,
    /// Sequence numbers not sent below the newest one.
    gaps: u64,
}

impl EgressGuard {
    /// Nothing sent yet.
    pub const fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate,
            newest: None,
            sent: 0,
            violations: 0,
            gaps: 0,
        }
    }

    /// Checks a packet before it is sent.
    ///
    /// # Errors
    /// What is wrong with it; the packet counts as sent all the same.
    pub fn check(&mut self, seq: ExtSeq, timestamp: u32) -> Result<(), Violation> {
        let result = self.judge(seq, timestamp);
        if result.is_err() {
            self.violations = self.violations.saturating_add(1);
        }
        result
    }

    /// Violations so far.
    pub const fn violations(&self) -> u64 {
        self.violations
    }

    /// Sequence numbers left out so far. Losses before us show here too, so this is no violation.
    pub const fn gaps(&self) -> u64 {
        self.gaps
    }

    fn judge(&mut self, seq: ExtSeq, timestamp: u32) -> Result<(), Violation> {
        let Some((newest, last)) = self.newest else {
            self.newest = Some((seq, timestamp));
            self.sent = 1;
            return Ok(());
        };
        let ahead = seq.since(newest);
        let distance = u32::try_from(ahead.unsigned_abs()).unwrap_or(u32::MAX);
        if ahead <= 0 {
            let bit = 1u128.checked_shl(distance).unwrap_or(0);
            if distance < WINDOW && self.sent & bit != 0 {
                return Err(Violation::Duplicate(seq.get()));
            }
            if bit != 0 {
                self.gaps = self.gaps.saturating_sub(1);
            }
            self.sent |= bit;
            return Ok(());
        }
        self.newest = Some((seq, timestamp));
        self.sent = self.sent.checked_shl(distance).unwrap_or(0) | 1;
        self.gaps = self
            .gaps
            .saturating_add(u64::from(distance.saturating_sub(1)));
        let step = time::distance(timestamp, last);
        if step < 0 {
            return Err(Violation::TimestampBackwards(step.unsigned_abs()));
        }
        let limit = self.clock_rate.saturating_mul(MAX_JUMP_SECONDS);
        if step.unsigned_abs() > limit {
            return Err(Violation::TimestampLeap(step.unsigned_abs()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orderly_streams_pass_and_disorder_is_named() {
        let mut guard = EgressGuard::new(90_000);
        let mut check = |seq, timestamp| guard.check(ExtSeq::new(seq), timestamp);
        assert_eq!(check(10, u32::MAX), Ok(()));
        assert_eq!(check(11, 2_999), Ok(()));
        assert_eq!(check(13, 2_999), Ok(()));
        assert_eq!(check(12, 2_999), Ok(()));
        assert_eq!(check(12, 2_999), Err(Violation::Duplicate(12)));
        assert_eq!(check(14, 2_000), Err(Violation::TimestampBackwards(999)));
        assert_eq!(
            check(15, 2_000 + 2_700_001),
            Err(Violation::TimestampLeap(2_700_001))
        );
        assert_eq!(check(u64::MAX - 1, 2_702_001), Ok(()));
        assert_eq!(guard.violations(), 3);
    }
}
