//! Players of live sources: cameras and contribution links, that come, go and come back.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;

use child::{Child, format};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaKind};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};

const PLAYER: u64 = 5;
const ORIGIN: Origin = Origin::Element(ElementKey(PLAYER));

const H264: &str = "videotestsrc is-live=true ! \
     video/x-raw,width=160,height=120,framerate=15/1 ! \
     x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15";

fn play(uri: &str, encoded: bool) -> Child {
    let mut child = Child::start();
    let spec = PlayerSpec {
        uri: uri.to_owned(),
        encoded,
        network_cache_ms: 100,
        reconnect: true,
    };
    child.create(PLAYER, ProcessorSpec::Player(spec));
    child.open_outlet(11, ORIGIN, MediaKind::Video, format("H264", 102, 90_000, 0));
    child.call(PLAYER, ProcessorCall::Play).unwrap();
    child
}

/// A pipeline that runs until it is dropped.
struct Running(gst::Pipeline);

impl Running {
    fn start(text: &str) -> Self {
        gst::init().unwrap();
        let pipeline = gst::parse::launch(text).unwrap();
        let pipeline: gst::Pipeline = pipeline.downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        Self(pipeline)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

fn ended(child: &mut Child) -> bool {
    child.kept().iter().any(|event| match event {
        BridgeEvent::Element { event, .. } => matches!(
            event,
            ProcessorEvent::EndOfStream | ProcessorEvent::State(UriState::Stop)
        ),
        _ => false,
    })
}

#[test]
fn a_live_source_that_breaks_off_is_come_back_to() {
    let port = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let server = format!(
        "{H264} ! mpegtsmux ! srtsink uri=srt://127.0.0.1:{port}?mode=listener \
         wait-for-connection=false sync=false"
    );
    let first = Running::start(&server);
    let mut child = play(&format!("srt://127.0.0.1:{port}"), false);
    for _ in 0..30 {
        child.rtp(11);
    }
    drop(first);
    // Until it is noticed, nothing comes.
    child.wait(|event| match event {
        BridgeEvent::Flow { out, flowing, .. } => (*out && !*flowing).then_some(()),
        _ => None,
    });
    while child.packets.try_recv().is_ok() {}
    let _second = Running::start(&server);
    for _ in 0..30 {
        child.rtp(11);
    }
    assert!(!ended(&mut child), "it ended meanwhile");
}

/// A camera: one video stream over RTSP (RFC 2326), interleaved into its TCP connection only.
fn camera() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || serve(&stream));
        }
    });
    port
}

fn serve(stream: &TcpStream) -> Option<()> {
    const SDP: &str = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n\
         m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\n\
         a=control:track1\r\n";
    let out = Arc::new(Mutex::new(stream.try_clone().ok()?));
    let mut lines = BufReader::new(stream.try_clone().ok()?);
    let mut running = None;
    loop {
        let mut request = String::new();
        while !request.ends_with("\r\n\r\n") {
            // Reports of the receiver come between requests, with binary heads.
            let head = *lines.fill_buf().ok()?.first()?;
            if request.is_empty() && head == b'$' {
                let mut frame = [0; 4];
                std::io::Read::read_exact(&mut lines, &mut frame).ok()?;
                let mut body = vec![0; usize::from(u16::from_be_bytes([frame[2], frame[3]]))];
                std::io::Read::read_exact(&mut lines, &mut body).ok()?;
                continue;
            }
            lines.read_line(&mut request).ok()?;
        }
        let number = request
            .lines()
            .find_map(|line| line.strip_prefix("CSeq: "))?
            .trim();
        let ok = format!("RTSP/1.0 200 OK\r\nCSeq: {number}\r\nSession: 1\r\n");
        let method = request.split(' ').next()?;
        let answer = match method {
            "OPTIONS" => format!("{ok}Public: DESCRIBE, SETUP, PLAY, TEARDOWN\r\n\r\n"),
            "DESCRIBE" => format!(
                "{ok}Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{SDP}",
                SDP.len()
            ),
            "SETUP" if request.contains("TCP") => {
                format!("{ok}Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n")
            }
            "SETUP" => format!("RTSP/1.0 461 Unsupported Transport\r\nCSeq: {number}\r\n\r\n"),
            _ => format!("{ok}\r\n"),
        };
        out.lock().unwrap().write_all(answer.as_bytes()).ok()?;
        if method == "PLAY" && running.is_none() {
            running = Some(stream_to(&out));
        }
        if method == "TEARDOWN" {
            return None;
        }
    }
}

fn stream_to(out: &Arc<Mutex<TcpStream>>) -> Running {
    let text =
        format!("{H264} ! rtph264pay pt=96 config-interval=-1 ! appsink name=out sync=false");
    let running = Running::start(&text);
    let exit: AppSink = running.0.by_name("out").unwrap().downcast().unwrap();
    let out = Arc::clone(out);
    let callbacks = AppSinkCallbacks::builder().new_sample(move |exit| {
        let sample = exit.pull_sample().map_err(|_| gst::FlowError::Eos)?;
        let packet = sample.buffer().unwrap().map_readable().unwrap();
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        let frame = [&[b'$', 0, length[0], length[1]], packet.as_slice()].concat();
        let written = out.lock().unwrap().write_all(&frame);
        written.map_err(|_| gst::FlowError::Eos)?;
        Ok(gst::FlowSuccess::Ok)
    });
    exit.set_callbacks(callbacks.build());
    running
}

#[test]
fn a_camera_that_knows_no_udp_is_watched_over_tcp() {
    let mut child = play(&format!("rtsp://127.0.0.1:{}/live", camera()), true);
    for _ in 0..30 {
        child.rtp(11);
    }
    child.catch_up();
    assert_eq!(child.load, (0, 0));
    child.call(PLAYER, ProcessorCall::Stop).unwrap();
    child.event(PLAYER, &ProcessorEvent::State(UriState::Stop));
}
