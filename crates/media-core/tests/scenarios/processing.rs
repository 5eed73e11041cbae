//! Elements that process media: what crosses to the processor and back, for every way to connect them.

use super::support::*;
use super::switching::assert_unbroken;
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::*;
use str0m::RtcConfig;

mod calls;
mod codecs;
mod hubs;
mod losses;
mod random;
mod spread;

pub(super) const PLAYER: u64 = 100;

pub(super) fn player() -> ProcessorSpec {
    ProcessorSpec::Player(PlayerSpec {
        uri: "file:///a.webm".to_owned(),
        encoded: false,
        network_cache_ms: 0,
        reconnect: false,
    })
}

pub(super) fn recorder() -> ProcessorSpec {
    ProcessorSpec::Recorder(RecorderSpec {
        uri: "file:///b.webm".to_owned(),
        profile: RecordingProfile::Webm,
        stop_on_end: false,
    })
}

/// Works on video; sound passes.
pub(super) fn filter() -> ProcessorSpec {
    ProcessorSpec::Filter(FilterSpec::ZBar)
}

pub(super) fn only_h264(config: RtcConfig) -> RtcConfig {
    config
        .clear_codecs()
        .enable_opus(true, false)
        .enable_h264(true)
}

pub(super) fn only_vp8(config: RtcConfig) -> RtcConfig {
    config
        .clear_codecs()
        .enable_opus(true, false)
        .enable_vp8(true)
}

/// A player that is connected to these peers, and produces sound and pictures without any encoding.
pub(super) fn play_to(world: &mut World, viewers: &[usize]) -> ElementKey {
    let player = world.process(PLAYER, player());
    for viewer in viewers {
        world.connect(player, world.element(*viewer));
    }
    for kind in [MediaKind::Audio, MediaKind::Video] {
        world.produce(player, kind, None);
    }
    player
}

#[test]
fn a_player_is_heard_and_seen_by_a_peer() {
    let mut world = World::new(401);
    let viewer = world.join_connected(Wish::subscribe());
    assert_eq!(world.processor.attached, 0, "nobody needs one");
    let player = world.process(PLAYER, player());
    assert_eq!(world.processor.attached, 1);
    world.connect(player, world.element(viewer));
    assert!(
        world.processor.mind.outlets.is_empty(),
        "nothing to let out"
    );
    for kind in [MediaKind::Audio, MediaKind::Video] {
        world.produce(player, kind, None);
    }
    assert_eq!(world.processor.codecs(MediaKind::Audio), ["opus"]);
    assert_eq!(world.processor.codecs(MediaKind::Video), ["VP8"]);
    let now = world.now;
    world.processor.play(7, now);
    world.run(secs(3));
    let peer = &world.peers[viewer];
    assert_unbroken(&peer.video, true);
    assert_unbroken(&peer.audio, false);
    assert!(peer.video.decoded().len() > 85);
    assert!(peer.audio.decoded().len() > 140);
    assert_eq!(peer.video.publishers(), [7]);
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let flow = ElementEvent::FlowOut {
            kind,
            stream: StreamName::Default,
            flowing: true,
        };
        assert!(world.has(player, &flow));
    }
    world.op(Op::Release { element: player });
    assert_eq!(world.processor.detached, 1);
    assert_eq!(world.shard.metrics().endpoints, 1);
}

#[test]
fn many_viewers_of_a_player_take_one_stream() {
    let mut world = World::new(402);
    let viewers: Vec<usize> = (0..5)
        .map(|_| world.join_connected(Wish::subscribe()))
        .collect();
    let player = play_to(&mut world, &viewers);
    let now = world.now;
    world.processor.play(7, now);
    world.run(secs(2));
    assert_eq!(world.processor.mind.outlets.len(), 2);
    for viewer in &viewers {
        assert_unbroken(&world.peers[*viewer].video, true);
        assert!(world.peers[*viewer].video.decoded().len() > 50);
    }
    // One more, later: it does not have to wait for the next keyframe that comes by itself.
    let late = world.join_connected(Wish::subscribe());
    let asked = world.processor.keyframes.len();
    world.connect(player, world.element(late));
    world.run(secs(1));
    assert_eq!(world.processor.mind.outlets.len(), 2);
    assert!(world.processor.keyframes.len() > asked);
    assert!(world.peers[late].video.decoded().len() > 20);
    for viewer in viewers {
        let element = world.element(viewer);
        world.op(Op::Release { element });
    }
    assert_eq!(world.processor.mind.outlets.len(), 2);
    let element = world.element(late);
    world.op(Op::Release { element });
    assert!(world.processor.mind.outlets.is_empty());
}

