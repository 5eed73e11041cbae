//! STUN and TURN servers: gathering, and packets by way of relays.

use super::Shard;
use crate::context::Context;
use crate::demux::EndpointSlot;
use crate::nat::{Found, Unwrapped, Wires};
use crate::network::{NetworkEvent, SocketId, SocketKind};
use crate::webrtc::Path;
use is::Protocol;
use salono_media_api::{ElementKey, MediaError};
use std::net::SocketAddr;
use std::time::Instant;

/// What `Nat` needs of a shard; a macro because it borrows fields.
macro_rules! wires {
    ($shard:ident, $now:expr) => {
        Wires {
            egress: &mut $shard.egress,
            requests: &mut $shard.requests,
            now: $now,
        }
    };
}

impl Shard {
    /// Reports the host candidates of an endpoint and begins to look for others.
    pub(super) fn gather(&mut self, element: ElementKey, now: Instant) -> Result<(), MediaError> {
        let asked = self.with_endpoint(element, now, |endpoint, context| {
            let endpoint = endpoint.expect_web_rtc()?;
            let sockets = endpoint.gather(context)?;
            Ok(sockets.map(|sockets| (sockets, endpoint.ice_settings().clone())))
        })?;
        if let Some((sockets, settings)) = asked {
            let slot = self.slot_of(element)?;
            // What an earlier gathering with other servers held is not needed any more.
            self.nat.release(slot, now);
            self.nat.gather(slot, settings, sockets, wires!(self, now));
            self.report_found(now);
        }
        Ok(())
    }

    /// Takes in a report about sockets or names of servers; false when it is none.
    pub(super) fn handle_nat_network(&mut self, event: &NetworkEvent, now: Instant) -> bool {
        if let NetworkEvent::Ended { socket, remote } = event
            && self
                .config
                .local(*socket)
                .is_some_and(|local| local.kind == SocketKind::IceTcp)
        {
            let (socket, remote) = (*socket, *remote);
            self.connection_ended(Path { socket, remote }, now);
            return true;
        }
        let used = self.nat.handle_network(event, wires!(self, now));
        if used {
            self.report_found(now);
        }
        used
    }

    /// A peer's connection to one of our TCP candidates has ended.
    fn connection_ended(&mut self, path: Path, now: Instant) {
        let Some(owner) = self.demux.by_path(path) else {
            return;
        };
        if let Some(endpoint) = self.web_rtc(owner) {
            endpoint.connection_ended(owner, path, now);
            self.demux.remove_path(path, owner);
            self.dirty.push(owner.endpoint);
        }
    }

    pub(super) fn handle_nat_timeout(&mut self, now: Instant) {
        self.nat.handle_timeout(wires!(self, now));
        self.report_found(now);
    }

    /// Asks servers for what packets through relays need.
    pub(super) fn serve_relays(&mut self, now: Instant) {
        if self.egress.relays().has_wants() {
            self.nat.serve_relays(wires!(self, now));
        }
    }

    /// Tells endpoints what was found for them.
    fn report_found(&mut self, now: Instant) {
        while let Some((slot, found)) = self.nat.poll_found() {
            self.hand_over(slot, found, now);
        }
    }

    fn hand_over(&mut self, slot: EndpointSlot, found: Found, now: Instant) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let mut context = Context {
            config: &self.config,
            demux: &mut self.demux,
            egress: &mut self.egress,
            events: &mut self.events,
            requests: &mut self.requests,
            now,
        };
        if let Some(endpoint) = peer.endpoint.web_rtc_mut() {
            endpoint.handle_found(found, &mut context);
            self.dirty.push(slot);
        }
    }

    /// Gives back what is held on servers; for the end of the shard. What the egress has then is
    /// still to be sent.
    pub fn shut_down(&mut self, now: Instant) {
        self.nat.shut_down(wires!(self, now));
    }

    // Datagrams.

    /// Our end of a socket or relay, as ICE knows it.
    pub(super) fn local_end(&self, socket: SocketId) -> Option<(SocketAddr, Protocol)> {
        match self.config.local(socket) {
            Some(local) => {
                let protocol = match local.kind {
                    SocketKind::Udp | SocketKind::Stream => Protocol::Udp,
                    SocketKind::IceTcp => Protocol::Tcp,
                };
                Some((local.addr, protocol))
            }
            None => {
                let own = self.neighbours.address(socket);
                let addr = own.or_else(|| self.nat.relayed_address(socket))?;
                Some((addr, Protocol::Udp))
            }
        }
    }

    /// Takes in the answer of a STUN server; false when it is none.
    pub(super) fn handle_server(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        let wires = wires!(self, now);
        let used = self
            .nat
            .handle_stun(path.socket, path.remote, datagram, wires);
        if used {
            self.report_found(now);
        }
        used
    }

    /// Takes in what came from a TURN server.
    pub(super) fn handle_stream_or_frame(
        &mut self,
        path: Path,
        bytes: &mut [u8],
        now: Instant,
    ) -> bool {
        if !self.nat.is_stream(path.socket) {
            return self.handle_frame(path, bytes, now);
        }
        let mut joined = self.nat.join(path.socket, bytes);
        let mut rest: &mut [u8] = if joined.is_empty() {
            bytes
        } else {
            &mut joined
        };
        let mut used = true;
        while !rest.is_empty() {
            let wires = wires!(self, now);
            let Some(length) = self.nat.next_frame(path.socket, rest, wires) else {
                break;
            };
            let (frame, after) = rest.split_at_mut(length);
            used &= self.handle_frame(path, frame, now);
            rest = after;
        }
        used
    }

    /// Takes in one frame of a TURN server: an answer, or the packet of a peer.
    fn handle_frame(&mut self, path: Path, frame: &mut [u8], now: Instant) -> bool {
        let wires = wires!(self, now);
        match self.nat.unwrap(path.socket, path.remote, frame, wires) {
            Unwrapped::Packet { relay, peer, range } => {
                let path = Path {
                    socket: relay,
                    remote: peer,
                };
                frame
                    .get_mut(range)
                    .is_some_and(|packet| self.dispatch(path, packet, now))
            }
            Unwrapped::Answer => {
                self.report_found(now);
                true
            }
            Unwrapped::Refused => false,
        }
    }
}
