//! Players: what comes out of them, when, and what they say.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod files;

use child::{Child, PATIENCE, format};
use files::{Clip, clapper_mp4, clapper_webm};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaErrorKind, MediaKind};
use salono_rtp::header::Header;
use salono_rtp::rtcp::{Compound, Packet, Writer};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

const PLAYER: u64 = 5;
const ORIGIN: Origin = Origin::Element(ElementKey(PLAYER));

fn player(uri: &str, encoded: bool) -> ProcessorSpec {
    ProcessorSpec::Player(PlayerSpec {
        uri: uri.to_owned(),
        encoded,
        network_cache_ms: 200,
        reconnect: false,
    })
}

fn started(uri: &str, encoded: bool) -> Child {
    let mut child = Child::start();
    child.create(PLAYER, player(uri, encoded));
    child.call(PLAYER, ProcessorCall::Play).unwrap();
    child.event(PLAYER, &ProcessorEvent::State(UriState::Start));
    child
}

fn produced(child: &mut Child, wanted: MediaKind) -> Option<RtpFormat> {
    child.wait(|event| match event {
        BridgeEvent::Produces { kind, native, .. } if *kind == wanted => Some(native.clone()),
        _ => None,
    })
}

/// What came of a stream: packets, and what relates them to the wall clock.
#[derive(Default)]
struct Heard {
    packets: Vec<Vec<u8>>,
    report: Option<(u64, u32)>,
}

/// Listens to outlets until an event of the player.
fn listen(child: &Child, time: Duration) -> BTreeMap<u32, Heard> {
    let mut heard: BTreeMap<u32, Heard> = BTreeMap::new();
    let end = Instant::now() + time;
    while let Ok((_, packet)) = child
        .packets
        .recv_timeout(end.saturating_duration_since(Instant::now()))
    {
        if (192..=223).contains(&packet[1]) {
            for part in Compound::new(&packet) {
                if let Packet::SenderReport(report) = part {
                    let entry = heard.entry(report.ssrc).or_default();
                    entry.report = Some((report.ntp.bits(), report.rtp_timestamp));
                }
            }
        } else {
            let header = Header::parse(&packet).unwrap();
            heard.entry(header.ssrc).or_default().packets.push(packet);
        }
    }
    heard
}

