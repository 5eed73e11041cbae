//! Hubs in the real processor: what is seen and heard at their ports.

#![allow(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "test code"
)]

mod child;
mod sight;

use child::{Child, PATIENCE, Source, format};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSrc};
use image::{Rgb, RgbImage};
use salono_media_api::processing::bridge::*;
use salono_media_api::processing::*;
use salono_media_api::{ElementKey, MediaErrorKind, MediaKind};
use sight::Viewer;
use std::time::Instant;

/// Key of the hub in each test; its ports come next.
const HUB: u64 = 10;

/// SSRC of the composed picture at a port, and of its sound.
const VIDEO_OUT: u32 = 200;
const AUDIO_OUT: u32 = 300;

const COMPOSITE: ProcessorSpec = ProcessorSpec::Composite(CompositeSpec {
    width: 640,
    height: 480,
    framerate: 15,
});

/// Hears RTP of Opus.
struct Listener {
    pipeline: gst::Pipeline,
    entry: AppSrc,
    exit: AppSink,
    heard: Vec<f32>,
}

impl Listener {
    fn new() -> Self {
        gst::init().unwrap();
        let text = "appsrc name=in format=time is-live=true \
             caps=application/x-rtp,media=audio,clock-rate=48000,encoding-name=OPUS,payload=111 \
             ! rtpopusdepay ! opusdec ! audioconvert ! audio/x-raw,format=F32LE,channels=1,rate=48000 \
             ! appsink name=out sync=false";
        let pipeline: gst::Pipeline = gst::parse::launch(text).unwrap().downcast().unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let entry = pipeline.by_name("in").unwrap().downcast().unwrap();
        let exit = pipeline.by_name("out").unwrap().downcast().unwrap();
        Self {
            pipeline,
            entry,
            exit,
            heard: Vec::new(),
        }
    }

    fn put(&mut self, packet: &[u8]) {
        let buffer = gst::Buffer::from_slice(packet.to_vec());
        self.entry.push_buffer(buffer).unwrap();
        while let Some(sample) = self.exit.try_pull_sample(gst::ClockTime::ZERO) {
            let map = sample.buffer().unwrap().map_readable().unwrap();
            let samples = map.as_chunks::<4>().0.iter();
            self.heard.extend(samples.map(|it| f32::from_le_bytes(*it)));
        }
    }

