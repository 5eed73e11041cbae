//! One pipeline on several shards: everything is as if it were on one.

use super::layers::layers;
use super::support::cluster::Cluster;
use super::support::*;
use super::switching::{assert_unbroken, publishers};
use salono_media_api::{
    ElementEvent, ElementKey, ElementSpec, Event, MediaKind, Op, SpeakerDetection, SpeakerEvent,
    StreamDirection, VideoWish,
};
use str0m::media::Direction;
use str0m::rtp::rtcp::Rtcp;

/// A publisher on the first shard and viewers by turns on the second and the first.
fn broadcast(seed: u64, viewers: usize, wish: Wish) -> (Cluster, usize, Vec<usize>) {
    let mut cluster = Cluster::new(2, seed);
    let publisher = cluster.join(Wish::publish());
    let viewers: Vec<_> = (0..viewers).map(|_| cluster.join(wish)).collect();
    let (first, _) = (cluster.element(publisher), ());
    for viewer in &viewers {
        cluster.connect(first, cluster.element(*viewer));
    }
    assert_eq!(cluster.shard_of(publisher), 0);
    assert_eq!(cluster.shard_of(viewers[0]), 1);
    (cluster, publisher, viewers)
}

/// Nothing crosses any more, and only what peers send is kept.
fn assert_nothing_left(cluster: &Cluster) {
    for shard in &cluster.shards {
        let metrics = shard.metrics();
        let left = (metrics.tracks, metrics.mirrors, metrics.mirrored);
        assert_eq!(left, (0, 0, 0), "{metrics:?}");
        assert_eq!((metrics.elements, metrics.pipelines), (0, 0));
    }
}

#[test]
fn viewers_on_every_shard_get_every_packet_in_order() {
    let (mut cluster, publisher, viewers) = broadcast(1, 4, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(3));
    let until = cluster.now - millis(100);
    let sender = &cluster.peers[publisher];
    for viewer in viewers {
        let viewer = &cluster.peers[viewer];
        for (received, source) in [
            (&viewer.video, &sender.video_source),
            (&viewer.audio, &sender.audio_source),
        ] {
            let source = source.as_ref().expect("it sends");
            let id = sender.element.0 as u8;
            assert_eq!(received.missing(id, source, until), [0u32; 0]);
            assert!((received.gaps().is_empty(), received.repeats()) == (true, 0));
            assert!(received.is_sorted() && received.decoded().len() > 80);
        }
    }
    let metrics = cluster.shards[1].metrics();
    assert_eq!((metrics.mirrors, metrics.rtp_received), (2, 0));
    assert_eq!(cluster.shards[0].metrics().mirrored, 2);
    // One copy serves both viewers over there.
    let copied = cluster.shards[0].metrics().rtp_mirrored;
    assert!(
        copied <= cluster.shards[0].metrics().rtp_received,
        "{copied}"
    );
    assert_eq!(cluster.shards[1].metrics().rtp_forwarded, copied * 2);
}

#[test]
fn loss_is_repaired_by_the_shard_that_has_the_mirror() {
    let (mut cluster, publisher, viewers) = broadcast(2, 2, Wish::subscribe().over(Link::BAD));
    cluster.peers[publisher].up = Link::BAD;
    cluster.start(publisher);
    cluster.run(secs(6));
    let source = cluster.peers[publisher].video_source.as_ref();
    let until = cluster.now - secs(1);
    for viewer in viewers {
        let received = &cluster.peers[viewer].video;
        let missing = received.missing(1, source.expect("a camera"), until);
        assert_eq!(missing, [0u32; 0]);
        assert!(received.decodable().len() > 120);
    }
    let [home, part] = [0, 1].map(|shard| cluster.shards[shard].metrics());
    assert!(
        home.nacks_sent > 5 && home.rtp_retransmitted > 5,
        "{home:?}"
    );
    assert_eq!(part.nacks_sent, 0, "nobody is asked a second time");
    assert!(part.rtp_retransmitted > 5, "{part:?}");
}

