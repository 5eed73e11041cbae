//! Behind NATs: addresses learnt from a STUN server, and calls by way of a TURN server.

use super::support::servers::{Host, PASSWORD, SERVER, USER};
use super::support::*;
use salono_media_api::*;
use std::net::IpAddr;
use str0m::Candidate;
use turn_server_proto::types::TransportType;

/// First bytes of requests and indications.
const BINDING: [u8; 2] = [0x00, 0x01];
const ALLOCATE: [u8; 2] = [0x00, 0x03];
const REFRESH: [u8; 2] = [0x00, 0x04];
const PERMISSION: [u8; 2] = [0x00, 0x08];
const CHANNEL: [u8; 2] = [0x00, 0x09];
const SEND: [u8; 2] = [0x00, 0x16];

fn outside() -> IpAddr {
    IpAddr::from([203, 0, 113, 9])
}

fn server() -> ServerAddress {
    ServerAddress {
        host: SERVER.ip().to_string(),
        port: SERVER.port(),
    }
}

fn stun() -> IceSettings {
    IceSettings {
        stun: Some(server()),
        ..IceSettings::default()
    }
}

fn turn(transport: TurnTransport) -> IceSettings {
    IceSettings {
        turn: Some(TurnServer {
            server: server(),
            transport,
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
        }),
        ..IceSettings::default()
    }
}

fn world(transport: TransportType, nat: Option<IpAddr>) -> World {
    let mut world = World::new(7);
    world.servers.host = Some(Host::new(transport, nat, world.origin));
    world
}

fn host(world: &mut World) -> &mut Host {
    world.servers.host.as_mut().expect("a server")
}

/// A peer whose offer was answered, with the endpoint about to gather.
fn negotiated(world: &mut World, wish: Wish, settings: IceSettings) -> usize {
    let index = world.join_without_gathering(wish);
    world.op(Op::SetIce {
        element: world.element(index),
        settings: Box::new(settings),
    });
    index
}

fn gather(world: &mut World, index: usize) {
    let element = world.element(index);
    world
        .ask(|token| Op::GatherCandidates { token, element })
        .expect("gathering starts");
}

fn candidates(world: &World, index: usize) -> Vec<IceCandidate> {
    world
        .element_events(world.element(index))
        .filter_map(|event| match event {
            ElementEvent::IceCandidateFound(candidate) => Some(candidate.clone()),
            _ => None,
        })
        .collect()
}

fn of_kind(world: &World, index: usize, kind: &str) -> Vec<String> {
    candidates(world, index)
        .into_iter()
        .map(|candidate| candidate.candidate)
        .filter(|line| line.contains(&format!(" typ {kind}")))
        .collect()
}

fn is_done(world: &World, index: usize) -> bool {
    world.has(world.element(index), &ElementEvent::IceGatheringDone)
}

/// Gathers, and lets the peer know the relayed candidates alone.
fn connect_by_relay(world: &mut World, index: usize) {
    gather(world, index);
    assert!(world.run_until(secs(4), |world| is_done(world, index)));
    let relayed = of_kind(world, index, "relay");
    assert!(!relayed.is_empty(), "{:?}", candidates(world, index));
    for line in relayed {
        let candidate = Candidate::from_sdp_string(&line).expect("a valid candidate");
        world.peers[index].rtc.add_remote_candidate(candidate);
    }
    if !world.run_until(secs(10), |world| world.is_connected(index)) {
        panic!("no way through the relay: {:?}", host(world).seen);
    }
}

#[test]
fn mapping_is_reported_once_per_m_line_and_ends_up_in_the_description() {
    let mut world = world(TransportType::Udp, Some(outside()));
    let peer = negotiated(&mut world, Wish::both(), stun());
    gather(&mut world, peer);
    let element = world.element(peer);
    let mapped = of_kind(&world, peer, "srflx");
    assert_eq!(mapped.len(), 2, "{mapped:?}");
    assert!(
        mapped[0].ends_with("203.0.113.9 4000 typ srflx raddr 10.0.0.1 rport 4000"),
        "{}",
        mapped[0]
    );
    let mids: Vec<String> = candidates(&world, peer)
        .iter()
        .map(|c| c.mid.clone())
        .collect();
    assert_eq!(mids.len(), 4);
    assert!(mids[0] != mids[1] && mids[..2] == mids[2..], "{mids:?}");
    let last = world
        .element_events(element)
        .filter(|event| {
            matches!(
                event,
                ElementEvent::IceCandidateFound(_) | ElementEvent::IceGatheringDone
            )
        })
        .last();
    assert_eq!(last, Some(&ElementEvent::IceGatheringDone));
    assert_eq!(world.sdp_line(peer, false, "c=IN IP4 203.0.113.9"), "");
    assert_eq!(world.sdp_line(peer, false, "a=end-of-candidates"), "");
    assert!(world.sdp_line(peer, false, "m=audio ").starts_with("4000 "));
    // Asking again changes nothing.
    gather(&mut world, peer);
    assert_eq!(candidates(&world, peer).len(), 4);
}

