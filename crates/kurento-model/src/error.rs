//! The error table of the Kurento Protocol.

use serde_json::{Value, json};

/// An error answer: code, message and, for Kurento's own codes, a type name in `data`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message} (code {})", .code.code())]
pub struct Error {
    /// What went wrong, as a row of the table.
    pub code: ErrorCode,
    /// Text for people; clients test for parts of some of them.
    pub message: String,
    /// `error.data` when it is not just `{"type": …}`.
    pub data: Option<Value>,
}

impl Error {
    /// An error with the table's usual `data`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            data: None,
        }
    }

    /// The `error.data` member, if there is one.
    pub fn data(&self) -> Option<Value> {
        self.data
            .clone()
            .or_else(|| self.code.kind().map(|kind| json!({ "type": kind })))
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal $(, $kind:literal)?;)*) => {
        /// Every code that the server can answer with.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum ErrorCode {
            $($(#[$doc])* $name,)*
            /// A code of a third-party module or of another server.
            Other(i32),
        }

        impl ErrorCode {
            /// The table, in order of the codes' groups.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$name => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// The name in `data.type`; JSON-RPC's own codes have none.
            pub fn kind(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => codes!(@kind $($kind)?),)*
                    Self::Other(_) => None,
                }
            }
        }
    };
    (@kind $kind:literal) => { Some($kind) };
    (@kind) => { None };
}

codes! {
    /// The text is not JSON.
    ParseError = -32700;
    /// Not a JSON-RPC 2.0 request.
    InvalidRequest = -32600;
    /// No such method.
    MethodNotFound = -32601;
    /// `params` is missing or not an object.
    InvalidParams = -32602, "INVALID_PARAMS";
    /// The server failed.
    InternalError = -32603;
    /// A parameter is missing or of the wrong type, or the request was a notification.
    ServerError = -32000;
    /// A value does not fit its declared type.
    MarshallError = 40001, "MARSHALL_ERROR";
    /// A failure without a code of its own.
    UnexpectedError = 40003, "UNEXPECTED_ERROR";
    /// Elements cannot be connected.
    ConnectError = 40004, "CONNECT_ERROR";
    /// The media type is not supported here.
    UnsupportedMediaType = 40005, "UNSUPPORTED_MEDIA_TYPE";
    /// Known, but not available.
    NotImplemented = 40006, "NOT_IMPLEMENTED";
    /// No such session.
    InvalidSession = 40007, "INVALID_SESSION";
    /// A transaction or an operation name is malformed.
    MalformedTransaction = 40008, "MALFORMED_TRANSACTION";
    /// A configured limit is reached.
    NotEnoughResources = 40009, "NOT_ENOUGH_RESOURCES";
    /// Reserved by clients; unknown classes are answered with `MediaObjectNotAvailable`.
    MediaObjectTypeNotFound = 40100, "MEDIA_OBJECT_TYPE_NOT_FOUND";
    /// No object has this id.
    MediaObjectNotFound = 40101, "MEDIA_OBJECT_NOT_FOUND";
    /// The class cannot be created.
    MediaObjectConstructorNotFound = 40104, "MEDIA_OBJECT_CONSTRUCTOR_NOT_FOUND";
    /// Reserved by clients; unknown operations are answered with `MalformedTransaction`.
    MediaObjectMethodNotFound = 40105, "MEDIA_OBJECT_METHOD_NOT_FOUND";
    /// The class does not raise this event.
    MediaObjectEventNotSupported = 40106, "MEDIA_OBJECT_EVENT_NOT_SUPPORTED";
    /// A parameter has a value that the object refuses.
    MediaObjectIllegalParam = 40107, "MEDIA_OBJECT_ILLEGAL_PARAM_ERROR";
    /// The class is unknown or not available on this server.
    MediaObjectNotAvailable = 40108, "MEDIA_OBJECT_NOT_AVAILABLE";
    /// `newref:N` outside a transaction.
    MediaObjectNotFoundTransactionNoCommit = 40109, "MEDIA_OBJECT_NOT_FOUND_TRANSACTION_NO_COMMIT";
    /// No tag has this key.
    MediaObjectTagKeyNotFound = 40110, "MEDIA_OBJECT_TAG_KEY_NOT_FOUND";
    /// The object cannot do this in its present state.
    MediaObjectOperationNotSupported = 40111, "MEDIA_OBJECT_OPERATION_NOT_SUPPORTED";
    /// A session description could not be made.
    SdpCreateError = 40200, "SDP_CREATE_ERROR";
    /// A session description is empty or cannot be parsed.
    SdpParseError = 40201, "SDP_PARSE_ERROR";
    /// There is no local description yet.
    SdpNoLocalSdp = 40202, "SDP_END_POINT_NO_LOCAL_SDP_ERROR";
    /// There is no remote description yet.
    SdpNoRemoteSdp = 40203, "SDP_END_POINT_NO_REMOTE_SDP_ERROR";
    /// An offer could not be generated.
    SdpGenerateOfferError = 40204, "SDP_END_POINT_GENERATE_OFFER_ERROR";
    /// An offer could not be processed.
    SdpProcessOfferError = 40205, "SDP_END_POINT_PROCESS_OFFER_ERROR";
    /// An answer could not be processed.
    SdpProcessAnswerError = 40206, "SDP_END_POINT_PROCESS_ANSWER_ERROR";
    /// The endpoint's configuration does not allow this.
    SdpConfigurationError = 40207, "SDP_CONFIGURATION_ERROR";
    /// The endpoint was negotiated before.
    SdpAlreadyNegotiated = 40208, "SDP_END_POINT_ALREADY_NEGOTIATED";
    /// An answer came without an offer of ours.
    SdpNotOfferGenerated = 40209, "SDP_END_POINT_NOT_OFFER_GENERATED";
    /// A second answer came.
    SdpAnswerAlreadyProcessed = 40210, "SDP_END_POINT_ANSWER_ALREADY_PROCCESED";
    /// The media session could not be made.
    SdpCannotCreateSession = 40211, "SDP_END_POINT_CANNOT_CREATE_SESSON";
    /// An HTTP endpoint could not register its URL.
    HttpRegistrationError = 40300, "HTTP_END_POINT_REGISTRATION_ERROR";
    /// Candidates could not be gathered.
    IceGatherCandidatesError = 40400, "ICE_GATHER_CANDIDATES_ERROR";
    /// A remote candidate was refused.
    IceAddCandidateError = 40401, "ICE_ADD_CANDIDATE_ERROR";
    /// No module has this name. The type name is the one that clients see on the wire.
    KmdNotFound = 40500, "UNDEFINED";
    /// A file is missing.
    UriPathFileNotFound = 40600, "URI_PATH_FILE_NOT_FOUND";
    /// The player cannot seek there.
    PlayerSeekFail = 40700, "PLAYER_SEEK_FAIL";
}

impl From<i32> for ErrorCode {
    fn from(code: i32) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|row| row.code() == code)
            .unwrap_or(Self::Other(code))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        for row in ErrorCode::ALL {
            assert_eq!(ErrorCode::from(row.code()), *row);
        }
    }
}
