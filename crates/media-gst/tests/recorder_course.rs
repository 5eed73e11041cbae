//! The course of a recording: what comes late, stops, changes, is paused, or cannot be written.

#![allow(clippy::unwrap_used, reason = "test code")]

mod recording;

use recording::{Recording, Said, directory, make, packets, probe};
use salono_media_api::processing::{RecordingProfile, UriState};
use salono_media_gst::recorder::session::Slot;
use salono_media_gst::recorder::storage::Storage;
use salono_media_gst::recorder::worker::{Opened, Report, Target};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

const VIDEO: &str = "videotestsrc num-buffers=180 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30";
const LARGER: &str = "videotestsrc num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30/1 \
    ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30";
const VP9: &str = "videotestsrc num-buffers=60 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! vp9enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=30";
const H264: &str = "videotestsrc num-buffers=90 ! video/x-raw,width=160,height=120,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=30";
const H264_LARGER: &str = "videotestsrc num-buffers=90 ! video/x-raw,width=320,height=240,framerate=30/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=30";
const SOUND: &str = "audiotestsrc num-buffers=300 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! opusenc";

const fn seconds(value: u64) -> Duration {
    Duration::from_secs(value)
}

fn is_about(got: f64, wanted: f64, within: f64) -> bool {
    (got - wanted).abs() <= within
}

#[test]
fn a_track_that_never_delivers_does_not_hold_up_the_file() {
    let recording = Recording::begin(RecordingProfile::Webm, "webm");
    recording.record();
    recording.worker.link(Slot::Video, true);
    recording.deliver(&[make(SOUND)]);
    recording.until(UriState::Start);
    let files = recording.stop();
    assert_eq!(probe(&files[0].path).codecs, ["opus"]);
    assert!(
        is_about(files[0].duration_ms as f64, 6_000.0, 100.0),
        "{files:?}"
    );
}

#[test]
fn a_recording_without_any_media_leaves_no_file() {
    let recording = Recording::begin(RecordingProfile::Webm, "webm");
    recording.record();
    assert!(recording.stop().is_empty());
    assert_eq!(std::fs::read_dir(&recording.directory).unwrap().count(), 0);
}

#[test]
fn a_late_track_begins_another_file_with_both() {
    let (video, sound) = (make(VIDEO), make(SOUND));
    let recording = Recording::begin(RecordingProfile::Webm, "webm");
    recording.record();
    recording.deliver(&[sound.between(seconds(0), seconds(3))]);
    recording.until(UriState::Start);
    let late = [
        video.between(seconds(3), seconds(6)),
        sound.between(seconds(3), seconds(6)),
    ];
    recording.deliver(&late);
    let files = recording.stop();
    assert_eq!(files.len(), 2, "{files:?}");
    assert_eq!(probe(&files[0].path).codecs, ["opus"]);
    assert_eq!(files[1].path, recording.directory.join("name-2.webm"));
    assert_eq!(probe(&files[1].path).codecs, ["vp8", "opus"]);
    let total: u64 = files.iter().map(|file| file.duration_ms).sum();
    assert!(is_about(total as f64, 6_000.0, 100.0), "{files:?}");
}

#[test]
fn a_pause_takes_no_time_and_ends_with_a_keyframe() {
    let (video, sound) = (make(VIDEO), make(SOUND));
    let recording = Recording::begin(RecordingProfile::Webm, "webm");
    recording.record();
    let part = |from, to| [video.between(from, to), sound.between(from, to)];
    recording.deliver(&part(seconds(0), seconds(2)));
    recording.until(UriState::Start);
    recording.worker.pause();
    recording.until(UriState::Pause);
    recording.send(&part(seconds(2), seconds(4)));
    recording.worker.record();
    recording.until(UriState::Start);
    // Half a second before the next keyframe.
    recording.send(&part(Duration::from_millis(4_500), seconds(6)));
    let files = recording.stop();
    let seen = probe(&files[0].path);
    assert_eq!(seen.complaints, "");
    assert!(is_about(seen.duration, 3.0, 0.1), "{seen:?}");
    for track in ["v:0", "a:0"] {
        let times = packets(&files[0].path, track);
        let gap = times
            .windows(2)
            .map(|pair| pair[1].0 - pair[0].0)
            .fold(0.0, f64::max);
        assert!(gap < 0.1, "{track}: a gap of {gap} s");
    }
}

