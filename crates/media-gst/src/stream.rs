//! Buffers from one publisher to any number of takers.
//!
//! A stream is where media leaves one pipeline and enters others. Its buffers have their timestamps on the
//! common [`Timebase`](crate::timebase::Timebase); encoded ones are whole frames, and those that are no keyframes have
//! [`gst::BufferFlags::DELTA_UNIT`]. Takers run in the publisher's thread and must not wait: they put what they get into
//! an `appsrc` that leaks ([`Entry`]), or a queue of their own.
//!
//! A new taker of encoded pictures gets nothing before a keyframe, which the stream asks the publisher for until one comes.
//! Who comes while a stream [begins](Stream::begin) gets it from its first buffer on: nobody can take what is not known yet.

use gstreamer as gst;
use gstreamer_app::AppSrc;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Takers of one stream.
pub const MAX_TAKERS: usize = 4096;

/// A keyframe is asked for again after this long without one.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// So often; then at the slow pace.
const ASK_OFTEN: u32 = 20;

/// The slow pace.
const ASK_SLOWLY: Duration = Duration::from_secs(5);

/// Wishes for keyframes that come closer to each other than this are one.
const ASK_APART: Duration = Duration::from_millis(200);

/// One thing that a taker gets.
#[derive(Debug, Clone, Copy)]
pub enum Item<'a> {
    /// A buffer and what it is.
    Buffer {
        /// Its caps; the same object until they change.
        caps: &'a gst::Caps,
        /// With its timestamp in running time.
        buffer: &'a gst::Buffer,
    },
    /// The publisher has come to its end. It may begin again.
    End,
}

/// Buffers that are kept of a beginning, and their bytes. One that is longer is not kept at all: a part of it is of no use.
const MAX_BEGINNING: usize = 128;
const MAX_BEGINNING_BYTES: usize = 64 * 1024 * 1024;

