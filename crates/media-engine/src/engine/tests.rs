//! Real threads and loopback sockets around a small core.

use super::*;
use crate::core::echo::{
    BIND_DATAGRAM, CLOSE_DATAGRAM, DELAY, Echo, GOODBYE, GREETING, PANIC_DATAGRAM,
};
use salono_media_api::{
    ElementEvent, ElementKey, ElementSpec, MediaErrorKind, PipelineKey, Reply, Token,
};
use salono_media_core::Certificates;
use std::collections::BTreeSet;
use std::net::UdpSocket as StdSocket;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(20);

const PIPELINE: PipelineKey = PipelineKey(1);

fn config(shards: usize, ip: &str) -> EngineConfig {
    EngineConfig {
        shards,
        ips: vec![ip.parse().unwrap()],
        ..EngineConfig::new(Certificates::generate().unwrap())
    }
}

fn sink(events: SyncSender<Event>) -> impl Fn(Event) -> Result<(), Event> + Clone + Send {
    move |event| {
        events.try_send(event).map_err(|refused| match refused {
            TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
        })
    }
}

fn start(config: &EngineConfig, room: usize) -> (EngineHandle, Receiver<Event>) {
    let (sender, receiver) = sync_channel(room);
    let engine = start_with(config, sink(sender), |_, _| |_| Ok(Echo::new())).unwrap();
    (engine, receiver)
}

fn submit(engine: &mut EngineHandle, op: Op) {
    let pipeline = PIPELINE;
    assert_eq!(engine.submit(Command { pipeline, op }), Ok(()));
}

fn create(token: u64, element: u64) -> Op {
    Op::Create {
        token: Token(token),
        element: ElementKey(element),
        spec: ElementSpec::PassThrough,
    }
}

fn panicking(token: u64) -> Op {
    Op::Stats {
        token: Token(token),
        element: ElementKey(1),
    }
}

fn done(token: u64) -> Event {
    Event::Replied {
        token: Token(token),
        result: Ok(Reply::Done),
    }
}

/// The token and, of a failed command, the kind.
fn outcome(event: Event) -> (u64, Option<MediaErrorKind>) {
    match event {
        Event::Replied { token, result } => (token.0, result.err().map(|error| error.kind)),
        Event::Element { .. } | Event::Speakers { .. } => panic!("{event:?} is not an answer"),
    }
}

fn next(events: &Receiver<Event>) -> Event {
    events.recv_timeout(PATIENCE).unwrap()
}

/// A peer of the shard that listens on `address`.
fn peer(address: SocketAddr) -> StdSocket {
    let socket = StdSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
    socket.connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn echo(peer: &StdSocket, bytes: &[u8]) {
    let mut buffer = [0; 2_000];
    peer.send(bytes).unwrap();
    let len = peer.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], bytes);
}

#[test]
fn datagrams_pass_through_every_shard_and_are_counted() {
    let available = |ip: &&str| StdSocket::bind((*ip, 0)).is_ok();
    // Containers often lack IPv6.
    for ip in ["127.0.0.1", "::1"].into_iter().filter(available) {
        let (engine, _events) = start(&config(3, ip), 8);
        assert_eq!(
            engine.local_ports().iter().collect::<BTreeSet<_>>().len(),
            3
        );
        for addresses in engine.local_addresses() {
            let peer = peer(addresses[0]);
            for len in [1, 160, 1_200, 1_500] {
                echo(&peer, &vec![7; len]);
            }
        }
        engine.shutdown();
        for metrics in engine.metrics() {
            assert_eq!(
                (metrics.datagrams_received, metrics.bytes_received),
                (4, 2_861)
            );
            assert_eq!((metrics.datagrams_sent, metrics.bytes_sent), (4, 2_861));
            assert!(metrics.loops >= 4 && metrics.busy > Duration::ZERO);
            assert!(metrics.longest_loop > Duration::ZERO);
        }
    }
}