/// Wall clock (ms) of each decoded buffer with its mean level.
fn decode(heard: &Heard, rate: u32, depay: &str, caps: &str) -> Vec<(f64, f64)> {
    let (ntp, rtp) = heard.report.unwrap();
    let text = format!(
        "appsrc name=in format=time max-bytes=0 caps={caps} ! {depay} ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    let pipeline: gst::Pipeline = pipeline.downcast().unwrap();
    let entry: AppSrc = pipeline.by_name("in").unwrap().downcast().unwrap();
    let exit: AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    // The report stands for an arbitrary moment, here an hour.
    let hour = 3_600_000_000_000_i64;
    for packet in &heard.packets {
        let header = Header::parse(packet).unwrap();
        let ticks = i64::from(header.timestamp.wrapping_sub(rtp).cast_signed());
        let at = hour + ticks * 1_000_000_000 / i64::from(rate);
        let mut buffer = gst::Buffer::from_slice(packet.clone());
        let pts = gst::ClockTime::from_nseconds(at.cast_unsigned());
        buffer.get_mut().unwrap().set_pts(pts);
        entry.push_buffer(buffer).unwrap();
    }
    entry.end_of_stream().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let wall_ms = ((u128::from(ntp) * 1_000_000) >> 32) as f64 / 1_000.0;
    let mut levels = Vec::new();
    while let Ok(sample) = exit.pull_sample() {
        let buffer = sample.buffer().unwrap();
        let at = buffer.pts().unwrap().nseconds() as f64 - hour as f64;
        let bytes = buffer.map_readable().unwrap();
        let is_video = sample.caps().unwrap().structure(0).unwrap().name() == "video/x-raw";
        let level = if is_video {
            f64::from(bytes[bytes.len() / 3])
        } else {
            let samples = bytes.chunks_exact(2);
            let sum: f64 = samples
                .map(|sample| f64::from(i16::from_le_bytes([sample[0], sample[1]]).unsigned_abs()))
                .sum();
            sum / (bytes.len() as f64 / 2.0) / 40.0
        };
        levels.push((wall_ms + at / 1e6, level));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    levels
}

/// When it claps.
fn claps(levels: &[(f64, f64)]) -> Vec<f64> {
    levels
        .windows(2)
        .filter(|pair| pair[0].1 < 120.0 && pair[1].1 >= 120.0)
        .map(|pair| pair[1].0)
        .collect()
}

fn check_sync(heard: &BTreeMap<u32, Heard>) {
    let video = decode(
        &heard[&11],
        90_000,
        "rtpvp8depay ! vp8dec",
        "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96",
    );
    let audio = decode(
        &heard[&12],
        8_000,
        "rtppcmudepay ! mulawdec",
        "application/x-rtp,media=audio,encoding-name=PCMU,clock-rate=8000,payload=0",
    );
    let (seen, heard) = (claps(&video), claps(&audio));
    assert!(seen.len() >= 2 && heard.len() >= 2, "{seen:?} {heard:?}");
    for at in &seen {
        let apart = heard
            .iter()
            .map(|other| (at - other).abs())
            .fold(f64::MAX, f64::min);
        assert!(apart <= 40.0, "{apart} ms apart: {seen:?} {heard:?}");
    }
}

fn open_both(child: &mut Child) {
    child.open_outlet(11, ORIGIN, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.open_outlet(12, ORIGIN, MediaKind::Audio, format("PCMU", 0, 8_000, 1));
}

#[test]
fn sound_and_pictures_of_a_file_are_in_step() {
    let clip = clapper_webm(4);
    let mut child = started(&clip.uri(), false);
    open_both(&mut child);
    assert_eq!(produced(&mut child, MediaKind::Video), None);
    assert_eq!(produced(&mut child, MediaKind::Audio), None);
    let heard = listen(&child, Duration::from_millis(3_900));
    check_sync(&heard);
    child.event(PLAYER, &ProcessorEvent::State(UriState::Stop));
    child.event(PLAYER, &ProcessorEvent::EndOfStream);
}

#[test]
fn streams_are_in_step_after_a_pause_and_a_jump() {
    let clip = clapper_mp4(8);
    let mut child = started(&clip.uri(), false);
    open_both(&mut child);
    child.rtp(11);
    child.call(PLAYER, ProcessorCall::Pause).unwrap();
    let silent = listen(&child, Duration::from_millis(700));
    let after = listen(&child, Duration::from_millis(500));
    assert!(after.values().all(|heard| heard.packets.is_empty()));
    drop(silent);
    let jump = ProcessorCall::SetPosition { position_ms: 3_000 };
    child.call(PLAYER, jump).unwrap();
    child.call(PLAYER, ProcessorCall::Play).unwrap();
    // What was heard before is left out, so decoding needs a keyframe.
    let mut packet = [0; 32];
    let mut writer = Writer::new(&mut packet);
    writer.picture_loss(0, 11).unwrap();
    let length = writer.len();
    child.send(&packet[..length]);
    let heard = listen(&child, Duration::from_millis(3_400));
    check_sync(&heard);
    let position = child.call(PLAYER, ProcessorCall::Position).unwrap();
    let ProcessorReply::Position(position_ms) = position else {
        panic!("{position:?}");
    };
    assert!((5_000..7_900).contains(&position_ms), "{position_ms}");
    let video = &heard[&11].packets;
    let mut before = None;
    for packet in video {
        let at = Header::parse(packet).unwrap().timestamp;
        if let Some(before) = before.replace(at) {
            let step = at.wrapping_sub(before).cast_signed();
            assert!((0..90_000).contains(&step), "{step}");
        }
    }
}

#[test]
fn a_file_is_played_in_real_time_without_anybody_looking() {
    let clip = clapper_webm(2);
    let begin = Instant::now();
    let mut child = started(&clip.uri(), false);
    child.event(PLAYER, &ProcessorEvent::EndOfStream);
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
    child.catch_up();
    assert_eq!(child.load, (0, 0));
}

#[test]
fn states_change_as_in_kurento() {
    let clip = clapper_webm(2);
    let mut child = Child::start();
    child.create(PLAYER, player(&clip.uri(), false));
    let calls = [
        ProcessorCall::Stop,
        ProcessorCall::Pause,
        ProcessorCall::Pause,
        ProcessorCall::Play,
        ProcessorCall::Play,
        ProcessorCall::Stop,
        ProcessorCall::Stop,
    ];
    for call in calls {
        child.call(PLAYER, call).unwrap();
    }
    let states: Vec<_> = child
        .kept()
        .into_iter()
        .filter_map(|event| match event {
            BridgeEvent::Element {
                event: ProcessorEvent::State(state),
                ..
            } => Some(state),
            _ => None,
        })
        .collect();
    let expected = [UriState::Pause, UriState::Start, UriState::Stop];
    assert_eq!(states, expected);
}

#[test]
fn encoded_streams_are_handed_on_untouched() {
    let clip = clapper_webm(3);
    let mut child = started(&clip.uri(), true);
    let video = produced(&mut child, MediaKind::Video).unwrap();
    let audio = produced(&mut child, MediaKind::Audio).unwrap();
    assert_eq!((&*video.codec, &*audio.codec), ("VP8", "opus"));
    child.open_outlet(11, ORIGIN, MediaKind::Video, video);
    child.open_outlet(12, ORIGIN, MediaKind::Audio, audio);
    child.rtp(11);
    child.rtp(12);
    child.event(PLAYER, &ProcessorEvent::EndOfStream);
    child.catch_up();
    assert_eq!(child.load, (0, 0));
}

#[test]
fn h264_in_a_container_is_handed_on_untouched() {
    let clip = clapper_mp4(3);
    let mut child = started(&clip.uri(), true);
    let video = produced(&mut child, MediaKind::Video).unwrap();
    assert_eq!(video.codec, "H264");
    child.open_outlet(11, ORIGIN, MediaKind::Video, video);
    child.rtp(11);
    child.catch_up();
    assert_eq!(child.load, (0, 0));
}

#[test]
fn what_can_be_jumped_to_is_told_and_the_rest_is_refused() {
    let clip = clapper_webm(3);
    let mut child = started(&clip.uri(), false);
    produced(&mut child, MediaKind::Video);
    let info = child.call(PLAYER, ProcessorCall::VideoInfo).unwrap();
    let ProcessorReply::Seekable(info) = info else {
        panic!("{info:?}");
    };
    assert!(info.seekable);
    assert!((2_900..3_100).contains(&info.duration_ms), "{info:?}");
    for position_ms in [-1, 60_000] {
        let jump = ProcessorCall::SetPosition { position_ms };
        let error = child.call(PLAYER, jump).unwrap_err();
        assert_eq!(error.kind, MediaErrorKind::Seek);
    }
    child.call(PLAYER, ProcessorCall::Stop).unwrap();
    let jump = ProcessorCall::SetPosition { position_ms: 0 };
    let error = child.call(PLAYER, jump).unwrap_err();
    assert_eq!(error.kind, MediaErrorKind::Seek);
}

#[test]
fn what_cannot_be_played_is_said_and_nothing_else_happens() {
    let mut child = Child::start();
    let text = Clip::new("webm");
    std::fs::write(&text.path, "this is no film\n".repeat(100)).unwrap();
    let whole = clapper_webm(2);
    let mut bytes = std::fs::read(&whole.path).unwrap();
    let damaged = Clip::new("webm");
    bytes.truncate(300);
    std::fs::write(&damaged.path, &bytes).unwrap();
    let cases = [
        ("file:///etc/passwd".to_owned(), "INVALID_URI"),
        (Clip::new("webm").uri(), "INVALID_URI"),
        ("nothing://example.com/a".to_owned(), "INVALID_URI"),
        ("no uri at all".to_owned(), "INVALID_URI"),
        (text.uri(), "INVALID_MEDIA"),
        (damaged.uri(), "INVALID_MEDIA"),
    ];
    for (key, (uri, kind)) in (20..).zip(cases) {
        child.create(key, player(&uri, false));
        child.call(key, ProcessorCall::Play).unwrap();
        let error = child.error(key);
        assert_eq!(error.kind, kind, "{uri}: {error:?}");
        child.call(key, ProcessorCall::Stop).unwrap();
        child.event(key, &ProcessorEvent::State(UriState::Stop));
    }
    child.create(PLAYER, player(&whole.uri(), false));
    child.call(PLAYER, ProcessorCall::Play).unwrap();
    child.event(PLAYER, &ProcessorEvent::EndOfStream);
}

#[test]
fn garbled_files_end_one_way_or_another() {
    let clip = clapper_webm(2);
    let whole = std::fs::read(&clip.path).unwrap();
    let mut child = Child::start();
    let mut files = Vec::new();
    for (key, seed) in (30..).zip([3_usize, 7, 31, 101]) {
        let mut bytes = whole.clone();
        for at in (400..bytes.len()).step_by(seed * 37) {
            bytes[at] ^= u8::try_from(seed).unwrap();
        }
        let file = Clip::new("webm");
        std::fs::write(&file.path, bytes).unwrap();
        child.create(key, player(&file.uri(), false));
        child.call(key, ProcessorCall::Play).unwrap();
        child.event(key, &ProcessorEvent::State(UriState::Start));
        child.wait(|event| match event {
            BridgeEvent::Element { element, event } if *element == ElementKey(key) => {
                let ends = matches!(
                    event,
                    ProcessorEvent::Error(_) | ProcessorEvent::EndOfStream
                );
                ends.then_some(())
            }
            _ => None,
        });
        files.push(file);
    }
    child.catch_up();
}

/// Serves answers to requests; returns its port.
fn serve(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut byte) {
                    Ok(1) => request.push(byte[0]),
                    _ => break,
                }
            }
            let _ = stream.write_all(&answer(&String::from_utf8_lossy(&request)));
        }
    });
    port
}

