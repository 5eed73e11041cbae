//! Simulcast: each receiver gets the layer that it wishes, and never sees more than a keyframe when that changes.

use super::support::media::Source;
use super::support::*;
use super::switching::{assert_unbroken, publishers};
use salono_media_api::{ElementEvent, Op, VideoWish};
use std::time::Instant;
use str0m::RtcConfig;
use str0m::format::Codec;
use str0m::rtp::rtcp::Rtcp;

pub(super) const RIDS: &[&str] = &["q", "h", "f"];
/// What each layer calls itself in its frames, and its height.
const LAYERS: [(u8, u16); 3] = [(10, 180), (11, 360), (12, 720)];

impl World {
    /// Starts the microphone and the layers of the camera of a peer.
    pub(super) fn start_layers(&mut self, peer: usize, rids: &[&str]) {
        let now = self.now;
        self.start(peer);
        let peer = &mut self.peers[peer];
        peer.video_source = None;
        peer.layers = layers(rids, now);
    }

    fn wish(&mut self, viewer: usize, height: u16) {
        let element = self.element(viewer);
        let wish = VideoWish {
            height,
            priority: 0,
        };
        self.op(Op::WishVideo { element, wish });
    }
}

pub(super) fn layers(rids: &[&str], now: Instant) -> Vec<(str0m::media::Rid, Source)> {
    layers_of(Codec::Vp8, rids, now)
}

fn layers_of(codec: Codec, rids: &[&str], now: Instant) -> Vec<(str0m::media::Rid, Source)> {
    let layer = |(rid, (name, height)): (&&str, (u8, u16))| {
        ((*rid).into(), Source::layer(codec, name, height, now))
    };
    rids.iter().zip(LAYERS).map(layer).collect()
}

/// A publisher of layers and a viewer that is connected to it.
fn broadcast(seed: u64, rids: &'static [&'static str]) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(Wish::simulcast(rids));
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start_layers(publisher, rids);
    (world, publisher, viewer)
}

#[test]
fn a_viewer_gets_the_highest_layer_as_one_stream() {
    let (mut world, publisher, viewer) = broadcast(70, RIDS);
    world.run(secs(3));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&12));
    let inbound: Vec<_> = world
        .stats(publisher)
        .streams
        .iter()
        .filter_map(|stream| Some((stream.rid.clone()?, stream.frame_height?)))
        .collect();
    let expected = [("q", 180), ("h", 360), ("f", 720)];
    assert_eq!(
        inbound,
        expected.map(|(rid, height)| (rid.to_owned(), height))
    );
}

#[test]
fn layers_are_told_apart_by_their_pictures_whatever_the_order_of_the_offer() {
    const REVERSED: &[&str] = &["f", "h", "q"];
    let mut world = World::new(71);
    let publisher = world.join_connected(Wish::simulcast(REVERSED));
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.peers[publisher].video_source = None;
    world.peers[publisher].layers = layers(RIDS, world.now);
    world.wish(viewer, 180);
    world.run(secs(3));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&10));
}

#[test]
fn wishes_are_followed_without_a_break_and_told() {
    let (mut world, _, viewer) = broadcast(72, RIDS);
    for (height, layer) in [(180, 10), (360, 11), (0, 12), (100, 10), (721, 12)] {
        world.wish(viewer, height);
        world.run(millis(1_500));
        assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&layer));
    }
    assert_unbroken(&world.peers[viewer].video, true);
    let heights: Vec<_> = world
        .element_events(world.element(viewer))
        .filter_map(|event| match event {
            ElementEvent::LayerChanged { height, .. } => *height,
            _ => None,
        })
        .collect();
    assert!(heights.ends_with(&[180, 360, 720, 180, 720]), "{heights:?}");
}

#[test]
fn a_thousand_switches_show_the_decoder_one_stream() {
    let (mut world, publisher, viewer) = broadcast(73, RIDS);
    world.run(secs(2));
    switch_a_thousand_times(&mut world, publisher, viewer);
}

