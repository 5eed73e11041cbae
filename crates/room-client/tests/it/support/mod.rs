//! What the tests share: a room server, a connection that can be cut, servers that say what a test
//! wants.

pub(crate) mod cable;
pub(crate) mod scripted;

use std::sync::Arc;
use std::time::Duration;

use salono_room_client::{Config, Event, Events, Notification, RoomClient};
use salono_room_sdk::FixedKurento;
use salono_room_server::{RoomServer, RoomServerConfig, StaticFiles, router};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::kurento::FakeKurento;

/// Longer than anything here takes; a test that waits for so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A room server behind a listener, and its scripted media server.
pub(crate) struct Rooms {
    pub(crate) server: RoomServer,
    pub(crate) kurento: FakeKurento,
    pub(crate) address: std::net::SocketAddr,
}

impl Rooms {
    pub(crate) async fn start(config: RoomServerConfig) -> Self {
        let (kurento, client) = FakeKurento::start();
        let server = RoomServer::start(config, Arc::new(FixedKurento::new(client)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = router(&server, StaticFiles::default());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self {
            server,
            kurento,
            address,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/room", self.address)
    }

    pub(crate) async fn connect(&self) -> Participant {
        Participant::connect(&self.url(), Config::default()).await
    }

    /// Somebody who is in a room.
    pub(crate) async fn join(&self, room: &str, user: &str) -> Participant {
        let participant = self.connect().await;
        participant.client.join_room(room, user).await.unwrap();
        participant
    }
}

/// A client whose driver runs.
pub(crate) struct Participant {
    pub(crate) client: RoomClient,
    pub(crate) events: Events,
    pub(crate) driver: tokio::task::JoinHandle<()>,
}

impl Participant {
    pub(crate) async fn connect(url: &str, config: Config) -> Self {
        let (client, events, driver) = RoomClient::connect_with(url, config).await.unwrap();
        let driver = tokio::spawn(driver.run());
        Self {
            client,
            events,
            driver,
        }
    }

    /// What happens next; `None` when nothing more will.
    pub(crate) async fn hear(&mut self) -> Option<Event> {
        let heard = timeout(PATIENCE, self.events.recv()).await;
        heard.expect("something happens")
    }

    pub(crate) async fn hear_of(&mut self) -> Notification {
        match self.hear().await {
            Some(Event::Notification(notification)) => notification,
            other => panic!("a notification was to come, but: {other:?}"),
        }
    }

    pub(crate) async fn hear_chat(&mut self) -> String {
        match self.hear_of().await {
            Notification::SendMessage { message, .. } => message,
            other => panic!("chat was to come, but: {other:?}"),
        }
    }
}