    /// Loudness of a tone in the newest 200 ms, by Goertzel's algorithm; a full sine has 1.
    fn loudness(&self, frequency: f32) -> f32 {
        let count = 9_600;
        if self.heard.len() < count {
            return 0.0;
        }
        let turn = 2.0 * (std::f32::consts::TAU * frequency / 48_000.0).cos();
        let (mut one, mut two) = (0.0, 0.0);
        for sample in &self.heard[self.heard.len() - count..] {
            (one, two) = (sample + turn * one - two, one);
        }
        2.0 * (one * one + two * two - turn * one * two).sqrt() / count as f32
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

/// A hub with ports that have sources.
struct Meeting {
    child: Child,
    viewer: Viewer,
    listeners: Vec<(u64, Listener)>,
    sources: Vec<Source>,
}

impl Meeting {
    fn start(hub: ProcessorSpec) -> Self {
        let mut child = Child::start();
        child.create(HUB, hub);
        Self {
            child,
            viewer: Viewer::new(101),
            listeners: Vec::new(),
            sources: Vec::new(),
        }
    }

    fn join(&mut self, port: u64, switches_video: bool) {
        let hub = ElementKey(HUB);
        let spec = ProcessorSpec::Port {
            hub,
            switches_video,
        };
        self.child.create(port, spec);
    }

    /// Shows a colour at a port, as a picture of 320 x 240.
    fn show(&mut self, port: u64, colour: &str) {
        let inlet = 1_000 + port as u32;
        let (kind, vp8) = (MediaKind::Video, format("VP8", 96, 90_000, 0));
        self.child.open_inlet(inlet, kind, vp8);
        self.sources.push(Source::start(
            &self.child,
            &format!(
                "videotestsrc is-live=true pattern=solid-color foreground-color={colour} ! \
                 video/x-raw,width=320,height=240,framerate=15/1 ! vp8enc deadline=1 cpu-used=8 \
                 threads=1 keyframe-max-dist=15 ! rtpvp8pay pt=96 ssrc={inlet} mtu=1200"
            ),
        ));
        self.child.link(port, kind, Origin::Inlet(InletKey(inlet)));
    }

    /// Plays a tone at a port and listens to what is heard there.
    fn play(&mut self, port: u64, frequency: u32) {
        let inlet = 2_000 + port as u32;
        let (kind, opus) = (MediaKind::Audio, format("opus", 111, 48_000, 2));
        self.child.open_inlet(inlet, kind, opus.clone());
        self.sources.push(Source::start(
            &self.child,
            &format!(
                "audiotestsrc is-live=true samplesperbuffer=960 volume=0.2 freq={frequency} ! \
                 audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay pt=111 ssrc={inlet}"
            ),
        ));
        self.child.link(port, kind, Origin::Inlet(InletKey(inlet)));
        let origin = Origin::Element(ElementKey(port));
        self.child
            .open_outlet(AUDIO_OUT + port as u32, origin, kind, opus);
        self.listeners.push((port, Listener::new()));
    }

    fn watch_at(&mut self, port: u64) {
        let (kind, vp8) = (MediaKind::Video, format("VP8", 101, 90_000, 0));
        let origin = Origin::Element(ElementKey(port));
        let outlet = VIDEO_OUT + port as u32;
        self.child.open_outlet(outlet, origin, kind, vp8);
    }

    /// Goes on until something is seen at the first port, or heard.
    fn until(
        &mut self,
        what: &str,
        is_seen: impl Fn(&RgbImage) -> bool,
        is_heard: impl Fn(&dyn Fn(u64, f32) -> f32) -> bool,
    ) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            assert!(Instant::now() < deadline, "never: {what}");
            let (_, packet) = self.child.packets.recv_timeout(PATIENCE).unwrap();
            if (192..=223).contains(&packet[1]) {
                continue;
            }
            let ssrc = u32::from_be_bytes(packet[8..12].try_into().unwrap());
            if ssrc == VIDEO_OUT + 11 {
                self.viewer.put(&packet);
                if self.viewer.pictures().iter().any(&is_seen) {
                    return;
                }
            }
            let mut listeners = self.listeners.iter_mut();
            if let Some((_, listener)) =
                listeners.find(|(port, _)| ssrc == AUDIO_OUT + *port as u32)
            {
                listener.put(&packet);
                let loudness = |port: u64, frequency: f32| {
                    let mut listeners = self.listeners.iter();
                    let (_, listener) = listeners.find(|(key, _)| *key == port).unwrap();
                    listener.loudness(frequency)
                };
                if is_heard(&loudness) {
                    return;
                }
            }
        }
    }

    fn until_seen(&mut self, what: &str, is_seen: impl Fn(&RgbImage) -> bool) {
        self.until(what, is_seen, |_| false);
    }

    fn until_heard(&mut self, what: &str, is_heard: impl Fn(&dyn Fn(u64, f32) -> f32) -> bool) {
        self.until(what, |_| false, is_heard);
    }
}

const RED: &str = "0xffff0000";
const GREEN: &str = "0xff00ff00";
const BLUE: &str = "0xff0000ff";

fn colour(Rgb([red, green, blue]): Rgb<u8>) -> char {
    match (red > 130, green > 130, blue > 130) {
        (true, false, false) => 'r',
        (false, true, false) => 'g',
        (false, false, true) => 'b',
        (false, false, false) => '.',
        _ => '?',
    }
}

/// Colours at places of a picture.
fn at<const N: usize>(seen: &RgbImage, places: [(u32, u32); N]) -> String {
    let inside = |(x, y): (u32, u32)| x < seen.width() && y < seen.height();
    places
        .into_iter()
        .map(|(x, y)| match inside((x, y)) {
            true => colour(*seen.get_pixel(x, y)),
            false => '-',
        })
        .collect()
}

