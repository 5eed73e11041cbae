//! What the path to a viewer carries is found out, and what follows from it.

use super::support::media::Received;
use super::support::*;
use salono_media_api::{Bandwidth, Bitrate, Op, RembParams};
use std::time::{Duration, Instant};
use str0m::rtp::rtcp::Rtcp;

/// The estimate of what goes to a peer, in bits per second, as its statistics tell it.
pub(super) fn estimate(world: &mut World, peer: usize) -> Option<u64> {
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

pub(super) fn narrow(bps: u64, one_way_ms: u64) -> Link {
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

/// A publisher whose camera makes `appetite` bits per second, and viewers over links of their own.
fn room(seed: u64, appetite: u64, links: &[Link]) -> (World, usize, Vec<usize>) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(Wish::publish());
    world.peers[publisher].appetite = appetite;
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
    world.start(publisher);
    (world, publisher, viewers)
}

/// Video that a viewer got in the last `time`, in bits per second.
pub(super) fn got(world: &World, viewer: usize, time: Duration) -> f64 {
    world.peers[viewer].video.bps(world.now - time, world.now)
}

/// How the picture of a viewer stood still from a moment on, in a player that leaves time for
/// retransmissions: the peers of these tests ask again after 105 ms at the earliest.
fn freezes(world: &World, viewer: usize, from: Instant) -> (Duration, f64) {
    let cameras = world
        .peers
        .iter()
        .filter_map(|peer| peer.video_source.as_ref());
    let camera = cameras.last().expect("a camera");
    let peer = &world.peers[viewer];
    let shown = peer
        .video
        .shown(camera, millis(200) + peer.down.latency * 4);
    Received::freezes(shown, (from, world.now))
}

#[test]
fn a_squeezed_link_does_not_freeze_the_picture_and_is_used_again_when_it_is_wide() {
    let (mut world, _, viewers) = room(202, 1_500_000, &[narrow(3_000_000, 25)]);
    let viewer = viewers[0];
    world.run(secs(8));
    let before = got(&world, viewer, secs(2));
    assert!(before > 1_350_000.0, "{before}");
    let squeezed = world.now;
    world.peers[viewer].down.bps = 500_000;
    world.run(secs(10));
    let narrow = got(&world, viewer, secs(4));
    assert!((250_000.0..500_000.0).contains(&narrow), "{narrow}");
    world.peers[viewer].down.bps = 3_000_000;
    world.run(secs(10));
    let after = got(&world, viewer, secs(1));
    assert!(after > before * 0.9, "{after} of {before}");
    let (longest, _) = freezes(&world, viewer, squeezed);
    assert!(longest <= millis(500), "{longest:?}");
}

#[test]
fn a_slow_viewer_costs_the_others_nothing() {
    let links = [
        narrow(20_000_000, 20),
        narrow(300_000, 40),
        narrow(20_000_000, 20),
    ];
    let (mut world, publisher, viewers) = room(203, 1_200_000, &links);
    world.run(secs(5));
    let settled = world.now;
    world.run(secs(15));
    for good in [viewers[0], viewers[2]] {
        let bps = got(&world, good, secs(15));
        assert!(bps > 1_200_000.0 * 0.95, "{bps}");
        let (longest, ratio) = freezes(&world, good, settled);
        assert!(
            longest < millis(200) && ratio < 0.001,
            "{longest:?} {ratio}"
        );
        assert_eq!(world.peers[good].video.gaps(), [0u64; 0]);
    }
    let sent = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    assert_eq!(sent.bps, 1_200_000);
    // What does not fit is not sent to the slow one, so that its sound goes on.
    let slow = &world.peers[viewers[1]];
    let sound = slow.audio.bps(world.now - secs(5), world.now);
    let others = world.peers[viewers[0]]
        .audio
        .bps(world.now - secs(5), world.now);
    assert!(sound > others * 0.95, "{sound} of {others}");
}

#[test]
fn a_viewer_that_was_too_slow_sees_the_picture_again_when_it_no_longer_is() {
    let links = [narrow(20_000_000, 20), narrow(300_000, 40)];
    let (mut world, _, viewers) = room(208, 1_200_000, &links);
    let slow = viewers[1];
    world.run(secs(15));
    assert!(got(&world, slow, secs(5)) < 300_000.0, "it does not fit");
    world.peers[slow].down.bps = 5_000_000;
    world.run(secs(15));
    let bps = got(&world, slow, secs(3));
    assert!(bps > 1_200_000.0 * 0.95, "{bps}");
    let (_, ratio) = freezes(&world, slow, world.now - secs(3));
    assert!(ratio < 0.001, "{ratio}");
}

#[test]
fn a_viewer_that_estimates_for_itself_is_heeded() {
    let mut world = World::new(209);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish {
        munge: sdp::without_transport_cc,
        ..Wish::subscribe()
    });
    world.peers[publisher].appetite = 1_500_000;
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(3));
    assert_eq!(estimate(&mut world, viewer), None);
    let remb = |world: &mut World, kbps: u64| {
        request_remb(world, viewer, kbps);
        world.run(secs(3));
    };
    // What receivers say at first is low, and not meant: `rembOnConnect` counts.
    remb(&mut world, 50);
    assert_eq!(estimate(&mut world, viewer), Some(300_000));
    remb(&mut world, 700);
    assert_eq!(estimate(&mut world, viewer), Some(700_000));
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    assert!((600_000..=700_000).contains(&camera.bps), "{}", camera.bps);
}

