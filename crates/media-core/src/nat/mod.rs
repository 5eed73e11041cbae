//! How we are reached from behind NATs: addresses learnt from STUN servers and relayed ones on TURN
//! servers.
//!
//! Both belong to the shard: a mapping to a socket, an allocation to a server with its credentials.
//! Endpoints that gather share them.
//!
//! | module | role |
//! | --- | --- |
//! | `message` | STUN on the wire |
//! | `names` | host names of servers |
//! | `binding` | a socket's mapping at a STUN server |
//! | `allocation`, `permissions` | a relayed address on a TURN server, and who may send to it |
//! | `relays` | packets on their way through a relay |
//! | `frames` | what comes back from one |

mod allocation;
mod binding;
mod frames;
mod message;
mod names;
mod permissions;
mod relays;
mod retransmission;

pub(crate) use frames::Unwrapped;
pub(crate) use relays::{Relays, Wrapping};

use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::network::{NetworkEvent, Requests, SocketId};
use allocation::{Allocation, Status};
use binding::{Binding, Mapping};
use message::{Class, Message, Method, TransactionId};
use names::{Lookup, Names};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use salono_media_api::{IceSettings, TurnTransport};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Names of relays; the engine's own ids are below.
pub(crate) const FIRST_RELAY: u16 = crate::network::ENGINE_SOCKETS;
/// Longest that gathering takes: a server that does not answer delays nothing but its end.
const GATHER_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that failed is left alone for this long.
const RETRY_AFTER: Duration = Duration::from_secs(30);
/// Mappings of a shard at most: sockets times servers.
const MAX_BINDINGS: usize = 1_024;
/// Allocations of a shard at most; further settings gather no relayed candidate.
const MAX_ALLOCATIONS: usize = 256;

/// What talking to servers needs.
pub(crate) struct Io<'a> {
    pub(crate) egress: &'a mut Egress,
    pub(crate) requests: &'a mut Requests,
    pub(crate) now: Instant,
    rng: &'a mut StdRng,
}

impl Io<'_> {
    fn transaction_id(&mut self) -> TransactionId {
        self.rng.random()
    }
}

/// The outside of [`Io`], lent by the shard.
pub(crate) struct Wires<'a> {
    pub(crate) egress: &'a mut Egress,
    pub(crate) requests: &'a mut Requests,
    pub(crate) now: Instant,
}

/// What a gathering endpoint is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    /// A socket is seen from outside under this address.
    Reflexive {
        socket: SocketId,
        base: SocketAddr,
        mapped: SocketAddr,
    },
    /// There is a relay.
    Relayed {
        relay: SocketId,
        relayed: SocketAddr,
        mapped: SocketAddr,
        transport: TurnTransport,
    },
    /// Nothing more comes.
    Done,
}

/// One endpoint that waits for candidates.
#[derive(Debug)]
struct Gathering {
    settings: IceSettings,
    sockets: Vec<(SocketId, SocketAddr)>,
    reported: BTreeSet<SocketId>,
    deadline: Instant,
}

/// A socket or connection to a TURN server.
#[derive(Debug)]
struct Link {
    relay: SocketId,
    /// The beginning of a frame whose end has not come yet.
    partial: Vec<u8>,
}

/// Everything that a shard has on STUN and TURN servers.
pub(crate) struct Nat {
    rng: StdRng,
    names: Names,
    bindings: BTreeMap<(SocketId, SocketAddr), Binding>,
    /// By the name of the relay.
    allocations: BTreeMap<SocketId, Allocation>,
    links: BTreeMap<SocketId, Link>,
    gatherings: BTreeMap<EndpointSlot, Gathering>,
    found: VecDeque<(EndpointSlot, Found)>,
    last_relay: u16,
    next: Option<Instant>,
}

