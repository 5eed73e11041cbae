//! The client handle: requests by name, and what the generated classes are made of.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use salono_kurento_model::{
    Map, Value,
    events::EventData,
    wire::{ClientMessage, Request, ServerMessage},
};
use serde::de::DeserializeOwned;
use tokio::sync::{broadcast, mpsc, oneshot};

use crate::{
    Driver, Error, EventStream, Events, SessionEvent, driver::Op, event::SESSION_EVENTS, link::Link,
};

/// Requests that wait for the driver; callers wait beyond it.
const OPERATIONS: usize = 256;

/// How a client behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Longest wait for an answer; 20 s as Kurento's own clients have it.
    pub request_timeout: Duration,
    /// Longest wait for a WebSocket to open; 5 s.
    pub connect_timeout: Duration,
    /// How often a WebSocket is proven alive by a `ping`; 60 s. Keeps the session alive as well.
    pub ping_interval: Duration,
    /// First pause before a lost WebSocket is opened again; doubles at each failure.
    pub reconnect_delay: Duration,
    /// Longest such pause.
    pub reconnect_delay_max: Duration,
    /// Whom `wss://` connections believe; what the system knows.
    #[cfg(feature = "ws")]
    pub trust: crate::Trust,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(60),
            reconnect_delay: Duration::from_millis(100),
            reconnect_delay_max: Duration::from_secs(10),
            #[cfg(feature = "ws")]
            trust: crate::Trust::default(),
        }
    }
}

/// One session with a media server. Clones share it.
///
/// Requests are sent in the order in which their futures are first polled; several may be under
/// way at once. When the last clone (typed objects and typed streams hold one) is dropped, the
/// session is closed: objects that no other session refers to are released.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) ops: mpsc::Sender<Op>,
    events: broadcast::WeakSender<SessionEvent>,
    routes: Arc<AtomicU64>,
}

impl Client {
    /// A client over the queues of an object model in the same process.
    ///
    /// Nothing runs until somebody polls [`Driver::run`].
    pub fn from_channel(
        requests: mpsc::Sender<ClientMessage>,
        replies: mpsc::Receiver<ServerMessage>,
    ) -> (Self, Driver) {
        Self::from_channel_with(requests, replies, Config::default())
    }

    /// As [`Client::from_channel`], with a configuration of one's own.
    pub fn from_channel_with(
        requests: mpsc::Sender<ClientMessage>,
        replies: mpsc::Receiver<ServerMessage>,
        config: Config,
    ) -> (Self, Driver) {
        Self::over(Link::channel(requests, replies), None, config)
    }

    pub(crate) fn over(link: Link, address: Option<Arc<str>>, config: Config) -> (Self, Driver) {
        let (ops, queue) = mpsc::channel(OPERATIONS);
        let (events, _) = broadcast::channel(SESSION_EVENTS);
        let client = Self {
            ops,
            events: events.downgrade(),
            routes: Arc::default(),
        };
        (client, Driver::new(queue, events, link, address, config))
    }

    /// Sends a request and waits for its answer: the member `value` of the result or, where there
    /// is none (`describe`, `connect`), the result itself.
    ///
    /// # Errors
    /// Every [`Error`] except [`Error::UnexpectedAnswer`].
    pub async fn request(&self, request: Request) -> Result<Value, Error> {
        let (reply, answer) = oneshot::channel();
        let op = Op::Request { request, reply };
        self.ops.send(op).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Creates an object of a class (simple or qualified name); answers its id.
    ///
    /// # Errors
    /// As [`Client::request`], and [`Error::UnexpectedAnswer`].
    pub async fn create(&self, class: &str, params: Map<String, Value>) -> Result<String, Error> {
        let request = Request::Create {
            class: class.to_owned(),
            params: Some(Value::Object(params)),
        };
        text(self.request(request).await?)
    }

    /// Calls a method or a property accessor of an object.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn invoke(
        &self,
        object: &str,
        operation: &str,
        params: Map<String, Value>,
    ) -> Result<Value, Error> {
        let params = (!params.is_empty()).then_some(Value::Object(params));
        self.request(Request::Invoke {
            object: object.to_owned(),
            operation: operation.to_owned(),
            params,
        })
        .await
    }

    /// Destroys an object and its children. Typed streams of theirs end.
    ///
    /// # Errors
    /// As [`Client::request`]; an object that is gone already is no error.
    pub async fn release(&self, object: &str) -> Result<(), Error> {
        let request = Request::Release {
            object: object.to_owned(),
        };
        self.request(request).await?;
        let object = Arc::from(object);
        self.ops
            .send(Op::Forget { object })
            .await
            .map_err(|_| Error::Closed)
    }

    /// Subscribes the session to an event of an object; answers the subscription's id.
    ///
    /// The events arrive in [`Client::events`]. Several subscriptions to the same event deliver it
    /// once.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn subscribe(&self, object: &str, event: &str) -> Result<String, Error> {
        let request = Request::Subscribe {
            object: object.to_owned(),
            event: event.to_owned(),
        };
        text(self.request(request).await?)
    }

    /// Ends a subscription.
    ///
    /// # Errors
    /// As [`Client::request`]; an unknown subscription is no error.
    pub async fn unsubscribe(&self, object: &str, subscription: &str) -> Result<(), Error> {
        let request = Request::Unsubscribe {
            object: object.to_owned(),
            subscription: subscription.to_owned(),
        };
        self.request(request).await.map(drop)
    }

    /// Runs raw JSON-RPC requests in order on the server, up to the first that fails.
    ///
    /// Each is `{"jsonrpc":"2.0","id":<its index>,"method":…,"params":…}`; `"newref:N"` stands for
    /// the value that the N-th one answered. Answers the raw responses, perhaps fewer.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn transaction(&self, operations: Vec<Value>) -> Result<Vec<Value>, Error> {
        match self.request(Request::Transaction { operations }).await? {
            Value::Array(responses) => Ok(responses),
            other @ (Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_)) => Err(unexpected(&other)),
        }
    }

    /// Everything that happens to the session from now on.
    #[must_use]
    pub fn events(&self) -> EventStream {
        EventStream(self.events.upgrade().map(|events| events.subscribe()))
    }

    /// Subscribes to an event of an object and delivers it typed.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub async fn stream<E: EventData>(&self, object: &str) -> Result<Events<E>, Error> {
        let object: Arc<str> = object.into();
        let route = self.routes.fetch_add(1, Ordering::Relaxed);
        let (stream, route) = Events::new(self.clone(), object.clone(), route);
        // The route stands before the server can raise the first event.
        let op = Op::Route {
            object: object.clone(),
            event: E::NAME,
            route,
        };
        self.ops.send(op).await.map_err(|_| Error::Closed)?;
        stream.subscribed(self.subscribe(&object, E::NAME).await?);
        Ok(stream)
    }

    /// Closes the session for all clones: requests fail from now on, event streams end.
    pub async fn close(&self) {
        // A driver that has ended is closed already.
        let _ = self.ops.send(Op::Close).await;
    }
}

/// Reads an answer as the type that the request declares.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::UnexpectedAnswer(error.to_string()))
}

fn text(value: Value) -> Result<String, Error> {
    read(value)
}

fn unexpected(value: &impl Debug) -> Error {
    Error::UnexpectedAnswer(format!("{value:?}"))
}