/// How long the packets of each frame took to arrive, one after another.
fn spreads(world: &World, viewer: usize) -> Vec<Duration> {
    let packets = &world.peers[viewer].video.packets;
    packets
        .chunk_by(|one, other| one.timestamp == other.timestamp)
        .map(|frame| frame[frame.len() - 1].at - frame[0].at)
        .collect()
}

#[test]
fn frames_are_spread_over_their_interval_only_where_the_path_is_known_to_be_narrow() {
    let mut world = World::new(210);
    let publisher = world.join_connected(Wish::publish());
    let wish = Wish {
        munge: sdp::without_transport_cc,
        ..Wish::subscribe()
    };
    let narrow = world.join_connected(wish);
    let wide = world.join_connected(Wish::subscribe());
    world.peers[publisher].appetite = 1_200_000;
    for viewer in [narrow, wide] {
        world.connect(world.element(publisher), world.element(viewer));
    }
    world.start(publisher);
    world.run(secs(1));
    request_remb(&mut world, narrow, 1_500);
    world.run(secs(5));
    let all = spreads(&world, wide);
    assert!(
        all.iter().all(|spread| spread.is_zero()),
        "at once: {all:?}"
    );
    let paced = spreads(&world, narrow).split_off(60);
    assert!(paced.len() > 90);
    // 5 kB at one and a half times 1.5 Mbit/s, in steps of 5 ms.
    for spread in paced {
        assert!((millis(5)..millis(30)).contains(&spread), "{spread:?}");
    }
    assert_eq!(world.peers[narrow].video.gaps(), [0u64; 0]);
}

#[test]
fn parameters_of_the_estimate_change_what_a_publisher_is_asked_for() {
    let asked = |params: Option<RembParams>| {
        let mut world = World::new(211);
        let publisher = world.join_connected(Wish {
            munge: sdp::without_transport_cc,
            up: Link {
                loss_permille: 80,
                ..Link::PERFECT
            },
            ..Wish::publish()
        });
        if let Some(params) = params {
            let element = world.element(publisher);
            world.op(Op::SetRembParams { element, params });
        }
        world.start(publisher);
        world.run(secs(10));
        let rtcp = world.peers[publisher].rtcp.iter().rev();
        let mut rembs = rtcp.filter_map(|(_, rtcp)| match rtcp {
            Rtcp::Remb(remb) => Some(remb.bitrate),
            _ => None,
        });
        rembs.next().expect("an estimate")
    };
    let kurento = asked(None);
    assert!(kurento < 250_000.0, "8 % are too much: {kurento}");
    let patient = asked(Some(RembParams {
        up_losses: 60,
        ..RembParams::default()
    }));
    assert!(patient > kurento * 1.2, "{patient}");
    let harsh = asked(Some(RembParams {
        decrement_factor: 0.9,
        ..RembParams::default()
    }));
    assert!(harsh > kurento * 1.2, "{harsh}");
}

