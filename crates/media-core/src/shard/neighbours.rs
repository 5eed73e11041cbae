//! Peers that share their port with other peers: endpoints of this process, or of another server
//! of this kind.
//!
//! All endpoints of a shard send from one port, and packets are told apart by the address that they
//! come from. Two endpoints here whose peers send from one and the same port would have the same
//! pair of addresses; so would two endpoints of one shard that call each other. Such an endpoint
//! leaves that pair alone and gets a socket of its own, bound when it is needed. The peer learns of
//! it by the first connectivity check (a peer-reflexive candidate), nothing is signalled.

use super::Shard;
use crate::demux::{EndpointSlot, Owner};
use crate::network::{NetworkEvent, NetworkRequest, RequestId, SocketId, SocketKind};
use crate::peer::Peer;
use crate::webrtc::Path;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

/// The sockets that single transports have for themselves.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    /// Which transport a request is for.
    asked: BTreeMap<RequestId, (EndpointSlot, usize)>,
    bound: BTreeMap<SocketId, SocketAddr>,
}

impl Neighbours {
    /// What one of the sockets is bound to.
    pub(super) fn address(&self, socket: SocketId) -> Option<SocketAddr> {
        self.bound.get(&socket).copied()
    }
}

impl Shard {
    /// Whether a check came on a pair of addresses that another transport uses.
    pub(super) fn is_of_another(&mut self, path: Path, owner: Owner) -> bool {
        let is_shared = self
            .config
            .local(path.socket)
            .is_some_and(|local| local.kind == SocketKind::Udp);
        if !is_shared {
            return false;
        }
        let Some(other) = self.demux.by_path(path).filter(|other| *other != owner) else {
            return false;
        };
        // A peer that is gone leaves its address to whoever comes next.
        self.peers
            .get(other.endpoint)
            .and_then(|peer| peer.endpoint.web_rtc())
            .is_some_and(|endpoint| endpoint.is_alive(usize::from(other.transport)))
    }

    /// Lets a transport reach the other end of a path from a socket of its own.
    pub(super) fn keep_off(&mut self, path: Path, owner: Owner) {
        if let Some(endpoint) = self.web_rtc(owner) {
            endpoint.keep_off(usize::from(owner.transport), path.remote);
            self.dirty.push(owner.endpoint);
        }
    }

    /// Asks for the sockets that an endpoint turned out to need.
    pub(super) fn ask_for_own_sockets(&mut self, slot: EndpointSlot) {
        let wanted = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.endpoint.web_rtc_mut())
            .map(|endpoint| endpoint.take_wanted_sockets())
            .unwrap_or_default();
        for (transport, remote) in wanted {
            let held = self.neighbours.asked.len() + self.neighbours.bound.len();
            let near = |local: &&crate::LocalAddress| local.addr.ip() == remote.ip();
            let reaches = |local: &&crate::LocalAddress| local.addr.is_ipv4() == remote.is_ipv4();
            let local = self.config.udp().find(near);
            let Some(local) = local.or_else(|| self.config.udp().find(reaches)) else {
                continue;
            };
            if held >= self.config.limits.own_sockets {
                tracing::warn!(%remote, "no socket left for a peer that shares its port");
                continue;
            }
            let request = self.requests.next_id();
            let ip = local.addr.ip();
            self.requests.push(NetworkRequest::BindUdp {
                request,
                ip,
                ports: 0..=0,
                pair: false,
            });
            self.neighbours.asked.insert(request, (slot, transport));
        }
    }

    /// Takes in a socket that was asked for here; false for another's.
    pub(super) fn handle_own_socket(&mut self, event: &NetworkEvent, now: Instant) -> bool {
        let (request, sockets) = match event {
            NetworkEvent::Bound { request, sockets } => (request, sockets.as_slice()),
            NetworkEvent::Failed { request, .. } => (request, &[][..]),
            NetworkEvent::Connected { .. }
            | NetworkEvent::Resolved { .. }
            | NetworkEvent::Ended { .. } => return false,
        };
        let Some((slot, transport)) = self.neighbours.asked.remove(request) else {
            return false;
        };
        let endpoint = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.endpoint.web_rtc_mut());
        match (endpoint, sockets) {
            (Some(endpoint), [(socket, addr), ..]) => {
                endpoint.add_own_socket(transport, *socket, *addr, now);
                self.neighbours.bound.insert(*socket, *addr);
                self.dirty.push(slot);
            }
            (None, sockets) => {
                for (socket, _) in sockets {
                    self.requests
                        .push(NetworkRequest::Close { socket: *socket });
                }
            }
            (Some(_), []) => tracing::warn!(?event, "no socket for a peer that shares its port"),
        }
        true
    }

    /// Closes what only this peer had.
    pub(super) fn close_own_sockets(&mut self, peer: &Peer) {
        let sockets = peer.endpoint.web_rtc().into_iter();
        for socket in sockets.flat_map(|endpoint| endpoint.own_sockets()) {
            if self.neighbours.bound.remove(&socket).is_some() {
                self.requests.push(NetworkRequest::Close { socket });
            }
        }
    }
}
