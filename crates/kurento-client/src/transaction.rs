//! Typed transactions: operations that travel together and run in order.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use salono_jsonrpc::kurento::encode_operation;
use salono_kurento_model::{
    Error as ServerError, ErrorCode, Value, events::EventData, wire::Request,
};
use tokio::sync::oneshot;

use crate::{
    Call, Client, Create, Error, Events, RemoteObject, Subscribe,
    args::{Plan, Uses},
    call::Answer,
    client::{read, unexpected},
    driver::{Op, PlannedRoute, RouteTarget},
    object::Identity,
};

/// Operations that are sent in one message and run in order, one round trip for all of them.
///
/// Everything that can be awaited can be queued instead. An object that the transaction creates
/// has its handle at once, and later operations of the same transaction may use it; elsewhere it
/// is of use once the transaction was carried out. Dropping the transaction sends nothing.
///
/// The server stops at the first operation that fails. It undoes nothing: what was carried out
/// before stays.
///
/// ```no_run
/// # use salono_kurento_client::{Client, Error, MediaPipeline, WebRtcEndpoint};
/// # async fn answer(client: &Client, offer: &str) -> Result<String, Box<dyn std::error::Error>> {
/// let mut tx = client.begin_transaction();
/// let pipeline = tx.create(MediaPipeline::create(client));
/// let endpoint = tx.create(WebRtcEndpoint::builder(&pipeline).recvonly(true).create());
/// let candidates = tx.subscribe(endpoint.on_ice_candidate_found());
/// let answer = tx.add(endpoint.process_offer(offer));
/// tx.add(endpoint.gather_candidates());
///
/// let outcome = tx.commit().await?;
/// if let Some(failed) = outcome.first_failure() {
///     eprintln!("operation {} failed: {}", failed.index, failed.error);
/// }
/// let answer = answer.await?;
/// # drop(candidates.await?);
/// # Ok(answer)
/// # }
/// ```
#[must_use = "nothing is sent before `commit`"]
pub struct Transaction {
    client: Client,
    number: u64,
    operations: Vec<Value>,
    results: Vec<Sink>,
    routes: Vec<PlannedRoute>,
    uses: Uses,
    /// An operation was queued that was sent already.
    spent: bool,
}

/// Who hears of an operation's result.
enum Sink {
    Handle(Arc<Identity>),
    Queued(oneshot::Sender<Result<Answer, Error>>),
}

impl Transaction {
    pub(crate) fn new(client: &Client) -> Self {
        Self {
            client: client.clone(),
            number: client.next_number(),
            operations: Vec::new(),
            results: Vec::new(),
            routes: Vec::new(),
            uses: Uses::default(),
            spent: false,
        }
    }

    /// Queues the creation of an object and answers its handle, which other operations of this
    /// transaction may use at once.
    ///
    /// Should the creation fail, everything that is asked of the handle fails with
    /// [`Error::Uncommitted`].
    pub fn create<T: From<RemoteObject>>(&mut self, creation: Create<T>) -> T {
        let handle = RemoteObject::planned(&self.client, self.number, self.operations.len());
        let plan = creation.into_plan().map(|(plan, _)| plan);
        self.push(plan, Sink::Handle(handle.identity().clone()));
        handle.into()
    }

    /// Queues a call. Its result is ready after [`Transaction::commit`].
    pub fn add<T>(&mut self, call: Call<T>) -> Queued<T> {
        let (sink, result) = oneshot::channel();
        let (plan, read) = match call.into_plan() {
            Some((plan, read)) => (Some(plan), read),
            None => (None, refuse as fn(&Client, Answer) -> Result<T, Error>),
        };
        self.push(plan, Sink::Queued(sink));
        Queued {
            client: self.client.clone(),
            result,
            made: Made::Read(read),
        }
    }

    /// Queues a subscription. Its stream is ready after [`Transaction::commit`] and has every
    /// event that later operations of the transaction cause.
    pub fn subscribe<E: EventData>(&mut self, subscription: Subscribe<E>) -> Queued<Events<E>> {
        let (sink, result) = oneshot::channel();
        let (stream, route) = Events::new(self.client.clone());
        let (object, plan) = subscription.into_plan();
        let created = plan
            .as_ref()
            .is_some_and(|plan| plan.uses.settled().is_err());
        let index = object.strip_prefix("newref:").filter(|_| created);
        let object = match index.and_then(|index| index.parse().ok()) {
            Some(operation) => RouteTarget::New(operation),
            None => RouteTarget::Known(object),
        };
        self.routes.push(PlannedRoute {
            operation: Some(self.operations.len()),
            object,
            event: E::NAME,
            route,
        });
        self.push(plan, Sink::Queued(sink));
        Queued {
            client: self.client.clone(),
            result,
            made: Made::Ready(Some(stream)),
        }
    }

