//! The parts put together.

use super::aimd::{Aimd, Step};
use super::groups::Groups;
use super::history::History;
use super::loss::LossBound;
use super::probe::Probes;
use super::throughput::Throughput;
use super::trend::{Trend, Usage};
use crate::rtcp::TransportFeedback;
use std::time::{Duration, Instant};

/// The estimate before anything is known, in bits per second.
pub const START_BPS: u64 = 300_000;

/// Bounds that hold under all circumstances.
const FLOOR_BPS: f64 = 30_000.0;
const CEILING_BPS: f64 = 100_000_000.0;
/// Probes do not go beyond this at first, when nobody has said how much is wanted.
const FIRST_PROBES_BPS: f64 = 5_000_000.0;
/// The first probe relative to the estimate.
const FIRST_PROBE: f64 = 3.0;
/// Time between probes while more is wanted than there is, and while the path was overused lately.
const PROBE_INTERVAL_MS: f64 = 5_000.0;
const SOON_INTERVAL_MS: f64 = 2_000.0;
/// No probe so soon after the rate fell.
const PROBE_REST_MS: f64 = 1_000.0;
/// How long a fall makes probes come sooner.
const RECOVERY_MS: f64 = 30_000.0;
/// No probe finds room while so much is lost.
const PROBE_MAX_LOSS: f64 = 0.3;
/// Probes look for this much more than is wanted.
const HEADROOM: f64 = 1.2;
/// Below this share of the estimate, what is sent says nothing about what could be.
const LIMITED: f64 = 0.7;
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

/// What the application wants the estimate to stay within, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Never less; 0 is none.
    pub min_bps: u64,
    /// Never more; 0 is none.
    pub max_bps: u64,
}

/// Estimates what the path to one peer carries.
///
/// **Drive:** [`sent`](Self::sent) for every packet, whose header gets the number that it returns; [`feedback`](
/// Self::feedback) and [`remb`](Self::remb) as they arrive; at [`poll_timeout`](Self::poll_timeout) ask
/// [`probe_due`](Self::probe_due) and send as much padding as it says, or nothing if there is none.
#[derive(Debug)]
pub struct SendEstimator {
    /// When the first packet was sent.
    origin: Option<Instant>,
    /// A moment, and how many microseconds after the first it is: packets of a batch share theirs.
    moment: Option<(Instant, u64)>,
    history: History,
    groups: Groups,
    trend: Trend,
    throughput: Throughput,
    aimd: Aimd,
    loss: LossBound,
    probes: Probes,
    bounds: Bounds,
    remb: Option<f64>,
    wanted: Option<f64>,
    round_trip_ms: f64,
    /// Arrival times of the peer's clock without wraps, in its ticks.
    last_ticks: Option<i64>,
    sent_bytes: u64,
    /// When `sent_bps` was last brought up to date, and the bytes until then.
    metered: (f64, u64),
    sent_bps: f64,
    feedbacks: u64,
    /// A queue or loss has shown where the path ends.
    was_congested: bool,
    has_started: bool,
    /// Far less gets through than is sent.
    was_squeezed: bool,
    /// Received and lost, as the last feedback said.
    last_feedback: (u32, u32),
}

impl Default for SendEstimator {
    fn default() -> Self {
        Self::new()
    }
}

