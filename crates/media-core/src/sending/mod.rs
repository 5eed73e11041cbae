//! What all streams to one peer over one transport share: the numbers that its feedback speaks of,
//! and the pace; and what those share that take the same path to one viewer: the estimate of what it
//! carries.
//!
//! The router owns a [`Sender`] per transport of a peer, and a [`SharedPath`] per viewer; the streams
//! find theirs by a key. A peer whose path carries far more than it is sent costs a number and an
//! entry per packet, no more.

mod allocator;
mod budget;
mod caps;
mod numbers;
mod pacer;
mod path;
mod queue;
mod repairs;

pub(crate) use allocator::{Demand, Division, Grant, Preference, allocate};
pub(crate) use budget::RetransmissionBudget;
pub(crate) use caps::Caps;
pub(crate) use numbers::Numbers;
pub(crate) use pacer::Pacer;
pub(crate) use path::{PathSlot, Paths, SharedPath, Viewer};
pub(crate) use queue::{PacedQueue, Waiting};
pub(crate) use repairs::Repairs;

use crate::track::OutSlot;
use salono_rtp::rtcp::TransportFeedback;
use salono_rtp::send::bwe::{Bounds, Flow};
use slotmap::new_key_type;
use std::time::{Duration, Instant};

new_key_type! {
    /// The sending state of one transport of a peer.
    pub(crate) struct SenderSlot;
}

/// Lost at least so many packets, and this share of what one feedback is about: a burst that
/// retransmissions do not repair in time.
const BURST_PACKETS: u32 = 5;
const BURST_SHARE: f64 = 0.2;
/// Time between two keyframes that bursts of losses are answered with.
const BURST_INTERVAL: Duration = Duration::from_secs(2);

/// The sending state of one transport of a peer. Where a method is given a path, it is the one that
/// the sender is part of.
pub(crate) struct Sender {
    flow: Flow,
    pacer: Pacer,
    path: PathSlot,
    /// The streams that go this way.
    outs: Vec<OutSlot>,
    /// What counts until the peer estimates as much, or less than before; 0 is nothing.
    remb_on_connect: u64,
    remb: Option<u64>,
    /// What was sent at the last review, in bits per second.
    sent_bps: u64,
    last_burst: Option<Instant>,
}

impl Sender {
    /// The first one of a path.
    pub(crate) fn new(slot: PathSlot, path: &mut SharedPath) -> Self {
        Self {
            flow: Flow::new(path.estimate_mut()),
            pacer: Pacer::default(),
            path: slot,
            outs: Vec::new(),
            remb_on_connect: 0,
            remb: None,
            sent_bps: 0,
            last_burst: None,
        }
    }

    /// The path that this is part of.
    pub(crate) fn path(&self) -> PathSlot {
        self.path
    }

    /// Goes from one path to another.
    pub(crate) fn change_path(
        &mut self,
        from: &mut SharedPath,
        (slot, to): (PathSlot, &mut SharedPath),
    ) {
        self.flow
            .change_path(from.estimate_mut(), to.estimate_mut());
        self.path = slot;
    }

    /// Leaves its path, and ends.
    pub(crate) fn leave(&self, path: &mut SharedPath) {
        path.estimate_mut().leave(self.flow.id());
    }

    /// The streams that go this way.
    pub(crate) fn outs(&self) -> &[OutSlot] {
        &self.outs
    }

    /// A stream goes this way from now on.
    pub(crate) fn add_out(&mut self, out: OutSlot) {
        if !self.outs.contains(&out) {
            self.outs.push(out);
        }
    }

    /// Forgets the streams that do not go this way any more.
    pub(crate) fn keep_outs(&mut self, goes: impl Fn(OutSlot) -> bool) {
        self.outs.retain(|out| goes(*out));
    }

    /// Bounds of what goes this way, in bits per second; 0 is none.
    pub(crate) fn set_bounds(&self, path: &mut SharedPath, min_bps: u64, max_bps: u64) {
        let bounds = Bounds { min_bps, max_bps };
        path.estimate_mut().set_bounds(self.flow.id(), bounds);
    }

