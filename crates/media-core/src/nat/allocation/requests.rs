//! What an allocation asks of its server, and what the answers mean.

use super::{Allocation, State};
use crate::nat::Io;
use crate::nat::message::{Class, Key, Message, Method, TransactionId, Writer, attribute};
use crate::nat::relays::Relays;
use crate::nat::retransmission::Retransmission;
use salono_media_api::TurnTransport;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Other servers that a server may name one after the other (300).
const MAX_REDIRECTS: u8 = 3;
/// Nonces of one request that may have been too old (438).
const MAX_STALE: u8 = 3;
/// UDP, in REQUESTED-TRANSPORT.
const PROTOCOL_UDP: u8 = 17;
/// `REALM` and `NONCE` are at most 763 bytes (RFC 8489 §14.9).
const MAX_TEXT: usize = 763;
/// Lifetime that a server gives by default (RFC 8656 §3.2), for one that does not say.
const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// Refreshes come this long before the end.
const REFRESH_MARGIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Credentials {
    realm: String,
    nonce: String,
    key: Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Allocate,
    Refresh,
    Release,
    Permission(SocketAddr),
    Channel(SocketAddr, u16),
}

#[derive(Debug)]
pub(super) struct Transaction {
    task: Task,
    request: Vec<u8>,
    pub(super) retransmission: Retransmission,
    stale: u8,
}

impl Allocation {
    pub(super) fn request(&mut self, task: Task, stale: u8, io: &mut Io<'_>) {
        let Some(link) = self.link else { return };
        let id = io.transaction_id();
        let request = self.encode(task, id);
        io.egress.push(link.socket, link.remote, 0, &request);
        let retransmission = match self.settings.transport {
            TurnTransport::Udp => Retransmission::new(io.now),
            TurnTransport::Tcp | TurnTransport::Tls => Retransmission::once(io.now),
        };
        let transaction = Transaction {
            task,
            request,
            retransmission,
            stale,
        };
        self.transactions.insert(id, transaction);
    }

    fn encode(&self, task: Task, id: TransactionId) -> Vec<u8> {
        let method = match task {
            Task::Allocate => Method::Allocate,
            Task::Refresh | Task::Release => Method::Refresh,
            Task::Permission(_) => Method::CreatePermission,
            Task::Channel(..) => Method::ChannelBind,
        };
        let writer = Writer::new(method, Class::Request, id);
        let writer = match task {
            Task::Allocate => {
                writer.attribute(attribute::REQUESTED_TRANSPORT, &[PROTOCOL_UDP, 0, 0, 0])
            }
            Task::Refresh => writer,
            Task::Release => writer.attribute(attribute::LIFETIME, &[0; 4]),
            Task::Permission(peer) => writer.xor_address(attribute::XOR_PEER_ADDRESS, peer),
            Task::Channel(peer, number) => {
                let [high, low] = number.to_be_bytes();
                writer
                    .attribute(attribute::CHANNEL_NUMBER, &[high, low, 0, 0])
                    .xor_address(attribute::XOR_PEER_ADDRESS, peer)
            }
        };
        match &self.credentials {
            Some(credentials) => writer
                .attribute(attribute::USERNAME, self.settings.username.as_bytes())
                .attribute(attribute::REALM, credentials.realm.as_bytes())
                .attribute(attribute::NONCE, credentials.nonce.as_bytes())
                .sign(&credentials.key),
            None => writer.finish(),
        }
    }

    /// Takes in a response of the server; true when it answers a request of ours.
    pub(in crate::nat) fn handle_response(
        &mut self,
        message: &Message<'_>,
        relays: &mut Relays,
        io: &mut Io<'_>,
    ) -> bool {
        let is_signed = self
            .credentials
            .as_ref()
            .is_none_or(|credentials| message.is_signed(&credentials.key));
        match message.class {
            Class::Success if is_signed => match self.transactions.remove(&message.id) {
                Some(transaction) => {
                    self.succeeded(transaction.task, message, relays, io);
                    true
                }
                None => false,
            },
            Class::Error => match self.transactions.remove(&message.id) {
                Some(transaction) => {
                    self.refused(&transaction, message, relays, io);
                    true
                }
                None => false,
            },
            // A success that somebody else may have made up is no success (RFC 8489 §9.2.5).
            Class::Success | Class::Request | Class::Indication => false,
        }
    }

