//! What all streams to one peer over one transport share: the numbers that its feedback speaks of,
//! the estimate of what the path carries, and the pace.
//!
//! The router owns a [`Sender`] per transport of a peer; the streams find theirs by a key. A peer
//! whose path carries far more than it is sent costs a number and an entry per packet, no more.

mod budget;
mod numbers;
mod pacer;

pub(crate) use budget::RetransmissionBudget;
pub(crate) use numbers::Numbers;
pub(crate) use pacer::Pacer;

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
/// What waits leaves at this multiple of the estimate, so that a frame takes less than its interval.
const PACE: f64 = 1.5;

/// The sending state of one transport of a peer.
#[derive(Default)]
pub(crate) struct Sender {
    estimator: SendEstimator,
    pacer: Pacer,
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

    /// Takes in what the peer estimates itself.
    pub(crate) fn remb(&mut self, bps: u64) {
        self.estimator.remb(bps);
        self.update_pace();
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

    /// Whether packets have to wait for their turn.
    #[allow(dead_code, reason = "for streams that hold packets back")]
    pub(crate) fn must_wait(&mut self, now: Instant) -> bool {
        self.pacer.must_wait(now)
    }

    /// How long until the next packet may go.
    #[allow(dead_code, reason = "for streams that hold packets back")]
    pub(crate) fn wait(&self, now: Instant) -> Duration {
        self.pacer.wait(now)
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
        let sent = self.estimator.sent_bps() as f64;
        let rate = match self.limit() {
            Some(limit) if (limit as f64) < sent * PACED_BELOW => limit as f64 * PACE,
            Some(_) | None => 0.0,
        };
        self.pacer.set_rate(rate);
    }
}
