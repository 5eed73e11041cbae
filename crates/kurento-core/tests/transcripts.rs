//! Replays the conversations in `tests/transcripts` (its README explains the format).
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod graphviz;

use salono_jsonrpc::{Limits, kurento};
use salono_kurento_core::{
    Config, ConnectionKey, Effect, HostFacts, Now, ObjectModel, UploadKey, UploadOrder,
    UploadReport,
};
use salono_kurento_model::{ErrorCode, Registry, Value, json, wire::ServerMessage};
use salono_media_api::processing::{
    ProcessorCall, ProcessorError, ProcessorEvent, ProcessorReply, Seekable, UriState,
};
use salono_media_api::{
    AudioLevel, Bitrate, CandidatePairState, CandidatePairStats, CandidateStats, CertificateStats,
    CodecStats, Command, ConnectionState, DataChannelState, DataChannelStats, DtlsState,
    ElementEvent, ElementKey, ElementSpec, ElementStats, Event, IceCandidate, IceState,
    LatencyStats, MediaError, MediaErrorKind, MediaKind, Op, PipelineKey, Reply, SpeakerEvent,
    StreamDirection, StreamName, StreamStats, TransportStats, ViewerKey,
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

#[test]
fn transcripts_are_answered_to_the_letter() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let update = std::env::var_os("UPDATE_TRANSCRIPTS").is_some();
    let mut paths: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let expected = fs::read_to_string(&path).unwrap();
        let actual = replay(&expected);
        if update {
            fs::write(&path, actual).unwrap();
            continue;
        }
        for (number, (expected, actual)) in expected.lines().zip(actual.lines()).enumerate() {
            let line = number + 1;
            assert_eq!(expected, actual, "{}:{line}", path.display());
        }
        assert_eq!(
            expected.lines().count(),
            actual.lines().count(),
            "{}",
            path.display()
        );
    }
}

#[test]
fn the_compatibility_page_and_the_transcripts_name_each_other() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(crate_root.join("../../docs/compat.md")).unwrap();
    let transcripts: BTreeSet<String> = fs::read_dir(crate_root.join("tests/transcripts"))
        .unwrap()
        .filter_map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            name.strip_suffix(".jsonl").map(str::to_owned)
        })
        .collect();
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_suffix('|')?.rsplit_once('|'))
        .flat_map(|(_, proof)| proof.split(','))
        .filter_map(|proof| proof.trim().strip_prefix('`')?.strip_suffix('`'))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, transcripts);
}

#[test]
fn every_error_code_is_in_a_transcript_or_said_never_to_be_sent() {
    let crate_root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sent = BTreeSet::new();
    for entry in fs::read_dir(crate_root.join("tests/transcripts")).unwrap() {
        let transcript = fs::read_to_string(entry.unwrap().path()).unwrap();
        let received = transcript
            .lines()
            .filter_map(|line| line.strip_prefix("< ")?.split_once(' '));
        for (_, text) in received {
            sent.extend(serde_json_from(text)["error"]["code"].as_i64());
        }
    }
    let page = fs::read_to_string(crate_root.join("../../docs/compat.md")).unwrap();
    let (_, section) = page.split_once("\n## Codes that are never sent\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let never: BTreeSet<i64> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split_once(' ')?.0.parse().ok())
        .collect();
    for code in ErrorCode::ALL {
        let code = i64::from(code.code());
        assert!(
            sent.contains(&code) != never.contains(&code),
            "{code}: sent in transcripts: {}, said never to be sent: {}",
            sent.contains(&code),
            never.contains(&code),
        );
    }
}

#[test]
fn graphs_read_as_graphviz_and_say_what_flows_where() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transcripts");
    let transcript = fs::read_to_string(folder.join("flow.jsonl")).unwrap();
    let dots: Vec<graphviz::Graph> = transcript
        .lines()
        .filter_map(|line| line.strip_prefix("< 0 "))
        .map(serde_json_from)
        .filter_map(|message| message["result"]["value"].as_str().map(str::to_owned))
        .filter(|text| text.starts_with("digraph"))
        .map(|text| graphviz::check(&text))
        .collect();
    let [whole, kinds, element, hub] = dots.as_slice() else {
        panic!("{} graphs", dots.len());
    };
    let labels = |graph: &graphviz::Graph| -> Vec<String> {
        graph
            .edges
            .iter()
            .map(|(_, _, label)| label.clone())
            .collect()
    };
    assert!(labels(whole).contains(&"VIDEO\nVP8\nFLOWING".to_owned()));
    assert!(labels(whole).contains(&"AUDIO\ndefault to other\nNOT_FLOWING".to_owned()));
    let named = |(_, label): &&(String, String)| label.contains("a \"name\"\\");
    let node = whole.nodes.iter().find(named).unwrap();
    assert!(
        node.1.contains("k=v") && node.1.contains("VIDEO: VP8"),
        "{node:?}"
    );
    assert!(labels(kinds).iter().all(|label| !label.contains("FLOWING")));
    assert_eq!(element.nodes.len(), 3, "the element and its neighbours");
    assert!(labels(element).contains(&"VIDEO\nFLOWING".to_owned()));
    assert!(labels(hub).contains(&"VIDEO\nVP8".to_owned()));
}

