//! How sessions lose their socket, get another one, and end.

use std::time::Instant;

use super::super::frame::RequestId;
use super::super::session::{Binding, SessionId};
use super::super::timer::Timer;
use super::{Effect, Hub, SocketId};

impl Hub {
    /// Takes a socket out of the books; its session waits for another one, if it still lives.
    pub(super) fn forget_socket(&mut self, id: SocketId, now: Instant) {
        let Some(socket) = self.sockets.remove(&id) else {
            return;
        };
        if let Some(watchdog) = &socket.watchdog {
            self.timers.cancel(watchdog.deadline, Timer::Watchdog(id));
        }
        if let Some(claimed) = &socket.claims {
            self.drop_claim(claimed);
        }
        let Some(session) = socket.session else {
            return;
        };
        if let Some(state) = self.sessions.get_mut(&session) {
            let until = now + self.config.reconnection_grace;
            state.binding = Binding::Detached(until);
            self.timers.set(until, Timer::Grace(session.clone()));
        }
        // Whoever asked for the session while its socket was on trial gets it now.
        if let Some((by, request)) = self.drop_claim(&session) {
            if self.sockets.get(&by).is_some_and(|s| s.session.is_none()) {
                self.resume(&session, by, request);
                if let Some(watchdog) = socket.watchdog {
                    self.arm_watchdog(by, watchdog.period, now);
                }
            } else {
                self.reply_not_resumed(by, request);
            }
        }
    }

    /// The socket lives: nobody else gets its session.
    pub(super) fn handle_sign_of_life(&mut self, socket: SocketId) {
        let session = self.sockets.get(&socket).and_then(|s| s.session.clone());
        if let Some(session) = session
            && let Some((by, request)) = self.drop_claim(&session)
        {
            self.reply_not_resumed(by, request);
        }
    }

    /// The socket on trial showed no sign of life: it is closed, which hands its session over.
    pub(super) fn take_over(&mut self, session: &SessionId, now: Instant) {
        if let Some(Binding::Bound(holder)) = self.sessions.get(session).map(|s| &s.binding) {
            self.close_socket(*holder, 1000, "session resumed elsewhere", now);
        }
    }

    pub(super) fn resume(
        &mut self,
        session: &SessionId,
        socket: SocketId,
        request: Option<RequestId>,
    ) {
        self.bind(session, socket);
        self.reply_resumed(session, socket, request);
        self.deliver_missed(session);
        self.deliver_unseen(session);
    }

    /// Puts a session without a socket onto one without a session.
    pub(super) fn bind(&mut self, session: &SessionId, socket: SocketId) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        if let Binding::Detached(until) = state.binding {
            self.timers.cancel(until, Timer::Grace(session.clone()));
        }
        state.binding = Binding::Bound(socket);
        if let Some(socket) = self.sockets.get_mut(&socket) {
            socket.session = Some(session.clone());
        }
    }

    pub(super) fn deliver_missed(&mut self, session: &SessionId) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        if let Binding::Bound(socket) = state.binding {
            state.missed_bytes = 0;
            self.effects.extend(
                state
                    .missed
                    .drain(..)
                    .map(|text| Effect::Send { socket, text }),
            );
        }
    }

    /// Ends a session; `report` tells whether its participant is still to be taken out of its room.
    pub(super) fn end(&mut self, session: &SessionId, report: bool) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        if state.is_over() {
            return;
        }
        let before = std::mem::replace(&mut state.binding, Binding::Ended { report });
        state.forget_everything_queued();
        match before {
            Binding::Bound(socket) => {
                if let Some(socket) = self.sockets.get_mut(&socket) {
                    socket.session = None;
                }
            }
            Binding::Detached(until) => {
                self.timers.cancel(until, Timer::Grace(session.clone()));
            }
            Binding::Ended { .. } => {}
        }
        if let Some((by, request)) = self.drop_claim(session) {
            self.reply_not_resumed(by, request);
        }
        if self
            .sessions
            .get(session)
            .is_some_and(|state| state.running.is_none())
        {
            self.sessions.remove(session);
        }
        if report {
            self.effects.push_back(Effect::Ended {
                session: session.clone(),
            });
        }
    }

    /// Takes back a claim to `session`; its `connect` is yet to be answered.
    fn drop_claim(&mut self, session: &SessionId) -> Option<(SocketId, Option<RequestId>)> {
        let claim = self.sessions.get_mut(session)?.claim.take()?;
        self.timers
            .cancel(claim.deadline, Timer::Takeover(session.clone()));
        if let Some(socket) = self.sockets.get_mut(&claim.by) {
            socket.claims = None;
        }
        Some((claim.by, claim.request))
    }
}
