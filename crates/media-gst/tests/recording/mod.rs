//! A recording whose frames come from here, and a look at its files.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::unwrap_used, reason = "test code")]

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSink;
use salono_media_api::processing::{ProcessorError, RecordingProfile, UriState};
use salono_media_gst::recorder::format::Codec;
use salono_media_gst::recorder::profile::Profile;
use salono_media_gst::recorder::session::Slot;
use salono_media_gst::recorder::target::Files;
use salono_media_gst::recorder::worker::{Report, Setup, Target, Worker};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// A compressed stream.
pub(crate) struct Made {
    pub(crate) slot: Slot,
    pub(crate) frames: Vec<(gst::Caps, gst::Buffer)>,
}

impl Made {
    /// When its last frame ends.
    pub(crate) fn end(&self) -> Duration {
        let end = |buffer: &gst::Buffer| {
            buffer.pts().unwrap() + buffer.duration().unwrap_or(gst::ClockTime::ZERO)
        };
        let ends = self.frames.iter().map(|(_, buffer)| end(buffer));
        ends.max().unwrap().saturating_sub(self.start()).into()
    }

    fn start(&self) -> gst::ClockTime {
        let times = self.frames.iter().filter_map(|(_, buffer)| buffer.pts());
        times.min().unwrap()
    }

    /// The same, so much later.
    pub(crate) fn later(&self, by: Duration) -> Self {
        let by = gst::ClockTime::try_from(by).unwrap();
        let frames = self.frames.iter().map(|(caps, buffer)| {
            let mut buffer = buffer.clone();
            let times = buffer.make_mut();
            times.set_pts(times.pts().map(|pts| pts + by));
            times.set_dts(times.dts().map(|dts| dts + by));
            (caps.clone(), buffer)
        });
        Self {
            slot: self.slot,
            frames: frames.collect(),
        }
    }

    /// What lies between two times.
    pub(crate) fn between(&self, from: Duration, to: Duration) -> Self {
        let start = self.start();
        let inside = |buffer: &gst::Buffer| {
            let time: Duration = buffer.pts().unwrap().saturating_sub(start).into();
            time >= from && time < to
        };
        Self {
            slot: self.slot,
            frames: self
                .frames
                .iter()
                .filter(|(_, buffer)| inside(buffer))
                .cloned()
                .collect(),
        }
    }
}

/// Runs a line to its end and keeps what it made, as a recorder is given it: beginning at zero.
pub(crate) fn make(line: &str) -> Made {
    gst::init().unwrap();
    let encoded = gst::parse::launch(&format!("{line} ! appsink name=out sync=false")).unwrap();
    let first = run(&encoded.downcast().unwrap());
    let codec = Codec::from_structure(first[0].0.structure(0).unwrap()).unwrap();
    let mut frames = first;
    if codec.parser() != "identity" {
        let text = format!("{line} ! {} ! appsink name=out sync=false", codec.parser());
        frames = run(&gst::parse::launch(&text).unwrap().downcast().unwrap());
    }
    let start = frames
        .iter()
        .filter_map(|(_, buffer)| buffer.dts_or_pts())
        .min()
        .unwrap();
    for (_, buffer) in &mut frames {
        let times = buffer.make_mut();
        times.set_pts(times.pts().map(|pts| pts.saturating_sub(start)));
        times.set_dts(times.dts().map(|dts| dts.saturating_sub(start)));
    }
    Made {
        slot: if codec.is_audio() {
            Slot::Audio
        } else {
            Slot::Video
        },
        frames,
    }
}

fn run(pipeline: &gst::Pipeline) -> Vec<(gst::Caps, gst::Buffer)> {
    let sink: AppSink = pipeline.by_name("out").unwrap().downcast().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut frames = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let buffer = sample.buffer_owned().unwrap();
        if buffer.pts().is_some() {
            frames.push((sample.caps_owned().unwrap(), buffer));
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    assert!(!frames.is_empty(), "the line makes nothing");
    frames
}

/// A finished file.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    pub(crate) path: PathBuf,
    pub(crate) duration_ms: u64,
    pub(crate) bytes: u64,
}

/// What a recording said.
#[derive(Debug)]
pub(crate) enum Said {
    Report(Report),
    Finished(Finished),
    Keyframe,
}

/// A recording into a directory of its own, which goes away with it.
pub(crate) struct Recording {
    pub(crate) worker: Worker,
    pub(crate) said: Receiver<Said>,
    pub(crate) directory: PathBuf,
}

impl Recording {
    pub(crate) fn begin(profile: RecordingProfile, extension: &str) -> Self {
        let directory = directory();
        let path = directory.join(format!("name.{extension}"));
        let uri = path.to_str().unwrap().to_owned();
        Self::with(profile, directory, |said| {
            let finished = Box::new(move |uri: &str, duration_ms, bytes| {
                let path = PathBuf::from(uri);
                let _ = said.send(Said::Finished(Finished {
                    path,
                    duration_ms,
                    bytes,
                }));
            });
            Box::new(Files::new(path, &uri, false, finished))
        })
    }

