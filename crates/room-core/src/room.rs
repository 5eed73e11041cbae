//! [`Room`]: its state, the way in, and the way out.
//!
//! Every request to the media server is noted in `replies` under its token until its reply comes. A
//! reply that finds its operation gone (the participant left, the time was up) and brings an object
//! leads to the release of that object: that is the one place where late objects are caught.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use indexmap::IndexMap;
use salono_kurento_model::wire::{Notification, Request};

use crate::adaptation::AdaptationStep;
use crate::command::{Command, Outcome, ParticipantId, StreamRef, Ticket, UserParticipant};
use crate::config::RoomConfig;
use crate::effect::{CloseReason, Effect, Reply, RoomEvent, Token};
use crate::error::{RoomError, RoomErrorCode};
use crate::facts::Facts;
use crate::participant::{Operation, Participant, Running};
use crate::request;
use crate::speakers::Speakers;

/// One room. Feed it commands, replies and events; do what [`poll_effect`](Self::poll_effect) says.
///
/// The room never fails as a whole for what a client or a media server says: commands end in
/// [`Effect::Done`], each exactly once.
#[derive(Debug)]
pub struct Room {
    pub(crate) name: String,
    pub(crate) config: RoomConfig,
    /// Created by the program, not by a join: outlives joins that fail.
    pub(crate) explicit: bool,
    pub(crate) closed: bool,
    /// Nobody can join.
    pub(crate) locked: bool,
    pub(crate) pipeline: Pipeline,
    /// In order of joining.
    pub(crate) participants: IndexMap<ParticipantId, Participant>,
    /// Who published on a media server that is lost, and is to be asked to do so again.
    pub(crate) bereft: Vec<UserParticipant>,
    /// Joins that wait for the pipeline, in order.
    pub(crate) joins: VecDeque<PendingJoin>,
    pub(crate) facts: Facts,
    pub(crate) speakers: Speakers,
    /// Whose object it is, for events.
    pub(crate) objects: BTreeMap<String, ObjectRole>,
    pub(crate) replies: BTreeMap<Token, AwaitedReply>,
    /// When operations run out of time, by deadline and serial.
    pub(crate) deadlines: BTreeMap<(Instant, u64), ParticipantId>,
    /// Participants whose next operation may start.
    pub(crate) ready: VecDeque<ParticipantId>,
    pub(crate) effects: VecDeque<Effect>,
    next_token: u64,
    pub(crate) next_serial: u64,
}

/// The room's pipeline.
#[derive(Debug)]
pub(crate) enum Pipeline {
    /// Not asked for, or failed.
    Absent,
    /// Lost with its media server, and there is no other yet.
    Suspended,
    /// Asked for.
    Creating { token: Token, deadline: Instant },
    /// There, with its object id.
    Ready(String),
}

/// A participant that waits for the pipeline.
#[derive(Debug)]
pub(crate) struct PendingJoin {
    pub(crate) ticket: Ticket,
    pub(crate) id: ParticipantId,
    pub(crate) participant: Participant,
}

/// What an object is to the room.
#[derive(Debug)]
pub(crate) enum ObjectRole {
    Pipeline,
    /// A pass-through or an added element of a participant.
    Element(ParticipantId),
    /// An endpoint of a participant and the stream that it is for.
    Endpoint(ParticipantId, StreamRef),
    /// Tells who speaks.
    SpeakerDetector,
    /// Tells which quality a participant gets of a stream.
    Adaptation(ParticipantId, StreamRef),
}

