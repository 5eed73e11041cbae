//! Which codec each receiver gets, and transcoding between peers that have none in common.

use super::*;
use salono_media_core::Transcoding;

fn h264(payload_type: u8) -> RtpFormat {
    RtpFormat {
        codec: "H264".to_owned(),
        payload_type,
        clock_rate: 90_000,
        channels: 0,
        parameters: "packetization-mode=1;profile-level-id=42e01f".to_owned(),
    }
}

fn transcoding(world: &World, element: ElementKey) -> Vec<bool> {
    let events = world.element_events(element);
    events
        .filter_map(|event| match event {
            ElementEvent::Processor(ProcessorEvent::Transcoding { kind, on }) => {
                assert_eq!(*kind, MediaKind::Video);
                Some(*on)
            }
            _ => None,
        })
        .collect()
}

#[test]
fn what_is_encoded_already_goes_to_those_who_take_it_and_is_transcoded_once_for_the_others() {
    let mut world = World::new(431);
    let all = world.join_connected(Wish::subscribe());
    let few = [0, 1].map(|_| {
        world.join_connected(Wish {
            configure: only_vp8,
            ..Wish::subscribe()
        })
    });
    let player = world.process(PLAYER, player());
    for viewer in [all, few[0], few[1]] {
        world.connect(player, world.element(viewer));
    }
    world.produce(player, MediaKind::Video, Some(h264(103)));
    assert_eq!(world.processor.codecs(MediaKind::Video), ["H264", "VP8"]);
    let codec = ElementEvent::Codec {
        kind: MediaKind::Video,
        name: "H264".to_owned(),
    };
    assert!(world.has(player, &codec));
    let outlets = world.processor.outlets(MediaKind::Video).into_iter();
    let outlets: Vec<(u32, String)> = outlets
        .map(|(key, outlet)| (key, outlet.format.codec.clone()))
        .collect();
    for (key, codec) in outlets {
        world.say(BridgeEvent::Outlet {
            outlet: OutletKey(key),
            transcoding: codec == "VP8",
            bitrate: None,
        });
    }
    assert_eq!(transcoding(&world, player), [true]);
    world.say(BridgeEvent::Load {
        decoders: 1,
        encoders: 1,
    });
    let metrics = world.shard.metrics();
    assert_eq!((metrics.decoders, metrics.encoders), (1, 1));
    let now = world.now;
    world.processor.play(7, now);
    world.run(secs(1));
    for viewer in [all, few[0], few[1]] {
        let peer = &world.peers[viewer];
        let expected = if viewer == all { "H264" } else { "Vp8" };
        let mut packets = peer.video.packets.iter();
        assert!(packets.all(|packet| format!("{:?}", packet.codec) == expected));
        assert!(peer.video.decoded().len() > 20);
    }
    for viewer in few {
        let element = world.element(viewer);
        world.op(Op::Release { element });
    }
    assert_eq!(world.processor.codecs(MediaKind::Video), ["H264"]);
    assert_eq!(transcoding(&world, player), [true, false]);
    // Another file: it is VP8 now.
    world.produce(player, MediaKind::Video, None);
    assert_eq!(world.processor.codecs(MediaKind::Video), ["VP8"]);
}

fn vp8_and_h264(world: &mut World, viewers: usize) -> (usize, Vec<usize>) {
    let publisher = world.join_connected(Wish {
        configure: only_vp8,
        ..Wish::publish()
    });
    let viewers: Vec<usize> = (0..viewers)
        .map(|_| {
            world.join_connected(Wish {
                configure: only_h264,
                ..Wish::subscribe()
            })
        })
        .collect();
    for viewer in &viewers {
        world.connect(world.element(publisher), world.element(*viewer));
    }
    world.start(publisher);
    world.run(millis(500));
    (publisher, viewers)
}

#[test]
fn peers_without_a_common_codec_are_transcoded_between_with_one_decoder_and_one_encoder() {
    let mut world = World::new(432);
    let (publisher, viewers) = vp8_and_h264(&mut world, 3);
    assert_eq!(world.processor.attached, 1);
    let mind = &world.processor.mind;
    assert!(mind.elements.is_empty() && mind.links.is_empty());
    assert_eq!((mind.inlets.len(), mind.outlets.len()), (1, 1));
    let (inlet, (_, format)) = mind.inlets.first_key_value().expect("one");
    assert_eq!(format.codec, "VP8");
    let (outlet, wanted) = mind.outlets.first_key_value().expect("one");
    assert_eq!(wanted.origin, Origin::Inlet(InletKey(*inlet)));
    assert_eq!(wanted.format.codec, "H264");
    let outlet = OutletKey(*outlet);
    world.say(BridgeEvent::Outlet {
        outlet,
        transcoding: true,
        bitrate: None,
    });
    let source = world.element(publisher);
    assert_eq!(transcoding(&world, source), [true]);
    let now = world.now;
    world.processor.play(9, now);
    world.run(secs(2));
    for viewer in &viewers {
        let peer = &world.peers[*viewer];
        assert!(peer.video.decoded().len() > 50);
        assert_eq!(peer.video.publishers(), [9]);
        assert_eq!(peer.audio.publishers(), [1], "sound needs no help");
    }
    assert!(
        world
            .processor
            .entered
            .values()
            .all(|packets| packets.len() > 60)
    );
    for viewer in viewers {
        let element = world.element(viewer);
        world.op(Op::Release { element });
    }
    assert_eq!(world.processor.detached, 1);
    assert_eq!(transcoding(&world, source), [true, false]);
}

