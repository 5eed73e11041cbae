//! Carrying out room requests.

use std::sync::Arc;
use std::time::SystemTime;

use salono_jsonrpc::room::envelope::Failure;
use salono_jsonrpc::room::{CODE_NOT_UNDERSTOOD, RequestId, SessionId};
use salono_room_proto::{ErrorCode, JoinRoom, Request, SenderRef};
use salono_room_sdk::{
    IceCandidate, Join, Listens, ParticipantId, ParticipantRequest, Publish, RoomError, StreamRef,
    VideoPreference, WEBCAM,
};
use serde_json::{Map, Value};

use crate::access::{self, Admission};
use crate::exchange::Job;
use crate::members::Member;
use crate::moderation;
use crate::server::Shared;

/// Starts a job on a task of its own. A session has one request running at a time, so jobs of one
/// session do not overtake each other; and a job that panics costs its own request only.
pub(crate) fn start(server: &Arc<Shared>, job: Job) {
    let server = Arc::clone(server);
    match job {
        Job::Execute {
            session,
            id,
            method,
            params,
        } => {
            let running = Running {
                server,
                session,
                id,
            };
            tokio::spawn(async move { running.execute(&method, params.as_ref()).await });
        }
        Job::Evict { session } => {
            tokio::spawn(async move {
                let participant = ParticipantId::from(session.as_str());
                server.members.forget(&session);
                server.custom.left(&participant);
                if let Err(error) = server.manager.evict_participant(&participant).await {
                    // Most sessions that end are in no room. The message would name the session in
                    // full, which is more than a log may know.
                    tracing::trace!(?session, code = error.code.number(), "nothing to evict");
                }
            });
        }
    }
}

/// A request that is carried out; dropping it lets the session's next one start, and answers this
/// one with an error if nothing else did.
struct Running {
    server: Arc<Shared>,
    session: SessionId,
    id: RequestId,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.server
            .drive(|hub, _| hub.complete(&self.session, self.id));
    }
}

impl Running {
    async fn execute(&self, method: &str, params: Option<&Value>) {
        let request = match Request::parse(method, params) {
            Ok(request) => request,
            Err(error) => {
                self.server.counters.request(None);
                let failure = Failure::rejected(error.code(), error.to_string());
                return self.refuse(&failure);
            }
        };
        self.server.counters.request(Some(&request));
        let grants = self.server.members.grants(&self.session);
        let checked = self.server.config.policy.check(&request);
        if let Err(violation) = checked.and_then(|()| access::check(&request, grants)) {
            return self.refuse(&violation.failure());
        }
        let manager = &self.server.manager;
        let participant = ParticipantId::from(self.session.as_str());
        let asked = ParticipantRequest::new(participant.clone(), Some(self.id.to_string()));
        match request {
            Request::JoinRoom(join) => {
                if join.user.is_empty() {
                    let failure =
                        Failure::refused(ErrorCode::Generic.number(), "the user name is empty");
                    return self.refuse(&failure);
                }
                match self.server.config.access.admit(&join, SystemTime::now()) {
                    Ok(admission) => self.prepare(&join, admission).await,
                    Err(violation) => return self.refuse(&violation.failure()),
                }
                let join = Join {
                    room: join.room,
                    user: join.user,
                    data_channels: join.data_channels,
                    web: true,
                    listens: Listens {
                        active_speaker: join.active_speaker,
                        levels: join.audio_levels,
                        layers: join.video_layers,
                        moderation: join.moderation,
                        recovery: join.recovery,
                        streams: join.streams,
                    },
                };
                manager.join_room(&asked, join).await;
                self.server.members.settle(&self.session);
            }
            Request::LeaveRoom => {
                if manager.room_manager().room_name(&participant).is_ok() {
                    manager.leave_room(&asked).await;
                    self.server.members.forget(&self.session);
                    self.server.custom.left(&participant);
                } else {
                    // Nothing to leave is as good as left; the socket stays open.
                    self.respond_empty();
                }
            }
            Request::PublishVideo(publish) => {
                let stream = self.own_stream(&publish.stream);
                let publish = Publish::offer(publish.sdp_offer)
                    .with_loopback(publish.do_loopback)
                    .as_stream(stream);
                manager.publish_media(&asked, publish).await;
            }
            Request::UnpublishVideo(stream) => {
                let stream = self.own_stream(&stream);
                manager.unpublish_stream(&asked, stream).await;
            }
            Request::ReceiveVideoFrom(receive) => {
                manager
                    .subscribe(&asked, self.stream_of(receive.sender), receive.sdp_offer)
                    .await;
            }
            Request::UnsubscribeFromVideo(sender) => {
                manager.unsubscribe(&asked, self.stream_of(sender)).await;
            }
            Request::OnIceCandidate(candidate) => {
                let stream = self.own_stream(&candidate.stream);
                let endpoint = StreamRef::new(candidate.endpoint_name, stream);
                let candidate = IceCandidate {
                    candidate: candidate.candidate,
                    sdp_mid: candidate.sdp_mid,
                    sdp_m_line_index: candidate.sdp_m_line_index,
                };
                manager.on_ice_candidate(&asked, endpoint, candidate).await;
            }
            Request::SendMessage(chat) => {
                manager
                    .send_message(
                        &asked,
                        &chat.message,
                        &chat.user_message,
                        &chat.room_message,
                    )
                    .await;
            }
            Request::SetVideoPreferences(entries) => {
                let preferences = entries.into_iter().map(|entry| {
                    let preference = VideoPreference {
                        height: entry.height,
                        priority: entry.priority,
                    };
                    (self.stream_of(entry.sender), preference)
                });
                let preferences = preferences.collect();
                manager.set_video_preferences(&asked, preferences).await;
            }
            Request::MuteMedia(mute) => {
                self.conclude(moderation::mute(manager, &participant, &mute).await);
            }
            Request::EvictParticipant(user) => {
                let evicted = moderation::evict(manager, &participant, &user).await;
                if let Ok(evicted) = &evicted {
                    let session = SessionId::from(evicted.as_str());
                    self.server.members.forget(&session);
                    self.server.custom.left(evicted);
                }
                self.conclude(evicted.map(drop));
            }
            Request::CloseRoom => {
                self.conclude(moderation::close(manager, &participant).await);
            }
            Request::LockRoom(locked) => {
                self.conclude(moderation::lock(manager, &participant, locked).await);
            }
            Request::RestartIce(restart) => {
                let remote = restart.sender.map(|sender| self.stream_of(sender));
                let own = self.own_stream(&restart.stream);
                manager
                    .restart_ice(&asked, remote, own, restart.sdp_offer)
                    .await;
            }
            Request::CustomRequest(params) => {
                let custom = &self.server.custom;
                match custom.request(manager, &participant, grants, &params).await {
                    Ok(answer) => self.respond(answer),
                    Err(why) => self.refuse(&Failure::rejected(CODE_NOT_UNDERSTOOD, why)),
                }
            }
        }
    }

