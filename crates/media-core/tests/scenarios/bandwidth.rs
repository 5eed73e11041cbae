//! What the path to a viewer carries is found out, and what follows from it.

use super::support::*;

/// The estimate of what goes to a peer, in bits per second, as its statistics tell it.
fn estimate(world: &mut World, peer: usize) -> Option<u64> {
    let stats = world.stats(peer);
    let mut pairs = stats
        .transports
        .iter()
        .flat_map(|transport| &transport.pairs);
    pairs
        .find(|pair| pair.selected)?
        .available_outgoing
        .map(|rate| rate.as_bps())
}

fn narrow(bps: u64, one_way_ms: u64) -> Link {
    Link {
        latency: millis(one_way_ms),
        bps,
        ..Link::PERFECT
    }
}

#[test]
fn a_viewer_behind_4_mbit_is_known_to_take_2_within_5_seconds() {
    let mut world = World::new(201);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish {
        down: narrow(4_000_000, 25),
        up: narrow(0, 25),
        ..Wish::subscribe()
    });
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(5));
    let found = estimate(&mut world, viewer).expect("an estimate");
    assert!((2_000_000..4_500_000).contains(&found), "{found}");
    // Probes are seen by nobody.
    let received = &world.peers[viewer].video;
    assert_eq!(received.repeats(), 0);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert!(received.decoded().len() > 130);
}
