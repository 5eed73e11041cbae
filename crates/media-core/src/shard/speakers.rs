//! Detection of speakers: which tracks take part.

use super::Shard;
use crate::demux::EndpointSlot;
use crate::links::Stream;
use crate::speakers::Turn;
use crate::track::TrackSlot;
use salono_media_api::{ElementKey, Event, MediaKind, PipelineKey, SpeakerDetection};
use std::time::Instant;

impl Shard {
    /// Detects speakers in a pipeline from now on, goes on with other settings, or ends it.
    pub(super) fn detect_speakers(
        &mut self,
        pipeline: PipelineKey,
        detection: Option<SpeakerDetection>,
        now: Instant,
    ) {
        let Some(graph) = self.pipelines.get(&pipeline) else {
            return;
        };
        let slots: Vec<EndpointSlot> = graph
            .elements()
            .filter_map(|element| self.elements.get(&element)?.endpoint)
            .collect();
        let elsewhere = self.links.elements_of(pipeline);
        let Some(detection) = detection else {
            self.router.detectors.close(pipeline);
            self.follow_turns(now);
            for element in elsewhere {
                self.stop_listening(element);
            }
            return;
        };
        self.router.detectors.open(pipeline, detection, now);
        for element in elsewhere {
            self.listen(pipeline, element);
        }
        for slot in slots {
            self.join_detector(slot);
        }
    }

    /// Lets the audio of a peer take part, if its pipeline has a detector.
    pub(super) fn join_detector(&mut self, slot: EndpointSlot) {
        let Some(peer) = self.peers.get(slot) else {
            return;
        };
        let (element, pipeline) = (peer.endpoint.key(), peer.endpoint.pipeline());
        for line in peer.lines.of(MediaKind::Audio) {
            if let Some(track) = line.inbound {
                self.router.join_detector(track, pipeline, element);
            }
        }
        let is_prominent = self.router.detectors.prominent(pipeline) == Some(element);
        for line in peer.lines.of(MediaKind::Video) {
            if let Some(track) = line.inbound {
                self.router.set_prominent(track, is_prominent);
            }
        }
    }

    /// Lets what another shard has of a pipeline take part. Each part detects for itself, for it
    /// withholds for itself; the home reports.
    pub(super) fn listen(&mut self, pipeline: PipelineKey, element: ElementKey) {
        if !self.router.detectors.is_open(pipeline) {
            return;
        }
        // The element stands for a sink: somebody here hears it.
        let stream = Stream::default_of(element, MediaKind::Audio);
        if let Some(track) = self.mirror_for(&stream, Some(stream.clone())) {
            self.router.join_detector(track, pipeline, element);
        }
    }

    /// Nobody here hears an element of another shard for its own sake any more.
    pub(super) fn stop_listening(&mut self, element: ElementKey) {
        self.unfeed(element);
    }

    /// Decides who speaks. Parts of a pipeline leave it to the home to report that.
    pub(super) fn detect(&mut self, now: Instant) {
        let before = self.events.len();
        self.router.detectors.tick(&mut self.events, now);
        self.follow_turns(now);
        if self.links.homes.is_empty() || self.events.len() == before {
            return;
        }
        let homes = &self.links.homes;
        let reports = self.events.split_off(before);
        let own = reports.into_iter().filter(|event| match event {
            Event::Speakers { pipeline, .. } => !homes.contains_key(pipeline),
            Event::Replied { .. } | Event::Element { .. } => true,
        });
        self.events.extend(own);
    }

    fn follow_turns(&mut self, now: Instant) {
        while let Some(turn) = self.router.detectors.next_turn() {
            self.let_come_first(turn, now);
        }
    }

    /// Lets the picture of another element come first where the paths of viewers do not carry
    /// everything.
    fn let_come_first(&mut self, turn: Turn, now: Instant) {
        for (element, is_prominent) in [(turn.from, false), (turn.to, true)] {
            let Some(element) = element else { continue };
            for track in self.pictures_of(element) {
                self.router.set_prominent(track, is_prominent);
            }
        }
        // The new one has the say over what the former one leaves.
        let tracks = turn.to.or(turn.from).map(|it| self.pictures_of(it));
        for track in tracks.unwrap_or_default() {
            for viewer in self.router.viewers(track) {
                if let Some(peer) = self.peers.get(viewer) {
                    peer.review_order(&mut self.router, now);
                }
            }
        }
    }

    /// The video that an element sends, if it lives here, or that is mirrored of it.
    fn pictures_of(&self, element: ElementKey) -> Vec<TrackSlot> {
        let home = self.elements.get(&element).and_then(|it| it.endpoint);
        match home.and_then(|slot| self.peers.get(slot)) {
            Some(peer) => {
                let lines = peer.lines.of(MediaKind::Video);
                lines.filter_map(|line| line.inbound).collect()
            }
            None => self.links.imports.pictures_of(element),
        }
    }
}
