//! Connections of peers to the listener for ICE.

use super::super::framing::header;
use super::super::ice_tcp::{ACCEPT_PAUSE, GREETING_TIMEOUT, IDLE_TIMEOUT};
use super::*;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The id of the listener: one socket for UDP is before it.
const LISTENER: SocketId = SocketId(1);

/// A STUN binding request without attributes.
fn binding_request() -> Vec<u8> {
    let mut request = vec![0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42];
    request.extend([7; 12]);
    request
}

fn framed(frame: &[u8]) -> Vec<u8> {
    [&header(frame).unwrap()[..], frame].concat()
}

fn listener(network: &Network) -> (Key, SocketAddr) {
    let key = network.sockets.key(u32::from(LISTENER.0)).unwrap();
    match network.sockets.get(key) {
        Some(Socket::IceTcp(listener)) => (key, listener.socket().local_addr().unwrap()),
        Some(Socket::Udp(_) | Socket::Stream(_) | Socket::Media(_)) | None => {
            panic!("a listener has this id")
        }
    }
}

fn connect(network: &Network) -> TcpStream {
    let stream = TcpStream::connect(listener(network).1).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// A peer that has sent a binding request, which the core has got.
fn greeted(network: &mut Network) -> TcpStream {
    let mut stream = connect(network);
    stream.write_all(&framed(&binding_request())).unwrap();
    let mut got = Got::default();
    got.until(network, |got| !got.datagrams.is_empty());
    let from = stream.local_addr().unwrap();
    assert_eq!(got.datagrams, [(LISTENER, from, binding_request())]);
    stream
}

fn send(network: &mut Network, to: &TcpStream, packet: &[u8]) {
    let mut egress = Egress::with_arena(1 << 17);
    assert!(egress.push(LISTENER, to.local_addr().unwrap(), 34, packet));
    network.send(&mut egress);
}

fn ended(stream: &TcpStream) -> NetworkEvent {
    NetworkEvent::Ended {
        socket: LISTENER,
        remote: stream.local_addr().unwrap(),
    }
}

fn read_frame(stream: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).unwrap();
    let mut frame = vec![0; usize::from(u16::from_be_bytes(header))];
    stream.read_exact(&mut frame).unwrap();
    frame
}

