//! One allocation on a TURN server (RFC 8656): a relayed address shared by all endpoints of a shard
//! that name the same server and credentials.
//!
//! An allocation belongs to a 5-tuple, so it has a socket or a connection of its own. It lives as
//! long as an endpoint uses it and a little longer, as the next call is likely to want it again.

mod requests;
#[cfg(test)]
mod tests;

use super::message::TransactionId;
use super::permissions::{Permissions, Renewal};
use super::relays::{Relays, Want};
use super::{Io, RETRY_AFTER};
use crate::demux::EndpointSlot;
use crate::network::{NetworkEvent, NetworkRequest, RequestId, SocketId};
use salono_media_api::{TurnServer, TurnTransport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use requests::{Credentials, Task, Transaction};

/// How long an allocation without users is kept.
const LINGER: Duration = Duration::from_secs(10);

/// How far an allocation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    /// There may be an address soon.
    Pending,
    /// There is one: ours on the server, and what the server sees of us.
    Ready {
        relayed: SocketAddr,
        mapped: SocketAddr,
    },
    /// There is none.
    Failed,
}

#[derive(Debug)]
enum State {
    /// The server's name is being looked up.
    Resolving,
    Opening(RequestId),
    Allocating,
    Ready {
        relayed: SocketAddr,
        mapped: SocketAddr,
    },
    /// The server is being told that the address is not needed any more.
    Releasing,
    Failed {
        retry_at: Instant,
    },
}

/// Our way to the server.
#[derive(Debug, Clone, Copy)]
struct Link {
    socket: SocketId,
    local: SocketAddr,
    remote: SocketAddr,
}

#[derive(Debug)]
pub(super) struct Allocation {
    relay: SocketId,
    settings: TurnServer,
    /// Local addresses that may be used.
    locals: Vec<IpAddr>,
    state: State,
    /// Addresses of the server that were not tried yet.
    untried: VecDeque<SocketAddr>,
    connecting: Option<SocketAddr>,
    link: Option<Link>,
    credentials: Option<Credentials>,
    transactions: BTreeMap<TransactionId, Transaction>,
    refresh_at: Option<Instant>,
    permissions: Permissions,
    redirects: u8,
    /// The 5-tuple was in use once (437); another one was taken.
    moved: bool,
    users: BTreeSet<EndpointSlot>,
    /// Since when nobody uses it.
    idle_since: Option<Instant>,
}

impl Allocation {
    pub(super) fn new(relay: SocketId, settings: TurnServer, locals: Vec<IpAddr>) -> Self {
        Self {
            relay,
            settings,
            locals,
            state: State::Resolving,
            untried: VecDeque::new(),
            connecting: None,
            link: None,
            credentials: None,
            transactions: BTreeMap::new(),
            refresh_at: None,
            permissions: Permissions::default(),
            redirects: 0,
            moved: false,
            users: BTreeSet::new(),
            idle_since: None,
        }
    }

    pub(super) fn is_for(&self, settings: &TurnServer, locals: &[IpAddr]) -> bool {
        self.settings == *settings && self.locals == locals
    }

    pub(super) fn transport(&self) -> TurnTransport {
        self.settings.transport
    }

    pub(super) fn is_resolving(&self) -> bool {
        matches!(self.state, State::Resolving)
    }

    pub(super) fn status(&self) -> Status {
        match self.state {
            State::Resolving | State::Opening(_) | State::Allocating => Status::Pending,
            State::Ready { relayed, mapped } => Status::Ready { relayed, mapped },
            State::Releasing | State::Failed { .. } => Status::Failed,
        }
    }

    /// The socket or connection to the server.
    pub(super) fn socket(&self) -> Option<SocketId> {
        self.link.map(|link| link.socket)
    }

    pub(super) fn add_user(&mut self, user: EndpointSlot) {
        self.users.insert(user);
        self.idle_since = None;
    }

    pub(super) fn remove_user(&mut self, user: EndpointSlot, now: Instant) {
        if self.users.remove(&user) && self.users.is_empty() {
            self.idle_since = Some(now);
        }
    }

