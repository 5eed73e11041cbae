//! Events on their way out of a shard.
//!
//! The consumer's queue is bounded; while it is full, events wait here, in order, bounded too.
//! Beyond that they are dropped, newest first, and counted.

use salono_media_api::Event;
use std::collections::VecDeque;

/// Where a shard's events go: takes an event, or gives it back when there is no room now.
pub(crate) type Sink = Box<dyn Fn(Event) -> Result<(), Event> + Send>;

/// Events of one shard that the consumer has not taken yet.
pub(crate) struct Outbox {
    /// The consumer.
    sink: Sink,
    /// In order of occurrence.
    waiting: VecDeque<Event>,
    /// Most events that may wait.
    capacity: usize,
    /// Events that found no room.
    dropped: u64,
}

impl Outbox {
    /// Nothing waits yet; at most `capacity` events ever will.
    pub(crate) fn new(sink: Sink, capacity: usize) -> Self {
        Self {
            sink,
            waiting: VecDeque::new(),
            capacity: capacity.max(2),
            dropped: 0,
        }
    }

    /// Hands an event over, or keeps it behind those that wait.
    pub(crate) fn push(&mut self, event: Event) {
        let refused = if self.waiting.is_empty() {
            (self.sink)(event).err()
        } else {
            Some(event)
        };
        let Some(event) = refused else { return };
        if self.waiting.len() < self.capacity {
            self.waiting.push_back(event);
        } else {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    /// Hands over what the consumer now has room for.
    pub(crate) fn retry(&mut self) {
        while let Some(event) = self.waiting.pop_front() {
            if let Err(event) = (self.sink)(event) {
                self.waiting.push_front(event);
                return;
            }
        }
    }

    /// Whether events wait.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether so many events wait that nothing should be begun that causes more.
    pub(crate) fn is_congested(&self) -> bool {
        self.waiting.len() >= self.capacity / 2
    }

    /// Events dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use salono_media_api::{Reply, Token};
    use std::sync::mpsc::sync_channel;

    fn event(token: u64) -> Event {
        Event::Replied {
            token: Token(token),
            result: Ok(Reply::Done),
        }
    }

    #[test]
    fn events_keep_their_order_through_a_full_consumer_and_the_excess_is_counted() {
        let (sender, receiver) = sync_channel(2);
        let sink = move |event| {
            sender.try_send(event).map_err(|refused| match refused {
                std::sync::mpsc::TrySendError::Full(event)
                | std::sync::mpsc::TrySendError::Disconnected(event) => event,
            })
        };
        let mut outbox = Outbox::new(Box::new(sink), 4);
        (0..8).for_each(|token| outbox.push(event(token)));
        assert!(outbox.is_congested());
        assert_eq!(outbox.dropped(), 2);
        let mut seen = Vec::new();
        while outbox.is_waiting() {
            seen.extend(receiver.try_iter());
            outbox.retry();
        }
        seen.extend(receiver.try_iter());
        assert_eq!(seen, (0..6).map(event).collect::<Vec<_>>());
    }
}
