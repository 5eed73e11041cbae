//! A processor dies, again and again, or cannot be had: elements hear of it, everything is told anew, receivers see one
//! stream.

use super::*;
use salono_media_core::ProcessorReport;

fn errors(world: &World, element: ElementKey) -> Vec<String> {
    let events = world.element_events(element);
    events
        .filter_map(|event| match event {
            ElementEvent::Processor(ProcessorEvent::Error(error)) => Some(error.kind.clone()),
            _ => None,
        })
        .collect()
}

#[test]
fn everything_is_told_anew_and_viewers_see_one_stream_that_goes_on() {
    let mut world = World::new(421);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let player = play_to(&mut world, &[viewer]);
    let recorder = world.process(101, recorder());
    world.connect(world.element(publisher), recorder);
    world.start(publisher);
    let now = world.now;
    world.processor.play(7, now);
    world.say(BridgeEvent::Checkpoint {
        element: player,
        state: "first".to_owned(),
    });
    world.say(BridgeEvent::Checkpoint {
        element: player,
        state: "second".to_owned(),
    });
    let encoding = Encoding {
        target: Bitrate::kbps(500),
        min: Bitrate::ZERO,
        max: Bitrate::kbps(900),
        video: None,
        audio: None,
    };
    world.op(Op::SetEncoding {
        element: player,
        encoding: Box::new(encoding.clone()),
    });
    world.run(millis(2_500));
    let before = world.processor.mind.inlets.clone();
    assert_eq!(before.len(), 2);
    world.kill();
    assert_eq!(world.processor.attached, 2, "at once");
    assert_eq!(errors(&world, player), ["PROCESSOR_LOST"]);
    assert_eq!(errors(&world, recorder), ["PROCESSOR_LOST"]);
    let mind = &world.processor.mind;
    assert_eq!(mind.elements.len(), 2);
    assert_eq!(mind.resumed[&player], "second");
    assert!(!mind.resumed.contains_key(&recorder));
    assert_eq!(mind.encodings[&Origin::Element(player)], encoding);
    assert_eq!(mind.inlets, before);
    assert_eq!(mind.links.len(), 2);
    assert_eq!(mind.outlets.len(), 2);
    world.processor.entered.clear();
    let now = world.now;
    world.processor.play(8, now);
    world.run(secs(2));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_unbroken(&world.peers[viewer].audio, false);
    assert_eq!(world.peers[viewer].video.publishers(), [7, 8]);
    let inlet = world.processor.inlet_of(recorder, MediaKind::Video);
    let packets = &world.processor.entered[&inlet.expect("linked")];
    assert!(packets.len() > 60, "{} packets", packets.len());
    assert!(world.peers[publisher].keyframe_requests.len() > 1);
}

#[test]
fn one_that_dies_at_once_is_not_started_over_and_over() {
    let mut world = World::new(422);
    let player = world.process(PLAYER, player());
    for _ in 0..2 {
        world.run(secs(1));
        world.kill();
    }
    assert_eq!(world.processor.attached, 3);
    world.run(secs(1));
    world.kill();
    assert_eq!(world.processor.attached, 3, "it rests");
    world.run(millis(900));
    assert_eq!(world.processor.attached, 3);
    world.run(millis(200));
    assert_eq!(world.processor.attached, 4);
    assert!(world.processor.mind.elements.contains_key(&player));
    world.kill();
    world.run(secs(4));
    assert_eq!(world.processor.attached, 4);
    world.run(millis(1_100));
    assert_eq!(world.processor.attached, 5);
    assert_eq!(errors(&world, player).len(), 4);
    // Released while it rests: there is nothing to come back for.
    world.kill();
    world.op(Op::Release { element: player });
    world.run(secs(60));
    assert_eq!(world.processor.attached, 5);
}

#[test]
fn what_was_asked_of_one_that_dies_is_answered() {
    let mut world = World::new(423);
    let player = world.process(PLAYER, player());
    world.processor.is_silent = true;
    let element = player;
    let call = |token| Op::Call {
        token,
        element,
        call: Box::new(ProcessorCall::Play),
    };
    let called = world.begin(call);
    let created = world.begin(|token| Op::Create {
        token,
        element: ElementKey(101),
        spec: ElementSpec::Processor(Box::new(recorder())),
    });
    assert_eq!(world.answer(called), None);
    world.processor.is_silent = false;
    world.kill();
    for token in [called, created] {
        let error = world.answer(token).expect("answered").expect_err("lost");
        assert_eq!(error.kind, MediaErrorKind::Unavailable);
    }
    let elements: Vec<_> = world.processor.mind.elements.keys().copied().collect();
    assert_eq!(elements, [player], "what was not created is not there");
    assert_eq!(world.ask(call), Ok(Reply::Processed(ProcessorReply::Done)));
}

#[test]
fn without_a_processor_creating_fails_and_forwarding_does_not() {
    let mut world = World::new(424);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    let reason = "gstreamer1.0-plugins-good is not installed";
    world.processor.unavailable = Some(reason.to_owned());
    for _ in 0..2 {
        let error = world
            .ask(|token| Op::Create {
                token,
                element: ElementKey(100),
                spec: ElementSpec::Processor(Box::new(player())),
            })
            .expect_err("there is none");
        assert_eq!(error.kind, MediaErrorKind::Unavailable);
        assert_eq!(error.message, reason);
    }
    world.run(secs(1));
    assert_unbroken(&world.peers[viewer].video, true);
    assert_eq!(world.shard.metrics().elements, 2);
    // It is installed.
    world.processor.unavailable = None;
    let player = world.process(100, player());
    assert_eq!(world.processor.attached, 1);
    // And removed while it runs.
    world.processor.unavailable = Some(reason.to_owned());
    world.kill();
    let expected = ["PROCESSOR_LOST", "PROCESSOR_UNAVAILABLE"];
    assert_eq!(errors(&world, player), expected);
    world.processor.unavailable = None;
    world.run(secs(31));
    assert_eq!(world.processor.attached, 2);
    assert!(world.processor.mind.elements.contains_key(&player));
}

#[test]
fn what_one_says_that_is_gone_changes_nothing() {
    let mut world = World::new(425);
    let viewer = world.join_connected(Wish::subscribe());
    let player = play_to(&mut world, &[viewer]);
    let socket = world.processor.socket.expect("attached");
    let now = world.now;
    world.processor.play(7, now);
    world.run(secs(1));
    world.op(Op::Release { element: player });
    assert_eq!(world.processor.detached, 1);
    let refused = world.shard.metrics().datagrams_refused;
    let mut packet = vec![0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 1, 2, 3];
    world
        .shard
        .handle_datagram(socket, salono_media_core::NOWHERE, &mut packet, world.now);
    assert_eq!(world.shard.metrics().datagrams_refused, refused + 1);
    world.produce(player, MediaKind::Video, None);
    world.report(ProcessorReport::Lost {
        pipeline: PIPELINE,
        reason: "late".to_owned(),
    });
    world.report(ProcessorReport::Attached {
        pipeline: PIPELINE,
        socket,
    });
    assert_eq!(world.processor.attached, 1);
    assert!(!world.processor.is_asked_for);
}