type Take = Box<dyn FnMut(Item<'_>) + Send>;
type Ask = Box<dyn Fn() + Send + Sync>;

/// A stream; clones are the same one.
#[derive(Clone)]
pub struct Stream {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    /// How the publisher is asked for a keyframe.
    ask: Mutex<Option<Arc<Ask>>>,
}

#[derive(Default)]
struct State {
    caps: Option<gst::Caps>,
    takers: BTreeMap<u64, Taker>,
    next: u64,
    /// What came since the stream began, while others still learn that it did.
    beginning: Option<Beginning>,
    published: Option<Instant>,
    asked: Option<Instant>,
    /// Wishes in a row without a keyframe in between.
    unanswered: u32,
}

struct Taker {
    take: Take,
    waits: bool,
}

impl Taker {
    /// Hands a buffer over; false when it has to wait for a keyframe.
    fn give(&mut self, caps: &gst::Caps, buffer: &gst::Buffer) -> bool {
        let is_delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        if self.waits && is_delta {
            return false;
        }
        self.waits = false;
        (self.take)(Item::Buffer { caps, buffer });
        true
    }
}

#[derive(Default)]
struct Beginning {
    buffers: Vec<(gst::Caps, gst::Buffer)>,
    bytes: usize,
}

impl Beginning {
    /// One more; false when there is no room for it.
    fn keep(&mut self, caps: &gst::Caps, buffer: &gst::Buffer) -> bool {
        self.bytes += buffer.size();
        if self.buffers.len() >= MAX_BEGINNING || self.bytes > MAX_BEGINNING_BYTES {
            return false;
        }
        self.buffers.push((caps.clone(), buffer.clone()));
        true
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Stream")
            .field("caps", &state.caps)
            .field("takers", &state.takers.len())
            .finish_non_exhaustive()
    }
}

impl Default for Stream {
    fn default() -> Self {
        Self::new()
    }
}

impl Stream {
    /// Without a publisher as yet.
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                state: Mutex::default(),
                ask: Mutex::default(),
            }),
        }
    }

    /// Says how the publisher is asked for a keyframe; any thread may ask.
    pub fn on_keyframe_wish(&self, ask: impl Fn() + Send + Sync + 'static) {
        let ask: Ask = Box::new(ask);
        *self.lock_ask() = Some(Arc::new(ask));
    }

    /// Hands a buffer to all takers. Its timestamp is in running time.
    pub fn publish(&self, caps: &gst::Caps, buffer: &gst::Buffer) {
        let is_delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let mut state = self.lock();
        let now = Instant::now();
        state.published = Some(now);
        if state.caps.as_ref() != Some(caps) {
            state.caps = Some(caps.clone());
        }
        let State {
            caps,
            takers,
            beginning,
            ..
        } = &mut *state;
        let caps = caps.as_ref().expect("set above");
        beginning.take_if(|beginning| !beginning.keep(caps, buffer));
        let mut waiting = false;
        for taker in takers.values_mut() {
            waiting |= !taker.give(caps, buffer);
        }
        if !is_delta {
            state.unanswered = 0;
        }
        if waiting {
            self.ask(state, ASK_AGAIN);
        }
    }

    /// Tells all takers that the publisher has come to its end.
    pub fn end(&self) {
        let mut state = self.lock();
        state.published = None;
        for taker in state.takers.values_mut() {
            (taker.take)(Item::End);
        }
    }

    /// Begins to take. `take` runs in the publisher's thread, must not wait, and must neither take from
    /// nor drop anything of this stream. `None` when there are too many takers.
    pub fn take(&self, take: impl FnMut(Item<'_>) + Send + 'static) -> Option<Tap> {
        let mut state = self.lock();
        if state.takers.len() >= MAX_TAKERS {
            return None;
        }
        let key = state.next;
        state.next += 1;
        let mut taker = Taker {
            take: Box::new(take),
            waits: state.caps.as_ref().is_none_or(is_encoded_video),
        };
        for (caps, buffer) in state.beginning.iter().flat_map(|began| &began.buffers) {
            taker.give(caps, buffer);
        }
        let waits = taker.waits;
        state.takers.insert(key, taker);
        state.unanswered = 0;
        if state.caps.is_some() && waits {
            self.ask(state, ASK_APART);
        }
        Some(Tap {
            stream: Arc::downgrade(&self.inner),
            key,
        })
    }

    /// What is published from now on is kept for those who come before [`Stream::begun`].
    pub(crate) fn begin(&self) {
        self.lock().beginning = Some(Beginning::default());
    }

    /// Everybody knows by now what is published.
    pub(crate) fn begun(&self) {
        let beginning = self.lock().beginning.take();
        // Its buffers are freed outside of the lock.
        drop(beginning);
    }

    /// Whether what is published is kept.
    pub(crate) fn begins(&self) -> bool {
        self.lock().beginning.is_some()
    }

    /// Asks the publisher for a keyframe, unless that was done just now.
    pub fn want_keyframe(&self) {
        let mut state = self.lock();
        state.unanswered = 0;
        self.ask(state, ASK_APART);
    }

    /// What is published; none before the first buffer.
    pub fn caps(&self) -> Option<gst::Caps> {
        self.lock().caps.clone()
    }

    /// When something was published last; none before, and after the end.
    pub fn published(&self) -> Option<Instant> {
        self.lock().published
    }

    /// How many take.
    pub fn takers(&self) -> usize {
        self.lock().takers.len()
    }

    fn ask(&self, mut state: MutexGuard<'_, State>, apart: Duration) {
        let now = Instant::now();
        let apart = if state.unanswered < ASK_OFTEN {
            apart
        } else {
            ASK_SLOWLY
        };
        if state
            .asked
            .is_some_and(|asked| now.duration_since(asked) < apart)
        {
            return;
        }
        state.asked = Some(now);
        state.unanswered = state.unanswered.saturating_add(1);
        drop(state);
        let ask = self.lock_ask().clone();
        if let Some(ask) = ask {
            ask();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_ask(&self) -> MutexGuard<'_, Option<Arc<Ask>>> {
        self.inner
            .ask
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Pictures that depend on each other.
fn is_encoded_video(caps: &gst::Caps) -> bool {
    caps.structure(0).is_some_and(|structure| {
        let name = structure.name();
        name.starts_with("video/") && name != "video/x-raw"
    })
}

/// Taking from a stream; ends when it is dropped.
#[must_use = "taking ends when it is dropped"]
pub struct Tap {
    stream: Weak<Inner>,
    key: u64,
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("key", &self.key).finish()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        let Some(inner) = self.stream.upgrade() else {
            return;
        };
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let taker = state.takers.remove(&self.key);
        drop(state);
        // What the taker holds is dropped outside of the lock.
        drop(taker);
    }
}

/// Puts what a stream has into an `appsrc`, caps first whenever they change.
#[derive(Debug)]
pub struct Entry {
    source: AppSrc,
    caps: Option<gst::Caps>,
}

impl Entry {
    /// Into this source, which should leak.
    pub fn new(source: AppSrc) -> Self {
        Self { source, caps: None }
    }

    /// Puts in a buffer. The end of a stream is not put in: another publisher may follow.
    pub fn put(&mut self, item: Item<'_>) {
        match item {
            Item::Buffer { caps, buffer } => {
                if self.caps.as_ref() != Some(caps) {
                    self.source.set_caps(Some(caps));
                    self.caps = Some(caps.clone());
                    self.put_headers(caps);
                }
                // A pipeline that has failed or is being ended takes nothing; its owner knows.
                let _ = self.source.push_buffer(buffer.clone());
            }
            Item::End => {}
        }
    }

    /// Speex is the one codec whose decoder and payloader count on headers in band, which have no time
    /// and so are not published.
    fn put_headers(&self, caps: &gst::Caps) {
        let fields = caps.structure(0);
        let Some(fields) = fields.filter(|fields| fields.name() == "audio/x-speex") else {
            return;
        };
        let Ok(headers) = fields.get::<gst::ArrayRef<'_>>("streamheader") else {
            return;
        };
        for header in headers.iter() {
            if let Ok(header) = header.get::<gst::Buffer>() {
                let _ = self.source.push_buffer(header);
            }
        }
    }
}

/// The buffer of a sample with its timestamps in running time, and its caps. `None` for what lies outside of the
/// segment or has no time.
pub fn to_running_time(sample: &gst::Sample) -> Option<(gst::Caps, gst::Buffer)> {
    let caps = sample.caps_owned()?;
    let mut buffer = sample.buffer_owned()?;
    let segment = sample.segment()?.downcast_ref::<gst::ClockTime>()?;
    let pts = buffer.pts().map(|pts| segment.to_running_time(pts));
    let dts = buffer.dts().map(|dts| segment.to_running_time(dts));
    let pts = match (pts, dts) {
        (Some(pts), _) => pts?,
        (None, Some(dts)) => dts?,
        (None, None) => return None,
    };
    if buffer.pts() != Some(pts) || buffer.dts() != dts.flatten() {
        let buffer = buffer.make_mut();
        buffer.set_pts(pts);
        buffer.set_dts(dts.flatten());
    }
    Some((caps, buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn buffer(delta: bool) -> gst::Buffer {
        let mut buffer = gst::Buffer::new();
        let flags = buffer.get_mut().unwrap();
        if delta {
            flags.set_flags(gst::BufferFlags::DELTA_UNIT);
        }
        buffer
    }

    #[test]
    fn a_taker_begins_with_a_keyframe_that_was_asked_for() {
        gst::init().unwrap();
        let (asked, got) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let stream = Stream::new();
        let count = Arc::clone(&asked);
        stream.on_keyframe_wish(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let caps = gst::Caps::new_empty_simple("video/x-vp8");
        stream.publish(&caps, &buffer(true));
        let count = Arc::clone(&got);
        let tap = stream.take(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        stream.publish(&caps, &buffer(true));
        assert_eq!(got.load(Ordering::Relaxed), 0);
        stream.publish(&caps, &buffer(false));
        stream.publish(&caps, &buffer(true));
        assert_eq!(got.load(Ordering::Relaxed), 2);
        drop(tap);
        stream.publish(&caps, &buffer(false));
        assert_eq!(got.load(Ordering::Relaxed), 2);
        assert_eq!(stream.takers(), 0);
    }

    #[test]
    fn who_comes_while_a_stream_begins_gets_it_from_its_beginning() {
        gst::init().unwrap();
        let stream = Stream::new();
        let caps = gst::Caps::new_empty_simple("video/x-vp8");
        stream.begin();
        for delta in [false, true, true] {
            stream.publish(&caps, &buffer(delta));
        }
        let count = || {
            let got = Arc::new(AtomicU32::new(0));
            let counted = Arc::clone(&got);
            let tap = stream.take(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            });
            (got, tap)
        };
        let (early, _tap) = count();
        assert_eq!(early.load(Ordering::Relaxed), 3);
        stream.publish(&caps, &buffer(true));
        assert_eq!(early.load(Ordering::Relaxed), 4);
        stream.begun();
        let (late, _tap) = count();
        stream.publish(&caps, &buffer(true));
        assert_eq!(late.load(Ordering::Relaxed), 0);
        // One that is too long is not kept in part.
        stream.begin();
        for number in 0..=MAX_BEGINNING {
            stream.publish(&caps, &buffer(number > 0));
        }
        assert!(!stream.begins());
    }

    #[test]
    fn sound_is_taken_from_the_first_buffer_on() {
        gst::init().unwrap();
        let got = Arc::new(AtomicU32::new(0));
        let stream = Stream::new();
        let count = Arc::clone(&got);
        let _tap = stream.take(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let caps = gst::Caps::new_empty_simple("audio/x-opus");
        stream.publish(&caps, &buffer(false));
        assert_eq!(got.load(Ordering::Relaxed), 1);
    }
}
