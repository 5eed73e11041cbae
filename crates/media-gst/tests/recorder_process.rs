//! Recorders in the real processor: streams from the shard into files, servers that take them, processes that are killed.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod recording;

use child::{Child, Source, format};
use recording::{directory, packets, probe};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaKind};
use std::path::{Path, PathBuf};

const VP8: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! \
     vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30 ! rtpvp8pay pt=96 ssrc=1 mtu=1200";
const OPUS: &str = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! \
     rtpopuspay pt=111 ssrc=2";

const VIDEO: Origin = Origin::Inlet(InletKey(1));
const AUDIO: Origin = Origin::Inlet(InletKey(2));

fn recorder(child: &mut Child, key: u64, uri: &str, profile: RecordingProfile) {
    let spec = RecorderSpec {
        uri: uri.to_owned(),
        profile,
        stop_on_end: false,
    };
    child.create(key, ProcessorSpec::Recorder(spec));
    child.link(key, MediaKind::Video, VIDEO);
    child.link(key, MediaKind::Audio, AUDIO);
}

/// A call of a picture and a sound into a processor.
fn call(child: &mut Child) -> [Source; 2] {
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.open_inlet(2, MediaKind::Audio, format("opus", 111, 48_000, 2));
    [Source::start(child, VP8), Source::start(child, OPUS)]
}

