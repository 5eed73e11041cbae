//! What is sent to a peer at its own pace: probes, and the state that its streams share.

use super::Peer;
use crate::egress::Egress;
use crate::sending::{Demand, Division, Sender, SenderSlot, allocate};
use crate::track::{OutSlot, Qualities, Router};
use salono_media_api::{MediaKind, ShardMetrics};
use salono_sdp::negotiate::MAX_TRANSPORTS;
use std::time::Instant;

/// Packets of padding that leave at once; the rest of a probe follows at its pace.
const MAX_PADDING: usize = 16;
/// What other media may take beside video whose bitrate is bounded.
const AUDIO_ROOM_BPS: u64 = 128_000;

/// Looked for beyond what sources send now: they may begin to send more.
const WANTED_MARGIN_BPS: u64 = 1_000_000;

/// The sending state of each transport.
pub(super) type Senders = [Option<SenderSlot>; MAX_TRANSPORTS];

impl Peer {
    /// Gives every stream the sending state of its transport.
    pub(super) fn set_up_senders(&mut self, router: &mut Router) {
        let lines: Vec<(usize, OutSlot)> = self
            .lines
            .iter()
            .filter_map(|line| Some((line.transport, line.outbound?)))
            .collect();
        for (transport, out) in lines {
            let Some(slot) = self.senders.get_mut(transport) else {
                continue;
            };
            let sender = *slot.get_or_insert_with(|| router.add_sender());
            if let Some(out) = router.out_mut(out) {
                out.set_sender(Some(sender));
            }
        }
        self.set_sender_bounds(router);
    }

    pub(super) fn remove_senders(&mut self, router: &mut Router) {
        for sender in &mut self.senders {
            if let Some(sender) = sender.take() {
                router.remove_sender(sender);
            }
        }
    }

    /// Bounds the estimates by what was set for the endpoint.
    pub(super) fn set_sender_bounds(&self, router: &mut Router) {
        let (min, max) = self.video_send_bps;
        let max = if max == 0 { 0 } else { max + AUDIO_ROOM_BPS };
        for sender in self.senders.iter().flatten() {
            if let Some(sender) = router.sender_mut(*sender) {
                sender.set_bounds(min, max);
                sender.set_remb_on_connect(self.remb_params.on_connect.as_bps());
            }
        }
    }

