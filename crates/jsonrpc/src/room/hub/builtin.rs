//! The methods that every client has before it knows of rooms.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::super::envelope::{self, Failure};
use super::super::frame::{Call, RequestId};
use super::super::session::{Binding, Claim, SessionId};
use super::super::timer::Timer;
use super::super::{CODE_OVERLOADED, CODE_SESSION};
use super::{Config, Effect, Hub, SocketId, Watchdog};

/// What a `connect` that resumes a session is answered with.
pub(super) const RESUMED: &str = "reconnection successful";

impl Hub {
    /// Rearms the watchdog; the first ping fixes its interval. Makes no session, and the reply
    /// repeats whatever session the request named.
    pub(super) fn ping(&mut self, socket: SocketId, call: &Call, now: Instant) {
        self.counters.builtin += 1;
        if let Some(session) = self.sockets.get(&socket).and_then(|s| s.session.clone()) {
            self.note_seen(&session, call);
        }
        let period = match self.sockets.get(&socket).map(|s| &s.watchdog) {
            Some(Some(watchdog)) => watchdog.period,
            Some(None) | None => {
                let interval = advertised_interval(call.params.as_ref())
                    .unwrap_or(self.config.default_ping_interval)
                    .clamp(Config::MIN_PING_INTERVAL, Config::MAX_PING_INTERVAL);
                interval * Config::WATCHDOG_INTERVALS
            }
        };
        self.arm_watchdog(socket, period, now);
        self.effects.push_back(Effect::Send {
            socket,
            text: envelope::result(call.id, &json!("pong"), call.session.as_deref()),
        });
    }

    /// Without a session id: makes the socket's session known. With one: resumes that session.
    pub(super) fn connect(&mut self, socket: SocketId, call: &Call, now: Instant) {
        self.counters.builtin += 1;
        let own = self.sockets.get(&socket).and_then(|s| s.session.clone());
        let Some(named) = &call.session else {
            let session = match own {
                Some(own) => Ok(own),
                None => self.create_session(socket),
            };
            match session {
                Ok(session) => self.reply_connected(socket, call.id, "OK", &session),
                Err(failure) => self.reply_error(socket, call.id, &failure),
            }
            return;
        };
        if let Some(own) = own {
            if own.as_str() == named {
                self.note_seen(&own, call);
                self.reply_resumed(&own, socket, call.id);
            } else {
                self.reply_not_resumed(socket, call.id);
            }
            return;
        }
        let Some((id, state)) = self.sessions.get_key_value(named.as_str()) else {
            return self.reply_not_resumed(socket, call.id);
        };
        let id = id.clone();
        match state.binding {
            Binding::Detached(_) => {
                self.note_seen(&id, call);
                self.resume(&id, socket, call.id);
            }
            Binding::Bound(holder) if state.claim.is_none() => {
                // What a client has seen stays seen, whether it gets its session or not.
                self.note_seen(&id, call);
                self.claim(&id, holder, socket, call.id, now);
            }
            Binding::Bound(_) | Binding::Ended { .. } => self.reply_not_resumed(socket, call.id),
        }
    }

    /// Says goodbye; a session is over at once, without the grace of a lost connection.
    pub(super) fn close_session(&mut self, socket: SocketId, call: &Call, now: Instant) {
        self.counters.builtin += 1;
        self.effects.push_back(Effect::Send {
            socket,
            text: envelope::bye(call.id),
        });
        if let Some(session) = self.sockets.get(&socket).and_then(|s| s.session.clone()) {
            self.end(&session, true);
            self.close_socket(socket, 1000, "", now);
        }
    }

    pub(super) fn arm_watchdog(&mut self, socket: SocketId, period: Duration, now: Instant) {
        let Some(state) = self.sockets.get_mut(&socket) else {
            return;
        };
        let deadline = now + period;
        if let Some(old) = state.watchdog.replace(Watchdog { period, deadline }) {
            self.timers.cancel(old.deadline, Timer::Watchdog(socket));
        }
        self.timers.set(deadline, Timer::Watchdog(socket));
    }

    pub(super) fn reply_connected(
        &mut self,
        socket: SocketId,
        id: Option<RequestId>,
        word: &str,
        session: &SessionId,
    ) {
        self.effects.push_back(Effect::Send {
            socket,
            text: envelope::result(id, &json!(word), Some(session.as_str())),
        });
    }

    pub(super) fn reply_not_resumed(&mut self, socket: SocketId, id: Option<RequestId>) {
        let failure = Failure::rejected(CODE_SESSION, "reconnection error");
        self.reply_error(socket, id, &failure);
    }

    /// Asks the socket that holds the session whether it lives, before another one gets it.
    fn claim(
        &mut self,
        session: &SessionId,
        holder: SocketId,
        by: SocketId,
        request: Option<RequestId>,
        now: Instant,
    ) {
        let Some(claimant) = self.sockets.get_mut(&by) else {
            return;
        };
        if claimant.claims.is_some() {
            let failure = Failure::rejected(CODE_OVERLOADED, "another connect is under way");
            return self.reply_error(by, request, &failure);
        }
        claimant.claims = Some(session.clone());
        let deadline = now + self.config.takeover_patience;
        if let Some(state) = self.sessions.get_mut(session) {
            state.claim = Some(Claim {
                by,
                request,
                deadline,
            });
        }
        self.timers.set(deadline, Timer::Takeover(session.clone()));
        self.effects.push_back(Effect::Probe { socket: holder });
    }
}

/// `params.interval` in milliseconds, as a number or as its text.
fn advertised_interval(params: Option<&Value>) -> Option<Duration> {
    let millis = match params?.get("interval")? {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => text.parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    Some(Duration::from_millis(millis))
}
