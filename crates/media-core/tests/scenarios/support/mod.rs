//! A world in virtual time: one shard, any number of str0m peers, a seeded network between them.
//!
//! Nothing here waits and nothing touches a socket: time jumps to whatever is due next.

pub(crate) mod cluster;
pub(crate) mod media;
pub(crate) mod network;
pub(crate) mod peer;
pub(crate) mod processor;
pub(crate) mod scalable;
pub(crate) mod sdp;
pub(crate) mod servers;

pub(crate) use network::{Dice, Link};
pub(crate) use peer::{Peer, Wish};
pub(crate) use processor::Processor;

use network::{Network, To};
use salono_media_api::processing::ProcessorSpec;
use salono_media_api::processing::bridge::{BridgeEvent, RtpFormat};
use salono_media_api::*;
use salono_media_core::*;
use servers::{Servers, Socket};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::media::{MediaKind as RtcKind, Simulcast, SimulcastLayer};

pub(crate) const PIPELINE: PipelineKey = PipelineKey(1);
/// Wall clock at the start of every world.
pub(crate) const UNIX_START: Duration = Duration::from_secs(1_800_000_000);

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) struct World {
    pub(crate) shard: Shard,
    pub(crate) addr: SocketAddr,
    pub(crate) now: Instant,
    pub(crate) peers: Vec<Peer>,
    pub(crate) events: VecDeque<(Instant, Event)>,
    pub(crate) network: Network,
    /// When everything began.
    pub(crate) origin: Instant,
    /// Datagrams from the shard to addresses that are no peer's.
    pub(crate) strays: Vec<(SocketAddr, Vec<u8>)>,
    pub(crate) servers: Servers,
    pub(crate) processor: Processor,
    /// How long the shard takes from the arrival of packets until it forwards them.
    pub(crate) lag: Duration,
    /// Connections that the shard wanted to be closed.
    pub(crate) disconnected: Vec<SocketAddr>,
    protocol: &'static str,
    tokens: u64,
    stuck: u32,
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        Self::with_socket(seed, SocketKind::Udp)
    }

    /// A world whose shard has a listener for ICE over TCP instead of a socket.
    pub(crate) fn over_tcp(seed: u64) -> Self {
        Self::with_socket(seed, SocketKind::IceTcp)
    }

    /// A world where transcoding is a matter of policy.
    pub(crate) fn with_transcoding(seed: u64, transcoding: Transcoding) -> Self {
        Self::with(seed, SocketKind::Udp, transcoding)
    }

    fn with_socket(seed: u64, kind: SocketKind) -> Self {
        Self::with(seed, kind, Transcoding::Allow)
    }

    fn with(seed: u64, kind: SocketKind, transcoding: Transcoding) -> Self {
        static PROVIDER: std::sync::Once = std::sync::Once::new();
        PROVIDER.call_once(|| str0m::crypto::from_feature_flags().install_process_default());
        let now = Instant::now();
        let addr = SocketAddr::from(([10, 0, 0, 1], 4_000));
        let config = ShardConfig {
            addresses: vec![LocalAddress {
                socket: SocketId(0),
                kind,
                addr,
                interface: String::new(),
            }],
            siblings: vec![addr],
            announced_v4: None,
            announced_v6: None,
            certificates: Certificates::generate().expect("certificates"),
            codecs: Codecs::default(),
            transcoding,
            limits: Limits::default(),
            unix_time: UNIX_START,
            seed: [seed as u8; 32],
        };
        let mut world = Self {
            shard: Shard::new(config, now),
            addr,
            now,
            peers: Vec::new(),
            events: VecDeque::new(),
            network: Network::new(seed),
            origin: now,
            strays: Vec::new(),
            servers: Servers::default(),
            processor: Processor::new(now),
            lag: Duration::ZERO,
            disconnected: Vec::new(),
            protocol: if kind == SocketKind::Udp {
                "udp"
            } else {
                "tcp"
            },
            tokens: 0,
            stuck: 0,
        };
        world.op(Op::CreatePipeline);
        world
    }

    // Commands.

    pub(crate) fn op(&mut self, op: Op) {
        let pipeline = PIPELINE;
        let command = Command { pipeline, op };
        self.shard.handle_command(command, self.now);
        self.shard.flush(self.now);
        self.collect();
    }

    pub(crate) fn ask(&mut self, op: impl FnOnce(Token) -> Op) -> Result<Reply, MediaError> {
        let token = self.begin(op);
        self.answer(token).expect("an answer")
    }

    /// Gives a command that may be answered later.
    pub(crate) fn begin(&mut self, op: impl FnOnce(Token) -> Op) -> Token {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.op(op(token));
        token
    }

    /// The answer to a command, once.
    pub(crate) fn answer(&mut self, token: Token) -> Option<Result<Reply, MediaError>> {
        let at = self.events.iter().position(
            |(_, event)| matches!(event, Event::Replied { token: of, .. } if *of == token),
        );
        match at.and_then(|at| self.events.remove(at)) {
            Some((_, Event::Replied { result, .. })) => Some(result),
            _ => None,
        }
    }

    pub(crate) fn ask_sdp(&mut self, op: impl FnOnce(Token) -> Op) -> String {
        match self.ask(op) {
            Ok(Reply::Sdp(sdp)) => sdp,
            other => panic!("not a description: {other:?}"),
        }
    }

    pub(crate) fn stats(&mut self, peer: usize) -> ElementStats {
        let element = self.peers[peer].element;
        match self.ask(|token| Op::Stats { token, element }) {
            Ok(Reply::Stats(stats)) => *stats,
            other => panic!("no counters: {other:?}"),
        }
    }

    pub(crate) fn connect(&mut self, source: ElementKey, sink: ElementKey) {
        for kind in MediaKind::ALL {
            self.op(Op::Connect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
    }

    pub(crate) fn pass_through(&mut self, key: u64) -> ElementKey {
        self.relay(key, ElementSpec::PassThrough)
    }

    pub(crate) fn hub_port(&mut self, key: u64) -> ElementKey {
        self.relay(key, ElementSpec::HubPort)
    }

    /// Lets what comes in at one port leave by another, as a hub does.
    pub(crate) fn route(&mut self, port: ElementKey, from: Option<ElementKey>) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            self.op(Op::Route { port, from, kind });
        }
    }

    fn relay(&mut self, key: u64, spec: ElementSpec) -> ElementKey {
        let element = ElementKey(key);
        self.ask(|token| Op::Create {
            token,
            element,
            spec,
        })
        .expect("an element");
        element
    }

    pub(crate) fn element(&self, peer: usize) -> ElementKey {
        self.peers[peer].element
    }

    // Peers.

    /// An endpoint for a peer that does not negotiate yet; its key is its index + 1.
    pub(crate) fn add_peer(&mut self, wish: &Wish, spec: WebRtcSpec) -> usize {
        let index = self.peers.len();
        let element = ElementKey(index as u64 + 1);
        self.ask(|token| Op::Create {
            token,
            element,
            spec: ElementSpec::WebRtc(spec),
        })
        .expect("an element");
        let addr = SocketAddr::from(([10, 0, 1, index as u8 + 1], 5_000));
        let mut peer = Peer::new(wish, element, addr, self.now);
        peer.protocol = self.protocol.try_into().expect("a protocol");
        self.peers.push(peer);
        index
    }

    /// A peer that offers; answered and gathered, connecting.
    pub(crate) fn join(&mut self, wish: Wish) -> usize {
        let index = self.join_without_gathering(wish);
        self.trickle(index);
        index
    }

    /// A peer that offers; answered.
    pub(crate) fn join_without_gathering(&mut self, wish: Wish) -> usize {
        let spec = WebRtcSpec {
            data_channels: wish.data,
            ..WebRtcSpec::default()
        };
        self.join_with(wish, spec)
    }

    /// As [`World::join`], at an endpoint with properties of its own.
    pub(crate) fn join_with(&mut self, wish: Wish, spec: WebRtcSpec) -> usize {
        let index = self.add_peer(&wish, spec);
        let peer = &mut self.peers[index];
        let element = peer.element;
        let candidate = Candidate::host(peer.addr, self.protocol).expect("a candidate");
        peer.rtc.add_local_candidate(candidate);
        let mut change = peer.rtc.sdp_api();
        peer.audio_mid = wish
            .audio
            .map(|direction| change.add_media(RtcKind::Audio, direction, None, None, None));
        let mut simulcast = Simulcast::new();
        for rid in wish.rids {
            simulcast.add_send_layer(SimulcastLayer::new(rid));
        }
        let simulcast = (!wish.rids.is_empty()).then_some(simulcast);
        peer.video_mid = wish
            .video
            .map(|direction| change.add_media(RtcKind::Video, direction, None, None, simulcast));
        if wish.data {
            change.add_channel("first".into());
        }
        let (offer, pending) = change.apply().expect("something to offer");
        let sdp = (wish.munge)(&offer.to_sdp_string());
        let answer = self.ask_sdp(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        let answer = SdpAnswer::from_sdp_string(&answer).expect("a valid answer");
        let peer = &mut self.peers[index];
        peer.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .expect("an acceptable answer");
        index
    }

    /// A peer that answers our offer; gathered, connecting.
    pub(crate) fn invite(&mut self, wish: Wish, spec: WebRtcSpec) -> usize {
        let index = self.add_peer(&wish, spec);
        let element = self.peers[index].element;
        let kinds = OfferKinds {
            audio: wish.audio.is_some().into(),
            video: wish.video.is_some().into(),
            again: None,
        };
        let offer = self.ask_sdp(|token| Op::GenerateOffer {
            token,
            element,
            kinds,
        });
        let peer = &mut self.peers[index];
        let candidate = Candidate::host(peer.addr, self.protocol).expect("a candidate");
        peer.rtc.add_local_candidate(candidate);
        let offer = SdpOffer::from_sdp_string(&offer).expect("a valid offer");
        let answer = peer
            .rtc
            .sdp_api()
            .accept_offer(offer)
            .expect("an acceptable offer");
        let sdp = (wish.munge)(&answer.to_sdp_string());
        self.drive_peer(index);
        self.ask_sdp(|token| Op::ProcessAnswer {
            token,
            element,
            sdp,
        });
        self.trickle(index);
        index
    }

    /// Gathers and hands the shard's candidates to the peer.
    pub(crate) fn trickle(&mut self, index: usize) {
        let of = self.peers[index].element;
        self.ask(|token| Op::GatherCandidates { token, element: of })
            .expect("candidates");
        for (_, event) in &self.events {
            if let Event::Element {
                element,
                event: ElementEvent::IceCandidateFound(found),
            } = event
                && *element == of
            {
                let candidate =
                    Candidate::from_sdp_string(&found.candidate).expect("a valid candidate");
                self.peers[index].rtc.add_remote_candidate(candidate);
            }
        }
    }

    /// Joins and waits until the shard calls the peer connected.
    pub(crate) fn join_connected(&mut self, wish: Wish) -> usize {
        let index = self.join(wish);
        self.expect_connected(index);
        index
    }

    pub(crate) fn expect_connected(&mut self, index: usize) {
        assert!(
            self.run_until(secs(10), |world| world.is_connected(index)),
            "peer {index} connects: {:?}",
            self.events
        );
    }

    pub(crate) fn is_connected(&self, index: usize) -> bool {
        let element = self.peers[index].element;
        self.peers[index].is_connected
            && self.has(
                element,
                &ElementEvent::Connection(ConnectionState::Connected),
            )
    }

    /// What the shard said last about the connection.
    pub(crate) fn shard_says_connected(&self, index: usize) -> bool {
        let states = self
            .element_events(self.element(index))
            .filter_map(|event| match event {
                ElementEvent::Connection(state) => Some(*state),
                _ => None,
            });
        states.last() == Some(ConnectionState::Connected)
    }

    /// A line of one of the descriptions of an endpoint, without its prefix.
    pub(crate) fn sdp_line(&mut self, index: usize, remote: bool, prefix: &str) -> String {
        let element = self.element(index);
        let reply = self.ask(|token| Op::Description {
            token,
            element,
            remote,
        });
        let Ok(Reply::Description(Some(sdp))) = reply else {
            panic!("not negotiated: {reply:?}");
        };
        let mut lines = sdp.lines().filter_map(|line| line.strip_prefix(prefix));
        lines.next().expect("such a line").to_owned()
    }

    pub(crate) fn has(&self, of: ElementKey, wanted: &ElementEvent) -> bool {
        self.element_events(of).any(|event| event == wanted)
    }

    pub(crate) fn element_events(&self, of: ElementKey) -> impl Iterator<Item = &ElementEvent> {
        self.events
            .iter()
            .filter_map(move |(_, event)| match event {
                Event::Element { element, event } if *element == of => Some(event),
                Event::Element { .. } | Event::Replied { .. } | Event::Speakers { .. } => None,
            })
    }

    pub(crate) fn start(&mut self, peer: usize) {
        self.peers[peer].start(self.now);
    }

    // Time.

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done`; false when that is not within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.settle();
        while !done(self) {
            if self.now >= end {
                return false;
            }
            self.step(end);
        }
        true
    }

    fn step(&mut self, end: Instant) {
        let peers = self.peers.iter().filter_map(Peer::next);
        let peers = peers.chain(self.processor.next()).min();
        let due = [self.network.next(), self.shard.poll_timeout(), peers];
        let next = due
            .into_iter()
            .flatten()
            .min()
            .map_or(end, |at| at.min(end));
        if next <= self.now {
            self.stuck += 1;
            assert!(
                self.stuck < 100,
                "time passes: network {:?} shard {:?} peers {:?} now {:?}",
                due[0],
                due[1],
                due[2],
                self.now
            );
        } else {
            self.stuck = 0;
            self.now = next;
        }
        let mut lag = Duration::ZERO;
        while let Some(mut datagram) = self.network.pop(self.now) {
            match datagram.to {
                To::Shard => {
                    lag = self.lag;
                    self.shard.handle_datagram(
                        SocketId(0),
                        datagram.from,
                        &mut datagram.bytes,
                        self.now,
                    );
                }
                To::Relay(relay) => {
                    let host = self.servers.host.as_mut().expect("a server");
                    let (from, bytes) = (datagram.from, datagram.bytes);
                    let sent = host.receive_from_peer(from, relay, &bytes, self.now);
                    self.deliver(sent);
                }
                To::Peer(index) => {
                    self.peers[index].receive(datagram.from, &datagram.bytes, self.now);
                    self.drive_peer(index);
                }
            }
        }
        self.drive_processor();
        self.now += lag;
        self.shard.flush(self.now);
        if self.shard.poll_timeout().is_some_and(|at| at <= self.now) {
            self.shard.handle_timeout(self.now);
        }
        self.collect();
        for index in 0..self.peers.len() {
            if self.peers[index].next().is_some_and(|at| at <= self.now) {
                self.drive_peer(index);
            }
        }
    }

    /// Lets everything say what it has to say at this moment.
    fn settle(&mut self) {
        self.shard.handle_timeout(self.now);
        self.collect();
        for index in 0..self.peers.len() {
            self.drive_peer(index);
        }
    }

    fn drive_peer(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        for (to, bytes) in peer.drive(self.now) {
            if to == self.addr && !self.servers.blocked.contains(&index) {
                self.network
                    .send(peer.up, peer.addr, To::Shard, &bytes, self.now);
            } else if self.servers.is_relay(to) {
                self.network
                    .send(peer.up, peer.addr, To::Relay(to), &bytes, self.now);
            }
        }
    }

    /// Takes events, wishes and datagrams out of the shard.
    pub(crate) fn collect(&mut self) {
        loop {
            while let Some(event) = self.shard.poll_event() {
                self.events.push_back((self.now, event));
            }
            let sent = self.send();
            let wished = self.shard.poll_processor();
            let told = wished.is_some();
            if let Some(report) = wished.and_then(|request| self.processor.serve(request)) {
                self.shard.handle_processor(report, self.now);
                self.shard.flush(self.now);
            }
            match self.shard.poll_network() {
                Some(request) => self.serve(request),
                None if !sent && !told => return,
                None => {}
            }
        }
    }

    /// Sends what the egress has; false when it has nothing.
    fn send(&mut self) -> bool {
        let egress = self.shard.egress();
        let datagrams: Vec<_> = egress
            .datagrams()
            .iter()
            .map(|out| {
                let start = out.start as usize;
                let bytes = egress.bytes()[start..start + out.len as usize].to_vec();
                (out.socket, out.remote, bytes)
            })
            .collect();
        egress.clear();
        let is_empty = datagrams.is_empty();
        for (socket, remote, bytes) in datagrams {
            let from = match self.servers.sockets.get(&socket) {
                Some(socket) => socket.local,
                None => self.addr,
            };
            let to = self.peers.iter().position(|peer| peer.addr == remote);
            if remote == NOWHERE {
                // What was for one that is gone is lost.
                if Some(socket) == self.processor.socket {
                    self.processor.receive(&bytes);
                }
                continue;
            }
            if remote == servers::SERVER
                && let Some(host) = self.servers.host.as_mut()
            {
                let sent = host.receive(from, &bytes, self.now);
                self.deliver(sent);
            } else if let Some(to) = to {
                // RTP and RTCP (RFC 7983).
                let is_media = bytes
                    .first()
                    .is_some_and(|first| (128..=191).contains(first));
                self.peers[to].media_sent += u64::from(is_media);
                if !self.servers.blocked.contains(&to) {
                    let link = self.peers[to].down;
                    self.network
                        .send(link, self.addr, To::Peer(to), &bytes, self.now);
                }
            } else {
                self.strays.push((remote, bytes));
            }
        }
        !is_empty
    }

    /// Brings what a server sends to peers and to us.
    fn deliver(&mut self, sent: Vec<servers::Sent>) {
        for datagram in sent {
            if let Some(to) = self.peers.iter().position(|peer| peer.addr == datagram.to) {
                let link = self.peers[to].down;
                self.network
                    .send(link, datagram.from, To::Peer(to), &datagram.bytes, self.now);
                continue;
            }
            let Some(socket) = self.servers.socket_at(datagram.to, self.addr) else {
                continue;
            };
            let is_stream = self
                .servers
                .sockets
                .get(&socket)
                .is_some_and(|socket| socket.remote.is_some());
            let size = if is_stream && self.servers.piece > 0 {
                self.servers.piece
            } else {
                datagram.bytes.len()
            };
            for piece in datagram.bytes.chunks(size) {
                let mut bytes = piece.to_vec();
                self.shard
                    .handle_datagram(socket, datagram.from, &mut bytes, self.now);
            }
            self.shard.flush(self.now);
        }
    }

    // The processor.

    /// Hands in what comes from the processor.
    fn drive_processor(&mut self) {
        let datagrams = self.processor.drive(self.now);
        for datagram in datagrams {
            self.send_from_processor(&datagram);
        }
    }

    pub(crate) fn send_from_processor(&mut self, datagram: &[u8]) {
        let socket = self.processor.socket.expect("it is there");
        let mut bytes = datagram.to_vec();
        self.shard
            .handle_datagram(socket, NOWHERE, &mut bytes, self.now);
    }

    /// Lets the processor say something.
    pub(crate) fn say(&mut self, event: BridgeEvent) {
        let (pipeline, event) = (PIPELINE, Box::new(event));
        self.report(ProcessorReport::Heard { pipeline, event });
    }

    /// An element in the processor has something to let out.
    pub(crate) fn produce(
        &mut self,
        element: ElementKey,
        kind: MediaKind,
        native: Option<RtpFormat>,
    ) {
        self.say(BridgeEvent::Produces {
            element,
            kind,
            native,
        });
    }

    pub(crate) fn report(&mut self, report: ProcessorReport) {
        self.shard.handle_processor(report, self.now);
        self.shard.flush(self.now);
        self.collect();
    }

    /// The processor dies.
    pub(crate) fn kill(&mut self) {
        self.processor.end();
        self.report(ProcessorReport::Lost {
            pipeline: PIPELINE,
            reason: "signal 9".to_owned(),
        });
    }

    /// The processor that was asked for is there.
    pub(crate) fn attach(&mut self) {
        let report = self.processor.attach();
        self.report(report);
    }

    /// An element in the processor.
    pub(crate) fn process(&mut self, key: u64, spec: ProcessorSpec) -> ElementKey {
        self.relay(key, ElementSpec::Processor(Box::new(spec)))
    }

    /// Does what the engine would do.
    fn serve(&mut self, request: NetworkRequest) {
        let event = match request {
            NetworkRequest::BindUdp {
                request, ip, pair, ..
            } => {
                let sockets = (0..if pair { 2 } else { 1 }).map(|_| self.open(ip, None));
                let sockets = sockets.collect();
                NetworkEvent::Bound { request, sockets }
            }
            NetworkRequest::Connect { .. } if self.servers.delays_connections => {
                self.servers.delayed.push(request);
                return;
            }
            NetworkRequest::Connect {
                request, remote, ..
            } => {
                let (socket, local) = self.open(self.addr.ip(), Some(remote));
                NetworkEvent::Connected {
                    request,
                    socket,
                    local,
                }
            }
            NetworkRequest::Resolve { request, host } => match self.servers.names.get(&host) {
                Some(ip) => NetworkEvent::Resolved {
                    request,
                    addresses: vec![*ip],
                },
                None => NetworkEvent::Failed {
                    request,
                    reason: "unknown name".to_owned(),
                },
            },
            NetworkRequest::Disconnect { socket, remote } => {
                assert_eq!(socket, SocketId(0), "the listener");
                self.disconnected.push(remote);
                return;
            }
            NetworkRequest::Close { socket } => {
                self.servers.sockets.remove(&socket).expect("an open one");
                return;
            }
        };
        self.shard.handle_network(event, self.now);
        self.shard.flush(self.now);
    }

    /// Makes the connections that were asked for.
    pub(crate) fn connect_delayed(&mut self) {
        self.servers.delays_connections = false;
        for request in std::mem::take(&mut self.servers.delayed) {
            self.serve(request);
        }
        self.collect();
    }

    fn open(&mut self, ip: std::net::IpAddr, remote: Option<SocketAddr>) -> (SocketId, SocketAddr) {
        self.servers.opened += 1;
        let socket = SocketId(self.servers.opened);
        let local = SocketAddr::new(ip, 40_000 + self.servers.opened);
        self.servers
            .sockets
            .insert(socket, Socket { local, remote });
        (socket, local)
    }

    /// Hands a datagram straight to the shard, from any address.
    pub(crate) fn inject(&mut self, from: SocketAddr, datagram: &[u8]) {
        let mut bytes = datagram.to_vec();
        self.shard
            .handle_datagram(SocketId(0), from, &mut bytes, self.now);
        self.shard.flush(self.now);
        self.collect();
    }
}
