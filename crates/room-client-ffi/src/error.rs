//! Failures, as exceptions of the other language.

use salono_room_client::{ConnectError, Error, TrustError};

/// Something did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, uniffi::Error)]
pub enum RoomError {
    /// The server refuses. `code` is its number; `symbol` its meaning, such as
    /// `EXISTING_USER_IN_ROOM`, where it has one.
    #[error("{reason} (code {code})")]
    Refused {
        /// The number, as 104.
        code: i32,
        /// What the number means.
        symbol: Option<String>,
        /// A sentence for people.
        reason: String,
    },
    /// There is no connection, and none can be had.
    #[error("cannot connect: {reason}")]
    Connect {
        /// Why not.
        reason: String,
    },
    /// What was given makes no sense: JSON that is none, certificates that are none, or a request
    /// that is too long.
    #[error("{reason}")]
    Argument {
        /// What is wrong.
        reason: String,
    },
    /// The server's answer cannot be understood.
    #[error("{reason}")]
    Answer {
        /// What is wrong.
        reason: String,
    },
    /// No answer in time. Whether the server has carried the request out is open.
    #[error("no answer in time")]
    Timeout,
    /// The connection was lost. Whether the server has carried the request out is open.
    #[error("the connection was lost")]
    Disconnected,
    /// The client came back too late: it is not in its room any more.
    #[error("the server has forgotten this session")]
    SessionLost,
    /// The client is disconnected for good.
    #[error("the client is closed")]
    Closed,
}

impl From<Error> for RoomError {
    fn from(error: Error) -> Self {
        let symbol = error.code().map(|code| code.symbol().to_owned());
        match error {
            Error::Server {
                number, message, ..
            } => Self::Refused {
                code: number,
                symbol,
                reason: message,
            },
            Error::TooLong(_) => Self::Argument {
                reason: error.to_string(),
            },
            Error::Timeout(_) => Self::Timeout,
            Error::Disconnected => Self::Disconnected,
            Error::SessionLost => Self::SessionLost,
            Error::Closed => Self::Closed,
            // Those that later versions may have come from answers, too.
            Error::Reply(_) | _ => Self::Answer {
                reason: error.to_string(),
            },
        }
    }
}

impl From<ConnectError> for RoomError {
    fn from(error: ConnectError) -> Self {
        Self::Connect {
            reason: error.to_string(),
        }
    }
}

impl From<TrustError> for RoomError {
    fn from(error: TrustError) -> Self {
        Self::Argument {
            reason: error.to_string(),
        }
    }
}

impl From<serde_json::Error> for RoomError {
    fn from(error: serde_json::Error) -> Self {
        Self::Argument {
            reason: format!("no JSON object: {error}"),
        }
    }
}
