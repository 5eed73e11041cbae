//! What a hub allows.

use std::time::Duration;

/// Times and caps. [`Config::default`] is what the documentation names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Open sockets; more are refused. Default 10 000.
    pub max_sockets: usize,
    /// Sessions, those included whose client is away; a request that needs one more fails with
    /// [`CODE_OVERLOADED`](super::super::CODE_OVERLOADED). Default 20 000.
    pub max_sessions: usize,
    /// Requests of one session that wait while one is carried out; more fail the same way.
    /// Default 2048: somebody who enters a large room asks for everybody's media at once.
    pub max_waiting_requests: usize,
    /// Length of those requests, in bytes. Default 4 MiB.
    pub max_waiting_bytes: usize,
    /// Frames kept for a client that is away; later ones are lost. Default 256.
    pub max_missed_frames: usize,
    /// Length of those frames, in bytes. Default 256 KiB.
    pub max_missed_bytes: usize,
    /// How long a session outlives its socket. Default 10 s.
    pub reconnection_grace: Duration,
    /// The interval taken for a client whose first ping names none. Default 20 s.
    pub default_ping_interval: Duration,
    /// How long a socket may take to show that it lives when another one asks for its session.
    /// Default 3 s.
    pub takeover_patience: Duration,
}

impl Config {
    /// A socket that pings is closed when it has not done so for this many intervals.
    pub const WATCHDOG_INTERVALS: u32 = 3;

    /// Shortest ping interval that is taken at its word.
    pub const MIN_PING_INTERVAL: Duration = Duration::from_millis(100);

    /// Longest ping interval that is taken at its word.
    pub const MAX_PING_INTERVAL: Duration = Duration::from_secs(3600);
}

impl Default for Config {
    fn default() -> Self {
        Self {
            max_sockets: 10_000,
            max_sessions: 20_000,
            max_waiting_requests: 2048,
            max_waiting_bytes: 4 << 20,
            max_missed_frames: 256,
            max_missed_bytes: 256 << 10,
            reconnection_grace: Duration::from_secs(10),
            default_ping_interval: Duration::from_secs(20),
            takeover_patience: Duration::from_secs(3),
        }
    }
}
