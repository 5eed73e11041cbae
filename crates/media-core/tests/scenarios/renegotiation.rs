//! Further offers and answers of the same session, and ICE restarts, in the middle of a call.

use super::support::*;
use salono_media_api::*;
use str0m::change::{SdpAnswer, SdpApi, SdpOffer};
use str0m::media::{Direction, MediaKind as RtcKind};

impl World {
    /// The peer changes something and offers it.
    pub(crate) fn renegotiate<T>(
        &mut self,
        index: usize,
        version: u32,
        change: impl FnOnce(&mut SdpApi<'_>) -> T,
    ) -> T {
        let element = self.element(index);
        let mut api = self.peers[index].rtc.sdp_api();
        let result = change(&mut api);
        let (offer, pending) = api.apply().expect("something to offer");
        let sdp = sdp::with_version(&offer.to_sdp_string(), version);
        let answer = self.ask_sdp(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        let answer = SdpAnswer::from_sdp_string(&answer).expect("a valid answer");
        let api = self.peers[index].rtc.sdp_api();
        api.accept_answer(pending, answer)
            .expect("an acceptable answer");
        result
    }

    fn changes_of(&self, index: usize, from: usize) -> Vec<ElementEvent> {
        self.element_events(self.element(index))
            .skip(from)
            .cloned()
            .collect()
    }

    fn event_count(&self, index: usize) -> usize {
        self.element_events(self.element(index)).count()
    }
}

fn call(seed: u64, wish: Wish) -> (World, usize, usize) {
    let mut world = World::new(seed);
    let publisher = world.join_connected(wish);
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(2));
    (world, publisher, viewer)
}

fn assert_smooth(world: &World, publisher: usize, viewer: usize) {
    let received = &world.peers[viewer].video;
    let until = world.now - millis(200);
    let camera = world.peers[publisher].video_source.as_ref().expect("one");
    let key = world.element(publisher).0 as u8;
    assert_eq!(received.missing(key, camera, until), [0u32; 0]);
    assert_eq!(received.gaps(), [0u64; 0]);
    received.decoded();
}

#[test]
fn ice_restarts_in_the_middle_of_a_call_without_a_gap() {
    let (mut world, publisher, viewer) = call(201, Wish::publish());
    for (version, peer) in [(3, publisher), (3, viewer), (4, publisher)] {
        let before = world.sdp_line(peer, false, "a=ice-ufrag:");
        let old = world.event_count(peer);
        world.renegotiate(peer, version, |api| api.ice_restart(true));
        assert_ne!(world.sdp_line(peer, false, "a=ice-ufrag:"), before);
        world.run(secs(3));
        assert_smooth(&world, publisher, viewer);
        let states: Vec<_> = world
            .changes_of(peer, old)
            .into_iter()
            .filter_map(|event| match event {
                ElementEvent::IceState { state, .. } => Some(state),
                ElementEvent::Connection(state) => panic!("{state:?} in a restart"),
                ElementEvent::DtlsState { state, .. } => panic!("{state:?} in a restart"),
                _ => None,
            })
            .collect();
        assert_eq!(states.first(), Some(&IceState::Connecting), "{states:?}");
        assert_eq!(states.last(), Some(&IceState::Ready), "{states:?}");
        assert!(world.shard_says_connected(peer));
    }
    // The call lives by the new credentials alone.
    world.run(secs(30));
    assert_smooth(&world, publisher, viewer);
}

#[test]
fn ice_restarts_on_a_bad_network() {
    let (mut world, publisher, viewer) = call(202, Wish::publish().over(Link::BAD));
    world.renegotiate(publisher, 3, |api| api.ice_restart(true));
    world.run(secs(20));
    assert!(world.shard_says_connected(publisher));
    let before = world.peers[viewer].video.packets.len();
    world.run(secs(2));
    assert!(world.peers[viewer].video.packets.len() > before + 60);
}

#[test]
fn a_call_without_a_greater_version_survives_an_ice_restart_too() {
    let (mut world, publisher, viewer) = call(203, Wish::publish());
    world.renegotiate(publisher, 2, |api| api.ice_restart(true));
    world.run(secs(3));
    assert_smooth(&world, publisher, viewer);
}

#[test]
fn we_restart_ice_by_an_offer_of_ours() {
    for peer_offered_first in [true, false] {
        let mut world = World::new(204);
        let wish = Wish::publish();
        let publisher = if peer_offered_first {
            world.join_connected(wish)
        } else {
            let spec = WebRtcSpec {
                direction: OfferDirection::RecvOnly,
                ..WebRtcSpec::default()
            };
            let index = world.invite(wish, spec);
            world.expect_connected(index);
            let peer = &mut world.peers[index];
            let mids: Vec<_> = ["audio0", "video0"].map(str0m::media::Mid::from).into();
            (peer.audio_mid, peer.video_mid) = (Some(mids[0]), Some(mids[1]));
            index
        };
        let viewer = world.join_connected(Wish::subscribe());
        world.connect(world.element(publisher), world.element(viewer));
        world.start(publisher);
        world.run(secs(2));
        let element = world.element(publisher);
        let before = world.sdp_line(publisher, false, "a=ice-ufrag:");
        let kinds = OfferKinds {
            again: Some(true),
            ..OfferKinds::default()
        };
        let offer = world.ask_sdp(|token| Op::GenerateOffer {
            token,
            element,
            kinds,
        });
        assert!(!offer.contains(&before), "new credentials");
        world.run(millis(300));
        let offer = SdpOffer::from_sdp_string(&offer).expect("a valid offer");
        let answer = world.peers[publisher]
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
        world.run(secs(5));
        assert_smooth(&world, publisher, viewer);
        assert!(world.shard_says_connected(publisher));
    }
}

#[test]
fn a_direction_changes_and_changes_back() {
    let (mut world, publisher, viewer) = call(205, Wish::publish());
    let mid = world.peers[publisher].video_mid.expect("video");
    world.renegotiate(publisher, 3, |api| {
        api.set_direction(mid, Direction::Inactive);
    });
    let camera = world.peers[publisher].video_source.take();
    world.run(secs(5));
    let element = world.element(publisher);
    let flow = |flowing| ElementEvent::FlowOut {
        kind: MediaKind::Video,
        stream: StreamName::Default,
        flowing,
    };
    assert!(world.has(element, &flow(false)), "{:?}", world.events);
    let before = world.peers[viewer].video.packets.len();
    world.renegotiate(publisher, 4, |api| {
        api.set_direction(mid, Direction::SendOnly);
    });
    let mut camera = camera.expect("a camera");
    camera.next = world.now;
    camera.keyframe_wanted = true;
    world.peers[publisher].video_source = Some(camera);
    world.run(secs(5));
    assert!(world.peers[viewer].video.packets.len() > before + 100);
    assert_eq!(world.peers[viewer].video.gaps(), [0u64; 0]);
    world.peers[viewer].video.decoded();
    let flows: Vec<_> = world
        .element_events(element)
        .filter(|event| {
            matches!(
                event,
                ElementEvent::FlowOut {
                    kind: MediaKind::Video,
                    ..
                }
            )
        })
        .collect();
    assert_eq!(flows, [&flow(true), &flow(false), &flow(true)]);
}

#[test]
fn a_receiver_pauses_and_goes_on_with_the_next_number() {
    let (mut world, _, viewer) = call(206, Wish::publish());
    let mid = world.peers[viewer].video_mid.expect("video");
    world.renegotiate(viewer, 3, |api| api.set_direction(mid, Direction::Inactive));
    world.run(secs(1));
    let paused = world.peers[viewer].video.packets.len();
    world.run(secs(2));
    assert_eq!(world.peers[viewer].video.packets.len(), paused);
    world.renegotiate(viewer, 4, |api| api.set_direction(mid, Direction::RecvOnly));
    world.run(secs(3));
    let received = &world.peers[viewer].video;
    assert!(received.packets.len() > paused + 60);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert_eq!(received.ssrcs().len(), 1);
    received.decoded();
}

#[test]
fn media_and_data_are_added_later() {
    let mut world = World::new(207);
    let spec = WebRtcSpec {
        data_channels: true,
        ..WebRtcSpec::default()
    };
    let wish = Wish {
        video: None,
        ..Wish::publish()
    };
    let publisher = world.join_with(wish, spec);
    world.expect_connected(publisher);
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    let mid = world.renegotiate(publisher, 3, |api| {
        api.add_media(RtcKind::Video, Direction::SendOnly, None, None, None)
    });
    world.peers[publisher].video_mid = Some(mid);
    world.start(publisher);
    world.run(secs(2));
    assert_smooth(&world, publisher, viewer);
    assert!(!world.peers[viewer].audio.packets.is_empty());
    world.renegotiate(publisher, 4, |api| api.add_channel("late".into()));
    assert!(
        world.run_until(secs(5), |world| !world.peers[publisher].channels.is_empty()),
        "the channel opens"
    );
    assert_smooth(&world, publisher, viewer);
}

#[test]
fn offers_that_are_no_continuation_are_refused_and_change_nothing() {
    let (mut world, publisher, viewer) = call(208, Wish::publish());
    let element = world.element(publisher);
    let Ok(Reply::Description(Some(first))) = world.ask(|token| Op::Description {
        token,
        element,
        remote: true,
    }) else {
        panic!("negotiated");
    };
    let stranger = sdp::with_version(&first, 9).replace("o=str0m-", "o=str0m-x ");
    let fields: Vec<&str> = first.lines().nth(1).expect("o=").split(' ').collect();
    let other_session = sdp::with_version(&first, 9).replace(fields[1], "1234567890");
    let other_peer = sdp::with_version(&first, 9);
    let other_peer = sdp::with_wrong_fingerprint(&other_peer);
    for (sdp, kind) in [
        (first.clone(), MediaErrorKind::AlreadyNegotiated),
        (stranger, MediaErrorKind::AlreadyNegotiated),
        (other_session, MediaErrorKind::AlreadyNegotiated),
        ("garbage".to_owned(), MediaErrorKind::AlreadyNegotiated),
        (other_peer, MediaErrorKind::SdpNegotiation),
    ] {
        let result = world.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp: sdp.clone(),
        });
        assert_eq!(result.expect_err("refused").kind, kind, "{sdp}");
    }
    let kinds = OfferKinds::default();
    let again = world.ask(|token| Op::GenerateOffer {
        token,
        element,
        kinds,
    });
    let kind = again.expect_err("refused").kind;
    assert_eq!(kind, MediaErrorKind::AlreadyNegotiated);
    world.run(secs(2));
    assert_smooth(&world, publisher, viewer);
    world.renegotiate(publisher, 10, |api| api.ice_restart(true));
    world.run(secs(2));
    assert_smooth(&world, publisher, viewer);
}
