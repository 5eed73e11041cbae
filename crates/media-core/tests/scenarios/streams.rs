//! Several m-lines of one kind: connected by name, added, stopped and started again in a call.

use super::support::media::Source;
use super::support::*;
use salono_media_api::*;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as RtcKind, Mid};

/// What frames of a screen are labelled with, besides those of cameras.
const SCREEN: u8 = 200;

pub(super) fn pad(element: ElementKey, mid: Option<Mid>) -> Pad {
    let mid = mid.expect("an m-line");
    Pad {
        element,
        stream: StreamName::Named((*mid).into()),
    }
}

impl World {
    /// The peer offers another m-line of video.
    fn add_screen(&mut self, index: usize, version: u32, direction: Direction) {
        let mid = self.renegotiate(index, version, |api| {
            api.add_media(RtcKind::Video, direction, None, None, None)
        });
        self.peers[index].screen_mid = Some(mid);
    }

    fn start_screen(&mut self, index: usize) {
        let screen = Source::video(Codec::Vp8, SCREEN, self.now);
        self.peers[index].screen_source = Some(screen);
    }

    fn connect_screen(&mut self, source: usize, sink: usize) {
        let kind = MediaKind::Video;
        let source = pad(self.element(source), self.peers[source].screen_mid);
        let sink = pad(self.element(sink), self.peers[sink].screen_mid);
        self.op(Op::Connect { source, sink, kind });
    }

    fn assert_screen(&self, publisher: usize, viewer: usize) {
        let received = &self.peers[viewer].screen;
        let screen = self.peers[publisher].screen_source.as_ref();
        let until = self.now - millis(200);
        let missing = received.missing(SCREEN, screen.expect("one"), until);
        assert_eq!(missing, [0u32; 0]);
        assert_eq!(received.gaps(), [0u64; 0]);
        assert!(received.decoded().len() > 20);
    }

    fn assert_camera(&self, publisher: usize, viewer: usize) {
        let received = &self.peers[viewer].video;
        let camera = self.peers[publisher].video_source.as_ref();
        let until = self.now - millis(200);
        let key = self.element(publisher).0 as u8;
        let missing = received.missing(key, camera.expect("one"), until);
        assert_eq!(missing, [0u32; 0]);
        assert_eq!(received.gaps(), [0u64; 0]);
    }
}

/// A call of a publisher of camera, screen and microphone with a viewer of all three.
fn call(seed: u64) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.add_screen(publisher, 3, Direction::SendOnly);
    world.add_screen(viewer, 3, Direction::RecvOnly);
    world.connect(world.element(publisher), world.element(viewer));
    world.connect_screen(publisher, viewer);
    world.start(publisher);
    world.start_screen(publisher);
    world.run(secs(3));
    (world, publisher, viewer)
}

#[test]
fn camera_screen_and_microphone_share_a_connection_and_keep_apart() {
    let (mut world, publisher, viewer) = call(401);
    world.assert_camera(publisher, viewer);
    world.assert_screen(publisher, viewer);
    assert!(!world.peers[viewer].audio.packets.is_empty());
    let mut ssrcs = world.peers[viewer].video.ssrcs();
    ssrcs.extend(world.peers[viewer].screen.ssrcs());
    assert_eq!(ssrcs.len(), 2, "a stream for each");
    // Each is counted, and named where it is told of.
    let stats = world.stats(viewer);
    let videos = stats
        .streams
        .iter()
        .filter(|it| it.kind == MediaKind::Video);
    assert!(videos.clone().all(|stream| stream.packets > 60));
    assert_eq!(videos.count(), 2);
    let screen = pad(world.element(viewer), world.peers[viewer].screen_mid).stream;
    for stream in [StreamName::Default, screen] {
        let flows = ElementEvent::FlowIn {
            kind: MediaKind::Video,
            stream,
            flowing: true,
        };
        assert!(world.has(world.element(viewer), &flows), "{flows:?}");
    }
}

#[test]
fn a_keyframe_is_asked_of_the_stream_that_lacks_it() {
    let (mut world, publisher, viewer) = call(402);
    let keys = |world: &World| {
        let peer = &world.peers[viewer];
        (peer.video.keyframes(), peer.screen.keyframes())
    };
    let before = keys(&world);
    let mid = world.peers[viewer].screen_mid.expect("a screen");
    let mut direct = world.peers[viewer].rtc.direct_api();
    let stream = direct.stream_rx_by_mid(mid, None).expect("a stream");
    stream.request_keyframe(str0m::media::KeyframeRequestKind::Pli);
    world.run(secs(1));
    assert_eq!(keys(&world), (before.0, before.1 + 1));
    world.assert_screen(publisher, viewer);
}

