//! What the manager underneath does alone, since no client asked and no handler is called.

use salono_room_core::{
    MediaType, MutedMediaType, ParticipantId, RoomError, StreamRef, UserParticipant,
};

use super::NotificationRoomManager;
use crate::manager::Pipeline;
use crate::provider::KurentoClientSessionInfo;

impl NotificationRoomManager {
    /// As [`RoomManager::close`](crate::RoomManager::close): no participant is told.
    pub async fn close(&self) {
        self.rooms.close().await;
    }

    /// As [`RoomManager::rooms`](crate::RoomManager::rooms).
    pub fn rooms(&self) -> Vec<String> {
        self.rooms.rooms()
    }

    /// As [`RoomManager::participants`](crate::RoomManager::participants).
    pub async fn participants(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.rooms.participants(room).await
    }

    /// As [`RoomManager::publishers`](crate::RoomManager::publishers).
    pub async fn publishers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.rooms.publishers(room).await
    }

    /// As [`RoomManager::subscribers`](crate::RoomManager::subscribers).
    pub async fn subscribers(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        self.rooms.subscribers(room).await
    }

    /// As [`RoomManager::peer_publishers`](crate::RoomManager::peer_publishers).
    pub async fn peer_publishers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        self.rooms.peer_publishers(participant).await
    }

    /// As [`RoomManager::peer_subscribers`](crate::RoomManager::peer_subscribers).
    pub async fn peer_subscribers(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        self.rooms.peer_subscribers(participant).await
    }

    /// As [`RoomManager::create_room`](crate::RoomManager::create_room).
    pub async fn create_room(&self, session: KurentoClientSessionInfo) -> Result<(), RoomError> {
        self.rooms.create_room(session).await
    }

    /// As [`RoomManager::pipeline`](crate::RoomManager::pipeline).
    pub async fn pipeline(&self, participant: &ParticipantId) -> Result<Pipeline, RoomError> {
        self.rooms.pipeline(participant).await
    }

    /// As [`RoomManager::generate_publish_offer`](crate::RoomManager::generate_publish_offer).
    pub async fn generate_publish_offer(
        &self,
        participant: &ParticipantId,
    ) -> Result<String, RoomError> {
        self.rooms.generate_publish_offer(participant).await
    }

    /// As [`RoomManager::add_media_element`](crate::RoomManager::add_media_element).
    pub async fn add_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
        media: Option<MediaType>,
    ) -> Result<(), RoomError> {
        self.rooms
            .add_media_element(participant, element, media)
            .await
    }

    /// As [`RoomManager::remove_media_element`](crate::RoomManager::remove_media_element).
    pub async fn remove_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
    ) -> Result<(), RoomError> {
        self.rooms.remove_media_element(participant, element).await
    }

    /// As [`RoomManager::set_room_locked`](crate::RoomManager::set_room_locked); those who asked for it are
    /// told.
    pub async fn set_room_locked(&self, room: &str, locked: bool) -> Result<(), RoomError> {
        self.rooms.set_room_locked(room, locked).await
    }

    /// As [`RoomManager::find`](crate::RoomManager::find).
    pub async fn find(&self, room: &str, user: &str) -> Result<UserParticipant, RoomError> {
        self.rooms.find(room, user).await
    }

    /// As [`RoomManager::mute_published_media`](crate::RoomManager::mute_published_media).
    pub async fn mute_published_media(
        &self,
        participant: &ParticipantId,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.rooms.mute_published_media(participant, media).await
    }

    /// As [`RoomManager::unmute_published_media`](crate::RoomManager::unmute_published_media).
    pub async fn unmute_published_media(
        &self,
        participant: &ParticipantId,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.rooms.unmute_published_media(participant, media).await
    }

    /// As [`RoomManager::mute_published_stream`](crate::RoomManager::mute_published_stream).
    pub async fn mute_published_stream(
        &self,
        participant: &ParticipantId,
        stream: &str,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.rooms
            .mute_published_stream(participant, stream, media)
            .await
    }

    /// As [`RoomManager::unmute_published_stream`](crate::RoomManager::unmute_published_stream).
    pub async fn unmute_published_stream(
        &self,
        participant: &ParticipantId,
        stream: &str,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.rooms
            .unmute_published_stream(participant, stream, media)
            .await
    }

    /// As [`RoomManager::mute_subscribed_media`](crate::RoomManager::mute_subscribed_media).
    pub async fn mute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.rooms
            .mute_subscribed_media(participant, remote, media)
            .await
    }

    /// As [`RoomManager::unmute_subscribed_media`](crate::RoomManager::unmute_subscribed_media).
    pub async fn unmute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
    ) -> Result<(), RoomError> {
        self.rooms
            .unmute_subscribed_media(participant, remote)
            .await
    }

    /// As [`RoomManager::update_filter`](crate::RoomManager::update_filter).
    pub async fn update_filter(&self, room: &str, filter_id: &str) -> Result<(), RoomError> {
        self.rooms.update_filter(room, filter_id).await
    }
}
