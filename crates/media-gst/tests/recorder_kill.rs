//! A hundred recordings, each killed at another moment: what was recorded up to two seconds before plays.

#![allow(clippy::unwrap_used, reason = "test code")]

mod recording;

use gstreamer as gst;
use recording::{Made, Recording, directory, extents, make};
use salono_media_api::processing::RecordingProfile;
use salono_media_gst::recorder::session::Slot;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const VP8: &str = "videotestsrc num-buffers=105 ! video/x-raw,width=160,height=120,framerate=15/1 \
    ! vp8enc deadline=1 cpu-used=8 threads=1 keyframe-max-dist=45";
const H264: &str = "videotestsrc num-buffers=105 ! video/x-raw,width=160,height=120,framerate=15/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=45";
const OPUS: &str = "audiotestsrc num-buffers=350 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! opusenc";
const AAC: &str = "audiotestsrc num-buffers=328 samplesperbuffer=1024 ! audio/x-raw,rate=48000,channels=1 \
    ! avenc_aac ! aacparse ! audio/mpeg,mpegversion=4,stream-format=raw";

/// Processes in all, and at a time.
const KILLS: usize = 100;
const AT_A_TIME: usize = 34;

/// Says to this program that it is one of those that are killed: its directory.
const VICTIM: &str = "SALONO_TEST_VICTIM";

const KINDS: [(RecordingProfile, &str, [&str; 2]); 4] = [
    (RecordingProfile::Webm, "webm", ["vp8", "opus"]),
    (RecordingProfile::Mp4, "mp4", ["h264", "opus"]),
    (RecordingProfile::Mkv, "mkv", ["h264", "aac"]),
    (RecordingProfile::Flv, "flv", ["h264", "aac"]),
];

#[test]
fn a_hundred_killed_recordings_play_up_to_the_last_two_seconds() {
    if let Some(home) = std::env::var_os(VICTIM) {
        return record_until_killed(Path::new(&home));
    }
    let home = directory();
    for (name, line) in [("vp8", VP8), ("h264", H264), ("opus", OPUS), ("aac", AAC)] {
        save(&home.join(name), &make(line));
    }
    // A fixed sequence; what the moment is in the life of a cluster is chance enough.
    let mut random: u64 = 0x5eed;
    let mut left = KILLS;
    while left > 0 {
        let count = left.min(AT_A_TIME);
        let victims: Vec<_> = (0..count)
            .map(|number| {
                random = random
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let until = Duration::from_millis(2_200 + (random >> 33) % 3_800);
                let kind = (left + number) % KINDS.len();
                (victim(&home, kind), kind, until)
            })
            .collect();
        let watched: Vec<_> = victims
            .into_iter()
            .map(|(child, kind, until)| std::thread::spawn(move || (kill(child, until), kind)))
            .collect();
        for watch in watched {
            let ((directory, delivered), kind) = watch.join().unwrap();
            check(&directory, kind, delivered);
            std::fs::remove_dir_all(&directory).unwrap();
        }
        left -= count;
    }
    std::fs::remove_dir_all(home).unwrap();
}

/// Starts this program once more, as one that records.
fn victim(home: &Path, kind: usize) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "--test-threads=1"])
        .arg("a_hundred_killed_recordings_play_up_to_the_last_two_seconds")
        .env(VICTIM, home)
        .env("SALONO_TEST_KIND", kind.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Kills it when it has delivered so much. Its directory, and how much it was in the end.
fn kill(mut child: Child, until: Duration) -> (PathBuf, f64) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut directory = PathBuf::new();
    let mut delivered = Duration::ZERO;
    let mut killed = false;
    // What it still said before it died counts as well.
    while let Some(Ok(line)) = lines.next() {
        if let Some((_, path)) = line.split_once("records in ") {
            directory = PathBuf::from(path);
        } else if let Some((_, time)) = line.split_once("delivered ") {
            delivered = Duration::from_millis(time.parse().unwrap());
        }
        if delivered >= until && !killed {
            // SIGKILL.
            child.kill().unwrap();
            killed = true;
        }
    }
    child.wait().unwrap();
    assert!(killed, "it ended by itself");
    (directory, delivered.as_secs_f64())
}