/// Frames of hostile and careless clients.
const BAD_FRAMES: &[&str] = &[
    "",
    " ",
    "{",
    "}",
    "null",
    "true",
    "5",
    "\"x\"",
    "[]",
    "{}",
    "\u{0}",
    "{\"jsonrpc\":\"2.0\"}",
    "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]",
    "{\"jsonrpc\":\"2.0\",\"id\":[],\"method\":\"ping\"}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":null}",
    "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"create\",\"params\":[]}",
    "{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"create\",\"params\":{\"type\":{}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":3,\"method\":\"create\",\"params\":{\"type\":\"WebRtcEndpoint\",\"constructorParams\":5}}",
    "{\"jsonrpc\":\"2.0\",\"id\":4,\"method\":\"invoke\",\"params\":{\"object\":[],\"operation\":{}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":5,\"method\":\"invoke\",\"params\":{\"object\":\"manager_ServerManager\",\"operation\":\"getUsedCpu\",\"operationParams\":{\"interval\":-9}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":6,\"method\":\"invoke\",\"params\":{\"object\":\"manager_ServerManager\",\"operation\":\"addTag\",\"operationParams\":{\"key\":{},\"value\":[]}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"transaction\",\"params\":{\"operations\":{}}}",
    "{\"jsonrpc\":\"2.0\",\"id\":8,\"method\":\"transaction\",\"params\":{\"operations\":[5]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0}]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":10,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0,\"method\":\"describe\",\"params\":{\"object\":\"newref:18446744073709551616\"}}]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":11,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0,\"method\":\"transaction\",\"params\":{\"operations\":[{\"id\":0,\"method\":\"transaction\",\"params\":{\"operations\":[]}}]}}]}}]}}]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":12,\"method\":\"closeSession\",\"params\":{\"sessionId\":\"\\ud83d\\ude00\",\"release\":[]}}",
    "{\"jsonrpc\":\"2.0\",\"id\":1e400,\"method\":\"ping\"}",
];