fn recorded(child: &mut Child, key: u64) -> (String, u64, u64) {
    child.wait(|event| match event {
        BridgeEvent::Element {
            element,
            event:
                ProcessorEvent::Recorded {
                    uri,
                    duration_ms,
                    bytes,
                },
        } if *element == ElementKey(key) => Some((uri.clone(), *duration_ms, *bytes)),
        _ => None,
    })
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// Records until so much is there.
fn until(path: &Path, bytes: u64) {
    let deadline = std::time::Instant::now() + child::PATIENCE;
    while std::fs::metadata(path).map_or(0, |there| there.len()) < bytes {
        assert!(
            std::time::Instant::now() < deadline,
            "{} grows",
            path.display()
        );
        std::thread::yield_now();
    }
}

#[test]
fn a_call_is_recorded_as_it_comes() {
    let directory = directory();
    let file = directory.join("deep/er/call.webm");
    let mut child = Child::start();
    let _call = call(&mut child);
    recorder(&mut child, 5, &uri(&file), RecordingProfile::Webm);
    child.call(5, ProcessorCall::Record).unwrap();
    child.event(5, &ProcessorEvent::State(UriState::Start));
    until(&file, 200_000);
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    let (name, duration_ms, bytes) = recorded(&mut child, 5);
    child.event(5, &ProcessorEvent::State(UriState::Stop));
    assert_eq!(child.load, (0, 0), "nothing is decoded or encoded");
    assert_eq!(name, uri(&file));
    assert_eq!(bytes, std::fs::metadata(&file).unwrap().len());
    let seen = probe(&file);
    assert_eq!(seen.codecs, ["vp8", "opus"]);
    assert_eq!(seen.complaints, "");
    let length = duration_ms as f64 / 1_000.0;
    assert!((seen.duration - length).abs() < 0.1);
    // The element is done for good.
    child.call(5, ProcessorCall::Record).unwrap();
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    assert!(child.end().success());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn other_containers_are_encoded_once_for_all() {
    let directory = directory();
    let mut child = Child::start();
    let _call = call(&mut child);
    let files = [
        ("a.mp4", RecordingProfile::Mp4, vec!["h264", "opus"]),
        ("b.mp4", RecordingProfile::Mp4, vec!["h264", "opus"]),
        ("c.flv", RecordingProfile::Flv, vec!["h264", "aac"]),
        ("d.jpg", RecordingProfile::JpegVideoOnly, vec!["mjpeg"]),
    ];
    for (key, (name, profile, _)) in (5..).zip(&files) {
        recorder(&mut child, key, &uri(&directory.join(name)), *profile);
        child.call(key, ProcessorCall::Record).unwrap();
    }
    for key in 5..9 {
        child.event(key, &ProcessorEvent::State(UriState::Start));
    }
    child.catch_up();
    // Pictures to H264 and JPEG, sound to AAC.
    assert_eq!(child.load, (2, 3));
    until(&directory.join("a.mp4"), 100_000);
    for (key, (name, _, codecs)) in (5..).zip(&files) {
        child.call(key, ProcessorCall::StopAndWait).unwrap();
        recorded(&mut child, key);
        let seen = probe(&directory.join(name));
        assert_eq!(seen.codecs, *codecs, "{name}");
        assert_eq!(seen.complaints, "", "{name}");
    }
    assert!(child.end().success());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn forbidden_places_are_refused_and_unknown_schemes_discarded() {
    let mut child = Child::start();
    let _call = call(&mut child);
    for (key, uri) in (5..).zip([
        "file:///etc/cron.d/x",
        "file:///tmp/%2e%2e/etc/x",
        "file:///tmp/a%00",
    ]) {
        recorder(&mut child, key, uri, RecordingProfile::Webm);
        child.call(key, ProcessorCall::Record).unwrap();
        assert_eq!(child.error(key).kind, "INVALID_URI");
        child.call(key, ProcessorCall::StopAndWait).unwrap();
    }
    recorder(
        &mut child,
        9,
        "gopher://nowhere/a.webm",
        RecordingProfile::Webm,
    );
    child.call(9, ProcessorCall::Record).unwrap();
    child.event(9, &ProcessorEvent::State(UriState::Start));
    child.call(9, ProcessorCall::StopAndWait).unwrap();
    child.event(9, &ProcessorEvent::State(UriState::Stop));
    assert!(child.end().success());
}

#[test]
fn a_replaced_process_goes_on_in_another_file() {
    let directory = directory();
    let file = directory.join("name.webm");
    let mut child = Child::start();
    let calls = call(&mut child);
    recorder(&mut child, 5, &uri(&file), RecordingProfile::Webm);
    child.call(5, ProcessorCall::Record).unwrap();
    let state = child.wait(|event| match event {
        BridgeEvent::Checkpoint { state, .. } if state.contains("recording") => Some(state.clone()),
        _ => None,
    });
    until(&file, 50_000);
    drop(child);
    drop(calls);
    let mut child = Child::start();
    let _call = call(&mut child);
    let spec = RecorderSpec {
        uri: uri(&file),
        profile: RecordingProfile::Webm,
        stop_on_end: false,
    };
    child.tell(&BridgeCommand::Create {
        token: None,
        element: ElementKey(5),
        spec: ProcessorSpec::Recorder(spec),
        resume: Some(state),
    });
    child.link(5, MediaKind::Video, VIDEO);
    child.link(5, MediaKind::Audio, AUDIO);
    child.event(5, &ProcessorEvent::State(UriState::Start));
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    let (name, ..) = recorded(&mut child, 5);
    let second = directory.join("name-2.webm");
    assert_eq!(name, uri(&second));
    for file in [&file, &second] {
        assert_eq!(probe(file).codecs, ["vp8", "opus"]);
        assert!(!packets(file, "v:0").is_empty());
    }
    assert!(child.end().success());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_release_finishes_the_file() {
    let directory = directory();
    let file: PathBuf = directory.join("name.mkv");
    let mut child = Child::start();
    let _call = call(&mut child);
    recorder(&mut child, 5, &uri(&file), RecordingProfile::Mkv);
    child.call(5, ProcessorCall::Record).unwrap();
    child.event(5, &ProcessorEvent::State(UriState::Start));
    until(&file, 50_000);
    child.tell(&BridgeCommand::Release {
        element: ElementKey(5),
    });
    assert!(child.end().success());
    let seen = probe(&file);
    assert_eq!(seen.complaints, "");
    assert!(seen.duration > 0.5, "{seen:?}");
    std::fs::remove_dir_all(directory).unwrap();
}
