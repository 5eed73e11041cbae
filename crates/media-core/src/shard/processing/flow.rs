//! Whether media flows at elements in the processor, and whether it is transcoded for others; their counters.

use crate::processing::Source;
use crate::relays::Ending;
use crate::shard::Shard;
use salono_media_api::processing::ProcessorEvent;
use salono_media_api::processing::bridge::Origin;
use salono_media_api::{
    ElementEvent, ElementKey, ElementStats, Event, MediaKind, PipelineKey, StreamName,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

impl Shard {
    /// Reports where media begins or ceases to flow: as the processor says, and as streams cross.
    pub(in crate::shard) fn update_flows(&mut self, pipeline: PipelineKey, now: Instant) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let mut flows = bridge.said_flows.clone();
        let entering: BTreeMap<_, _> = bridge
            .inlets
            .iter()
            .map(|(stream, inlet)| (inlet.key, (inlet.slot, stream.kind)))
            .collect();
        for ((element, kind), origin) in &bridge.links {
            let Origin::Inlet(inlet) = origin else {
                continue;
            };
            let peer = entering
                .get(inlet)
                .and_then(|(slot, _)| self.peers.get(*slot));
            if peer.is_some_and(|peer| peer.receives(*kind)) {
                flows.insert((*element, *kind, false));
            }
        }
        for (wanted, outlet) in &bridge.outlets {
            let Source::Element(element) = wanted.source else {
                continue;
            };
            let peer = self.peers.get(outlet.slot);
            if peer.is_some_and(|peer| peer.sends(wanted.kind, &StreamName::Default)) {
                flows.insert((element, wanted.kind, true));
            }
        }
        flows.retain(|(element, _, _)| bridge.elements.contains_key(element));
        let before = std::mem::replace(&mut bridge.flows, flows.clone());
        for (element, kind, out) in before.symmetric_difference(&flows) {
            let (element, kind, flowing) =
                (*element, *kind, flows.contains(&(*element, *kind, *out)));
            let stream = StreamName::Default;
            let event = if *out {
                ElementEvent::FlowOut {
                    kind,
                    stream,
                    flowing,
                }
            } else {
                ElementEvent::FlowIn {
                    kind,
                    stream,
                    flowing,
                }
            };
            self.events.push_back(Event::Element { element, event });
            if *out {
                let relays = self.relays_behind(pipeline, element, kind);
                self.look_at(pipeline, &relays, kind, Ending::Now, now);
            }
        }
    }

    /// Whether media comes out of an element in the processor; `None` when it is none.
    pub(in crate::shard) fn flows_out_of(
        &self,
        pipeline: PipelineKey,
        element: ElementKey,
        kind: MediaKind,
    ) -> Option<bool> {
        let bridge = self.bridges.get(pipeline)?;
        let is_known = bridge.elements.contains_key(&element);
        is_known.then(|| bridge.flows.contains(&(element, kind, true)))
    }

    /// Reports of which elements media is decoded and encoded anew for receivers.
    pub(super) fn note_transcoding(&mut self, pipeline: PipelineKey) {
        let Some(bridge) = self.bridges.get_mut(pipeline) else {
            return;
        };
        let outlets = bridge.outlets.iter();
        let transcoded: BTreeSet<_> = outlets
            .filter(|(_, outlet)| outlet.is_transcoded)
            .map(|(wanted, _)| (wanted.source.element(), wanted.kind))
            .collect();
        let before = std::mem::replace(&mut bridge.transcoded, transcoded.clone());
        for (element, kind) in before.symmetric_difference(&transcoded) {
            let (element, kind) = (*element, *kind);
            let on = transcoded.contains(&(element, kind));
            // One that ended has nothing to report any more.
            if !self.elements.contains_key(&element) && !self.links.remote.contains_key(&element) {
                continue;
            }
            let event = ElementEvent::Processor(ProcessorEvent::Transcoding { kind, on });
            self.events.push_back(Event::Element { element, event });
        }
    }

    /// Adds the streams to and from an element in the processor to its counters.
    pub(in crate::shard) fn add_crossing_stats(
        &mut self,
        element: ElementKey,
        stats: &mut ElementStats,
        now: Instant,
    ) {
        let home = self.elements.get(&element);
        let Some(bridge) = home.and_then(|home| self.bridges.get(home.pipeline)) else {
            return;
        };
        let entering = bridge.inlets.values().filter(|inlet| {
            let origin = Origin::Inlet(inlet.key);
            let mut links = bridge.links.iter();
            links.any(|((sink, _), known)| *sink == element && *known == origin)
        });
        let leaving = bridge.outlets.iter();
        let leaving = leaving.filter(|(wanted, _)| wanted.source == Source::Element(element));
        let slots = leaving
            .map(|(_, outlet)| outlet.slot)
            .chain(entering.map(|inlet| inlet.slot));
        for slot in slots {
            if let Some(peer) = self.peers.get(slot) {
                let of = peer.stats(&mut self.router, now);
                stats.streams.extend(of.streams);
                stats.codecs.extend(of.codecs);
            }
        }
    }

    /// The streams of a pipeline's processor measure latency, or no longer.
    pub(in crate::shard) fn measure_crossings(&mut self, pipeline: PipelineKey, on: bool) {
        let Some(bridge) = self.bridges.get(pipeline) else {
            return;
        };
        for slot in bridge.slots() {
            if let Some(peer) = self.peers.get_mut(slot) {
                peer.measure_latency(on, &mut self.router);
            }
        }
    }
}
