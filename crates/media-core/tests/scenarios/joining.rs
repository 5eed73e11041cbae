//! How long joining takes.

use crate::support::{Link, Wish, World, millis, secs};
use std::time::Duration;

/// From the peer's offer until both sides are connected, with so much time one way.
fn joins_within(latency: Duration) -> Duration {
    let mut world = World::new(1);
    let link = Link {
        latency,
        ..Link::PERFECT
    };
    let began = world.now;
    let peer = world.join(Wish::subscribe().over(link));
    assert!(world.run_until(secs(5), |world| world.is_connected(peer)));
    world.now - began
}

#[test]
fn a_peer_connects_in_few_round_trips_and_waits_for_no_timer() {
    for (latency, most) in [(millis(0), millis(10)), (millis(10), millis(100))] {
        let took = joins_within(latency);
        assert!(took <= most, "{took:?} with {latency:?} one way");
    }
}

#[test]
fn a_listener_hears_at_once_what_was_said_last() {
    let mut world = World::new(3);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(secs(1));
    // At five moments between two packets of sound, which come each 20 ms.
    for _ in 0..5 {
        world.run(millis(24));
        let peer = world.join(Wish::subscribe());
        world.connect(world.element(publisher), world.element(peer));
        assert!(world.run_until(secs(5), |world| world.is_connected(peer)));
        let connected = world.now;
        let hears = |world: &World| !world.peers[peer].audio.packets.is_empty();
        assert!(world.run_until(secs(5), hears));
        assert!(
            world.now - connected <= millis(2),
            "{:?}",
            world.now - connected
        );
    }
}
