//! Operations of participants: their order, the replies that they wait for, their time limits, and how
//! they are undone when they fail.
//!
//! Each participant has one operation under way and a queue. An operation goes through stages; a stage
//! sends requests and is over when all their replies are in.

use std::time::Instant;

use crate::command::{Outcome, ParticipantId, Ticket};
use crate::effect::Reply;
use crate::error::{RoomError, RoomErrorCode};
use crate::participant::{Negotiation, Operation, Participant, PublisherState, Running, Task};
use crate::recovery::redo;
use crate::request;
use crate::room::{Pipeline, ReplyRole, Room, not_streaming, object_id};

/// How an operation went on.
pub(crate) enum Started {
    /// It waits for replies.
    Waiting(Running),
    /// It is finished.
    Finished(Outcome),
}

impl Room {
    pub(crate) fn enqueue(&mut self, ticket: Ticket, id: &ParticipantId, operation: Operation) {
        let limit = self.config.limits.queued_operations;
        let error = match self.participants.get_mut(id) {
            None if self.closed => self.closed_error(),
            None => match self.member(id) {
                Ok(_) => return,
                Err(error) => error,
            },
            Some(participant) if participant.queue.len() >= limit => RoomError::new(
                RoomErrorCode::Generic,
                "too many operations of the participant are under way",
            ),
            Some(participant) => {
                if participant.queue.is_empty()
                    && let Operation::AddIceCandidate {
                        endpoint,
                        candidate,
                    } = operation
                {
                    let result = self.add_ice_candidate(id, &endpoint, candidate);
                    self.done(ticket, result.map(|()| Outcome::Done));
                } else {
                    participant.queue.push_back((ticket, operation));
                    self.ready.push_back(id.clone());
                }
                return;
            }
        };
        self.done(ticket, Err(error));
    }

    /// Starts what can start. Ending one participant's operation may make another's ready.
    pub(crate) fn run_ready(&mut self, now: Instant) {
        if !matches!(self.pipeline, Pipeline::Ready(_)) {
            // It waits for the media server.
            return;
        }
        while let Some(id) = self.ready.pop_front() {
            while let Some(participant) = self.participants.get_mut(&id) {
                if participant.running.is_some() {
                    break;
                }
                let Some((ticket, operation)) = participant.queue.pop_front() else {
                    break;
                };
                self.begin(&id, ticket, operation, now);
            }
        }
    }

    fn begin(&mut self, id: &ParticipantId, ticket: Ticket, operation: Operation, now: Instant) {
        let serial = self.next_serial;
        self.next_serial += 1;
        let running = Running {
            serial,
            ticket,
            task: Task::Offer,
            stream: operation.stream().to_owned(),
            deadline: now + self.config.limits.operation_timeout,
            redo: redo(&operation),
            outstanding: 0,
            failure: None,
            endpoint: None,
            pass_through: None,
            description: None,
        };
        let started = match operation {
            Operation::Publish {
                sdp_type,
                sdp,
                loopback,
                elements,
                stream: _,
            } => self.begin_publish(id, running, sdp_type, sdp, loopback, elements),
            Operation::GenerateOffer { .. } => self.begin_offer(id, running),
            Operation::Unpublish { stream } => self.unpublish(id, stream).map(Started::Finished),
            Operation::Subscribe { remote, offer } => {
                self.begin_subscribe(id, running, remote, offer)
            }
            Operation::Unsubscribe { remote } => {
                self.unsubscribe(id, &remote).map(Started::Finished)
            }
            Operation::RestartIce {
                remote,
                stream: _,
                offer,
            } => self.begin_restart(id, running, remote, offer),
            Operation::AddIceCandidate {
                endpoint,
                candidate,
            } => self
                .add_ice_candidate(id, &endpoint, candidate)
                .map(|()| Started::Finished(Outcome::Done)),
            Operation::MutePublished { media, .. } => {
                self.begin_mute_published(id, running, |muted| muted.muted(media))
            }
            Operation::UnmutePublished { media, .. } => {
                self.begin_mute_published(id, running, |muted| muted.unmuted(media))
            }
            Operation::MuteSubscribed { remote, media } => {
                self.begin_mute_subscribed(id, running, remote, media)
            }
            Operation::AddElement { element, media } => {
                self.begin_add_element(id, running, element, media)
            }
            Operation::RemoveElement { element } => self.begin_remove_element(id, running, element),
            Operation::SetPreferences(preferences) => self
                .set_preferences(id, preferences)
                .map(|()| Started::Finished(Outcome::Done)),
        };
        match started {
            Ok(Started::Waiting(running)) => {
                self.deadlines
                    .insert((running.deadline, serial), id.clone());
                if let Some(participant) = self.participants.get_mut(id) {
                    participant.running = Some(running);
                }
            }
            Ok(Started::Finished(outcome)) => self.done(ticket, Ok(outcome)),
            Err(error) => self.done(ticket, Err(error)),
        }
    }

