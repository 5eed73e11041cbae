//! What all streams to one peer over one transport share: the numbers that its feedback speaks of,
//! the estimate of what the path carries, and the pace.
//!
//! The router owns a [`Sender`] per transport of a peer; the streams find theirs by a key. A peer
//! whose path carries far more than it is sent costs a number and an entry per packet, no more.

mod allocator;
mod budget;
mod caps;
mod numbers;
mod pacer;
mod queue;
mod repairs;

pub(crate) use allocator::{Demand, Division, Grant, Preference, allocate};
pub(crate) use budget::RetransmissionBudget;
pub(crate) use caps::Caps;
pub(crate) use numbers::Numbers;
pub(crate) use pacer::Pacer;
pub(crate) use queue::{PacedQueue, Waiting};
pub(crate) use repairs::Repairs;

use salono_rtp::rtcp::TransportFeedback;
use salono_rtp::send::bwe::{Bounds, SendEstimator};
use slotmap::new_key_type;
use std::time::{Duration, Instant};

new_key_type! {
    /// The sending state of one transport of a peer.
    pub(crate) struct SenderSlot;
}

/// Pacing begins when less than this multiple of what is sent is known to pass.
const PACED_BELOW: f64 = 4.0;
/// What waits leaves at this multiple of the estimate, so that a frame takes less than its interval;
/// while a queue builds up on the way, no faster than the estimate.
const PACE: f64 = 1.5;
/// Lost at least so many packets, and this share of what one feedback is about: a burst that
/// retransmissions do not repair in time.
const BURST_PACKETS: u32 = 5;
const BURST_SHARE: f64 = 0.2;
/// Time between two keyframes that bursts of losses are answered with.
const BURST_INTERVAL: Duration = Duration::from_secs(2);

/// The sending state of one transport of a peer.
#[derive(Default)]
pub(crate) struct Sender {
    estimator: SendEstimator,
    pacer: Pacer,
    /// What counts until the peer estimates as much, or less than before; 0 is nothing.
    remb_on_connect: u64,
    remb: Option<u64>,
    /// What was divided among the streams last, in bits per second.
    divided: Option<u64>,
    /// The limit from which on a paused stream would be sent, in bits per second.
    resumes_at: Option<u64>,
    /// What was sent at the last review, in bits per second.
    sent_bps: u64,
    last_burst: Option<Instant>,
}

impl Sender {
    /// Bounds of the estimate, in bits per second; 0 is none.
    pub(crate) fn set_bounds(&mut self, min_bps: u64, max_bps: u64) {
        self.estimator.set_bounds(Bounds { min_bps, max_bps });
        self.update_pace();
    }

    /// A stream flows that padding can be made of.
    pub(crate) fn start_probing(&mut self) {
        self.estimator.start();
    }

    /// How much could be sent if the path carried it, in bits per second.
    pub(crate) fn set_wanted(&mut self, bps: u64) {
        self.estimator.set_wanted(bps);
    }

    /// Counts a packet of `bytes` that goes out with a transport-wide sequence number, and gives
    /// the number.
    pub(crate) fn number(&mut self, bytes: usize, now: Instant) -> u16 {
        self.pacer.spend(bytes, now);
        self.estimator.sent(bytes, now)
    }

    /// Counts a packet of `bytes` that goes out without a number.
    pub(crate) fn count(&mut self, bytes: usize, now: Instant) {
        self.pacer.spend(bytes, now);
    }

    /// Takes in what the peer reports of arrivals.
    pub(crate) fn feedback(&mut self, feedback: &TransportFeedback<'_>, now: Instant) {
        if self.estimator.feedback(feedback, now) {
            self.update_pace();
        }
    }

    /// What the peer's own estimate counts as at first, in bits per second: receivers begin low.
    pub(crate) fn set_remb_on_connect(&mut self, bps: u64) {
        if self.remb.is_none() {
            self.remb_on_connect = bps;
        }
    }

