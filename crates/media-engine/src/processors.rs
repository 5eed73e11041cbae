//! Media processors: child processes that the pipelines of all shards get one each of, and the thread that looks
//! after them.
//!
//! ```text
//! shard ─ Desk ─▶ mailbox ─▶ supervisor ─ fd 3, JSON lines ─▶ salono-processor
//!   ▲               ◀─ inbox of the shard ◀─┘                        │
//!   └───────────────── media socket, fd 4 ───────────────────────────┘
//! ```
//!
//! Everything that may wait is done by the supervisor: starting programs, collecting them, writing to them. A shard
//! leaves requests in a queue and is woken for news; only media goes between it and the processor directly.
//!
//! A processor is not trusted, since it handles what strangers send. It is ended when it
//! breaks the rules of [`bridge`](salono_media_api::processing::bridge), floods, takes no commands, or no longer answers.
//! It ends with this process, however that ends.

mod child;
mod config;
mod desk;
mod lines;
mod log;
mod probe;
mod program;
mod supervisor;

use crate::mailbox::{Mailbox, Room};
use child::Owner;
pub use config::{ProcessorConfig, ProcessorMetrics};
pub(crate) use desk::Desk;
pub use probe::{Probe, probe};
pub use program::{NAME, PACKAGES, find, plugin_path};
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use supervisor::Supervisor;

/// Requests that may wait for the supervisor. It only moves them on; so many means that it does not run.
const REQUESTS: usize = 65_536;

/// News that may wait for a shard; while it is full, the supervisor reads nothing more for that shard.
const NEWS: usize = 4_096;

/// One use of one processor by one pipeline; never comes again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attachment(u64);

/// What shards ask of the supervisor.
#[derive(Debug)]
enum Request {
    /// A processor, for this owner.
    Attach(Owner),
    /// Tell it something.
    Tell(Attachment, Box<BridgeCommand>),
    /// Let it finish.
    Detach(Attachment),
    /// Its media socket is of no use any more, for this reason.
    Abandon(Attachment, String),
}

/// What shards learn.
#[derive(Debug)]
enum News {
    /// It waits for commands; this is its media socket.
    Attached(OwnedFd),
    /// It says something.
    Heard(Box<BridgeEvent>),
    /// It ended by itself, or had to be ended.
    Lost(String),
    /// None can be had.
    Unavailable(String),
}

/// Where the news for one shard arrive.
type Inbox = Mailbox<(Attachment, News)>;

/// What the shards and the engine hold of the supervisor.
#[derive(Debug)]
pub(crate) struct Processors {
    config: Arc<ProcessorConfig>,
    requests: Arc<Mailbox<Request>>,
    /// Runs from the first need on.
    thread: Mutex<Option<JoinHandle<()>>>,
    metrics: Arc<Mutex<ProcessorMetrics>>,
    attachments: AtomicU64,
}

impl Processors {
    /// Starts nothing but, if processors are to be kept ready, the thread that will.
    pub(crate) fn new(config: ProcessorConfig) -> io::Result<Self> {
        let processors = Self {
            config: Arc::new(config),
            requests: Arc::new(Mailbox::new(REQUESTS)?),
            thread: Mutex::default(),
            metrics: Arc::default(),
            attachments: AtomicU64::new(0),
        };
        if processors.config.warm > 0 {
            processors.run()?;
        }
        Ok(processors)
    }

    /// Counters now.
    pub(crate) fn metrics(&self) -> ProcessorMetrics {
        *self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets all processors finish, ends those that do not, and the thread.
    pub(crate) fn stop(&self) {
        self.requests.close();
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the supervisor of processors ended by a panic");
        }
    }

    /// Asks for something; false when nobody takes it any more.
    fn ask(&self, request: Request) -> bool {
        self.requests.room_for(1) == Room::Free && self.requests.push(request).is_ok()
    }

    fn next_attachment(&self) -> Attachment {
        Attachment(self.attachments.fetch_add(1, Ordering::Relaxed))
    }

    /// Makes sure that the thread runs.
    fn run(&self) -> io::Result<()> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if thread.is_none() {
            let supervisor = Supervisor::new(
                Arc::clone(&self.config),
                Arc::clone(&self.requests),
                Arc::clone(&self.metrics),
            )?;
            let body = move || supervisor.run();
            // Children end when the thread that started them does, so there is only one.
            *thread = Some(
                thread::Builder::new()
                    .name("processors".to_owned())
                    .spawn(body)?,
            );
        }
        Ok(())
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
