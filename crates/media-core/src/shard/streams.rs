//! Streams that are connected by name: what feeds the further m-lines of a peer, and its first ones
//! where they are named.

use super::Shard;
use crate::demux::EndpointSlot;
use crate::track::TrackSlot;
use salono_media_api::{ElementKey, MediaKind, Pad, StreamName};

impl Shard {
    /// What feeds the first m-line of a kind by a connection that names a stream: its own, or that
    /// of the source. A connection to its mid counts before one to the default stream.
    pub(super) fn named_track(&self, sink: ElementKey, kind: MediaKind) -> Option<TrackSlot> {
        let home = self.elements.get(&sink)?;
        let peer = self.peers.get(home.endpoint?)?;
        let graph = self.pipelines.get(&home.pipeline)?;
        let name = &peer.lines.first(kind)?.name;
        let pad = graph
            .pad_behind(sink, kind, name)
            .or_else(|| graph.pad_behind(sink, kind, &StreamName::Default))?;
        self.track_of(&pad, kind)
    }

    /// Finds the sources of the m-lines of a kind behind the first one.
    pub(super) fn reroute_streams(&mut self, sink: ElementKey, kind: MediaKind) {
        let Some(slot) = self.elements.get(&sink).and_then(|home| home.endpoint) else {
            return;
        };
        let count = self.further(slot, kind).count();
        for at in 0..count {
            let Some((name, out, sends)) = self.further(slot, kind).nth(at) else {
                continue;
            };
            let track = self.source_of_stream(sink, kind, name);
            if let Some(out) = out {
                self.router.link(out, track.filter(|_| sends));
            }
        }
    }

    /// Name and stream of the m-lines behind the first one of a kind, and whether we may send.
    fn further(
        &self,
        slot: EndpointSlot,
        kind: MediaKind,
    ) -> impl Iterator<Item = (&StreamName, Option<crate::track::OutSlot>, bool)> {
        let peer = self.peers.get(slot).into_iter();
        let lines = peer.flat_map(move |peer| peer.lines.of(kind).skip(1));
        lines.map(|line| (&line.name, line.outbound, line.sends))
    }

    fn source_of_stream(
        &self,
        sink: ElementKey,
        kind: MediaKind,
        name: &StreamName,
    ) -> Option<TrackSlot> {
        // Without a name there is nothing that it could be connected by.
        let StreamName::Named(_) = name else {
            return None;
        };
        let home = self.elements.get(&sink)?;
        let graph = self.pipelines.get(&home.pipeline)?;
        let pad = graph.pad_behind(sink, kind, name)?;
        self.track_of(&pad, kind)
    }

    /// The track that comes in by a stream of an endpoint.
    fn track_of(&self, pad: &Pad, kind: MediaKind) -> Option<TrackSlot> {
        let peer = self.peers.get(self.elements.get(&pad.element)?.endpoint?)?;
        peer.inbound_of(kind, &pad.stream)
    }
}