    /// Takes in what the peer estimates itself.
    pub(crate) fn remb(&mut self, bps: u64) {
        let falls = self.remb.is_some_and(|before| bps < before);
        self.remb = Some(bps);
        if bps >= self.remb_on_connect || falls {
            self.remb_on_connect = 0;
        }
        self.estimator.remb(bps.max(self.remb_on_connect));
        self.update_pace();
    }

    /// Time to the peer and back, with what it takes to report.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.estimator.round_trip()
    }

    /// What the path carries, in bits per second; `None` before anything is known.
    pub(crate) fn estimate(&self) -> Option<u64> {
        self.estimator.bps()
    }

    /// The estimate once it is a limit that was met, and not only as far as was tried.
    pub(crate) fn limit(&self) -> Option<u64> {
        self.estimator
            .bps()
            .filter(|_| self.estimator.was_limited())
    }

    /// Notes what is being sent, in bits per second.
    pub(crate) fn note_sent(&mut self, bps: u64) {
        self.sent_bps = bps;
        self.update_pace();
    }

    /// Notes that the limit is being divided among the streams.
    pub(crate) fn note_divided(&mut self) -> Option<u64> {
        self.divided = self.limit();
        self.divided
    }

    /// Whether there is so much less now than was divided that it cannot wait for the next review.
    pub(crate) fn has_fallen(&self) -> bool {
        match (self.limit(), self.divided) {
            (Some(limit), Some(divided)) => limit.saturating_mul(10) < divided.saturating_mul(9),
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    /// Notes from which limit on a paused stream would be sent, in bits per second.
    pub(crate) fn note_paused(&mut self, resumes_at: Option<u64>) {
        // Where the streams differ from what they were reckoned with, a little more is waited for.
        let least = self.divided.map_or(0, |bps| bps.saturating_add(bps / 50));
        self.resumes_at = resumes_at.map(|bps| bps.max(least));
    }

    /// Whether a paused stream can go on now, which shall not wait for the next review.
    pub(crate) fn can_resume(&self) -> bool {
        self.resumes_at
            .is_some_and(|needed| self.limit().is_none_or(|limit| limit >= needed))
    }

    /// Whether packets have to wait for their turn.
    pub(crate) fn must_wait(&mut self, now: Instant) -> bool {
        self.pacer.must_wait(now)
    }

    /// When packets that wait may go.
    pub(crate) fn paced_at(&self) -> Option<Instant> {
        self.pacer.due()
    }

    /// Whether the path got so narrow at once, or so much was lost as it did, that a keyframe is there
    /// sooner than all that is late and all repairs would be. True once in a while.
    pub(crate) fn take_burst(&mut self, now: Instant) -> bool {
        let (received, lost) = self.estimator.last_feedback();
        let is_lossy = lost >= BURST_PACKETS
            && f64::from(lost) >= f64::from(received.saturating_add(lost)) * BURST_SHARE;
        let is_burst = self.estimator.take_squeeze() || is_lossy;
        let is_due = self
            .last_burst
            .is_none_or(|last| now.saturating_duration_since(last) >= BURST_INTERVAL);
        let answer = is_burst && is_due && self.estimator.was_limited();
        if answer {
            self.last_burst = Some(now);
        }
        answer
    }

    /// Bytes of padding that are due.
    pub(crate) fn probe_due(&mut self, now: Instant) -> usize {
        self.estimator.probe_due(now)
    }

    /// There is nothing to make padding of.
    pub(crate) fn give_up_probe(&mut self) {
        self.estimator.give_up_probe();
    }

    /// When padding may be due.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.estimator.poll_timeout()
    }

    fn update_pace(&mut self) {
        let sent = self.estimator.sent_bps().max(self.sent_bps) as f64;
        let rate = match self.limit() {
            Some(limit) if (limit as f64) < sent * PACED_BELOW => {
                let pace = if self.estimator.is_overused() {
                    1.0
                } else {
                    PACE
                };
                limit as f64 * pace
            }
            Some(_) | None => 0.0,
        };
        self.pacer.set_rate(rate);
    }
}
