//! What becomes of processors, and what they say.

use crate::demux::{EndpointSlot, Owner};
use crate::links::Data;
use crate::network::SocketId;
use crate::plain::Component;
use crate::processing::Asked;
use crate::processor::ProcessorReport;
use crate::shard::Shard;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent, Origin};
use salono_media_api::processing::{ProcessorError, ProcessorEvent, ProcessorReply};
use salono_media_api::{
    ElementEvent, ElementKey, Event, MediaError, MediaErrorKind, MediaKind, PipelineKey, Reply,
    Token,
};
use std::time::{Duration, Instant};

/// Kind of the error that elements report whose processor is gone.
const LOST: &str = "PROCESSOR_LOST";
/// Kind of the error that elements report for whom there is none to be had.
const UNAVAILABLE: &str = "PROCESSOR_UNAVAILABLE";
/// Label of messages that come from an element; a peer that has no channel of this name gets them by any.
const LABEL: &str = "default";

impl Shard {
    /// Takes in what became of a processor, or what it says.
    pub fn handle_processor(&mut self, report: ProcessorReport, now: Instant) {
        match report {
            ProcessorReport::Attached { pipeline, socket } => self.attach(pipeline, socket, now),
            ProcessorReport::Heard { pipeline, event } => self.hear(pipeline, *event, now),
            ProcessorReport::Lost { pipeline, reason } => self.lose(pipeline, &reason, now),
            ProcessorReport::Unavailable { pipeline, reason } => {
                self.do_without(pipeline, &reason, now);
            }
        }
    }

    /// There is a processor: it is told everything.
    fn attach(&mut self, pipeline: PipelineKey, socket: SocketId, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        if !bridge.life.attached(socket) {
            return;
        }
        let mut commands = Vec::new();
        let mut elements: Vec<_> = bridge.elements.iter_mut().collect();
        elements.sort_by_key(|(_, known)| !known.spec.is_hub());
        // Hubs before their ports.
        for (element, known) in elements {
            let (element, token) = (*element, known.token.take());
            if let Some(token) = token {
                bridge.calls.ask(token, element, Asked::Create);
            }
            commands.push(BridgeCommand::Create {
                token,
                element,
                spec: known.spec.clone(),
                resume: known.checkpoint.clone(),
            });
        }
        for (element, encoding) in &bridge.situation.encodings {
            if bridge.elements.contains_key(element) {
                let (origin, encoding) = (Origin::Element(*element), encoding.clone());
                commands.push(BridgeCommand::SetEncoding { origin, encoding });
            }
        }
        for (stream, inlet) in &bridge.inlets {
            commands.push(BridgeCommand::OpenInlet {
                inlet: inlet.key,
                kind: stream.kind,
                format: inlet.format.clone(),
            });
        }
        for command in commands {
            self.tell(pipeline, command);
        }
        let owner = Owner {
            endpoint: EndpointSlot::default(),
            transport: 0,
        };
        let sockets = &mut self.demux.sockets;
        sockets.add(socket, owner, Component::Processor);
        self.bridges.add_socket(socket, pipeline);
        self.set_crossings_socket(pipeline, Some(socket));
        self.bridges.touch(pipeline);
        self.update_bridges(now);
        while let Some(bridge) = self.bridges.get_mut(pipeline)
            && let Some(waiting) = bridge.calls.next_waiting()
        {
            let (token, element) = (waiting.token, waiting.element);
            bridge.calls.ask(token, element, Asked::Call);
            let call = *waiting.call;
            self.tell(
                pipeline,
                BridgeCommand::Call {
                    token,
                    element,
                    call,
                },
            );
        }
    }

    /// The processor is gone.
    fn lose(&mut self, pipeline: PipelineKey, reason: &str, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let socket = bridge.life.socket();
        let Some(rest) = bridge.life.lost(now) else {
            return;
        };
        bridge.forget_processor();
        let asked = bridge.calls.take_asked();
        let waiting = match rest {
            Duration::ZERO => Vec::new(),
            _ => bridge.calls.take_waiting(),
        };
        self.forget_socket(socket);
        self.set_crossings_socket(pipeline, None);
        let description = match rest {
            Duration::ZERO => format!("The media processor ended ({reason}); it is started again."),
            rest => format!(
                "The media processor ended again ({reason}); it is started again in {} s.",
                rest.as_secs()
            ),
        };
        tracing::warn!(?pipeline, reason, ?rest, "a media processor ended");
        self.fail_calls(pipeline, asked, waiting, &description, now);
        self.report_errors(pipeline, LOST, &description);
        self.bridges.touch(pipeline);
        self.update_bridges(now);
    }

    /// There is no processor to be had.
    fn do_without(&mut self, pipeline: PipelineKey, reason: &str, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        if !bridge.life.unavailable(now) {
            return;
        }
        let mut asked = bridge.calls.take_asked();
        for (element, known) in &mut bridge.elements {
            if let Some(token) = known.token.take() {
                asked.push((token, *element, Asked::Create));
            }
        }
        let waiting = bridge.calls.take_waiting();
        tracing::warn!(?pipeline, reason, "no media processor");
        self.fail_calls(pipeline, asked, waiting, reason, now);
        self.report_errors(pipeline, UNAVAILABLE, reason);
        self.bridges.touch(pipeline);
        self.update_bridges(now);
    }

    /// Answers what cannot be answered otherwise any more; what was to be created is not there.
    fn fail_calls(
        &mut self,
        pipeline: PipelineKey,
        asked: Vec<(Token, ElementKey, Asked)>,
        waiting: Vec<Token>,
        text: &str,
        now: Instant,
    ) {
        let error = || MediaError::new(MediaErrorKind::Unavailable, text);
        for (token, element, asked) in asked {
            match asked {
                Asked::Create => self.fail_creation(pipeline, element, now),
                Asked::Call => {}
            }
            self.reply(token, Err(error()));
        }
        for token in waiting {
            self.reply(token, Err(error()));
        }
    }

