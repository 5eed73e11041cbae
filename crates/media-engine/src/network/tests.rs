//! Sockets on request over real loopback addresses.

mod ice;
mod outbound;

use super::*;
use rustls::pki_types::CertificateDer;
use salono_media_core::Egress;
use std::net::{IpAddr, Ipv4Addr, UdpSocket as StdSocket};

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// Datagrams as the core gets them.
type Inbox = Vec<(SocketId, SocketAddr, Vec<u8>)>;

/// A network with one fixed socket on `ip`.
fn network(ip: IpAddr) -> Network {
    network_with(ip, false, Vec::new())
}

/// The same with a listener beside it, and certificates to trust.
fn network_with(ip: IpAddr, listens: bool, roots: Vec<CertificateDer<'static>>) -> Network {
    let options = SocketOptions::default();
    let socket = UdpSocket::bind(SocketAddr::new(ip, 0), options).unwrap();
    let udp = vec![socket];
    let beside = crate::bind::listen_beside(if listens { &udp } else { &[] });
    let parts = NetworkParts {
        ice_tcp: beside.into_iter().map(|(_, listener)| listener).collect(),
        udp,
        options,
        lookup: Arc::new(Lookup::new(roots)),
    };
    Network::new(parts).unwrap()
}

/// What the core has got so far.
#[derive(Default)]
struct Got {
    datagrams: Inbox,
    events: Vec<NetworkEvent>,
}

impl Got {
    /// Bytes of all datagrams, one after the other.
    fn bytes(&self) -> Vec<u8> {
        let each = self.datagrams.iter().map(|(_, _, bytes)| bytes.as_slice());
        each.collect::<Vec<_>>().concat()
    }

    /// Takes in what is ready now, after waiting for something.
    fn step(&mut self, network: &mut Network) {
        for token in ready(network) {
            while network
                .serve(token, Instant::now(), |heard| match heard {
                    Heard::Datagram(socket, remote, bytes) => {
                        self.datagrams.push((socket, remote, bytes.to_vec()));
                    }
                    Heard::Event(event) => self.events.push(event),
                })
                .more
            {}
        }
        self.events
            .extend(std::iter::from_fn(|| network.poll_event()));
    }

    /// Takes in what comes until it is enough.
    fn until(&mut self, network: &mut Network, enough: impl Fn(&Self) -> bool) {
        while !enough(self) {
            self.step(network);
        }
    }
}

/// A loopback address that no other test uses.
fn loopback(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 78, number).into()
}

fn request(network: &mut Network, request: NetworkRequest) -> Option<NetworkEvent> {
    network.request(request, Instant::now());
    network.poll_event()
}

fn bind(network: &mut Network, ip: IpAddr, pair: bool) -> Vec<(SocketId, SocketAddr)> {
    let wish = NetworkRequest::BindUdp {
        request: RequestId(7),
        ip,
        ports: 10_000..=30_000,
        pair,
    };
    let Some(NetworkEvent::Bound { sockets, .. }) = request(network, wish) else {
        panic!("binding is answered at once, with sockets")
    };
    sockets
}

fn close(network: &mut Network, socket: SocketId) {
    assert_eq!(request(network, NetworkRequest::Close { socket }), None);
}

/// Tokens of what is ready; waits for something.
fn ready(network: &Network) -> Vec<u64> {
    let mut ready = Ready::new();
    network.wait(&mut ready, Some(PATIENCE)).unwrap();
    assert!(ready.tokens().count() > 0, "nothing happened in time");
    ready.tokens().collect()
}

fn serve(network: &mut Network, token: u64) -> Inbox {
    let mut inbox = Inbox::new();
    network.serve(token, Instant::now(), |heard| match heard {
        Heard::Datagram(socket, remote, bytes) => inbox.push((socket, remote, bytes.to_vec())),
        Heard::Event(event) => panic!("{event:?} of a UDP socket"),
    });
    inbox
}

/// Serves until the core has `count` datagrams.
fn inbox(network: &mut Network, count: usize) -> Inbox {
    let mut all = Inbox::new();
    while all.len() < count {
        for token in ready(network) {
            all.extend(serve(network, token));
        }
    }
    all
}

/// Whether nobody has a socket on the address, this process included.
fn is_free(address: SocketAddr) -> bool {
    StdSocket::bind(address).is_ok()
}

/// The same, soon: a child that another test is just starting may have had it open for a moment longer than this process.
fn becomes_free(address: SocketAddr) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !is_free(address) {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::yield_now();
    }
    true
}

