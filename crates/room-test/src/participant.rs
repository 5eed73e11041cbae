//! [`FakeParticipant`]: joins, publishes, watches everybody.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use salono_room_client::{
    Config, ConnectError, Error, Event, Events, Join, Notification, RoomClient, STREAM_ID,
    SenderRef, Trust,
};
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use url::Url;

use crate::connection::{Connection, MediaError, Role, Seen};
use crate::film::Film;

/// Longest wait for a goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a fake is of no use.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FakeError {
    /// The server cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server refuses.
    #[error(transparent)]
    Server(#[from] Error),
    /// No media.
    #[error(transparent)]
    Media(#[from] MediaError),
    /// The URL names no host that can be found.
    #[error("{url}: {why}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// What was waited for did not happen.
    #[error("{user} did not get {what} within {patience:?}")]
    Missing {
        /// Who waited.
        user: String,
        /// For what.
        what: String,
        /// How long.
        patience: Duration,
    },
}

/// Where a fake goes, and what it does there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The room server, as `wss://host:8443/room`.
    pub url: String,
    /// Which room.
    pub room: String,
    /// What it publishes; `None` only watches.
    pub film: Option<Film>,
    /// Whether it watches others.
    pub watch: bool,
    /// What allows it to enter, for servers that ask.
    pub token: Option<String>,
    /// Whom `wss://` connections believe.
    pub trust: Trust,
}

impl Options {
    /// Publishes the test picture and watches everybody.
    #[must_use]
    pub fn new(url: impl Into<String>, room: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            room: room.into(),
            film: Some(Film::test_picture()),
            watch: true,
            token: None,
            trust: Trust::default(),
        }
    }

    /// Publishes nothing.
    #[must_use]
    pub fn watching_only(mut self) -> Self {
        self.film = None;
        self
    }

    /// Watches nobody.
    #[must_use]
    pub fn showing_only(mut self) -> Self {
        self.watch = false;
        self
    }
}

/// Streams that are watched, by their names: `bob_webcam`.
type Watched = BTreeMap<String, Arc<Connection>>;

/// A participant that nobody sits behind. It leaves when it is dropped, or with [`FakeParticipant::leave`].
#[derive(Debug)]
pub struct FakeParticipant {
    user: String,
    client: RoomClient,
    shown: Option<Arc<Connection>>,
    watched: watch::Receiver<Watched>,
    task: JoinHandle<()>,
}

impl FakeParticipant {
    /// Enters a room, publishes, and asks for everybody who publishes there; media follows.
    ///
    /// # Errors
    /// [`FakeError`].
    pub async fn join(options: &Options, user: &str) -> Result<Self, FakeError> {
        let ip = local_address(&options.url).await?;
        let mut config = Config::default();
        config.trust = options.trust.clone();
        let (client, events, driver) = RoomClient::connect_with(&options.url, config).await?;
        tokio::spawn(driver.run());
        let mut join = Join::new(&options.room, user);
        join.token.clone_from(&options.token);
        let joined = client.join(&join).await?;

        let (report, watched) = watch::channel(Watched::new());
        let mut audience = Audience {
            ip,
            client: client.clone(),
            user: user.to_owned(),
            is_watching: options.watch,
            shown: None,
            report,
        };
        if let Some(film) = &options.film {
            let (shown, offer) = Connection::open(ip, Role::Show(film.clone())).await?;
            let answer = client.publish_video(&offer, false).await?;
            shown.accept(answer).await?;
            audience.shown = Some(Arc::new(shown));
        }
        for peer in joined.peers {
            for stream in peer.streams.unwrap_or_default() {
                audience.watch(&peer.id, &stream.id).await?;
            }
        }
        let shown = audience.shown.clone();
        let task = tokio::spawn(audience.follow(events));
        Ok(Self {
            user: user.to_owned(),
            client,
            shown,
            watched,
            task,
        })
    }

    /// Its name.
    #[must_use]
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Its signalling, for what a fake does not do by itself.
    #[must_use]
    pub fn client(&self) -> &RoomClient {
        &self.client
    }

    /// What came of what it publishes; `None` if it does not.
    #[must_use]
    pub fn shown(&self) -> Option<Seen> {
        self.shown.as_ref().map(|shown| *shown.seen().borrow())
    }

    /// What came of each stream that it watches, by names such as `bob_webcam`.
    #[must_use]
    pub fn watched(&self) -> BTreeMap<String, Seen> {
        let watched = self.watched.borrow();
        let seen = |(name, connection): (&String, &Arc<Connection>)| {
            (name.clone(), *connection.seen().borrow())
        };
        watched.iter().map(seen).collect()
    }

