//! The shard: one owner of pipelines, endpoints and tracks, driven from outside.
//!
//! **Contract.** Hand in commands, datagrams and time with the `handle_*` calls; after a batch call
//! [`Shard::flush`], then take everything out with [`Shard::poll_event`] and [`Shard::egress`], again
//! for as long as the egress was full ([`Egress::is_full`]), and sleep until [`Shard::poll_timeout`]. Time never goes backwards. Nothing
//! handed in may make a shard panic; what cannot be used is counted and dropped.

mod commands;
mod datagrams;
mod flow;
mod links;
mod neighbours;
mod ports;
mod processing;
mod servers;
mod speakers;
mod streams;

use crate::config::ShardConfig;
use crate::context::Context;
use crate::demux::{Demux, EndpointSlot};
use crate::egress::Egress;
use crate::graph::{Affected, Graph};
use crate::links::{Data, Links};
use crate::nat::Nat;
use crate::network::{NetworkEvent, NetworkRequest, Requests};
use crate::peer::Peer;
use crate::processing::Bridges;
use crate::processor::{ProcessorRequest, ProcessorRequests};
use crate::relays::Relays;
use crate::timers::Timers;
use crate::track::{Clock, Router};
use crate::webrtc::DataEvent;
use neighbours::Neighbours;
use rand::{SeedableRng, rngs::StdRng};
use salono_media_api::{ElementEvent, ElementKey, Event, MediaKind, PipelineKey, ShardMetrics};
use slotmap::SlotMap;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Instant;

/// Peers that are woken at once. Reports of all peers are due at the same moments, and packets shall not wait for
/// thousands of them.
const MOST_ALARMS: usize = 32;

/// An element's place: its pipeline and, for endpoints, its peer.
#[derive(Debug, Clone, Copy)]
struct Home {
    pipeline: PipelineKey,
    endpoint: Option<EndpointSlot>,
}

/// Pipelines with their elements, and the traffic between their peers.
pub struct Shard {
    config: ShardConfig,
    rng: StdRng,
    pipelines: BTreeMap<PipelineKey, Graph>,
    /// Read by key only, never iterated.
    elements: HashMap<ElementKey, Home>,
    peers: SlotMap<EndpointSlot, Peer>,
    router: Router,
    demux: Demux,
    egress: Egress,
    events: VecDeque<Event>,
    timers: Timers,
    /// Peers that took in something since the last flush.
    dirty: Vec<EndpointSlot>,
    /// Peers whose media asks for another alarm since then, some of them twice.
    to_arm: Vec<EndpointSlot>,
    metrics: ShardMetrics,
    clock: Clock,
    relays: Relays,
    /// Pipelines that measure latency.
    measured: BTreeSet<PipelineKey>,
    requests: Requests,
    processor_requests: ProcessorRequests,
    bridges: Bridges,
    nat: Nat,
    neighbours: Neighbours,
    links: Links,
    /// When mirrors of tracks of other shards are looked at.
    mirrors_due: Option<Instant>,
}

impl Shard {
    /// An empty shard. `now` is the moment that `config.unix_time` names.
    pub fn new(config: ShardConfig, now: Instant) -> Self {
        let mut rng = StdRng::from_seed(config.seed);
        Self {
            nat: Nat::new(&mut rng),
            neighbours: Neighbours::default(),
            rng,
            pipelines: BTreeMap::new(),
            elements: HashMap::new(),
            peers: SlotMap::with_key(),
            router: Router::default(),
            demux: Demux::default(),
            egress: Egress::new(),
            events: VecDeque::new(),
            timers: Timers::default(),
            dirty: Vec::new(),
            to_arm: Vec::new(),
            metrics: ShardMetrics::default(),
            clock: Clock::new(now, config.unix_time),
            config,
            relays: Relays::default(),
            measured: BTreeSet::new(),
            requests: Requests::default(),
            processor_requests: ProcessorRequests::default(),
            bridges: Bridges::default(),
            links: Links::default(),
            mirrors_due: None,
        }
    }

