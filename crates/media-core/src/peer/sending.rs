//! What is sent to a peer at its own pace: probes, and the state that its streams share.

use super::Peer;
use crate::egress::Egress;
use crate::sending::SenderSlot;
use crate::track::{OutSlot, Router};
use salono_media_api::{MediaKind, ShardMetrics, ViewerKey};
use salono_sdp::negotiate::MAX_TRANSPORTS;
use std::time::Instant;

/// Packets of padding that leave at once; the rest of a probe follows at its pace.
const MAX_PADDING: usize = 16;
/// What other media may take beside video whose bitrate is bounded.
const AUDIO_ROOM_BPS: u64 = 128_000;

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
            if slot.is_none() {
                *slot = router.add_sender();
                if let Some((sender, viewer)) = slot.zip(self.viewer) {
                    let viewer = (self.endpoint.pipeline(), viewer);
                    router.set_viewer(sender, Some(viewer));
                }
            }
            if let Some(sender) = *slot {
                router.set_sender(out, sender);
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
        let on_connect = self.remb_params.on_connect.as_bps();
        for sender in self.senders.iter().flatten() {
            router.bound_sender(*sender, (min, max), on_connect);
        }
    }

    /// The peer is one connection of this viewer, or of nobody in particular.
    pub(crate) fn set_viewer(&mut self, viewer: Option<ViewerKey>, router: &mut Router) {
        self.viewer = viewer;
        let viewer = viewer.map(|viewer| (self.endpoint.pipeline(), viewer));
        for sender in self.senders.iter().flatten() {
            router.set_viewer(*sender, viewer);
        }
    }

    pub(crate) fn sender(&self, transport: usize) -> Option<SenderSlot> {
        *self.senders.get(transport)?
    }

    /// Divides what the path of each transport carries among the streams to the viewer, when it is time.
    pub(crate) fn review_in_turn(&self, router: &mut Router, now: Instant) {
        for sender in self.senders.iter().flatten() {
            router.review_in_turn(*sender, now);
        }
    }

    /// Does so now.
    pub(crate) fn review_sending(&self, router: &mut Router, now: Instant) {
        for sender in self.senders.iter().flatten() {
            router.review(*sender, now);
        }
    }

    /// Divides anew what the streams of several sources share: one of them matters more than before,
    /// or less.
    pub(crate) fn review_order(&self, router: &mut Router, now: Instant) {
        for sender in self.senders.iter().flatten() {
            router.review_order(*sender, now);
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
        let sender = self.sender(transport);
        if !sender.is_some_and(|sender| router.take_burst(sender, now)) {
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
            let mut packets = 0;
            while packets < MAX_PADDING && router.probe_due(slot, now) > 0 {
                packets += 1;
                if !self.send_padding(transport, router, egress, now) {
                    router.give_up_probe(slot, now);
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
                let due = router.probe_timeout((*sender)?)?;
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