#[test]
fn a_publisher_that_changes_its_codec_is_transcoded_only_while_that_is_needed() {
    let mut world = World::new(433);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish {
        configure: only_h264,
        ..Wish::subscribe()
    });
    world.connect(world.element(publisher), world.element(viewer));
    world.run(secs(1));
    assert_eq!(world.processor.attached, 0, "it may still send H264");
    let now = world.now;
    let codecs = [str0m::format::Codec::Opus, str0m::format::Codec::Vp8];
    world.peers[publisher].start_with(codecs[0], codecs[1], now);
    world.run(secs(1));
    assert_eq!(world.processor.codecs(MediaKind::Video), ["H264"]);
    let camera = world.peers[publisher].video_source.as_mut();
    let camera = camera.expect("a camera");
    camera.codec = str0m::format::Codec::H264;
    camera.keyframe_wanted = true;
    world.run(secs(3));
    assert_eq!(world.processor.detached, 1);
    assert_eq!(world.peers[viewer].video.publishers(), [1]);
}

#[test]
fn where_transcoding_is_not_allowed_there_is_none() {
    let mut world = World::with_transcoding(434, Transcoding::Deny);
    let (publisher, viewers) = vp8_and_h264(&mut world, 2);
    world.run(secs(2));
    assert_eq!(world.processor.attached, 0);
    for viewer in viewers {
        assert!(world.peers[viewer].video.packets.is_empty());
        assert_eq!(world.peers[viewer].audio.publishers(), [1]);
    }
    assert!(transcoding(&world, world.element(publisher)).is_empty());
}

#[test]
fn a_codec_that_is_set_for_a_peer_is_encoded_for_those_who_take_it() {
    let mut world = World::new(435);
    let publisher = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish::subscribe());
    world.connect(world.element(publisher), world.element(viewer));
    world.start(publisher);
    world.run(millis(500));
    assert_eq!(world.processor.attached, 0);
    let mut encoding = Encoding {
        target: Bitrate::kbps(300),
        min: Bitrate::ZERO,
        max: Bitrate::kbps(600),
        video: None,
        audio: None,
    };
    let set = |world: &mut World, encoding: &Encoding| {
        let element = world.element(publisher);
        let encoding = Box::new(encoding.clone());
        world.op(Op::SetEncoding { element, encoding });
    };
    set(&mut world, &encoding);
    assert_eq!(world.processor.attached, 0, "nothing has to be encoded");
    let framerate = Fraction {
        numerator: 0,
        denominator: 1,
    };
    let codec = Some("H264".to_owned());
    encoding.video = Some(VideoForm { codec, framerate });
    set(&mut world, &encoding);
    assert_eq!(world.processor.codecs(MediaKind::Video), ["H264"]);
    let encodings: Vec<_> = world.processor.mind.encodings.values().collect();
    assert_eq!(encodings, [&encoding]);
    encoding.video = None;
    set(&mut world, &encoding);
    world.run(secs(1));
    assert_eq!(world.processor.detached, 1);
}

#[test]
fn encoders_are_told_what_their_receivers_take() {
    let mut world = World::new(436);
    let narrow = Link {
        bps: 400_000,
        ..Link::PERFECT
    };
    let viewer = world.join_connected(Wish {
        down: narrow,
        ..Wish::subscribe()
    });
    play_to(&mut world, &[viewer]);
    let now = world.now;
    world.processor.play(7, now);
    let (video, _) = world.processor.outlets(MediaKind::Video)[0];
    world.processor.source_mut(video).bps = 900_000;
    assert!(
        world.run_until(secs(20), |world| {
            let bound = world.processor.bounds.get(&video);
            bound.is_some_and(|bound| (30_000..900_000).contains(bound))
        }),
        "{:?}",
        world.processor.bounds
    );
}

#[test]
fn a_publisher_is_told_what_the_processor_takes() {
    let mut world = World::new(437);
    let publisher = world.join_connected(Wish::publish());
    world.start(publisher);
    world.peers[publisher].appetite = 2_000_000;
    let filter = world.process(100, filter());
    world.connect(world.element(publisher), filter);
    world.run(secs(2));
    let inlet = world
        .processor
        .inlet_of(filter, MediaKind::Video)
        .expect("linked");
    for _ in 0..5 {
        world.send_from_processor(&Processor::bound(inlet, 500_000));
        world.run(secs(1));
    }
    let stats = world.stats(publisher);
    let asked = stats.streams.iter().filter_map(|stream| stream.remb).min();
    assert!(
        asked.is_some_and(|asked| asked.as_kbps() <= 600),
        "{asked:?}"
    );
}