impl Nat {
    pub(crate) fn new(rng: &mut StdRng) -> Self {
        Self {
            rng: StdRng::from_rng(rng),
            names: Names::default(),
            bindings: BTreeMap::new(),
            allocations: BTreeMap::new(),
            links: BTreeMap::new(),
            gatherings: BTreeMap::new(),
            found: VecDeque::new(),
            last_relay: u16::MAX,
            next: None,
        }
    }

    /// Looks for candidates of an endpoint on the servers of `settings`; [`Nat::poll_found`] tells
    /// what was found, in the end [`Found::Done`].
    pub(crate) fn gather(
        &mut self,
        endpoint: EndpointSlot,
        settings: IceSettings,
        sockets: Vec<(SocketId, SocketAddr)>,
        wires: Wires<'_>,
    ) {
        let gathering = Gathering {
            settings,
            sockets,
            reported: BTreeSet::new(),
            deadline: wires.now + GATHER_TIMEOUT,
        };
        self.gatherings.insert(endpoint, gathering);
        self.advance(wires);
    }

    /// An endpoint is gone, or gathers anew.
    pub(crate) fn release(&mut self, endpoint: EndpointSlot, now: Instant) {
        self.gatherings.remove(&endpoint);
        self.found.retain(|(of, _)| *of != endpoint);
        for binding in self.bindings.values_mut() {
            binding.remove_user(endpoint);
        }
        self.bindings.retain(|_, binding| binding.is_needed(now));
        for allocation in self.allocations.values_mut() {
            allocation.remove_user(endpoint, now);
        }
        self.schedule();
    }

    /// Gives all relayed addresses back; nobody waits for the answers any more.
    pub(crate) fn shut_down(&mut self, wires: Wires<'_>) {
        let mut io = io(&mut self.rng, wires);
        for allocation in self.allocations.values_mut() {
            with_relays(&mut io, |relays, io| allocation.release(relays, io));
        }
    }

    /// The next thing found for an endpoint.
    pub(crate) fn poll_found(&mut self) -> Option<(EndpointSlot, Found)> {
        self.found.pop_front()
    }

    /// The address of a relay on its server.
    pub(crate) fn relayed_address(&self, relay: SocketId) -> Option<SocketAddr> {
        match self.allocations.get(&relay)?.status() {
            Status::Ready { relayed, .. } => Some(relayed),
            Status::Pending | Status::Failed => None,
        }
    }

    // Inputs.

    /// Takes in a report of the engine; false when it is about nothing of ours.
    pub(crate) fn handle_network(&mut self, event: &NetworkEvent, wires: Wires<'_>) -> bool {
        let now = wires.now;
        let used = match event {
            NetworkEvent::Resolved { request, addresses } => {
                self.names.answer(*request, addresses.clone(), now)
            }
            NetworkEvent::Failed { request, reason } => {
                let of_name = self.names.answer(*request, Vec::new(), now);
                if of_name {
                    tracing::warn!(reason, "the name of a server is not known");
                }
                of_name
            }
            NetworkEvent::Bound { .. }
            | NetworkEvent::Connected { .. }
            | NetworkEvent::Ended { .. } => false,
        };
        let mut wires = wires;
        let used = used || {
            let mut io = io(&mut self.rng, wires.reborrow());
            self.allocations.values_mut().any(|allocation| {
                with_relays(&mut io, |relays, io| {
                    allocation.handle_network(event, relays, io)
                })
            })
        };
        if used {
            self.advance(wires);
        }
        used
    }

    /// Takes in what may be a STUN server's answer on one of the shard's own sockets; false when
    /// it is something else.
    pub(crate) fn handle_stun(
        &mut self,
        socket: SocketId,
        server: SocketAddr,
        datagram: &[u8],
        wires: Wires<'_>,
    ) -> bool {
        if self.bindings.is_empty() {
            return false;
        }
        let Some(binding) = self.bindings.get_mut(&(socket, server)) else {
            return false;
        };
        let Some(message) = Message::parse(datagram) else {
            return false;
        };
        let is_answer = message.method == Method::Binding
            && matches!(message.class, Class::Success | Class::Error);
        if !is_answer || !binding.handle(&message, wires.now) {
            return false;
        }
        self.advance(wires);
        true
    }

