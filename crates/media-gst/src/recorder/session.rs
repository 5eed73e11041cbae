//! A recording as a state machine: which samples go into which file, and when they are. Without files, threads and clocks.
//!
//! Drive it with [`Session::sample`], the requests, and [`Session::tick`] at least every [`TICK`] while
//! [`Session::is_running`]; it acts through its [`Shell`].
//!
//! **Beginning.** A file begins with the tracks that flow: as soon as all that are linked have delivered (pictures: a keyframe), at
//! the latest [`PATIENCE`] after the first of them did. What came meanwhile is in the file.
//!
//! **Time.** Samples carry the running time of the process, common to both tracks. A file begins at the first of its samples.
//! A pause takes no time: what comes first after it follows what was last before it.
//!
//! **Segments.** A track that comes late, or in a codec that the file cannot have, begins another file, with
//! the next keyframe where there are pictures.

use super::format::{Codec, Format};
use super::mux::{self, Container, Data, Muxer, Output, Sample};
use super::order::{Order, REORDER};
use salono_media_api::processing::UriState;
use std::time::{Duration, Instant};

/// Longest wait for tracks that deliver nothing, and for keyframes.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// How often [`Session::tick`] is called.
pub const TICK: Duration = Duration::from_millis(100);

/// A keyframe that does not come is asked for again.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// Bytes that wait for the beginning of a file; with more, it begins.
const MAX_WAITING: usize = 16 * 1024 * 1024;

/// After a file failed, the next attempt comes so much later, each time twice that.
const RETRY: Duration = Duration::from_secs(5);

/// The longest time between attempts.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Sound that is missing for longer than this, in nanoseconds, becomes silence. Senders that say nothing while nobody
/// speaks (DTX) leave shorter gaps.
const SILENCE: u64 = 1_000_000_000;

/// Longer gaps stay gaps, in nanoseconds: an hour.
const MAX_SILENCE: u64 = 3_600_000_000_000;

/// A frame of silence, in nanoseconds.
const SILENT_FRAME: u64 = 20_000_000;

/// Sound may begin so much before the end of what it follows, in nanoseconds.
const OVERLAP: u64 = 60_000_000;

/// One of the two tracks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// A frame as it comes, with its times in nanoseconds of running time.
#[derive(Debug)]
pub struct Frame {
    /// When it is shown.
    pub pts: u64,
    /// When it is decoded.
    pub dts: u64,
    /// How long, 0 when not known.
    pub duration: u64,
    /// Decodable by itself.
    pub key: bool,
    /// Its bytes.
    pub data: Data,
}

/// The file failed; the shell has said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failed;

/// What a recording acts through.
pub trait Shell {
    /// Opens the next file.
    fn open(&mut self) -> Result<(), Failed>;
    /// Appends to it, then writes over parts of it.
    fn write(&mut self, append: &[u8], patches: &[(u64, Vec<u8>)]) -> Result<(), Failed>;
    /// Ends it; its length in nanoseconds.
    fn close(&mut self, duration: u64);
    /// Asks for a keyframe.
    fn ask_keyframe(&mut self);
    /// The state changed.
    fn state(&mut self, state: UriState);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not begun.
    Idle,
    /// No file: samples are collected since the first of them.
    Gathering { since: Option<Instant> },
    /// A file is open.
    Writing,
    /// Paused; a file may be open.
    Paused,
    /// Going on after a pause, not before a keyframe.
    Resuming { since: Instant },
    /// No file can be written at present.
    Broken { until: Instant },
    /// For good.
    Finished,
}

#[derive(Default)]
struct Track {
    /// Something is connected.
    linked: bool,
    /// What it is at present.
    format: Option<Format>,
    /// That may be something else than before.
    stale: bool,
    /// In the file at hand: its number and what it is there.
    stored: Option<(usize, Format)>,
    /// The file at hand cannot have what comes now.
    foreign: bool,
    /// Nothing is taken before a keyframe.
    needs_key: bool,
    /// End of what was written, in nanoseconds of the file.
    end: u64,
    /// Decoding time of what was written last.
    last: Option<u64>,
    /// Silence was written last, in place of what is missing.
    silent: bool,
}

