//! All sockets and sessions of a room server, without I/O.

mod builtin;
mod config;
mod numbering;
mod resume;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

pub use config::Config;
pub(super) use numbering::Numbered;

use super::envelope::{self, Failure};
use super::frame::{Call, Incoming, RequestId};
use super::session::{Binding, Running, Session, SessionId};
use super::timer::{Timer, Timers};
use super::{CODE_NOT_UNDERSTOOD, CODE_OVERLOADED, CODE_SESSION};

/// One WebSocket, for as long as the hub knows it. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u64);

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the hub asks its shell to do, in order.
#[derive(Debug, PartialEq)]
pub enum Effect {
    /// Send this text frame.
    Send {
        /// Where.
        socket: SocketId,
        /// What.
        text: String,
    },
    /// Close the socket after everything sent before. The hub has forgotten it already.
    Close {
        /// Which.
        socket: SocketId,
        /// WebSocket close code (RFC 6455 section 7.4).
        code: u16,
        /// Close reason.
        reason: &'static str,
    },
    /// Send a WebSocket ping and report its pong by [`Hub::handle_pong`].
    Probe {
        /// Which.
        socket: SocketId,
    },
    /// Carry out this request, then call [`Hub::complete`]. The session's next request waits.
    Execute {
        /// Whose request.
        session: SessionId,
        /// To be repeated in [`Hub::respond`].
        id: RequestId,
        /// The method's name, anything that is not built in.
        method: String,
        /// Its parameters.
        params: Option<Value>,
    },
    /// The session is over without having left: take its participant out of its room. May come
    /// twice for a session that had a request running, because that one may have been a join.
    Ended {
        /// Whose.
        session: SessionId,
    },
}

/// Cumulative counts since the hub began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Requests handed out by [`Effect::Execute`].
    pub executed: u64,
    /// `ping`, `connect` and `closeSession` requests.
    pub builtin: u64,
    /// Requests dropped because one with the same id was under way.
    pub duplicates: u64,
    /// Error replies, of any kind.
    pub errors: u64,
    /// Frames lost because their client was away for too long or too much happened.
    pub missed: u64,
}

struct Socket {
    session: Option<SessionId>,
    watchdog: Option<Watchdog>,
    /// A session of another socket that this one asked for.
    claims: Option<SessionId>,
}

struct Watchdog {
    period: Duration,
    deadline: Instant,
}

/// The server side of the room dialect: every socket and every session.
///
/// **Drive contract: after any `handle_…` call, [`respond`](Self::respond),
/// [`refuse`](Self::refuse), [`notify`](Self::notify), [`hang_up`](Self::hang_up) or
/// [`complete`](Self::complete), carry out [`poll_effect`](Self::poll_effect) until it is `None`,
/// then arm one timer for [`poll_timeout`](Self::poll_timeout) and call
/// [`handle_timeout`](Self::handle_timeout) when it fires.**
///
/// Rules of sessions: the first room request or `connect` of a socket makes its session. A session
/// stays with its socket. It can move only when it is named by its id, and only to a socket that
/// has none yet, and only once its own socket is gone (or shows no sign of life when asked).
/// Requests that name an id nobody knows are taken as the socket's own.
pub struct Hub {
    config: Config,
    entropy: Entropy,
    next_socket: u64,
    sockets: BTreeMap<SocketId, Socket>,
    sessions: BTreeMap<SessionId, Session>,
    timers: Timers,
    effects: VecDeque<Effect>,
    counters: Counters,
    closing: bool,
}

/// Fills its argument with unpredictable bytes.
type Entropy = Box<dyn FnMut(&mut [u8; SessionId::CHARS]) + Send>;

impl Hub {
    /// An empty hub. `entropy` must fill its argument with unpredictable bytes; session ids are
    /// made of them.
    pub fn new(
        config: Config,
        entropy: impl FnMut(&mut [u8; SessionId::CHARS]) + Send + 'static,
    ) -> Self {
        Self {
            config,
            entropy: Box::new(entropy),
            next_socket: 0,
            sockets: BTreeMap::new(),
            sessions: BTreeMap::new(),
            timers: Timers::default(),
            effects: VecDeque::new(),
            counters: Counters::default(),
            closing: false,
        }
    }

    /// A new socket; `None` when there are too many, or the hub is closing.
    pub fn handle_open(&mut self) -> Option<SocketId> {
        if self.closing || self.sockets.len() >= self.config.max_sockets {
            return None;
        }
        let id = SocketId(self.next_socket);
        self.next_socket += 1;
        self.sockets.insert(
            id,
            Socket {
                session: None,
                watchdog: None,
                claims: None,
            },
        );
        Some(id)
    }

