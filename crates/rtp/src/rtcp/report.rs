//! Sender and receiver reports (RFC 3550 §6.4).

use crate::time::Ntp;
use crate::wire;

/// Length of one report block on the wire.
pub(super) const BLOCK_LEN: usize = 24;

/// A sender report with its report blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SenderReport<'a> {
    /// Who sends.
    pub ssrc: u32,
    /// Wall clock at the time of the report.
    pub ntp: Ntp,
    /// RTP timestamp of the same moment.
    pub rtp_timestamp: u32,
    /// Packets sent, modulo 2³².
    pub packet_count: u32,
    /// Payload octets sent, without headers and padding, modulo 2³².
    pub octet_count: u32,
    /// What the sender receives.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> SenderReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self {
            ssrc: wire::u32_at(body, 0)?,
            ntp: Ntp::from_bits(wire::u64_at(body, 4)?),
            rtp_timestamp: wire::u32_at(body, 12)?,
            packet_count: wire::u32_at(body, 16)?,
            octet_count: wire::u32_at(body, 20)?,
            blocks: ReportBlocks::new(count, body.get(24..)?),
        })
    }
}

/// A receiver report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceiverReport<'a> {
    /// Who reports.
    pub ssrc: u32,
    /// What it receives.
    pub blocks: ReportBlocks<'a>,
}

impl<'a> ReceiverReport<'a> {
    pub(super) fn parse(count: u8, body: &'a [u8]) -> Option<Self> {
        Some(Self {
            ssrc: wire::u32_at(body, 0)?,
            blocks: ReportBlocks::new(count, body.get(4..)?),
        })
    }
}

/// Reception quality of one source, as its receiver sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReportBlock {
    /// The source.
    pub ssrc: u32,
    /// Packets lost since the previous report, in 1/256 of those expected.
    pub fraction_lost: u8,
    /// Packets lost since the start: 24 signed bits on the wire, clamped when written.
    pub cumulative_lost: i32,
    /// Highest sequence number received, extended by 16 bits of wraps.
    pub highest_sequence: u32,
    /// Interarrival jitter in timestamp units.
    pub jitter: u32,
    /// Middle of the NTP timestamp of the last sender report; 0 when there was none.
    pub last_sender_report: u32,
    /// Delay since that report in 1/65536 s.
    pub delay_since_last: u32,
}

impl ReportBlock {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let lost = wire::u24_at(bytes, 5)?;
        Some(Self {
            ssrc: wire::u32_at(bytes, 0)?,
            fraction_lost: wire::u8_at(bytes, 4)?,
            // Sign extension from 24 bits.
            cumulative_lost: (lost << 8).cast_signed() >> 8,
            highest_sequence: wire::u32_at(bytes, 8)?,
            jitter: wire::u32_at(bytes, 12)?,
            last_sender_report: wire::u32_at(bytes, 16)?,
            delay_since_last: wire::u32_at(bytes, 20)?,
        })
    }

    pub(super) fn to_bytes(self) -> [u8; BLOCK_LEN] {
        let mut bytes = [0; BLOCK_LEN];
        let lost = self
            .cumulative_lost
            .clamp(-0x80_0000, 0x7F_FFFF)
            .cast_unsigned()
            & 0x00FF_FFFF;
        let loss = (u32::from(self.fraction_lost) << 24) | lost;
        let words = [
            self.ssrc,
            loss,
            self.highest_sequence,
            self.jitter,
            self.last_sender_report,
            self.delay_since_last,
        ];
        for (chunk, word) in bytes.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_be_bytes());
        }
        bytes
    }
}

/// The report blocks of a report; iterate over a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportBlocks<'a> {
    /// Whole blocks only.
    bytes: &'a [u8],
}

impl<'a> ReportBlocks<'a> {
    /// As many blocks as announced, or as are there.
    fn new(count: u8, bytes: &'a [u8]) -> Self {
        let len = usize::from(count).saturating_mul(BLOCK_LEN);
        Self {
            bytes: bytes.get(..len).unwrap_or(bytes),
        }
    }
}

impl Iterator for ReportBlocks<'_> {
    type Item = ReportBlock;

    fn next(&mut self) -> Option<ReportBlock> {
        let (block, rest) = self.bytes.split_at_checked(BLOCK_LEN)?;
        self.bytes = rest;
        ReportBlock::parse(block)
    }
}
