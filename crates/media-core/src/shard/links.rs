//! What crosses to other shards: mirrors of tracks, media flow, messages of data channels.

mod mirrors;

use mirrors::NEEDS_INTERVAL;

use super::Shard;
use crate::demux::EndpointSlot;
use crate::graph::NodeKind;
use crate::links::{
    Body, Data, Description, ExportSlot, Flow, LinkMessage, MirrorSlot, Needs, Remote, ShardId,
    Stream,
};
use crate::peer::Peer;
use crate::placement::{Elsewhere, Joined};
use crate::relays::Ending;
use crate::track::{Inbound, TrackSlot, layer_names};
use salono_media_api::{ElementKey, MediaKind, PipelineKey};
use salono_sdp::negotiate::NegotiatedMedia;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Kinds that have tracks.
const KINDS: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];
/// Nothing comes any more.
const ENDED: Flow = Flow {
    flows: false,
    is_news: true,
    latency: Duration::ZERO,
};

impl Shard {
    /// The next message for another shard. Ask after each [`Shard::flush`], only while there is room
    /// for the answer: what cannot be carried yet waits here, bounded.
    pub fn poll_link(&mut self, to: ShardId) -> Option<LinkMessage> {
        self.links.poll(to).map(LinkMessage)
    }

    /// Takes in a message of another shard, which gave them out in this order.
    pub fn handle_link(&mut self, from: ShardId, message: LinkMessage, now: Instant) {
        let body = message.0;
        // Until the answer to our restart, what comes is meant for who we were.
        if self.links.to(from).is_stale && !matches!(body, Body::Heard | Body::Restarted) {
            return;
        }
        match body {
            Body::Restarted => self.handle_restart(from, now),
            Body::Heard => self.links.to(from).is_stale = false,
            Body::Want { mirror, source } => {
                let slot = self.links.exports.add(from, mirror, source);
                self.describe(slot, now);
            }
            Body::Unwant { mirror } => {
                if let Some(slot) = self.links.exports.find(from, mirror) {
                    self.end_export(slot);
                }
            }
            Body::Need {
                mirror,
                needs,
                version,
                keyframes,
            } => self.handle_needs((from, mirror), (needs, version), keyframes, now),
            Body::State { mirror, state } => self.handle_state(mirror, &state, now),
            Body::Described {
                mirror,
                description,
            } => self.handle_description(mirror, &description, now),
            Body::Packets {
                mirror,
                layer,
                packets,
                missed,
            } => self.handle_copies((mirror, layer), &packets, missed),
            Body::Reported {
                mirror,
                layer,
                capture,
            } => {
                let clock = self.clock;
                let track = self.links.imports.get(mirror);
                let track = track.and_then(|import| import.layer(layer));
                if let Some(track) = track.and_then(|track| self.router.track_mut(track)) {
                    track.set_capture(capture, clock);
                }
            }
            Body::Ended { mirror } => {
                if let Some(track) = self.links.imports.take_track(mirror) {
                    self.router.remove_track(track);
                }
            }
            Body::Flow { stream, flow } => self.handle_remote_flow(stream, flow, now),
            Body::Data(data) => self.handle_remote_data(&data, now),
        }
    }

    /// Tells others, for a shard that is made anew, that they talked to one before.
    pub fn announce_restart(&mut self, others: impl IntoIterator<Item = ShardId>) {
        for other in others {
            let outgoing = self.links.to(other);
            outgoing.restarted = true;
            outgoing.is_stale = true;
        }
    }

    // What lives where.

    /// Takes in that a pipeline has a part on this shard, and everything that is known of it.
    pub fn handle_joined(&mut self, joined: Joined, now: Instant) {
        let pipeline = joined.pipeline;
        self.pipelines.insert(pipeline, joined.graph);
        if let Some(home) = joined.home {
            self.links.homes.insert(pipeline, home);
        }
        if joined.measured {
            self.measured.insert(pipeline);
        }
        for (element, shard) in joined.elsewhere {
            self.links
                .remote
                .insert(element, Remote { pipeline, shard });
        }
        if let Some(detection) = joined.detection {
            self.detect_speakers(pipeline, Some(detection), now);
        }
    }

