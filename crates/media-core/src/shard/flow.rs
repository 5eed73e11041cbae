//! Media flow of elements that only hand media on, after endpoints or ways changed; latency.

use super::Shard;
use crate::demux::EndpointSlot;
use crate::links::Stream;
use crate::relays::{Ending, Flow};
use salono_media_api::{
    ElementKey, ElementStats, LatencyStats, MediaKind, PipelineKey, StreamName,
};
use std::time::Instant;

/// Kinds whose flow is watched.
const WATCHED: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

impl Shard {
    /// A peer began or ceased to send: so do the elements behind it.
    pub(super) fn note_peer_flow(&mut self, slot: EndpointSlot, now: Instant) {
        let Some(peer) = self.peers.get(slot) else {
            return;
        };
        let (element, pipeline) = (peer.endpoint.key(), peer.endpoint.pipeline());
        if peer.endpoint.crossing().is_some() {
            self.update_flows(pipeline, now);
            return;
        }
        for kind in WATCHED {
            let relays = self.relays_behind(pipeline, element, kind);
            self.look_at(pipeline, &relays, kind, Ending::Now, now);
        }
        self.tell_flow(element, pipeline, true);
    }

    /// Elements that hand on what enters or leaves this one, itself included.
    pub(super) fn relays_behind(
        &self,
        pipeline: PipelineKey,
        element: ElementKey,
        kind: MediaKind,
    ) -> Vec<ElementKey> {
        self.pipelines
            .get(&pipeline)
            .map(|graph| graph.relays_behind(element, kind))
            .unwrap_or_default()
    }

    /// Brings the states of these elements up to date.
    pub(super) fn look_at(
        &mut self,
        pipeline: PipelineKey,
        relays: &[ElementKey],
        kind: MediaKind,
        ending: Ending,
        now: Instant,
    ) {
        if kind == MediaKind::Data {
            return;
        }
        for element in relays {
            // The shard that an element lives on reports it.
            if !self.elements.contains_key(element) {
                continue;
            }
            for outgoing in [false, true] {
                let flow = Flow {
                    element: *element,
                    kind,
                    outgoing,
                };
                let flows = self.flows(pipeline, flow);
                self.relays
                    .note(flow, flows, ending, &mut self.events, self.clock, now);
            }
        }
    }

    /// Looks again where a way changed a while ago.
    pub(super) fn check_relays(&mut self, now: Instant) {
        while let Some(flow) = self.relays.pop(now) {
            let Some(home) = self.elements.get(&flow.element).copied() else {
                continue;
            };
            let flows = self.flows(home.pipeline, flow);
            let (events, clock) = (&mut self.events, self.clock);
            self.relays
                .note(flow, flows, Ending::Now, events, clock, now);
        }
    }

    /// Whether the way up leads to a peer that sends.
    fn flows(&self, pipeline: PipelineKey, flow: Flow) -> bool {
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return false;
        };
        let source = if flow.outgoing {
            graph.source_behind(flow.element, flow.kind)
        } else {
            graph.pad_behind(flow.element, flow.kind, &StreamName::Default)
        };
        let Some(source) = source else { return false };
        if graph.is_processed(source.element, flow.kind) {
            let flows = self.flows_out_of(pipeline, source.element, flow.kind);
            return flows.unwrap_or(false);
        }
        let peer = self
            .elements
            .get(&source.element)
            .and_then(|home| self.peers.get(home.endpoint?));
        match peer {
            Some(peer) => peer.sends(flow.kind, &source.stream),
            None => self
                .links
                .flows
                .contains_key(&Stream::at(source, flow.kind)),
        }
    }

    /// Measures latency in a pipeline from now on, or no longer.
    pub(super) fn measure_latency(&mut self, pipeline: PipelineKey, on: bool) {
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return;
        };
        if on {
            self.measured.insert(pipeline);
        } else {
            self.measured.remove(&pipeline);
        }
        for element in graph.elements() {
            let slot = self.elements.get(&element).and_then(|home| home.endpoint);
            if let Some(peer) = slot.and_then(|slot| self.peers.get_mut(slot)) {
                peer.measure_latency(on, &mut self.router);
            }
        }
        self.measure_crossings(pipeline, on);
        self.measure_mirrors(pipeline, on);
    }

    /// What an element without a peer has to say.
    pub(super) fn relay_stats(&self, element: ElementKey) -> ElementStats {
        let mut stats = ElementStats::default();
        let Some(home) = self.elements.get(&element) else {
            return stats;
        };
        let graph = self
            .pipelines
            .get(&home.pipeline)
            .filter(|_| self.measured.contains(&home.pipeline));
        let Some(graph) = graph else {
            return stats;
        };
        for kind in WATCHED {
            if !graph.has_source(element, kind) {
                continue;
            }
            let source = graph.source_of(element, kind);
            let elsewhere =
                source.and_then(|source| self.links.flows.get(&Stream::default_of(source, kind)));
            let track = source
                .and_then(|source| self.peers.get(self.elements.get(&source)?.endpoint?))
                .and_then(|peer| peer.inbound(kind));
            let average = match elsewhere {
                Some(flow) => flow.latency,
                None => self.router.latency_of(track),
            };
            stats.input_latency.push(LatencyStats { kind, average });
        }
        stats
    }
}
