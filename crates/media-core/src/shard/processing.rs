//! Elements that process media: commands to them, and what feeds them and is fed by them.

mod answers;
mod crossings;
mod flow;
mod spread;
mod update;

use super::Shard;
use super::streams::Way;
use crate::config::Transcoding;
use crate::links::Stream;
use crate::processing::{
    Asked, Element, Receiver, Source, Waiting, choose, forced, format_of, is_reshaped, taken,
};
use crate::processor::ProcessorRequest;
use crate::track::{OutSlot, TrackSlot};
use salono_media_api::processing::bridge::{BridgeCommand, Origin};
use salono_media_api::processing::{Encoding, ProcessorCall, ProcessorSpec};
use salono_media_api::{
    ElementKey, MediaError, MediaErrorKind, MediaKind, PipelineKey, StreamName, Token,
};
use std::time::Instant;

/// Kinds that cross.
const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

impl Shard {
    pub(super) fn tell(&mut self, pipeline: PipelineKey, command: BridgeCommand) {
        let command = Box::new(command);
        self.processor_requests
            .push(ProcessorRequest::Tell { pipeline, command });
    }

    // Commands.

    /// Creates an element in the processor, which is asked for if there is none; answered when it is there, or cannot
    /// be.
    pub(super) fn create_processed(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        token: Token,
        spec: ProcessorSpec,
    ) -> Result<(), MediaError> {
        if let ProcessorSpec::Port { hub, .. } = &spec {
            let bridge = self.bridges.get(pipeline);
            let hub = bridge.and_then(|bridge| bridge.elements.get(hub));
            if !hub.is_some_and(|hub| hub.spec.is_hub()) {
                return Err(MediaError::new(
                    MediaErrorKind::NotFound,
                    "there is no such hub",
                ));
            }
        }
        let bridge = self.bridges.change(pipeline);
        bridge.life.hurry();
        let is_on = bridge.life.socket().is_some();
        bridge.elements.insert(
            element,
            Element {
                spec: spec.clone(),
                token: (!is_on).then_some(token),
                checkpoint: None,
            },
        );
        if is_on {
            bridge.calls.ask(token, element, Asked::Create);
            self.tell(
                pipeline,
                BridgeCommand::Create {
                    token: Some(token),
                    element,
                    spec,
                    resume: None,
                },
            );
        }
        Ok(())
    }

    /// Asks an element in the processor for something.
    pub(super) fn call(
        &mut self,
        pipeline: PipelineKey,
        token: Token,
        element: ElementKey,
        call: Box<ProcessorCall>,
        now: Instant,
    ) {
        // What was connected before is told before.
        self.update_bridges(now);
        let limit = self.config.limits.processor_calls;
        let is_known = self.elements.contains_key(&element);
        let bridge = self.bridges.get_mut(pipeline);
        let bridge = bridge.filter(|bridge| bridge.elements.contains_key(&element));
        let Some(bridge) = bridge else {
            let error = if is_known {
                MediaError::new(
                    MediaErrorKind::NotSupported,
                    "the element does not process media",
                )
            } else {
                super::commands::not_found()
            };
            return self.reply(token, Err(error));
        };
        if bridge.calls.len() >= limit {
            let error = MediaError::new(MediaErrorKind::Limit, "too many calls are unanswered");
            return self.reply(token, Err(error));
        }
        if bridge.life.socket().is_none() {
            bridge.calls.wait(Waiting {
                token,
                element,
                call,
            });
            return;
        }
        bridge.calls.ask(token, element, Asked::Call);
        let call = *call;
        self.tell(
            pipeline,
            BridgeCommand::Call {
                token,
                element,
                call,
            },
        );
    }

