//! Two shards call each other over a perfect network in virtual time: our offer meets our answer.
use salono_media_api::*;
use salono_media_core::*;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

const ENDPOINT: ElementKey = ElementKey(1);
const PIPELINE: PipelineKey = PipelineKey(1);

struct Side {
    shard: Shard,
    addr: SocketAddr,
    events: VecDeque<Event>,
    tokens: u64,
}

impl Side {
    fn new(host: u8, now: Instant, spec: WebRtcSpec) -> Self {
        let addr = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 4000));
        let config = ShardConfig {
            addresses: vec![LocalAddress {
                socket: SocketId(0),
                kind: SocketKind::Udp,
                addr,
                interface: String::new(),
            }],
            siblings: vec![addr],
            announced_v4: None,
            announced_v6: None,
            certificates: Certificates::generate().expect("certificates"),
            codecs: Codecs::default(),
            transcoding: Transcoding::Allow,
            limits: Limits::default(),
            unix_time: Duration::from_secs(1_800_000_000),
            seed: [host; 32],
        };
        let shard = Shard::new(config, now);
        let mut side = Self {
            shard,
            addr,
            events: VecDeque::new(),
            tokens: 0,
        };
        side.op(Op::CreatePipeline, now);
        let token = side.token();
        side.ask(
            token,
            Op::Create {
                token,
                element: ENDPOINT,
                spec: ElementSpec::WebRtc(spec),
            },
            now,
        );
        side
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn op(&mut self, op: Op, now: Instant) {
        self.shard.handle_command(
            Command {
                pipeline: PIPELINE,
                op,
            },
            now,
        );
        self.shard.flush(now);
        while let Some(event) = self.shard.poll_event() {
            self.events.push_back(event);
        }
    }

    fn ask(&mut self, token: Token, op: Op, now: Instant) -> Reply {
        self.op(op, now);
        let at = self
            .events
            .iter()
            .position(|event| matches!(event, Event::Replied { token: of, .. } if *of == token))
            .expect("an answer at once");
        match self.events.remove(at) {
            Some(Event::Replied { result, .. }) => result.expect("success"),
            _ => unreachable!("found by position"),
        }
    }

    fn sdp(&mut self, op: impl FnOnce(Token) -> Op, now: Instant) -> String {
        let token = self.token();
        match self.ask(token, op(token), now) {
            Reply::Sdp(sdp) => sdp,
            other => panic!("not a description: {other:?}"),
        }
    }

    fn sent(&mut self) -> Vec<(SocketAddr, Vec<u8>)> {
        let egress = self.shard.egress();
        let sent = egress
            .datagrams()
            .iter()
            .map(|out| {
                let start = out.start as usize;
                (
                    out.remote,
                    egress.bytes()[start..start + out.len as usize].to_vec(),
                )
            })
            .collect();
        egress.clear();
        sent
    }

    fn has(&self, wanted: &ElementEvent) -> bool {
        self.events
            .iter()
            .any(|event| matches!(event, Event::Element { event, .. } if event == wanted))
    }
}

/// Carries datagrams both ways until `done` or the time is up.
fn run(a: &mut Side, b: &mut Side, now: &mut Instant, done: impl Fn(&Side, &Side) -> bool) -> bool {
    for _ in 0..3_000 {
        for _ in 0..20 {
            let mut quiet = true;
            for (from, to) in [(0, 1), (1, 0)] {
                let (from, to) = if (from, to) == (0, 1) {
                    (&mut *a, &mut *b)
                } else {
                    (&mut *b, &mut *a)
                };
                for (remote, mut datagram) in from.sent() {
                    quiet = false;
                    if remote == to.addr {
                        to.shard
                            .handle_datagram(SocketId(0), from.addr, &mut datagram, *now);
                    }
                }
                to.shard.flush(*now);
            }
            if quiet {
                break;
            }
        }
        for side in [&mut *a, &mut *b] {
            side.shard.handle_timeout(*now);
            while let Some(event) = side.shard.poll_event() {
                side.events.push_back(event);
            }
        }
        if done(a, b) {
            return true;
        }
        *now += Duration::from_millis(10);
    }
    false
}

fn call(now: &Instant) -> (Side, Side) {
    let spec = || WebRtcSpec {
        data_channels: true,
        ..WebRtcSpec::default()
    };
    let mut a = Side::new(1, *now, spec());
    let mut b = Side::new(2, *now, spec());
    let offer = a.sdp(
        |token| Op::GenerateOffer {
            token,
            element: ENDPOINT,
            kinds: OfferKinds::default(),
        },
        *now,
    );
    let answer = b.sdp(
        |token| Op::ProcessOffer {
            token,
            element: ENDPOINT,
            sdp: offer,
        },
        *now,
    );
    a.sdp(
        |token| Op::ProcessAnswer {
            token,
            element: ENDPOINT,
            sdp: answer,
        },
        *now,
    );
    for side in [&mut a, &mut b] {
        let token = side.token();
        side.ask(
            token,
            Op::GatherCandidates {
                token,
                element: ENDPOINT,
            },
            *now,
        );
    }
    for turn in [0, 1] {
        let (from, to) = if turn == 0 {
            (&mut a, &mut b)
        } else {
            (&mut b, &mut a)
        };
        let found: Vec<IceCandidate> = from
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Element {
                    event: ElementEvent::IceCandidateFound(found),
                    ..
                } => Some(found.clone()),
                _ => None,
            })
            .collect();
        assert_eq!(found.len(), 3, "one per m-line");
        for candidate in found {
            let token = to.token();
            to.ask(
                token,
                Op::AddIceCandidate {
                    token,
                    element: ENDPOINT,
                    candidate,
                },
                *now,
            );
        }
    }
    (a, b)
}

#[test]
fn offer_and_answer_of_ours_reach_a_secure_connection() {
    let mut now = Instant::now();
    let (mut a, mut b) = call(&now);
    let connected = ElementEvent::Connection(ConnectionState::Connected);
    assert!(
        run(&mut a, &mut b, &mut now, |a, b| a.has(&connected)
            && b.has(&connected)),
        "a: {:#?}\nb: {:#?}",
        a.events,
        b.events
    );
    for side in [&a, &b] {
        assert_eq!(side.shard.metrics().endpoints_connected, 1);
        assert_eq!(side.shard.metrics().datagrams_refused, 0);
    }
}

#[test]
fn data_channels_open_in_both_directions_and_close() {
    let mut now = Instant::now();
    let (mut a, mut b) = call(&now);
    let connected = ElementEvent::Connection(ConnectionState::Connected);
    assert!(run(&mut a, &mut b, &mut now, |a, b| a.has(&connected)
        && b.has(&connected)));
    for (side, label) in [(&mut a, "from a"), (&mut b, "from b")] {
        let token = side.token();
        let channel = DataChannelSpec {
            label: label.into(),
            ordered: true,
            ..Default::default()
        };
        side.ask(
            token,
            Op::CreateDataChannel {
                token,
                element: ENDPOINT,
                channel,
            },
            now,
        );
    }
    let opened = |side: &Side| {
        side.events
            .iter()
            .filter(|event| {
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
    assert!(
        run(&mut a, &mut b, &mut now, |a, b| opened(a) == 2
            && opened(b) == 2),
        "a {} b {}",
        opened(&a),
        opened(&b)
    );
}
