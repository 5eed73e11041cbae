//! What a path carries, of all that is known of the connections that share it.
//!
//! Connections to one device end in the same bottleneck. Each of them for itself would take the queue that the others
//! cause for its own, grow beside them and probe against them. So they are coupled in the manner of RFC 8699: a path
//! has one rate, which follows the sum of what the connections show, a queue that one of them sees is everybody's,
//! and one of them probes at a time. What each gets of the rate is the application's to say. A connection by itself
//! is a path of one.

use super::aimd::{Aimd, BACKOFF, Step};
use super::loss::LossBound;
use super::trend::Usage;
use std::time::{Duration, Instant};

/// The estimate before anything is known, in bits per second.
pub const START_BPS: u64 = 300_000;

/// Bounds that hold under all circumstances.
const FLOOR_BPS: f64 = 30_000.0;
const CEILING_BPS: f64 = 100_000_000.0;
/// Probes do not go beyond this at first, when nobody has said how much is wanted.
const FIRST_PROBES_BPS: f64 = 5_000_000.0;
/// The first probe relative to the estimate.
pub(super) const FIRST_PROBE: f64 = 3.0;
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
/// How long it is waited for the connection whose packets make up a queue: two feedbacks.
const WAIT_MS: f64 = 150.0;
/// What a connection showed counts for so long.
const FRESH_MS: f64 = 1_000.0;

/// What the application wants the estimate to stay within, in bits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Never less; 0 is none.
    pub min_bps: u64,
    /// Never more; 0 is none.
    pub max_bps: u64,
}

/// One of the connections of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlowId(u64);

/// What a connection showed last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    pub(super) usage: Usage,
    /// What arrives, in bits per second, and the least of what may: of the latest packets alone.
    pub(super) throughput: Option<f64>,
    pub(super) least: Option<f64>,
    /// What gets through while a queue stands, if that is known.
    pub(super) backlog: Option<f64>,
    /// The last packet was in a queue.
    pub(super) is_queued: bool,
    pub(super) sent_bps: f64,
    pub(super) round_trip_ms: f64,
    /// When, on the clock of the path; `None` without feedback.
    pub(super) at: Option<f64>,
    pub(super) remb: Option<f64>,
    pub(super) bounds: Bounds,
}

/// Estimates what a path carries.
///
/// **Drive:** [`Flow`](super::Flow) does so with what its connection shows. What a receiver estimates by itself
/// ([`remb`](Self::remb)) bounds the estimate, and stands in for it where there is no feedback.
#[derive(Debug)]
pub struct Path {
    origin: Option<Instant>,
    flows: Vec<(FlowId, Seen)>,
    next_flow: u64,
    aimd: Aimd,
    loss: LossBound,
    wanted: Option<f64>,
    usage: Usage,
    /// Since when a queue builds up.
    queue_since: Option<f64>,
    /// When feedback was last taken in.
    stepped: f64,
    feedbacks: u64,
    /// A queue or loss has shown where the path ends.
    was_congested: bool,
    /// When probes began: the last one, and the one before.
    probed: Option<f64>,
    probed_before: Option<f64>,
}

impl Default for Path {
    fn default() -> Self {
        Self::new()
    }
}

impl Path {
    /// Nothing sent yet.
    pub fn new() -> Self {
        Self {
            origin: None,
            flows: Vec::new(),
            next_flow: 0,
            aimd: Aimd::new(START_BPS as f64),
            loss: LossBound::default(),
            wanted: None,
            usage: Usage::Normal,
            queue_since: None,
            stepped: 0.0,
            feedbacks: 0,
            was_congested: false,
            probed: None,
            probed_before: None,
        }
    }

    pub(super) fn join(&mut self) -> FlowId {
        let id = FlowId(self.next_flow);
        self.next_flow = self.next_flow.saturating_add(1);
        self.flows.push((id, Seen::default()));
        id
    }

    /// A connection is gone. What the path carries is the others' from now on.
    pub fn leave(&mut self, id: FlowId) {
        self.take(id);
    }

    pub(super) fn take(&mut self, id: FlowId) -> Seen {
        let at = self.flows.iter().position(|(of, _)| *of == id);
        at.map(|at| self.flows.remove(at).1).unwrap_or_default()
    }

    /// Takes over what was known of a connection elsewhere, and of the path that was its alone.
    pub(super) fn adopt(&mut self, id: FlowId, seen: Seen, from: &Self) {
        if from.flows.is_empty() && from.feedbacks > 0 {
            let before = if self.feedbacks > 0 {
                self.aimd.bps()
            } else {
                0.0
            };
            self.aimd.set(before + from.aimd.bps(), self.stepped);
            self.was_congested |= from.was_congested;
            self.feedbacks = self.feedbacks.saturating_add(from.feedbacks);
            self.settle();
        }
        if let Some(known) = self.seen_mut(id) {
            // Measured by the clock of the other path.
            *known = Seen { at: None, ..seen };
        }
    }

