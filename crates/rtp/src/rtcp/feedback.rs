//! NACK, FIR and REMB.

use super::source::SsrcList;
use crate::wire;

/// The identifier at the start of a REMB message.
pub(super) const REMB_NAME: [u8; 4] = *b"REMB";

/// A request for retransmission (RFC 4585 §6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GenericNack<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    /// Whose packets are missing.
    pub media_ssrc: u32,
    /// The missing sequence numbers.
    pub lost: LostSequences<'a>,
}

impl<'a> GenericNack<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        Some(Self {
            sender_ssrc: wire::u32_at(body, 0)?,
            media_ssrc: wire::u32_at(body, 4)?,
            lost: LostSequences {
                entries: body.get(8..)?,
                base: 0,
                pending: 0,
            },
        })
    }
}

/// Sequence numbers of a NACK, in the order of its entries; iterate over a copy of it. At most 17 per four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostSequences<'a> {
    /// Entries not begun.
    entries: &'a [u8],
    /// Packet identifier of the current entry.
    base: u16,
    /// Its sequence numbers not yet given: bit `n` stands for `base + n`.
    pending: u32,
}

impl Iterator for LostSequences<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if self.pending == 0 {
            let ([p0, p1, b0, b1], rest) = self.entries.split_first_chunk::<4>()?;
            self.entries = rest;
            self.base = u16::from_be_bytes([*p0, *p1]);
            self.pending = (u32::from(u16::from_be_bytes([*b0, *b1])) << 1) | 1;
        }
        let bit = self.pending.trailing_zeros();
        self.pending &= self.pending.wrapping_sub(1);
        // At most bit 16.
        Some(self.base.wrapping_add(bit as u16))
    }
}

/// A request for keyframes (RFC 5104 §4.3.1); iterate over a copy of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FullIntra<'a> {
    /// Who asks.
    pub sender_ssrc: u32,
    entries: &'a [u8],
}

impl<'a> FullIntra<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        // The media SSRC field is unused; the entries name the sources.
        Some(Self {
            sender_ssrc: wire::u32_at(body, 0)?,
            entries: body.get(8..)?,
        })
    }
}

/// One source that is asked for a keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirEntry {
    /// The source.
    pub ssrc: u32,
    /// Number of the command; a repetition has the same.
    pub command_sequence: u8,
}

impl Iterator for FullIntra<'_> {
    type Item = FirEntry;

    fn next(&mut self) -> Option<FirEntry> {
        let ([a, b, c, d, command_sequence, ..], rest) = self.entries.split_first_chunk::<8>()?;
        self.entries = rest;
        Some(FirEntry {
            ssrc: u32::from_be_bytes([*a, *b, *c, *d]),
            command_sequence: *command_sequence,
        })
    }
}

/// What a receiver believes it can receive (draft-alvestrand-rmcat-remb-03 §2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remb<'a> {
    /// Who reports.
    pub sender_ssrc: u32,
    /// Total bitrate over the sources, in bits per second; saturates.
    pub bitrate_bps: u64,
    /// The sources that the estimate covers.
    pub sources: SsrcList<'a>,
}

impl<'a> Remb<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Option<Self> {
        if *body.get(8..)?.first_chunk::<4>()? != REMB_NAME {
            return None;
        }
        let count = wire::u8_at(body, 12)?;
        let packed = wire::u24_at(body, 13)?;
        let (exponent, mantissa) = (packed >> 18, u64::from(packed & 0x3_FFFF));
        let bitrate_bps = if mantissa.leading_zeros() >= exponent {
            mantissa.checked_shl(exponent).unwrap_or(0)
        } else {
            u64::MAX
        };
        let rest = body.get(16..)?;
        let len = usize::from(count).saturating_mul(4);
        Some(Self {
            sender_ssrc: wire::u32_at(body, 0)?,
            bitrate_bps,
            sources: SsrcList::new(rest.get(..len).unwrap_or(rest)),
        })
    }

    /// Exponent and mantissa of a bitrate, rounded down to 18 bits of precision.
    pub(super) fn pack(bitrate_bps: u64) -> u32 {
        // Bits beyond the lower 18: at most 46, which fits the six bits of the exponent.
        let exponent = 46u32.saturating_sub(bitrate_bps.leading_zeros());
        let mantissa = bitrate_bps.checked_shr(exponent).unwrap_or(0);
        (exponent << 18) | (mantissa & 0x3_FFFF) as u32
    }
}