    pub(crate) fn sender_mut<'a>(
        &self,
        transport: usize,
        router: &'a mut Router,
    ) -> Option<&'a mut Sender> {
        router.sender_mut((*self.senders.get(transport)?)?)
    }

    /// Divides what each transport carries among its streams, and tells it how much could be made
    /// use of.
    pub(crate) fn review_sending(&self, router: &mut Router, now: Instant) {
        for transport in 0..self.senders.len() {
            self.review_transport(transport, router, now);
        }
    }

    /// Divides anew what the streams of several sources share: one of them matters more than before,
    /// or less.
    pub(crate) fn review_order(&self, router: &mut Router, now: Instant) {
        let sees = self.lines.of(MediaKind::Video);
        if sees.filter(|line| line.outbound.is_some()).nth(1).is_some() {
            self.review_sending(router, now);
        }
    }

    /// Reviews a transport that carries clearly less than was divided, or enough for a stream that is
    /// paused.
    pub(crate) fn review_change(&self, transport: usize, router: &mut Router, now: Instant) {
        let sender = self.sender_mut(transport, router);
        if sender.is_some_and(|sender| sender.has_fallen() || sender.can_resume()) {
            self.review_transport(transport, router, now);
        }
    }

    fn review_transport(&self, transport: usize, router: &mut Router, now: Instant) {
        let Some(limit) = self.sender_mut(transport, router).map(Sender::note_divided) else {
            return;
        };
        let outs = |kind: MediaKind| -> Vec<OutSlot> {
            let lines = self.lines.of(kind);
            lines
                .filter(|line| line.transport == transport)
                .filter_map(|line| line.outbound)
                .collect()
        };
        let audio: u64 = outs(MediaKind::Audio)
            .into_iter()
            .filter_map(|out| Some(router.out_mut(out)?.bitrate(now)))
            .sum();
        let outs = outs(MediaKind::Video);
        let video: u64 = outs
            .iter()
            .filter_map(|out| Some(router.out_mut(*out)?.bitrate(now)))
            .sum();
        let qualities: Vec<Qualities> =
            outs.iter().map(|out| router.qualities(*out, now)).collect();
        let demands: Vec<Demand<'_>> = outs
            .iter()
            .zip(&qualities)
            .filter_map(|(slot, qualities)| {
                let out = router.out(*slot)?;
                Some(Demand {
                    qualities,
                    preference: out.preference(),
                    is_prominent: out.source().is_some_and(|it| router.is_prominent(it)),
                    max_bps: out.send_bounds().1,
                    is_steerable: router.is_steerable(*slot),
                    before: out.grant(),
                })
            })
            .collect();
        let limit = limit.map(|limit| limit.saturating_sub(audio));
        let Division { grants, resumes_at } = allocate(limit, &demands, now);
        let wanted: u64 = demands.iter().map(Demand::wanted).sum();
        for (out, grant) in outs.iter().zip(grants) {
            router.grant(*out, grant);
        }
        let Some(sender) = self.sender_mut(transport, router) else {
            return;
        };
        sender.note_paused(resumes_at.map(|bps| bps.saturating_add(audio)));
        sender.note_sent(audio + video);
        if wanted > 0 {
            sender.set_wanted(wanted + audio + WANTED_MARGIN_BPS);
        }
    }

    /// Sends what has waited for its turn.
    pub(crate) fn send_paced(
        &self,
        router: &mut Router,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) {
        for out in self.lines.iter().filter_map(|line| line.outbound) {
            router.release(out, egress, metrics, now);
        }
    }

    /// A burst of losses is answered with keyframes: they are there sooner than all repairs.
    pub(crate) fn answer_burst(&self, transport: usize, router: &mut Router, now: Instant) {
        let sender = self.sender_mut(transport, router);
        if !sender.is_some_and(|sender| sender.take_burst(now)) {
            return;
        }
        for line in self.lines.of(MediaKind::Video) {
            let out = line.outbound.filter(|_| line.transport == transport);
            if let Some(out) = out {
                router.resynchronise(out);
            }
        }
    }

    /// Sends the padding that probes want.
    pub(crate) fn send_probes(&self, router: &mut Router, egress: &mut Egress, now: Instant) {
        for (transport, sender) in self.senders.iter().enumerate() {
            let Some(slot) = *sender else { continue };
            let is_due = |router: &mut Router| {
                let sender = router.sender_mut(slot);
                sender.is_some_and(|sender| sender.probe_due(now) > 0)
            };
            let mut packets = 0;
            while packets < MAX_PADDING && is_due(router) {
                packets += 1;
                if !self.send_padding(transport, router, egress, now) {
                    if let Some(sender) = router.sender_mut(slot) {
                        sender.give_up_probe();
                    }
                    break;
                }
            }
        }
    }

    fn send_padding(
        &self,
        transport: usize,
        router: &mut Router,
        egress: &mut Egress,
        now: Instant,
    ) -> bool {
        let lines = self.lines.iter();
        let mut outs = lines
            .filter(|line| line.transport == transport)
            .filter_map(|line| line.outbound);
        outs.any(|out| {
            router
                .out_with_all(out)
                .is_some_and(|(out, track, sender)| {
                    out.pad(&[Some(track)], sender, egress, now) > 0
                })
        })
    }

    /// When something that waits, or padding, is due on a transport that `can_send`.
    pub(super) fn senders_timeout(
        &self,
        can_send: impl Fn(usize) -> bool,
        router: &Router,
    ) -> Option<Instant> {
        let probes = self
            .senders
            .iter()
            .enumerate()
            .filter_map(|(transport, sender)| {
                let due = router.sender((*sender)?)?.poll_timeout()?;
                can_send(transport).then_some(due)
            })
            .min();
        let paced = self
            .lines
            .iter()
            .filter_map(|line| {
                let out = router.out(line.outbound?)?;
                let sender = out.sender().filter(|_| out.is_waiting())?;
                let due = router.sender(sender)?.paced_at()?;
                can_send(line.transport).then_some(due)
            })
            .min();
        [probes, paced].into_iter().flatten().min()
    }
}
