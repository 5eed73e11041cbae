//! Which packets to ask for again (RFC 4585 §6.2.1).

use std::time::{Duration, Instant};

use crate::seq::ExtSeq;

/// Behaviour of a [`NackGenerator`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// How long a gap may be mere reordering before it is asked for.
    pub reorder_tolerance: Duration,
    /// Packets that may be missing at once; at more a keyframe is asked for and the list begins anew.
    pub max_missing: usize,
    /// Requests for one packet before it is given up.
    pub max_requests: u8,
    /// Age of a gap at which it is given up.
    pub max_age: Duration,
    /// Least time between two requests for one packet; the round trip time counts when it is longer.
    pub min_spacing: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reorder_tolerance: Duration::from_millis(10),
            max_missing: 500,
            max_requests: 10,
            max_age: Duration::from_millis(1_500),
            min_spacing: Duration::from_millis(20),
        }
    }
}

/// One packet that did not arrive.
#[derive(Debug, Clone, Copy)]
struct Missing {
    seq: ExtSeq,
    since: Instant,
    requests: u8,
    /// When to ask for it, at first or again.
    due: Instant,
}

/// Finds gaps in one stream and decides when to ask for which packet.
///
/// **Drive:** [`packet`](Self::packet) for every arrival; when [`poll_timeout`](Self::poll_timeout) is reached,
/// [`collect`](Self::collect) and send what it gave; ask the publisher for a keyframe when
/// [`take_keyframe_request`](Self::take_keyframe_request) says so.
#[derive(Debug)]
pub struct NackGenerator {
    config: Config,
    newest: Option<ExtSeq>,
    /// In ascending order.
    missing: Vec<Missing>,
    /// Earliest deadline of the list, or earlier.
    due: Option<Instant>,
    needs_keyframe: bool,
    /// Sequence numbers asked for, repetitions included.
    requested: u64,
    given_up: u64,
}

impl NackGenerator {
    /// Nothing received yet.
    pub const fn new(config: Config) -> Self {
        Self {
            config,
            newest: None,
            missing: Vec::new(),
            due: None,
            needs_keyframe: false,
            requested: 0,
            given_up: 0,
        }
    }

    /// Takes note of an arrival, be it fresh, reordered or retransmitted. Returns whether it filled a gap.
    pub fn packet(&mut self, seq: ExtSeq, now: Instant) -> bool {
        let Some(newest) = self.newest else {
            self.newest = Some(seq);
            return false;
        };
        if seq <= newest {
            let found = self
                .missing
                .binary_search_by_key(&seq, |missing| missing.seq);
            if let Ok(at) = found {
                self.missing.remove(at);
            }
            return found.is_ok();
        }
        self.newest = Some(seq);
        let gap = seq.get().saturating_sub(newest.get()).saturating_sub(1);
        let gap = usize::try_from(gap).unwrap_or(usize::MAX);
        if self.missing.len().saturating_add(gap) > self.config.max_missing {
            // Too much to repair: a keyframe is cheaper and sooner there. What was open becomes useless with it.
            let open = self.missing.len().saturating_add(gap);
            self.given_up = self.given_up.saturating_add(open as u64);
            self.missing.clear();
            self.due = None;
            self.needs_keyframe = true;
            return false;
        }
        if gap > 0 {
            let due = now
                .checked_add(self.config.reorder_tolerance)
                .unwrap_or(now);
            let mut lost = newest.next();
            while lost < seq {
                self.missing.push(Missing {
                    seq: lost,
                    since: now,
                    requests: 0,
                    due,
                });
                lost = lost.next();
            }
            self.due = Some(self.due.map_or(due, |before| before.min(due)));
        }
        false
    }

    /// Writes the sequence numbers to ask for now to `out`, in ascending order; returns how many. Numbers that find no
    /// room stay due. `round_trip` is the time to the publisher and back, if known.
    pub fn collect(
        &mut self,
        round_trip: Option<Duration>,
        out: &mut [u16],
        now: Instant,
    ) -> usize {
        if self.due.is_none_or(|due| now < due) {
            return 0;
        }
        let config = self.config;
        let before = self.missing.len();
        self.missing.retain(|missing| {
            let age = now.saturating_duration_since(missing.since);
            let is_used_up = missing.requests >= config.max_requests && missing.due <= now;
            !is_used_up && age < config.max_age
        });
        let lost = before.saturating_sub(self.missing.len());
        if lost > 0 {
            self.given_up = self.given_up.saturating_add(lost as u64);
            self.needs_keyframe = true;
        }
        // A quarter more than the round trip, so that a retransmission on its way is not asked for again.
        let spacing = round_trip
            .and_then(|rtt| rtt.saturating_mul(5).checked_div(4))
            .unwrap_or_default()
            .min(config.max_age)
            .max(config.min_spacing);
        let mut room = out.iter_mut();
        let mut count = 0usize;
        for missing in self.missing.iter_mut().filter(|missing| missing.due <= now) {
            let Some(slot) = room.next() else { break };
            *slot = missing.seq.wire();
            count = count.saturating_add(1);
            missing.requests = missing.requests.saturating_add(1);
            missing.due = now.checked_add(spacing).unwrap_or(now);
        }
        self.requested = self.requested.saturating_add(count as u64);
        self.due = self.missing.iter().map(|missing| missing.due).min();
        count
    }

