//! What a recording costs, beside `gst-launch-1.0` doing the same in the same run. Not run by default: it measures.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod recording;

use child::{Child, Source, format};
use recording::directory;
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaKind};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const VP8: &str = "videotestsrc is-live=true pattern=ball ! video/x-raw,width=640,height=360,framerate=30/1 ! \
     vp8enc deadline=1 cpu-used=8 threads=1 target-bitrate=1000000 end-usage=cbr keyframe-max-dist=60 ! \
     rtpvp8pay pt=96 ssrc=1 mtu=1200";
const OPUS: &str = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! \
     rtpopuspay pt=111 ssrc=2";

/// Recordings at a time, and for how long they are measured.
const RECORDINGS: u64 = 10;
const MEASURED: Duration = Duration::from_secs(10);

/// Seconds of processor time that a process took so far.
fn processor_time(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = text.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks / 100.0
}

/// The share of a core that a process takes, in percent.
fn share(pid: u32) -> f64 {
    let (begin, before) = (Instant::now(), processor_time(pid));
    let (_never, rest) = channel::<()>();
    let _ = rest.recv_timeout(MEASURED);
    (processor_time(pid) - before) / begin.elapsed().as_secs_f64() * 100.0
}

#[test]
#[ignore = "measures"]
fn a_recording_costs_at_most_three_percent_of_a_core() {
    let directory = directory();
    let mut child = Child::start();
    child.open_inlet(1, MediaKind::Video, format("VP8", 96, 90_000, 0));
    child.open_inlet(2, MediaKind::Audio, format("opus", 111, 48_000, 2));
    let _call = [Source::start(&child, VP8), Source::start(&child, OPUS)];
    let inlets = share(child.pid());
    for key in 10..10 + RECORDINGS {
        let spec = RecorderSpec {
            uri: format!("file://{}/{key}.webm", directory.display()),
            profile: RecordingProfile::Webm,
            stop_on_end: false,
        };
        child.create(key, ProcessorSpec::Recorder(spec));
        for (kind, inlet) in [(MediaKind::Video, 1), (MediaKind::Audio, 2)] {
            child.link(key, kind, Origin::Inlet(InletKey(inlet)));
        }
        child.call(key, ProcessorCall::Record).unwrap();
    }
    for key in 10..10 + RECORDINGS {
        let start = ProcessorEvent::State(UriState::Start);
        child.wait(|event| match event {
            BridgeEvent::Element { element, event } => {
                (*element == ElementKey(key) && *event == start).then_some(())
            }
            _ => None,
        });
    }
    let all = share(child.pid());
    let one = (all - inlets) / RECORDINGS as f64 + inlets;
    for key in 10..10 + RECORDINGS {
        child.call(key, ProcessorCall::StopAndWait).unwrap();
        let seen = recording::probe(&directory.join(format!("{key}.webm")));
        assert!(seen.duration >= MEASURED.as_secs_f64(), "{seen:?}");
    }
    let peer = gst_launch(&directory.join("peer.webm"));
    println!("inlets {inlets:.2} %, with {RECORDINGS} recordings {all:.2} %");
    println!("one recording with its inlets {one:.2} % of a core; gst-launch {peer:.2} %");
    assert!(one <= 3.0, "{one} %");
    std::fs::remove_dir_all(directory).unwrap();
}

/// The same call into a pipeline of `gst-launch-1.0`.
fn gst_launch(file: &Path) -> f64 {
    let port = || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.local_addr().unwrap().port()
    };
    let (video, audio) = (port(), port());
    let text = format!(
        "udpsrc port={video} address=127.0.0.1 caps=application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000 ! \
         rtpjitterbuffer latency=50 ! rtpvp8depay ! mux. \
         udpsrc port={audio} address=127.0.0.1 caps=application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000 ! \
         rtpjitterbuffer latency=50 ! rtpopusdepay ! opusparse ! mux. \
         webmmux name=mux ! filesink location={}",
        file.display()
    );
    let mut peer = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(text.split_whitespace())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut source = Command::new("gst-launch-1.0")
        .arg("-q")
        .args(VP8.split_whitespace())
        .args(format!("! udpsink host=127.0.0.1 port={video}").split_whitespace())
        .args(OPUS.split_whitespace())
        .args(format!("! udpsink host=127.0.0.1 port={audio}").split_whitespace())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let percent = share(peer.id());
    for process in [&mut peer, &mut source] {
        process.kill().unwrap();
        process.wait().unwrap();
    }
    percent
}