    /// Takes in that an element of a pipeline that has a part here was created on another shard.
    pub fn handle_elsewhere(&mut self, elsewhere: &Elsewhere) {
        let Elsewhere {
            pipeline,
            element,
            role,
            shard,
        } = *elsewhere;
        let Some(graph) = self.pipelines.get_mut(&pipeline) else {
            return;
        };
        graph.add(element, role);
        self.links
            .remote
            .insert(element, Remote { pipeline, shard });
        if role == NodeKind::Endpoint {
            self.listen(pipeline, element);
        }
    }

    /// Forgets an element of another shard; false when it is none.
    pub(super) fn release_remote(&mut self, element: ElementKey, now: Instant) -> bool {
        let Some(remote) = self.links.remote.remove(&element) else {
            return false;
        };
        self.stop_listening(element);
        self.links.forget_flows(element);
        let behind = KINDS.map(|kind| (kind, self.relays_behind(remote.pipeline, element, kind)));
        let affected = self
            .pipelines
            .get_mut(&remote.pipeline)
            .map(|graph| graph.remove(element))
            .unwrap_or_default();
        self.reroute(&affected);
        for (kind, mut relays) in behind {
            relays.retain(|relay| *relay != element);
            self.look_at(remote.pipeline, &relays, kind, Ending::Later, now);
        }
        true
    }

    /// Forgets what lives elsewhere of a pipeline that ends.
    pub(super) fn forget_remote(&mut self, pipeline: PipelineKey) {
        let links = &mut self.links;
        links.homes.remove(&pipeline);
        for element in links.elements_of(pipeline) {
            self.stop_listening(element);
            self.links.remote.remove(&element);
            self.links.forget_flows(element);
        }
    }

    // What others mirror.

    /// Brings what other shards mirror of an endpoint up to date.
    pub(super) fn describe_element(&mut self, element: ElementKey, now: Instant) {
        for at in 0..self.links.exports.of_element(element).len() {
            if let Some(slot) = self.links.exports.of_element(element).get(at) {
                self.describe(*slot, now);
            }
        }
    }

    fn describe(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get(slot) else {
            return;
        };
        let source = &export.source;
        let peer = self
            .elements
            .get(&source.element)
            .and_then(|home| self.peers.get(home.endpoint?));
        let track = peer.and_then(|peer| peer.inbound_of(source.kind, &source.name));
        let media = peer.and_then(|peer| peer.negotiated(source.kind, &source.name));
        let described = media.zip(track).map(|(media, track)| {
            let tracks = self.announced(track, media);
            let ssrc = match tracks.as_slice() {
                [(track, _)] => self.router.track(*track).map_or(0, Inbound::ssrc),
                _ => 0,
            };
            (Box::new(Description::new(media, ssrc)), tracks)
        });
        let (description, tracks) = described.unzip();
        let tracks = tracks.unwrap_or_default();
        let before = self.links.exports.set_tracks(slot, tracks.clone());
        for (track, _) in before.iter().chain(&tracks) {
            self.mirror(*track);
        }
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        if !before.is_empty() && before != tracks {
            export.ended = true;
            export.forget_captures();
        }
        export.description = description;
        // What was sent before is of the past.
        let bytes = export.forget_packets();
        self.links.forget_bytes(slot, bytes);
        self.links.tell_of(slot);
        self.note_report_of(slot, now);
        let check = self.clock.beat(now + NEEDS_INTERVAL);
        self.mirrors_due.get_or_insert(check);
    }

