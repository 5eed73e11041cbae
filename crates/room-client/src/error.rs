//! Why something did not work.

use std::time::Duration;

use salono_room_proto::ErrorCode;
use salono_tls_trust::TrustError;
use serde_json::Value;
use tokio_tungstenite::tungstenite;

/// A WebSocket to a room server cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Neither refused nor opened in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The URL cannot be used, nobody listens there, or it is no WebSocket server.
    #[error(transparent)]
    WebSocket(Box<tungstenite::Error>),
    /// TLS cannot be used as configured.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// A request did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The server refuses.
    #[error("{message} (code {number})")]
    Server {
        /// The number on the wire; [`Error::code`] has its meaning.
        number: i32,
        /// A sentence for people.
        message: String,
        /// Anything more that the server says.
        data: Option<Value>,
    },
    /// The request is longer than servers take, [`MAX_REQUEST_BYTES`](crate::MAX_REQUEST_BYTES).
    /// Kurento's clients call this 801.
    #[error("the request is too long: {0} bytes")]
    TooLong(usize),
    /// The server's answer is none to this request. Kurento's clients call this 802.
    #[error("the answer cannot be understood: {0}")]
    Reply(String),
    /// No answer in time. Whether the server has carried the request out is open.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The connection was lost, and with it the answer. Whether the server has carried the request
    /// out is open.
    #[error("the connection was lost")]
    Disconnected,
    /// The client came back too late: the server has taken it out of its room.
    #[error("the server has forgotten this session")]
    SessionLost,
    /// The client was closed, or has given up.
    #[error("the client is closed")]
    Closed,
}

impl Error {
    /// What the failure means; `None` for numbers that have no meaning of their own, as -1.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Server { number, .. } => ErrorCode::from_number(*number),
            Self::TooLong(_) => Some(ErrorCode::TransportRequest),
            Self::Reply(_) => Some(ErrorCode::TransportResponse),
            Self::Timeout(_) | Self::Disconnected | Self::SessionLost | Self::Closed => {
                Some(ErrorCode::TransportError)
            }
        }
    }
}
