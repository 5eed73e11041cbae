//! Calls reach elements in order, once there is a processor, and are answered once.

use super::*;

#[test]
fn what_is_asked_before_there_is_a_processor_is_carried_out_in_order_once_there_is() {
    let mut world = World::new(411);
    world.processor.is_slow = true;
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.run(millis(300));
    let element = ElementKey(100);
    let created = world.begin(|token| Op::Create {
        token,
        element,
        spec: ElementSpec::Processor(Box::new(recorder())),
    });
    world.connect(world.element(publisher), element);
    let called = [ProcessorCall::Record, ProcessorCall::Position].map(|call| {
        world.begin(|token| Op::Call {
            token,
            element,
            call: Box::new(call),
        })
    });
    assert_eq!(world.answer(created), None);
    assert_eq!(world.answer(called[0]), None);
    world.attach();
    assert_eq!(world.answer(created), Some(Ok(Reply::Done)));
    for token in called {
        let done = Ok(Reply::Processed(ProcessorReply::Done));
        assert_eq!(world.answer(token), Some(done));
    }
    let mind = &world.processor.mind;
    let calls: Vec<_> = mind.calls.iter().map(|(_, _, call)| call.clone()).collect();
    assert_eq!(calls, [ProcessorCall::Record, ProcessorCall::Position]);
    assert_eq!(mind.links.len(), 2, "before it was to record");
}

#[test]
fn calls_to_what_is_not_there_or_does_not_process_are_refused() {
    let mut world = World::new(412);
    let pass = world.pass_through(50);
    let call = |element| {
        move |token| Op::Call {
            token,
            element,
            call: Box::new(ProcessorCall::Play),
        }
    };
    let error = world.ask(call(pass)).expect_err("a pass-through");
    assert_eq!(error.kind, MediaErrorKind::NotSupported);
    let error = world.ask(call(ElementKey(99))).expect_err("nothing");
    assert_eq!(error.kind, MediaErrorKind::NotFound);
    assert_eq!(world.processor.attached, 0);
    let player = world.process(PLAYER, player());
    world.processor.is_silent = true;
    let waiting = world.begin(call(player));
    world.op(Op::Release { element: player });
    let error = world.answer(waiting).expect("answered").expect_err("gone");
    assert_eq!(error.kind, MediaErrorKind::NotFound);
}

#[test]
fn an_element_that_cannot_be_created_is_not_there() {
    let mut world = World::new(413);
    let refusal = MediaError::new(MediaErrorKind::IllegalParam, "no element \"x\"");
    world.processor.refusal = Some(refusal.clone());
    let error = world
        .ask(|token| Op::Create {
            token,
            element: ElementKey(100),
            spec: ElementSpec::Processor(Box::new(filter())),
        })
        .expect_err("refused");
    assert_eq!(error, refusal);
    assert_eq!(world.shard.metrics().elements, 0);
    assert_eq!(world.processor.detached, 1);
}

#[test]
fn more_calls_than_may_wait_are_refused() {
    let mut world = World::new(414);
    let player = world.process(PLAYER, player());
    world.processor.is_silent = true;
    let call = |token| Op::Call {
        token,
        element: player,
        call: Box::new(ProcessorCall::Position),
    };
    let limit = salono_media_core::Limits::default().processor_calls;
    for _ in 0..limit {
        world.begin(call);
    }
    let error = world.ask(call).expect_err("one too many");
    assert_eq!(error.kind, MediaErrorKind::Limit);
}

#[test]
fn counters_of_an_element_are_those_of_the_streams_that_cross() {
    let mut world = World::new(415);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let player = play_to(&mut world, &[viewer]);
    let recorder = world.process(101, recorder());
    world.connect(world.element(publisher), recorder);
    world.start(publisher);
    let now = world.now;
    world.processor.play(7, now);
    world.run(secs(1));
    for (element, direction) in [
        (player, StreamDirection::Inbound),
        (recorder, StreamDirection::Outbound),
    ] {
        let Ok(Reply::Stats(stats)) = world.ask(|token| Op::Stats { token, element }) else {
            panic!("no counters");
        };
        assert_eq!(stats.streams.len(), 2);
        let mut streams = stats.streams.iter();
        assert!(streams.all(|stream| stream.direction == direction && stream.packets > 20));
        assert_eq!(stats.codecs.len(), 2);
    }
}
