//! [`NotificationRoomManager`]: requests of clients in, callbacks to a handler out.
//!
//! | module | role |
//! | --- | --- |
//! | `bridge` | what nobody asked for goes to the same handler |
//! | `delegated` | what needs no handler |

mod bridge;
mod delegated;

use std::sync::Arc;

use salono_room_core::{
    Command, IceCandidate, Outcome, ParticipantId, RoomError, RoomErrorCode, StreamRef,
    UserParticipant, VideoPreference, WEBCAM,
};
use tokio::sync::oneshot;

use crate::default_handler::DefaultNotificationRoomHandler;
use crate::handler::{
    Chat, NotificationRoomHandler, Published, Unpublished, UserNotificationService,
};
use crate::manager::RoomManager;
use crate::message::{Completion, room_ended, unexpected_outcome};
use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};
use crate::request::{Join, ParticipantRequest, Publish, publish_command};
use crate::shared::ManagerConfig;
use bridge::Bridge;

/// A [`RoomManager`] for servers: results and errors of client requests go to a
/// [`NotificationRoomHandler`], which answers the client and tells the others.
///
/// A method that takes a [`ParticipantRequest`] returns after the handler was called for it. Callbacks
/// run on the room's task, so that what participants are told is in the order in which it happened.
#[derive(Clone)]
pub struct NotificationRoomManager {
    rooms: RoomManager,
    handler: Arc<dyn NotificationRoomHandler>,
}

impl NotificationRoomManager {
    /// A manager that reports to `handler`.
    pub fn new(
        handler: Arc<dyn NotificationRoomHandler>,
        provider: Arc<dyn KurentoClientProvider>,
        config: ManagerConfig,
    ) -> Self {
        let events = Arc::new(Bridge(Arc::clone(&handler)));
        Self {
            rooms: RoomManager::new(events, provider, config),
            handler,
        }
    }

    /// A manager that speaks Kurento Room's protocol through `service`, with the
    /// [default handler](DefaultNotificationRoomHandler).
    pub fn with_user_notification_service(
        service: Arc<dyn UserNotificationService>,
        provider: Arc<dyn KurentoClientProvider>,
        config: ManagerConfig,
    ) -> Self {
        let handler = Arc::new(DefaultNotificationRoomHandler::new(service));
        Self::new(handler, provider, config)
    }

    /// The manager underneath, whose methods return what they find and call no handler.
    pub fn room_manager(&self) -> &RoomManager {
        &self.rooms
    }