#[test]
fn a_thousand_switches_of_h264_show_the_decoder_one_stream() {
    let configure = |config: RtcConfig| {
        config
            .clear_codecs()
            .enable_opus(true, false)
            .enable_h264(true)
    };
    let mut world = World::new(77);
    let publisher = world.join_connected(Wish {
        configure,
        ..Wish::simulcast(RIDS)
    });
    let viewer = world.join_connected(Wish {
        configure,
        ..Wish::subscribe()
    });
    world.connect(world.element(publisher), world.element(viewer));
    world.start_layers(publisher, RIDS);
    world.peers[publisher].layers = layers_of(Codec::H264, RIDS, world.now);
    world.run(secs(2));
    switch_a_thousand_times(&mut world, publisher, viewer);
}

fn switch_a_thousand_times(world: &mut World, publisher: usize, viewer: usize) {
    let mut dice = Dice(73);
    let start = world.peers[viewer].video.packets.len();
    for _ in 0..1_000 {
        let height = [180, 360, 720][dice.below(3) as usize];
        world.wish(viewer, height);
        world.run(millis(100 + dice.below(500)));
    }
    let received = &world.peers[viewer].video;
    assert_unbroken(received, true);
    assert!(received.packets.len() - start > 10_000);
    let switches = publishers(received).len();
    assert!(switches > 400, "{switches} switches");
    // One request per layer and half second.
    let requests = world.peers[publisher].keyframe_requests.len();
    let seconds = (world.now - world.origin).as_secs() as usize;
    assert!(requests <= 3 * 2 * seconds, "{requests} in {seconds} s");
}

#[test]
fn a_layer_that_its_sender_turns_off_is_left_for_the_next_and_taken_up_again() {
    let (mut world, publisher, viewer) = broadcast(74, RIDS);
    world.run(secs(2));
    let top = world.peers[publisher].layers.pop().expect("a layer");
    world.run(secs(2));
    assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&11));
    let (rid, mut source) = top;
    source.next = world.now;
    source.keyframe_wanted = true;
    world.peers[publisher].layers.push((rid, source));
    world.run(secs(2));
    assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&12));
    let frames = world.peers[viewer].video.decoded();
    let longest = frames.windows(2).map(|two| two[1].at - two[0].at).max();
    assert!(longest < Some(millis(500)), "{longest:?}");
}

#[test]
fn losses_on_both_ways_are_repaired_in_every_layer() {
    let mut world = World::new(75);
    let publisher = world.join_connected(Wish::simulcast(RIDS).over(Link::BAD));
    let viewer = world.join_connected(Wish::subscribe().over(Link::BAD));
    world.connect(world.element(publisher), world.element(viewer));
    world.start_layers(publisher, RIDS);
    for height in [180, 720, 360, 0, 180] {
        world.wish(viewer, height);
        world.run(secs(3));
    }
    let frames = world.peers[viewer].video.decodable();
    let mut order: Vec<u8> = frames.iter().map(|frame| frame.publisher).collect();
    order.dedup();
    assert!(order.ends_with(&[10, 12, 11, 12, 10]), "{order:?}");
    for two in frames.windows(2) {
        assert!(two[0].publisher == two[1].publisher || two[1].is_key);
    }
    assert!(frames.len() > 400, "{}", frames.len());
}

#[test]
fn layers_that_nobody_gets_are_turned_off_and_on_again_when_somebody_does() {
    let (mut world, publisher, viewer) = broadcast(76, RIDS);
    let asked = |world: &World| {
        let rtcp = world.peers[publisher].rtcp.iter();
        let mut bounds = rtcp.filter_map(|(at, rtcp)| match rtcp {
            Rtcp::Remb(remb) => Some((*at, f64::from(remb.bitrate))),
            _ => None,
        });
        bounds.next_back()
    };
    world.run(secs(5));
    assert_eq!(asked(&world), None, "everything is in use");
    world.wish(viewer, 180);
    world.run(secs(6));
    let (_, bound) = asked(&world).expect("a bound");
    // All layers of the test have the same bitrate: room for one and sound, not for two.
    let streams = world.stats(publisher).streams;
    let one = streams.iter().find(|stream| stream.rid.is_some());
    let one = one.expect("a layer").bitrate.as_bps() as f64;
    assert!((one..one * 1.5).contains(&bound), "{bound} for {one}");
    let before = world.now;
    world.wish(viewer, 0);
    // What a viewer gets is divided once a second.
    world.run(millis(1_100));
    let (at, bound) = asked(&world).expect("a bound");
    assert!(at > before && bound > 1e8, "lifted: {bound}");
    world.run(secs(2));
    assert_eq!(publishers(&world.peers[viewer].video).last(), Some(&12));
}