    /// The tracks of a source with their places in the announcement of its layers.
    fn announced(&self, source: TrackSlot, media: &NegotiatedMedia) -> Vec<(TrackSlot, u8)> {
        let names = layer_names(media);
        let tracks = self.router.layer_tracks(source).into_iter().flatten();
        tracks
            .map(|slot| {
                let name = self.router.track(slot).and_then(Inbound::name);
                let place = names.iter().position(|known| Some(known) == name);
                (
                    slot,
                    place.and_then(|it| u8::try_from(it).ok()).unwrap_or(0),
                )
            })
            .collect()
    }

    /// An endpoint ends; whoever mirrors it is told by the engine, too.
    pub(super) fn end_exports_of(&mut self, element: ElementKey) {
        for slot in self.links.exports.of_element(element).to_vec() {
            self.end_export(slot);
        }
    }

    fn end_export(&mut self, slot: ExportSlot) {
        let tracks = self.links.exports.set_tracks(slot, Vec::new());
        self.links.end_export(slot);
        for (track, _) in tracks {
            self.mirror(track);
        }
    }

    /// Copies a track as long as somebody mirrors it, and heeds what its receivers need.
    fn mirror(&mut self, track: TrackSlot) {
        let needs = self.links.exports.needs(track);
        self.router.set_mirrored(track, needs);
    }

    /// Hands the copies of this batch to who mirrors them.
    pub(super) fn send_copies(&mut self) {
        while let Some((track, packets)) = self.router.next_copy() {
            self.links.send(track, &packets);
        }
    }

    fn handle_needs(
        &mut self,
        (from, mirror): (ShardId, MirrorSlot),
        (needs, version): (Needs, u8),
        keyframes: u8,
        now: Instant,
    ) {
        let Some(slot) = self.links.exports.find(from, mirror) else {
            return;
        };
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        (export.needs, export.version) = (needs, version);
        for (track, layer) in export.tracks.clone() {
            let before = self.router.caps(track).bitrate();
            self.mirror(track);
            if self.router.source_of(track) == track {
                self.router.note_fall(track, before);
                self.router.use_layer(track, needs.spatial);
            }
            if keyframes >> (layer & 7) & 1 == 1 {
                self.router.want_keyframe(track);
            }
        }
        self.note_state_of(slot, now);
    }

    /// Sources that others mirror send other layers than before.
    pub(super) fn note_restated(&mut self, now: Instant) {
        while let Some(track) = self.router.next_restated() {
            for slot in self.links.exports.of_track(track).to_vec() {
                self.note_state_of(slot, now);
            }
        }
    }

    /// Lets the shard of a mirror know what it cannot see.
    pub(super) fn note_state_of(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get(slot) else {
            return;
        };
        let mut tracks = export.tracks.clone();
        let version = export.version;
        tracks.sort_by_key(|(_, layer)| *layer);
        let Some((first, _)) = tracks.first().copied() else {
            return;
        };
        let source = self.router.source_of(first);
        let is_only = self.links.exports.of_track(source).len() == 1;
        let tracks: Vec<TrackSlot> = tracks.into_iter().map(|(track, _)| track).collect();
        let mut state = self.router.state(source, &tracks, now);
        state.version = version;
        state.is_alone &= is_only;
        let export = self.links.exports.get_mut(slot);
        if export.is_some_and(|export| export.push_state(state)) {
            self.links.tell_of(slot);
        }
    }

    /// The peer reported something: what others mirror of it keeps in step.
    pub(super) fn note_report(&mut self, slot: EndpointSlot, now: Instant) {
        if self.links.exports.is_empty() {
            return;
        }
        let Some(element) = self.peers.get(slot).map(|peer| peer.endpoint.key()) else {
            return;
        };
        for at in 0..self.links.exports.of_element(element).len() {
            if let Some(export) = self.links.exports.of_element(element).get(at) {
                self.note_report_of(*export, now);
            }
        }
    }

