//! RTCP (RFC 3550 §6, RFC 4585, RFC 5104, REMB, transport-wide congestion control).
//!
//! [`Compound`] walks the packets of a compound packet leniently: it needs neither the order nor the leading report
//! that RFC 3550 asks for (RFC 5506 allows to leave it out), skips what it does not know and ends at the first packet
//! whose length makes no sense. [`Writer`] appends packets to a caller's buffer; a packet that does not fit leaves
//! the buffer as it was.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod feedback;
mod report;
mod source;
mod twcc;
mod writer;

pub use feedback::{FirEntry, FullIntra, GenericNack, LostSequences, Remb};
pub use report::{ReceiverReport, ReportBlock, ReportBlocks, SenderReport};
pub use source::{Bye, SourceDescription, SsrcList};
pub use twcc::{Arrivals, TransportFeedback};
pub use writer::{BufferFull, Writer};

use crate::wire;

/// RTCP packet types.
pub(crate) mod packet_type {
    pub(crate) const SENDER_REPORT: u8 = 200;
    pub(crate) const RECEIVER_REPORT: u8 = 201;
    pub(crate) const SOURCE_DESCRIPTION: u8 = 202;
    pub(crate) const BYE: u8 = 203;
    pub(crate) const TRANSPORT_FEEDBACK: u8 = 205;
    pub(crate) const PAYLOAD_FEEDBACK: u8 = 206;
}

/// Feedback message types of RTPFB (205) and PSFB (206).
pub(crate) mod format {
    pub(crate) const NACK: u8 = 1;
    pub(crate) const TWCC: u8 = 15;
    pub(crate) const PLI: u8 = 1;
    pub(crate) const FIR: u8 = 4;
    pub(crate) const APPLICATION: u8 = 15;
}

/// One packet of a compound packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Packet<'a> {
    /// SR (RFC 3550 §6.4.1).
    SenderReport(SenderReport<'a>),
    /// RR (RFC 3550 §6.4.2).
    ReceiverReport(ReceiverReport<'a>),
    /// SDES (RFC 3550 §6.5).
    SourceDescription(SourceDescription<'a>),
    /// BYE (RFC 3550 §6.6).
    Bye(Bye<'a>),
    /// Generic NACK (RFC 4585 §6.2.1).
    Nack(GenericNack<'a>),
    /// Transport-wide congestion control feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).
    TransportFeedback(TransportFeedback<'a>),
    /// Picture loss indication (RFC 4585 §6.3.1).
    PictureLoss {
        /// Who asks.
        sender_ssrc: u32,
        /// Whose picture was lost.
        media_ssrc: u32,
    },
    /// Full intra request (RFC 5104 §4.3.1).
    FullIntra(FullIntra<'a>),
    /// Receiver estimated maximum bitrate (draft-alvestrand-rmcat-remb-03).
    Remb(Remb<'a>),
    /// A well-formed packet of a kind that is not read here.
    Other {
        /// Packet type, 192 to 223.
        packet_type: u8,
        /// The five bits after the version: count or feedback message type.
        count: u8,
    },
}

/// Iterator over the packets of a decrypted compound packet.
#[derive(Debug, Clone)]
pub struct Compound<'a> {
    /// What is left to read.
    rest: &'a [u8],
}

impl<'a> Compound<'a> {
    /// Reads `bytes`; nothing is checked yet.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Splits off one packet: count bits, type and body without padding.
    fn split(&mut self) -> Option<(u8, u8, &'a [u8])> {
        let [first, packet_type, w0, w1] = *self.rest.first_chunk::<4>()?;
        if first >> 6 != 2 {
            return None;
        }
        let len = usize::from(u16::from_be_bytes([w0, w1]))
            .saturating_mul(4)
            .saturating_add(4);
        let (packet, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        let mut body = packet.get(4..)?;
        if first & 0x20 != 0 {
            let keep = body.len().checked_sub(usize::from(*body.last()?))?;
            body = body.get(..keep)?;
        }
        Some((first & 0x1F, packet_type, body))
    }
}

impl<'a> Iterator for Compound<'a> {
    type Item = Packet<'a>;

    fn next(&mut self) -> Option<Packet<'a>> {
        let Some((count, packet_type, body)) = self.split() else {
            self.rest = &[];
            return None;
        };
        Some(read(count, packet_type, body).unwrap_or(Packet::Other { packet_type, count }))
    }
}

/// Reads the body of one packet; `None` for unknown kinds and for bodies that are too short for theirs.
fn read(count: u8, packet_type: u8, body: &[u8]) -> Option<Packet<'_>> {
    match (packet_type, count) {
        (packet_type::SENDER_REPORT, _) => {
            SenderReport::parse(count, body).map(Packet::SenderReport)
        }
        (packet_type::RECEIVER_REPORT, _) => {
            ReceiverReport::parse(count, body).map(Packet::ReceiverReport)
        }
        (packet_type::SOURCE_DESCRIPTION, _) => Some(Packet::SourceDescription(
            SourceDescription::parse(count, body),
        )),
        (packet_type::BYE, _) => Bye::parse(count, body).map(Packet::Bye),
        (packet_type::TRANSPORT_FEEDBACK, format::NACK) => {
            GenericNack::parse(body).map(Packet::Nack)
        }
        (packet_type::TRANSPORT_FEEDBACK, format::TWCC) => {
            TransportFeedback::parse(body).map(Packet::TransportFeedback)
        }
        (packet_type::PAYLOAD_FEEDBACK, format::PLI) => Some(Packet::PictureLoss {
            sender_ssrc: wire::u32_at(body, 0)?,
            media_ssrc: wire::u32_at(body, 4)?,
        }),
        (packet_type::PAYLOAD_FEEDBACK, format::FIR) => {
            FullIntra::parse(body).map(Packet::FullIntra)
        }
        (packet_type::PAYLOAD_FEEDBACK, format::APPLICATION) => Remb::parse(body).map(Packet::Remb),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
