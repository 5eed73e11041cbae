//! The driver: the one task that owns a client's connection.
//!
//! It numbers requests, matches answers, hands events out and, on a WebSocket, keeps the
//! connection alive and opens it again. Handles talk to it through one bounded queue. While a
//! message waits for room in the connection no new requests are taken, so a slow server slows its
//! callers down instead of filling memory; answers and events are read all the time.

mod late;
mod pending;
mod reconnect;
mod routes;
mod streams;

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use salono_kurento_model::{
    Error as ServerError, Value,
    wire::{Request, ServerMessage},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use self::{
    late::Makes,
    pending::{Outstanding, Pending, Stream, Waiter},
    routes::Routes,
    streams::items,
};
use crate::{
    Config, Error, SessionEvent,
    call::{Answer, Reply},
    client::Shared,
    event::Route,
    link::{Link, Sent},
};

/// Requests without an answer; no further ones are taken beyond it.
pub const UNANSWERED_REQUESTS: usize = 4096;

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Op {
    /// Send a request and answer it.
    Request {
        request: Request,
        /// The session that the objects in it belong to, if any.
        epoch: Option<u64>,
        /// Streams that begin with it.
        routes: Vec<PlannedRoute>,
        reply: Reply,
    },
    /// Nobody reads this stream any more.
    Unroute { route: u64 },
    /// Tell the session's id.
    Session {
        reply: oneshot::Sender<Option<String>>,
    },
    /// End the session.
    Close,
}

/// A stream that a request subscribes.
#[derive(Debug)]
pub(crate) struct PlannedRoute {
    /// Which operation of a transaction subscribes it; otherwise the request itself does.
    pub(crate) operation: Option<usize>,
    pub(crate) object: RouteTarget,
    pub(crate) event: &'static str,
    pub(crate) route: Route,
}

/// The object of a stream.
#[derive(Debug)]
pub(crate) enum RouteTarget {
    /// By its id.
    Known(Arc<str>),
    /// What this operation of the same transaction creates.
    New(usize),
}

/// Why the driver stopped serving a connection.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// The connection is lost.
    Lost,
    /// Nobody holds the client any more, or it was closed.
    Closed,
}

/// One thing that can happen while a connection is served.
enum Step {
    Incoming(Option<ServerMessage>),
    Outgoing(bool),
    Op(Option<Op>),
    Dropped,
    Expired,
    Ping,
}

/// Runs a client's connection. Spawn or await [`Driver::run`].
#[derive(Debug)]
#[must_use = "the client does nothing until the driver runs"]
pub struct Driver {
    ops: mpsc::Receiver<Op>,
    events: broadcast::Sender<SessionEvent>,
    shared: Arc<Shared>,
    link: Option<Link>,
    /// URL to open again; an in-process connection has none.
    address: Option<Arc<str>>,
    config: Config,
    session: Option<String>,
    pending: Pending,
    routes: Routes,
    ping_at: Instant,
    /// The session is being resumed: nothing else is sent until the server knows it again.
    resuming: bool,
    /// The connection proved useful since it was opened.
    connected: bool,
    /// Next pause before a lost connection is opened again.
    delay: Duration,
}

impl Driver {
    pub(crate) fn new(
        ops: mpsc::Receiver<Op>,
        events: broadcast::Sender<SessionEvent>,
        shared: Arc<Shared>,
        link: Link,
        address: Option<Arc<str>>,
        config: Config,
    ) -> Self {
        Self {
            ops,
            events,
            shared,
            link: Some(link),
            address,
            session: None,
            pending: Pending::default(),
            routes: Routes::default(),
            ping_at: Instant::now() + config.ping_interval,
            resuming: false,
            connected: true,
            delay: config.reconnect_delay,
            config,
        }
    }

    /// Runs until the client is closed or dropped, or an in-process connection ends.
    ///
    /// Dropping the future ends the connection without closing the session on the server.
    pub async fn run(mut self) {
        while let Some(mut link) = self.link.take() {
            match self.serve(&mut link).await {
                Ended::Closed => {
                    self.say_goodbye(&mut link).await;
                    return;
                }
                Ended::Lost => {
                    drop(link);
                    self.lost();
                    self.link = self.redial().await;
                }
            }
        }
    }

