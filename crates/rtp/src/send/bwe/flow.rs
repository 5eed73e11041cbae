//! The packets of one connection: their numbers, and what their arrivals show.

use super::backlog::Backlog;
use super::groups::Groups;
use super::history::History;
use super::path::{FIRST_PROBE, FlowId, Path, START_BPS, Seen};
use super::probe::Probes;
use super::throughput::Throughput;
use super::trend::{Trend, Usage};
use crate::rtcp::TransportFeedback;
use std::time::{Duration, Instant};

/// A path is squeezed when less than this share of what is sent gets through.
const SQUEEZED: f64 = 0.6;
/// Reported round trips count with this share.
const ROUND_TRIP_SHARE: f64 = 0.2;
const ROUND_TRIP_START_MS: f64 = 100.0;
/// Deadlines are late by so much: a few bytes of a probe.
const SLACK: Duration = Duration::from_micros(500);
/// Packets that one feedback packet is heeded for; it can name 65 535 in a few bytes.
const MAX_STATUSES: usize = 2_048;
/// Ticks of 250 µs after which the peer's clock, which has 24 bits of 64 ms, begins anew.
const CLOCK_WRAP: i64 = 1 << 32;
/// A connection that had nothing to probe with leaves it to others for so long.
const REST: Duration = Duration::from_secs(5);

/// One connection of a [`Path`].
///
/// **Drive:** [`sent`](Self::sent) for every packet, whose header gets the number that it returns; [`feedback`](
/// Self::feedback) as it arrives; at [`poll_timeout`](Self::poll_timeout) ask [`probe_due`](Self::probe_due) and send
/// as much padding as it says, or say that there is none. All of these are given the path that the connection joined
/// last.
#[derive(Debug)]
pub struct Flow {
    id: FlowId,
    /// When the first packet was sent.
    origin: Option<Instant>,
    /// A moment, and how many microseconds after the first it is: packets of a batch share theirs.
    moment: Option<(Instant, u64)>,
    history: History,
    groups: Groups,
    trend: Trend,
    throughput: Throughput,
    backlog: Backlog,
    probes: Probes,
    round_trip_ms: f64,
    /// Arrival times of the peer's clock without wraps, in its ticks.
    last_ticks: Option<i64>,
    sent_bytes: u64,
    /// When `sent_bps` was last brought up to date, and the bytes until then.
    metered: (f64, u64),
    sent_bps: f64,
    feedbacks: u64,
    has_started: bool,
    /// There was nothing to probe with.
    rests_until: Option<Instant>,
    /// Far less gets through than is sent.
    was_squeezed: bool,
    /// Received and lost, as the last feedback said.
    last_feedback: (u32, u32),
}

impl Flow {
    /// Nothing sent yet, over this path.
    pub fn new(path: &mut Path) -> Self {
        Self {
            id: path.join(),
            origin: None,
            moment: None,
            history: History::new(),
            groups: Groups::default(),
            trend: Trend::new(),
            throughput: Throughput::default(),
            backlog: Backlog::default(),
            probes: Probes::new(),
            round_trip_ms: ROUND_TRIP_START_MS,
            last_ticks: None,
            sent_bytes: 0,
            metered: (0.0, 0),
            sent_bps: 0.0,
            feedbacks: 0,
            has_started: false,
            rests_until: None,
            was_squeezed: false,
            last_feedback: (0, 0),
        }
    }

    /// Goes from one path to another. What is known of the connection goes with it.
    pub fn change_path(&mut self, from: &mut Path, to: &mut Path) {
        let seen = from.take(self.id);
        self.id = to.join();
        to.adopt(self.id, seen, from);
        self.probes.forget();
    }

    /// How its path knows the connection.
    pub const fn id(&self) -> FlowId {
        self.id
    }

    /// There is something now that padding can be made of: the first probes may go.
    pub fn start(&mut self, path: &Path) {
        if !self.has_started {
            self.has_started = true;
            if !path.is_known() {
                self.probes.want(START_BPS as f64 * FIRST_PROBE);
            }
        }
    }

