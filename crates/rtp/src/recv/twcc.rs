//! Transport-wide congestion control feedback, writing side
//! (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1).

use std::time::{Duration, Instant};

use crate::rtcp::{BufferFull, Writer};
use crate::seq::{ExtSeq, Unwrapper};

/// How long a first arrival waits for others before feedback is due.
const INTERVAL: Duration = Duration::from_millis(100);

/// Arrivals at which feedback is due at once.
const EAGER: u32 = 200;

/// Sequence numbers that are remembered; a power of two.
const WINDOW: usize = 1024;

/// Sequence numbers that one feedback packet covers at most: fits 1200 bytes with two-byte deltas throughout.
const MAX_STATUSES: usize = 400;

/// A slot without arrival.
const NONE: i64 = i64::MIN;

/// Status symbols.
const SMALL: u8 = 1;
const LARGE: u8 = 2;

/// Records arrivals by transport-wide sequence number and writes feedback about them.
///
/// **Drive:** [`record`](Self::record) for every packet with the extension; when
/// [`poll_timeout`](Self::poll_timeout) is reached, [`write`](Self::write) until it answers `false`.
#[derive(Debug)]
pub struct TwccReceiver {
    unwrapper: Unwrapper,
    /// Arrival in µs since the epoch, by sequence number modulo the window; empty until the first.
    arrivals: Vec<i64>,
    epoch: Option<Instant>,
    /// First sequence number to report next.
    base: Option<ExtSeq>,
    /// Arrivals since the last feedback, and when the first of them was.
    unreported: u32,
    since: Option<Instant>,
    feedback_count: u8,
}

impl Default for TwccReceiver {
    fn default() -> Self {
        Self::new()
    }
}

impl TwccReceiver {
    /// Nothing recorded yet.
    pub fn new() -> Self {
        Self {
            unwrapper: Unwrapper::new(),
            arrivals: Vec::new(),
            epoch: None,
            base: None,
            unreported: 0,
            since: None,
            feedback_count: 0,
        }
    }

    /// Records the arrival of transport-wide sequence number `seq`. Duplicates keep their first arrival; numbers more
    /// than 1024 behind are ignored.
    pub fn record(&mut self, seq: u16, now: Instant) {
        if self.arrivals.is_empty() {
            self.arrivals = vec![NONE; WINDOW];
        }
        let newest = self.unwrapper.newest();
        let seq = self.unwrapper.unwrap(seq);
        match newest {
            Some(newest) if seq > newest => {
                let mut skipped = newest.next();
                if seq.since(newest) >= WINDOW as i64 {
                    self.arrivals.fill(NONE);
                    skipped = seq;
                }
                while skipped < seq {
                    self.set(skipped, NONE);
                    skipped = skipped.next();
                }
                self.set(seq, NONE);
            }
            Some(newest) if newest.since(seq) >= WINDOW as i64 => return,
            Some(_) | None => {}
        }
        if self.arrival(seq) != NONE {
            return;
        }
        let epoch = *self.epoch.get_or_insert(now);
        let micros = now.saturating_duration_since(epoch).as_micros();
        self.set(seq, i64::try_from(micros).unwrap_or(i64::MAX));
        // A late packet is reported with what follows it, even if that was reported before.
        self.base = Some(self.base.map_or(seq, |base| base.min(seq)));
        self.unreported = self.unreported.saturating_add(1);
        self.since.get_or_insert(now);
    }