    /// What traffic through relays asked for since the last call.
    pub(crate) fn serve_relays(&mut self, wires: Wires<'_>) {
        let mut io = io(&mut self.rng, wires);
        while let Some((relay, peer, want)) = io.egress.relays_mut().poll_want() {
            if let Some(allocation) = self.allocations.get_mut(&relay) {
                allocation.want(peer, want, &mut io);
            }
        }
        self.schedule();
    }

    /// When [`Nat::handle_timeout`] wants to be called.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.next
    }

    pub(crate) fn handle_timeout(&mut self, mut wires: Wires<'_>) {
        if self.next.is_none_or(|next| wires.now < next) {
            return;
        }
        let mut io = io(&mut self.rng, wires.reborrow());
        for binding in self.bindings.values_mut() {
            binding.handle_timeout(&mut io);
        }
        for allocation in self.allocations.values_mut() {
            with_relays(&mut io, |relays, io| allocation.handle_timeout(relays, io));
        }
        self.advance(wires);
    }

    // What follows from it.

    /// Brings gatherings, sockets and deadlines up to date.
    fn advance(&mut self, wires: Wires<'_>) {
        let now = wires.now;
        let mut io = io(&mut self.rng, wires);
        let waiting: Vec<EndpointSlot> = self.gatherings.keys().copied().collect();
        for endpoint in waiting {
            let Some(mut gathering) = self.gatherings.remove(&endpoint) else {
                continue;
            };
            let mut view = View {
                names: &mut self.names,
                bindings: &mut self.bindings,
                allocations: &mut self.allocations,
                last_relay: &mut self.last_relay,
                found: &mut self.found,
            };
            let waits = view.look_for_mappings(endpoint, &mut gathering, &mut io)
                | view.look_for_relay(endpoint, &mut gathering, &mut io);
            if waits && now < gathering.deadline {
                self.gatherings.insert(endpoint, gathering);
            } else {
                self.found.push_back((endpoint, Found::Done));
            }
        }
        self.bindings.retain(|_, binding| binding.is_needed(now));
        self.allocations
            .retain(|_, allocation| !allocation.is_over(now));
        let open: BTreeMap<SocketId, SocketId> = self
            .allocations
            .iter()
            .filter_map(|(relay, allocation)| Some((allocation.socket()?, *relay)))
            .collect();
        self.links
            .retain(|socket, link| open.get(socket) == Some(&link.relay));
        for (socket, relay) in open {
            self.links.entry(socket).or_insert_with(|| Link {
                relay,
                partial: Vec::new(),
            });
        }
        self.schedule();
    }

    fn schedule(&mut self) {
        let bindings = self.bindings.values().filter_map(Binding::poll_timeout);
        let allocations = self
            .allocations
            .values()
            .filter_map(Allocation::poll_timeout);
        let gatherings = self.gatherings.values().map(|gathering| gathering.deadline);
        self.next = bindings.chain(allocations).chain(gatherings).min();
    }
}

/// The parts of [`Nat`] that a gathering looks at.
struct View<'a> {
    names: &'a mut Names,
    bindings: &'a mut BTreeMap<(SocketId, SocketAddr), Binding>,
    allocations: &'a mut BTreeMap<SocketId, Allocation>,
    last_relay: &'a mut u16,
    found: &'a mut VecDeque<(EndpointSlot, Found)>,
}

