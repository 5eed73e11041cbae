//! What a manager and the tasks of its rooms share, and the one place where rooms are opened.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use salono_room_core::{RoomConfig, RoomError, RoomErrorCode};
use tokio::sync::{mpsc, oneshot};

use crate::directory::{Directory, RoomAddress};
use crate::handler::RoomHandler;
use crate::message::{JoinOrder, Reservation};
use crate::provider::{KurentoClientProvider, KurentoClientSessionInfo};
use crate::task::RoomTask;

/// Limits of a manager and the configuration of its rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManagerConfig {
    /// Rooms at a time; creating one more fails with code 204.
    pub rooms: usize,
    /// Requests that wait at one room; callers beyond that wait themselves.
    pub room_queue: usize,
    /// How long a broken connection to a media server may take to come back before the server counts as
    /// lost.
    pub media_reconnect: Duration,
    /// How long another media server is looked for before a room that lost its own closes; zero closes it
    /// at once.
    pub media_recovery: Duration,
    /// Configuration of every room.
    pub room: RoomConfig,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            rooms: 10_000,
            room_queue: 256,
            media_reconnect: Duration::from_secs(2),
            media_recovery: Duration::from_secs(30),
            room: RoomConfig::default(),
        }
    }
}

/// What the manager and its room tasks share.
pub(crate) struct Shared {
    directory: Mutex<Directory>,
    pub(crate) handler: Arc<dyn RoomHandler>,
    pub(crate) provider: Arc<dyn KurentoClientProvider>,
    pub(crate) config: ManagerConfig,
}

impl Shared {
    pub(crate) fn new(
        handler: Arc<dyn RoomHandler>,
        provider: Arc<dyn KurentoClientProvider>,
        config: ManagerConfig,
    ) -> Self {
        Self {
            directory: Mutex::new(Directory::new(config.rooms)),
            handler,
            provider,
            config,
        }
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        // The directory is consistent between any two of its methods, so a panic elsewhere spoils nothing.
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds or opens the room that a join goes to and reserves the participant's place in the directory.
    pub(crate) fn admit(self: &Arc<Self>, order: &JoinOrder) -> Result<Reservation, RoomError> {
        let mut directory = self.directory();
        if let Some(current) = directory.room_of(&order.participant) {
            return Err(RoomError::new(
                RoomErrorCode::ExistingUserInRoom,
                format!(
                    "participant '{}' is already in room '{}'",
                    order.participant, current.name
                ),
            ));
        }
        let address = match directory.room(&order.join.room) {
            Some(address) => address.clone(),
            None => {
                let Some(session) = &order.session else {
                    return Err(RoomError::new(
                        RoomErrorCode::RoomNotFound,
                        format!("room '{}' must be created before", order.join.room),
                    ));
                };
                // Code 999 comes before the room is opened so that no room exists for a refused name.
                if order.join.user.is_empty() {
                    return Err(RoomError::new(
                        RoomErrorCode::Generic,
                        "the user name is empty",
                    ));
                }
                self.open(&mut directory, &order.join.room, session.clone(), None)?
            }
        };
        directory.enter(&order.participant, address.key);
        let participant = order.participant.clone();
        Ok(Reservation::new(Arc::clone(self), participant, address))
    }

    /// Opens a room under a name that is free and starts its task.
    pub(crate) fn open(
        self: &Arc<Self>,
        directory: &mut Directory,
        name: &str,
        session: KurentoClientSessionInfo,
        created: Option<oneshot::Sender<Result<(), RoomError>>>,
    ) -> Result<RoomAddress, RoomError> {
        let (sender, receiver) = mpsc::channel(self.config.room_queue.max(1));
        let address = directory.open(name, sender)?;
        let task = RoomTask::new(Arc::clone(self), address.clone(), session, created);
        tokio::spawn(task.run(receiver));
        Ok(address)
    }
}
