//! Real shard threads, real child processes that play the processor, a small core in between.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a report that is not expected fails the test"
)]

use super::{ProcessorConfig, ProcessorMetrics};
use crate::config::EngineConfig;
use crate::core::crossing::{Crossing, THROUGH};
use crate::engine::{EngineHandle, start_with};
use double::Directory;
use salono_media_api::processing::bridge::BridgeEvent;
use salono_media_api::processing::{ProcessorCall, ProcessorReply};
use salono_media_api::{Command, CommandSink, ElementKey, Op, PipelineKey, Token};
use salono_media_core::{Certificates, ProcessorReport};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[path = "../../tests/double/mod.rs"]
mod double;

/// How long a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

const ONE: PipelineKey = PipelineKey(1);
const TWO: PipelineKey = PipelineKey(2);

/// Not a test: the child process of the others.
#[test]
#[ignore = "is a media processor, when it is started as one"]
fn processor() {
    double::run();
}

/// A shard, its processors, and a peer of it.
struct Bench {
    engine: EngineHandle,
    reports: Receiver<ProcessorReport>,
    peer: UdpSocket,
    directory: Directory,
}

impl Bench {
    fn new(change: impl FnOnce(&Directory, &mut ProcessorConfig)) -> Self {
        let directory = Directory::new();
        let mut processors = ProcessorConfig {
            program: Some(directory.double("processors::tests::processor")),
            ..ProcessorConfig::default()
        };
        processors.policy.read_roots = vec!["/films".to_owned()];
        change(&directory, &mut processors);
        let config = EngineConfig {
            shards: 1,
            ips: vec!["127.0.0.1".parse().unwrap()],
            processors,
            ..EngineConfig::new(Certificates::default())
        };
        let (sender, reports) = channel();
        let make = |_, _: &_| {
            let sender = sender.clone();
            move |_| Ok(Crossing::new(sender.clone()))
        };
        let engine = start_with(&config, |_| Ok(()), make).unwrap();
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        peer.connect(engine.local_addresses()[0][0]).unwrap();
        peer.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            engine,
            reports,
            peer,
            directory,
        }
    }

    fn submit(&mut self, pipeline: PipelineKey, op: Op) {
        assert_eq!(self.engine.submit(Command { pipeline, op }), Ok(()));
    }

    fn report(&self) -> ProcessorReport {
        self.reports
            .recv_timeout(PATIENCE)
            .expect("a report in time")
    }

    fn attach(&mut self, pipeline: PipelineKey) {
        self.submit(pipeline, Op::CreatePipeline);
        self.attached(pipeline);
    }

    fn attached(&self, pipeline: PipelineKey) {
        match self.report() {
            ProcessorReport::Attached { pipeline: of, .. } if of == pipeline => {}
            report => panic!("{report:?}"),
        }
    }

    fn tell(&mut self, pipeline: PipelineKey, word: &str) {
        let call = ProcessorCall::GetProperty {
            name: word.to_owned(),
        };
        let op = Op::Call {
            token: Token(7),
            element: ElementKey(1),
            call: Box::new(call),
        };
        self.submit(pipeline, op);
    }

    fn ask(&mut self, pipeline: PipelineKey, word: &str) -> String {
        self.tell(pipeline, word);
        match self.report() {
            ProcessorReport::Heard { event, .. } => match *event {
                BridgeEvent::Replied {
                    result: Ok(ProcessorReply::Json(text)),
                    ..
                } => text,
                event => panic!("{event:?}"),
            },
            report => panic!("{report:?}"),
        }
    }

    fn pid(&mut self, pipeline: PipelineKey) -> i32 {
        self.ask(pipeline, "pid").parse().unwrap()
    }

    /// Why the processor of a pipeline was lost; what it said before is skipped.
    fn lost(&self, pipeline: PipelineKey) -> String {
        loop {
            match self.report() {
                ProcessorReport::Heard { .. } => {}
                ProcessorReport::Lost {
                    pipeline: of,
                    reason,
                } if of == pipeline => return reason,
                report => panic!("{report:?}"),
            }
        }
    }

    fn unavailable(&self) -> String {
        match self.report() {
            ProcessorReport::Unavailable { reason, .. } => reason,
            report => panic!("{report:?}"),
        }
    }

    fn send_through(&self, pipeline: PipelineKey, payload: &[u8]) {
        let head = [THROUGH, pipeline.0 as u8];
        self.peer.send(&[&head, payload].concat()).unwrap();
    }

    /// Sends a packet through the processor of a pipeline until one comes back.
    fn cross(&self, pipeline: PipelineKey) {
        let mut buffer = [0; 2_000];
        self.send_through(pipeline, b"packet");
        // Others may have been on their way.
        while self.peer.recv(&mut buffer).unwrap() != b"packet".len() {}
        assert_eq!(&buffer[..6], b"packet");
    }

    /// The shard answers others at once; the bound is wide, as machines that test are busy, and less than a hang takes.
    fn flows(&self) {
        let began = Instant::now();
        let mut buffer = [0; 2_000];
        self.peer.send(b"unrelated").unwrap();
        while self.peer.recv(&mut buffer).unwrap() != b"unrelated".len() {}
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
    }

    fn metrics(&self) -> ProcessorMetrics {
        self.engine.processor_metrics()
    }

    fn until(&self, wanted: impl Fn(ProcessorMetrics) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(self.metrics()) {
            assert!(Instant::now() < deadline, "{:?}", self.metrics());
            self.flows();
        }
    }
}

