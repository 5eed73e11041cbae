//! A look inside a room: who is in it, and who receives whom.

use crate::command::{ParticipantId, UserParticipant};
use crate::error::{RoomError, RoomErrorCode};
use crate::participant::Participant;
use crate::room::{Pipeline, Room, not_streaming, seen};

impl Room {
    /// The room's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the room is over.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether replies are still to come. A closed room is not to be dropped before, as they may bring
    /// a pipeline that is to be released.
    pub fn awaits_replies(&self) -> bool {
        !self.replies.is_empty()
    }

    /// Everybody in the room, oldest first.
    pub fn participants(&self) -> Vec<UserParticipant> {
        self.listed(|_| true)
    }

    /// Everybody who publishes.
    pub fn publishers(&self) -> Vec<UserParticipant> {
        self.listed(Participant::publishes)
    }

    /// Everybody who is subscribed to somebody.
    pub fn subscribers(&self) -> Vec<UserParticipant> {
        self.listed(|participant| !participant.subscriptions.is_empty())
    }

    /// Whom a participant is subscribed to. Error: 102.
    pub fn peer_publishers(&self, id: &ParticipantId) -> Result<Vec<UserParticipant>, RoomError> {
        let subscriber = self.member(id)?;
        let receives = |user: &str| {
            let mut remotes = subscriber.subscriptions.keys();
            remotes.any(|remote| remote.user == user)
        };
        Ok(self.listed(|peer| receives(&peer.user)))
    }

    /// Who is subscribed to a participant. Errors: 102, 105 if it does not publish.
    pub fn peer_subscribers(&self, id: &ParticipantId) -> Result<Vec<UserParticipant>, RoomError> {
        let publisher = self.member(id)?;
        if !publisher.publishes() {
            return Err(not_streaming(&publisher.user));
        }
        Ok(self.listed(|peer| {
            let mut remotes = peer.subscriptions.keys();
            remotes.any(|remote| remote.user == publisher.user)
        }))
    }

    /// A participant as others see it. Error: 102.
    pub fn participant(&self, id: &ParticipantId) -> Result<UserParticipant, RoomError> {
        self.member(id).map(|participant| seen(id, participant))
    }

    /// Who has a name. Error: 102.
    pub fn named(&self, user: &str) -> Result<UserParticipant, RoomError> {
        let (id, participant) = self.member_named(user)?;
        Ok(seen(id, participant))
    }

    /// The object id of the pipeline, if there is one.
    pub fn pipeline_object(&self) -> Option<&str> {
        match &self.pipeline {
            Pipeline::Ready(pipeline) => Some(pipeline),
            Pipeline::Absent | Pipeline::Suspended | Pipeline::Creating { .. } => None,
        }
    }

    /// The object id of the pipeline, for a participant of the room. Error: 102.
    pub fn pipeline(&self, id: &ParticipantId) -> Result<String, RoomError> {
        self.member(id)?;
        match &self.pipeline {
            Pipeline::Ready(pipeline) => Ok(pipeline.clone()),
            Pipeline::Absent | Pipeline::Suspended | Pipeline::Creating { .. } => Err(
                RoomError::new(RoomErrorCode::MediaGeneric, "the room has no pipeline"),
            ),
        }
    }

    fn listed(&self, keep: impl Fn(&Participant) -> bool) -> Vec<UserParticipant> {
        self.participants
            .iter()
            .filter(|(_, participant)| keep(participant))
            .map(|(id, participant)| seen(id, participant))
            .collect()
    }
}
