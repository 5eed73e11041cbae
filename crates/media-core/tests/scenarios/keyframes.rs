//! Who needs a keyframe gets one, and publishers are not asked more often than they have to be.

use super::support::*;
use salono_media_api::{Op, Reply};
use str0m::media::KeyframeRequestKind;

#[test]
fn a_new_subscriber_sees_a_picture_at_once() {
    let mut world = World::new(31);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(secs(3));
    let viewer = world.join_connected(Wish::subscribe());
    let asked = world.peers[publisher].keyframe_requests.len();
    let connected = world.now;
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(1));
    assert_eq!(world.peers[publisher].keyframe_requests.len(), asked + 1);
    let first = world.peers[viewer].video.decoded()[0];
    assert!(first.is_key);
    // A request and a frame interval and the way back.
    assert!(
        first.at - connected < millis(100),
        "{:?}",
        first.at - connected
    );
}

#[test]
fn a_crowd_of_requests_reaches_the_publisher_once_per_interval() {
    let mut world = World::new(32);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    let viewers: Vec<usize> = (0..10).map(|_| world.join(Wish::subscribe())).collect();
    for viewer in &viewers {
        world.connect(world.element(publisher), world.element(*viewer));
    }
    for viewer in &viewers {
        world.expect_connected(*viewer);
    }
    world.run(secs(1));
    let began = world.now;
    for _ in 0..30 {
        for viewer in &viewers {
            let peer = &mut world.peers[*viewer];
            let mid = peer.video_mid.expect("video");
            let mut direct = peer.rtc.direct_api();
            if let Some(stream) = direct.stream_rx_by_mid(mid, None) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
            }
            peer.wake = world.now;
        }
        world.run(millis(100));
    }
    let requests: Vec<_> = world.peers[publisher]
        .keyframe_requests
        .iter()
        .filter(|at| **at >= began)
        .collect();
    assert!(
        (5..=7).contains(&requests.len()),
        "{} requests in 3 s",
        requests.len()
    );
    assert!(
        requests
            .windows(2)
            .all(|two| *two[1] - *two[0] >= millis(499)),
        "not closer than the interval"
    );
    let stats = world.stats(viewers[3]);
    assert!(stats.streams.iter().any(|stream| stream.pli_count > 10));
}

#[test]
fn a_keyframe_can_be_asked_for_on_behalf_of_a_subscriber() {
    let mut world = World::new(33);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.start(publisher);
    world.run(secs(1));
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(2));
    let asked = world.peers[publisher].keyframe_requests.len();
    let element = world.element(viewer);
    let reply = world.ask(|token| Op::RequestKeyframe { token, element });
    assert_eq!(reply, Ok(Reply::Done));
    world.run(secs(1));
    assert_eq!(world.peers[publisher].keyframe_requests.len(), asked + 1);
    let keys = world.peers[viewer].video.decoded();
    assert_eq!(keys.iter().filter(|frame| frame.is_key).count(), 2);
    // A publisher receives nothing that could have a keyframe.
    let element = world.element(publisher);
    assert!(
        world
            .ask(|token| Op::RequestKeyframe { token, element })
            .is_err()
    );
}

#[test]
fn a_silent_publisher_is_asked_a_few_times_and_then_left_alone() {
    let mut world = World::new(34);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(60));
    let asked = world.peers[publisher].keyframe_requests.len();
    assert!((1..=10).contains(&asked), "{asked} requests");
}

#[test]
fn a_subscriber_may_wait_for_a_publisher_that_is_not_there_yet() {
    let mut world = World::new(35);
    let viewer = world.join_connected(Wish::subscribe());
    let publisher = world.join(Wish {
        up: Link::DEAD,
        ..Wish::publish()
    });
    world.connect(world.element(publisher), world.element(viewer));
    // Time would stand still if a request that cannot be sent stayed due.
    world.run(secs(3));
    world.peers[publisher].up = Link::PERFECT;
    world.start(publisher);
    world.expect_connected(publisher);
    world.run(secs(2));
    assert!(world.peers[viewer].video.decoded().len() > 40);
}
