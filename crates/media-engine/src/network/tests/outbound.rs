//! Streams to relays, with and without TLS, and names.

use super::super::outbound::CONNECT_TIMEOUT;
use super::super::questions::LOOKUP_TIMEOUT;
use super::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

const REQUEST: RequestId = RequestId(3);

fn connect(network: &mut Network, remote: SocketAddr, tls: Option<&str>) {
    let wish = NetworkRequest::Connect {
        request: REQUEST,
        remote,
        tls: tls.map(str::to_owned),
    };
    network.request(wish, Instant::now());
}

/// The stream that was connected.
fn connected(network: &mut Network, got: &mut Got) -> SocketId {
    got.until(network, |got| !got.events.is_empty());
    let [
        NetworkEvent::Connected {
            request: REQUEST,
            socket,
            local,
        },
    ] = got.events[..]
    else {
        panic!("{:?}", got.events)
    };
    assert!(local.ip().is_loopback() && local.port() > 0);
    got.events.clear();
    socket
}

fn send(network: &mut Network, socket: SocketId, remote: SocketAddr, message: &[u8]) {
    let mut egress = Egress::with_arena(1 << 17);
    assert!(egress.push(socket, remote, 0, message));
    network.send(&mut egress);
}

/// Why a request came to nothing.
fn failure(network: &mut Network) -> String {
    let mut got = Got::default();
    got.events.extend(network.poll_event());
    got.until(network, |got| !got.events.is_empty());
    match got.events.pop() {
        Some(NetworkEvent::Failed {
            request: REQUEST,
            reason,
        }) => reason,
        other => panic!("{other:?} is no failure"),
    }
}

#[test]
fn bytes_pass_both_ways_in_order_until_the_peer_ends() {
    let ip = loopback(40);
    let mut network = network(ip);
    let server = TcpListener::bind((ip, 0)).unwrap();
    let remote = server.local_addr().unwrap();
    connect(&mut network, remote, None);
    let mut got = Got::default();
    let socket = connected(&mut network, &mut got);
    assert_eq!(
        (network.session_sockets(), network.tcp_connections()),
        (1, 1)
    );
    let (mut stream, _) = server.accept().unwrap();
    send(&mut network, socket, remote, b"one");
    send(&mut network, socket, remote, b"two");
    let mut buffer = [0; 6];
    stream.read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"onetwo");
    let sent: Vec<u8> = (0..200_000_u32).map(|number| (number / 7) as u8).collect();
    let writer = {
        let sent = sent.clone();
        std::thread::spawn(move || stream.write_all(&sent).unwrap())
    };
    got.until(&mut network, |got| !got.events.is_empty());
    writer.join().unwrap();
    assert_eq!(got.bytes(), sent);
    let from = |(of, at, _): &(SocketId, SocketAddr, Vec<u8>)| (*of, *at) == (socket, remote);
    assert!(got.datagrams.iter().all(from));
    assert_eq!(got.events, [NetworkEvent::Ended { socket, remote }]);
    assert_eq!(
        (network.session_sockets(), network.tcp_connections()),
        (0, 0)
    );
    send(&mut network, socket, remote, b"too late");
    assert_eq!(network.traffic().send_drops, 1);
}

#[test]
fn nobody_there_is_a_failure_and_frees_the_id() {
    let ip = loopback(41);
    let mut network = network(ip);
    let unused = TcpListener::bind((ip, 0)).unwrap().local_addr().unwrap();
    connect(&mut network, unused, None);
    assert!(failure(&mut network).contains("refused"));
    assert_eq!(
        (network.session_sockets(), network.poll_timeout()),
        (0, None)
    );
}

#[test]
fn peer_that_reads_nothing_loses_whole_messages() {
    let ip = loopback(42);
    let mut network = network(ip);
    let server = TcpListener::bind((ip, 0)).unwrap();
    let remote = server.local_addr().unwrap();
    connect(&mut network, remote, None);
    let socket = connected(&mut network, &mut Got::default());
    let (mut stream, _) = server.accept().unwrap();
    for _ in 0..200 {
        send(&mut network, socket, remote, &[1; 60_000]);
    }
    let dropped = network.traffic().tcp_dropped_frames;
    assert!(dropped > 0);
    let left = (200 - dropped) * 60_000;
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; left as usize];
        stream.read_exact(&mut buffer).unwrap();
    });
    Got::default().until(&mut network, |got| !got.events.is_empty());
    reader.join().unwrap();
}

/// An authority, and the settings of a server that it has certified for `name`.
fn certified(name: &str) -> (CertificateDer<'static>, Arc<ServerConfig>) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (root.der().clone(), Arc::new(config))
}

/// Accepts one connection and speaks TLS on it: greets, returns what it reads until the end.
fn tls_server(
    ip: IpAddr,
    config: Arc<ServerConfig>,
) -> (SocketAddr, JoinHandle<io::Result<Vec<u8>>>) {
    let server = TcpListener::bind((ip, 0)).unwrap();
    let address = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _): (TcpStream, _) = server.accept()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut tls = StreamOwned::new(connection, stream);
        tls.write_all(b"hello")?;
        tls.write_all(&vec![9; 100_000])?;
        let mut read = Vec::new();
        tls.read_to_end(&mut read)?;
        Ok(read)
    });
    (address, thread)
}