    fn succeeded(
        &mut self,
        task: Task,
        message: &Message<'_>,
        relays: &mut Relays,
        io: &mut Io<'_>,
    ) {
        match task {
            Task::Allocate => {
                let relayed = message.xor_address(attribute::XOR_RELAYED_ADDRESS);
                let (Some(relayed), Some(link)) = (relayed, self.link) else {
                    return self.fail("the server names no address", io);
                };
                let mapped = message
                    .xor_address(attribute::XOR_MAPPED_ADDRESS)
                    .unwrap_or(link.local);
                self.state = State::Ready { relayed, mapped };
                let is_stream = self.settings.transport != TurnTransport::Udp;
                relays.open(self.relay, link.socket, link.remote, is_stream);
                self.schedule_refresh(message, io.now);
            }
            Task::Refresh => self.schedule_refresh(message, io.now),
            Task::Release => self.released(io),
            Task::Permission(_) => {}
            Task::Channel(peer, number) => {
                if self.permissions.bound(peer, number) {
                    relays.bind(self.relay, peer, Some(number));
                }
            }
        }
    }

    fn schedule_refresh(&mut self, message: &Message<'_>, now: Instant) {
        let lifetime = message
            .number(attribute::LIFETIME)
            .map_or(DEFAULT_LIFETIME, |secs| Duration::from_secs(secs.into()));
        let wait = if lifetime > REFRESH_MARGIN * 2 {
            lifetime - REFRESH_MARGIN
        } else {
            (lifetime / 2).max(Duration::from_secs(1))
        };
        self.refresh_at = Some(now + wait);
    }

    fn refused(
        &mut self,
        transaction: &Transaction,
        message: &Message<'_>,
        relays: &mut Relays,
        io: &mut Io<'_>,
    ) {
        let task = transaction.task;
        let code = message.error_code().unwrap_or(0);
        let knows_nothing = self.credentials.is_none();
        match code {
            // The first request goes without credentials, as their realm is not known yet.
            401 if knows_nothing && self.learn(message) => self.request(task, 0, io),
            438 if transaction.stale < MAX_STALE && self.learn(message) => {
                self.request(task, transaction.stale + 1, io);
            }
            300 if task == Task::Allocate && self.redirects < MAX_REDIRECTS => {
                match message.plain_address(attribute::ALTERNATE_SERVER) {
                    Some(other) => {
                        self.redirects += 1;
                        self.close_link(io);
                        self.credentials = None;
                        self.untried = VecDeque::from([other]);
                        self.connect(io);
                    }
                    None => self.fail("the server names no other", io),
                }
            }
            437 if task == Task::Allocate && !self.moved => {
                // An allocation of somebody before us at the same port: take another port.
                let remote = self.link.map(|link| link.remote);
                self.moved = true;
                self.close_link(io);
                self.untried.extend(remote);
                self.connect(io);
            }
            _ => match task {
                Task::Allocate => {
                    let reason = match code {
                        401 | 441 => "the server does not accept the credentials",
                        486 => "the server's quota is used up",
                        508 => "the server has no capacity",
                        _ => "the server refused",
                    };
                    tracing::debug!(code, "allocation refused");
                    self.fail(reason, io);
                }
                Task::Refresh => self.lose("the server refused a refresh", relays, io),
                Task::Release => self.released(io),
                Task::Permission(peer) => {
                    tracing::debug!(code, %peer, "the TURN server permits no such peer");
                }
                Task::Channel(peer, number) => {
                    tracing::debug!(code, %peer, "the TURN server binds no channel");
                    self.permissions.unbound(peer, number, io.now);
                    relays.bind(self.relay, peer, None);
                }
            },
        }
    }

    /// Takes over what the server says of credentials; false when it does not say enough.
    fn learn(&mut self, message: &Message<'_>) -> bool {
        let text = |kind| {
            message
                .text(kind)
                .filter(|text| text.len() <= MAX_TEXT)
                .map(str::to_owned)
        };
        let known = self.credentials.take();
        let realm = text(attribute::REALM).or(known.map(|credentials| credentials.realm));
        let (Some(realm), Some(nonce)) = (realm, text(attribute::NONCE)) else {
            return false;
        };
        let key = Key::new(&self.settings.username, &realm, &self.settings.password);
        self.credentials = Some(Credentials { realm, nonce, key });
        true
    }

    pub(super) fn retransmit(&mut self, relays: &mut Relays, io: &mut Io<'_>) {
        let Some(link) = self.link else { return };
        let mut over = Vec::new();
        for (id, transaction) in &mut self.transactions {
            if transaction.retransmission.is_over(io.now) {
                over.push(*id);
            } else if transaction.retransmission.is_due(io.now) {
                io.egress
                    .push(link.socket, link.remote, 0, &transaction.request);
            }
        }
        for id in over {
            let Some(transaction) = self.transactions.remove(&id) else {
                continue;
            };
            match transaction.task {
                Task::Allocate => return self.fail("the server does not answer", io),
                Task::Refresh => {
                    return self.lose("the server does not answer any more", relays, io);
                }
                Task::Release => return self.released(io),
                // The next packet or renewal brings it up again.
                Task::Permission(peer) => relays.forget(self.relay, peer),
                Task::Channel(peer, number) => {
                    self.permissions.unbound(peer, number, io.now);
                    relays.bind(self.relay, peer, None);
                }
            }
        }
    }
}
