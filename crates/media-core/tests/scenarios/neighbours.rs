//! Endpoints of one process that call each other: all of them send from their shard's one port.

use salono_media_api::*;
use salono_media_core::*;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

/// An endpoint and the shard that has it.
type At = (usize, ElementKey);

const PIPELINE: PipelineKey = PipelineKey(1);

/// Shards of one process, on one host that has nothing else.
struct Process {
    shards: Vec<Shard>,
    /// Who has which port: the shard, and its name for the socket.
    ports: BTreeMap<SocketAddr, (usize, SocketId)>,
    events: Vec<(usize, Event)>,
    next_port: u16,
    tokens: u64,
    now: Instant,
}

impl Process {
    fn new(count: usize) -> Self {
        Self::with(count, true)
    }

    /// `know` tells the shards about each other; otherwise they are as on two servers.
    fn with(count: usize, know: bool) -> Self {
        let now = Instant::now();
        let addr = |index: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, 4_000 + index as u16));
        let certificates = Certificates::generate().expect("certificates");
        let shards = (0..count).map(|index| {
            let config = ShardConfig {
                addresses: vec![LocalAddress {
                    socket: SocketId(0),
                    kind: SocketKind::Udp,
                    addr: addr(index),
                    interface: String::new(),
                }],
                siblings: (0..count)
                    .filter(|sibling| know || *sibling == index)
                    .map(addr)
                    .collect(),
                announced_v4: None,
                announced_v6: None,
                certificates: certificates.clone(),
                codecs: Codecs::default(),
                transcoding: Transcoding::Allow,
                limits: Limits::default(),
                unix_time: Duration::from_secs(1_800_000_000),
                seed: [index as u8; 32],
            };
            Shard::new(config, now)
        });
        let mut process = Self {
            shards: shards.collect(),
            ports: (0..count)
                .map(|index| (addr(index), (index, SocketId(0))))
                .collect(),
            events: Vec::new(),
            next_port: 5_000,
            tokens: 0,
            now,
        };
        for shard in 0..count {
            process.op(shard, Op::CreatePipeline);
        }
        process
    }

    fn op(&mut self, shard: usize, op: Op) {
        let command = Command {
            pipeline: PIPELINE,
            op,
        };
        self.shards[shard].handle_command(command, self.now);
        self.settle(shard);
    }

    /// Ends a batch of one shard as an engine does.
    fn settle(&mut self, index: usize) {
        let shard = &mut self.shards[index];
        shard.flush(self.now);
        while let Some(request) = shard.poll_network() {
            match request {
                NetworkRequest::BindUdp { request, ip, .. } => {
                    let addr = SocketAddr::new(ip, self.next_port);
                    let socket = SocketId(self.next_port - 4_000);
                    self.next_port += 1;
                    self.ports.insert(addr, (index, socket));
                    let sockets = vec![(socket, addr)];
                    shard.handle_network(NetworkEvent::Bound { request, sockets }, self.now);
                    shard.flush(self.now);
                }
                NetworkRequest::Close { socket } => {
                    self.ports.retain(|_, port| *port != (index, socket));
                }
                other => panic!("not needed here: {other:?}"),
            }
        }
        while let Some(event) = shard.poll_event() {
            self.events.push((index, event));
        }
    }

    fn ask(&mut self, shard: usize, op: impl FnOnce(Token) -> Op) -> Reply {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.op(shard, op(token));
        let at = self
            .events
            .iter()
            .position(
                |(_, event)| matches!(event, Event::Replied { token: of, .. } if *of == token),
            )
            .expect("an answer at once");
        match self.events.remove(at).1 {
            Event::Replied { result, .. } => result.expect("success"),
            Event::Element { .. } | Event::Speakers { .. } => unreachable!("found by position"),
        }
    }

    fn sdp(&mut self, shard: usize, op: impl FnOnce(Token) -> Op) -> String {
        match self.ask(shard, op) {
            Reply::Sdp(sdp) => sdp,
            other => panic!("not a description: {other:?}"),
        }
    }

    fn create(&mut self, (shard, element): At) {
        let spec = ElementSpec::WebRtc(WebRtcSpec {
            data_channels: true,
            ..WebRtcSpec::default()
        });
        self.ask(shard, |token| Op::Create {
            token,
            element,
            spec,
        });
    }

    /// Negotiates between two endpoints, candidates included, and opens a channel with this label.
    fn call(&mut self, a: At, b: At) {
        self.create(a);
        self.create(b);
        let offer = self.sdp(a.0, |token| Op::GenerateOffer {
            token,
            element: a.1,
            kinds: OfferKinds::default(),
        });
        let answer = self.sdp(b.0, |token| Op::ProcessOffer {
            token,
            element: b.1,
            sdp: offer,
        });
        self.sdp(a.0, |token| Op::ProcessAnswer {
            token,
            element: a.1,
            sdp: answer,
        });
        for (from, to) in [(a, b), (b, a)] {
            self.ask(from.0, |token| Op::GatherCandidates {
                token,
                element: from.1,
            });
            let found: Vec<_> = self
                .events
                .iter()
                .filter_map(|(_, event)| match event {
                    Event::Element {
                        element,
                        event: ElementEvent::IceCandidateFound(found),
                    } if *element == from.1 => Some(found.clone()),
                    _ => None,
                })
                .collect();
            for candidate in found {
                self.ask(to.0, |token| Op::AddIceCandidate {
                    token,
                    element: to.1,
                    candidate,
                });
            }
        }
    }

    /// Carries datagrams between the shards until `done` or the time is up.
    fn run(&mut self, done: impl Fn(&Self) -> bool) -> bool {
        for _ in 0..2_000 {
            for _ in 0..20 {
                let mut sent = Vec::new();
                for (index, shard) in self.shards.iter_mut().enumerate() {
                    let egress = shard.egress();
                    for out in egress.datagrams() {
                        let bytes = out.start as usize..(out.start + out.len) as usize;
                        sent.push((
                            (index, out.socket),
                            out.remote,
                            egress.bytes()[bytes].to_vec(),
                        ));
                    }
                    egress.clear();
                }
                if sent.is_empty() {
                    break;
                }
                for (from, remote, mut bytes) in sent {
                    let source = self.ports.iter().find(|(_, port)| **port == from);
                    let (Some((source, _)), Some((to, socket))) =
                        (source, self.ports.get(&remote).copied())
                    else {
                        continue;
                    };
                    self.shards[to].handle_datagram(socket, *source, &mut bytes, self.now);
                }
                for index in 0..self.shards.len() {
                    self.settle(index);
                }
            }
            for index in 0..self.shards.len() {
                self.shards[index].handle_timeout(self.now);
                self.settle(index);
            }
            if done(self) {
                return true;
            }
            self.now += Duration::from_millis(10);
        }
        false
    }

    fn connected(&self) -> usize {
        self.events
            .iter()
            .filter(|(_, event)| {
                matches!(
                    event,
                    Event::Element {
                        event: ElementEvent::Connection(ConnectionState::Connected),
                        ..
                    }
                )
            })
            .count()
    }

    /// Opens a channel at one end of every pair; each must appear at the other end and nowhere else.
    fn expect_channels(&mut self, pairs: &[(At, At)]) {
        for (a, _) in pairs {
            let channel = DataChannelSpec {
                label: format!("of {}", a.1.0),
                ordered: true,
                ..DataChannelSpec::default()
            };
            self.ask(a.0, |token| Op::CreateDataChannel {
                token,
                element: a.1,
                channel,
            });
        }
        let opened = |process: &Self| {
            let events = process.events.iter();
            events
                .filter(|(_, event)| {
                    matches!(
                        event,
                        Event::Element {
                            event: ElementEvent::DataChannelOpened { .. },
                            ..
                        }
                    )
                })
                .count()
        };
        assert!(self.run(|process| opened(process) == 2 * pairs.len()));
        for (a, b) in pairs {
            let Reply::Stats(stats) = self.ask(b.0, |token| Op::Stats {
                token,
                element: b.1,
            }) else {
                panic!("no statistics");
            };
            let labels: Vec<_> = stats.data_channels.iter().map(|it| &it.label).collect();
            assert_eq!(labels, [&format!("of {}", a.1.0)]);
        }
    }
}

