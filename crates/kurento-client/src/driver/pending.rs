//! Requests on their way and requests without an answer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use salono_kurento_model::{
    Value,
    wire::{ClientMessage, Request},
};
use tokio::time::Instant;

use super::late::Makes;
use crate::{call::Reply, event::Route};

/// Who waits for an answer.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A caller, and the streams that the request subscribes.
    Caller { reply: Reply, streams: Vec<Stream> },
    /// Proof that the connection is alive.
    Ping,
    /// The session is being resumed.
    Resume,
    /// Nobody: the end of a subscription, or of the session.
    Nobody,
}

/// A stream whose subscription was asked for.
#[derive(Debug)]
pub(super) enum Stream {
    /// It stands in the table already, under this number.
    Open {
        /// Which operation of a transaction subscribes it; otherwise the request itself does.
        operation: Option<usize>,
        object: Arc<str>,
        route: u64,
    },
    /// The object has no id yet.
    Late {
        /// Which operation subscribes it.
        operation: usize,
        /// Which operation creates its object.
        object: usize,
        event: &'static str,
        route: Route,
    },
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Outstanding {
    deadline: Instant,
    pub(super) message: ClientMessage,
    pub(super) waiter: Waiter,
    /// How often it was handed to a connection.
    sends: u32,
}

impl Outstanding {
    /// Whether the server may have carried it out.
    pub(super) fn was_sent(&self) -> bool {
        self.sends > 0
    }
}

/// Requests that were given up and would be undone if they were answered after all. Beyond it the
/// oldest are forgotten: a server that is this late with so many answers nothing any more.
const LATE_REQUESTS: usize = 1024;

/// How often a request is sent. One that makes the server close the connection (too long, for
/// example) would otherwise take every new connection down with it.
const MAX_SENDS: u32 = 3;

/// Every request that was taken and has no answer.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next_id: u64,
    /// By request id. Ids and deadlines grow together, so the first one expires first.
    requests: BTreeMap<u64, Outstanding>,
    /// Ids of what is to be sent, in order.
    outbox: VecDeque<u64>,
    /// Ids of requests that subscribe to objects that have no ids yet.
    creating: BTreeSet<u64>,
    /// By request id, what requests make that were given up on this connection.
    late: BTreeMap<u64, Makes>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.requests.len()
    }

    pub(super) fn push(
        &mut self,
        request: Request,
        session: Option<String>,
        waiter: Waiter,
        timeout: Duration,
    ) {
        let id = self.next_id;
        self.next_id += 1;
        let message = ClientMessage {
            id: Some(Value::from(id)),
            session,
            request,
        };
        if let Waiter::Caller { streams, .. } = &waiter
            && streams
                .iter()
                .any(|stream| matches!(stream, Stream::Late { .. }))
        {
            self.creating.insert(id);
        }
        let outstanding = Outstanding {
            deadline: Instant::now() + timeout,
            message,
            waiter,
            sends: 0,
        };
        self.requests.insert(id, outstanding);
        self.outbox.push_back(id);
    }

    /// What is to be sent next. Requests that were given up in the meantime are passed over.
    pub(super) fn front(&mut self) -> Option<&mut Outstanding> {
        while let Some(id) = self.outbox.front() {
            if self.requests.contains_key(id) {
                break;
            }
            self.outbox.pop_front();
        }
        self.requests.get_mut(self.outbox.front()?)
    }

    /// The front was handed to the connection.
    pub(super) fn front_sent(&mut self) {
        if let Some(front) = self.front() {
            front.sends += 1;
        }
        self.outbox.pop_front();
    }

    pub(super) fn has_unsent(&mut self) -> bool {
        self.front().is_some()
    }

    pub(super) fn answered(&mut self, id: u64) -> Option<Outstanding> {
        self.creating.remove(&id);
        self.requests.remove(&id)
    }

    /// When the oldest request expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (_, first) = self.requests.first_key_value()?;
        Some(first.deadline)
    }

    /// Gives up on the oldest request.
    pub(super) fn expire(&mut self) -> Option<(u64, Outstanding)> {
        let (id, expired) = self.requests.pop_first()?;
        self.creating.remove(&id);
        Some((id, expired))
    }

    /// Remembers what a request makes that was given up.
    pub(super) fn remember_late(&mut self, id: u64, makes: Makes) {
        self.late.insert(id, makes);
        if self.late.len() > LATE_REQUESTS {
            self.late.pop_first();
        }
    }

    /// What a request made that was given up and is answered now.
    pub(super) fn answered_late(&mut self, id: u64) -> Option<Makes> {
        self.late.remove(&id)
    }

    pub(super) fn take_all(&mut self) -> impl Iterator<Item = Outstanding> + use<> {
        // Answers do not cross connections.
        self.late.clear();
        self.outbox.clear();
        self.creating.clear();
        std::mem::take(&mut self.requests).into_values()
    }

    /// The connection is lost, and another one is to carry on: gives up what cannot be repeated
    /// safely.
    ///
    /// Servers recognise a repeated request by session and id, so one that was sent without a
    /// session might be carried out twice. One that was sent [`MAX_SENDS`] times is given up, too.
    pub(super) fn keep_repeatable(&mut self) -> Vec<Outstanding> {
        self.late.clear();
        let kept = |request: &Outstanding| match request.waiter {
            Waiter::Caller { .. } | Waiter::Nobody => {
                let known = request.message.session.is_some();
                request.sends == 0 || (known && request.sends < MAX_SENDS)
            }
            Waiter::Ping | Waiter::Resume => false,
        };
        let requests = std::mem::take(&mut self.requests);
        let (kept, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
            requests.into_iter().partition(|(_, request)| kept(request));
        self.requests = kept;
        self.outbox.clear();
        let requests = &self.requests;
        self.creating.retain(|id| requests.contains_key(id));
        dropped.into_values().collect()
    }

    /// Sends nothing of what waits, until [`Pending::send_all_again`].
    pub(super) fn hold_back(&mut self) {
        self.outbox.clear();
    }

    /// Sends everything that has no answer, again where it was sent before.
    pub(super) fn send_all_again(&mut self) {
        self.outbox = self.requests.keys().copied().collect();
    }

    /// Whether objects that have no ids yet will have streams.
    pub(super) fn creates_streams(&self) -> bool {
        !self.creating.is_empty()
    }
}
