//! Pipelines on several shards: the processor is at home, and what it lets out is mirrored like what peers send.
//!
//! A part that is not the home asks it for what its receivers need, by what they take. The home counts these wishes
//! among its own receivers.

use crate::links::{ShardId, Stream};
use crate::peer::Peer;
use crate::processing::{Bridge, Plan, Receiver, Source};
use crate::shard::Shard;
use salono_media_api::PipelineKey;
use salono_media_api::processing::bridge::RtpFormat;
use std::collections::BTreeMap;
use std::time::Instant;

impl Shard {
    /// The home of the pipeline that a stream is of.
    pub(in crate::shard) fn processor_of(&self, stream: &Stream) -> Option<ShardId> {
        let pipeline = self.pipeline_of(stream)?;
        self.links.homes.get(&pipeline).copied()
    }

    fn pipeline_of(&self, stream: &Stream) -> Option<PipelineKey> {
        let element = &stream.element;
        let remote = self.links.remote.get(element).map(|it| it.pipeline);
        remote.or_else(|| self.elements.get(element).map(|home| home.pipeline))
    }

    // At a part.

    /// Feeds receivers of a part with what the home makes fit for them.
    pub(super) fn update_guest(
        &mut self,
        pipeline: PipelineKey,
        formats: &BTreeMap<Stream, RtpFormat>,
    ) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        let wishes: Vec<_> = bridge
            .outs
            .iter()
            .filter_map(|(sink, out)| {
                let receiver = bridge.situation.receivers.get(sink)?;
                let source = match &receiver.source {
                    Source::Element(element) => Stream::default_of(*element, sink.kind),
                    Source::Stream(stream) => stream.clone(),
                };
                Some((sink.clone(), *out, source.fit_for(&receiver.takes)))
            })
            .collect();
        for (sink, out, source) in wishes {
            let track = self.mirror_for(&sink, Some(source));
            self.router.link(out, track);
        }
        self.unfeed_sources(pipeline, formats);
        if self.bridges.get(pipeline).is_some_and(Bridge::is_idle) {
            self.bridges.remove(pipeline);
        }
    }

    // At home.

    /// Another shard wants something that the processor makes fit.
    pub(in crate::shard) fn want_outlet(&mut self, wanted: &Stream) {
        let (Some(takes), Some(pipeline)) = (&wanted.takes, self.pipeline_of(wanted)) else {
            return;
        };
        if let Some(source) = self.source_at(pipeline, wanted.plain()) {
            let takes = takes.to_vec();
            let receivers = &mut self.bridges.change(pipeline).situation.receivers;
            receivers.insert(wanted.clone(), Receiver { source, takes });
        }
    }

    /// Another shard does not want it any more.
    pub(in crate::shard) fn unwant_outlet(&mut self, wanted: &Stream) {
        if wanted.takes.is_none() {
            return;
        }
        let exports = &self.links.exports;
        let mut others = exports.of_element(wanted.element).iter();
        let is_wanted =
            others.any(|slot| exports.get(*slot).is_some_and(|it| it.source == *wanted));
        let pipeline = self.pipeline_of(wanted).filter(|_| !is_wanted);
        if let Some(pipeline) = pipeline {
            self.forget_receiver(pipeline, wanted);
        }
    }

    /// What another shard gets for what it wants.
    pub(in crate::shard) fn outlet_for(&self, wanted: &Stream) -> Option<&Peer> {
        let bridge = self.bridges.get(self.pipeline_of(wanted)?)?;
        let outlet = bridge.outlets.get(bridge.given.get(wanted)?)?;
        self.peers.get(outlet.slot)
    }

    /// Tells other shards what they get now, where that is something else than before.
    pub(super) fn describe_outlets(&mut self, pipeline: PipelineKey, plan: &Plan, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        bridge.given.clone_from(&plan.receivers);
        let receivers = bridge.situation.receivers.keys();
        let wanted: Vec<Stream> = receivers.filter(|it| it.takes.is_some()).cloned().collect();
        for stream in wanted {
            let slot = self
                .outlet_for(&stream)
                .and_then(|peer| peer.inbound(stream.kind));
            let exports = &self.links.exports;
            let of_element = exports.of_element(stream.element).iter().copied();
            let stale: Vec<_> = of_element
                .filter(|export| {
                    exports.get(*export).is_some_and(|export| {
                        let tracks = export.tracks.iter().map(|(track, _)| *track);
                        export.source == stream && !tracks.eq(slot)
                    })
                })
                .collect();
            for export in stale {
                self.describe(export, now);
            }
        }
    }
}