fn pair(shards: (usize, usize), first: u64) -> (At, At) {
    (
        (shards.0, ElementKey(first)),
        (shards.1, ElementKey(first + 1)),
    )
}

#[test]
fn endpoints_of_one_shard_call_each_other() {
    let mut process = Process::new(1);
    let pairs = [pair((0, 0), 1), pair((0, 0), 3), pair((0, 0), 5)];
    for (a, b) in pairs {
        process.call(a, b);
    }
    assert!(process.run(|process| process.connected() == 6));
    process.expect_channels(&pairs);
    process.events.clear();
    process.run(|_| false);
    let changes: Vec<_> = process
        .events
        .iter()
        .filter(|(_, event)| matches!(event, Event::Element { .. }))
        .collect();
    assert!(changes.is_empty(), "nothing changes any more: {changes:#?}");
    process.op(0, Op::ReleasePipeline);
    assert_eq!(process.ports.len(), 1, "sockets of their own are closed");
}

#[test]
fn endpoints_of_two_shards_call_each_other_many_times() {
    let mut process = Process::new(2);
    let pairs = [pair((0, 1), 1), pair((1, 0), 3), pair((0, 1), 5)];
    for (a, b) in pairs {
        process.call(a, b);
    }
    assert!(process.run(|process| process.connected() == 6));
    process.expect_channels(&pairs);
}

#[test]
fn endpoints_of_two_servers_call_each_other_many_times() {
    let mut servers = Process::with(2, false);
    let pairs = [pair((0, 1), 1), pair((1, 0), 3), pair((0, 1), 5)];
    for (done, (a, b)) in pairs.into_iter().enumerate() {
        servers.call(a, b);
        assert!(servers.run(|servers| servers.connected() == 2 * (done + 1)));
    }
    servers.expect_channels(&pairs);
}
