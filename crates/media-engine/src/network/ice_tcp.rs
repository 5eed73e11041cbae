//! ICE over TCP (RFC 6544), the passive side: peers connect to the shard and send framed packets.
//!
//! Whoever connects is a stranger until the core answers it, which it does when it has authenticated
//! a STUN request. Strangers get little: connections are capped, must begin with a STUN binding
//! request, must be answered soon and must not fall silent.

use super::framing::{self, Deframer, HEADER_BYTES};
use super::pipe::Pipe;
use super::slots::Key;
use super::{Heard, Network, Served, Socket};
use crate::os::Interest;
use salono_media_core::{NetworkEvent, Outgoing, SocketId};
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// Most connections of one listener; the next is closed at once.
const MAX_CONNECTIONS: usize = 4_096;

/// Of these most from one address, or one network of IPv6: as many as behind the proxy of an office.
const MAX_CONNECTIONS_PER_IP: usize = 512;

/// A connection that the core has sent nothing to for so long after it was accepted is closed.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that was silent for so long is closed. Peers prove that they still agree every few
/// seconds (RFC 7675), and check connections in reserve twice a minute.
pub(super) const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// Connections that are accepted in one pass.
const ACCEPTS: usize = 32;

/// For so long nothing is accepted when the process is out of descriptors or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Set in poller tokens of accepted connections.
pub(super) const ACCEPTED: u64 = 1 << 62;

/// A listening socket and its connections.
#[derive(Debug)]
pub(super) struct Listener {
    listener: TcpListener,
    /// By peer.
    connections: BTreeMap<SocketAddr, Key>,
    /// Number of them by [`origin`] of the peer.
    per_ip: BTreeMap<IpAddr, usize>,
    /// Most connections, in all and from one address.
    pub(super) caps: (usize, usize),
}

/// A connection with a peer.
#[derive(Debug)]
pub(super) struct Accepted {
    listener: SocketId,
    remote: SocketAddr,
    pipe: Pipe,
    deframer: Deframer,
    /// The first frame has come and was a binding request.
    greeted: bool,
    /// The core has sent something.
    answered: bool,
    /// When it was accepted.
    accepted: Instant,
    /// When a frame came last, at first when it was accepted.
    heard: Instant,
    /// When the timer is set for.
    timer: Instant,
}

impl Listener {
    /// Takes a listener that is non-blocking.
    pub(super) fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            connections: BTreeMap::new(),
            per_ip: BTreeMap::new(),
            caps: (MAX_CONNECTIONS, MAX_CONNECTIONS_PER_IP),
        }
    }

    /// The descriptor.
    pub(super) fn socket(&self) -> &TcpListener {
        &self.listener
    }

    /// The connection with a peer.
    pub(super) fn connection(&self, remote: SocketAddr) -> Option<Key> {
        self.connections.get(&remote).copied()
    }

    fn is_full(&self, ip: IpAddr) -> bool {
        let (all, per_ip) = self.caps;
        let from_there = self.per_ip.get(&origin(ip)).copied().unwrap_or_default();
        self.connections.len() >= all || from_there >= per_ip
    }

    fn add(&mut self, remote: SocketAddr, connection: Key) {
        self.connections.insert(remote, connection);
        *self.per_ip.entry(origin(remote.ip())).or_default() += 1;
    }

    fn remove(&mut self, remote: SocketAddr) {
        self.connections.remove(&remote);
        let origin = origin(remote.ip());
        if let Some(count) = self.per_ip.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&origin);
            }
        }
    }
}

impl Accepted {
    /// Queues a packet; false when there is no room for it.
    pub(super) fn push(&mut self, datagram: &Outgoing, packet: &[u8]) -> bool {
        let Some(header) = framing::header(packet) else {
            return false;
        };
        if !self.pipe.has_room(HEADER_BYTES + packet.len()) {
            return false;
        }
        self.answered = true;
        self.pipe.set_dscp(datagram.dscp, self.remote);
        let tail = self.pipe.tail();
        tail.extend_from_slice(&header);
        tail.extend_from_slice(packet);
        true
    }

    /// The connection.
    pub(super) fn pipe(&mut self) -> &mut Pipe {
        &mut self.pipe
    }

    /// When the connection has been silent for too long.
    fn deadline(&self) -> Instant {
        if self.answered {
            self.heard + IDLE_TIMEOUT
        } else {
            self.accepted + GREETING_TIMEOUT
        }
    }
}

/// What connections are counted by: a host has all addresses of its /64 network.
fn origin(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Whether a frame is a STUN binding request: type 0x0001 and the magic cookie (RFC 8489 §5).
fn is_binding_request(frame: &[u8]) -> bool {
    frame.len() >= 20 && frame.starts_with(&[0, 1]) && frame[4..8] == [0x21, 0x12, 0xa4, 0x42]
}

/// Whether accepting fails for want of something, not because of this connection.
fn is_exhaustion(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)
    )
}