    /// Number of queued operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    fn push(&mut self, plan: Option<Plan>, sink: Sink) {
        let index = self.operations.len();
        match plan {
            Some(Plan { request, uses }) => {
                self.uses.merge(uses);
                self.operations.push(encode_operation(index, &request));
            }
            None => {
                self.spent = true;
                self.operations.push(Value::Null);
            }
        }
        self.results.push(sink);
    }

    /// Sends the operations and waits until the server has carried them out, or stopped at one
    /// that failed.
    ///
    /// # Errors
    /// [`Error::Uncommitted`] when an operation names an object that another transaction has yet
    /// to create, or was awaited before it was queued: nothing is sent. [`Error::SessionLost`]
    /// when one names an object of a session that is lost. [`Error::Server`] when the server
    /// refuses the transaction as a whole. The others of [`Client::request`] leave open whether it
    /// was carried out.
    pub async fn commit(self) -> Result<Outcome, Error> {
        if self.spent || !self.uses.only_of(self.number) {
            return Err(Error::Uncommitted);
        }
        let (reply, answer) = oneshot::channel();
        let op = Op::Request {
            request: Request::Transaction {
                operations: self.operations,
            },
            epoch: self.uses.epoch,
            routes: self.routes,
            reply,
        };
        self.client.ops.send(op).await.map_err(|_| Error::Closed)?;
        let Answer { value, epoch } = answer.await.map_err(|_| Error::Closed)??;
        let responses = match value {
            Value::Array(responses) => responses,
            // Servers write empty lists so.
            Value::Null => Vec::new(),
            other @ (Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_)) => {
                return Err(unexpected(&other));
            }
        };
        let mut responses = responses.into_iter();
        let results = self.results.into_iter().map(|sink| {
            let result = responses.next().map_or(Err(Error::NotTried), result_of);
            settle(sink, result, epoch)
        });
        let results = results.collect();
        Ok(Outcome { results })
    }
}

impl fmt::Debug for Transaction {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(&self.operations).finish()
    }
}

/// Tells whoever waits for it of an operation's result.
fn settle(sink: Sink, result: Result<Value, Error>, epoch: u64) -> Result<(), Error> {
    match sink {
        Sink::Handle(identity) => {
            identity.resolve(read(result?)?, epoch);
            Ok(())
        }
        Sink::Queued(sink) => {
            let verdict = result.as_ref().map(drop).map_err(Clone::clone);
            // Whoever dropped the `Queued` does not want it.
            let _ = sink.send(result.map(|value| Answer { value, epoch }));
            verdict
        }
    }
}

/// The result of one operation: what stands in `value`, or all of it.
fn result_of(response: Value) -> Result<Value, Error> {
    let Value::Object(mut response) = response else {
        return Err(unexpected(&response));
    };
    if let Some(error) = response.remove("error") {
        return Err(Error::Server(server_error(&error)));
    }
    match response.remove("result") {
        Some(Value::Object(mut result)) => {
            result.remove("sessionId");
            Ok(match result.remove("value") {
                Some(value) => value,
                None => Value::Object(result),
            })
        }
        Some(other) => Ok(other),
        None => Err(unexpected(&response)),
    }
}

fn server_error(error: &Value) -> ServerError {
    let number = error.get("code").and_then(Value::as_i64);
    let code = number.and_then(|code| i32::try_from(code).ok());
    let message = error.get("message").and_then(Value::as_str);
    let code = code.map_or(ErrorCode::InternalError, ErrorCode::from);
    let mut read = ServerError::new(code, message.unwrap_or_default());
    // `data` that the code implies is not kept, so that equal errors compare equal.
    read.data = error
        .get("data")
        .cloned()
        .filter(|data| Some(data) != read.data().as_ref());
    read
}

fn refuse<T>(_: &Client, _: Answer) -> Result<T, Error> {
    Err(Error::Uncommitted)
}

/// The result of a queued operation: ready once the transaction was carried out.
#[must_use = "a queued subscription ends when its stream is dropped"]
pub struct Queued<T> {
    client: Client,
    result: oneshot::Receiver<Result<Answer, Error>>,
    made: Made<T>,
}

/// Where the result comes from.
enum Made<T> {
    /// The answer.
    Read(fn(&Client, Answer) -> Result<T, Error>),
    /// It waits for the answer only.
    Ready(Option<T>),
}

impl<T> Unpin for Queued<T> {}

impl<T> Future for Queued<T> {
    /// The operation's result. [`Error::NotTried`] after one that failed, [`Error::Uncommitted`]
    /// when the transaction was not carried out.
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        Pin::new(&mut this.result).poll(context).map(|result| {
            let answer = result.map_err(|_| Error::Uncommitted)??;
            match &mut this.made {
                Made::Read(read) => read(&this.client, answer),
                Made::Ready(made) => made.take().ok_or(Error::Closed),
            }
        })
    }
}

impl<T> fmt::Debug for Queued<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Queued").finish_non_exhaustive()
    }
}

/// What became of each operation of a transaction.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "operations may have failed"]
pub struct Outcome {
    results: Vec<Result<(), Error>>,
}

/// One operation of a transaction that failed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Failure<'o> {
    /// Its place in the transaction, from 0.
    pub index: usize,
    /// Why; with the server's code.
    pub error: &'o Error,
}

impl Outcome {
    /// The result of each operation, in order: `Ok`, the server's refusal, and
    /// [`Error::NotTried`] for everything after it.
    pub fn results(&self) -> &[Result<(), Error>] {
        &self.results
    }

    /// The operation at which the server stopped; `None` when all were carried out.
    #[must_use]
    pub fn first_failure(&self) -> Option<Failure<'_>> {
        let results = self.results.iter().enumerate();
        let mut failures = results.filter_map(|(index, result)| {
            let error = result.as_ref().err()?;
            Some(Failure { index, error })
        });
        failures.next()
    }

    /// Nothing, if every operation was carried out.
    ///
    /// # Errors
    /// [`TransactionError::Operation`] with the first that failed.
    pub fn succeeded(&self) -> Result<(), TransactionError> {
        match self.first_failure() {
            None => Ok(()),
            Some(Failure { index, error }) => Err(TransactionError::Operation {
                index,
                error: error.clone(),
            }),
        }
    }
}

/// A transaction was not carried out as a whole.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The request that carries it failed.
    #[error(transparent)]
    Call(#[from] Error),
    /// An operation failed. The ones before it were carried out, the ones after it were not.
    #[error("operation {index} of the transaction failed: {error}")]
    Operation {
        /// Its place in the transaction, from 0.
        index: usize,
        /// Why.
        error: Error,
    },
}