#[test]
fn bad_frames_get_one_answer_each_and_the_connection_lives() {
    let mut world = World::new(Config::default());
    let mut frames: Vec<String> = BAD_FRAMES.iter().map(|&text| text.to_owned()).collect();
    frames.push("[".repeat(100_000));
    frames.push(format!("\"{}\"", "x".repeat(2 << 20)));
    frames.push("{\"a\":".repeat(65));
    for frame in frames {
        world.send(0, &frame);
        world.pass(Duration::from_secs(1));
        let answers = world.received.remove(&0).unwrap_or_default();
        let shown: String = frame.chars().take(100).collect();
        assert_eq!(answers.len(), 1, "{shown}");
        world.send(0, r#"{"jsonrpc":"2.0","id":"alive","method":"ping"}"#);
        let alive = world.received.remove(&0).unwrap_or_default();
        assert_eq!(alive.len(), 1, "{shown}");
        assert_eq!(alive[0]["result"]["value"], "pong", "{shown}");
        // The same identifier would be answered from what is kept.
        world.pass(Duration::from_secs(30));
    }
}

#[test]
fn every_prefix_and_every_flipped_byte_of_a_request_is_survived() {
    let request = r#"{"jsonrpc":"2.0","id":1,"method":"transaction","params":{"operations":[{"jsonrpc":"2.0","id":0,"method":"create","params":{"type":"MediaPipeline"}},{"id":1,"method":"invoke","params":{"object":"newref:0","operation":"getName"}}]}}"#;
    let mut world = World::new(Config::default());
    for end in 0..request.len() {
        world.send(0, &request[..end]);
    }
    for at in 0..request.len() {
        for byte in [b'"', b'{', b']', b'0', b' '] {
            let mut bytes = request.as_bytes().to_vec();
            bytes[at] = byte;
            world.send(0, std::str::from_utf8(&bytes).unwrap());
        }
    }
    let answers = world.received.remove(&0).unwrap();
    assert_eq!(answers.len(), request.len() * 6);
}

/// Replays the steps of a transcript; returns it with what really happens.
fn replay(transcript: &str) -> String {
    let mut config = Config::default();
    let mut registry = Registry::built_in();
    let mut world: Option<World> = None;
    let mut names = Names::default();
    let mut output = String::new();
    for line in transcript.lines() {
        let (kind, rest) = match line {
            "=" => ("= ", ""),
            line => line.split_at(line.len().min(2)),
        };
        if kind == "< " {
            continue;
        }
        if let Some(setting) = rest.strip_prefix("config ").filter(|_| kind == "! ") {
            configure(&mut config, setting);
            writeln!(output, "{line}").unwrap();
            continue;
        }
        if let Some(name) = rest.strip_prefix("module ").filter(|_| kind == "! ") {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/modules");
            let text = fs::read_to_string(folder.join(name)).unwrap();
            registry
                .install(&text, &format!("/modules/{name}"))
                .unwrap();
            writeln!(output, "{line}").unwrap();
            continue;
        }
        if kind == "# " {
            writeln!(output, "{line}").unwrap();
            continue;
        }
        let world =
            world.get_or_insert_with(|| World::with(config.clone(), registry.clone().into()));
        match kind {
            "= " => {
                let told = std::mem::take(&mut world.told).join(" ");
                writeln!(output, "{}", format!("= {told}").trim_end()).unwrap();
                continue;
            }
            "> " => {
                let (connection, text) = rest.split_once(' ').unwrap_or((rest, ""));
                world.send(connection.parse().unwrap(), &names.reveal(text));
            }
            "! " => world.step(&names.reveal(rest)),
            _ => {}
        }
        writeln!(output, "{line}").unwrap();
        for (connection, messages) in std::mem::take(&mut world.received) {
            for message in messages {
                let text = names.redact(&message);
                writeln!(output, "< {connection} {text}").unwrap();
            }
        }
    }
    output
}

fn configure(config: &mut Config, setting: &str) {
    let (name, value) = setting.split_once(' ').unwrap();
    let number = || value.parse::<usize>().unwrap();
    match name {
        "objects" => config.limits.objects = number(),
        "sessions" => config.limits.sessions = number(),
        "subscriptions" => config.limits.subscriptions_per_session = number(),
        "tags" => config.limits.tags_per_object = number(),
        "text" => config.limits.text_bytes = number(),
        "sources" => config.limits.sources_per_element = number(),
        "sdp" => config.limits.sdp_bytes = number(),
        "candidates" => config.limits.candidates_per_endpoint = number(),
        "requests" => config.limits.requests_per_connection = number(),
        "operations" => config.limits.transaction_operations = number(),
        "depth" => config.limits.transaction_depth = number(),
        "replies" => config.reply_lifetime = Duration::from_secs(value.parse().unwrap()),
        "isolate" => config.isolate_sessions = value == "true",
        "max_video_send" => config.max_video_send_kbps = value.parse().ok(),
        "default_path" => config.uris.default_path = value.to_owned(),
        "composite_width" => config.uris.composite_width = value.parse().unwrap(),
        "encoder_bitrate" => config.endpoints.encoder_bitrate = value.parse().unwrap(),
        "pictures" => config.limits.pictures_per_filter = number(),
        "metadata" => config.metadata = value.to_owned(),
        _ => panic!("unknown setting {name}"),
    }
}

/// The object model between clients, a fake engine and a virtual clock.
struct World {
    model: ObjectModel,
    epoch: Instant,
    passed: Duration,
    connections: BTreeSet<u64>,
    known: BTreeSet<u64>,
    received: BTreeMap<u64, Vec<Value>>,
    /// Names of the operations that the engine was told.
    told: Vec<String>,
    /// Where the shell cannot listen for uploads.
    deaf: bool,
    /// The endpoint that takes uploads.
    upload: UploadKey,
    /// Graphs that were to be written, with the objects' ids.
    graphs: Vec<(String, String)>,
    /// Keys of elements by their ids, as created.
    elements: Vec<ElementKey>,
    /// Viewers, in the order in which they were named.
    viewers: Vec<ViewerKey>,
    /// Those that process media.
    processing: BTreeSet<ElementKey>,
    /// Whose speakers were detected last.
    pipeline: PipelineKey,
    failure: Option<MediaError>,
    /// What an element of a module answers next.
    json: Option<String>,
    holding: bool,
    held: VecDeque<Event>,
    hosts_read: u64,
}

impl World {
    fn new(config: Config) -> Self {
        Self::with(config, Arc::new(Registry::built_in()))
    }

    fn with(config: Config, registry: Arc<Registry>) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "any instant does: the clock is virtual"
        )]
        let epoch = Instant::now();
        let now = Now {
            monotonic: epoch,
            unix_ms: START_MS,
        };
        Self {
            model: ObjectModel::new(config, registry, kurento::read_operation, [1; 32], now),
            epoch,
            passed: Duration::ZERO,
            connections: BTreeSet::new(),
            known: BTreeSet::new(),
            received: BTreeMap::new(),
            told: Vec::new(),
            deaf: false,
            upload: UploadKey(0),
            graphs: Vec::new(),
            elements: Vec::new(),
            viewers: Vec::new(),
            processing: BTreeSet::new(),
            pipeline: PipelineKey(0),
            failure: None,
            json: None,
            holding: false,
            held: VecDeque::new(),
            hosts_read: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.epoch + self.passed,
            unix_ms: START_MS + u64::try_from(self.passed.as_millis()).unwrap(),
        }
    }

    fn send(&mut self, connection: u64, text: &str) {
        let key = ConnectionKey(connection);
        if self.connections.insert(connection) {
            self.model.handle_connect(key);
        }
        let known = self.known.contains(&connection);
        match kurento::decode_request(text, &Limits::default(), known) {
            Ok(message) => self.model.handle_message(key, message, self.now()),
            Err(refusal) => self.receive(connection, &refusal),
        }
        self.settle();
    }

    fn receive(&mut self, connection: u64, message: &ServerMessage) {
        if let ServerMessage::Response { result: Ok(it), .. } = message
            && it.get("sessionId").is_some()
        {
            self.known.insert(connection);
        }
        let value = serde_json_from(&kurento::encode_message(message));
        self.received.entry(connection).or_default().push(value);
    }

    /// Carries out effects until there are none.
    fn settle(&mut self) {
        while let Some(effect) = self.model.poll_effect() {
            match effect {
                Effect::Send {
                    connection,
                    message,
                } => self.receive(connection.0, &message),
                Effect::Engine(command) => self.engine(command),
                Effect::WriteGraph { object, text } => {
                    graphviz::check(&text);
                    self.graphs.push((object, text));
                }
                Effect::Upload(upload, order) => self.serve(upload, order),
                Effect::ReadHost(token) => {
                    self.hosts_read += 1;
                    let facts = HostFacts {
                        processors: 4,
                        resident_kib: 12_345,
                        processor_time: Duration::from_millis(500 * self.hosts_read),
                    };
                    self.model.handle_host(token, facts, self.now());
                }
            }
        }
    }

    /// What a server of HTTP would do.
    fn serve(&mut self, upload: UploadKey, order: UploadOrder) {
        let told = match order {
            UploadOrder::Open { token, path } => {
                self.upload = upload;
                let result = if self.deaf {
                    Err("the port is in use".to_owned())
                } else {
                    Ok(format!("http://192.0.2.1:9091/{path}"))
                };
                let report = UploadReport::Opened { token, result };
                self.model.handle_upload(upload, report, self.now());
                "open".to_owned()
            }
            UploadOrder::Continue(Ok(())) => "continue".to_owned(),
            UploadOrder::Continue(Err(reason)) => format!("refuse:{}", reason.replace(' ', "-")),
            UploadOrder::Close => "close".to_owned(),
        };
        self.told.push(format!("Upload({told})"));
    }

    fn engine(&mut self, command: Command) {
        let debug = format!("{:?}", command.op);
        let name = debug.split([' ', '{']).next().unwrap();
        let told = if let Op::Route { port, from, kind } = &command.op {
            // Which way is what matters: by the elements' keys.
            let from = from.map_or("nothing".to_owned(), |from| from.0.to_string());
            format!("{name}({from}->{} {kind:?})", port.0)
        } else if let Op::DetectSpeakers { detection } = &command.op {
            self.pipeline = command.pipeline;
            let settings = detection.map_or("no".to_owned(), |it| {
                let every = it.level_interval.map(|it| format!("{it:?}"));
                let every = every.unwrap_or("never".to_owned());
                format!("loudest:{},levels:{every}", it.loudest)
            });
            format!("{name}({settings})")
        } else if let Op::Call { element, call, .. } = &command.op {
            format!("{name}({} {})", element.0, compact(call))
        } else if let Op::SetEncoding { element, encoding } = &command.op {
            format!("{name}({} {})", element.0, compact(encoding))
        } else if let Op::Create {
            element,
            spec: ElementSpec::Processor(spec),
            ..
        } = &command.op
        {
            format!("{name}({} {})", element.0, compact(spec))
        } else if let Op::WishVideo { element, wish } = &command.op {
            let index = self.elements.iter().position(|it| it == element).unwrap();
            let (height, priority) = (wish.height, wish.priority);
            format!("{name}({index} height:{height},priority:{priority})")
        } else if let Op::SetViewer { element, viewer } = &command.op {
            let index = self.elements.iter().position(|it| it == element).unwrap();
            let viewers = &mut self.viewers;
            let known = viewer.map(|viewer| {
                let known = viewers.iter().position(|it| *it == viewer);
                known.unwrap_or_else(|| {
                    viewers.push(viewer);
                    viewers.len() - 1
                })
            });
            let viewer = known.map_or("nobody".to_owned(), |it| format!("viewer:{it}"));
            format!("{name}({index} {viewer})")
        } else {
            name.to_owned()
        };
        self.told.push(told);
        let (token, reply) = match command.op {
            Op::Create {
                token,
                element,
                spec,
            } => {
                if matches!(spec, ElementSpec::Processor(_)) {
                    self.processing.insert(element);
                }
                self.elements.push(element);
                (token, Reply::Done)
            }
            Op::GatherCandidates { token, .. }
            | Op::AddIceCandidate { token, .. }
            | Op::RequestKeyframe { token, .. }
            | Op::CreateDataChannel { token, .. }
            | Op::CloseDataChannel { token, .. } => (token, Reply::Done),
            Op::GenerateOffer { token, .. } => (token, Reply::Sdp("our offer".to_owned())),
            Op::ProcessOffer { token, .. } => (token, Reply::Sdp("our answer".to_owned())),
            Op::ProcessAnswer { token, .. } => (token, Reply::Sdp("our offer".to_owned())),
            Op::Description { token, remote, .. } => {
                let negotiated = self.told.iter().any(|told| told.starts_with("Process"));
                let text = if remote { "theirs" } else { "ours" };
                (
                    token,
                    Reply::Description(negotiated.then(|| text.to_owned())),
                )
            }
            Op::Call { token, call, .. } => {
                let json = self.json.take().map(ProcessorReply::Json);
                let reply = json.unwrap_or_else(|| processed(&call));
                (token, Reply::Processed(reply))
            }
            Op::Stats { token, element } => {
                let mut stats = statistics();
                if self.processing.contains(&element) {
                    stats = ElementStats {
                        input_latency: stats.input_latency,
                        end_to_end_latency: stats.end_to_end_latency,
                        ..ElementStats::default()
                    };
                }
                (token, Reply::Stats(Box::new(stats)))
            }
            Op::CreatePipeline
            | Op::ReleasePipeline
            | Op::Release { .. }
            | Op::Connect { .. }
            | Op::Disconnect { .. }
            | Op::MeasureLatency { .. }
            | Op::DetectSpeakers { .. }
            | Op::SetBandwidth { .. }
            | Op::SetRembParams { .. }
            | Op::WishVideo { .. }
            | Op::SetViewer { .. }
            | Op::SetEncoding { .. }
            | Op::Route { .. }
            | Op::SetIce { .. } => return,
        };
        let result = self.failure.take().map_or(Ok(reply), Err);
        let event = Event::Replied { token, result };
        if self.holding {
            self.held.push_back(event);
        } else {
            self.model.handle_engine(event, self.now());
        }
    }

    fn hear(&mut self, event: SpeakerEvent) {
        let pipeline = self.pipeline;
        let event = Event::Speakers { pipeline, event };
        self.model.handle_engine(event, self.now());
    }

    fn pass(&mut self, time: Duration) {
        let end = self.passed + time;
        loop {
            let (due, _) = self.model.poll_timeout();
            let due = due.duration_since(self.epoch);
            if due > end {
                break;
            }
            self.passed = self.passed.max(due);
            self.model.handle_timeout(self.now());
            self.settle();
        }
        self.passed = end;
    }

    fn step(&mut self, step: &str) {
        let words: Vec<&str> = step.split(' ').collect();
        match words[0] {
            "close" => {
                let connection: u64 = words[1].parse().unwrap();
                let now = self.now();
                self.model.handle_disconnect(ConnectionKey(connection), now);
            }
            "wait" => self.pass(Duration::from_secs(words[1].parse().unwrap())),
            "hold" => self.holding = true,
            "answer" => {
                self.holding = false;
                while let Some(event) = self.held.pop_front() {
                    self.model.handle_engine(event, self.now());
                    self.settle();
                }
            }
            "fail" => self.failure = Some(MediaError::new(kind(words[1]), words[2..].join(" "))),
            "graphs" => {
                for (object, text) in std::mem::take(&mut self.graphs) {
                    let graph = graphviz::check(&text);
                    let line = format!(
                        "graph of {object}: {} nodes, {} arrows",
                        graph.nodes.len(),
                        graph.edges.len()
                    );
                    self.received.entry(0).or_default().push(line.into());
                }
            }
            "json" => self.json = Some(words[1..].join(" ")),
            "deaf" => self.deaf = words[1] == "true",
            "upload" => {
                let report = match words[1] {
                    "begun" => UploadReport::Begun,
                    "ended" => UploadReport::Ended,
                    text => UploadReport::Piece {
                        bytes: text.as_bytes().to_vec(),
                        content_type: "video/webm".to_owned(),
                    },
                };
                self.model.handle_upload(self.upload, report, self.now());
            }
            "release-all" => self.model.release_all(self.now()),
            "speaks" => {
                let element = words[1].parse::<usize>().ok();
                let element = element.map(|index| self.elements[index]);
                self.hear(SpeakerEvent::Active(element));
            }
            "levels" => {
                let levels = words[1..].chunks(2).map(|pair| AudioLevel {
                    element: self.elements[pair[0].parse::<usize>().unwrap()],
                    dbov: pair[1].parse().unwrap(),
                });
                self.hear(SpeakerEvent::Levels(levels.collect()));
            }
            "event" => {
                let element = self.elements[words[1].parse::<usize>().unwrap()];
                let event = element_event(words[2], &words[3..]);
                let event = Event::Element { element, event };
                self.model.handle_engine(event, self.now());
            }
            _ => panic!("unknown step {step}"),
        }
        self.settle();
    }
}