impl Network {
    /// Accepts some of the connections that wait.
    pub(super) fn accept(&mut self, key: Key, now: Instant) -> Served {
        for _ in 0..ACCEPTS {
            let Some(Socket::IceTcp(listener)) = self.sockets.get_mut(key) else {
                return Served::default();
            };
            match listener.listener.accept() {
                // Closed by going out of scope.
                Ok((_, remote)) if listener.is_full(remote.ip()) => {
                    tracing::debug!(%remote, "too many connections");
                }
                Ok((stream, remote)) => {
                    if let Err(error) = self.take_in(key, stream, remote, now) {
                        tracing::debug!(%remote, %error, "connection not taken in");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if is_exhaustion(&error) => {
                    tracing::warn!(%error, "cannot accept connections for ICE; pausing");
                    self.pause(key, now);
                    break;
                }
                // The peer has given up meanwhile.
                Err(error) => tracing::debug!(%error, "connection not accepted"),
            }
        }
        Served::default()
    }

    /// Stops watching a listener for a while: it would be ready all the time.
    pub(super) fn pause(&mut self, key: Key, now: Instant) {
        let Some(Socket::IceTcp(listener)) = self.sockets.get_mut(key) else {
            return;
        };
        let (token, until) = (key.to_bits(), now + ACCEPT_PAUSE);
        let changed = self
            .poller
            .change(&listener.listener, token, Interest::Nothing);
        if let Err(error) = changed {
            tracing::warn!(%error, "cannot pause");
            return;
        }
        self.timers.insert((until, token));
    }

    /// The pause of a listener may be over.
    pub(super) fn resume(&mut self, key: Key) {
        let Some(Socket::IceTcp(listener)) = self.sockets.get_mut(key) else {
            return;
        };
        let token = key.to_bits();
        let changed = self
            .poller
            .change(&listener.listener, token, Interest::Read);
        if let Err(error) = changed {
            tracing::error!(%error, "no more connections for ICE will be accepted");
        }
    }

    fn take_in(
        &mut self,
        listener: Key,
        stream: TcpStream,
        remote: SocketAddr,
        now: Instant,
    ) -> io::Result<()> {
        stream.set_nonblocking(true)?;
        let timer = now + GREETING_TIMEOUT;
        let poller = &self.poller;
        let key = self.accepted.insert_with(|key| {
            let token = ACCEPTED | key.to_bits();
            Ok(Accepted {
                listener: SocketId(listener.index as u16),
                remote,
                pipe: Pipe::new(stream, token, Interest::Read, poller)?,
                deframer: Deframer::default(),
                greeted: false,
                answered: false,
                accepted: now,
                heard: now,
                timer,
            })
        })?;
        self.timers.insert((timer, ACCEPTED | key.to_bits()));
        if let Some(Socket::IceTcp(listener)) = self.sockets.get_mut(listener) {
            listener.add(remote, key);
        }
        Ok(())
    }

    /// Hands over the frames that a connection has brought, and writes what waited.
    pub(super) fn serve_accepted(
        &mut self,
        key: Key,
        now: Instant,
        handle: &mut impl FnMut(Heard<'_>),
    ) -> Served {
        self.in_hand = Some(ACCEPTED | key.to_bits());
        let result = self.read_accepted(key, now, handle);
        self.in_hand = None;
        result.unwrap_or_else(|error| {
            self.end_accepted(key, &error);
            Served {
                worked: true,
                more: false,
            }
        })
    }

    fn read_accepted(
        &mut self,
        key: Key,
        now: Instant,
        handle: &mut impl FnMut(Heard<'_>),
    ) -> io::Result<Served> {
        let Some(connection) = self.accepted.get_mut(key) else {
            return Ok(Served::default());
        };
        connection.pipe.write(&self.poller)?;
        let Some(bytes) = connection.pipe.read(&mut self.scratch)? else {
            return Ok(Served::default());
        };
        let (listener, remote) = (connection.listener, connection.remote);
        let (greeted, heard) = (&mut connection.greeted, &mut connection.heard);
        let traffic = &mut self.traffic;
        let mut stranger = false;
        let fed = connection
            .deframer
            .feed(&mut self.scratch[..bytes], |frame| {
                stranger |= !*greeted && !is_binding_request(frame);
                if !stranger {
                    // Bytes that become no frame are no sign of life.
                    (*greeted, *heard) = (true, now);
                    traffic.received(frame.len());
                    handle(Heard::Datagram(listener, remote, frame));
                }
            });
        fed.map_err(io::Error::other)?;
        if stranger {
            return Err(io::Error::other("it did not begin with a binding request"));
        }
        Ok(Served {
            worked: connection.greeted,
            more: bytes == self.scratch.len(),
        })
    }

    /// Closes a connection and tells the core, if that has heard of it.
    pub(super) fn end_accepted(&mut self, key: Key, error: &io::Error) {
        let Some(connection) = self.accepted.get(key) else {
            return;
        };
        let (socket, remote) = (connection.listener, connection.remote);
        tracing::debug!(%remote, %error, "connection for ICE ends");
        if connection.greeted {
            self.events
                .push_back(NetworkEvent::Ended { socket, remote });
        }
        self.close_accepted(key);
    }

    /// Closes a connection.
    pub(super) fn close_accepted(&mut self, key: Key) {
        let Some(connection) = self.accepted.remove(key) else {
            return;
        };
        let token = ACCEPTED | key.to_bits();
        self.timers.remove(&(connection.timer, token));
        let listener = self.sockets.key(u32::from(connection.listener.0));
        if let Some(Socket::IceTcp(listener)) = listener.and_then(|key| self.sockets.get_mut(key)) {
            listener.remove(connection.remote);
        }
    }

    /// The timer of a connection has gone off.
    pub(super) fn check_silence(&mut self, key: Key, now: Instant) {
        let Some(connection) = self.accepted.get_mut(key) else {
            return;
        };
        let deadline = connection.deadline();
        if deadline <= now {
            self.end_accepted(key, &io::ErrorKind::TimedOut.into());
        } else {
            connection.timer = deadline;
            self.timers.insert((deadline, ACCEPTED | key.to_bits()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_with_a_network_of_its_own_is_one_origin() {
        let origin = |ip: &str| origin(ip.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(origin("192.0.2.7"), "192.0.2.7");
    }
}
