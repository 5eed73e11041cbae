//! RTP endpoints: ports, whom they send to and listen to, keys, and feedback.

use salono_media_api::*;
use salono_media_core::*;
use salono_rtp::header::Header;
use salono_rtp::rtcp::{Compound, Packet};
use salono_rtp::srtp::{MAX_RTP_OVERHEAD, MasterKey, Opener, Profile, Sealer};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

const PIPELINE: PipelineKey = PipelineKey(1);
const FROM: ElementKey = ElementKey(1);
const TO: ElementKey = ElementKey(2);

/// A shard whose requests for ports are served by counting.
pub(super) struct Bench {
    shard: Shard,
    pub(super) now: Instant,
    next_port: u16,
    next_socket: u16,
    /// Sockets by id, with their port.
    open: Vec<(SocketId, u16)>,
    pub(super) sent: Vec<(u16, SocketAddr, Vec<u8>)>,
    events: Vec<Event>,
    tokens: u64,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let now = Instant::now();
        let addr = SocketAddr::from(([10, 0, 0, 1], 4_000));
        let config = ShardConfig {
            addresses: vec![LocalAddress {
                socket: SocketId(0),
                kind: SocketKind::Udp,
                addr,
                interface: String::new(),
            }],
            siblings: Vec::new(),
            codecs: Codecs::default(),
            announced_v4: None,
            announced_v6: None,
            certificates: Certificates::generate().expect("certificates"),
            transcoding: Transcoding::Allow,
            limits,
            unix_time: Duration::from_secs(1_800_000_000),
            seed: [7; 32],
        };
        let mut bench = Self {
            shard: Shard::new(config, now),
            now,
            next_port: 30_000,
            next_socket: 1,
            open: Vec::new(),
            sent: Vec::new(),
            events: Vec::new(),
            tokens: 0,
        };
        bench.op(Op::CreatePipeline);
        bench
    }

    fn op(&mut self, op: Op) {
        let pipeline = PIPELINE;
        self.shard
            .handle_command(Command { pipeline, op }, self.now);
        self.settle();
    }

    /// Takes out what lies ready, requests last, and serves them.
    fn settle(&mut self) {
        self.shard.flush(self.now);
        let egress = self.shard.egress();
        for out in egress.datagrams() {
            let start = out.start as usize;
            let bytes = egress.bytes()[start..start + out.len as usize].to_vec();
            let port = self
                .open
                .iter()
                .find(|(socket, _)| *socket == out.socket)
                .expect("sent from an open socket")
                .1;
            self.sent.push((port, out.remote, bytes));
        }
        egress.clear();
        while let Some(request) = self.shard.poll_network() {
            let event = match request {
                NetworkRequest::BindUdp {
                    request,
                    ip,
                    ports,
                    pair,
                } => {
                    assert!(pair);
                    if !ports.contains(&(self.next_port + 1)) {
                        let reason = "all are in use".to_owned();
                        NetworkEvent::Failed { request, reason }
                    } else {
                        let sockets = [0, 1].map(|_| self.bind(ip)).to_vec();
                        NetworkEvent::Bound { request, sockets }
                    }
                }
                NetworkRequest::Close { socket } => {
                    self.open.retain(|(open, _)| *open != socket);
                    continue;
                }
                other => panic!("not asked for: {other:?}"),
            };
            self.shard.handle_network(event, self.now);
        }
        while let Some(event) = self.shard.poll_event() {
            self.events.push(event);
        }
    }

    fn bind(&mut self, ip: IpAddr) -> (SocketId, SocketAddr) {
        let (socket, port) = (SocketId(self.next_socket), self.next_port);
        self.next_socket += 1;
        self.next_port += 1;
        self.open.push((socket, port));
        (socket, SocketAddr::new(ip, port))
    }

    fn ask(&mut self, op: impl FnOnce(Token) -> Op) -> Result<Reply, MediaError> {
        self.tokens += 1;
        let token = Token(self.tokens);
        self.op(op(token));
        let answer = self.events.iter().find_map(|event| match event {
            Event::Replied { token: of, result } if *of == token => Some(result.clone()),
            Event::Replied { .. } | Event::Element { .. } | Event::Speakers { .. } => None,
        });
        answer.expect("an answer")
    }

    fn create(&mut self, element: ElementKey, spec: RtpSpec) {
        let spec = ElementSpec::Rtp(spec);
        self.ask(|token| Op::Create {
            token,
            element,
            spec,
        })
        .expect("an endpoint");
    }

    fn answer(&mut self, element: ElementKey, sdp: &str) -> String {
        let sdp = sdp.to_owned();
        match self.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp,
        }) {
            Ok(Reply::Sdp(sdp)) => sdp,
            other => panic!("not a description: {other:?}"),
        }
    }

    /// Two connected endpoints; what comes in at the first goes out at the second.
    pub(super) fn relay(&mut self, from: &str, to: &str, spec: &RtpSpec) {
        self.create(FROM, spec.clone());
        self.create(TO, spec.clone());
        self.answer(FROM, from);
        self.answer(TO, to);
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let (source, sink) = (FROM, TO);
            self.op(Op::Connect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
    }

    pub(super) fn receive(&mut self, port: u16, from: SocketAddr, datagram: &[u8]) {
        let socket = self
            .open
            .iter()
            .find(|(_, open)| *open == port)
            .expect("an open port")
            .0;
        let mut bytes = datagram.to_vec();
        self.shard
            .handle_datagram(socket, from, &mut bytes, self.now);
        self.settle();
    }

    pub(super) fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(at) = self.shard.poll_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now + Duration::from_millis(1));
            self.shard.handle_timeout(self.now);
            self.settle();
        }
        self.now = end;
    }

    /// RTP among what was sent since the last call, with the port it came from.
    pub(super) fn rtp(&mut self) -> Vec<(u16, SocketAddr, Vec<u8>)> {
        let is_rtp = |bytes: &[u8]| !(192..=223).contains(&bytes[1]);
        let (rtp, rest) = self.sent.drain(..).partition(|(_, _, bytes)| is_rtp(bytes));
        self.sent = rest;
        rtp
    }

    fn states(&self, of: ElementKey) -> Vec<&ElementEvent> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::Element { element, event } if *element == of => Some(event),
                Event::Element { .. } | Event::Replied { .. } | Event::Speakers { .. } => None,
            })
            .collect()
    }
}