/// Milliseconds since 1970 when a transcript begins.
const START_MS: u64 = 1_700_000_000_000;

fn kind(name: &str) -> MediaErrorKind {
    [
        MediaErrorKind::NotFound,
        MediaErrorKind::NotSupported,
        MediaErrorKind::SdpParse,
        MediaErrorKind::SdpNegotiation,
        MediaErrorKind::AlreadyNegotiated,
        MediaErrorKind::Gather,
        MediaErrorKind::Candidate,
        MediaErrorKind::Limit,
        MediaErrorKind::IllegalParam,
        MediaErrorKind::Unavailable,
        MediaErrorKind::Seek,
        MediaErrorKind::PropertyType,
        MediaErrorKind::Internal,
    ]
    .into_iter()
    .find(|kind| format!("{kind:?}") == name)
    .unwrap()
}

fn element_event(name: &str, arguments: &[&str]) -> ElementEvent {
    let media = || match arguments[0] {
        "AUDIO" => MediaKind::Audio,
        "VIDEO" => MediaKind::Video,
        _ => MediaKind::Data,
    };
    let stream = || match arguments {
        [_, name, _] => StreamName::Named((*name).into()),
        _ => StreamName::Default,
    };
    let flag = || arguments.last() == Some(&"true");
    let connected = || {
        if flag() {
            ConnectionState::Connected
        } else {
            ConnectionState::Disconnected
        }
    };
    match name {
        "IceCandidateFound" => ElementEvent::IceCandidateFound(IceCandidate {
            candidate: "candidate:1 1 UDP 1 127.0.0.1 5000 typ host".to_owned(),
            mid: "audio0".to_owned(),
            mline_index: 0,
        }),
        "IceGatheringDone" => ElementEvent::IceGatheringDone,
        "IceState" => ElementEvent::IceState {
            stream: 1,
            component: 1,
            state: IceState::Connected,
        },
        "CandidatePairSelected" => ElementEvent::CandidatePairSelected {
            stream: 1,
            component: 1,
            local: "candidate:ours".to_owned(),
            remote: "candidate:theirs".to_owned(),
        },
        "DtlsState" => ElementEvent::DtlsState {
            stream: 1,
            component: 1,
            state: DtlsState::Connected,
        },
        "Connection" => ElementEvent::Connection(connected()),
        "Media" => ElementEvent::Media(connected()),
        "FlowIn" => ElementEvent::FlowIn {
            kind: media(),
            stream: stream(),
            flowing: flag(),
        },
        "FlowOut" => ElementEvent::FlowOut {
            kind: media(),
            stream: stream(),
            flowing: flag(),
        },
        "Codec" => ElementEvent::Codec {
            kind: media(),
            name: arguments[1].to_owned(),
        },
        "LayerChanged" => ElementEvent::LayerChanged {
            spatial: arguments[0].parse().unwrap(),
            temporal: arguments[1].parse().unwrap(),
            height: arguments.get(2).map(|height| height.parse().unwrap()),
        },
        "DataChannelOpened" => ElementEvent::DataChannelOpened { channel: 1 },
        "DataChannelClosed" => ElementEvent::DataChannelClosed { channel: 1 },
        "State" => ElementEvent::Processor(ProcessorEvent::State(match arguments[0] {
            "START" => UriState::Start,
            "PAUSE" => UriState::Pause,
            _ => UriState::Stop,
        })),
        "EndOfStream" => ElementEvent::Processor(ProcessorEvent::EndOfStream),
        "Recorded" => ElementEvent::Processor(ProcessorEvent::Recorded {
            uri: arguments[0].to_owned(),
            duration_ms: 1_500,
            bytes: 40_000,
        }),
        "CodeFound" => ElementEvent::Processor(ProcessorEvent::CodeFound {
            kind: arguments[0].to_owned(),
            value: arguments[1].to_owned(),
        }),
        "Signal" => ElementEvent::Processor(ProcessorEvent::Signal {
            name: arguments[0].to_owned(),
            fields: arguments[1].to_owned(),
        }),
        "Transcoding" => ElementEvent::Processor(ProcessorEvent::Transcoding {
            kind: media(),
            on: flag(),
        }),
        "Error" => ElementEvent::Processor(ProcessorEvent::Error(ProcessorError {
            code: arguments[0].parse().unwrap(),
            kind: arguments[1].to_owned(),
            description: arguments[2..].join(" "),
        })),
        "Failed" => ElementEvent::Failed(MediaError::new(MediaErrorKind::Internal, "it broke")),
        _ => panic!("unknown event {name}"),
    }
}

