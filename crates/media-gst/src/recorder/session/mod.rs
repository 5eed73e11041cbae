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

mod store;
#[cfg(test)]
mod tests;

use super::format::Format;
use super::mux::{self, Container, Data, Muxer, Output};
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
    /// Appends to it, then writes over parts of it; `end` is how long it is then, in nanoseconds.
    fn write(&mut self, append: &[u8], patches: &[(u64, Vec<u8>)], end: u64) -> Result<(), Failed>;
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
