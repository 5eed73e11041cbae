//! A viewer with a connection per stream: they share what its path carries.

use super::adaptation::{RATES, freezes, layer};
use super::bandwidth::{estimate, got, narrow};
use super::layers::RIDS;
use super::speakers::{detect, set_level};
use super::support::network::To;
use super::support::*;
use salono_media_api::{Op, VideoWish, ViewerKey};
use std::time::Duration;

const LOUD: i8 = -25;
const QUIET: i8 = -80;
/// What the frames of the layers call themselves.
const LAYERS: [Option<u8>; 3] = [Some(10), Some(11), Some(12)];

/// Four publishers of layers, and two viewers of all four, by a connection each.
struct Call {
    world: World,
    publishers: Vec<usize>,
    viewers: Vec<Vec<usize>>,
}

impl Call {
    /// The connections of each viewer have one bottleneck.
    fn new(seed: u64, links: [Link; 2]) -> Self {
        let mut world = World::new(seed);
        let publishers: Vec<usize> = (0..4)
            .map(|_| world.join_connected(Wish::simulcast(RIDS)))
            .collect();
        let mut viewers = Vec::new();
        for viewer in 0..2 {
            let mut connections = Vec::new();
            for _ in &publishers {
                let connection = world.join_connected(Wish::subscribe());
                let element = world.element(connection);
                let viewer = Some(ViewerKey(viewer));
                world.op(Op::SetViewer { element, viewer });
                connections.push(connection);
            }
            viewers.push(connections);
        }
        // Handshakes are not the same in every run; what follows is.
        let start = world.origin + secs(3);
        world.run(start - world.now);
        world.network.dice = Dice(seed);
        for (connections, link) in viewers.iter().zip(links) {
            for connection in connections {
                let peer = &mut world.peers[*connection];
                (peer.down, peer.up) = (link, Link { bps: 0, ..link });
                let behind = (To::Peer(*connection), To::Peer(connections[0]));
                world.network.behind.extend([behind]);
            }
            for (publisher, connection) in publishers.iter().zip(connections) {
                world.connect(world.element(*publisher), world.element(*connection));
            }
        }
        for publisher in &publishers {
            world.start_layers(*publisher, RIDS);
            let layers = &mut world.peers[*publisher].layers;
            for ((_, layer), bps) in layers.iter_mut().zip(RATES) {
                layer.bps = bps;
            }
            set_level(&mut world, *publisher, Some(QUIET));
        }
        Self {
            world,
            publishers,
            viewers,
        }
    }

    fn set_bps(&mut self, viewer: usize, bps: u64) {
        for connection in &self.viewers[viewer] {
            self.world.peers[*connection].down.bps = bps;
        }
    }

    /// How large a viewer shows each stream.
    fn show(&mut self, viewer: usize, heights: [u16; 4]) {
        for (connection, height) in self.viewers[viewer].iter().zip(heights) {
            let element = self.world.element(*connection);
            let wish = VideoWish {
                height,
                priority: 0,
            };
            self.world.op(Op::WishVideo { element, wish });
        }
    }

    /// Which layers a viewer saw last.
    fn seen(&self, viewer: usize) -> Vec<Option<u8>> {
        let connections = self.viewers[viewer].iter();
        connections.map(|it| layer(&self.world, *it)).collect()
    }

    /// Video that a viewer got in the last `time`, in bits per second.
    fn got(&self, viewer: usize, time: Duration) -> f64 {
        let connections = self.viewers[viewer].iter();
        connections.map(|it| got(&self.world, *it, time)).sum()
    }

    /// How still the worst of a viewer's pictures stood in the last `time`: the longest, and in all.
    fn freezes(&self, viewer: usize, time: Duration) -> (Duration, f64) {
        let pairs = self.publishers.iter().zip(&self.viewers[viewer]);
        let from = self.world.now - time;
        pairs
            .map(|(publisher, it)| freezes(&self.world, (*publisher, *it), from))
            .fold((Duration::ZERO, 0.0), |worst, it| {
                (worst.0.max(it.0), f64::max(worst.1, it.1))
            })
    }
}

#[test]
fn what_a_viewer_shows_large_comes_first_over_all_of_its_connections() {
    let mut call = Call::new(701, [narrow(1_500_000, 25), narrow(30_000_000, 20)]);
    let [small, middle, large] = LAYERS;
    call.show(0, [180, 180, 720, 180]);
    call.world.run(secs(8));
    for _ in 0..3 {
        call.world.run(secs(6));
        assert_eq!(call.seen(0), [small, small, middle, small]);
        assert_eq!(call.seen(1), [large; 4]);
        for viewer in [0, 1] {
            let (longest, ratio) = call.freezes(viewer, secs(6));
            assert!(ratio <= 0.01, "{viewer}: {longest:?} {ratio}");
        }
    }
    call.set_bps(0, 3_000_000);
    call.world.run(secs(10));
    assert_eq!(call.seen(0), [small, small, large, small]);
    call.show(0, [720, 180, 180, 180]);
    call.world.run(secs(3));
    assert_eq!(call.seen(0), [large, small, small, small]);
    let bps = call.got(0, secs(1));
    assert!((1_900_000.0..3_000_000.0).contains(&bps), "{bps}");
}

#[test]
fn the_speaker_comes_first_over_all_connections_of_a_viewer_and_costs_no_other_viewer() {
    let mut call = Call::new(702, [narrow(1_500_000, 25), narrow(30_000_000, 20)]);
    let [_, middle, large] = LAYERS;
    detect(&mut call.world, 0, None);
    call.world.run(secs(10));
    for who in [2, 0, 3] {
        for (at, publisher) in call.publishers.clone().into_iter().enumerate() {
            let level = if at == who { LOUD } else { QUIET };
            set_level(&mut call.world, publisher, Some(level));
        }
        call.world.run(secs(4));
        assert_eq!(call.seen(0)[who], middle, "{who} speaks");
        call.world.run(secs(4));
        assert_eq!(call.seen(0)[who], middle, "{who} still speaks");
        assert_eq!(call.seen(1), [large; 4]);
        let (longest, _) = call.freezes(1, secs(8));
        assert!(longest < millis(100), "{longest:?}");
        // Once, for the keyframes that the change takes.
        let (longest, ratio) = call.freezes(0, secs(8));
        assert!(longest <= millis(700), "{longest:?}");
        assert!(ratio <= 0.1, "{longest:?} {ratio}");
    }
}

#[test]
fn the_same_seed_makes_the_same_estimates_of_connections_that_share_a_path() {
    let trace = || {
        let link = Link {
            loss_permille: 20,
            jitter: millis(5),
            ..narrow(1_500_000, 30)
        };
        let mut call = Call::new(703, [link, narrow(30_000_000, 20)]);
        let mut trace = Vec::new();
        for _ in 0..50 {
            call.world.run(millis(200));
            for connection in call.viewers[0].clone() {
                trace.push(estimate(&mut call.world, connection));
            }
        }
        trace
    };
    let first = trace();
    assert!(first.iter().flatten().count() > 100);
    assert_eq!(first, trace());
}
