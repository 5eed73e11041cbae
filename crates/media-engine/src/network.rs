//! Everything of a shard that has a descriptor to peers: the sockets that it was started with and
//! those that its core asks for.
//!
//! The core names sockets by [`SocketId`]; ids are places in a table and come again. Poller tokens
//! also tell the generation of the place, so readiness that was reported for a closed socket is
//! never taken for that of the next owner of its id.

mod aside;
mod by_socket;
mod framing;
mod ice_tcp;
mod media;
mod outbound;
mod pipe;
mod ports;
mod questions;
mod sending;
mod slots;

use crate::lookup::{Inbox, Lookup};
use crate::os::{Poller, Ready};
use crate::udp::{Received, Receiver, Sender, SocketOptions, UdpSocket};
use aside::{ASIDE, Asides};
use by_socket::BySocket;
use ice_tcp::{ACCEPTED, Accepted, Listener};
use media::MediaSocket;
use outbound::{CONNECT_TIMEOUT, Outbound, Target};
use ports::{Ports, Wanted};
use questions::Pending;
use rustls::ClientConfig;
use salono_media_core::{NetworkEvent, NetworkRequest, RequestId, SocketId};
use slots::{Key, Slots};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most sockets of one shard, with those that it was started with. Requests beyond it fail.
const MAX_SOCKETS: usize = 32_768;

/// Most accepted connections of one shard, over all of its listeners.
const MAX_ACCEPTED: usize = 16_384;

/// Kernel buffer that is asked for in each direction of a socket that carries one session: a
/// quarter of a second of 32 Mbit/s.
const SESSION_BUFFER_BYTES: usize = 1024 * 1024;

/// Most bytes that are read of a stream at once.
const READ_BYTES: usize = 64 * 1024;

/// Poller token of the answers to lookups. This and the tokens of the owner have the uppermost bit
/// set, those of accepted connections the next.
const ANSWERS: u64 = OWN;

/// Set in tokens that are nobody's key.
const OWN: u64 = 1 << 63;

/// The descriptors of one shard.
pub(crate) struct Network {
    /// Tells which sockets are ready.
    poller: Poller,
    /// By id; the first `fixed` stay for ever.
    sockets: Slots<Socket>,
    /// Number of sockets that the shard was started with.
    fixed: usize,
    /// Where receivers' feedback comes in.
    asides: Asides,
    /// Connections of the listeners.
    accepted: Slots<Accepted>,
    /// Finds free ports.
    ports: Ports,
    /// How sockets are set up that are asked for.
    options: SocketOptions,
    /// Receive buffers for datagrams.
    receiver: Receiver,
    /// Send buffers for datagrams.
    sender: Sender,
    /// Receive buffer for streams.
    scratch: Box<[u8]>,
    /// What TLS has unsealed of it.
    plain: Box<[u8]>,
    /// The datagrams of a flush by socket.
    by_socket: BySocket,
    /// Poller tokens of streams that have something new to write.
    touched: Vec<u64>,
    /// What to look at when, by poller token or question.
    timers: BTreeSet<(Instant, u64)>,
    /// What the core has not been told yet.
    events: VecDeque<NetworkEvent>,
    /// Media sockets of processors that have ended by themselves, and why.
    broken: VecDeque<(SocketId, String)>,
    /// The stream that the core is being handed something of.
    in_hand: Option<u64>,
    /// Answers questions of all shards.
    lookup: Arc<Lookup>,
    /// The answers for this shard.
    inbox: Arc<Inbox>,
    /// Questions under way, by tag.
    questions: BTreeMap<u64, Pending>,
    /// The tag of the last question.
    last_question: u64,
    /// How TLS is spoken, once that is known.
    trust: Option<Arc<ClientConfig>>,
    /// Streams that wait for it.
    awaiting_trust: Vec<Target>,
    /// Receiving failed before; the log needs it once, not per wake-up.
    receive_failed: bool,
    /// Counters since the beginning.
    traffic: Traffic,
}

/// What a network is made from.
pub(crate) struct NetworkParts {
    /// Sockets of the shard; they get the first ids.
    pub(crate) udp: Vec<UdpSocket>,
    /// Non-blocking listeners for ICE, which get the next.
    pub(crate) ice_tcp: Vec<TcpListener>,
    /// How further sockets are set up.
    pub(crate) options: SocketOptions,
    /// Answers questions of all shards.
    pub(crate) lookup: Arc<Lookup>,
}

/// A socket with an id.
#[derive(Debug)]
enum Socket {
    /// Datagrams.
    Udp(UdpSocket),
    /// Framed packets of many connections.
    IceTcp(Listener),
    /// One connection.
    Stream(Box<Outbound>),
    /// The media of a processor.
    Media(Box<MediaSocket>),
}

/// What the core is handed while a descriptor is served.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    /// A datagram, a frame or a piece of a stream.
    Datagram(SocketId, SocketAddr, &'a mut [u8]),
    /// What became of a wish.
    Event(NetworkEvent),
}

