//! Streams through the processor: copied where they can be, decoded and encoded once where they cannot.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;

use child::{Child, Source, format};
use salono_media_api::processing::bridge::*;
use salono_media_api::{Bitrate, ElementKey, MediaKind};
use salono_rtp::rtcp::{Compound, Packet, Writer};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const VP8: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! \
     vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 ssrc=1 mtu=1200";

fn outlet_of(child: &mut Child, key: u32) -> (bool, Option<Bitrate>) {
    child.wait(|event| match event {
        BridgeEvent::Outlet {
            outlet,
            transcoding,
            bitrate,
        } if *outlet == OutletKey(key) => Some((*transcoding, *bitrate)),
        _ => None,
    })
}

#[test]
fn a_stream_of_the_wanted_codec_is_copied() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.open_outlet(7, origin, MediaKind::Video, format("VP8", 101, 90_000, 0));
    let _source = Source::start(&child, VP8);
    let (_, packet) = child.rtp(7);
    assert_eq!(packet[1] & 0x7F, 101);
    assert_eq!(outlet_of(&mut child, 7), (false, None));
    for _ in 0..60 {
        child.rtp(7);
    }
    child.catch_up();
    assert_eq!(child.load, (0, 0));
    assert!(child.end().success());
}

#[test]
fn many_outlets_cost_one_decoder_and_an_encoder_per_codec() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    for key in 10..15 {
        child.open_outlet(
            key,
            origin,
            MediaKind::Video,
            format("H264", 102, 90_000, 0),
        );
    }
    let _source = Source::start(&child, VP8);
    for key in 10..15 {
        child.rtp(key);
        assert!(outlet_of(&mut child, key).0, "transcoding");
    }
    child.catch_up();
    assert_eq!(child.load, (1, 1));
    child.open_outlet(20, origin, MediaKind::Video, format("VP9", 98, 90_000, 0));
    child.rtp(20);
    child.catch_up();
    assert_eq!(child.load, (1, 2));
    for key in [10, 11, 12, 13, 14, 20] {
        child.tell(&BridgeCommand::CloseOutlet {
            outlet: OutletKey(key),
        });
    }
    child.catch_up();
    assert_eq!(child.load, (0, 0));
}

#[test]
fn packets_come_of_every_codec_that_is_asked_for() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.open_inlet(2, MediaKind::Audio, format("opus", 111, 48_000, 2));
    let video = Origin::Inlet(InletKey(1));
    let audio = Origin::Inlet(InletKey(2));
    let wanted = [
        (video, "VP9", 90_000, 0),
        (video, "H264", 90_000, 0),
        (video, "H265", 90_000, 0),
        (video, "H263", 90_000, 0),
        (video, "AV1", 90_000, 0),
        (audio, "PCMU", 8_000, 1),
        (audio, "PCMA", 8_000, 1),
        (audio, "G722", 8_000, 1),
        (audio, "AMR", 8_000, 1),
        (audio, "speex", 16_000, 1),
    ];
    for (key, (origin, codec, rate, channels)) in (30..).zip(wanted) {
        let kind = if origin == video {
            MediaKind::Video
        } else {
            MediaKind::Audio
        };
        child.open_outlet(key, origin, kind, format(codec, 100, rate, channels));
    }
    let _video = Source::start(&child, VP8);
    let _audio = Source::start(
        &child,
        "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! \
         opusenc ! rtpopuspay pt=111 ssrc=2",
    );
    let mut missing: Vec<u32> = (30..40).collect();
    let deadline = Instant::now() + child::PATIENCE;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "nothing from {missing:?}");
        let (_, packet) = child.packets.recv_timeout(child::PATIENCE).unwrap();
        let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
        missing.retain(|key| *key != ssrc);
    }
    child.catch_up();
    assert_eq!(child.load, (2, 10));
}

