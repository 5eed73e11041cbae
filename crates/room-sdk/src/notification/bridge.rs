//! What nobody asked for, for the handler of a
//! [`NotificationRoomManager`](super::NotificationRoomManager).

use std::sync::Arc;

use salono_room_core::{
    IceCandidate, LostPublisher, MutedMedia, ParticipantId, SpeakerLevel, StreamRef,
    UserParticipant, VideoLayer,
};

use crate::handler::{NotificationRoomHandler, RoomHandler};

/// Passes a room manager's events on; a lost room is a closed room for those who were in it.
pub(super) struct Bridge(pub(super) Arc<dyn NotificationRoomHandler>);

impl RoomHandler for Bridge {
    fn on_ice_candidate(
        &self,
        room: &str,
        participant: &ParticipantId,
        endpoint: &StreamRef,
        candidate: &IceCandidate,
    ) {
        self.0
            .on_ice_candidate(room, participant, endpoint, candidate);
    }

    fn on_media_element_error(&self, room: &str, participant: &ParticipantId, description: &str) {
        self.0
            .on_media_element_error(room, participant, description);
    }

    fn on_pipeline_error(&self, room: &str, participants: &[ParticipantId], description: &str) {
        self.0.on_pipeline_error(room, participants, description);
    }

    fn on_active_speaker_changed(
        &self,
        room: &str,
        receivers: &[ParticipantId],
        speaker: Option<&StreamRef>,
    ) {
        self.0.on_active_speaker_changed(room, receivers, speaker);
    }

    fn on_audio_levels(&self, room: &str, receivers: &[ParticipantId], levels: &[SpeakerLevel]) {
        self.0.on_audio_levels(room, receivers, levels);
    }

    fn on_video_layer_changed(
        &self,
        room: &str,
        receiver: &ParticipantId,
        remote: &StreamRef,
        layer: VideoLayer,
    ) {
        self.0.on_video_layer_changed(room, receiver, remote, layer);
    }

    fn on_media_muted(
        &self,
        room: &str,
        receivers: &[ParticipantId],
        participant: &UserParticipant,
        stream: &str,
        muted: MutedMedia,
    ) {
        self.0
            .on_media_muted(room, receivers, participant, stream, muted);
    }

    fn on_room_locked(&self, room: &str, receivers: &[ParticipantId], locked: bool) {
        self.0.on_room_locked(room, receivers, locked);
    }

    fn on_media_lost(
        &self,
        room: &str,
        publishers: &[UserParticipant],
        members: &[UserParticipant],
    ) {
        self.0.on_media_lost(room, publishers, members);
    }

    fn on_media_replaced(
        &self,
        room: &str,
        publishers: &[LostPublisher],
        members: &[UserParticipant],
    ) {
        self.0.on_media_replaced(room, publishers, members);
    }

    fn on_room_lost(&self, room: &str, members: &[UserParticipant]) {
        self.0.on_room_lost(room, members);
        self.0.on_room_closed(room, members);
    }

    fn update_filter(
        &self,
        room: &str,
        participant: &UserParticipant,
        filter_id: &str,
        state: &str,
    ) {
        self.0.update_filter(room, participant, filter_id, state);
    }

    fn next_filter_state(&self, filter_id: &str, state: Option<&str>) -> Option<String> {
        self.0.next_filter_state(filter_id, state)
    }
}
