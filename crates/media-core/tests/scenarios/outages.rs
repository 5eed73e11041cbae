//! Every change of state is told once and in order, also when a peer is lost and comes back.

use super::support::*;
use salono_media_api::{ConnectionState, ElementEvent};

/// How connecting is told, until media comes or goes.
const CONNECTING: [&str; 7] = [
    "ice Connecting",
    "ice Connected",
    "ice Ready",
    "pair",
    "dtls Connecting",
    "dtls Connected",
    "Connected",
];

/// What was told of the states of a peer's endpoint, oldest first.
fn states(world: &World, peer: usize) -> Vec<String> {
    let element = world.element(peer);
    let told = world.element_events(element).filter_map(|event| {
        Some(match event {
            ElementEvent::Connection(state) => format!("{state:?}"),
            ElementEvent::Media(ConnectionState::Connected) => "media".to_owned(),
            ElementEvent::Media(ConnectionState::Disconnected) => "no media".to_owned(),
            ElementEvent::IceState { state, .. } => format!("ice {state:?}"),
            ElementEvent::DtlsState { state, .. } => format!("dtls {state:?}"),
            ElementEvent::CandidatePairSelected { .. } => "pair".to_owned(),
            ElementEvent::FlowIn { kind, flowing, .. } => format!("in {kind:?} {flowing}"),
            ElementEvent::FlowOut { kind, flowing, .. } => format!("out {kind:?} {flowing}"),
            _ => return None,
        })
    });
    told.collect()
}

/// A publisher and a viewer in the middle of a call, with what was told of them so far looked at.
fn call(seed: u64) -> (World, usize, usize) {
    // As browsers do, these peers go on with their checks for minutes.
    let patient = |wish: Wish| Wish {
        configure: |mut config| {
            config.set_max_stun_retransmits(100);
            config
        },
        ..wish
    };
    let mut world = World::new(seed);
    let publisher = world.join_connected(patient(Wish::publish()));
    let viewer = world.join_connected(patient(Wish::subscribe()));
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(5));
    let told = states(&world, publisher);
    let flow = ["out Audio true", "media", "out Video true"];
    assert_eq!(told, [&CONNECTING[..], &flow].concat());
    let told = states(&world, viewer);
    let flow = ["in Audio true", "in Video true", "media"];
    assert_eq!(told, [&CONNECTING[..], &flow].concat());
    world.events.clear();
    (world, publisher, viewer)
}

fn set_link(world: &mut World, peer: usize, link: Link) {
    world.peers[peer].up = link;
    world.peers[peer].down = link;
}

/// Lets time pass and expects exactly these reports of both.
fn expect(world: &mut World, seconds: u64, reports: [(usize, &[&str]); 2]) {
    world.run(secs(seconds));
    for (peer, expected) in reports {
        assert_eq!(states(world, peer), expected, "of peer {peer}");
    }
    world.events.clear();
}

#[test]
fn a_publisher_that_is_cut_off_and_comes_back_is_told_of_once_each_way() {
    let (mut world, publisher, viewer) = call(91);
    set_link(&mut world, publisher, Link::DEAD);
    let gone: [&str; 5] = [
        "out Audio false",
        "out Video false",
        "no media",
        "ice Disconnected",
        "Disconnected",
    ];
    let starves = ["in Audio false", "in Video false"];
    expect(&mut world, 30, [(publisher, &gone), (viewer, &starves)]);
    set_link(&mut world, publisher, Link::PERFECT);
    let back: [&str; 7] = [
        "out Audio true",
        "media",
        "out Video true",
        "ice Connecting",
        "ice Connected",
        "ice Ready",
        "Connected",
    ];
    let sees = ["in Audio true", "in Video true"];
    expect(&mut world, 30, [(publisher, &back), (viewer, &sees)]);
    // Nothing more is told of a call that goes on.
    expect(&mut world, 120, [(publisher, &[]), (viewer, &[])]);
}

