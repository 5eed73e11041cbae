//! Transport-wide congestion control feedback, reading side
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use crate::wire;

/// Arrival times of a run of transport-wide sequence numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportFeedback<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// One of the sources of the transport.
    pub media_ssrc: u32,
    /// First sequence number of the run.
    pub base_sequence: u16,
    /// Length of the run.
    pub status_count: u16,
    /// Reference of the deltas, in multiples of 64 ms of an arbitrary clock; 24 signed bits.
    pub reference_time: i32,
    /// Counter of feedback packets.
    pub feedback_count: u8,
    /// Chunks, deltas and padding.
    body: &'a [u8],
}

impl<'a> TransportFeedback<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Some(Self {
            sender_ssrc: wire::u32_at(body, 0)?,
            media_ssrc: wire::u32_at(body, 4)?,
            base_sequence: wire::u16_at(body, 8)?,
            status_count: wire::u16_at(body, 10)?,
            reference_time: (wire::u24_at(body, 12)? << 8).cast_signed() >> 8,
            feedback_count: wire::u8_at(body, 15)?,
            body: body.get(16..)?,
        })
    }

    /// Every sequence number of the run with its arrival. A packet whose chunks or deltas are cut short ends early.
    pub fn arrivals(&self) -> Arrivals<'a> {
        let mut deltas_at = 0usize;
        let mut covered = 0u32;
        while covered < u32::from(self.status_count) {
            let Some(chunk) = wire::u16_at(self.body, deltas_at) else {
                break;
            };
            covered = covered.saturating_add(u32::from(Chunk::new(chunk).left));
            deltas_at = deltas_at.saturating_add(2);
        }
        let (chunks, deltas) = self.body.split_at_checked(deltas_at).unwrap_or((&[], &[]));
        Arrivals {
            chunks,
            deltas,
            chunk: Chunk { bits: 0, left: 0 },
            sequence: self.base_sequence,
            left: self.status_count,
            time: i64::from(self.reference_time).saturating_mul(256),
        }
    }
}

/// Iterator over a run: sequence number, and the time of arrival in units of 250 µs if the packet arrived.
#[derive(Debug, Clone)]
pub struct Arrivals<'a> {
    chunks: &'a [u8],
    deltas: &'a [u8],
    /// The chunk being read.
    chunk: Chunk,
    /// Next sequence number.
    sequence: u16,
    /// Sequence numbers left in the run.
    left: u16,
    /// Arrival of the previous packet, in 250 µs.
    time: i64,
}

impl Iterator for Arrivals<'_> {
    type Item = (u16, Option<i64>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        if self.chunk.left == 0 {
            let (chunk, rest) = self.chunks.split_first_chunk::<2>()?;
            self.chunks = rest;
            self.chunk = Chunk::new(u16::from_be_bytes(*chunk));
            if self.chunk.left == 0 {
                // An empty run would never end.
                self.left = 0;
                return None;
            }
        }
        let arrival = match self.chunk.next_symbol() {
            1 => {
                let (delta, rest) = self.deltas.split_first()?;
                self.deltas = rest;
                self.time = self.time.saturating_add(i64::from(*delta));
                Some(self.time)
            }
            2 => {
                let (delta, rest) = self.deltas.split_first_chunk::<2>()?;
                self.deltas = rest;
                self.time = self
                    .time
                    .saturating_add(i64::from(i16::from_be_bytes(*delta)));
                Some(self.time)
            }
            // 0 is "not received", 3 is reserved.
            _ => None,
        };
        let sequence = self.sequence;
        self.sequence = sequence.wrapping_add(1);
        Some((sequence, arrival))
    }
}

/// A packet status chunk that is being read.
#[derive(Debug, Clone, Copy)]
struct Chunk {
    /// The chunk; for vectors, shifted so that the next symbol leads the 14 low bits.
    bits: u16,
    /// Symbols left.
    left: u16,
}

impl Chunk {
    const fn new(bits: u16) -> Self {
        let left = if bits & 0x8000 == 0 {
            bits & 0x1FFF
        } else if bits & 0x4000 == 0 {
            14
        } else {
            7
        };
        Self { bits, left }
    }

    fn next_symbol(&mut self) -> u16 {
        self.left = self.left.saturating_sub(1);
        let kind = self.bits & 0xC000;
        if self.bits & 0x8000 == 0 {
            return (self.bits >> 13) & 3;
        }
        let (symbol, width) = if kind == 0x8000 {
            ((self.bits >> 13) & 1, 1)
        } else {
            ((self.bits >> 12) & 3, 2)
        };
        self.bits = kind | ((self.bits << width) & 0x3FFF);
        symbol
    }
}
