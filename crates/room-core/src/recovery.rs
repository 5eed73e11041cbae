//! A room that outlives its media server.
//!
//! When the connection to the media server is gone, so is everything there: nobody publishes and
//! nobody receives any more, which everybody is told at once. Members stay, and so does what they
//! wait for: joins, and operations whose offers nobody has answered, begin anew on the next media
//! server. There, whoever published is asked to do so again; to everybody else that is somebody
//! who begins to publish, which clients know what to do with.

use std::time::Instant;

use crate::command::{Loopback, ParticipantId, SdpType, UserParticipant};
use crate::effect::{CloseReason, Effect, LostPublisher, RoomEvent};
use crate::error::RoomError;
use crate::facts::Facts;
use crate::operation::failure_code;
use crate::participant::{Operation, PublisherState, Running};
use crate::request;
use crate::room::{AwaitedReply, Pipeline, Room};

impl Room {
    /// Whether the room waits for a media server, after [`suspend_media`](Self::suspend_media).
    pub fn is_suspended(&self) -> bool {
        matches!(self.pipeline, Pipeline::Suspended)
    }

    /// Whether somebody waits for that.
    pub fn awaits_media(&self) -> bool {
        self.is_suspended() && !(self.participants.is_empty() && self.joins.is_empty())
    }

    /// The connection to the media server is gone for good, but there may be another server: from
    /// here on nothing is asked of a media server until [`resume_media`](Self::resume_media).
    pub fn suspend_media(&mut self) {
        // No reply will come, and there is nothing left to release.
        self.replies.clear();
        if self.closed || self.is_suspended() {
            return;
        }
        self.objects.clear();
        self.deadlines.clear();
        self.pipeline = Pipeline::Suspended;
        self.facts = Facts::Unknown;
        let publishers: Vec<UserParticipant> = self.publishers();
        let ids: Vec<_> = self.participants.keys().cloned().collect();
        for id in ids {
            self.suspend_participant(&id);
        }
        for publisher in &publishers {
            let id = &publisher.participant_id;
            if !self.bereft.iter().any(|other| other.participant_id == *id) {
                self.bereft.push(publisher.clone());
            }
        }
        self.silence_speakers();
        let event = RoomEvent::MediaLost {
            publishers,
            members: self.participants(),
        };
        self.effects.push_back(Effect::Event(event));
    }

    /// There is a media server again, and every request goes to that one from now on.
    pub fn resume_media(&mut self, now: Instant) {
        if self.closed || !self.is_suspended() {
            return;
        }
        if self.participants.is_empty() && self.joins.is_empty() {
            // Whoever waited for it has gone meanwhile.
            if !self.explicit {
                self.close(CloseReason::Empty);
            }
            return;
        }
        let token = self.request(request::create_pipeline(), AwaitedReply::Pipeline);
        let deadline = now + self.config.limits.pipeline_timeout;
        self.pipeline = Pipeline::Creating { token, deadline };
    }

    /// The new pipeline is there: whoever published is asked to do so again.
    pub(crate) fn media_resumed(&mut self) {
        if self.participants.is_empty() {
            // It is the first one.
            return;
        }
        let bereft = std::mem::take(&mut self.bereft);
        let publishers: Vec<LostPublisher> = bereft
            .into_iter()
            .filter_map(|mut publisher| {
                let member = self.participants.get(&publisher.participant_id)?;
                // Whoever asked for it already needs not be told.
                publisher.streams.retain(|stream| {
                    let publishes = |operation: &Operation| {
                        matches!(
                            operation,
                            Operation::Publish { .. } | Operation::GenerateOffer { .. }
                        ) && operation.stream() == stream
                    };
                    !member.queue.iter().any(|(_, it)| publishes(it))
                });
                let is_left = !publisher.streams.is_empty();
                is_left.then_some(LostPublisher {
                    participant: publisher,
                    listens: member.listens.recovery,
                })
            })
            .collect();
        let event = RoomEvent::MediaReplaced {
            publishers,
            members: self.participants(),
        };
        self.effects.push_back(Effect::Event(event));
        self.attend_to_speakers();
        self.ready.extend(self.participants.keys().cloned());
    }

    /// Forgets what a participant had on the media server, and puts what it can still get there back
    /// into its queue.
    fn suspend_participant(&mut self, id: &ParticipantId) {
        let Some(participant) = self.participants.get_mut(id) else {
            return;
        };
        participant.subscriptions.clear();
        for publisher in participant.publishers.values_mut() {
            publisher.elements.clear();
            publisher.state = PublisherState::Idle;
        }
        let Some(running) = participant.running.take() else {
            return;
        };
        let Running {
            ticket, task, redo, ..
        } = running;
        match redo {
            Some(operation) => participant.queue.push_front((ticket, *operation)),
            None => {
                let error = RoomError::new(failure_code(&task), "the media server is lost");
                self.done(ticket, Err(error));
            }
        }
    }

    /// Nobody is heard any more.
    fn silence_speakers(&mut self) {
        let spoke = std::mem::take(&mut self.speakers).active().is_some();
        if spoke {
            let receivers = self.listeners(|member| member.listens.active_speaker);
            self.tell_active_speaker(receivers);
        }
    }
}

/// What an operation can begin anew from on another media server: what nobody has answered, and what
/// needs nothing that was on the first one.
pub(crate) fn redo(operation: &Operation) -> Option<Box<Operation>> {
    let is_portable = match operation {
        Operation::Publish {
            sdp_type: SdpType::Offer,
            loopback: Loopback::Off | Loopback::Own { .. },
            elements,
            ..
        } => elements.is_empty(),
        Operation::GenerateOffer { .. } | Operation::Subscribe { .. } => true,
        Operation::Publish { .. }
        | Operation::Unpublish { .. }
        | Operation::Unsubscribe { .. }
        | Operation::RestartIce { .. }
        | Operation::AddIceCandidate { .. }
        | Operation::MutePublished { .. }
        | Operation::UnmutePublished { .. }
        | Operation::MuteSubscribed { .. }
        | Operation::AddElement { .. }
        | Operation::RemoveElement { .. }
        | Operation::SetPreferences(_) => false,
    };
    is_portable.then(|| Box::new(operation.clone()))
}
