//! Streams that begin to flow: with what the publisher sent last, as far as that is of use.

use super::{OutSlot, Router};
use crate::egress::Egress;
use salono_media_api::ShardMetrics;
use std::time::{Duration, Instant};

/// The last packet of sound is of use for this long: the longest that is usual in one packet.
const SOUND: Duration = Duration::from_millis(60);
/// Video begins with a keyframe that is no older: what came since leaves in one burst, and what a
/// player shows late it has to catch up with.
const VIDEO: Duration = Duration::from_millis(200);

impl Router {
    /// A stream can flow from now on.
    pub(crate) fn begin_stream(&mut self, slot: OutSlot) {
        self.starting.push(slot);
    }

    /// Starts the streams that can flow. What does not begin with what is there needs a keyframe.
    pub(crate) fn start_streams(
        &mut self,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        while let Some(slot) = self.starting.pop() {
            if !self.start_stream(slot, egress, metrics, now) {
                self.want_keyframe_for(slot);
            }
        }
    }

    /// Sends what is there already; false when a keyframe is needed all the same.
    fn start_stream(
        &mut self,
        slot: OutSlot,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) -> bool {
        let Some(out) = self.outs.get_mut(slot) else {
            return true;
        };
        let followed = out.followed().filter(|_| out.has_destination());
        let Some((at, track)) = followed.and_then(|at| Some((at, self.tracks.get(at)?))) else {
            return true;
        };
        let (Some(start), Some(newest)) = (track.start_for(SOUND, VIDEO, now), track.newest())
        else {
            return false;
        };
        let mut sender = out.sender().and_then(|slot| self.senders.get_mut(slot));
        let mut seq = start;
        while seq <= newest {
            // What is fresh comes with its batch.
            if let Some(packet) = track.packet(seq).filter(|_| !track.is_fresh(seq)) {
                let fresh = track.describe(&packet);
                let sender = sender.as_deref_mut();
                out.forward(&fresh, (at, track), sender, egress, metrics, now);
            }
            seq = seq.next();
        }
        out.end_batch(now);
        if out.is_waiting() {
            self.waiting.push(out.owner());
        }
        if out.take_started() {
            self.started.push(slot);
        }
        true
    }
}
