//! [`Room`]: membership, the order of operations, and the bookkeeping of replies.
//!
//! Every request to the media server is noted in `replies` under its token until its reply comes. A
//! reply that finds its operation gone (the participant left, the time was up) and brings an object
//! leads to the release of that object: that is the one place where late objects are caught.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use indexmap::IndexMap;
use salono_kurento_model::wire::{Notification, Request};

use crate::command::{Command, Outcome, ParticipantId, Ticket, UserParticipant};
use crate::config::RoomConfig;
use crate::effect::{CloseReason, Effect, Reply, RoomEvent, Token};
use crate::error::{RoomError, RoomErrorCode};
use crate::participant::{Operation, Participant, PublisherState, Running, Task};
use crate::request;

/// One room. Feed it commands, replies and events; do what [`poll_effect`](Self::poll_effect) says.
///
/// The room never fails as a whole for what a client or a media server says: commands end in
/// [`Effect::Done`], each exactly once.
#[derive(Debug)]
pub struct Room {
    pub(crate) name: String,
    pub(crate) config: RoomConfig,
    /// Created by the program, not by a join: outlives joins that fail.
    explicit: bool,
    closed: bool,
    pub(crate) pipeline: Pipeline,
    /// In order of joining.
    pub(crate) participants: IndexMap<ParticipantId, Participant>,
    /// Joins that wait for the pipeline, in order.
    joins: VecDeque<PendingJoin>,
    /// Whose object it is, for events.
    pub(crate) objects: BTreeMap<String, ObjectRole>,
    replies: BTreeMap<Token, AwaitedReply>,
    /// When operations run out of time, by deadline and serial.
    deadlines: BTreeMap<(Instant, u64), ParticipantId>,
    /// Participants whose next operation may start.
    ready: VecDeque<ParticipantId>,
    effects: VecDeque<Effect>,
    next_token: u64,
    next_serial: u64,
}

/// The room's pipeline.
#[derive(Debug)]
pub(crate) enum Pipeline {
    /// Not asked for, or failed.
    Absent,
    /// Asked for.
    Creating { token: Token, deadline: Instant },
    /// There, with its object id.
    Ready(String),
}

/// A participant that waits for the pipeline.
#[derive(Debug)]
struct PendingJoin {
    ticket: Ticket,
    id: ParticipantId,
    participant: Participant,
}

/// What an object is to the room.
#[derive(Debug)]
pub(crate) enum ObjectRole {
    Pipeline,
    /// A pass-through or an added element of a participant.
    Element(ParticipantId),
    /// An endpoint of a participant and the name that the participant knows it by.
    Endpoint(ParticipantId, String),
}

/// What a reply is for.
#[derive(Debug)]
enum AwaitedReply {
    Pipeline,
    Operation {
        participant: ParticipantId,
        serial: u64,
        role: ReplyRole,
    },
    /// Nobody waits; failures are logged under this name.
    Detached(&'static str),
}

/// What a reply brings to its operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReplyRole {
    /// Id of the endpoint.
    Endpoint,
    /// Id of the pass-through.
    PassThrough,
    /// A session description.
    Description,
    /// Nothing but success.
    Setup,
}

/// The way in: commands, replies, events, time.
impl Room {
    /// An empty room. One that is `explicit` stays when a first join fails; both kinds end with
    /// their last participant.
    pub fn new(name: impl Into<String>, config: RoomConfig, explicit: bool) -> Self {
        Self {
            name: name.into(),
            config,
            explicit,
            closed: false,
            pipeline: Pipeline::Absent,
            participants: IndexMap::new(),
            joins: VecDeque::new(),
            objects: BTreeMap::new(),
            replies: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            ready: VecDeque::new(),
            effects: VecDeque::new(),
            next_token: 0,
            next_serial: 0,
        }
    }

