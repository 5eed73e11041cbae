//! The server under test: a media engine with one shard, told what to do as the object model does.

use super::ForwardError;
use salono_media_api::{
    Command, CommandSink, ElementEvent, ElementKey, ElementSpec, Event, MediaKind, Op, PipelineKey,
    Reply, ShardMetrics, Token, WebRtcSpec,
};
use salono_media_core::Certificates;
use salono_media_engine::{Engine, EngineConfig, EngineHandle};
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Events that may wait for us; the engine keeps more.
const EVENTS: usize = 8_192;

/// The only pipeline.
const PIPELINE: PipelineKey = PipelineKey(1);

/// A running engine with one shard and one pipeline.
pub(super) struct Server {
    /// Carries commands.
    engine: EngineHandle,
    /// What the shard reports.
    events: Receiver<Event>,
    /// Keys and tokens handed out so far.
    last_key: u64,
}

/// An endpoint of the server and how to reach it.
pub(super) struct Endpoint {
    /// Its key.
    pub(super) element: ElementKey,
    /// The answer to the peer's offer.
    pub(super) answer: String,
    /// Its candidates.
    pub(super) candidates: Vec<String>,
}

impl Server {
    /// Starts the engine on a free port of `ip`.
    pub(super) fn start(ip: IpAddr) -> Result<Self, ForwardError> {
        let certificates = Certificates::generate().map_err(|error| failed(&error))?;
        let config = EngineConfig {
            shards: 1,
            ips: vec![ip],
            ..EngineConfig::new(certificates)
        };
        let (sender, events) = sync_channel(EVENTS);
        let sink = move |event| {
            sender.try_send(event).map_err(|refused| match refused {
                TrySendError::Full(event) | TrySendError::Disconnected(event) => event,
            })
        };
        let engine = Engine::start(&config, sink).map_err(|error| failed(&error))?;
        let mut server = Self {
            engine,
            events,
            last_key: 0,
        };
        server.submit(Op::CreatePipeline)?;
        Ok(server)
    }

    /// Makes an endpoint that answers `offer`.
    pub(super) fn answer(&mut self, offer: String) -> Result<Endpoint, ForwardError> {
        let element = ElementKey(self.next_key());
        let spec = ElementSpec::WebRtc(WebRtcSpec::default());
        self.ask(|token| Op::Create {
            token,
            element,
            spec,
        })?;
        let reply = self.ask(|token| Op::ProcessOffer {
            token,
            element,
            sdp: offer,
        })?;
        let Reply::Sdp(answer) = reply else {
            return Err(ForwardError::Server(format!("answered with {reply:?}")));
        };
        let token = Token(self.next_key());
        self.submit(Op::GatherCandidates { token, element })?;
        let mut candidates = Vec::new();
        loop {
            match self.next_event()? {
                Event::Element { element: of, event } if of == element => {
                    if let ElementEvent::IceCandidateFound(found) = event {
                        if !candidates.contains(&found.candidate) {
                            candidates.push(found.candidate);
                        }
                    } else if event == ElementEvent::IceGatheringDone {
                        break;
                    }
                }
                Event::Replied {
                    result: Err(error), ..
                } => return Err(failed(&error)),
                Event::Element { .. } | Event::Replied { .. } | Event::Speakers { .. } => {}
            }
        }
        Ok(Endpoint {
            element,
            answer,
            candidates,
        })
    }

    /// Sends audio and video of one endpoint to another.
    pub(super) fn connect(
        &mut self,
        source: ElementKey,
        sink: ElementKey,
    ) -> Result<(), ForwardError> {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            self.submit(Op::Connect { source, sink, kind })?;
        }
        Ok(())
    }

    /// Counters of the shard, as it publishes them next.
    pub(super) fn next_metrics(&self) -> Result<ShardMetrics, ForwardError> {
        let before = self.metrics();
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let metrics = self.metrics();
            if metrics.loops != before.loops {
                return Ok(metrics);
            }
            thread::park_timeout(Duration::from_millis(5));
        }
        Err(ForwardError::Server("does not publish its metrics".into()))
    }

    /// Ends the engine.
    pub(super) fn stop(self) {
        self.engine.shutdown();
    }

    /// Counters of the shard, as it published them last.
    fn metrics(&self) -> ShardMetrics {
        self.engine.metrics().into_iter().next().unwrap_or_default()
    }

    /// A key or token that was never used.
    fn next_key(&mut self) -> u64 {
        self.last_key += 1;
        self.last_key
    }

    /// Hands a command over.
    fn submit(&mut self, op: Op) -> Result<(), ForwardError> {
        let command = Command {
            pipeline: PIPELINE,
            op,
        };
        self.engine
            .submit(command)
            .map_err(|_| ForwardError::Server("takes no commands".into()))
    }

    /// Hands a command over and waits for its answer; what happens meanwhile is not looked at.
    fn ask(&mut self, op: impl FnOnce(Token) -> Op) -> Result<Reply, ForwardError> {
        let token = Token(self.next_key());
        self.submit(op(token))?;
        loop {
            if let Event::Replied { token: of, result } = self.next_event()?
                && of == token
            {
                return result.map_err(|error| failed(&error));
            }
        }
    }

    /// The next report.
    fn next_event(&self) -> Result<Event, ForwardError> {
        self.events
            .recv_timeout(PATIENCE)
            .map_err(|_| ForwardError::Server("does not answer".into()))
    }
}

/// An error of the server as ours.
fn failed(error: &dyn std::fmt::Display) -> ForwardError {
    ForwardError::Server(error.to_string())
}
