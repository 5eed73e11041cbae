//! The packets of one publisher track, decrypted, in one place: fanned out from here and found again for
//! retransmissions.
//!
//! Packets lie in a circular byte arena in order of arrival; an index by sequence number finds them in one step. The
//! newest packets overwrite the oldest. Both parts are made for the first packet, start small and double, up to a cap,
//! while they would forget packets that are younger than the configured history; apart from these few steps nothing
//! allocates, and a track that never sends takes nothing.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use std::time::{Duration, Instant};

use crate::header::{Header, ParseError};
use crate::seq::ExtSeq;

/// Bytes that a packet can be padded with where it lies, see [`PacketRing::set_padding`].
pub const MAX_PADDING: usize = 8;

/// Sizes of a [`PacketRing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Bytes of the arena at first.
    pub initial_bytes: usize,
    /// Bytes of the arena at most; beyond, history is shorter than wished.
    pub max_bytes: usize,
    /// Packets in the index at first; rounded up to a power of two.
    pub initial_packets: usize,
    /// Packets in the index at most; rounded up to a power of two.
    pub max_packets: usize,
    /// How long packets should be kept.
    pub history: Duration,
}

impl Config {
    /// For audio: 16 KiB, enough for a second of any common codec.
    pub const AUDIO: Self = Self {
        initial_bytes: 16 << 10,
        max_bytes: 256 << 10,
        initial_packets: 64,
        max_packets: 512,
        history: Duration::from_millis(1_000),
    };

    /// For video: 64 KiB at first, 1 MiB at most (a second at 8 Mb/s).
    pub const VIDEO: Self = Self {
        initial_bytes: 64 << 10,
        max_bytes: 1 << 20,
        initial_packets: 128,
        max_packets: 2_048,
        history: Duration::from_millis(1_000),
    };
}

/// Where a packet lies and what its header says.
#[derive(Debug, Clone, Copy)]
struct Slot {
    seq: ExtSeq,
    header: Header,
    arrival: Instant,
    /// Bytes written to the arena before this packet, gaps at its end included: `position % capacity` is where the
    /// packet starts, and it is overwritten once the write position is more than the capacity ahead.
    position: u64,
    /// Where that is in the arena, so that nobody has to divide for it. Growth leaves what survives it in place.
    start: usize,
    /// Bytes without padding, for which there is room behind them.
    len: usize,
    padding: u8,
}

/// The decrypted packet store of one track.
#[derive(Debug)]
pub struct PacketRing {
    config: Config,
    arena: Vec<u8>,
    /// Power-of-two table, indexed by the low bits of the extended sequence number.
    slots: Vec<Option<Slot>>,
    /// Bytes written so far, gaps included.
    written: u64,
    /// When the current lap over the arena began.
    lap_began: Option<Instant>,
    newest: Option<ExtSeq>,
}

/// A stored packet: header fields as received and plain bytes.
#[derive(Debug, Clone, Copy)]
pub struct PacketRef<'a> {
    /// Extended sequence number.
    pub seq: ExtSeq,
    /// The header as received. Its padding bit no longer applies: padding is not stored.
    pub header: Header,
    /// When the packet arrived.
    pub arrival: Instant,
    /// Bytes of padding that it goes out with, see [`PacketRing::set_padding`].
    pub padding: u8,
    /// Header, payload and padding.
    bytes: &'a [u8],
    /// Bytes of header and payload.
    len: usize,
}

impl<'a> PacketRef<'a> {
    /// Header and payload, without padding.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes.get(..self.len).unwrap_or(self.bytes)
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.header.len()..self.len).unwrap_or(&[])
    }

    /// The payload and the padding that it goes out with.
    #[inline]
    pub fn padded_payload(&self) -> &'a [u8] {
        self.bytes.get(self.header.len()..).unwrap_or(&[])
    }

    /// The header extension elements.
    pub fn extensions(&self) -> crate::header::Extensions<'a> {
        self.header.extensions(self.bytes())
    }
}

/// Why a packet was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Padding or lengths make no sense.
    #[error(transparent)]
    Malformed(#[from] ParseError),
    /// A packet with this sequence number is stored already.
    #[error("packet is stored already")]
    Duplicate,
    /// The packet is older than everything that the index can still tell apart.
    #[error("packet is too old to be stored")]
    TooOld,
    /// The packet is longer than the arena may become.
    #[error("packet is longer than the store")]
    TooLong,
}

