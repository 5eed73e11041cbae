//! Publishers learn how their packets fare, subscribers how sound and picture belong together.

use super::support::media::{Received, Source};
use super::support::*;
use salono_media_api::{Bandwidth, Bitrate as Rate, MediaKind, Op, StreamDirection};
use std::time::{Duration, SystemTime};
use str0m::bwe::Bitrate;
use str0m::rtp::rtcp::{Rtcp, SenderInfo};

fn call(seed: u64, publish: Wish) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(publish);
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(5));
    (world, publisher, viewer)
}

#[test]
fn transport_wide_feedback_reaches_a_publisher_that_agreed_to_it() {
    let (world, publisher, _) = call(41, Wish::publish());
    let peer = &world.peers[publisher];
    let feedback = peer.rtcp_count(|rtcp| matches!(rtcp, Rtcp::Twcc(_)));
    assert!((20..=120).contains(&feedback), "{feedback} in 5 s");
    assert_eq!(peer.rtcp_count(|rtcp| matches!(rtcp, Rtcp::Remb(_))), 0);
}

#[test]
fn an_estimate_reaches_a_publisher_without_transport_wide_feedback() {
    let wish = Wish {
        munge: sdp::without_transport_cc,
        ..Wish::publish()
    };
    let (world, publisher, viewer) = call(42, wish);
    let peer = &world.peers[publisher];
    assert_eq!(peer.rtcp_count(|rtcp| matches!(rtcp, Rtcp::Twcc(_))), 0);
    let estimates: Vec<f32> = peer
        .rtcp
        .iter()
        .filter_map(|(_, rtcp)| match rtcp {
            Rtcp::Remb(remb) => Some(remb.bitrate),
            _ => None,
        })
        .collect();
    assert!((3..=8).contains(&estimates.len()), "{estimates:?}");
    // About 400 kbit/s arrive without loss: the publisher is never asked for less.
    assert!(
        estimates.iter().all(|rate| *rate > 300_000.0),
        "{estimates:?}"
    );
    assert!(world.peers[viewer].video.decoded().len() > 100);
}

#[test]
fn receiver_reports_count_what_was_lost() {
    let (mut world, publisher, viewer) = call(
        43,
        Wish {
            up: Link {
                loss_permille: 50,
                ..Link::PERFECT
            },
            ..Wish::publish()
        },
    );
    let stats = world.stats(publisher);
    let inbound = stats
        .streams
        .iter()
        .find(|stream| {
            stream.direction == StreamDirection::Inbound && stream.kind == MediaKind::Audio
        })
        .expect("a stream");
    assert!(inbound.packets > 200, "{inbound:?}");
    assert!((1..40).contains(&inbound.packets_lost), "{inbound:?}");
    let reports = world.peers[publisher]
        .rtcp_count(|rtcp| matches!(rtcp, Rtcp::ReceiverReport(report) if report.reports.iter().next().is_some()));
    assert!(reports >= 3, "{reports} reports");
    let stats = world.stats(viewer);
    let outbound = stats
        .streams
        .iter()
        .find(|stream| {
            stream.direction == StreamDirection::Outbound && stream.kind == MediaKind::Video
        })
        .expect("a stream");
    assert!(outbound.packets > 200, "{outbound:?}");
    assert!(outbound.bitrate.as_bps() > 300_000, "{outbound:?}");
    let trip = outbound.round_trip_time.expect("reports came back");
    assert!(trip >= millis(15) && trip <= millis(60), "{trip:?}");
}

/// Seconds of wall clock at which a timestamp was captured, by a sender report.
fn captured_at(info: &SenderInfo, timestamp: u32, rate: f64) -> f64 {
    let wall = info
        .ntp_time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_secs_f64();
    let ticks = timestamp
        .wrapping_sub(info.rtp_time.numer() as u32)
        .cast_signed();
    wall + f64::from(ticks) / rate
}

