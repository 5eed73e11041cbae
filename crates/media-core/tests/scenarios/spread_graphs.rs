//! Whatever the graph: how many shards a pipeline spreads over makes no difference to who gets what.

use super::support::cluster::id;
use proptest::prelude::*;
use salono_media_api::*;
use salono_media_core::*;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const PIPELINE: PipelineKey = PipelineKey(1);
/// Elements that a case may use: endpoints, PassThroughs, hub ports.
const ENDPOINTS: u64 = 6;
const RELAYS: u64 = 3;
const PORTS: u64 = 3;
const ELEMENTS: u64 = ENDPOINTS + RELAYS + PORTS;
const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// What the m-line of video goes by, too.
const NAME: &str = "screen";

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Create(u64),
    Release(u64),
    Connect(u64, u64, usize, [bool; 2]),
    Disconnect(u64, u64, usize, [bool; 2]),
    Route(u64, Option<u64>, usize),
    /// The peer of an endpoint sends a packet.
    Send(u64, usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0..ELEMENTS;
    let kind = 0..2usize;
    // Whether source and sink are named.
    let named = prop_oneof![
        3 => Just([false; 2]),
        1 => Just([true; 2]),
        1 => prop::array::uniform2(prop::bool::ANY)
    ];
    let port = ENDPOINTS + RELAYS..ELEMENTS;
    prop_oneof![
        3 => any.clone().prop_map(Step::Create),
        1 => any.clone().prop_map(Step::Release),
        8 => (any.clone(), any.clone(), kind.clone(), named.clone())
            .prop_map(|(source, sink, kind, named)| Step::Connect(source, sink, kind, named)),
        2 => (any.clone(), any, kind.clone(), named)
            .prop_map(|(source, sink, kind, named)| Step::Disconnect(source, sink, kind, named)),
        2 => (port.clone(), prop::option::of(port), kind.clone())
            .prop_map(|(port, from, kind)| Step::Route(port, from, kind)),
        10 => (0..ENDPOINTS, kind).prop_map(|(endpoint, kind)| Step::Send(endpoint, kind)),
        1 => (1..3_000u64).prop_map(Step::Wait),
    ]
}

/// Shards with plain RTP endpoints, whose ports are counted.
struct World {
    shards: Vec<Shard>,
    placement: Placement,
    now: Instant,
    /// Sockets of each shard and m-line, with the shard's port.
    ports: BTreeMap<(usize, SocketId), u16>,
    next_port: u16,
    /// Where an endpoint receives: shard and socket per m-line.
    open: BTreeMap<u64, [(usize, SocketId); 2]>,
    /// What each endpoint's peer got: endpoint, m-line, number.
    delivered: Vec<(u64, usize, u32)>,
    /// States of elements in between, as reported.
    flows: BTreeMap<(ElementKey, String), bool>,
    sent: u32,
    alive: BTreeSet<u64>,
    tokens: u64,
}

fn pad(element: u64, kind: usize, is_named: bool) -> Pad {
    let element = ElementKey(element);
    match is_named && kind == 1 {
        true => Pad {
            element,
            stream: StreamName::Named(NAME.into()),
        },
        false => element.into(),
    }
}

/// Where the peer of an endpoint receives by an m-line.
fn peer(endpoint: u64, line: usize) -> SocketAddr {
    let port = 6_000 + endpoint as u16 * 10 + line as u16 * 2;
    SocketAddr::from(([192, 0, 2, 1], port))
}

impl World {
    fn new(shards: usize) -> Self {
        let now = Instant::now();
        let certificates = Certificates::generate().expect("certificates");
        let shard = |number: usize| {
            let config = ShardConfig {
                addresses: vec![LocalAddress {
                    socket: SocketId(0),
                    kind: SocketKind::Udp,
                    addr: SocketAddr::from(([10, 0, 0, 1], 4_000 + number as u16)),
                    interface: String::new(),
                }],
                siblings: Vec::new(),
                codecs: Codecs::default(),
                announced_v4: None,
                announced_v6: None,
                certificates: certificates.clone(),
                transcoding: Transcoding::Allow,
                limits: Limits::default(),
                unix_time: Duration::from_secs(1_800_000_000),
                seed: [number as u8 + 1; 32],
            };
            Shard::new(config, now)
        };
        let spreading = Spreading {
            endpoints_per_part: 1,
        };
        let mut world = Self {
            shards: (0..shards).map(shard).collect(),
            placement: Placement::new(shards, spreading),
            now,
            ports: BTreeMap::new(),
            next_port: 30_000,
            open: BTreeMap::new(),
            delivered: Vec::new(),
            flows: BTreeMap::new(),
            sent: 0,
            alive: BTreeSet::new(),
            tokens: 0,
        };
        world.op(Op::CreatePipeline);
        world
    }

