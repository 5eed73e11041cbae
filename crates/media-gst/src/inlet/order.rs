//! Puts the packets of an inlet into order, and says where some are missing.
//!
//! What arrives in order goes through at once. A gap is waited for, since the shard asks peers again for
//! what was lost, but not longer than [`PATIENCE`].

use gstreamer::ClockTime;
use salono_rtp::seq::{ExtSeq, Unwrapper};
use std::collections::BTreeMap;

/// How long a gap may stay open.
const PATIENCE: ClockTime = ClockTime::from_mseconds(200);

/// Packets that may wait behind a gap; with more, it is given up.
const MAX_WAITING: usize = 1_024;

/// A number this far from the expected one is another numbering.
const JUMP: u64 = 3_000;

/// A packet in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct Ordered {
    /// The packet.
    pub packet: Vec<u8>,
    /// When it arrived, in running time.
    pub arrived: ClockTime,
    /// Packets before it are missing and will not come.
    pub after_loss: bool,
}

/// Packets that wait for those before them.
#[derive(Debug, Default)]
pub struct Order {
    unwrapper: Unwrapper,
    next: Option<u64>,
    waiting: BTreeMap<u64, (ClockTime, Vec<u8>)>,
    lost: bool,
}

impl Order {
    /// Takes a packet in.
    pub fn push(&mut self, now: ClockTime, sequence_number: u16, packet: Vec<u8>) {
        let mut place = number(self.unwrapper.unwrap(sequence_number));
        if self.next.is_some_and(|next| next.abs_diff(place) > JUMP) {
            // Whoever sends began anew.
            self.waiting.clear();
            self.unwrapper = Unwrapper::new();
            place = number(self.unwrapper.unwrap(sequence_number));
            self.next = None;
            self.lost = true;
        }
        let next = *self.next.get_or_insert(place);
        if place >= next {
            self.waiting.entry(place).or_insert((now, packet));
        }
    }

    /// Takes the next packet out, if there is one.
    pub fn pop(&mut self, now: ClockTime) -> Option<Ordered> {
        let next = self.next?;
        let first = self.waiting.first_entry()?;
        let place = *first.key();
        if place != next {
            let since = first.get().0;
            let patient = now.saturating_sub(since) < PATIENCE;
            if patient && self.waiting.len() < MAX_WAITING {
                return None;
            }
            self.lost = true;
        }
        let (arrived, packet) = self.waiting.remove(&place)?;
        self.next = Some(place.saturating_add(1));
        Some(Ordered {
            packet,
            arrived,
            after_loss: std::mem::take(&mut self.lost),
        })
    }
}

fn number(place: ExtSeq) -> u64 {
    place.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(order: &mut Order, now: ClockTime) -> Vec<(u8, bool)> {
        std::iter::from_fn(|| order.pop(now))
            .map(|ordered| (ordered.packet[0], ordered.after_loss))
            .collect()
    }

    fn at(ms: u64) -> ClockTime {
        ClockTime::from_mseconds(ms)
    }

    #[test]
    fn packets_that_were_overtaken_come_out_in_their_place() {
        let mut order = Order::default();
        order.push(at(0), 65_535, vec![1]);
        assert_eq!(drain(&mut order, at(0)), [(1, false)]);
        order.push(at(1), 1, vec![3]);
        assert_eq!(drain(&mut order, at(1)), []);
        order.push(at(2), 0, vec![2]);
        order.push(at(2), 65_535, vec![1]);
        assert_eq!(drain(&mut order, at(2)), [(2, false), (3, false)]);
    }

    #[test]
    fn a_gap_is_given_up_in_time_and_reported() {
        let mut order = Order::default();
        order.push(at(0), 10, vec![1]);
        order.push(at(0), 12, vec![3]);
        assert_eq!(drain(&mut order, at(199)), [(1, false)]);
        assert_eq!(drain(&mut order, at(200)), [(3, true)]);
        order.push(at(201), 11, vec![2]);
        assert_eq!(drain(&mut order, at(600)), []);
    }

    #[test]
    fn a_sender_that_begins_anew_is_followed() {
        let mut order = Order::default();
        order.push(at(0), 10, vec![1]);
        assert_eq!(drain(&mut order, at(0)), [(1, false)]);
        order.push(at(1), 30_000, vec![2]);
        order.push(at(1), 30_001, vec![3]);
        assert_eq!(drain(&mut order, at(1)), [(2, true), (3, false)]);
    }
}
