//! [`RoomManager`]: all rooms of a program: coming and going, opening and closing, and the way to the
//! room of a participant.
//!
//! | module | role |
//! | --- | --- |
//! | `media` | what participants publish and receive |
//! | `queries` | who is where |

mod media;
mod queries;

use std::sync::Arc;

use salono_kurento_client::Client;
use salono_room_core::{
    Command, Outcome, ParticipantId, Room, RoomError, RoomErrorCode, UserParticipant,
};
use tokio::sync::{mpsc, oneshot};

use crate::directory::RoomAddress;
use crate::handler::RoomHandler;
use crate::message::{Completion, JoinOrder, Message, room_ended, unexpected_outcome};
use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};
use crate::request::Join;
use crate::shared::{ManagerConfig, Shared};

/// A room's pipeline and the connection on which it can be used.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The connection.
    pub client: Client,
    /// Object id of the `MediaPipeline`.
    pub object: String,
}

/// All rooms of a program. Cheap to clone; clones are the same manager.
///
/// Each room runs on a task of its own, spawned on the runtime of the caller that opens the room, and
/// ends with the room. A slow media server holds up the participant that waits for it, nobody else.
#[derive(Clone)]
pub struct RoomManager {
    shared: Arc<Shared>,
}

impl RoomManager {
    /// A manager without rooms.
    pub fn new(
        handler: Arc<dyn RoomHandler>,
        provider: Arc<dyn KurentoClientProvider>,
        config: ManagerConfig,
    ) -> Self {
        Self {
            shared: Arc::new(Shared::new(handler, provider, config)),
        }
    }

    /// Joins a room and returns who was in it before.
    ///
    /// `session` allows the room to be created if there is none of that name; without it such a join
    /// fails with 202. Other errors: 104 name taken or participant in a room already, 201 room full,
    /// 203 manager closed, 204 no pipeline, 999 empty name.
    pub async fn join_room(
        &self,
        participant: &ParticipantId,
        join: Join,
        session: Option<KurentoClientSessionInfo>,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let (completion, result) = completion();
        self.start_join(participant, join, session, completion)
            .await;
        let Outcome::Joined { existing } = finished(result).await? else {
            return Err(unexpected_outcome());
        };
        Ok(existing)
    }

    /// Leaves the room and returns who is still in it; an empty list means that the room is closed.
    ///
    /// What the participant was waiting for fails with 103. Errors: 102.
    pub async fn leave_room(
        &self,
        participant: &ParticipantId,
    ) -> Result<Vec<UserParticipant>, RoomError> {
        let command = Command::Leave {
            participant: participant.clone(),
        };
        let Outcome::Left { remaining, .. } = self.run(participant, command).await? else {
            return Err(unexpected_outcome());
        };
        Ok(remaining)
    }