    fn op(&mut self, op: Op) {
        let command = Command {
            pipeline: PIPELINE,
            op,
        };
        let plan = self.placement.plan(&command);
        for (shard, order) in self.placement.carry_out(command, &plan) {
            let shard = &mut self.shards[usize::from(shard.0)];
            match order {
                Order::Command(command) => shard.handle_command(command, self.now),
                Order::Joined(joined) => shard.handle_joined(*joined, self.now),
                Order::Elsewhere(elsewhere) => shard.handle_elsewhere(&elsewhere),
            }
        }
        self.settle();
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn settle(&mut self) {
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for number in 0..self.shards.len() {
                let shard = &mut self.shards[number];
                if shard.poll_timeout().is_some_and(|at| at <= self.now) {
                    shard.handle_timeout(self.now);
                }
                shard.flush(self.now);
                while let Some(request) = shard.poll_network() {
                    is_quiet = false;
                    let NetworkRequest::BindUdp { request, ip, .. } = request else {
                        continue;
                    };
                    let sockets = [0, 1].map(|_| {
                        let (socket, port) = (SocketId(self.next_port), self.next_port);
                        self.next_port += 1;
                        self.ports.insert((number, socket), port);
                        (socket, SocketAddr::new(ip, port))
                    });
                    let sockets = sockets.to_vec();
                    let event = NetworkEvent::Bound { request, sockets };
                    shard.handle_network(event, self.now);
                }
                while let Some(event) = self.shards[number].poll_event() {
                    self.note(event);
                }
                self.receive(number);
                for to in 0..self.shards.len() {
                    while let Some(message) = self.shards[number].poll_link(id(to)) {
                        is_quiet = false;
                        self.shards[to].handle_link(id(number), message, self.now);
                    }
                }
            }
        }
    }

    fn note(&mut self, event: Event) {
        let Event::Element { element, event } = event else {
            return;
        };
        match event {
            ElementEvent::FlowIn {
                kind,
                stream,
                flowing,
            } => {
                self.flows
                    .insert((element, format!("in {kind:?} {stream:?}")), flowing);
            }
            ElementEvent::FlowOut {
                kind,
                stream,
                flowing,
            } => {
                self.flows
                    .insert((element, format!("out {kind:?} {stream:?}")), flowing);
            }
            _ => {}
        }
    }

    /// Takes what goes to peers.
    fn receive(&mut self, number: usize) {
        let egress = self.shards[number].egress();
        for out in egress.datagrams() {
            let bytes = &egress.bytes()[out.start as usize..(out.start + out.len) as usize];
            if (192..=223).contains(&bytes[1]) {
                continue;
            }
            let place = (out.remote.port() - 6_000) as u64;
            let (endpoint, kind) = (place / 10, (place % 10 / 2) as usize);
            let number = bytes[bytes.len() - 4..].try_into().expect("four bytes");
            self.delivered
                .push((endpoint, kind, u32::from_be_bytes(number)));
        }
        egress.clear();
    }