    fn note_report_of(&mut self, slot: ExportSlot, now: Instant) {
        let Some(export) = self.links.exports.get_mut(slot) else {
            return;
        };
        let mut is_news = false;
        for at in 0..export.tracks.len() {
            let Some((track, layer)) = export.tracks.get(at).copied() else {
                continue;
            };
            let track = self.router.track(track);
            if let Some((capture, said)) = track.and_then(|it| it.capture(self.clock, now)) {
                is_news |= export.push_capture(layer, capture, said);
            }
        }
        if is_news {
            self.links.tell_of(slot);
        }
    }

    // Media flow of endpoints, for elements that only hand it on.

    /// Tells the home of the pipeline whether media comes from an endpoint.
    pub(super) fn tell_flow(&mut self, element: ElementKey, pipeline: PipelineKey, is_news: bool) {
        let Some(home) = self.links.homes.get(&pipeline).copied() else {
            return;
        };
        let peer = self
            .elements
            .get(&element)
            .and_then(|home| self.peers.get(home.endpoint?));
        let Some(peer) = peer else { return };
        for stream in peer.streams() {
            let (kind, name) = (stream.kind, &stream.name);
            let flow = Flow {
                flows: peer.sends(kind, name),
                is_news,
                latency: self.router.latency_of(peer.inbound_of(kind, name)),
            };
            self.links.to(home).push_flow(stream, flow);
        }
    }

    /// Tells the home of the pipeline that a peer is gone.
    pub(super) fn tell_end(&mut self, peer: &Peer) {
        if let Some(home) = self.links.homes.get(&peer.endpoint.pipeline()).copied() {
            for stream in peer.streams() {
                self.links.to(home).push_flow(stream, ENDED);
            }
        }
    }

    fn handle_remote_flow(&mut self, stream: Stream, flow: Flow, now: Instant) {
        let (element, kind) = (stream.element, stream.kind);
        if flow.flows {
            self.links.flows.insert(stream, flow);
        } else {
            self.links.flows.remove(&stream);
        }
        if !flow.is_news {
            return;
        }
        if let Some(pipeline) = self.links.remote.get(&element).map(|it| it.pipeline) {
            let relays = self.relays_behind(pipeline, element, kind);
            self.look_at(pipeline, &relays, kind, Ending::Now, now);
        }
    }

    // Messages of data channels.

    /// Sends a message to the shards of these sinks, once each.
    pub(super) fn send_data_elsewhere(&mut self, sinks: &[ElementKey], data: &Data) {
        let shards: BTreeSet<ShardId> = sinks
            .iter()
            .filter_map(|sink| Some(self.links.remote.get(sink)?.shard))
            .collect();
        for shard in shards {
            if !self.links.to(shard).push_data(data.clone()) {
                let bytes = data.weight();
                tracing::warn!(bytes, "message dropped: another shard stands still");
            }
        }
    }

    fn handle_remote_data(&mut self, data: &Data, now: Instant) {
        let sinks = self
            .pipelines
            .get(&data.pipeline)
            .map(|graph| graph.sinks_of(data.source, MediaKind::Data))
            .unwrap_or_default();
        self.hand_out(&sinks, data, now);
    }

    // The end of another shard's world.

    fn handle_restart(&mut self, from: ShardId, now: Instant) {
        for slot in self.links.exports.of_shard(from) {
            self.end_export(slot);
        }
        self.links.to(from).forget();
        self.links.to(from).heard = true;
        for mirror in self.links.imports.of_shard(from) {
            if let Some(track) = self.links.imports.take_track(mirror) {
                self.router.remove_track(track);
            }
            self.links.ask_again(mirror);
        }
        let flowing: Vec<_> = self
            .links
            .flows
            .keys()
            .filter(|stream| {
                let remote = self.links.remote.get(&stream.element);
                remote.is_some_and(|remote| remote.shard == from)
            })
            .cloned()
            .collect();
        for stream in flowing {
            self.handle_remote_flow(stream, ENDED, now);
        }
    }
}
