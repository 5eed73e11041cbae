//! Brings what crosses to and from processors up to date with who is connected to whom.

use crate::links::Stream;
use crate::processing::{
    Bridge, Direction, Inlet, Outlet, Plan, Source, Step, Wanted, format_of, plan,
};
use crate::processor::ProcessorRequest;
use crate::shard::Shard;
use crate::track::TrackSlot;
use salono_media_api::PipelineKey;
use salono_media_api::processing::bridge::{BridgeCommand, InletKey, Origin, OutletKey, RtpFormat};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

impl Shard {
    /// Carries out what follows from everything that changed since the last call.
    pub(in crate::shard) fn update_bridges(&mut self, now: Instant) {
        while let Some(pipeline) = self.bridges.next_dirty() {
            self.update_bridge(pipeline, now);
        }
    }

    fn update_bridge(&mut self, pipeline: PipelineKey, now: Instant) {
        let formats = self.source_formats(pipeline);
        if self.links.homes.contains_key(&pipeline) {
            self.update_guest(pipeline, &formats);
            return;
        }
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let plan = plan(&bridge.situation, &formats, self.config.transcoding);
        let socket = bridge.life.socket();
        match bridge.life.need(bridge.is_needed(&plan)) {
            Some(Step::Attach) => {
                self.processor_requests
                    .push(ProcessorRequest::Attach { pipeline });
            }
            Some(Step::Detach) => {
                self.processor_requests
                    .push(ProcessorRequest::Detach { pipeline });
                self.close_crossings(pipeline, socket);
            }
            None => {}
        }
        if !plan.denied.is_empty() && self.bridges.deny(pipeline) {
            tracing::warn!(
                ?pipeline,
                "a peer takes no codec of what it is connected to, and transcoding is not allowed"
            );
        }
        let is_on = self.is_bridge_on(pipeline);
        if is_on {
            self.open_inlets(pipeline, &plan, now);
            self.open_outlets(pipeline, &plan, now);
            self.tell_links(pipeline, &plan);
            self.tell_encodings(pipeline);
            self.link_receivers(pipeline, &plan);
            self.describe_outlets(pipeline, &plan, now);
        }
        self.close_unplanned(pipeline, &plan, is_on);
        self.unfeed_sources(pipeline, &formats);
        self.note_transcoding(pipeline);
        self.update_flows(pipeline, now);
        if self.bridges.get(pipeline).is_some_and(Bridge::is_idle) {
            self.bridges.remove(pipeline);
        }
    }

    fn is_bridge_on(&self, pipeline: PipelineKey) -> bool {
        let bridge = self.bridges.get(pipeline);
        bridge.is_some_and(|bridge| bridge.life.socket().is_some())
    }

    // Sources.

