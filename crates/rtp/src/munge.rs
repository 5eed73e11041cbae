//! Continuity of one outgoing stream over changes of its source.
//!
//! A [`Munger`] turns the numbers of whatever source is forwarded at the moment into those of one unbroken stream:
//! sequence numbers go up by one, timestamps by the time that passed, picture numbers by one, no matter where the new
//! source starts. What was sent stays known as a few runs of constant offset, so that a NACK from the subscriber is
//! traced to the packet of the publisher and the retransmission gets the very numbers that it had before.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod offsets;
mod runs;

pub use offsets::{Input, Offsets, Outgoing};
pub use runs::Origin;

use std::time::Instant;

use offsets::Part;
use runs::{Earlier, Run};

use crate::codec::Codec;
use crate::seq::ExtSeq;
use crate::time;

/// How far the clocks of two sources may disagree with the time that passed, as a part of a second; beyond, the time
/// that passed is believed.
const CLOCK_TOLERANCE: u32 = 5;

/// No spatial layer.
const NO_LAYER: u8 = u8::MAX;

/// How far behind the newest packet a late one may be and still be forwarded; duplicates are known that far back.
const LATE_WINDOW: u32 = 128;

/// Bits of a picture number.
const PICTURE_MASK: u16 = 0x7FFF;

/// Why a packet is not forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drop {
    /// It is of a source that is not, or no longer, forwarded.
    OtherSource,
    /// The source was switched to and has not sent a keyframe yet.
    AwaitingKeyframe,
    /// It was forwarded before.
    Duplicate,
    /// It is from before the switch, or too late, or its number was given away when it was skipped.
    Late,
}

/// Numbers of the newest outgoing packet.
#[derive(Debug, Clone, Copy)]
struct Last {
    seq: ExtSeq,
    timestamp: u32,
    /// Picture number or frame number.
    picture: u16,
    tl0_picture_index: u8,
    key_index: u8,
    /// When the first packet with the timestamp was forwarded.
    at: Instant,
}

/// One outgoing stream. What each packet touches comes first.
#[derive(Debug)]
#[repr(C)]
pub struct Munger {
    /// The source that is or shall be forwarded.
    ssrc: Option<u32>,
    /// Whether its first packet is still to come.
    is_pending: bool,
    codec: Codec,
    /// Of the source, from what comes next on.
    part: Part,
    /// The current run; `None` before the first packet.
    run: Option<Run>,
    /// Newest packet of the source.
    newest: ExtSeq,
    /// Bit `n`: packet `newest − n` was forwarded or skipped.
    seen: u128,
    last: Option<Last>,
    /// First packet of the source since the switch.
    floor: ExtSeq,
    clock_rate: u32,
    /// The picture that was left out last.
    left_out: Option<u16>,
    /// Numbers for the first packet, later those of the newest.
    first: (ExtSeq, u32),
    earlier: Earlier,
    /// The timestamp that the clocks of the sources give the next first packet.
    aligned: Option<u32>,
    /// How many ticks the current source is ahead of its clock, because numbers never go back.
    ahead: u32,
}

impl Munger {
    /// A stream that begins with the given numbers, which should be random. The upper bit of the sequence number is
    /// cleared, since receivers that lose the first packets before an early wrap would miss it (RFC 3711 §3.3.1).
    pub fn new(codec: Codec, clock_rate: u32, first_seq: u16, first_timestamp: u32) -> Self {
        Self {
            codec,
            clock_rate,
            ssrc: None,
            is_pending: false,
            run: None,
            floor: ExtSeq::default(),
            newest: ExtSeq::default(),
            seen: 0,
            first: (ExtSeq::from_parts(0, first_seq & 0x7FFF), first_timestamp),
            last: None,
            earlier: Earlier::default(),
            left_out: None,
            part: Part::ALL,
            aligned: None,
            ahead: 0,
        }
    }

    /// Forwards `ssrc` from its next keyframe on (from its next packet, for codecs without); other sources stop now.
    /// Switching to the current source waits for a keyframe as well.
    pub const fn switch(&mut self, ssrc: u32) {
        self.ssrc = Some(ssrc);
        self.is_pending = true;
    }

