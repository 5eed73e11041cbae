//! Typed requests as values: awaited, they run at once; queued, they are part of a transaction.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use salono_kurento_model::{Value, events::EventData, wire::Request};
use tokio::sync::oneshot;

use crate::{
    Args, Client, Error, Events, RemoteObject,
    args::{Origin, Plan},
    client::read,
    driver::{Op, PlannedRoute, RouteTarget},
};

/// What came back, and in which session (a client counts the sessions that it loses).
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) value: Value,
    pub(crate) epoch: u64,
}

pub(crate) type Reply = oneshot::Sender<Result<Answer, Error>>;

/// A request that is being carried out.
type Running = Pin<Box<dyn Future<Output = Result<Answer, Error>> + Send>>;

enum State {
    Planned(Box<Plan>),
    Running(Running),
}

/// A request that answers a `T`.
///
/// Await it, or queue it with [`Transaction::add`](crate::Transaction::add). The request is sent
/// when the future is polled first; one that was sent is carried out even if nobody waits for it.
#[must_use = "does nothing unless it is awaited or queued in a transaction"]
pub struct Call<T> {
    client: Client,
    state: State,
    read: fn(&Client, Answer) -> Result<T, Error>,
}

impl<T> Call<T> {
    pub(crate) fn new(
        client: &Client,
        plan: Plan,
        read: fn(&Client, Answer) -> Result<T, Error>,
    ) -> Self {
        Self {
            client: client.clone(),
            state: State::Planned(Box::new(plan)),
            read,
        }
    }

    /// The parts of a request that was not sent.
    pub(crate) fn into_plan(self) -> Option<PlannedCall<T>> {
        match self.state {
            State::Planned(plan) => Some((*plan, self.read)),
            State::Running(_) => None,
        }
    }
}

/// A request, and what makes a `T` of its answer.
pub(crate) type PlannedCall<T> = (Plan, fn(&Client, Answer) -> Result<T, Error>);

impl<T> Future for Call<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Planned(plan) = &this.state {
            let plan = Plan::clone(plan);
            this.state = State::Running(Box::pin(send(this.client.clone(), plan, None)));
        }
        let State::Running(running) = &mut this.state else {
            return Poll::Pending;
        };
        let answer = ready!(running.as_mut().poll(context));
        Poll::Ready(answer.and_then(|answer| (this.read)(&this.client, answer)))
    }
}

impl<T> fmt::Debug for Call<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("Call", &self.state, out)
    }
}

/// The creation of an object, whose handle is a `T`.
///
/// Await it, or queue it with [`Transaction::create`](crate::Transaction::create). Dropped while it is
/// under way, it releases the object as soon as the server has created it.
#[must_use = "does nothing unless it is awaited or queued in a transaction"]
pub struct Create<T>(Call<T>);

impl<T: From<RemoteObject>> Create<T> {
    /// The creation of an object of the class of this name; for generated handles.
    pub fn new(client: &Client, class: &str, args: Args) -> Self {
        let (params, uses) = args.into_parts();
        let request = Request::Create {
            class: class.to_owned(),
            params,
        };
        Self(Call::new(
            client,
            Plan { request, uses },
            |client, answer| {
                let origin = Origin::Session(answer.epoch);
                Ok(RemoteObject::known(client, read(answer.value)?, origin).into())
            },
        ))
    }
}

impl<T> Create<T> {
    pub(crate) fn into_plan(self) -> Option<PlannedCall<T>> {
        self.0.into_plan()
    }
}

impl<T> Future for Create<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> fmt::Debug for Create<T> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("Create", &self.0.state, out)
    }
}

/// A subscription to an event of an object; answers the typed stream.
///
/// Await it, or queue it with [`Transaction::subscribe`](crate::Transaction::subscribe).
#[must_use = "does nothing unless it is awaited or queued in a transaction"]
pub struct Subscribe<E> {
    client: Client,
    state: State,
    object: Arc<str>,
    stream: Option<Events<E>>,
}

impl<E: EventData> Subscribe<E> {
    pub(crate) fn new(client: &Client, object: &str, origin: Origin) -> Self {
        let request = Request::Subscribe {
            object: object.to_owned(),
            event: E::NAME.to_owned(),
        };
        Self {
            client: client.clone(),
            state: State::Planned(Box::new(Plan::of(request, origin))),
            object: object.into(),
            stream: None,
        }
    }

    /// The object's id or placeholder, and the request if it was not sent.
    pub(crate) fn into_plan(self) -> (Arc<str>, Option<Plan>) {
        match self.state {
            State::Planned(plan) => (self.object, Some(*plan)),
            State::Running(_) => (self.object, None),
        }
    }
}

impl<E: EventData> Future for Subscribe<E> {
    type Output = Result<Events<E>, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let State::Planned(plan) = &this.state {
            let plan = Plan::clone(plan);
            let (stream, route) = Events::new(this.client.clone());
            this.stream = Some(stream);
            let route = PlannedRoute {
                operation: None,
                object: RouteTarget::Known(this.object.clone()),
                event: E::NAME,
                route,
            };
            this.state = State::Running(Box::pin(send(this.client.clone(), plan, Some(route))));
        }
        let State::Running(running) = &mut this.state else {
            return Poll::Pending;
        };
        let answer = ready!(running.as_mut().poll(context));
        let stream = this.stream.take();
        Poll::Ready(answer.and_then(|_| stream.ok_or(Error::Closed)))
    }
}

impl<E> fmt::Debug for Subscribe<E> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug("Subscribe", &self.state, out)
    }
}

/// Hands a request to the driver and waits for its answer.
async fn send(client: Client, plan: Plan, route: Option<PlannedRoute>) -> Result<Answer, Error> {
    plan.uses.settled()?;
    let (reply, answer) = oneshot::channel();
    let op = Op::Request {
        request: plan.request,
        epoch: plan.uses.epoch,
        routes: route.into_iter().collect(),
        reply,
    };
    client.ops.send(op).await.map_err(|_| Error::Closed)?;
    answer.await.map_err(|_| Error::Closed)?
}

fn debug(name: &str, state: &State, out: &mut fmt::Formatter<'_>) -> fmt::Result {
    match state {
        State::Planned(plan) => out.debug_tuple(name).field(&plan.request).finish(),
        State::Running(_) => out.debug_tuple(name).field(&"running").finish(),
    }
}
