//! Ports of RTP endpoints, and the datagrams that come in on them.

use super::Shard;
use crate::context::Context;
use crate::demux::{DatagramKind, Owner, classify};
use crate::network::{NetworkEvent, NetworkRequest, SocketId};
use crate::plain::Component;
use crate::webrtc::Path;
use salono_media_api::Reply;
use std::time::Instant;

impl Shard {
    /// Takes in what became of a request for ports; false for other events.
    pub(super) fn handle_ports(&mut self, event: &NetworkEvent, now: Instant) -> bool {
        let (request, sockets) = match event {
            NetworkEvent::Bound { request, sockets } => (*request, sockets.as_slice()),
            NetworkEvent::Failed { request, .. } => (*request, &[][..]),
            NetworkEvent::Connected { .. }
            | NetworkEvent::Resolved { .. }
            | NetworkEvent::Ended { .. } => return false,
        };
        let Some(slot) = self.requests.take_asker(request) else {
            return false;
        };
        if let NetworkEvent::Failed { reason, .. } = event {
            tracing::warn!(reason, "no ports for RTP");
        }
        let Some(peer) = self.peers.get_mut(slot) else {
            // Released in the meantime.
            for (socket, _) in sockets {
                let socket = *socket;
                self.requests.push(NetworkRequest::Close { socket });
            }
            return true;
        };
        let mut context = Context {
            config: &self.config,
            demux: &mut self.demux,
            egress: &mut self.egress,
            events: &mut self.events,
            requests: &mut self.requests,
            now,
        };
        let finished = peer
            .endpoint
            .plain_mut()
            .and_then(|endpoint| endpoint.bound(request, sockets, &mut context));
        if let Some(finished) = finished {
            let element = peer.endpoint.key();
            self.finish_negotiation(element, finished.result.is_ok(), now);
            self.reply(finished.token, finished.result.map(Reply::Sdp));
            self.dirty.push(slot);
        }
        true
    }

    /// Takes in a datagram on a port that belongs to an m-line; false when it is not the peer's.
    pub(super) fn handle_plain(
        &mut self,
        (owner, component): (Owner, Component),
        Path { socket, remote }: Path,
        datagram: &mut [u8],
        now: Instant,
    ) -> bool {
        if component == Component::Processor {
            return self.handle_crossing(socket, datagram, now);
        }
        let is_rtcp = match classify(datagram) {
            Some(DatagramKind::Rtp) if component == Component::Rtp => false,
            Some(DatagramKind::Rtcp) => true,
            Some(DatagramKind::Rtp | DatagramKind::Stun | DatagramKind::Dtls) | None => {
                return false;
            }
        };
        let transport = usize::from(owner.transport);
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        let Some(endpoint) = peer.endpoint.plain_mut() else {
            return false;
        };
        if !endpoint.admits(transport, component, remote, now) {
            return false;
        }
        let taken = if is_rtcp {
            peer.receive_rtcp(
                transport,
                datagram,
                &mut self.router,
                &mut self.egress,
                &mut self.metrics,
                &mut self.events,
                self.clock,
                now,
            )
        } else {
            peer.receive_rtp(
                transport,
                datagram,
                &mut self.router,
                &mut self.metrics,
                &mut self.events,
                now,
            )
        };
        if !taken {
            return false;
        }
        let endpoint = peer.endpoint.plain_mut();
        if endpoint.is_some_and(|endpoint| endpoint.note(transport, component, remote, now)) {
            self.dirty.push(owner.endpoint);
        }
        let changed = peer.take_flow_change();
        self.arm_later(owner.endpoint);
        if is_rtcp {
            self.note_report(owner.endpoint, now);
        }
        if changed {
            self.note_peer_flow(owner.endpoint, now);
        }
        true
    }

    /// The m-line that a socket belongs to.
    pub(super) fn line_of(&self, socket: SocketId) -> Option<(Owner, Component)> {
        self.demux.sockets.owner(socket)
    }
}