#[test]
fn av1_goes_through_and_comes_back() {
    let mut first = Child::start();
    first.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    first.open_outlet(2, origin, MediaKind::Video, format("AV1", 45, 90_000, 0));
    let _source = Source::start(&first, VP8);
    // What one processor makes of it, another one takes apart.
    let mut second = Child::start();
    second.open_inlet(2, MediaKind::Video, format("AV1", 45, 90_000, 0));
    let origin = Origin::Inlet(InletKey(2));
    second.open_outlet(3, origin, MediaKind::Video, format("AV1", 101, 90_000, 0));
    second.open_outlet(4, origin, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let (mut copies, mut pictures) = (0, 0);
    while copies < 20 || pictures < 20 {
        let (_, packet) = first.rtp(2);
        second.send(&packet);
        while let Ok((_, packet)) = second.packets.try_recv() {
            // Its wishes for keyframes; reports of its own streams mean nothing there.
            if (192..=223).contains(&packet[1]) {
                first.send(&packet);
                continue;
            }
            copies += u32::from(packet[8..12] == 3_u32.to_be_bytes());
            pictures += u32::from(packet[8..12] == 4_u32.to_be_bytes());
        }
    }
    second.catch_up();
    assert_eq!(second.load, (1, 1));
}

#[test]
fn what_one_processor_encodes_another_decodes() {
    let mut first = Child::start();
    first.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    first.open_inlet(2, MediaKind::Audio, format("opus", 111, 48_000, 2));
    let mut second = Child::start();
    let codecs = [
        (1, "VP9", 90_000, 0, ""),
        (1, "H264", 90_000, 0, "packetization-mode=1"),
        (1, "H264", 90_000, 0, "packetization-mode=0"),
        (1, "H265", 90_000, 0, ""),
        (1, "H263", 90_000, 0, ""),
        (2, "PCMU", 8_000, 1, ""),
        (2, "PCMA", 8_000, 1, ""),
        (2, "G722", 8_000, 1, ""),
        (2, "AMR", 8_000, 1, "octet-align=1"),
        (2, "AMR", 8_000, 1, ""),
        (2, "speex", 16_000, 1, ""),
    ];
    let mut missing = Vec::new();
    for (key, (source, codec, rate, channels, parameters)) in (10..).zip(codecs) {
        let (kind, back) = if source == 1 {
            (MediaKind::Video, format("VP8", 96, 90_000, 0))
        } else {
            (MediaKind::Audio, format("opus", 111, 48_000, 2))
        };
        let mut made = format(codec, 100, rate, channels);
        made.parameters = parameters.to_owned();
        first.open_outlet(key, Origin::Inlet(InletKey(source)), kind, made.clone());
        second.open_inlet(key, kind, made);
        second.open_outlet(key + 100, Origin::Inlet(InletKey(key)), kind, back);
        missing.push((key + 100, codec));
    }
    second.catch_up();
    let _video = Source::start(&first, VP8);
    let _audio = Source::start(
        &first,
        "audiotestsrc is-live=true samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=2 ! \
         opusenc ! rtpopuspay pt=111 ssrc=2",
    );
    let deadline = Instant::now() + child::PATIENCE;
    while !missing.is_empty() {
        assert!(Instant::now() < deadline, "nothing of {missing:?}");
        let (_, packet) = first.packets.recv_timeout(child::PATIENCE).unwrap();
        second.send(&packet);
        while let Ok((_, packet)) = second.packets.try_recv() {
            if (192..=223).contains(&packet[1]) {
                first.send(&packet);
                continue;
            }
            let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            missing.retain(|(key, _)| *key != ssrc);
        }
    }
}

#[test]
fn who_takes_single_units_of_h264_gets_nothing_else() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    let mut single = format("H264", 102, 90_000, 0);
    single.parameters = "packetization-mode=0;profile-level-id=42e01f".to_owned();
    child.open_outlet(7, origin, MediaKind::Video, single);
    // Noise: pictures that take many packets.
    let _source = Source::start(&child, &VP8.replace("is-live", "pattern=snow is-live"));
    let (mut slices, mut parameter_sets) = (0, 0);
    while slices < 100 || parameter_sets < 2 {
        let (_, packet) = child.rtp(7);
        let header = salono_rtp::header::Header::parse(&packet).unwrap();
        let payload = header.payload(&packet).unwrap();
        match payload[0] & 31 {
            1 | 5 => slices += 1,
            7 | 8 => parameter_sets += 1,
            6 | 9 => {}
            other => panic!("a packet of type {other}, {} bytes", packet.len()),
        }
        assert!(packet.len() <= 1_200);
    }
}

