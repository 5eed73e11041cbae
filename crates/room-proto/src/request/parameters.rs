//! What the requests carry, and how it is read.

use serde::Serialize;

use super::RequestError;
use crate::STREAM_ID;
use crate::extract::Params;

/// Parameters of `joinRoom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JoinRoom {
    /// Which room.
    pub room: String,
    /// The name to appear under, unique in the room.
    pub user: String,
    /// Whether the publisher endpoint shall have data channels; false when left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub data_channels: bool,
    /// Whether the participant wants `activeSpeakerChanged`; false when left out. Not one of Kurento
    /// Room's: its server ignores it, and its clients, which may not take events that they do not
    /// know, never send it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub active_speaker: bool,
    /// Whether the participant wants `audioLevels`; false when left out. As `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub audio_levels: bool,
    /// Whether the participant wants `videoLayerChanged`; false when left out. As `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub video_layers: bool,
    /// Whether the participant knows that others may have several streams, and may have several
    /// itself; false when left out. As `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub streams: bool,
    /// Whether the participant wants `mediaMuted` and `roomLocked`; false when left out. As
    /// `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub moderation: bool,
    /// Whether the participant wants `republish`; false when left out. As `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub recovery: bool,
    /// Whether the participant wants numbered frames and a resume token; false when left out. As
    /// `active_speaker`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
    /// What the participant was given when it joined before, by which it takes its own place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume_token: Option<String>,
    /// What lets the participant in, where the server asks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Parameters of `publishVideo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishVideo {
    /// The browser's offer.
    pub sdp_offer: String,
    /// Whether the server sends the media back to its publisher too. Required.
    pub do_loopback: bool,
    /// Which of the participant's streams it is; [`STREAM_ID`](crate::STREAM_ID) when left out.
    #[serde(skip_serializing_if = "is_webcam")]
    pub stream: String,
}

/// Parameters of `receiveVideoFrom`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReceiveVideo {
    /// Whose stream.
    pub sender: SenderRef,
    /// The browser's offer to receive.
    pub sdp_offer: String,
}

/// Parameters of `onIceCandidate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IceCandidate {
    /// A bare user name: the caller's own for its publisher, another one's for the subscription to
    /// that user.
    pub endpoint_name: String,
    /// The candidate line (RFC 8839).
    pub candidate: String,
    /// The m-line it belongs to, by `mid`.
    pub sdp_mid: String,
    /// The m-line it belongs to, by position.
    pub sdp_m_line_index: i32,
    /// Which of that user's streams; [`STREAM_ID`](crate::STREAM_ID) when left out.
    #[serde(skip_serializing_if = "is_webcam")]
    pub stream: String,
}

/// Parameters of `sendMessage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendMessage {
    /// The sender's own name.
    pub user_message: String,
    /// The sender's own room.
    pub room_message: String,
    /// The text. It is data, never markup.
    pub message: String,
}

/// How a participant shows a stream of somebody else; one entry of `setVideoPreferences`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VideoPreference {
    /// Whose stream.
    pub sender: SenderRef,
    /// Lines of the picture that are enough; 0, also when left out, for as many as there are.
    pub height: u16,
    /// Streams with greater numbers come first where not everything fits; 0 when left out.
    pub priority: u8,
}

/// Parameters of `restartIce`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RestartIce {
    /// A further offer of the same connection, with new ICE credentials (RFC 8445 section 9).
    pub sdp_offer: String,
    /// The stream that is received; `None` for one that is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sender: Option<SenderRef>,
    /// Without a sender: the stream that is published.
    #[serde(skip_serializing_if = "is_webcam")]
    pub stream: String,
}

/// Parameters of `muteMedia`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MuteMedia {
    /// Whose stream.
    pub sender: SenderRef,
    /// Whether its sound is muted from now on; as it is when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Whether its pictures are; as they are when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<bool>,
}

/// A stream named as `<user>_<stream>`.
///
/// The split is at the *last* underscore: user names may hold underscores, stream ids do not. (The
/// reference server splits at the first one, which makes such users unreachable.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRef {
    /// Who publishes.
    pub user: String,
    /// Which of its streams. Participants that do not know of several always mean the only one.
    pub stream: String,
}

/// A member that only our own clients send: whatever others put there, it is no fault of theirs.
pub(super) fn flag(params: &Params<'_>, name: &'static str) -> bool {
    params.optional_bool(name).ok().flatten().unwrap_or(false)
}

/// A text that only our own clients send.
pub(super) fn text(params: &Params<'_>, name: &str) -> Option<String> {
    params.value(name)?.as_str().map(str::to_owned)
}

/// Which stream is meant.
pub(super) fn stream(params: &Params<'_>) -> String {
    text(params, "stream").unwrap_or_else(|| STREAM_ID.to_owned())
}

fn is_webcam(stream: &str) -> bool {
    stream == STREAM_ID
}

impl VideoPreference {
    /// Numbers beyond what there can be count as the nearest that can.
    pub(super) fn parse(params: Params<'_>) -> Result<Self, RequestError> {
        let number = |name: &'static str, most: i32| match params.value(name) {
            None => Ok(0),
            Some(_) => params.int(name).map(|number| number.clamp(0, most)),
        };
        Ok(Self {
            sender: SenderRef::parse(&params.string("sender")?)?,
            height: number("height", u16::MAX.into())?
                .try_into()
                .unwrap_or(u16::MAX),
            priority: number("priority", u8::MAX.into())?
                .try_into()
                .unwrap_or(u8::MAX),
        })
    }
}

impl SenderRef {
    /// The stream that everybody who publishes has, [`STREAM_ID`](crate::STREAM_ID).
    #[must_use]
    pub fn webcam(user: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            stream: STREAM_ID.to_owned(),
        }
    }

    /// Splits `<user>_<stream>` at the last underscore.
    ///
    /// # Errors
    /// [`RequestError::Sender`] when there is no underscore.
    pub fn parse(text: &str) -> Result<Self, RequestError> {
        let (user, stream) = text.rsplit_once('_').ok_or(RequestError::Sender)?;
        Ok(Self {
            user: user.to_owned(),
            stream: stream.to_owned(),
        })
    }
}

impl std::fmt::Display for SenderRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.user, self.stream)
    }
}

impl Serialize for SenderRef {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
