//! The shard: one owner of pipelines, endpoints and tracks, driven from outside.
//!
//! **Contract.** Hand in commands, datagrams and time with the `handle_*` calls; after a batch call
//! [`Shard::flush`] once, then take everything out with [`Shard::poll_event`] and
//! [`Shard::egress`] and sleep until [`Shard::poll_timeout`]. Time never goes backwards. Nothing
//! handed in may make a shard panic; what cannot be used is counted and dropped.

use crate::config::ShardConfig;
use crate::context::Context;
use crate::demux::{DatagramKind, Demux, EndpointSlot, Owner, classify};
use crate::egress::Egress;
use crate::graph::{Affected, Graph, NodeKind};
use crate::peer::Peer;
use crate::timers::Timers;
use crate::track::{Clock, Router};
use crate::webrtc::{DataEvent, Endpoint, Path, dtls_config};
use is::stun::{StunMessage, StunPacket};
use rand::{Rng, SeedableRng, rngs::StdRng};
use salono_media_api::{
    Command, ElementEvent, ElementKey, ElementSpec, ElementStats, Event, MediaError,
    MediaErrorKind, MediaKind, Op, PipelineKey, Reply, ShardMetrics, Token,
};
use slotmap::SlotMap;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// An element's place: its pipeline and, for endpoints, its peer.
#[derive(Debug, Clone, Copy)]
struct Home {
    pipeline: PipelineKey,
    endpoint: Option<EndpointSlot>,
}

/// The shard could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up DTLS: {0}")]
pub struct ShardError(String);

/// Pipelines with their elements, and the traffic between their peers.
pub struct Shard {
    config: ShardConfig,
    dtls: Arc<dimpl::Config>,
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
    metrics: ShardMetrics,
    clock: Clock,
}

impl Shard {
    /// An empty shard. `now` is the moment that `config.unix_time` names.
    ///
    /// # Errors
    /// When the DTLS library refuses its own settings.
    pub fn new(config: ShardConfig, now: Instant) -> Result<Self, ShardError> {
        let dtls = dtls_config().map_err(|error| ShardError(format!("{error:?}")))?;
        Ok(Self {
            dtls: Arc::new(dtls),
            rng: StdRng::from_seed(config.seed),
            pipelines: BTreeMap::new(),
            elements: HashMap::new(),
            peers: SlotMap::with_key(),
            router: Router::default(),
            demux: Demux::default(),
            egress: Egress::new(),
            events: VecDeque::new(),
            timers: Timers::default(),
            dirty: Vec::new(),
            metrics: ShardMetrics::default(),
            clock: Clock::new(now, config.unix_time),
            config,
        })
    }