    /// How what comes from an element is encoded where that has to be done.
    pub(super) fn set_encoding(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        encoding: Encoding,
    ) {
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return;
        };
        if !graph.has(element) {
            return;
        }
        let mut affected = crate::graph::Affected::new();
        for kind in KINDS {
            let sinks = graph.sinks_of(element, kind).into_iter();
            affected.extend(sinks.map(|sink| (sink, kind)));
        }
        let bridge = self.bridges.change(pipeline);
        let is_told = bridge.elements.contains_key(&element) && bridge.life.socket().is_some();
        let encodings = &mut bridge.situation.encodings;
        encodings.insert(element, encoding.clone());
        if is_told {
            let origin = Origin::Element(element);
            self.tell(pipeline, BridgeCommand::SetEncoding { origin, encoding });
        }
        self.reroute(&affected);
    }

    /// Releases what the processor has of an element, or what it was to have.
    pub(super) fn release_processed(&mut self, pipeline: PipelineKey, element: ElementKey) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let Some(known) = bridge.elements.get(&element) else {
            bridge.forget_receiver(element);
            bridge.situation.encodings.remove(&element);
            self.bridges.touch(pipeline);
            return;
        };
        let is_told = bridge.life.socket().is_some();
        let mut tokens = bridge.calls.forget(element);
        tokens.extend(known.token);
        bridge.forget(element);
        self.bridges.touch(pipeline);
        if is_told {
            self.tell(pipeline, BridgeCommand::Release { element });
        }
        for token in tokens {
            let error = MediaError::new(MediaErrorKind::NotFound, "the element was released");
            self.reply(token, Err(error));
        }
    }

    // Who feeds whom.

    /// Where media on a pad begins, as the processor's side sees it.
    pub(super) fn source_at(&self, pipeline: PipelineKey, source: Stream) -> Option<Source> {
        let graph = self.pipelines.get(&pipeline)?;
        if !graph.is_processed(source.element, source.kind) {
            return Some(Source::Stream(source));
        }
        // An element in the processor has one stream of a kind.
        (source.name == StreamName::Default).then_some(Source::Element(source.element))
    }

    /// Finds what enters an element in the processor.
    pub(super) fn note_input(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        kind: MediaKind,
    ) {
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return;
        };
        // Messages are handed over one by one.
        if kind == MediaKind::Data || !graph.is_processed(element, kind) {
            return;
        }
        let pad = graph.pad_behind(element, kind, &StreamName::Default);
        let source = pad.and_then(|pad| self.source_at(pipeline, Stream::at(pad, kind)));
        let inputs = &mut self.bridges.change(pipeline).situation.inputs;
        match source {
            Some(source) => {
                inputs.insert((element, kind), source);
            }
            None => {
                inputs.remove(&(element, kind));
            }
        }
    }

    /// Lets the processor feed an m-line, if it has to; false when the m-line is fed without it.
    pub(super) fn note_receiver(
        &mut self,
        pipeline: PipelineKey,
        way: &Way,
        source: Option<&Stream>,
    ) -> bool {
        let source = source
            .and_then(|source| self.source_at(pipeline, source.clone()))
            .filter(|source| match source {
                Source::Element(_) => true,
                Source::Stream(stream) => {
                    let track = self.original_for(pipeline, way, stream);
                    track.is_some_and(|track| {
                        self.needs_encoding(pipeline, way.out, stream.element, stream.kind, track)
                    })
                }
            });
        let Some(source) = source else {
            self.forget_receiver(pipeline, &way.sink);
            return false;
        };
        let Some(out) = self.router.out(way.out) else {
            return true;
        };
        let takes = taken(out.codecs());
        let bridge = self.bridges.change(pipeline);
        let receiver = Receiver { source, takes };
        let receivers = &mut bridge.situation.receivers;
        let before = receivers.insert(way.sink.clone(), receiver.clone());
        bridge.outs.insert(way.sink.clone(), way.out);
        if !self.links.homes.contains_key(&pipeline) {
            // What the processor is fed with is fetched by itself.
            self.mirror_for(&way.sink, None);
        }
        if before.is_none_or(|before| before.source != receiver.source) {
            // What fed it must not go on until there is something else.
            self.router.link(way.out, None);
        }
        true
    }

    /// The track of a source as it comes, whether it feeds an m-line directly or not.
    fn original_for(
        &mut self,
        pipeline: PipelineKey,
        way: &Way,
        stream: &Stream,
    ) -> Option<TrackSlot> {
        let bridge = self.bridges.get(pipeline);
        let is_fit = bridge.is_some_and(|bridge| {
            let receiver = bridge.situation.receivers.get(&way.sink);
            receiver.is_some_and(|it| it.source == Source::Stream(stream.clone()))
        });
        if is_fit {
            self.track_of(stream)
        } else {
            self.track_for(&way.sink, Some(stream.clone()))
        }
    }

    pub(super) fn forget_receiver(&mut self, pipeline: PipelineKey, sink: &Stream) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        if bridge.situation.receivers.remove(sink).is_some() {
            bridge.outs.remove(sink);
            self.bridges.touch(pipeline);
        }
    }

    /// Ends what the processor feeds to m-lines that are there no more.
    pub(super) fn forget_other_receivers(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
        kind: MediaKind,
        ways: &[Way],
    ) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        let receivers = bridge.situation.receivers.keys();
        let gone: Vec<Stream> = receivers
            .filter(|sink| sink.element == element && sink.kind == kind)
            .filter(|sink| ways.iter().all(|way| way.sink != **sink))
            .cloned()
            .collect();
        for sink in gone {
            self.forget_receiver(pipeline, &sink);
        }
    }

    /// Whether what a track carries has to be encoded anew for a stream that it feeds.
    fn needs_encoding(
        &mut self,
        pipeline: PipelineKey,
        out: OutSlot,
        source: ElementKey,
        kind: MediaKind,
        track: TrackSlot,
    ) -> bool {
        let is_refused = self.router.takes(out, track) == Some(false);
        if self.config.transcoding == Transcoding::Deny {
            if is_refused && self.bridges.deny(pipeline) {
                tracing::warn!(
                    ?pipeline,
                    "a peer takes no codec of what it is connected to, and transcoding is not allowed"
                );
            }
            return false;
        }
        if is_refused {
            return true;
        }
        let bridge = self.bridges.get(pipeline);
        let encoding = bridge.and_then(|bridge| bridge.situation.encodings.get(&source));
        if encoding.is_none() {
            return false;
        }
        let (Some(out), Some(codec)) = (self.router.out(out), self.router.codec_of(track)) else {
            return false;
        };
        let native = format_of(codec, codec.receive_pt);
        let takes = taken(out.codecs());
        is_reshaped(encoding, kind)
            || choose(&takes, Some(&native), forced(encoding, kind)).as_ref() != Some(&native)
    }

    /// A track comes with another codec than before, or for the first time: its receivers may need the processor, or
    /// need it no longer.
    pub(super) fn note_codec(&mut self, track: TrackSlot) {
        let source = self.router.source_of(track);
        let Some((pipeline, stream)) = self.stream_of(track) else {
            return;
        };
        let bridge = self.bridges.get(pipeline);
        let is_used = bridge.is_some_and(|bridge| bridge.uses(stream.element, stream.kind));
        let mut receivers = self.router.receivers(source).iter();
        if !is_used && receivers.all(|out| self.router.takes(*out, source) != Some(false)) {
            return;
        }
        self.bridges.touch(pipeline);
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return;
        };
        let sinks = graph.sinks_of(stream.element, stream.kind).into_iter();
        let affected = sinks.map(|sink| (sink, stream.kind)).collect();
        self.reroute(&affected);
    }

    /// Whose stream a track is, here or as a mirror; `None` for what comes from a processor.
    fn stream_of(&self, track: TrackSlot) -> Option<(PipelineKey, Stream)> {
        if let Some(mirror) = self.links.imports.of_track(track) {
            let source = &self.links.imports.get(mirror)?.source;
            if source.takes.is_some() {
                return None;
            }
            let remote = self.links.remote.get(&source.element)?;
            return Some((remote.pipeline, source.clone()));
        }
        let peer = self.peers.get(self.router.owner_of(track)?)?;
        if peer.endpoint.crossing().is_some() {
            return None;
        }
        let source = self.router.source_of(track);
        let line = peer
            .lines
            .iter()
            .find(|line| line.inbound == Some(source))?;
        let stream = Stream {
            element: peer.endpoint.key(),
            kind: line.kind,
            name: line.name.clone(),
            takes: None,
        };
        Some((peer.endpoint.pipeline(), stream))
    }
}
