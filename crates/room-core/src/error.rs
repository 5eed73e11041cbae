//! The error table of the room: a number that clients act on and a text for people.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $symbol:literal;)*) => {
        /// What went wrong, with the number that room clients know.
        ///
        /// Numbers 801 to 803 belong to room clients themselves and are never raised here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum RoomErrorCode {
            $($(#[$doc])* $name,)*
        }

        impl RoomErrorCode {
            /// Every code, by number.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The number on the wire.
            pub fn number(self) -> i32 {
                match self {
                    $(Self::$name => $code,)*
                }
            }

            /// The code's name in Kurento Room's table, for example `USER_NOT_FOUND`.
            pub fn symbol(self) -> &'static str {
                match self {
                    $(Self::$name => $symbol,)*
                }
            }
        }
    };
}

codes! {
    /// A participant's request could not be served for a reason without a code of its own.
    UserGeneric = 101, "USER_GENERIC_ERROR_CODE";
    /// The participant, or the user it names, is not in a room.
    UserNotFound = 102, "USER_NOT_FOUND_ERROR_CODE";
    /// The participant left while the operation was under way.
    UserClosed = 103, "USER_CLOSED_ERROR_CODE";
    /// The user name is taken in that room, or the session is in a room already.
    ExistingUserInRoom = 104, "EXISTING_USER_IN_ROOM_ERROR_CODE";
    /// The user does not publish (for a subscriber: also its own stream).
    UserNotStreaming = 105, "USER_NOT_STREAMING_ERROR_CODE";
    /// The room refuses for a reason without a code of its own, for example because it is full.
    RoomGeneric = 201, "ROOM_GENERIC_ERROR_CODE";
    /// No room has this name.
    RoomNotFound = 202, "ROOM_NOT_FOUND_ERROR_CODE";
    /// The room is closed.
    RoomClosed = 203, "ROOM_CLOSED_ERROR_CODE";
    /// The room or its media pipeline could not be created.
    RoomCannotBeCreated = 204, "ROOM_CANNOT_BE_CREATED_ERROR_CODE";
    /// Nobody can join the room for now.
    RoomLocked = 205, "ROOM_LOCKED_ERROR_CODE";
    /// The media server failed for a reason without a code of its own.
    MediaGeneric = 301, "MEDIA_GENERIC_ERROR_CODE";
    /// A session description was refused, or the endpoint is negotiated already.
    MediaSdp = 302, "MEDIA_SDP_ERROR_CODE";
    /// A media endpoint could not be created or connected.
    MediaEndpoint = 303, "MEDIA_ENDPOINT_ERROR_CODE";
    /// A media element cannot be added.
    MediaWebRtcEndpoint = 304, "MEDIA_WEBRTC_ENDPOINT_ERROR_CODE";
    /// An RTP endpoint is needed and missing.
    MediaRtpEndpoint = 305, "MEDIA_RTP_ENDPOINT_ERROR_CODE";
    /// ICE concerns WebRTC participants only.
    MediaNotAWebEndpoint = 306, "MEDIA_NOT_A_WEB_ENDPOINT_ERROR_CODE";
    /// Media could not be muted or unmuted.
    MediaMute = 307, "MEDIA_MUTE_ERROR_CODE";
    /// Anything else, for example an empty user name.
    Generic = 999, "GENERIC_ERROR_CODE";
}

/// A failed room operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Code: {} - {message}", .code.number())]
pub struct RoomError {
    /// What clients act on.
    pub code: RoomErrorCode,
    /// What people read; free text.
    pub message: String,
}

impl RoomError {
    /// An error of `code` with a text for people.
    pub fn new(code: RoomErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_unique_and_ascend() {
        let numbers: Vec<i32> = RoomErrorCode::ALL.iter().map(|c| c.number()).collect();
        let mut sorted = numbers.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(numbers, sorted);
    }

    #[test]
    fn text_starts_with_the_code() {
        let error = RoomError::new(RoomErrorCode::UserNotFound, "nobody");
        assert_eq!(error.to_string(), "Code: 102 - nobody");
    }
}
