//! All sending peers, each in its rhythm, on one thread.

use super::LoadError;
use super::camera::{Camera, Phase};
use super::window::StampClock;
use crate::peer::Buffers;
use crate::{Burst, Pattern};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Longest time between two looks at a socket.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The same while there are connections to make.
const LOOK_SOON: Duration = Duration::from_micros(200);

/// By how much a publisher begins later than the one before it, so that they are out of step: no multiple of a frame
/// or of an audio packet.
const OUT_OF_STEP: Duration = Duration::from_micros(7_919);

/// Publishers that may wait for the thread.
const WAITING: usize = 1_024;

/// A phase that can be seen from another thread.
#[derive(Debug, Default)]
struct SharedPhase(AtomicU8);

impl SharedPhase {
    /// Every phase, in order.
    const ALL: [Phase; 4] = [
        Phase::WarmUp,
        Phase::Measured,
        Phase::Afterwards,
        Phase::Stopped,
    ];

    fn set(&self, phase: Phase) {
        self.0.store(phase as u8, Ordering::SeqCst);
    }

    fn get(&self) -> Phase {
        let index = usize::from(self.0.load(Ordering::SeqCst));
        Self::ALL.get(index).copied().unwrap_or(Phase::Stopped)
    }
}

/// The running publishers.
pub(super) struct Cameras {
    thread: Option<JoinHandle<Result<(), LoadError>>>,
    newcomers: mpsc::SyncSender<Camera>,
    phase: Arc<SharedPhase>,
}

impl Cameras {
    /// None yet.
    pub(super) fn start(pattern: &Pattern, clock: StampClock) -> Result<Self, LoadError> {
        let (newcomers, waiting) = mpsc::sync_channel(WAITING);
        let phase = Arc::new(SharedPhase::default());
        let studio = Studio {
            pattern: pattern.clone(),
            clock,
            phase: Arc::clone(&phase),
            waiting,
            buffers: Buffers::new(),
            cameras: Vec::new(),
            due: BinaryHeap::new(),
        };
        let thread = thread::Builder::new().name("cameras".into());
        Ok(Self {
            thread: Some(thread.spawn(move || studio.run())?),
            newcomers,
            phase,
        })
    }

    /// One more, which sends as soon as it is connected.
    pub(super) fn add(&self, camera: Camera) -> Result<(), LoadError> {
        self.newcomers
            .send(camera)
            .map_err(|_| LoadError::Load("the publishers have ended".into()))?;
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
        Ok(())
    }

    /// Measures from the next packets on.
    pub(super) fn begin(&self) {
        self.phase.set(Phase::Measured);
    }

    /// Goes on sending, but measures no further packets.
    pub(super) fn end(&self) {
        self.phase.set(Phase::Afterwards);
    }

    /// Stops sending.
    pub(super) fn finish(mut self) -> Result<(), LoadError> {
        self.phase.set(Phase::Stopped);
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(LoadError::Load("the publishers panicked".into())),
            None => Ok(()),
        }
    }
}

impl Drop for Cameras {
    fn drop(&mut self) {
        self.phase.set(Phase::Stopped);
    }
}

/// What the thread owns.
struct Studio {
    pattern: Pattern,
    clock: StampClock,
    phase: Arc<SharedPhase>,
    waiting: mpsc::Receiver<Camera>,
    buffers: Buffers,
    cameras: Vec<Camera>,
    /// When which camera sends next.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
}

impl Studio {
    /// Sends until told to stop.
    fn run(mut self) -> Result<(), LoadError> {
        let keyframe_bytes = self.pattern.keyframe_bytes();
        let mut shows: Vec<Option<Show>> = Vec::new();
        loop {
            if self.phase.get() >= Phase::Stopped {
                return Ok(());
            }
            self.cameras.extend(self.waiting.try_iter());
            shows.resize_with(self.cameras.len(), || None);
            let now = Instant::now();
            let mut is_connecting = false;
            for (index, (camera, show)) in self.cameras.iter_mut().zip(&mut shows).enumerate() {
                if !camera.is_connected() || camera.unseen(now) >= LOOK_EVERY {
                    camera.look(&mut self.buffers)?;
                }
                is_connecting |= !camera.is_connected();
                if camera.is_connected() && show.is_none() {
                    let bursts: Box<dyn Iterator<Item = Burst> + Send> =
                        Box::new(self.pattern.bursts());
                    let started = show.insert(Show {
                        start: now + OUT_OF_STEP * (index % 97) as u32,
                        bursts: bursts.peekable(),
                    });
                    if let Some(at) = started.next_at() {
                        self.due.push(Reverse((at, index)));
                    }
                }
            }
            while let Some(Reverse((at, index))) = self.due.peek().copied()
                && at <= Instant::now()
            {
                self.due.pop();
                let Some(show) = shows.get_mut(index).and_then(Option::as_mut) else {
                    continue;
                };
                if let Some(burst) = show.bursts.next() {
                    let phase = self.phase.get();
                    let camera = &mut self.cameras[index];
                    camera.send(&burst, keyframe_bytes, phase, self.clock, &mut self.buffers)?;
                }
                if let Some(at) = show.next_at() {
                    self.due.push(Reverse((at, index)));
                }
            }
            let look = if is_connecting { LOOK_SOON } else { LOOK_EVERY };
            let left = |at: Instant| at.saturating_duration_since(Instant::now());
            let wait = self
                .due
                .peek()
                .map_or(look, |Reverse((at, _))| left(*at).min(look));
            if !wait.is_zero() {
                thread::park_timeout(wait);
            }
        }
    }
}

/// What one camera shows.
struct Show {
    /// When it began.
    start: Instant,
    bursts: Peekable<Box<dyn Iterator<Item = Burst> + Send>>,
}

impl Show {
    /// When it goes on.
    fn next_at(&mut self) -> Option<Instant> {
        let burst = self.bursts.peek()?;
        self.start.checked_add(burst.at)
    }
}