    /// Creates a room that waits for its first participant; one that exists is left as it is.
    ///
    /// The pipeline is made at the first join. Errors: 203, 204, and what the provider says.
    pub async fn create_room(&self, session: KurentoClientSessionInfo) -> Result<(), RoomError> {
        let (sender, created) = oneshot::channel();
        {
            let mut directory = self.shared.directory();
            if directory.room(&session.room_name).is_some() {
                tracing::debug!(room = session.room_name, "room exists already");
                return Ok(());
            }
            let name = session.room_name.clone();
            self.shared
                .open(&mut directory, &name, session, Some(sender))?;
        }
        created.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Closes a room; returns who was in it. Its name is free at once. Errors: 202, 203.
    pub async fn close_room(&self, room: &str) -> Result<Vec<UserParticipant>, RoomError> {
        let (completion, result) = completion();
        self.start_close(room, completion).await;
        let Outcome::Closed { members } = finished(result).await? else {
            return Err(unexpected_outcome());
        };
        Ok(members)
    }

    /// Lets nobody join a room from now on (205), or everybody again. Who is in it stays. Errors: 202, 203.
    pub async fn set_room_locked(&self, room: &str, locked: bool) -> Result<(), RoomError> {
        let (completion, result) = completion();
        self.start_in_room(room, Command::SetLocked { locked }, completion)
            .await;
        finished(result).await.map(drop)
    }

    /// Closes every room and opens none any more. No participant is told.
    pub async fn close(&self) {
        self.shut();
        for name in self.rooms() {
            if let Err(error) = self.close_room(&name).await {
                tracing::debug!(room = name, %error, "room was closed by somebody else");
            }
        }
    }

    /// Moves a room-wide filter to its next state and applies it to everybody in the room, and to
    /// everybody who joins later. Errors: 202, 999 too many filters.
    pub async fn update_filter(&self, room: &str, filter_id: &str) -> Result<(), RoomError> {
        let address = self.address_of_room(room)?;
        let (reply, answer) = oneshot::channel();
        let message = Message::UpdateFilter {
            filter_id: filter_id.to_owned(),
            reply,
        };
        if address.sender.send(message).await.is_err() {
            return Err(room_ended());
        }
        answer.await.unwrap_or_else(|_| Err(room_ended()))
    }

    /// Opens no room from now on.
    pub(crate) fn shut(&self) {
        self.shared.directory().shut();
    }

    /// Starts a join; `completion` runs on the room's task, in the order of what happens there.
    pub(crate) async fn start_join(
        &self,
        participant: &ParticipantId,
        join: Join,
        session: Option<KurentoClientSessionInfo>,
        completion: Completion,
    ) {
        let mut order = JoinOrder {
            participant: participant.clone(),
            join,
            session,
            completion,
        };
        loop {
            let (sender, reservation) = match self.shared.admit(&order) {
                Ok(reservation) => (reservation.sender(), reservation),
                Err(error) => return order.completion.finish(Err(error)),
            };
            let message = Message::Join { order, reservation };
            match sender.send(message).await {
                // The room ended between the look at the directory and now: to the next of its name.
                Err(mpsc::error::SendError(Message::Join { order: again, .. })) => order = again,
                Err(_) | Ok(()) => return,
            }
        }
    }

    /// Starts a command of a participant; `completion` as in [`start_join`](Self::start_join).
    pub(crate) async fn start(
        &self,
        participant: &ParticipantId,
        command: Command,
        completion: Completion,
    ) {
        match self.address_of(participant) {
            Ok(address) => {
                let message = Message::Command {
                    command,
                    completion,
                };
                let _ = address.sender.send(message).await;
            }
            Err(error) => completion.finish(Err(error)),
        }
    }

    /// Starts to close a room; `completion` as in [`start_join`](Self::start_join).
    pub(crate) async fn start_close(&self, room: &str, completion: Completion) {
        self.start_in_room(room, Command::Close, completion).await;
    }

    /// Starts a command that concerns a whole room.
    async fn start_in_room(&self, room: &str, command: Command, completion: Completion) {
        match self.address_of_room(room) {
            Ok(address) => {
                let message = Message::Command {
                    command,
                    completion,
                };
                let _ = address.sender.send(message).await;
            }
            Err(error) => completion.finish(Err(error)),
        }
    }

    /// Asks the room of a participant, on its task.
    pub(crate) async fn ask<T, F>(
        &self,
        participant: &ParticipantId,
        question: F,
    ) -> Result<T, RoomError>
    where
        T: Send + 'static,
        F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
    {
        ask_at(self.address_of(participant)?, question).await
    }

    async fn run(
        &self,
        participant: &ParticipantId,
        command: Command,
    ) -> Result<Outcome, RoomError> {
        let (completion, result) = completion();
        self.start(participant, command, completion).await;
        finished(result).await
    }

    fn address_of(&self, participant: &ParticipantId) -> Result<RoomAddress, RoomError> {
        self.shared
            .directory()
            .room_of(participant)
            .cloned()
            .ok_or_else(|| {
                RoomError::new(
                    RoomErrorCode::UserNotFound,
                    format!("participant '{participant}' is not in a room"),
                )
            })
    }

    fn address_of_room(&self, room: &str) -> Result<RoomAddress, RoomError> {
        self.shared.directory().room(room).cloned().ok_or_else(|| {
            RoomError::new(
                RoomErrorCode::RoomNotFound,
                format!("there is no room '{room}'"),
            )
        })
    }
}

async fn ask_at<T, F>(address: RoomAddress, question: F) -> Result<T, RoomError>
where
    T: Send + 'static,
    F: FnOnce(&Room) -> Result<T, RoomError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let message = Message::Query(Box::new(move |room| {
        // The asker may have stopped waiting.
        let _ = reply.send(question(room));
    }));
    if address.sender.send(message).await.is_err() {
        return Err(room_ended());
    }
    answer.await.unwrap_or_else(|_| Err(room_ended()))
}

fn completion() -> (Completion, oneshot::Receiver<Result<Outcome, RoomError>>) {
    let (sender, receiver) = oneshot::channel();
    let completion = Completion::new(move |result| {
        let _ = sender.send(result);
    });
    (completion, receiver)
}

async fn finished(
    result: oneshot::Receiver<Result<Outcome, RoomError>>,
) -> Result<Outcome, RoomError> {
    result.await.unwrap_or_else(|_| Err(room_ended()))
}