pub(super) fn request_remb(world: &mut World, viewer: usize, kbps: u64) {
    let peer = &mut world.peers[viewer];
    let mid = peer.video_mid.expect("video");
    let mut direct = peer.rtc.direct_api();
    let stream = direct.stream_rx_by_mid(mid, None).expect("a stream");
    stream.request_remb(str0m::bwe::Bitrate::kbps(kbps));
    peer.wake = world.now;
}

#[test]
fn limits_that_were_set_hold_within_3_seconds() {
    let (mut world, publisher, viewers) = room(204, 3_000_000, &[narrow(0, 20), narrow(0, 20)]);
    world.run(secs(4));
    let (publisher, viewer) = (world.element(publisher), world.element(viewers[0]));
    let set = |world: &mut World, element, bandwidth| {
        world.op(Op::SetBandwidth { element, bandwidth });
        world.run(secs(4));
        got(world, viewers[0], secs(1)) / 1_000.0
    };
    let near = |got: f64, kbps: f64| (got - kbps).abs() <= kbps * 0.1;
    let kbps = Bitrate::kbps;
    let free = got(&world, viewers[0], secs(1)) / 1_000.0;
    assert!(near(free, 3_000.0), "nobody has set a limit: {free}");
    let of_publisher = set(&mut world, publisher, Bandwidth::MaxVideoRecv(kbps(1_000)));
    assert!(near(of_publisher, 1_000.0), "{of_publisher}");
    let of_viewer = set(&mut world, viewer, Bandwidth::MaxVideoSend(kbps(500)));
    assert!(near(of_viewer, 500.0), "{of_viewer}");
    let least = set(&mut world, publisher, Bandwidth::MinVideoRecv(kbps(800)));
    assert!(near(least, 800.0), "{least}");
    set(&mut world, publisher, Bandwidth::MinVideoRecv(kbps(0)));
    set(&mut world, publisher, Bandwidth::MaxVideoRecv(kbps(0)));
    let lifted = set(&mut world, viewer, Bandwidth::MaxVideoSend(kbps(0)));
    assert!(near(lifted, 3_000.0), "{lifted}");
}

#[test]
fn the_least_that_is_to_be_sent_is_sent_over_a_link_that_carries_less() {
    let (mut world, publisher, viewers) = room(205, 1_500_000, &[narrow(300_000, 20)]);
    let element = world.element(viewers[0]);
    let bandwidth = Bandwidth::MinVideoSend(Bitrate::kbps(600));
    world.op(Op::SetBandwidth { element, bandwidth });
    world.run(secs(15));
    let camera = world.peers[publisher]
        .video_source
        .as_ref()
        .expect("a camera");
    assert!((540_000..660_000).contains(&camera.bps), "{}", camera.bps);
    assert!(estimate(&mut world, viewers[0]).expect("an estimate") >= 600_000);
}

#[test]
fn the_same_seed_makes_the_same_estimates() {
    let trace = || {
        let link = Link {
            loss_permille: 20,
            jitter: millis(5),
            ..narrow(1_000_000, 30)
        };
        let (mut world, _, viewers) = room(206, 1_500_000, &[link]);
        let mut trace = Vec::new();
        for _ in 0..100 {
            world.run(millis(100));
            trace.push(estimate(&mut world, viewers[0]));
        }
        trace
    };
    let first = trace();
    assert!(first.iter().flatten().count() > 50);
    assert_eq!(first, trace());
}

#[test]
fn loss_and_delay_hardly_freeze_the_picture() {
    for loss_permille in [0, 10, 50, 100] {
        for round_trip in [20, 100, 300] {
            let link = Link {
                loss_permille,
                ..narrow(3_000_000, round_trip / 2)
            };
            let (mut world, _, viewers) = room(207, 1_000_000, &[link]);
            world.run(secs(5));
            let from = world.now;
            world.run(secs(20));
            let (longest, ratio) = freezes(&world, viewers[0], from);
            let bps = got(&world, viewers[0], secs(20));
            println!(
                "loss {loss_permille} rtt {round_trip}: longest {longest:?} ratio {ratio:.4} bps {bps:.0}"
            );
            if loss_permille <= 50 {
                assert!(ratio <= 0.01, "{loss_permille} {round_trip}: {ratio}");
            }
        }
    }
}
