//! The client handle: requests by name, and what the generated classes are made of.

use std::{
    fmt::Debug,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use salono_kurento_model::{
    Map, Value,
    events::EventData,
    wire::{ClientMessage, Request, ServerMessage},
};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::{
    Config, Driver, Error, EventStream, SessionEvent, Subscribe, Transaction, TransactionError,
    args::Origin, driver::Op, event::SESSION_EVENTS, link::Link,
};

/// Requests that wait for the driver; callers wait beyond it.
pub const WAITING_REQUESTS: usize = 256;

/// One session with a media server. Clones share it.
///
/// Requests are sent in the order in which their futures are first polled; several may be under
/// way at once. When the last clone (typed objects and typed streams hold one) is dropped, the
/// session is closed: objects that no other session refers to are released.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) ops: mpsc::Sender<Op>,
    events: broadcast::WeakSender<SessionEvent>,
    pub(crate) shared: Arc<Shared>,
}

/// What handles and the driver both look at.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Numbers of streams and transactions.
    numbers: AtomicU64,
    /// How many sessions were lost.
    pub(crate) epoch: AtomicU64,
    /// A stream was dropped that the driver could not be told of.
    pub(crate) dropped: Notify,
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
        let (ops, queue) = mpsc::channel(WAITING_REQUESTS);
        let (events, _) = broadcast::channel(SESSION_EVENTS);
        let shared = Arc::<Shared>::default();
        let client = Self {
            ops,
            events: events.downgrade(),
            shared: shared.clone(),
        };
        let driver = Driver::new(queue, events, shared, link, address, config);
        (client, driver)
    }

    /// Sends a request and waits for its answer: the member `value` of the result or, where there
    /// is none (`describe`, `connect`), the result itself.
    ///
    /// # Errors
    /// [`Error::Server`] when the server refuses it, [`Error::Timeout`], [`Error::Disconnected`],
    /// [`Error::SessionLost`] and [`Error::Closed`].
    pub async fn request(&self, request: Request) -> Result<Value, Error> {
        let (reply, answer) = oneshot::channel();
        let op = Op::Request {
            request,
            epoch: None,
            routes: Vec::new(),
            reply,
        };
        self.ops.send(op).await.map_err(|_| Error::Closed)?;
        let answer = answer.await.map_err(|_| Error::Closed)??;
        Ok(answer.value)
    }

    /// Creates an object of a class (simple or qualified name); answers its id.
    ///
    /// # Errors
    /// As [`Client::request`], and [`Error::UnexpectedAnswer`].
    pub async fn create(&self, class: &str, params: Map<String, Value>) -> Result<String, Error> {
        let request = Request::Create {
            class: class.to_owned(),
            params: (!params.is_empty()).then_some(Value::Object(params)),
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

    /// Destroys an object and its children, for every session. Typed streams of theirs end.
    ///
    /// # Errors
    /// As [`Client::request`]; an object that is gone already is no error.
    pub async fn release(&self, object: &str) -> Result<(), Error> {
        let object = object.to_owned();
        self.request(Request::Release { object }).await.map(drop)
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

    /// Subscribes to an event of an object and delivers it typed.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub fn stream<E: EventData>(&self, object: &str) -> Subscribe<E> {
        Subscribe::new(self, object, Origin::Anywhere)
    }

    /// Begins a transaction: typed operations that are sent together and run in order.
    pub fn begin_transaction(&self) -> Transaction {
        Transaction::new(self)
    }

    /// Builds a transaction and carries it out; every operation must succeed.
    ///
    /// What `build` returns is given back once all is done: handles of created objects, and
    /// [`Queued`](crate::Queued) results that are ready.
    ///
    /// ```no_run
    /// # use salono_kurento_client::{Client, MediaPipeline, TransactionError, WebRtcEndpoint};
    /// # async fn stage(client: &Client) -> Result<(), TransactionError> {
    /// let (pipeline, endpoint) = client
    ///     .transact(|tx| {
    ///         let pipeline = tx.create(MediaPipeline::create(client));
    ///         let endpoint = tx.create(WebRtcEndpoint::create(&pipeline));
    ///         tx.add(endpoint.connect(&endpoint));
    ///         (pipeline, endpoint)
    ///     })
    ///     .await?;
    /// # drop((pipeline, endpoint));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`TransactionError::Call`] when nothing is known to have been done,
    /// [`TransactionError::Operation`] with the first operation that failed: the ones before it
    /// were carried out and are not undone.
    pub async fn transact<R>(
        &self,
        build: impl FnOnce(&mut Transaction) -> R,
    ) -> Result<R, TransactionError> {
        let mut transaction = self.begin_transaction();
        let built = build(&mut transaction);
        transaction.commit().await?.succeeded()?;
        Ok(built)
    }

    /// Runs raw JSON-RPC requests in order on the server, up to the first that fails.
    ///
    /// Each is `{"jsonrpc":"2.0","id":<its index>,"method":…,"params":…}`; `"newref:N"` stands for
    /// the value that the N-th one answered. Answers the raw responses, perhaps fewer.
    /// [`Client::begin_transaction`] is the typed form.
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

    /// Asks the server for a sign of life.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn ping(&self) -> Result<(), Error> {
        let interval_ms = None;
        self.request(Request::Ping { interval_ms }).await.map(drop)
    }

    /// Marks the session as in use, so that the server keeps it for another period. A connected
    /// WebSocket does that by itself.
    ///
    /// # Errors
    /// As [`Client::request`]; [`ErrorCode::InvalidSession`](crate::ErrorCode::InvalidSession)
    /// when the server does not know the session.
    pub async fn keep_alive(&self) -> Result<(), Error> {
        self.request(Request::KeepAlive).await.map(drop)
    }

    /// Ends the session on the server; the next request begins a new one on the same connection.
    ///
    /// With `release` its objects are destroyed for everybody, otherwise only those that no other
    /// session refers to. Typed streams end, and handles fail with [`Error::SessionLost`].
    ///
    /// # Errors
    /// As [`Client::request`].
    pub async fn close_session(&self, release: bool) -> Result<(), Error> {
        let request = Request::CloseSession { release };
        self.request(request).await.map(drop)
    }

    /// The session's id on the server; `None` before the first request that opens it, and when
    /// the client is closed.
    pub async fn session_id(&self) -> Option<String> {
        let (reply, answer) = oneshot::channel();
        self.ops.send(Op::Session { reply }).await.ok()?;
        answer.await.ok()?
    }

    /// Everything that happens to the session from now on.
    #[must_use]
    pub fn events(&self) -> EventStream {
        EventStream(self.events.upgrade().map(|events| events.subscribe()))
    }

    /// Closes the session for all clones: requests fail from now on, event streams end.
    pub async fn close(&self) {
        // A driver that has ended is closed already.
        let _ = self.ops.send(Op::Close).await;
    }

    /// How many sessions were lost so far.
    pub(crate) fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }

    /// A number that no stream or transaction of this client has.
    pub(crate) fn next_number(&self) -> u64 {
        self.shared.numbers.fetch_add(1, Ordering::Relaxed)
    }
}

/// Reads an answer as the type that the request declares.
pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::UnexpectedAnswer(error.to_string()))
}

fn text(value: Value) -> Result<String, Error> {
    read(value)
}

pub(crate) fn unexpected(value: &impl Debug) -> Error {
    Error::UnexpectedAnswer(format!("{value:?}"))
}
