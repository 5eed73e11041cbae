//! A media engine that succeeds at once: enough to drive the server's own behaviour.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]
#![allow(dead_code, reason = "every test binary uses a part of it")]

pub(crate) mod processing;

use salono_kurento_model::Registry;
use salono_kurento_server::{Config, Server, ServerHandle};
use salono_media_api::{
    Command, CommandSink, ElementEvent, ElementStats, Event, IceCandidate, Op, Reply,
};
use std::sync::Arc;
use tokio::{sync::mpsc, task::JoinHandle};

/// Answers every command as if it had worked; gathering reports one candidate.
pub(crate) struct FakeEngine {
    events: mpsc::Sender<Event>,
    commands: mpsc::Sender<Command>,
}

impl CommandSink for FakeEngine {
    fn submit(&mut self, command: Command) -> Result<(), Box<Command>> {
        let (token, reply) = match &command.op {
            Op::Create { token, .. }
            | Op::AddIceCandidate { token, .. }
            | Op::RequestKeyframe { token, .. }
            | Op::CreateDataChannel { token, .. }
            | Op::CloseDataChannel { token, .. } => (*token, Reply::Done),
            Op::GatherCandidates { token, element } => {
                let event = ElementEvent::IceCandidateFound(IceCandidate {
                    candidate: "candidate:1 1 UDP 1 127.0.0.1 5000 typ host".to_owned(),
                    mid: "0".to_owned(),
                    mline_index: 0,
                });
                let event = Event::Element {
                    element: *element,
                    event,
                };
                self.events.try_send(event).unwrap();
                (*token, Reply::Done)
            }
            Op::GenerateOffer { token, .. } => (*token, Reply::Sdp("v=0 offer".to_owned())),
            Op::ProcessOffer { token, .. } | Op::ProcessAnswer { token, .. } => {
                (*token, Reply::Sdp("v=0 answer".to_owned()))
            }
            Op::Call {
                token,
                element,
                call,
            } => {
                let (events, result) = processing::answer(call);
                for event in events {
                    let event = ElementEvent::Processor(event);
                    let element = *element;
                    let event = Event::Element { element, event };
                    self.events.try_send(event).unwrap();
                }
                let (token, result) = (*token, result.map(Reply::Processed));
                let _ = self.commands.try_send(command);
                let event = Event::Replied { token, result };
                self.events.try_send(event).unwrap();
                return Ok(());
            }
            Op::Description { token, .. } => (*token, Reply::Description(None)),
            Op::Stats { token, .. } => (*token, Reply::Stats(Box::<ElementStats>::default())),
            Op::CreatePipeline
            | Op::ReleasePipeline
            | Op::Release { .. }
            | Op::Connect { .. }
            | Op::Disconnect { .. }
            | Op::SetBandwidth { .. }
            | Op::SetRembParams { .. }
            | Op::WishVideo { .. }
            | Op::SetViewer { .. }
            | Op::SetEncoding { .. }
            | Op::Route { .. }
            | Op::MeasureLatency { .. }
            | Op::DetectSpeakers { .. }
            | Op::SetIce { .. } => {
                let _ = self.commands.try_send(command);
                return Ok(());
            }
        };
        let _ = self.commands.try_send(command);
        let result = Ok(reply);
        self.events
            .try_send(Event::Replied { token, result })
            .unwrap();
        Ok(())
    }
}

/// A running server over a fake engine, and what the engine was told.
pub(crate) struct Running {
    pub(crate) handle: ServerHandle,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) control: JoinHandle<()>,
}

pub(crate) fn start(config: Config) -> Running {
    let (events, reported) = mpsc::channel(1_024);
    let (told, commands) = mpsc::channel(1_024);
    let engine = Box::new(FakeEngine {
        events,
        commands: told,
    });
    let registry = Arc::new(Registry::built_in());
    let (handle, control) = Server::new(config, engine, reported, registry);
    Running {
        handle,
        commands,
        control: tokio::spawn(control),
    }
}
