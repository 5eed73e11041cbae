//! Writing compound packets.

use super::feedback::{REMB_NAME, Remb};
use super::report::{BLOCK_LEN, ReportBlock};
use super::source::CNAME;
use super::{FirEntry, format, packet_type};
use crate::time::Ntp;
use crate::wire;

/// Items that fit the five bit count of a header.
const MAX_COUNT: usize = 31;

/// The buffer has no room for the packet, which was left out whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("buffer is too small for the RTCP packet")]
pub struct BufferFull;

/// Appends RTCP packets to a buffer.
///
/// Lists that exceed what one packet can name (31 report blocks, sources or chunks) are cut.
#[derive(Debug)]
pub struct Writer<'a> {
    buf: &'a mut [u8],
    /// End of the last complete packet.
    len: usize,
}

impl<'a> Writer<'a> {
    /// Writes to the start of `buf`.
    pub const fn new(buf: &'a mut [u8]) -> Self {
        Self { buf, len: 0 }
    }

    /// Length of the compound packet so far.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends a sender report.
    pub fn sender_report(
        &mut self,
        ssrc: u32,
        ntp: Ntp,
        rtp_timestamp: u32,
        packet_count: u32,
        octet_count: u32,
        blocks: &[ReportBlock],
    ) -> Result<(), BufferFull> {
        let blocks = blocks.get(..MAX_COUNT).unwrap_or(blocks);
        self.packet(blocks.len(), packet_type::SENDER_REPORT, |body| {
            body.u32(ssrc)?;
            body.bytes(&ntp.bits().to_be_bytes())?;
            body.u32(rtp_timestamp)?;
            body.u32(packet_count)?;
            body.u32(octet_count)?;
            report_blocks(body, blocks)
        })
    }

    /// Appends a receiver report; without blocks it is the empty report that may lead a compound packet.
    pub fn receiver_report(&mut self, ssrc: u32, blocks: &[ReportBlock]) -> Result<(), BufferFull> {
        let blocks = blocks.get(..MAX_COUNT).unwrap_or(blocks);
        self.packet(blocks.len(), packet_type::RECEIVER_REPORT, |body| {
            body.u32(ssrc)?;
            report_blocks(body, blocks)
        })
    }

    /// Appends a source description with the canonical name of one source. Names are cut at 255 bytes.
    pub fn canonical_name(&mut self, ssrc: u32, name: &str) -> Result<(), BufferFull> {
        let name = name.as_bytes();
        let name = name.get(..255).unwrap_or(name);
        self.packet(1, packet_type::SOURCE_DESCRIPTION, |body| {
            body.u32(ssrc)?;
            body.bytes(&[CNAME, u8::try_from(name.len()).unwrap_or(255)])?;
            body.bytes(name)?;
            // RFC 3550 §6.5: the list of items ends with at least one null byte.
            body.bytes(&[0])
        })
    }

    /// Appends a goodbye of `sources`.
    pub fn bye(&mut self, sources: &[u32]) -> Result<(), BufferFull> {
        let sources = sources.get(..MAX_COUNT).unwrap_or(sources);
        self.packet(sources.len(), packet_type::BYE, |body| {
            sources.iter().try_for_each(|ssrc| body.u32(*ssrc))
        })
    }

    /// Appends a NACK for the sequence numbers `lost`, which should ascend (modulo 2¹⁶) to be packed well. Returns
    /// how many were taken: all, or as many as fit.
    ///
    /// # Errors
    /// [`BufferFull`] when not even one fits.
    pub fn nack(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        lost: &[u16],
    ) -> Result<usize, BufferFull> {
        let mut taken = 0usize;
        if lost.is_empty() {
            return Ok(0);
        }
        self.packet(
            usize::from(format::NACK),
            packet_type::TRANSPORT_FEEDBACK,
            |body| {
                body.u32(sender_ssrc)?;
                body.u32(media_ssrc)?;
                while let Some((&base, rest)) = lost.get(taken..).and_then(<[u16]>::split_first) {
                    let mut mask = 0u16;
                    let mut used = 1usize;
                    for seq in rest {
                        let step = seq.wrapping_sub(base);
                        if !(1..=16).contains(&step) {
                            break;
                        }
                        mask |= 1u16.wrapping_shl(u32::from(step.wrapping_sub(1)));
                        used = used.saturating_add(1);
                    }
                    let [p0, p1] = base.to_be_bytes();
                    let [b0, b1] = mask.to_be_bytes();
                    if body.bytes(&[p0, p1, b0, b1]).is_none() {
                        break;
                    }
                    taken = taken.saturating_add(used);
                }
                (taken > 0).then_some(())
            },
        )?;
        Ok(taken)
    }