    /// Stops forwarding until the next [`switch`](Self::switch).
    pub const fn stop(&mut self) {
        self.ssrc = None;
        self.is_pending = false;
    }

    /// The outgoing numbers of `packet`.
    ///
    /// # Errors
    /// The reason why it must not be forwarded.
    #[inline]
    pub fn forward(&mut self, packet: &Input<'_>, now: Instant) -> Result<Outgoing, Drop> {
        if self.ssrc != Some(packet.ssrc) {
            return Err(Drop::OtherSource);
        }
        // What comes next of the source whose turn it is: nearly all packets are that.
        if let Some(run) = &self.run
            && !self.is_pending
            && packet.seq == self.newest.next()
            && packet.seq >= run.source_start
            && run.offsets.part == self.part
        {
            let out_seq = run.map(packet.seq);
            let out = run
                .offsets
                .apply(out_seq, packet.timestamp, packet.descriptor);
            self.seen = (self.seen << 1) | 1;
            self.newest = packet.seq;
            self.note(&out, now);
            return Ok(out);
        }
        self.forward_any(packet, now)
    }

    /// As [`forward`](Self::forward), for packets that are out of the ordinary.
    #[inline(never)]
    fn forward_any(&mut self, packet: &Input<'_>, now: Instant) -> Result<Outgoing, Drop> {
        let mut run = match self.run {
            Some(run) if !self.is_pending => run,
            Some(_) | None => self.begin(packet, now)?,
        };
        if run.offsets.part != self.part && packet.seq > self.newest {
            let offsets = Offsets {
                part: self.part,
                ..run.offsets
            };
            run = self.cut(run, packet.seq, run.map(packet.seq), offsets);
        }
        let out_seq = self.place(&run, packet.seq)?;
        let offsets = run.offsets;
        let out = offsets.apply(out_seq, packet.timestamp, packet.descriptor);
        self.mark(packet.seq);
        self.note(&out, now);
        Ok(out)
    }

    /// Leaves out a packet of the current source on purpose and closes the gap, so that the subscriber does not take
    /// it for lost. A packet that is not the newest one leaves its gap.
    pub fn skip(&mut self, ssrc: u32, seq: ExtSeq) {
        self.leave_out(ssrc, seq, None);
    }

    /// As [`skip`](Self::skip), for a packet of a picture that is left out as a whole. Where picture numbers must not
    /// have gaps, `picture` is its number.
    pub fn leave_out(&mut self, ssrc: u32, seq: ExtSeq, picture: Option<u16>) {
        let Some(run) = self
            .run
            .filter(|_| !self.is_pending && self.ssrc == Some(ssrc))
        else {
            return;
        };
        if seq <= self.newest {
            if seq >= self.floor {
                self.mark(seq);
            }
            return;
        }
        let mut offsets = run.offsets;
        if picture.is_some() && picture != self.left_out {
            self.left_out = picture;
            offsets.picture = offsets.picture.wrapping_sub(1) & PICTURE_MASK;
        }
        self.cut(run, seq.next(), run.map(seq), offsets);
        self.mark(seq);
    }

    /// Ends a run where another begins.
    fn cut(&mut self, run: Run, source_start: ExtSeq, out_start: ExtSeq, offsets: Offsets) -> Run {
        let next = Run {
            ssrc: run.ssrc,
            offsets,
            source_start,
            out_start,
        };
        // Only a run with room for a packet in it is worth remembering.
        if out_start > run.out_start {
            self.earlier.push(run);
        }
        self.run = Some(next);
        next
    }

    /// Whether a packet of the source is newer than all before it, so that it can be left out without a gap.
    pub fn is_newest(&self, seq: ExtSeq) -> bool {
        self.is_pending || self.run.is_none() || seq > self.newest
    }

    /// From the next packet on, pictures end with this spatial layer; with `None` where the source's marker says. The
    /// receiver is told that it gets the decode targets `active`, a bit each; with 0 what the source says holds.
    pub fn set_part(&mut self, top: Option<u8>, active: u16) {
        self.part = Part {
            top: top.unwrap_or(NO_LAYER),
            active,
        };
    }