    /// Notes a packet of `bytes` on the wire; returns its transport-wide sequence number.
    #[inline]
    pub fn sent(&mut self, bytes: usize, now: Instant) -> u16 {
        self.sent_bytes = self.sent_bytes.saturating_add(bytes as u64);
        let cluster = self.probes.sent(bytes);
        let now_us = self.micros(now);
        self.history.push(bytes, cluster, now_us)
    }

    /// Takes in transport-wide feedback. Returns whether it was about anything that was sent.
    pub fn feedback(
        &mut self,
        feedback: &TransportFeedback<'_>,
        path: &mut Path,
        now: Instant,
    ) -> bool {
        let now_us = self.micros(now);
        let now_ms = now_us as f64 / 1_000.0;
        let (mut received, mut lost, mut recovered) = (0u32, 0u32, 0u32);
        let mut newest_sent = None;
        let mut probed = None;
        for (seq, arrival) in feedback.arrivals().take(MAX_STATUSES) {
            let Some(ticks) = arrival else {
                lost = lost.saturating_add(u32::from(self.history.missing(seq)));
                continue;
            };
            let Some(packet) = self.history.arrived(seq, now_us) else {
                continue;
            };
            let arrival_ms = self.unwrap(ticks) as f64 / 4.0;
            let send_ms = packet.sent_us as f64 / 1_000.0;
            received = received.saturating_add(1);
            recovered = recovered.saturating_add(u32::from(packet.was_lost));
            newest_sent = Some(packet.sent_us).max(newest_sent);
            self.throughput.add(packet.bytes, arrival_ms);
            self.backlog.add(packet.bytes, send_ms, arrival_ms);
            if let Some(delta) = self.groups.packet(send_ms, arrival_ms) {
                self.trend.add(delta, arrival_ms);
            }
            if packet.cluster != 0 {
                let id = packet.cluster;
                let result = self.probes.arrived(id, packet.bytes, send_ms, arrival_ms);
                probed = result.map(|bps| (id, bps)).or(probed);
            }
        }
        if received == 0 && lost == 0 {
            return false;
        }
        self.feedbacks = self.feedbacks.saturating_add(1);
        self.last_feedback = (received, lost);
        if let Some(sent_us) = newest_sent {
            let sample = now_us.saturating_sub(sent_us) as f64 / 1_000.0;
            self.round_trip_ms += ROUND_TRIP_SHARE * (sample - self.round_trip_ms);
        }
        self.meter(now_ms);
        path.count(received, lost, recovered);
        self.step(probed, path, now);
        true
    }

    /// Whether far less got through than was sent since this was asked last: so much is on its way then that nothing
    /// of it arrives in time.
    pub fn take_squeeze(&mut self) -> bool {
        std::mem::take(&mut self.was_squeezed)
    }

    /// Packets that the last feedback reported for the first time: received and lost.
    pub const fn last_feedback(&self) -> (u32, u32) {
        self.last_feedback
    }

    /// Time to the peer and back, with what it takes to report.
    pub fn round_trip(&self) -> Option<Duration> {
        (self.feedbacks > 0).then(|| Duration::from_secs_f64(self.round_trip_ms.max(0.0) / 1_000.0))
    }

    /// What was sent lately, in bits per second, as of the last feedback.
    pub const fn sent_bps(&self) -> u64 {
        // The conversion from float saturates.
        self.sent_bps as u64
    }

    /// Bytes that were sent, over all.
    pub const fn sent_bytes(&self) -> u64 {
        self.sent_bytes
    }

    /// Bytes of padding that are due now, at least one byte when any. Media counts too, so ask after each packet.
    /// `beside` is what all other connections of the path have sent so far.
    pub fn probe_due(&mut self, path: &mut Path, beside: u64, now: Instant) -> usize {
        let now_ms = self.micros(now) as f64 / 1_000.0;
        if self.may_probe(now)
            && let Some(bps) = path.take_probe(now)
        {
            self.probes.want(bps);
        }
        let before = self.probes.began();
        let due = self.probes.due(now_ms);
        if self.probes.began() != before {
            path.note_probe(now);
        }
        self.probes.note_beside(beside);
        due
    }

