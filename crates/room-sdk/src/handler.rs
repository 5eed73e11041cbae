//! What a program implements to hear from rooms.
//!
//! Every callback runs on the task of its room, in the order in which things happened there:
//! nothing overtakes, and after a participant left nothing of it arrives. That is why callbacks are
//! plain functions. They must not block; one that needs to wait hands its work to a queue or a task.

use salono_kurento_model::{Map, Value};
use salono_room_core::{
    IceCandidate, LostPublisher, MutedMedia, ParticipantId, RoomError, SpeakerLevel, StreamRef,
    UserParticipant, VideoLayer,
};

use crate::request::ParticipantRequest;

/// Hears what nobody asked for: candidates and errors of the media server.
pub trait RoomHandler: Send + Sync + 'static {
    /// An endpoint of `participant` found a candidate; `endpoint` is one of the participant's own streams
    /// for a publisher endpoint and the publisher's for a subscription.
    fn on_ice_candidate(
        &self,
        room: &str,
        participant: &ParticipantId,
        endpoint: &StreamRef,
        candidate: &IceCandidate,
    );

    /// A media element of `participant` failed; `description` is `TYPE: text(errCode=N)`.
    fn on_media_element_error(&self, room: &str, participant: &ParticipantId, description: &str);

    /// The room's pipeline failed; `participants` is everybody in it.
    fn on_pipeline_error(&self, room: &str, participants: &[ParticipantId], description: &str);

    /// The media server is gone, and with it everything there: endpoints, elements, the pipeline.
    /// `publishers` published until now; `members` is everybody in the room, and stays.
    fn on_media_lost(
        &self,
        room: &str,
        publishers: &[UserParticipant],
        members: &[UserParticipant],
    ) {
        let _ = (room, publishers, members);
    }

    /// There is another media server, with a new pipeline. `publishers` are those who published on
    /// the lost one and have not begun to do so again; `members` is everybody in the room.
    fn on_media_replaced(
        &self,
        room: &str,
        publishers: &[LostPublisher],
        members: &[UserParticipant],
    ) {
        let _ = (room, publishers, members);
    }

    /// The room ended because its media server is gone and there is no other; `members` were in it and are no longer.
    fn on_room_lost(&self, room: &str, members: &[UserParticipant]) {
        let _ = (room, members);
    }

    /// Somebody else speaks now, or nobody any more; `receivers` asked to be told
    /// ([`Listens::active_speaker`](crate::Listens::active_speaker)).
    fn on_active_speaker_changed(
        &self,
        room: &str,
        receivers: &[ParticipantId],
        speaker: Option<&StreamRef>,
    ) {
        let _ = (room, receivers, speaker);
    }

    /// How loud those are who are to be heard, the loudest first; once nobody is, this comes without
    /// any. `receivers` asked to be told ([`Listens::levels`](crate::Listens::levels)).
    fn on_audio_levels(&self, room: &str, receivers: &[ParticipantId], levels: &[SpeakerLevel]) {
        let _ = (room, receivers, levels);
    }

    /// `receiver` gets another quality of the stream `remote`, or the first one; it asked to
    /// be told ([`Listens::layers`](crate::Listens::layers)).
    fn on_video_layer_changed(
        &self,
        room: &str,
        receiver: &ParticipantId,
        remote: &StreamRef,
        layer: VideoLayer,
    ) {
        let _ = (room, receiver, remote, layer);
    }

    /// Something that `participant` publishes was muted for everybody, or no longer is; `muted` is what
    /// is muted now. `receivers` asked to be told ([`Listens::moderation`](crate::Listens::moderation)).
    fn on_media_muted(
        &self,
        room: &str,
        receivers: &[ParticipantId],
        participant: &UserParticipant,
        stream: &str,
        muted: MutedMedia,
    ) {
        let _ = (room, receivers, participant, stream, muted);
    }

    /// Nobody can join from now on, or everybody can again; `receivers` asked to be told
    /// ([`Listens::moderation`](crate::Listens::moderation)).
    fn on_room_locked(&self, room: &str, receivers: &[ParticipantId], locked: bool) {
        let _ = (room, receivers, locked);
    }

    /// Applies the state of a room-wide filter to one participant.
    fn update_filter(
        &self,
        room: &str,
        participant: &UserParticipant,
        filter_id: &str,
        state: &str,
    ) {
        let _ = (room, participant, filter_id, state);
    }

    /// The state that follows `state` (`None` when the filter was never used in the room); `None`
    /// leaves everything as it is.
    fn next_filter_state(&self, filter_id: &str, state: Option<&str>) -> Option<String> {
        let _ = (filter_id, state);
        None
    }
}