    /// When feedback is due; `None` while there is nothing to report.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let since = self.since?;
        if self.unreported >= EAGER {
            Some(since)
        } else {
            since.checked_add(INTERVAL)
        }
    }

    /// Appends one feedback packet. Returns whether there was anything to report; call again while it does.
    ///
    /// # Errors
    /// [`BufferFull`]; nothing counts as reported then. 1200 bytes always suffice.
    pub fn write(
        &mut self,
        writer: &mut Writer<'_>,
        sender_ssrc: u32,
        media_ssrc: u32,
    ) -> Result<bool, BufferFull> {
        let (Some(base), Some(newest)) = (self.base, self.unwrapper.newest()) else {
            return Ok(false);
        };
        let oldest = newest.offset(1i64.saturating_sub(WINDOW as i64));
        let Some((first, arrival)) = self.first_arrival(base.max(oldest), newest) else {
            self.base = None;
            self.since = None;
            self.unreported = 0;
            return Ok(false);
        };
        // Losses right before the first arrival are part of the report.
        let start = base
            .max(oldest)
            .max(first.offset(1i64.saturating_sub(MAX_STATUSES as i64)));
        let reference = arrival.div_euclid(64_000);
        let mut report = Report::new(reference);
        let mut seq = start;
        while seq <= newest && report.push(self.arrival(seq)) {
            seq = seq.next();
        }
        let [_, t0, t1, t2] = (reference as u32).to_be_bytes();
        let [b0, b1] = start.wire().to_be_bytes();
        let [c0, c1] = u16::try_from(report.statuses).unwrap_or(0).to_be_bytes();
        let head = [b0, b1, c0, c1, t0, t1, t2, self.feedback_count];
        report.write(writer, sender_ssrc, media_ssrc, head)?;
        self.feedback_count = self.feedback_count.wrapping_add(1);
        if seq > newest {
            self.base = None;
            self.since = None;
            self.unreported = 0;
        } else {
            self.base = Some(seq);
        }
        Ok(true)
    }

    fn first_arrival(&self, from: ExtSeq, newest: ExtSeq) -> Option<(ExtSeq, i64)> {
        let mut seq = from;
        while seq <= newest {
            let arrival = self.arrival(seq);
            if arrival != NONE {
                return Some((seq, arrival));
            }
            seq = seq.next();
        }
        None
    }

    fn arrival(&self, seq: ExtSeq) -> i64 {
        self.arrivals.get(place(seq)).copied().unwrap_or(NONE)
    }

    fn set(&mut self, seq: ExtSeq, micros: i64) {
        if let Some(slot) = self.arrivals.get_mut(place(seq)) {
            *slot = micros;
        }
    }
}

const fn place(seq: ExtSeq) -> usize {
    seq.get() as usize % WINDOW
}

/// One feedback packet in the making.
struct Report {
    symbols: [u8; MAX_STATUSES],
    statuses: usize,
    /// Deltas of the arrivals, one or two bytes each.
    deltas: [u8; 2 * MAX_STATUSES],
    deltas_len: usize,
    /// Time of the previous arrival in 250 µs.
    ticks: i64,
}

impl Report {
    fn new(reference: i64) -> Self {
        Self {
            symbols: [0; MAX_STATUSES],
            statuses: 0,
            deltas: [0; 2 * MAX_STATUSES],
            deltas_len: 0,
            ticks: reference.saturating_mul(256),
        }
    }

    /// Adds a status; `false` when it has to go into another packet.
    fn push(&mut self, arrival: i64) -> bool {
        if self.statuses >= MAX_STATUSES {
            return false;
        }
        let mut symbol = 0;
        if arrival != NONE {
            let ticks = arrival.div_euclid(250);
            let Ok(delta) = i16::try_from(ticks.saturating_sub(self.ticks)) else {
                return false;
            };
            let fits = match u8::try_from(delta) {
                Ok(small) => {
                    symbol = SMALL;
                    self.push_delta(&[small])
                }
                Err(_) => {
                    symbol = LARGE;
                    self.push_delta(&delta.to_be_bytes())
                }
            };
            if fits.is_none() {
                return false;
            }
            self.ticks = ticks;
        }
        if let Some(slot) = self.symbols.get_mut(self.statuses) {
            *slot = symbol;
        }
        self.statuses = self.statuses.saturating_add(1);
        true
    }

