//! Viewers get the layers that their paths carry.

use super::bandwidth::{got, narrow};
use super::layers::RIDS;
use super::support::media::Received;
use super::support::*;
use std::time::{Duration, Instant};

/// What the layers of the camera take, in bits per second.
pub(super) const RATES: [u64; 3] = [150_000, 500_000, 1_500_000];
/// What the frames of the lowest and the highest layer call themselves.
const LOWEST: u8 = 10;
pub(super) const HIGHEST: u8 = 12;

/// A publisher of three layers, and viewers over links of their own.
fn broadcast(seed: u64, links: &[Link]) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(Wish::simulcast(RIDS));
    let viewers: Vec<usize> = links
        .iter()
        .map(|_| world.join_connected(Wish::subscribe()))
        .collect();
    // Handshakes are not the same in every run; what follows is.
    let start = world.origin + secs(2);
    world.run(start - world.now);
    world.network.dice = Dice(seed);
    for (viewer, link) in viewers.iter().zip(links) {
        let peer = &mut world.peers[*viewer];
        (peer.down, peer.up) = (*link, Link { bps: 0, ..*link });
    }
    for viewer in &viewers {
        world.connect(world.element(publisher), world.element(*viewer));
    }
    world.start_layers(publisher, RIDS);
    for ((_, layer), bps) in world.peers[publisher].layers.iter_mut().zip(RATES) {
        layer.bps = bps;
    }
    (world, publisher, viewers)
}

/// How the picture of a viewer stood still from a moment on.
pub(super) fn freezes(
    world: &World,
    (publisher, viewer): (usize, usize),
    from: Instant,
) -> (Duration, f64) {
    let (_, camera) = &world.peers[publisher].layers[0];
    let peer = &world.peers[viewer];
    let shown = peer
        .video
        .shown(camera, millis(200) + peer.down.latency * 4);
    Received::freezes(shown, (from, world.now))
}

/// Which layer a viewer saw last.
pub(super) fn layer(world: &World, viewer: usize) -> Option<u8> {
    let frames = world.peers[viewer].video.frames();
    frames.last().map(|frame| frame.publisher)
}

#[test]
fn a_squeezed_viewer_goes_down_a_layer_without_a_freeze_and_up_again() {
    let (mut world, publisher, viewers) = broadcast(221, &[narrow(4_000_000, 25)]);
    let viewer = viewers[0];
    world.run(secs(8));
    assert_eq!(layer(&world, viewer), Some(HIGHEST));
    let before = got(&world, viewer, secs(2));
    assert!(before > 1_350_000.0, "{before}");
    let squeezed = world.now;
    world.peers[viewer].down.bps = 500_000;
    world.run(secs(10));
    assert_eq!(layer(&world, viewer), Some(LOWEST));
    world.peers[viewer].down.bps = 4_000_000;
    world.run(secs(10));
    let after = got(&world, viewer, secs(1));
    assert!(after > before * 0.9, "{after} of {before}");
    let (longest, _) = freezes(&world, (publisher, viewer), squeezed);
    assert!(longest <= millis(500), "{longest:?}");
}

#[test]
fn a_slow_and_lossy_viewer_gets_the_lowest_layer_and_the_others_the_highest() {
    let good = narrow(10_000_000, 20);
    let slow = Link {
        loss_permille: 50,
        ..narrow(250_000, 40)
    };
    let (mut world, publisher, viewers) = broadcast(222, &[good, good, slow, good]);
    world.run(secs(8));
    let settled = world.now;
    world.run(secs(20));
    for viewer in [viewers[0], viewers[1], viewers[3]] {
        assert_eq!(layer(&world, viewer), Some(HIGHEST));
        let bps = got(&world, viewer, secs(20));
        assert!(bps > 1_500_000.0 * 0.95, "{bps}");
        let (longest, _) = freezes(&world, (publisher, viewer), settled);
        assert!(longest < millis(100), "{longest:?}");
    }
    let slow = viewers[2];
    assert_eq!(layer(&world, slow), Some(LOWEST));
    let frames = world.peers[slow].video.decodable();
    let recent = frames.iter().filter(|frame| frame.at >= settled).count();
    assert!(recent >= 10 * 20, "{recent} frames in 20 s");
    let (longest, ratio) = freezes(&world, (publisher, slow), settled);
    assert!(ratio < 0.05, "{longest:?} {ratio}");
}