#[test]
fn http_is_played() {
    let clip = clapper_webm(2);
    let bytes = std::fs::read(&clip.path).unwrap();
    let port = serve(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        [head.as_bytes(), &bytes].concat()
    });
    let mut child = started(&format!("http://127.0.0.1:{port}/a.webm"), false);
    produced(&mut child, MediaKind::Video);
    child.event(PLAYER, &ProcessorEvent::EndOfStream);
}

#[test]
fn a_playlist_from_the_network_does_not_lead_to_files() {
    let clip = clapper_mp4(2);
    let list = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
        clip.uri()
    );
    let port = serve(move |_| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.apple.mpegurl\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            list.len()
        );
        format!("{head}{list}").into_bytes()
    });
    let mut child = started(&format!("http://127.0.0.1:{port}/a.m3u8"), false);
    assert_eq!(child.error(PLAYER).kind, "INVALID_URI");
}

#[test]
fn a_page_that_is_not_there_is_an_invalid_uri() {
    let port = serve(|_| {
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    });
    let mut child = started(&format!("http://127.0.0.1:{port}/a.webm"), false);
    assert_eq!(child.error(PLAYER).kind, "INVALID_URI");
}

#[test]
fn names_that_lead_to_this_machine_are_refused_before_anybody_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    // The name of this machine resolves to an address that is not public, and no list of names knows it.
    let name = std::fs::read_to_string("/etc/hostname").unwrap();
    let mut child = Child::start_with(UriPolicy {
        private_addresses: false,
        ..child::policy()
    });
    let name = name.trim();
    for (key, uri) in (40..).zip([
        format!("http://{name}:{port}/a.webm"),
        format!("rtsp://{name}:{port}/a"),
        format!("rtmp://{name}:{port}/a/b"),
        format!("http://127.0.0.1:{port}/a.webm"),
        format!("rtsp://[::ffff:127.0.0.1]:{port}/a"),
    ]) {
        child.create(key, player(&uri, false));
        child.call(key, ProcessorCall::Play).unwrap();
        let error = child.error(key);
        assert_eq!(error.kind, "INVALID_URI", "{uri}: {error:?}");
        let why = error.description;
        assert!(why.contains("is not public"), "{uri}: {why}");
    }
    assert!(listener.accept().is_err(), "somebody connected");
}