/// What a reply is for.
#[derive(Debug)]
pub(crate) enum AwaitedReply {
    Pipeline,
    /// What the media server has.
    ServerInfo,
    /// Id of the detector of speakers.
    Detector,
    /// About the adaptation of a participant's subscription to a stream, which is the one that this
    /// endpoint was made for.
    Adaptation {
        participant: ParticipantId,
        remote: StreamRef,
        endpoint: String,
        step: AdaptationStep,
    },
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
            locked: false,
            pipeline: Pipeline::Absent,
            participants: IndexMap::new(),
            bereft: Vec::new(),
            joins: VecDeque::new(),
            facts: Facts::default(),
            speakers: Speakers::default(),
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
                listens,
            } => {
                let newcomer = Participant::new(user, data_channels, web, listens);
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
                stream,
            } => {
                let operation = Operation::Publish {
                    sdp_type,
                    sdp,
                    loopback,
                    elements,
                    stream,
                };
                self.enqueue(ticket, &participant, operation);
            }
            Command::GeneratePublishOffer {
                participant,
                stream,
            } => {
                self.enqueue(ticket, &participant, Operation::GenerateOffer { stream });
            }
            Command::Unpublish {
                participant,
                stream,
            } => {
                self.enqueue(ticket, &participant, Operation::Unpublish { stream });
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
            Command::RestartIce {
                participant,
                remote,
                stream,
                offer,
            } => {
                let operation = Operation::RestartIce {
                    remote,
                    stream,
                    offer,
                };
                self.enqueue(ticket, &participant, operation);
            }
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
            Command::MutePublished {
                participant,
                stream,
                media,
            } => {
                let operation = Operation::MutePublished { stream, media };
                self.enqueue(ticket, &participant, operation);
            }
            Command::UnmutePublished {
                participant,
                stream,
                media,
            } => {
                let operation = Operation::UnmutePublished { stream, media };
                self.enqueue(ticket, &participant, operation);
            }
            Command::SetLocked { locked } => self.set_locked(ticket, locked),
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
            Command::SetVideoPreferences {
                participant,
                preferences,
            } => self.enqueue(ticket, &participant, Operation::SetPreferences(preferences)),
        }
        self.run_ready(now);
    }

    /// Takes the reply to a request. A token that is not awaited is ignored.
    pub fn handle_reply(&mut self, token: Token, reply: Reply, now: Instant) {
        match self.replies.remove(&token) {
            Some(AwaitedReply::Pipeline) => self.pipeline_reply(token, reply),
            Some(AwaitedReply::ServerInfo) => self.server_info_reply(reply),
            Some(AwaitedReply::Detector) => self.detector_reply(reply),
            Some(AwaitedReply::Adaptation {
                participant,
                remote,
                endpoint,
                step,
            }) => self.adaptation_reply(&participant, &remote, &endpoint, step, reply),
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
        if matches!(role, ObjectRole::SpeakerDetector) {
            return self.heard(notification);
        }
        if let ObjectRole::Adaptation(receiver, remote) = role {
            let (receiver, remote) = (receiver.clone(), remote.clone());
            return self.layer_changed(receiver, remote, notification);
        }
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

    /// The connection to the media server is gone for good, and there is no other server.
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
            Pipeline::Absent | Pipeline::Suspended | Pipeline::Ready(_) => None,
        };
        let operation = self.deadlines.keys().next().map(|(deadline, _)| *deadline);
        pipeline.into_iter().chain(operation).min()
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }
}

/// Who is in.
impl Room {
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

    pub(crate) fn request(&mut self, request: Request, reply: AwaitedReply) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        self.replies.insert(token, reply);
        self.effects.push_back(Effect::Request { token, request });
        token
    }

    pub(crate) fn closed_error(&self) -> RoomError {
        RoomError::new(
            RoomErrorCode::RoomClosed,
            format!("room '{}' is closed", self.name),
        )
    }
}

pub(crate) fn not_streaming(user: &impl std::fmt::Display) -> RoomError {
    RoomError::new(
        RoomErrorCode::UserNotStreaming,
        format!("user '{user}' does not publish media"),
    )
}

/// The id that a `create` answered with.
pub(crate) fn object_id(reply: Reply) -> Result<String, String> {
    match reply {
        Ok(value) => value
            .as_str()
            .map(str::to_owned)
            .ok_or_else(|| "the media server named no object".to_owned()),
        Err(failure) => Err(failure.to_string()),
    }
}

pub(crate) fn seen(id: &ParticipantId, participant: &Participant) -> UserParticipant {
    UserParticipant {
        participant_id: id.clone(),
        user_name: participant.user.clone(),
        streaming: participant.publishes(),
        streams: participant.streams().cloned().collect(),
        knows_streams: participant.listens.streams,
    }
}