#[test]
fn tls_is_spoken_with_who_has_the_certificate_for_the_name() {
    let ip = loopback(43);
    let (root, config) = certified("turn.example.org");
    let mut network = network_with(ip, false, vec![root]);
    // The second finds out at once whom to trust, the first has it looked up.
    for _ in 0..2 {
        let (remote, server) = tls_server(ip, Arc::clone(&config));
        connect(&mut network, remote, Some("turn.example.org"));
        let mut got = Got::default();
        let socket = connected(&mut network, &mut got);
        got.until(&mut network, |got| got.bytes().len() >= 100_005);
        let expected = [&b"hello"[..], &vec![9; 100_000]].concat();
        assert_eq!(got.bytes(), expected);
        let message = vec![5; 40_000];
        send(&mut network, socket, remote, &message);
        send(&mut network, socket, remote, b"bye");
        assert_eq!(
            request(&mut network, NetworkRequest::Close { socket }),
            None
        );
        assert_eq!(network.session_sockets(), 0);
        // It ended with a proper goodbye, or reading would have failed.
        let read = server.join().unwrap().unwrap();
        assert_eq!(read, [&message[..], b"bye"].concat());
    }
}

#[test]
fn tls_ends_when_the_peer_says_goodbye() {
    let ip = loopback(44);
    let (root, config) = certified("turn.example.org");
    let mut network = network_with(ip, false, vec![root]);
    let server = TcpListener::bind((ip, 0)).unwrap();
    let remote = server.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (stream, _) = server.accept().unwrap();
        let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
        tls.write_all(b"last words").unwrap();
        tls.conn.send_close_notify();
        tls.flush().unwrap();
        tls.sock
    });
    connect(&mut network, remote, Some("turn.example.org"));
    let mut got = Got::default();
    got.until(&mut network, |got| got.events.len() >= 2);
    assert!(matches!(got.events[1], NetworkEvent::Ended { .. }));
    assert_eq!(got.bytes(), b"last words");
    drop(thread.join().unwrap());
}

#[test]
fn nobody_else_is_believed() {
    let ip = loopback(45);
    let (root, config) = certified("turn.example.org");
    let (_, of_another) = certified("turn.example.org");
    let mut network = network_with(ip, false, vec![root]);
    for (config, name) in [
        (config, "relay.example.org"),
        (of_another, "turn.example.org"),
    ] {
        let (remote, server) = tls_server(ip, config);
        connect(&mut network, remote, Some(name));
        let reason = failure(&mut network);
        assert!(reason.contains("certificate"), "{reason}");
        assert!(server.join().unwrap().is_err());
    }
    let (remote, _server) = tls_server(ip, certified("turn.example.org").1);
    connect(&mut network, remote, Some("no name"));
    assert!(!failure(&mut network).is_empty());
    let _ = TcpStream::connect(remote);
}

#[test]
fn handshake_that_takes_too_long_is_a_failure() {
    let ip = loopback(46);
    let (root, _) = certified("turn.example.org");
    let mut network = network_with(ip, false, vec![root]);
    let silent = TcpListener::bind((ip, 0)).unwrap();
    let remote = silent.local_addr().unwrap();
    connect(&mut network, remote, Some("turn.example.org"));
    // Whom to trust, then the connection.
    let mut got = Got::default();
    while network.trust.is_none() {
        got.step(&mut network);
    }
    network.handle_timeout(Instant::now() + CONNECT_TIMEOUT);
    assert!(failure(&mut network).contains("in time"));
    assert_eq!(
        (network.session_sockets(), network.poll_timeout()),
        (0, None)
    );
}

fn resolve(network: &mut Network, host: &str) {
    let wish = NetworkRequest::Resolve {
        request: REQUEST,
        host: host.to_owned(),
    };
    network.request(wish, Instant::now());
}

#[test]
fn names_are_looked_up_and_literal_addresses_known_at_once() {
    let mut network = network(loopback(47));
    for literal in ["192.0.2.1", "2001:db8::1", "[2001:db8::1]"] {
        resolve(&mut network, literal);
        let ip = literal.trim_matches(['[', ']']).parse().unwrap();
        let resolved = NetworkEvent::Resolved {
            request: REQUEST,
            addresses: vec![ip],
        };
        assert_eq!(network.poll_event(), Some(resolved));
    }
    resolve(&mut network, "localhost");
    let mut got = Got::default();
    got.until(&mut network, |got| !got.events.is_empty());
    let [NetworkEvent::Resolved { addresses, .. }] = &got.events[..] else {
        panic!("{:?}", got.events)
    };
    assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback));
    assert_eq!(network.poll_timeout(), None);
    for bad in ["", &"x".repeat(300), "a\0b"] {
        resolve(&mut network, bad);
        assert!(!failure(&mut network).is_empty());
    }
}

#[test]
fn name_without_an_answer_in_time_is_a_failure_and_a_late_answer_nobodys() {
    let mut network = network(loopback(48));
    resolve(&mut network, "localhost");
    network.handle_timeout(Instant::now() + LOOKUP_TIMEOUT);
    assert!(failure(&mut network).contains("in time"));
    let mut got = Got::default();
    got.step(&mut network);
    assert_eq!((got.events, network.poll_timeout()), (vec![], None));
    resolve(&mut network, "localhost");
    network.reset();
    assert_eq!(network.poll_timeout(), None);
    let mut got = Got::default();
    got.step(&mut network);
    assert_eq!(got.events, []);
}