#[test]
fn playing_and_stopping_again_and_again_leaves_nothing_behind() {
    let clip = clapper_webm(2);
    let mut child = Child::start();
    let count = |child: &Child, what: &str| {
        let entries = std::fs::read_dir(format!("/proc/{}/{what}", child.pid())).unwrap();
        entries.count()
    };
    let round = |child: &mut Child, key: u64| {
        child.create(key, player(&clip.uri(), false));
        let origin = Origin::Element(ElementKey(key));
        let outlet = u32::try_from(key).unwrap();
        child.open_outlet(
            outlet,
            origin,
            MediaKind::Video,
            format("VP8", 96, 90_000, 0),
        );
        for _ in 0..2 {
            child.call(key, ProcessorCall::Play).unwrap();
            child.rtp(outlet);
            child.call(key, ProcessorCall::Stop).unwrap();
        }
        child.tell(&BridgeCommand::CloseOutlet {
            outlet: OutletKey(outlet),
        });
        child.tell(&BridgeCommand::Release {
            element: ElementKey(key),
        });
        child.catch_up();
    };
    for key in 50..54 {
        round(&mut child, key);
    }
    let settled = |child: &mut Child, most: (usize, usize)| {
        let deadline = Instant::now() + PATIENCE;
        loop {
            child.catch_up();
            let now = (count(child, "fd"), count(child, "task"));
            if now.0 <= most.0 && now.1 <= most.1 {
                return now;
            }
            assert!(Instant::now() < deadline, "{now:?}, at first {most:?}");
        }
    };
    // What a first use leaves open for good (a pool of threads, a type finder) is there by now.
    let first = settled(&mut child, (40, 24));
    for key in 54..64 {
        round(&mut child, key);
    }
    settled(&mut child, (first.0 + 2, first.1 + 2));
    assert_eq!(child.load, (0, 0));
}

