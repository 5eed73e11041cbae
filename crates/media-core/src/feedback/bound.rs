//! What a publisher is asked to keep to: one bound for all that it sends over a transport, since publishers take a
//! REMB (draft-alvestrand-rmcat-remb) for their whole path, whichever streams it names.

use crate::egress::Egress;
use crate::peer::Peer;
use crate::track::{Router, Share, TrackSlot, UNLIMITED_BPS};
use salono_rtp::rtcp::Writer;
use std::time::Instant;

/// Streams that a bound is made of; what a publisher sends beyond them is not bounded.
const MAX_SHARES: usize = 16;
/// What a stream without a limit may grow by beside one that has one, until the next report: a quarter of what it
/// takes, and at least so much, in bits per second.
const ROOM_BPS: u64 = 300_000;

/// The bound for a transport.
pub(super) struct Bound {
    bitrate: u64,
    ssrcs: [u32; MAX_SHARES],
    count: usize,
}

impl Bound {
    /// Of all streams together; `None` when there is nothing to say now.
    fn of(shares: impl Iterator<Item = Share>) -> Option<Self> {
        let mut bound = Self {
            bitrate: 0,
            ssrcs: [0; MAX_SHARES],
            count: 0,
        };
        let (mut is_due, mut is_limited) = (false, false);
        for (share, ssrc) in shares.zip(bound.ssrcs.iter_mut()) {
            is_due |= share.is_due;
            is_limited |= share.limit.is_some();
            let free = share.taken.saturating_add((share.taken / 4).max(ROOM_BPS));
            bound.bitrate = bound.bitrate.saturating_add(share.limit.unwrap_or(free));
            *ssrc = share.ssrc;
            bound.count += 1;
        }
        if !is_limited {
            bound.bitrate = UNLIMITED_BPS;
        }
        is_due.then_some(bound)
    }

    pub(super) fn write(&self, sender: u32, writer: &mut Writer<'_>) -> bool {
        let ssrcs = self.ssrcs.get(..self.count).unwrap_or(&[]);
        writer.remb(sender, self.bitrate, ssrcs).is_ok()
    }
}

impl Peer {
    /// What this peer is to be asked for on a transport now.
    pub(super) fn bound(
        &self,
        transport: usize,
        router: &mut Router,
        now: Instant,
    ) -> Option<Bound> {
        let lines = self.lines.iter().filter(|line| line.transport == transport);
        Bound::of(lines.filter_map(|line| {
            let slot = line.inbound?;
            let cap = router.caps(slot).bitrate();
            let track = router.track_mut(slot)?;
            track.set_downstream_cap(cap);
            track.share(now)
        }))
    }

    /// Tells the publisher of a track at once that it is to send less, or may send more.
    pub(crate) fn send_cap(
        &mut self,
        slot: TrackSlot,
        router: &mut Router,
        egress: &mut Egress,
        now: Instant,
    ) {
        let Some(transport) = router.track(slot).map(|track| track.transport()) else {
            return;
        };
        if let Some(bound) = self.bound(transport, router, now) {
            let sender = self.local_ssrc();
            self.send_rtcp(transport, egress, |writer| bound.write(sender, writer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(ssrc: u32, limit: Option<u64>, taken: u64, is_due: bool) -> Share {
        Share {
            ssrc,
            limit,
            taken,
            is_due,
        }
    }

    #[test]
    fn limits_of_all_streams_add_up_and_free_ones_may_grow() {
        let both = [
            share(1, Some(500_000), 0, true),
            share(2, Some(200_000), 0, true),
        ];
        let bound = Bound::of(both.into_iter()).expect("due");
        assert_eq!((bound.bitrate, bound.count), (700_000, 2));
        let one = [
            share(1, Some(500_000), 0, true),
            share(2, None, 2_000_000, false),
        ];
        assert_eq!(Bound::of(one.into_iter()).expect("due").bitrate, 3_000_000);
    }

    #[test]
    fn a_limit_that_is_gone_is_taken_back_and_nothing_is_said_without_one() {
        let lifted = [share(1, None, 0, true)];
        assert_eq!(
            Bound::of(lifted.into_iter()).expect("due").bitrate,
            UNLIMITED_BPS
        );
        assert!(Bound::of([share(1, None, 9, false)].into_iter()).is_none());
    }
}