    fn push_delta(&mut self, bytes: &[u8]) -> Option<()> {
        crate::wire::put(&mut self.deltas, self.deltas_len, bytes)?;
        self.deltas_len = self.deltas_len.saturating_add(bytes.len());
        Some(())
    }

    fn write(
        &self,
        writer: &mut Writer<'_>,
        sender_ssrc: u32,
        media_ssrc: u32,
        head: [u8; 8],
    ) -> Result<(), BufferFull> {
        let mut chunks = [[0; 2]; MAX_STATUSES];
        let mut count = 0usize;
        let mut rest = self.symbols.get(..self.statuses).ok_or(BufferFull)?;
        while !rest.is_empty() {
            let (chunk, taken) = chunk(rest);
            *chunks.get_mut(count).ok_or(BufferFull)? = chunk.to_be_bytes();
            count = count.saturating_add(1);
            rest = rest.get(taken..).unwrap_or(&[]);
        }
        let chunks = chunks.get(..count).ok_or(BufferFull)?;
        let deltas = self.deltas.get(..self.deltas_len).ok_or(BufferFull)?;
        writer.transport_feedback(sender_ssrc, media_ssrc, head, chunks, deltas)
    }
}

/// Encodes the first symbols of a non-empty list in the kind of chunk that covers most; returns how many it covers.
fn chunk(symbols: &[u8]) -> (u16, usize) {
    let first = symbols.first().copied().unwrap_or(0);
    let run = symbols
        .iter()
        .take(0x1FFF)
        .take_while(|symbol| **symbol == first)
        .count();
    let bits = symbols
        .iter()
        .take(14)
        .take_while(|symbol| **symbol < LARGE)
        .count();
    let is_all = run == symbols.len();
    if run >= 14 || is_all || (run >= 7 && bits < 14) {
        return (
            (u16::from(first) << 13) | u16::try_from(run).unwrap_or(0x1FFF),
            run,
        );
    }
    if bits == 14 || bits == symbols.len() {
        let vector = symbols
            .iter()
            .take(14)
            .zip((0..14).rev())
            .fold(0x8000, |vector, (symbol, shift)| {
                vector | (u16::from(*symbol) << shift)
            });
        return (vector, bits);
    }
    let vector = symbols
        .iter()
        .take(7)
        .zip((0..14).rev().step_by(2))
        .fold(0xC000, |vector, (symbol, shift)| {
            vector | (u16::from(*symbol) << u32::saturating_sub(shift, 1))
        });
    (vector, symbols.len().min(7))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::rtcp::{Compound, Packet};

    /// All that the pending feedback says: arrival in µs by sequence number, and lost numbers.
    fn drain(receiver: &mut TwccReceiver) -> (BTreeMap<u16, i64>, Vec<u16>, usize) {
        let (mut arrived, mut lost, mut packets) = (BTreeMap::new(), Vec::new(), 0);
        loop {
            let mut buf = [0; 1200];
            let mut writer = Writer::new(&mut buf);
            if !receiver.write(&mut writer, 1, 2).unwrap() {
                return (arrived, lost, packets);
            }
            packets += 1;
            let len = writer.len();
            let Some(Packet::TransportFeedback(feedback)) = Compound::new(&buf[..len]).next()
            else {
                panic!("feedback does not parse")
            };
            assert_eq!(
                feedback.arrivals().count(),
                usize::from(feedback.status_count)
            );
            for (seq, arrival) in feedback.arrivals() {
                match arrival {
                    Some(ticks) => {
                        arrived.insert(seq, ticks * 250);
                    }
                    None => lost.push(seq),
                }
            }
        }
    }

    #[test]
    fn feedback_is_due_100_ms_after_the_first_arrival_or_when_there_is_much() {
        let start = crate::virtual_time::origin();
        let mut receiver = TwccReceiver::new();
        assert_eq!(receiver.poll_timeout(), None);
        assert_eq!(drain(&mut receiver).2, 0);
        for seq in 0..199u16 {
            receiver.record(seq.wrapping_add(65_500), start);
        }
        assert_eq!(receiver.poll_timeout(), Some(start + INTERVAL));
        receiver.record(163, start);
        assert_eq!(receiver.poll_timeout(), Some(start));
        let (arrived, lost, packets) = drain(&mut receiver);
        assert_eq!((arrived.len(), lost.len(), packets), (200, 0, 1));
        assert_eq!(receiver.poll_timeout(), None);
    }

    #[test]
    fn late_packets_are_reported_with_what_followed_them() {
        let start = crate::virtual_time::origin();
        let mut receiver = TwccReceiver::new();
        receiver.record(10, start);
        receiver.record(12, start);
        assert_eq!(drain(&mut receiver).1, vec![11]);
        receiver.record(11, start + Duration::from_millis(5));
        receiver.record(11, start + Duration::from_millis(50));
        receiver.record(13, start + Duration::from_millis(7));
        let (arrived, lost, _) = drain(&mut receiver);
        assert_eq!(arrived, BTreeMap::from([(11, 5_000), (12, 0), (13, 7_000)]));
        assert!(lost.is_empty());
    }

    #[test]
    fn a_pause_too_long_for_a_delta_begins_a_new_packet() {
        let start = crate::virtual_time::origin();
        let mut receiver = TwccReceiver::new();
        receiver.record(1, start);
        receiver.record(2, start + Duration::from_secs(60));
        let (arrived, _, packets) = drain(&mut receiver);
        assert_eq!(arrived, BTreeMap::from([(1, 0), (2, 60_000_000)]));
        assert_eq!(packets, 2);
    }

    #[test]
    fn a_jump_beyond_the_window_forgets_and_goes_on() {
        let start = crate::virtual_time::origin();
        let mut receiver = TwccReceiver::new();
        receiver.record(1, start);
        receiver.record(20_000, start);
        let (arrived, lost, _) = drain(&mut receiver);
        assert_eq!(arrived.keys().copied().collect::<Vec<_>>(), vec![20_000]);
        assert!(lost.len() < MAX_STATUSES);
    }

    #[test]
    fn a_full_buffer_loses_nothing() {
        let mut receiver = TwccReceiver::new();
        receiver.record(1, crate::virtual_time::origin());
        assert_eq!(
            receiver.write(&mut Writer::new(&mut [0; 20]), 1, 2),
            Err(BufferFull)
        );
        assert_eq!(drain(&mut receiver).0.len(), 1);
    }

    proptest! {
        #[test]
        fn every_arrival_is_reported_at_its_time(
            first in any::<u16>(),
            steps in proptest::collection::vec((1u16..30, 0u64..90_000, 0u8..10), 1..300)
        ) {
            let start = crate::virtual_time::origin();
            let mut receiver = TwccReceiver::new();
            let (mut seq, mut micros) = (first, 0i64);
            receiver.record(seq, start);
            let mut expected = BTreeMap::from([(seq, 0)]);
            let mut reported = BTreeMap::new();
            for (n, (step, wait, kind)) in steps.into_iter().enumerate() {
                seq = seq.wrapping_add(if kind < 7 { 1 } else { step });
                micros += (if kind == 9 { wait * 40 } else { wait }).cast_signed();
                receiver.record(seq, start + Duration::from_micros(micros.unsigned_abs()));
                expected.insert(seq, micros / 250 * 250);
                // Often enough that nothing leaves the window unreported.
                if n % 25 == 24 {
                    let (arrived, lost, _) = drain(&mut receiver);
                    prop_assert!(lost.iter().all(|seq| !expected.contains_key(seq)));
                    reported.extend(arrived);
                }
            }
            reported.extend(drain(&mut receiver).0);
            prop_assert_eq!(reported, expected);
        }
    }
}
