//! What the path to one viewer carries, and how it is divided.
//!
//! A viewer may have several connections, one per stream in the extreme, all of which end in the same
//! bottleneck. Who knows that they are one viewer's says so, and they then have one estimate, one
//! division among all their streams, and probe one at a time. It is never guessed: several people behind
//! one address have streams, sizes and speakers of their own, and nothing in their packets tells them
//! apart from one person's connections. Endpoints on other shards are not coupled.

use super::SenderSlot;
use salono_media_api::{PipelineKey, ViewerKey};
use salono_rtp::send::bwe;
use slotmap::{SlotMap, new_key_type};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

new_key_type! {
    /// A path to a viewer.
    pub(crate) struct PathSlot;
}

/// A viewer of a pipeline.
pub(crate) type Viewer = (PipelineKey, ViewerKey);

/// Pacing begins when less than this multiple of what is sent is known to pass.
const PACED_BELOW: f64 = 4.0;
/// What waits leaves at this multiple of the estimate, so that a frame takes less than its interval;
/// while a queue builds up on the way, no faster than the estimate.
const PACE: f64 = 1.5;
/// Connections that are coupled at most; further ones stay by themselves.
const MAX_MEMBERS: usize = 256;
/// A review that comes sooner after the last one is that of another connection.
const LEAST_INTERVAL: Duration = Duration::from_millis(500);

/// The path to one viewer.
#[derive(Debug, Default)]
pub(crate) struct SharedPath {
    estimate: bwe::Path,
    members: Vec<SenderSlot>,
    viewer: Option<Viewer>,
    /// What was divided among the streams last, in bits per second.
    divided: Option<u64>,
    /// The limit from which on a paused stream would be sent, in bits per second.
    resumes_at: Option<u64>,
    /// What was sent at the last review, in bits per second.
    sent_bps: u64,
    reviewed: Option<Instant>,
}

impl SharedPath {
    pub(crate) fn estimate(&self) -> &bwe::Path {
        &self.estimate
    }

    pub(crate) fn estimate_mut(&mut self) -> &mut bwe::Path {
        &mut self.estimate
    }

    /// Whose estimate this is.
    pub(crate) fn members(&self) -> &[SenderSlot] {
        &self.members
    }

    /// The estimate once it is a limit that was met, and not only as far as was tried.
    pub(crate) fn limit(&self) -> Option<u64> {
        let is_met = self.estimate.was_limited();
        self.estimate.bps().filter(|_| is_met)
    }

    /// Notes that the limit is being divided among the streams.
    pub(crate) fn note_divided(&mut self, now: Instant) -> Option<u64> {
        self.reviewed = Some(now);
        self.divided = self.limit();
        self.divided
    }

    /// Whether it is time to divide the limit anew.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.reviewed
            .is_none_or(|at| now.saturating_duration_since(at) >= LEAST_INTERVAL)
    }

    /// Notes what is being sent, in bits per second.
    pub(crate) fn note_sent(&mut self, bps: u64) {
        self.sent_bps = bps;
    }

    /// Whether there is so much less now than was divided, or enough for a stream that is paused, that
    /// it cannot wait for the next review.
    pub(crate) fn has_changed(&self) -> bool {
        let limit = self.limit();
        let has_fallen = match (limit, self.divided) {
            (Some(limit), Some(divided)) => limit.saturating_mul(10) < divided.saturating_mul(9),
            (Some(_), None) => true,
            (None, _) => false,
        };
        let can_resume = self
            .resumes_at
            .is_some_and(|needed| limit.is_none_or(|limit| limit >= needed));
        has_fallen || can_resume
    }

    /// Notes from which limit on a paused stream would be sent, in bits per second.
    pub(crate) fn note_paused(&mut self, resumes_at: Option<u64>) {
        // Where the streams differ from what they were reckoned with, a little more is waited for.
        let least = self.divided.map_or(0, |bps| bps.saturating_add(bps / 50));
        self.resumes_at = resumes_at.map(|bps| bps.max(least));
    }

    /// What a member that sends so much could send beside the others, in bits per second.
    pub(crate) fn room(&self, limit: u64, own: u64) -> u64 {
        let others = self.sent().saturating_sub(own);
        let share = limit / (self.members.len().max(1) as u64);
        limit.saturating_sub(others).max(share)
    }

    /// The rate at which what waits at a member that sends so much leaves, in bits per second; 0 is any.
    pub(crate) fn pace(&self, own: u64) -> f64 {
        match self.limit() {
            Some(limit) if (limit as f64) < self.sent() as f64 * PACED_BELOW => {
                // A keyframe of one may take what the others do not need at the moment.
                if self.estimate.is_overused() {
                    self.room(limit, own).max(limit / 2) as f64
                } else {
                    limit as f64 * PACE
                }
            }
            Some(_) | None => 0.0,
        }
    }

    fn sent(&self) -> u64 {
        self.estimate.sent_bps().max(self.sent_bps)
    }
}

/// The paths to all viewers.
#[derive(Default)]
pub(crate) struct Paths {
    slots: SlotMap<PathSlot, SharedPath>,
    viewers: BTreeMap<Viewer, PathSlot>,
}

impl Paths {
    /// A path of its own.
    pub(crate) fn add(&mut self) -> PathSlot {
        self.slots.insert(SharedPath::default())
    }

    pub(crate) fn get(&self, slot: PathSlot) -> Option<&SharedPath> {
        self.slots.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: PathSlot) -> Option<&mut SharedPath> {
        self.slots.get_mut(slot)
    }

    /// Two that are different.
    pub(crate) fn both(
        &mut self,
        one: PathSlot,
        other: PathSlot,
    ) -> Option<(&mut SharedPath, &mut SharedPath)> {
        let [one, other] = self.slots.get_disjoint_mut([one, other])?;
        Some((one, other))
    }

    /// The path for a member that belongs to this viewer, or to none, if it is another one than before.
    pub(crate) fn path_for(
        &mut self,
        viewer: Option<Viewer>,
        before: PathSlot,
    ) -> Option<PathSlot> {
        if self.slots.get(before)?.viewer == viewer {
            return None;
        }
        let known = viewer.and_then(|viewer| self.viewers.get(&viewer).copied());
        let Some(known) = known else {
            let slot = self.add();
            if let Some((path, viewer)) = self.slots.get_mut(slot).zip(viewer) {
                path.viewer = Some(viewer);
                self.viewers.insert(viewer, slot);
            }
            return Some(slot);
        };
        let path = self.slots.get(known)?;
        (path.members.len() < MAX_MEMBERS).then_some(known)
    }

    pub(crate) fn enter(&mut self, slot: PathSlot, member: SenderSlot) {
        if let Some(path) = self.slots.get_mut(slot) {
            path.members.push(member);
        }
    }

    /// A member is gone; a path without any is, too.
    pub(crate) fn leave(&mut self, slot: PathSlot, member: SenderSlot) {
        let Some(path) = self.slots.get_mut(slot) else {
            return;
        };
        path.members.retain(|of| *of != member);
        if path.members.is_empty() {
            if let Some(viewer) = path.viewer {
                self.viewers.remove(&viewer);
            }
            self.slots.remove(slot);
        }
    }
}
