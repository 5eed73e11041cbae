//! Whatever is connected, released, produced and lost in whatever order: what the processor knows follows from how
//! things are, not from how they came about, and is told to the next one.

use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// Elements by number: endpoints first, then what processes.
const ENDPOINTS: u64 = 4;
const ELEMENTS: u64 = 10;
const HUB: u64 = 50;

#[derive(Debug, Clone)]
enum Act {
    Create(u64),
    Release(u64),
    Connect(u64, u64, MediaKind),
    Disconnect(u64, MediaKind),
    Produce(u64, MediaKind, Option<&'static str>),
    Kill,
}

fn any_act() -> impl Strategy<Value = Act> {
    let element = || 1..=ELEMENTS;
    let kind = || prop_oneof![Just(MediaKind::Audio), Just(MediaKind::Video)];
    let native = prop::option::of(prop_oneof![Just("VP8"), Just("H264")]);
    prop_oneof![
        4 => element().prop_map(Act::Create),
        1 => element().prop_map(Act::Release),
        8 => (element(), element(), kind()).prop_map(|(from, to, kind)| Act::Connect(from, to, kind)),
        2 => (element(), kind()).prop_map(|(to, kind)| Act::Disconnect(to, kind)),
        3 => (ENDPOINTS + 1..=ELEMENTS, kind(), native)
            .prop_map(|(of, kind, native)| Act::Produce(of, kind, native)),
        1 => Just(Act::Kill),
    ]
}

fn spec(number: u64) -> ElementSpec {
    let spec = match number {
        1..=ENDPOINTS => return ElementSpec::Rtp(RtpSpec::default()),
        5 => player(),
        6 => recorder(),
        7 | 8 => filter(),
        _ => ProcessorSpec::Port {
            hub: ElementKey(HUB),
            switches_video: number == 10,
        },
    };
    ElementSpec::Processor(Box::new(spec))
}

/// What each endpoint speaks.
fn offer(number: u64) -> String {
    let vp8 = "a=rtpmap:96 VP8/90000\r\n";
    let h264 =
        "a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\n";
    let (payload_types, video) = match number {
        1 => ("96", vp8.to_owned()),
        2 => ("97", h264.to_owned()),
        _ => ("96 97", format!("{vp8}{h264}")),
    };
    let audio = if number == 3 { 0 } else { 8 };
    format!(
        "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
         m=audio 4000 RTP/AVP {audio}\r\nm=video 4002 RTP/AVP {payload_types}\r\n{video}"
    )
}

/// How things are.
#[derive(Debug, Clone, Default)]
struct Model {
    elements: BTreeSet<u64>,
    sources: BTreeMap<(u64, MediaKind), u64>,
    produced: BTreeMap<(u64, MediaKind), Option<&'static str>>,
}

fn format_of(codec: &str, kind: MediaKind) -> RtpFormat {
    match kind {
        MediaKind::Audio => RtpFormat {
            codec: "PCMA".to_owned(),
            payload_type: 8,
            clock_rate: 8_000,
            channels: 1,
            parameters: String::new(),
        },
        _ => RtpFormat {
            codec: codec.to_owned(),
            payload_type: 99,
            clock_rate: 90_000,
            channels: 0,
            parameters: match codec {
                "H264" => "packetization-mode=1;profile-level-id=42e01f".to_owned(),
                _ => String::new(),
            },
        },
    }
}

fn create(world: &mut World, number: u64) {
    let element = ElementKey(number);
    let spec = spec(number);
    world
        .ask(|token| Op::Create {
            token,
            element,
            spec,
        })
        .expect("created");
    if number <= ENDPOINTS {
        let sdp = offer(number);
        world.ask_sdp(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
    }
}

fn produce(world: &mut World, of: u64, kind: MediaKind, native: Option<&str>) {
    let native = native.map(|codec| format_of(codec, kind));
    world.produce(ElementKey(of), kind, native);
}

fn link(world: &mut World, from: u64, to: u64, kind: MediaKind) {
    world.op(Op::Connect {
        source: ElementKey(from).into(),
        sink: ElementKey(to).into(),
        kind,
    });
}

fn carry_out(world: &mut World, model: &mut Model, act: &Act) {
    let has = |model: &Model, number| model.elements.contains(&number);
    match *act {
        Act::Create(number) if !has(model, number) => {
            model.elements.insert(number);
            create(world, number);
        }
        Act::Release(number) if has(model, number) => {
            model.elements.remove(&number);
            model
                .sources
                .retain(|(to, _), from| *to != number && *from != number);
            model.produced.retain(|(of, _), _| *of != number);
            let element = ElementKey(number);
            world.op(Op::Release { element });
        }
        Act::Connect(from, to, kind) if has(model, from) && has(model, to) => {
            model.sources.insert((to, kind), from);
            link(world, from, to, kind);
        }
        Act::Disconnect(to, kind) => {
            if let Some(from) = model.sources.remove(&(to, kind)) {
                world.op(Op::Disconnect {
                    source: ElementKey(from).into(),
                    sink: ElementKey(to).into(),
                    kind,
                });
            }
        }
        Act::Produce(of, kind, native) if has(model, of) => {
            model.produced.insert((of, kind), native);
            produce(world, of, kind, native);
        }
        Act::Kill => {
            world.kill();
            // Not too often.
            world.run(secs(61));
        }
        Act::Create(_) | Act::Release(_) | Act::Connect(..) | Act::Produce(..) => {}
    }
}

/// What a processor knows, without the keys that it knows it by.
fn knowledge(world: &World) -> impl PartialEq + std::fmt::Debug + use<> {
    let mind = &world.processor.mind;
    let name = |origin: &Origin| match origin {
        Origin::Element(element) => format!("{element:?}"),
        Origin::Inlet(inlet) => format!("{:?}", mind.inlets[&inlet.0]),
    };
    let elements: Vec<_> = mind.elements.keys().copied().collect();
    let links = mind.links.iter();
    let links: Vec<_> = links.map(|(sink, origin)| (*sink, name(origin))).collect();
    let outlets = mind.outlets.values();
    let mut outlets: Vec<_> = outlets
        .map(|it| (name(&it.origin), it.kind, it.format.clone()))
        .collect();
    outlets.sort();
    let mut inlets: Vec<_> = mind.inlets.values().cloned().collect();
    inlets.sort();
    (elements, links, outlets, inlets)
}

/// A world that comes to be as the model is, the shortest way.
fn from_scratch(model: &Model) -> World {
    let mut world = World::new(451);
    world.process(HUB, ProcessorSpec::Mixer);
    for number in &model.elements {
        create(&mut world, *number);
    }
    for ((of, kind), native) in &model.produced {
        produce(&mut world, *of, *kind, *native);
    }
    for ((to, kind), from) in &model.sources {
        link(&mut world, *from, *to, *kind);
    }
    world
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_a_processor_knows_follows_from_how_things_are(
        acts in prop::collection::vec(any_act(), 1..60),
    ) {
        let mut world = World::new(450);
        let mut model = Model::default();
        world.process(HUB, ProcessorSpec::Mixer);
        for act in &acts {
            carry_out(&mut world, &mut model, act);
        }
        prop_assert_eq!(knowledge(&world), knowledge(&from_scratch(&model)));
        let before = knowledge(&world);
        world.run(secs(61));
        world.kill();
        prop_assert_eq!(knowledge(&world), before);
        let crossings = world.processor.mind.inlets.len() + world.processor.mind.outlets.len();
        let endpoints = model.elements.range(..=ENDPOINTS).count();
        let metrics = world.shard.metrics();
        prop_assert_eq!(metrics.endpoints as usize, endpoints);
        prop_assert_eq!(
            metrics.tracks as usize,
            2 * endpoints + world.processor.mind.outlets.len(),
            "{} cross",
            crossings
        );
        for number in model.elements.iter().chain([&HUB]) {
            let element = ElementKey(*number);
            world.op(Op::Release { element });
        }
        let metrics = world.shard.metrics();
        prop_assert_eq!((metrics.elements, metrics.endpoints, metrics.tracks), (0, 0, 0));
        prop_assert!(world.processor.socket.is_none() && !world.processor.is_asked_for);
    }
}
