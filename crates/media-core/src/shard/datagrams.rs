//! Datagrams: to the transport or the tracks that they concern.

use super::Shard;
use crate::demux::{DatagramKind, EndpointSlot, Owner, classify};
use crate::network::SocketId;
use crate::webrtc::{self, Path};
use is::stun::{StunMessage, StunPacket};
use std::net::SocketAddr;
use std::time::Instant;

impl Shard {
    /// Takes in one datagram; RTP is decrypted in place.
    pub fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        datagram: &mut [u8],
        now: Instant,
    ) {
        self.metrics.datagrams_received += 1;
        self.metrics.bytes_received += datagram.len() as u64;
        let path = Path { socket, remote };
        let used = if let Some(line) = self.line_of(socket) {
            self.handle_plain(line, path, datagram, now)
        } else if self.nat.is_link(socket) {
            self.handle_stream_or_frame(path, datagram, now)
        } else {
            self.dispatch(path, datagram, now)
        };
        if !used {
            self.metrics.datagrams_refused += 1;
        }
    }

    /// Hands a packet to whom it concerns; false when it concerns nobody.
    pub(super) fn dispatch(&mut self, path: Path, datagram: &mut [u8], now: Instant) -> bool {
        match classify(datagram) {
            Some(DatagramKind::Rtp) => self.handle_rtp(path, datagram, now),
            Some(DatagramKind::Rtcp) => self.handle_rtcp(path, datagram, now),
            Some(DatagramKind::Stun) => {
                self.handle_server(path, datagram, now) || self.handle_stun(path, datagram, now)
            }
            Some(DatagramKind::Dtls) => self.handle_dtls(path, datagram, now),
            None => false,
        }
    }

    fn handle_stun(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        let owner = if message.is_binding_request() {
            self.checked(&message)
        } else {
            datagram.get(8..20).and_then(|id| self.demux.take_check(id))
        };
        let (Some(owner), Some((destination, proto))) = (owner, self.local_end(path.socket)) else {
            return false;
        };
        if self.is_of_another(path, owner) {
            self.keep_off(path, owner);
            return false;
        }
        let Some(endpoint) = self.web_rtc(owner) else {
            return false;
        };
        let packet = StunPacket {
            proto,
            source: path.remote,
            destination,
            message,
        };
        let accepted = endpoint.handle_stun(usize::from(owner.transport), path, packet, now);
        if accepted {
            endpoint.count_received(usize::from(owner.transport), datagram.len());
            self.dirty.push(owner.endpoint);
        }
        accepted
    }

    /// Whom a check is for, by its user name: our half, then the peer's.
    fn checked(&mut self, message: &StunMessage<'_>) -> Option<Owner> {
        let (ours, theirs) = message.split_username()?;
        let owner = self.demux.by_ufrag(ours)?;
        let endpoint = self.web_rtc(owner)?;
        let transport = endpoint.checked(usize::from(owner.transport), theirs);
        Some(Owner {
            transport: u8::try_from(transport).ok()?,
            ..owner
        })
    }

    fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        let Some(owner) = self.demux.by_path(path) else {
            return false;
        };
        let Some(endpoint) = self.web_rtc(owner) else {
            return false;
        };
        let accepted = endpoint.handle_dtls(usize::from(owner.transport), datagram, now);
        if accepted {
            endpoint.count_received(usize::from(owner.transport), datagram.len());
        }
        self.dirty.push(owner.endpoint);
        accepted
    }

    fn handle_rtp(&mut self, path: Path, datagram: &mut [u8], now: Instant) -> bool {
        let Some(owner) = self.demux.by_path(path) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        let taken = peer.receive_rtp(
            usize::from(owner.transport),
            datagram,
            &mut self.router,
            &mut self.metrics,
            &mut self.events,
            now,
        );
        let changed = peer.take_flow_change();
        if taken {
            if let Some(endpoint) = peer.endpoint.web_rtc_mut() {
                endpoint.count_received(usize::from(owner.transport), datagram.len());
            }
            self.arm_later(owner.endpoint);
        }
        if changed {
            self.note_peer_flow(owner.endpoint, now);
        }
        taken
    }

    fn handle_rtcp(&mut self, path: Path, datagram: &mut [u8], now: Instant) -> bool {
        let Some(owner) = self.demux.by_path(path) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        let taken = peer.receive_rtcp(
            usize::from(owner.transport),
            datagram,
            &mut self.router,
            &mut self.egress,
            &mut self.metrics,
            &mut self.events,
            self.clock,
            now,
        );
        if taken {
            if let Some(endpoint) = peer.endpoint.web_rtc_mut() {
                endpoint.count_received(usize::from(owner.transport), datagram.len());
            }
            self.arm_later(owner.endpoint);
        }
        self.note_report(owner.endpoint, now);
        taken
    }

    /// Sets a peer's alarm at the end of the batch: many packets of it may come in one.
    pub(super) fn arm_later(&mut self, slot: EndpointSlot) {
        if self.to_arm.last() != Some(&slot) {
            self.to_arm.push(slot);
        }
    }

    pub(super) fn web_rtc(&mut self, owner: Owner) -> Option<&mut webrtc::Endpoint> {
        self.peers.get_mut(owner.endpoint)?.endpoint.web_rtc_mut()
    }
}
