//! Several shards that share pipelines, with the messages between them, in virtual time.

use super::network::{Network, To};
use super::peer::{Peer, Wish};
use super::processor::Processor;
use super::{PIPELINE, UNIX_START, secs};
use salono_media_api::processing::bridge::BridgeEvent;
use salono_media_api::*;
use salono_media_core::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use str0m::Candidate;
use str0m::change::SdpAnswer;
use str0m::media::{MediaKind as RtcKind, Simulcast, SimulcastLayer};

pub(crate) struct Cluster {
    pub(crate) shards: Vec<Shard>,
    addrs: Vec<SocketAddr>,
    pub(crate) placement: Placement,
    pub(crate) now: Instant,
    pub(crate) peers: Vec<Peer>,
    pub(crate) events: VecDeque<Event>,
    network: Network,
    /// Where each element was created.
    pub(crate) homes: BTreeMap<ElementKey, usize>,
    /// Ways from shard to shard that carry nothing for now.
    pub(crate) blocked: BTreeSet<(usize, usize)>,
    /// That of the pipeline, beside its home.
    pub(crate) processor: Processor,
    /// Messages that crossed, by way.
    pub(crate) crossed: BTreeMap<(usize, usize), usize>,
    pub(crate) bytes_crossed: usize,
    tokens: u64,
}

impl Cluster {
    /// Shards on which the endpoints of a pipeline take turns: the first is on shard 0.
    pub(crate) fn new(shards: usize, seed: u64) -> Self {
        static PROVIDER: std::sync::Once = std::sync::Once::new();
        PROVIDER.call_once(|| str0m::crypto::from_feature_flags().install_process_default());
        let now = Instant::now();
        let addrs: Vec<SocketAddr> = (0..shards as u16)
            .map(|shard| SocketAddr::from(([10, 0, 0, 1], 4_000 + shard)))
            .collect();
        let certificates = Certificates::generate().expect("certificates");
        let spreading = Spreading {
            endpoints_per_part: 1,
        };
        let mut cluster = Self {
            shards: Vec::new(),
            placement: Placement::new(shards, spreading),
            now,
            peers: Vec::new(),
            events: VecDeque::new(),
            network: Network::new(seed),
            homes: BTreeMap::new(),
            blocked: BTreeSet::new(),
            processor: Processor::new(now),
            crossed: BTreeMap::new(),
            bytes_crossed: 0,
            tokens: 0,
            addrs,
        };
        for shard in 0..shards {
            let shard = cluster.make(shard, &certificates);
            cluster.shards.push(shard);
        }
        cluster.op(Op::CreatePipeline);
        cluster
    }

    fn make(&self, shard: usize, certificates: &Certificates) -> Shard {
        let addr = self.addrs[shard];
        let config = ShardConfig {
            addresses: vec![LocalAddress {
                socket: SocketId(0),
                kind: SocketKind::Udp,
                addr,
                interface: String::new(),
            }],
            siblings: self.addrs.clone(),
            announced_v4: None,
            announced_v6: None,
            certificates: certificates.clone(),
            codecs: Codecs::default(),
            transcoding: Transcoding::Allow,
            limits: Limits::default(),
            // Clocks of shards differ a little.
            unix_time: UNIX_START + Duration::from_millis(3) * shard as u32,
            seed: [shard as u8 + 1; 32],
        };
        Shard::new(config, self.now)
    }

    /// A shard loses everything, and is told again what it should know.
    pub(crate) fn restart(&mut self, shard: usize) {
        let certificates = Certificates::generate().expect("certificates");
        self.shards[shard] = self.make(shard, &certificates);
        let others = (0..self.shards.len()).filter(|other| *other != shard);
        let others: Vec<_> = others.map(id).collect();
        self.shards[shard].announce_restart(others);
        for joined in self.placement.recover(id(shard)) {
            self.shards[shard].handle_joined(joined, self.now);
        }
        self.settle();
    }

    // Commands.