    /// There is nothing to make padding of: the current probe is given up, and left to another connection.
    pub fn give_up_probe(&mut self, path: &mut Path, now: Instant) {
        self.probes.forget();
        self.rests_until = now.checked_add(REST);
        path.retract_probe();
    }

    /// When to ask [`probe_due`](Self::probe_due) next.
    pub fn poll_timeout(&self, path: &Path) -> Option<Instant> {
        if let Some(at) = self.probes.poll_timeout() {
            let after = Duration::try_from_secs_f64(at.max(0.0) / 1_000.0).ok()?;
            // Later by more than what rounding takes away, so that something is due by then.
            return self.origin?.checked_add(after.saturating_add(SLACK));
        }
        if self.feedbacks == 0 || !self.has_started {
            return None;
        }
        let next = path.next_probe()?.checked_add(SLACK)?;
        Some(self.rests_until.map_or(next, |rests| rests.max(next)))
    }

    fn may_probe(&self, now: Instant) -> bool {
        self.feedbacks > 0
            && self.has_started
            && !self.probes.is_busy()
            && self.rests_until.is_none_or(|until| now >= until)
    }

    /// Tells the path what the feedback showed.
    fn step(&mut self, probed: Option<(u8, f64)>, path: &mut Path, now: Instant) {
        let usage = self.trend.usage();
        let throughput = self.throughput.bps();
        let latest = self.throughput.latest_bps();
        let least = match (throughput, latest) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        if usage == Usage::Over && least.is_some_and(|bps| bps < self.sent_bps * SQUEEZED) {
            self.was_squeezed = true;
        }
        let (usage, has_fallen) = path.step(
            self.id,
            Seen {
                usage,
                throughput,
                least,
                backlog: self.backlog.bps(),
                is_queued: self.backlog.is_queued(),
                sent_bps: self.sent_bps,
                round_trip_ms: self.round_trip_ms,
                ..Seen::default()
            },
            now,
        );
        if usage == Usage::Over || has_fallen {
            self.probes.forget();
        }
        if let Some((id, result)) = probed {
            if path.probed(result, usage, now) {
                self.throughput.expect_change();
            }
            if usage != Usage::Over
                && let Some(next) = self.probes.follow(id, result)
                && let Some(next) = path.follow_probe(result, next)
            {
                self.probes.want(next);
            }
        }
        path.settle();
    }

    /// Brings up to date how much is being sent.
    fn meter(&mut self, now: f64) {
        let (since, before) = self.metered;
        let elapsed = now - since;
        if elapsed < 100.0 {
            return;
        }
        let bytes = self.sent_bytes.saturating_sub(before) as f64;
        let sample = bytes * 8_000.0 / elapsed;
        let share = (elapsed / 500.0).min(1.0);
        self.sent_bps += share * (sample - self.sent_bps);
        self.metered = (now, self.sent_bytes);
    }

    /// The peer's time of arrival, over wraps of its clock.
    fn unwrap(&mut self, ticks: i64) -> i64 {
        let last = *self.last_ticks.get_or_insert(ticks);
        let ahead = ticks.wrapping_sub(last).rem_euclid(CLOCK_WRAP);
        let step = if ahead >= CLOCK_WRAP / 2 {
            ahead.saturating_sub(CLOCK_WRAP)
        } else {
            ahead
        };
        let unwrapped = last.saturating_add(step);
        self.last_ticks = Some(last.max(unwrapped));
        unwrapped
    }

    #[inline]
    fn micros(&mut self, now: Instant) -> u64 {
        match self.moment {
            Some((moment, micros)) if moment == now => micros,
            Some(_) | None => self.micros_anew(now),
        }
    }

    fn micros_anew(&mut self, now: Instant) -> u64 {
        let origin = *self.origin.get_or_insert(now);
        let since = now.saturating_duration_since(origin).as_micros();
        let micros = u64::try_from(since).unwrap_or(u64::MAX);
        self.moment = Some((now, micros));
        micros
    }
}