    /// A frame arrived.
    pub fn handle_frame(&mut self, socket: SocketId, frame: Incoming, now: Instant) {
        if !self.sockets.contains_key(&socket) {
            return;
        }
        self.handle_sign_of_life(socket);
        match frame {
            Incoming::Response => {}
            Incoming::Call(call) => match call.method.as_str() {
                "ping" => self.ping(socket, &call, now),
                "connect" => self.connect(socket, &call, now),
                "closeSession" => self.close_session(socket, &call, now),
                _room_request => self.room_request(socket, call),
            },
        }
    }

    /// A WebSocket pong arrived.
    pub fn handle_pong(&mut self, socket: SocketId) {
        self.handle_sign_of_life(socket);
    }

    /// The socket is gone, for whatever reason.
    pub fn handle_close(&mut self, socket: SocketId, now: Instant) {
        self.forget_socket(socket, now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Watchdog(socket) => {
                    if let Some(socket) = self.sockets.get_mut(&socket) {
                        socket.watchdog = None;
                    }
                    self.close_socket(socket, 1000, "no ping for three intervals", now);
                }
                Timer::Grace(session) => self.end(&session, true),
                Timer::Takeover(session) => self.take_over(&session, now),
            }
        }
    }

    /// The running request of `session` succeeded. False when there is no such request, or it has
    /// its answer already: the reply is then dropped.
    pub fn respond(&mut self, session: &SessionId, id: RequestId, result: &Value) -> bool {
        let answers = self.answers(session, id);
        if answers {
            let text = envelope::result(Some(id), result, Some(session.as_str()));
            self.deliver(session, text);
        }
        answers
    }

    /// The running request of `session` failed. The result is that of [`respond`](Self::respond).
    pub fn refuse(&mut self, session: &SessionId, id: RequestId, failure: &Failure) -> bool {
        let answers = self.answers(session, id);
        if answers {
            self.counters.errors += 1;
            let text = envelope::error(Some(id), failure, Some(session.as_str()));
            self.deliver(session, text);
        }
        answers
    }

    /// An event for the client of `session`; kept while it is away, dropped when it is over.
    pub fn notify(&mut self, session: &SessionId, method: &str, params: &impl Serialize) {
        if self
            .sessions
            .get(session)
            .is_some_and(|session| !session.is_over())
        {
            self.deliver(session, envelope::notification(method, params));
        }
    }

    /// Ends the session of a client that has left its room, and closes its socket (1000).
    pub fn hang_up(&mut self, session: &SessionId, now: Instant) {
        let Some(Binding::Bound(socket)) = self.sessions.get(session).map(|s| &s.binding) else {
            self.end(session, false);
            return;
        };
        let socket = *socket;
        self.end(session, false);
        self.close_socket(socket, 1000, "", now);
    }

    /// The running request of `session` is done, events that follow its reply included. A request
    /// without a reply gets an error now; then the next one is handed out.
    pub fn complete(&mut self, session: &SessionId, id: RequestId) {
        let running = self.sessions.get(session).and_then(|s| s.running.as_ref());
        if running.is_none_or(|running| running.id != id) {
            return;
        }
        let failure = Failure::rejected(CODE_NOT_UNDERSTOOD, "internal error");
        self.refuse(session, id, &failure);
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        state.running = None;
        if let Binding::Ended { report } = state.binding {
            self.sessions.remove(session);
            if report {
                self.effects.push_back(Effect::Ended {
                    session: session.clone(),
                });
            }
        } else if let Some(call) = state.next_waiting() {
            self.execute(session, call);
        }
    }

    /// Closes every socket and refuses new ones; sessions are over when their socket is.
    pub fn close_all(&mut self, code: u16, reason: &'static str, now: Instant) {
        self.closing = true;
        let sockets: Vec<SocketId> = self.sockets.keys().copied().collect();
        for socket in sockets {
            self.close_socket(socket, code, reason, now);
        }
        let detached: Vec<SessionId> = self.sessions.keys().cloned().collect();
        for session in detached {
            self.end(&session, true);
        }
    }

    /// The next thing to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), and why.
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        self.timers.next().cloned()
    }

    /// How many sockets are open.
    pub fn sockets(&self) -> usize {
        self.sockets.len()
    }

    /// How many sessions there are, those included whose client is away.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// What has happened so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn room_request(&mut self, socket: SocketId, call: Call) {
        let Some(id) = call.id else {
            let failure = Failure::rejected(CODE_NOT_UNDERSTOOD, "request has no id");
            self.reply_error(socket, None, &failure);
            return;
        };
        let session = match self.session_for(socket, call.session.as_deref()) {
            Ok(session) => session,
            Err(failure) => return self.reply_error(socket, Some(id), &failure),
        };
        let Some(state) = self.sessions.get_mut(&session) else {
            return;
        };
        if state.has_request(id) {
            self.counters.duplicates += 1;
        } else if state.running.is_none() {
            self.execute(&session, call);
        } else if state.waiting.len() >= self.config.max_waiting_requests
            || state.waiting_bytes + call.bytes > self.config.max_waiting_bytes
        {
            let failure = Failure::rejected(CODE_OVERLOADED, "too many requests are waiting");
            self.reply_error(socket, Some(id), &failure);
        } else {
            state.waiting_bytes += call.bytes;
            state.waiting.push_back(call);
        }
    }

    /// The session that a request of `socket` runs in, made if need be.
    fn session_for(&mut self, socket: SocketId, named: Option<&str>) -> Result<SessionId, Failure> {
        let own = self.sockets.get(&socket).and_then(|s| s.session.clone());
        if let Some(named) = named
            && own.as_ref().is_none_or(|own| own.as_str() != named)
            && let Some((id, state)) = self.sessions.get_key_value(named)
            && !state.is_over()
        {
            return match (&own, &state.binding) {
                (None, Binding::Detached(_)) => {
                    let id = id.clone();
                    self.bind(&id, socket);
                    self.deliver_missed(&id);
                    self.deliver_unseen(&id);
                    Ok(id)
                }
                (Some(_), Binding::Detached(_))
                | (_, Binding::Bound(_) | Binding::Ended { .. }) => Err(Failure::rejected(
                    CODE_SESSION,
                    "this session belongs to another connection",
                )),
            };
        }
        match own {
            Some(own) => Ok(own),
            None => self.create_session(socket),
        }
    }

    fn create_session(&mut self, socket: SocketId) -> Result<SessionId, Failure> {
        if self.sessions.len() >= self.config.max_sessions {
            return Err(Failure::rejected(CODE_OVERLOADED, "too many sessions"));
        }
        let mut bytes = [0; SessionId::CHARS];
        (self.entropy)(&mut bytes);
        let id = SessionId::from_entropy(&bytes);
        if self.sessions.contains_key(&id) {
            // 130 random bits do not repeat: the source of randomness is broken.
            return Err(Failure::rejected(
                CODE_OVERLOADED,
                "no session id available",
            ));
        }
        self.sessions.insert(id.clone(), Session::on(socket));
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.session = Some(id.clone());
        }
        Ok(id)
    }

    fn execute(&mut self, session: &SessionId, call: Call) {
        let (Some(state), Some(id)) = (self.sessions.get_mut(session), call.id) else {
            return;
        };
        state.running = Some(Running {
            id,
            answered: false,
        });
        self.counters.executed += 1;
        self.effects.push_back(Effect::Execute {
            session: session.clone(),
            id,
            method: call.method,
            params: call.params,
        });
    }

    /// Whether a reply to `id` is wanted; it is not wanted a second time.
    fn answers(&mut self, session: &SessionId, id: RequestId) -> bool {
        self.sessions
            .get_mut(session)
            .and_then(|state| state.running.as_mut())
            .filter(|running| running.id == id && !running.answered)
            .map(|running| running.answered = true)
            .is_some()
    }

    fn deliver(&mut self, session: &SessionId, text: String) {
        let Some(text) = self.deliver_numbered(session, text) else {
            return;
        };
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        match state.binding {
            Binding::Bound(socket) => self.effects.push_back(Effect::Send { socket, text }),
            Binding::Detached(_) => {
                if state.missed.len() < self.config.max_missed_frames
                    && state.missed_bytes + text.len() <= self.config.max_missed_bytes
                {
                    state.missed_bytes += text.len();
                    state.missed.push_back(text);
                } else {
                    self.counters.missed += 1;
                }
            }
            Binding::Ended { .. } => {}
        }
    }

    fn reply_error(&mut self, socket: SocketId, id: Option<RequestId>, failure: &Failure) {
        self.counters.errors += 1;
        let text = envelope::error(id, failure, None);
        self.effects.push_back(Effect::Send { socket, text });
    }

    fn close_socket(&mut self, socket: SocketId, code: u16, reason: &'static str, now: Instant) {
        if self.sockets.contains_key(&socket) {
            self.effects.push_back(Effect::Close {
                socket,
                code,
                reason,
            });
            self.forget_socket(socket, now);
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("sockets", &self.sockets.len())
            .field("sessions", &self.sessions.len())
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}