#[test]
fn pictures_of_another_size_stay_in_the_file() {
    for (profile, extension, small, large) in [
        (RecordingProfile::WebmVideoOnly, "webm", VIDEO, LARGER),
        (RecordingProfile::Mp4VideoOnly, "mp4", H264, H264_LARGER),
        (RecordingProfile::MkvVideoOnly, "mkv", H264, H264_LARGER),
    ] {
        let small = make(small).between(seconds(0), seconds(3));
        let large = make(large).later(seconds(3));
        let recording = Recording::begin(profile, extension);
        recording.record();
        recording.deliver(&[small, large]);
        let files = recording.stop();
        assert_eq!(files.len(), 1, "{profile:?}");
        let seen = probe(&files[0].path);
        assert!(is_about(seen.duration, 6.0, 0.1), "{profile:?} {seen:?}");
        let frames = recording::frame_sizes(&files[0].path);
        assert_eq!(
            frames.iter().filter(|size| **size == (160, 120)).count(),
            90,
            "{profile:?}"
        );
        assert_eq!(
            frames.iter().filter(|size| **size == (320, 240)).count(),
            90,
            "{profile:?}"
        );
    }
}

#[test]
fn another_codec_begins_another_file() {
    let recording = Recording::begin(RecordingProfile::WebmVideoOnly, "webm");
    recording.record();
    recording.deliver(&[make(VIDEO), make(VP9).later(seconds(6))]);
    let files = recording.stop();
    let codecs: Vec<_> = files.iter().map(|file| probe(&file.path).codecs).collect();
    assert_eq!(codecs, [["vp8"], ["vp9"]]);
}

#[test]
fn missing_sound_is_silence_and_missing_pictures_stay_in_time() {
    let (video, sound) = (make(VIDEO), make(SOUND));
    let recording = Recording::begin(RecordingProfile::Webm, "webm");
    recording.record();
    recording.deliver(&[
        video.between(seconds(0), seconds(3)),
        video.between(seconds(4), seconds(6)),
        sound.between(seconds(0), seconds(1)),
        sound.between(seconds(4), seconds(6)),
    ]);
    let files = recording.stop();
    let times = packets(&files[0].path, "a:0");
    let gap = times
        .windows(2)
        .map(|pair| pair[1].0 - pair[0].0)
        .fold(0.0, f64::max);
    assert!(gap <= 0.1, "a gap of {gap} s in the sound");
    let pictures = packets(&files[0].path, "v:0");
    assert!(pictures.iter().any(|(time, _)| is_about(*time, 4.0, 0.05)));
    let seen = probe(&files[0].path);
    assert_eq!(seen.complaints, "");
    assert!(is_about(seen.duration, 6.0, 0.1), "{seen:?}");
}

#[test]
fn nothing_begins_before_a_keyframe_which_is_asked_for() {
    let video = make(VIDEO);
    let recording = Recording::begin(RecordingProfile::WebmVideoOnly, "webm");
    recording.record();
    recording.deliver(&[video.between(Duration::from_millis(500), seconds(3))]);
    let asked = recording
        .said
        .iter()
        .find(|said| matches!(said, Said::Keyframe));
    assert!(asked.is_some());
    let files = recording.stop();
    assert!(
        is_about(files[0].duration_ms as f64, 2_000.0, 100.0),
        "{files:?}"
    );
}

