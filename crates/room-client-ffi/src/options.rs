//! What is given when one connects and joins, and what is told then.

use std::time::Duration;

use salono_room_client as room;
use salono_room_client::{Config, Join, Overflow, Trust};

use crate::RoomError;

/// How a client behaves. Everything has a default.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct ClientOptions {
    /// Longest wait for an answer, in milliseconds.
    #[uniffi(default = 30000)]
    pub request_timeout_ms: u32,
    /// Longest wait for a connection to open, in milliseconds.
    #[uniffi(default = 5000)]
    pub connect_timeout_ms: u32,
    /// How often the connection is proven alive, in milliseconds; 0 is never.
    #[uniffi(default = 5000)]
    pub ping_interval_ms: u32,
    /// Whether a lost connection is opened again.
    #[uniffi(default = true)]
    pub reconnect: bool,
    /// How many events wait for the application before the oldest go.
    #[uniffi(default = 1024)]
    pub max_events: u32,
    /// Whether the server is held back when that many wait, instead of dropping the oldest.
    #[uniffi(default = false)]
    pub hold_back: bool,
    /// Whom `wss://` connections believe.
    #[uniffi(default = None)]
    pub trust: Option<ServerTrust>,
}

/// Whom `wss://` connections believe; without a choice, the certificates that this system knows.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum ServerTrust {
    /// Servers with a certificate of one of these authorities, and none but them.
    Roots {
        /// The certificates, one or more, as PEM.
        pem: String,
    },
    /// Any server: somebody in between can read and change everything. For development.
    Anybody,
}

/// How to enter a room. Everything but the names has a default.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct JoinOptions {
    /// Which room.
    pub room: String,
    /// The name to appear under, unique in the room.
    pub user: String,
    /// Whether the endpoints that one publishes with shall have data channels.
    #[uniffi(default = false)]
    pub data_channels: bool,
    /// Whether to hear who speaks.
    #[uniffi(default = false)]
    pub active_speaker: bool,
    /// Whether to hear how loud everybody is.
    #[uniffi(default = false)]
    pub audio_levels: bool,
    /// Whether to hear in which quality streams come.
    #[uniffi(default = false)]
    pub video_layers: bool,
    /// What allows to enter, for servers that ask for it.
    #[uniffi(default = None)]
    pub token: Option<String>,
    /// `Joined.resumeToken` of an earlier time: whoever is in the room under it is replaced.
    #[uniffi(default = None)]
    pub resume_token: Option<String>,
}

/// What one is told when one has entered a room.
#[derive(Clone, PartialEq, Eq, uniffi::Record)]
pub struct Joined {
    /// Who was there already.
    pub peers: Vec<Peer>,
    /// Proof of having been this participant, for `JoinOptions.resumeToken` after a crash.
    pub resume_token: Option<String>,
    /// The role that the token gave.
    pub role: Option<String>,
    /// What the token allows; absent where servers ask for no tokens.
    pub grants: Option<Grants>,
}

/// A participant who was there already.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Peer {
    /// Its name.
    pub user: String,
    /// The streams that it publishes; empty when it does not.
    pub streams: Vec<String>,
}

/// What a participant may do.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Grants {
    /// Send media to the room.
    pub publish: bool,
    /// Get the media of others.
    pub subscribe: bool,
    /// Mute and evict others, lock and close the room.
    pub moderate: bool,
    /// Have the room recorded.
    pub record: bool,
}

impl ClientOptions {
    pub(crate) fn config(&self) -> Result<Config, RoomError> {
        let mut config = Config::default();
        config.request_timeout = Duration::from_millis(self.request_timeout_ms.into());
        config.connect_timeout = Duration::from_millis(self.connect_timeout_ms.into());
        config.ping_interval = (self.ping_interval_ms > 0)
            .then(|| Duration::from_millis(self.ping_interval_ms.into()));
        if !self.reconnect {
            config.reconnect = None;
        }
        config.max_events = usize::try_from(self.max_events).unwrap_or(usize::MAX);
        if self.hold_back {
            config.overflow = Overflow::HoldBack;
        }
        match &self.trust {
            None => {}
            Some(ServerTrust::Roots { pem }) => config.trust = Trust::roots_pem(pem.as_bytes())?,
            Some(ServerTrust::Anybody) => config.trust = Trust::anybody()?,
        }
        Ok(config)
    }
}

impl JoinOptions {
    pub(crate) fn join(self) -> Join {
        let mut join = Join::new(self.room, self.user);
        join.data_channels = self.data_channels;
        join.active_speaker = self.active_speaker;
        join.audio_levels = self.audio_levels;
        join.video_layers = self.video_layers;
        join.token = self.token;
        join.resume_token = self.resume_token;
        join
    }
}

impl From<room::Joined> for Joined {
    fn from(joined: room::Joined) -> Self {
        Self {
            peers: joined.peers.into_iter().map(Peer::from).collect(),
            resume_token: joined.resume_token,
            role: joined.role,
            grants: joined.grants.map(|grants| Grants {
                publish: grants.publish,
                subscribe: grants.subscribe,
                moderate: grants.moderate,
                record: grants.record,
            }),
        }
    }
}

impl From<room::Peer> for Peer {
    fn from(peer: room::Peer) -> Self {
        let streams = peer.streams.unwrap_or_default();
        Self {
            user: peer.id,
            streams: streams.into_iter().map(|stream| stream.id).collect(),
        }
    }
}
