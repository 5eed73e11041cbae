//! Streams that cross to or from a processor: made, given a way, taken down, and what comes over the socket.

use crate::demux::{DatagramKind, EndpointSlot, classify};
use crate::endpoint::Endpoint;
use crate::feedback::MAX_COMPOUND;
use crate::network::SocketId;
use crate::peer::Peer;
use crate::processing::{Crossing, Direction};
use crate::shard::Shard;
use salono_media_api::processing::bridge::RtpFormat;
use salono_media_api::{ElementKey, MediaKind, PipelineKey};
use salono_rtp::rtcp::{Compound, Packet};
use std::time::Instant;

/// Streams that one packet of RTCP may be about; as many as fit a report.
const MAX_SUBJECTS: usize = 31;

impl Shard {
    /// Makes a stream that comes from an element; returns its key. `None` for a codec that cannot be forwarded.
    pub(super) fn open_crossing(
        &mut self,
        pipeline: PipelineKey,
        (source, kind): (ElementKey, MediaKind),
        format: &RtpFormat,
        direction: Direction,
        now: Instant,
    ) -> Option<(u32, EndpointSlot)> {
        let bridge = self.bridges.get_mut(pipeline)?;
        let (key, socket) = (bridge.next_key(), bridge.life.socket());
        let mut crossing = Crossing::new(pipeline, source, key, kind, format, direction)?;
        crossing.set_socket(socket);
        let mut peer = Peer::new(Endpoint::Crossing(Box::new(crossing)));
        peer.feedback.set_clock_offset(bridge.clock_offset);
        let slot = self.peers.insert(peer);
        if let Some(bridge) = self.bridges.get_mut(pipeline) {
            bridge.add_crossing(key, slot);
        }
        let peer = self.peers.get_mut(slot)?;
        let (limits, rng) = (&self.config.limits, &mut self.rng);
        peer.set_up_tracks(slot, limits, &mut self.router, rng);
        peer.measure_latency(self.measured.contains(&pipeline), &mut self.router);
        peer.refresh_outbound(&mut self.router);
        peer.feedback.start(now);
        peer.watch_flow(now);
        peer.arm(&mut self.timers, slot, &self.router);
        Some((key, slot))
    }