#[test]
fn command_wakes_an_idle_shard() {
    let (mut engine, events) = start(&config(1, "127.0.0.1"), 8);
    submit(&mut engine, Op::CreatePipeline);
    for token in 0..50 {
        submit(&mut engine, create(token, token));
        assert_eq!(next(&events), done(token));
    }
}

#[test]
fn timers_wake_an_idle_shard_and_not_too_early() {
    let (mut engine, events) = start(&config(1, "127.0.0.1"), 8);
    for token in 0..3 {
        let (token, element) = (Token(token), ElementKey(1));
        let before = Instant::now();
        submit(&mut engine, Op::RequestKeyframe { token, element });
        assert_eq!(next(&events), done(token.0));
        assert!(before.elapsed() >= DELAY);
    }
}

#[test]
fn commands_of_one_pipeline_keep_their_order() {
    let (mut engine, events) = start(&config(2, "127.0.0.1"), 2_000);
    submit(&mut engine, Op::CreatePipeline);
    for token in 0..1_000 {
        submit(&mut engine, create(token, token));
    }
    let answers: Vec<_> = (0..1_000).map(|_| next(&events)).collect();
    assert_eq!(answers, (0..1_000).map(done).collect::<Vec<_>>());
}

#[test]
fn pipelines_spread_over_the_shards() {
    let (mut engine, _events) = start(&config(3, "127.0.0.1"), 8);
    for pipeline in (0..6).map(PipelineKey) {
        engine
            .submit(Command {
                pipeline,
                op: Op::CreatePipeline,
            })
            .unwrap();
    }
    engine.shutdown();
    let pipelines: Vec<_> = engine
        .metrics()
        .iter()
        .map(|metrics| metrics.pipelines)
        .collect();
    assert_eq!(pipelines, [2, 2, 2]);
}

#[test]
fn shutdown_finishes_what_waits_joins_and_frees_the_ports() {
    let (mut engine, events) = start(&config(2, "127.0.0.1"), 2_000);
    submit(&mut engine, Op::CreatePipeline);
    (0..500).for_each(|token| submit(&mut engine, create(token, token)));
    engine.shutdown();
    assert_eq!(
        events.try_iter().collect::<Vec<_>>(),
        (0..500).map(done).collect::<Vec<_>>()
    );
    let late = Command {
        pipeline: PIPELINE,
        op: create(500, 500),
    };
    assert_eq!(engine.submit(late.clone()), Err(Box::new(late)));
    for addresses in engine.local_addresses() {
        StdSocket::bind(addresses[0]).unwrap();
    }
    engine.shutdown();
}

#[test]
fn dropping_the_last_handle_ends_the_threads() {
    let (engine, events) = start(&config(2, "127.0.0.1"), 8);
    let clone = engine.clone();
    drop(engine);
    assert_eq!(events.try_recv().unwrap_err(), mpsc::TryRecvError::Empty);
    drop(clone);
    // Only the threads held the other end.
    let ended = events.recv_timeout(PATIENCE).unwrap_err();
    assert_eq!(ended, RecvTimeoutError::Disconnected);
}

#[test]
fn slow_consumer_loses_nothing_and_submitters_see_a_full_queue() {
    let config = EngineConfig {
        command_queue: 64,
        event_backlog: 128,
        ..config(1, "127.0.0.1")
    };
    let (mut engine, events) = start(&config, 1);
    submit(&mut engine, Op::CreatePipeline);
    // Nobody listens, so sooner or later the queue stays full.
    let mut submitted = 0;
    let refused = loop {
        let command = Command {
            pipeline: PIPELINE,
            op: create(submitted, submitted),
        };
        match engine.submit(command) {
            Ok(()) => submitted += 1,
            Err(command) if submitted > 128 => break command,
            Err(_) => std::thread::yield_now(),
        }
    };
    assert_eq!(refused.op, create(submitted, submitted));
    assert!(
        submitted <= 1 + 128 + 64,
        "{submitted} commands were accepted"
    );
    let answers: Vec<_> = (0..submitted).map(|_| next(&events)).collect();
    assert_eq!(answers, (0..submitted).map(done).collect::<Vec<_>>());
    engine.shutdown();
    assert_eq!(engine.metrics()[0].events_dropped, 0);
}