    pub(crate) fn op(&mut self, op: Op) {
        let pipeline = PIPELINE;
        let command = Command { pipeline, op };
        let plan = self.placement.plan(&command);
        for (shard, order) in self.placement.carry_out(command, &plan) {
            let number = usize::from(shard.0);
            let shard = &mut self.shards[number];
            match order {
                Order::Command(command) => {
                    if let Op::Create { element, .. } = &command.op {
                        self.homes.insert(*element, number);
                    }
                    shard.handle_command(command, self.now);
                }
                Order::Joined(joined) => shard.handle_joined(*joined, self.now),
                Order::Elsewhere(elsewhere) => shard.handle_elsewhere(&elsewhere),
            }
        }
        self.settle();
    }

    pub(crate) fn ask(&mut self, op: impl FnOnce(Token) -> Op) -> Result<Reply, MediaError> {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.op(op(token));
        let at = self
            .events
            .iter()
            .position(|event| matches!(event, Event::Replied { token: of, .. } if *of == token));
        match at.and_then(|at| self.events.remove(at)) {
            Some(Event::Replied { result, .. }) => result,
            other => panic!("no answer: {other:?}"),
        }
    }

    pub(crate) fn stats(&mut self, element: ElementKey) -> ElementStats {
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

    pub(crate) fn disconnect(&mut self, source: ElementKey, sink: ElementKey) {
        for kind in MediaKind::ALL {
            self.op(Op::Disconnect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
    }

    pub(crate) fn release(&mut self, element: ElementKey) {
        self.op(Op::Release { element });
    }

    pub(crate) fn create(&mut self, key: u64, spec: ElementSpec) -> ElementKey {
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

    /// The shard of a peer's endpoint.
    pub(crate) fn shard_of(&self, peer: usize) -> usize {
        self.homes[&self.element(peer)]
    }

    // Peers.

    /// A peer whose offer is answered, connected.
    pub(crate) fn join(&mut self, wish: Wish) -> usize {
        let index = self.peers.len();
        let spec = WebRtcSpec {
            data_channels: wish.data,
            ..WebRtcSpec::default()
        };
        let element = self.create(index as u64 + 1, ElementSpec::WebRtc(spec));
        let addr = SocketAddr::from(([10, 0, 1, index as u8 + 1], 5_000));
        self.peers.push(Peer::new(&wish, element, addr, self.now));
        let peer = &mut self.peers[index];
        let candidate = Candidate::host(peer.addr, "udp").expect("a candidate");
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
        let answer = self.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        let Ok(Reply::Sdp(answer)) = answer else {
            panic!("not a description: {answer:?}");
        };
        let answer = SdpAnswer::from_sdp_string(&answer).expect("a valid answer");
        let peer = &mut self.peers[index];
        let api = peer.rtc.sdp_api();
        api.accept_answer(pending, answer)
            .expect("an acceptable answer");
        self.ask(|token| Op::GatherCandidates { token, element })
            .expect("candidates");
        for event in &self.events {
            if let Event::Element {
                element: of,
                event: ElementEvent::IceCandidateFound(found),
            } = event
                && *of == element
            {
                let candidate =
                    Candidate::from_sdp_string(&found.candidate).expect("a valid candidate");
                self.peers[index].rtc.add_remote_candidate(candidate);
            }
        }
        let connected = ElementEvent::Connection(ConnectionState::Connected);
        assert!(
            self.run_until(secs(10), |cluster| cluster.peers[index].is_connected
                && cluster.has(element, &connected)),
            "peer {index} connects: {:?}",
            self.events
        );
        index
    }

    pub(crate) fn start(&mut self, peer: usize) {
        self.peers[peer].start(self.now);
    }

    pub(crate) fn has(&self, of: ElementKey, wanted: &ElementEvent) -> bool {
        self.events_of(of).contains(&wanted)
    }

    pub(crate) fn events_of(&self, of: ElementKey) -> Vec<&ElementEvent> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Element { element, event } if *element == of => Some(event),
                Event::Element { .. } | Event::Replied { .. } | Event::Speakers { .. } => None,
            })
            .collect()
    }

    /// Sum over all shards.
    pub(crate) fn sum(&self, of: impl Fn(&ShardMetrics) -> u64) -> u64 {
        self.shards.iter().map(|shard| of(&shard.metrics())).sum()
    }

    /// Lets the processor say something.
    pub(crate) fn say(&mut self, event: BridgeEvent) {
        let (pipeline, event) = (PIPELINE, Box::new(event));
        let report = ProcessorReport::Heard { pipeline, event };
        self.shards[0].handle_processor(report, self.now);
        self.settle();
    }

    // Time.

    pub(crate) fn run(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Lets time pass until `done`; false when that is not within `limit`.
    pub(crate) fn run_until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let end = self.now + limit;
        self.settle();
        let mut stuck = 0;
        while !done(self) {
            if self.now >= end {
                return false;
            }
            let peers = self.peers.iter().filter_map(Peer::next);
            let peers = peers.chain(self.processor.next()).min();
            let shards = self.shards.iter_mut();
            let shards = shards.filter_map(Shard::poll_timeout).min();
            let due = [self.network.next(), shards, peers];
            let next = due.into_iter().flatten().min();
            let next = next.map_or(end, |at| at.min(end));
            stuck = if next <= self.now { stuck + 1 } else { 0 };
            assert!(stuck < 100, "time passes: {due:?} at {:?}", self.now);
            self.now = next.max(self.now);
            self.step();
        }
        true
    }

    fn step(&mut self) {
        while let Some(mut datagram) = self.network.pop(self.now) {
            match datagram.to {
                To::Shard => {
                    let peer = self.peers.iter().position(|it| it.addr == datagram.from);
                    let shard = self.shard_of(peer.expect("a peer"));
                    let bytes = &mut datagram.bytes;
                    self.shards[shard].handle_datagram(SocketId(0), datagram.from, bytes, self.now);
                }
                To::Peer(index) => {
                    self.peers[index].receive(datagram.from, &datagram.bytes, self.now);
                    self.drive_peer(index);
                }
                To::Relay(_) => {}
            }
        }
        for mut datagram in self.processor.drive(self.now) {
            let socket = self.processor.socket.expect("it is there");
            self.shards[0].handle_datagram(socket, NOWHERE, &mut datagram, self.now);
        }
        self.settle();
        for index in 0..self.peers.len() {
            if self.peers[index].next().is_some_and(|at| at <= self.now) {
                self.drive_peer(index);
            }
        }
    }

    fn drive_peer(&mut self, index: usize) {
        let peer = &mut self.peers[index];
        for (to, bytes) in peer.drive(self.now) {
            if self.addrs.contains(&to) {
                self.network
                    .send(peer.up, peer.addr, To::Shard, &bytes, self.now);
            }
        }
    }

    /// Lets shards do what is due and talk to each other, until they have nothing to say.
    pub(crate) fn settle(&mut self) {
        loop {
            let mut is_quiet = true;
            for from in 0..self.shards.len() {
                let shard = &mut self.shards[from];
                if shard.poll_timeout().is_some_and(|at| at <= self.now) {
                    shard.handle_timeout(self.now);
                }
                shard.flush(self.now);
                self.events
                    .extend(std::iter::from_fn(|| shard.poll_event()));
                assert_eq!(shard.poll_network(), None, "nothing of the network");
                self.send(from);
                while let Some(request) = self.shards[from].poll_processor() {
                    assert_eq!(from, 0, "the home has the processor");
                    is_quiet = false;
                    if let Some(report) = self.processor.serve(request) {
                        self.shards[0].handle_processor(report, self.now);
                    }
                }
                for to in 0..self.shards.len() {
                    while !self.blocked.contains(&(from, to))
                        && let Some(message) = self.shards[from].poll_link(id(to))
                    {
                        is_quiet = false;
                        *self.crossed.entry((from, to)).or_default() += 1;
                        self.bytes_crossed += message.weight();
                        self.shards[to].handle_link(id(from), message, self.now);
                    }
                }
            }
            if is_quiet {
                return;
            }
        }
    }

    fn send(&mut self, shard: usize) {
        let egress = self.shards[shard].egress();
        for out in egress.datagrams() {
            let bytes = &egress.bytes()[out.start as usize..(out.start + out.len) as usize];
            if out.remote == NOWHERE {
                self.processor.receive(bytes);
                continue;
            }
            let to = self.peers.iter().position(|peer| peer.addr == out.remote);
            let to = to.expect("sent to a peer");
            let (from, link) = (self.addrs[shard], self.peers[to].down);
            self.network.send(link, from, To::Peer(to), bytes, self.now);
        }
        egress.clear();
    }
}

pub(crate) fn id(shard: usize) -> ShardId {
    ShardId(shard as u16)
}
