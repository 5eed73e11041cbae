//! Instructions that forwarding a packet takes, counted by callgrind, against a baseline.
//!
//! ```text
//! make bench-instructions                 compares, fails when 3 % or more are lost
//! make bench-instructions ARGS=--accept   makes what is measured the baseline
//! ```
//!
//! Without sockets and clocks: a [`Shard`], one str0m publisher and 1, 10 or 100 str0m subscribers with
//! real ICE, DTLS and SRTP in virtual time. Counted are the batches of a camera (frames of five packets
//! of 1 200 bytes) and of a microphone: `handle_datagram` for each packet, one `flush`, and clearing the
//! egress; not what comes before, nor timers. Time on a shared machine differs from run to run, the
//! number of instructions does not.
//!
//! Only instructions outside of the cryptography are judged: `aws-lc` chooses its code by what the
//! processor has. What remains differs by a few instructions between runs, since keys and hashes are
//! random.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement, not a part of the program"
)]

use salono_media_api::*;
use salono_media_core::*;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::{Command as Process, ExitCode};
use std::time::{Duration, Instant};
use str0m::change::SdpAnswer;
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind as RtcKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpWrite;
use str0m::{Candidate, Event as RtcEvent, Input, Output, Rtc};

const SUBSCRIBERS: [usize; 3] = [1, 10, 100];
/// Loss against the baseline at which the measurement fails.
const TOLERANCE: f64 = 0.03;
/// Frames before the first that counts, and those that count.
const WARM_UP: u64 = 75;
const FRAMES: u64 = 60;
const FRAME: Duration = Duration::from_millis(33);
const SERVER: ([u8; 4], u16) = ([10, 0, 0, 1], 4_000);
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, count] = arguments.as_slice()
        && mode == "forward"
    {
        println!("{}", forward(count.parse().unwrap()));
        return ExitCode::SUCCESS;
    }
    compare(arguments.iter().any(|argument| argument == "--accept"))
}

/// Instructions per forwarded packet.
struct Count {
    all: f64,
    /// Outside of the cryptography.
    ours: f64,
}

fn compare(accept: bool) -> ExitCode {
    let compiler = Process::new("rustc").arg("-V").output().unwrap().stdout;
    let compiler = String::from_utf8(compiler).unwrap().trim().to_owned();
    let known = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let same_compiler = known.lines().next() == Some(compiler.as_str());
    let mut text = format!("{compiler}\n");
    let mut lost = Vec::new();
    println!("| subscribers | instructions per packet | outside of cryptography | baseline | |");
    println!("| --- | --- | --- | --- | --- |");
    for subscribers in SUBSCRIBERS {
        let Count { all, ours } = count(subscribers);
        let _ = writeln!(text, "{subscribers} {ours:.1}");
        let baseline: Option<f64> = known.lines().skip(1).find_map(|line| {
            let (of, value) = line.split_once(' ')?;
            (of == subscribers.to_string()).then(|| value.parse().ok())?
        });
        let change = baseline.map(|baseline| ours / baseline - 1.0);
        println!(
            "| {subscribers} | {all:.0} | {ours:.0} | {} | {} |",
            baseline.map_or("none".into(), |baseline| format!("{baseline:.0}")),
            change.map_or(String::new(), |change| format!("{:+.1} %", 100.0 * change)),
        );
        if change.is_some_and(|change| change > TOLERANCE) {
            lost.push(subscribers.to_string());
        }
    }
    if accept {
        std::fs::write(BASELINE, text).unwrap();
        return ExitCode::SUCCESS;
    }
    if !same_compiler {
        println!(
            "\nThe baseline is of another compiler: it says nothing. Take this one with --accept."
        );
        return ExitCode::SUCCESS;
    }
    if lost.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!(
        "\nMore instructions than before with {} subscribers.",
        lost.join(", ")
    );
    ExitCode::FAILURE
}