#[test]
fn pictures_lie_in_a_grid_while_ports_come_and_go() {
    let mut meeting = Meeting::start(COMPOSITE);
    meeting.join(11, false);
    meeting.watch_at(11);
    meeting.show(11, RED);
    meeting.until_seen("one, full", |seen| {
        seen.dimensions() == (640, 480) && at(seen, [(10, 10), (630, 470)]) == "rr"
    });
    meeting.join(12, false);
    meeting.show(12, GREEN);
    // Each 320 x 240 within 320 x 480.
    meeting.until_seen("two, side by side", |seen| {
        at(seen, [(10, 240), (630, 240), (160, 60), (480, 420)]) == "rg.."
    });
    meeting.join(13, false);
    meeting.show(13, BLUE);
    meeting.until_seen("three in two rows", |seen| {
        at(seen, [(160, 120), (480, 120), (160, 360), (480, 360)]) == "rgb."
    });
    let element = ElementKey(12);
    meeting.child.tell(&BridgeCommand::Release { element });
    meeting.until_seen("two again", |seen| {
        at(seen, [(10, 240), (630, 240), (160, 60), (480, 420)]) == "rb.."
    });
    // An end of its stream takes the place as well.
    meeting.child.tell(&BridgeCommand::Link {
        sink: ElementKey(13),
        kind: MediaKind::Video,
        source: None,
    });
    meeting.until_seen("one again", |seen| at(seen, [(10, 10), (630, 470)]) == "rr");
}

#[test]
fn all_who_watch_in_a_codec_share_an_encoder() {
    let mut meeting = Meeting::start(COMPOSITE);
    for port in 11..16 {
        meeting.join(port, false);
        meeting.watch_at(port);
    }
    for port in 11..16 {
        meeting.child.rtp(VIDEO_OUT + port);
    }
    meeting.child.catch_up();
    assert_eq!(meeting.child.load, (0, 1));
}

#[test]
fn everybody_hears_all_others_and_not_himself() {
    let mut meeting = Meeting::start(COMPOSITE);
    let tones = [(11, 440), (12, 1_000), (13, 2_500)];
    for (port, tone) in tones {
        meeting.join(port, false);
        meeting.play(port, tone);
    }
    meeting.until_heard("the tones of the others, and only those", |loudness| {
        tones.iter().all(|(port, _)| {
            tones.iter().all(|(of, tone)| {
                let loudness = loudness(*port, *tone as f32);
                if of == port {
                    loudness < 0.005
                } else {
                    (0.12..0.28).contains(&loudness)
                }
            })
        })
    });
    let element = ElementKey(12);
    meeting.child.tell(&BridgeCommand::Release { element });
    meeting.until_heard("one tone less", |loudness| {
        loudness(11, 1_000.0) < 0.005 && loudness(11, 2_500.0) > 0.12
    });
}

#[test]
fn a_mixer_lets_hear_what_is_connected() {
    let mut meeting = Meeting::start(ProcessorSpec::Mixer);
    for (port, tone) in [(11, 440), (12, 1_000)] {
        meeting.join(port, true);
        meeting.play(port, tone);
    }
    let mix = |on| ProcessorCall::MixAudio {
        source: ElementKey(12),
        sink: ElementKey(11),
        on,
    };
    meeting.child.call(HUB, mix(true)).unwrap();
    meeting.until_heard("one way", |loudness| {
        loudness(11, 1_000.0) > 0.12 && loudness(11, 440.0) < 0.005 && loudness(12, 440.0) < 0.005
    });
    meeting.child.call(HUB, mix(false)).unwrap();
    meeting.until_heard("silence", |loudness| loudness(11, 1_000.0) < 0.005);
    let call = ProcessorCall::SetLayout {
        layout: "{}".to_owned(),
    };
    let error = meeting.child.call(HUB, call).unwrap_err();
    assert_eq!(error.kind, MediaErrorKind::NotSupported);
}

#[test]
fn pictures_are_blended_where_they_were_put() {
    let mut meeting = Meeting::start(ProcessorSpec::AlphaBlending);
    for (port, colour) in [(11, RED), (12, GREEN)] {
        meeting.join(port, false);
        meeting.show(port, colour);
    }
    meeting.watch_at(11);
    meeting.until_seen("the newest covers all", |seen| {
        seen.dimensions() == (640, 480) && at(seen, [(10, 10), (630, 470)]) == "gg"
    });
    let master = ProcessorCall::SetMaster {
        port: ElementKey(11),
        z_order: 5,
    };
    meeting.child.call(HUB, master).unwrap();
    meeting.until_seen("a canvas of the master's size", |seen| {
        seen.dimensions() == (320, 240) && at(seen, [(10, 10), (310, 230)]) == "rr"
    });
    let place = ProcessorCall::SetPort {
        port: ElementKey(12),
        place: Place {
            x: 0.75,
            y: -0.25,
            width: 0.5,
            height: 0.5,
        },
        z_order: 6,
    };
    meeting.child.call(HUB, place).unwrap();
    meeting.until_seen("a corner of it in the corner", |seen| {
        at(seen, [(310, 10), (250, 50), (230, 10), (310, 80)]) == "ggrr"
    });
}