    pub(crate) fn operation_reply(
        &mut self,
        id: &ParticipantId,
        serial: u64,
        role: ReplyRole,
        reply: Reply,
        now: Instant,
    ) {
        let running = self.participants.get_mut(id).and_then(|participant| {
            participant
                .running
                .take_if(|running| running.serial == serial)
        });
        let Some(mut running) = running else {
            self.late_reply(role, reply);
            return;
        };
        if let Err(error) = record(&mut running, role, reply) {
            running.failure.get_or_insert(error);
        }
        running.outstanding = running.outstanding.saturating_sub(1);
        if running.outstanding > 0 {
            if let Some(participant) = self.participants.get_mut(id) {
                participant.running = Some(running);
            }
            return;
        }
        self.deadlines.remove(&(running.deadline, serial));
        let ticket = running.ticket;
        let advanced = match running.failure.take() {
            Some(error) => {
                self.undo(id, running);
                Err(error)
            }
            None => {
                let owned = [running.pass_through.clone(), running.endpoint.clone()];
                let advanced = self.advance(id, running);
                if advanced.is_err() {
                    for object in owned.into_iter().flatten() {
                        self.release(object);
                    }
                }
                advanced
            }
        };
        match advanced {
            Ok(Started::Waiting(running)) => {
                self.deadlines
                    .insert((running.deadline, serial), id.clone());
                if let Some(participant) = self.participants.get_mut(id) {
                    participant.running = Some(running);
                }
            }
            Ok(Started::Finished(outcome)) => self.operation_over(id, ticket, Ok(outcome)),
            Err(error) => self.operation_over(id, ticket, Err(error)),
        }
        self.run_ready(now);
    }

    /// The operation is gone; an object that it asked for has no owner.
    fn late_reply(&mut self, role: ReplyRole, reply: Reply) {
        match role {
            // Of a closed room the pipeline is released, with everything in it.
            ReplyRole::Endpoint | ReplyRole::PassThrough if !self.closed => {
                if let Ok(object) = object_id(reply) {
                    self.detached("release late object", request::release(object));
                }
            }
            ReplyRole::Endpoint
            | ReplyRole::PassThrough
            | ReplyRole::Description
            | ReplyRole::Setup => {}
        }
    }

    pub(crate) fn operation_timeout(&mut self, id: &ParticipantId, serial: u64) {
        let running = self.participants.get_mut(id).and_then(|participant| {
            participant
                .running
                .take_if(|running| running.serial == serial)
        });
        if let Some(running) = running {
            let ticket = running.ticket;
            let error = RoomError::new(
                failure_code(&running.task),
                "the media server did not answer in time",
            );
            self.undo(id, running);
            self.operation_over(id, ticket, Err(error));
        }
    }