#[test]
fn keyframe_wishes_of_all_shards_meet_in_one_throttle() {
    let (mut cluster, publisher, viewers) = broadcast(3, 4, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(2));
    cluster.peers[publisher].keyframe_requests.clear();
    let begin = cluster.now;
    for _ in 0..20 {
        for viewer in &viewers {
            let element = cluster.element(*viewer);
            cluster
                .ask(|token| Op::RequestKeyframe { token, element })
                .expect("it sees something");
        }
        cluster.run(millis(100));
    }
    let requests = &cluster.peers[publisher].keyframe_requests;
    assert!((3..=5).contains(&requests.len()), "{requests:?}");
    assert!(requests[0] - begin < millis(20), "the first at once");
    let apart = |two: &[std::time::Instant]| two[1] - two[0] >= millis(499);
    assert!(requests.windows(2).all(apart), "{requests:?}");
}

#[test]
fn a_viewer_goes_from_a_source_here_to_one_elsewhere_and_back() {
    let mut cluster = Cluster::new(2, 4);
    let first = cluster.join(Wish::publish());
    let second = cluster.join(Wish::publish());
    let viewer = cluster.join(Wish::subscribe());
    assert_ne!(cluster.shard_of(first), cluster.shard_of(second));
    cluster.start(first);
    cluster.start(second);
    for turn in 0..6 {
        let source = cluster.element([first, second][turn % 2]);
        cluster.connect(source, cluster.element(viewer));
        cluster.run(secs(1));
    }
    let received = &cluster.peers[viewer].video;
    // Decodable at every switch, one stream for the viewer.
    let frames = received.decoded();
    let switches = frames
        .windows(2)
        .filter(|two| two[0].publisher != two[1].publisher)
        .count();
    assert_eq!((switches, received.ssrcs().len()), (5, 1));
    assert!(received.gaps().is_empty() && frames.len() > 150);
    // The source that is not watched is not copied.
    assert_eq!(cluster.sum(|metrics| metrics.mirrors), 2);
    let source = cluster.element(first);
    cluster.connect(source, cluster.element(viewer));
    assert_eq!(cluster.sum(|metrics| metrics.mirrors + metrics.mirrored), 0);
}

#[test]
fn sound_and_picture_stay_in_step_over_shards_whose_clocks_differ() {
    let (mut cluster, publisher, viewers) = broadcast(5, 2, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(5));
    let wall = |viewer: usize, is_video: bool| -> f64 {
        let receiver = &cluster.peers[viewer];
        let received = if is_video {
            &receiver.video
        } else {
            &receiver.audio
        };
        let ssrc = *received.ssrcs().first().expect("a stream");
        let report = receiver.rtcp.iter().rev().find_map(|(_, rtcp)| match rtcp {
            Rtcp::SenderReport(report) if *report.sender_info.ssrc == ssrc => {
                Some(report.sender_info)
            }
            _ => None,
        });
        let info = report.expect("a report");
        let frame = received.frames().last().copied().expect("a frame");
        let rate = if is_video { 90_000.0 } else { 48_000.0 };
        let since = info
            .ntp_time
            .duration_since(std::time::SystemTime::UNIX_EPOCH);
        let ticks = frame
            .timestamp
            .wrapping_sub(info.rtp_time.numer() as u32)
            .cast_signed();
        // When it was captured, by the receiver's knowledge, less when it was.
        let sender = &cluster.peers[publisher];
        let source = if is_video {
            &sender.video_source
        } else {
            &sender.audio_source
        };
        let sent = source.as_ref().expect("it sends").sent[frame.number as usize];
        let true_age = (cluster.now - sent).as_secs_f64();
        since.expect("after 1970").as_secs_f64() + f64::from(ticks) / rate + true_age
    };
    for viewer in viewers {
        let apart = wall(viewer, true) - wall(viewer, false);
        assert!(apart.abs() < 0.002, "{apart} s");
    }
}

