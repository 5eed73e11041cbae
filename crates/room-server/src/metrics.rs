//! What the server counts, as values.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use salono_room_proto::Request;

/// A reading of a server's counters and gauges at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RoomServerMetrics {
    /// Rooms that exist now.
    pub rooms: u64,
    /// Participants in rooms now, those on their way in included.
    pub participants: u64,
    /// Open WebSockets.
    pub sockets: u64,
    /// Sessions, those included whose client is away.
    pub sessions: u64,
    /// Requests since the start, by method: the room methods, `builtin` for ping, connect and
    /// closeSession, `unknown` for everything else.
    pub requests: BTreeMap<&'static str, u64>,
    /// Error replies since the start.
    pub errors: u64,
    /// Frames since the start that were not understood and ignored.
    pub unusable_frames: u64,
    /// Requests since the start that were dropped as repetitions of one under way.
    pub duplicates: u64,
    /// Clients since the start that were disconnected because they did not read fast enough.
    pub slow_clients: u64,
    /// Frames since the start that were lost because their client was away for too long.
    pub missed_frames: u64,
    /// Connections since the start that were refused: too many, wrong origin, or shutting down.
    pub refused_connections: u64,
}

/// The counters that the sessions do not keep.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    requests: [AtomicU64; METHODS.len()],
    pub(crate) unusable_frames: AtomicU64,
    pub(crate) refused_connections: AtomicU64,
}

const UNKNOWN: &str = "unknown";

const METHODS: [&str; 16] = [
    "joinRoom",
    "leaveRoom",
    "publishVideo",
    "unpublishVideo",
    "receiveVideoFrom",
    "unsubscribeFromVideo",
    "onIceCandidate",
    "sendMessage",
    "customRequest",
    "setVideoPreferences",
    "restartIce",
    "muteMedia",
    "evictParticipant",
    "closeRoom",
    "lockRoom",
    UNKNOWN,
];

impl Counters {
    /// Counts a request; `None` is one of an unknown method.
    pub(crate) fn request(&self, request: Option<&Request>) {
        let method = request.map_or(UNKNOWN, Request::method);
        if let Some(index) = METHODS.iter().position(|known| *known == method) {
            self.requests[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn requests(&self) -> BTreeMap<&'static str, u64> {
        METHODS
            .iter()
            .zip(&self.requests)
            .map(|(method, count)| (*method, count.load(Ordering::Relaxed)))
            .collect()
    }
}

/// Adds one.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