    /// Changes what a connection's part stays within: the estimate does within the sum.
    pub fn set_bounds(&mut self, id: FlowId, bounds: Bounds) {
        if let Some(seen) = self.seen_mut(id) {
            seen.bounds = bounds;
        }
    }

    /// How much could be made use of, in bits per second: probes look for no more than a little above it.
    pub fn set_wanted(&mut self, bps: u64) {
        self.wanted = Some(bps as f64);
    }

    /// Takes in what the receiver of a connection estimates, in bits per second.
    pub fn remb(&mut self, id: FlowId, bps: u64) {
        if let Some(seen) = self.seen_mut(id) {
            seen.remb = Some(bps as f64);
        }
    }

    /// The estimate in bits per second within its bounds; `None` before a peer said anything.
    pub fn bps(&self) -> Option<u64> {
        let own = (self.feedbacks > 0).then(|| {
            let bound = self.loss.bps().unwrap_or(f64::MAX);
            let known = self.aimd.bps().min(bound);
            let mut with_feedback = self.seen().filter(|seen| seen.at.is_some()).peekable();
            let told = with_feedback.peek().map(|_| ());
            let rembs = with_feedback.try_fold(0.0, |sum, seen| Some(sum + seen.remb?));
            told.and(rembs).map_or(known, |rembs| known.min(rembs))
        });
        // What goes over connections without feedback is nothing that the others could show.
        let without = self.seen().filter(|seen| seen.at.is_none());
        let others = without
            .filter_map(|seen| seen.remb)
            .reduce(|sum, remb| sum + remb);
        let estimate = match (own, others) {
            (Some(own), Some(others)) => own + others,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => return None,
        };
        let max = self.max_bps().unwrap_or(CEILING_BPS);
        let min = self.seen().map(|seen| seen.bounds.min_bps).sum::<u64>() as f64;
        Some(estimate.clamp(min.max(FLOOR_BPS).min(max), max) as u64)
    }

    /// Whether the estimate is a limit that was met: by a queue, by loss, or named by a receiver. Before, more may be
    /// sent than the estimate says, which only stands for what has been tried.
    pub fn was_limited(&self) -> bool {
        self.was_congested || self.seen().any(|seen| seen.remb.is_some())
    }

    /// Whether a queue builds up on the way, as far as is known.
    pub fn is_overused(&self) -> bool {
        self.usage == Usage::Over
    }

    /// What all connections sent lately, in bits per second.
    pub fn sent_bps(&self) -> u64 {
        self.sum(|seen| Some(seen.sent_bps)).unwrap_or(0.0) as u64
    }

    /// Share of packets that were lost lately, 0 to 1.
    pub const fn loss(&self) -> f64 {
        self.loss.fraction()
    }

    /// Whether a connection had feedback.
    pub(super) const fn is_known(&self) -> bool {
        self.feedbacks > 0
    }

    /// Counts what one feedback packet says.
    pub(super) fn count(&mut self, received: u32, lost: u32, recovered: u32) {
        self.loss.count(received, lost, recovered);
    }

    /// Moves the bounds by what a connection showed. Returns what the queue does, and whether the loss-based bound
    /// fell.
    pub(super) fn step(&mut self, id: FlowId, shown: Seen, now: Instant) -> (Usage, bool) {
        let now = self.millis(now);
        self.stepped = now;
        self.feedbacks = self.feedbacks.saturating_add(1);
        if let Some(seen) = self.seen_mut(id) {
            *seen = Seen {
                at: Some(now),
                remb: seen.remb,
                bounds: seen.bounds,
                ..shown
            };
        }
        let usage = self.fresh().map(|seen| seen.usage).max_by_key(gravity);
        let usage = usage.unwrap_or_default();
        self.usage = usage;
        let sent = self.sum(|seen| Some(seen.sent_bps)).unwrap_or(0.0);
        let throughput = self.sum(|seen| seen.throughput);
        let mut step = Step {
            usage,
            throughput,
            round_trip_ms: shown.round_trip_ms,
            is_limited: sent < self.aimd.bps() * LIMITED,
            now,
        };
        if usage != Usage::Over {
            self.queue_since = None;
            self.aimd.step(step);
        } else {
            self.loss.note_queue();
            if self.is_queue_known(now) {
                self.was_congested = true;
                step.throughput = self.carried();
                self.aimd.step(step);
            } else {
                self.aimd.hold();
            }
        }
        let has_fallen = self.loss.update(self.aimd.bps(), throughput, now);
        self.was_congested |= has_fallen;
        (usage, has_fallen)
    }

    /// A probe got through at this rate. True when that is news.
    pub(super) fn probed(&mut self, bps: f64, usage: Usage, now: Instant) -> bool {
        let now = self.millis(now);
        // The queue may be its own: then as much is left as after any other.
        let bps = match usage {
            Usage::Over => bps * BACKOFF,
            Usage::Normal | Usage::Under => bps,
        };
        let is_more = bps > self.aimd.bps();
        if is_more {
            self.aimd.set(bps, now);
        }
        self.loss.raise(bps);
        is_more
    }