/// Runs this program under callgrind and reads what it wrote.
fn count(subscribers: usize) -> Count {
    let file = std::env::temp_dir().join(format!("instructions-{}.out", std::process::id()));
    let output = Process::new("valgrind")
        .args(["--quiet", "--tool=callgrind", "--collect-atstart=no"])
        .arg("--toggle-collect=*forward_batch*")
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .args(["forward", &subscribers.to_string()])
        .output()
        .expect("valgrind, which scripts/install-deps.sh test installs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let packets: f64 = said
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{said}{}", String::from_utf8_lossy(&output.stderr)));
    let text = std::fs::read_to_string(&file).unwrap();
    let _ = std::fs::remove_file(&file);
    let costs = self_costs(&text);
    if std::env::var_os("FUNCTIONS").is_some() {
        let mut sorted: Vec<_> = costs.iter().collect();
        sorted.sort_by(|a, b| b.1.cmp(a.1));
        for (name, cost) in sorted.into_iter().take(45) {
            println!("{:9.1} {name}", *cost as f64 / packets);
        }
    }
    let all: u64 = costs.values().sum();
    let crypto: u64 = costs
        .iter()
        .filter(|(name, _)| is_crypto(name))
        .map(|(_, cost)| *cost)
        .sum();
    Count {
        all: all as f64 / packets,
        ours: (all - crypto) as f64 / packets,
    }
}

fn is_crypto(name: &str) -> bool {
    ["aws_lc", "aesni_", "aead_aes", "gcm_", "aes_hw"]
        .iter()
        .any(|part| name.contains(part))
}

/// Instructions of each function itself, out of callgrind's file: names are given once and then by number; the line
/// after `calls=` is the cost of what was called.
fn self_costs(text: &str) -> BTreeMap<String, u64> {
    let (mut names, mut costs) = (BTreeMap::new(), BTreeMap::<String, u64>::new());
    let (mut current, mut is_call) = (String::new(), false);
    for line in text.lines() {
        let name = |rest: &str, names: &mut BTreeMap<String, String>| {
            let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
            if !name.is_empty() {
                names.insert(number.to_owned(), name.to_owned());
            }
            names.get(number).cloned().unwrap_or_default()
        };
        if let Some(rest) = line.strip_prefix("fn=") {
            current = name(rest, &mut names);
        } else if let Some(rest) = line.strip_prefix("cfn=") {
            name(rest, &mut names);
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split(' ').nth(1).and_then(|cost| cost.parse().ok());
            if !std::mem::take(&mut is_call) {
                *costs.entry(current.clone()).or_default() += cost.unwrap_or(0);
            }
        }
    }
    costs
}

/// What is counted: one batch, as the engine's loop handles it.
#[inline(never)]
fn forward_batch(shard: &mut Shard, from: SocketAddr, batch: &mut [Vec<u8>], now: Instant) {
    for datagram in batch {
        shard.handle_datagram(SocketId(0), from, datagram, now);
    }
    loop {
        shard.flush(now);
        let is_full = shard.egress().is_full();
        shard.egress().clear();
        if !is_full {
            return;
        }
    }
}

/// Connects everybody and lets the publisher send; returns the packets that were forwarded while it counted.
fn forward(subscribers: usize) -> u64 {
    let mut world = World::new();
    let publisher = world.join(Direction::SendOnly);
    for _ in 0..subscribers {
        let subscriber = world.join(Direction::RecvOnly);
        world.connect(publisher, subscriber);
    }
    world.run_until_connected();
    let mut before = 0;
    for frame in 0..WARM_UP + FRAMES {
        if frame == WARM_UP {
            before = world.shard.metrics().rtp_forwarded;
        }
        let [mut audio, mut video] = [world.capture(false, frame), world.capture(true, frame)];
        let (from, now) = (world.peers[0].addr, world.now);
        if frame < WARM_UP {
            for datagram in audio.iter_mut().chain(&mut video) {
                world
                    .shard
                    .handle_datagram(SocketId(0), from, datagram, now);
            }
            world.exchange();
        } else {
            forward_batch(&mut world.shard, from, &mut audio, now);
            forward_batch(&mut world.shard, from, &mut video, now);
        }
        world.step(FRAME);
    }
    let forwarded = world.shard.metrics().rtp_forwarded - before;
    assert_eq!(forwarded, FRAMES * 6 * subscribers as u64);
    forwarded
}

struct Peer {
    rtc: Rtc,
    addr: SocketAddr,
    audio: Mid,
    video: Mid,
    connected: bool,
    sent: [u64; 2],
}

struct World {
    shard: Shard,
    now: Instant,
    peers: Vec<Peer>,
    tokens: u64,
}

impl World {
    fn new() -> Self {
        str0m::crypto::from_feature_flags().install_process_default();
        let now = Instant::now();
        let addr = SocketAddr::from(SERVER);
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
            certificates: Certificates::generate().unwrap(),
            codecs: Codecs::default(),
            transcoding: Transcoding::Allow,
            limits: Limits::default(),
            unix_time: Duration::from_secs(1_800_000_000),
            seed: [1; 32],
        };
        let mut world = Self {
            shard: Shard::new(config, now),
            now,
            peers: Vec::new(),
            tokens: 0,
        };
        world.op(Op::CreatePipeline);
        world
    }

    fn op(&mut self, op: Op) {
        let pipeline = PipelineKey(1);
        self.shard
            .handle_command(Command { pipeline, op }, self.now);
    }

    fn join(&mut self, direction: Direction) -> usize {
        let index = self.peers.len();
        let number = u8::try_from(index % 250).unwrap() + 1;
        let addr = SocketAddr::from(([10, 0, 1, number], 5_000));
        let mut rtc = Rtc::builder().set_rtp_mode(true).build(self.now);
        rtc.add_local_candidate(Candidate::host(addr, "udp").unwrap());
        let mut change = rtc.sdp_api();
        let audio = change.add_media(RtcKind::Audio, direction, None, None, None);
        let video = change.add_media(RtcKind::Video, direction, None, None, None);
        let (offer, pending) = change.apply().unwrap();
        let element = ElementKey(index as u64 + 1);
        let [create, answer, gather] = [1, 2, 3].map(|n| Token(self.tokens + n));
        self.tokens += 3;
        self.op(Op::Create {
            token: create,
            element,
            spec: ElementSpec::WebRtc(WebRtcSpec::default()),
        });
        self.op(Op::ProcessOffer {
            token: answer,
            element,
            sdp: offer.to_sdp_string(),
        });
        self.op(Op::GatherCandidates {
            token: gather,
            element,
        });
        self.shard.flush(self.now);
        while let Some(event) = self.shard.poll_event() {
            if let Event::Replied {
                result: Ok(Reply::Sdp(sdp)),
                ..
            } = event
            {
                let answer = SdpAnswer::from_sdp_string(&sdp).unwrap();
                rtc.sdp_api()
                    .accept_answer(pending, answer)
                    .expect("an answer that fits");
                break;
            }
        }
        rtc.add_remote_candidate(Candidate::host(SERVER.into(), "udp").unwrap());
        self.peers.push(Peer {
            rtc,
            addr,
            audio,
            video,
            connected: false,
            sent: [0; 2],
        });
        index
    }

    fn connect(&mut self, source: usize, sink: usize) {
        let [source, sink] = [source, sink].map(|index| ElementKey(index as u64 + 1));
        for kind in [MediaKind::Audio, MediaKind::Video] {
            self.op(Op::Connect {
                source: source.into(),
                sink: sink.into(),
                kind,
            });
        }
    }

    fn run_until_connected(&mut self) {
        for _ in 0..2_000 {
            self.step(Duration::from_millis(5));
            if self.peers.iter().all(|peer| peer.connected) {
                // Everything that connecting leaves behind.
                for _ in 0..20 {
                    self.step(Duration::from_millis(5));
                }
                return;
            }
        }
        panic!("not everybody connects");
    }

    /// Time passes, and everybody does what is due.
    fn step(&mut self, by: Duration) {
        self.now += by;
        self.shard.handle_timeout(self.now);
        for index in 0..self.peers.len() {
            let now = self.now;
            self.peers[index]
                .rtc
                .handle_input(Input::Timeout(now))
                .unwrap();
            self.drain(index);
        }
        self.exchange();
    }

    /// Carries datagrams until there are no more.
    fn exchange(&mut self) {
        loop {
            self.shard.flush(self.now);
            while self.shard.poll_event().is_some() {}
            let egress = self.shard.egress();
            if egress.is_empty() {
                return;
            }
            let bytes = egress.bytes().to_vec();
            let datagrams = egress.datagrams().to_vec();
            egress.clear();
            for datagram in datagrams {
                let (start, len) = (datagram.start as usize, datagram.len as usize);
                let Some(index) = self.peers.iter().position(|it| it.addr == datagram.remote)
                else {
                    continue;
                };
                let bytes = &bytes[start..start + len];
                let peer = &mut self.peers[index];
                let received = Receive::new(Protocol::Udp, SERVER.into(), peer.addr, bytes);
                peer.rtc
                    .handle_input(Input::Receive(self.now, received.unwrap()))
                    .unwrap();
                self.drain(index);
            }
        }
    }

    /// What a peer has to send goes to the shard.
    fn drain(&mut self, index: usize) {
        let from = self.peers[index].addr;
        for mut datagram in self.take(index) {
            self.shard
                .handle_datagram(SocketId(0), from, &mut datagram, self.now);
        }
    }

    fn take(&mut self, index: usize) -> Vec<Vec<u8>> {
        let peer = &mut self.peers[index];
        let mut datagrams = Vec::new();
        loop {
            match peer.rtc.poll_output().unwrap() {
                Output::Timeout(_) => return datagrams,
                Output::Transmit(transmit) => datagrams.push(transmit.contents.to_vec()),
                Output::Event(event) => peer.connected |= matches!(event, RtcEvent::Connected),
            }
        }
    }

    /// The packets of the publisher's next frame, or of a moment of sound.
    fn capture(&mut self, is_video: bool, frame: u64) -> Vec<Vec<u8>> {
        let mut datagrams = Vec::new();
        let (packets, bytes, clock, codec) = if is_video {
            (5, 1_200, 90_000, Codec::Vp8)
        } else {
            (1, 120, 48_000, Codec::Opus)
        };
        for packet in 0..packets {
            let peer = &mut self.peers[0];
            let mid = if is_video { peer.video } else { peer.audio };
            let mut payload = vec![0x5a; bytes];
            if is_video {
                // RFC 7741 §4.2: a descriptor with a picture id; the first frame is a keyframe.
                let start = if packet == 0 { 0x90 } else { 0x80 };
                let id = 0x80 | (frame >> 8) as u8 & 0x7f;
                payload[..5].copy_from_slice(&[start, 0x80, id, frame as u8, u8::from(frame > 0)]);
            }
            let time = (frame * clock * 33 / 1_000) as u32;
            let mut configs = peer.rtc.codec_config().params().iter();
            let agreed = configs.find(|params| params.spec().codec == codec).unwrap();
            let pt = agreed.pt();
            let sequence = &mut peer.sent[usize::from(is_video)];
            let write = RtpWrite::new(pt, (*sequence).into(), time, self.now, payload)
                .marker(is_video && packet == 4)
                .nackable(is_video);
            *sequence += 1;
            let mut api = peer.rtc.direct_api();
            api.stream_tx_by_mid(mid, None).unwrap().write_rtp(write);
            datagrams.extend(self.take(0));
            // The stack paces by timeouts.
            let now = self.now;
            self.peers[0].rtc.handle_input(Input::Timeout(now)).unwrap();
            datagrams.extend(self.take(0));
        }
        // Reports that happened to be due are not what is measured.
        datagrams.retain(|datagram| !(192..=223).contains(&datagram[1]) && datagram[0] >= 128);
        assert_eq!(datagrams.len(), packets, "of frame {frame}");
        datagrams
    }
}