    /// Takes a command. Tickets must not repeat while their command is under way.
    pub fn handle_command(&mut self, ticket: Ticket, command: Command, now: Instant) {
        match command {
            Command::Join {
                participant,
                user,
                data_channels,
                web,
            } => {
                let newcomer = Participant::new(user, data_channels, web);
                self.join(ticket, participant, newcomer, now);
            }
            Command::Leave { participant } => self.leave(ticket, &participant),
            Command::Close => {
                if self.closed {
                    self.done(ticket, Err(self.closed_error()));
                } else {
                    let members = self.close(CloseReason::Asked);
                    self.done(ticket, Ok(Outcome::Closed { members }));
                }
            }
            Command::Publish {
                participant,
                sdp_type,
                sdp,
                loopback,
                elements,
            } => {
                let operation = Operation::Publish {
                    sdp_type,
                    sdp,
                    loopback,
                    elements,
                };
                self.enqueue(ticket, &participant, operation);
            }
            Command::GeneratePublishOffer { participant } => {
                self.enqueue(ticket, &participant, Operation::GenerateOffer);
            }
            Command::Unpublish { participant } => {
                self.enqueue(ticket, &participant, Operation::Unpublish);
            }
            Command::Subscribe {
                participant,
                remote,
                offer,
            } => self.enqueue(ticket, &participant, Operation::Subscribe { remote, offer }),
            Command::Unsubscribe {
                participant,
                remote,
            } => self.enqueue(ticket, &participant, Operation::Unsubscribe { remote }),
            Command::AddIceCandidate {
                participant,
                endpoint,
                candidate,
            } => {
                let operation = Operation::AddIceCandidate {
                    endpoint,
                    candidate,
                };
                self.enqueue(ticket, &participant, operation);
            }
            Command::MutePublished { participant, media } => {
                self.enqueue(ticket, &participant, Operation::MutePublished(Some(media)));
            }
            Command::UnmutePublished { participant } => {
                self.enqueue(ticket, &participant, Operation::MutePublished(None));
            }
            Command::MuteSubscribed {
                participant,
                remote,
                media,
            } => {
                let media = Some(media);
                self.enqueue(
                    ticket,
                    &participant,
                    Operation::MuteSubscribed { remote, media },
                );
            }
            Command::UnmuteSubscribed {
                participant,
                remote,
            } => {
                let media = None;
                self.enqueue(
                    ticket,
                    &participant,
                    Operation::MuteSubscribed { remote, media },
                );
            }
            Command::AddMediaElement {
                participant,
                element,
                media,
            } => self.enqueue(
                ticket,
                &participant,
                Operation::AddElement { element, media },
            ),
            Command::RemoveMediaElement {
                participant,
                element,
            } => self.enqueue(ticket, &participant, Operation::RemoveElement { element }),
        }
        self.run_ready(now);
    }

    /// Takes the reply to a request. A token that is not awaited is ignored.
    pub fn handle_reply(&mut self, token: Token, reply: Reply, now: Instant) {
        match self.replies.remove(&token) {
            Some(AwaitedReply::Pipeline) => self.pipeline_reply(token, reply),
            Some(AwaitedReply::Operation {
                participant,
                serial,
                role,
            }) => self.operation_reply(&participant, serial, role, reply, now),
            Some(AwaitedReply::Detached(what)) => {
                if let Err(failure) = reply {
                    tracing::debug!(room = self.name, what, %failure, "media server refused");
                }
            }
            None => {}
        }
        self.run_ready(now);
    }

    /// Takes an event of the media server; events of objects that are not the room's are ignored.
    pub fn handle_notification(&mut self, notification: &Notification) {
        let Some(role) = self.objects.get(&notification.object) else {
            return;
        };
        let event = match (role, notification.event.as_str()) {
            (ObjectRole::Endpoint(participant, endpoint), "IceCandidateFound") => {
                let Some(candidate) = request::found_candidate(notification) else {
                    tracing::warn!(room = self.name, "media server sent a malformed candidate");
                    return;
                };
                RoomEvent::IceCandidateFound {
                    participant: participant.clone(),
                    endpoint: endpoint.clone(),
                    candidate,
                }
            }
            (ObjectRole::Pipeline, "Error") => RoomEvent::PipelineError {
                participants: self.participants.keys().cloned().collect(),
                description: request::error_description(notification),
            },
            (ObjectRole::Element(participant) | ObjectRole::Endpoint(participant, _), "Error") => {
                RoomEvent::MediaElementError {
                    participant: participant.clone(),
                    description: request::error_description(notification),
                }
            }
            (_, other) => {
                tracing::trace!(room = self.name, event = other, "event without a use");
                return;
            }
        };
        self.effects.push_back(Effect::Event(event));
    }

    /// The connection to the media server is gone for good, and with it everything there.
    pub fn handle_media_lost(&mut self) {
        // No reply will come, and there is nothing left to release.
        self.replies.clear();
        if !self.closed {
            self.close(CloseReason::MediaServerLost);
        }
    }

