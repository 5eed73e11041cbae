//! The thread of a recorder: takes frames from a bounded queue, and writes.
//!
//! Whoever delivers frames ([`Feed`]) never waits: what the queue has no room for, because the disk is slow or stuck, is dropped
//! and reported. Orders ([`Worker`]) always find room, and are carried out between the frames that came before and after them.

use super::format::Format;
use super::mux::Data;
use super::session::{Failed, Frame, Session, Shell, Slot, TICK};
use super::storage::{Storage, open_error, slow_error, write_error};
use crate::recorder::mux::Container;
use gstreamer as gst;
use salono_media_api::processing::{ProcessorError, UriState};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of frames that may wait for the thread.
const MAX_BYTES: usize = 32 * 1024 * 1024;

/// Frames that may wait for the thread: some 30 s.
const MAX_FRAMES: usize = 4096;

/// The thread is woken before its time when so much waits.
const WAKE_BYTES: usize = 4 * 1024 * 1024;

/// A file is brought to the disk this often.
const SYNC_EVERY: Duration = Duration::from_secs(10);

/// How far a file is, is reported this often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Dropped frames are reported this often.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Running times beyond this, ten years, are none; in nanoseconds.
const MAX_TIME: u64 = 10 * 365 * 86_400 * 1_000_000_000;

/// Frames last a minute at most; in nanoseconds.
const MAX_DURATION: u64 = 60 * 1_000_000_000;

/// A file that was opened.
pub struct Opened {
    /// Its bytes.
    pub storage: Box<dyn Storage>,
    /// How it is called in events.
    pub uri: String,
    /// Where it stays; none when it goes on from here.
    pub path: Option<PathBuf>,
}

/// How far a file is that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Growing {
    /// How it is called in events.
    pub uri: String,
    /// Where it stays; none when it goes on from here.
    pub path: Option<PathBuf>,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Size.
    pub bytes: u64,
}

/// Where the files of a recording go.
pub trait Target: Send {
    /// Opens the next one; the first one is number 1.
    fn open(&mut self, segment: u32) -> io::Result<Opened>;
    /// One is finished and closed.
    fn finished(&mut self, uri: &str, duration_ms: u64, bytes: u64);
}

/// What a recording reports.
#[derive(Debug)]
pub enum Report {
    /// The state changed.
    State(UriState),
    /// Something went wrong.
    Error(ProcessorError),
    /// The number of the file that is open now, or how the recording goes on.
    Progress {
        /// Files so far.
        segments: u32,
        /// Under way, paused, or ended.
        state: UriState,
    },
    /// The file that is open has grown.
    Grown(Growing),
    /// Everything is written.
    Ended,
}

type Reporter = Box<dyn FnMut(Report) + Send>;
type Asker = Box<dyn FnMut() + Send>;

enum Message {
    Frame(Slot, gst::Caps, gst::Buffer),
    Link(Slot, bool),
    Lost(Slot),
    Record,
    Pause,
    Stop,
}

#[derive(Default)]
struct Queue {
    messages: VecDeque<Message>,
    frames: usize,
    bytes: usize,
    /// Of each track, since the last report.
    dropped: u64,
    /// The track must be told that frames are missing, once there is room again.
    lost: [bool; 2],
    awake: bool,
    closed: bool,
    /// Dropped by the thread when it ends.
    keep: Vec<Box<dyn std::any::Any + Send>>,
    /// Frames are of use: a recording is under way.
    wanted: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn order(&self, message: Message) {
        let mut queue = self.lock();
        queue.wanted |= matches!(message, Message::Record);
        queue.messages.push_back(message);
        queue.awake = true;
        drop(queue);
        self.wake.notify_one();
    }
}

/// Orders to the thread. When it is dropped, the recording is stopped and its files are finished.
pub struct Worker {
    shared: Arc<Shared>,
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").finish_non_exhaustive()
    }
}

/// What a thread is made with.
pub struct Setup {
    /// Kind of files.
    pub container: Container,
    /// Where they go.
    pub target: Box<dyn Target>,
    /// Files that there are from before.
    pub segments: u32,
    /// Gets the reports, in the thread.
    pub report: Reporter,
    /// Asks the source of pictures for a keyframe, from the thread.
    pub ask_keyframe: Asker,
}

