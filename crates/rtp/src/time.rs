//! RTP timestamps, NTP timestamps and the conversions between them and durations.
//!
//! RTP time counts a clock of some rate in 32 wrapping bits (RFC 3550 §5.1); NTP time is seconds since 1900 in 32.32
//! fixed point, of which reports quote the middle 32 bits (§4).

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::time::Duration;

/// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
const NTP_UNIX_OFFSET: u64 = 2_208_988_800;

/// Nanoseconds in a second.
const NANOS: u128 = 1_000_000_000;

/// Ticks of a clock of `clock_rate` hertz in `duration`, rounded down; saturates.
pub fn ticks(duration: Duration, clock_rate: u32) -> u64 {
    // Seconds and the rest apart, each in 64 bits: this is asked for every packet.
    let rate = u64::from(clock_rate);
    let rest = u64::from(duration.subsec_nanos())
        .saturating_mul(rate)
        .checked_div(1_000_000_000)
        .unwrap_or(0);
    duration.as_secs().saturating_mul(rate).saturating_add(rest)
}

/// The duration of `count` ticks of a clock of `clock_rate` hertz; zero for a rate of zero.
pub fn from_ticks(count: u64, clock_rate: u32) -> Duration {
    let nanos = u128::from(count)
        .saturating_mul(NANOS)
        .checked_div(u128::from(clock_rate))
        .unwrap_or(0);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Signed distance from `earlier` to `later` on the 32 bit circle of RTP timestamps.
pub const fn distance(later: u32, earlier: u32) -> i32 {
    later.wrapping_sub(earlier) as i32
}

/// A 64 bit NTP timestamp: seconds since 1900 in the upper half, fractions in the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Ntp(u64);

impl Ntp {
    /// From the 64 bits of a sender report.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The 64 bits for a sender report.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// From the time since the Unix epoch; wraps with the NTP era.
    pub fn from_unix(since_epoch: Duration) -> Self {
        let seconds = since_epoch.as_secs().wrapping_add(NTP_UNIX_OFFSET);
        // Nanoseconds below 10⁹ shifted by 32 fit in 62 bits.
        let fraction = (u64::from(since_epoch.subsec_nanos()) << 32)
            .checked_div(1_000_000_000)
            .unwrap_or(0);
        Self((seconds << 32) | fraction)
    }

    /// The middle 32 bits, as quoted in the LSR field of report blocks (RFC 3550 §6.4.1).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }
}

/// A duration in units of 1/65536 second, as in the DLSR field (RFC 3550 §6.4.1); saturates at 18 hours.
pub fn to_short_ntp(duration: Duration) -> u32 {
    u32::try_from(ticks(duration, 65_536)).unwrap_or(u32::MAX)
}

/// The duration of a difference in units of 1/65536 second.
pub fn from_short_ntp(units: u32) -> Duration {
    from_ticks(u64::from(units), 65_536)
}

/// Round trip time from a report block (RFC 3550 §6.4.1): `now − LSR − DLSR`, where `now` is the middle of our NTP
/// clock. `None` when there is no LSR yet or the result is not plausible (negative, or above a minute).
pub fn round_trip(now: Ntp, last_sender_report: u32, delay_since: u32) -> Option<Duration> {
    if last_sender_report == 0 {
        return None;
    }
    let units = now
        .middle()
        .wrapping_sub(last_sender_report)
        .wrapping_sub(delay_since);
    let units = units.cast_signed();
    match units {
        // A few units below zero are rounding, not a clock that went backwards.
        -64..=0 => Some(Duration::from_micros(15)),
        1..=3_932_160 => Some(from_short_ntp(units.cast_unsigned())),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_durations_are_inverse() {
        assert_eq!(ticks(Duration::from_millis(20), 48_000), 960);
        assert_eq!(ticks(Duration::from_secs(1), 90_000), 90_000);
        assert_eq!(from_ticks(960, 48_000), Duration::from_millis(20));
        assert_eq!(from_ticks(960, 0), Duration::ZERO);
        assert_eq!(ticks(Duration::MAX, u32::MAX), u64::MAX);
    }

    #[test]
    fn distance_wraps() {
        assert_eq!(distance(5, u32::MAX), 6);
        assert_eq!(distance(u32::MAX, 5), -6);
    }

    #[test]
    fn ntp_of_the_unix_epoch() {
        assert_eq!(Ntp::from_unix(Duration::ZERO).bits() >> 32, NTP_UNIX_OFFSET);
        let half = Ntp::from_unix(Duration::from_millis(500));
        assert_eq!(half.bits() & 0xFFFF_FFFF, 0x8000_0000);
        assert_eq!(half.middle(), ((NTP_UNIX_OFFSET << 16) as u32) | 0x8000);
    }

    #[test]
    fn round_trip_is_what_is_left_after_the_peers_delay() {
        let sent = Ntp::from_unix(Duration::from_secs(1_000));
        let now = Ntp::from_unix(Duration::from_millis(1_000_300));
        let rtt = round_trip(now, sent.middle(), to_short_ntp(Duration::from_millis(200))).unwrap();
        assert!((99..=101).contains(&rtt.as_millis()), "{rtt:?}");
        assert_eq!(round_trip(now, 0, 0), None);
        assert_eq!(round_trip(sent, now.middle(), 0), None);
    }
}