    pub(crate) fn with(
        profile: RecordingProfile,
        directory: PathBuf,
        target: impl FnOnce(Sender<Said>) -> Box<dyn Target>,
    ) -> Self {
        let (sender, said) = channel();
        let (reports, keyframes) = (sender.clone(), sender.clone());
        let worker = Worker::start(Setup {
            container: Profile::of(profile).container,
            target: target(sender),
            segments: 0,
            report: Box::new(move |report| {
                let _ = reports.send(Said::Report(report));
            }),
            ask_keyframe: Box::new(move || {
                let _ = keyframes.send(Said::Keyframe);
            }),
        });
        Self {
            worker: worker.unwrap(),
            said,
            directory,
        }
    }

    pub(crate) fn record(&self) {
        self.worker.record();
    }

    /// Delivers streams in the order of their times.
    pub(crate) fn deliver(&self, streams: &[Made]) {
        for made in streams {
            self.worker.link(made.slot, true);
        }
        self.send(streams);
    }

    /// The same without connecting them.
    pub(crate) fn send(&self, streams: &[Made]) {
        let mut all: Vec<_> = streams
            .iter()
            .flat_map(|made| made.frames.iter().map(|frame| (made.slot, frame)))
            .collect();
        all.sort_by_key(|(_, (_, buffer))| buffer.dts_or_pts());
        for (slot, (caps, buffer)) in all {
            self.worker.feed(slot).put(caps, buffer);
        }
    }

    /// Stops; the files that were finished.
    pub(crate) fn stop(&self) -> Vec<Finished> {
        self.worker.stop();
        let mut files = Vec::new();
        loop {
            match self
                .said
                .recv_timeout(Duration::from_secs(60))
                .expect("ends in time")
            {
                Said::Finished(file) => files.push(file),
                Said::Report(Report::Ended) => return files,
                Said::Report(Report::Error(error)) => panic!("{error:?}"),
                Said::Report(_) | Said::Keyframe => {}
            }
        }
    }

    /// Waits until a state is reported.
    pub(crate) fn until(&self, state: UriState) {
        loop {
            match self
                .said
                .recv_timeout(Duration::from_secs(60))
                .expect("comes in time")
            {
                Said::Report(Report::State(said)) if said == state => return,
                Said::Report(_) | Said::Keyframe | Said::Finished(_) => {}
            }
        }
    }

    /// Waits for an error.
    pub(crate) fn error(&self) -> ProcessorError {
        loop {
            match self
                .said
                .recv_timeout(Duration::from_secs(60))
                .expect("comes in time")
            {
                Said::Report(Report::Error(error)) => return error,
                Said::Report(_) | Said::Keyframe | Said::Finished(_) => {}
            }
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A directory that nobody else has.
pub(crate) fn directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("salono-recorder-{}-{number}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// What is in a file.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) codecs: Vec<String>,
    /// In its head, in seconds.
    pub(crate) duration: f64,
    /// Of those that read and decode it all.
    pub(crate) complaints: String,
}

pub(crate) fn probe(path: &Path) -> Seen {
    let output = Command::new("ffprobe")
        .args([
            "-v",
            "error",
            "-show_entries",
            "stream=codec_name:format=duration",
        ])
        .args(["-of", "default=noprint_wrappers=1"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let values = |name: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.split_once('='));
        lines
            .filter(|(key, _)| *key == name)
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    let decoded = Command::new("ffmpeg")
        .args(["-v", "warning", "-i"])
        .arg(path)
        // Pictures may be closer to each other than their usual pace lets them.
        .args(["-fps_mode", "vfr", "-f", "null", "-"])
        .output()
        .unwrap();
    let mut complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    // That WAVEFORMATEX has no channel layout is no fault of the file.
    for line in String::from_utf8_lossy(&decoded.stderr).lines() {
        if !line.starts_with("Guessed Channel Layout") {
            complaints.push_str(line);
            complaints.push('\n');
        }
    }
    Seen {
        codecs: values("codec_name"),
        duration: values("duration")
            .first()
            .and_then(|d| d.parse().ok())
            .unwrap_or(0.0),
        complaints,
    }
}

/// Times of the packets of a track, in seconds: beginning, and whether it is a keyframe.
pub(crate) fn packets(path: &Path, track: &str) -> Vec<(f64, f64)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", track])
        .args([
            "-show_entries",
            "packet=pts_time,duration_time",
            "-of",
            "csv=p=0",
        ])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).unwrap_or(0.0);
    text.lines()
        .map(|line| {
            let mut fields = line.split(',');
            (number(fields.next()), number(fields.next()))
        })
        .collect()
}

/// Sizes of the decoded pictures of a file.
pub(crate) fn frame_sizes(path: &Path) -> Vec<(u32, u32)> {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-select_streams", "v:0"])
        .args(["-show_entries", "frame=width,height", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(',').filter_map(|field| field.parse().ok());
            Some((fields.next()?, fields.next()?))
        })
        .collect()
}

/// Where the pictures and the sound of a file begin and end, in seconds.
pub(crate) fn extents(path: &Path) -> [Option<(f64, f64)>; 2] {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries"])
        .args(["packet=codec_type,pts_time,duration_time", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    ["video", "audio"].map(|kind| {
        let mut extent: Option<(f64, f64)> = None;
        for line in text.lines().filter(|line| line.starts_with(kind)) {
            let numbers: Vec<f64> = line
                .split(',')
                .filter_map(|text| text.parse().ok())
                .collect();
            let Some(begin) = numbers.first() else {
                continue;
            };
            let end = begin + numbers.get(1).unwrap_or(&0.0);
            let known = extent.get_or_insert((*begin, end));
            *known = (known.0.min(*begin), known.1.max(end));
        }
        extent
    })
}
