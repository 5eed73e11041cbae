//! Detection of speakers: which tracks take part.

use super::Shard;
use crate::demux::EndpointSlot;
use salono_media_api::{MediaKind, PipelineKey, SpeakerDetection};
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
        let Some(detection) = detection else {
            self.router.detectors.close(pipeline);
            return;
        };
        self.router.detectors.open(pipeline, detection, now);
        let slots: Vec<EndpointSlot> = graph
            .elements()
            .filter_map(|element| self.elements.get(&element)?.endpoint)
            .collect();
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
        if let Some(track) = peer.inbound(MediaKind::Audio) {
            self.router.join_detector(track, pipeline, element);
        }
    }
}