#[test]
fn mapping_that_is_the_socket_itself_is_no_candidate() {
    let mut world = world(TransportType::Udp, None);
    let peer = negotiated(&mut world, Wish::both(), stun());
    gather(&mut world, peer);
    assert!(is_done(&world, peer));
    assert_eq!(of_kind(&world, peer, "srflx"), [""; 0]);
}

#[test]
fn endpoints_share_a_mapping_and_keep_it_alive_while_they_use_it() {
    let mut world = world(TransportType::Udp, Some(outside()));
    for _ in 0..3 {
        let peer = negotiated(&mut world, Wish::both(), stun());
        gather(&mut world, peer);
        assert_eq!(of_kind(&world, peer, "srflx").len(), 2);
    }
    assert_eq!(host(&mut world).count(BINDING), 1);
    world.run(secs(60));
    assert_eq!(host(&mut world).count(BINDING), 3, "kept alive");
    for index in 0..3 {
        let element = world.element(index);
        world.op(Op::Release { element });
    }
    world.run(secs(60));
    assert_eq!(host(&mut world).count(BINDING), 3, "not longer than needed");
}

#[test]
fn dead_server_delays_nothing_but_the_end() {
    let mut world = world(TransportType::Udp, None);
    host(&mut world).is_silent = true;
    let settings = IceSettings {
        turn: turn(TurnTransport::Udp).turn,
        ..stun()
    };
    let peer = negotiated(&mut world, Wish::both(), settings.clone());
    gather(&mut world, peer);
    assert_eq!(of_kind(&world, peer, "host").len(), 2, "at once");
    world.trickle(peer);
    world.expect_connected(peer);
    assert!(!is_done(&world, peer));
    let began = world.origin;
    assert!(world.run_until(secs(6), |world| is_done(world, peer)));
    assert!(world.now - began <= secs(5));
    assert!(host(&mut world).count(BINDING) >= 4, "asked several times");
    // The next one does not wait for what is known to be dead.
    let next = negotiated(&mut world, Wish::both(), settings);
    gather(&mut world, next);
    assert!(is_done(&world, next));
}

#[test]
fn servers_may_be_named() {
    let mut world = world(TransportType::Udp, Some(outside()));
    let named = |name: &str| IceSettings {
        stun: Some(ServerAddress {
            host: name.to_owned(),
            port: SERVER.port(),
        }),
        ..IceSettings::default()
    };
    world
        .servers
        .names
        .insert("stun.example.org".to_owned(), SERVER.ip());
    let peer = negotiated(&mut world, Wish::both(), named("stun.example.org"));
    gather(&mut world, peer);
    assert_eq!(of_kind(&world, peer, "srflx").len(), 2);
    let lost = negotiated(&mut world, Wish::both(), named("nowhere.example.org"));
    gather(&mut world, lost);
    assert!(is_done(&world, lost), "an unknown name is no server");
    assert_eq!(of_kind(&world, lost, "srflx"), [""; 0]);
}

/// Media of a peer that can only be reached by way of the server.
fn media_by_relay(transport: TransportType, turned: TurnTransport, piece: usize) {
    let mut world = world(transport, Some(outside()));
    world.servers.piece = piece;
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    // The publisher is connected; who comes now has no direct way.
    let watcher = negotiated(&mut world, Wish::subscribe(), turn(turned));
    world.connect(world.element(publisher), world.element(watcher));
    world.servers.blocked = vec![watcher];
    connect_by_relay(&mut world, watcher);
    world.run(secs(3));
    let until = world.now - millis(200);
    let (sender, peer) = (&world.peers[publisher], &world.peers[watcher]);
    let source = sender.video_source.as_ref().expect("a source");
    let frames = peer.video.decoded();
    let seen = world.servers.host.as_ref().expect("a server");
    assert!(
        frames.len() > 60,
        "{} frames of {} {:?}",
        frames.len(),
        seen.channel_data,
        seen.seen
    );
    let id = sender.element.0 as u8;
    assert_eq!(peer.video.missing(id, source, until), [0u32; 0]);
    assert_eq!(peer.errors, 0);
    let stats = world.stats(watcher);
    let [transport] = &stats.transports[..] else {
        panic!("one transport: {stats:?}");
    };
    let pair = transport.pairs.iter().find(|pair| pair.selected);
    let pair = pair.expect("a selected pair");
    assert_eq!(
        (
            &*pair.local.kind,
            &*pair.local.address,
            &*pair.remote.address
        ),
        ("relay", "10.0.2.2", "10.0.1.2")
    );
    assert!(pair.round_trip_time.is_some());
    let fingerprint = world.sdp_line(watcher, false, "a=fingerprint:");
    let [ours, theirs] = &transport.certificates[..] else {
        panic!("two certificates: {transport:?}");
    };
    assert_eq!(
        format!("{} {}", ours.algorithm, ours.fingerprint),
        fingerprint
    );
    assert!(ours.local && !theirs.local && ours != theirs);
    assert!(transport.bytes_sent > 100_000 && transport.bytes_received > 1_000);
    let host = host(&mut world);
    assert!(host.channel_data > 300, "media takes the channel");
    assert!(
        host.count(SEND) < 20,
        "{} before there was one",
        host.count(SEND)
    );
    assert_eq!(
        (host.count(ALLOCATE), host.count(CHANNEL)),
        (2, 1),
        "once without and once with credentials; one channel"
    );
}