    fn create(&mut self, key: u64) {
        if !self.alive.insert(key) {
            return;
        }
        let spec = match key {
            0..ENDPOINTS => ElementSpec::Rtp(RtpSpec::default()),
            key if key < ENDPOINTS + RELAYS => ElementSpec::PassThrough,
            _ => ElementSpec::HubPort,
        };
        let element = ElementKey(key);
        let token = self.token();
        self.op(Op::Create {
            token,
            element,
            spec,
        });
        if key >= ENDPOINTS {
            return;
        }
        let before: BTreeSet<_> = self.ports.keys().copied().collect();
        let [audio, video] = [0, 1].map(|line| peer(key, line).port());
        let sdp = format!(
            "v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
             m=audio {audio} RTP/AVP 0\r\n\
             m=video {video} RTP/AVP 96\r\na=rtpmap:96 VP8/90000\r\na=mid:{NAME}\r\n"
        );
        let token = self.token();
        self.op(Op::ProcessOffer {
            token,
            element,
            sdp,
        });
        let mut fresh = self.ports.keys().copied().filter(|it| !before.contains(it));
        let [audio, _, video, _] = [(); 4].map(|()| fresh.next().expect("a pair per m-line"));
        self.open.insert(key, [audio, video]);
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Create(key) => self.create(key),
            Step::Release(key) => {
                // Keys never come again.
                if self.alive.contains(&key) {
                    self.open.remove(&key);
                    let element = ElementKey(key);
                    self.op(Op::Release { element });
                    self.flows.retain(|(of, _), _| *of != element);
                }
            }
            Step::Connect(source, sink, kind, [first, second]) => {
                let (source, sink) = (pad(source, kind, first), pad(sink, kind, second));
                let kind = KINDS[kind];
                self.op(Op::Connect { source, sink, kind });
            }
            Step::Disconnect(source, sink, kind, [first, second]) => {
                let (source, sink) = (pad(source, kind, first), pad(sink, kind, second));
                let kind = KINDS[kind];
                self.op(Op::Disconnect { source, sink, kind });
            }
            Step::Route(port, from, kind) => {
                let (port, from, kind) = (ElementKey(port), from.map(ElementKey), KINDS[kind]);
                self.op(Op::Route { port, from, kind });
            }
            Step::Send(key, line) => self.send(key, line),
            Step::Wait(millis) => {
                let end = self.now + Duration::from_millis(millis);
                loop {
                    let shards = self.shards.iter_mut();
                    let due = shards.filter_map(Shard::poll_timeout).min();
                    let Some(at) = due.filter(|at| *at <= end) else {
                        break;
                    };
                    self.now = at.max(self.now + Duration::from_micros(100));
                    self.settle();
                }
                self.now = end;
            }
        }
    }

    fn send(&mut self, key: u64, line: usize) {
        let Some(open) = self.open.get(&key) else {
            return;
        };
        let (number, socket) = open[line];
        self.sent += 1;
        let mut bytes = vec![0x80, [0, 96][line] | 0x80];
        bytes.extend((self.sent as u16).to_be_bytes());
        bytes.extend((self.sent * 160).to_be_bytes());
        bytes.extend((key as u32 * 4 + line as u32 + 1).to_be_bytes());
        if line > 0 {
            // A keyframe of VP8 (RFC 7741 §4.2, RFC 6386 §9.1).
            bytes.extend([
                0x10, 0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0,
            ]);
        }
        bytes.extend(self.sent.to_be_bytes());
        let shard = &mut self.shards[number];
        shard.handle_datagram(socket, peer(key, line), &mut bytes, self.now);
        self.settle();
    }

    /// Ends everything; what is left then.
    fn end(&mut self) -> u64 {
        self.op(Op::ReleasePipeline);
        self.take(&Step::Wait(3_000));
        let metrics = self.shards.iter().map(Shard::metrics);
        metrics
            .map(|left| left.tracks + left.mirrors + left.mirrored + left.elements + left.pipelines)
            .sum()
    }
}

/// What happened, receiver by receiver, and how elements without a peer ended up.
type Outcome = (
    BTreeMap<(u64, usize), Vec<u32>>,
    BTreeMap<(ElementKey, String), bool>,
);

fn outcome(shards: usize, steps: &[Step]) -> Outcome {
    let mut world = World::new(shards);
    for step in steps {
        world.take(step);
    }
    let mut delivered: BTreeMap<_, Vec<u32>> = BTreeMap::new();
    for (endpoint, kind, number) in std::mem::take(&mut world.delivered) {
        delivered.entry((endpoint, kind)).or_default().push(number);
    }
    let mut flows = std::mem::take(&mut world.flows);
    // What ceased or never began is the same.
    flows.retain(|_, flowing| *flowing);
    assert_eq!(world.end(), 0, "nothing is left");
    (delivered, flows)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn two_shards_deliver_what_one_does(steps in prop::collection::vec(step(), 1..120)) {
        // Most cases are about graphs in which something lives.
        let mut all: Vec<Step> = (0..ELEMENTS)
            .filter(|element| element % 5 != 4)
            .map(Step::Create)
            .collect();
        all.extend(steps);
        let one = outcome(1, &all);
        for shards in [2, 3] {
            prop_assert_eq!(&outcome(shards, &all), &one, "{} shards", shards);
        }
    }
}