    /// Waits until what it publishes is connected.
    ///
    /// # Errors
    /// [`FakeError::Missing`] when that takes longer than `patience`.
    pub async fn is_seen(&self, patience: Duration) -> Result<(), FakeError> {
        let Some(shown) = &self.shown else {
            return Ok(());
        };
        let mut seen = shown.seen();
        let connected = seen.wait_for(|seen| seen.connected.is_some());
        match timeout(patience, connected).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.missing("its own connection", patience)),
        }
    }

    /// Waits for the first picture of somebody's webcam; returns what is known of that connection then.
    ///
    /// # Errors
    /// [`FakeError::Missing`] when none comes within `patience`.
    pub async fn sees(&self, user: &str, patience: Duration) -> Result<Seen, FakeError> {
        let name = stream_name(user, STREAM_ID);
        let seen = async {
            let mut watched = self.watched.clone();
            let watched = watched
                .wait_for(|watched| watched.contains_key(&name))
                .await;
            let mut seen = watched.ok()?.get(&name)?.seen();
            let seen = seen.wait_for(|seen| seen.first_picture.is_some()).await;
            seen.ok().map(|seen| *seen)
        };
        match timeout(patience, seen).await {
            Ok(Some(seen)) => Ok(seen),
            Ok(None) | Err(_) => Err(self.missing(&format!("a picture of {user}"), patience)),
        }
    }

    /// Waits until it watches exactly these streams of webcams.
    ///
    /// # Errors
    /// [`FakeError::Missing`] when that takes longer than `patience`.
    pub async fn watches(&self, users: &[&str], patience: Duration) -> Result<(), FakeError> {
        let mut names: Vec<_> = users
            .iter()
            .map(|user| stream_name(user, STREAM_ID))
            .collect();
        names.sort();
        let mut watched = self.watched.clone();
        let exactly = watched.wait_for(|watched| watched.keys().eq(&names));
        match timeout(patience, exactly).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(self.missing(&format!("just {users:?}"), patience)),
        }
    }

    /// Leaves the room and ends all connections.
    pub async fn leave(self) {
        let goodbye = timeout(GOODBYE, self.client.leave_room()).await;
        if !matches!(goodbye, Ok(Ok(()))) {
            tracing::debug!(user = self.user, "left without a goodbye");
        }
        self.client.close().await;
    }

    fn missing(&self, what: &str, patience: Duration) -> FakeError {
        FakeError::Missing {
            user: self.user.clone(),
            what: what.to_owned(),
            patience,
        }
    }
}

impl Drop for FakeParticipant {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a fake does by itself: it follows what happens in the room.
struct Audience {
    ip: IpAddr,
    client: RoomClient,
    user: String,
    is_watching: bool,
    shown: Option<Arc<Connection>>,
    report: watch::Sender<Watched>,
}

impl Audience {
    async fn follow(mut self, mut events: Events) {
        while let Some(event) = events.recv().await {
            if let Event::Notification(notification) = event
                && let Err(error) = self.happened(notification).await
            {
                tracing::warn!(user = self.user, %error, "a fake could not follow");
            }
        }
    }

    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "events that are not about media change nothing here"
    )]
    async fn happened(&mut self, notification: Notification) -> Result<(), FakeError> {
        match notification {
            Notification::ParticipantPublished { user, streams } => {
                for stream in streams {
                    self.watch(&user, &stream.id).await?;
                }
            }
            Notification::ParticipantUnpublished { user, streams } => match streams {
                None => self.forget(|name| name.starts_with(&format!("{user}_"))),
                Some(streams) => {
                    let gone: Vec<_> = streams
                        .iter()
                        .map(|stream| stream_name(&user, &stream.id))
                        .collect();
                    self.forget(|name| gone.contains(name));
                }
            },
            Notification::ParticipantLeft { user } => {
                let is_theirs =
                    |name: &String| name.rsplit_once('_').is_some_and(|(who, _)| who == user);
                self.forget(is_theirs);
            }
            Notification::RoomClosed { .. } | Notification::ParticipantEvicted => {
                self.forget(|_| true);
                self.shown = None;
            }
            Notification::IceCandidate {
                endpoint,
                candidate,
                stream,
                ..
            } => {
                let connection = if endpoint == self.user {
                    self.shown.clone()
                } else {
                    let name = stream_name(&endpoint, stream.as_deref().unwrap_or(STREAM_ID));
                    self.report.borrow().get(&name).cloned()
                };
                if let Some(connection) = connection {
                    connection.add_candidate(candidate).await;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Asks for a stream, if it is not watched yet.
    async fn watch(&self, user: &str, stream: &str) -> Result<(), FakeError> {
        let name = stream_name(user, stream);
        if !self.is_watching || self.report.borrow().contains_key(&name) {
            return Ok(());
        }
        let (connection, offer) = Connection::open(self.ip, Role::Watch).await?;
        let connection = Arc::new(connection);
        // Candidates may come before the answer.
        self.report.send_modify(|watched| {
            watched.insert(name.clone(), Arc::clone(&connection));
        });
        let sender = SenderRef {
            user: user.to_owned(),
            stream: stream.to_owned(),
        };
        match self.client.receive_video_from(&sender, &offer).await {
            Ok(answer) => Ok(connection.accept(answer).await?),
            Err(error) => {
                self.forget(|watched| *watched == name);
                Err(error.into())
            }
        }
    }

    fn forget(&self, which: impl Fn(&String) -> bool) {
        self.report.send_if_modified(|watched| {
            let before = watched.len();
            watched.retain(|name, _| !which(name));
            watched.len() != before
        });
    }
}

fn stream_name(user: &str, stream: &str) -> String {
    format!("{user}_{stream}")
}

/// The address of this machine from which a server is reached.
async fn local_address(server: &str) -> Result<IpAddr, FakeError> {
    let wrong = |why: String| FakeError::Url {
        url: server.to_owned(),
        why,
    };
    let url = Url::parse(server).map_err(|error| wrong(error.to_string()))?;
    let host = url.host_str().ok_or_else(|| wrong("no host".to_owned()))?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = url.port_or_known_default().unwrap_or(443);
    let found = async {
        let target = lookup_host((host, port)).await?.next();
        let target = target.ok_or_else(|| io::Error::other("no address"))?;
        let any: SocketAddr = match target {
            SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
            SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
        };
        // Sends nothing: the kernel only chooses a way.
        let socket = UdpSocket::bind(any).await?;
        socket.connect(target).await?;
        socket.local_addr()
    };
    found
        .await
        .map(|address: SocketAddr| address.ip())
        .map_err(|error: io::Error| wrong(error.to_string()))
}