    /// Another encoding of what goes into the processor.
    pub(super) fn reformat(&mut self, slot: EndpointSlot, format: &RtpFormat) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let crossing = peer.endpoint.crossing_mut();
        if crossing.is_some_and(|crossing| crossing.set_format(format)) {
            let (limits, rng) = (&self.config.limits, &mut self.rng);
            peer.set_up_tracks(slot, limits, &mut self.router, rng);
        }
    }

    /// Gives all streams into the processor a way, or none.
    pub(super) fn set_crossings_socket(&mut self, pipeline: PipelineKey, socket: Option<SocketId>) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        for slot in bridge.slots() {
            let Some(peer) = self.peers.get_mut(slot) else {
                continue;
            };
            if let Some(crossing) = peer.endpoint.crossing_mut() {
                crossing.set_socket(socket);
            }
            peer.refresh_outbound(&mut self.router);
            peer.arm(&mut self.timers, slot, &self.router);
        }
    }

    pub(super) fn close_crossing(&mut self, pipeline: PipelineKey, key: u32, slot: EndpointSlot) {
        if let Some(bridge) = self.bridges.get_mut(pipeline) {
            bridge.remove_crossing(key);
        }
        if let Some(mut peer) = self.peers.remove(slot) {
            peer.remove_tracks(&mut self.router);
        }
    }

    /// The processor is given up, with all that crosses.
    pub(super) fn close_crossings(&mut self, pipeline: PipelineKey, socket: Option<SocketId>) {
        self.forget_socket(socket);
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        bridge.forget_processor();
        bridge.retired.clear();
        bridge.inlets.clear();
        let slots: Vec<EndpointSlot> = bridge.take_slots();
        for slot in slots {
            if let Some(mut peer) = self.peers.remove(slot) {
                peer.remove_tracks(&mut self.router);
            }
        }
    }

    pub(super) fn forget_socket(&mut self, socket: Option<SocketId>) {
        if let Some(socket) = socket {
            self.demux.sockets.remove(socket);
            self.bridges.remove_socket(socket);
        }
    }

    /// Takes in a packet from a processor; false when it is of no stream.
    pub(in crate::shard) fn handle_crossing(
        &mut self,
        socket: SocketId,
        datagram: &mut [u8],
        now: Instant,
    ) -> bool {
        match classify(datagram) {
            Some(DatagramKind::Rtp) => self.handle_outlet(socket, datagram, now),
            Some(DatagramKind::Rtcp) => self.handle_crossing_rtcp(socket, datagram, now),
            Some(DatagramKind::Stun | DatagramKind::Dtls) | None => false,
        }
    }

    fn handle_outlet(&mut self, socket: SocketId, datagram: &mut [u8], now: Instant) -> bool {
        let ssrc = datagram.get(8..12).and_then(|it| it.try_into().ok());
        let slot = ssrc.and_then(|ssrc| self.bridges.crossing(socket, u32::from_be_bytes(ssrc)));
        let Some(slot) = slot else { return false };
        let Some(peer) = self.peers.get_mut(slot) else {
            return false;
        };
        let taken = peer.receive_rtp(
            0,
            datagram,
            &mut self.router,
            &mut self.metrics,
            &mut self.events,
            now,
        );
        let changed = peer.take_flow_change();
        if taken {
            self.arm_later(slot);
        }
        if changed {
            self.note_peer_flow(slot, now);
        }
        taken
    }

    /// A compound may be about several streams in both directions: each hears what concerns it.
    fn handle_crossing_rtcp(&mut self, socket: SocketId, datagram: &[u8], now: Instant) -> bool {
        let mut taken = false;
        for packet in Compound::new(datagram).take(MAX_COMPOUND) {
            let mut told: Vec<EndpointSlot> = Vec::new();
            for ssrc in subjects(&packet) {
                let Some(slot) = self.bridges.crossing(socket, ssrc) else {
                    continue;
                };
                let Some(peer) = self.peers.get_mut(slot).filter(|_| !told.contains(&slot)) else {
                    continue;
                };
                told.push(slot);
                peer.handle_rtcp(
                    0,
                    &packet,
                    &mut self.router,
                    &mut self.egress,
                    &mut self.metrics,
                    self.clock,
                    now,
                );
                let offset = peer.feedback.clock_offset();
                self.arm_later(slot);
                self.note_processor_clock(socket, offset);
                if let Packet::SenderReport(_) = packet {
                    self.note_report(slot, now);
                }
                taken = true;
            }
        }
        taken
    }

    /// All streams of a processor are told the time by one clock.
    fn note_processor_clock(&mut self, socket: SocketId, offset: Option<i64>) {
        let pipeline = self.bridges.of_socket(socket);
        let bridge = pipeline.and_then(|pipeline| self.bridges.get_mut(pipeline));
        let Some(bridge) = bridge.filter(|bridge| bridge.clock_offset.is_none()) else {
            return;
        };
        if offset.is_none() {
            return;
        }
        bridge.clock_offset = offset;
        for slot in bridge.slots() {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.feedback.set_clock_offset(offset);
            }
        }
    }
}

/// The streams that a packet is about.
fn subjects(packet: &Packet<'_>) -> Vec<u32> {
    let mut subjects = Vec::new();
    match packet {
        Packet::SenderReport(report) => {
            subjects.push(report.ssrc);
            subjects.extend(report.blocks.into_iter().map(|block| block.ssrc));
        }
        Packet::ReceiverReport(report) => {
            subjects.extend(report.blocks.into_iter().map(|block| block.ssrc));
        }
        Packet::Nack(nack) => subjects.push(nack.media_ssrc),
        Packet::PictureLoss { media_ssrc, .. } => subjects.push(*media_ssrc),
        Packet::FullIntra(request) => subjects.extend(request.into_iter().map(|entry| entry.ssrc)),
        Packet::Remb(remb) => subjects.extend(remb.sources),
        // Nothing is numbered per transport here.
        Packet::SourceDescription(_)
        | Packet::Bye(_)
        | Packet::TransportFeedback(_)
        | Packet::Other { .. }
        | _ => {}
    }
    subjects.truncate(MAX_SUBJECTS + 1);
    subjects
}