    /// Ends what ran out of time.
    pub fn handle_timeout(&mut self, now: Instant) {
        if let Pipeline::Creating { deadline, .. } = self.pipeline
            && deadline <= now
        {
            self.pipeline_failed("the media server made no pipeline in time");
        }
        while let Some((&(deadline, serial), _)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            let Some(participant) = self.deadlines.remove(&(deadline, serial)) else {
                break;
            };
            self.operation_timeout(&participant, serial);
        }
        self.run_ready(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called next.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let pipeline = match self.pipeline {
            Pipeline::Creating { deadline, .. } => Some(deadline),
            Pipeline::Absent | Pipeline::Ready(_) => None,
        };
        let operation = self.deadlines.keys().next().map(|(deadline, _)| *deadline);
        pipeline.into_iter().chain(operation).min()
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// A look inside.
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
        self.listed(|participant| participant.publisher.streaming().is_some())
    }

    /// Everybody who is subscribed to somebody.
    pub fn subscribers(&self) -> Vec<UserParticipant> {
        self.listed(|participant| !participant.subscriptions.is_empty())
    }

    /// Whom a participant is subscribed to. Error: 102.
    pub fn peer_publishers(&self, id: &ParticipantId) -> Result<Vec<UserParticipant>, RoomError> {
        let subscriber = self.member(id)?;
        Ok(self.listed(|peer| subscriber.subscriptions.contains_key(&peer.user)))
    }

    /// Who is subscribed to a participant. Errors: 102, 105 if it does not publish.
    pub fn peer_subscribers(&self, id: &ParticipantId) -> Result<Vec<UserParticipant>, RoomError> {
        let publisher = self.member(id)?;
        if publisher.publisher.streaming().is_none() {
            return Err(not_streaming(&publisher.user));
        }
        Ok(self.listed(|peer| peer.subscriptions.contains_key(&publisher.user)))
    }

    /// A participant as others see it. Error: 102.
    pub fn participant(&self, id: &ParticipantId) -> Result<UserParticipant, RoomError> {
        self.member(id).map(|participant| seen(id, participant))
    }

    /// The object id of the pipeline, for a participant of the room. Error: 102.
    pub fn pipeline(&self, id: &ParticipantId) -> Result<String, RoomError> {
        self.member(id)?;
        match &self.pipeline {
            Pipeline::Ready(pipeline) => Ok(pipeline.clone()),
            Pipeline::Absent | Pipeline::Creating { .. } => Err(RoomError::new(
                RoomErrorCode::MediaGeneric,
                "the room has no pipeline",
            )),
        }
    }

    pub(crate) fn member(&self, id: &ParticipantId) -> Result<&Participant, RoomError> {
        self.participants.get(id).ok_or_else(|| {
            RoomError::new(
                RoomErrorCode::UserNotFound,
                format!("participant '{id}' is not in room '{}'", self.name),
            )
        })
    }

    /// The participant of a name. Error: 102.
    pub(crate) fn member_named(
        &self,
        user: &str,
    ) -> Result<(&ParticipantId, &Participant), RoomError> {
        self.participants
            .iter()
            .find(|(_, participant)| participant.user == user)
            .ok_or_else(|| {
                RoomError::new(
                    RoomErrorCode::UserNotFound,
                    format!("user '{user}' is not in room '{}'", self.name),
                )
            })
    }

    fn listed(&self, keep: impl Fn(&Participant) -> bool) -> Vec<UserParticipant> {
        self.participants
            .iter()
            .filter(|(_, participant)| keep(participant))
            .map(|(id, participant)| seen(id, participant))
            .collect()
    }
}

/// Coming and going.
impl Room {
    fn join(&mut self, ticket: Ticket, id: ParticipantId, newcomer: Participant, now: Instant) {
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
            Pipeline::Creating { .. } => self.joins.push_back(join),
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
        let existing = self.participants();
        tracing::debug!(
            room = self.name,
            user = join.participant.user,
            "participant joined"
        );
        self.participants.insert(join.id, join.participant);
        self.done(join.ticket, Ok(Outcome::Joined { existing }));
    }