    /// The outgoing timestamp that the next source's first packet has by the clocks of both sources, in terms of the
    /// current run. It is taken for what it is within a fifth of a second of the time that passed.
    pub const fn align(&mut self, timestamp: Option<u32>) {
        self.aligned = timestamp;
    }

    /// Closes the gap that packets of the current source leave, up to and with `seq`, that were held back without
    /// being shown to the munger. Timestamps go on: time passed.
    pub fn skip_to(&mut self, ssrc: u32, seq: ExtSeq) {
        let Some(run) = self
            .run
            .filter(|_| !self.is_pending && self.ssrc == Some(ssrc))
        else {
            return;
        };
        if seq <= self.newest {
            return;
        }
        let next = Run {
            source_start: seq.next(),
            out_start: run.map(self.newest).next(),
            ..run
        };
        if next.out_start > run.out_start {
            self.earlier.push(run);
        }
        self.run = Some(next);
        self.mark(seq);
    }

    /// The packet that went out with sequence number `out`; `None` when there was none or it is too long ago. Use
    /// with [`Offsets::apply`] to retransmit.
    pub fn origin(&self, out: u16) -> Option<Origin> {
        let last = self.last?;
        let outgoing = last.seq.nearest(out).filter(|&seq| seq <= last.seq)?;
        let run = self
            .run
            .iter()
            .chain(self.earlier.newest_first())
            .find(|run| outgoing >= run.out_start)?;
        Some(Origin {
            ssrc: run.ssrc,
            seq: run.source_start.offset(outgoing.since(run.out_start)),
            outgoing,
            offsets: run.offsets,
        })
    }

    /// The source that is or shall be forwarded.
    pub const fn source(&self) -> Option<u32> {
        self.ssrc
    }

    /// Whether the first packet of the source is still to come.
    pub const fn is_pending(&self) -> bool {
        self.is_pending
    }

    /// Whether a keyframe of the source is needed to go on.
    pub const fn is_awaiting_keyframe(&self) -> bool {
        self.is_pending && self.codec.needs_keyframe()
    }

    /// The newest outgoing sequence number.
    pub fn newest(&self) -> Option<ExtSeq> {
        self.last.map(|last| last.seq)
    }

    /// The outgoing timestamp of this moment, for sender reports; `None` before the first packet.
    pub fn timestamp_at(&self, now: Instant) -> Option<u32> {
        let last = self.last?;
        let ticks = time::ticks(now.saturating_duration_since(last.at), self.clock_rate);
        // Truncation is the modulus of the timestamp.
        Some(last.timestamp.wrapping_add(ticks as u32))
    }

    /// Begins a run with the first packet of a source.
    fn begin(&mut self, packet: &Input<'_>, now: Instant) -> Result<Run, Drop> {
        if self.codec.needs_keyframe() && !packet.descriptor.is_keyframe_start {
            return Err(Drop::AwaitingKeyframe);
        }
        let descriptor = packet.descriptor;
        let (out_start, offsets) = match self.last {
            None => {
                let (seq, timestamp) = self.first;
                let timestamp = timestamp.wrapping_sub(packet.timestamp);
                (
                    seq,
                    Offsets {
                        timestamp,
                        part: self.part,
                        ..Offsets::default()
                    },
                )
            }
            Some(last) => {
                let timestamp = self.first_timestamp(last, now);
                let number = picture(
                    descriptor.picture_id.map(|id| id.value),
                    descriptor.frame_number,
                );
                let next_picture = last.picture.wrapping_add(1);
                let offsets = Offsets {
                    timestamp: timestamp.wrapping_sub(packet.timestamp),
                    picture: number.map_or(0, |number| next_picture.wrapping_sub(number)),
                    tl0_picture_index: descriptor.tl0_picture_index.map_or(0, |index| {
                        last.tl0_picture_index.wrapping_add(1).wrapping_sub(index)
                    }),
                    key_index: descriptor.key_index.map_or(0, |index| {
                        last.key_index.wrapping_add(1).wrapping_sub(index)
                    }),
                    part: self.part,
                };
                (last.seq.next(), offsets)
            }
        };
        let run = Run {
            ssrc: packet.ssrc,
            offsets,
            source_start: packet.seq,
            out_start,
        };
        if let Some(old) = self.run.replace(run) {
            // Skipped at its very start, an old run has no packets.
            if old.out_start < out_start {
                self.earlier.push(old);
            }
        }
        self.is_pending = false;
        self.left_out = None;
        self.floor = packet.seq;
        self.newest = packet.seq;
        self.seen = 0;
        Ok(run)
    }

