//! Commands on their way to a shard: bounded, lossless, in order.
//!
//! The sender sees when the queue is full. The shard looks into it only after it was rung, so a
//! pass that only moves packets takes no lock.

use crate::os::Waker;
use salono_media_api::Command;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The queue of one shard.
#[derive(Debug)]
pub(crate) struct Mailbox {
    /// What waits, and whether more may come.
    queue: Mutex<Queue>,
    /// Most commands that may wait.
    capacity: usize,
    /// Whether the waker was rung since the shard last looked; saves a system call per command.
    rung: AtomicBool,
    /// Makes the shard look.
    waker: Waker,
}

/// The inside of the queue.
#[derive(Debug, Default)]
struct Queue {
    /// In order of submission.
    commands: VecDeque<Command>,
    /// Nothing more is accepted.
    closed: bool,
}

/// What the shard finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Commands remain.
    pub(crate) more: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl Mailbox {
    /// An empty queue for at most `capacity` commands, at least one.
    pub(crate) fn new(capacity: usize) -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::default(),
            capacity: capacity.max(1),
            rung: AtomicBool::new(false),
            waker: Waker::new()?,
        })
    }

    /// Appends a command, or gives it back when the queue is full or closed.
    pub(crate) fn push(&self, command: Command) -> Result<(), Box<Command>> {
        {
            let mut queue = self.lock();
            if queue.closed || queue.commands.len() >= self.capacity {
                return Err(Box::new(command));
            }
            queue.commands.push_back(command);
        }
        self.ring();
        Ok(())
    }

    /// Accepts nothing more; what waits is still delivered.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ring();
    }

    /// Whether [`Mailbox::take`] would find something new.
    pub(crate) fn is_rung(&self) -> bool {
        self.rung.load(Ordering::SeqCst)
    }

    /// Moves up to `most` commands to the end of `into`.
    pub(crate) fn take(&self, most: usize, into: &mut VecDeque<Command>) -> Left {
        // First the bell, then the queue: a command that comes in between rings again or is found.
        self.waker.acknowledge();
        self.rung.store(false, Ordering::SeqCst);
        let mut queue = self.lock();
        let count = most.min(queue.commands.len());
        into.extend(queue.commands.drain(..count));
        Left {
            more: !queue.commands.is_empty(),
            closed: queue.closed,
        }
    }

    /// Rings unless the shard has yet to look.
    fn ring(&self) {
        if !self.rung.swap(true, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The queue; a panic elsewhere leaves it whole, as no operation on it can stop half-way.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Mailbox {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Poller, Ready};
    use salono_media_api::{Op, PipelineKey};
    use std::time::Duration;

    fn command(pipeline: u64) -> Command {
        Command {
            pipeline: PipelineKey(pipeline),
            op: Op::CreatePipeline,
        }
    }

    fn rings(mailbox: &Mailbox) -> bool {
        let poller = Poller::new().unwrap();
        poller.add(mailbox, 1).unwrap();
        let mut ready = Ready::new();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        ready.tokens().count() > 0
    }

    #[test]
    fn full_queue_gives_the_command_back_and_keeps_the_others() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!(mailbox.push(command(1)), Ok(()));
        assert_eq!(mailbox.push(command(2)), Ok(()));
        assert_eq!(mailbox.push(command(3)), Err(Box::new(command(3))));
        let mut taken = VecDeque::new();
        mailbox.take(10, &mut taken);
        assert_eq!(taken, [command(1), command(2)]);
        assert_eq!(mailbox.push(command(3)), Ok(()));
    }

    #[test]
    fn bell_rings_once_until_the_shard_looks() {
        let mailbox = Mailbox::new(8).unwrap();
        assert!(!rings(&mailbox) && !mailbox.is_rung());
        mailbox.push(command(1)).unwrap();
        mailbox.push(command(2)).unwrap();
        assert!(rings(&mailbox) && mailbox.is_rung());
        let mut taken = VecDeque::new();
        let left = mailbox.take(1, &mut taken);
        assert!(left.more && !left.closed && !rings(&mailbox) && !mailbox.is_rung());
        assert!(!mailbox.take(1, &mut taken).more);
        mailbox.push(command(3)).unwrap();
        assert!(rings(&mailbox));
    }

    #[test]
    fn closed_queue_delivers_what_it_holds_and_takes_nothing_more() {
        let mailbox = Mailbox::new(8).unwrap();
        mailbox.push(command(1)).unwrap();
        mailbox.close();
        assert!(mailbox.push(command(2)).is_err() && rings(&mailbox));
        let mut taken = VecDeque::new();
        let left = mailbox.take(10, &mut taken);
        assert!(left.closed && !left.more);
        assert_eq!(taken, [command(1)]);
    }
}