#[test]
fn panic_costs_the_command_that_caused_it_and_nothing_else() {
    let (mut engine, events) = start(&config(1, "127.0.0.1"), 16);
    submit(&mut engine, Op::CreatePipeline);
    submit(&mut engine, create(1, 1));
    submit(&mut engine, panicking(2));
    submit(&mut engine, create(3, 3));
    let element = ElementKey(1);
    submit(
        &mut engine,
        Op::Description {
            token: Token(4),
            element,
            remote: false,
        },
    );
    let answers: Vec<_> = (0..4).map(|_| outcome(next(&events))).collect();
    let failed = Some(MediaErrorKind::Internal);
    assert_eq!(answers, [(1, None), (2, failed), (3, None), (4, None)]);
}

#[test]
fn shard_that_keeps_panicking_starts_again_empty_and_says_so() {
    let (mut engine, events) = start(&config(1, "127.0.0.1"), 16);
    submit(&mut engine, Op::CreatePipeline);
    submit(&mut engine, create(1, 1));
    submit(&mut engine, create(2, 2));
    (3..6).for_each(|token| submit(&mut engine, panicking(token)));
    let answers: Vec<_> = (0..5).map(|_| outcome(next(&events)).0).collect();
    assert_eq!(answers, [1, 2, 3, 4, 5]);
    for key in [1, 2] {
        let Event::Element {
            element,
            event: ElementEvent::Failed(error),
        } = next(&events)
        else {
            panic!("elements must be reported");
        };
        assert_eq!(
            (element, error.kind),
            (ElementKey(key), MediaErrorKind::Internal)
        );
    }
    // The pipeline is there again, its elements are not.
    let element = ElementKey(1);
    submit(
        &mut engine,
        Op::Description {
            token: Token(6),
            element,
            remote: false,
        },
    );
    submit(&mut engine, create(7, 7));
    assert_eq!(outcome(next(&events)), (6, Some(MediaErrorKind::NotFound)));
    assert_eq!(outcome(next(&events)), (7, None));
}

#[test]
fn datagram_that_hits_a_bug_does_not_stop_the_shard() {
    let (engine, _events) = start(&config(1, "127.0.0.1"), 8);
    let peer = peer(engine.local_addresses()[0][0]);
    for _ in 0..7 {
        peer.send(PANIC_DATAGRAM).unwrap();
        echo_until_answered(&peer);
    }
}

/// A datagram that shares its batch with one that hits a bug may be lost with it.
fn echo_until_answered(peer: &StdSocket) {
    peer.set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let answered = (0..100).any(|_| {
        peer.send(b"fine").unwrap();
        peer.recv(&mut [0; 16]).is_ok()
    });
    assert!(answered);
}

#[test]
fn core_that_cannot_be_made_is_an_error_of_the_start() {
    let make = |_, _: &_| |_| io::Result::<Echo>::Err(io::Error::other("no core today"));
    let result = start_with(&config(2, "127.0.0.1"), |_| Ok(()), make);
    assert!(result.is_err_and(|error| error.to_string().contains("no core today")));
}

/// Has the shard that listens on `address` bind a pair of sockets; a peer that is connected to
/// neither, and where they are.
fn bound_pair(address: SocketAddr) -> (StdSocket, [SocketAddr; 2]) {
    let peer = StdSocket::bind(SocketAddr::new(address.ip(), 0)).unwrap();
    peer.set_read_timeout(Some(PATIENCE)).unwrap();
    peer.send_to(BIND_DATAGRAM, address).unwrap();
    let mut bound = [(); 2].map(|()| receive(&peer, GREETING));
    bound.sort_unstable();
    (peer, bound)
}

/// Where the next datagram, which must have this content, comes from.
fn receive(peer: &StdSocket, expected: &[u8]) -> SocketAddr {
    let mut buffer = [0; 100];
    let (len, from) = peer.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], expected);
    from
}