/// A value in the words of Rust, without spaces.
fn compact(value: &impl std::fmt::Debug) -> String {
    format!("{value:?}").replace(' ', "")
}

/// What an element that processes media answers.
fn processed(call: &ProcessorCall) -> ProcessorReply {
    match call {
        ProcessorCall::Position => ProcessorReply::Position(1_234),
        ProcessorCall::VideoInfo => ProcessorReply::Seekable(Seekable {
            seekable: true,
            from_ms: 0,
            to_ms: 60_000,
            duration_ms: 60_000,
        }),
        ProcessorCall::Dot => ProcessorReply::Text("digraph player {\n}\n".to_owned()),
        ProcessorCall::Invoke { .. } | ProcessorCall::GetProperty { .. } => {
            ProcessorReply::Json("null".to_owned())
        }
        ProcessorCall::Play
        | ProcessorCall::Record
        | ProcessorCall::Pause
        | ProcessorCall::Stop
        | ProcessorCall::StopAndWait
        | ProcessorCall::SetPosition { .. }
        | ProcessorCall::Body { .. }
        | ProcessorCall::SetMaster { .. }
        | ProcessorCall::SetPort { .. }
        | ProcessorCall::SetLayout { .. }
        | ProcessorCall::MixAudio { .. }
        | ProcessorCall::SetElementProperty { .. }
        | ProcessorCall::AddPicture { .. }
        | ProcessorCall::RemovePicture { .. }
        | ProcessorCall::SetFacePicture { .. }
        | ProcessorCall::SetBackground { .. }
        | ProcessorCall::SetProperty { .. } => ProcessorReply::Done,
    }
}