    /// The outgoing timestamp of a source's first packet: by the clocks of the sources where they are known and
    /// plausible, else by the time that passed. At least one tick on, since equal timestamps mean the same frame.
    fn first_timestamp(&mut self, last: Last, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(last.at);
        let passed = last
            .timestamp
            .wrapping_add(time::ticks(elapsed, self.clock_rate) as u32);
        let tolerance = self.clock_rate.checked_div(CLOCK_TOLERANCE).unwrap_or(0);
        let ideal = self
            .aligned
            .take()
            .map(|aligned| aligned.wrapping_sub(self.ahead))
            .filter(|ideal| time::distance(*ideal, passed).unsigned_abs() <= tolerance);
        let wanted = ideal.unwrap_or(passed);
        let timestamp = if time::distance(wanted, last.timestamp) > 0 {
            wanted
        } else {
            last.timestamp.wrapping_add(1)
        };
        self.ahead = ideal.map_or(0, |ideal| timestamp.wrapping_sub(ideal));
        timestamp
    }

    /// The outgoing number of `seq`, in the current run or in an earlier one since the switch.
    fn place(&self, current: &Run, seq: ExtSeq) -> Result<ExtSeq, Drop> {
        if seq < self.floor {
            return Err(Drop::Late);
        }
        let behind = self.newest.since(seq);
        if behind >= i64::from(LATE_WINDOW) {
            return Err(Drop::Late);
        }
        if behind >= 0 && self.seen & 1u128.wrapping_shl(behind as u32) != 0 {
            return Err(Drop::Duplicate);
        }
        if seq >= current.source_start {
            return Ok(current.map(seq));
        }
        self.earlier.place(current, seq)
    }

    /// Remembers that `seq` was dealt with.
    fn mark(&mut self, seq: ExtSeq) {
        let ahead = seq.since(self.newest);
        if ahead > 0 {
            let shift = u32::try_from(ahead).unwrap_or(u32::MAX);
            self.seen = self.seen.checked_shl(shift).unwrap_or(0) | 1;
            self.newest = seq;
        } else if let Ok(behind) = u32::try_from(ahead.unsigned_abs()) {
            self.seen |= 1u128.checked_shl(behind).unwrap_or(0);
        }
    }

    /// Keeps the newest outgoing numbers, from which the next source goes on.
    #[inline]
    fn note(&mut self, out: &Outgoing, now: Instant) {
        let number = picture(out.rewrite.picture_id, out.rewrite.frame_number);
        let Some(last) = &mut self.last else {
            self.last = Some(Last {
                seq: out.seq,
                timestamp: out.timestamp,
                picture: number.unwrap_or(0),
                tl0_picture_index: out.rewrite.tl0_picture_index.unwrap_or(0),
                key_index: out.rewrite.key_index.unwrap_or(0),
                at: now,
            });
            return;
        };
        if out.seq <= last.seq {
            return;
        }
        last.seq = out.seq;
        if time::distance(out.timestamp, last.timestamp) > 0 {
            last.timestamp = out.timestamp;
            last.at = now;
        }
        last.picture = number.unwrap_or(last.picture);
        last.tl0_picture_index = out
            .rewrite
            .tl0_picture_index
            .unwrap_or(last.tl0_picture_index);
        last.key_index = out.rewrite.key_index.unwrap_or(last.key_index);
    }
}

/// The number of the picture or of the frame; no payload has both.
fn picture(picture_id: Option<u16>, frame_number: Option<u16>) -> Option<u16> {
    picture_id.or(frame_number)
}

#[cfg(test)]
mod tests;
