//! What shards of one process tell each other: a ring each way, and a bell per shard.
//!
//! A shard never waits for another: what a ring has no room for stays in its core, which bounds it.
//! The bell is rung once per batch, and only when the other shard sleeps.

use crate::os::Waker;
use rtrb::{Consumer, Producer, RingBuffer};
use salono_media_core::{LinkMessage, ShardId};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};

/// Messages that a ring takes; a batch of one track is one message.
const MESSAGES: usize = 256;

/// Bytes in a ring beyond which nothing is added, for batches are of any size.
const BYTES: usize = 2 * 1024 * 1024;

/// Messages of one ring in one pass.
const TAKEN_AT_ONCE: usize = 64;

/// Wakes a shard that waits for messages of others.
#[derive(Debug)]
pub(crate) struct Bell {
    /// The shard waits, or is about to.
    asleep: AtomicBool,
    /// Ends the waiting.
    waker: Waker,
}

impl Bell {
    /// Of a shard that is awake.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            asleep: AtomicBool::new(false),
            waker: Waker::new()?,
        })
    }

    /// Something was put into a ring to the shard.
    fn ring(&self) {
        // Either the sleeper sees what was put in, or this sees the sleeper.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::SeqCst) {
            self.waker.wake();
        }
    }

    /// The shard is about to wait; it has to look into its rings once more.
    fn fall_asleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    /// The shard does not wait any more.
    fn rise(&self) {
        self.asleep.store(false, Ordering::Relaxed);
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.waker.as_fd()
    }
}

/// One shard's end of the rings to and from another.
#[derive(Debug)]
pub(crate) struct End {
    /// The other shard.
    other: ShardId,
    /// To it.
    sender: Producer<LinkMessage>,
    /// Bytes on the way to it.
    sent_bytes: Arc<AtomicUsize>,
    /// From it.
    receiver: Consumer<LinkMessage>,
    /// Bytes on the way from it.
    received_bytes: Arc<AtomicUsize>,
    /// Wakes it.
    bell: Arc<Bell>,
    /// There was no room for everything.
    is_blocked: bool,
}

/// Both ends of new rings between two shards.
pub(crate) fn connect(first: (ShardId, &Arc<Bell>), second: (ShardId, &Arc<Bell>)) -> (End, End) {
    let (to_second, from_first) = RingBuffer::new(MESSAGES);
    let (to_first, from_second) = RingBuffer::new(MESSAGES);
    let [up, down] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
    let end = |other: (ShardId, &Arc<Bell>), sender, sent, receiver, received| End {
        other: other.0,
        sender,
        sent_bytes: Arc::clone(sent),
        receiver,
        received_bytes: Arc::clone(received),
        bell: Arc::clone(other.1),
        is_blocked: false,
    };
    (
        end(second, to_second, &up, from_second, &down),
        end(first, to_first, &down, from_first, &up),
    )
}

/// All ends of a shard.
#[derive(Debug)]
pub(crate) struct Links {
    /// By no particular order; there are few.
    ends: Vec<End>,
    /// Wakes this shard.
    bell: Arc<Bell>,
}

impl Links {
    /// None yet.
    pub(crate) fn new(bell: Arc<Bell>) -> Self {
        Self {
            ends: Vec::new(),
            bell,
        }
    }

    /// Adds the end of a pair of rings.
    pub(crate) fn add(&mut self, end: End) {
        self.ends.push(end);
    }

    /// What wakes this shard.
    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }

    /// The shards that are linked with this one.
    pub(crate) fn others(&self) -> Vec<ShardId> {
        self.ends.iter().map(|end| end.other).collect()
    }

    /// Whether the shard may wait: false when something has come already.
    pub(crate) fn may_sleep(&self) -> bool {
        if self.ends.is_empty() {
            return true;
        }
        self.bell.fall_asleep();
        let is_empty = self.ends.iter().all(|end| end.receiver.is_empty());
        if !is_empty {
            self.bell.rise();
        }
        is_empty
    }

    /// The shard has waited.
    pub(crate) fn rise(&self) {
        self.bell.rise();
    }

    /// The bell was heard.
    pub(crate) fn acknowledge(&self) {
        self.bell.waker.acknowledge();
    }

    /// Whether something waits for room in a ring.
    pub(crate) fn is_blocked(&self) -> bool {
        self.ends.iter().any(|end| end.is_blocked)
    }

    /// Sends what `next` has for each shard, as far as there is room.
    pub(crate) fn send(&mut self, mut next: impl FnMut(ShardId) -> Option<LinkMessage>) {
        for end in &mut self.ends {
            let mut has_sent = false;
            end.is_blocked = loop {
                let is_gone = end.sender.is_abandoned();
                if !is_gone
                    && (end.sender.is_full() || end.sent_bytes.load(Ordering::Relaxed) > BYTES)
                {
                    break true;
                }
                let Some(message) = next(end.other) else {
                    break false;
                };
                // Nobody listens any more when the other shard has ended.
                let weight = message.weight();
                end.sent_bytes.fetch_add(weight, Ordering::Relaxed);
                has_sent |= end.sender.push(message).is_ok();
            };
            if has_sent {
                end.bell.ring();
            }
        }
    }

    /// Hands out what has come, each message with its sender; a bounded number per call.
    pub(crate) fn receive(&mut self, mut hand_out: impl FnMut(ShardId, LinkMessage)) {
        for end in &mut self.ends {
            for _ in 0..TAKEN_AT_ONCE {
                let Ok(message) = end.receiver.pop() else {
                    break;
                };
                end.received_bytes
                    .fetch_sub(message.weight(), Ordering::Relaxed);
                hand_out(end.other, message);
            }
        }
    }

    /// Whether something has come.
    pub(crate) fn has_news(&self) -> bool {
        self.ends.iter().any(|end| !end.receiver.is_empty())
    }
}

#[cfg(test)]
mod tests;