fn statistics() -> ElementStats {
    let stream = |direction, kind, ssrc, payload_type| StreamStats {
        direction,
        kind,
        ssrc,
        packets: 100,
        bytes: 5_000,
        packets_lost: 2,
        fraction_lost: 0.25,
        jitter: Duration::from_millis(5),
        round_trip_time: Some(Duration::from_millis(20)),
        fir_count: 0,
        pli_count: 1,
        nack_count: 3,
        remb: Some(Bitrate::kbps(300)),
        bitrate: Bitrate::kbps(250),
        frames: 30,
        frames_per_second: 15,
        transport: Some(1),
        payload_type,
        rid: None,
        frame_height: None,
    };
    let codec = |kind, payload_type, name: &str, clock_rate, channels| CodecStats {
        kind,
        payload_type,
        name: name.to_owned(),
        clock_rate,
        channels,
        parameters: String::new(),
    };
    let candidate = |address: &str, port, kind: &str| CandidateStats {
        address: address.to_owned(),
        port,
        protocol: "udp".to_owned(),
        kind: kind.to_owned(),
        priority: 100,
    };
    let pair = |remote, state, selected| CandidatePairStats {
        local: candidate("192.0.2.1", 5_000, "host"),
        remote,
        state,
        selected,
        round_trip_time: Some(Duration::from_millis(15)),
        available_outgoing: Some(Bitrate::kbps(2_000)),
        available_incoming: None,
    };
    let certificate = |local, byte| CertificateStats {
        local,
        fingerprint: "AA:BB".to_owned(),
        algorithm: "sha-256".to_owned(),
        certificate: vec![byte; 4],
    };
    let latency = |kind, average| LatencyStats {
        kind,
        average: Duration::from_micros(average),
    };
    let latencies = vec![
        latency(MediaKind::Audio, 40),
        latency(MediaKind::Video, 250),
    ];
    ElementStats {
        streams: vec![
            stream(StreamDirection::Inbound, MediaKind::Audio, 7, Some(111)),
            stream(StreamDirection::Inbound, MediaKind::Video, 8, Some(96)),
            stream(
                StreamDirection::Outbound,
                MediaKind::Video,
                4_000_000_000,
                None,
            ),
        ],
        data_channels: vec![DataChannelStats {
            id: 1,
            label: "chat".to_owned(),
            protocol: String::new(),
            state: DataChannelState::Open,
            messages_sent: 1,
            bytes_sent: 2,
            messages_received: 3,
            bytes_received: 4,
        }],
        data_channels_opened: Some(1),
        data_channels_closed: 0,
        transports: vec![TransportStats {
            stream: 1,
            bytes_sent: 9_000,
            bytes_received: 8_000,
            pairs: vec![
                pair(
                    candidate("198.51.100.2", 6_000, "srflx"),
                    CandidatePairState::Succeeded,
                    true,
                ),
                pair(
                    candidate("203.0.113.3", 7_000, "relay"),
                    CandidatePairState::InProgress,
                    false,
                ),
            ],
            certificates: vec![certificate(true, 1), certificate(false, 2)],
        }],
        codecs: vec![
            codec(MediaKind::Audio, 111, "opus", 48_000, 2),
            codec(MediaKind::Video, 96, "VP8", 90_000, 0),
        ],
        input_latency: latencies.clone(),
        end_to_end_latency: latencies,
    }
}

