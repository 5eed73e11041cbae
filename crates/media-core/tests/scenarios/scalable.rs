//! Layers within a stream: each receiver gets those that it wishes, and always what can be decoded.

use super::bandwidth::request_remb;
use super::support::scalable::{
    Between, Camera, Judgement, av1, av1_with_descriptors, decode, vp9,
};
use super::support::*;
use salono_media_api::{MediaKind, Op, VideoWish};
use str0m::RtcConfig;
use str0m::format::Codec;

type Mode = (u8, u8, Between);
const L3T3_KEY: Mode = (3, 3, Between::KeyPictures);

fn set_height(world: &mut World, viewer: usize, height: u16) {
    let element = world.element(viewer);
    let wish = VideoWish {
        height,
        priority: 0,
    };
    world.op(Op::WishVideo { element, wish });
}

fn configured(wish: Wish, configure: fn(RtcConfig) -> RtcConfig) -> Wish {
    Wish { configure, ..wish }
}

fn start(world: &mut World, publisher: usize, codec: Codec, mode: Mode) {
    let id = publisher as u8 + 1;
    world.peers[publisher].scalable = Some(Camera::new(codec, id, mode, world.now));
}

/// A publisher, a viewer with descriptors and one without, connected to it.
fn broadcast(seed: u64, mode: Mode) -> (World, usize, [usize; 2]) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(configured(Wish::publish(), av1_with_descriptors));
    let viewers = [av1_with_descriptors, av1]
        .map(|configure| world.join_connected(configured(Wish::subscribe(), configure)));
    for viewer in viewers {
        world.peers[viewer].is_layered = true;
        world.connect(world.element(publisher), world.element(viewer));
    }
    start(&mut world, publisher, Codec::Av1, mode);
    (world, publisher, viewers)
}

fn seen(world: &World, viewer: usize) -> Judgement {
    decode(&world.peers[viewer].video.packets)
}

#[test]
fn viewers_get_everything_with_descriptors_where_they_know_them() {
    let (mut world, publisher, viewers) = broadcast(301, (3, 3, Between::All));
    world.run(secs(3));
    let [with, without] = viewers.map(|viewer| seen(&world, viewer));
    assert!(with.pictures > 80 && without.pictures > 80);
    assert_eq!(with.last(), Some((1, 2)));
    // Browsers cannot tell the frames of a picture apart otherwise.
    assert_eq!(without.last(), Some((1, 0)));
    assert!(with.described > 3 * 80, "{}", with.described);
    assert_eq!(without.described, 0);
    let streams = world.stats(publisher).streams;
    let heights: Vec<_> = streams.iter().filter_map(|it| it.frame_height).collect();
    assert_eq!(heights, [720]);
}

#[test]
fn wishes_are_followed_within_a_stream() {
    for (seed, mode) in [
        (302, (3, 3, Between::All)),
        (303, L3T3_KEY),
        (304, (3, 1, Between::Never)),
    ] {
        let (mut world, _, viewers) = broadcast(seed, mode);
        for (height, spatial) in [(180, 0), (360, 1), (0, 2), (100, 0), (721, 2)] {
            for viewer in viewers {
                set_height(&mut world, viewer, height);
            }
            world.run(millis(1_500));
            let [with, without] = viewers.map(|viewer| seen(&world, viewer).last());
            assert_eq!(with, Some((1, spatial)), "{height}");
            assert_eq!(without, Some((1, 0)), "{height}");
        }
    }
}