#[test]
fn whatever_is_released_first_nothing_is_left() {
    for order in 0..6 {
        let (mut cluster, publisher, viewers) = broadcast(6 + order, 3, Wish::subscribe());
        cluster.start(publisher);
        cluster.run(secs(1));
        assert_eq!(cluster.sum(|metrics| metrics.mirrors), 2);
        let [source, near, far] =
            [publisher, viewers[1], viewers[0]].map(|peer| cluster.element(peer));
        let other = cluster.element(viewers[2]);
        let mut elements = vec![
            [source, far, near, other],
            [far, other, source, near],
            [near, source, other, far],
        ][order as usize % 3]
            .to_vec();
        if order >= 3 {
            cluster.disconnect(source, far);
            elements.truncate(2);
        }
        for element in elements {
            cluster.release(element);
            cluster.run(millis(50));
        }
        cluster.op(Op::ReleasePipeline);
        cluster.run(secs(3));
        assert_nothing_left(&cluster);
    }
}

#[test]
fn a_pipeline_that_ends_at_once_leaves_nothing() {
    let (mut cluster, publisher, _) = broadcast(20, 4, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(1));
    cluster.op(Op::ReleasePipeline);
    cluster.run(secs(1));
    assert_nothing_left(&cluster);
}

#[test]
fn a_shard_that_stands_still_loses_packets_and_goes_on_with_a_keyframe() {
    let (mut cluster, publisher, viewers) = broadcast(21, 2, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(2));
    let crossed = |cluster: &Cluster| cluster.crossed[&(0, 1)];
    cluster.blocked.insert((0, 1));
    let before = crossed(&cluster);
    cluster.run(secs(60));
    assert_eq!(crossed(&cluster), before);
    // Nobody waits for it.
    let near = &cluster.peers[viewers[1]].video;
    assert!(near.gaps().is_empty() && near.decoded().len() > 1_800);
    let metrics = cluster.shards[0].metrics();
    assert!(metrics.mirror_drops > 1_000, "{metrics:?}");
    cluster.peers[publisher].keyframe_requests.clear();
    let resumed = cluster.now;
    cluster.blocked.clear();
    cluster.run(secs(2));
    let asked = &cluster.peers[publisher].keyframe_requests;
    assert!(
        !asked.is_empty() && asked[0] - resumed < millis(50),
        "{asked:?}"
    );
    let frames = cluster.peers[viewers[0]].video.frames();
    let last = frames.last().expect("frames");
    let newest = cluster.peers[publisher].video_source.as_ref();
    let newest = newest.expect("a camera").sent.len() as u32;
    assert!(last.number + 5 > newest, "{} of {newest}", last.number);
    let keys = frames.iter().filter(|frame| frame.is_key);
    assert!(keys.filter(|frame| frame.at > resumed).count() >= 1);
}

#[test]
fn messages_reach_sinks_on_every_shard_once() {
    let mut cluster = Cluster::new(2, 22);
    let peers: Vec<_> = (0..4).map(|_| cluster.join(Wish::data())).collect();
    let source = cluster.element(peers[0]);
    for sink in &peers[1..] {
        let sink = cluster.element(*sink);
        let kind = MediaKind::Data;
        cluster.op(Op::Connect {
            source: source.into(),
            sink: sink.into(),
            kind,
        });
    }
    cluster.run(secs(1));
    let (channel, _) = cluster.peers[peers[0]].channels[0].clone();
    let peer = &mut cluster.peers[peers[0]];
    let mut channel = peer.rtc.channel(channel).expect("a channel");
    assert!(channel.write(false, b"hello").expect("room"));
    peer.wake = cluster.now;
    cluster.run(secs(1));
    for sink in &peers[1..] {
        let messages = &cluster.peers[*sink].messages;
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0].data, b"hello");
    }
}