fn check(directory: &Path, kind: usize, delivered: f64) {
    let (profile, extension, _) = KINDS[kind];
    let file = directory.join(format!("name.{extension}"));
    for extent in extents(&file) {
        let (begun, last) = extent.unwrap_or((9.0, 0.0));
        assert!(
            last >= delivered - 2.0,
            "{profile:?}: {last} s of {delivered} s"
        );
        assert!(begun < 0.2, "{profile:?} begins at {begun} s");
    }
}

/// Records at the pace of a call, and says how far it is.
fn record_until_killed(home: &Path) {
    let kind: usize = std::env::var("SALONO_TEST_KIND").unwrap().parse().unwrap();
    let (profile, extension, names) = KINDS[kind];
    gst::init().unwrap();
    let streams = names.map(|name| load(&home.join(name)));
    let mut frames: Vec<_> = streams
        .iter()
        .flat_map(|made| made.frames.iter().map(|frame| (made.slot, frame)))
        .collect();
    frames.sort_by_key(|(_, (_, buffer))| buffer.dts_or_pts());
    let recording = Recording::begin(profile, extension);
    let mut out = std::io::stdout().lock();
    writeln!(out, "\nrecords in {}", recording.directory.display()).unwrap();
    recording.worker.link(Slot::Audio, true);
    recording.worker.link(Slot::Video, true);
    recording.record();
    let begin = Instant::now();
    let (_never, tick) = channel::<()>();
    for (slot, (caps, buffer)) in frames {
        let time: Duration = buffer.dts_or_pts().unwrap().into();
        let wait = time.saturating_sub(begin.elapsed());
        let _ = tick.recv_timeout(wait);
        recording.worker.feed(slot).put(caps, buffer);
        writeln!(out, "delivered {}", time.as_millis()).unwrap();
    }
    // The last word is that of the one who kills.
    let _ = tick.recv_timeout(Duration::from_secs(60));
}

/// A line of text, then bytes, per frame.
fn save(path: &Path, made: &Made) {
    let mut file = std::fs::File::create(path).unwrap();
    for (caps, buffer) in &made.frames {
        let time = |time: Option<gst::ClockTime>| time.map_or(u64::MAX, |time| time.nseconds());
        let bytes = buffer.map_readable().unwrap();
        writeln!(
            file,
            "{} {} {} {} {} {caps}",
            time(buffer.pts()),
            time(buffer.dts()),
            time(buffer.duration()),
            buffer.flags().bits(),
            bytes.len(),
        )
        .unwrap();
        file.write_all(&bytes).unwrap();
    }
}

fn load(path: &Path) -> Made {
    let all = std::fs::read(path).unwrap();
    let mut rest = all.as_slice();
    let mut frames = Vec::new();
    let mut known: Option<(String, gst::Caps)> = None;
    while !rest.is_empty() {
        let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
        let line = std::str::from_utf8(&rest[..end]).unwrap();
        let fields: Vec<&str> = line.splitn(6, ' ').collect();
        let number = |at: usize| fields[at].parse::<u64>().unwrap();
        let time = |at: usize| {
            let value = number(at);
            (value != u64::MAX).then(|| gst::ClockTime::from_nseconds(value))
        };
        let length = usize::try_from(number(4)).unwrap();
        let bytes = &rest[end + 1..end + 1 + length];
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        let fresh = buffer.get_mut().unwrap();
        fresh.set_pts(time(0));
        fresh.set_dts(time(1));
        fresh.set_duration(time(2));
        let flags = u32::try_from(number(3)).unwrap();
        fresh.set_flags(gst::BufferFlags::from_bits_truncate(flags));
        if known.as_ref().is_none_or(|(text, _)| text != fields[5]) {
            known = Some((fields[5].to_owned(), fields[5].parse().unwrap()));
        }
        let (_, caps) = known.as_ref().unwrap();
        frames.push((caps.clone(), buffer));
        rest = &rest[end + 1 + length..];
    }
    let is_audio = frames[0]
        .0
        .structure(0)
        .unwrap()
        .name()
        .starts_with("audio/");
    let slot = if is_audio { Slot::Audio } else { Slot::Video };
    Made { slot, frames }
}
