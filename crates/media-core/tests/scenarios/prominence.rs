//! Where a path does not carry all pictures in full, the active speaker's comes first.

use super::adaptation::{HIGHEST, RATES};
use super::bandwidth::request_remb;
use super::layers::RIDS;
use super::speakers::{detect, set_level};
use super::streams::pad;
use super::support::media::Received;
use super::support::*;
use salono_media_api::{MediaKind, Op, Pad, VideoWish};
use str0m::change::SdpAnswer;
use str0m::media::{Direction, MediaKind as RtcKind, Mid};

const LOUD: i8 = -25;
const QUIET: i8 = -80;

/// Three publishers of layers, and a viewer of all three in one connection.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) publishers: Vec<usize>,
    pub(super) viewer: usize,
}

impl Stage {
    /// What the viewer's path carries is what the viewer itself says.
    fn new(seed: u64) -> Self {
        let mut stage = Self::with_viewer(seed, sdp::without_transport_cc);
        let viewer = stage.viewer;
        request_remb(&mut stage.world, viewer, ONE_OF_THREE_KBPS);
        stage
    }

    /// The descriptions of the viewer are changed so.
    pub(super) fn with_viewer(seed: u64, munge: fn(&str) -> String) -> Self {
        let mut world = World::new(seed);
        let publishers: Vec<usize> = (0..3)
            .map(|_| world.join_connected(Wish::simulcast(RIDS)))
            .collect();
        let viewer = world.join_connected(Wish {
            munge,
            ..Wish::subscribe()
        });
        let mids = add_pictures(&mut world, viewer, munge);
        world.peers[viewer].screen_mid = Some(mids[0]);
        world.peers[viewer].more = vec![(mids[1], Received::default())];
        let element = world.element(viewer);
        world.connect(world.element(publishers[0]), element);
        for (publisher, mid) in publishers[1..].iter().zip(&mids) {
            let source: Pad = world.element(*publisher).into();
            let sink = pad(element, Some(*mid));
            let kind = MediaKind::Video;
            world.op(Op::Connect { source, sink, kind });
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
            viewer,
        }
    }

    /// Lets one of the publishers talk, and the others listen.
    fn talk(&mut self, who: usize) {
        for (at, publisher) in self.publishers.iter().enumerate() {
            let level = if at == who { LOUD } else { QUIET };
            set_level(&mut self.world, *publisher, Some(level));
        }
    }

    /// The layers that the viewer saw of each last.
    fn seen(&self) -> Vec<Option<u8>> {
        let peer = &self.world.peers[self.viewer];
        [&peer.video, &peer.screen, &peer.more[0].1]
            .into_iter()
            .map(|received| received.frames().last().map(|frame| frame.publisher))
            .collect()
    }
}

/// The viewer offers two more m-lines of video to receive.
fn add_pictures(world: &mut World, viewer: usize, munge: fn(&str) -> String) -> [Mid; 2] {
    let element = world.element(viewer);
    let mut api = world.peers[viewer].rtc.sdp_api();
    let mids =
        [(); 2].map(|()| api.add_media(RtcKind::Video, Direction::RecvOnly, None, None, None));
    let (offer, pending) = api.apply().expect("something to offer");
    let offer = sdp::with_version(&offer.to_sdp_string(), 3);
    let answer = world.ask_sdp(|token| Op::ProcessOffer {
        token,
        element,
        sdp: munge(&offer),
    });
    let answer = SdpAnswer::from_sdp_string(&answer).expect("a valid answer");
    let api = world.peers[viewer].rtc.sdp_api();
    api.accept_answer(pending, answer)
        .expect("an acceptable one");
    mids
}

/// What fits one of three in full, and the others at their least.
const ONE_OF_THREE_KBPS: u64 = 2_600;

#[test]
fn the_speaker_is_seen_in_full_within_two_seconds() {
    let mut stage = Stage::new(501);
    detect(&mut stage.world, 0, None);
    stage.world.run(secs(4));
    for who in [2, 1, 0, 2] {
        stage.talk(who);
        stage.world.run(secs(2));
        let seen = stage.seen();
        assert_eq!(seen[who], Some(HIGHEST), "{who} speaks: {seen:?}");
        let others = seen.iter().enumerate().filter(|(at, _)| *at != who);
        let others: Vec<_> = others.map(|(_, layer)| *layer).collect();
        assert!(!others.contains(&Some(HIGHEST)), "{who} speaks: {seen:?}");
        stage.world.run(secs(2));
    }
}

#[test]
fn a_speaker_who_pauses_stays_in_full_and_priorities_of_the_viewer_come_first() {
    let mut stage = Stage::new(502);
    detect(&mut stage.world, 0, None);
    stage.world.run(secs(4));
    stage.talk(1);
    stage.world.run(secs(3));
    assert_eq!(stage.seen()[1], Some(HIGHEST));
    stage.talk(usize::MAX);
    stage.world.run(secs(6));
    assert_eq!(stage.seen()[1], Some(HIGHEST), "nobody else speaks");
    // All streams of the connection matter the same to the viewer, and it has said so.
    let element = stage.world.element(stage.viewer);
    let wish = VideoWish {
        height: 0,
        priority: 1,
    };
    stage.world.op(Op::WishVideo { element, wish });
    stage.world.run(secs(2));
    assert_eq!(stage.seen()[0], Some(HIGHEST), "the first of equals");
    stage.talk(2);
    stage.world.run(secs(3));
    assert_eq!(stage.seen()[0], Some(HIGHEST), "whoever speaks");
}

#[test]
fn a_picture_that_was_paused_comes_back_as_soon_as_the_path_carries_it() {
    let mut stage = Stage::new(503);
    stage.world.run(secs(4));
    request_remb(&mut stage.world, stage.viewer, 200);
    stage.world.run(secs(2));
    let packets = |stage: &Stage| stage.world.peers[stage.viewer].screen.packets.len();
    let before = packets(&stage);
    stage.world.run(secs(2));
    assert_eq!(packets(&stage), before, "the path carries one picture");
    request_remb(&mut stage.world, stage.viewer, 2_600);
    stage.world.run(millis(150));
    assert!(packets(&stage) > before);
}
