//! Reception statistics of one source (RFC 3550 §6.4, §A.3, §A.8).

use std::time::{Duration, Instant};

use crate::rtcp::ReportBlock;
use crate::seq::ExtSeq;
use crate::time::{self, Ntp};

/// What was received of one source.
#[derive(Debug, Clone)]
pub struct Statistics {
    ssrc: u32,
    clock_rate: u32,
    /// First and highest sequence number.
    range: Option<(ExtSeq, ExtSeq)>,
    packets: u64,
    bytes: u64,
    /// Transit time of the previous packet in timestamp units, modulo 2³².
    transit: Option<u32>,
    /// Arrival of the first packet, the zero of the transit clock.
    epoch: Option<Instant>,
    /// Jitter times 16 (§A.8).
    jitter_16: u64,
    /// Expected and received packets at the previous report.
    reported: (u64, u64),
    /// Loss in the interval before the previous report.
    fraction_lost: u8,
    /// Middle of the NTP time of the last sender report, and when it came.
    sender_report: Option<(u32, Instant)>,
}

impl Statistics {
    /// Nothing received yet. `clock_rate` is the rate of the timestamps in hertz.
    pub const fn new(ssrc: u32, clock_rate: u32) -> Self {
        Self {
            ssrc,
            clock_rate,
            range: None,
            packets: 0,
            bytes: 0,
            transit: None,
            epoch: None,
            jitter_16: 0,
            reported: (0, 0),
            fraction_lost: 0,
            sender_report: None,
        }
    }

    /// Counts a packet with `payload_len` payload bytes.
    pub fn packet(&mut self, seq: ExtSeq, timestamp: u32, payload_len: usize, now: Instant) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(payload_len as u64);
        let is_newest = match self.range {
            None => {
                self.range = Some((seq, seq));
                true
            }
            Some((first, highest)) => {
                self.range = Some((first.min(seq), highest.max(seq)));
                seq > highest
            }
        };
        // Retransmissions and reordered packets would show as jitter that the network does not have.
        if is_newest {
            self.update_jitter(timestamp, now);
        }
    }

    /// Remembers a sender report for the LSR and DLSR fields.
    pub const fn sender_report(&mut self, ntp: Ntp, now: Instant) {
        self.sender_report = Some((ntp.middle(), now));
    }

    /// The report block of this moment, which ends the interval of the fraction lost. `None` before any packet.
    pub fn report(&mut self, now: Instant) -> Option<ReportBlock> {
        let (_, highest) = self.range?;
        let expected = self.expected();
        let (expected_before, received_before) = self.reported;
        let interval = expected.saturating_sub(expected_before);
        let received = self.packets.saturating_sub(received_before);
        // §A.3: duplicates can make the loss negative, which counts as none.
        let lost = interval.saturating_sub(received);
        self.reported = (expected, self.packets);
        let fraction = lost.saturating_mul(256).checked_div(interval).unwrap_or(0);
        self.fraction_lost = u8::try_from(fraction).unwrap_or(u8::MAX);
        let (last_sender_report, delay_since_last) =
            self.sender_report.map_or((0, 0), |(middle, at)| {
                (
                    middle,
                    time::to_short_ntp(now.saturating_duration_since(at)),
                )
            });
        Some(ReportBlock {
            ssrc: self.ssrc,
            fraction_lost: self.fraction_lost,
            cumulative_lost: i32::try_from(self.cumulative_lost()).unwrap_or(i32::MAX),
            // 16 bits of wraps and 16 bits of number.
            highest_sequence: highest.get() as u32,
            jitter: u32::try_from(self.jitter_16 >> 4).unwrap_or(u32::MAX),
            last_sender_report,
            delay_since_last,
        })
    }

    /// The source.
    pub const fn ssrc(&self) -> u32 {
        self.ssrc
    }

    /// Packets received, duplicates included.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes received.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets expected minus packets received; negative with duplicates.
    pub fn cumulative_lost(&self) -> i64 {
        self.expected()
            .cast_signed()
            .saturating_sub(self.packets.cast_signed())
    }

    /// Loss in the interval that the last report ended, in 1/256.
    pub const fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// Interarrival jitter.
    pub fn jitter(&self) -> Duration {
        time::from_ticks(self.jitter_16 >> 4, self.clock_rate)
    }

    /// Highest sequence number received.
    pub fn highest(&self) -> Option<ExtSeq> {
        self.range.map(|(_, highest)| highest)
    }

    fn expected(&self) -> u64 {
        self.range.map_or(0, |(first, highest)| {
            highest.get().saturating_sub(first.get()).saturating_add(1)
        })
    }

    fn update_jitter(&mut self, timestamp: u32, now: Instant) {
        let epoch = *self.epoch.get_or_insert(now);
        let arrival = time::ticks(now.saturating_duration_since(epoch), self.clock_rate) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let difference = u64::from(time::distance(transit, before).unsigned_abs());
            // J += (|D| − J) / 16, in sixteenths with rounding.
            let decay = self.jitter_16.saturating_add(8) >> 4;
            self.jitter_16 = self
                .jitter_16
                .saturating_add(difference)
                .saturating_sub(decay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_per_interval_and_in_total() {
        let start = crate::virtual_time::origin();
        let mut statistics = Statistics::new(9, 90_000);
        assert_eq!(statistics.report(start), None);
        for n in (0..100u64).filter(|n| n % 4 != 3) {
            statistics.packet(ExtSeq::new(65_500 + n), 0, 1_000, start);
        }
        let block = statistics.report(start).unwrap();
        assert_eq!(
            (block.ssrc, block.cumulative_lost, block.fraction_lost),
            (9, 24, 62)
        );
        assert_eq!(block.highest_sequence, 65_598);
        for n in 100..200u64 {
            statistics.packet(ExtSeq::new(65_500 + n), 0, 1_000, start);
        }
        let block = statistics.report(start).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (25, 2));
        for n in 150..200u64 {
            statistics.packet(ExtSeq::new(65_500 + n), 0, 1_000, start);
        }
        let block = statistics.report(start).unwrap();
        assert_eq!((block.cumulative_lost, block.fraction_lost), (-25, 0));
        assert_eq!(statistics.packets(), 225);
        assert_eq!(statistics.bytes(), 225_000);
    }

    #[test]
    fn steady_packets_have_no_jitter_and_wavering_ones_converge_to_theirs() {
        let start = crate::virtual_time::origin();
        let mut steady = Statistics::new(1, 48_000);
        let mut wavering = Statistics::new(1, 48_000);
        for n in 0..500u64 {
            let timestamp = u32::MAX.wrapping_add(n as u32 * 960);
            let now = start + Duration::from_millis(n * 20);
            steady.packet(ExtSeq::new(n), timestamp, 1, now);
            wavering.packet(
                ExtSeq::new(n),
                timestamp,
                1,
                now + Duration::from_millis(n % 2 * 10),
            );
        }
        assert_eq!(steady.jitter(), Duration::ZERO);
        let jitter = wavering.jitter().as_micros();
        assert!((9_000..=10_100).contains(&jitter), "{jitter}");
    }

    #[test]
    fn sender_reports_are_quoted_with_the_delay_since() {
        let start = crate::virtual_time::origin();
        let mut statistics = Statistics::new(1, 48_000);
        statistics.packet(ExtSeq::new(1), 0, 1, start);
        statistics.sender_report(Ntp::from_bits(0x1111_2222_3333_4444), start);
        let block = statistics
            .report(start + Duration::from_millis(500))
            .unwrap();
        assert_eq!(block.last_sender_report, 0x2222_3333);
        assert_eq!(block.delay_since_last, 32_768);
    }
}
