//! Elements and pipelines may go at any moment; who is left is not harmed.

use super::support::*;
use salono_media_api::Op;
use str0m::IceConnectionState;

#[test]
fn a_released_pipeline_leaves_nothing_behind() {
    let mut world = World::new(71);
    let publisher = world.join_connected(Wish::both());
    let viewer = world.join_connected(Wish::subscribe().over(Link::BAD));
    let fan = world.pass_through(1_000);
    world.connect(world.element(publisher), fan);
    world.connect(fan, world.element(viewer));
    world.connect(world.element(publisher), world.element(publisher));
    world.start(publisher);
    world.run(secs(2));
    assert_eq!(world.shard.metrics().elements, 3);
    world.op(Op::ReleasePipeline);
    let metrics = world.shard.metrics();
    assert_eq!(
        (metrics.pipelines, metrics.elements, metrics.endpoints),
        (0, 0, 0)
    );
    assert_eq!(metrics.endpoints_connected, 0);
    world.run(secs(2));
    assert!(world.peers[publisher].is_closed, "told by close_notify");
    let sent = world.peers[viewer].datagrams;
    world.run(secs(30));
    assert_eq!(world.peers[viewer].datagrams, sent, "not a packet more");
    assert!(world.shard.egress().is_empty());
    // The pipeline key may not be used any more, its elements neither.
    let element = world.element(viewer);
    assert!(world.ask(|token| Op::Stats { token, element }).is_err());
}

#[test]
fn a_released_publisher_leaves_its_viewers_to_the_next() {
    let mut world = World::new(72);
    let first = world.join_connected(Wish::publish());
    let second = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(first), world.element(viewer));
    for peer in [first, second] {
        world.start(peer);
    }
    world.run(secs(2));
    let element = world.element(first);
    world.op(Op::Release { element });
    world.run(secs(1));
    assert_eq!(world.shard.metrics().endpoints, 2);
    world.connect(world.element(second), world.element(viewer));
    world.run(secs(2));
    let received = &world.peers[viewer].video;
    assert_eq!(received.gaps(), [0u64; 0]);
    let frames = received.decoded();
    assert!(frames.last().is_some_and(|frame| frame.publisher == 2));
    assert!(frames.len() > 100);
}

#[test]
fn a_released_viewer_is_gone_for_everybody_else() {
    let mut world = World::new(73);
    let publisher = world.join_connected(Wish::publish());
    let leaves = world.join_connected(Wish::subscribe());
    let stays = world.join_connected(Wish::subscribe());
    for viewer in [leaves, stays] {
        world.connect(world.element(publisher), world.element(viewer));
    }
    world.start(publisher);
    world.run(secs(1));
    let element = world.element(leaves);
    world.op(Op::Release { element });
    world.run(secs(2));
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    let until = world.now - millis(100);
    assert_eq!(
        world.peers[stays].video.missing(1, camera, until),
        [0u32; 0]
    );
    assert!(world.peers[leaves].is_closed);
    assert_eq!(world.shard.metrics().endpoints, 2);
}

#[test]
fn elements_may_go_in_the_middle_of_connecting() {
    for steps in 0..40 {
        let mut world = World::new(100 + steps);
        let publisher = world.join(Wish::publish());
        let viewer = world.join(Wish {
            data: true,
            ..Wish::subscribe()
        });
        world.connect(world.element(publisher), world.element(viewer));
        world.start(publisher);
        world.run(millis(steps * 7));
        for peer in [publisher, viewer] {
            let element = world.element(peer);
            world.op(Op::Release { element });
            world.op(Op::Release { element });
        }
        assert_eq!(world.shard.metrics().elements, 0);
        let before: u64 = world.peers.iter().map(|peer| peer.datagrams).sum();
        world.run(millis(50));
        let settled: u64 = world.peers.iter().map(|peer| peer.datagrams).sum();
        world.run(secs(1));
        let after: u64 = world.peers.iter().map(|peer| peer.datagrams).sum();
        assert_eq!(settled, after, "from {before}");
    }
}

#[test]
fn a_peer_that_falls_silent_is_reported_and_can_be_released() {
    let mut world = World::new(74);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(secs(2));
    world.peers[publisher].up = Link::DEAD;
    world.peers[publisher].down = Link::DEAD;
    world.run(secs(60));
    assert!(!world.shard_says_connected(publisher));
    assert_eq!(world.peers[publisher].ice, IceConnectionState::Disconnected);
    let element = world.element(publisher);
    world.op(Op::Release { element });
    assert_eq!(world.shard.metrics().elements, 0);
}

#[test]
fn a_quiet_hour_ends_no_call() {
    let mut world = World::new(75);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(3_600));
    world.start(publisher);
    world.run(secs(2));
    assert!(world.shard_says_connected(publisher) && world.shard_says_connected(viewer));
    assert!(world.peers[viewer].video.decoded().len() > 50);
}

#[test]
fn connections_of_a_peer_are_closed_with_its_endpoint() {
    let mut world = World::over_tcp(76);
    let [released, leaves, stays] = [(); 3].map(|()| world.join_connected(Wish::publish()));
    let element = world.element(released);
    world.op(Op::Release { element });
    assert_eq!(world.disconnected, [world.peers[released].addr]);
    world.run(secs(1));
    assert!(
        world.peers[released].is_closed,
        "told by close_notify first"
    );

    world.disconnected.clear();
    world.peers[leaves].rtc.close().expect("a goodbye");
    world.peers[leaves].wake = world.now;
    world.run(secs(1));
    assert_eq!(world.disconnected, [world.peers[leaves].addr]);
    let element = world.element(leaves);
    world.op(Op::Release { element });
    assert_eq!(world.disconnected.len(), 1, "closed once");
    assert!(world.shard_says_connected(stays));
}

#[test]
fn sockets_that_peers_share_are_left_alone_by_a_release() {
    let mut world = World::new(77);
    let peer = world.join_connected(Wish::publish());
    let element = world.element(peer);
    world.op(Op::Release { element });
    assert!(world.disconnected.is_empty());
}
