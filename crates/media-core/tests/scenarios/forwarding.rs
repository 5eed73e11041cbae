//! What one peer sends reaches everybody who is connected to it, whole and in order.

use super::support::*;

/// One publisher and `count` subscribers over a perfect network.
fn everything_arrives(count: usize) {
    let mut world = World::new(count as u64);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    let subscribers: Vec<usize> = (0..count).map(|_| world.join(Wish::subscribe())).collect();
    for index in &subscribers {
        world.connect(world.element(publisher), world.element(*index));
    }
    for index in &subscribers {
        world.expect_connected(*index);
    }
    world.run(secs(3));
    let until = world.now - millis(100);
    let sender = &world.peers[publisher];
    for index in subscribers {
        let peer = &world.peers[index];
        for (received, source) in [
            (&peer.audio, &sender.audio_source),
            (&peer.video, &sender.video_source),
        ] {
            let source = source.as_ref().expect("a source");
            let id = sender.element.0 as u8;
            let frames = received.decoded();
            assert!(frames.len() > 70, "{} frames", frames.len());
            assert_eq!(received.missing(id, source, until), [0u32; 0]);
            assert_eq!(received.gaps(), [0u64; 0]);
            assert_eq!(received.repeats(), 0);
            assert!(received.is_sorted());
            assert_eq!(received.ssrcs().len(), 1);
        }
        assert_eq!(peer.errors, 0);
    }
    let metrics = world.shard.metrics();
    assert_eq!(metrics.datagrams_refused, 0);
    assert_eq!(metrics.rtp_lost, 0);
    assert_eq!(metrics.rtp_retransmitted, 0);
}

#[test]
fn one_subscriber_receives_everything() {
    everything_arrives(1);
}

#[test]
fn five_subscribers_receive_everything() {
    everything_arrives(5);
}

#[test]
fn twenty_subscribers_receive_everything() {
    everything_arrives(20);
}