#[test]
fn the_shard_is_asked_for_a_keyframe_until_one_comes() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.open_outlet(7, origin, MediaKind::Video, format("VP8", 96, 90_000, 0));
    // A stream that was joined in the middle: a packet of a picture that is no keyframe, again and again.
    let mut asked = 0;
    let mut number: u16 = 0;
    while asked < 2 {
        number += 1;
        let mut packet = vec![0x80, 0x80 | 96];
        packet.extend_from_slice(&number.to_be_bytes());
        packet.extend_from_slice(&(u32::from(number) * 3_000).to_be_bytes());
        packet.extend_from_slice(&1_u32.to_be_bytes());
        packet.extend_from_slice(&[0x10, 0x01, 0x02, 0x03]);
        child.send(&packet);
        let Ok((_, packet)) = child.packets.recv_timeout(Duration::from_millis(20)) else {
            assert!(number < 2_000, "nobody asks");
            continue;
        };
        for packet in Compound::new(&packet) {
            if let Packet::PictureLoss { media_ssrc, .. } = packet {
                assert_eq!(media_ssrc, 1);
                asked += 1;
            }
        }
    }
}

#[test]
fn lost_packets_cost_pictures_up_to_a_keyframe_and_no_more() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.open_outlet(7, origin, MediaKind::Video, format("VP9", 98, 90_000, 0));
    let send = child.sender();
    let count = AtomicU32::new(0);
    let source = Source::start_into(
        "videotestsrc is-live=true pattern=snow ! \
         video/x-raw,width=320,height=240,framerate=30/1 ! \
         vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=3000 ! \
         rtpvp8pay pt=96 ssrc=1 mtu=1200",
        move |packet| {
            if count.fetch_add(1, Ordering::Relaxed) % 100 != 99 {
                send(packet);
            }
        },
    );
    let (mut pictures, mut wishes) = (0, 0);
    while pictures < 60 || wishes < 2 {
        let (_, packet) = child.packets.recv_timeout(child::PATIENCE).unwrap();
        let parts = Compound::new(&packet);
        for part in parts.filter(|_| (192..=223).contains(&packet[1])) {
            if matches!(part, Packet::PictureLoss { media_ssrc: 1, .. }) {
                wishes += 1;
                source.keyframe();
            }
        }
        let ends_picture = packet[1] == 0x80 | 98;
        pictures += u32::from(ends_picture && packet[8..12] == 7_u32.to_be_bytes());
    }
    child.catch_up();
    assert_eq!(child.load, (1, 1));
}

#[test]
fn outlets_that_come_and_go_leave_nothing_behind() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    // Nobody answers wishes for keyframes here, so they come often.
    let often = VP8.replace("keyframe-max-dist=30", "keyframe-max-dist=5");
    let _source = Source::start(&child, &often);
    let count = |child: &Child, what: &str| {
        let entries = std::fs::read_dir(format!("/proc/{}/{what}", child.pid())).unwrap();
        entries.count()
    };
    let mut first = None;
    for key in 10..30 {
        child.open_outlet(
            key,
            origin,
            MediaKind::Video,
            format("H264", 102, 90_000, 0),
        );
        child.rtp(key);
        child.tell(&BridgeCommand::CloseOutlet {
            outlet: OutletKey(key),
        });
        child.catch_up();
        assert_eq!(child.load, (0, 0));
        if key == 14 {
            first = Some((count(&child, "fd"), count(&child, "task")));
        }
    }
    // What ends does so in the background.
    let (fds, threads) = first.unwrap();
    let deadline = Instant::now() + child::PATIENCE;
    while count(&child, "fd") > fds + 6 || count(&child, "task") > threads + 6 {
        child.catch_up();
        let now = (count(&child, "fd"), count(&child, "task"));
        assert!(Instant::now() < deadline, "{now:?} instead of {first:?}");
    }
}

