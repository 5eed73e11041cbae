//! The shell around the session hub: one lock, real time, outboxes.
//!
//! Sockets, timers and the tasks of rooms all change the same state. They do so under one lock that
//! is held for the change itself and for handing out what it causes, never over a wait; so frames
//! reach each client in the order in which things happened.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use salono_jsonrpc::room::{Counters, Effect, Hub, RequestId, SessionId, SocketId};
use serde_json::Value;
use tokio::sync::Notify;

use crate::outbox::{Outbox, Outgoing};

/// Something to carry out besides sending, by [`dispatch`](crate::dispatch).
#[derive(Debug)]
pub(crate) enum Job {
    /// A room request.
    Execute {
        session: SessionId,
        id: RequestId,
        method: String,
        params: Option<Value>,
    },
    /// A session whose participant is to be taken out of its room.
    Evict { session: SessionId },
}

/// Which sockets there are and how to reach them.
#[derive(Debug)]
pub(crate) struct Exchange {
    state: Mutex<State>,
    /// Wakes the timer task when there is an earlier deadline.
    deadline_moved: Notify,
}

#[derive(Debug)]
struct State {
    hub: Hub,
    outboxes: BTreeMap<SocketId, Outbox>,
    slow_clients: u64,
}

impl Exchange {
    pub(crate) fn new(hub: Hub) -> Self {
        Self {
            state: Mutex::new(State {
                hub,
                outboxes: BTreeMap::new(),
                slow_clients: 0,
            }),
            deadline_moved: Notify::new(),
        }
    }

    /// Takes in a socket, unless there are too many.
    pub(crate) fn open(&self, outbox: Outbox) -> Option<SocketId> {
        let mut state = self.lock();
        let socket = state.hub.handle_open()?;
        state.outboxes.insert(socket, outbox);
        Some(socket)
    }

    /// Queues a WebSocket ping.
    pub(crate) fn ping(&self, socket: SocketId) {
        let state = self.lock();
        if let Some(outbox) = state.outboxes.get(&socket) {
            // A full queue means that the client is about to be cut off for it anyway.
            let _ = outbox.push(Outgoing::Ping);
        }
    }

    /// Closes a socket after what is queued for it; its session waits for another one.
    pub(crate) fn close(&self, socket: SocketId, code: u16, reason: &'static str) -> Vec<Job> {
        if let Some(outbox) = self.lock().outboxes.remove(&socket) {
            let _ = outbox.push(Outgoing::Close { code, reason });
        }
        self.drive(|hub, now| hub.handle_close(socket, now)).1
    }

    /// Changes the hub and carries out what follows, except for the jobs.
    #[must_use = "jobs are to be carried out"]
    pub(crate) fn drive<R>(&self, change: impl FnOnce(&mut Hub, Instant) -> R) -> (R, Vec<Job>) {
        let now = tokio::time::Instant::now().into_std();
        let mut guard = self.lock();
        let state = &mut *guard;
        let before = state.hub.poll_timeout().map(|(at, _)| at);
        let result = change(&mut state.hub, now);
        let jobs = state.carry_out(now);
        let after = state.hub.poll_timeout().map(|(at, _)| at);
        drop(guard);
        if after != before {
            self.deadline_moved.notify_one();
        }
        (result, jobs)
    }

    /// Waits until the hub's next timer is due, and carries it out.
    pub(crate) async fn next_timeout(&self) -> Vec<Job> {
        loop {
            let deadline = self.lock().hub.poll_timeout().map(|(at, _)| at);
            let moved = self.deadline_moved.notified();
            let Some(deadline) = deadline else {
                moved.await;
                continue;
            };
            tokio::select! {
                () = moved => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    return self.drive(Hub::handle_timeout).1;
                }
            }
        }
    }

    /// Open sockets, sessions, what they did so far, and how many clients were too slow.
    pub(crate) fn reading(&self) -> (usize, usize, Counters, u64) {
        let state = self.lock();
        (
            state.hub.sockets(),
            state.hub.sessions(),
            state.hub.counters(),
            state.slow_clients,
        )
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The hub keeps its books in order between calls; a panic elsewhere does not spoil them.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn carry_out(&mut self, now: Instant) -> Vec<Job> {
        let mut jobs = Vec::new();
        while let Some(effect) = self.hub.poll_effect() {
            match effect {
                Effect::Send { socket, text } => self.push(socket, Outgoing::Text(text), now),
                Effect::Probe { socket } => self.push(socket, Outgoing::Ping, now),
                Effect::Close {
                    socket,
                    code,
                    reason,
                } => {
                    if let Some(outbox) = self.outboxes.remove(&socket)
                        && outbox.push(Outgoing::Close { code, reason }).is_err()
                    {
                        outbox.cut();
                    }
                }
                Effect::Execute {
                    session,
                    id,
                    method,
                    params,
                } => jobs.push(Job::Execute {
                    session,
                    id,
                    method,
                    params,
                }),
                Effect::Ended { session } => jobs.push(Job::Evict { session }),
            }
        }
        jobs
    }

    /// Sends, or cuts off a client that does not keep up; it can resume its session.
    fn push(&mut self, socket: SocketId, item: Outgoing, now: Instant) {
        let Some(outbox) = self.outboxes.get(&socket) else {
            return;
        };
        if outbox.push(item).is_err() {
            tracing::info!(%socket, "client reads too slowly and is disconnected");
            outbox.cut();
            self.outboxes.remove(&socket);
            self.slow_clients += 1;
            self.hub.handle_close(socket, now);
        }
    }
}
