//! Datagrams over real loopback sockets.

use super::*;
use crate::os::{Poller, Ready};
use proptest::prelude::*;
use salono_media_core::{Egress, SocketId};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

/// How long a test waits before it fails; nothing takes that long unless it is lost.
const PATIENCE: Duration = Duration::from_secs(20);

fn socket(ip: &str, segmentation: bool, coalescing: bool) -> UdpSocket {
    let ip: IpAddr = ip.parse().unwrap();
    let options = SocketOptions {
        segmentation,
        coalescing,
        ..SocketOptions::default()
    };
    UdpSocket::bind(SocketAddr::new(ip, 0), options).unwrap()
}

/// The loopback addresses of this machine; containers often lack the second.
fn loopbacks() -> Vec<&'static str> {
    let available = |ip: &&str| std::net::UdpSocket::bind((*ip, 0)).is_ok();
    ["127.0.0.1", "::1"].into_iter().filter(available).collect()
}

/// Everything that arrives at `socket` until there are `count` datagrams.
fn receive_all(socket: &UdpSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let poller = Poller::new().unwrap();
    poller.add(socket, 0).unwrap();
    let (mut receiver, mut ready) = (Receiver::new(), Ready::new());
    let mut datagrams = Vec::new();
    let deadline = Instant::now() + PATIENCE;
    while datagrams.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "got {} of {count} datagrams",
            datagrams.len()
        );
        poller.wait(&mut ready, Some(left)).unwrap();
        let handle = |remote, bytes: &mut [u8]| datagrams.push((remote, bytes.to_vec()));
        receiver.receive(socket, handle).unwrap();
    }
    datagrams
}

/// A datagram of `len` bytes that no other of the test equals.
fn datagram(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; len];
    bytes
        .iter_mut()
        .zip((number as u32).to_be_bytes())
        .for_each(|(byte, part)| *byte = part);
    bytes
}