    /// Ends the running operation of a participant from outside.
    pub(crate) fn abort_running(&mut self, id: &ParticipantId, error: RoomError) {
        let running = self
            .participants
            .get_mut(id)
            .and_then(|participant| participant.running.take());
        if let Some(running) = running {
            self.deadlines.remove(&(running.deadline, running.serial));
            let ticket = running.ticket;
            self.undo(id, running);
            self.operation_over(id, ticket, Err(error));
        }
    }

    fn operation_over(
        &mut self,
        id: &ParticipantId,
        ticket: Ticket,
        result: Result<Outcome, RoomError>,
    ) {
        self.done(ticket, result);
        self.ready.push_back(id.clone());
    }

    /// Fails everything that a participant waits for. It is out of the room already.
    pub(crate) fn cancel_operations(&mut self, participant: &mut Participant, error: &RoomError) {
        if let Some(running) = participant.running.take() {
            self.deadlines.remove(&(running.deadline, running.serial));
            self.done(running.ticket, Err(error.clone()));
            if !self.closed && !self.participants.is_empty() {
                self.release_running(running);
            }
        }
        for (ticket, _) in participant.queue.drain(..) {
            self.done(ticket, Err(error.clone()));
        }
    }

    /// Releases everything that a participant has on the media server.
    pub(crate) fn release_participant(&mut self, participant: &mut Participant) {
        for (_, subscription) in std::mem::take(&mut participant.subscriptions) {
            self.release_subscription(subscription);
        }
        for publisher in std::mem::take(&mut participant.publishers).into_values() {
            for element in publisher.elements {
                self.release(element.id);
            }
            match publisher.state {
                PublisherState::Idle => {}
                PublisherState::Offered(objects) | PublisherState::Streaming(objects) => {
                    self.release(objects.pass_through);
                    self.release(objects.endpoint);
                }
            }
        }
    }

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
            Task::RestartIce { .. } => Ok(Started::Finished(Outcome::IceRestarted {
                answer: running.description.unwrap_or_default(),
            })),
            Task::MutePublished(muted) => {
                self.published_is_muted(id, &running.stream, muted);
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
            | Task::RestartIce { .. }
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

/// The code with which an operation fails for want of a better one.
pub(crate) fn failure_code(task: &Task) -> RoomErrorCode {
    match task {
        Task::MutePublished(_) | Task::MuteSubscribed { .. } => RoomErrorCode::MediaMute,
        Task::CreatePublisher(_)
        | Task::NegotiatePublisher { .. }
        | Task::Offer
        | Task::CreateSubscriber { .. }
        | Task::NegotiateSubscriber { .. }
        | Task::RestartIce { .. }
        | Task::AddElement { .. }
        | Task::RemoveElement { .. } => RoomErrorCode::MediaEndpoint,
    }
}

/// Takes what a reply brings into its operation.
fn record(running: &mut Running, role: ReplyRole, reply: Reply) -> Result<(), RoomError> {
    match role {
        ReplyRole::Endpoint => {
            let id = object_id(reply)
                .map_err(|text| RoomError::new(RoomErrorCode::MediaEndpoint, text))?;
            running.endpoint = Some(id);
        }
        ReplyRole::PassThrough => {
            let id = object_id(reply)
                .map_err(|text| RoomError::new(RoomErrorCode::MediaEndpoint, text))?;
            running.pass_through = Some(id);
        }
        ReplyRole::Description => {
            let value =
                reply.map_err(|e| RoomError::new(RoomErrorCode::MediaSdp, e.to_string()))?;
            let text = value.as_str().filter(|text| !text.is_empty());
            let text = text.ok_or_else(|| {
                RoomError::new(
                    RoomErrorCode::MediaSdp,
                    "the media server made no session description",
                )
            })?;
            running.description = Some(text.to_owned());
        }
        ReplyRole::Setup => {
            let code = failure_code(&running.task);
            reply.map_err(|failure| RoomError::new(code, failure.to_string()))?;
        }
    }
    Ok(())
}