/// Whether the other side has closed the connection.
fn is_closed(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn packets_pass_both_ways_in_frames_however_the_stream_is_cut() {
    let mut network = network_with(loopback(20), true, Vec::new());
    let mut stream = connect(&network);
    let (mut got, frames) = (
        Got::default(),
        [binding_request(), vec![22; 3], vec![0x80; 90]],
    );
    for (byte, count) in frames.concat_framed() {
        stream.write_all(&[byte]).unwrap();
        got.until(&mut network, |got| got.datagrams.len() >= count);
    }
    let from = stream.local_addr().unwrap();
    let expected = frames.map(|frame| (LISTENER, from, frame));
    assert_eq!(got.datagrams, expected);
    assert_eq!(got.events, []);
    for len in [1, 1_200, 65_507] {
        let packet = vec![len as u8; len];
        send(&mut network, &stream, &packet);
        assert_eq!(read_frame(&mut stream), packet);
    }
    assert_eq!(network.tcp_connections(), 1);
    let traffic = network.traffic();
    assert_eq!((traffic.datagrams_received, traffic.datagrams_sent), (3, 3));
    drop(stream);
    let mut got = Got::default();
    got.until(&mut network, |got| !got.events.is_empty());
    let remote = from;
    let socket = LISTENER;
    assert_eq!(got.events, [NetworkEvent::Ended { socket, remote }]);
    assert_eq!(network.tcp_connections(), 0);
}

/// The bytes of a stream, each with the number of frames that are complete with it.
trait Framed {
    fn concat_framed(&self) -> Vec<(u8, usize)>;
}

impl Framed for [Vec<u8>; 3] {
    fn concat_framed(&self) -> Vec<(u8, usize)> {
        let mut bytes = Vec::new();
        for (number, frame) in self.iter().enumerate() {
            bytes.extend(framed(frame).into_iter().map(|byte| (byte, number)));
            if let Some((_, count)) = bytes.last_mut() {
                *count += 1;
            }
        }
        bytes
    }
}

#[test]
fn strangers_are_closed_and_the_core_never_hears_of_them() {
    let mut network = network_with(loopback(21), true, Vec::new());
    let mut response = binding_request();
    response[0] = 1;
    for first in [framed(&response), framed(b"GET / HTTP/1.1\r\n"), vec![0, 0]] {
        let mut stream = connect(&network);
        stream.write_all(&first).unwrap();
        let mut got = Got::default();
        while network.tcp_connections() == 0 {
            got.step(&mut network);
        }
        while network.tcp_connections() > 0 {
            got.step(&mut network);
        }
        assert!(got.datagrams.is_empty() && got.events.is_empty());
        assert!(is_closed(stream));
    }
}

#[test]
fn stream_that_falls_out_of_step_ends() {
    let mut network = network_with(loopback(22), true, Vec::new());
    let mut stream = greeted(&mut network);
    stream.write_all(&[0, 1, 9, 0, 0]).unwrap();
    let mut got = Got::default();
    got.until(&mut network, |got| !got.events.is_empty());
    assert_eq!(got.bytes(), [9], "frames before it are delivered");
    assert_eq!(got.events, [ended(&stream)]);
    assert!(is_closed(stream));
}

#[test]
fn who_is_not_answered_or_falls_silent_is_closed() {
    let mut network = network_with(loopback(23), true, Vec::new());
    let began = Instant::now();
    let (quiet, unanswered, answered) = (
        connect(&network),
        greeted(&mut network),
        greeted(&mut network),
    );
    send(&mut network, &answered, b"success");
    assert_eq!(network.tcp_connections(), 3);
    network.handle_timeout(began + GREETING_TIMEOUT / 2);
    assert_eq!(network.tcp_connections(), 3);
    network.handle_timeout(Instant::now() + GREETING_TIMEOUT);
    assert_eq!(network.tcp_connections(), 1);
    // Nobody was told of the first.
    assert_eq!(network.poll_event(), Some(ended(&unanswered)));
    assert_eq!(network.poll_event(), None);
    network.handle_timeout(Instant::now() + IDLE_TIMEOUT);
    assert_eq!(network.poll_event(), Some(ended(&answered)));
    assert_eq!(
        (network.tcp_connections(), network.poll_timeout()),
        (0, None)
    );
    assert!(is_closed(quiet) && is_closed(unanswered) && is_closed(answered));
}

#[test]
fn slow_reader_loses_whole_packets_and_stalls_nobody() {
    let mut network = network_with(loopback(24), true, Vec::new());
    let (mut slow, mut quick) = (greeted(&mut network), greeted(&mut network));
    // More than the buffers of both kernels' ends hold.
    let (count, len) = (8_000_u32, 1_500);
    let packet = move |number: u32| [&number.to_be_bytes()[..], &vec![1; len - 4]].concat();
    for number in 0..count {
        send(&mut network, &slow, &packet(number));
        if number % 100 == 0 {
            send(&mut network, &quick, &packet(number));
            assert_eq!(read_frame(&mut quick), packet(number));
        }
    }
    let dropped = network.traffic().tcp_dropped_frames;
    assert!(dropped > 0 && dropped < u64::from(count));
    assert_eq!(network.traffic().tcp_dropped_bytes, dropped * len as u64);
    assert_eq!(network.traffic().send_drops, dropped);
    // What was accepted arrives, in order and in one piece each.
    let left = u64::from(count) - dropped;
    let reader = std::thread::spawn(move || {
        let mut last = None;
        for _ in 0..left {
            let frame = read_frame(&mut slow);
            let number = u32::from_be_bytes(frame[..4].try_into().unwrap());
            assert_eq!(frame, packet(number));
            assert!(last < Some(number));
            last = Some(number);
        }
        slow
    });
    let mut got = Got::default();
    while waiting(&mut network) > 0 {
        got.step(&mut network);
    }
    let mut slow = reader.join().unwrap();
    send(&mut network, &slow, b"on time again");
    assert_eq!(read_frame(&mut slow), b"on time again");
    assert!(got.events.is_empty() && network.poll_event().is_none());
}

/// Bytes that wait for all peers.
fn waiting(network: &mut Network) -> usize {
    let keys: Vec<_> = network.accepted.keys().collect();
    let waiting = |key| network.accepted.get_mut(key).unwrap().pipe().waiting();
    keys.into_iter().map(waiting).sum()
}

#[test]
fn connections_are_capped_in_all_and_from_one_address() {
    let ip = loopback(25);
    let mut network = network_with(ip, true, Vec::new());
    let (key, address) = listener(&network);
    let Some(Socket::IceTcp(listener)) = network.sockets.get_mut(key) else {
        panic!("it is a listener")
    };
    listener.caps = (3, 2);
    let mut streams: Vec<_> = (0..2).map(|_| greeted(&mut network)).collect();
    let third = connect(&network);
    Got::default().step(&mut network);
    assert!(is_closed(third));
    // From another address there is room for one.
    let from_elsewhere = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
        let socket = socket.unwrap();
        let elsewhere: SocketAddr = (Ipv4Addr::new(127, 0, 78, 26), 0).into();
        socket.bind(&elsewhere.into()).unwrap();
        socket.connect(&address.into()).unwrap();
        TcpStream::from(socket)
    };
    streams.push(from_elsewhere());
    Got::default().step(&mut network);
    assert_eq!(network.tcp_connections(), 3);
    let fifth = from_elsewhere();
    Got::default().step(&mut network);
    assert!(is_closed(fifth));
    // Room is free again when a connection ends.
    drop(streams);
    let mut got = Got::default();
    while network.tcp_connections() > 0 {
        got.step(&mut network);
    }
    greeted(&mut network);
}