#[test]
fn a_viewer_that_is_cut_off_and_comes_back_sees_again_and_is_told_of_once_each_way() {
    let (mut world, publisher, viewer) = call(92);
    set_link(&mut world, viewer, Link::DEAD);
    let gone: [&str; 5] = [
        "no media",
        "ice Disconnected",
        "Disconnected",
        "in Audio false",
        "in Video false",
    ];
    expect(&mut world, 30, [(publisher, &[]), (viewer, &gone)]);
    let seen = world.peers[viewer].video.decoded().len();
    set_link(&mut world, viewer, Link::PERFECT);
    world.run(secs(30));
    assert!(world.peers[viewer].video.decoded().len() > seen + 300);
    let mut told = states(&world, viewer);
    let ice: Vec<&String> = told.iter().filter(|told| told.starts_with("ice")).collect();
    assert_eq!(ice, ["ice Connecting", "ice Connected", "ice Ready"]);
    // Which of reports, packets and checks is the first to get through is chance.
    told.sort_unstable();
    let mut back = [
        "Connected",
        "ice Connected",
        "ice Connecting",
        "ice Ready",
        "in Audio true",
        "in Video true",
        "media",
    ];
    back.sort_unstable();
    assert_eq!(told, back, "told once each");
    world.events.clear();
    expect(&mut world, 120, [(publisher, &[]), (viewer, &[])]);
}

#[test]
fn an_outage_of_seconds_ends_no_connection() {
    let (mut world, publisher, viewer) = call(93);
    set_link(&mut world, publisher, Link::DEAD);
    let gone = ["out Audio false", "out Video false", "no media"];
    let starves = ["in Audio false", "in Video false"];
    expect(&mut world, 4, [(publisher, &gone), (viewer, &starves)]);
    set_link(&mut world, publisher, Link::PERFECT);
    let back = ["out Audio true", "media", "out Video true"];
    let sees = ["in Audio true", "in Video true"];
    expect(&mut world, 60, [(publisher, &back), (viewer, &sees)]);
}

#[test]
fn a_peer_that_never_comes_back_is_told_of_once() {
    let (mut world, publisher, viewer) = call(94);
    set_link(&mut world, publisher, Link::DEAD);
    let gone: [&str; 5] = [
        "out Audio false",
        "out Video false",
        "no media",
        "ice Disconnected",
        "Disconnected",
    ];
    let starves = ["in Audio false", "in Video false"];
    expect(&mut world, 600, [(publisher, &gone), (viewer, &starves)]);
}

#[test]
fn a_peer_that_says_goodbye_is_told_of_at_once_and_once() {
    let (mut world, publisher, viewer) = call(95);
    world.peers[publisher].rtc.close().expect("a goodbye");
    world.peers[publisher].wake = world.now;
    expect(
        &mut world,
        1,
        [(publisher, &["dtls Closed", "Disconnected"]), (viewer, &[])],
    );
    let gone: [&str; 4] = [
        "out Audio false",
        "out Video false",
        "no media",
        "ice Disconnected",
    ];
    let starves = ["in Audio false", "in Video false"];
    expect(&mut world, 600, [(publisher, &gone), (viewer, &starves)]);
}

#[test]
fn no_media_leaves_after_an_outage_before_the_peer_answers_again() {
    let (mut world, _, viewer) = call(96);
    set_link(&mut world, viewer, Link::DEAD);
    world.run(secs(30));
    assert!(!world.shard_says_connected(viewer));
    // The peer is heard again, and asks; but nothing that we say reaches it.
    let before = world.peers[viewer].media_sent;
    let stun = world.peers[viewer].datagrams;
    world.peers[viewer].up = Link::PERFECT;
    world.run(secs(10));
    let told = states(&world, viewer);
    assert!(told.contains(&"ice Connecting".to_owned()), "{told:?}");
    assert_eq!(world.peers[viewer].datagrams, stun, "nothing gets through");
    assert_eq!(
        world.peers[viewer].media_sent, before,
        "no consent, no media"
    );
    world.peers[viewer].down = Link::PERFECT;
    world.run(secs(10));
    assert!(world.shard_says_connected(viewer));
    assert!(world.peers[viewer].media_sent > before + 300);
}