/// Hears, besides [`RoomHandler`]'s events, how every request of a client ended.
///
/// Requests come from clients, so each callback is given the request that it has to answer.
pub trait NotificationRoomHandler: RoomHandler {
    /// `user` joined `room`, where `existing` were before it.
    fn on_participant_joined(
        &self,
        request: &ParticipantRequest,
        room: &str,
        user: &str,
        existing: Result<&[UserParticipant], &RoomError>,
    );

    /// `user` left; `remaining` are still there.
    fn on_participant_left(
        &self,
        request: &ParticipantRequest,
        left: Result<(&str, &[UserParticipant]), &RoomError>,
    );

    /// `user` was taken out of its room by the server; `remaining` are still there.
    fn on_participant_removed(&self, user: &str, remaining: &[UserParticipant]);

    /// Comes after [`on_participant_removed`](Self::on_participant_removed), for the participant itself.
    fn on_participant_evicted(&self, participant: &UserParticipant);

    /// A participant publishes.
    fn on_publish_media(
        &self,
        request: &ParticipantRequest,
        published: Result<Published<'_>, &RoomError>,
    );

    /// A participant stopped publishing a stream.
    fn on_unpublish_media(
        &self,
        request: &ParticipantRequest,
        unpublished: Result<Unpublished<'_>, &RoomError>,
    );

    /// A subscription was negotiated; the answer goes to the subscriber.
    fn on_subscribe(&self, request: &ParticipantRequest, answer: Result<&str, &RoomError>);

    /// ICE of an endpoint was restarted; the answer goes to the participant.
    fn on_ice_restarted(&self, request: &ParticipantRequest, answer: Result<&str, &RoomError>);

    /// A subscription ended.
    fn on_unsubscribe(&self, request: &ParticipantRequest, result: Result<(), &RoomError>);

    /// A candidate of a client was taken.
    fn on_recv_ice_candidate(&self, request: &ParticipantRequest, result: Result<(), &RoomError>);

    /// What a client said of how it shows others was taken.
    fn on_set_video_preferences(
        &self,
        request: &ParticipantRequest,
        result: Result<(), &RoomError>,
    );

    /// A chat message is to be sent to everybody in the room.
    fn on_send_message(&self, request: &ParticipantRequest, message: Result<Chat<'_>, &RoomError>);

    /// The server closed `room`; `members` were in it and are no longer.
    fn on_room_closed(&self, room: &str, members: &[UserParticipant]);
}

/// A participant that began to publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published<'a> {
    /// Its name.
    pub user: &'a str,
    /// Which of its streams.
    pub stream: &'a str,
    /// The answer for it.
    pub answer: &'a str,
    /// Everybody in the room, the publisher included.
    pub members: &'a [UserParticipant],
}

/// A participant that does not publish a stream any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unpublished<'a> {
    /// Its name.
    pub user: &'a str,
    /// Which of its streams.
    pub stream: &'a str,
    /// Everybody in the room, the former publisher included.
    pub members: &'a [UserParticipant],
}

/// A chat message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chat<'a> {
    /// The text, as the client sent it.
    pub message: &'a str,
    /// Who sent it.
    pub user: &'a str,
    /// The room it was sent in.
    pub room: &'a str,
    /// Everybody in the room, the sender included.
    pub members: &'a [UserParticipant],
}

/// The transport that the [default handler](crate::DefaultNotificationRoomHandler) answers through.
///
/// Calls for one participant must reach it in the order they are made.
pub trait UserNotificationService: Send + Sync + 'static {
    /// Answers a request. An array is what a join returns; everything else is an object.
    fn send_response(&self, request: &ParticipantRequest, result: Value);

    /// Answers a request with an error.
    fn send_error_response(
        &self,
        request: &ParticipantRequest,
        data: Option<Value>,
        error: &RoomError,
    );

    /// Tells a participant of something.
    fn send_notification(
        &self,
        participant: &ParticipantId,
        method: &str,
        params: Map<String, Value>,
    );

    /// Ends the connection that the request came from, after what was sent to it before.
    fn close_session(&self, request: &ParticipantRequest);
}
