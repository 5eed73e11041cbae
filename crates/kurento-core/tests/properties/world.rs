//! The real object model with a media engine that always succeeds, and a virtual clock.

use crate::reference::Heard;
use salono_kurento_core::{Config, ConnectionKey, Effect, Now, ObjectModel};
use salono_kurento_model::{
    Error, Registry, Value,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_media_api::{ElementKey, Event, Op, PipelineKey, Reply};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

static REGISTRY: LazyLock<Arc<Registry>> = LazyLock::new(|| Arc::new(Registry::built_in()));

/// What an answer carries besides its session.
pub(crate) type Answer = Result<Value, Error>;

pub(crate) struct World {
    model: ObjectModel,
    epoch: Instant,
    pub(crate) passed: Duration,
    next_id: u64,
    answers: Vec<Answer>,
    /// Since the last step.
    pub(crate) heard: Vec<Heard>,
    /// What the engine holds.
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

    /// Pipelines and elements of the engine.
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
        assert_eq!(self.answers.len(), 1, "one answer");
        self.answers.pop().unwrap()
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
                Effect::WriteGraph { .. } => {}
                Effect::Engine(command) => {
                    if let Op::Create { token, element, .. } = command.op {
                        self.engine
                            .entry(command.pipeline)
                            .or_default()
                            .insert(element);
                        let result = Ok(Reply::Done);
                        let now = self.now();
                        self.model
                            .handle_engine(Event::Replied { token, result }, now);
                    } else if let Op::Release { element } = command.op {
                        self.engine
                            .entry(command.pipeline)
                            .or_default()
                            .remove(&element);
                    } else if matches!(command.op, Op::CreatePipeline) {
                        self.engine.entry(command.pipeline).or_default();
                    } else if matches!(command.op, Op::ReleasePipeline) {
                        self.engine.remove(&command.pipeline);
                    }
                }
                Effect::ReadHost(_) | Effect::Upload(..) => {}
            }
        }
    }
}
