//! Everything of a shard that has a descriptor to peers: the sockets that it was started with and
//! those that its core asks for.
//!
//! The core names sockets by [`SocketId`]; ids are places in a table and come again. Poller tokens
//! also tell the generation of the place, so readiness that was reported for a closed socket is
//! never taken for that of the next owner of its id.

mod by_socket;
mod ports;
mod slots;

use crate::os::{Poller, Ready};
use crate::udp::{Received, Receiver, SendReport, Sender, SocketOptions, UdpSocket};
use by_socket::BySocket;
use ports::{Ports, Wanted};
use salono_media_core::{Egress, NetworkEvent, NetworkRequest, RequestId, SocketId};
use slots::{Key, Slots};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// Most sockets of one shard, with those that it was started with. Requests beyond it fail.
const MAX_SOCKETS: usize = 32_768;

/// Kernel buffer that is asked for in each direction of a socket that carries one session: a
/// quarter of a second of 32 Mbit/s.
const SESSION_BUFFER_BYTES: usize = 1024 * 1024;

/// The descriptors of one shard.
pub(crate) struct Network {
    /// Tells which sockets are ready.
    poller: Poller,
    /// By id; the first `fixed` stay for ever.
    sockets: Slots<UdpSocket>,
    /// Number of sockets that the shard was started with.
    fixed: usize,
    /// Finds free ports.
    ports: Ports,
    /// How sockets are set up that are asked for.
    options: SocketOptions,
    /// Receive buffers.
    receiver: Receiver,
    /// Send buffers.
    sender: Sender,
    /// The datagrams of a flush by socket.
    by_socket: BySocket,
    /// What the core has not been told yet.
    events: VecDeque<NetworkEvent>,
    /// Receiving failed before; the log needs it once, not per wake-up.
    receive_failed: bool,
    /// Counters since the beginning.
    traffic: Traffic,
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
    /// Watches the sockets of a shard, which get the first ids.
    pub(crate) fn new(sockets: Vec<UdpSocket>, options: SocketOptions) -> io::Result<Self> {
        let mut network = Self {
            poller: Poller::new()?,
            sockets: Slots::new(MAX_SOCKETS),
            fixed: sockets.len(),
            ports: Ports::default(),
            options: SocketOptions {
                buffer_bytes: options.buffer_bytes.min(SESSION_BUFFER_BYTES),
                ..options
            },
            receiver: Receiver::new(),
            sender: Sender::new(),
            by_socket: BySocket::default(),
            events: VecDeque::new(),
            receive_failed: false,
            traffic: Traffic::default(),
        };
        for socket in sockets {
            network.add_udp(socket)?;
        }
        Ok(network)
    }

    /// Watches something else too. Its token has one of the two upper bits set.
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

    /// Hands one batch of what a ready descriptor has to `handle`, in order.
    pub(crate) fn serve(
        &mut self,
        token: u64,
        mut handle: impl FnMut(SocketId, SocketAddr, &mut [u8]),
    ) -> Served {
        let key = Key::from_bits(token);
        let Some(socket) = self.sockets.get(key) else {
            return Served::default();
        };
        let id = SocketId(key.index as u16);
        let received = self
            .receiver
            .receive(socket, |remote, datagram| handle(id, remote, datagram));
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

    /// Sends what waits and forgets it.
    pub(crate) fn send(&mut self, egress: &mut Egress) {
        self.by_socket.sort(egress.datagrams());
        let (arena, datagrams) = (egress.bytes(), egress.datagrams());
        let mut report = SendReport::default();
        for number in 0..self.by_socket.len() {
            let Some(id) = self.by_socket.socket(number) else {
                continue;
            };
            let stretches = self.by_socket.stretches(id);
            let Some(socket) = self.sockets.at(u32::from(id.0)) else {
                report.refused += stretches.map(|stretch| stretch.len() as u64).sum::<u64>();
                continue;
            };
            report.add(
                self.sender
                    .send_stretches(socket, arena, datagrams, stretches),
            );
        }
        self.traffic.datagrams_sent += report.datagrams;
        self.traffic.bytes_sent += report.bytes;
        self.traffic.send_drops += report.full + report.refused;
        egress.clear();
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
            NetworkRequest::Connect { request, .. } | NetworkRequest::Resolve { request, .. } => {
                let refused = Err(io::Error::other("the engine cannot do this"));
                self.answer(request, refused, |()| NetworkEvent::Failed {
                    request,
                    reason: String::new(),
                });
            }
            NetworkRequest::Close { socket } => self.close(socket),
            NetworkRequest::Disconnect { socket, remote } => {
                tracing::debug!(?socket, %remote, "not a connection");
            }
        }
    }

    /// The next thing that the core is to be told.
    pub(crate) fn poll_event(&mut self) -> Option<NetworkEvent> {
        self.events.pop_front()
    }

    /// Closes everything that was asked for: whoever asked is gone.
    pub(crate) fn reset(&mut self) {
        self.events.clear();
        self.ports.freed();
        let keys: Vec<_> = self.sockets.keys().skip(self.fixed).collect();
        for key in keys {
            self.sockets.remove(key);
        }
    }

    /// Tells the core what became of a request.
    fn answer<T>(
        &mut self,
        request: RequestId,
        result: io::Result<T>,
        success: impl FnOnce(T) -> NetworkEvent,
    ) {
        self.events.push_back(match result {
            Ok(value) => success(value),
            Err(error) => NetworkEvent::Failed {
                request,
                reason: error.to_string(),
            },
        });
    }

    fn bind(&mut self, wanted: &Wanted, now: Instant) -> io::Result<Vec<(SocketId, SocketAddr)>> {
        let mut bound = Vec::new();
        for socket in self.ports.bind(wanted, self.options, now)? {
            let local = socket.local_addr();
            match self.add_udp(socket) {
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
    fn add_udp(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let key = self
            .sockets
            .insert(socket)
            .map_err(|_| io::Error::other("the shard has as many sockets as it can"))?;
        let watched = match self.sockets.get(key) {
            Some(socket) => self.poller.add(socket, key.to_bits()),
            None => Ok(()),
        };
        if let Err(error) = watched {
            self.sockets.remove(key);
            return Err(error);
        }
        Ok(SocketId(key.index as u16))
    }

    fn close(&mut self, socket: SocketId) {
        let index = u32::from(socket.0);
        let asked_for = usize::from(socket.0) >= self.fixed;
        match self.sockets.key(index).filter(|_| asked_for) {
            Some(key) => {
                self.sockets.remove(key);
                self.ports.freed();
            }
            None => tracing::debug!(?socket, "not a socket that can be closed"),
        }
    }
}

#[cfg(test)]
mod tests;