fn is_there(pid: i32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

fn gone(pid: i32) {
    let deadline = Instant::now() + PATIENCE;
    while is_there(pid) {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

fn signal(pid: i32, name: &str) {
    let mut kill = std::process::Command::new("kill");
    assert!(
        kill.args([name, &pid.to_string()])
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn a_pipeline_has_a_processor_that_answers_and_that_media_goes_through() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    assert_eq!(bench.ask(ONE, "hello"), "hello");
    // Descriptors 0 to 4, one more of the media, and the directory that is read.
    assert_eq!(bench.ask(ONE, "fds"), "7");
    let environment = bench.ask(ONE, "environment");
    assert!(!environment.contains("CARGO"), "{environment}");
    bench.cross(ONE);
    let pid = bench.pid(ONE);
    bench.attach(TWO);
    let other = bench.pid(TWO);
    assert_ne!(pid, other);
    bench.cross(TWO);
    bench.until(|metrics| metrics.running == 2);
    bench.submit(ONE, Op::ReleasePipeline);
    gone(pid);
    bench.cross(TWO);
    bench.engine.shutdown();
    assert!(!is_there(other));
    let metrics = bench.metrics();
    assert_eq!((metrics.started, metrics.lost), (2, 0));
}

#[test]
fn much_media_arrives_in_order_with_credit_for_more() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    let mut buffer = [0; 2_000];
    // Several times the credit that there is at the beginning.
    for round in 0..800_u32 {
        let packets: Vec<_> = (0..10_u32)
            .map(|number| (round * 10 + number).to_be_bytes())
            .collect();
        for packet in &packets {
            bench.send_through(ONE, &packet.repeat(250));
        }
        for packet in &packets {
            let length = bench.peer.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], packet.repeat(250));
        }
    }
    bench.engine.shutdown();
    let metrics = bench.engine.metrics()[0];
    assert_eq!(metrics.processor_drops, 0);
    assert_eq!(
        (metrics.processor_sent, metrics.processor_received),
        (8_000, 8_000)
    );
}

#[test]
fn a_processor_that_is_killed_is_reported_and_another_takes_its_place_at_once() {
    let mut bench = Bench::new(|_, config| config.warm = 1);
    bench.attach(ONE);
    bench.attach(TWO);
    for _ in 0..3 {
        bench.until(|metrics| metrics.warm == 1);
        let pid = bench.pid(ONE);
        let began = Instant::now();
        signal(pid, "-KILL");
        bench.lost(ONE);
        bench.attached(ONE);
        bench.cross(ONE);
        assert!(
            began.elapsed() < Duration::from_secs(5),
            "{:?}",
            began.elapsed()
        );
        bench.cross(TWO);
        bench.flows();
    }
    bench.engine.shutdown();
    assert_eq!(bench.metrics().lost, 3);
}

#[test]
fn a_processor_that_ends_by_itself_is_reported_with_what_it_said_last() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    bench.tell(ONE, "exit");
    let reason = bench.lost(ONE);
    assert!(
        reason.contains("status 3") && reason.contains("cannot go on"),
        "{reason}"
    );
    bench.attached(ONE);
}

