//! The real object model with the real media engine, and a virtual clock for sessions.
//!
//! The model's sequences know no more than elements that hand on what they receive. The engine gets
//! endpoints for some of them, and has to negotiate: they own sockets, ports and timers.

use crate::reference::Heard;
use salono_kurento_core::{Config, ConnectionKey, Effect, Now, ObjectModel};
use salono_kurento_model::{
    Error, Registry, Value,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_media_api::{
    Command, CommandSink as _, ElementKey, ElementSpec, Event, OfferKinds, Op, PipelineKey,
    RtpSpec, Token, WebRtcSpec,
};
use salono_media_core::Certificates;
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, LazyLock,
        mpsc::{Receiver, TrySendError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(Registry::built_in()));

thread_local! {
    /// The engine that every sequence uses, one after the other.
    static ENGINE: RefCell<Option<(EngineHandle, Receiver<Event>)>> = const { RefCell::new(None) };
}

/// How long the engine may take to answer; far more than it does.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tokens from here on are not the model's.
const OURS: Token = Token(1 << 63);

/// What an answer carries besides its session.
pub(crate) type Answer = Result<Value, Error>;

/// Starts the engine of this thread's sequences.
pub(crate) fn start_engine() -> EngineHandle {
    let certificates = Certificates::generate().expect("certificates");
    let mut settings = EngineConfig::new(certificates);
    settings.shards = 3;
    // Endpoints of a pipeline take turns on the shards.
    settings.spreading.endpoints_per_part = 1;
    settings.ips = vec![IpAddr::V4(Ipv4Addr::LOCALHOST)];
    let (events, reports) = sync_channel(4_096);
    let engine = Engine::start(&settings, move |event| match events.try_send(event) {
        Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        Err(TrySendError::Full(event)) => Err(event),
    })
    .unwrap();
    ENGINE.set(Some((engine.clone(), reports)));
    engine
}

/// What the engine holds: pipelines, elements, endpoints, and tracks with their copies on other
/// shards.
pub(crate) fn held(engine: &EngineHandle) -> u64 {
    let shards = engine.metrics();
    let held = shards.iter();
    held.map(|shard| {
        let tracks = shard.tracks + shard.mirrors + shard.mirrored;
        shard.pipelines + shard.elements + shard.endpoints + tracks
    })
    .sum()
}

/// Forgets the engine.
pub(crate) fn let_go() {
    ENGINE.set(None);
}

pub(crate) struct World {
    model: ObjectModel,
    epoch: Instant,
    pub(crate) passed: Duration,
    next_id: u64,
    answers: Vec<Answer>,
    /// Since the last step.
    pub(crate) heard: Vec<Heard>,
    /// What the engine was told to hold.
    engine: BTreeMap<PipelineKey, BTreeSet<ElementKey>>,
}

impl World {
    pub(crate) fn new(period: Duration, seed: u64) -> Self {
        #[allow(
            clippy::disallowed_methods,
            reason = "any instant does: the clock is virtual"
        )]
        let epoch = Instant::now();
        let now = Now {
            monotonic: epoch,
            unix_ms: 0,
        };
        let config = Config {
            session_period: period,
            ..Config::default()
        };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let read = |method: &str, params| salono_jsonrpc::kurento::read_operation(method, params);
        Self {
            model: ObjectModel::new(config, Arc::clone(&REGISTRY), read, bytes, now),
            epoch,
            passed: Duration::ZERO,
            next_id: 0,
            answers: Vec::new(),
            heard: Vec::new(),
            engine: BTreeMap::new(),
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.epoch + self.passed,
            unix_ms: u64::try_from(self.passed.as_millis()).unwrap(),
        }
    }

    pub(crate) fn objects(&self) -> usize {
        self.model.object_count()
    }

    pub(crate) fn sessions(&self) -> usize {
        self.model.session_count()
    }

    /// Pipelines and elements that the engine was told to hold.
    pub(crate) fn engine(&self) -> usize {
        self.engine
            .values()
            .map(|elements| 1 + elements.len())
            .sum()
    }

    pub(crate) fn open(&mut self, connection: u64) {
        self.model.handle_connect(ConnectionKey(connection));
    }

    pub(crate) fn close(&mut self, connection: u64) {
        let now = self.now();
        self.model.handle_disconnect(ConnectionKey(connection), now);
        self.settle();
    }

    /// Sends a request and takes its one answer.
    pub(crate) fn ask(
        &mut self,
        connection: u64,
        session: Option<&str>,
        request: Request,
    ) -> Answer {
        self.next_id += 1;
        let message = ClientMessage {
            id: Some(self.next_id.into()),
            session: session.map(str::to_owned),
            request,
        };
        let now = self.now();
        self.model
            .handle_message(ConnectionKey(connection), message, now);
        self.settle();
        while self.answers.is_empty() {
            let event = ENGINE.with_borrow(|engine| {
                let (_, reports) = engine.as_ref().expect("the engine runs");
                reports.recv_timeout(PATIENCE).expect("the engine answers")
            });
            self.take(event);
        }
        assert_eq!(self.answers.len(), 1, "one answer");
        self.answers.pop().unwrap()
    }

    /// An answer for the model; it is not to know what became of its elements.
    fn take(&mut self, event: Event) {
        if matches!(&event, Event::Replied { token, .. } if *token < OURS) {
            let now = self.now();
            self.model.handle_engine(event, now);
            self.settle();
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.passed + time;
        loop {
            let (due, _) = self.model.poll_timeout();
            let due = due.duration_since(self.epoch);
            if due > end {
                break;
            }
            self.passed = self.passed.max(due);
            let now = self.now();
            self.model.handle_timeout(now);
            self.settle();
        }
        self.passed = end;
    }

    fn settle(&mut self) {
        while let Some(effect) = self.model.poll_effect() {
            match effect {
                Effect::Send {
                    connection,
                    message: ServerMessage::Event(event),
                } => {
                    let about = ["sink", "object", "objectId"]
                        .iter()
                        .find_map(|name| event.data.get(*name)?.as_str());
                    let about = about.unwrap().to_owned();
                    self.heard
                        .push((connection.0, event.object, event.event, about));
                }
                Effect::Send {
                    message: ServerMessage::Response { result, .. },
                    ..
                } => self.answers.push(result),
                Effect::Engine(command) => self.order(command),
                Effect::WriteGraph { .. } | Effect::ReadHost(_) | Effect::Upload(..) => {}
            }
        }
    }

    /// Hands a command over.
    fn order(&mut self, command: Command) {
        let pipeline = command.pipeline;
        let elements = self.engine.entry(pipeline).or_default();
        if let Op::Create { token, element, .. } = command.op {
            elements.insert(element);
            return create(pipeline, token, element);
        }
        if let Op::Release { element } = command.op {
            elements.remove(&element);
        } else if matches!(command.op, Op::ReleasePipeline) {
            self.engine.remove(&pipeline);
        }
        submit(command);
    }
}

