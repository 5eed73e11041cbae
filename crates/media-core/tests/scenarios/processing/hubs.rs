//! Hubs that mix: ports are elements in the processor, and what is not mixed is handed on.

use super::*;

fn composite() -> ProcessorSpec {
    ProcessorSpec::Composite(CompositeSpec {
        width: 800,
        height: 600,
        framerate: 15,
    })
}

fn ports<const N: usize>(world: &mut World, hub: ElementKey) -> [ElementKey; N] {
    let switches_video = world.processor.mind.elements[&hub] == ProcessorSpec::Mixer;
    std::array::from_fn(|at| {
        let spec = ProcessorSpec::Port {
            hub,
            switches_video,
        };
        world.process(200 + at as u64, spec)
    })
}

fn port_without_hub(world: &mut World, hub: ElementKey) -> MediaErrorKind {
    let spec = ProcessorSpec::Port {
        hub,
        switches_video: false,
    };
    let created = world.ask(|token| Op::Create {
        token,
        element: ElementKey(300),
        spec: ElementSpec::Processor(Box::new(spec)),
    });
    created.expect_err("there is no hub").kind
}

#[test]
fn peers_at_ports_of_a_composite_send_their_own_and_receive_their_mix() {
    let mut world = World::new(441);
    let peers = [0, 1].map(|_| world.join_connected(Wish::both()));
    assert_eq!(
        port_without_hub(&mut world, ElementKey(100)),
        MediaErrorKind::NotFound
    );
    let hub = world.process(100, composite());
    let ports: [ElementKey; 2] = ports(&mut world, hub);
    assert_eq!(
        port_without_hub(&mut world, ports[0]),
        MediaErrorKind::NotFound
    );
    for (peer, port) in peers.into_iter().zip(ports) {
        world.connect(world.element(peer), port);
        world.connect(port, world.element(peer));
        world.start(peer);
        for kind in [MediaKind::Audio, MediaKind::Video] {
            world.produce(port, kind, None);
        }
    }
    assert_eq!(world.processor.mind.inlets.len(), 4);
    assert_eq!(world.processor.mind.outlets.len(), 4);
    assert_eq!(world.processor.mind.links.len(), 4);
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(1));
    for peer in peers {
        assert_eq!(world.peers[peer].video.publishers(), [9]);
        assert_eq!(world.peers[peer].audio.publishers(), [9]);
    }
    for element in [ports[1], hub, ports[0]] {
        world.op(Op::Release { element });
    }
    assert_eq!(world.processor.detached, 1);
    let metrics = world.shard.metrics();
    assert_eq!((metrics.endpoints, metrics.tracks), (2, 4));
}

#[test]
fn pictures_at_ports_of_a_mixer_are_switched_without_the_processor() {
    let mut world = World::new(442);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    let hub = world.process(100, ProcessorSpec::Mixer);
    let [one, two]: [ElementKey; 2] = ports(&mut world, hub);
    world.connect(world.element(publisher), one);
    world.connect(two, world.element(viewer));
    world.produce(two, MediaKind::Audio, None);
    world.op(Op::Route {
        port: two,
        from: Some(one),
        kind: MediaKind::Video,
    });
    world.start(publisher);
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(1));
    assert_eq!(world.peers[viewer].video.publishers(), [1]);
    assert_eq!(world.peers[viewer].audio.publishers(), [9]);
    assert_eq!(world.processor.mind.inlets.len(), 1, "sound alone");
    assert_eq!(world.processor.mind.outlets.len(), 1);
}

#[test]
fn messages_leave_a_composite_by_all_ports_and_reach_elements_that_read_them() {
    let mut world = World::new(443);
    let peers = [0, 1].map(|_| world.join_connected(Wish::data()));
    let hub = world.process(100, composite());
    let ports: [ElementKey; 2] = ports(&mut world, hub);
    let plugin = world.process(
        300,
        ProcessorSpec::Filter(FilterSpec::Plugin(PluginSpec {
            class: "example.Reader".to_owned(),
            descriptor: "/plugins/example.kmd.json".to_owned(),
            factories: vec!["reader".to_owned()],
            kinds: vec![MediaKind::Data],
            properties: Vec::new(),
            events: Vec::new(),
        })),
    );
    for (peer, port) in peers.into_iter().zip(ports) {
        world.connect(world.element(peer), port);
        world.connect(port, world.element(peer));
    }
    world.connect(ports[0], plugin);
    world.run(secs(1));
    let (channel, _) = world.peers[peers[0]].channels[0].clone();
    let now = world.now;
    let sender = &mut world.peers[peers[0]];
    let mut channel = sender.rtc.channel(channel).expect("open");
    assert!(channel.write(false, b"hello").expect("room"));
    sender.wake = now;
    world.run(secs(1));
    for peer in peers {
        let messages = &world.peers[peer].messages;
        assert_eq!(messages.len(), 1, "also to who sent it");
        assert_eq!(messages[0].data, b"hello");
    }
    let told = &world.processor.mind.messages;
    assert_eq!(told, &[(plugin, false, "aGVsbG8=".to_owned())]);
    // And back.
    world.connect(plugin, world.element(peers[1]));
    world.say(BridgeEvent::Message {
        source: plugin,
        binary: false,
        base64: "aGk=".to_owned(),
    });
    world.run(secs(1));
    let last = world.peers[peers[1]].messages.last().expect("one");
    assert_eq!(last.data, b"hi");
}