    /// Removes an element that could not be created.
    fn fail_creation(&mut self, pipeline: PipelineKey, element: ElementKey, now: Instant) {
        let tokens = match self.bridges.get_mut(pipeline) {
            Some(bridge) => {
                bridge.forget(element);
                bridge.calls.forget(element)
            }
            None => Vec::new(),
        };
        self.bridges.touch(pipeline);
        self.release(element, now);
        for token in tokens {
            self.reply(token, Err(super::super::commands::not_found()));
        }
    }

    fn report_errors(&mut self, pipeline: PipelineKey, kind: &str, description: &str) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        for element in bridge.elements.keys() {
            let event = ProcessorEvent::Error(ProcessorError {
                code: 0,
                kind: kind.to_owned(),
                description: description.to_owned(),
            });
            self.events.push_back(Event::Element {
                element: *element,
                event: ElementEvent::Processor(event),
            });
        }
    }

    fn hear(&mut self, pipeline: PipelineKey, event: BridgeEvent, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        // What is left of one that is gone.
        if bridge.life.socket().is_none() {
            return;
        }
        match event {
            BridgeEvent::Ready { .. } | BridgeEvent::Pong => {}
            BridgeEvent::Replied { token, result } => {
                self.hear_reply(pipeline, token, result, now);
            }
            BridgeEvent::Element { element, event } => {
                if bridge.elements.contains_key(&element) {
                    let event = ElementEvent::Processor(event);
                    self.events.push_back(Event::Element { element, event });
                }
            }
            BridgeEvent::Checkpoint { element, state } => {
                if let Some(known) = bridge.elements.get_mut(&element) {
                    known.checkpoint = Some(state);
                }
            }
            BridgeEvent::Produces {
                element,
                kind,
                native,
            } => {
                if !bridge.elements.contains_key(&element) {
                    return;
                }
                let name = native.as_ref().map(|format| format.codec.clone());
                let produced = &mut bridge.situation.produced;
                let before = produced.insert((element, kind), native);
                let before = before.flatten().map(|format| format.codec);
                if let Some(name) = name.filter(|name| before.as_ref() != Some(name)) {
                    let event = ElementEvent::Codec { kind, name };
                    self.events.push_back(Event::Element { element, event });
                }
                self.bridges.touch(pipeline);
            }
            BridgeEvent::Flow {
                element,
                kind,
                out,
                flowing,
            } => {
                if !bridge.elements.contains_key(&element) {
                    return;
                }
                let said = &mut bridge.said_flows;
                let _ = match flowing {
                    true => said.insert((element, kind, out)),
                    false => said.remove(&(element, kind, out)),
                };
                self.update_flows(pipeline, now);
            }
            BridgeEvent::Outlet {
                outlet,
                transcoding,
                bitrate: _,
            } => {
                let mut outlets = bridge.outlets.values_mut();
                if let Some(outlet) = outlets.find(|known| known.key == outlet) {
                    outlet.is_transcoded = transcoding;
                    self.note_transcoding(pipeline);
                }
            }
            BridgeEvent::Message {
                source,
                binary,
                base64,
            } => {
                if bridge.elements.contains_key(&source)
                    && let Ok(payload) = STANDARD.decode(base64)
                {
                    self.hand_out_message(pipeline, source, binary, payload, now);
                }
            }
            BridgeEvent::Load { decoders, encoders } => bridge.load = (decoders, encoders),
        }
    }

    fn hear_reply(
        &mut self,
        pipeline: PipelineKey,
        token: Token,
        result: Result<ProcessorReply, MediaError>,
        now: Instant,
    ) {
        let bridge = self.bridges.get_mut(pipeline);
        let asked = bridge.and_then(|bridge| bridge.calls.answer(token));
        let Some((element, asked)) = asked else {
            return;
        };
        let result = match asked {
            Asked::Create => {
                if result.is_err() {
                    self.fail_creation(pipeline, element, now);
                }
                result.map(|_| Reply::Done)
            }
            Asked::Call => result.map(Reply::Processed),
        };
        self.reply(token, result);
    }

    // Messages of data channels.

    /// Hands a message of an element to everybody who is connected to it.
    fn hand_out_message(
        &mut self,
        pipeline: PipelineKey,
        source: ElementKey,
        binary: bool,
        payload: Vec<u8>,
        now: Instant,
    ) {
        let graph = self.pipelines.get(&pipeline);
        let sinks = graph.map(|graph| graph.sinks_of(source, MediaKind::Data));
        let sinks = sinks.unwrap_or_default();
        let data = Data {
            pipeline,
            source,
            label: LABEL.to_owned(),
            binary,
            payload,
        };
        self.hand_out(&sinks, &data, now);
        self.send_data_elsewhere(&sinks, &data);
    }

    /// Hands a message to an element in the processor; dropped while there is none.
    pub(in crate::shard) fn tell_message(&mut self, sink: ElementKey, data: &Data) {
        let bridge = self.bridges.get(data.pipeline);
        let is_there = bridge.is_some_and(|bridge| {
            bridge.elements.contains_key(&sink) && bridge.life.socket().is_some()
        });
        if is_there {
            let base64 = STANDARD.encode(&data.payload);
            self.tell(
                data.pipeline,
                BridgeCommand::Message {
                    sink,
                    binary: data.binary,
                    base64,
                },
            );
        }
    }
}