    /// When to call [`collect`](Self::collect) next.
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Whether packets were given up, so that only a keyframe helps. Asking resets the answer.
    pub const fn take_keyframe_request(&mut self) -> bool {
        std::mem::replace(&mut self.needs_keyframe, false)
    }

    /// Forgets all gaps: a keyframe arrived, or the stream is not needed for a while.
    pub fn reset(&mut self) {
        self.missing.clear();
        self.due = None;
        self.needs_keyframe = false;
    }

    /// Packets that are missing at the moment.
    pub const fn missing(&self) -> usize {
        self.missing.len()
    }

    /// Sequence numbers asked for so far, repetitions included.
    pub const fn requested(&self) -> u64 {
        self.requested
    }

    /// Packets given up so far.
    pub const fn given_up(&self) -> u64 {
        self.given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn collect(generator: &mut NackGenerator, now: Instant) -> Vec<u16> {
        let mut out = [0; 32];
        let count = generator.collect(Some(Duration::from_millis(80)), &mut out, now);
        out[..count].to_vec()
    }

    #[test]
    fn gaps_are_asked_for_after_the_tolerance_and_again_after_a_round_trip() {
        let start = crate::virtual_time::origin();
        let mut generator = NackGenerator::new(Config::default());
        assert!(!generator.packet(ExtSeq::new(65_534), start));
        generator.packet(ExtSeq::new(65_538), start);
        assert_eq!(generator.poll_timeout(), Some(at(start, 10)));
        assert!(collect(&mut generator, at(start, 9)).is_empty());
        assert!(generator.packet(ExtSeq::new(65_536), at(start, 9)));
        assert_eq!(collect(&mut generator, at(start, 10)), vec![65_535, 1]);
        assert!(collect(&mut generator, at(start, 109)).is_empty());
        assert_eq!(collect(&mut generator, at(start, 110)), vec![65_535, 1]);
        assert!(generator.packet(ExtSeq::new(65_535), at(start, 120)));
        assert!(generator.packet(ExtSeq::new(65_537), at(start, 120)));
        assert!(!generator.packet(ExtSeq::new(65_537), at(start, 120)));
        assert!(collect(&mut generator, at(start, 500)).is_empty());
        assert_eq!(generator.poll_timeout(), None);
        assert!(!generator.take_keyframe_request());
    }

    #[test]
    fn packets_that_never_come_are_given_up_for_a_keyframe() {
        let start = crate::virtual_time::origin();
        let mut generator = NackGenerator::new(Config::default());
        generator.packet(ExtSeq::new(1), start);
        generator.packet(ExtSeq::new(3), start);
        let mut now = start;
        let mut requests = 0;
        while let Some(due) = generator.poll_timeout() {
            assert!(due >= now);
            now = due;
            requests += collect(&mut generator, now).len();
            assert!(requests <= 10);
        }
        assert_eq!(requests, 10);
        assert_eq!(generator.given_up(), 1);
        assert!(generator.take_keyframe_request());
        assert!(!generator.take_keyframe_request());
    }

    #[test]
    fn a_huge_gap_asks_for_a_keyframe_instead() {
        let start = crate::virtual_time::origin();
        let mut generator = NackGenerator::new(Config::default());
        generator.packet(ExtSeq::new(1), start);
        generator.packet(ExtSeq::new(u64::MAX - 1), start);
        assert_eq!(generator.missing(), 0);
        assert!(generator.take_keyframe_request());
        assert_eq!(generator.poll_timeout(), None);
    }

    #[test]
    fn what_finds_no_room_stays_due() {
        let start = crate::virtual_time::origin();
        let mut generator = NackGenerator::new(Config::default());
        generator.packet(ExtSeq::new(1), start);
        generator.packet(ExtSeq::new(50), start);
        let now = at(start, 10);
        assert_eq!(collect(&mut generator, now).len(), 32);
        assert!(generator.poll_timeout().unwrap() <= now);
        assert_eq!(collect(&mut generator, now), (34..50).collect::<Vec<u16>>());
        assert!(generator.poll_timeout().unwrap() > now);
    }
}
