//! Every codec is forwarded as it is, to those who agreed to it and to nobody else.

use super::support::*;
use str0m::RtcConfig;
use str0m::format::Codec;

fn only(config: RtcConfig, audio: Codec, video: Codec) -> RtcConfig {
    config
        .clear_codecs()
        .enable_opus(audio == Codec::Opus, false)
        .enable_pcmu(audio == Codec::PCMU, false)
        .enable_pcma(audio == Codec::PCMA, false)
        .enable_vp8(video == Codec::Vp8)
        .enable_vp9(video == Codec::Vp9)
        .enable_h264(video == Codec::H264)
        .enable_av1(video == Codec::Av1)
}

/// Two publishers that use these codecs, and a receiver that knows all, switched between them.
fn check(audio: Codec, video: Codec, configure: fn(RtcConfig) -> RtcConfig) {
    let mut world = World::new(90);
    let wish = Wish {
        configure,
        ..Wish::publish()
    };
    let publishers = [world.join_connected(wish), world.join_connected(wish)];
    let viewer = world.join_connected(Wish {
        configure: |config| {
            config
                .enable_av1(true)
                .enable_pcmu(true, false)
                .enable_pcma(true, false)
        },
        ..Wish::subscribe()
    });
    let now = world.now;
    for peer in publishers {
        world.peers[peer].start_with(audio, video, now);
    }
    world.run(millis(200));
    for peer in publishers {
        world.connect(world.element(peer), world.element(viewer));
        world.run(millis(1_500));
    }
    let received = [&world.peers[viewer].audio, &world.peers[viewer].video];
    for (received, codec) in received.into_iter().zip([audio, video]) {
        assert!(received.packets.iter().all(|packet| packet.codec == codec));
        assert_eq!(received.gaps(), [0u64; 0]);
        assert_eq!(received.repeats(), 0);
        assert!(received.is_sorted());
        let frames = received.decoded();
        assert!(frames.len() > 80, "{} frames of {codec:?}", frames.len());
        let mut order: Vec<u8> = frames.iter().map(|frame| frame.publisher).collect();
        order.dedup();
        assert_eq!(order, [1, 2]);
        for two in frames.windows(2) {
            let next = two[0].picture.map(|picture| (picture + 1) & 0x7fff);
            assert_eq!(next, two[1].picture);
        }
    }
}

#[test]
fn vp9_and_opus_are_forwarded() {
    check(Codec::Opus, Codec::Vp9, |config| {
        only(config, Codec::Opus, Codec::Vp9)
    });
}

#[test]
fn h264_and_pcmu_are_forwarded() {
    check(Codec::PCMU, Codec::H264, |config| {
        only(config, Codec::PCMU, Codec::H264)
    });
}

#[test]
fn av1_and_pcma_are_forwarded() {
    check(Codec::PCMA, Codec::Av1, |config| {
        only(config, Codec::PCMA, Codec::Av1)
    });
}

#[test]
fn a_receiver_without_the_codec_gets_nothing_until_there_is_something_for_it() {
    let mut world = World::new(91);
    let vp8 = world.join_connected(Wish::publish());
    let h264 = world.join_connected(Wish::publish());
    let viewer = world.join_connected(Wish {
        configure: |config| only(config, Codec::Opus, Codec::H264),
        ..Wish::subscribe()
    });
    let now = world.now;
    world.peers[vp8].start_with(Codec::Opus, Codec::Vp8, now);
    world.peers[h264].start_with(Codec::Opus, Codec::H264, now);
    world.connect(world.element(vp8), world.element(viewer));
    world.run(secs(2));
    assert!(world.peers[viewer].video.packets.is_empty());
    assert!(
        world.peers[viewer].audio.decoded().len() > 80,
        "sound is no matter of pictures"
    );
    world.connect(world.element(h264), world.element(viewer));
    world.run(secs(2));
    let received = &world.peers[viewer].video;
    assert!(received.decoded().len() > 50);
    assert_eq!(received.gaps(), [0u64; 0]);
    assert!(
        received
            .packets
            .iter()
            .all(|packet| packet.codec == Codec::H264)
    );
}

#[test]
fn redundant_sound_goes_to_those_who_know_it_and_plain_sound_to_others() {
    let mut world = World::new(95);
    let publisher = world.join_connected(Wish {
        configure: |config| config.enable_opus(true, true),
        ..Wish::publish()
    });
    let knows = world.join_connected(Wish {
        configure: |config| config.enable_opus(true, true),
        ..Wish::subscribe()
    });
    let plain = world.join_connected(Wish {
        configure: |config| config.enable_opus(true, false),
        ..Wish::subscribe()
    });
    for viewer in [knows, plain] {
        world.connect(world.element(publisher), world.element(viewer));
    }
    world.start(publisher);
    world.run(secs(1));
    assert_eq!(world.peers[knows].redundant, 0, "sent without so far");
    world.peers[publisher].is_redundant = true;
    world.run(secs(2));
    world.peers[publisher].is_redundant = false;
    world.run(secs(1));
    let until = world.now - millis(100);
    let sender = &world.peers[publisher];
    let source = sender.audio_source.as_ref().expect("a source");
    for viewer in [knows, plain] {
        let peer = &world.peers[viewer];
        // The checksums of the frames tell whether each is the one of its packet, and whole.
        assert_eq!(
            peer.audio.missing(sender.element.0 as u8, source, until),
            [0u32; 0]
        );
        assert_eq!(peer.audio.gaps(), [0u64; 0]);
        assert_eq!(peer.audio.repeats(), 0);
        assert_eq!(peer.errors, 0);
    }
    let redundant = world.peers[knows].redundant;
    assert!((99..=101).contains(&redundant), "{redundant}");
    assert_eq!(world.peers[plain].redundant, 0);
}
