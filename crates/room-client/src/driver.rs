//! The task that owns the connection: sends requests, hands out answers and events, and opens a
//! lost connection again.

mod reopen;
mod session;
mod unanswered;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use salono_jsonrpc::Limits;
use salono_jsonrpc::room::RequestId;
use salono_jsonrpc::room::client::{Body, parse_from_server};
use salono_room_proto::Notification;
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{
    Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout,
};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::event::Event;
use crate::queue;
use crate::socket::{self, MAX_MESSAGE_BYTES, Socket};
use crate::{Config, Error, Status};
use reopen::Misfortune;
use session::{Resumption, Session};
use unanswered::Unanswered;

/// Deepest nesting of what a server sends.
const MAX_DEPTH: usize = 64;

/// How long a server may take to give a session back: it may ask the old connection first whether
/// it lives, for three seconds.
const RESUME_PATIENCE: Duration = Duration::from_secs(8);

/// How long a server may take to answer a goodbye.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(2);

/// How often requests whose callers have gone are looked for when there are too many.
const SWEEP_INTERVAL: Duration = Duration::from_millis(200);

/// A request on its way to the driver.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Cow<'static, str>,
    pub(crate) params: Map<String, Value>,
    pub(crate) reply: oneshot::Sender<Result<Value, Error>>,
}

/// What an application wants of the connection itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Orders {
    /// It is to end.
    pub(crate) close: bool,
    /// How often it is to be opened anew.
    pub(crate) renewals: u64,
}

/// Does the work of a [`RoomClient`](crate::RoomClient): owns its connection, and must be
/// [run](Driver::run) for anything to happen.
#[derive(Debug)]
#[must_use = "a client does nothing unless its driver runs"]
pub struct Driver {
    url: Arc<str>,
    config: Config,
    calls: mpsc::Receiver<Call>,
    orders: watch::Receiver<Orders>,
    status: watch::Sender<Status>,
    events: queue::Sender,
    /// The connection that the client was made with.
    first: Option<Socket>,
    /// A call that waited for a connection to be opened for it.
    held: Option<Call>,
    session: Session,
    unanswered: Unanswered,
    misfortune: Misfortune,
    next_id: i64,
}

/// What the loop wakes up for.
enum Wake {
    Received(Option<Result<Message, tungstenite::Error>>),
    Call(Option<Call>),
    Orders,
    Ping,
    Sweep,
    ResumeOverdue,
}

/// Why a connection is not used any more.
enum End {
    /// The application wants no more of it.
    Closed,
    /// The participant has left its room, after which servers end the connection.
    Left,
    /// It broke.
    Lost,
}

impl Driver {
    pub(crate) fn new(
        url: &str,
        config: Config,
        first: Socket,
        calls: mpsc::Receiver<Call>,
        orders: watch::Receiver<Orders>,
        status: watch::Sender<Status>,
        events: queue::Sender,
    ) -> Self {
        Self {
            url: Arc::from(url),
            config,
            calls,
            orders,
            status,
            events,
            first: Some(first),
            held: None,
            session: Session::default(),
            unanswered: Unanswered::default(),
            misfortune: Misfortune::default(),
            next_id: 1,
        }
    }

    /// Works until the client is closed, all its handles are dropped, or a lost connection is given
    /// up. Usually spawned.
    ///
    /// Dropping the future cuts the connection: the server keeps the place in the room for some
    /// seconds, as for anybody who lost it.
    pub async fn run(mut self) {
        let mut next = self.first.take();
        while let Some(mut socket) = next {
            self.show(true);
            let end = self.converse(&mut socket).await;
            self.show(false);
            next = match end {
                End::Closed => {
                    self.say_goodbye(socket).await;
                    None
                }
                End::Left => {
                    self.session = Session::default();
                    self.unanswered.fail_all(&Error::Disconnected);
                    self.show(false);
                    socket::close(socket).await;
                    self.idle().await
                }
                End::Lost => {
                    drop(socket);
                    self.events.push(Event::Disconnected);
                    let is_in_session = self.session.id().is_some();
                    if !is_in_session {
                        self.unanswered.fail_all(&Error::Disconnected);
                    }
                    let socket = self.reopen().await;
                    if socket.is_some() && !is_in_session {
                        self.events.push(Event::Reconnected { resumed: false });
                    }
                    socket
                }
            };
        }
        self.unanswered.fail_all(&Error::Closed);
    }