#[test]
fn streams_go_through_pass_throughs_by_their_name_and_into_default_ones() {
    let mut world = World::new(404);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.add_screen(publisher, 3, Direction::SendOnly);
    let relay = world.pass_through(900);
    let kind = MediaKind::Video;
    let named = |name: &str| Pad {
        element: relay,
        stream: StreamName::Named(name.into()),
    };
    let source = pad(world.element(publisher), world.peers[publisher].screen_mid);
    world.op(Op::Connect {
        source,
        sink: named("presentation"),
        kind,
    });
    // The viewer has one m-line of video: it sees the screen there, and then the camera.
    let sink: Pad = world.element(viewer).into();
    world.op(Op::Connect {
        source: named("presentation"),
        sink: sink.clone(),
        kind,
    });
    world.start(publisher);
    world.start_screen(publisher);
    world.run(secs(2));
    let publishers = world.peers[viewer].video.publishers();
    assert_eq!(publishers, [SCREEN]);
    world.op(Op::Disconnect {
        source: named("presentation"),
        sink: sink.clone(),
        kind,
    });
    let source = world.element(publisher).into();
    world.op(Op::Connect { source, sink, kind });
    world.run(secs(2));
    let camera = world.element(publisher).0 as u8;
    assert_eq!(world.peers[viewer].video.publishers(), [SCREEN, camera]);
    assert_eq!(world.peers[viewer].video.gaps(), [0u64; 0]);
}

#[test]
fn an_m_line_is_paused_and_goes_on_while_the_others_never_stop() {
    let (mut world, publisher, viewer) = call(405);
    let mid = world.peers[viewer].screen_mid.expect("a screen");
    let pause = |api: &mut str0m::change::SdpApi<'_>| api.set_direction(mid, Direction::Inactive);
    world.renegotiate(viewer, 4, pause);
    world.run(millis(500));
    let paused = world.peers[viewer].screen.packets.len();
    world.run(secs(2));
    assert_eq!(world.peers[viewer].screen.packets.len(), paused);
    world.assert_camera(publisher, viewer);
    world.renegotiate(viewer, 5, |api| api.set_direction(mid, Direction::RecvOnly));
    world.run(secs(2));
    assert!(world.peers[viewer].screen.packets.len() > paused + 60);
    assert_eq!(world.peers[viewer].screen.gaps(), [0u64; 0]);
    world.assert_camera(publisher, viewer);
}

#[test]
fn a_rejected_m_line_falls_silent_and_starts_again_while_the_others_never_stop() {
    let (mut world, publisher, viewer) = call(406);
    let element = world.element(viewer);
    let Ok(Reply::Description(Some(offer))) = world.ask(|token| Op::Description {
        token,
        element,
        remote: true,
    }) else {
        panic!("negotiated");
    };
    let mid = world.peers[viewer].screen_mid.expect("a screen");
    let stopped = sdp::with_port_zero(&offer, &mid);
    for (version, sdp) in [(4, stopped), (5, offer)] {
        let sdp = sdp::with_version(&sdp, version);
        let before = world.peers[viewer].screen.packets.len();
        let answer = world.ask_sdp(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        let stops = version == 4;
        assert_eq!(answer.contains("m=video 0 "), stops, "{answer}");
        world.run(secs(2));
        let came = world.peers[viewer].screen.packets.len() - before;
        assert_eq!(came < 10, stops, "{came} packets");
        world.assert_camera(publisher, viewer);
        assert!(world.shard_says_connected(viewer));
    }
    assert_eq!(world.peers[viewer].screen.gaps(), [0u64; 0]);
}

#[test]
fn a_further_offer_of_ours_adds_an_m_line_that_was_connected_before() {
    let mut world = World::new(407);
    let publisher = world.join_connected(Wish::publish());
    world.add_screen(publisher, 3, Direction::SendOnly);
    let viewer = world.invite(Wish::subscribe(), WebRtcSpec::default());
    world.expect_connected(viewer);
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.start_screen(publisher);
    world.run(secs(1));
    // The connection is made before there is what it leads to.
    let element = world.element(viewer);
    let kind = MediaKind::Video;
    let source = pad(world.element(publisher), world.peers[publisher].screen_mid);
    let sink = Pad {
        element,
        stream: StreamName::Named("video1".into()),
    };
    world.op(Op::Connect { source, sink, kind });
    let kinds = OfferKinds {
        audio: 1,
        video: 2,
        again: Some(false),
    };
    let offer = world.ask_sdp(|token| Op::GenerateOffer {
        token,
        element,
        kinds,
    });
    assert_eq!(offer.matches("m=video").count(), 2, "{offer}");
    let offer = SdpOffer::from_sdp_string(&offer).expect("a valid offer");
    let answer: SdpAnswer = world.peers[viewer]
        .rtc
        .sdp_api()
        .accept_offer(offer)
        .expect("an acceptable offer");
    let sdp = answer.to_sdp_string();
    world.ask_sdp(|token| Op::ProcessAnswer {
        token,
        element,
        sdp,
    });
    world.run(millis(100));
    let mid = world.peers[viewer].screen_mid.expect("it was added");
    assert_eq!(&*mid, "video1");
    world.run(secs(3));
    assert!(world.peers[viewer].screen.decoded().len() > 60);
    assert_eq!(world.peers[viewer].screen.gaps(), [0u64; 0]);
    world.peers[viewer].video.decoded();
    assert!(world.shard_says_connected(viewer));
}
