//! Everything that a room server can be told, with the defaults that the documentation names.

use std::time::Duration;

use salono_jsonrpc::room;
use salono_room_sdk::ManagerConfig;

use crate::access::Access;
use crate::policy::Policy;
use crate::web::DEFAULT_CONTENT_SECURITY_POLICY;

/// Configuration of a [`RoomServer`](crate::RoomServer).
#[derive(Debug, Clone)]
pub struct RoomServerConfig {
    /// Longest text frame, in bytes; a longer one closes its socket with 1009. Default 1 000 000.
    pub max_frame_bytes: usize,
    /// Deepest nesting of objects and arrays in a frame; a deeper one is ignored. Default 64.
    pub max_json_depth: usize,
    /// Frames that wait for a client that reads slowly; one more and the client is disconnected
    /// (its session can be resumed). Default 1000.
    pub max_outbound_frames: usize,
    /// Length of those frames, in bytes; a single frame may be longer. Default 1 MiB.
    pub max_outbound_bytes: usize,
    /// How long a client may take to answer a close frame before its connection is cut.
    /// Default 2 s.
    pub close_patience: Duration,
    /// How often a WebSocket ping is sent, which keeps proxies from cutting the connection; a
    /// client that was silent for three of them is disconnected. `None` sends none. Default 20 s.
    pub keepalive: Option<Duration>,
    /// How long [`shutdown`](crate::RoomServer::shutdown) may take. Default 3 s.
    pub shutdown_patience: Duration,
    /// Sockets, sessions, what waits for them, and the reconnection grace.
    pub sessions: room::Config,
    /// Names, chat and session descriptions.
    pub policy: Policy,
    /// Rooms, participants per room, candidates, and what else the room SDK limits.
    pub rooms: ManagerConfig,
    /// What clients must show to enter a room. Default nothing.
    pub access: Access,
    /// Which web pages may open the WebSocket.
    pub origins: OriginPolicy,
    /// Whether `POST /close?room=NAME` closes a room. It knows no authentication, so leave it off
    /// where others than administrators reach the server. Pages of other origins are refused.
    /// Default off.
    pub allow_close: bool,
    /// What administrators show at `/api/v1`; `None` means that there is no such interface. Default
    /// `None`.
    pub admin_token: Option<AdminToken>,
    /// `GET /getClientConfig`, for the demo page.
    pub client: ClientConfig,
    /// `GET /getUpdateSpeakerInterval`, in milliseconds. Default 1800.
    pub update_speaker_interval_ms: i32,
    /// `GET /getThresholdSpeaker`, in decibels. Default -50.
    pub threshold_speaker_db: i32,
    /// The `Content-Security-Policy` header of pages. The default allows the page's own scripts,
    /// styles and WebSocket and nothing else.
    pub content_security_policy: String,
}

impl Default for RoomServerConfig {
    fn default() -> Self {
        Self {
            max_frame_bytes: 1_000_000,
            max_json_depth: 64,
            max_outbound_frames: 1000,
            max_outbound_bytes: 1 << 20,
            close_patience: Duration::from_secs(2),
            keepalive: Some(Duration::from_secs(20)),
            shutdown_patience: Duration::from_secs(3),
            sessions: room::Config::default(),
            policy: Policy::default(),
            rooms: ManagerConfig::default(),
            access: Access::default(),
            origins: OriginPolicy::Any,
            allow_close: false,
            admin_token: None,
            client: ClientConfig::default(),
            update_speaker_interval_ms: 1800,
            threshold_speaker_db: -50,
            content_security_policy: DEFAULT_CONTENT_SECURITY_POLICY.to_owned(),
        }
    }
}

/// A secret that administrators show as `Authorization: Bearer …`.
#[derive(Clone, PartialEq, Eq)]
pub struct AdminToken(String);

impl AdminToken {
    /// Fewest characters: what is shorter can be guessed.
    pub const MIN_CHARS: usize = 16;

    /// Takes a secret; `None` if it is too short, or cannot stand in a header.
    #[must_use]
    pub fn new(secret: &str) -> Option<Self> {
        let is_usable =
            secret.len() >= Self::MIN_CHARS && secret.bytes().all(|byte| byte.is_ascii_graphic());
        is_usable.then(|| Self(secret.to_owned()))
    }

    /// Compares in a time that tells nothing but the length.
    pub(crate) fn is(&self, shown: &str) -> bool {
        let pairs = self.0.bytes().zip(shown.bytes());
        let differences = pairs.fold(0, |all, (a, b)| all | (a ^ b));
        self.0.len() == shown.len() && std::hint::black_box(differences) == 0
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken(…)")
    }
}

/// Which web pages may open the WebSocket. Programs that are no browsers send no `Origin` and are
/// always let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OriginPolicy {
    /// All of them, as Kurento Room does.
    #[default]
    Any,
    /// Pages of these origins, each as `scheme://host[:port]`.
    AllowList(Vec<String>),
}

impl OriginPolicy {
    /// Whether a page of `origin` (the header's value) may connect.
    #[must_use]
    pub fn allows(&self, origin: Option<&str>) -> bool {
        match (self, origin) {
            (Self::Any, _) | (Self::AllowList(_), None) => true,
            (Self::AllowList(list), Some(origin)) => list
                .iter()
                .any(|allowed| allowed.trim_end_matches('/').eq_ignore_ascii_case(origin)),
        }
    }
}

/// What the demo page asks for when it starts.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// Whether one's own picture comes back through the server.
    pub loopback_remote: bool,
    /// Whether it is shown next to the local one.
    pub loopback_and_local: bool,
    /// Which parameter of `customRequest` the filter button sends: `hat` or `marker`.
    pub filter_request_param: String,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            loopback_remote: false,
            loopback_and_local: false,
            filter_request_param: "hat".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OriginPolicy;

    #[test]
    fn an_allow_list_knows_its_pages_and_lets_programs_in() {
        let policy = OriginPolicy::AllowList(vec!["https://a.example/".into()]);
        assert!(policy.allows(Some("https://A.example")));
        assert!(!policy.allows(Some("https://a.example.evil")));
        assert!(!policy.allows(Some("null")));
        assert!(policy.allows(None));
        assert!(OriginPolicy::Any.allows(Some("https://anything")));
    }
}
