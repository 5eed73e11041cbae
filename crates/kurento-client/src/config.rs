//! How a client behaves.

use std::time::Duration;

/// How a client behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// Longest wait for an answer; 20 s as Kurento's own clients have it.
    pub request_timeout: Duration,
    /// Longest wait for a WebSocket to open; 5 s.
    pub connect_timeout: Duration,
    /// How often a WebSocket is proven alive by a `ping`; 60 s. Keeps the session alive as well.
    pub ping_interval: Duration,
    /// First pause before a lost WebSocket is opened again; doubles at each failure.
    pub reconnect_delay: Duration,
    /// Longest such pause.
    pub reconnect_delay_max: Duration,
    /// What becomes of requests while there is no connection.
    pub on_disconnect: OnDisconnect,
    /// Whom `wss://` connections believe; what the system knows.
    #[cfg(feature = "ws")]
    pub trust: crate::Trust,
}

/// What becomes of requests while there is no connection: those whose answer did not come, and
/// new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnDisconnect {
    /// They fail with [`Error::Disconnected`](crate::Error::Disconnected) at once.
    #[default]
    Fail,
    /// They wait for the connection, at most as long as [`Config::request_timeout`] says.
    ///
    /// Requests that were under way are sent again under the same identifier. A Kurento server
    /// keeps its answers for 20 seconds, so it does not carry them out twice: keep
    /// [`Config::request_timeout`] within that, and do not use this with servers whose request
    /// cache is switched off. What cannot be repeated safely fails all the same: requests that
    /// were sent before the server had named the session, those that were sent three times in vain
    /// ([`Error::Disconnected`](crate::Error::Disconnected)), and everything when the server has
    /// lost the session ([`Error::SessionLost`](crate::Error::SessionLost)).
    Resend,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(20),
            connect_timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(60),
            reconnect_delay: Duration::from_millis(100),
            reconnect_delay_max: Duration::from_secs(10),
            on_disconnect: OnDisconnect::Fail,
            #[cfg(feature = "ws")]
            trust: crate::Trust::default(),
        }
    }
}