    /// The rate of a probe that follows one with this result; `None` when there is enough.
    pub(super) fn follow_probe(&self, result: f64, next: f64) -> Option<f64> {
        (result < self.probe_limit()).then(|| next.min(self.probe_limit() * HEADROOM))
    }

    /// Keeps the rate within bounds.
    pub(super) fn settle(&mut self) {
        // A loss-based bound that holds must not be hidden below a delay-based one that runs away.
        let ceiling = self.loss.bps().map_or(CEILING_BPS, |bound| bound * 1.5);
        self.aimd.clamp(FLOOR_BPS, ceiling.min(CEILING_BPS));
    }

    /// The rate that a probe may go at now.
    pub(super) fn take_probe(&mut self, now: Instant) -> Option<f64> {
        let now = self.millis(now);
        self.probe_at().filter(|at| *at <= now)?;
        Some((self.own_bps() * 2.0).min(self.probe_limit() * HEADROOM))
    }

    /// A probe began.
    pub(super) fn note_probe(&mut self, now: Instant) {
        self.probed_before = self.probed;
        self.probed = Some(self.millis(now));
    }

    /// It came to nothing.
    pub(super) fn retract_probe(&mut self) {
        self.probed = self.probed_before;
    }

    /// When the next probe may begin; `None` while there is enough.
    pub(super) fn next_probe(&self) -> Option<Instant> {
        let after = Duration::try_from_secs_f64(self.probe_at()?.max(0.0) / 1_000.0).ok()?;
        self.origin?.checked_add(after)
    }

    fn probe_at(&self) -> Option<f64> {
        if self.own_bps() >= self.probe_limit() || self.loss.fraction() > PROBE_MAX_LOSS {
            return None;
        }
        let fell = self.aimd.decreased();
        let began = self.probed.unwrap_or(0.0);
        let is_recovering = fell.is_some_and(|fell| began - fell < RECOVERY_MS);
        let interval = if is_recovering {
            SOON_INTERVAL_MS
        } else {
            PROBE_INTERVAL_MS
        };
        let rest = fell.map_or(0.0, |fell| fell + PROBE_REST_MS);
        Some((began + interval).max(rest))
    }

    /// Whether there is a queue, and it is known what it is made of. A burst leaves the trend upwards for a while when
    /// it has long got through; and connections that send little notice the burst of another before that one's
    /// feedback tells how fast it got through.
    fn is_queue_known(&mut self, now: f64) -> bool {
        if !self.fresh().any(|seen| seen.is_queued) {
            self.queue_since = None;
            return false;
        }
        let since = *self.queue_since.get_or_insert(now);
        let is_alone = self.fresh().nth(1).is_none();
        is_alone || now - since >= WAIT_MS || self.fresh().any(|seen| seen.backlog.is_some())
    }

    /// What gets through while a queue builds up.
    fn carried(&self) -> Option<f64> {
        if self.fresh().any(|seen| seen.backlog.is_some()) {
            self.sum(|seen| seen.backlog.or(seen.throughput))
        } else {
            self.sum(|seen| seen.least)
        }
    }

    /// What was found out here, whatever receivers say.
    fn own_bps(&self) -> f64 {
        self.loss.bps().unwrap_or(f64::MAX).min(self.aimd.bps())
    }

    /// The most that is worth finding.
    fn probe_limit(&self) -> f64 {
        let wanted = match self.wanted {
            Some(wanted) => wanted,
            None => FIRST_PROBES_BPS,
        };
        (wanted * HEADROOM).min(self.max_bps().unwrap_or(CEILING_BPS))
    }

    /// The sum of the connections' upper bounds, if each has one.
    fn max_bps(&self) -> Option<f64> {
        let mut seen = self.seen();
        let max = seen.try_fold(0u64, |sum, seen| match seen.bounds.max_bps {
            0 => None,
            max => Some(sum.saturating_add(max)),
        });
        max.filter(|max| *max > 0).map(|max| max as f64)
    }

    fn seen(&self) -> impl Iterator<Item = &Seen> {
        self.flows.iter().map(|(_, seen)| seen)
    }

    fn seen_mut(&mut self, id: FlowId) -> Option<&mut Seen> {
        let mut flows = self.flows.iter_mut();
        flows.find(|(of, _)| *of == id).map(|(_, seen)| seen)
    }

    /// What connections showed lately.
    fn fresh(&self) -> impl Iterator<Item = &Seen> {
        let since = self.stepped - FRESH_MS;
        self.seen()
            .filter(move |seen| seen.at.is_some_and(|at| at >= since))
    }

    fn sum(&self, of: impl Fn(&Seen) -> Option<f64>) -> Option<f64> {
        self.fresh().filter_map(of).reduce(|sum, part| sum + part)
    }

    fn millis(&mut self, now: Instant) -> f64 {
        let origin = *self.origin.get_or_insert(now);
        now.saturating_duration_since(origin).as_secs_f64() * 1_000.0
    }
}

/// The gravest of what several connections see is what happens.
const fn gravity(usage: &Usage) -> u8 {
    match usage {
        Usage::Normal => 0,
        Usage::Under => 1,
        Usage::Over => 2,
    }
}
