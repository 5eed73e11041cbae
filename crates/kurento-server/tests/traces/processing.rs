//! A media engine whose elements that process media are there, but work on nothing.
//!
//! Without a media processor such elements cannot be created. In recordings that only ask them for
//! their properties, they are points that hand media on.

#[path = "../fake_engine/processing.rs"]
mod answers;

use salono_media_api::{
    Command, CommandSink, ElementEvent, ElementKey, ElementSpec, Event, MediaError, Op, Reply,
    Token, processing::ProcessorSpec,
};
use std::collections::BTreeSet;
use tokio::sync::mpsc;

/// Stands between the object model and the engine.
pub(crate) struct Pretending {
    pub(crate) engine: Box<dyn CommandSink>,
    pub(crate) events: mpsc::Sender<Event>,
    /// Hubs that the engine does not know.
    pub(crate) hubs: BTreeSet<ElementKey>,
}

impl Pretending {
    fn reply(&self, token: Token, result: Result<Reply, MediaError>) {
        let event = Event::Replied { token, result };
        self.events.try_send(event).unwrap();
    }
}

impl CommandSink for Pretending {
    fn submit(&mut self, mut command: Command) -> Result<(), Box<Command>> {
        if let Op::Create {
            token,
            element,
            spec,
        } = &mut command.op
            && let ElementSpec::Processor(processor) = spec
        {
            if processor.is_hub() {
                self.hubs.insert(*element);
                self.reply(*token, Ok(Reply::Done));
                return Ok(());
            }
            let is_port = matches!(**processor, ProcessorSpec::Port { .. });
            *spec = if is_port {
                ElementSpec::HubPort
            } else {
                ElementSpec::PassThrough
            };
        }
        if let Op::Call {
            token,
            element,
            call,
        } = &command.op
        {
            let (events, result) = answers::answer(call);
            for event in events {
                let (element, event) = (*element, ElementEvent::Processor(event));
                let event = Event::Element { element, event };
                self.events.try_send(event).unwrap();
            }
            self.reply(*token, result.map(Reply::Processed));
            return Ok(());
        }
        if let Op::Release { element } = &command.op
            && self.hubs.remove(element)
        {
            return Ok(());
        }
        self.engine.submit(command)
    }
}