/// What passed through the sockets of a shard.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    /// Datagrams handed to the core.
    pub(crate) datagrams_received: u64,
    /// Bytes handed to the core.
    pub(crate) bytes_received: u64,
    /// Messages that were unusable.
    pub(crate) refused: u64,
    /// Datagrams that the kernel took.
    pub(crate) datagrams_sent: u64,
    /// Bytes that the kernel took.
    pub(crate) bytes_sent: u64,
    /// Datagrams that could not be sent.
    pub(crate) send_drops: u64,
    /// Of these, those that a TCP connection had no room for.
    pub(crate) tcp_dropped_frames: u64,
    /// Bytes of these.
    pub(crate) tcp_dropped_bytes: u64,
    /// Packets that went to processors.
    pub(crate) processor_sent: u64,
    /// Packets that came from processors.
    pub(crate) processor_received: u64,
    /// Packets for processors that were dropped.
    pub(crate) processor_drops: u64,
}

impl Traffic {
    fn received(&mut self, bytes: usize) {
        self.datagrams_received += 1;
        self.bytes_received += bytes as u64;
    }
}

/// What serving a descriptor came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Served {
    /// The core was handed something.
    pub(crate) worked: bool,
    /// There may be more.
    pub(crate) more: bool,
}

impl Network {
    /// Watches the sockets of a shard.
    pub(crate) fn new(parts: NetworkParts) -> io::Result<Self> {
        let mut network = Self {
            poller: Poller::new()?,
            sockets: Slots::new(MAX_SOCKETS),
            fixed: parts.udp.len() + parts.ice_tcp.len(),
            accepted: Slots::new(MAX_ACCEPTED),
            asides: Asides::default(),
            ports: Ports::default(),
            options: SocketOptions {
                buffer_bytes: parts.options.buffer_bytes.min(SESSION_BUFFER_BYTES),
                ..parts.options
            },
            receiver: Receiver::new(),
            sender: Sender::new(),
            scratch: vec![0; READ_BYTES].into_boxed_slice(),
            plain: vec![0; READ_BYTES].into_boxed_slice(),
            by_socket: BySocket::default(),
            touched: Vec::new(),
            timers: BTreeSet::new(),
            events: VecDeque::new(),
            broken: VecDeque::new(),
            in_hand: None,
            lookup: parts.lookup,
            inbox: Arc::new(Inbox::new()?),
            questions: BTreeMap::new(),
            last_question: 0,
            trust: None,
            awaiting_trust: Vec::new(),
            receive_failed: false,
            traffic: Traffic::default(),
        };
        network.poller.add(&*network.inbox, ANSWERS)?;
        for socket in parts.udp {
            let id = network.add(Socket::Udp(socket))?;
            network.add_aside(id)?;
        }
        for listener in parts.ice_tcp {
            network.add(Socket::IceTcp(Listener::new(listener)))?;
        }
        Ok(network)
    }

    /// Watches something else too. Its token is the owner's and has the upper half set.
    pub(crate) fn watch(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        self.poller.add(source, token)
    }

    /// Waits until something is ready or `timeout` has passed.
    pub(crate) fn wait(&self, ready: &mut Ready, timeout: Option<Duration>) -> io::Result<()> {
        self.poller.wait(ready, timeout)
    }

    /// Counters since the beginning.
    pub(crate) fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Sockets now that were asked for.
    pub(crate) fn session_sockets(&self) -> usize {
        self.sockets.len() - self.fixed
    }

    /// Accepted connections and streams now.
    pub(crate) fn tcp_connections(&self) -> usize {
        let sockets = self.sockets.keys().skip(self.fixed);
        let streams =
            sockets.filter(|key| matches!(self.sockets.get(*key), Some(Socket::Stream(_))));
        self.accepted.len() + streams.count()
    }

