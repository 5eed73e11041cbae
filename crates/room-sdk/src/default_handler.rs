//! The handler that speaks Kurento Room's protocol: which message goes to whom, in which order.

use std::sync::Arc;

use salono_kurento_model::{Map, Value};
use salono_room_core::{
    IceCandidate, LostPublisher, MutedMedia, ParticipantId, RoomError, SpeakerLevel, StreamRef,
    UserParticipant, VideoLayer, WEBCAM,
};

use crate::handler::{
    Chat, NotificationRoomHandler, Published, RoomHandler, Unpublished, UserNotificationService,
};
use crate::request::ParticipantRequest;

/// What a publisher is told that cannot be asked to publish again. The number is Kurento's for an
/// object that is there no more.
const MEDIA_SERVER_LOST: &str =
    "MEDIA_SERVER_LOST: the media server was replaced, publish again(errCode=40101)";

/// Answers requests and notifies participants as Kurento Room does.
///
/// Joined and published carry the user's name as `id`, left and unpublished as `name`, chat as `user`.
/// Others hear of a join and of a leave before the participant itself is answered, and of everything
/// else after.
pub struct DefaultNotificationRoomHandler {
    service: Arc<dyn UserNotificationService>,
}

impl DefaultNotificationRoomHandler {
    /// A handler that sends through `service`.
    pub fn new(service: Arc<dyn UserNotificationService>) -> Self {
        Self { service }
    }

    fn notify<'a>(
        &self,
        participants: impl IntoIterator<Item = &'a UserParticipant>,
        method: &str,
        params: &Map<String, Value>,
    ) {
        for participant in participants {
            self.service
                .send_notification(&participant.participant_id, method, params.clone());
        }
    }

    /// Tells those who knew of them that streams have ended.
    fn tell_unpublished<'a, S: AsRef<str>>(
        &self,
        others: impl Iterator<Item = &'a UserParticipant>,
        user: &str,
        ended: &[S],
    ) {
        let is_known = ended.iter().any(|stream| stream.as_ref() == WEBCAM);
        for other in others {
            let mut params = object([("name", user.into())]);
            if other.knows_streams {
                params.insert("streams".into(), streams(ended));
            } else if !is_known {
                continue;
            }
            self.notify([other], "participantUnpublished", &params);
        }
    }

    fn respond_empty(&self, request: &ParticipantRequest) {
        self.service
            .send_response(request, Value::Object(Map::new()));
    }

    fn fail(&self, request: &ParticipantRequest, error: &RoomError) {
        self.service.send_error_response(request, None, error);
    }
}

impl RoomHandler for DefaultNotificationRoomHandler {
    fn on_ice_candidate(
        &self,
        _: &str,
        participant: &ParticipantId,
        endpoint: &StreamRef,
        candidate: &IceCandidate,
    ) {
        let mut params = object([
            ("endpointName", endpoint.user.as_str().into()),
            ("sdpMLineIndex", candidate.sdp_m_line_index.into()),
            ("sdpMid", candidate.sdp_mid.as_str().into()),
            ("candidate", candidate.candidate.as_str().into()),
        ]);
        if !endpoint.is_webcam() {
            params.insert("stream".into(), endpoint.stream.as_str().into());
        }
        self.service
            .send_notification(participant, "iceCandidate", params);
    }

    fn on_media_element_error(&self, _: &str, participant: &ParticipantId, description: &str) {
        let params = object([("error", description.into())]);
        self.service
            .send_notification(participant, "mediaError", params);
    }

    fn on_pipeline_error(&self, _: &str, participants: &[ParticipantId], description: &str) {
        let params = object([("error", description.into())]);
        for participant in participants {
            self.service
                .send_notification(participant, "mediaError", params.clone());
        }
    }

    fn on_media_lost(&self, _: &str, publishers: &[UserParticipant], members: &[UserParticipant]) {
        for publisher in publishers {
            let others = members
                .iter()
                .filter(|member| member.participant_id != publisher.participant_id);
            self.tell_unpublished(others, &publisher.user_name, &publisher.streams);
        }
    }