    fn leave(&mut self, ticket: Ticket, id: &ParticipantId) {
        if let Some(position) = self.joins.iter().position(|join| join.id == *id) {
            if let Some(join) = self.joins.remove(position) {
                self.done(join.ticket, Err(left_error()));
            }
            // The pipeline that was asked for is dealt with when it comes.
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
        if last {
            // The pipeline takes everything with it.
            self.close(CloseReason::Empty);
        } else {
            self.release_participant(&mut participant);
            self.drop_subscriptions_to(&participant.user);
        }
        let outcome = Outcome::Left {
            user: participant.user,
            remaining: self.participants(),
        };
        self.done(ticket, Ok(outcome));
    }

    /// Ends the room and returns who was in it.
    fn close(&mut self, reason: CloseReason) -> Vec<UserParticipant> {
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

    fn pipeline_reply(&mut self, token: Token, reply: Reply) {
        let awaited =
            matches!(self.pipeline, Pipeline::Creating { token: current, .. } if current == token);
        match (awaited, object_id(reply)) {
            (true, Ok(pipeline)) => {
                self.objects.insert(pipeline.clone(), ObjectRole::Pipeline);
                self.detached("subscribe Error", request::subscribe(&pipeline, "Error"));
                self.pipeline = Pipeline::Ready(pipeline);
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
    fn pipeline_failed(&mut self, text: &str) {
        tracing::warn!(room = self.name, text, "room has no pipeline");
        self.pipeline = Pipeline::Absent;
        let joins = std::mem::take(&mut self.joins);
        if self.participants.is_empty() && !self.explicit {
            self.close(CloseReason::Empty);
        }
        for join in joins {
            let error = RoomError::new(RoomErrorCode::RoomCannotBeCreated, text);
            self.done(join.ticket, Err(error));
        }
    }
}

/// Operations and their replies.
impl Room {
    fn enqueue(&mut self, ticket: Ticket, id: &ParticipantId, operation: Operation) {
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
    fn run_ready(&mut self, now: Instant) {
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
            deadline: now + self.config.limits.operation_timeout,
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
            } => self.begin_publish(id, running, sdp_type, sdp, loopback, elements),
            Operation::GenerateOffer => self.begin_offer(id, running),
            Operation::Unpublish => self.unpublish(id).map(Started::Finished),
            Operation::Subscribe { remote, offer } => {
                self.begin_subscribe(id, running, remote, offer)
            }
            Operation::Unsubscribe { remote } => {
                self.unsubscribe(id, &remote).map(Started::Finished)
            }
            Operation::AddIceCandidate {
                endpoint,
                candidate,
            } => self
                .add_ice_candidate(id, &endpoint, candidate)
                .map(|()| Started::Finished(Outcome::Done)),
            Operation::MutePublished(media) => self.begin_mute_published(id, running, media),
            Operation::MuteSubscribed { remote, media } => {
                self.begin_mute_subscribed(id, running, remote, media)
            }
            Operation::AddElement { element, media } => {
                self.begin_add_element(id, running, element, media)
            }
            Operation::RemoveElement { element } => self.begin_remove_element(id, running, element),
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

    fn operation_reply(
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

    fn operation_timeout(&mut self, id: &ParticipantId, serial: u64) {
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
    fn cancel_operations(&mut self, participant: &mut Participant, error: &RoomError) {
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
    fn release_participant(&mut self, participant: &mut Participant) {
        for (_, subscription) in std::mem::take(&mut participant.subscriptions) {
            self.release(subscription.endpoint);
        }
        for element in participant.publisher.elements.drain(..) {
            self.release(element.id);
        }
        match std::mem::take(&mut participant.publisher.state) {
            PublisherState::Idle => {}
            PublisherState::Offered(objects) | PublisherState::Streaming(objects) => {
                self.release(objects.pass_through);
                self.release(objects.endpoint);
            }
        }
    }
}

/// The way out.
impl Room {
    pub(crate) fn done(&mut self, ticket: Ticket, result: Result<Outcome, RoomError>) {
        self.effects.push_back(Effect::Done { ticket, result });
    }

    /// Sends a request that a running operation waits for.
    pub(crate) fn request_for(
        &mut self,
        id: &ParticipantId,
        running: &mut Running,
        role: ReplyRole,
        request: Request,
    ) {
        running.outstanding += 1;
        let reply = AwaitedReply::Operation {
            participant: id.clone(),
            serial: running.serial,
            role,
        };
        self.request(request, reply);
    }

    /// Sends a request that nobody waits for.
    pub(crate) fn detached(&mut self, what: &'static str, request: Request) {
        self.request(request, AwaitedReply::Detached(what));
    }

    /// Forgets and releases an object.
    pub(crate) fn release(&mut self, object: String) {
        self.objects.remove(&object);
        self.detached("release", request::release(object));
    }

    fn request(&mut self, request: Request, reply: AwaitedReply) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.replies.insert(token, reply);
        self.effects.push_back(Effect::Request { token, request });
        token
    }

    fn closed_error(&self) -> RoomError {
        RoomError::new(
            RoomErrorCode::RoomClosed,
            format!("room '{}' is closed", self.name),
        )
    }
}

/// How an operation went on.
pub(crate) enum Started {
    /// It waits for replies.
    Waiting(Running),
    /// It is finished.
    Finished(Outcome),
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
        | Task::AddElement { .. }
        | Task::RemoveElement { .. } => RoomErrorCode::MediaEndpoint,
    }
}

pub(crate) fn not_streaming(user: &str) -> RoomError {
    RoomError::new(
        RoomErrorCode::UserNotStreaming,
        format!("user '{user}' does not publish media"),
    )
}

fn left_error() -> RoomError {
    RoomError::new(
        RoomErrorCode::UserClosed,
        "the participant left the room meanwhile",
    )
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

fn object_id(reply: Reply) -> Result<String, String> {
    match reply {
        Ok(value) => value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "the media server named no object".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

fn seen(id: &ParticipantId, participant: &Participant) -> UserParticipant {
    UserParticipant {
        participant_id: id.clone(),
        user_name: participant.user.clone(),
        streaming: participant.publisher.streaming().is_some(),
    }
}