    /// Uses a connection for as long as it lasts.
    async fn converse(&mut self, socket: &mut Socket) -> End {
        let mut heartbeat = Heartbeat::new(self.config.ping_interval);
        let mut resumption = match self.open_conversation(socket).await {
            Ok(resumption) => resumption,
            Err(end) => return end,
        };
        loop {
            let wake = self.wait(socket, &mut heartbeat, resumption.as_ref()).await;
            let end = match wake {
                Wake::Received(None | Some(Err(_) | Ok(Message::Close(_)))) => Some(End::Lost),
                Wake::Received(Some(Ok(message))) => {
                    heartbeat.heard = true;
                    match message {
                        Message::Text(text) => self.take(socket, &text, &mut resumption).await,
                        // Tungstenite answers pings; servers send nothing else.
                        Message::Binary(_)
                        | Message::Ping(_)
                        | Message::Pong(_)
                        | Message::Close(_)
                        | Message::Frame(_) => None,
                    }
                }
                Wake::Call(None) => Some(End::Closed),
                Wake::Call(Some(call)) => self.send_call(socket, call).await,
                Wake::Orders => {
                    // Only what was not seen yet wakes the loop: if it is not a close, it is a
                    // renewal.
                    Some(if self.is_closing() {
                        End::Closed
                    } else {
                        End::Lost
                    })
                }
                Wake::Ping => {
                    if heartbeat.is_dead() && self.events.is_ready() {
                        tracing::debug!("no sign of life from the server");
                        return End::Lost;
                    }
                    self.send_ping(socket, heartbeat.interval()).await
                }
                Wake::Sweep => {
                    self.unanswered.sweep();
                    None
                }
                Wake::ResumeOverdue => Some(End::Lost),
            };
            if let Some(end) = end {
                return end;
            }
        }
    }

    /// What comes first on a new connection: proof of life, the wish to have one's session back,
    /// and the call that it was opened for.
    async fn open_conversation(&mut self, socket: &mut Socket) -> Result<Option<Resumption>, End> {
        if let Some(interval) = self.config.ping_interval
            && let Some(end) = self.send_ping(socket, interval).await
        {
            return Err(end);
        }
        let mut resumption = None;
        if let Some(params) = self.session.connect_params() {
            let id = self.take_id();
            let text = self.session.encode(id, "connect", params);
            if !socket::send(socket, text).await {
                return Err(End::Lost);
            }
            resumption = Some(Resumption::asked(id, Instant::now() + RESUME_PATIENCE));
        }
        if let Some(call) = self.held.take()
            && let Some(end) = self.send_call(socket, call).await
        {
            return Err(end);
        }
        Ok(resumption)
    }

    async fn wait(
        &mut self,
        socket: &mut Socket,
        heartbeat: &mut Heartbeat,
        resumption: Option<&Resumption>,
    ) -> Wake {
        let is_full = self.unanswered.is_full();
        let asked = resumption.and_then(Resumption::deadline);
        let Self {
            calls,
            orders,
            events,
            ..
        } = self;
        tokio::select! {
            received = async {
                events.ready().await;
                socket.next().await
            } => Wake::Received(received),
            // Requests of a session that is not there yet would make a new one.
            call = calls.recv(), if !is_full && resumption.is_none() => Wake::Call(call),
            _ = orders.changed() => Wake::Orders,
            () = heartbeat.due() => Wake::Ping,
            () = sleep(SWEEP_INTERVAL), if is_full => Wake::Sweep,
            () = sleep_until(asked.unwrap_or_else(Instant::now)), if asked.is_some() => {
                Wake::ResumeOverdue
            }
        }
    }

    async fn send_call(&mut self, socket: &mut Socket, call: Call) -> Option<End> {
        if call.reply.is_closed() {
            return None;
        }
        let id = self.take_id();
        let text = self.session.encode(id, &call.method, call.params);
        if text.len() > crate::MAX_REQUEST_BYTES {
            // Its caller may have gone meanwhile.
            let _ = call.reply.send(Err(Error::TooLong(text.len())));
            return None;
        }
        // Kept before it is sent: if the connection breaks now, it may be sent once more.
        self.unanswered
            .insert(id, call.method, text.clone(), call.reply);
        (!socket::send(socket, text).await).then_some(End::Lost)
    }

    async fn send_ping(&mut self, socket: &mut Socket, interval: Duration) -> Option<End> {
        let id = self.take_id();
        let text = self.session.encode_ping(id, interval);
        (!socket::send(socket, text).await).then_some(End::Lost)
    }