/// A recording.
pub struct Session<S> {
    shell: S,
    container: Container,
    phase: Phase,
    tracks: [Track; 2],
    order: Order,
    file: Option<Box<dyn Muxer>>,
    output: Output,
    /// Running time at which the file at hand would have begun without pauses.
    base: u64,
    /// Since when the file at hand cannot have what comes.
    roll: Option<Instant>,
    asked: Option<Instant>,
    flushed: Option<Instant>,
    came: Option<Instant>,
    failures: u32,
    told: UriState,
}

impl<S: Shell> Session<S> {
    /// Not begun.
    pub fn new(container: Container, shell: S) -> Self {
        Self {
            shell,
            container,
            phase: Phase::Idle,
            tracks: [Track::default(), Track::default()],
            order: Order::default(),
            file: None,
            output: Output::default(),
            base: 0,
            roll: None,
            asked: None,
            flushed: None,
            came: None,
            failures: 0,
            told: UriState::Stop,
        }
    }

    /// What it acts through.
    pub fn shell(&mut self) -> &mut S {
        &mut self.shell
    }

    /// Ended for good.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// Under way, as opposed to paused, not begun or ended: takes frames, and has something to do as time goes by.
    pub fn is_running(&self) -> bool {
        match self.phase {
            Phase::Idle | Phase::Paused | Phase::Finished => false,
            Phase::Gathering { .. }
            | Phase::Writing
            | Phase::Resuming { .. }
            | Phase::Broken { .. } => true,
        }
    }

    /// A source was connected or disconnected.
    pub fn link(&mut self, slot: Slot, linked: bool) {
        let track = &mut self.tracks[slot as usize];
        track.linked = linked;
        track.needs_key = slot == Slot::Video;
    }

    /// Samples of a track are missing: pictures go on with a keyframe.
    pub fn lost(&mut self, slot: Slot) {
        self.tracks[slot as usize].needs_key = slot == Slot::Video;
    }

