//! What a STUN server sees of a socket of ours: asked once for everybody who uses the socket.
//!
//! The mapping in a NAT belongs to the socket and is kept alive as long as an endpoint's
//! candidates rest on it.

use super::message::{Class, Message, Method, TransactionId, Writer, attribute};
use super::retransmission::Retransmission;
use super::{Io, RETRY_AFTER};
use crate::demux::EndpointSlot;
use crate::network::SocketId;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// NATs keep mappings of UDP for at least two minutes by RFC 4787 §4.3, many for only 30 s.
const KEEP_ALIVE: Duration = Duration::from_secs(25);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mapping {
    Unknown,
    Mapped(SocketAddr),
    /// The server does not answer, or answers nonsense.
    None,
}

/// One socket at one server.
#[derive(Debug)]
pub(super) struct Binding {
    socket: SocketId,
    server: SocketAddr,
    mapping: Mapping,
    request: Option<(TransactionId, Retransmission)>,
    /// The next request after this one is done; for `Mapping::None` when it may be tried again.
    next: Option<Instant>,
    users: BTreeSet<EndpointSlot>,
}

impl Binding {
    pub(super) fn new(socket: SocketId, server: SocketAddr, io: &mut Io<'_>) -> Self {
        let mut binding = Self {
            socket,
            server,
            mapping: Mapping::Unknown,
            request: None,
            next: None,
            users: BTreeSet::new(),
        };
        binding.ask(io);
        binding
    }

    pub(super) fn mapping(&self) -> Mapping {
        self.mapping
    }

    /// An endpoint's candidate rests on this one; a server that was silent is tried again.
    pub(super) fn add_user(&mut self, user: EndpointSlot, io: &mut Io<'_>) {
        self.users.insert(user);
        if self.mapping == Mapping::None && self.next.is_none_or(|next| next <= io.now) {
            self.mapping = Mapping::Unknown;
            self.ask(io);
        }
    }

    pub(super) fn remove_user(&mut self, user: EndpointSlot) {
        self.users.remove(&user);
    }

    /// Whether anybody would miss it: a silent server is remembered so that not everybody waits.
    pub(super) fn is_needed(&self, now: Instant) -> bool {
        !self.users.is_empty()
            || (self.mapping == Mapping::None && self.next.is_some_and(|next| next > now))
    }

    fn ask(&mut self, io: &mut Io<'_>) {
        let id = io.transaction_id();
        self.request = Some((id, Retransmission::new(io.now)));
        self.send(id, io);
    }

    fn send(&self, id: TransactionId, io: &mut Io<'_>) {
        let request = Writer::new(Method::Binding, Class::Request, id).finish();
        io.egress.push(self.socket, self.server, 0, &request);
    }

    /// Takes in a response if it is for this one.
    pub(super) fn handle(&mut self, message: &Message<'_>, now: Instant) -> bool {
        if !matches!(self.request, Some((id, _)) if id == message.id) {
            return false;
        }
        self.request = None;
        let mapped = (message.class == Class::Success)
            .then(|| message.xor_address(attribute::XOR_MAPPED_ADDRESS))
            .flatten();
        match mapped {
            Some(addr) => {
                self.mapping = Mapping::Mapped(addr);
                self.next = Some(now + KEEP_ALIVE);
            }
            None => self.fail(now),
        }
        true
    }

    fn fail(&mut self, now: Instant) {
        self.request = None;
        self.mapping = Mapping::None;
        self.next = Some(now + RETRY_AFTER);
    }

    pub(super) fn handle_timeout(&mut self, io: &mut Io<'_>) {
        if let Some((id, retransmission)) = self.request.as_mut() {
            let id = *id;
            if retransmission.is_over(io.now) {
                tracing::debug!(server = %self.server, "the STUN server does not answer");
                self.fail(io.now);
            } else if retransmission.is_due(io.now) {
                self.send(id, io);
            }
        } else if matches!(self.mapping, Mapping::Mapped(_))
            && self.next.is_some_and(|next| next <= io.now)
        {
            self.ask(io);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match &self.request {
            Some((_, retransmission)) => Some(retransmission.next()),
            // A silent server is left alone until somebody asks.
            None => self
                .next
                .filter(|_| matches!(self.mapping, Mapping::Mapped(_))),
        }
    }
}
