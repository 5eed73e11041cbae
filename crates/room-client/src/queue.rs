//! Events on their way to the application: bounded, with a choice of what gives way.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::config::Overflow;
use crate::event::Event;

/// The events of a client, oldest first. Ends when the client does.
#[derive(Debug)]
pub struct Events(Arc<Shared>);

/// The driver's end.
#[derive(Debug)]
pub(crate) struct Sender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    max: usize,
    overflow: Overflow,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// How many were dropped before the oldest that is left.
    missed: u64,
    /// Nothing more comes.
    ended: bool,
    /// Nobody takes them any more.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// A queue of at most `max` events, at least one.
pub(crate) fn queue(max: usize, overflow: Overflow) -> (Sender, Events) {
    let shared = Arc::new(Shared {
        state: Mutex::default(),
        max: max.max(1),
        overflow,
    });
    (Sender(Arc::clone(&shared)), Events(shared))
}

impl Events {
    /// The next event; waits for it. `None` when the client has ended and all are taken.
    ///
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<Event> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next event, if there is one now.
    pub fn try_recv(&mut self) -> Option<Event> {
        self.0.lock().take()
    }

    fn poll_recv(&self, cx: &Context<'_>) -> Poll<Option<Event>> {
        let mut state = self.0.lock();
        if let Some(event) = state.take() {
            return Poll::Ready(Some(event));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.abandoned = true;
        state.events.clear();
        wake(&mut state.writer);
    }
}

impl Sender {
    /// Queues an event.
    pub(crate) fn push(&self, event: Event) {
        let mut state = self.0.lock();
        if state.abandoned {
            return;
        }
        // When nothing more is read until there is room, what was read already may go beyond it:
        // that is one frame's worth.
        if self.0.overflow == Overflow::DropOldest && state.events.len() >= self.0.max {
            state.events.pop_front();
            state.missed += 1;
        }
        state.events.push_back(event);
        wake(&mut state.reader);
    }

    /// Resolves when the server may be listened to.
    pub(crate) async fn ready(&self) {
        poll_fn(|cx| {
            let mut state = self.0.lock();
            if self.0.has_room(&state) {
                return Poll::Ready(());
            }
            state.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the server may be listened to.
    pub(crate) fn is_ready(&self) -> bool {
        self.0.has_room(&self.0.lock())
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        wake(&mut state.reader);
    }
}

impl Shared {
    fn has_room(&self, state: &State) -> bool {
        self.overflow == Overflow::DropOldest || state.abandoned || state.events.len() < self.max
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics; and if it did, a queue is whole after each line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self) -> Option<Event> {
        if self.missed > 0 {
            return Some(Event::Missed(std::mem::take(&mut self.missed)));
        }
        let event = self.events.pop_front()?;
        wake(&mut self.writer);
        Some(event)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::queue;
    use crate::config::Overflow;
    use crate::event::Event;

    fn event(number: usize) -> Event {
        Event::Unknown {
            method: number.to_string(),
            params: None,
        }
    }

    #[tokio::test]
    async fn the_oldest_give_way_and_their_number_is_told_in_their_place() {
        let (sender, mut events) = queue(2, Overflow::DropOldest);
        for number in 0..5 {
            sender.push(event(number));
        }
        assert_eq!(events.recv().await, Some(Event::Missed(3)));
        assert_eq!(events.recv().await, Some(event(3)));
        sender.push(event(5));
        assert_eq!(events.recv().await, Some(event(4)));
        assert_eq!(events.try_recv(), Some(event(5)));
        assert_eq!(events.try_recv(), None);
    }

    #[tokio::test]
    async fn a_full_queue_holds_the_server_back_until_there_is_room() {
        let (sender, mut events) = queue(1, Overflow::HoldBack);
        sender.ready().await;
        sender.push(event(0));
        let waiting = tokio::spawn(async move {
            sender.ready().await;
            sender.push(event(1));
        });
        assert_eq!(events.recv().await, Some(event(0)));
        assert_eq!(events.recv().await, Some(event(1)));
        assert_eq!(events.recv().await, None);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn events_that_nobody_wants_hold_nobody_up() {
        let (sender, events) = queue(1, Overflow::HoldBack);
        sender.push(event(0));
        drop(events);
        sender.ready().await;
        sender.push(event(1));
        sender.ready().await;
    }
}
