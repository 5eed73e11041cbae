//! Commands, and what else a shard has to be told, on their way to it: bounded, lossless, in order.
//!
//! The sender sees when the queue is full. The shard looks into it only after it was rung, so a
//! pass that only moves packets takes no lock.

use crate::os::Waker;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The queue of one shard.
#[derive(Debug)]
pub(crate) struct Mailbox<T> {
    /// What waits, and whether more may come.
    queue: Mutex<Queue<T>>,
    /// Most letters that may wait.
    capacity: usize,
    /// Whether the waker was rung since the shard last looked; saves a system call per letter.
    rung: AtomicBool,
    /// Makes the shard look.
    waker: Waker,
}

/// The inside of the queue.
#[derive(Debug)]
struct Queue<T> {
    /// In order of submission.
    letters: VecDeque<T>,
    /// Nothing more is accepted.
    closed: bool,
}

/// Whether letters would be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    /// They would.
    Free,
    /// Not now.
    Full,
    /// Never again.
    Closed,
}

/// What the shard finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Left {
    /// Letters remain.
    pub(crate) more: bool,
    /// Nothing more will come.
    pub(crate) closed: bool,
}

impl<T> Mailbox<T> {
    /// An empty queue for at most `capacity` letters, at least one.
    pub(crate) fn new(capacity: usize) -> io::Result<Self> {
        Ok(Self {
            queue: Mutex::new(Queue {
                letters: VecDeque::new(),
                closed: false,
            }),
            capacity: capacity.max(1),
            rung: AtomicBool::new(false),
            waker: Waker::new()?,
        })
    }

    /// Whether so many letters would be taken now. The answer holds for a sender that is alone.
    pub(crate) fn room_for(&self, letters: usize) -> Room {
        let queue = self.lock();
        if queue.closed {
            Room::Closed
        } else if queue.letters.len() + letters > self.capacity.max(letters) {
            Room::Full
        } else {
            Room::Free
        }
    }

    /// Appends a letter, or gives it back when the queue is closed. Its capacity is the business of
    /// [`Mailbox::room_for`].
    pub(crate) fn push(&self, letter: T) -> Result<(), T> {
        {
            let mut queue = self.lock();
            if queue.closed {
                return Err(letter);
            }
            queue.letters.push_back(letter);
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

    /// Moves up to `most` letters to the end of `into`.
    pub(crate) fn take(&self, most: usize, into: &mut VecDeque<T>) -> Left {
        // First the bell, then the queue: a letter that comes in between rings again or is found.
        self.waker.acknowledge();
        self.rung.store(false, Ordering::SeqCst);
        let mut queue = self.lock();
        let count = most.min(queue.letters.len());
        into.extend(queue.letters.drain(..count));
        Left {
            more: !queue.letters.is_empty(),
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
    fn lock(&self) -> MutexGuard<'_, Queue<T>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> AsFd for Mailbox<T> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::{Poller, Ready};
    use std::time::Duration;

    fn rings(mailbox: &Mailbox<u8>) -> bool {
        let poller = Poller::new().unwrap();
        poller.add(mailbox, 1).unwrap();
        let mut ready = Ready::new();
        poller.wait(&mut ready, Some(Duration::ZERO)).unwrap();
        ready.tokens().count() > 0
    }

    #[test]
    fn full_queue_says_so_and_has_room_again_once_the_shard_took_some() {
        let mailbox = Mailbox::new(2).unwrap();
        assert_eq!(mailbox.room_for(2), Room::Free);
        assert_eq!(mailbox.push(1), Ok(()));
        assert_eq!(mailbox.room_for(2), Room::Full);
        assert_eq!(mailbox.push(2), Ok(()));
        assert_eq!(mailbox.room_for(1), Room::Full);
        let mut taken = VecDeque::new();
        mailbox.take(10, &mut taken);
        assert_eq!(taken, [1, 2]);
        // What has to come together does so at the least capacity, too.
        assert_eq!(mailbox.room_for(3), Room::Free);
    }

    #[test]
    fn bell_rings_once_until_the_shard_looks() {
        let mailbox = Mailbox::new(8).unwrap();
        assert!(!rings(&mailbox) && !mailbox.is_rung());
        mailbox.push(1).unwrap();
        mailbox.push(2).unwrap();
        assert!(rings(&mailbox) && mailbox.is_rung());
        let mut taken = VecDeque::new();
        let left = mailbox.take(1, &mut taken);
        assert!(left.more && !left.closed && !rings(&mailbox) && !mailbox.is_rung());
        assert!(!mailbox.take(1, &mut taken).more);
        mailbox.push(3).unwrap();
        assert!(rings(&mailbox));
    }

    #[test]
    fn closed_queue_delivers_what_it_holds_and_takes_nothing_more() {
        let mailbox = Mailbox::new(8).unwrap();
        mailbox.push(1).unwrap();
        mailbox.close();
        assert!(mailbox.push(2).is_err() && rings(&mailbox));
        assert_eq!(mailbox.room_for(1), Room::Closed);
        let mut taken = VecDeque::new();
        let left = mailbox.take(10, &mut taken);
        assert!(left.closed && !left.more);
        assert_eq!(taken, [1]);
    }
}