/// Sends `sizes` as (receiver, length) and compares what each of three receivers gets.
fn check_transport(ip: &str, segmentation: bool, coalescing: bool, sizes: &[(usize, usize, u8)]) {
    let from = socket(ip, segmentation, coalescing);
    let to: Vec<_> = (0..3)
        .map(|_| socket(ip, segmentation, coalescing))
        .collect();
    let mut egress = Egress::with_arena(1 << 20);
    let mut expected = vec![Vec::new(); to.len()];
    for (number, (receiver, len, dscp)) in sizes.iter().enumerate() {
        let bytes = datagram(number, *len);
        assert!(egress.push(SocketId(3), to[*receiver].local_addr(), *dscp, &bytes));
        expected[*receiver].push((from.local_addr(), bytes));
    }
    let report = Sender::new().send(&from, SocketId(3), egress.bytes(), egress.datagrams());
    let total: usize = sizes.iter().map(|(_, len, _)| len).sum();
    assert_eq!(
        (report.datagrams, report.bytes),
        (sizes.len() as u64, total as u64)
    );
    assert_eq!((report.full, report.refused), (0, 0));
    for (socket, expected) in to.iter().zip(expected) {
        assert_eq!(receive_all(socket, expected.len()), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_datagram_arrives_intact_and_in_order(
        v6: bool,
        segmentation: bool,
        coalescing: bool,
        runs in prop::collection::vec(
            (0_usize..3, prop_oneof![Just(1_200_usize), Just(1_199), 1_usize..1_500], 1_usize..8, 0_u8..2),
            1..12,
        ),
    ) {
        let sizes: Vec<_> = runs
            .iter()
            .flat_map(|(to, len, count, class)| std::iter::repeat_n((*to, *len, class * 46), *count))
            .collect();
        let ips = loopbacks();
        check_transport(ips[usize::from(v6) % ips.len()], segmentation, coalescing, &sizes);
    }
}

#[test]
fn runs_longer_than_the_kernel_takes_are_split() {
    for segmentation in [false, true] {
        check_transport("127.0.0.1", segmentation, true, &[(0, 100, 0); 150]);
        // 60 segments of this size pass the largest payload.
        check_transport("127.0.0.1", segmentation, true, &[(1, 1_400, 0); 60]);
    }
}

#[test]
fn run_of_equal_datagrams_is_one_message() {
    let (from, to) = (
        socket("127.0.0.1", true, true),
        socket("127.0.0.1", true, true),
    );
    let mut egress = Egress::with_arena(1 << 20);
    for number in 0..5 {
        egress.push(SocketId(0), to.local_addr(), 0, &datagram(number, 1_200));
    }
    egress.push(SocketId(0), to.local_addr(), 0, &datagram(5, 700));
    egress.push(SocketId(0), to.local_addr(), 0, &datagram(6, 701));
    for segmentation in [true, false] {
        let run = run_lengths(&egress, segmentation);
        assert_eq!(run, if segmentation { vec![6, 1] } else { vec![1; 7] });
    }
    let report = Sender::new().send(&from, SocketId(0), egress.bytes(), egress.datagrams());
    assert_eq!((report.datagrams, report.calls), (7, 1));
    assert_eq!(receive_all(&to, 7).len(), 7);
}

/// How the datagrams would be grouped into messages.
fn run_lengths(egress: &Egress, segmentation: bool) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut next = 0;
    while next < egress.datagrams().len() {
        let count = send::run_len(egress.bytes(), egress.datagrams(), next, segmentation);
        lengths.push(count);
        next += count;
    }
    lengths
}

#[test]
fn datagrams_of_other_sockets_are_left_alone() {
    let (from, to) = (
        socket("127.0.0.1", true, true),
        socket("127.0.0.1", true, true),
    );
    let mut egress = Egress::with_arena(1 << 20);
    for (number, socket) in [0, 1, 1, 0, 1].into_iter().enumerate() {
        egress.push(SocketId(socket), to.local_addr(), 0, &datagram(number, 50));
    }
    let report = Sender::new().send(&from, SocketId(1), egress.bytes(), egress.datagrams());
    assert_eq!(report.datagrams, 3);
    let expected: Vec<_> = [1, 2, 4]
        .map(|n| (from.local_addr(), datagram(n, 50)))
        .into();
    assert_eq!(receive_all(&to, 3), expected);
}

#[test]
fn datagram_that_cannot_be_sent_costs_only_itself() {
    let (from, to) = (
        socket("127.0.0.1", true, true),
        socket("127.0.0.1", true, true),
    );
    let nowhere: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let v6: SocketAddr = "[::1]:9".parse().unwrap();
    let mut egress = Egress::with_arena(1 << 20);
    egress.push(SocketId(0), to.local_addr(), 0, &datagram(0, 50));
    for number in 0..3 {
        egress.push(SocketId(0), nowhere, 0, &datagram(number, 50));
    }
    egress.push(SocketId(0), to.local_addr(), 0, &datagram(1, 50));
    egress.push(SocketId(0), v6, 0, &datagram(2, 50));
    egress.push(
        SocketId(0),
        to.local_addr(),
        0,
        &vec![0; MAX_DATAGRAM_BYTES + 1],
    );
    egress.push(SocketId(0), to.local_addr(), 0, &datagram(3, 50));
    let report = Sender::new().send(&from, SocketId(0), egress.bytes(), egress.datagrams());
    assert_eq!((report.datagrams, report.refused, report.full), (3, 5, 0));
    assert!(
        from.segments(),
        "one bad peer must not cost the others the offload"
    );
    let got: Vec<_> = receive_all(&to, 3)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(got, [datagram(0, 50), datagram(1, 50), datagram(3, 50)]);
}

#[test]
fn silent_socket_yields_nothing_at_once() {
    let received = Receiver::new().receive(&socket("127.0.0.1", true, true), |_, _| {
        panic!("nobody sent anything");
    });
    assert_eq!(received.unwrap(), Received::default());
}

#[test]
fn code_point_reaches_the_wire_only_when_set() {
    for ip in loopbacks() {
        let (level, ask) = match ip {
            "::1" => (libc::IPPROTO_IPV6, libc::IPV6_RECVTCLASS),
            _ => (libc::IPPROTO_IP, libc::IP_RECVTOS),
        };
        let (from, to) = (socket(ip, true, false), socket(ip, true, false));
        set_option(to.fd(), level, ask, 1).unwrap();
        let mut egress = Egress::with_arena(1 << 20);
        egress.push(SocketId(0), to.local_addr(), 0, b"a");
        egress.push(SocketId(0), to.local_addr(), 46, b"b");
        Sender::new().send(&from, SocketId(0), egress.bytes(), egress.datagrams());
        let classes: Vec<_> = (0..2).map(|_| receive::traffic_class(&to)).collect();
        assert_eq!(classes, [0, 46 << 2], "{ip}");
    }
}

#[test]
fn time_of_arrival_is_known_where_it_was_asked_for() {
    for timestamps in [false, true] {
        let address = SocketAddr::new(loopbacks()[0].parse().unwrap(), 0);
        let options = SocketOptions {
            timestamps,
            ..SocketOptions::default()
        };
        let (from, to) = (
            UdpSocket::bind(address, options).unwrap(),
            UdpSocket::bind(address, options).unwrap(),
        );
        let mut egress = Egress::with_arena(1 << 20);
        for number in 0..5 {
            egress.push(SocketId(0), to.local_addr(), 0, &datagram(number, 1_200));
        }
        let before = SystemTime::now();
        Sender::new().send(&from, SocketId(0), egress.bytes(), egress.datagrams());
        let mut times = Vec::new();
        let (mut receiver, began) = (Receiver::new(), Instant::now());
        while times.len() < 5 && began.elapsed() < Duration::from_secs(20) {
            let handle = |_: SocketAddr, _: &mut [u8], time| times.push(time);
            receiver.receive_timed(&to, handle).unwrap();
        }
        assert_eq!(times.len(), 5);
        // The first times may be those of receiving: the kernel is not ready for others at once.
        let after = SystemTime::now();
        for time in times {
            let is_between = time.map(|time| (before..=after).contains(&time));
            assert_eq!(is_between, timestamps.then_some(true));
        }
    }
}

#[test]
fn congestion_feedback_alone_goes_to_the_socket_aside() {
    for ip in loopbacks() {
        let main = socket(ip, true, true);
        let aside = main.open_aside(SocketOptions::default()).unwrap();
        assert_eq!(aside.local_addr(), main.local_addr());
        let peer = std::net::UdpSocket::bind((ip, 0)).unwrap();
        let feedback: [&[u8]; 2] = [&[0x8f, 205, 0, 5, 1, 2], &[0xaf, 205]];
        // Lost packets, a wish for a keyframe, a report, the format of feedback with another type, RTP, and scraps.
        let others: [&[u8]; 8] = [
            &[0x81, 205, 0, 3],
            &[0x81, 206, 0, 2],
            &[0x81, 201, 0, 7],
            &[0x8f, 206, 0, 4],
            &[0x8f, 77, 1, 1],
            &[0x0f, 205],
            &[0x8f],
            &[],
        ];
        for datagram in feedback.iter().chain(&others) {
            peer.send_to(datagram, main.local_addr()).unwrap();
        }
        let bytes = |of: Vec<(SocketAddr, Vec<u8>)>| of.into_iter().map(|(_, bytes)| bytes);
        let received = bytes(receive_all(&main, others.len() - 1));
        // Empty datagrams are nobody's.
        assert!(
            received.eq(others
                .iter()
                .filter(|it| !it.is_empty())
                .map(|it| it.to_vec()))
        );
        let received = bytes(receive_all(&aside, feedback.len()));
        assert!(received.eq(feedback.iter().map(|it| it.to_vec())));
        // Whoever does not share is refused as ever.
        let taken = std::net::UdpSocket::bind(main.local_addr()).unwrap_err();
        assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
    }
}