/// A description with one m-line.
pub(super) fn sdp(line: &str) -> String {
    format!("v=0\r\no=- 0 0 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n{line}\r\n")
}

pub(super) fn host(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, last], port))
}

/// A packet with a one-byte header extension.
fn packet(pt: u8, seq: u16) -> Vec<u8> {
    let mut bytes = vec![0x90, pt];
    bytes.extend(seq.to_be_bytes());
    bytes.extend((u32::from(seq) * 160).to_be_bytes());
    bytes.extend(77u32.to_be_bytes());
    bytes.extend([0xbe, 0xde, 0, 1, 0x30, 9, 0, 0]);
    bytes.extend(b"payload");
    bytes
}

#[test]
fn a_stream_goes_from_one_endpoint_to_the_other_in_the_receivers_terms() {
    let mut bench = Bench::new();
    let from = sdp("m=audio 5000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2");
    let to = sdp("m=audio 6000 RTP/AVP 111\r\na=rtpmap:111 opus/48000/2");
    bench.relay(&from, &to, &RtpSpec::default());
    assert_eq!(
        bench.states(FROM),
        [&ElementEvent::Connection(ConnectionState::Connected)]
    );
    // From another port than it listens at, as programs do.
    for seq in 1..=3 {
        bench.receive(30_000, host(1, 50_000), &packet(96, seq));
    }
    let sent = bench.rtp();
    assert_eq!(sent.len(), 3);
    for (port, remote, bytes) in &sent {
        assert_eq!((*port, *remote), (30_002, host(1, 6_000)));
        let header = Header::parse(bytes).expect("RTP");
        assert_eq!(header.payload_type, 111);
        assert_ne!(header.ssrc, 77);
        assert_eq!(header.len(), 12, "extensions are left out");
        assert_eq!(&bytes[12..], b"payload");
    }
    let states = bench.states(FROM);
    assert!(states.contains(&&ElementEvent::Media(ConnectionState::Connected)));
    bench.wait(Duration::from_secs(2));
    let reports: Vec<_> = bench
        .sent
        .iter()
        .map(|(port, to, _)| (*port, *to))
        .collect();
    assert!(reports.contains(&(30_003, host(1, 6_001))), "{reports:?}");
    assert!(reports.contains(&(30_001, host(1, 5_001))), "{reports:?}");
    bench.wait(Duration::from_secs(5));
    let states = bench.states(FROM);
    assert_eq!(
        states.last(),
        Some(&&ElementEvent::Media(ConnectionState::Disconnected))
    );
}