    /// Clients of Kurento Room know no request to publish again; an error makes them, or whoever sits
    /// before them, do something.
    fn on_media_replaced(&self, _: &str, publishers: &[LostPublisher], _: &[UserParticipant]) {
        for publisher in publishers {
            let (method, params) = if publisher.listens {
                (
                    "republish",
                    object([("streams", streams(&publisher.participant.streams))]),
                )
            } else {
                ("mediaError", object([("error", MEDIA_SERVER_LOST.into())]))
            };
            let id = &publisher.participant.participant_id;
            self.service.send_notification(id, method, params);
        }
    }

    fn on_active_speaker_changed(
        &self,
        _: &str,
        receivers: &[ParticipantId],
        speaker: Option<&StreamRef>,
    ) {
        let params = speaker.map_or_else(Map::new, |speaker| {
            object([
                ("id", speaker.user.as_str().into()),
                ("stream", speaker.stream.as_str().into()),
            ])
        });
        for receiver in receivers {
            self.service
                .send_notification(receiver, "activeSpeakerChanged", params.clone());
        }
    }

    fn on_audio_levels(&self, _: &str, receivers: &[ParticipantId], levels: &[SpeakerLevel]) {
        let levels = levels.iter().map(|level| {
            Value::Object(object([
                ("id", level.participant.user_name.as_str().into()),
                ("stream", level.stream.as_str().into()),
                ("level", level.dbov.into()),
            ]))
        });
        let params = object([("levels", Value::Array(levels.collect()))]);
        for receiver in receivers {
            self.service
                .send_notification(receiver, "audioLevels", params.clone());
        }
    }

    fn on_media_muted(
        &self,
        _: &str,
        receivers: &[ParticipantId],
        participant: &UserParticipant,
        stream: &str,
        muted: MutedMedia,
    ) {
        let params = object([
            ("id", participant.user_name.as_str().into()),
            ("stream", stream.into()),
            ("audio", muted.audio.into()),
            ("video", muted.video.into()),
        ]);
        for receiver in receivers {
            self.service
                .send_notification(receiver, "mediaMuted", params.clone());
        }
    }

    fn on_room_locked(&self, _: &str, receivers: &[ParticipantId], locked: bool) {
        let params = object([("locked", locked.into())]);
        for receiver in receivers {
            self.service
                .send_notification(receiver, "roomLocked", params.clone());
        }
    }

    fn on_video_layer_changed(
        &self,
        _: &str,
        receiver: &ParticipantId,
        remote: &StreamRef,
        layer: VideoLayer,
    ) {
        let mut params = object([
            ("id", remote.user.as_str().into()),
            ("stream", remote.stream.as_str().into()),
            ("spatialLayer", layer.spatial.into()),
            ("temporalLayer", layer.temporal.into()),
        ]);
        if let Some(height) = layer.height {
            params.insert("height".into(), height.into());
        }
        self.service
            .send_notification(receiver, "videoLayerChanged", params);
    }
}

impl NotificationRoomHandler for DefaultNotificationRoomHandler {
    fn on_participant_joined(
        &self,
        request: &ParticipantRequest,
        _: &str,
        user: &str,
        existing: Result<&[UserParticipant], &RoomError>,
    ) {
        let existing = match existing {
            Ok(existing) => existing,
            Err(error) => return self.fail(request, error),
        };
        self.notify(
            existing,
            "participantJoined",
            &object([("id", user.into())]),
        );
        let peers = existing.iter().map(|peer| {
            let mut entry = object([("id", peer.user_name.as_str().into())]);
            // Some clients take the mere presence of the key for publishing.
            if !peer.streams.is_empty() {
                entry.insert("streams".into(), streams(&peer.streams));
            }
            Value::Object(entry)
        });
        self.service
            .send_response(request, Value::Array(peers.collect()));
    }

