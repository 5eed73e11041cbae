//! Files that the tests play, made by the tests.

#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "test code")]

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Pictures per second of a clapper.
const FRAMERATE: u64 = 25;

/// Of each second, a clapper is white and loud for as long from its half on.
const CLAP_MS: u64 = 200;

/// A file that goes when it is dropped.
pub(crate) struct Clip {
    pub(crate) path: PathBuf,
}

impl Clip {
    pub(crate) fn new(extension: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("salono-clip-{}-{number}.{extension}", std::process::id());
        Self {
            path: std::env::temp_dir().join(name),
        }
    }

    pub(crate) fn uri(&self) -> String {
        format!("file://{}", self.path.display())
    }
}

impl Drop for Clip {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// VP8 and Opus in WebM.
pub(crate) fn clapper_webm(seconds: u64) -> Clip {
    let clip = Clip::new("webm");
    let video = "vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=25";
    clapper(seconds, video, "opusenc", "webmmux", &clip);
    clip
}

/// H264 and AAC in MP4.
pub(crate) fn clapper_mp4(seconds: u64) -> Clip {
    let clip = Clip::new("mp4");
    let video = "x264enc speed-preset=ultrafast key-int-max=25 bframes=0 ! h264parse";
    clapper(seconds, video, "avenc_aac ! aacparse", "mp4mux", &clip);
    clip
}

/// White pictures and a tone at once, once a second, in black and silence.
fn clapper(seconds: u64, video: &str, audio: &str, mux: &str, clip: &Clip) {
    gst::init().unwrap();
    let text = format!(
        "appsrc name=video format=time max-bytes=0 \
         caps=video/x-raw,format=I420,width=160,height=120,framerate={FRAMERATE}/1 ! {video} ! \
         queue ! mux. \
         appsrc name=audio format=time max-bytes=0 \
         caps=audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1 ! audioconvert ! \
         {audio} ! queue ! mux. \
         {mux} name=mux ! filesink location={}",
        clip.path.display()
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    let pipeline: gst::Pipeline = pipeline.downcast().unwrap();
    let entry = |name| -> AppSrc { pipeline.by_name(name).unwrap().downcast().unwrap() };
    let (pictures, sound) = (entry("video"), entry("audio"));
    let push = |entry: &AppSrc, bytes: Vec<u8>, at_ms: u64, ms: u64| {
        let mut buffer = gst::Buffer::from_mut_slice(bytes);
        let fields = buffer.get_mut().unwrap();
        fields.set_pts(gst::ClockTime::from_mseconds(at_ms));
        fields.set_duration(gst::ClockTime::from_mseconds(ms));
        entry.push_buffer(buffer).unwrap();
    };
    let claps = |ms: u64| (500..500 + CLAP_MS).contains(&(ms % 1_000));
    let frame_ms = 1_000 / FRAMERATE;
    for frame in 0..seconds * FRAMERATE {
        let at_ms = frame * frame_ms;
        let luma = if claps(at_ms) { 235 } else { 16 };
        let mut picture = vec![luma; 160 * 120];
        picture.resize(160 * 120 * 3 / 2, 128);
        push(&pictures, picture, at_ms, frame_ms);
    }
    for block in 0..seconds * 100 {
        let at_ms = block * 10;
        let samples = (0..480_u32).flat_map(|at| {
            let loud = claps(at_ms) && at % 48 < 24;
            let quiet = if claps(at_ms) { -20_000_i16 } else { 0 };
            if loud { 20_000_i16 } else { quiet }.to_le_bytes()
        });
        push(&sound, samples.collect(), at_ms, 10);
    }
    pictures.end_of_stream().unwrap();
    sound.end_of_stream().unwrap();
    finish(&pipeline);
}

/// Runs a pipeline to its end.
fn finish(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = bus.timed_pop_filtered(gst::ClockTime::from_seconds(120), &kinds);
    let end = end.unwrap();
    assert_eq!(end.type_(), gst::MessageType::Eos, "{end:?}");
    pipeline.set_state(gst::State::Null).unwrap();
}
