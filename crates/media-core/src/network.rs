//! What a shard asks of its sockets beyond those that it was started with, and what it is told.
//!
//! A shard never calls the system. It leaves [`NetworkRequest`]s in a queue; whoever drives it
//! takes them out with `Shard::poll_network` **after every command, every batch of datagrams of one
//! socket, and every `flush` and `handle_timeout`**, carries them out and hands the result in with
//! `Shard::handle_network`. Binding and closing are immediate, so their result is handed in before
//! the next command; connecting and looking up names take their time and are answered when they are
//! done.
//!
//! What lies in the egress when a request is taken out is sent before it is carried out, and events
//! are handed in before further requests are: so a last packet still leaves through a socket that is
//! closed next, and an id is never taken for that of its former owner. Within a batch, datagrams may
//! still come of a socket that the shard has asked to close.

use crate::demux::EndpointSlot;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

/// Ids from here on are not the engine's to give: a shard names relays on TURN servers with them,
/// and neither hands datagrams of such an id out nor takes any in.
pub const ENGINE_SOCKETS: u16 = 0xf000;

/// How the engine names a socket in datagrams both ways. The sockets that a shard starts with have
/// the first ids; ids of closed sockets are given out again, none reaches [`ENGINE_SOCKETS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u16);

/// What a socket speaks, and so what a "datagram" of it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SocketKind {
    /// UDP: one datagram is one packet.
    Udp,
    /// A TCP listener for ICE (RFC 6544 passive candidates): one datagram is one frame of RFC 4571
    /// on the connection with the remote address; the engine frames and deframes.
    IceTcp,
    /// A connection that was asked for with [`NetworkRequest::Connect`]: a datagram is a piece of
    /// the byte stream, of any size, in order. What is sent is written whole or, when the peer does
    /// not keep up, dropped whole and counted, so each should be a whole message.
    Stream,
}

/// Ties an answer to a [`NetworkRequest`]; handed out by the shard, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One wish of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkRequest {
    /// Bind UDP sockets. Answered at once with `Bound` or `Failed`.
    BindUdp {
        /// Ties the answer to this request.
        request: RequestId,
        /// Local address, never the unspecified one.
        ip: IpAddr,
        /// Ports to choose from; `0..=0` lets the system choose one, not a pair.
        ports: RangeInclusive<u16>,
        /// Bind an even port and the next odd one (RFC 3550 §11) instead of any one port.
        pair: bool,
    },
    /// Connect a TCP stream. Answered with `Connected` or `Failed` later.
    Connect {
        /// Ties the answer to this request.
        request: RequestId,
        /// Where to.
        remote: SocketAddr,
        /// Speak TLS and expect a certificate for this name.
        tls: Option<String>,
    },
    /// Look a host name up. Answered with `Resolved` or `Failed` later.
    Resolve {
        /// Ties the answer to this request.
        request: RequestId,
        /// The name.
        host: String,
    },
    /// Close a socket that was bound or connected by request. Not answered; its id is free at once.
    Close {
        /// Which.
        socket: SocketId,
    },
    /// Close the connection of an [`SocketKind::IceTcp`] listener with a peer. Not answered, also
    /// when there is none.
    Disconnect {
        /// The listener.
        socket: SocketId,
        /// The other end.
        remote: SocketAddr,
    },
}

/// What the engine reports of sockets and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NetworkEvent {
    /// Sockets are bound: one, or for a pair RTP's and RTCP's.
    Bound {
        /// Of the request.
        request: RequestId,
        /// Id and address of each.
        sockets: Vec<(SocketId, SocketAddr)>,
    },
    /// A stream is connected (and its TLS handshake done).
    Connected {
        /// Of the request.
        request: RequestId,
        /// Its id.
        socket: SocketId,
        /// Our end.
        local: SocketAddr,
    },
    /// A name has addresses, at least one.
    Resolved {
        /// Of the request.
        request: RequestId,
        /// In order of preference.
        addresses: Vec<IpAddr>,
    },
    /// A request came to nothing.
    Failed {
        /// Of the request.
        request: RequestId,
        /// Text for the log.
        reason: String,
    },
    /// A stream has ended. For [`SocketKind::IceTcp`] it names the connection by `remote` and the
    /// listener lives on; a [`SocketKind::Stream`] is closed and its id free.
    Ended {
        /// Which.
        socket: SocketId,
        /// The other end.
        remote: SocketAddr,
    },
}

/// Wishes that wait to be taken out.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    queue: VecDeque<NetworkRequest>,
    last: u64,
    /// Endpoints that wait for ports, by what they asked; read by key only.
    askers: HashMap<RequestId, EndpointSlot>,
}

impl Requests {
    /// An id for a new request.
    pub(crate) fn next_id(&mut self) -> RequestId {
        self.last += 1;
        RequestId(self.last)
    }

    pub(crate) fn push(&mut self, request: NetworkRequest) {
        self.queue.push_back(request);
    }

    /// Asks for something that an endpoint waits for.
    pub(crate) fn ask(
        &mut self,
        asker: EndpointSlot,
        request: impl FnOnce(RequestId) -> NetworkRequest,
    ) -> RequestId {
        let id = self.next_id();
        self.askers.insert(id, asker);
        self.push(request(id));
        id
    }

    /// The endpoint that waits for the answer to a request; it is told once.
    pub(crate) fn take_asker(&mut self, request: RequestId) -> Option<EndpointSlot> {
        self.askers.remove(&request)
    }

    pub(crate) fn poll(&mut self) -> Option<NetworkRequest> {
        self.queue.pop_front()
    }
}