    /// A text of the server.
    async fn take(
        &mut self,
        socket: &mut Socket,
        text: &str,
        resumption: &mut Option<Resumption>,
    ) -> Option<End> {
        let limits = Limits {
            max_bytes: MAX_MESSAGE_BYTES,
            max_depth: MAX_DEPTH,
        };
        let frame = match parse_from_server(text, &limits) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(%error, "the server sent what is no message");
                return None;
            }
        };
        match frame.body {
            Body::Answer(answer) if Resumption::is_for(resumption, answer.id) => {
                *resumption = match self.session.judge(answer) {
                    session::Verdict::Resumed { newest, lost } => {
                        self.events.push(Event::Reconnected { resumed: true });
                        if lost > 0 {
                            self.events.push(Event::Missed(lost));
                        }
                        Some(Resumption::catching_up(newest))
                    }
                    session::Verdict::Gone => {
                        self.session = Session::default();
                        self.unanswered.fail_all(&Error::SessionLost);
                        self.events.push(Event::Reconnected { resumed: false });
                        None
                    }
                    // It may give the session back another time.
                    session::Verdict::Unwilling => return Some(End::Lost),
                };
                self.misfortune = Misfortune::default();
                self.show(true);
            }
            Body::Answer(answer) => {
                let asked = self.unanswered.take(answer.id);
                let is_join = asked
                    .as_ref()
                    .is_some_and(|asked| asked.method == "joinRoom");
                // An answer that somebody waits for is new, whatever its number.
                self.session.counts(frame.seq, is_join);
                if let Some(session) = answer.session {
                    self.session.name(session);
                    self.show(true);
                }
                if resumption.is_none() {
                    // A connection on which there are answers is a good one.
                    self.misfortune = Misfortune::default();
                }
                // Else it is for a ping, or for somebody who has not waited for it.
                if let Some(asked) = asked {
                    let left = asked.method == "leaveRoom" && answer.result.is_ok();
                    asked.answer(answer.result);
                    if left {
                        return Some(End::Left);
                    }
                }
            }
            Body::Notification { method, params } => {
                if !self.session.counts(frame.seq, false) {
                    return None;
                }
                self.events
                    .push(match Notification::parse(&method, params.as_ref()) {
                        Ok(notification) => Event::Notification(notification),
                        Err(_) => Event::Unknown { method, params },
                    });
            }
        }
        self.finish_resumption(socket, resumption).await
    }

    /// Once everything is there that was missed, requests without an answer are sent again under
    /// their numbers: the server then answers again, or for the first time.
    async fn finish_resumption(
        &mut self,
        socket: &mut Socket,
        resumption: &mut Option<Resumption>,
    ) -> Option<End> {
        if !resumption
            .as_ref()
            .is_some_and(|resumption| resumption.is_complete(&self.session))
        {
            return None;
        }
        *resumption = None;
        if self.session.is_numbered() {
            self.unanswered.sweep();
            for text in self.unanswered.texts() {
                if !socket::send(socket, text).await {
                    return Some(End::Lost);
                }
            }
        }
        None
    }

    /// Tells the server that nobody comes back, so that others see it at once.
    async fn say_goodbye(&mut self, mut socket: Socket) {
        if self.session.id().is_some() {
            let id = self.take_id();
            let text = self.session.encode(id, "closeSession", Map::new());
            let goodbye = async {
                if socket::send(&mut socket, text).await {
                    // The server answers and ends the connection.
                    while let Some(Ok(_)) = socket.next().await {}
                }
            };
            let _ = timeout(GOODBYE_PATIENCE, goodbye).await;
        }
        socket::close(socket).await;
    }

    fn is_closing(&self) -> bool {
        self.orders.has_changed().is_err() || self.orders.borrow().close
    }

    fn take_id(&mut self) -> RequestId {
        let id = RequestId(self.next_id);
        self.next_id = self.next_id.wrapping_add(1);
        id
    }

    /// Lets handles see how it stands.
    fn show(&self, connected: bool) {
        self.status.send_if_modified(|status| {
            let session = self.session.id();
            let changed = status.connected != connected || status.session.as_deref() != session;
            if changed {
                status.connected = connected;
                status.session = session.map(str::to_owned);
            }
            changed
        });
    }
}

/// When to ping, and whether anything was heard since.
struct Heartbeat {
    ticks: Option<Interval>,
    heard: bool,
}

impl Heartbeat {
    /// The first ping is sent apart, right after the connection was opened.
    fn new(interval: Option<Duration>) -> Self {
        let ticks = interval.map(|interval| {
            let mut ticks = interval_at(Instant::now() + interval, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        });
        Self { ticks, heard: true }
    }

    /// Resolves once per interval; never without one.
    async fn due(&mut self) {
        match &mut self.ticks {
            Some(ticks) => drop(ticks.tick().await),
            None => std::future::pending().await,
        }
    }

    fn interval(&self) -> Duration {
        self.ticks.as_ref().map_or(Duration::ZERO, Interval::period)
    }

    /// Whether nothing was heard since the last time this was asked.
    fn is_dead(&mut self) -> bool {
        !std::mem::take(&mut self.heard)
    }
}