impl SendEstimator {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self {
            origin: None,
            moment: None,
            history: History::new(),
            groups: Groups::default(),
            trend: Trend::new(),
            throughput: Throughput::default(),
            aimd: Aimd::new(START_BPS as f64),
            loss: LossBound::default(),
            probes: Probes::new(),
            bounds: Bounds::default(),
            remb: None,
            wanted: None,
            round_trip_ms: ROUND_TRIP_START_MS,
            last_ticks: None,
            sent_bytes: 0,
            metered: (0.0, 0),
            sent_bps: 0.0,
            feedbacks: 0,
            was_congested: false,
            has_started: false,
            was_squeezed: false,
            last_feedback: (0, 0),
        }
    }

    /// There is something now that padding can be made of: the first probes may go.
    pub fn start(&mut self) {
        if !self.has_started {
            self.has_started = true;
            self.probes.want(START_BPS as f64 * FIRST_PROBE);
        }
    }

    /// Changes what the estimate stays within.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
    }

    /// How much could be made use of, in bits per second: probes look for no more than a little above it.
    pub fn set_wanted(&mut self, bps: u64) {
        self.wanted = Some(bps as f64);
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
    pub fn feedback(&mut self, feedback: &TransportFeedback<'_>, now: Instant) -> bool {
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
        self.loss.count(received, lost, recovered);
        self.step(probed, now_ms);
        true
    }

    /// Takes in what the receiver estimates, in bits per second.
    pub fn remb(&mut self, bps: u64) {
        self.remb = Some(bps as f64);
    }

    /// The estimate in bits per second within its bounds; `None` before the peer said anything.
    pub fn bps(&self) -> Option<u64> {
        let own = (self.feedbacks > 0).then(|| {
            let bound = self.loss.bps().unwrap_or(f64::MAX);
            self.aimd.bps().min(bound)
        });
        let estimate = match (own, self.remb) {
            (Some(own), Some(remb)) => own.min(remb),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let bounds = self.bounds;
        let max = match bounds.max_bps {
            0 => CEILING_BPS,
            max => max as f64,
        };
        let min = FLOOR_BPS.max(bounds.min_bps as f64).min(max);
        Some(estimate.clamp(min, max) as u64)
    }

    /// Whether the estimate is a limit that was met: by a queue, by loss, or named by the receiver. Before, more may
    /// be sent than the estimate says, which only stands for what has been tried.
    pub const fn was_limited(&self) -> bool {
        self.was_congested || self.remb.is_some()
    }

    /// Whether a queue builds up on the way, as far as is known.
    pub fn is_overused(&self) -> bool {
        self.trend.usage() == Usage::Over
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

    /// Share of packets that were lost lately, 0 to 1.
    pub const fn loss(&self) -> f64 {
        self.loss.fraction()
    }

    /// Bytes of padding that are due now, at least one byte when any. Media counts too, so ask after each packet.
    pub fn probe_due(&mut self, now: Instant) -> usize {
        let now_ms = self.millis(now);
        self.consider_probe(now_ms);
        self.probes.due(now_ms)
    }

    /// There is nothing to make padding of: the current probe is given up.
    pub fn give_up_probe(&mut self) {
        self.probes.forget();
    }

    /// What was sent lately, in bits per second, as of the last feedback.
    pub const fn sent_bps(&self) -> u64 {
        // The conversion from float saturates.
        self.sent_bps as u64
    }

    /// When to ask [`probe_due`](Self::probe_due) next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let at = match self.probes.poll_timeout() {
            Some(at) => Some(at),
            None => self.next_probe(),
        }?;
        let after = Duration::try_from_secs_f64(at.max(0.0) / 1_000.0).ok()?;
        // Later by more than what rounding takes away, so that something is due by then.
        self.origin?.checked_add(after.saturating_add(SLACK))
    }

    /// Moves the bounds by what the feedback showed.
    fn step(&mut self, probed: Option<(u8, f64)>, now: f64) {
        let usage = self.trend.usage();
        if usage == Usage::Over {
            self.loss.note_queue();
            self.was_congested = true;
            self.probes.forget();
        }
        let estimate = self.aimd.bps();
        let is_limited = self.sent_bps < estimate * LIMITED;
        let throughput = self.throughput.bps();
        let throughput = match (usage, self.throughput.latest_bps()) {
            (Usage::Over, Some(latest)) => Some(throughput.map_or(latest, |bps| bps.min(latest))),
            (Usage::Over | Usage::Normal | Usage::Under, _) => throughput,
        };
        if usage == Usage::Over && throughput.is_some_and(|bps| bps < self.sent_bps * SQUEEZED) {
            self.was_squeezed = true;
        }
        self.aimd.step(Step {
            usage,
            throughput,
            round_trip_ms: self.round_trip_ms,
            is_limited,
            now,
        });
        let estimate = self.aimd.bps();
        if self.loss.update(estimate, self.throughput.bps(), now) {
            self.was_congested = true;
            self.probes.forget();
        }
        if let Some((id, result)) = probed.filter(|_| usage != Usage::Over) {
            if result > self.aimd.bps() {
                self.aimd.set(result, now);
                self.throughput.expect_change();
            }
            self.loss.raise(result);
            if let Some(next) = self.probes.follow(id, result)
                && result < self.probe_limit()
            {
                self.probes.want(next.min(self.probe_limit() * HEADROOM));
            }
        }
        // A loss-based bound that holds must not be hidden below a delay-based one that runs away.
        let ceiling = self.loss.bps().map_or(CEILING_BPS, |bound| bound * 1.5);
        self.aimd.clamp(FLOOR_BPS, ceiling.min(CEILING_BPS));
    }

    /// The most that is worth finding.
    fn probe_limit(&self) -> f64 {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => FIRST_PROBES_BPS,
        };
        let max = match self.bounds.max_bps {
            0 => CEILING_BPS,
            max => max as f64,
        };
        (wanted * HEADROOM).min(max)
    }

    /// When the next probe may begin, in milliseconds; `None` while there is enough.
    fn next_probe(&self) -> Option<f64> {
        if self.feedbacks == 0 || !self.has_started || self.probes.is_busy() {
            return None;
        }
        let own = self.loss.bps().unwrap_or(f64::MAX).min(self.aimd.bps());
        if own >= self.probe_limit() || self.loss.fraction() > PROBE_MAX_LOSS {
            return None;
        }
        let fell = self.aimd.decreased();
        let began = self.probes.began().unwrap_or(0.0);
        let is_recovering = fell.is_some_and(|fell| began - fell < RECOVERY_MS);
        let interval = if is_recovering {
            SOON_INTERVAL_MS
        } else {
            PROBE_INTERVAL_MS
        };
        let rest = fell.map_or(0.0, |fell| fell + PROBE_REST_MS);
        Some((began + interval).max(rest))
    }

    fn consider_probe(&mut self, now: f64) {
        if self.next_probe().is_some_and(|at| at <= now) {
            let own = self.loss.bps().unwrap_or(f64::MAX).min(self.aimd.bps());
            self.probes
                .want((own * 2.0).min(self.probe_limit() * HEADROOM));
        }
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

    fn millis(&mut self, now: Instant) -> f64 {
        self.micros(now) as f64 / 1_000.0
    }
}
