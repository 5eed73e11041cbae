//! Layers of sources whose receivers are on other shards: what they need crosses, and they steer the publisher.

use super::bandwidth::narrow;
use super::layers::{RIDS, layers};
use super::support::cluster::Cluster;
use super::support::scalable::{Between, Camera, av1_with_descriptors, decode};
use super::support::*;
use super::switching::{assert_unbroken, publishers};
use salono_media_api::{Op, VideoWish};
use str0m::format::Codec;

fn set_height(cluster: &mut Cluster, viewer: usize, height: u16) {
    let element = cluster.element(viewer);
    let wish = VideoWish {
        height,
        priority: 0,
    };
    cluster.op(Op::WishVideo { element, wish });
}

/// A publisher and a viewer on another shard.
fn pair(seed: u64, publishing: Wish, watching: Wish) -> (Cluster, usize, usize) {
    let mut cluster = Cluster::new(2, seed);
    let publisher = cluster.join(publishing);
    let viewer = cluster.join(watching);
    assert_ne!(cluster.shard_of(publisher), cluster.shard_of(viewer));
    cluster.connect(cluster.element(publisher), cluster.element(viewer));
    (cluster, publisher, viewer)
}

/// Streams of a picture each.
fn simulcast(seed: u64) -> (Cluster, usize, usize) {
    let (mut cluster, publisher, viewer) = pair(seed, Wish::simulcast(RIDS), Wish::subscribe());
    cluster.start(publisher);
    let now = cluster.now;
    let peer = &mut cluster.peers[publisher];
    peer.video_source = None;
    peer.layers = layers(RIDS, now);
    (cluster, publisher, viewer)
}

/// Layers within a stream.
fn scalable(seed: u64, between: Between) -> (Cluster, usize, usize) {
    let with = |wish: Wish| Wish {
        configure: av1_with_descriptors,
        ..wish
    };
    let (mut cluster, publisher, viewer) =
        pair(seed, with(Wish::publish()), with(Wish::subscribe()));
    let now = cluster.now;
    cluster.peers[viewer].is_layered = true;
    let camera = Camera::new(Codec::Av1, 1, (3, 3, between), now);
    cluster.peers[publisher].scalable = Some(camera);
    (cluster, publisher, viewer)
}

/// Bytes that cross in a second.
fn bytes(cluster: &mut Cluster) -> usize {
    let before = cluster.bytes_crossed;
    cluster.run(secs(1));
    cluster.bytes_crossed - before
}

#[test]
fn only_the_stream_that_is_needed_crosses() {
    let (mut cluster, _, viewer) = simulcast(401);
    cluster.run(secs(4));
    assert_eq!(publishers(&cluster.peers[viewer].video).last(), Some(&12));
    let copied = |cluster: &mut Cluster| {
        let before = cluster.sum(|metrics| metrics.rtp_mirrored);
        cluster.run(secs(1));
        cluster.sum(|metrics| metrics.rtp_mirrored) - before
    };
    // 30 frames of two packets a second of one of the streams, and 50 of sound.
    let one = 100..130;
    let count = copied(&mut cluster);
    assert!(one.contains(&count), "{count} packets of the best");
    set_height(&mut cluster, viewer, 180);
    cluster.run(secs(3));
    assert_eq!(publishers(&cluster.peers[viewer].video).last(), Some(&10));
    let count = copied(&mut cluster);
    assert!(one.contains(&count), "{count} packets of the least");
    assert_unbroken(&cluster.peers[viewer].video, true);
}

#[test]
fn a_stream_that_its_publisher_turns_off_is_left_on_every_shard() {
    let (mut cluster, publisher, viewer) = simulcast(402);
    cluster.run(secs(2));
    let top = cluster.peers[publisher].layers.pop().expect("a layer");
    cluster.run(secs(2));
    assert_eq!(publishers(&cluster.peers[viewer].video).last(), Some(&11));
    let (rid, mut source) = top;
    source.next = cluster.now;
    source.keyframe_wanted = true;
    cluster.peers[publisher].layers.push((rid, source));
    cluster.run(secs(3));
    let received = &cluster.peers[viewer].video;
    assert_eq!(publishers(received).last(), Some(&12));
    let frames = received.decoded();
    let longest = frames.windows(2).map(|two| two[1].at - two[0].at).max();
    assert!(longest < Some(millis(500)), "{longest:?}");
}