    async fn serve(&mut self, link: &mut Link) -> Ended {
        loop {
            match self.step(link).await {
                Step::Incoming(None) | Step::Outgoing(false) => return Ended::Lost,
                Step::Incoming(Some(ServerMessage::Event(event))) => self.deliver(event),
                Step::Incoming(Some(ServerMessage::Response { id, result })) => {
                    if !self.answered(id, result) {
                        return Ended::Lost;
                    }
                }
                Step::Outgoing(true) => {
                    if !self.send_front(link) {
                        return Ended::Lost;
                    }
                }
                Step::Op(None | Some(Op::Close)) => return Ended::Closed,
                Step::Op(Some(op)) => self.take(op),
                Step::Dropped => self.sweep(),
                Step::Expired => {
                    if !self.expire() {
                        return Ended::Lost;
                    }
                }
                Step::Ping => self.ping(),
            }
        }
    }

    async fn step(&mut self, link: &mut Link) -> Step {
        let waiting = self.pending.has_unsent();
        let takes = !waiting && !self.resuming && self.pending.len() < UNANSWERED_REQUESTS;
        let deadline = self.pending.deadline();
        let remote = link.outbound.is_remote();
        tokio::select! {
            incoming = link.inbound.recv() => Step::Incoming(incoming),
            sent = link.outbound.progress(waiting) => Step::Outgoing(sent),
            op = self.ops.recv(), if takes => Step::Op(op),
            () = self.shared.dropped.notified(), if takes => Step::Dropped,
            () = until(deadline) => Step::Expired,
            () = sleep_until(self.ping_at), if remote => Step::Ping,
        }
    }

    /// Sends what waits longest if there is room; `false` when the connection is lost.
    fn send_front(&mut self, link: &mut Link) -> bool {
        let Some(front) = self.pending.front() else {
            return true;
        };
        match link.outbound.send(&front.message) {
            Sent::Yes => {
                self.pending.front_sent();
                true
            }
            Sent::Full => true,
            Sent::Lost => false,
        }
    }

    /// Takes in what a handle asks for.
    fn take(&mut self, op: Op) {
        match op {
            Op::Request {
                request,
                epoch,
                routes,
                reply,
            } => {
                if epoch.is_some_and(|epoch| epoch != self.epoch()) {
                    let _ = reply.send(Err(Error::SessionLost));
                    return;
                }
                if self.session.is_none() && needs_session(&request) {
                    // The server lends the connection's session to the next request.
                    self.enqueue(Request::Connect, Waiter::Nobody);
                }
                let streams = routes.into_iter().map(|planned| self.open(planned));
                let streams = streams.collect();
                self.enqueue(request, Waiter::Caller { reply, streams });
            }
            Op::Unroute { route } => self.unroute(route),
            Op::Session { reply } => {
                let _ = reply.send(self.session.clone());
            }
            // `serve` ends at it.
            Op::Close => {}
        }
    }

    fn enqueue(&mut self, request: Request, waiter: Waiter) {
        let session = self.session.clone();
        let timeout = self.config.request_timeout;
        self.pending.push(request, session, waiter, timeout);
    }

    /// Takes an answer in; `false` when the connection is of no use.
    fn answered(&mut self, id: Option<Value>, result: Result<Value, ServerError>) -> bool {
        let id = id.as_ref().and_then(Value::as_u64);
        let Some(outstanding) = id.and_then(|id| self.pending.answered(id)) else {
            tracing::debug!(?id, "an answer that nobody waits for");
            if let Some(makes) = id.and_then(|id| self.pending.answered_late(id))
                && let Ok(value) = result
            {
                let value = self.unwrap(value);
                self.undo(&makes, &value);
            }
            return true;
        };
        let Outstanding {
            waiter, message, ..
        } = outstanding;
        let result = result.map(|value| self.unwrap(value));
        match waiter {
            Waiter::Caller { reply, streams } => {
                // What the caller was told counts for the session in which it asked.
                let epoch = self.epoch();
                self.settle(streams, &result);
                if let Ok(value) = &result {
                    self.conclude(&message.request, value);
                }
                let answer = result.map(|value| Answer { value, epoch });
                if let Err(Ok(answer)) = reply.send(answer.map_err(Error::Server)) {
                    // The caller gave up.
                    self.undo_objects(&message.request, &answer.value);
                }
                true
            }
            Waiter::Ping | Waiter::Nobody => true,
            Waiter::Resume => self.resumed(result),
        }
    }