    /// Hands one batch of what a ready descriptor has to `handle`, in order.
    pub(crate) fn serve(
        &mut self,
        token: u64,
        now: Instant,
        mut handle: impl FnMut(Heard<'_>),
    ) -> Served {
        if token == ASIDE {
            return self.expect_feedback(now);
        }
        if token & OWN != 0 {
            return self.take_answers();
        }
        let key = Key::from_bits(token & !ACCEPTED);
        if token & ACCEPTED != 0 {
            return self.serve_accepted(key, now, &mut handle);
        }
        let socket = match self.sockets.get(key) {
            Some(Socket::Udp(socket)) => socket,
            Some(Socket::IceTcp(_)) => return self.accept(key, now),
            Some(Socket::Stream(_)) => return self.serve_outbound(key, &mut handle),
            Some(Socket::Media(_)) => return self.serve_media(key, &mut handle),
            None => return Served::default(),
        };
        let id = SocketId(key.index as u16);
        let received = self.receiver.receive(socket, |remote, datagram| {
            handle(Heard::Datagram(id, remote, datagram));
        });
        let received = received.unwrap_or_else(|error| {
            if !std::mem::replace(&mut self.receive_failed, true) {
                tracing::warn!(%error, "cannot receive; said once");
            }
            Received::default()
        });
        self.traffic.datagrams_received += received.datagrams;
        self.traffic.bytes_received += received.bytes;
        self.traffic.refused += received.refused;
        Served {
            worked: received.datagrams > 0,
            more: received.more,
        }
    }

    /// Carries out a wish; the answer is among the events at once or later.
    pub(crate) fn request(&mut self, request: NetworkRequest, now: Instant) {
        match request {
            NetworkRequest::BindUdp {
                request,
                ip,
                ports,
                pair,
            } => {
                let wanted = Wanted { ip, ports, pair };
                let bound = self.bind(&wanted, now);
                self.answer(request, bound, |sockets| NetworkEvent::Bound {
                    request,
                    sockets,
                });
            }
            NetworkRequest::Connect {
                request,
                remote,
                tls,
            } => self.connect(Target {
                request,
                remote,
                tls,
                deadline: now + CONNECT_TIMEOUT,
            }),
            NetworkRequest::Resolve { request, host } => self.resolve(request, host, now),
            NetworkRequest::Close { socket } => self.close(socket),
            NetworkRequest::Disconnect { socket, remote } => {
                if let Some(Socket::IceTcp(listener)) = self.sockets.at(u32::from(socket.0))
                    && let Some(connection) = listener.connection(remote)
                {
                    self.close_accepted(connection);
                }
            }
        }
    }

    /// The next thing that the core is to be told.
    pub(crate) fn poll_event(&mut self) -> Option<NetworkEvent> {
        self.events.pop_front()
    }

    /// When [`Network::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Gives up what has taken too long.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, token)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            let key = Key::from_bits(token & !ACCEPTED);
            if token & OWN != 0 {
                self.give_up_question(token & !OWN);
            } else if token & ACCEPTED != 0 {
                self.check_silence(key, now);
            } else {
                self.resume(key);
                self.check_connecting(key);
            }
        }
    }

    /// The core panicked: the stream that it was being served is out of step.
    pub(crate) fn after_panic(&mut self) {
        if let Some(token) = self.in_hand.take() {
            self.end(token, &io::Error::other("a bug in the shard"));
        }
    }

    /// Closes everything but the sockets that the shard was started with: whoever asked for it, or
    /// knew of it, is gone.
    pub(crate) fn reset(&mut self) {
        self.in_hand = None;
        self.touched.clear();
        self.ports.freed();
        let connections: Vec<_> = self.accepted.keys().collect();
        for key in connections {
            self.close_accepted(key);
        }
        let sockets: Vec<_> = self.sockets.keys().skip(self.fixed).collect();
        for key in sockets {
            self.close_outbound(key);
        }
        self.forget_questions();
        self.events.clear();
        self.broken.clear();
    }

    /// Tells the core that a request came to nothing.
    fn fail(&mut self, request: RequestId, error: &io::Error) {
        self.events.push_back(NetworkEvent::Failed {
            request,
            reason: error.to_string(),
        });
    }

    /// Tells the core what became of a request.
    fn answer<T>(
        &mut self,
        request: RequestId,
        result: io::Result<T>,
        success: impl FnOnce(T) -> NetworkEvent,
    ) {
        match result {
            Ok(value) => self.events.push_back(success(value)),
            Err(error) => self.fail(request, &error),
        }
    }

    fn bind(&mut self, wanted: &Wanted, now: Instant) -> io::Result<Vec<(SocketId, SocketAddr)>> {
        let mut bound = Vec::new();
        for socket in self.ports.bind(wanted, self.options, now)? {
            let local = socket.local_addr();
            match self.add(Socket::Udp(socket)) {
                Ok(id) => bound.push((id, local)),
                Err(error) => {
                    for (id, _) in bound {
                        self.close(id);
                    }
                    return Err(error);
                }
            }
        }
        Ok(bound)
    }

    /// Gives a socket an id and watches it.
    fn add(&mut self, socket: Socket) -> io::Result<SocketId> {
        let poller = &self.poller;
        let key = self.sockets.insert_with(|key| {
            match &socket {
                Socket::Udp(socket) => poller.add(socket, key.to_bits())?,
                Socket::IceTcp(listener) => poller.add(listener.socket(), key.to_bits())?,
                // They are watched from when they connect, or were made.
                Socket::Stream(_) | Socket::Media(_) => {}
            }
            Ok(socket)
        })?;
        Ok(SocketId(key.index as u16))
    }

    fn close(&mut self, socket: SocketId) {
        let asked_for = usize::from(socket.0) >= self.fixed;
        let key = self.sockets.key(u32::from(socket.0));
        match key.filter(|_| asked_for) {
            Some(key) => {
                self.close_outbound(key);
                self.ports.freed();
            }
            None => tracing::debug!(?socket, "not a socket that can be closed"),
        }
    }

    /// Closes the stream with this token and tells the core.
    fn end(&mut self, token: u64, error: &io::Error) {
        let key = Key::from_bits(token & !ACCEPTED);
        if token & ACCEPTED == 0 {
            self.end_media(key, error);
            self.end_outbound(key, error);
        } else {
            self.end_accepted(key, error);
        }
    }
}

#[cfg(test)]
mod tests;