    /// How the streams come that the processor has to do with.
    fn source_formats(&mut self, pipeline: PipelineKey) -> BTreeMap<Stream, RtpFormat> {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return BTreeMap::new();
        };
        let situation = &bridge.situation;
        let receivers = situation.receivers.values();
        let sources = receivers.map(|receiver| &receiver.source);
        let streams: BTreeSet<Stream> = situation
            .inputs
            .values()
            .chain(sources)
            .filter_map(|source| match source {
                Source::Element(_) => None,
                Source::Stream(stream) => Some(stream.clone()),
            })
            .collect();
        let mut formats = BTreeMap::new();
        for stream in streams {
            let track = self.track_of(&stream);
            if let Some(codec) = track.and_then(|track| self.router.codec_of(track)) {
                let format = format_of(codec, codec.receive_pt);
                formats.insert(stream, format);
            }
        }
        formats
    }

    /// The track of a source that the processor has to do with, fetched from another shard if it lives there.
    pub(super) fn track_of(&mut self, stream: &Stream) -> Option<TrackSlot> {
        if self.links.remote.contains_key(&stream.element) {
            // An element that lives elsewhere is no sink here: its own name stands for the inlet.
            return self.mirror_for(stream, Some(stream.clone()));
        }
        let home = self.elements.get(&stream.element)?;
        let peer = self.peers.get(home.endpoint?)?;
        peer.inbound_of(stream.kind, &stream.name)
    }

    /// Gives up what is fetched from other shards for nobody any more.
    pub(super) fn unfeed_sources(
        &mut self,
        pipeline: PipelineKey,
        formats: &BTreeMap<Stream, RtpFormat>,
    ) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let sources = formats.keys().cloned().collect();
        let before = std::mem::replace(&mut bridge.sources, sources);
        for stream in before {
            let is_remote = self.links.remote.contains_key(&stream.element);
            if is_remote && !formats.contains_key(&stream) {
                self.links.unfeed(&stream);
            }
        }
        self.remove_orphans();
    }

    // Into the processor.

    fn open_inlets(&mut self, pipeline: PipelineKey, plan: &Plan, now: Instant) {
        for (stream, format) in &plan.inlets {
            let known = self.bridges.get_mut(pipeline).and_then(|bridge| {
                let inlet = bridge.inlets.get_mut(stream)?;
                let before = std::mem::replace(&mut inlet.format, format.clone());
                Some((inlet.slot, inlet.key, before != *format))
            });
            let (slot, key) = match known {
                Some((slot, _, false)) => (slot, None),
                Some((slot, key, true)) => {
                    self.reformat(slot, format);
                    (slot, Some(key))
                }
                None => {
                    let opened = self.open_crossing(
                        pipeline,
                        (stream.element, stream.kind),
                        format,
                        Direction::In,
                        now,
                    );
                    let Some((key, slot)) = opened else { continue };
                    let key = InletKey(key);
                    let format = format.clone();
                    if let Some(bridge) = self.bridges.get_mut(pipeline) {
                        bridge
                            .inlets
                            .insert(stream.clone(), Inlet { key, slot, format });
                    }
                    (slot, Some(key))
                }
            };
            if let Some(inlet) = key {
                let (kind, format) = (stream.kind, format.clone());
                self.tell(
                    pipeline,
                    BridgeCommand::OpenInlet {
                        inlet,
                        kind,
                        format,
                    },
                );
            }
            let track = self.track_of(stream);
            let peer = self.peers.get(slot);
            let line = peer.and_then(|peer| peer.lines.first(stream.kind));
            if let Some(out) = line.and_then(|line| line.outbound) {
                self.router.link(out, track);
            }
        }
    }

    fn tell_links(&mut self, pipeline: PipelineKey, plan: &Plan) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let wanted: BTreeMap<_, Origin> = plan
            .links
            .iter()
            .filter_map(|(input, source)| Some((*input, bridge.origin(source)?)))
            .collect();
        let before = std::mem::replace(&mut bridge.links, wanted.clone());
        for (sink, kind) in before.keys().filter(|input| !wanted.contains_key(input)) {
            let (sink, kind, source) = (*sink, *kind, None);
            self.tell(pipeline, BridgeCommand::Link { sink, kind, source });
        }
        for ((sink, kind), origin) in wanted {
            if before.get(&(sink, kind)) != Some(&origin) {
                let source = Some(origin);
                self.tell(pipeline, BridgeCommand::Link { sink, kind, source });
            }
        }
    }

    /// Encodings of what peers send; those of elements are told as they are set.
    fn tell_encodings(&mut self, pipeline: PipelineKey) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let mut news = Vec::new();
        for (stream, inlet) in &bridge.inlets {
            let encoding = bridge.situation.encodings.get(&stream.element);
            let Some(encoding) = encoding else { continue };
            let told = &mut bridge.told_encodings;
            if told.get(&inlet.key) != Some(encoding) {
                told.insert(inlet.key, encoding.clone());
                news.push((Origin::Inlet(inlet.key), encoding.clone()));
            }
        }
        for (origin, encoding) in news {
            self.tell(pipeline, BridgeCommand::SetEncoding { origin, encoding });
        }
    }

    // Out of it.

    fn open_outlets(&mut self, pipeline: PipelineKey, plan: &Plan, now: Instant) {
        for wanted in &plan.outlets {
            let Some(bridge) = self.bridges.get(pipeline) else {
                return;
            };
            let origin = bridge.origin(&wanted.source);
            let Some(origin) = origin.filter(|_| !bridge.outlets.contains_key(wanted)) else {
                continue;
            };
            let of = (wanted.source.element(), wanted.kind);
            let opened = self.open_crossing(pipeline, of, &wanted.format, Direction::Out, now);
            let Some((key, slot)) = opened else { continue };
            let key = OutletKey(key);
            if let Some(bridge) = self.bridges.get_mut(pipeline) {
                let outlet = Outlet {
                    key,
                    slot,
                    is_transcoded: false,
                };
                bridge.outlets.insert(wanted.clone(), outlet);
            }
            let (kind, format) = (wanted.kind, wanted.format.clone());
            self.tell(
                pipeline,
                BridgeCommand::OpenOutlet {
                    outlet: key,
                    origin,
                    kind,
                    format,
                },
            );
        }
    }

    /// Feeds receivers with their streams, or with nothing.
    fn link_receivers(&mut self, pipeline: PipelineKey, plan: &Plan) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        for (sink, out) in &bridge.outs {
            let outlet = plan
                .receivers
                .get(sink)
                .and_then(|wanted| bridge.outlets.get(wanted));
            let track = outlet.and_then(|outlet| {
                let line = self.peers.get(outlet.slot)?.lines.first(sink.kind)?;
                line.inbound
            });
            self.router.link(*out, track);
        }
    }

    // The end.

    /// Closes what is not to cross any more.
    fn close_unplanned(&mut self, pipeline: PipelineKey, plan: &Plan, is_on: bool) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let is_gone = |wanted: &&Wanted| !plan.outlets.contains(*wanted);
        let gone: Vec<Wanted> = bridge.outlets.keys().filter(is_gone).cloned().collect();
        let outlets: Vec<Outlet> = gone
            .iter()
            .filter_map(|wanted| bridge.outlets.remove(wanted))
            .collect();
        let is_gone = |stream: &&Stream| !plan.inlets.contains_key(*stream);
        let gone: Vec<Stream> = bridge.inlets.keys().filter(is_gone).cloned().collect();
        let inlets: Vec<Inlet> = gone
            .iter()
            .filter_map(|stream| bridge.inlets.remove(stream))
            .collect();
        // Receivers have something new by now, or are not there.
        let is_over = is_on || plan.outlets.is_empty();
        let retired = match is_over {
            true => std::mem::take(&mut bridge.retired),
            false => Vec::new(),
        };
        for Inlet { key, .. } in &inlets {
            bridge.told_encodings.remove(key);
        }
        for outlet in retired {
            self.close_crossing(pipeline, outlet.key.0, outlet.slot);
        }
        for Outlet { key, slot, .. } in outlets {
            self.close_crossing(pipeline, key.0, slot);
            if is_on {
                self.tell(pipeline, BridgeCommand::CloseOutlet { outlet: key });
            }
        }
        for Inlet { key, slot, .. } in inlets {
            self.close_crossing(pipeline, key.0, slot);
            if is_on {
                self.tell(pipeline, BridgeCommand::CloseInlet { inlet: key });
            }
        }
    }

    /// The pipeline ends, and its processor with it.
    pub(in crate::shard) fn end_bridge(&mut self, pipeline: PipelineKey) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let sources = std::mem::take(&mut bridge.sources);
        let socket = bridge.life.socket();
        let step = bridge.life.need(false);
        self.close_crossings(pipeline, socket);
        if step == Some(Step::Detach) {
            self.processor_requests
                .push(ProcessorRequest::Detach { pipeline });
        }
        for stream in sources {
            if self.links.remote.contains_key(&stream.element) {
                self.links.unfeed(&stream);
            }
        }
        self.remove_orphans();
        self.bridges.remove(pipeline);
    }
}