#[test]
fn media_flows_through_a_relay_over_udp() {
    media_by_relay(TransportType::Udp, TurnTransport::Udp, 0);
}

#[test]
fn media_flows_through_a_relay_over_tcp_however_the_stream_is_cut() {
    media_by_relay(TransportType::Tcp, TurnTransport::Tcp, 7);
}

#[test]
fn allocation_is_shared_kept_for_as_long_as_it_is_used_and_given_back() {
    let mut world = world(TransportType::Udp, Some(outside()));
    // Nonces grow old on the way.
    host(&mut world).set_nonce_lifetime(secs(100));
    world.servers.blocked = vec![0, 1];
    let peers = [0, 1].map(|_| {
        let peer = negotiated(&mut world, Wish::both(), turn(TurnTransport::Udp));
        connect_by_relay(&mut world, peer);
        peer
    });
    assert_eq!(host(&mut world).allocated, 1);
    assert_eq!(world.servers.sockets.len(), 1);
    // Longer than an allocation, a permission and a channel last.
    world.run(secs(700));
    for peer in peers {
        assert!(world.shard_says_connected(peer));
    }
    assert!(host(&mut world).count(REFRESH) >= 1);
    assert!(host(&mut world).count(CHANNEL) >= 4);
    let permissions = host(&mut world).count(PERMISSION);
    for peer in peers {
        let element = world.element(peer);
        world.op(Op::Release { element });
    }
    let refreshed = host(&mut world).count(REFRESH);
    world.run(secs(9));
    assert_eq!(host(&mut world).count(REFRESH), refreshed, "it lingers");
    world.run(secs(3));
    assert!(host(&mut world).count(REFRESH) > refreshed);
    assert_eq!(world.servers.sockets.len(), 0, "the socket is closed");
    assert!(host(&mut world).relays.is_empty(), "the server knows");
    world.run(secs(600));
    assert_eq!(host(&mut world).count(PERMISSION), permissions);
}

#[test]
fn wrong_credentials_gather_no_relay_and_end_soon() {
    let mut world = world(TransportType::Udp, None);
    let mut settings = turn(TurnTransport::Udp);
    if let Some(turn) = settings.turn.as_mut() {
        turn.password = "wrong".to_owned();
    }
    let peer = negotiated(&mut world, Wish::both(), settings);
    gather(&mut world, peer);
    assert!(world.run_until(secs(1), |world| is_done(world, peer)));
    assert_eq!(of_kind(&world, peer, "relay"), [""; 0]);
    assert_eq!(of_kind(&world, peer, "host").len(), 2);
    assert_eq!(world.servers.sockets.len(), 0, "nothing is left open");
    assert_eq!(host(&mut world).count(ALLOCATE), 2);
}

#[test]
fn server_that_dies_takes_its_relays_along_and_the_next_call_allocates_anew() {
    let mut world = world(TransportType::Udp, None);
    let first = negotiated(&mut world, Wish::both(), turn(TurnTransport::Udp));
    gather(&mut world, first);
    assert_eq!(of_kind(&world, first, "relay").len(), 2);
    host(&mut world).is_silent = true;
    world.run(secs(600));
    assert_eq!(world.servers.sockets.len(), 0, "given up");
    host(&mut world).is_silent = false;
    let second = negotiated(&mut world, Wish::both(), turn(TurnTransport::Udp));
    gather(&mut world, second);
    assert_eq!(of_kind(&world, second, "relay").len(), 2);
}

#[test]
fn garbage_from_a_server_harms_nobody() {
    let mut world = world(TransportType::Udp, None);
    let peer = negotiated(&mut world, Wish::both(), turn(TurnTransport::Udp));
    gather(&mut world, peer);
    let (socket, _) = world.servers.sockets.iter().next().expect("a socket");
    let socket = *socket;
    let mut dice = Dice(11);
    for round in 0..20_000_u32 {
        let length = dice.below(80) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| dice.next() as u8).collect();
        // Half of it looks like something.
        if let (0, Some(first)) = (round % 2, bytes.first_mut()) {
            *first = [0x40, 0x00, 0x01, 0x80][dice.below(4) as usize];
        }
        world
            .shard
            .handle_datagram(socket, SERVER, &mut bytes, world.now);
    }
    world.shard.flush(world.now);
    let element = world.element(peer);
    assert!(world.ask(|token| Op::Stats { token, element }).is_ok());
}

#[test]
fn connection_that_comes_too_late_is_closed_again() {
    let mut world = world(TransportType::Tcp, None);
    world.servers.delays_connections = true;
    let peer = negotiated(&mut world, Wish::both(), turn(TurnTransport::Tcp));
    gather(&mut world, peer);
    let element = world.element(peer);
    world.op(Op::Release { element });
    world.run(secs(20));
    world.connect_delayed();
    assert_eq!(world.servers.opened, 1);
    assert_eq!(world.servers.sockets.len(), 0, "closed");
}
