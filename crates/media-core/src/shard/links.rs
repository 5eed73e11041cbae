//! What crosses to other shards: mirrors of tracks, media flow, messages of data channels.

mod exports;
mod mirrors;

use super::Shard;
use crate::links::{Body, Data, Flow, LinkMessage, Remote, ShardId, Stream};
use crate::peer::Peer;
use crate::placement::{Elsewhere, Joined};
use crate::relays::Ending;
use salono_media_api::{ElementKey, MediaKind, PipelineKey};
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
                self.want_outlet(&source);
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
            roles,
            shard,
        } = *elsewhere;
        let Some(graph) = self.pipelines.get_mut(&pipeline) else {
            return;
        };
        graph.add(element, roles);
        self.links
            .remote
            .insert(element, Remote { pipeline, shard });
        if roles.has_peer() {
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
