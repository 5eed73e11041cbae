//! Who is where.

use salono_room_core::{MutedMedia, ParticipantId, Room, RoomError, UserParticipant, WEBCAM};
use tokio::sync::oneshot;

use super::{Pipeline, RoomManager, ask_at};
use crate::message::{Message, room_ended};

impl RoomManager {
    /// Whether [`close`](Self::close) was called.
    pub fn is_closed(&self) -> bool {
        self.shared.directory().is_shut()
    }

    /// Names of all rooms, sorted.
    pub fn rooms(&self) -> Vec<String> {
        self.shared.directory().names()
    }

    /// How many rooms there are.
    pub fn room_count(&self) -> usize {
        self.shared.directory().len()
    }

    /// How many participants there are in all rooms, those on their way in included.
    pub fn participant_count(&self) -> usize {
        self.shared.directory().member_count()
    }

    /// Who is in a room. Errors: 202.
    pub async fn participants(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.participants())).await
    }

    /// Who has a name in a room. Errors: 202, 102 nobody.
    pub async fn find(&self, room: &str, user: &str) -> Result<UserParticipant, RoomError> {
        let user = user.to_owned();
        self.ask_room(room, move |room| room.named(&user)).await
    }

    /// Whether nobody can join a room. Errors: 202.
    pub async fn is_room_locked(&self, room: &str) -> Result<bool, RoomError> {
        self.ask_room(room, |room| Ok(room.is_locked())).await
    }

    /// What of a participant's media is muted for everybody. Errors: 102.
    pub async fn muted_media(&self, participant: &ParticipantId) -> Result<MutedMedia, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.muted_media(&id, WEBCAM))
            .await
    }

    /// Who publishes in a room. Errors: 202.
    pub async fn publishers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.publishers())).await
    }

    /// Who in a room is subscribed to somebody. Errors: 202.
    pub async fn subscribers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.ask_room(room, |room| Ok(room.subscribers())).await
    }

    /// Whom a participant is subscribed to. Errors: 102.
    pub async fn peer_publishers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.peer_publishers(&id))
            .await
    }

    /// Who is subscribed to a participant. Errors: 102, 105 not publishing.
    pub async fn peer_subscribers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.peer_subscribers(&id))
            .await
    }

    /// Whether a participant publishes. Errors: 102.
    pub async fn is_publisher_streaming(
        &self,
        participant: &ParticipantId,
    ) -> Result<bool, RoomError> {
        self.participant_info(participant)
            .await
            .map(|info| info.streaming)
    }

    /// The pipeline of a participant's room. Errors: 102.
    pub async fn pipeline(&self, participant: &ParticipantId) -> Result<Pipeline, RoomError> {
        let address = self.address_of(participant)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::Pipeline {
            participant: participant.clone(),
            reply,
        };
        if address.sender.send(message).await.is_err() {
            return Err(room_ended());
        }
        answer.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Name of the room that a participant is in. Errors: 102.
    pub fn room_name(&self, participant: &ParticipantId) -> Result<String, RoomError> {
        self.address_of(participant).map(|address| address.name)
    }

    /// The name that a participant has in its room. Errors: 102.
    pub async fn participant_name(&self, participant: &ParticipantId) -> Result<String, RoomError> {
        self.participant_info(participant)
            .await
            .map(|info| info.user_name)
    }

    /// A participant as others see it. Errors: 102.
    pub async fn participant_info(
        &self,
        participant: &ParticipantId,
    ) -> Result<UserParticipant, RoomError> {
        let id = participant.clone();
        self.ask(participant, move |room| room.participant(&id))
            .await
    }

    async fn ask_room<T, F>(&self, room: &str, question: F) -> Result<T, RoomError>
    where
        T: Send + 'static,
        F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
    {
        ask_at(self.address_of_room(room)?, question).await
    }
}