#[test]
fn a_thousand_switches_across_shards_show_the_decoder_one_stream() {
    let (mut cluster, publisher, viewer) = simulcast(403);
    cluster.run(secs(2));
    let mut dice = Dice(403);
    for _ in 0..1_000 {
        set_height(
            &mut cluster,
            viewer,
            [180, 360, 720][dice.below(3) as usize],
        );
        cluster.run(millis(100 + dice.below(500)));
    }
    let received = &cluster.peers[viewer].video;
    assert_unbroken(received, true);
    let switches = publishers(received).len();
    assert!(switches > 400, "{switches} switches");
    let requests = cluster.peers[publisher].keyframe_requests.len();
    assert!(requests <= 3 * 2 * 400, "{requests}");
}

#[test]
fn of_layers_within_a_stream_only_what_is_needed_crosses() {
    let (mut cluster, publisher, viewer) = scalable(404, Between::All);
    // A publisher that turns nothing off.
    cluster.run(secs(3));
    let all = bytes(&mut cluster);
    set_height(&mut cluster, viewer, 180);
    cluster.run(millis(1_500));
    let least = bytes(&mut cluster);
    // Of 150, 300 and 600 kbit/s the first.
    assert!(least * 3 < all, "{least} of {all} bytes");
    cluster.run(secs(3));
    let camera = cluster.peers[publisher].scalable.as_ref();
    assert_eq!(camera.expect("a camera").active, 1, "nobody gets more");
    set_height(&mut cluster, viewer, 0);
    cluster.run(secs(2));
    let seen = decode(&cluster.peers[viewer].video.packets);
    assert_eq!(seen.last(), Some((1, 2)));
}

#[test]
fn a_thousand_changes_of_layers_across_shards_can_be_decoded() {
    for (seed, between) in [(405, Between::All), (406, Between::KeyPictures)] {
        let (mut cluster, _, viewer) = scalable(seed, between);
        let mut dice = Dice(seed);
        for _ in 0..500 {
            set_height(
                &mut cluster,
                viewer,
                [180, 360, 720][dice.below(3) as usize],
            );
            cluster.run(millis(50 + dice.below(500)));
        }
        let seen = decode(&cluster.peers[viewer].video.packets);
        assert!(seen.pictures > 3_000, "{}", seen.pictures);
        assert!(seen.layers.len() > 500, "{}", seen.layers.len());
    }
}

#[test]
fn a_lone_viewer_on_another_shard_steers_the_publisher() {
    let (mut cluster, publisher, viewer) = pair(407, Wish::publish(), Wish::subscribe());
    cluster.peers[publisher].appetite = 1_500_000;
    cluster.peers[viewer].down = narrow(500_000, 20);
    cluster.start(publisher);
    cluster.run(secs(15));
    let camera = |cluster: &Cluster| {
        let camera = cluster.peers[publisher].video_source.as_ref();
        camera.expect("a camera").bps
    };
    let bps = camera(&cluster);
    assert!((100_000..=500_000).contains(&bps), "{bps}");
    let from = cluster.now - secs(5);
    let frames = cluster.peers[viewer].video.decodable();
    let recent = frames.iter().filter(|frame| frame.at >= from).count();
    assert!(recent > 120, "it is not paused: {recent} frames in 5 s");
    cluster.peers[viewer].down = narrow(8_000_000, 20);
    cluster.run(secs(20));
    let bps = camera(&cluster);
    assert!(bps >= 1_400_000, "{bps}");
}

#[test]
fn the_best_of_the_viewers_on_all_shards_steers_the_publisher() {
    let mut cluster = Cluster::new(2, 408);
    let publisher = cluster.join(Wish::publish());
    let viewers: Vec<_> = (0..4).map(|_| cluster.join(Wish::subscribe())).collect();
    for (at, viewer) in viewers.iter().enumerate() {
        cluster.connect(cluster.element(publisher), cluster.element(*viewer));
        cluster.peers[*viewer].down = narrow([300_000, 300_000, 900_000, 300_000][at], 20);
    }
    cluster.peers[publisher].appetite = 1_500_000;
    cluster.start(publisher);
    cluster.run(secs(30));
    let camera = cluster.peers[publisher].video_source.as_ref();
    let bps = camera.expect("a camera").bps;
    assert!((450_000..=900_000).contains(&bps), "{bps}");
}
