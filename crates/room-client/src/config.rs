//! How a client behaves.

use std::time::Duration;

use salono_tls_trust::Trust;

/// How a client behaves. Made by [`Config::default`], then changed field by field.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Longest wait for an answer, counted from the call; 30 s, which is also how long a room
    /// server waits for its media server. Kurento's Java client has 60 s.
    pub request_timeout: Duration,
    /// Longest wait for a WebSocket to open; 5 s.
    pub connect_timeout: Duration,
    /// How often the connection is proven alive. A connection on which nothing was heard for a
    /// whole interval after a `ping` is given up and opened again; the server does likewise after
    /// three intervals without a ping. `None` sends none, as Kurento's Java client. 5 s.
    pub ping_interval: Option<Duration>,
    /// What happens when the connection is lost; `None` ends the client then.
    pub reconnect: Option<Reconnect>,
    /// How many events wait for the application; 1024. Kurento's Java client keeps 100.
    pub max_events: usize,
    /// What becomes of events beyond that.
    pub overflow: Overflow,
    /// Whom `wss://` connections believe; what the system knows.
    pub trust: Trust,
}

/// How a lost connection is opened again: at once, then after pauses that double.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reconnect {
    /// Pause after the first attempt that fails; 100 ms.
    pub first_delay: Duration,
    /// Longest pause; 3 s, because servers keep a place for ten seconds only.
    pub max_delay: Duration,
    /// When the client gives up and ends, counted from the loss; `None` is never, the default.
    pub give_up_after: Option<Duration>,
}

/// What happens when the application does not take events as fast as they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overflow {
    /// The oldest go, and [`Event::Missed`](crate::Event::Missed) stands in their place.
    #[default]
    DropOldest,
    /// Nothing is read from the server until there is room, answers neither; a server that cannot
    /// send for long disconnects. Kurento's Java client does this.
    HoldBack,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Some(Duration::from_secs(5)),
            reconnect: Some(Reconnect::default()),
            max_events: 1024,
            overflow: Overflow::default(),
            trust: Trust::default(),
        }
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(3),
            give_up_after: None,
        }
    }
}