#[test]
fn a_processor_that_breaks_the_rules_is_ended() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    bench.attach(TWO);
    let broken = [
        ("garbage", "no event"),
        ("flood", "floods"),
        ("endless", "does not end"),
        ("media garbage", "no media"),
        ("too much credit", "no media"),
        ("close media", "media socket"),
    ];
    for (word, told) in broken {
        let pid = bench.pid(ONE);
        bench.tell(ONE, word);
        let reason = bench.lost(ONE);
        assert!(reason.contains(told), "{word}: {reason}");
        gone(pid);
        bench.attached(ONE);
        bench.flows();
        bench.cross(TWO);
    }
    bench.engine.shutdown();
    assert_eq!(bench.metrics().lost, broken.len() as u64);
    assert_eq!(bench.metrics().hung, 0);
}

#[test]
fn a_processor_that_stands_still_is_ended_while_others_go_on() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    bench.attach(TWO);
    let pid = bench.pid(ONE);
    signal(pid, "-STOP");
    let deadline = Instant::now() + Duration::from_secs(15);
    let reason = loop {
        // Far more than it has room for; the oldest gives way.
        (0..20).for_each(|_| bench.send_through(ONE, &[1; 1_200]));
        bench.cross(TWO);
        bench.flows();
        match bench.reports.try_recv() {
            Ok(ProcessorReport::Lost { reason, .. }) => break reason,
            Ok(report) => panic!("{report:?}"),
            Err(_) => assert!(Instant::now() < deadline),
        }
    };
    assert!(
        reason.contains("answer") || reason.contains("media"),
        "{reason}"
    );
    gone(pid);
    bench.attached(ONE);
    bench.cross(ONE);
    bench.engine.shutdown();
    assert!(bench.engine.metrics()[0].processor_drops > 0);
}

#[test]
fn a_processor_that_takes_no_media_is_ended() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    bench.ask(ONE, "ignore media");
    let deadline = Instant::now() + PATIENCE;
    let reason = loop {
        // As many as a socket takes at once: on a busy machine each look at the shard takes its time, and a megabyte has to
        // be refused before anybody is stuck.
        for _ in 0..32 {
            bench.send_through(ONE, &[1; 1_200]);
        }
        bench.flows();
        if let Ok(ProcessorReport::Lost { reason, .. }) = bench.reports.try_recv() {
            break reason;
        }
        assert!(Instant::now() < deadline);
    };
    assert!(reason.contains("takes no media"), "{reason}");
    bench.attached(ONE);
}

#[test]
fn a_processor_that_sleeps_is_found_out_and_one_that_does_not_want_to_end_is_ended() {
    let mut bench = Bench::new(|_, _| {});
    bench.attach(ONE);
    bench.attach(TWO);
    let stubborn = bench.pid(TWO);
    bench.ask(TWO, "stubborn");
    bench.tell(ONE, "sleep");
    bench.submit(TWO, Op::ReleasePipeline);
    let reason = bench.lost(ONE);
    assert!(reason.contains("answer"), "{reason}");
    gone(stubborn);
    bench.engine.shutdown();
    assert_eq!((bench.metrics().lost, bench.metrics().hung), (1, 1));
}

#[test]
fn what_is_missing_is_told_and_asked_for_again_once_it_is_there() {
    let missing = PathBuf::from("/nonexistent/processor");
    let mut bench = Bench::new(|_, config| config.program = Some(missing));
    bench.submit(ONE, Op::CreatePipeline);
    assert!(bench.unavailable().contains("processor.path"));
    bench.until(|metrics| metrics.unavailable == 1);

    let mut bench = Bench::new(|directory, config| {
        let script =
            "echo error while loading shared libraries: libgstreamer-1.0.so.0 >&2; exit 127";
        config.program = Some(directory.script(script));
    });
    bench.submit(ONE, Op::CreatePipeline);
    let reason = bench.unavailable();
    assert!(reason.contains("libgstreamer-1.0.so.0"), "{reason}");
    assert!(reason.contains("gstreamer1.0-plugins-base"), "{reason}");
    bench.flows();
    bench
        .directory
        .script("echo '{\"Ready\":{\"version\":4000}}' >&3; cat <&3");
    bench.submit(ONE, Op::CreatePipeline);
    assert!(bench.unavailable().contains("version 4000"));
    bench.directory.double("processors::tests::processor");
    bench.attach(ONE);
    bench.cross(ONE);
}

#[test]
fn no_more_processors_than_allowed() {
    let mut bench = Bench::new(|_, config| config.max = 1);
    bench.attach(ONE);
    bench.submit(TWO, Op::CreatePipeline);
    assert!(bench.unavailable().contains("processor.max"));
    bench.submit(ONE, Op::ReleasePipeline);
    bench.attach(TWO);
}