    /// Starts, or goes on after a pause. False when that does not suit the state.
    pub fn record(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Idle => self.phase = Phase::Gathering { since: None },
            Phase::Paused => {
                self.phase = if self.file.is_some() {
                    Phase::Resuming { since: now }
                } else {
                    Phase::Gathering { since: None }
                };
                self.tell(UriState::Start);
            }
            Phase::Gathering { .. }
            | Phase::Writing
            | Phase::Resuming { .. }
            | Phase::Broken { .. }
            | Phase::Finished => return false,
        }
        self.tracks[Slot::Video as usize].needs_key = true;
        if self.tracks[Slot::Video as usize].linked {
            self.ask(now);
        }
        true
    }

    /// Halts. False when that does not suit the state.
    pub fn pause(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Gathering { .. } => {
                // What was gathered belongs to the time before the pause.
                self.begin(now);
            }
            Phase::Writing | Phase::Resuming { .. } => {}
            Phase::Broken { .. } => {}
            Phase::Idle | Phase::Paused | Phase::Finished => return false,
        }
        self.settle(now);
        self.phase = Phase::Paused;
        self.tell(UriState::Pause);
        true
    }

    /// Ends for good. False when it was never begun, or is ended.
    pub fn stop(&mut self, now: Instant) -> bool {
        match self.phase {
            Phase::Finished => return false,
            Phase::Idle => {
                self.phase = Phase::Finished;
                return false;
            }
            Phase::Gathering { .. } => self.begin(now),
            Phase::Writing | Phase::Paused | Phase::Resuming { .. } | Phase::Broken { .. } => {}
        }
        self.settle(now);
        self.end_file();
        self.phase = Phase::Finished;
        self.tell(UriState::Stop);
        true
    }

    /// What a track is from now on.
    pub fn format(&mut self, slot: Slot, format: Format) {
        let track = &mut self.tracks[slot as usize];
        let codec = track.format.as_ref().map(|old| old.codec);
        track.needs_key |= slot == Slot::Video && codec.is_some_and(|old| old != format.codec);
        track.format = Some(format);
        track.stale = true;
    }

    /// Takes a frame, of the format that was said last.
    pub fn sample(&mut self, now: Instant, slot: Slot, frame: Frame) {
        match self.phase {
            Phase::Idle | Phase::Paused | Phase::Finished => return,
            Phase::Broken { until } if now < until => return,
            Phase::Broken { .. } => {
                self.phase = Phase::Gathering { since: None };
                self.tracks[Slot::Video as usize].needs_key = true;
            }
            Phase::Gathering { .. } | Phase::Writing | Phase::Resuming { .. } => {}
        }
        let track = &mut self.tracks[slot as usize];
        let Some(format) = &mut track.format else {
            return;
        };
        match slot {
            Slot::Video => {
                if frame.key {
                    track.needs_key = !format.complete(frame.data.bytes());
                    track.stale = true;
                }
                if track.needs_key {
                    self.ask(now);
                    return;
                }
            }
            Slot::Audio => {
                if !format.complete(frame.data.bytes()) {
                    return;
                }
            }
        }
        self.came = Some(now);
        if let Phase::Gathering { since } = &mut self.phase {
            since.get_or_insert(now);
            self.order.push(slot, frame);
            self.gather(now);
        } else {
            self.store(now, slot, frame);
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant) {
        match self.phase {
            Phase::Gathering { .. } => self.gather(now),
            Phase::Writing => {
                if self.roll.is_some_and(|since| is_over(since, now)) {
                    self.tracks[Slot::Video as usize].needs_key = true;
                    self.roll(now);
                    return;
                }
                let silent = self
                    .came
                    .is_some_and(|came| now.duration_since(came).as_nanos() > u128::from(REORDER));
                self.write(now, silent);
                let flushed = *self.flushed.get_or_insert(now);
                if now.duration_since(flushed) >= mux::PIECE {
                    self.flush(now);
                }
            }
            Phase::Idle
            | Phase::Paused
            | Phase::Resuming { .. }
            | Phase::Broken { .. }
            | Phase::Finished => {}
        }
        let video = &self.tracks[Slot::Video as usize];
        if self.is_running() && video.linked && video.needs_key && video.format.is_some() {
            self.ask(now);
        }
    }

    /// Begins a file when all that is linked is there, or it has been waited for long enough.
    fn gather(&mut self, now: Instant) {
        let Phase::Gathering { since: Some(since) } = self.phase else {
            return;
        };
        let missing = [Slot::Audio, Slot::Video]
            .into_iter()
            .any(|slot| self.tracks[slot as usize].linked && self.order.is_empty(slot));
        if !missing || is_over(since, now) || self.order.bytes() >= MAX_WAITING {
            self.begin(now);
        }
    }

    /// Begins a file with what was gathered; none if that is nothing.
    fn begin(&mut self, now: Instant) {
        let Some(first) = self.order.first() else {
            return;
        };
        let mut formats = Vec::new();
        for slot in [Slot::Video, Slot::Audio] {
            let track = &mut self.tracks[slot as usize];
            let format = track.format.clone().filter(|_| !self.order.is_empty(slot));
            track.stored = format.map(|format| {
                formats.push(format.clone());
                (formats.len() - 1, format)
            });
            (track.stale, track.foreign) = (false, false);
            (track.end, track.last, track.silent) = (0, None, false);
        }
        if self.shell.open().is_err() {
            self.broken(now);
            return;
        }
        self.output = Output::default();
        self.file = Some(mux::begin(self.container, &formats, &mut self.output));
        self.base = first;
        self.roll = None;
        self.phase = Phase::Writing;
        self.tell(UriState::Start);
        self.flush(now);
        self.write(now, false);
    }

    /// Takes a frame for the file at hand, or finds that it needs another one.
    fn store(&mut self, now: Instant, slot: Slot, frame: Frame) {
        let pictures = self.tracks[Slot::Video as usize].stored.is_some();
        let begins = slot == Slot::Video && frame.key;
        if let Phase::Resuming { since } = self.phase {
            if slot == Slot::Audio && pictures && !is_over(since, now) {
                return;
            }
            // What comes first follows what was last.
            self.base = frame.dts.min(frame.pts).saturating_sub(self.end());
            self.phase = Phase::Writing;
        }
        self.adapt(now, slot);
        let track = &self.tracks[slot as usize];
        if track.stored.is_some() && !track.foreign && !(begins && self.roll.is_some()) {
            self.order.push(slot, frame);
            self.write(now, false);
            return;
        }
        self.roll.get_or_insert(now);
        // The other file begins with a keyframe, where there are pictures.
        if begins || !pictures {
            self.roll(now);
            if let Phase::Gathering { since } = &mut self.phase {
                since.get_or_insert(now);
                self.order.push(slot, frame);
                self.gather(now);
            }
        } else {
            self.ask(now);
        }
    }

    /// Brings the file at hand up to what a track is now.
    fn adapt(&mut self, now: Instant, slot: Slot) {
        let track = &mut self.tracks[slot as usize];
        if !std::mem::take(&mut track.stale) {
            return;
        }
        let Some(format) = track.format.clone() else {
            return;
        };
        let Some((index, stored)) = &track.stored else {
            return;
        };
        if *stored == format {
            track.foreign = false;
            return;
        }
        let index = *index;
        // What was before the change goes before it.
        self.write(now, true);
        let Some(file) = &mut self.file else {
            return;
        };
        let fits = file.reformat(index, &format, &mut self.output);
        let track = &mut self.tracks[slot as usize];
        track.foreign = !fits;
        if fits {
            track.stored = Some((index, format));
        }
    }

    /// Ends the file at hand; the next one begins with what comes.
    fn roll(&mut self, now: Instant) {
        self.settle(now);
        if self.phase != Phase::Writing {
            return;
        }
        self.end_file();
        self.roll = None;
        self.phase = Phase::Gathering { since: None };
    }

    /// Writes what waits, in order; with `all`, everything.
    fn write(&mut self, now: Instant, all: bool) {
        if self.file.is_none() {
            return;
        }
        let expected = self.tracks.each_ref().map(|track| track.stored.is_some());
        while let Some((slot, frame)) = self.order.pop(expected, all) {
            self.put(slot, frame);
        }
        self.fill_silence();
        self.hand_over(now);
    }

    fn put(&mut self, slot: Slot, frame: Frame) {
        let track = &self.tracks[slot as usize];
        // Frames from before the beginning, or the pause, have no place.
        let Some(dts) = frame.dts.checked_sub(self.base) else {
            return;
        };
        let pts = frame.pts.saturating_sub(self.base).max(dts);
        if slot == Slot::Audio {
            // Sound that was given up as missing.
            if track.last.is_some() && dts + OVERLAP < track.end {
                return;
            }
            let missing = dts.saturating_sub(track.end);
            if track.last.is_some() && (missing > SILENCE || track.silent) {
                self.silence(dts);
            }
            self.tracks[Slot::Audio as usize].silent = false;
        }
        self.push(
            slot,
            Sample {
                data: frame.data,
                pts,
                dts,
                duration: frame.duration,
                key: frame.key,
            },
        );
    }

    fn push(&mut self, slot: Slot, mut sample: Sample) {
        let track = &mut self.tracks[slot as usize];
        let (Some(file), Some((index, _))) = (&mut self.file, &track.stored) else {
            return;
        };
        // Times of decoding only grow.
        sample.dts = sample.dts.max(track.last.map_or(0, |last| last + 1));
        sample.pts = sample.pts.max(sample.dts);
        track.last = Some(sample.dts);
        track.end = track.end.max(sample.pts + sample.duration);
        file.push(*index, &sample, &mut self.output);
    }

    /// Sound that is missing while pictures go on becomes silence in time.
    fn fill_silence(&mut self) {
        let audio = &self.tracks[Slot::Audio as usize];
        if audio.last.is_none() || self.tracks[Slot::Video as usize].stored.is_none() {
            return;
        }
        let newest = self.order.newest().saturating_sub(self.base);
        if newest > audio.end.saturating_add(SILENCE) {
            self.silence(newest - REORDER);
        }
    }

    /// Fills the sound up to a time, where its codec has a frame for silence.
    fn silence(&mut self, until: u64) {
        let track = &self.tracks[Slot::Audio as usize];
        let Some((_, format)) = &track.stored else {
            return;
        };
        if format.codec != Codec::Opus || until.saturating_sub(track.end) > MAX_SILENCE {
            return;
        }
        let stereo = format.channels >= 2;
        loop {
            let dts = self.tracks[Slot::Audio as usize].end;
            if dts + SILENT_FRAME > until {
                return;
            }
            // 20 ms of CELT that says only that it is silent (RFC 6716 section 3.1).
            let toc = if stereo { 0xfc } else { 0xf8 };
            let sample = Sample {
                data: Data::Owned(vec![toc, 0xff, 0xfe]),
                pts: dts,
                dts,
                duration: SILENT_FRAME,
                key: true,
            };
            self.push(Slot::Audio, sample);
            self.tracks[Slot::Audio as usize].silent = true;
        }
    }

    /// Writes everything that waits or is held back.
    fn settle(&mut self, now: Instant) {
        self.write(now, true);
        self.order.clear();
        self.flush(now);
    }

    fn flush(&mut self, now: Instant) {
        self.flushed = Some(now);
        if let Some(file) = &mut self.file {
            file.flush(&mut self.output);
        }
        self.hand_over(now);
    }

    fn hand_over(&mut self, now: Instant) {
        if self.file.is_none() || self.output.is_empty() {
            return;
        }
        if !self.output.append.is_empty() {
            self.flushed = Some(now);
        }
        let (append, patches) = self.output.take();
        match self.shell.write(&append, &patches) {
            Ok(()) => self.failures = 0,
            Err(Failed) => {
                let end = self.end();
                self.file = None;
                self.shell.close(end);
                self.broken(now);
            }
        }
    }

    fn end_file(&mut self) {
        let end = self.end();
        if let Some(mut file) = self.file.take() {
            file.finish(end, &mut self.output);
            let (append, patches) = self.output.take();
            // What was written before plays without the index.
            let _ = self.shell.write(&append, &patches);
            self.shell.close(end);
        }
        for track in &mut self.tracks {
            track.stored = None;
        }
    }

    fn broken(&mut self, now: Instant) {
        self.order.clear();
        for track in &mut self.tracks {
            track.stored = None;
        }
        let factor = 1 << self.failures.min(4);
        self.failures = self.failures.saturating_add(1);
        let until = now + (RETRY * factor).min(MAX_RETRY);
        self.phase = Phase::Broken { until };
    }

    /// End of what was written, in nanoseconds of the file.
    fn end(&self) -> u64 {
        let ends = self.tracks.iter().map(|track| track.end);
        ends.max().unwrap_or(0)
    }

    fn ask(&mut self, now: Instant) {
        let asked = self.asked.replace(now);
        if asked.is_some_and(|asked| now.duration_since(asked) < ASK_AGAIN) {
            self.asked = asked;
            return;
        }
        self.shell.ask_keyframe();
    }

    fn tell(&mut self, state: UriState) {
        if self.told != state {
            self.told = state;
            self.shell.state(state);
        }
    }
}

fn is_over(since: Instant, now: Instant) -> bool {
    now.duration_since(since) >= PATIENCE
}