#[test]
fn media_flow_of_elements_in_between_follows_sources_on_other_shards() {
    let mut cluster = Cluster::new(2, 23);
    let viewer = cluster.join(Wish::subscribe());
    let publisher = cluster.join(Wish::publish());
    assert_eq!(cluster.shard_of(publisher), 1);
    let relay = cluster.create(100, ElementSpec::PassThrough);
    assert_eq!(
        cluster.homes[&relay], 0,
        "elements without a peer live at home"
    );
    cluster.op(Op::MeasureLatency { on: true });
    cluster.connect(cluster.element(publisher), relay);
    cluster.connect(relay, cluster.element(viewer));
    cluster.start(publisher);
    cluster.run(secs(3));
    let flowing = |flowing| ElementEvent::FlowIn {
        kind: MediaKind::Video,
        stream: salono_media_api::StreamName::Default,
        flowing,
    };
    assert!(cluster.has(relay, &flowing(true)) && !cluster.has(relay, &flowing(false)));
    assert!(cluster.has(cluster.element(viewer), &flowing(true)));
    assert!(cluster.peers[viewer].video.decoded().len() > 60);
    let stats = cluster.stats(relay);
    assert_eq!(stats.input_latency.len(), 2);
    let stats = cluster.stats(cluster.element(viewer));
    let outbound = |direction| {
        let streams = stats.streams.iter();
        streams.filter(|it| it.direction == direction).count()
    };
    assert_eq!(outbound(StreamDirection::Outbound), 2);
    cluster.peers[publisher].stop();
    cluster.run(secs(5));
    assert!(cluster.has(relay, &flowing(false)));
    assert!(cluster.has(cluster.element(viewer), &flowing(false)));
}

#[test]
fn a_publisher_that_negotiates_late_or_anew_is_found() {
    let mut cluster = Cluster::new(2, 24);
    let viewer = cluster.join(Wish::subscribe());
    // The endpoint is connected before it has a track.
    let late = ElementKey(2);
    let next = ElementKey(3);
    for kind in MediaKind::ALL {
        cluster.op(Op::Connect {
            source: late.into(),
            sink: cluster.element(viewer).into(),
            kind,
        });
    }
    let publisher = cluster.join(Wish::publish());
    assert_eq!(cluster.element(publisher), late);
    cluster.start(publisher);
    cluster.run(secs(1));
    assert_eq!(cluster.peers[viewer].video.packets.len(), 0, "unknown then");
    cluster.connect(late, cluster.element(viewer));
    cluster.run(secs(1));
    assert!(cluster.peers[viewer].video.decoded().len() > 25);
    assert!(!cluster.homes.contains_key(&next));
}

#[test]
fn a_shard_that_starts_again_is_mirrored_anew() {
    let (mut cluster, publisher, _) = broadcast(25, 3, Wish::subscribe());
    cluster.start(publisher);
    cluster.run(secs(1));
    cluster.restart(1);
    cluster.run(secs(1));
    assert_eq!(cluster.sum(|metrics| metrics.mirrors + metrics.mirrored), 0);
    // Endpoints that come now find what was there before.
    let source = cluster.element(publisher);
    let mut joined = Vec::new();
    while joined.len() < 2 {
        joined.push(cluster.join(Wish::subscribe()));
    }
    for viewer in &joined {
        cluster.connect(source, cluster.element(*viewer));
    }
    cluster.run(secs(2));
    assert!(joined.iter().any(|viewer| cluster.shard_of(*viewer) == 1));
    for viewer in joined {
        assert!(cluster.peers[viewer].video.decoded().len() > 50);
    }
}