fn serde_json_from(text: &str) -> Value {
    text.parse().unwrap()
}

/// Identifiers and the names that stand for them.
#[derive(Default)]
struct Names {
    by_id: BTreeMap<String, String>,
    counts: BTreeMap<String, usize>,
}

impl Names {
    fn redact(&mut self, message: &Value) -> String {
        if let Some(server) = message["result"]["serverId"].as_str() {
            self.by_id.insert(server.to_owned(), "$SERVER".to_owned());
        }
        if let Some(session) = message["result"]["sessionId"].as_str() {
            self.name(session, "S");
        }
        let text = match message["result"]["value"].as_str() {
            // Descriptors are long and not the subject.
            Some(text) if text.len() > 5_000 => {
                let mut message = message.clone();
                message["result"]["value"] = json!("(long)");
                message.to_string()
            }
            _ => message.to_string(),
        };
        let mut output = String::new();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            let length = identifier(rest);
            if length == 0 {
                output.push(character);
                rest = &rest[character.len_utf8()..];
                continue;
            }
            let (id, after) = rest.split_at(length);
            let class = id.rsplit_once('.').map_or("U", |(_, class)| class);
            output.push_str(&self.name(id, class));
            rest = after;
        }
        output
    }

    fn name(&mut self, id: &str, kind: &str) -> String {
        if !self.by_id.contains_key(id) {
            if identifier(id) != id.len() {
                return id.to_owned();
            }
            let count = self.counts.entry(kind.to_owned()).or_default();
            self.by_id.insert(id.to_owned(), format!("${kind}{count}"));
            *count += 1;
        }
        self.by_id[id].clone()
    }

    fn reveal(&self, text: &str) -> String {
        let mut text = text.to_owned();
        let mut pairs: Vec<_> = self.by_id.iter().collect();
        // `$S1` must not be taken for the beginning of `$S10`.
        pairs.sort_by_key(|(_, name)| std::cmp::Reverse(name.len()));
        for (id, name) in pairs {
            text = text.replace(name.as_str(), id);
        }
        text
    }
}

/// Length of the identifier that the text begins with: a UUID, or the path of an object.
fn identifier(text: &str) -> usize {
    let is_uuid = |text: &str| {
        text.len() >= 36
            && text.bytes().take(36).enumerate().all(|(at, byte)| {
                if matches!(at, 8 | 13 | 18 | 23) {
                    byte == b'-'
                } else {
                    byte.is_ascii_hexdigit()
                }
            })
    };
    let mut length = 0;
    loop {
        let rest = &text[length..];
        let step = rest
            .strip_prefix('/')
            .filter(|_| length > 0)
            .unwrap_or(rest);
        if !is_uuid(step) || (length > 0 && step.len() == rest.len()) {
            return length;
        }
        length += rest.len() - step.len() + 36;
        let class = text[length..]
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
            .count();
        length += class;
        if class == 0 {
            return length;
        }
    }
}