    /// Begins anew when the last attempt failed long enough ago.
    pub(super) fn retry(&mut self, now: Instant) {
        if matches!(self.state, State::Failed { retry_at } if retry_at <= now) {
            self.state = State::Resolving;
            self.credentials = None;
            self.redirects = 0;
            self.moved = false;
        }
    }

    /// Whether it may be forgotten.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        self.users.is_empty() && matches!(self.state, State::Failed { retry_at } if retry_at <= now)
    }

    // The way to the server.

    /// The server's name has these addresses.
    pub(super) fn resolved(&mut self, addresses: &[IpAddr], io: &mut Io<'_>) {
        let port = self.settings.server.port;
        self.untried = addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, port))
            .collect();
        self.connect(io);
    }

    /// Opens a way to the next address.
    fn connect(&mut self, io: &mut Io<'_>) {
        while let Some(remote) = self.untried.pop_front() {
            let Some(local) = local_for(&self.locals, remote.ip()) else {
                continue;
            };
            let request = io.requests.next_id();
            self.state = State::Opening(request);
            self.connecting = Some(remote);
            io.requests.push(match self.settings.transport {
                TurnTransport::Udp => NetworkRequest::BindUdp {
                    request,
                    ip: local,
                    ports: 0..=0,
                    pair: false,
                },
                TurnTransport::Tcp => NetworkRequest::Connect {
                    request,
                    remote,
                    tls: None,
                },
                TurnTransport::Tls => NetworkRequest::Connect {
                    request,
                    remote,
                    tls: Some(self.settings.server.host.clone()),
                },
            });
            return;
        }
        self.fail("no way to the server", io);
    }

    /// Takes in what became of opening the way; true when it was ours.
    pub(super) fn handle_network(
        &mut self,
        event: &NetworkEvent,
        relays: &mut Relays,
        io: &mut Io<'_>,
    ) -> bool {
        let opening = match self.state {
            State::Opening(request) => Some(request),
            State::Resolving
            | State::Allocating
            | State::Ready { .. }
            | State::Releasing
            | State::Failed { .. } => None,
        };
        match event {
            NetworkEvent::Bound { request, sockets } if opening == Some(*request) => {
                match sockets.first() {
                    Some((socket, local)) => self.opened(*socket, *local, io),
                    None => self.connect(io),
                }
                true
            }
            NetworkEvent::Connected {
                request,
                socket,
                local,
            } if opening == Some(*request) => {
                self.opened(*socket, *local, io);
                true
            }
            NetworkEvent::Failed { request, reason } if opening == Some(*request) => {
                tracing::debug!(server = ?self.settings.server, reason, "no way to a TURN server");
                self.connect(io);
                true
            }
            NetworkEvent::Ended { socket, .. } if self.socket() == Some(*socket) => {
                // The engine has closed it already.
                self.link = None;
                self.lose("the connection ended", relays, io);
                true
            }
            NetworkEvent::Bound { .. }
            | NetworkEvent::Connected { .. }
            | NetworkEvent::Resolved { .. }
            | NetworkEvent::Failed { .. }
            | NetworkEvent::Ended { .. } => false,
        }
    }

    fn opened(&mut self, socket: SocketId, local: SocketAddr, io: &mut Io<'_>) {
        let Some(remote) = self.connecting.take() else {
            return;
        };
        self.link = Some(Link {
            socket,
            local,
            remote,
        });
        self.state = State::Allocating;
        self.request(Task::Allocate, 0, io);
    }

    fn close_link(&mut self, io: &mut Io<'_>) {
        self.transactions.clear();
        self.permissions = Permissions::default();
        self.refresh_at = None;
        if let Some(link) = self.link.take() {
            io.requests.push(NetworkRequest::Close {
                socket: link.socket,
            });
        }
    }

    fn fail(&mut self, reason: &str, io: &mut Io<'_>) {
        tracing::warn!(server = ?self.settings.server, reason, "no relayed address");
        self.close_link(io);
        self.state = State::Failed {
            retry_at: io.now + RETRY_AFTER,
        };
    }

    /// What there was is gone.
    fn lose(&mut self, reason: &str, relays: &mut Relays, io: &mut Io<'_>) {
        relays.close(self.relay);
        self.fail(reason, io);
    }

    // The end.

    fn released(&mut self, io: &mut Io<'_>) {
        self.close_link(io);
        self.state = State::Failed { retry_at: io.now };
    }

    /// Tells the server that the address is not needed any more.
    pub(super) fn release(&mut self, relays: &mut Relays, io: &mut Io<'_>) {
        relays.close(self.relay);
        self.idle_since = None;
        if matches!(self.state, State::Ready { .. }) {
            self.transactions.clear();
            self.permissions = Permissions::default();
            self.refresh_at = None;
            self.state = State::Releasing;
            self.request(Task::Release, 0, io);
        } else {
            self.released(io);
        }
    }

    /// What comes over the connection is no TURN.
    pub(super) fn break_off(&mut self, relays: &mut Relays, io: &mut Io<'_>) {
        self.lose("the server sends something else than TURN", relays, io);
    }

    // Peers.

    /// Traffic through the relay asks for something.
    pub(super) fn want(&mut self, peer: SocketAddr, want: Want, io: &mut Io<'_>) {
        if !matches!(self.state, State::Ready { .. }) {
            return;
        }
        match want {
            Want::Permission => {
                if self.permissions.add(peer, io.now) {
                    self.request(Task::Permission(peer), 0, io);
                }
            }
            Want::Channel => {
                if let Some(number) = self.permissions.assign_channel(peer, io.now) {
                    self.request(Task::Channel(peer, number), 0, io);
                }
            }
        }
    }

    pub(super) fn is_server(&self, remote: SocketAddr) -> bool {
        self.link.is_some_and(|link| link.remote == remote)
    }

    /// Whose channel this is.
    pub(super) fn peer_of(&self, channel: u16) -> Option<SocketAddr> {
        self.permissions.peer_of(channel)
    }

    // Time.

    pub(super) fn handle_timeout(&mut self, relays: &mut Relays, io: &mut Io<'_>) {
        self.retransmit(relays, io);
        if self.refresh_at.is_some_and(|at| at <= io.now) {
            self.refresh_at = None;
            self.request(Task::Refresh, 0, io);
        }
        while let Some(renewal) = self.permissions.poll_renewal(io.now, |peer| {
            let used = relays.take_used(self.relay, peer);
            if !used {
                relays.forget(self.relay, peer);
            }
            used
        }) {
            let task = match renewal {
                Renewal::Permission(peer) => Task::Permission(peer),
                Renewal::Channel(peer, number) => Task::Channel(peer, number),
            };
            self.request(task, 0, io);
        }
        if self
            .idle_since
            .is_some_and(|since| since + LINGER <= io.now)
        {
            self.release(relays, io);
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let transactions = self.transactions.values();
        let linger = self.idle_since.map(|since| since + LINGER);
        let retry = match self.state {
            // Forgotten then.
            State::Failed { retry_at } if self.users.is_empty() => Some(retry_at),
            State::Failed { .. }
            | State::Resolving
            | State::Opening(_)
            | State::Allocating
            | State::Ready { .. }
            | State::Releasing => None,
        };
        transactions
            .map(|transaction| transaction.retransmission.next())
            .chain(self.refresh_at)
            .chain(self.permissions.poll_timeout())
            .chain(linger)
            .chain(retry)
            .min()
    }
}

/// The local address from which a server is reached: of its family, and loopback only from loopback.
pub(super) fn local_for(locals: &[IpAddr], server: IpAddr) -> Option<IpAddr> {
    let usable = |local: &&IpAddr| {
        local.is_ipv4() == server.is_ipv4() && (server.is_loopback() || !local.is_loopback())
    };
    locals
        .iter()
        .filter(usable)
        .max_by_key(|local| local.is_loopback() == server.is_loopback())
        .copied()
}
