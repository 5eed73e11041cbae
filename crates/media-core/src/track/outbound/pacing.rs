//! Packets that do not fit the pace of their receiver wait; sound never does.

use super::{Fresh, Inbound, Outbound};
use crate::egress::Egress;
use crate::sending::{Sender, Waiting};
use crate::track::TrackSlot;
use salono_media_api::{MediaKind, ShardMetrics};
use std::time::Instant;

impl Outbound {
    /// Sends one fresh packet of a track, or lets it wait for its turn; true when a keyframe is
    /// needed to go on.
    pub(crate) fn forward(
        &mut self,
        fresh: &Fresh,
        (slot, track): (TrackSlot, &Inbound),
        mut sender: Option<&mut Sender>,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) -> bool {
        let must_wait = self.kind == MediaKind::Video
            && sender
                .as_deref_mut()
                .is_some_and(|sender| !self.queue.is_empty() || sender.must_wait(now));
        // What waits for a keyframe drops all else at once.
        let is_useful = fresh.descriptor.is_keyframe_start || !self.munger.is_awaiting_keyframe();
        if !must_wait || !is_useful || self.destination.is_none() || self.ceiling.is_none() {
            return self.forward_now(fresh, track, sender, egress, metrics, now);
        }
        let dropped = self.queue.push(Waiting {
            track: slot,
            seq: fresh.seq,
            since: now,
            is_keyframe_start: fresh.descriptor.is_keyframe_start,
        });
        if dropped {
            // Decoding starts anew with the next keyframe.
            self.munger.stop();
        }
        dropped
    }

    /// Leaves out everything up to the next keyframe of the source. True when there is a source.
    pub(crate) fn resynchronise(&mut self) -> bool {
        let flows = self.source.is_some() && self.destination.is_some() && self.ceiling.is_some();
        if flows {
            self.queue.clear();
            self.munger.stop();
        }
        flows
    }

    /// Whether packets wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The packet whose turn is next.
    pub(crate) fn next_waiting(&mut self) -> Option<Waiting> {
        self.queue.pop()
    }
}
