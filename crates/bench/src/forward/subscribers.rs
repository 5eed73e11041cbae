//! The receiving peers, on threads of their own.
//!
//! Most of them look at their sockets every few milliseconds, as the receivers of the floor do and
//! for the same reason. A few, spread over all, look often enough to tell how late packets are.

use super::ForwardError;
use super::peer::{Buffers, Peer};
use super::tally::{Tally, Window};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use str0m::Event;

/// How often most receivers look.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often those look that measure latency; an upper bound of what looking adds to it.
pub(super) const PROBE_EVERY: Duration = Duration::from_micros(200);

/// Receivers that measure latency.
const PROBES: usize = 4;

/// Running receivers.
pub(super) struct Subscribers {
    /// One per thread.
    threads: Vec<JoinHandle<Result<Vec<Tally>, ForwardError>>>,
    /// Shared with the threads.
    shared: Arc<Shared>,
    /// How many receivers there are.
    count: usize,
}

/// What the threads and their owner share.
struct Shared {
    /// What is measured.
    window: Arc<Window>,
    /// Receivers that have seen video.
    watching: AtomicUsize,
    /// The threads shall end.
    stop: AtomicBool,
}

/// A receiver and its counters.
struct Subscriber {
    /// The peer.
    peer: Peer,
    /// What arrived.
    tally: Tally,
}

impl Subscribers {
    /// Starts to receive on `threads` threads, and on one for those that measure latency.
    pub(super) fn start(
        peers: Vec<Peer>,
        threads: usize,
        window: &Arc<Window>,
    ) -> Result<Self, ForwardError> {
        let count = peers.len();
        let mut subscribers = Self {
            threads: Vec::new(),
            shared: Arc::new(Shared {
                window: Arc::clone(window),
                watching: AtomicUsize::new(0),
                stop: AtomicBool::new(false),
            }),
            count,
        };
        // First, last and between: the server serves them one after the other.
        let step = count.div_ceil(PROBES).max(1);
        let threads = threads.max(1);
        let mut probes = Vec::new();
        let mut groups: Vec<Vec<Subscriber>> = (0..threads).map(|_| Vec::new()).collect();
        for (index, peer) in peers.into_iter().enumerate() {
            let is_probe = index.is_multiple_of(step) || index + 1 == count;
            let tally = Tally::new(is_probe);
            let group = if is_probe {
                &mut probes
            } else {
                &mut groups[index % threads]
            };
            group.push(Subscriber { peer, tally });
        }
        let groups = groups.into_iter().map(|group| (group, LOOK_EVERY));
        for (group, every) in groups.chain([(probes, PROBE_EVERY)]) {
            if group.is_empty() {
                continue;
            }
            let shared = Arc::clone(&subscribers.shared);
            let thread = thread::Builder::new().name("subscribers".into());
            subscribers
                .threads
                .push(thread.spawn(move || receive(group, every, &shared))?);
        }
        Ok(subscribers)
    }

    /// Whether every receiver has seen video.
    pub(super) fn all_watch(&self) -> bool {
        self.shared.watching.load(Ordering::SeqCst) >= self.count
    }

    /// Whether a receiver failed; [`Subscribers::finish`] says why.
    pub(super) fn has_failed(&self) -> bool {
        self.threads.iter().any(JoinHandle::is_finished)
    }

    /// Ends the threads and returns the counters of all receivers.
    pub(super) fn finish(mut self) -> Result<Vec<Tally>, ForwardError> {
        self.stop();
        let mut tallies = Vec::new();
        for thread in self.threads.drain(..) {
            let result = thread
                .join()
                .map_err(|_| ForwardError::Peer("a receiving thread panicked".into()))?;
            tallies.extend(result?);
        }
        Ok(tallies)
    }

    /// Tells the threads to end.
    fn stop(&self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.threads
            .iter()
            .for_each(|thread| thread.thread().unpark());
    }
}

impl Drop for Subscribers {
    fn drop(&mut self) {
        self.stop();
    }
}

/// One thread.
fn receive(
    mut subscribers: Vec<Subscriber>,
    every: Duration,
    shared: &Shared,
) -> Result<Vec<Tally>, ForwardError> {
    let mut buffers = Buffers::new();
    while !shared.stop.load(Ordering::SeqCst) {
        for Subscriber { peer, tally } in &mut subscribers {
            let watched = tally.has_video();
            peer.run(&mut buffers, |event| {
                // Everything but packets is of no interest here.
                if let Event::RtpPacket(packet) = event {
                    tally.count(&shared.window, &packet.payload);
                }
            })?;
            if !watched && tally.has_video() {
                shared.watching.fetch_add(1, Ordering::SeqCst);
            }
        }
        thread::park_timeout(every);
    }
    Ok(subscribers.into_iter().map(|one| one.tally).collect())
}
