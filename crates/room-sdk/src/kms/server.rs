//! One media server and the connection to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use salono_kurento_client::{Client, Config, EventStream, SessionEvent};
use salono_room_core::{RoomError, RoomErrorCode};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::load::{KmsLoad, LoadManager};

/// How long a media server that could not be reached is not tried again, so that rooms that are
/// created meanwhile do not wait for it.
const PENALTY: Duration = Duration::from_secs(1);

/// How long a media server may take to say how busy it is. One that takes longer is too busy.
const LOAD_PATIENCE: Duration = Duration::from_secs(2);

/// One media server of a [`KmsManager`](super::KmsManager).
///
/// It is connected when it is needed first, and stays connected; a connection that breaks is opened
/// again by itself, and meanwhile the server counts as out of reach.
pub struct Kms {
    name: String,
    source: Source,
    load: Arc<dyn LoadManager>,
    connection: Mutex<Connection>,
}

/// Where clients of it come from.
enum Source {
    Url(Config),
    Given,
}

#[derive(Default)]
struct Connection {
    current: Option<(Client, Arc<Link>)>,
    /// When it may be tried again, after it could not be reached.
    penalty: Option<Instant>,
}

/// What the connection is like; kept by a task that follows its events.
#[derive(Default)]
struct Link(AtomicU8);

const UP: u8 = 0;
const DOWN: u8 = 1;
const ENDED: u8 = 2;

impl Kms {
    /// A media server by its WebSocket URL.
    pub fn new(url: impl Into<String>, config: Config, load: Arc<dyn LoadManager>) -> Self {
        Self {
            name: url.into(),
            source: Source::Url(config),
            load,
            connection: Mutex::default(),
        }
    }

    /// A media server that is connected already, for example one in the same process. Must be called
    /// inside a tokio runtime.
    pub fn connected(name: impl Into<String>, client: Client, load: Arc<dyn LoadManager>) -> Self {
        let link = Link::follow(client.events());
        Self {
            name: name.into(),
            source: Source::Given,
            load,
            connection: Mutex::new(Connection {
                current: Some((client, link)),
                penalty: None,
            }),
        }
    }

    /// Its URL, or the name that it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client of it. Errors: 204 it cannot be reached.
    pub async fn client(&self) -> Result<Client, RoomError> {
        let mut connection = self.connection.lock().await;
        if let Some((client, link)) = &connection.current {
            match link.0.load(Ordering::Relaxed) {
                UP => return Ok(client.clone()),
                DOWN => return Err(self.unreachable("its connection is broken")),
                _ => connection.current = None,
            }
        }
        let Source::Url(config) = &self.source else {
            return Err(self.unreachable("it has ended"));
        };
        if connection.penalty.is_some_and(|end| Instant::now() < end) {
            return Err(self.unreachable("it could not be reached just now"));
        }
        match Client::connect_with(&self.name, config.clone()).await {
            Ok((client, driver)) => {
                let link = Link::follow(client.events());
                tokio::spawn(driver.run());
                connection.current = Some((client.clone(), link));
                connection.penalty = None;
                Ok(client)
            }
            Err(error) => {
                connection.penalty = Some(Instant::now() + PENALTY);
                Err(self.unreachable(&error.to_string()))
            }
        }
    }

    /// How busy it is. Errors: 204 it cannot be reached or does not say.
    pub async fn load(&self) -> Result<KmsLoad, RoomError> {
        let client = self.client().await?;
        match timeout(LOAD_PATIENCE, self.load.load(&client)).await {
            Ok(Ok(load)) => Ok(load),
            Ok(Err(error)) => Err(self.unreachable(&error.message())),
            Err(_) => Err(self.unreachable("it does not say how busy it is")),
        }
    }

    /// Whether it takes another room. Errors: as [`load`](Self::load).
    pub async fn allows_more(&self) -> Result<bool, RoomError> {
        if self.load.is_limited() {
            self.load().await.map(|load| load.allows_more)
        } else {
            self.client().await.map(|_| true)
        }
    }

    fn unreachable(&self, why: &str) -> RoomError {
        RoomError::new(
            RoomErrorCode::RoomCannotBeCreated,
            format!("media server {} cannot be used: {why}", self.name),
        )
    }
}

impl Link {
    fn follow(mut events: EventStream) -> Arc<Self> {
        let link = Arc::new(Self::default());
        let followed = Arc::clone(&link);
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                let state = match event {
                    SessionEvent::Disconnected => DOWN,
                    SessionEvent::Reconnected { .. } => UP,
                    SessionEvent::Notification(_) | SessionEvent::Lagged(_) => continue,
                };
                followed.0.store(state, Ordering::Relaxed);
            }
            followed.0.store(ENDED, Ordering::Relaxed);
        });
        link
    }
}