#[test]
fn ports_are_written_and_given_back_and_their_end_is_port_zero() {
    let mut bench = Bench::new();
    bench.create(FROM, RtpSpec::default());
    let both = sdp("m=audio 5000 RTP/AVP 0\r\nm=video 5002 RTP/AVP 99\r\na=rtpmap:99 XYZ/90000");
    let answer = bench.answer(FROM, &both);
    assert!(answer.contains("m=audio 30000 RTP/AVP 0\r\n"), "{answer}");
    assert!(answer.contains("a=rtcp:30001\r\n"), "{answer}");
    assert!(answer.contains("m=video 0 "), "{answer}");
    assert!(answer.contains("c=IN IP4 10.0.0.1\r\n"), "{answer}");
    assert_eq!(bench.open.len(), 2, "none for the rejected m-line");
    let spec = RtpSpec {
        ports: 30_002..=30_003,
        ..RtpSpec::default()
    };
    bench.create(TO, spec);
    let kinds = OfferKinds::default();
    let element = TO;
    let offer = bench.ask(|token| Op::GenerateOffer {
        token,
        element,
        kinds,
    });
    let Ok(Reply::Sdp(offer)) = offer else {
        panic!("an offer: {offer:?}");
    };
    assert!(offer.contains("m=audio 30002 RTP/AVPF"), "{offer}");
    assert!(offer.contains("m=video 0 RTP/AVPF"), "{offer}");
    let again = bench.ask(|token| Op::GenerateOffer {
        token,
        element,
        kinds,
    });
    let kind = again.map_err(|error| error.kind);
    assert_eq!(kind, Err(MediaErrorKind::AlreadyNegotiated));
    bench.receive(30_000, host(1, 5_000), &packet(0, 1));
    bench.op(Op::Release { element: FROM });
    bench.op(Op::Release { element: TO });
    assert!(bench.open.is_empty());
}

#[test]
fn the_other_end_hears_goodbye() {
    let mut bench = Bench::new();
    let line = sdp("m=audio 5000 RTP/AVP 0");
    bench.relay(&line, &line, &RtpSpec::default());
    bench.receive(30_000, host(1, 5_000), &packet(0, 1));
    bench.sent.clear();
    bench.op(Op::Release { element: TO });
    let (port, remote, bytes) = bench.sent.last().expect("a goodbye");
    assert_eq!((*port, *remote), (30_003, host(1, 5_001)));
    let ends = Compound::new(bytes).any(|packet| matches!(packet, Packet::Bye(_)));
    assert!(ends);
}