    /// What a successful request changes here.
    fn conclude(&mut self, request: &Request, value: &Value) {
        match request {
            Request::Release { object } => self.routes.forget(object),
            Request::CloseSession { .. } => self.forget_session(),
            Request::Transaction { operations } => {
                for (operation, response) in operations.iter().zip(items(value)) {
                    let releases = operation["method"] == "release";
                    if releases && response.get("result").is_some() {
                        let object = operation["params"]["object"].as_str();
                        self.routes.forget(object.unwrap_or_default());
                    }
                }
            }
            Request::Connect
            | Request::Ping { .. }
            | Request::Create { .. }
            | Request::Describe { .. }
            | Request::Invoke { .. }
            | Request::Subscribe { .. }
            | Request::Unsubscribe { .. }
            | Request::Ref { .. }
            | Request::Unref { .. }
            | Request::KeepAlive => {}
        }
    }

    /// Takes the session's id out of a result and finds what the caller asked for.
    fn unwrap(&mut self, result: Value) -> Value {
        let Value::Object(mut members) = result else {
            return result;
        };
        if let Some(Value::String(session)) = members.remove("sessionId") {
            self.session = Some(session);
        }
        match members.remove("value") {
            Some(value) => value,
            None => Value::Object(members),
        }
    }

    /// Gives up on the oldest request; `false` when it proves the connection dead.
    fn expire(&mut self) -> bool {
        let Some((id, outstanding)) = self.pending.expire() else {
            return true;
        };
        if outstanding.was_sent()
            && let Some(makes) = Makes::of(&outstanding.message.request)
        {
            self.pending.remember_late(id, makes);
        }
        let waiter = outstanding.waiter;
        let dead = matches!(waiter, Waiter::Ping | Waiter::Resume);
        self.fail(waiter, Error::Timeout(self.config.request_timeout));
        !dead
    }

    /// A request gets no answer: its streams end.
    fn fail(&mut self, waiter: Waiter, error: Error) {
        match waiter {
            Waiter::Caller { reply, streams } => {
                for stream in streams {
                    if let Stream::Open { route, .. } = stream {
                        self.routes.remove(route);
                    }
                }
                // A caller that gave up does not want to know.
                let _ = reply.send(Err(error));
            }
            Waiter::Ping | Waiter::Resume | Waiter::Nobody => {}
        }
    }

    fn ping(&mut self) {
        self.ping_at = Instant::now() + self.config.ping_interval;
        let interval = self.config.ping_interval.as_millis();
        let interval_ms = u64::try_from(interval).ok();
        self.enqueue(Request::Ping { interval_ms }, Waiter::Ping);
    }

    /// The session is gone on the server: handles and streams of it end.
    fn forget_session(&mut self) {
        self.session = None;
        self.routes.clear();
        self.shared.epoch.fetch_add(1, Ordering::Relaxed);
    }

    /// How many sessions were lost so far. The driver alone counts.
    fn epoch(&self) -> u64 {
        self.shared.epoch.load(Ordering::Relaxed)
    }

    fn publish(&self, event: SessionEvent) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// Closes the session on the server, as far as that goes without waiting for long.
    async fn say_goodbye(&mut self, link: &mut Link) {
        if self.session.is_some() {
            let request = Request::CloseSession { release: false };
            self.enqueue(request, Waiter::Nobody);
        }
        let patience = self.config.connect_timeout;
        let farewell = async {
            while self.pending.has_unsent() {
                if !link.outbound.progress(true).await || !self.send_front(link) {
                    return;
                }
            }
            link.outbound.close().await;
        };
        let _ = tokio::time::timeout(patience, farewell).await;
    }
}

/// Whether the request is of no use to a connection that has no session yet: servers refuse it,
/// for the most part.
fn needs_session(request: &Request) -> bool {
    match request {
        Request::Ref { .. }
        | Request::Unref { .. }
        | Request::KeepAlive
        | Request::CloseSession { .. } => true,
        // They open one, but drop its events until the answer has named it.
        Request::Transaction { .. } => true,
        Request::Connect
        | Request::Ping { .. }
        | Request::Create { .. }
        | Request::Describe { .. }
        | Request::Invoke { .. }
        | Request::Subscribe { .. }
        | Request::Unsubscribe { .. }
        | Request::Release { .. } => false,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