impl Worker {
    /// Starts a thread.
    pub fn start(setup: Setup) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let queue = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || run(&queue, setup))?;
        Ok(Self { shared })
    }

    /// Starts, or goes on after a pause.
    pub fn record(&self) {
        self.shared.order(Message::Record);
    }

    /// Halts.
    pub fn pause(&self) {
        self.shared.order(Message::Pause);
    }

    /// Ends; [`Report::Ended`] says when that is done.
    pub fn stop(&self) {
        self.shared.order(Message::Stop);
    }

    /// Ends as by dropping it; `keep` is dropped when everything is written.
    pub fn end(self, keep: impl Send + 'static) {
        self.shared.lock().keep.push(Box::new(keep));
    }

    /// A source was connected or disconnected.
    pub fn link(&self, slot: Slot, linked: bool) {
        self.shared.order(Message::Link(slot, linked));
    }

    /// The way for the frames of a track.
    pub fn feed(&self, slot: Slot) -> Feed {
        Feed {
            shared: Arc::clone(&self.shared),
            slot,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        drop(queue);
        self.shared.wake.notify_one();
    }
}

/// Delivers the frames of a track, from any thread, without waiting.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    slot: Slot,
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feed").field("slot", &self.slot).finish()
    }
}

impl Feed {
    /// Delivers a frame with its times in running time, in the form that the codec's
    /// [`parser`](super::format::Codec::parser) makes.
    pub fn put(&self, caps: &gst::Caps, buffer: &gst::Buffer) {
        let mut queue = self.shared.lock();
        if !queue.wanted {
            return;
        }
        let size = buffer.size();
        let slot = self.slot;
        if queue.frames >= MAX_FRAMES || queue.bytes + size > MAX_BYTES {
            queue.dropped += 1;
            queue.lost[slot as usize] = true;
            return;
        }
        if std::mem::take(&mut queue.lost[slot as usize]) {
            queue.messages.push_back(Message::Lost(slot));
        }
        queue.frames += 1;
        queue.bytes += size;
        let frame = Message::Frame(slot, caps.clone(), buffer.clone());
        queue.messages.push_back(frame);
        // Otherwise the thread looks by itself, many times a second: waking it for every frame costs more than the frame.
        if queue.bytes > WAKE_BYTES && !queue.awake {
            queue.awake = true;
            drop(queue);
            self.shared.wake.notify_one();
        }
    }
}

fn run(shared: &Shared, setup: Setup) {
    let files = Files {
        target: setup.target,
        open: None,
        segments: setup.segments,
        failing: false,
        report: setup.report,
        ask_keyframe: setup.ask_keyframe,
    };
    let mut session = Session::new(setup.container, files);
    let mut caps: [Option<gst::Caps>; 2] = [None, None];
    let mut reported: Option<Instant> = None;
    let mut messages = VecDeque::new();
    loop {
        let closed = wait(shared, session.is_running(), &mut messages);
        let now = Instant::now();
        for message in messages.drain(..) {
            match message {
                Message::Frame(slot, described, buffer) => {
                    let known = &mut caps[slot as usize];
                    if known.as_ref() != Some(&described) {
                        if let Some(format) = Format::from_caps(&described) {
                            session.format(slot, format);
                        }
                        *known = Some(described);
                    }
                    if let Some(frame) = frame(buffer, slot) {
                        session.sample(now, slot, frame);
                    }
                }
                Message::Link(slot, linked) => session.link(slot, linked),
                Message::Lost(slot) => session.lost(slot),
                Message::Record => {
                    session.record(now);
                }
                Message::Pause => {
                    session.pause(now);
                }
                Message::Stop => {
                    let first = !session.is_finished();
                    session.stop(now);
                    if first {
                        (session.shell().report)(Report::Ended);
                    }
                }
            }
        }
        if closed {
            let first = !session.is_finished();
            session.stop(now);
            if first {
                (session.shell().report)(Report::Ended);
            }
            return;
        }
        session.tick(now);
        if reported.is_none_or(|at| now.duration_since(at) >= REPORT_EVERY) {
            let dropped = std::mem::take(&mut shared.lock().dropped);
            if dropped > 0 && session.is_running() {
                reported = Some(now);
                let shell = session.shell();
                let uri = shell.open.as_ref().map_or("", |open| &open.file.uri);
                let error = slow_error(uri, dropped);
                (shell.report)(Report::Error(error));
            }
        }
        session.shell().tell(now);
        session.shell().sync(now);
    }
}

/// Waits for orders, or for its time while there is something to do; takes what came. True when nobody gives orders any more.
fn wait(shared: &Shared, busy: bool, messages: &mut VecDeque<Message>) -> bool {
    let mut queue = shared.lock();
    if !queue.awake && !queue.closed {
        queue.wanted = busy;
        queue = if busy {
            let waited = shared.wake.wait_timeout(queue, TICK);
            waited.unwrap_or_else(PoisonError::into_inner).0
        } else {
            let waited = shared
                .wake
                .wait_while(queue, |queue| !queue.awake && !queue.closed);
            waited.unwrap_or_else(PoisonError::into_inner)
        };
    }
    queue.awake = false;
    queue.frames = 0;
    queue.bytes = 0;
    std::mem::swap(&mut queue.messages, messages);
    queue.closed
}