#[test]
fn socket_on_request_receives_and_sends_under_its_id() {
    let ip = loopback(1);
    let mut network = network(ip);
    let peer = StdSocket::bind((ip, 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let sockets = bind(&mut network, ip, true);
    let [(rtp, rtp_at), (rtcp, rtcp_at)] = sockets[..] else {
        panic!("a pair is two sockets")
    };
    assert_eq!((rtp, rtcp), (SocketId(1), SocketId(2)));
    assert_eq!((rtp_at.port() % 2, rtcp_at.port()), (0, rtp_at.port() + 1));
    let peer_at = peer.local_addr().unwrap();
    for (socket, address, bytes) in [(rtp, rtp_at, b"one"), (rtcp, rtcp_at, b"two")] {
        peer.send_to(bytes, address).unwrap();
        assert_eq!(inbox(&mut network, 1), [(socket, peer_at, bytes.to_vec())]);
        let mut egress = Egress::with_arena(1_000);
        egress.push(socket, peer_at, 46, b"back");
        network.send(&mut egress);
        let mut buffer = [0; 10];
        let (len, from) = peer.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from), (&b"back"[..], address));
    }
    let traffic = network.traffic();
    assert_eq!((traffic.datagrams_received, traffic.datagrams_sent), (2, 2));
    assert_eq!(network.session_sockets(), 2);
}

#[test]
fn two_thousand_sockets_come_and_go_and_leave_nothing() {
    let ip = loopback(2);
    let mut network = network(ip);
    for _ in 0..10 {
        let bound: Vec<_> = (0..100)
            .flat_map(|_| bind(&mut network, ip, true))
            .collect();
        assert_eq!(network.session_sockets(), 200);
        assert!(bound.iter().all(|(_, address)| !is_free(*address)));
        for (socket, _) in &bound {
            // Ids come again, so the table does not grow.
            assert!((1..=200).contains(&socket.0));
            close(&mut network, *socket);
        }
        assert_eq!(network.session_sockets(), 0);
        assert!(bound.into_iter().all(|(_, address)| becomes_free(address)));
    }
}

#[test]
fn reset_closes_what_was_asked_for_and_nothing_else() {
    let ip = loopback(3);
    let mut network = network(ip);
    let mut bound = bind(&mut network, ip, true);
    bound.extend(bind(&mut network, ip, false));
    close(&mut network, SocketId(0));
    network.reset();
    assert_eq!(network.session_sockets(), 0);
    assert!(bound.into_iter().all(|(_, address)| becomes_free(address)));
    assert!(network.sockets.at(0).is_some());
}

#[test]
fn what_was_for_a_closed_socket_never_reaches_the_next_owner_of_its_id() {
    let ip = loopback(4);
    let mut network = network(ip);
    let peer = StdSocket::bind((ip, 0)).unwrap();
    let (old, old_at) = bind(&mut network, ip, false)[0];
    peer.send_to(b"for the old one", old_at).unwrap();
    let tokens = ready(&network);
    close(&mut network, old);
    let (new, new_at) = bind(&mut network, ip, false)[0];
    assert_eq!(old, new);
    peer.send_to(b"for the new one", new_at).unwrap();
    for token in tokens {
        assert_eq!(serve(&mut network, token), []);
    }
    assert_eq!(inbox(&mut network, 1)[0].2, b"for the new one");
    close(&mut network, new);
    let mut egress = Egress::with_arena(1_000);
    egress.push(new, peer.local_addr().unwrap(), 0, b"too late");
    network.send(&mut egress);
    assert_eq!(network.traffic().send_drops, 1);
}

#[test]
fn interleaved_datagrams_of_many_sockets_arrive_in_order_from_the_right_ones() {
    let ip = loopback(5);
    let mut network = network(ip);
    let peer = StdSocket::bind((ip, 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    let bound: Vec<_> = (0..20).map(|_| bind(&mut network, ip, false)[0]).collect();
    let mut egress = Egress::with_arena(10_000);
    for number in 0..3_u8 {
        for (socket, _) in &bound {
            egress.push(*socket, peer.local_addr().unwrap(), 0, &[number; 9]);
        }
    }
    network.send(&mut egress);
    assert!(egress.is_empty());
    let mut got = std::collections::BTreeMap::new();
    for _ in 0..60 {
        let mut buffer = [0; 20];
        let (_, from) = peer.recv_from(&mut buffer).unwrap();
        got.entry(from).or_insert_with(Vec::new).push(buffer[0]);
    }
    let expected = bound.iter().map(|(_, from)| (*from, vec![0, 1, 2]));
    assert_eq!(got, expected.collect());
}

#[test]
fn address_of_another_host_fails_with_a_text() {
    let mut network = network(loopback(6));
    let wish = NetworkRequest::BindUdp {
        request: RequestId(1),
        ip: [192, 0, 2, 77].into(),
        ports: 0..=0,
        pair: false,
    };
    let Some(NetworkEvent::Failed { request, reason }) = request(&mut network, wish) else {
        panic!("it cannot be bound")
    };
    assert_eq!(request, RequestId(1));
    assert!(!reason.is_empty());
}
