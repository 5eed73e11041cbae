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
use salono_media_gst::recorder::target::numbered;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

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

/// Its last word on how to go on.
fn checkpoint(child: &mut Child, which: impl Fn(&str) -> bool) -> String {
    child.wait(|event| match event {
        BridgeEvent::Checkpoint { state, .. } if which(state) => Some(state.clone()),
        _ => None,
    })
}

/// A recorder of a process before this one.
fn again(child: &mut Child, uri: &str, state: String) {
    let spec = RecorderSpec {
        uri: uri.to_owned(),
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
}

fn uri(path: &Path) -> String {
    format!("file://{}", path.display())
}

/// The newest file of a recording: another one begins where a track comes more than two seconds late, as on a busy machine.
fn newest(path: &Path) -> PathBuf {
    let numbers = (2..9).rev();
    let names = numbers.map(|number| numbered(path.to_str().unwrap(), number));
    let found = names.map(PathBuf::from).find(|name| name.exists());
    found.unwrap_or_else(|| path.to_owned())
}

/// Records until so much is there.
fn until(path: &Path, bytes: u64) {
    let deadline = std::time::Instant::now() + child::PATIENCE;
    while std::fs::metadata(newest(path)).map_or(0, |there| there.len()) < bytes {
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
    let first = directory.join("deep/er/call.webm");
    let mut child = Child::start();
    let _call = call(&mut child);
    recorder(&mut child, 5, &uri(&first), RecordingProfile::Webm);
    child.call(5, ProcessorCall::Record).unwrap();
    child.event(5, &ProcessorEvent::State(UriState::Start));
    until(&first, 200_000);
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    let file = newest(&first);
    if file != first {
        assert_eq!(recorded(&mut child, 5).0, uri(&first));
    }
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
        let seen = probe(&newest(&directory.join(name)));
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
    until(&file, 50_000);
    // Said a second after the beginning for the first time.
    let told = |state: &serde_json::Value| state["growing"]["duration_ms"].as_u64();
    let state = checkpoint(&mut child, |state| {
        let state = serde_json::from_str(state).unwrap();
        told(&state) > Some(0)
    });
    drop(child);
    drop(calls);
    let mut child = Child::start();
    let _call = call(&mut child);
    let length = told(&serde_json::from_str(&state).unwrap()).unwrap();
    again(&mut child, &uri(&file), state);
    // What the process that was killed could not say any more.
    let bytes = std::fs::metadata(&file).unwrap().len();
    assert_eq!(recorded(&mut child, 5), (uri(&file), length, bytes));
    child.event(5, &ProcessorEvent::State(UriState::Start));
    // Its graph has the parsers of what it records, and is whole.
    let graph = match child.call(5, ProcessorCall::Dot) {
        Ok(ProcessorReply::Text(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(graph.starts_with("digraph element {") && graph.ends_with("}\n"));
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

#[test]
fn what_no_server_has_is_sent_by_the_next_process() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let takes = Arc::new(AtomicBool::new(false));
    let (sender, bodies) = channel();
    let now = Arc::clone(&takes);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut target, mut length) = (String::new(), 0);
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok() && line.len() > 2 {
                let lower = line.to_ascii_lowercase();
                if let Some(text) = lower.strip_prefix("content-length:") {
                    length = text.trim().parse().unwrap();
                } else if let Some(text) = line.strip_prefix("PUT ") {
                    target = text.split(' ').next().unwrap().to_owned();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let status = if now.load(Ordering::SeqCst) { 200 } else { 503 };
            let text =
                format!("HTTP/1.1 {status} So\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.get_mut().write_all(text.as_bytes()).unwrap();
            if status == 200 {
                sender.send((target, body)).unwrap();
            }
        }
    });
    let url = format!("http://{address}/name.webm");
    let directory = directory();
    let allowed = UriPolicy {
        write_roots: vec![directory.to_str().unwrap().to_owned()],
        ..child::policy()
    };
    let mut child = Child::start_with(allowed.clone());
    let calls = call(&mut child);
    recorder(&mut child, 5, &url, RecordingProfile::Webm);
    child.call(5, ProcessorCall::Record).unwrap();
    let state = checkpoint(&mut child, |state| state.contains("spools\":[["));
    let spool = std::fs::read_dir(directory.join(".spool")).unwrap();
    let spool = spool.map(|entry| entry.unwrap().path()).next().unwrap();
    until(&spool, 50_000);
    child.call(5, ProcessorCall::Stop).unwrap();
    assert_eq!(child.error(5).kind, "RESOURCE_ERROR_WRITE");
    drop(child);
    drop(calls);
    takes.store(true, Ordering::SeqCst);
    let mut child = Child::start_with(allowed);
    let _call = call(&mut child);
    again(&mut child, &url, state);
    let (target, body) = bodies.recv_timeout(child::PATIENCE).unwrap();
    assert_eq!(target, "/name.webm");
    let got = directory.join("got.webm");
    std::fs::write(&got, body).unwrap();
    assert_eq!(probe(&got).codecs, ["vp8", "opus"]);
    // The recording itself goes on as well.
    child.event(5, &ProcessorEvent::State(UriState::Start));
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    let (target, _) = bodies.recv_timeout(child::PATIENCE).unwrap();
    assert_eq!(target, "/name-2.webm");
    assert!(child.end().success());
    std::fs::remove_dir_all(directory).unwrap();
}

/// Six flashes, each with a beep.
fn clapper(path: &Path) {
    let video =
        "color=c=black:s=160x120:r=30:d=6,drawbox=enable='lt(mod(t+0.5,1),0.2)':c=white:t=fill";
    let sound = "aevalsrc='if(lt(mod(t+0.5,1),0.2),0.5*sin(2*PI*1000*t),0)':s=48000:d=6";
    let status = Command::new("ffmpeg")
        .args([
            "-v", "error", "-f", "lavfi", "-i", video, "-f", "lavfi", "-i", sound,
        ])
        .args([
            "-c:v",
            "libvpx",
            "-g",
            "30",
            "-deadline",
            "realtime",
            "-cpu-used",
            "8",
        ])
        .args(["-c:a", "libopus"])
        .arg(path)
        .status()
        .unwrap();
    assert!(status.success());
}

/// When flashes and beeps begin, in seconds.
fn claps(path: &Path) -> (Vec<f64>, Vec<f64>) {
    let output = Command::new("ffmpeg")
        .arg("-i")
        .arg(path)
        .args(["-vf", "blackdetect=d=0.3:pix_th=0.2"])
        .args(["-af", "silencedetect=n=-30dB:d=0.3"])
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let ends = |name: &str| {
        let found = text.split(name).skip(1).filter_map(|rest| {
            let number = rest.split_whitespace().next()?;
            number.parse().ok()
        });
        found.collect()
    };
    (ends("black_end:"), ends("silence_end:"))
}

#[test]
fn flashes_and_beeps_stay_together() {
    let directory = directory();
    let source = directory.join("clapper.webm");
    clapper(&source);
    let mut child = Child::start();
    // As it comes, and made anew.
    let ways = [
        (1, 5, true, "a.webm", RecordingProfile::Webm),
        (2, 6, false, "b.mp4", RecordingProfile::Mp4),
        (3, 7, false, "c.flv", RecordingProfile::Flv),
        (4, 8, true, "d.mkv", RecordingProfile::Mkv),
        (9, 10, true, "e.mp4", RecordingProfile::Mp4),
    ];
    for (player, key, encoded, name, profile) in ways {
        let spec = PlayerSpec {
            uri: uri(&source),
            encoded,
            network_cache_ms: 2_000,
            reconnect: false,
        };
        child.create(player, ProcessorSpec::Player(spec));
        let spec = RecorderSpec {
            uri: uri(&directory.join(name)),
            profile,
            stop_on_end: true,
        };
        child.create(key, ProcessorSpec::Recorder(spec));
        for kind in [MediaKind::Audio, MediaKind::Video] {
            child.link(key, kind, Origin::Element(ElementKey(player)));
        }
        child.call(key, ProcessorCall::Record).unwrap();
        child.call(player, ProcessorCall::Play).unwrap();
    }
    for (_, key, _, name, profile) in ways {
        // Of itself, at the end of what is played.
        recorded(&mut child, key);
        child.event(key, &ProcessorEvent::State(UriState::Stop));
        let file = directory.join(name);
        let seen = probe(&file);
        assert_eq!(seen.complaints, "", "{profile:?}");
        // From the first frame on, encoded anew or not.
        assert!((seen.duration - 6.0).abs() <= 0.1, "{profile:?}: {seen:?}");
        let (flashes, beeps) = claps(&file);
        assert_eq!(flashes.len(), 6, "{profile:?}: {flashes:?}");
        for flash in &flashes {
            let apart = beeps
                .iter()
                .map(|beep| (beep - flash).abs())
                .fold(9.0, f64::min);
            assert!(
                apart <= 0.04,
                "{profile:?}: {apart} s: {flashes:?} {beeps:?}"
            );
        }
    }
    assert!(child.end().success());
    std::fs::remove_dir_all(directory).unwrap();
}

/// Gives this thread, and the processes that it starts, a small disk of their own. False where that is not allowed.
#[allow(unsafe_code, reason = "mount(2) has no safe face")]
fn small_disk(directory: &Path) -> bool {
    let path = std::ffi::CString::new(directory.to_str().unwrap()).unwrap();
    // SAFETY: system calls with strings that end with a zero; the namespace is that of this thread alone.
    unsafe {
        libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                c"none".as_ptr(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
            && libc::mount(
                c"none".as_ptr(),
                path.as_ptr(),
                c"tmpfs".as_ptr(),
                0,
                c"size=200k".as_ptr().cast(),
            ) == 0
    }
}

/// Takes the small disk away again.
#[allow(unsafe_code, reason = "umount(2) has no safe face")]
fn no_small_disk(directory: &Path) {
    let path = std::ffi::CString::new(directory.to_str().unwrap()).unwrap();
    // SAFETY: a system call with a string that ends with a zero.
    let result = unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    assert_eq!(result, 0);
}

#[test]
fn a_full_disk_is_reported_and_what_fitted_plays() {
    let directory = directory();
    if !small_disk(&directory) {
        eprintln!("not allowed to mount");
        return;
    }
    let file = directory.join("name.webm");
    let mut child = Child::start();
    let _call = call(&mut child);
    recorder(&mut child, 5, &uri(&file), RecordingProfile::Webm);
    child.call(5, ProcessorCall::Record).unwrap();
    let error = child.error(5);
    assert_eq!(error.kind, "RESOURCE_ERROR_NO_SPACE_LEFT");
    child.call(5, ProcessorCall::StopAndWait).unwrap();
    let seen = probe(&file);
    assert_eq!(seen.codecs, ["vp8", "opus"]);
    assert_eq!(seen.complaints, "");
    assert!(seen.duration > 0.5, "{seen:?}");
    assert!(child.end().success());
    no_small_disk(&directory);
    std::fs::remove_dir(directory).unwrap();
}