/// Whether nobody has a socket on the address. A child that another test is just starting may have had it open for a
/// moment longer than this process.
fn becomes_free(address: SocketAddr) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while StdSocket::bind(address).is_err() {
        if Instant::now() > deadline {
            return false;
        }
        thread::yield_now();
    }
    true
}

#[test]
fn sockets_come_and_go_at_the_wish_of_the_core_and_last_words_are_sent() {
    let (engine, _events) = start(&config(1, "127.0.0.1"), 8);
    for _ in 0..20 {
        let (peer, [rtp, rtcp]) = bound_pair(engine.local_addresses()[0][0]);
        assert_eq!((rtp.port() % 2, rtcp.port()), (0, rtp.port() + 1));
        for address in [rtp, rtcp] {
            peer.send_to(b"ping", address).unwrap();
            assert_eq!(receive(&peer, b"ping"), address);
            peer.send_to(CLOSE_DATAGRAM, address).unwrap();
            assert_eq!(receive(&peer, GOODBYE), address);
        }
        // The second goodbye was sent before the second socket was closed, but after the first.
        assert!(becomes_free(rtp));
    }
    engine.shutdown();
    assert_eq!(engine.metrics()[0].sockets, 0);
}

#[test]
fn shard_that_starts_again_empty_has_closed_what_it_had_asked_for() {
    let (mut engine, events) = start(&config(1, "127.0.0.1"), 16);
    let address = engine.local_addresses()[0][0];
    let (_peer, bound) = bound_pair(address);
    submit(&mut engine, Op::CreatePipeline);
    submit(&mut engine, create(1, 1));
    (2..5).for_each(|token| submit(&mut engine, panicking(token)));
    while !matches!(next(&events), Event::Element { .. }) {}
    assert!(bound.into_iter().all(becomes_free));
    echo(&peer(address), b"it goes on");
}

#[test]
fn shutdown_closes_what_the_core_had_asked_for() {
    let (engine, _events) = start(&config(1, "127.0.0.1"), 8);
    let (_peer, bound) = bound_pair(engine.local_addresses()[0][0]);
    engine.shutdown();
    assert_eq!(engine.metrics()[0].sockets, 2);
    assert!(bound.into_iter().all(becomes_free));
}

#[test]
fn each_address_has_a_listener_for_ice_unless_told_not_to() {
    for ice_tcp in [true, false] {
        let mut given = Vec::new();
        let config = EngineConfig {
            ice_tcp,
            ips: ["127.0.0.1", "127.0.0.2"]
                .map(|ip| ip.parse().unwrap())
                .into(),
            ..config(1, "127.0.0.1")
        };
        let plan = |addresses: Vec<LocalAddress>, _: &[SocketAddr]| {
            given = addresses;
            |_| Ok(Echo::new())
        };
        let _engine = start_with(&config, |_| Ok(()), plan).unwrap();
        let kinds: Vec<_> = given.iter().map(|local| local.kind).collect();
        let (udp, tcp) = (SocketKind::Udp, SocketKind::IceTcp);
        let expected = if ice_tcp {
            vec![udp, udp, tcp, tcp]
        } else {
            vec![udp, udp]
        };
        assert_eq!(kinds, expected);
        for (id, local) in given.iter().enumerate() {
            assert_eq!(usize::from(local.socket.0), id);
            // The second address is one of the interface's net, not one that it lists.
            let interface = if id % 2 == 0 { "lo" } else { "" };
            assert_eq!(local.interface, interface);
            let beside = &given[id % 2];
            assert_eq!(local.addr.ip(), beside.addr.ip());
            if local.kind == tcp {
                std::net::TcpStream::connect(local.addr).unwrap();
            }
        }
    }
}

#[test]
fn certificates_to_trust_must_be_certificates() {
    let config = EngineConfig {
        extra_roots: "nonsense".to_owned(),
        ..config(1, "127.0.0.1")
    };
    let started = start_with(&config, |_| Ok(()), |_, _| |_| Ok(Echo::new()));
    assert!(matches!(started, Err(StartError::ExtraRoots(_))));
}