#[test]
fn a_thousand_changes_of_layers_and_sources_can_be_decoded() {
    let mut world = World::new(305);
    let publishers =
        [(); 2].map(|()| world.join_connected(configured(Wish::publish(), av1_with_descriptors)));
    let viewers = [av1_with_descriptors, av1]
        .map(|configure| world.join_connected(configured(Wish::subscribe(), configure)));
    start(&mut world, publishers[0], Codec::Av1, L3T3_KEY);
    start(&mut world, publishers[1], Codec::Av1, (3, 3, Between::All));
    let mut dice = Dice(305);
    for viewer in viewers {
        world.peers[viewer].is_layered = true;
        world.connect(world.element(publishers[0]), world.element(viewer));
    }
    for _ in 0..1_000 {
        for viewer in viewers {
            set_height(&mut world, viewer, [180, 360, 720][dice.below(3) as usize]);
            if dice.below(10) == 0 {
                let source = publishers[dice.below(2) as usize];
                world.connect(world.element(source), world.element(viewer));
            }
        }
        world.run(millis(50 + dice.below(300)));
    }
    for (viewer, changes) in viewers.into_iter().zip([1_000, 50]) {
        let seen = seen(&world, viewer);
        assert!(seen.pictures > 5_000, "{}", seen.pictures);
        assert!(seen.layers.len() > changes, "{}", seen.layers.len());
    }
    let seconds = (world.now - world.origin).as_secs() as usize;
    for publisher in publishers {
        let requests = world.peers[publisher].keyframe_requests.len();
        assert!(requests <= 2 * seconds, "{requests} in {seconds} s");
    }
}

#[test]
fn layers_of_vp9_are_followed_and_those_that_nobody_gets_are_turned_off() {
    for (seed, codec, configure, between) in [
        (
            306,
            Codec::Vp9,
            vp9 as fn(RtcConfig) -> RtcConfig,
            Between::All,
        ),
        (307, Codec::Vp9, vp9, Between::KeyPictures),
        (308, Codec::Av1, av1_with_descriptors, Between::KeyPictures),
    ] {
        let mut world = World::new(seed);
        let publisher = world.join_connected(configured(Wish::publish(), configure));
        let viewer = world.join_connected(configured(Wish::subscribe(), configure));
        world.peers[viewer].is_layered = true;
        world.connect(world.element(publisher), world.element(viewer));
        start(&mut world, publisher, codec, (3, 3, between));
        let sent = |world: &World| {
            let camera = world.peers[publisher].scalable.as_ref();
            camera.expect("a camera").active
        };
        world.run(secs(6));
        assert_eq!(
            (seen(&world, viewer).last(), sent(&world)),
            (Some((1, 2)), 3)
        );
        let (source, sink) = (world.element(publisher), world.element(viewer));
        for kind in MediaKind::ALL {
            world.op(Op::Disconnect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
        world.run(secs(6));
        assert_eq!(sent(&world), 1, "nobody gets more");
        world.connect(source, sink);
        world.run(secs(2));
        let seen = seen(&world, viewer);
        assert_eq!(
            (seen.last(), sent(&world)),
            (Some((1, 2)), 3),
            "it is asked for"
        );
    }
}

/// What the highest layer takes by itself fits in, and does not with all below it.
const ONE_LAYER_KBPS: u64 = 900;

#[test]
fn a_viewer_gets_a_layer_if_what_it_needs_of_the_stream_fits_its_path() {
    let modes = [
        (Between::All, 1),
        (Between::KeyPictures, 2),
        (Between::Never, 2),
    ];
    for (codec, configure) in [
        (
            Codec::Av1,
            av1_with_descriptors as fn(RtcConfig) -> RtcConfig,
        ),
        (Codec::Vp9, vp9),
    ] {
        for (between, layer) in modes {
            let mut world = World::new(310);
            let publisher = world.join_connected(configured(Wish::publish(), configure));
            let wish = Wish {
                munge: sdp::without_transport_cc,
                ..Wish::subscribe()
            };
            let viewer = world.join_connected(configured(wish, configure));
            world.peers[viewer].is_layered = true;
            world.connect(world.element(publisher), world.element(viewer));
            start(&mut world, publisher, codec, (3, 1, between));
            world.run(secs(1));
            request_remb(&mut world, viewer, ONE_LAYER_KBPS);
            world.run(secs(6));
            let seen = seen(&world, viewer);
            assert_eq!(seen.last(), Some((1, layer)), "{codec:?} {between:?}");
        }
    }
}
