//! Where rooms get their media server from.

use futures_util::future::BoxFuture;
use salono_kurento_client::Client;
use salono_room_core::{ParticipantId, RoomError};

/// What a provider may base its choice on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KurentoClientSessionInfo {
    /// Name of the room that is being created.
    pub room_name: String,
    /// Who creates it; `None` for a room that the program creates.
    pub participant_id: Option<ParticipantId>,
    /// The name that this participant wants in the room.
    pub user_name: Option<String>,
}

impl KurentoClientSessionInfo {
    /// A room that the program creates.
    pub fn for_room(room_name: impl Into<String>) -> Self {
        Self {
            room_name: room_name.into(),
            participant_id: None,
            user_name: None,
        }
    }
}

/// Chooses the media server of each new room.
pub trait KurentoClientProvider: Send + Sync + 'static {
    /// The client for a new room; called once per room. An error fails the joins that wait for the room.
    fn kurento_client<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>>;

    /// The client for a room whose media server is lost; `lost` is the one that it had. `None` means
    /// that there will be none, which closes the room. After an error the room asks again, for as long as
    /// [`ManagerConfig::media_recovery`](crate::ManagerConfig::media_recovery) says.
    fn replacement<'a>(
        &'a self,
        session: &'a KurentoClientSessionInfo,
        lost: &'a Client,
    ) -> BoxFuture<'a, Result<Option<Client>, RoomError>> {
        let _ = lost;
        Box::pin(async move { self.kurento_client(session).await.map(Some) })
    }

    /// Whether the room closes its client when it ends. A client that several rooms use must stay open.
    fn destroy_when_unused(&self) -> bool {
        false
    }
}

/// Gives every room the same media server.
pub struct FixedKurento {
    client: Client,
}

impl FixedKurento {
    /// Uses `client` for all rooms. Whoever made it runs its driver.
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

impl KurentoClientProvider for FixedKurento {
    fn kurento_client<'a>(
        &'a self,
        _: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async { Ok(self.client.clone()) })
    }

    /// There is no other.
    fn replacement<'a>(
        &'a self,
        _: &'a KurentoClientSessionInfo,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<Option<Client>, RoomError>> {
        Box::pin(async { Ok(None) })
    }
}