    /// Appends a picture loss indication.
    pub fn picture_loss(&mut self, sender_ssrc: u32, media_ssrc: u32) -> Result<(), BufferFull> {
        self.packet(
            usize::from(format::PLI),
            packet_type::PAYLOAD_FEEDBACK,
            |body| {
                body.u32(sender_ssrc)?;
                body.u32(media_ssrc)
            },
        )
    }

    /// Appends a full intra request. The caller advances the command sequence of a source for each new request and
    /// keeps it when repeating one (RFC 5104 §4.3.1.2).
    pub fn full_intra(&mut self, sender_ssrc: u32, entries: &[FirEntry]) -> Result<(), BufferFull> {
        self.packet(
            usize::from(format::FIR),
            packet_type::PAYLOAD_FEEDBACK,
            |body| {
                body.u32(sender_ssrc)?;
                // RFC 5104 §4.3.1.2: the media SSRC is not used and is zero.
                body.u32(0)?;
                entries.iter().try_for_each(|entry| {
                    body.u32(entry.ssrc)?;
                    body.bytes(&[entry.command_sequence, 0, 0, 0])
                })
            },
        )
    }

    /// Appends a receiver estimated maximum bitrate; `bitrate_bps` is rounded down to 18 significant bits. At most
    /// 255 sources.
    pub fn remb(
        &mut self,
        sender_ssrc: u32,
        bitrate_bps: u64,
        sources: &[u32],
    ) -> Result<(), BufferFull> {
        let sources = sources.get(..255).unwrap_or(sources);
        self.packet(
            usize::from(format::APPLICATION),
            packet_type::PAYLOAD_FEEDBACK,
            |body| {
                body.u32(sender_ssrc)?;
                body.u32(0)?;
                body.bytes(&REMB_NAME)?;
                let [_, p0, p1, p2] = Remb::pack(bitrate_bps).to_be_bytes();
                body.bytes(&[u8::try_from(sources.len()).unwrap_or(255), p0, p1, p2])?;
                sources.iter().try_for_each(|ssrc| body.u32(*ssrc))
            },
        )
    }

    /// Appends transport-wide feedback: the run's head, then chunks and deltas as already encoded.
    pub(crate) fn transport_feedback(
        &mut self,
        sender_ssrc: u32,
        media_ssrc: u32,
        head: [u8; 8],
        chunks: &[[u8; 2]],
        deltas: &[u8],
    ) -> Result<(), BufferFull> {
        self.packet(
            usize::from(format::TWCC),
            packet_type::TRANSPORT_FEEDBACK,
            |body| {
                body.u32(sender_ssrc)?;
                body.u32(media_ssrc)?;
                body.bytes(&head)?;
                body.bytes(chunks.as_flattened())?;
                body.bytes(deltas)
            },
        )
    }

    /// Writes one packet: header, body, zero bytes up to a word.
    ///
    /// Those bytes are not RTCP padding: every body above is a multiple of four or ends with bytes that the reader
    /// does not look at (the rest of an SDES chunk, the rest after the last delta).
    fn packet(
        &mut self,
        count: usize,
        packet_type: u8,
        fill: impl FnOnce(&mut Body<'_>) -> Option<()>,
    ) -> Result<(), BufferFull> {
        let start = self.len;
        let mut body = Body {
            buf: self.buf,
            at: start,
        };
        let count = u8::try_from(count & MAX_COUNT).unwrap_or(0);
        body.bytes(&[0x80 | count, packet_type, 0, 0])
            .ok_or(BufferFull)?;
        fill(&mut body).ok_or(BufferFull)?;
        let used = body.at.saturating_sub(start);
        let padding = used.next_multiple_of(4).saturating_sub(used);
        body.bytes([0; 3].get(..padding).unwrap_or(&[]))
            .ok_or(BufferFull)?;
        let end = body.at;
        let words = (end.saturating_sub(start) / 4).saturating_sub(1);
        let words = u16::try_from(words).map_err(|_| BufferFull)?;
        wire::put(self.buf, start.saturating_add(2), &words.to_be_bytes()).ok_or(BufferFull)?;
        self.len = end;
        Ok(())
    }
}

fn report_blocks(body: &mut Body<'_>, blocks: &[ReportBlock]) -> Option<()> {
    blocks.iter().try_for_each(|block| {
        let bytes: [u8; BLOCK_LEN] = block.to_bytes();
        body.bytes(&bytes)
    })
}

/// The body of a packet that is being written.
struct Body<'a> {
    buf: &'a mut [u8],
    at: usize,
}

impl Body<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Option<()> {
        wire::put(self.buf, self.at, bytes)?;
        self.at = self.at.saturating_add(bytes.len());
        Some(())
    }

    fn u32(&mut self, value: u32) -> Option<()> {
        self.bytes(&value.to_be_bytes())
    }
}
