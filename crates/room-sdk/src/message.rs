//! What reaches a room's task, and what is owed to whoever sent it.

use std::sync::Arc;

use salono_room_core::{Command, Outcome, ParticipantId, Room, RoomError, RoomErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::directory::RoomAddress;
use crate::manager::Pipeline;
use crate::provider::KurentoClientSessionInfo;
use crate::request::Join;
use crate::shared::Shared;

/// One thing for a room's task to do.
pub(crate) enum Message {
    /// A participant wants in.
    Join {
        order: JoinOrder,
        reservation: Reservation,
    },
    /// Anything else that changes the room.
    Command {
        command: Command,
        completion: Completion,
    },
    /// A look at the room.
    Query(Box<dyn FnOnce(&Room) + Send>),
    /// Which pipeline the room has.
    Pipeline {
        participant: ParticipantId,
        reply: oneshot::Sender<Result<Pipeline, RoomError>>,
    },
    /// The next state of a room-wide filter.
    UpdateFilter {
        filter_id: String,
        reply: oneshot::Sender<Result<(), RoomError>>,
    },
}

/// Who wants into which room.
pub(crate) struct JoinOrder {
    pub(crate) participant: ParticipantId,
    pub(crate) join: Join,
    /// `None` if the room must exist.
    pub(crate) session: Option<KurentoClientSessionInfo>,
    pub(crate) completion: Completion,
}

/// A participant's place in the directory while it is on its way in; given back unless it gets in.
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    participant: ParticipantId,
    address: RoomAddress,
    taken: bool,
}

impl Reservation {
    pub(crate) fn new(
        shared: Arc<Shared>,
        participant: ParticipantId,
        address: RoomAddress,
    ) -> Self {
        Self {
            shared,
            participant,
            address,
            taken: false,
        }
    }

    pub(crate) fn sender(&self) -> mpsc::Sender<Message> {
        self.address.sender.clone()
    }

    /// The participant is in: its place stays until it leaves.
    pub(crate) fn take(mut self) {
        self.taken = true;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if !self.taken {
            self.shared
                .directory()
                .leave(&self.participant, self.address.key);
        }
    }
}

type Finish = Box<dyn FnOnce(Result<Outcome, RoomError>) + Send>;

/// What is to be done when a command is finished; dropping it counts as a failure, so no request
/// stays without an answer.
pub(crate) struct Completion(Option<Finish>);

impl Completion {
    pub(crate) fn new(finish: impl FnOnce(Result<Outcome, RoomError>) + Send + 'static) -> Self {
        Self(Some(Box::new(finish)))
    }

    pub(crate) fn finish(mut self, result: Result<Outcome, RoomError>) {
        if let Some(finish) = self.0.take() {
            finish(result);
        }
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if let Some(finish) = self.0.take() {
            finish(Err(room_ended()));
        }
    }
}

/// The error of a request that its room did not live to answer.
pub(crate) fn room_ended() -> RoomError {
    RoomError::new(RoomErrorCode::RoomClosed, "the room has ended")
}

/// A command and its outcome belong together; anything else is reported rather than trusted.
pub(crate) fn unexpected_outcome() -> RoomError {
    RoomError::new(
        RoomErrorCode::Generic,
        "the room answered another question than the one asked",
    )
}