#[test]
fn an_active_peer_is_learned_and_kept_while_it_sends() {
    let mut bench = Bench::new();
    let line = sdp("m=audio 5000 RTP/AVP 0\r\na=direction:active");
    bench.create(FROM, RtpSpec::default());
    let answer = bench.answer(FROM, &line);
    assert!(answer.contains("a=direction:passive\r\n"), "{answer}");
    for kind in [MediaKind::Audio, MediaKind::Video] {
        let (source, sink) = (FROM, FROM);
        bench.op(Op::Connect {
            source: source.into(),
            sink: sink.into(),
            kind,
        });
    }
    bench.receive(30_000, host(9, 7_000), &packet(0, 1));
    bench.receive(30_000, host(9, 7_000), &packet(0, 2));
    let sent = bench.rtp();
    assert!(
        sent.iter().all(|(_, to, _)| *to == host(9, 7_000)),
        "{sent:?}"
    );
    assert!(!sent.is_empty());
    let refused = bench.shard.metrics().datagrams_refused;
    bench.receive(30_000, host(8, 7_000), &packet(0, 3));
    assert_eq!(bench.shard.metrics().datagrams_refused, refused + 1);
    bench.wait(Duration::from_secs(4));
    bench.sent.clear();
    bench.receive(30_000, host(8, 7_000), &packet(0, 4));
    bench.receive(30_000, host(8, 7_000), &packet(0, 5));
    let sent = bench.rtp();
    assert_eq!(sent.last().expect("sent").1, host(8, 7_000));
}

#[test]
fn srtp_is_opened_and_sealed_with_every_suite_and_nothing_else_is_taken() {
    for (suite, profile, name) in [
        (
            CryptoSuite::Aes128CmSha1_32,
            Profile::Aes128CmSha1_32,
            "AES_CM_128_HMAC_SHA1_32",
        ),
        (
            CryptoSuite::Aes128CmSha1_80,
            Profile::Aes128CmSha1_80,
            "AES_CM_128_HMAC_SHA1_80",
        ),
        (
            CryptoSuite::Aes256CmSha1_32,
            Profile::Aes256CmSha1_32,
            "AES_256_CM_HMAC_SHA1_32",
        ),
        (
            CryptoSuite::Aes256CmSha1_80,
            Profile::Aes256CmSha1_80,
            "AES_256_CM_HMAC_SHA1_80",
        ),
    ] {
        // Of 30 or 46 bytes: 7 for us, 9 for the peer, in base64 without padding.
        let length = profile.key_len() + profile.salt_len();
        let inline = if length == 30 {
            "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ"
        } else {
            "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQ"
        };
        let line = sdp(&format!(
            "m=audio 5000 RTP/SAVP 0\r\na=crypto:4 {name} inline:{inline}|2^20"
        ));
        let spec = RtpSpec {
            crypto: Some(SdesKey {
                suite,
                key: vec![7; length],
            }),
            ..RtpSpec::default()
        };
        let mut bench = Bench::new();
        bench.relay(&line, &line, &spec);
        let theirs = MasterKey::from_concatenated(profile, &vec![9; length]).expect("a key");
        let ours = MasterKey::from_concatenated(profile, &vec![7; length]).expect("a key");
        let (sealer, mut opener) = (Sealer::new(&theirs).unwrap(), Opener::new(&ours).unwrap());
        for seq in 1..=3 {
            let mut bytes = packet(0, seq);
            let plain = bytes.len();
            let header = Header::parse(&bytes).expect("RTP").len();
            bytes.resize(plain + MAX_RTP_OVERHEAD, 0);
            let sealed = sealer
                .seal_rtp(0, header, &mut bytes, plain)
                .expect("sealed");
            // From anywhere: the key is what counts.
            bench.receive(30_000, host(seq as u8, 5_000), &bytes[..sealed]);
            let mut forged = bytes[..sealed].to_vec();
            forged[sealed - 1] ^= 1;
            bench.receive(30_000, host(1, 5_000), &forged);
            bench.receive(30_000, host(1, 5_000), &packet(0, seq + 100));
        }
        let sent = bench.rtp();
        assert_eq!(sent.len(), 3, "{name}");
        for (_, _, mut bytes) in sent {
            let header = Header::parse(&bytes).expect("RTP");
            let opened = opener.open_rtp(&mut bytes, &header).expect("authentic");
            assert_eq!(&bytes[12..opened.plain_len], b"payload");
        }
    }
}