#[test]
fn a_player_goes_on_where_another_process_ended() {
    let clip = clapper_webm(8);
    let mut child = Child::start();
    child.tell(&BridgeCommand::Create {
        token: None,
        element: ElementKey(PLAYER),
        spec: player(&clip.uri(), false),
        resume: Some("START 5000".to_owned()),
    });
    child.open_outlet(11, ORIGIN, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.rtp(11);
    let position = child.call(PLAYER, ProcessorCall::Position).unwrap();
    let ProcessorReply::Position(position_ms) = position else {
        panic!("{position:?}");
    };
    assert!((5_000..7_000).contains(&position_ms), "{position_ms}");
    let state = child.wait(|event| match event {
        BridgeEvent::Checkpoint { state, .. } => Some(state.clone()),
        _ => None,
    });
    assert!(state.starts_with("START "), "{state}");
}

#[test]
fn an_upload_is_played_and_answers_when_there_is_room() {
    use base64::Engine as _;
    let clip = clapper_webm(3);
    let bytes = std::fs::read(&clip.path).unwrap();
    let mut child = Child::start();
    child.create(PLAYER, ProcessorSpec::Upload { encoded: false });
    open_both(&mut child);
    for _ in 0..2 {
        for piece in bytes.chunks(16_000) {
            let base64 = base64::engine::general_purpose::STANDARD.encode(piece);
            let body = ProcessorCall::Body {
                base64,
                content_type: "video/webm".to_owned(),
            };
            child.call(PLAYER, body).unwrap();
        }
        let end = ProcessorCall::Body {
            base64: String::new(),
            content_type: String::new(),
        };
        child.call(PLAYER, end).unwrap();
        child.rtp(11);
        child.event(PLAYER, &ProcessorEvent::EndOfStream);
    }
}
