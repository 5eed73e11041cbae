//! What an operation does when its replies are in, and how it is undone when it fails.

use crate::command::{Outcome, ParticipantId};
use crate::error::RoomError;
use crate::participant::{Negotiation, Running, Task};
use crate::room::{Room, Started, not_streaming};

impl Room {
    /// All replies of a stage came and none was a failure. Undoes the operation if it fails here.
    pub(crate) fn advance(
        &mut self,
        id: &ParticipantId,
        mut running: Running,
    ) -> Result<Started, RoomError> {
        match std::mem::replace(&mut running.task, Task::Offer) {
            Task::CreatePublisher(negotiation) => self.publisher_created(id, running, negotiation),
            Task::Offer => self.publisher_offered(id, running),
            Task::NegotiatePublisher { .. } => self.publisher_negotiated(id, running),
            Task::CreateSubscriber {
                remote,
                publisher,
                offer,
            } => self.subscriber_created(id, running, remote, &publisher, offer),
            Task::NegotiateSubscriber { remote } => {
                self.subscriber_negotiated(id, running, &remote)
            }
            Task::MutePublished(muted) => {
                if let Some(participant) = self.participants.get_mut(id) {
                    participant.publisher.muted = muted;
                }
                Ok(Started::Finished(Outcome::Done))
            }
            Task::MuteSubscribed { remote, muted } => {
                let subscription = self
                    .participants
                    .get_mut(id)
                    .and_then(|participant| participant.subscriptions.get_mut(&remote))
                    .ok_or_else(|| not_streaming(&remote))?;
                subscription.muted = muted;
                Ok(Started::Finished(Outcome::Done))
            }
            Task::AddElement { .. } => Ok(Started::Finished(Outcome::Done)),
            Task::RemoveElement { element } => {
                self.release(element);
                Ok(Started::Finished(Outcome::Done))
            }
        }
    }

    /// Takes back what a failed operation of a member did.
    pub(crate) fn undo(&mut self, id: &ParticipantId, mut running: Running) {
        match std::mem::replace(&mut running.task, Task::Offer) {
            Task::CreatePublisher(Negotiation::Offered { elements, .. })
            | Task::NegotiatePublisher { elements } => self.discard_elements(id, elements),
            Task::AddElement { element } => self.give_back_element(id, &element),
            task @ Task::RemoveElement { .. } => running.task = task,
            Task::CreatePublisher(Negotiation::ToOffer)
            | Task::Offer
            | Task::CreateSubscriber { .. }
            | Task::NegotiateSubscriber { .. }
            | Task::MutePublished(_)
            | Task::MuteSubscribed { .. } => {}
        }
        self.release_running(running);
    }

    /// Releases what an operation owns that will not succeed.
    pub(crate) fn release_running(&mut self, running: Running) {
        if let Task::RemoveElement { element } = running.task {
            self.release(element);
        }
        for object in [running.pass_through, running.endpoint]
            .into_iter()
            .flatten()
        {
            self.release(object);
        }
    }
}
