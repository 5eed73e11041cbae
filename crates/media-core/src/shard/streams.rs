//! Streams of endpoints: which stream of which endpoint feeds which m-line of a peer.

use super::Shard;
use crate::demux::EndpointSlot;
use crate::links::Stream;
use crate::track::{OutSlot, TrackSlot};
use salono_media_api::{ElementKey, MediaKind, PipelineKey, StreamName};

/// What one m-line of a peer is fed by.
pub(super) struct Way {
    /// The m-line; the first one of its kind goes by the default name.
    pub(super) sink: Stream,
    pub(super) out: OutSlot,
    /// We may send.
    pub(super) sends: bool,
    pub(super) source: Option<Stream>,
}

impl Shard {
    /// What the m-lines of a kind are to be fed by.
    pub(super) fn ways_to(
        &self,
        slot: EndpointSlot,
        pipeline: PipelineKey,
        kind: MediaKind,
    ) -> Vec<Way> {
        let (Some(peer), Some(graph)) = (self.peers.get(slot), self.pipelines.get(&pipeline))
        else {
            return Vec::new();
        };
        let element = peer.endpoint.key();
        let mut ways = Vec::new();
        for (at, line) in peer.lines.of(kind).enumerate() {
            let Some(out) = line.outbound else { continue };
            // Without a name there is nothing that it could be connected by.
            let named = match line.name {
                StreamName::Named(_) => graph.pad_behind(element, kind, &line.name),
                StreamName::Default => None,
            };
            // A connection to the mid of the first m-line counts before one to the default stream.
            let (name, pad) = if at == 0 {
                let default = || graph.pad_behind(element, kind, &StreamName::Default);
                (StreamName::Default, named.or_else(default))
            } else {
                (line.name.clone(), named)
            };
            ways.push(Way {
                sink: Stream {
                    element,
                    kind,
                    name,
                    takes: None,
                },
                out,
                sends: line.sends,
                source: pad.map(|pad| Stream::at(pad, kind)),
            });
        }
        ways
    }

    /// Ends what other shards feed to m-lines that are there no more.
    pub(super) fn unfeed_others(&mut self, sink: ElementKey, kind: MediaKind, ways: &[Way]) {
        for fed in self.links.imports.fed(sink) {
            if fed.kind == kind && ways.iter().all(|way| way.sink != fed) {
                self.links.unfeed(&fed);
            }
        }
        self.remove_orphans();
    }

    /// The track of a source, here or as a mirror of one elsewhere; that may come later.
    pub(super) fn track_for(&mut self, sink: &Stream, source: Option<Stream>) -> Option<TrackSlot> {
        let here = source.as_ref().and_then(|source| {
            let home = self.elements.get(&source.element)?;
            let peer = self.peers.get(home.endpoint?)?;
            peer.inbound_of(source.kind, &source.name)
        });
        let elsewhere = self.mirror_for(sink, source);
        here.or(elsewhere)
    }
}
