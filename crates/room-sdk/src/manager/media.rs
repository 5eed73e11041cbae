//! What participants publish and receive.

use salono_room_core::{
    Command, IceCandidate, MediaType, MutedMediaType, Outcome, ParticipantId, RoomError, StreamRef,
    VideoPreference, WEBCAM,
};

use super::RoomManager;
use crate::message::unexpected_outcome;
use crate::request::{Publish, publish_command};

impl RoomManager {
    /// Publishes; returns the media server's answer, or after a generated offer that offer as it came out.
    ///
    /// Errors: 102, 302 session description refused or publishing already, 303, 304, 305.
    pub async fn publish_media(
        &self,
        participant: &ParticipantId,
        publish: Publish,
    ) -> Result<String, RoomError> {
        let command = publish_command(participant, publish);
        let Outcome::Published { answer, .. } = self.run(participant, command).await? else {
            return Err(unexpected_outcome());
        };
        Ok(answer)
    }

    /// Makes the participant's publisher endpoint offer; [`publish_media`](Self::publish_media) with
    /// the participant's answer must follow. Errors as there.
    pub async fn generate_publish_offer(
        &self,
        participant: &ParticipantId,
    ) -> Result<String, RoomError> {
        let command = Command::GeneratePublishOffer {
            participant: participant.clone(),
            stream: WEBCAM.to_owned(),
        };
        let Outcome::OfferGenerated { offer } = self.run(participant, command).await? else {
            return Err(unexpected_outcome());
        };
        Ok(offer)
    }

    /// Stops publishing; every subscription to the participant ends. Errors: 102, 105 not publishing.
    pub async fn unpublish_media(&self, participant: &ParticipantId) -> Result<(), RoomError> {
        let command = Command::Unpublish {
            participant: participant.clone(),
            stream: WEBCAM.to_owned(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Receives what user `remote` publishes; returns the media server's answer to `offer`.
    ///
    /// Errors: 102, 105 not publishing or oneself, 302 offer refused or subscribed already, 303.
    pub async fn subscribe(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
        offer: impl Into<String>,
    ) -> Result<String, RoomError> {
        let command = Command::Subscribe {
            participant: participant.clone(),
            remote: remote.into(),
            offer: offer.into(),
        };
        let Outcome::Subscribed { answer } = self.run(participant, command).await? else {
            return Err(unexpected_outcome());
        };
        Ok(answer)
    }

    /// Stops receiving from user `remote`; not being subscribed is fine. Errors: 102.
    pub async fn unsubscribe(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
    ) -> Result<(), RoomError> {
        let command = Command::Unsubscribe {
            participant: participant.clone(),
            remote: remote.into(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Restarts ICE of what the participant publishes as `stream`, or of what it receives, with a further offer of the same connection; media goes on meanwhile. Returns the answer.
    ///
    /// Takes a media server on which an endpoint can be offered to again, as Salono's. Errors: 102,
    /// 105 nothing published or received, 302 refused, 306 not a WebRTC participant.
    pub async fn restart_ice(
        &self,
        participant: &ParticipantId,
        remote: Option<StreamRef>,
        stream: &str,
        offer: impl Into<String>,
    ) -> Result<String, RoomError> {
        let command = Command::RestartIce {
            participant: participant.clone(),
            remote,
            stream: stream.to_owned(),
            offer: offer.into(),
        };
        let Outcome::IceRestarted { answer } = self.run(participant, command).await? else {
            return Err(unexpected_outcome());
        };
        Ok(answer)
    }

    /// Hands over a candidate of the participant: for a publisher endpoint if `endpoint` is a
    /// stream of its own, else for its subscription to that user. Candidates may come before the endpoint exists.
    /// Errors: 102, 306 not a WebRTC participant.
    pub async fn on_ice_candidate(
        &self,
        participant: &ParticipantId,
        endpoint: impl Into<StreamRef>,
        candidate: IceCandidate,
    ) -> Result<(), RoomError> {
        let command = Command::AddIceCandidate {
            participant: participant.clone(),
            endpoint: endpoint.into(),
            candidate,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Puts an element of the room's [`pipeline`](Self::pipeline) at the end of what the participant
    /// publishes, or will publish; the room owns it from then on. With `media` only that kind passes it.
    /// Errors: 102, 303, 304 no id, in the chain already, or too many.
    pub async fn add_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
        media: Option<MediaType>,
    ) -> Result<(), RoomError> {
        let command = Command::AddMediaElement {
            participant: participant.clone(),
            element: element.into(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Takes an element out of the chain and releases it. Errors: 102, 303 not in the chain.
    pub async fn remove_media_element(
        &self,
        participant: &ParticipantId,
        element: impl Into<String>,
    ) -> Result<(), RoomError> {
        let command = Command::RemoveMediaElement {
            participant: participant.clone(),
            element: element.into(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Silences what the participant publishes, for everybody. Errors: 102, 105, 307.
    pub async fn mute_published_media(
        &self,
        participant: &ParticipantId,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.mute_published_stream(participant, WEBCAM, media).await
    }

    /// Ends mutes of what the participant publishes: all of them, or those of sound or pictures alone.
    /// Errors: 102, 105, 307.
    pub async fn unmute_published_media(
        &self,
        participant: &ParticipantId,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        self.unmute_published_stream(participant, WEBCAM, media)
            .await
    }

    /// As [`mute_published_media`](Self::mute_published_media), for one of several streams.
    pub async fn mute_published_stream(
        &self,
        participant: &ParticipantId,
        stream: &str,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        let command = Command::MutePublished {
            participant: participant.clone(),
            stream: stream.to_owned(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// As [`unmute_published_media`](Self::unmute_published_media), for one of several streams.
    pub async fn unmute_published_stream(
        &self,
        participant: &ParticipantId,
        stream: &str,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        let command = Command::UnmutePublished {
            participant: participant.clone(),
            stream: stream.to_owned(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Stops publishing one of several streams. Errors: 102, 105.
    pub async fn unpublish_stream(
        &self,
        participant: &ParticipantId,
        stream: &str,
    ) -> Result<(), RoomError> {
        let command = Command::Unpublish {
            participant: participant.clone(),
            stream: stream.to_owned(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Silences the participant's subscription to user `remote`; not being subscribed is fine.
    /// Errors: 102, 105 `remote` does not publish, 307.
    pub async fn mute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
        media: MutedMediaType,
    ) -> Result<(), RoomError> {
        let command = Command::MuteSubscribed {
            participant: participant.clone(),
            remote: remote.into(),
            media,
        };
        self.run(participant, command).await.map(drop)
    }

    /// Ends every mute of the participant's subscription to user `remote`. Errors: 102, 105, 307.
    pub async fn unmute_subscribed_media(
        &self,
        participant: &ParticipantId,
        remote: impl Into<StreamRef>,
    ) -> Result<(), RoomError> {
        let command = Command::UnmuteSubscribed {
            participant: participant.clone(),
            remote: remote.into(),
        };
        self.run(participant, command).await.map(drop)
    }

    /// Says how the participant shows what others publish, also what it does not receive yet: of
    /// each user the name and what is needed. It holds until it is said anew or the user leaves. Names
    /// of nobody in the room are ignored, and so is everything on a media server that cannot choose.
    /// Errors: 102.
    pub async fn set_video_preferences(
        &self,
        participant: &ParticipantId,
        preferences: Vec<(StreamRef, VideoPreference)>,
    ) -> Result<(), RoomError> {
        let command = Command::SetVideoPreferences {
            participant: participant.clone(),
            preferences,
        };
        self.run(participant, command).await.map(drop)
    }
}
