//! What can go wrong between a client and its media server.

use std::time::Duration;

use salono_kurento_model::ErrorCode;

/// A request failed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The media server refused it.
    #[error(transparent)]
    Server(#[from] salono_kurento_model::Error),
    /// No answer came in time. The server may still have carried the request out.
    #[error("no answer from the media server within {0:?}")]
    Timeout(Duration),
    /// There is no connection, or it was lost before the answer came. The server may still have
    /// carried the request out.
    #[error("no connection to the media server")]
    Disconnected,
    /// The server does not know the session any more, so the objects that the request names are
    /// gone: it restarted, or collected the session while there was no connection. A request that
    /// was under way when the connection was lost may have been carried out before.
    #[error("the session with the media server is lost, and its objects with it")]
    SessionLost,
    /// The client was closed or its driver does not run any more.
    #[error("the media client is closed")]
    Closed,
    /// The request names an object of a [`Transaction`](crate::Transaction) that was not
    /// committed, is a different one, or did not get as far as creating it.
    #[error("the object does not exist: the transaction that creates it was not carried out")]
    Uncommitted,
    /// An earlier operation of the transaction failed, so the server did not try this one.
    #[error("not tried, because an earlier operation of the transaction failed")]
    NotTried,
    /// The answer is not what the request declares.
    #[error("unexpected answer from the media server: {0}")]
    UnexpectedAnswer(String),
}

impl Error {
    /// The server's error code; `None` when it did not come from the server.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.server().map(|error| error.code)
    }

    /// The server's name for the error (`data.type`), for example `MEDIA_OBJECT_NOT_FOUND`.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let error = self.server()?;
        let sent = || error.data.as_ref()?.get("type")?.as_str();
        error.code.kind().or_else(sent)
    }

    /// Text for people.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Server(error) => error.message.clone(),
            Self::Timeout(_)
            | Self::Disconnected
            | Self::SessionLost
            | Self::Closed
            | Self::Uncommitted
            | Self::NotTried
            | Self::UnexpectedAnswer(_) => self.to_string(),
        }
    }

    fn server(&self) -> Option<&salono_kurento_model::Error> {
        match self {
            Self::Server(error) => Some(error),
            Self::Timeout(_)
            | Self::Disconnected
            | Self::SessionLost
            | Self::Closed
            | Self::Uncommitted
            | Self::NotTried
            | Self::UnexpectedAnswer(_) => None,
        }
    }
}