#[test]
fn sound_and_picture_stay_in_step() {
    let (world, publisher, viewer) = call(44, Wish::publish());
    let (sender, receiver) = (&world.peers[publisher], &world.peers[viewer]);
    let newest = |ssrcs: Vec<u32>| -> SenderInfo {
        let reports = receiver
            .rtcp
            .iter()
            .rev()
            .filter_map(|(_, rtcp)| match rtcp {
                Rtcp::SenderReport(report) => Some(report.sender_info),
                _ => None,
            });
        reports
            .into_iter()
            .find(|info| ssrcs.contains(&*info.ssrc))
            .expect("a sender report")
    };
    let audio = newest(receiver.audio.ssrcs());
    let video = newest(receiver.video.ssrcs());
    assert!(video.sender_packet_count > 200 && audio.sender_packet_count > 100);
    // What the publisher captured at one moment is at one moment for the receiver.
    let skew = |received: &Received, source: &Source, info: &SenderInfo, rate: f64| {
        let frame = *received.decoded().last().expect("a frame");
        let sent = source.sent[frame.number as usize];
        captured_at(info, frame.timestamp, rate) - (sent - world.origin).as_secs_f64()
    };
    let audio_skew = skew(
        &receiver.audio,
        sender.audio_source.as_ref().expect("a microphone"),
        &audio,
        48_000.0,
    );
    let video_skew = skew(
        &receiver.video,
        sender.video_source.as_ref().expect("a camera"),
        &video,
        90_000.0,
    );
    assert!(
        (audio_skew - video_skew).abs() < 0.010,
        "audio {audio_skew} video {video_skew}"
    );
    // And our clock is the wall clock, up to one way.
    let start = UNIX_START.as_secs_f64();
    assert!((video_skew - start).abs() < 0.1, "{}", video_skew - start);
}

#[test]
fn bandwidth_probes_of_a_publisher_reach_nobody() {
    let mut world = World::new(45);
    let publisher = world.join_connected(Wish {
        configure: |config| config.enable_bwe(Some(Bitrate::kbps(300))),
        ..Wish::publish()
    });
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.peers[publisher]
        .rtc
        .bwe()
        .set_bitrate(Bitrate::kbps(300), Bitrate::mbps(5));
    world.run(secs(8));
    let until = world.now - millis(500);
    let sender = &world.peers[publisher];
    let camera = sender.video_source.as_ref().expect("a camera");
    let received = &world.peers[viewer].video;
    let frames = received.decoded();
    assert!(frames.len() > 200, "{} frames", frames.len());
    assert_eq!(received.missing(1, camera, until), [0u32; 0]);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert_eq!(received.repeats(), 0);
    let metrics = world.shard.metrics();
    let useful = received.packets.len() + world.peers[viewer].audio.packets.len();
    assert!(
        metrics.rtp_received > useful as u64 + 50,
        "there were probes: {metrics:?} against {useful}"
    );
}

/// The last bitrate that the publisher was asked to keep to, in bits per second.
fn asked(world: &World, publisher: usize) -> Option<f32> {
    let rtcp = world.peers[publisher].rtcp.iter().rev();
    rtcp.filter_map(|(_, rtcp)| match rtcp {
        Rtcp::Remb(remb) => Some(remb.bitrate),
        _ => None,
    })
    .next()
}

#[test]
fn limits_of_publisher_and_receivers_reach_a_publisher_that_estimates_for_itself() {
    let (mut world, publisher, viewer) = call(171, Wish::publish());
    world.run(secs(3));
    assert_eq!(asked(&world, publisher), None, "nobody has set a limit");
    let (of_publisher, of_viewer) = (world.element(publisher), world.element(viewer));
    let set = |world: &mut World, element, bandwidth| {
        world.op(Op::SetBandwidth { element, bandwidth });
        world.run(secs(3));
        asked(world, publisher).expect("a bitrate")
    };
    let near = |asked: f32, kbps: f32| (asked / 1_000.0 - kbps).abs() < kbps / 50.0;
    let kbps = Rate::kbps;
    let own = set(&mut world, of_publisher, Bandwidth::MaxVideoRecv(kbps(300)));
    assert!(near(own, 300.0), "{own}");
    let least = set(&mut world, of_viewer, Bandwidth::MaxVideoSend(kbps(200)));
    assert!(near(least, 200.0), "{least}");
    let own = set(&mut world, of_viewer, Bandwidth::MaxVideoSend(kbps(900)));
    assert!(near(own, 300.0), "{own}");
    let other = set(&mut world, of_publisher, Bandwidth::MaxVideoRecv(kbps(0)));
    assert!(near(other, 900.0), "{other}");
    let none = set(&mut world, of_viewer, Bandwidth::MaxVideoSend(kbps(0)));
    assert!(none > 100_000_000.0, "{none}");
}
