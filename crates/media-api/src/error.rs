//! Why a command failed.

/// The failure of one command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message}")]
pub struct MediaError {
    /// What the caller can act on.
    pub kind: MediaErrorKind,
    /// Text for people.
    pub message: String,
}

impl MediaError {
    /// A failure with its text.
    pub fn new(kind: MediaErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }
}

/// Kinds of failure, one per cause that a caller can act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum MediaErrorKind {
    /// No such pipeline or element, or it is being released.
    NotFound,
    /// The element is of a kind that cannot do this.
    NotSupported,
    /// The session description cannot be parsed or breaks a limit.
    SdpParse,
    /// The session description is fine but cannot be answered or applied.
    SdpNegotiation,
    /// The endpoint was negotiated before.
    AlreadyNegotiated,
    /// An answer came without an offer of ours.
    NoOffer,
    /// A second answer came.
    AlreadyAnswered,
    /// Candidates cannot be gathered now.
    Gather,
    /// A remote candidate is malformed or for no m-line.
    Candidate,
    /// A cap of the shard or the endpoint is reached.
    Limit,
    /// A parameter has a value that is refused.
    IllegalParam,
    /// What processes media is not installed, cannot be started, or is switched off; the text names the mend.
    Unavailable,
    /// A position cannot be jumped to.
    Seek,
    /// A property exists but is of a type that cannot be set.
    PropertyType,
    /// The shard failed; the element is gone.
    Internal,
}