impl PacketRing {
    /// An empty store.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            arena: Vec::new(),
            slots: Vec::new(),
            written: 0,
            lap_began: None,
            newest: None,
        }
    }

    /// Stores the decrypted `packet`, whose header is `header`, and returns it as stored.
    pub fn push(
        &mut self,
        seq: ExtSeq,
        header: &Header,
        packet: &[u8],
        now: Instant,
    ) -> Result<PacketRef<'_>, PushError> {
        let len = header.len().saturating_add(header.payload(packet)?.len());
        let bytes = packet.get(..len).ok_or(ParseError::Short)?;
        if self.slots.is_empty() {
            self.begin();
        }
        if let Some(old) = self.slot(seq) {
            if old.seq > seq {
                return Err(PushError::TooOld);
            }
            if old.seq == seq && self.is_live(old) {
                return Err(PushError::Duplicate);
            }
            if self.is_live(old) && now.saturating_duration_since(old.arrival) < self.config.history
            {
                self.grow_index();
            }
        }
        let position = self.reserve(len.saturating_add(MAX_PADDING), now)?;
        let start = self.place(position);
        self.arena
            .get_mut(start..start.saturating_add(len))
            .ok_or(PushError::TooLong)?
            .copy_from_slice(bytes);
        let slot = Slot {
            seq,
            header: *header,
            arrival: now,
            position,
            start,
            len,
            padding: 0,
        };
        let at = self.index(seq);
        if let Some(entry) = self.slots.get_mut(at) {
            *entry = Some(slot);
        }
        self.newest = self.newest.max(Some(seq));
        self.view(&slot).ok_or(PushError::TooLong)
    }

    /// The packet with sequence number `seq`, if it is still there.
    pub fn get(&self, seq: ExtSeq) -> Option<PacketRef<'_>> {
        let slot = self
            .slot(seq)
            .filter(|slot| slot.seq == seq && self.is_live(slot))?;
        self.view(slot)
    }

    /// Says how many bytes of padding a packet goes out with, now and when it is sent again: [`MAX_PADDING`] at most.
    /// They are put behind its payload, so that nobody has to copy it for them.
    pub fn set_padding(&mut self, seq: ExtSeq, padding: u8) {
        let at = self.index(seq);
        let lived = self.slot(seq).filter(|slot| self.is_live(slot));
        if lived.is_none_or(|slot| slot.seq != seq) || usize::from(padding) > MAX_PADDING {
            return;
        }
        if let Some(Some(slot)) = self.slots.get_mut(at) {
            slot.padding = padding;
            let start = slot.start.saturating_add(slot.len);
            let end = start.saturating_add(usize::from(padding));
            if let Some(room) = self.arena.get_mut(start..end)
                && let Some((count, zeros)) = room.split_last_mut()
            {
                // RFC 3550 §5.1: the last byte counts those to be ignored.
                zeros.fill(0);
                *count = padding;
            }
        }
    }

    /// The highest sequence number ever stored.
    pub const fn newest(&self) -> Option<ExtSeq> {
        self.newest
    }

    /// Bytes of memory that arena and index take.
    pub fn memory(&self) -> usize {
        self.arena
            .len()
            .saturating_add(self.slots.len().saturating_mul(size_of::<Option<Slot>>()))
    }

    /// Takes the memory for the first packets.
    fn begin(&mut self) {
        let config = &self.config;
        self.arena = vec![0; config.initial_bytes.clamp(1, config.max_bytes.max(1))];
        self.slots = vec![None; config.initial_packets.max(1).next_power_of_two()];
    }

    /// Makes room for `len` bytes in one piece; returns their position and counts them as written.
    fn reserve(&mut self, len: usize, now: Instant) -> Result<u64, PushError> {
        loop {
            let began = *self.lap_began.get_or_insert(now);
            let start = self.place(self.written);
            if start.saturating_add(len) <= self.arena.len()
                // The end of a lap is the start of the next one, which is where it may have to grow.
                && (start != 0 || self.written == 0)
            {
                let position = self.written;
                self.written = position.saturating_add(len as u64);
                return Ok(position);
            }
            let too_young = now.saturating_duration_since(began) < self.config.history;
            if len > self.arena.len() || too_young {
                if self.grow_arena() {
                    continue;
                }
                if len > self.arena.len() {
                    return Err(PushError::TooLong);
                }
            }
            // Begin the next lap; the rest of this one stays unused.
            let rest = if start == 0 {
                0
            } else {
                self.arena.len().saturating_sub(start)
            };
            let position = self.written.saturating_add(rest as u64);
            self.written = position.saturating_add(len as u64);
            self.lap_began = Some(now);
            return Ok(position);
        }
    }

    /// Doubles the arena at the end of a lap. The packets of this lap stay where they are and become the first half
    /// of a first lap; older ones are forgotten, of which the end of the arena may have held a few.
    fn grow_arena(&mut self) -> bool {
        let old = self.arena.len();
        let new = old.saturating_mul(2).min(self.config.max_bytes);
        if new <= old {
            return false;
        }
        let start = self.place(self.written);
        // At the very end of a lap the write position is the start of the next one.
        let in_lap = if start == 0 && self.written > 0 {
            old
        } else {
            start
        };
        let lap = self.written.saturating_sub(in_lap as u64);
        self.arena.resize(new, 0);
        for entry in &mut self.slots {
            *entry = entry.and_then(|slot| {
                let position = slot.position.checked_sub(lap)?;
                Some(Slot { position, ..slot })
            });
        }
        self.written = in_lap as u64;
        true
    }

    /// Doubles the index, up to its cap.
    fn grow_index(&mut self) {
        let new = self.slots.len().saturating_mul(2);
        if new > self.config.max_packets.max(1).next_power_of_two() {
            return;
        }
        let old = std::mem::replace(&mut self.slots, vec![None; new]);
        for slot in old.into_iter().flatten() {
            let at = self.index(slot.seq);
            if let Some(entry) = self.slots.get_mut(at) {
                *entry = Some(slot);
            }
        }
    }

    /// Place of a sequence number in the index.
    fn index(&self, seq: ExtSeq) -> usize {
        // The table length is a power of two, so the low bits of the number are enough.
        (seq.get() as usize) & self.slots.len().wrapping_sub(1)
    }

    fn slot(&self, seq: ExtSeq) -> Option<&Slot> {
        self.slots.get(self.index(seq))?.as_ref()
    }

    /// Place of a position in the arena.
    fn place(&self, position: u64) -> usize {
        position.checked_rem(self.arena.len() as u64).unwrap_or(0) as usize
    }

    fn is_live(&self, slot: &Slot) -> bool {
        self.written.saturating_sub(slot.position) <= self.arena.len() as u64
    }

    fn view(&self, slot: &Slot) -> Option<PacketRef<'_>> {
        let end = slot.start.saturating_add(slot.len);
        let end = end.saturating_add(usize::from(slot.padding));
        let bytes = self.arena.get(slot.start..end)?;
        Some(PacketRef {
            seq: slot.seq,
            header: slot.header,
            arrival: slot.arrival,
            padding: slot.padding,
            bytes,
            len: slot.len,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(seq: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0x80, 96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
        bytes[2..4].copy_from_slice(&(seq as u16).to_be_bytes());
        bytes.extend((0..len).map(|n| (seq as usize).wrapping_mul(7).wrapping_add(n) as u8));
        bytes
    }

    fn push(ring: &mut PacketRing, seq: u64, len: usize, now: Instant) -> Result<(), PushError> {
        let bytes = packet(seq, len);
        let header = Header::parse(&bytes).unwrap();
        ring.push(ExtSeq::new(seq), &header, &bytes, now)
            .map(|stored| {
                assert_eq!(stored.bytes(), bytes);
            })
    }

    #[test]
    fn a_second_of_video_is_kept_at_any_bitrate_below_the_cap() {
        let start = crate::virtual_time::origin();
        for (packet_gap_us, len) in [(10_000, 1_200), (2_000, 1_200), (1_400, 1_100)] {
            let mut ring = PacketRing::new(Config::VIDEO);
            for n in 0..5_000u64 {
                push(
                    &mut ring,
                    70_000 + n,
                    len,
                    start + Duration::from_micros(n * packet_gap_us),
                )
                .unwrap();
            }
            let per_second = 1_000_000 / packet_gap_us;
            let oldest = ExtSeq::new(75_000 - per_second * 9 / 10);
            let found = ring.get(oldest).expect("a packet of 0.9 s ago");
            assert_eq!(found.payload(), &packet(oldest.get(), len)[12..]);
            assert!(ring.memory() <= (1 << 20) + 2_048 * size_of::<Option<Slot>>());
        }
    }

    #[test]
    fn slow_audio_never_grows() {
        let start = crate::virtual_time::origin();
        let mut ring = PacketRing::new(Config::AUDIO);
        assert_eq!(ring.memory(), 0, "a track that never sends");
        push(&mut ring, 0, 120, start).unwrap();
        let before = ring.memory();
        for n in 1..2_000 {
            push(&mut ring, n, 120, start + Duration::from_millis(n * 20)).unwrap();
        }
        assert_eq!(ring.memory(), before);
        assert!(ring.get(ExtSeq::new(1_960)).is_some());
        assert!(ring.get(ExtSeq::new(1_900)).is_none());
    }

    #[test]
    fn duplicates_old_and_oversized_packets_are_refused() {
        let now = crate::virtual_time::origin();
        let config = Config {
            initial_bytes: 1_000,
            max_bytes: 2_000,
            initial_packets: 4,
            max_packets: 4,
            history: Duration::from_secs(1),
        };
        let mut ring = PacketRing::new(config);
        push(&mut ring, 10, 50, now).unwrap();
        assert_eq!(push(&mut ring, 10, 50, now), Err(PushError::Duplicate));
        push(&mut ring, 14, 50, now).unwrap();
        assert_eq!(push(&mut ring, 10, 50, now), Err(PushError::TooOld));
        assert_eq!(push(&mut ring, 15, 2_000, now), Err(PushError::TooLong));
        assert!(push(&mut ring, 16, 1_900, now).is_ok());
        assert_eq!(ring.newest(), Some(ExtSeq::new(16)));
    }

    #[test]
    fn padding_is_not_stored() {
        let mut bytes = packet(1, 10);
        bytes[0] |= 0x20;
        bytes[21] = 4;
        let header = Header::parse(&bytes).unwrap();
        let mut ring = PacketRing::new(Config::AUDIO);
        let stored = ring
            .push(
                ExtSeq::new(1),
                &header,
                &bytes,
                crate::virtual_time::origin(),
            )
            .unwrap();
        assert_eq!(stored.payload().len(), 6);
    }

    #[test]
    fn padding_lies_behind_the_payload_and_touches_no_other_packet() {
        let now = crate::virtual_time::origin();
        let mut ring = PacketRing::new(Config::VIDEO);
        for seq in 0..3 {
            push(&mut ring, seq, 100, now).unwrap();
        }
        ring.set_padding(ExtSeq::new(1), MAX_PADDING as u8);
        ring.set_padding(ExtSeq::new(2), MAX_PADDING as u8 + 1);
        for seq in 0..3 {
            let stored = ring.get(ExtSeq::new(seq)).unwrap();
            assert_eq!(stored.bytes(), packet(seq, 100));
            let padding = stored.padded_payload().strip_prefix(stored.payload());
            let expected: &[u8] = match seq {
                1 => &[0, 0, 0, 0, 0, 0, 0, 8],
                _ => &[],
            };
            assert_eq!(padding, Some(expected));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_found_is_what_was_stored(
            steps in proptest::collection::vec((0u64..6, 0u64..8, 0usize..700, 0u64..60), 1..300)
        ) {
            let config = Config {
                initial_bytes: 700, max_bytes: 9_000, initial_packets: 4, max_packets: 32,
                history: Duration::from_millis(300),
            };
            let mut ring = PacketRing::new(config);
            let mut now = crate::virtual_time::origin();
            let mut newest = 100_000u64;
            let mut stored = std::collections::BTreeMap::new();
            for (forward, back, len, wait) in steps {
                now += Duration::from_millis(wait);
                newest += forward;
                let seq = newest - back;
                if push(&mut ring, seq, len, now).is_ok() {
                    stored.insert(seq, len);
                }
                let mut found = 0;
                for (&seq, &len) in &stored {
                    if let Some(stored) = ring.get(ExtSeq::new(seq)) {
                        let expected = packet(seq, len);
                        prop_assert_eq!(stored.bytes(), &expected[..]);
                        found += 1;
                    }
                }
                prop_assert!(found >= 1);
            }
        }
    }
}
