//! Coming and going: joins, leaves, the pipeline that the first one needs, and the room's end.

use std::time::Instant;

use crate::command::{Outcome, ParticipantId, Ticket, UserParticipant, WEBCAM};
use crate::effect::{CloseReason, Effect, Reply, RoomEvent, Token};
use crate::error::{RoomError, RoomErrorCode};
use crate::participant::Participant;
use crate::request;
use crate::room::{AwaitedReply, ObjectRole, PendingJoin, Pipeline, Room, object_id};

impl Room {
    pub(crate) fn join(
        &mut self,
        ticket: Ticket,
        id: ParticipantId,
        newcomer: Participant,
        now: Instant,
    ) {
        if let Err(error) = self.check_join(&id, &newcomer.user) {
            self.done(ticket, Err(error));
            return;
        }
        let join = PendingJoin {
            ticket,
            id,
            participant: newcomer,
        };
        match self.pipeline {
            Pipeline::Ready(_) => self.admit(join),
            Pipeline::Suspended | Pipeline::Creating { .. } => self.joins.push_back(join),
            Pipeline::Absent => {
                self.joins.push_back(join);
                let token = self.request(request::create_pipeline(), AwaitedReply::Pipeline);
                let deadline = now + self.config.limits.pipeline_timeout;
                self.pipeline = Pipeline::Creating { token, deadline };
            }
        }
    }

    fn check_join(&self, id: &ParticipantId, user: &str) -> Result<(), RoomError> {
        if self.closed {
            return Err(self.closed_error());
        }
        if self.locked {
            return Err(self.locked_error());
        }
        if user.is_empty() {
            return Err(RoomError::new(
                RoomErrorCode::Generic,
                "the user name is empty",
            ));
        }
        let pending = self.joins.iter().map(|join| (&join.id, &join.participant));
        let mut taken = self.participants.iter().chain(pending);
        if let Some((other, participant)) =
            taken.find(|(other, participant)| *other == id || participant.user == user)
        {
            let text = if other == id {
                format!("participant '{id}' is already in room '{}'", self.name)
            } else {
                format!(
                    "user '{}' is already in room '{}'",
                    participant.user, self.name
                )
            };
            return Err(RoomError::new(RoomErrorCode::ExistingUserInRoom, text));
        }
        if self.participants.len() + self.joins.len() >= self.config.limits.participants {
            return Err(RoomError::new(
                RoomErrorCode::RoomGeneric,
                format!("room '{}' is full", self.name),
            ));
        }
        Ok(())
    }

    /// The one moment at which a participant is in: what it is told and what others are told agree.
    fn admit(&mut self, join: PendingJoin) {
        let mut existing = self.participants();
        if !join.participant.listens.streams {
            for peer in &mut existing {
                peer.streams.retain(|stream| stream == WEBCAM);
                peer.streaming = !peer.streams.is_empty();
            }
        }
        tracing::debug!(
            room = self.name,
            user = join.participant.user,
            "participant joined"
        );
        let id = join.id.clone();
        self.participants.insert(join.id, join.participant);
        self.done(join.ticket, Ok(Outcome::Joined { existing }));
        self.introduce_speaker(&id);
        self.introduce_mutes(&id);
        self.attend_to_speakers();
    }

    pub(crate) fn leave(&mut self, ticket: Ticket, id: &ParticipantId) {
        // The pipeline that such a participant asked for is dealt with when it comes.
        let position = self.joins.iter().position(|join| join.id == *id);
        if let Some(join) = position.and_then(|position| self.joins.remove(position)) {
            self.done(join.ticket, Err(left_error()));
        }
        if let Err(error) = self.member(id) {
            self.done(ticket, Err(error));
            return;
        }
        let last = self.participants.len() == 1;
        let Some(mut participant) = self.participants.shift_remove(id) else {
            return;
        };
        tracing::debug!(
            room = self.name,
            user = participant.user,
            "participant left"
        );
        self.cancel_operations(&mut participant, &left_error());
        self.bereft.retain(|lost| lost.participant_id != *id);
        if last {
            // The pipeline takes everything with it.
            self.close(CloseReason::Empty);
        } else {
            self.release_participant(&mut participant);
            self.drop_subscriptions_to(&participant.user, None);
            self.forget_preferences_for(&participant.user);
            self.attend_to_speakers();
        }
        let outcome = Outcome::Left {
            user: participant.user,
            remaining: self.participants(),
        };
        self.done(ticket, Ok(outcome));
    }

    /// Ends the room and returns who was in it.
    pub(crate) fn close(&mut self, reason: CloseReason) -> Vec<UserParticipant> {
        let members = self.participants();
        self.closed = true;
        self.effects.push_back(Effect::Event(RoomEvent::Closed {
            reason,
            members: members.clone(),
        }));
        let error = match reason {
            CloseReason::Empty | CloseReason::Asked => self.closed_error(),
            CloseReason::MediaServerLost => RoomError::new(
                RoomErrorCode::RoomClosed,
                "the connection to the media server is lost",
            ),
        };
        for (_, mut participant) in std::mem::take(&mut self.participants) {
            self.cancel_operations(&mut participant, &error);
        }
        for join in std::mem::take(&mut self.joins) {
            self.done(join.ticket, Err(error.clone()));
        }
        self.objects.clear();
        self.deadlines.clear();
        let pipeline = std::mem::replace(&mut self.pipeline, Pipeline::Absent);
        if let Pipeline::Ready(pipeline) = pipeline
            && reason != CloseReason::MediaServerLost
        {
            self.detached("release pipeline", request::release(pipeline));
        }
        members
    }

    pub(crate) fn pipeline_reply(&mut self, token: Token, reply: Reply) {
        let awaited =
            matches!(self.pipeline, Pipeline::Creating { token: current, .. } if current == token);
        match (awaited, object_id(reply)) {
            (true, Ok(pipeline)) => {
                self.objects.insert(pipeline.clone(), ObjectRole::Pipeline);
                self.detached("subscribe Error", request::subscribe(&pipeline, "Error"));
                self.pipeline = Pipeline::Ready(pipeline);
                self.media_resumed();
                while let Some(join) = self.joins.pop_front() {
                    self.admit(join);
                }
                // Whoever asked for the pipeline may have gone meanwhile.
                if self.participants.is_empty() && !self.explicit {
                    self.close(CloseReason::Empty);
                }
            }
            (true, Err(text)) => {
                self.pipeline_failed(&format!("the media server made no pipeline: {text}"));
            }
            (false, Ok(pipeline)) => {
                self.detached("release late pipeline", request::release(pipeline));
            }
            (false, Err(_)) => {}
        }
    }

    /// The joins that waited fail; the next join tries anew.
    pub(crate) fn pipeline_failed(&mut self, text: &str) {
        tracing::warn!(room = self.name, text, "room has no pipeline");
        if !self.participants.is_empty() {
            // This was to replace another one: there may be one elsewhere.
            self.pipeline = Pipeline::Suspended;
            return;
        }
        self.pipeline = Pipeline::Absent;
        let joins = std::mem::take(&mut self.joins);
        if !self.explicit {
            self.close(CloseReason::Empty);
        }
        for join in joins {
            let error = RoomError::new(RoomErrorCode::RoomCannotBeCreated, text);
            self.done(join.ticket, Err(error));
        }
    }
}

fn left_error() -> RoomError {
    RoomError::new(
        RoomErrorCode::UserClosed,
        "the participant left the room meanwhile",
    )
}