fn frame(buffer: gst::Buffer, slot: Slot) -> Option<Frame> {
    let pts = buffer.pts().or(buffer.dts())?.nseconds();
    if pts > MAX_TIME {
        return None;
    }
    let dts = buffer.dts().map_or(pts, |dts| dts.nseconds()).min(pts);
    let duration = buffer.duration().map_or(0, |duration| duration.nseconds());
    let duration = duration.min(MAX_DURATION);
    let flags = buffer.flags();
    if flags.contains(gst::BufferFlags::HEADER) && slot == Slot::Audio && duration == 0 {
        // Headers of Vorbis and Speex are in the description already.
        return None;
    }
    let key = slot == Slot::Audio || !flags.contains(gst::BufferFlags::DELTA_UNIT);
    let data = Data::Mapped(buffer.into_mapped_buffer_readable().ok()?);
    Some(Frame {
        pts,
        dts,
        duration,
        key,
        data,
    })
}

/// The files of a recording, on a [`Target`].
struct Files {
    target: Box<dyn Target>,
    open: Option<Open>,
    segments: u32,
    /// The last attempt to write failed, and that was said.
    failing: bool,
    report: Reporter,
    ask_keyframe: Asker,
}

struct Open {
    file: Opened,
    written: u64,
    /// How long it is, in nanoseconds.
    length: u64,
    /// When that was said last, and how much was written then.
    told: (Instant, u64),
    synced: Instant,
    /// Something was written since.
    dirty: bool,
}

impl Files {
    fn fail(&mut self, error: ProcessorError) {
        if !std::mem::replace(&mut self.failing, true) {
            (self.report)(Report::Error(error));
        }
    }

    /// Says how far the file is.
    fn tell(&mut self, now: Instant) {
        let Some(open) = &mut self.open else {
            return;
        };
        let (at, written) = open.told;
        if open.written == written || now.duration_since(at) < TELL_EVERY {
            return;
        }
        open.told = (now, open.written);
        (self.report)(Report::Grown(Growing {
            uri: open.file.uri.clone(),
            path: open.file.path.clone(),
            duration_ms: open.length / 1_000_000,
            bytes: open.written,
        }));
    }

    fn sync(&mut self, now: Instant) {
        let Some(open) = &mut self.open else {
            return;
        };
        if open.dirty && now.duration_since(open.synced) >= SYNC_EVERY {
            open.synced = now;
            open.dirty = false;
            if let Err(error) = open.file.storage.sync() {
                let error = write_error(&open.file.uri, &error);
                self.fail(error);
            }
        }
    }
}

impl Shell for Files {
    fn open(&mut self) -> Result<(), Failed> {
        self.segments += 1;
        match self.target.open(self.segments) {
            Ok(file) => {
                let now = Instant::now();
                (self.report)(Report::Grown(Growing {
                    uri: file.uri.clone(),
                    path: file.path.clone(),
                    duration_ms: 0,
                    bytes: 0,
                }));
                self.open = Some(Open {
                    file,
                    written: 0,
                    length: 0,
                    told: (now, 0),
                    synced: now,
                    dirty: false,
                });
                (self.report)(Report::Progress {
                    segments: self.segments,
                    state: UriState::Start,
                });
                Ok(())
            }
            Err(error) => {
                self.segments -= 1;
                self.fail(open_error("the recording cannot be opened", &error));
                Err(Failed)
            }
        }
    }

    fn write(&mut self, append: &[u8], patches: &[(u64, Vec<u8>)], end: u64) -> Result<(), Failed> {
        let Some(open) = &mut self.open else {
            return Err(Failed);
        };
        let storage = &mut open.file.storage;
        let mut result = storage.append(append);
        if result.is_ok() {
            open.written += append.len() as u64;
            open.dirty = true;
            result = patches
                .iter()
                .try_for_each(|(offset, bytes)| storage.patch(*offset, bytes));
        }
        match result {
            Ok(()) => {
                open.length = end;
                self.failing = false;
                Ok(())
            }
            Err(error) => {
                // A piece that is there in part only is worse than none.
                let _ = storage.truncate(open.written);
                let error = write_error(&open.file.uri, &error);
                self.fail(error);
                Err(Failed)
            }
        }
    }

    fn close(&mut self, duration: u64) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        if let Err(error) = open.file.storage.sync() {
            let error = write_error(&open.file.uri, &error);
            self.fail(error);
        }
        let Opened { storage, uri, .. } = open.file;
        drop(storage);
        self.target
            .finished(&uri, duration / 1_000_000, open.written);
    }

    fn ask_keyframe(&mut self) {
        (self.ask_keyframe)();
    }

    fn state(&mut self, state: UriState) {
        (self.report)(Report::State(state));
        (self.report)(Report::Progress {
            segments: self.segments,
            state,
        });
    }
}
