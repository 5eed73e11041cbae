//! What a receiver of the bare forwarder tells it: as many packets as a WebRTC receiver sends, as long and as often,
//! in the clear. The forwarder takes them in and throws them away.

use super::apart::{FEEDBACK_BYTES, OWN_SSRC, REPORT_EVERY};
use salono_rtp::recv::TwccReceiver;
use salono_rtp::rtcp::{ReportBlock, Writer};
use salono_rtp::srtp::MAX_RTCP_OVERHEAD;
use std::time::Instant;

/// Feedback of one receiver.
pub(super) struct Chatter {
    twcc: TwccReceiver,
    /// Number of the next packet of both streams together.
    next: u16,
    /// Streams that are reported.
    streams: usize,
    /// When the next report is due.
    report_at: Option<Instant>,
}

impl Chatter {
    /// Nothing received yet of this many streams.
    pub(super) fn new(streams: usize) -> Self {
        Self {
            twcc: TwccReceiver::new(),
            next: 0,
            streams,
            report_at: None,
        }
    }

    /// A packet arrived at `now`.
    pub(super) fn record(&mut self, now: Instant) {
        self.twcc.record(self.next, now);
        self.next = self.next.wrapping_add(1);
    }

    /// Writes what is due; returns its length with what SRTCP would add, 0 when there is nothing.
    pub(super) fn write(&mut self, buf: &mut [u8; FEEDBACK_BYTES], now: Instant) -> usize {
        let room = FEEDBACK_BYTES - MAX_RTCP_OVERHEAD;
        let mut writer = Writer::new(&mut buf[..room]);
        if self.next > 0 && self.report_at.is_none_or(|at| at <= now) {
            self.report_at = now.checked_add(REPORT_EVERY);
            // Two blocks and a name fit well.
            let blocks = vec![ReportBlock::default(); self.streams];
            let _ = writer.receiver_report(OWN_SSRC, &blocks);
            let _ = writer.canonical_name(OWN_SSRC, "bench");
        }
        // Nobody adapts sound to those who only listen.
        if self.streams > 1 && self.twcc.poll_timeout().is_some_and(|at| at <= now) {
            while self.twcc.write(&mut writer, OWN_SSRC, 0) == Ok(true) {}
        }
        match writer.len() {
            0 => 0,
            len => len + MAX_RTCP_OVERHEAD,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salono_rtp::header::Kind;
    use std::time::Duration;

    #[test]
    fn forwarder_hears_ten_packets_a_second_and_a_report() {
        let (mut chatter, mut buf) = (Chatter::new(2), [0; FEEDBACK_BYTES]);
        let start = Instant::now();
        let (mut packets, mut longest) = (0, 0);
        // A packet each 5 ms for a second, looked at each 50 ms.
        for step in 1..=200_u32 {
            let now = start + Duration::from_millis(5) * step;
            chatter.record(now);
            if step % 10 == 0 {
                let len = chatter.write(&mut buf, now);
                assert!(len == 0 || Kind::of(&buf[..len]) == Kind::Rtcp);
                packets += u32::from(len > 0);
                longest = longest.max(len);
            }
        }
        assert!((7..=11).contains(&packets), "{packets}");
        assert!((80..200).contains(&longest), "{longest}");
    }
}
