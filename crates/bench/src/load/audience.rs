//! The receiving peers, on threads of their own.
//!
//! Most of them are looked at every 50 ms, some each millisecond; the kernel's buffers hold what arrives in between.
//! Waiting for each datagram would make waking the receiver, on loopback, work of the server's system call, which no
//! server with receivers on other machines has. The few that measure latency are looked at often enough for that.

use super::LoadError;
use super::viewer::{Tally, Viewer};
use crate::peer::Buffers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often those are looked at that measure latency; an upper bound of what looking adds to it.
pub(super) const SAMPLE_EVERY: Duration = Duration::from_micros(200);

/// How often some of the others are looked at, and how many times that until all were.
const TICK: Duration = Duration::from_millis(1);
const TICKS: usize = 50;

/// How often those are looked at that nothing has arrived at yet.
const LOOK_SOON: Duration = Duration::from_micros(100);

/// Commands that may wait for a thread.
const WAITING: usize = 65_536;

/// Running receivers.
pub(super) struct Audience {
    /// The first is for those that measure latency.
    threads: Vec<Listener>,
    stop: Arc<AtomicBool>,
    /// Receivers so far that only count.
    counting: usize,
}

/// One thread.
struct Listener {
    thread: JoinHandle<Result<Vec<Tally>, LoadError>>,
    commands: mpsc::SyncSender<Command>,
    /// Receivers handed to it so far.
    viewers: usize,
}

enum Command {
    Add(Box<Viewer>),
    Candidate(usize, String),
}

/// One receiver, for whoever has something for it.
#[derive(Clone)]
pub(super) struct Seat {
    commands: mpsc::SyncSender<Command>,
    thread: thread::Thread,
    number: usize,
}

impl Seat {
    /// Passes a candidate of the server on.
    pub(super) fn add_candidate(&self, candidate: String) {
        // Nobody is there any more when the measurement is over.
        let _ = self
            .commands
            .send(Command::Candidate(self.number, candidate));
        self.thread.unpark();
    }
}

impl Audience {
    /// Starts `threads` threads, and one for those that measure latency.
    pub(super) fn start(threads: usize) -> Result<Self, LoadError> {
        let mut audience = Self {
            threads: Vec::new(),
            stop: Arc::new(AtomicBool::new(false)),
            counting: 0,
        };
        for index in 0..=threads.max(1) {
            let (commands, waiting) = mpsc::sync_channel(WAITING);
            let stop = Arc::clone(&audience.stop);
            let (tick, ticks) = if index == 0 {
                (SAMPLE_EVERY, 1)
            } else {
                (TICK, TICKS)
            };
            let thread = thread::Builder::new().name("audience".into());
            audience.threads.push(Listener {
                thread: thread.spawn(move || listen(&waiting, tick, ticks, &stop))?,
                commands,
                viewers: 0,
            });
        }
        Ok(audience)
    }

    /// One more receiver.
    pub(super) fn add(
        &mut self,
        viewer: Viewer,
        measures_latency: bool,
    ) -> Result<Seat, LoadError> {
        let index = if measures_latency {
            0
        } else {
            self.counting += 1;
            1 + self.counting % (self.threads.len() - 1)
        };
        let listener = &mut self.threads[index];
        let seat = Seat {
            commands: listener.commands.clone(),
            thread: listener.thread.thread().clone(),
            number: listener.viewers,
        };
        listener.viewers += 1;
        seat.commands
            .send(Command::Add(Box::new(viewer)))
            .map_err(|_| LoadError::Load("the receivers have ended".into()))?;
        seat.thread.unpark();
        Ok(seat)
    }

    /// Ends the threads and returns what all receivers counted.
    pub(super) fn finish(mut self) -> Result<Vec<Tally>, LoadError> {
        self.stop.store(true, Ordering::SeqCst);
        let mut tallies = Vec::new();
        for listener in self.threads.drain(..) {
            listener.thread.thread().unpark();
            let result = listener.thread.join();
            tallies.extend(result.map_err(|_| LoadError::Load("a receiver panicked".into()))??);
        }
        Ok(tallies)
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// One thread: looks at some receivers each `tick`, so that all were looked at after `ticks`.
fn listen(
    commands: &mpsc::Receiver<Command>,
    tick: Duration,
    ticks: usize,
    stop: &AtomicBool,
) -> Result<Vec<Tally>, LoadError> {
    let mut buffers = Buffers::new();
    let mut viewers: Vec<Viewer> = Vec::new();
    let mut fresh: Vec<usize> = Vec::new();
    let (mut turn, mut next) = (0, Instant::now());
    while !stop.load(Ordering::SeqCst) {
        for command in commands.try_iter() {
            match command {
                Command::Add(viewer) => {
                    fresh.push(viewers.len());
                    viewers.push(*viewer);
                }
                Command::Candidate(number, candidate) => {
                    if let Some(viewer) = viewers.get_mut(number) {
                        viewer.add_candidate(&candidate)?;
                    }
                }
            }
        }
        for number in &fresh {
            viewers[*number].look(&mut buffers)?;
        }
        fresh.retain(|number| viewers[*number].is_fresh());
        if next <= Instant::now() {
            for viewer in viewers.iter_mut().skip(turn).step_by(ticks) {
                viewer.look(&mut buffers)?;
            }
            turn = (turn + 1) % ticks;
            next += tick;
        }
        let mut wait = next.saturating_duration_since(Instant::now());
        if !fresh.is_empty() {
            wait = wait.min(LOOK_SOON);
        }
        if !wait.is_zero() {
            thread::park_timeout(wait);
        }
    }
    // What arrived last.
    for viewer in &mut viewers {
        viewer.look(&mut buffers)?;
    }
    Ok(viewers.into_iter().map(Viewer::into_tally).collect())
}