    /// Ends a batch: forwards what came in and lets peers act on it.
    pub fn flush(&mut self, now: Instant) {
        self.update_bridges(now);
        self.router
            .forward(&mut self.egress, &mut self.metrics, now);
        self.send_copies();
        self.note_restated(now);
        self.note_started(now);
        while let Some(slot) = self.router.next_waiting() {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.arm_media(&mut self.timers, slot, &self.router);
            }
        }
        while let Some((slot, event)) = self.router.next_layer_change() {
            if let Some(peer) = self.peers.get(slot) {
                let element = peer.endpoint.key();
                self.events.push_back(Event::Element { element, event });
            }
        }
        while let Some(slot) = self.to_arm.pop() {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.arm_media(&mut self.timers, slot, &self.router);
            }
        }
        while let Some(slot) = self.dirty.pop() {
            self.drain(slot, now);
        }
        while let Some(track) = self.router.next_recoded() {
            self.note_codec(track);
        }
        self.update_bridges(now);
        self.router
            .start_streams(&mut self.egress, &mut self.metrics, now);
        self.note_started(now);
        self.ask_for_keyframes(now);
        self.tell_caps(now);
        self.serve_relays(now);
    }

    /// Reports streams that have begun to flow.
    fn note_started(&mut self, now: Instant) {
        while let Some((out, slot)) = self.router.next_started() {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.note_sent(out, &mut self.router, &mut self.events, now);
                if peer.endpoint.crossing().is_some() {
                    // Sound and pictures are in step from the first moment on.
                    peer.feedback.hurry(now);
                }
                peer.arm_media(&mut self.timers, slot, &self.router);
                if peer.endpoint.crossing().is_some() && peer.take_flow_change() {
                    self.note_peer_flow(slot, now);
                }
            }
        }
    }

    /// Wakes everything whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut rung = 0;
        while rung < MOST_ALARMS
            && let Some((at, slot)) = self.timers.pop(now)
        {
            let Some(peer) = self.peers.get_mut(slot) else {
                continue;
            };
            if !peer.alarm.ring(at) {
                continue;
            }
            rung += 1;
            peer.endpoint.handle_timeout(now);
            let (router, egress) = (&mut self.router, &mut self.egress);
            peer.send_feedback(router, egress, &mut self.metrics, self.clock, now);
            peer.check_flow(router, &mut self.events, self.clock, now);
            let changed = peer.take_flow_change();
            let (element, pipeline) = (peer.endpoint.key(), peer.endpoint.pipeline());
            self.dirty.push(slot);
            if changed {
                self.note_peer_flow(slot, now);
            } else if self.measured.contains(&pipeline) {
                self.tell_flow(element, pipeline, false);
            }
        }
        self.check_mirrors(now);
        self.bridges.wake(now);
        self.check_relays(now);
        self.detect(now);
        self.handle_nat_timeout(now);
        self.flush(now);
    }

    /// The next report, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Shard::handle_timeout`] wants to be called; perhaps a little early.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        let nat = self.nat.poll_timeout();
        [
            self.timers.next(),
            self.relays.next(),
            self.router.detectors.next(),
            self.router.gathered_at(),
            self.mirrors_due,
            self.bridges.next(),
            nat,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Until when parts of frames wait for the rest, which is about to come: it costs less to take that
    /// in at once than packet by packet.
    pub fn gathers_until(&self) -> Option<Instant> {
        self.router.gathered_at()
    }

    /// The next wish about sockets or names; see [`NetworkRequest`].
    pub fn poll_network(&mut self) -> Option<NetworkRequest> {
        self.requests.poll()
    }

    /// Takes in what became of a wish, or that a connection ended.
    pub fn handle_network(&mut self, event: NetworkEvent, now: Instant) {
        if !self.handle_ports(&event, now)
            && !self.handle_own_socket(&event, now)
            && !self.handle_nat_network(&event, now)
        {
            tracing::debug!(?event, "nobody waits for this");
            self.close_unclaimed(event);
        }
    }

    /// The next wish about processors; see [`ProcessorRequest`].
    pub fn poll_processor(&mut self) -> Option<ProcessorRequest> {
        self.processor_requests.poll()
    }

    /// Whoever asked for these sockets is gone by now.
    fn close_unclaimed(&mut self, event: NetworkEvent) {
        let sockets = match event {
            NetworkEvent::Bound { sockets, .. } => {
                sockets.into_iter().map(|(socket, _)| socket).collect()
            }
            NetworkEvent::Connected { socket, .. } => vec![socket],
            NetworkEvent::Resolved { .. }
            | NetworkEvent::Failed { .. }
            | NetworkEvent::Ended { .. } => Vec::new(),
        };
        for socket in sockets {
            self.requests.push(NetworkRequest::Close { socket });
        }
    }

    /// Datagrams to send; clear it after sending.
    pub fn egress(&mut self) -> &mut Egress {
        &mut self.egress
    }

    /// Counters and gauges; times and socket drops are the engine's to fill in.
    pub fn metrics(&self) -> ShardMetrics {
        let connected = self
            .peers
            .values()
            .filter(|peer| peer.endpoint.connected() && peer.endpoint.crossing().is_none())
            .count();
        let guests = self.links.homes.len();
        let crossings = self.bridges.crossings();
        let (decoders, encoders) = self.bridges.load();
        ShardMetrics {
            pipelines: self.pipelines.len().saturating_sub(guests) as u64,
            elements: self.elements.len() as u64,
            endpoints: self.peers.len().saturating_sub(crossings) as u64,
            endpoints_connected: connected as u64,
            rtp_lost: self.router.lost(),
            tracks: self.router.tracks() as u64,
            mirrors: self.links.imports.len() as u64,
            mirrored: self.links.exports.len() as u64,
            rtp_mirrored: self.links.copied,
            mirror_drops: self.links.dropped,
            decoders,
            encoders,
            ..self.metrics
        }
    }

    // Routes.

    /// Finds the sources of these sinks anew.
    fn reroute(&mut self, affected: &Affected) {
        for (sink, kind) in affected {
            let Some(home) = self.elements.get(sink).copied() else {
                // A stream of another shard that goes into a processor is fed by its own name.
                if let Some(remote) = self.links.remote.get(sink) {
                    self.bridges.touch(remote.pipeline);
                }
                continue;
            };
            let Some(slot) = home.endpoint else {
                self.note_input(home.pipeline, *sink, *kind);
                continue;
            };
            let ways = self.ways_to(slot, home.pipeline, *kind);
            self.unfeed_others(*sink, *kind, &ways);
            self.forget_other_receivers(home.pipeline, *sink, *kind, &ways);
            for way in ways {
                // What a peer does not take is not fetched from other shards.
                let source = way.source.clone().filter(|_| way.sends);
                if !self.note_receiver(home.pipeline, &way, source.as_ref()) {
                    let track = self.track_for(&way.sink, source);
                    self.router.link(way.out, track);
                }
            }
        }
    }

    /// Finds the routes to and from a peer anew, after its tracks or keys changed.
    fn reroute_around(&mut self, slot: EndpointSlot, now: Instant) {
        let Some(peer) = self.peers.get(slot) else {
            return;
        };
        let element = peer.endpoint.key();
        let Some(graph) = self.pipelines.get(&peer.endpoint.pipeline()) else {
            return;
        };
        let mut affected = Affected::new();
        for kind in [MediaKind::Audio, MediaKind::Video] {
            affected.insert((element, kind));
            affected.extend(
                graph
                    .sinks_of(element, kind)
                    .into_iter()
                    .map(|sink| (sink, kind)),
            );
        }
        self.reroute(&affected);
        self.describe_element(element, now);
    }

    fn ask_for_keyframes(&mut self, now: Instant) {
        while let Some(track) = self.router.next_keyframe_request(now) {
            if self.ask_shard_for_keyframe(track, now) {
                continue;
            }
            let Some(slot) = self.router.owner_of(track) else {
                continue;
            };
            let Some(peer) = self.peers.get_mut(slot) else {
                continue;
            };
            peer.send_requests(&mut self.router, &mut self.egress, &mut self.metrics, now);
            peer.arm_media(&mut self.timers, slot, &self.router);
        }
    }

    fn tell_caps(&mut self, now: Instant) {
        while let Some(track) = self.router.next_capped() {
            self.tell_needs(track);
            let slot = self.router.owner_of(track);
            if let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) {
                peer.send_cap(track, &mut self.router, &mut self.egress, now);
            }
        }
    }

    /// Reports a channel, or hands a message to every sink of this peer's data.
    fn handle_data(&mut self, slot: EndpointSlot, event: DataEvent, now: Instant) {
        let Some(peer) = self.peers.get(slot) else {
            return;
        };
        let (element, pipeline) = (peer.endpoint.key(), peer.endpoint.pipeline());
        let event = match event {
            DataEvent::Opened(channel) => ElementEvent::DataChannelOpened { channel },
            DataEvent::Closed(channel) => ElementEvent::DataChannelClosed { channel },
            DataEvent::Message {
                label,
                binary,
                payload,
            } => {
                let sinks = self
                    .pipelines
                    .get(&pipeline)
                    .map(|graph| graph.sinks_of(element, MediaKind::Data))
                    .unwrap_or_default();
                let data = Data {
                    pipeline,
                    source: element,
                    label,
                    binary,
                    payload,
                };
                self.hand_out(&sinks, &data, now);
                self.send_data_elsewhere(&sinks, &data);
                return;
            }
        };
        self.events.push_back(Event::Element { element, event });
    }

    /// Hands a message to those of its sinks that live here.
    fn hand_out(&mut self, sinks: &[ElementKey], data: &Data, now: Instant) {
        for sink in sinks {
            let Ok(sink) = self.slot_of(*sink) else {
                self.tell_message(*sink, data);
                continue;
            };
            if let Some(channels) = self
                .peers
                .get_mut(sink)
                .and_then(|peer| peer.endpoint.data_mut())
            {
                channels.send(&data.label, data.binary, &data.payload, now);
                self.dirty.push(sink);
            }
        }
    }

    /// Lets a peer's transports send and report, hands its messages on and sets its alarm.
    fn drain(&mut self, slot: EndpointSlot, now: Instant) {
        let Some(peer) = self.peers.get_mut(slot) else {
            return;
        };
        let mut context = Context {
            config: &self.config,
            demux: &mut self.demux,
            egress: &mut self.egress,
            events: &mut self.events,
            requests: &mut self.requests,
            now,
        };
        let changes = peer.endpoint.drain(&mut context);
        self.ask_for_own_sockets(slot);
        while let Some(event) = self
            .peers
            .get_mut(slot)
            .and_then(|peer| peer.endpoint.poll_data())
        {
            self.handle_data(slot, event, now);
        }
        if changes.routes || changes.path {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.refresh_outbound(&mut self.router);
                peer.feedback.start(now);
                peer.watch_flow(now);
            }
            self.reroute_around(slot, now);
        }
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.arm(&mut self.timers, slot, &self.router);
        }
    }
}