#[test]
fn listener_without_descriptors_pauses_and_goes_on() {
    let mut network = network_with(loopback(27), true, Vec::new());
    let now = Instant::now();
    network.pause(listener(&network).0, now);
    let mut stream = connect(&network);
    let mut ready = Ready::new();
    network.wait(&mut ready, Some(Duration::ZERO)).unwrap();
    assert_eq!(ready.tokens().count(), 0, "the shard does not spin");
    assert_eq!(network.poll_timeout(), Some(now + ACCEPT_PAUSE));
    network.handle_timeout(now + ACCEPT_PAUSE);
    stream.write_all(&framed(&binding_request())).unwrap();
    Got::default().until(&mut network, |got| !got.datagrams.is_empty());
}

#[test]
fn core_closes_one_connection_or_loses_all_and_the_listener_lives_on() {
    let mut network = network_with(loopback(28), true, Vec::new());
    let streams = [(); 3].map(|()| greeted(&mut network));
    let [first, others @ ..] = streams;
    let (socket, remote) = (LISTENER, first.local_addr().unwrap());
    let wish = NetworkRequest::Disconnect { socket, remote };
    assert_eq!(request(&mut network, wish.clone()), None);
    assert_eq!(request(&mut network, wish), None);
    assert_eq!(network.tcp_connections(), 2);
    send(&mut network, &first, b"too late");
    assert_eq!(network.traffic().send_drops, 1);
    network.reset();
    assert_eq!((network.tcp_connections(), network.poll_event()), (0, None));
    assert_eq!(network.poll_timeout(), None);
    assert!(is_closed(first) && others.into_iter().all(is_closed));
    greeted(&mut network);
}

#[test]
fn connection_whose_packet_hits_a_bug_ends() {
    let mut network = network_with(loopback(29), true, Vec::new());
    let mut stream = greeted(&mut network);
    stream.write_all(&[0, 1, 5, 0]).unwrap();
    let tokens = ready(&network);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        network.serve(tokens[0], Instant::now(), |_| panic!("told to"));
    }));
    assert!(panicked.is_err());
    network.after_panic();
    assert_eq!(network.poll_event(), Some(ended(&stream)));
    assert!(is_closed(stream));
}
