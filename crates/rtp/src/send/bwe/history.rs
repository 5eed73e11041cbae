//! What was sent under which transport-wide sequence number, until its fate is reported.

use crate::seq::ExtSeq;

/// Entries at first; a power of two.
const INITIAL: usize = 256;

/// Entries at most; a power of two. 100 Mb/s for half a second.
const MAX: usize = 4_096;

/// Entries younger than this are not overwritten before the store has its full size.
const KEEP_US: u32 = 2_000_000;

/// What is known of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Fate {
    /// Nothing was sent, or all was said.
    #[default]
    Settled,
    InFlight,
    /// Reported missing. It may still arrive.
    Lost,
}

#[derive(Debug, Clone, Copy, Default)]
struct Entry {
    /// Microseconds since the origin, modulo 2³².
    sent_us: u32,
    bytes: u16,
    /// Probe that the packet belongs to; 0 is none.
    cluster: u8,
    fate: Fate,
}

/// A packet whose arrival was reported for the first time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Arrived {
    pub(super) sent_us: u64,
    pub(super) bytes: u16,
    pub(super) cluster: u8,
    /// It was reported missing before.
    pub(super) was_lost: bool,
}

/// Sent packets, newest overwriting oldest.
#[derive(Debug)]
pub(super) struct History {
    entries: Vec<Entry>,
    next: ExtSeq,
}

impl History {
    pub(super) fn new() -> Self {
        Self {
            entries: Vec::new(),
            // One wrap above zero, so that every number has a neighbourhood.
            next: ExtSeq::from_parts(1, 1),
        }
    }

    /// Notes a packet; returns its number for the header extension.
    pub(super) fn push(&mut self, bytes: usize, cluster: u8, now_us: u64) -> u16 {
        let seq = self.next;
        // Only differences of less than an hour are ever formed.
        let sent_us = now_us as u32;
        let crowded = match self.entries.get(self.place(seq)) {
            Some(entry) => {
                entry.fate == Fate::InFlight && sent_us.wrapping_sub(entry.sent_us) < KEEP_US
            }
            None => true,
        };
        if crowded {
            self.grow();
        }
        let at = self.place(seq);
        if let Some(entry) = self.entries.get_mut(at) {
            *entry = Entry {
                sent_us,
                bytes: u16::try_from(bytes).unwrap_or(u16::MAX),
                cluster,
                fate: Fate::InFlight,
            };
        }
        self.next = seq.next();
        seq.wire()
    }

    /// A packet that the peer received; `None` when that is no news.
    pub(super) fn arrived(&mut self, seq: u16, now_us: u64) -> Option<Arrived> {
        let entry = self.find(seq)?;
        let was_lost = match entry.fate {
            Fate::Settled => return None,
            Fate::InFlight => false,
            Fate::Lost => true,
        };
        entry.fate = Fate::Settled;
        let age = (now_us as u32).wrapping_sub(entry.sent_us);
        Some(Arrived {
            sent_us: now_us.saturating_sub(u64::from(age)),
            bytes: entry.bytes,
            cluster: entry.cluster,
            was_lost,
        })
    }

    /// A packet that the peer misses; false when that is no news.
    pub(super) fn missing(&mut self, seq: u16) -> bool {
        match self.find(seq) {
            Some(entry) if entry.fate == Fate::InFlight => {
                entry.fate = Fate::Lost;
                true
            }
            Some(_) | None => false,
        }
    }

    /// The entry of a number that was given away and not yet overwritten.
    fn find(&mut self, seq: u16) -> Option<&mut Entry> {
        let newest = self.next.offset(-1);
        let seq = newest.nearest(seq)?;
        let behind = usize::try_from(newest.since(seq)).ok()?;
        if behind >= self.entries.len() {
            return None;
        }
        let at = self.place(seq);
        self.entries.get_mut(at)
    }

    /// Doubles the store, up to its cap.
    fn grow(&mut self) {
        let old = std::mem::take(&mut self.entries);
        let length = old.len().saturating_mul(2).clamp(INITIAL, MAX);
        if length == old.len() {
            self.entries = old;
            return;
        }
        self.entries = vec![Entry::default(); length];
        for behind in 1..=old.len() {
            let back = i64::try_from(behind).unwrap_or(i64::MAX);
            let seq = self.next.offset(back.saturating_neg());
            let Some(entry) = old.get((seq.get() as usize) & old.len().wrapping_sub(1)) else {
                continue;
            };
            let at = self.place(seq);
            if let Some(slot) = self.entries.get_mut(at) {
                *slot = *entry;
            }
        }
    }

    /// The length is a power of two, so the low bits of a number are its place.
    fn place(&self, seq: ExtSeq) -> usize {
        (seq.get() as usize) & self.entries.len().wrapping_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_packet_in_flight_is_found_once_however_many_there_are() {
        let mut history = History::new();
        let numbers: Vec<u16> = (0..3_000u64)
            .map(|n| history.push(1_000 + n as usize % 7, (n % 3) as u8, n * 100))
            .collect();
        for (n, seq) in numbers.iter().enumerate() {
            let arrived = history.arrived(*seq, 400_000).expect("it was sent");
            assert_eq!(
                (
                    arrived.sent_us,
                    usize::from(arrived.bytes),
                    usize::from(arrived.cluster)
                ),
                (n as u64 * 100, 1_000 + n % 7, n % 3)
            );
            assert_eq!(history.arrived(*seq, 400_000), None);
        }
        assert_eq!(history.entries.len(), MAX);
    }

    #[test]
    fn a_packet_is_lost_once_and_may_come_after_all() {
        let mut history = History::new();
        let seq = history.push(100, 0, 5);
        assert!(history.missing(seq));
        assert!(!history.missing(seq));
        assert!(history.arrived(seq, 50).expect("late").was_lost);
        assert!(!history.missing(seq));
        assert!(!history.missing(seq.wrapping_add(1)), "never sent");
    }

    #[test]
    fn settled_packets_do_not_make_the_store_grow() {
        let mut history = History::new();
        for n in 0..100_000u64 {
            let seq = history.push(1_000, 0, n * 1_000);
            assert!(history.arrived(seq, n * 1_000).is_some());
        }
        assert_eq!(history.entries.len(), INITIAL);
    }
}
