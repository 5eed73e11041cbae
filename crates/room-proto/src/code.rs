//! The error numbers of the room protocol, as they stand in `error.code` of a reply.

/// Why a room request failed. The number on the wire is [`ErrorCode::number`].
///
/// The hundreds tell the area: 1xx users, 2xx rooms, 3xx media, 4xx permission, 8xx client-side
/// transport. Numbers are fixed since version 6.2 of Kurento Room, which has none of 4xx.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ErrorCode {
    /// 101: a user-related failure without a number of its own.
    UserGeneric,
    /// 102: the caller is in no room, or the named user is not in the caller's room.
    UserNotFound,
    /// 103: the participant is already leaving.
    UserClosed,
    /// 104: the name is taken in that room.
    ExistingUserInRoom,
    /// 105: the participant does not publish (subscribing to oneself is answered with this too).
    UserNotStreaming,
    /// 201: a room-related failure without a number of its own.
    RoomGeneric,
    /// 202: no such room.
    RoomNotFound,
    /// 203: the room is closed or closing.
    RoomClosed,
    /// 204: the room cannot be created (no media server, or a limit is reached).
    RoomCannotBeCreated,
    /// 205: nobody can join the room for now. Kurento Room has no such code.
    RoomLocked,
    /// 301: a media failure without a number of its own.
    MediaGeneric,
    /// 302: an SDP negotiation failed.
    MediaSdp,
    /// 303: a media endpoint could not be created or used.
    MediaEndpoint,
    /// 304: a WebRTC endpoint is needed and there is none.
    MediaWebRtcEndpoint,
    /// 305: an RTP endpoint is needed and there is none.
    MediaRtpEndpoint,
    /// 306: ICE candidates make no sense for this participant.
    MediaNotAWebEndpoint,
    /// 307: muting failed.
    MediaMute,
    /// 401: the server lets nobody in without a token. Like all that begin with 4, Kurento Room has
    /// no such code.
    TokenMissing,
    /// 402: the token is malformed, or not signed with a key that the server knows.
    TokenInvalid,
    /// 403: the token that the caller came in with does not allow this.
    NotPermitted,
    /// 404: the token has ended, or has not begun.
    TokenExpired,
    /// 405: the token is for another room or another user.
    TokenMismatch,
    /// 801: a client could not build a request.
    TransportRequest,
    /// 802: a client could not read a reply.
    TransportResponse,
    /// 803: a client's transport failed.
    TransportError,
    /// 999: anything else (an empty user name, for one).
    Generic,
}

impl ErrorCode {
    /// All codes, in ascending order of their numbers.
    pub const ALL: [Self; 26] = [
        Self::UserGeneric,
        Self::UserNotFound,
        Self::UserClosed,
        Self::ExistingUserInRoom,
        Self::UserNotStreaming,
        Self::RoomGeneric,
        Self::RoomNotFound,
        Self::RoomClosed,
        Self::RoomCannotBeCreated,
        Self::RoomLocked,
        Self::MediaGeneric,
        Self::MediaSdp,
        Self::MediaEndpoint,
        Self::MediaWebRtcEndpoint,
        Self::MediaRtpEndpoint,
        Self::MediaNotAWebEndpoint,
        Self::MediaMute,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::NotPermitted,
        Self::TokenExpired,
        Self::TokenMismatch,
        Self::TransportRequest,
        Self::TransportResponse,
        Self::TransportError,
        Self::Generic,
    ];

    /// The number on the wire.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::UserGeneric => 101,
            Self::UserNotFound => 102,
            Self::UserClosed => 103,
            Self::ExistingUserInRoom => 104,
            Self::UserNotStreaming => 105,
            Self::RoomGeneric => 201,
            Self::RoomNotFound => 202,
            Self::RoomClosed => 203,
            Self::RoomCannotBeCreated => 204,
            Self::RoomLocked => 205,
            Self::MediaGeneric => 301,
            Self::MediaSdp => 302,
            Self::MediaEndpoint => 303,
            Self::MediaWebRtcEndpoint => 304,
            Self::MediaRtpEndpoint => 305,
            Self::MediaNotAWebEndpoint => 306,
            Self::MediaMute => 307,
            Self::TokenMissing => 401,
            Self::TokenInvalid => 402,
            Self::NotPermitted => 403,
            Self::TokenExpired => 404,
            Self::TokenMismatch => 405,
            Self::TransportRequest => 801,
            Self::TransportResponse => 802,
            Self::TransportError => 803,
            Self::Generic => 999,
        }
    }

    /// The code with this number, if there is one.
    #[must_use]
    pub fn from_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The symbolic name that Kurento Room's documentation uses, such as `EXISTING_USER_IN_ROOM`.
    #[must_use]
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::UserGeneric => "USER_GENERIC",
            Self::UserNotFound => "USER_NOT_FOUND",
            Self::UserClosed => "USER_CLOSED",
            Self::ExistingUserInRoom => "EXISTING_USER_IN_ROOM",
            Self::UserNotStreaming => "USER_NOT_STREAMING",
            Self::RoomGeneric => "ROOM_GENERIC",
            Self::RoomNotFound => "ROOM_NOT_FOUND",
            Self::RoomClosed => "ROOM_CLOSED",
            Self::RoomCannotBeCreated => "ROOM_CANNOT_BE_CREATED",
            Self::RoomLocked => "ROOM_LOCKED",
            Self::MediaGeneric => "MEDIA_GENERIC",
            Self::MediaSdp => "MEDIA_SDP",
            Self::MediaEndpoint => "MEDIA_ENDPOINT",
            Self::MediaWebRtcEndpoint => "MEDIA_WEBRTC_ENDPOINT",
            Self::MediaRtpEndpoint => "MEDIA_RTP_ENDPOINT",
            Self::MediaNotAWebEndpoint => "MEDIA_NOT_A_WEB_ENDPOINT",
            Self::MediaMute => "MEDIA_MUTE",
            Self::TokenMissing => "TOKEN_MISSING",
            Self::TokenInvalid => "TOKEN_INVALID",
            Self::NotPermitted => "NOT_PERMITTED",
            Self::TokenExpired => "TOKEN_EXPIRED",
            Self::TokenMismatch => "TOKEN_MISMATCH",
            Self::TransportRequest => "TRANSPORT_REQUEST",
            Self::TransportResponse => "TRANSPORT_RESPONSE",
            Self::TransportError => "TRANSPORT_ERROR",
            Self::Generic => "GENERIC",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorCode;

    #[test]
    fn every_number_leads_back_to_its_code() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ErrorCode::from_number(-1), None);
    }

    #[test]
    fn the_numbers_are_the_published_ones() {
        let numbers: Vec<i32> = ErrorCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(
            numbers,
            [
                101, 102, 103, 104, 105, 201, 202, 203, 204, 205, 301, 302, 303, 304, 305, 306,
                307, 401, 402, 403, 404, 405, 801, 802, 803, 999
            ]
        );
    }
}