#[test]
fn the_loudest_of_all_shards_are_heard_on_every_shard_and_reported_once() {
    let mut cluster = Cluster::new(2, 26);
    cluster.op(Op::DetectSpeakers {
        detection: Some(SpeakerDetection {
            loudest: 1,
            level_interval: None,
        }),
    });
    let microphone = Wish {
        audio: Some(Direction::SendOnly),
        video: None,
        ..Wish::publish()
    };
    let loudspeaker = Wish {
        audio: Some(Direction::RecvOnly),
        ..microphone
    };
    // Two on each shard; the fourth is heard by nobody at home.
    let speakers: Vec<_> = (0..4).map(|_| cluster.join(microphone)).collect();
    let mut pairs = Vec::new();
    for (at, speaker) in speakers.iter().enumerate().take(3) {
        for _ in 0..2 {
            let listener = cluster.join(loudspeaker);
            cluster.connect(cluster.element(*speaker), cluster.element(listener));
            pairs.push((at, listener));
        }
    }
    for speaker in &speakers {
        cluster.start(*speaker);
    }
    let set = |cluster: &mut Cluster, loud: usize| {
        for (at, speaker) in speakers.iter().enumerate() {
            let level = if at == loud { -25 } else { -80 };
            let source = cluster.peers[*speaker].audio_source.as_mut();
            source.expect("a microphone").level = Some(level);
        }
    };
    for loud in [0, 1, 2, 3, 1] {
        set(&mut cluster, loud);
        cluster.run(millis(2_500));
        let heard = |cluster: &Cluster| -> Vec<usize> {
            let count =
                |(_, listener): &(usize, usize)| cluster.peers[*listener].audio.packets.len();
            pairs.iter().map(count).collect()
        };
        let before = heard(&cluster);
        cluster.run(secs(1));
        for ((pair, before), after) in pairs.iter().zip(before).zip(heard(&cluster)) {
            assert_eq!(
                after > before,
                pair.0 == loud,
                "{pair:?} while {loud} speaks"
            );
        }
    }
    let active: Vec<_> = cluster
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Speakers {
                event: SpeakerEvent::Active(element),
                ..
            } => *element,
            _ => None,
        })
        .collect();
    let expected: Vec<_> = [0, 1, 2, 3, 1]
        .map(|at| cluster.element(speakers[at]))
        .to_vec();
    assert_eq!(active, expected);
    for (_, listener) in pairs {
        assert_eq!(cluster.peers[listener].audio.gaps(), [0u64; 0]);
    }
    cluster.op(Op::ReleasePipeline);
    cluster.run(secs(1));
    assert_nothing_left(&cluster);
}

#[test]
fn viewers_on_every_shard_get_the_layer_that_they_wish() {
    let rids = &["q", "h", "f"];
    let mut cluster = Cluster::new(2, 27);
    let publisher = cluster.join(Wish::simulcast(rids));
    let viewers: Vec<_> = (0..4).map(|_| cluster.join(Wish::subscribe())).collect();
    let source = cluster.element(publisher);
    for viewer in &viewers {
        cluster.connect(source, cluster.element(*viewer));
    }
    cluster.start(publisher);
    let now = cluster.now;
    let peer = &mut cluster.peers[publisher];
    peer.video_source = None;
    peer.layers = layers(rids, now);
    cluster.run(secs(3));
    assert_eq!(cluster.sum(|metrics| metrics.mirrors), 2);
    // Name and height of the layers, as viewers by turns wish them.
    let all = [(10, 180), (11, 360), (12, 720)];
    for turn in 0..4 {
        for (at, viewer) in viewers.iter().enumerate() {
            let element = cluster.element(*viewer);
            let wish = VideoWish {
                height: all[(turn + at) % 3].1,
                priority: 0,
            };
            cluster.op(Op::WishVideo { element, wish });
        }
        cluster.run(secs(2));
        for (at, viewer) in viewers.iter().enumerate() {
            let received = &cluster.peers[*viewer].video;
            let wished = all[(turn + at) % 3].0;
            assert_eq!(publishers(received).last(), Some(&wished), "viewer {at}");
        }
    }
    for viewer in &viewers {
        assert_unbroken(&cluster.peers[*viewer].video, true);
    }
    cluster.op(Op::ReleasePipeline);
    cluster.run(secs(1));
    assert_nothing_left(&cluster);
}