#[test]
fn what_a_peer_sends_is_recorded_whole_and_once_for_all_recorders() {
    let mut world = World::new(403);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(millis(500));
    let recorders = [100, 101].map(|key| world.process(key, recorder()));
    for recorder in recorders {
        world.connect(world.element(publisher), recorder);
    }
    assert_eq!(world.processor.mind.inlets.len(), 2);
    world.run(secs(2));
    let mind = &world.processor.mind;
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let inlets = recorders.map(|recorder| world.processor.inlet_of(recorder, kind));
        assert_eq!(inlets[0], inlets[1]);
        let packets = &world.processor.entered[&inlets[0].expect("linked")];
        let numbers: Vec<u16> = packets
            .iter()
            .map(|packet| u16::from_be_bytes([packet[2], packet[3]]))
            .collect();
        assert!(numbers.len() > 90, "{} packets", numbers.len());
        assert!(
            numbers
                .windows(2)
                .all(|two| two[0].wrapping_add(1) == two[1])
        );
    }
    assert_eq!(mind.inlets.len(), 2);
    for (name, kind) in [("opus", MediaKind::Audio), ("VP8", MediaKind::Video)] {
        let mut formats = mind.inlets.values();
        assert!(formats.any(|(of, format)| *of == kind && format.codec == name));
        let flow = ElementEvent::FlowIn {
            kind,
            stream: StreamName::Default,
            flowing: true,
        };
        assert!(world.has(recorders[1], &flow));
    }
    let [first, second] = recorders;
    world.op(Op::Release { element: first });
    assert_eq!(world.processor.mind.inlets.len(), 2);
    world.op(Op::Release { element: second });
    assert_eq!(world.processor.detached, 1);
    assert_eq!(world.shard.metrics().tracks, 2);
}

#[test]
fn a_filter_between_peers_takes_the_pictures_and_lets_the_sound_pass() {
    let mut world = World::new(404);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let filter = world.process(100, filter());
    world.connect(world.element(publisher), filter);
    world.connect(filter, world.element(viewer));
    world.start(publisher);
    world.run(millis(300));
    assert_eq!(world.processor.mind.inlets.len(), 1);
    assert!(world.processor.mind.outlets.is_empty());
    world.produce(filter, MediaKind::Video, None);
    assert_eq!(world.processor.codecs(MediaKind::Video), ["VP8"]);
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(2));
    let peer = &world.peers[viewer];
    assert_eq!(peer.video.publishers(), [9], "the filter's");
    assert_unbroken(&peer.video, true);
    assert_eq!(peer.audio.publishers(), [1], "the publisher's own");
    assert_unbroken(&peer.audio, false);
    // Without the filter again: the same stream goes on.
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(1));
    assert!(world.processor.mind.outlets.is_empty());
    assert_unbroken(&world.peers[viewer].video, true);
    assert_eq!(world.peers[viewer].video.publishers(), [9, 1]);
}

#[test]
fn a_peer_sees_itself_through_a_chain_of_filters() {
    let mut world = World::new(405);
    let peer = world.join_connected(Wish::both());
    let element = world.element(peer);
    let [first, second] = [100, 101].map(|key| world.process(key, filter()));
    world.connect(element, first);
    world.connect(first, second);
    world.connect(second, element);
    world.start(peer);
    world.run(millis(300));
    world.produce(second, MediaKind::Video, None);
    let links = &world.processor.mind.links;
    assert_eq!(links[&(second, MediaKind::Video)], Origin::Element(first));
    assert!(world.processor.inlet_of(first, MediaKind::Video).is_some());
    let outlets = world.processor.outlets(MediaKind::Video);
    assert_eq!(outlets.len(), 1);
    assert_eq!(outlets[0].1.origin, Origin::Element(second));
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(1));
    assert_eq!(world.peers[peer].video.publishers(), [9]);
    assert_eq!(world.peers[peer].audio.publishers(), [1]);
    // The middle is taken out.
    world.connect(first, element);
    world.produce(first, MediaKind::Video, None);
    let outlets = world.processor.outlets(MediaKind::Video);
    assert_eq!(outlets.len(), 1);
    assert_eq!(outlets[0].1.origin, Origin::Element(first));
}

#[test]
fn keyframes_are_asked_for_in_both_directions() {
    let mut world = World::new(406);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let filter = world.process(100, filter());
    world.connect(world.element(publisher), filter);
    world.connect(filter, world.element(viewer));
    world.start(publisher);
    world.run(millis(300));
    world.produce(filter, MediaKind::Video, None);
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(2));
    // The processor lost a picture.
    let inlet = world
        .processor
        .inlet_of(filter, MediaKind::Video)
        .expect("linked");
    let before = world.peers[publisher].keyframe_requests.len();
    world.send_from_processor(&Processor::picture_loss(inlet));
    world.run(millis(500));
    assert_eq!(world.peers[publisher].keyframe_requests.len(), before + 1);
    // The viewer did.
    let before = world.processor.keyframes.len();
    let element = world.element(viewer);
    world
        .ask(|token| Op::RequestKeyframe { token, element })
        .expect("asked");
    world.run(millis(500));
    assert_eq!(world.processor.keyframes.len(), before + 1);
}

#[test]
fn the_processor_can_relate_sound_and_pictures_from_the_first_moment_on() {
    let mut world = World::new(407);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(secs(2));
    let recorder = world.process(100, recorder());
    world.connect(world.element(publisher), recorder);
    world.run(millis(200));
    let inlets = [MediaKind::Audio, MediaKind::Video]
        .map(|kind| world.processor.inlet_of(recorder, kind).expect("linked"));
    for inlet in inlets {
        assert!(world.processor.reported.contains(&inlet), "{inlet}");
    }
}