    /// Carries out a command; its answer is an event.
    pub fn handle_command(&mut self, command: Command, now: Instant) {
        let pipeline = command.pipeline;
        match command.op {
            Op::CreatePipeline => {
                self.pipelines.entry(pipeline).or_default();
            }
            Op::ReleasePipeline => {
                let elements: Vec<ElementKey> = self
                    .pipelines
                    .get(&pipeline)
                    .map(|graph| graph.elements().collect())
                    .unwrap_or_default();
                for element in elements {
                    self.release(element, now);
                }
                self.pipelines.remove(&pipeline);
            }
            Op::Create {
                token,
                element,
                spec,
            } => {
                let result = self
                    .create(pipeline, element, spec, now)
                    .map(|()| Reply::Done);
                self.reply(token, result);
            }
            Op::Release { element } => self.release(element, now),
            Op::Connect { source, sink, kind } => {
                let affected = self
                    .pipelines
                    .get_mut(&pipeline)
                    .and_then(|graph| graph.connect(source, sink, kind))
                    .unwrap_or_default();
                self.reroute(&affected);
            }
            Op::Disconnect { source, sink, kind } => {
                let affected = self
                    .pipelines
                    .get_mut(&pipeline)
                    .map(|graph| graph.disconnect(source, sink, kind))
                    .unwrap_or_default();
                self.reroute(&affected);
            }
            Op::GenerateOffer {
                token,
                element,
                kinds,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.generate_offer(kinds, context)
                });
                self.reply(token, result.map(Reply::Sdp));
            }
            Op::ProcessOffer {
                token,
                element,
                sdp,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.process_offer(&sdp, context)
                });
                self.finish_negotiation(element, result.is_ok());
                self.reply(token, result.map(Reply::Sdp));
            }
            Op::ProcessAnswer {
                token,
                element,
                sdp,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.process_answer(&sdp, context)
                });
                self.finish_negotiation(element, result.is_ok());
                self.reply(token, result.map(Reply::Sdp));
            }
            Op::Description {
                token,
                element,
                remote,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, _| {
                    Ok(if remote {
                        endpoint.remote_sdp()
                    } else {
                        endpoint.local_sdp()
                    })
                });
                self.reply(token, result.map(Reply::Description));
            }
            Op::GatherCandidates { token, element } => {
                let result =
                    self.with_endpoint(element, now, |endpoint, context| endpoint.gather(context));
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::AddIceCandidate {
                token,
                element,
                candidate,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.add_candidate(&candidate, context)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::SetBandwidth { element, bandwidth } => {
                let peer = self
                    .slot_of(element)
                    .ok()
                    .and_then(|slot| self.peers.get_mut(slot));
                if let Some(peer) = peer {
                    peer.set_bandwidth(bandwidth, &mut self.router);
                }
            }
            Op::SetExternalAddresses { element, v4, v6 } => {
                let _ = self.with_endpoint(element, now, |endpoint, _| {
                    endpoint.set_external(v4, v6);
                    Ok(())
                });
            }
            Op::RequestKeyframe { token, element } => {
                let result = self.request_keyframe(element);
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::CreateDataChannel {
                token,
                element,
                channel,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.open_channel(channel, context.now)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::CloseDataChannel {
                token,
                element,
                channel,
            } => {
                let result = self.with_endpoint(element, now, |endpoint, context| {
                    endpoint.close_channel(channel, context.now)
                });
                self.reply(token, result.map(|()| Reply::Done));
            }
            Op::Stats { token, element } => {
                let result = self.slot_of(element).map(|slot| {
                    let peer = self.peers.get(slot);
                    peer.map(|peer| peer.stats(&mut self.router, now))
                        .unwrap_or_default()
                });
                // An element without a peer has nothing to count.
                let result = match result {
                    Err(error) if error.kind == MediaErrorKind::NotSupported => {
                        Ok(ElementStats::default())
                    }
                    other => other,
                };
                self.reply(token, result.map(|stats| Reply::Stats(Box::new(stats))));
            }
        }
    }

    /// Takes in one datagram; RTP is decrypted in place.
    pub fn handle_datagram(
        &mut self,
        socket: u8,
        remote: SocketAddr,
        datagram: &mut [u8],
        now: Instant,
    ) {
        self.metrics.datagrams_received += 1;
        self.metrics.bytes_received += datagram.len() as u64;
        let path = Path { socket, remote };
        let used = match classify(datagram) {
            Some(DatagramKind::Rtp) => self.handle_rtp(path, datagram, now),
            Some(DatagramKind::Rtcp) => self.handle_rtcp(path, datagram, now),
            Some(DatagramKind::Stun) => self.handle_stun(path, datagram, now),
            Some(DatagramKind::Dtls) => self.handle_dtls(path, datagram, now),
            None => false,
        };
        if !used {
            self.metrics.datagrams_refused += 1;
        }
    }

    /// Ends a batch: forwards what came in and lets peers act on it.
    pub fn flush(&mut self, now: Instant) {
        self.router
            .forward(&mut self.egress, &mut self.metrics, now);
        while let Some(slot) = self.dirty.pop() {
            self.drain(slot, now);
        }
        self.ask_for_keyframes(now);
    }

    /// Wakes everything whose time has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, slot)) = self.timers.pop(now) {
            let Some(peer) = self.peers.get_mut(slot) else {
                continue;
            };
            if !peer.alarm.ring(at) {
                continue;
            }
            peer.endpoint.handle_timeout(now);
            let (router, egress) = (&mut self.router, &mut self.egress);
            peer.send_feedback(router, egress, &mut self.metrics, self.clock, now);
            peer.check_flow(router, &mut self.events, now);
            self.dirty.push(slot);
        }
        self.flush(now);
    }

    /// The next report, in order.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// When [`Shard::handle_timeout`] wants to be called; perhaps a little early.
    pub fn poll_timeout(&mut self) -> Option<Instant> {
        self.timers.next()
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
            .filter(|peer| peer.endpoint.connected())
            .count();
        ShardMetrics {
            pipelines: self.pipelines.len() as u64,
            elements: self.elements.len() as u64,
            endpoints: self.peers.len() as u64,
            endpoints_connected: connected as u64,
            rtp_lost: self.router.lost(),
            ..self.metrics
        }
    }

    // Elements.

    fn create(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        spec: ElementSpec,
        now: Instant,
    ) -> Result<(), MediaError> {
        if self.elements.len() >= self.config.limits.elements {
            return Err(MediaError::new(
                MediaErrorKind::Limit,
                "too many elements on one shard",
            ));
        }
        let graph = self.pipelines.get_mut(&pipeline).ok_or_else(not_found)?;
        let endpoint = match spec {
            ElementSpec::PassThrough => {
                graph.add(element, NodeKind::PassThrough);
                None
            }
            ElementSpec::WebRtc(spec) => {
                graph.add(element, NodeKind::Endpoint);
                let context = Context {
                    config: &self.config,
                    demux: &mut self.demux,
                    egress: &mut self.egress,
                    events: &mut self.events,
                    now,
                };
                let (dtls, rng) = (self.dtls.clone(), &mut self.rng);
                Some(self.peers.insert_with_key(|slot| {
                    Peer::new(Endpoint::new(
                        element, pipeline, slot, spec, dtls, &context, rng,
                    ))
                }))
            }
        };
        self.elements.insert(element, Home { pipeline, endpoint });
        Ok(())
    }

    fn release(&mut self, element: ElementKey, now: Instant) {
        let Some(home) = self.elements.remove(&element) else {
            return;
        };
        let affected = self
            .pipelines
            .get_mut(&home.pipeline)
            .map(|graph| graph.remove(element))
            .unwrap_or_default();
        if let Some(mut peer) = home.endpoint.and_then(|slot| self.peers.remove(slot)) {
            peer.remove_tracks(&mut self.router);
            let mut context = Context {
                config: &self.config,
                demux: &mut self.demux,
                egress: &mut self.egress,
                events: &mut self.events,
                now,
            };
            peer.endpoint.close(&mut context);
        }
        self.reroute(&affected);
    }

    fn slot_of(&self, element: ElementKey) -> Result<EndpointSlot, MediaError> {
        let home = self.elements.get(&element).ok_or_else(not_found)?;
        home.endpoint.ok_or_else(|| {
            MediaError::new(
                MediaErrorKind::NotSupported,
                "the element is not an endpoint",
            )
        })
    }

    /// Runs `action` on an endpoint and lets the endpoint act on what it changed.
    fn with_endpoint<T>(
        &mut self,
        element: ElementKey,
        now: Instant,
        action: impl FnOnce(&mut Endpoint, &mut Context<'_>) -> Result<T, MediaError>,
    ) -> Result<T, MediaError> {
        let slot = self.slot_of(element)?;
        let peer = self.peers.get_mut(slot).ok_or_else(not_found)?;
        let mut context = Context {
            config: &self.config,
            demux: &mut self.demux,
            egress: &mut self.egress,
            events: &mut self.events,
            now,
        };
        let result = action(&mut peer.endpoint, &mut context);
        self.dirty.push(slot);
        result
    }

    fn finish_negotiation(&mut self, element: ElementKey, success: bool) {
        let Ok(slot) = self.slot_of(element) else {
            return;
        };
        let Some(peer) = self.peers.get_mut(slot).filter(|_| success) else {
            return;
        };
        let randoms = [self.rng.next_u64(), self.rng.next_u64()];
        peer.set_up_tracks(slot, &self.config.limits, &mut self.router, randoms);
        self.reroute_around(slot);
    }

    fn reply(&mut self, token: Token, result: Result<Reply, MediaError>) {
        self.events.push_back(Event::Replied { token, result });
    }

    // Routes.

    /// Finds the sources of these sinks anew.
    fn reroute(&mut self, affected: &Affected) {
        for (sink, kind) in affected {
            let Some(home) = self.elements.get(sink).copied() else {
                continue;
            };
            let Some(slot) = home.endpoint else { continue };
            let source = self
                .pipelines
                .get(&home.pipeline)
                .and_then(|graph| graph.source_of(*sink, *kind))
                .and_then(|source| self.elements.get(&source)?.endpoint);
            let track = source
                .and_then(|source| self.peers.get(source))
                .and_then(|peer| peer.inbound(*kind));
            let Some(peer) = self.peers.get(slot) else {
                continue;
            };
            peer.route(*kind, track, &mut self.router);
        }
    }

    /// Finds the routes to and from a peer anew, after its tracks or keys changed.
    fn reroute_around(&mut self, slot: EndpointSlot) {
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
    }

    fn ask_for_keyframes(&mut self, now: Instant) {
        while let Some(track) = self.router.next_keyframe_request(now) {
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

    fn request_keyframe(&mut self, element: ElementKey) -> Result<(), MediaError> {
        let slot = self.slot_of(element)?;
        let peer = self.peers.get(slot).ok_or_else(not_found)?;
        if peer.ask_source_for_keyframe(&mut self.router) {
            Ok(())
        } else {
            Err(MediaError::new(
                MediaErrorKind::NotSupported,
                "Keyframe request failed (must be requested from a subscriber element)",
            ))
        }
    }

    // Datagrams.

    fn handle_stun(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        let Ok(message) = StunMessage::parse(datagram) else {
            return false;
        };
        let owner = if message.is_binding_request() {
            message
                .split_username()
                .and_then(|(local, _)| self.demux.by_ufrag(local))
        } else {
            datagram.get(8..20).and_then(|id| self.demux.take_check(id))
        };
        let (Some(owner), Some(destination)) = (owner, self.config.address(path.socket)) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        let packet = StunPacket {
            proto: is::Protocol::Udp,
            source: path.remote,
            destination,
            message,
        };
        let accepted = peer
            .endpoint
            .handle_stun(usize::from(owner.transport), packet, now);
        if accepted {
            self.dirty.push(owner.endpoint);
        }
        accepted
    }

    fn handle_dtls(&mut self, path: Path, datagram: &[u8], now: Instant) -> bool {
        let Some((owner, peer)) = self.owner(path) else {
            return false;
        };
        peer.endpoint
            .handle_dtls(usize::from(owner.transport), datagram, now);
        self.dirty.push(owner.endpoint);
        true
    }

    fn handle_rtp(&mut self, path: Path, datagram: &mut [u8], now: Instant) -> bool {
        let Some(owner) = self.demux.by_path(path) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        let taken = peer.receive_rtp(
            usize::from(owner.transport),
            datagram,
            &mut self.router,
            &mut self.metrics,
            &mut self.events,
            now,
        );
        if taken {
            peer.arm_media(&mut self.timers, owner.endpoint, &self.router);
        }
        taken
    }

    fn handle_rtcp(&mut self, path: Path, datagram: &mut [u8], now: Instant) -> bool {
        let Some(owner) = self.demux.by_path(path) else {
            return false;
        };
        let Some(peer) = self.peers.get_mut(owner.endpoint) else {
            return false;
        };
        peer.receive_rtcp(
            usize::from(owner.transport),
            datagram,
            &mut self.router,
            &mut self.egress,
            &mut self.metrics,
            &mut self.events,
            self.clock,
            now,
        )
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
                channel,
                binary,
                payload,
            } => {
                let label = peer
                    .endpoint
                    .data()
                    .map_or("", |data| data.label(channel))
                    .to_owned();
                let sinks = self
                    .pipelines
                    .get(&pipeline)
                    .map(|graph| graph.sinks_of(element, MediaKind::Data))
                    .unwrap_or_default();
                for sink in sinks {
                    let Ok(sink) = self.slot_of(sink) else {
                        continue;
                    };
                    if let Some(data) = self
                        .peers
                        .get_mut(sink)
                        .and_then(|peer| peer.endpoint.data_mut())
                    {
                        data.send(&label, binary, &payload, now);
                        self.dirty.push(sink);
                    }
                }
                return;
            }
        };
        self.events.push_back(Event::Element { element, event });
    }

    fn owner(&mut self, path: Path) -> Option<(Owner, &mut Peer)> {
        let owner = self.demux.by_path(path)?;
        Some((owner, self.peers.get_mut(owner.endpoint)?))
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
            now,
        };
        let changes = peer.endpoint.drain(&mut context);
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
            self.reroute_around(slot);
        }
        if let Some(peer) = self.peers.get_mut(slot) {
            peer.arm(&mut self.timers, slot, &self.router);
        }
    }
}

fn not_found() -> MediaError {
    MediaError::new(MediaErrorKind::NotFound, "there is no such element")
}