#[test]
fn a_key_that_is_nearly_used_up_is_told_of_once() {
    let limits = Limits {
        srtcp_packets: 3,
        ..Limits::default()
    };
    let mut bench = Bench::with(limits);
    let inline = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJ";
    let secure = sdp(&format!(
        "m=audio 6000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{inline}"
    ));
    let key = SdesKey {
        suite: CryptoSuite::Aes128CmSha1_80,
        key: vec![7; 30],
    };
    bench.create(FROM, RtpSpec::default());
    let spec = RtpSpec {
        crypto: Some(key),
        ..RtpSpec::default()
    };
    bench.create(TO, spec);
    bench.answer(FROM, &sdp("m=audio 5000 RTP/AVP 0"));
    bench.answer(TO, &secure);
    let (source, sink, kind) = (FROM.into(), TO.into(), MediaKind::Audio);
    bench.op(Op::Connect { source, sink, kind });
    let told = |bench: &Bench| {
        let limit = ElementEvent::KeySoftLimit {
            kind: MediaKind::Audio,
        };
        let told = |of| bench.states(of).iter().filter(|it| ***it == limit).count();
        (told(FROM), told(TO))
    };
    for second in 0..6 {
        bench.receive(30_000, host(1, 5_000), &packet(0, second + 1));
        bench.wait(Duration::from_secs(1));
        if second == 1 {
            assert_eq!(told(&bench), (0, 0), "two reports");
        }
    }
    assert_eq!(told(&bench), (0, 1), "only the key is used up, and once");
}

/// Whether a peer with this m-line is asked for a keyframe when somebody needs one.
fn is_asked(line: &str) -> bool {
    let mut bench = Bench::new();
    let to = sdp("m=video 6000 RTP/AVPF 97\r\na=rtpmap:97 VP8/90000\r\na=rtcp-fb:97 nack pli");
    bench.relay(&sdp(line), &to, &RtpSpec::default());
    let mut delta = packet(96, 1);
    let payload = delta.len() - 7;
    // VP8: the begin of a frame that is no keyframe.
    delta.splice(payload.., [0x10, 0x01, 0, 0]);
    bench.receive(30_000, host(1, 5_000), &delta);
    bench.wait(Duration::from_secs(2));
    bench.sent.iter().any(|(port, _, bytes)| {
        *port == 30_001
            && Compound::new(bytes)
                .any(|packet| matches!(packet, Packet::PictureLoss { .. } | Packet::FullIntra(_)))
    })
}

#[test]
fn keyframes_are_asked_for_only_where_that_was_negotiated() {
    let line = |profile: &str| {
        format!("m=video 5000 {profile} 96\r\na=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 nack pli")
    };
    assert!(is_asked(&line("RTP/AVPF")));
    assert!(!is_asked(&line("RTP/AVP")));
    assert!(!is_asked(
        "m=video 5000 RTP/AVPF 96\r\na=rtpmap:96 VP8/90000"
    ));
}

#[test]
fn nothing_received_disturbs_an_endpoint() {
    let mut bench = Bench::new();
    let line = sdp("m=audio 5000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000");
    bench.relay(&line, &line, &RtpSpec::default());
    let mut state = 88_172_645_463_325_252_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    for round in 0..20_000 {
        let length = usize::from(random()) % 80;
        let mut bytes: Vec<u8> = (0..length).map(|_| random()).collect();
        if let [first, second, ..] = bytes.as_mut_slice() {
            *first = 0x80 | (*first & 0x3f);
            if round % 2 == 0 {
                *second = 200 + *second % 8;
            }
        }
        bench.receive(30_000 + round % 2, host(1, 5_000), &bytes);
    }
    bench.wait(Duration::from_secs(2));
    bench.rtp();
    for seq in 1_000..1_003 {
        bench.receive(30_000, host(1, 5_000), &packet(0, seq));
    }
    assert!(!bench.rtp().is_empty());
}