#[test]
fn files_that_are_there_stay_as_they_are() {
    let recording = Recording::begin(RecordingProfile::WebmAudioOnly, "webm");
    let there = recording.directory.join("name.webm");
    std::fs::write(&there, "mine").unwrap();
    recording.record();
    recording.deliver(&[make(SOUND)]);
    let files = recording.stop();
    assert_eq!(files[0].path, recording.directory.join("name-2.webm"));
    assert_eq!(std::fs::read(&there).unwrap(), b"mine");
}

/// A disk that is full after some bytes, or stuck until it is told otherwise.
struct Disk {
    directory: PathBuf,
    room: usize,
    gate: Option<Receiver<()>>,
    said: Sender<Said>,
}

impl Target for Disk {
    fn open(&mut self, segment: u32) -> io::Result<Opened> {
        let path = self.directory.join(format!("{segment}.webm"));
        Ok(Opened {
            uri: path.to_str().unwrap().to_owned(),
            path: Some(path.clone()),
            storage: Box::new(DiskFile {
                file: File::create_new(path)?,
                room: self.room,
                gate: self.gate.take(),
            }),
        })
    }

    fn finished(&mut self, uri: &str, duration_ms: u64, bytes: u64) {
        let path = PathBuf::from(uri);
        let file = recording::Finished {
            path,
            duration_ms,
            bytes,
        };
        let _ = self.said.send(Said::Finished(file));
    }
}

struct DiskFile {
    file: File,
    room: usize,
    gate: Option<Receiver<()>>,
}

impl Storage for DiskFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(gate) = self.gate.take() {
            gate.recv().unwrap();
        }
        let fits = bytes.len().min(self.room);
        self.room -= fits;
        self.file.write_all(&bytes[..fits])?;
        if fits < bytes.len() {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        Ok(())
    }

    fn patch(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn on_disk(room: usize, gate: Option<Receiver<()>>) -> Recording {
    let directory = directory();
    let disk = directory.clone();
    Recording::with(RecordingProfile::Webm, directory, move |said| {
        Box::new(Disk {
            directory: disk,
            room,
            gate,
            said,
        })
    })
}

#[test]
fn what_was_written_before_the_disk_was_full_plays() {
    let (video, sound) = (make(VIDEO), make(SOUND));
    let recording = on_disk(60_000, None);
    recording.record();
    recording.deliver(&[video, sound]);
    let error = recording.error();
    assert_eq!(error.kind, "RESOURCE_ERROR_NO_SPACE_LEFT");
    recording.stop();
    let seen = probe(&recording.directory.join("1.webm"));
    assert_eq!(seen.complaints, "");
    assert!(!packets(&recording.directory.join("1.webm"), "v:0").is_empty());
}

#[test]
fn a_stuck_disk_holds_nobody_up_and_is_reported() {
    let (video, sound) = (make(VIDEO), make(SOUND));
    let (open, gate) = channel();
    let recording = on_disk(usize::MAX, Some(gate));
    recording.record();
    // Far more than the queue holds, while nothing is written.
    let rounds: u64 = 12;
    for round in 0..rounds {
        let by = seconds(6 * round);
        recording.deliver(&[video.later(by), sound.later(by)]);
        if round == 0 {
            recording.until(UriState::Start);
        }
    }
    open.send(()).unwrap();
    let error = recording.error();
    assert_eq!(error.kind, "RESOURCE_ERROR_WRITE");
    let files = recording.stop();
    assert_eq!(probe(&files[0].path).complaints, "");
}

#[test]
fn an_error_that_goes_on_is_reported_once() {
    let recording = on_disk(10, None);
    recording.record();
    recording.deliver(&[make(SOUND)]);
    recording.error();
    recording.worker.stop();
    let later: Vec<_> = recording
        .said
        .iter()
        .take_while(|said| !matches!(said, Said::Report(Report::Ended)))
        .filter(|said| matches!(said, Said::Report(Report::Error(_))))
        .collect();
    assert!(later.is_empty(), "{later:?}");
}
