//! What was sent on one stream, and what its receiver says of it (RFC 3550 §6.4).

use std::time::{Duration, Instant};

use crate::rtcp::{BufferFull, ReportBlock, Writer};
use crate::time::{self, Ntp};

/// Counters of one outgoing stream.
#[derive(Debug, Clone, Default)]
pub struct Statistics {
    packets: u64,
    bytes: u64,
    retransmitted: u64,
    round_trip: Option<Duration>,
    fraction_lost: u8,
    cumulative_lost: i32,
    /// Jitter in timestamp units.
    jitter: u32,
    /// When the receiver last reported.
    reported_at: Option<Instant>,
}

impl Statistics {
    /// Counts a packet with `payload_len` payload bytes.
    pub const fn packet(&mut self, payload_len: usize) {
        self.packets = self.packets.saturating_add(1);
        self.bytes = self.bytes.saturating_add(payload_len as u64);
    }

    /// Counts a retransmission on the stream itself. By RTX it counts as a packet of the RTX stream instead.
    pub const fn retransmission(&mut self, payload_len: usize) {
        self.packet(payload_len);
        self.retransmitted = self.retransmitted.saturating_add(1);
    }

    /// Takes in what the receiver reports; `ntp` is our wall clock at `now`.
    pub fn report(&mut self, block: &ReportBlock, ntp: Ntp, now: Instant) {
        self.fraction_lost = block.fraction_lost;
        self.cumulative_lost = block.cumulative_lost;
        self.jitter = block.jitter;
        self.reported_at = Some(now);
        if let Some(sample) =
            time::round_trip(ntp, block.last_sender_report, block.delay_since_last)
        {
            // The usual smoothing with an eighth per sample (RFC 6298 §2).
            self.round_trip = Some(match self.round_trip {
                None => sample,
                Some(before) => {
                    let sum = before.saturating_mul(7).saturating_add(sample);
                    sum.checked_div(8).unwrap_or(sample)
                }
            });
        }
    }

    /// Appends a sender report: wall clock `ntp` and the RTP timestamp of the same moment, see
    /// [`Munger::timestamp_at`](crate::munge::Munger::timestamp_at).
    pub fn write_report(
        &self,
        writer: &mut Writer<'_>,
        ssrc: u32,
        ntp: Ntp,
        timestamp: u32,
        blocks: &[ReportBlock],
    ) -> Result<(), BufferFull> {
        // The counters of a report are modulo 2³².
        let (packets, bytes) = (self.packets as u32, self.bytes as u32);
        writer.sender_report(ssrc, ntp, timestamp, packets, bytes, blocks)
    }

    /// Packets sent.
    pub const fn packets(&self) -> u64 {
        self.packets
    }

    /// Payload bytes sent.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Packets sent again.
    pub const fn retransmitted(&self) -> u64 {
        self.retransmitted
    }

    /// Smoothed round trip time.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Loss that the receiver last reported, in 1/256.
    pub const fn fraction_lost(&self) -> u8 {
        self.fraction_lost
    }

    /// Total loss that the receiver last reported.
    pub const fn cumulative_lost(&self) -> i32 {
        self.cumulative_lost
    }

    /// Jitter that the receiver last reported, for timestamps of `clock_rate` hertz.
    pub fn jitter(&self, clock_rate: u32) -> Duration {
        time::from_ticks(u64::from(self.jitter), clock_rate)
    }

    /// When the receiver last reported.
    pub const fn reported_at(&self) -> Option<Instant> {
        self.reported_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtcp::{Compound, Packet};

    #[test]
    fn sender_reports_carry_the_counters_and_answers_give_the_round_trip() {
        let mut statistics = Statistics::default();
        statistics.packet(100);
        statistics.retransmission(50);
        let sent = Ntp::from_unix(Duration::from_secs(5_000));
        let mut buf = [0; 100];
        let mut writer = Writer::new(&mut buf);
        statistics
            .write_report(&mut writer, 7, sent, 99, &[])
            .unwrap();
        let Some(Packet::SenderReport(report)) = Compound::new(&buf).next() else {
            panic!()
        };
        assert_eq!(
            (
                report.packet_count,
                report.octet_count,
                report.rtp_timestamp
            ),
            (2, 150, 99)
        );
        let block = ReportBlock {
            fraction_lost: 3,
            cumulative_lost: 4,
            jitter: 480,
            last_sender_report: report.ntp.middle(),
            delay_since_last: time::to_short_ntp(Duration::from_millis(100)),
            ..ReportBlock::default()
        };
        let back = Ntp::from_unix(Duration::from_millis(5_000_180));
        statistics.report(&block, back, crate::virtual_time::origin());
        let rtt = statistics.round_trip().unwrap().as_millis();
        assert!((79..=81).contains(&rtt), "{rtt}");
        assert_eq!(
            (statistics.fraction_lost(), statistics.cumulative_lost()),
            (3, 4)
        );
        assert_eq!(statistics.jitter(48_000), Duration::from_millis(10));
        assert_eq!(statistics.retransmitted(), 1);
    }
}