    /// A stream flows that padding can be made of.
    pub(crate) fn start_probing(&mut self, path: &SharedPath) {
        self.flow.start(path.estimate());
    }

    /// Counts a packet of `bytes` that goes out with a transport-wide sequence number, and gives
    /// the number.
    pub(crate) fn number(&mut self, bytes: usize, now: Instant) -> u16 {
        self.pacer.spend(bytes, now);
        self.flow.sent(bytes, now)
    }

    /// Counts a packet of `bytes` that goes out without a number.
    pub(crate) fn count(&mut self, bytes: usize, now: Instant) {
        self.pacer.spend(bytes, now);
    }

    /// Takes in what the peer reports of arrivals; false when it says nothing.
    pub(crate) fn feedback(
        &mut self,
        feedback: &TransportFeedback<'_>,
        path: &mut SharedPath,
        now: Instant,
    ) -> bool {
        self.flow.feedback(feedback, path.estimate_mut(), now)
    }

    /// What the peer's own estimate counts as at first, in bits per second: receivers begin low.
    pub(crate) fn set_remb_on_connect(&mut self, bps: u64) {
        if self.remb.is_none() {
            self.remb_on_connect = bps;
        }
    }

    /// Takes in what the peer estimates itself.
    pub(crate) fn remb(&mut self, bps: u64, path: &mut SharedPath) {
        let falls = self.remb.is_some_and(|before| bps < before);
        self.remb = Some(bps);
        if bps >= self.remb_on_connect || falls {
            self.remb_on_connect = 0;
        }
        let bps = bps.max(self.remb_on_connect);
        path.estimate_mut().remb(self.flow.id(), bps);
    }

    /// Time to the peer and back, with what it takes to report.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.flow.round_trip()
    }

    /// What is being sent, in bits per second.
    pub(crate) fn sent_bps(&self) -> u64 {
        self.flow.sent_bps().max(self.sent_bps)
    }

    /// Notes what is being sent, in bits per second.
    pub(crate) fn note_sent(&mut self, bps: u64) {
        self.sent_bps = bps;
    }

    /// Whether packets have to wait for their turn.
    pub(crate) fn must_wait(&mut self, now: Instant) -> bool {
        self.pacer.must_wait(now)
    }

    /// When packets that wait may go.
    pub(crate) fn paced_at(&self) -> Option<Instant> {
        self.pacer.due()
    }

    /// Packets leave at this rate from now on, in bits per second; 0 is any.
    pub(crate) fn set_pace(&mut self, bps: f64) {
        self.pacer.set_rate(bps);
    }

    /// Whether the path got so narrow at once, or so much was lost as it did, that a keyframe is there
    /// sooner than all that is late and all repairs would be. True once in a while.
    pub(crate) fn take_burst(&mut self, path: &SharedPath, now: Instant) -> bool {
        let (received, lost) = self.flow.last_feedback();
        let is_lossy = lost >= BURST_PACKETS
            && f64::from(lost) >= f64::from(received.saturating_add(lost)) * BURST_SHARE;
        let is_burst = self.flow.take_squeeze() || is_lossy;
        let is_due = self
            .last_burst
            .is_none_or(|last| now.saturating_duration_since(last) >= BURST_INTERVAL);
        let answer = is_burst && is_due && path.estimate().was_limited();
        if answer {
            self.last_burst = Some(now);
        }
        answer
    }

    /// Bytes of padding that are due.
    pub(crate) fn probe_due(&mut self, path: &mut SharedPath, beside: u64, now: Instant) -> usize {
        self.flow.probe_due(path.estimate_mut(), beside, now)
    }

    /// Bytes that went this way, over all.
    pub(crate) fn sent_bytes(&self) -> u64 {
        self.flow.sent_bytes()
    }

    /// There is nothing to make padding of.
    pub(crate) fn give_up_probe(&mut self, path: &mut SharedPath, now: Instant) {
        self.flow.give_up_probe(path.estimate_mut(), now);
    }

    /// When padding may be due.
    pub(crate) fn poll_timeout(&self, path: &SharedPath) -> Option<Instant> {
        self.flow.poll_timeout(path.estimate())
    }
}