    fn on_participant_left(
        &self,
        request: &ParticipantRequest,
        left: Result<(&str, &[UserParticipant]), &RoomError>,
    ) {
        match left {
            Ok((user, remaining)) => {
                self.on_participant_removed(user, remaining);
                self.respond_empty(request);
                self.service.close_session(request);
            }
            Err(error) => self.fail(request, error),
        }
    }

    fn on_participant_removed(&self, user: &str, remaining: &[UserParticipant]) {
        self.notify(
            remaining,
            "participantLeft",
            &object([("name", user.into())]),
        );
    }

    fn on_participant_evicted(&self, participant: &UserParticipant) {
        self.service.send_notification(
            &participant.participant_id,
            "participantEvicted",
            Map::new(),
        );
    }

    fn on_publish_media(
        &self,
        request: &ParticipantRequest,
        published: Result<Published<'_>, &RoomError>,
    ) {
        let published = match published {
            Ok(published) => published,
            Err(error) => return self.fail(request, error),
        };
        let answer = object([("sdpAnswer", published.answer.into())]);
        self.service.send_response(request, Value::Object(answer));
        let params = object([
            ("id", published.user.into()),
            ("streams", streams([published.stream])),
        ]);
        let others = others(request, published.members);
        let others = others.filter(|it| it.knows_streams || published.stream == WEBCAM);
        self.notify(others, "participantPublished", &params);
    }

    fn on_unpublish_media(
        &self,
        request: &ParticipantRequest,
        unpublished: Result<Unpublished<'_>, &RoomError>,
    ) {
        match unpublished {
            Ok(unpublished) => {
                self.respond_empty(request);
                let others = others(request, unpublished.members);
                self.tell_unpublished(others, unpublished.user, &[unpublished.stream]);
            }
            Err(error) => self.fail(request, error),
        }
    }

    fn on_subscribe(&self, request: &ParticipantRequest, answer: Result<&str, &RoomError>) {
        match answer {
            Ok(answer) => {
                let answer = object([("sdpAnswer", answer.into())]);
                self.service.send_response(request, Value::Object(answer));
            }
            Err(error) => self.fail(request, error),
        }
    }

    fn on_ice_restarted(&self, request: &ParticipantRequest, answer: Result<&str, &RoomError>) {
        self.on_subscribe(request, answer);
    }

    fn on_unsubscribe(&self, request: &ParticipantRequest, result: Result<(), &RoomError>) {
        match result {
            Ok(()) => self.respond_empty(request),
            Err(error) => self.fail(request, error),
        }
    }

    fn on_recv_ice_candidate(&self, request: &ParticipantRequest, result: Result<(), &RoomError>) {
        match result {
            Ok(()) => self.respond_empty(request),
            Err(error) => self.fail(request, error),
        }
    }

    fn on_set_video_preferences(
        &self,
        request: &ParticipantRequest,
        result: Result<(), &RoomError>,
    ) {
        match result {
            Ok(()) => self.respond_empty(request),
            Err(error) => self.fail(request, error),
        }
    }

    fn on_send_message(&self, request: &ParticipantRequest, message: Result<Chat<'_>, &RoomError>) {
        let chat = match message {
            Ok(chat) => chat,
            Err(error) => return self.fail(request, error),
        };
        self.respond_empty(request);
        let params = object([
            ("room", chat.room.into()),
            ("user", chat.user.into()),
            ("message", chat.message.into()),
        ]);
        self.notify(chat.members, "sendMessage", &params);
    }

    fn on_room_closed(&self, room: &str, members: &[UserParticipant]) {
        self.notify(members, "roomClosed", &object([("room", room.into())]));
    }
}

/// Everybody but the one who asked.
fn others<'a>(
    request: &ParticipantRequest,
    members: &'a [UserParticipant],
) -> impl Iterator<Item = &'a UserParticipant> {
    members
        .iter()
        .filter(|member| member.participant_id != request.participant_id)
}

fn streams<S: AsRef<str>>(ids: impl IntoIterator<Item = S>) -> Value {
    let ids = ids.into_iter();
    let streams = ids.map(|id| Value::Object(object([("id", id.as_ref().into())])));
    Value::Array(streams.collect())
}

fn object<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
