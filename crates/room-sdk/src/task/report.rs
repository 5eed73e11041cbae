//! What happened in the room, for the handler.

use salono_room_core::{CloseReason, RoomEvent};

use super::Running;

impl Running {
    pub(super) fn tell(&self, event: RoomEvent) {
        let handler = &self.shared.handler;
        let room = self.address.name.as_str();
        match event {
            RoomEvent::IceCandidateFound {
                participant,
                endpoint,
                candidate,
            } => handler.on_ice_candidate(room, &participant, &endpoint, &candidate),
            RoomEvent::MediaElementError {
                participant,
                description,
            } => handler.on_media_element_error(room, &participant, &description),
            RoomEvent::PipelineError {
                participants,
                description,
            } => handler.on_pipeline_error(room, &participants, &description),
            RoomEvent::ActiveSpeakerChanged { receivers, speaker } => {
                handler.on_active_speaker_changed(room, &receivers, speaker.as_ref());
            }
            RoomEvent::AudioLevels { receivers, levels } => {
                handler.on_audio_levels(room, &receivers, &levels);
            }
            RoomEvent::VideoLayerChanged {
                receiver,
                remote,
                layer,
            } => handler.on_video_layer_changed(room, &receiver, &remote, layer),
            RoomEvent::MediaMuted {
                receivers,
                participant,
                stream,
                muted,
            } => handler.on_media_muted(room, &receivers, &participant, &stream, muted),
            RoomEvent::LockChanged { receivers, locked } => {
                handler.on_room_locked(room, &receivers, locked);
            }
            RoomEvent::MediaLost {
                publishers,
                members,
            } => handler.on_media_lost(room, &publishers, &members),
            RoomEvent::MediaReplaced {
                publishers,
                members,
            } => {
                tracing::info!(room, "the room has another media server");
                handler.on_media_replaced(room, &publishers, &members);
                for member in &members {
                    self.apply_filters(&member.participant_id);
                }
            }
            RoomEvent::Closed { reason, members } => {
                self.shared.directory().close(self.address.key);
                match reason {
                    CloseReason::MediaServerLost => {
                        tracing::warn!(room, "media server lost, room closed");
                        handler.on_room_lost(room, &members);
                    }
                    CloseReason::Empty | CloseReason::Asked => {
                        tracing::info!(room, ?reason, "room closed");
                    }
                }
            }
        }
    }
}