    /// The stream that a sender means, which is the only one that clients of Kurento Room know, whatever
    /// they call it.
    fn stream_of(&self, sender: SenderRef) -> StreamRef {
        if self.server.members.knows_streams(&self.session) {
            StreamRef::new(sender.user, sender.stream)
        } else {
            StreamRef::from(sender.user)
        }
    }

    /// The same for streams of its own.
    fn own_stream<'a>(&self, stream: &'a str) -> &'a str {
        if self.server.members.knows_streams(&self.session) {
            stream
        } else {
            WEBCAM
        }
    }

    /// Does what precedes a join that is allowed.
    async fn prepare(&self, join: &JoinRoom, admission: Admission) {
        let server = &self.server;
        if let Some(token) = &join.resume_token
            && let Some(ghost) = server.members.holder(token, &join.room, &join.user)
            && ghost != self.session
        {
            self.replace(&ghost, &join.room).await;
        }
        let member = Member::new(join, admission);
        if member.resume_token.is_some() {
            server.drive(|hub, _| hub.number(&self.session));
        }
        server.members.expect(&self.session, member);
    }

    /// Takes out whoever joined before in the place of the one that joins now.
    async fn replace(&self, ghost: &SessionId, room: &str) {
        let manager = &self.server.manager;
        // Nobody can join a locked room, so nobody is to lose its place there for trying.
        if manager.room_manager().is_room_locked(room).await != Ok(false) {
            return;
        }
        let participant = ParticipantId::from(ghost.as_str());
        if manager.evict_participant(&participant).await.is_err() {
            // It left by itself a moment ago.
            return;
        }
        tracing::debug!(room, "a participant took its own place");
        self.server.members.forget(ghost);
        self.server.custom.left(&participant);
        self.server.drive(|hub, now| hub.hang_up(ghost, now));
    }

    /// Answers a request that has nothing to say but whether it succeeded.
    fn conclude(&self, result: Result<(), RoomError>) {
        match result {
            Ok(()) => self.respond_empty(),
            Err(error) => self.refuse(&Failure::refused(error.code.number(), error.message)),
        }
    }

    fn respond_empty(&self) {
        self.respond(Map::new());
    }

    fn respond(&self, answer: Map<String, Value>) {
        let answer = Value::Object(answer);
        self.server
            .drive(|hub, _| hub.respond(&self.session, self.id, &answer));
    }

    fn refuse(&self, failure: &Failure) {
        self.server
            .drive(|hub, _| hub.refuse(&self.session, self.id, failure));
    }
}