#[test]
fn layouts_change_with_the_next_pictures() {
    let mut meeting = Meeting::start(COMPOSITE);
    for (port, colour) in [(11, RED), (12, GREEN)] {
        meeting.join(port, false);
        meeting.show(port, colour);
    }
    meeting.watch_at(11);
    let set = |layout: &str| ProcessorCall::SetLayout {
        layout: layout.to_owned(),
    };
    let speaker = r##"{"arrangement":"speaker","background":"#0000ff","main":12,"ports":[]}"##;
    meeting.child.call(HUB, set(speaker)).unwrap();
    meeting.until_seen("one large, one small, and the background", |seen| {
        at(seen, [(320, 200), (64, 430), (400, 430)]) == "grb"
    });
    let hidden = r#"{"arrangement":"grid","ports":[{"port":12,"hidden":true}]}"#;
    meeting.child.call(HUB, set(hidden)).unwrap();
    meeting.until_seen("one alone", |seen| at(seen, [(10, 10), (630, 470)]) == "rr");
    let error = meeting.child.call(HUB, set("circle")).unwrap_err();
    assert_eq!(error.kind, MediaErrorKind::IllegalParam);
}

#[test]
fn labels_are_written_over_pictures_and_change() {
    let mut meeting = Meeting::start(COMPOSITE);
    for (port, colour) in [(11, RED), (12, GREEN)] {
        meeting.join(port, false);
        meeting.show(port, colour);
    }
    meeting.watch_at(11);
    // Side by side in 640 x 480, each 320 x 240 in the middle of its half.
    let written = |seen: &RgbImage, left: u32| {
        let lower = (left..left + 320).flat_map(|x| (290..360).map(move |y| (x, y)));
        let white = lower.filter(|(x, y)| seen.get_pixel(*x, *y).0.iter().all(|it| *it > 170));
        white.count()
    };
    let set = |labels: [&str; 2]| ProcessorCall::SetLayout {
        layout: format!(
            r#"{{"arrangement":"grid","ports":[{{"port":11,"label":"{}"}},{{"port":12,"label":"{}"}}]}}"#,
            labels[0], labels[1]
        ),
    };
    meeting
        .child
        .call(HUB, set(["", "Ægir M\u{fc}ller"]))
        .unwrap();
    meeting.until_seen("a name on the right", |seen| {
        written(seen, 320) > 100
            && written(seen, 0) == 0
            && at(seen, [(10, 130), (630, 130)]) == "rg"
    });
    meeting.child.call(HUB, set(["二人目 A", ""])).unwrap();
    meeting.until_seen("a name on the left instead", |seen| {
        written(seen, 0) > 20 && written(seen, 320) == 0
    });
}

#[test]
fn ports_that_come_and_go_leave_nothing() {
    let mut meeting = Meeting::start(COMPOSITE);
    meeting.join(11, false);
    meeting.watch_at(11);
    meeting.show(11, RED);
    let threads = |pid: u32| {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        tasks.unwrap().count()
    };
    let pid = meeting.child.pid();
    let seen = |seen: &RgbImage| at(seen, [(10, 10), (630, 470)]) == "rr";
    meeting.until_seen("one", seen);
    let origin = Origin::Inlet(InletKey(1_011));
    let mut before = None;
    for round in 0..100 {
        meeting.join(12, false);
        meeting.child.link(12, MediaKind::Video, origin);
        let element = ElementKey(12);
        meeting.child.tell(&BridgeCommand::Release { element });
        if round == 10 {
            meeting.child.catch_up();
            before = Some(threads(pid));
        }
    }
    meeting.until_seen("one still", seen);
    meeting.child.catch_up();
    assert_eq!(meeting.child.load, (1, 1));
    assert!(threads(pid) <= before.unwrap() + 2);
}
