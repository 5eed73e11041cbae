//! The driver: the one task that owns a client's connection.
//!
//! It numbers requests, matches answers, hands events out and, on a WebSocket, keeps the
//! connection alive and opens it again. Handles talk to it through one bounded queue. While a
//! message waits for room in the connection no new requests are taken, so a slow server slows its
//! callers down instead of filling memory; answers and events are read all the time.

use std::{
    collections::{BTreeMap, VecDeque},
    future::pending,
    sync::Arc,
};

use salono_kurento_model::{
    Error as ServerError, ErrorCode, Value,
    wire::{ClientMessage, Notification, Request, ServerMessage},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, sleep_until},
};

use crate::{Config, Error, SessionEvent, event::Route, link::Link};

/// Requests without an answer; no further ones are taken beyond it.
const MAX_OUTSTANDING: usize = 4096;

/// What handles ask of the driver.
#[derive(Debug)]
pub(crate) enum Op {
    /// Send a request and answer it.
    Request {
        request: Request,
        reply: oneshot::Sender<Result<Value, Error>>,
    },
    /// Deliver an event of an object here.
    Route {
        object: Arc<str>,
        event: &'static str,
        route: Route,
    },
    /// Nobody reads this route any more.
    Unroute {
        object: Arc<str>,
        event: &'static str,
        route: u64,
        subscription: Option<String>,
    },
    /// The object and its children were released.
    Forget { object: Arc<str> },
    /// End the session.
    Close,
}

/// Who waits for an answer.
#[derive(Debug)]
enum Waiter {
    /// A caller, and whether the request ends the session.
    Caller {
        reply: oneshot::Sender<Result<Value, Error>>,
        closes: bool,
    },
    /// Proof that the connection is alive.
    Ping,
    /// The session is being resumed.
    Resume,
    /// Nobody: the end of a subscription.
    Nobody,
}

#[derive(Debug)]
struct Outstanding {
    deadline: Instant,
    waiter: Waiter,
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
    Expired,
    Ping,
}

