//! A pipeline of many endpoints on the shards of a real engine, with real sockets.

use salono_media_api::{
    Command, CommandSink, ElementKey, ElementSpec, Event, MediaKind, Op, PipelineKey, Reply,
    RtpSpec, ShardMetrics, Token,
};
use salono_media_core::{Certificates, Spreading};
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);
const PIPELINE: PipelineKey = PipelineKey(1);
const VIEWERS: u64 = 40;
const PACKETS: u16 = 200;

struct World {
    engine: EngineHandle,
    events: Receiver<Event>,
    tokens: u64,
}

impl World {
    fn new() -> Self {
        let (sender, events) = sync_channel(10_000);
        let config = EngineConfig {
            shards: 2,
            ips: vec![Ipv4Addr::LOCALHOST.into()],
            ice_tcp: false,
            spreading: Spreading {
                endpoints_per_part: 8,
            },
            ..EngineConfig::new(Certificates::generate().expect("certificates"))
        };
        let sink = move |event| {
            sender.try_send(event).map_err(|refused| match refused {
                TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
            })
        };
        let engine = Engine::start(&config, sink).expect("loopback is free");
        let mut world = Self {
            engine,
            events,
            tokens: 0,
        };
        world.op(Op::CreatePipeline);
        world
    }

    fn op(&mut self, op: Op) {
        let pipeline = PIPELINE;
        self.engine
            .submit(Command { pipeline, op })
            .expect("the queue has room");
    }

    fn ask(&mut self, op: impl FnOnce(Token) -> Op) -> Reply {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.op(op(token));
        loop {
            match self.events.recv_timeout(PATIENCE).expect("an answer") {
                Event::Replied { token: of, result } if of == token => {
                    return result.expect("success");
                }
                Event::Replied { .. } | Event::Element { .. } | Event::Speakers { .. } => {}
            }
        }
    }

    /// An endpoint whose peer is a socket; where it is sent to, and the socket.
    fn endpoint(&mut self, key: u64) -> (UdpSocket, SocketAddr) {
        let element = ElementKey(key);
        let spec = ElementSpec::Rtp(RtpSpec::default());
        self.ask(|token| Op::Create {
            token,
            element,
            spec,
        });
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let port = socket.local_addr().expect("an address").port();
        let sdp = format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
             m=audio {port} RTP/AVP 0\r\n"
        );
        let Reply::Sdp(answer) = self.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        }) else {
            panic!("not a description");
        };
        let port = answer.lines().find_map(|line| {
            let (port, _) = line.strip_prefix("m=audio ")?.split_once(' ')?;
            port.parse().ok()
        });
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, port.expect("a port")));
        (socket, to)
    }

    /// Metrics once they satisfy the caller; they come once a second, while something happens.
    fn metrics_once(&mut self, done: impl Fn(&[ShardMetrics]) -> bool) -> Vec<ShardMetrics> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.engine.metrics();
            if done(&metrics) {
                return metrics;
            }
            assert!(Instant::now() < deadline, "{metrics:?}");
            // Each answer is a round through the shard.
            let element = ElementKey(0);
            self.ask(|token| Op::Stats { token, element });
            let element = ElementKey(VIEWERS);
            self.ask(|token| Op::Stats { token, element });
        }
    }
}

fn packet(number: u16) -> Vec<u8> {
    let mut bytes = vec![0x80, 0];
    bytes.extend(number.to_be_bytes());
    bytes.extend((u32::from(number) * 160).to_be_bytes());
    bytes.extend(77u32.to_be_bytes());
    bytes.extend(number.to_be_bytes());
    bytes
}

/// The number in the next RTP packet.
fn receive(socket: &UdpSocket) -> u16 {
    let mut buffer = [0; 1_500];
    loop {
        let len = socket.recv(&mut buffer).expect("a packet in time");
        if !(192..=223).contains(&buffer[1]) {
            return u16::from_be_bytes([buffer[len - 2], buffer[len - 1]]);
        }
    }
}

#[test]
fn every_viewer_on_either_shard_gets_every_packet() {
    let mut world = World::new();
    let (publisher, to) = world.endpoint(0);
    let mut viewers = Vec::new();
    for key in 1..=VIEWERS {
        let (socket, _) = world.endpoint(key);
        viewers.push(socket);
        world.op(Op::Connect {
            source: ElementKey(0).into(),
            sink: ElementKey(key).into(),
            kind: MediaKind::Audio,
        });
    }
    // The wish for a mirror is under way; what comes before it is heard by some only.
    let last = viewers.last().expect("viewers");
    let mut warm_up = 0;
    last.set_read_timeout(Some(Duration::from_millis(20)))
        .expect("a timeout");
    while {
        publisher.send_to(&packet(warm_up), to).expect("sent");
        warm_up += 1;
        assert!(warm_up < 1_000, "the other shard gets something");
        last.recv(&mut [0; 1_500]).is_err()
    } {}
    last.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    for number in warm_up..warm_up + PACKETS {
        publisher.send_to(&packet(number), to).expect("sent");
        for viewer in &viewers {
            let mut got = receive(viewer);
            while number == warm_up && got < warm_up {
                got = receive(viewer);
            }
            assert_eq!(got, number);
        }
    }
    let expected = u64::from(PACKETS) * VIEWERS;
    let metrics = world
        .metrics_once(|metrics| metrics.iter().map(|it| it.rtp_forwarded).sum::<u64>() >= expected);
    let endpoints: Vec<_> = metrics.iter().map(|it| it.endpoints).collect();
    assert_eq!(endpoints.iter().sum::<u64>(), VIEWERS + 1);
    assert!(endpoints[0].abs_diff(endpoints[1]) <= 1, "{endpoints:?}");
    assert_eq!(metrics.iter().map(|it| it.pipelines).sum::<u64>(), 1);
    assert_eq!(metrics.iter().map(|it| it.mirrors).sum::<u64>(), 1);
    assert_eq!(metrics.iter().map(|it| it.mirror_drops).sum::<u64>(), 0);
    // The copy is one per packet, not one per viewer.
    let copied: u64 = metrics.iter().map(|it| it.rtp_mirrored).sum();
    assert!(copied <= u64::from(PACKETS + warm_up), "{copied}");

    world.op(Op::ReleasePipeline);
    world.engine.shutdown();
    for metrics in world.engine.metrics() {
        let left = (metrics.tracks, metrics.mirrors, metrics.mirrored);
        assert_eq!(left, (0, 0, 0), "{metrics:?}");
        assert_eq!((metrics.endpoints, metrics.sockets), (0, 0), "{metrics:?}");
    }
}
