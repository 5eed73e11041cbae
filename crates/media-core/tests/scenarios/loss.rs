//! Loss, reordering, jitter and repetition are repaired on both sides of the shard.

use super::support::*;
use std::time::Duration;

/// Longest time from capture to the arrival of a frame's last packet, repairs included: two
/// lossy ways, a few rounds of requests on each.
const LATEST: Duration = Duration::from_millis(1_000);

/// Everything from the first decodable frame on comes, and in time.
fn assert_repaired(world: &World, publisher: usize, subscriber: usize) {
    let sender = &world.peers[publisher];
    let source = sender.video_source.as_ref().expect("a camera");
    let received = &world.peers[subscriber].video;
    let until = world.now - LATEST;
    let id = sender.element.0 as u8;
    assert_eq!(received.missing(id, source, until), [0u32; 0]);
    // The last packets may still be under way.
    let mut frames = received.decodable();
    frames.retain(|frame| source.sent[frame.number as usize] <= until);
    assert!(frames.len() > 120, "{} frames", frames.len());
    for frame in &frames {
        let late = frame.at - source.sent[frame.number as usize];
        assert!(late <= LATEST, "frame {} took {late:?}", frame.number);
    }
    let timestamps: Vec<u32> = frames.iter().map(|frame| frame.timestamp).collect();
    assert!(
        timestamps
            .windows(2)
            .all(|two| two[1].wrapping_sub(two[0]) == 3_000)
    );
}

#[test]
fn loss_both_ways_is_repaired_with_retransmission_streams() {
    for seed in 1..=3 {
        let mut world = World::new(seed);
        let publisher = world.join_connected(Wish::publish().over(Link::BAD));
        let subscriber = world.join_connected(Wish::subscribe().over(Link::BAD));
        world.connect(world.element(publisher), world.element(subscriber));
        world.start(publisher);
        world.run(secs(6));
        assert_repaired(&world, publisher, subscriber);
        let metrics = world.shard.metrics();
        assert!(metrics.nacks_sent > 5, "{metrics:?}");
        assert!(metrics.rtp_retransmitted > 5, "{metrics:?}");
        let stats = world.stats(subscriber);
        assert!(
            stats.streams.iter().any(|stream| stream.nack_count > 0),
            "{stats:?}"
        );
        // Audio is not asked for again unless that was agreed: what comes is whole and in place.
        let audio = world.peers[subscriber].audio.decoded();
        assert!(audio.len() > 200, "{} audio frames", audio.len());
        for two in audio.windows(2) {
            let distance = two[1].number - two[0].number;
            assert_eq!(
                two[1].timestamp.wrapping_sub(two[0].timestamp),
                960 * distance
            );
        }
    }
}

#[test]
fn loss_is_repaired_for_a_peer_without_retransmission_streams() {
    let mut world = World::new(11);
    let publisher = world.join_connected(Wish::publish());
    let wish = Wish {
        munge: sdp::without_rtx,
        ..Wish::subscribe().over(Link::BAD)
    };
    let subscriber = world.join_connected(wish);
    // str0m asks for nothing again without a retransmission stream unless told to.
    let peer = &mut world.peers[subscriber];
    let mid = peer.video_mid.expect("video");
    let mut direct = peer.rtc.direct_api();
    let stream = direct.stream_rx_by_mid(mid, None).expect("a stream");
    stream.suppress_nack(false);
    world.connect(world.element(publisher), world.element(subscriber));
    world.start(publisher);
    world.run(secs(6));
    assert_repaired(&world, publisher, subscriber);
    assert_eq!(world.peers[subscriber].video.ssrcs().len(), 1);
    assert!(world.shard.metrics().rtp_retransmitted > 5);
    assert_eq!(
        world.shard.metrics().nacks_sent,
        0,
        "nothing was lost on the way up"
    );
}

#[test]
fn a_lossy_subscriber_costs_the_others_nothing() {
    let mut world = World::new(12);
    let publisher = world.join_connected(Wish::publish());
    let lossy = world.join_connected(Wish::subscribe().over(Link::BAD));
    let clean = world.join_connected(Wish::subscribe());
    for sink in [lossy, clean] {
        world.connect(world.element(publisher), world.element(sink));
    }
    world.start(publisher);
    world.run(secs(6));
    assert_repaired(&world, publisher, lossy);
    let received = &world.peers[clean].video;
    assert_eq!(received.gaps(), [0u64; 0]);
    assert_eq!(received.repeats(), 0);
    assert!(received.is_sorted());
    assert!(received.decoded().len() > 150);
}

#[test]
fn a_publisher_that_vanishes_leaves_the_shard_asleep() {
    let mut world = World::new(13);
    let publisher = world.join_connected(Wish::publish().over(Link::BAD));
    let subscriber = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(subscriber));
    world.start(publisher);
    world.run(secs(2));
    world.peers[publisher].up = Link::DEAD;
    // Time would stand still if a request that cannot be sent stayed due.
    world.run(secs(60));
    assert!(!world.shard_says_connected(publisher));
    assert!(world.shard_says_connected(subscriber));
    assert_eq!(world.shard.metrics().endpoints_connected, 1);
}