/// Creates an element; endpoints negotiate at once.
fn create(pipeline: PipelineKey, token: Token, element: ElementKey) {
    let spec = spec(element);
    let negotiates = spec != ElementSpec::PassThrough;
    let create = Op::Create {
        token,
        element,
        spec,
    };
    let offer = Op::GenerateOffer {
        token: OURS,
        element,
        kinds: OfferKinds {
            audio: 1,
            video: 1,
            again: None,
        },
    };
    let gather = Op::GatherCandidates {
        token: OURS,
        element,
    };
    submit(Command {
        pipeline,
        op: create,
    });
    if negotiates {
        for op in [offer, gather] {
            submit(Command { pipeline, op });
        }
    }
}

/// What an element is for the engine.
fn spec(element: ElementKey) -> ElementSpec {
    match element.0 % 3 {
        0 => ElementSpec::WebRtc(WebRtcSpec {
            data_channels: true,
            ..WebRtcSpec::default()
        }),
        1 => ElementSpec::Rtp(RtpSpec::default()),
        _ => ElementSpec::PassThrough,
    }
}

fn submit(command: Command) {
    ENGINE.with_borrow_mut(|engine| {
        let (engine, _) = engine.as_mut().expect("the engine runs");
        let mut command = Box::new(command);
        while let Err(refused) = engine.submit(*command) {
            command = refused;
            thread::yield_now();
        }
    });
}