#[test]
fn some_are_kept_ready_and_taken() {
    let mut bench = Bench::new(|_, config| config.warm = 2);
    bench.until(|metrics| metrics.warm == 2);
    bench.attach(ONE);
    assert!(bench.metrics().started <= 3);
    bench.until(|metrics| metrics.warm == 2);
    bench.until(|metrics| metrics.running == 1);
    bench.engine.shutdown();
    let metrics = bench.metrics();
    assert_eq!((metrics.running, metrics.warm, metrics.lost), (0, 0, 0));
}

#[test]
fn released_while_it_starts_nothing_is_reported() {
    let mut bench = Bench::new(|_, _| {});
    for _ in 0..5 {
        bench.submit(ONE, Op::CreatePipeline);
        bench.submit(ONE, Op::ReleasePipeline);
    }
    bench.attach(TWO);
    bench.until(|metrics| metrics.running == 1);
    assert_eq!(bench.metrics().lost, 0);
}

#[test]
fn what_a_crossing_takes_can_be_measured() {
    let directory = Directory::new();
    let config = ProcessorConfig {
        program: Some(directory.double("processors::tests::processor")),
        ..ProcessorConfig::default()
    };
    let probe = super::probe(&config, 20).unwrap();
    assert_eq!(probe.crossings.len(), 20);
    assert!(probe.warm < PATIENCE && probe.cold < PATIENCE);
    let missing = Some(PathBuf::from("/nonexistent/processor"));
    let config = ProcessorConfig {
        program: missing,
        ..config
    };
    assert!(super::probe(&config, 1).is_err());
}

/// The program itself, which is built if it is not there.
fn real() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let program = this.ancestors().nth(2).unwrap().join(super::NAME);
    if !program.is_file() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = std::process::Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "-p", "salono-media-gst"]);
        assert!(build.status().unwrap().success());
    }
    program
}

/// Children of this process that run a program, the oldest first.
fn children(program: &Path) -> Vec<i32> {
    let this = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let started = |pid: i32| {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // From the state on, which is the third field; the name before it may hold anything.
        let fields: Vec<_> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let is_ours = exe == program && fields.get(1) == Some(&this.as_str());
        let start: u64 = fields.get(19).filter(|_| is_ours)?.parse().ok()?;
        Some((start, pid))
    };
    let mut found: Vec<_> = pids.filter_map(started).collect();
    found.sort_unstable();
    found.into_iter().map(|(_, pid)| pid).collect()
}

/// The real program, under a name of its own, so that the children of this test can be told from those of others.
fn real_for(directory: &Directory) -> PathBuf {
    let program = directory.path().join(super::NAME);
    std::fs::copy(real(), &program).unwrap();
    program
}

#[test]
fn the_real_processor_is_replaced_whatever_it_did_when_it_was_killed() {
    let mut program = PathBuf::new();
    let mut bench = Bench::new(|directory, config| {
        program = real_for(directory);
        config.program = Some(program.clone());
        config.warm = 1;
    });
    // While it starts, and while it is kept ready.
    for warm in [0, 1] {
        bench.until(|metrics| metrics.started > 0 && metrics.warm >= warm);
        let pids = children(&program);
        let lost = bench.metrics().lost;
        pids.iter().for_each(|pid| signal(*pid, "-KILL"));
        bench.until(|metrics| metrics.lost > lost);
    }
    bench.attach(ONE);
    // While a pipeline has it: dead, and standing still.
    for name in ["-KILL", "-ABRT", "-STOP"] {
        bench.until(|metrics| metrics.warm == 1);
        let lost = bench.metrics().lost;
        // The one that was not kept ready: the older one.
        let pid = children(&program)[0];
        signal(pid, name);
        bench.lost(ONE);
        bench.attached(ONE);
        gone(pid);
        bench.flows();
        bench.until(|metrics| metrics.lost == lost + 1);
    }
    // While it finishes.
    bench.until(|metrics| metrics.warm == 1);
    let pid = children(&program)[0];
    signal(pid, "-STOP");
    bench.submit(ONE, Op::ReleasePipeline);
    bench.until(|metrics| metrics.running == 0);
    signal(pid, "-KILL");
    gone(pid);
    bench.attach(TWO);
    bench.engine.shutdown();
    assert!(children(&program).is_empty());
}

#[test]
fn sound_goes_through_the_real_processor_and_comes_back() {
    let config = ProcessorConfig {
        program: Some(real()),
        ..ProcessorConfig::default()
    };
    let probe = super::probe(&config, 100).unwrap();
    assert!(probe.crossings.len() >= 95, "{}", probe.crossings.len());
}
