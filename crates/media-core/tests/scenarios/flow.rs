//! Media flow of every kind of element is told once per change; latency and codecs are counted.

use super::support::*;
use salono_media_api::{ElementEvent, ElementKey, ElementStats, MediaKind, Op, Reply};

/// What was told of the flow of pictures, oldest first: `in+`, `in-`, `out+`, `out-`.
fn told(world: &World, element: ElementKey) -> Vec<&'static str> {
    world
        .element_events(element)
        .filter_map(|event| match event {
            ElementEvent::FlowIn {
                kind: MediaKind::Video,
                flowing,
                ..
            } => Some(if *flowing { "in+" } else { "in-" }),
            ElementEvent::FlowOut {
                kind: MediaKind::Video,
                flowing,
                ..
            } => Some(if *flowing { "out+" } else { "out-" }),
            _ => None,
        })
        .collect()
}

fn stats_of(world: &mut World, element: ElementKey) -> ElementStats {
    match world.ask(|token| Op::Stats { token, element }) {
        Ok(Reply::Stats(stats)) => *stats,
        other => panic!("no counters: {other:?}"),
    }
}

#[test]
fn every_element_on_the_way_flows_with_the_first_packet_and_ceases_two_seconds_after_the_last() {
    let mut world = World::new(41);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let (source, sink) = (world.element(publisher), world.element(viewer));
    let relay = world.pass_through(1_001);
    let (port, other) = (world.hub_port(1_002), world.hub_port(1_003));
    world.connect(source, relay);
    world.connect(relay, port);
    world.route(other, Some(port));
    world.connect(other, sink);
    world.run(secs(3));
    for element in [source, relay, port, other, sink] {
        assert!(told(&world, element).is_empty(), "nothing is sent yet");
    }
    world.start(publisher);
    // Well before anything is looked at by the clock.
    world.run(millis(500));
    assert_eq!(told(&world, source), ["out+"]);
    assert_eq!(told(&world, relay), ["in+", "out+"]);
    assert_eq!(told(&world, port), ["in+"]);
    assert_eq!(told(&world, other), ["out+"]);
    assert_eq!(told(&world, sink), ["in+"]);
    world.run(secs(5));
    world.peers[publisher].stop();
    world.run(secs(5));
    assert_eq!(told(&world, source), ["out+", "out-"]);
    assert_eq!(told(&world, relay), ["in+", "out+", "in-", "out-"]);
    assert_eq!(told(&world, port), ["in+", "in-"]);
    assert_eq!(told(&world, other), ["out+", "out-"]);
    assert_eq!(told(&world, sink), ["in+", "in-"]);
}

#[test]
fn a_changed_way_ends_a_flow_only_when_nothing_comes_back_in_time() {
    let mut world = World::new(42);
    let [first, second] = [(); 2].map(|()| world.join_connected(Wish::publish()));
    for peer in [first, second] {
        world.start(peer);
    }
    let relay = world.pass_through(1_001);
    world.run(secs(1));
    world.connect(world.element(first), relay);
    assert_eq!(told(&world, relay), ["in+", "out+"]);
    let cut = |world: &mut World, peer: usize| {
        let (source, sink) = (world.element(peer), relay);
        for kind in MediaKind::ALL {
            world.op(Op::Disconnect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
    };
    cut(&mut world, first);
    world.run(secs(1));
    world.connect(world.element(second), relay);
    world.run(secs(5));
    assert_eq!(told(&world, relay), ["in+", "out+"], "another took over");
    cut(&mut world, second);
    world.run(millis(1_900));
    assert_eq!(told(&world, relay), ["in+", "out+"]);
    world.run(millis(300));
    assert_eq!(told(&world, relay), ["in+", "out+", "in-", "out-"]);
    world.connect(world.element(first), relay);
    let element = world.element(first);
    world.op(Op::Release { element });
    world.run(secs(3));
    let all = ["in+", "out+", "in-", "out-", "in+", "out+", "in-", "out-"];
    assert_eq!(told(&world, relay), all);
}

#[test]
fn the_codec_is_told_with_the_first_packet_and_counted() {
    let mut world = World::new(43);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(secs(2));
    let codecs: Vec<&ElementEvent> = world
        .element_events(world.element(publisher))
        .filter(|event| matches!(event, ElementEvent::Codec { .. }))
        .collect();
    assert_eq!(codecs.len(), 2, "once per kind: {codecs:?}");
    for peer in [publisher, viewer] {
        let stats = world.stats(peer);
        for stream in stats.streams.iter().filter(|stream| stream.packets > 0) {
            let of_stream = |codec: &&salono_media_api::CodecStats| {
                codec.kind == stream.kind && Some(codec.payload_type) == stream.payload_type
            };
            let codec = stats.codecs.iter().find(of_stream).expect("its codec");
            let name = match stream.kind {
                MediaKind::Audio => "opus",
                MediaKind::Video | MediaKind::Data => "VP8",
            };
            assert_eq!(codec.name, name);
            assert_eq!(stream.transport, Some(1));
            assert!(stream.kind == MediaKind::Audio || stream.frames > 20);
            let rate = stream.frames_per_second;
            assert!(
                stream.kind == MediaKind::Audio || (20..=40).contains(&rate),
                "{rate}"
            );
        }
    }
}

#[test]
fn latency_is_measured_from_arrival_on_where_a_pipeline_asks_for_it() {
    let mut world = World::new(44);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let relay = world.pass_through(1_001);
    world.connect(world.element(publisher), relay);
    world.connect(relay, world.element(viewer));
    world.start(publisher);
    world.run(secs(1));
    let quiet = world.stats(viewer);
    assert!(quiet.input_latency.is_empty() && quiet.end_to_end_latency.is_empty());
    assert!(stats_of(&mut world, relay).input_latency.is_empty());

    world.op(Op::MeasureLatency { on: true });
    // An endpoint to come measures too.
    let later = world.join_connected(Wish::subscribe());
    world.connect(relay, world.element(later));
    world.lag = millis(3);
    world.run(secs(1));
    for peer in [viewer, later] {
        let stats = world.stats(peer);
        for list in [&stats.input_latency, &stats.end_to_end_latency] {
            let kinds: Vec<MediaKind> = list.iter().map(|latency| latency.kind).collect();
            assert_eq!(kinds, [MediaKind::Audio, MediaKind::Video]);
            for latency in list {
                let off = latency.average.abs_diff(millis(3));
                assert!(off < std::time::Duration::from_micros(1), "{list:?}");
            }
        }
    }
    let between = stats_of(&mut world, relay);
    assert_eq!(between.input_latency.len(), 2);
    assert!(between.end_to_end_latency.is_empty());

    world.op(Op::MeasureLatency { on: false });
    assert!(world.stats(viewer).input_latency.is_empty());
}