/// Runs a client's connection. Spawn or await [`Driver::run`].
#[derive(Debug)]
#[must_use = "the client does nothing until the driver runs"]
pub struct Driver {
    ops: mpsc::Receiver<Op>,
    events: broadcast::Sender<SessionEvent>,
    link: Option<Link>,
    /// URL to open again; an in-process connection has none.
    address: Option<Arc<str>>,
    config: Config,
    session: Option<String>,
    next_id: u64,
    /// By request id. Ids and deadlines grow together, so the first one expires first.
    outstanding: BTreeMap<u64, Outstanding>,
    outbox: VecDeque<ClientMessage>,
    routes: BTreeMap<(Arc<str>, &'static str), Vec<Route>>,
    ping_at: Instant,
    resuming: bool,
}

impl Driver {
    pub(crate) fn new(
        ops: mpsc::Receiver<Op>,
        events: broadcast::Sender<SessionEvent>,
        link: Link,
        address: Option<Arc<str>>,
        config: Config,
    ) -> Self {
        let ping_at = Instant::now() + config.ping_interval;
        Self {
            ops,
            events,
            link: Some(link),
            address,
            config,
            session: None,
            next_id: 0,
            outstanding: BTreeMap::new(),
            outbox: VecDeque::new(),
            routes: BTreeMap::new(),
            ping_at,
            resuming: false,
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
                    tracing::info!(address = self.address.as_deref(), "connection lost");
                    self.fail_outstanding();
                    self.publish(SessionEvent::Disconnected);
                    drop(link);
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
                    if !link.outbound.send(&mut self.outbox) {
                        return Ended::Lost;
                    }
                }
                Step::Op(None | Some(Op::Close)) => return Ended::Closed,
                Step::Op(Some(op)) => self.take(op),
                Step::Expired => {
                    if !self.expire() {
                        return Ended::Lost;
                    }
                }
                Step::Ping => {
                    self.ping_at = Instant::now() + self.config.ping_interval;
                    self.enqueue(Request::Ping, Waiter::Ping);
                }
            }
        }
    }

    async fn step(&mut self, link: &mut Link) -> Step {
        let waiting = !self.outbox.is_empty();
        let takes = !waiting && !self.resuming && self.outstanding.len() < MAX_OUTSTANDING;
        let deadline = self.outstanding.values().next().map(|first| first.deadline);
        let remote = link.outbound.is_remote();
        tokio::select! {
            incoming = link.inbound.recv() => Step::Incoming(incoming),
            sent = link.outbound.progress(waiting) => Step::Outgoing(sent),
            op = self.ops.recv(), if takes => Step::Op(op),
            () = until(deadline) => Step::Expired,
            () = sleep_until(self.ping_at), if remote => Step::Ping,
        }
    }

    fn take(&mut self, op: Op) {
        match op {
            Op::Request { request, reply } => {
                let closes = matches!(request, Request::CloseSession { .. });
                self.enqueue(request, Waiter::Caller { reply, closes });
            }
            Op::Route {
                object,
                event,
                route,
            } => self.routes.entry((object, event)).or_default().push(route),
            Op::Unroute {
                object,
                event,
                route,
                subscription,
            } => self.unroute(object, event, route, subscription),
            Op::Forget { object } => {
                self.routes.retain(|(routed, _), _| {
                    let rest = routed.strip_prefix(&*object);
                    !rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
            }
            // `serve` ends at it.
            Op::Close => {}
        }
    }

    fn unroute(
        &mut self,
        object: Arc<str>,
        event: &'static str,
        id: u64,
        subscription: Option<String>,
    ) {
        let key = (object, event);
        let Some(routes) = self.routes.get_mut(&key) else {
            // Released or of a lost session: there is no subscription any more.
            return;
        };
        routes.retain(|route| route.id != id);
        if routes.is_empty() {
            self.routes.remove(&key);
        }
        if let Some(subscription) = subscription {
            let object = key.0.to_string();
            let request = Request::Unsubscribe {
                object,
                subscription,
            };
            self.enqueue(request, Waiter::Nobody);
        }
    }

    fn enqueue(&mut self, request: Request, waiter: Waiter) {
        let id = self.next_id;
        self.next_id += 1;
        let deadline = Instant::now() + self.config.request_timeout;
        self.outstanding
            .insert(id, Outstanding { deadline, waiter });
        self.outbox.push_back(ClientMessage {
            id: Some(Value::from(id)),
            session: self.session.clone(),
            request,
        });
    }

    /// Takes an answer in; `false` when the connection is of no use.
    fn answered(&mut self, id: Option<Value>, result: Result<Value, ServerError>) -> bool {
        let id = id.as_ref().and_then(Value::as_u64);
        let Some(Outstanding { waiter, .. }) = id.and_then(|id| self.outstanding.remove(&id))
        else {
            tracing::debug!(?id, "an answer that nobody waits for");
            return true;
        };
        let result = result.map(|value| self.unwrap(value));
        match waiter {
            Waiter::Caller { reply, closes } => {
                if closes && result.is_ok() {
                    self.forget_session();
                }
                // A caller that gave up does not want it.
                let _ = reply.send(result.map_err(Error::Server));
                true
            }
            Waiter::Ping | Waiter::Nobody => true,
            Waiter::Resume => self.resumed(result),
        }
    }

    fn resumed(&mut self, result: Result<Value, ServerError>) -> bool {
        let same_session = match result {
            Ok(_) => true,
            Err(error) if error.code == ErrorCode::InvalidSession => {
                self.forget_session();
                false
            }
            Err(error) => {
                tracing::warn!(%error, "the session could not be resumed");
                return false;
            }
        };
        self.resuming = false;
        self.publish(SessionEvent::Reconnected { same_session });
        true
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

    fn deliver(&mut self, event: Notification) {
        let event = Arc::new(event);
        let mut orphans = Vec::new();
        // Event names come from the generated types; the wire's text only selects among them.
        for ((object, name), routes) in self
            .routes
            .range_mut((Arc::from(event.object.as_str()), "")..)
            .take_while(|((object, _), _)| **object == *event.object)
            .filter(|((_, name), _)| **name == *event.event)
        {
            for route in routes.iter() {
                if !route.deliver(&event) {
                    let subscription = route.subscription.get().cloned();
                    orphans.push((object.clone(), *name, route.id, subscription));
                }
            }
        }
        for (object, name, id, subscription) in orphans {
            self.unroute(object, name, id, subscription);
        }
        self.publish(SessionEvent::Notification(event));
    }

    /// Gives up on the oldest request; `false` when it proves the connection dead.
    fn expire(&mut self) -> bool {
        let Some((_, Outstanding { waiter, .. })) = self.outstanding.pop_first() else {
            return true;
        };
        match waiter {
            Waiter::Caller { reply, .. } => {
                let _ = reply.send(Err(Error::Timeout(self.config.request_timeout)));
                true
            }
            Waiter::Nobody => true,
            Waiter::Ping | Waiter::Resume => false,
        }
    }

    fn fail_outstanding(&mut self) {
        self.outbox.clear();
        self.resuming = false;
        for (_, Outstanding { waiter, .. }) in std::mem::take(&mut self.outstanding) {
            match waiter {
                Waiter::Caller { reply, .. } => {
                    let _ = reply.send(Err(Error::Disconnected));
                }
                Waiter::Ping | Waiter::Resume | Waiter::Nobody => {}
            }
        }
    }

    fn forget_session(&mut self) {
        self.session = None;
        self.routes.clear();
    }

    fn publish(&self, event: SessionEvent) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }

    /// Opens a lost connection again, as long as anybody holds the client.
    async fn redial(&mut self) -> Option<Link> {
        let address = self.address.clone()?;
        let mut delay = self.config.reconnect_delay;
        loop {
            if !self.refuse_until(Instant::now() + delay).await {
                return None;
            }
            delay = (delay * 2).min(self.config.reconnect_delay_max);
            match self.dial(&address).await {
                Dialed::Open(link) => {
                    self.ping_at = Instant::now() + self.config.ping_interval;
                    if self.session.is_some() {
                        self.resuming = true;
                        self.enqueue(Request::Connect, Waiter::Resume);
                    } else {
                        self.publish(SessionEvent::Reconnected { same_session: true });
                    }
                    return Some(link);
                }
                Dialed::Failed => {}
                Dialed::Closed => return None,
            }
        }
    }

    /// Opens the connection while requests are refused.
    async fn dial(&mut self, address: &str) -> Dialed {
        let config = self.config.clone();
        let opening = open(address, &config);
        tokio::pin!(opening);
        loop {
            tokio::select! {
                link = &mut opening => return link.map_or(Dialed::Failed, Dialed::Open),
                op = self.ops.recv() => if !self.refuse(op) {
                    return Dialed::Closed;
                },
            }
        }
    }

    /// Refuses requests for a while; `false` when nobody holds the client any more.
    async fn refuse_until(&mut self, end: Instant) -> bool {
        loop {
            tokio::select! {
                () = sleep_until(end) => return true,
                op = self.ops.recv() => if !self.refuse(op) {
                    return false;
                },
            }
        }
    }

    /// Handles what can be handled without a connection; `false` at the end of the client.
    fn refuse(&mut self, op: Option<Op>) -> bool {
        match op {
            None | Some(Op::Close) => return false,
            Some(Op::Request { reply, .. }) => {
                let _ = reply.send(Err(Error::Disconnected));
            }
            Some(op @ (Op::Route { .. } | Op::Unroute { .. } | Op::Forget { .. })) => {
                self.take(op);
                // There is no server to tell of ended subscriptions.
                self.outbox.clear();
                self.outstanding.clear();
            }
        }
        true
    }

    /// Closes the session on the server, as far as that goes without waiting for long.
    async fn say_goodbye(&mut self, link: &mut Link) {
        if self.session.is_some() {
            let (reply, _) = oneshot::channel();
            let closes = true;
            let request = Request::CloseSession { release: false };
            self.enqueue(request, Waiter::Caller { reply, closes });
        }
        let farewell = async {
            while !self.outbox.is_empty() {
                if !link.outbound.progress(true).await || !link.outbound.send(&mut self.outbox) {
                    return;
                }
            }
            link.outbound.close().await;
        };
        let patience = self.config.connect_timeout;
        let _ = tokio::time::timeout(patience, farewell).await;
    }
}

enum Dialed {
    Open(Link),
    Failed,
    Closed,
}

#[cfg(feature = "ws")]
async fn open(address: &str, config: &Config) -> Option<Link> {
    match crate::ws::open(address, config).await {
        Ok(link) => Some(link),
        Err(error) => {
            tracing::debug!(address, %error, "cannot connect");
            None
        }
    }
}

/// Without WebSockets no driver has an address to dial.
#[cfg(not(feature = "ws"))]
async fn open(_: &str, _: &Config) -> Option<Link> {
    pending().await
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => pending().await,
    }
}
