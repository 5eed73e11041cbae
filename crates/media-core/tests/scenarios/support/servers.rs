//! STUN and TURN servers of a world: somebody else's implementation, behind a made-up NAT.

use salono_media_core::{NetworkRequest, SocketId};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use turn_server_proto::api::{TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;
use turn_server_proto::stun::agent::Transmit;
use turn_server_proto::types::{Instant as ServerInstant, TransportType};

pub(crate) const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 2, 1)), 3478);
pub(crate) const REALM: &str = "example.org";
pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "secret";
/// Where relayed addresses are.
const RELAY_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2));

/// A socket that the shard has besides the one it started with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket {
    pub(crate) local: SocketAddr,
    /// The other end of a stream.
    pub(crate) remote: Option<SocketAddr>,
}

/// A server and what it saw.
pub(crate) struct Host {
    server: TurnServer,
    transport: TransportType,
    origin: Instant,
    /// The outside of the NAT between us and the server.
    nat: Option<IpAddr>,
    /// Takes everything and answers nothing.
    pub(crate) is_silent: bool,
    /// Requests and indications by their first two bytes.
    pub(crate) seen: BTreeMap<[u8; 2], usize>,
    pub(crate) channel_data: usize,
    pub(crate) relays: BTreeSet<SocketAddr>,
    /// Relayed addresses handed out so far.
    pub(crate) allocated: u16,
}

/// What a server sends: from where to where.
pub(crate) struct Sent {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

impl Host {
    pub(crate) fn new(transport: TransportType, nat: Option<IpAddr>, origin: Instant) -> Self {
        let mut server = TurnServer::new(transport, SERVER, REALM.to_owned());
        server.add_user(USER.to_owned(), PASSWORD.to_owned());
        Self {
            server,
            transport,
            origin,
            nat,
            is_silent: false,
            seen: BTreeMap::new(),
            channel_data: 0,
            relays: BTreeSet::new(),
            allocated: 0,
        }
    }

    pub(crate) fn set_nonce_lifetime(&mut self, lifetime: Duration) {
        self.server.set_nonce_expiry_duration(lifetime);
    }

    /// Requests with these first two bytes.
    pub(crate) fn count(&self, kind: [u8; 2]) -> usize {
        self.seen.get(&kind).copied().unwrap_or(0)
    }

    /// As the server sees an address of ours, and back.
    fn outside(&self, addr: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.nat.unwrap_or(addr.ip()), addr.port())
    }

    fn time(&self, now: Instant) -> ServerInstant {
        let since = now - self.origin + Duration::from_secs(1);
        ServerInstant::from_nanos(i64::try_from(since.as_nanos()).expect("short tests"))
    }

    /// Takes in what we sent; returns what the server sends to the outsides of our sockets and to
    /// peers.
    pub(crate) fn receive(&mut self, from: SocketAddr, bytes: &[u8], now: Instant) -> Vec<Sent> {
        match bytes {
            [0x40..=0x4f, ..] => self.channel_data += 1,
            [first, second, ..] => *self.seen.entry([*first, *second]).or_default() += 1,
            _ => {}
        }
        let outside = self.outside(from);
        let mut bytes = bytes;
        // The library knows nothing of the padding that RFC 8656 §12.5 wants on streams.
        if let (TransportType::Tcp, [0x40..=0x4f, _, high, low, ..]) = (self.transport, bytes) {
            let end = 4 + usize::from(u16::from_be_bytes([*high, *low]));
            assert_eq!(end.next_multiple_of(4), bytes.len(), "padded");
            bytes = &bytes[..end];
        }
        self.take(self.transport, outside, SERVER, bytes, now)
    }

    /// Takes in what a peer sent to a relayed address.
    pub(crate) fn receive_from_peer(
        &mut self,
        from: SocketAddr,
        relay: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Vec<Sent> {
        self.take(TransportType::Udp, from, relay, bytes, now)
    }

    fn take(
        &mut self,
        transport: TransportType,
        from: SocketAddr,
        to: SocketAddr,
        bytes: &[u8],
        now: Instant,
    ) -> Vec<Sent> {
        if self.is_silent {
            return Vec::new();
        }
        let mut sent = self.exchange(Transmit::new(bytes.to_vec(), transport, from, to), now);
        for sent in &mut sent {
            let is_channel = matches!(sent.bytes.first(), Some(0x40..=0x4f));
            if self.transport == TransportType::Tcp && sent.from == SERVER && is_channel {
                sent.bytes.resize(sent.bytes.len().next_multiple_of(4), 0);
            }
        }
        sent
    }

    fn exchange(&mut self, transmit: Transmit<Vec<u8>>, now: Instant) -> Vec<Sent> {
        let mut sent = Vec::new();
        let (from, now) = (transmit.from, self.time(now));
        if let Some(forward) = self.server.recv(transmit, now) {
            let forward = forward.build();
            sent.push(Sent {
                from: forward.from,
                // The library addresses answers to plain binding requests to itself.
                to: if forward.to == SERVER {
                    from
                } else {
                    forward.to
                },
                bytes: forward.data,
            });
        }
        loop {
            match self.server.poll(now) {
                TurnServerPollRet::AllocateSocket {
                    transport,
                    listen_addr,
                    client_addr,
                    allocation_transport,
                    family,
                } => {
                    self.allocated += 1;
                    let relay = SocketAddr::new(RELAY_IP, 50_000 + self.allocated);
                    self.relays.insert(relay);
                    self.server.allocated_socket(
                        transport,
                        listen_addr,
                        client_addr,
                        allocation_transport,
                        family,
                        Ok(relay),
                        now,
                    );
                }
                TurnServerPollRet::SocketClose { listen_addr, .. } => {
                    self.relays.remove(&listen_addr);
                }
                TurnServerPollRet::WaitUntil(_)
                | TurnServerPollRet::TcpConnect { .. }
                | TurnServerPollRet::TcpClose { .. } => break,
            }
        }
        while let Some(transmit) = self.server.poll_transmit(now) {
            sent.push(Sent {
                from: transmit.from,
                to: transmit.to,
                bytes: transmit.data,
            });
        }
        sent
    }
}

/// Everything of a world that is neither shard nor peer.
#[derive(Default)]
pub(crate) struct Servers {
    pub(crate) host: Option<Host>,
    /// Answers of the resolver; other names are unknown.
    pub(crate) names: BTreeMap<String, IpAddr>,
    pub(crate) sockets: BTreeMap<SocketId, Socket>,
    pub(crate) opened: u16,
    /// The bytes that a stream is delivered in at a time.
    pub(crate) piece: usize,
    /// Connections are made only when [`World::connect_delayed`](super::World) says so.
    pub(crate) delays_connections: bool,
    pub(crate) delayed: Vec<NetworkRequest>,
    /// Peers with which nothing is exchanged but by way of a relay.
    pub(crate) blocked: Vec<usize>,
}

impl Servers {
    /// The socket behind an address as the server sees it.
    pub(crate) fn socket_at(&self, outside: SocketAddr, first: SocketAddr) -> Option<SocketId> {
        let host = self.host.as_ref()?;
        if host.outside(first) == outside {
            return Some(SocketId(0));
        }
        self.sockets
            .iter()
            .find(|(_, socket)| host.outside(socket.local) == outside)
            .map(|(id, _)| *id)
    }

    pub(crate) fn is_relay(&self, addr: SocketAddr) -> bool {
        self.host
            .as_ref()
            .is_some_and(|host| host.relays.contains(&addr))
    }
}
