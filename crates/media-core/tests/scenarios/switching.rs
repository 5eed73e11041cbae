//! A receiver may be fed by somebody else at any time and never sees more than a new keyframe.

use super::support::media::Received;
use super::support::*;
use salono_media_api::{MediaKind, Op};

/// One stream to the eyes of a receiver: one SSRC, no gap, everything counts on.
pub(crate) fn assert_unbroken(received: &Received, is_video: bool) {
    assert_eq!(received.ssrcs().len(), 1);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert_eq!(received.repeats(), 0);
    assert!(received.is_sorted());
    let frames = received.decoded();
    for two in frames.windows(2) {
        let (old, new) = (two[0], two[1]);
        let step = new.timestamp.wrapping_sub(old.timestamp);
        assert!((1..90_000 * 10).contains(&step), "{old:?} {new:?}");
        if is_video {
            let picture = old.picture.map(|picture| (picture + 1) & 0x7fff);
            assert_eq!(picture, new.picture, "{old:?} {new:?}");
            let tl0 = old.tl0.map(|tl0| tl0.wrapping_add(1));
            assert_eq!(tl0, new.tl0, "{old:?} {new:?}");
        }
        if old.publisher == new.publisher && old.number + 1 == new.number {
            assert_eq!(step, if is_video { 3_000 } else { 960 });
        } else {
            // The clock of the stream goes on with the time that passed.
            let rate = if is_video { 90_000.0 } else { 48_000.0 };
            let passed = (new.at - old.at).as_secs_f64();
            assert!(
                (f64::from(step) / rate - passed).abs() < 0.15,
                "{step} ticks in {passed} s"
            );
        }
    }
}

pub(crate) fn publishers(received: &Received) -> Vec<u8> {
    let mut order: Vec<u8> = received
        .decoded()
        .iter()
        .map(|frame| frame.publisher)
        .collect();
    order.dedup();
    order
}

#[test]
fn a_source_switch_is_one_unbroken_stream_that_goes_on_with_a_keyframe() {
    let mut world = World::new(21);
    let first = world.join_connected(Wish::publish());
    let second = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    for peer in [first, second] {
        world.start(peer);
    }
    let sink = world.element(viewer);
    for source in [first, second, first, second] {
        world.connect(world.element(source), sink);
        world.run(millis(1_500));
    }
    assert_unbroken(&world.peers[viewer].video, true);
    assert_unbroken(&world.peers[viewer].audio, false);
    assert_eq!(publishers(&world.peers[viewer].video), [1, 2, 1, 2]);
    assert_eq!(publishers(&world.peers[viewer].audio), [1, 2, 1, 2]);
}

#[test]
fn switches_over_a_bad_network_stay_decodable() {
    let mut world = World::new(22);
    let first = world.join_connected(Wish::publish().over(Link::BAD));
    let second = world.join_connected(Wish::publish().over(Link::BAD));
    let viewer = world.join_connected(Wish::subscribe().over(Link::BAD));
    for peer in [first, second] {
        world.start(peer);
    }
    let sink = world.element(viewer);
    for source in [first, second, first, second] {
        world.connect(world.element(source), sink);
        world.run(secs(3));
    }
    let received = &world.peers[viewer].video;
    assert_eq!(received.ssrcs().len(), 1);
    let order = publishers_of_whole_frames(received);
    assert_eq!(order, [1, 2, 1, 2]);
}

/// Publishers in order; every change is a keyframe.
fn publishers_of_whole_frames(received: &Received) -> Vec<u8> {
    let frames = received.frames();
    for two in frames.windows(2) {
        assert!(two[0].publisher == two[1].publisher || two[1].is_key);
    }
    let mut order: Vec<u8> = frames.iter().map(|frame| frame.publisher).collect();
    order.dedup();
    order
}

#[test]
fn pass_throughs_in_a_row_carry_media_and_switch_at_either_end() {
    let mut world = World::new(23);
    let first = world.join_connected(Wish::publish());
    let second = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    for peer in [first, second] {
        world.start(peer);
    }
    let (near, far) = (world.pass_through(1_001), world.pass_through(1_002));
    world.connect(near, far);
    world.connect(far, world.element(viewer));
    world.connect(world.element(first), near);
    world.run(secs(2));
    world.connect(world.element(second), near);
    world.run(secs(2));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_unbroken(&world.peers[viewer].audio, false);
    assert_eq!(publishers(&world.peers[viewer].video), [1, 2]);
}

#[test]
fn a_loopback_returns_what_was_sent() {
    let mut world = World::new(24);
    let peer = world.join_connected(Wish::both());
    world.connect(world.element(peer), world.element(peer));
    world.start(peer);
    world.run(secs(3));
    let until = world.now - millis(100);
    let peer = &world.peers[peer];
    assert_unbroken(&peer.video, true);
    assert_unbroken(&peer.audio, false);
    let camera = peer.video_source.as_ref().expect("a camera");
    assert!(peer.video.decoded().len() > 80);
    assert_eq!(peer.video.missing(1, camera, until), [0u32; 0]);
}

#[test]
fn a_source_that_comes_back_goes_on_with_a_keyframe() {
    let mut world = World::new(25);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.start(publisher);
    let (source, sink) = (world.element(publisher), world.element(viewer));
    world.connect(source, sink);
    world.run(secs(2));
    for kind in MediaKind::ALL {
        world.op(Op::Disconnect {
            source: source.into(),
            sink: sink.into(),
            kind,
        });
    }
    world.run(millis(100));
    let before = world.peers[viewer].video.packets.len();
    world.run(secs(2));
    assert_eq!(
        world.peers[viewer].video.packets.len(),
        before,
        "nothing comes"
    );
    world.connect(source, sink);
    world.run(secs(2));
    assert!(world.peers[viewer].video.packets.len() > before + 60);
    assert_unbroken(&world.peers[viewer].video, true);
    assert_unbroken(&world.peers[viewer].audio, false);
}

#[test]
fn muted_audio_leaves_video_alone() {
    let mut world = World::new(26);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.start(publisher);
    world.run(secs(1));
    let (source, sink) = (world.element(publisher), world.element(viewer));
    world.connect(source, sink);
    world.run(secs(1));
    let kind = MediaKind::Audio;
    world.op(Op::Disconnect {
        source: source.into(),
        sink: sink.into(),
        kind,
    });
    world.run(millis(100));
    let before = world.peers[viewer].audio.packets.len();
    world.run(secs(1));
    assert_eq!(world.peers[viewer].audio.packets.len(), before);
    world.op(Op::Connect {
        source: source.into(),
        sink: sink.into(),
        kind,
    });
    world.run(secs(1));
    assert!(world.peers[viewer].audio.packets.len() > before + 40);
    let until = world.now - millis(100);
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    let video = &world.peers[viewer].video;
    assert_eq!(video.missing(1, camera, until), [0u32; 0]);
    assert_eq!(
        video.decoded().iter().filter(|frame| frame.is_key).count(),
        1,
        "no keyframe was needed"
    );
    assert_unbroken(&world.peers[viewer].audio, false);
}