    /// Joins a room, which is created if there is none of that name.
    pub async fn join_room(&self, request: &ParticipantRequest, join: Join) {
        let session = KurentoClientSessionInfo {
            room_name: join.room.clone(),
            participant_id: Some(request.participant_id.clone()),
            user_name: Some(join.user.clone()),
        };
        let (room, user) = (join.room.clone(), join.user.clone());
        let (completion, called) = self.callback(request, move |handler, request, result| {
            let existing = match &result {
                Ok(Outcome::Joined { existing }) => Ok(existing.as_slice()),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_participant_joined(request, &room, &user, existing);
        });
        self.rooms
            .start_join(&request.participant_id, join, Some(session), completion)
            .await;
        let _ = called.await;
    }

    /// Leaves the room.
    pub async fn leave_room(&self, request: &ParticipantRequest) {
        let command = Command::Leave {
            participant: request.participant_id.clone(),
        };
        self.run(request, command, |handler, request, result| {
            let left = match &result {
                Ok(Outcome::Left { user, remaining }) => Ok((user.as_str(), remaining.as_slice())),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_participant_left(request, left);
        })
        .await;
    }

    /// Publishes.
    pub async fn publish_media(&self, request: &ParticipantRequest, publish: Publish) {
        let command = publish_command(&request.participant_id, publish);
        self.run(request, command, |handler, request, result| {
            let published = match &result {
                Ok(Outcome::Published {
                    user,
                    stream,
                    answer,
                    members,
                }) => Ok(Published {
                    user,
                    stream,
                    answer,
                    members,
                }),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_publish_media(request, published);
        })
        .await;
    }

    /// Stops publishing the stream that everybody knows.
    pub async fn unpublish_media(&self, request: &ParticipantRequest) {
        self.unpublish_stream(request, WEBCAM).await;
    }

    /// Stops publishing a stream.
    pub async fn unpublish_stream(&self, request: &ParticipantRequest, stream: &str) {
        let command = Command::Unpublish {
            participant: request.participant_id.clone(),
            stream: stream.to_owned(),
        };
        self.run(request, command, |handler, request, result| {
            let unpublished = match &result {
                Ok(Outcome::Unpublished {
                    user,
                    stream,
                    members,
                }) => Ok(Unpublished {
                    user,
                    stream,
                    members,
                }),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_unpublish_media(request, unpublished);
        })
        .await;
    }

    /// Receives what user `remote` publishes.
    pub async fn subscribe(
        &self,
        request: &ParticipantRequest,
        remote: impl Into<StreamRef>,
        offer: impl Into<String>,
    ) {
        let command = Command::Subscribe {
            participant: request.participant_id.clone(),
            remote: remote.into(),
            offer: offer.into(),
        };
        self.run(request, command, |handler, request, result| {
            let answer = match &result {
                Ok(Outcome::Subscribed { answer }) => Ok(answer.as_str()),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_subscribe(request, answer);
        })
        .await;
    }

    /// Stops receiving from user `remote`.
    pub async fn unsubscribe(&self, request: &ParticipantRequest, remote: impl Into<StreamRef>) {
        let command = Command::Unsubscribe {
            participant: request.participant_id.clone(),
            remote: remote.into(),
        };
        self.run(request, command, |handler, request, result| {
            handler.on_unsubscribe(request, result.as_ref().map(drop));
        })
        .await;
    }

    /// Restarts ICE of what the participant publishes as `stream`, or of what it receives, as
    /// [`RoomManager::restart_ice`].
    pub async fn restart_ice(
        &self,
        request: &ParticipantRequest,
        remote: Option<StreamRef>,
        stream: &str,
        offer: impl Into<String>,
    ) {
        let command = Command::RestartIce {
            participant: request.participant_id.clone(),
            remote,
            stream: stream.to_owned(),
            offer: offer.into(),
        };
        self.run(request, command, |handler, request, result| {
            let answer = match &result {
                Ok(Outcome::IceRestarted { answer }) => Ok(answer.as_str()),
                Ok(_) => Err(&unexpected_outcome()),
                Err(error) => Err(error),
            };
            handler.on_ice_restarted(request, answer);
        })
        .await;
    }

    /// Hands over a candidate of the participant.
    pub async fn on_ice_candidate(
        &self,
        request: &ParticipantRequest,
        endpoint: impl Into<StreamRef>,
        candidate: IceCandidate,
    ) {
        let command = Command::AddIceCandidate {
            participant: request.participant_id.clone(),
            endpoint: endpoint.into(),
            candidate,
        };
        self.run(request, command, |handler, request, result| {
            handler.on_recv_ice_candidate(request, result.as_ref().map(drop));
        })
        .await;
    }

    /// Takes in how the participant shows what others publish, as
    /// [`RoomManager::set_video_preferences`].
    pub async fn set_video_preferences(
        &self,
        request: &ParticipantRequest,
        preferences: Vec<(StreamRef, VideoPreference)>,
    ) {
        let command = Command::SetVideoPreferences {
            participant: request.participant_id.clone(),
            preferences,
        };
        self.run(request, command, |handler, request, result| {
            handler.on_set_video_preferences(request, result.as_ref().map(drop));
        })
        .await;
    }

    /// Sends a chat message to everybody in the room. `user` and `room` must be the sender's own:
    /// 102 and 202 otherwise.
    pub async fn send_message(
        &self,
        request: &ParticipantRequest,
        message: &str,
        user: &str,
        room: &str,
    ) {
        let handler = Arc::clone(&self.handler);
        let asker = request.clone();
        let (message, user, named) = (message.to_owned(), user.to_owned(), room.to_owned());
        let sent = self
            .rooms
            .ask(&request.participant_id, move |room| {
                let sender = room.participant(&asker.participant_id)?;
                check_sender(&sender, &user, room.name(), &named)?;
                let members = room.participants();
                handler.on_send_message(
                    &asker,
                    Ok(Chat {
                        message: &message,
                        user: &user,
                        room: &named,
                        members: &members,
                    }),
                );
                Ok(())
            })
            .await;
        if let Err(error) = sent {
            self.handler.on_send_message(request, Err(&error));
        }
    }

    /// Takes a participant out of its room; the others and the participant are told. Errors: 102.
    pub async fn evict_participant(&self, participant: &ParticipantId) -> Result<(), RoomError> {
        let handler = Arc::clone(&self.handler);
        let (sender, result) = oneshot::channel();
        let id = participant.clone();
        let completion = Completion::new(move |outcome| {
            let evicted = match outcome {
                Ok(Outcome::Left { user, remaining }) => {
                    handler.on_participant_removed(&user, &remaining);
                    handler.on_participant_evicted(&UserParticipant {
                        participant_id: id,
                        user_name: user,
                        streaming: false,
                        streams: Vec::new(),
                        knows_streams: false,
                    });
                    Ok(())
                }
                Ok(_) => Err(unexpected_outcome()),
                Err(error) => Err(error),
            };
            let _ = sender.send(evicted);
        });
        let command = Command::Leave {
            participant: participant.clone(),
        };
        self.rooms.start(participant, command, completion).await;
        result.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Closes a room; everybody in it is told. Errors: 202, 203.
    pub async fn close_room(&self, room: &str) -> Result<(), RoomError> {
        let handler = Arc::clone(&self.handler);
        let (sender, result) = oneshot::channel();
        let name = room.to_owned();
        let completion = Completion::new(move |outcome| {
            let closed = match outcome {
                Ok(Outcome::Closed { members }) => {
                    handler.on_room_closed(&name, &members);
                    Ok(())
                }
                Ok(_) => Err(unexpected_outcome()),
                Err(error) => Err(error),
            };
            let _ = sender.send(closed);
        });
        self.rooms.start_close(room, completion).await;
        result.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Closes every room with everybody in it told, and opens none any more.
    pub async fn shutdown(&self) {
        self.rooms.shut();
        for room in self.rooms.rooms() {
            if let Err(error) = self.close_room(&room).await {
                tracing::debug!(room, %error, "room was closed by somebody else");
            }
        }
    }

    async fn run(
        &self,
        request: &ParticipantRequest,
        command: Command,
        report: impl FnOnce(
            &dyn NotificationRoomHandler,
            &ParticipantRequest,
            Result<Outcome, RoomError>,
        ) + Send
        + 'static,
    ) {
        let (completion, called) = self.callback(request, report);
        self.rooms
            .start(&request.participant_id, command, completion)
            .await;
        let _ = called.await;
    }

    /// A completion that reports to the handler, and a receiver that wakes when it has.
    fn callback(
        &self,
        request: &ParticipantRequest,
        report: impl FnOnce(
            &dyn NotificationRoomHandler,
            &ParticipantRequest,
            Result<Outcome, RoomError>,
        ) + Send
        + 'static,
    ) -> (Completion, oneshot::Receiver<()>) {
        let (sender, called) = oneshot::channel();
        let handler = Arc::clone(&self.handler);
        let request = request.clone();
        let completion = Completion::new(move |result| {
            report(&*handler, &request, result);
            let _ = sender.send(());
        });
        (completion, called)
    }
}

/// A client can only speak for itself and where it is.
fn check_sender(
    sender: &UserParticipant,
    user: &str,
    room: &str,
    named_room: &str,
) -> Result<(), RoomError> {
    if sender.user_name != user {
        return Err(RoomError::new(
            RoomErrorCode::UserNotFound,
            format!("the sender's name is not '{user}'"),
        ));
    }
    if room != named_room {
        return Err(RoomError::new(
            RoomErrorCode::RoomNotFound,
            format!("the sender is not in room '{named_room}'"),
        ));
    }
    Ok(())
}