#[test]
fn the_encoder_follows_the_receivers_within_its_limits() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.tell(&BridgeCommand::SetEncoding {
        origin,
        encoding: salono_media_api::processing::Encoding {
            target: Bitrate::kbps(300),
            min: Bitrate::kbps(100),
            max: Bitrate::kbps(800),
            video: None,
            audio: None,
        },
    });
    child.open_outlet(7, origin, MediaKind::Video, format("H264", 102, 90_000, 0));
    let _source = Source::start(&child, VP8);
    assert_eq!(outlet_of(&mut child, 7), (true, Some(Bitrate::kbps(300))));
    for (estimate, expected) in [(500_000, 500), (5_000_000, 800), (10_000, 100)] {
        let mut packet = [0; 64];
        let mut writer = Writer::new(&mut packet);
        writer.remb(0, estimate, &[7]).unwrap();
        let length = writer.len();
        child.send(&packet[..length]);
        let (_, bitrate) = outlet_of(&mut child, 7);
        let kbps = bitrate.unwrap().as_kbps();
        assert!(kbps.abs_diff(expected) <= 1, "{kbps} for {estimate}");
    }
}

#[test]
fn a_keyframe_comes_when_a_receiver_asks() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.open_outlet(7, origin, MediaKind::Video, format("VP9", 98, 90_000, 0));
    let _source = Source::start(&child, VP8);
    let is_key = |packet: &[u8]| {
        let header = salono_rtp::header::Header::parse(packet).unwrap();
        let codec = salono_rtp::codec::Codec::Vp9;
        codec
            .describe(header.payload(packet).unwrap())
            .is_keyframe_start
    };
    while !is_key(&child.rtp(7).1) {}
    for _ in 0..20 {
        assert!(!is_key(&child.rtp(7).1), "only one without being asked");
    }
    let mut packet = [0; 64];
    let mut writer = Writer::new(&mut packet);
    writer.picture_loss(0, 7).unwrap();
    let length = writer.len();
    child.send(&packet[..length]);
    while !is_key(&child.rtp(7).1) {}
}

#[test]
fn sender_reports_come_ahead_of_the_stream_and_go_on() {
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let origin = Origin::Inlet(InletKey(1));
    child.open_outlet(7, origin, MediaKind::Video, format("VP8", 96, 90_000, 0));
    let _source = Source::start(&child, VP8);
    let mut reports = 0;
    let mut first = None;
    while reports < 3 {
        let (_, packet) = child.packets.recv_timeout(child::PATIENCE).unwrap();
        for part in Compound::new(&packet) {
            if let Packet::SenderReport(report) = part {
                assert_eq!(report.ssrc, 7);
                reports += 1;
                first.get_or_insert(true);
            }
        }
        if packet[8..12] == 7_u32.to_be_bytes() {
            first.get_or_insert(false);
        }
    }
    assert_eq!(first, Some(true));
}

#[test]
fn garbage_does_no_harm() {
    let mut child = Child::start();
    child.write_raw(b"nonsense\n{\"Create\":{}}\n\xFF\xFE\n");
    child.send(&[0x80]);
    child.send(&[0x80, 0xC8, 0xFF, 0xFF, 1, 2, 3]);
    child.send(&[0xFF; 900]);
    child.open_inlet(1, MediaKind::Video, format("NOTHING", 96, 90_000, 0));
    child.open_inlet(2, MediaKind::Video, format("H264", 255, 0, 255));
    for length in 0..40 {
        let mut packet = vec![0x80, 0xFF, 0, length];
        packet.extend_from_slice(&[0; 4]);
        packet.extend_from_slice(&2_u32.to_be_bytes());
        packet.extend(std::iter::repeat_n(length, usize::from(length)));
        child.send(&packet);
    }
    let nobody = Origin::Element(ElementKey(99));
    child.open_outlet(9, nobody, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.link(99, MediaKind::Audio, nobody);
    child.catch_up();
    assert!(child.end().success());
}
