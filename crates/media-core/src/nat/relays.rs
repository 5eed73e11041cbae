//! Relays as sockets: what is sent through one is wrapped on its way into the egress.
//!
//! An allocation on a TURN server is named by a socket id of the shard's own, so everything above
//! treats it like any other socket. Only the egress looks twice: it leaves room for the head that
//! RFC 8656 wants (four bytes on a channel), lets the packet be written behind it and addresses the
//! whole to the server. Nothing is copied.

use super::message::{self, TransactionId, indication_head_len, write_indication_head};
use crate::network::SocketId;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;

/// Peers of one relay; to more nothing is sent.
const MAX_PEERS: usize = 8_192;
/// ChannelData: number and length (RFC 8656 §12.4).
pub(crate) const CHANNEL_HEAD: usize = 4;

/// What traffic through a relay asks of its allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// The peer may send to us.
    Permission,
    /// Short heads in both directions.
    Channel,
}

#[derive(Debug, Default)]
struct Peer {
    channel: Option<u16>,
    /// Something was sent since this was asked last.
    used: bool,
    wants_channel: bool,
}

#[derive(Debug)]
struct Relay {
    socket: SocketId,
    server: SocketAddr,
    /// Frames on a stream are padded to four bytes (RFC 8656 §12.5).
    is_stream: bool,
    /// Read by key only, never iterated.
    peers: HashMap<SocketAddr, Peer>,
}

/// The relays of a shard.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    relays: BTreeMap<SocketId, Relay>,
    wants: VecDeque<(SocketId, SocketAddr, Want)>,
    indications: u64,
    /// The channel that was used last: packets to one peer come in runs.
    last: Option<(SocketId, Wrapping)>,
}

/// How one packet is wrapped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapping {
    pub(crate) socket: SocketId,
    pub(crate) server: SocketAddr,
    peer: SocketAddr,
    channel: Option<u16>,
    is_stream: bool,
    id: TransactionId,
}

impl Relays {
    /// A relay is ready; what is sent to `relay` goes to `server` by way of `socket`.
    pub(super) fn open(
        &mut self,
        relay: SocketId,
        socket: SocketId,
        server: SocketAddr,
        is_stream: bool,
    ) {
        self.last = None;
        let opened = Relay {
            socket,
            server,
            is_stream,
            peers: HashMap::new(),
        };
        self.relays.insert(relay, opened);
    }

    /// A relay is gone; what is sent to it is dropped.
    pub(super) fn close(&mut self, relay: SocketId) {
        self.last = None;
        self.relays.remove(&relay);
    }

    /// A peer of a relay has a channel.
    pub(super) fn bind(&mut self, relay: SocketId, peer: SocketAddr, channel: Option<u16>) {
        self.last = None;
        if let Some(peer) = self.peer_mut(relay, peer) {
            peer.channel = channel;
        }
    }

    /// Whether something was sent to a peer since this was asked last.
    pub(super) fn take_used(&mut self, relay: SocketId, peer: SocketAddr) -> bool {
        self.last = None;
        self.peer_mut(relay, peer)
            .is_some_and(|peer| std::mem::take(&mut peer.used))
    }

    /// Forgets a peer; the next packet to it asks for a permission again.
    pub(super) fn forget(&mut self, relay: SocketId, peer: SocketAddr) {
        self.last = None;
        if let Some(relay) = self.relays.get_mut(&relay) {
            relay.peers.remove(&peer);
        }
    }

    /// What was asked for since the last call.
    pub(super) fn poll_want(&mut self) -> Option<(SocketId, SocketAddr, Want)> {
        self.wants.pop_front()
    }

    /// Whether [`Relays::poll_want`] has something.
    pub(crate) fn has_wants(&self) -> bool {
        !self.wants.is_empty()
    }

    /// Media will take this way; without effect when it leads through no relay.
    pub(crate) fn select(&mut self, relay: SocketId, peer: SocketAddr) {
        let Some(open) = self.relays.get_mut(&relay) else {
            return;
        };
        if let Some(known) = known_peer(open, relay, peer, &mut self.wants)
            && !std::mem::replace(&mut known.wants_channel, true)
        {
            self.wants.push_back((relay, peer, Want::Channel));
        }
    }

    /// How to wrap a packet to a peer; `None` when the relay is gone or has no room for the peer.
    pub(crate) fn wrap(&mut self, relay: SocketId, peer: SocketAddr) -> Option<Wrapping> {
        if let Some((of, wrapping)) = self.last
            && (of, wrapping.peer) == (relay, peer)
        {
            return Some(wrapping);
        }
        let open = self.relays.get_mut(&relay)?;
        let (socket, server, is_stream) = (open.socket, open.server, open.is_stream);
        let known = known_peer(open, relay, peer, &mut self.wants)?;
        known.used = true;
        // Nobody answers an indication, so its id has to be unique and nothing else.
        let mut id = [0; 12];
        if known.channel.is_none() {
            self.indications += 1;
            id[4..].copy_from_slice(&self.indications.to_be_bytes());
        }
        let wrapping = Wrapping {
            socket,
            server,
            peer,
            channel: known.channel,
            is_stream,
            id,
        };
        // Each indication has an id of its own.
        self.last = wrapping.channel.map(|_| (relay, wrapping));
        Some(wrapping)
    }

    fn peer_mut(&mut self, relay: SocketId, peer: SocketAddr) -> Option<&mut Peer> {
        self.relays.get_mut(&relay)?.peers.get_mut(&peer)
    }
}

/// A peer of a relay; a new one wants a permission.
fn known_peer<'a>(
    open: &'a mut Relay,
    relay: SocketId,
    peer: SocketAddr,
    wants: &mut VecDeque<(SocketId, SocketAddr, Want)>,
) -> Option<&'a mut Peer> {
    if !open.peers.contains_key(&peer) {
        if open.peers.len() >= MAX_PEERS {
            return None;
        }
        wants.push_back((relay, peer, Want::Permission));
    }
    Some(open.peers.entry(peer).or_default())
}

impl Wrapping {
    /// Bytes in front of the packet.
    pub(crate) fn head(&self) -> usize {
        match self.channel {
            Some(_) => CHANNEL_HEAD,
            None => indication_head_len(self.peer),
        }
    }

    /// Most bytes that wrapping adds: head and padding.
    pub(crate) const MAX_OVERHEAD: usize = message::MAX_INDICATION_HEAD + 3;

    /// Writes the head of a packet of `len` bytes that lies behind it, and the padding; returns
    /// the length of the whole.
    pub(crate) fn finish(&self, buf: &mut [u8], len: usize) -> usize {
        let head = self.head();
        let padded = match self.channel {
            Some(_) if !self.is_stream => len,
            Some(_) | None => len.next_multiple_of(4),
        };
        buf[head + len..head + padded].fill(0);
        match self.channel {
            Some(channel) => {
                let length = u16::try_from(len).unwrap_or(u16::MAX);
                buf[..2].copy_from_slice(&channel.to_be_bytes());
                buf[2..4].copy_from_slice(&length.to_be_bytes());
            }
            None => write_indication_head(buf, self.peer, len, self.id),
        }
        head + padded
    }
}
