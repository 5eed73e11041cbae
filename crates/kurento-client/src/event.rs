//! Events: everything of a session in one stream, or one event of one object, typed.
//!
//! Both streams are bounded. A reader that is too slow loses events and is told how many; it never
//! holds up the connection or other readers.

use std::{
    marker::PhantomData,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use salono_kurento_model::{Value, events::EventData, wire::Notification};
use tokio::sync::{broadcast, mpsc};

use crate::{Client, driver::Op};

/// Events of a session that wait for one slow reader; the oldest go first beyond it.
pub const SESSION_EVENTS: usize = 1024;

/// Events that wait in one typed stream; the newest go first beyond it.
pub const OBJECT_EVENTS: usize = 256;

/// What happens to a session.
#[derive(Debug, Clone, PartialEq)]
pub enum SessionEvent {
    /// An event of an object that the session subscribed to.
    Notification(Arc<Notification>),
    /// The connection was lost. Outstanding requests failed; events are missed until
    /// [`SessionEvent::Reconnected`]. An in-process client does not come back.
    Disconnected,
    /// The connection is back.
    Reconnected {
        /// The server still knows the session: objects and subscriptions are alive. Otherwise all
        /// of them are gone and typed streams have ended.
        same_session: bool,
    },
    /// This stream was read too slowly; so many events are missing here.
    Lagged(u64),
}

/// Everything that happens to a session, in order.
#[derive(Debug)]
pub struct EventStream(pub(crate) Option<broadcast::Receiver<SessionEvent>>);

impl EventStream {
    /// The next event; `None` when the client is closed.
    ///
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<SessionEvent> {
        match self.0.as_mut()?.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(SessionEvent::Lagged(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// A typed stream has no event but this to give.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The stream was read too slowly; so many events are missing here.
    #[error("{0} events were lost")]
    Lagged(u64),
    /// An event does not have the declared members.
    #[error("unexpected event data: {0}")]
    UnexpectedData(String),
}

/// One event type of one object. Dropping it ends the subscription.
#[derive(Debug)]
#[must_use = "dropping the stream ends the subscription"]
pub struct Events<E> {
    client: Client,
    route: u64,
    received: mpsc::Receiver<Arc<Notification>>,
    lost: Arc<AtomicU64>,
    data: PhantomData<fn() -> E>,
}

/// Where the driver puts the events of one stream.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) id: u64,
    /// Known once the server has answered the subscription.
    pub(crate) subscription: Option<String>,
    sink: mpsc::Sender<Arc<Notification>>,
    lost: Arc<AtomicU64>,
}

impl Route {
    /// Hands an event over; `false` when nobody reads any more.
    pub(crate) fn deliver(&self, event: &Arc<Notification>) -> bool {
        match self.sink.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lost.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.sink.is_closed()
    }
}

impl<E: EventData> Events<E> {
    /// A stream and the driver's end of it; not subscribed yet.
    pub(crate) fn new(client: Client) -> (Self, Route) {
        let (sink, received) = mpsc::channel(OBJECT_EVENTS);
        let lost = Arc::new(AtomicU64::new(0));
        let route = Route {
            id: client.next_number(),
            subscription: None,
            sink,
            lost: lost.clone(),
        };
        let stream = Self {
            client,
            route: route.id,
            received,
            lost,
            data: PhantomData,
        };
        (stream, route)
    }

    /// The next event; `None` when the object was released through this client, the session is
    /// gone or the client is closed.
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`EventError`] in place of events that were lost or cannot be read; the stream goes on.
    pub async fn recv(&mut self) -> Option<Result<E, EventError>> {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 && self.received.is_empty() {
            return Some(Err(EventError::Lagged(lost)));
        }
        // Lost events are newer than the waiting ones: tell of them after those.
        self.lost.fetch_add(lost, Ordering::Relaxed);
        let notification = self.received.recv().await?;
        let data = Value::Object(notification.data.clone());
        Some(
            serde_json::from_value(data)
                .map_err(|error| EventError::UnexpectedData(error.to_string())),
        )
    }
}

impl<E> Drop for Events<E> {
    fn drop(&mut self) {
        self.received.close();
        let route = self.route;
        if self.client.ops.try_send(Op::Unroute { route }).is_err() {
            // The queue is full: the driver looks for closed streams instead.
            self.client.shared.dropped.notify_one();
        }
    }
}