impl View<'_> {
    /// Reports new mappings; true while there may come more.
    fn look_for_mappings(
        &mut self,
        endpoint: EndpointSlot,
        gathering: &mut Gathering,
        io: &mut Io<'_>,
    ) -> bool {
        let Some(server) = &gathering.settings.stun else {
            return false;
        };
        let addresses = match self.names.resolve(&server.host, io) {
            Lookup::Pending => return true,
            Lookup::Known(addresses) => addresses,
        };
        let mut waits = false;
        for (socket, base) in &gathering.sockets {
            let Some(ip) = addresses
                .iter()
                .find(|ip| allocation::local_for(&[base.ip()], **ip).is_some())
            else {
                continue;
            };
            let key = (*socket, SocketAddr::new(*ip, server.port));
            if !self.bindings.contains_key(&key) {
                if self.bindings.len() >= MAX_BINDINGS {
                    continue;
                }
                self.bindings.insert(key, Binding::new(key.0, key.1, io));
            }
            let Some(binding) = self.bindings.get_mut(&key) else {
                continue;
            };
            binding.add_user(endpoint, io);
            match binding.mapping() {
                Mapping::Unknown => waits = true,
                Mapping::Mapped(mapped) => {
                    if gathering.reported.insert(*socket) {
                        let found = Found::Reflexive {
                            socket: *socket,
                            base: *base,
                            mapped,
                        };
                        self.found.push_back((endpoint, found));
                    }
                }
                Mapping::None => {}
            }
        }
        waits
    }

    /// Reports the relay when it is there; true while it may come.
    fn look_for_relay(
        &mut self,
        endpoint: EndpointSlot,
        gathering: &mut Gathering,
        io: &mut Io<'_>,
    ) -> bool {
        let Some(settings) = &gathering.settings.turn else {
            return false;
        };
        let locals: Vec<IpAddr> = gathering
            .sockets
            .iter()
            .map(|(_, base)| base.ip())
            .collect();
        let known = self
            .allocations
            .iter()
            .find(|(_, allocation)| allocation.is_for(settings, &locals))
            .map(|(relay, _)| *relay);
        let Some(relay) = known.or_else(|| self.free_relay()) else {
            return false;
        };
        let allocation = self
            .allocations
            .entry(relay)
            .or_insert_with(|| Allocation::new(relay, settings.clone(), locals));
        allocation.add_user(endpoint);
        allocation.retry(io.now);
        if allocation.is_resolving() {
            match self.names.resolve(&settings.server.host, io) {
                Lookup::Pending => return true,
                Lookup::Known(addresses) => allocation.resolved(&addresses, io),
            }
        }
        match allocation.status() {
            Status::Pending => true,
            Status::Ready { relayed, mapped } => {
                if gathering.reported.insert(relay) {
                    let found = Found::Relayed {
                        relay,
                        relayed,
                        mapped,
                        transport: allocation.transport(),
                    };
                    self.found.push_back((endpoint, found));
                }
                false
            }
            Status::Failed => false,
        }
    }

    /// A name for a new relay, none that was in use just now.
    fn free_relay(&mut self) -> Option<SocketId> {
        if self.allocations.len() >= MAX_ALLOCATIONS {
            return None;
        }
        for _ in 0..=MAX_ALLOCATIONS {
            let next = self.last_relay.wrapping_add(1).max(FIRST_RELAY);
            *self.last_relay = next;
            if !self.allocations.contains_key(&SocketId(next)) {
                return Some(SocketId(next));
            }
        }
        None
    }
}

impl Wires<'_> {
    fn reborrow(&mut self) -> Wires<'_> {
        Wires {
            egress: self.egress,
            requests: self.requests,
            now: self.now,
        }
    }
}

fn io<'a>(rng: &'a mut StdRng, wires: Wires<'a>) -> Io<'a> {
    Io {
        egress: wires.egress,
        requests: wires.requests,
        now: wires.now,
        rng,
    }
}

/// Lends the relays, which live in the egress, beside the egress itself.
fn with_relays<T>(io: &mut Io<'_>, action: impl FnOnce(&mut Relays, &mut Io<'_>) -> T) -> T {
    let mut relays = std::mem::take(io.egress.relays_mut());
    let result = action(&mut relays, io);
    *io.egress.relays_mut() = relays;
    result
}
