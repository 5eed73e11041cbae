//! The nine requests of a participant, and those that Kurento Room does not have.
//!
//! [`Request::parse`] reads parameters in the order in which the reference server reads them, so
//! that a request with several faults is refused for the same one.

mod parameters;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value};

use crate::extract::{Params, ParamsError};
use parameters::{flag, stream, text};

pub use parameters::{
    IceCandidate, JoinRoom, MuteMedia, PublishVideo, ReceiveVideo, RestartIce, SendMessage,
    SenderRef, VideoPreference,
};

/// How much of an unknown method's name an error message repeats, in characters.
pub const MAX_REPORTED_METHOD_CHARS: usize = 64;

/// JSON-RPC 2.0's number for a method that does not exist.
const METHOD_NOT_FOUND: i32 = -32601;

/// The number for requests that cannot be understood.
const NOT_UNDERSTOOD: i32 = -1;

/// One request, understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// `joinRoom`: enter a room, creating it when nobody is there.
    JoinRoom(JoinRoom),
    /// `leaveRoom`: leave it; the server closes the socket after its reply.
    LeaveRoom,
    /// `publishVideo`: send one's media to the room.
    PublishVideo(PublishVideo),
    /// `unpublishVideo`: stop sending it. Names the stream.
    UnpublishVideo(String),
    /// `receiveVideoFrom`: get somebody's media.
    ReceiveVideoFrom(ReceiveVideo),
    /// `unsubscribeFromVideo`: stop getting it.
    UnsubscribeFromVideo(SenderRef),
    /// `onIceCandidate`: a trickled ICE candidate (RFC 8838) of the participant's browser.
    OnIceCandidate(IceCandidate),
    /// `sendMessage`: chat.
    SendMessage(SendMessage),
    /// `customRequest`: whatever the application agreed on with its clients.
    CustomRequest(Map<String, Value>),
    /// `setVideoPreferences`: how large one shows the streams of others. Like all that follow, it is
    /// not one of Kurento Room's: its server does not answer it.
    SetVideoPreferences(Vec<VideoPreference>),
    /// `restartIce`: go on with a stream over another network.
    RestartIce(RestartIce),
    /// `muteMedia`: silence somebody's stream for everybody, or let it be heard and seen again.
    MuteMedia(MuteMedia),
    /// `evictParticipant`: take the user of this name out of the room.
    EvictParticipant(String),
    /// `closeRoom`: end the room with everybody in it.
    CloseRoom,
    /// `lockRoom`: let nobody in any more, or everybody again.
    LockRoom(bool),
}

/// Why a request cannot be carried out as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The method does not exist. Holds at most [`MAX_REPORTED_METHOD_CHARS`] of its name.
    #[error("unknown method '{0}'")]
    UnknownMethod(String),
    /// A parameter is missing or of the wrong type.
    #[error(transparent)]
    Params(#[from] ParamsError),
    /// `sender` holds no underscore.
    #[error("element 'sender' in params is not of the form <user>_<stream>")]
    Sender,
}

impl Request {
    /// Understands `method` with `params`.
    ///
    /// # Errors
    /// [`RequestError`]; its [`code`](RequestError::code) is what the client is told.
    pub fn parse(method: &str, params: Option<&Value>) -> Result<Self, RequestError> {
        // The name decides first: an unknown method is that, whatever its params.
        match method {
            "joinRoom" => {
                let params = Params::new(params)?;
                Ok(Self::JoinRoom(JoinRoom {
                    room: params.string("room")?,
                    user: params.string("user")?,
                    data_channels: params.optional_bool("dataChannels")?.unwrap_or(false),
                    active_speaker: flag(&params, "activeSpeaker"),
                    audio_levels: flag(&params, "audioLevels"),
                    video_layers: flag(&params, "videoLayers"),
                    streams: flag(&params, "streams"),
                    moderation: flag(&params, "moderation"),
                    recovery: flag(&params, "recovery"),
                    resume: flag(&params, "resume"),
                    resume_token: text(&params, "resumeToken"),
                    token: text(&params, "token"),
                }))
            }
            "leaveRoom" => Params::new(params)
                .map(|_| Self::LeaveRoom)
                .map_err(Into::into),
            "publishVideo" => {
                let params = Params::new(params)?;
                Ok(Self::PublishVideo(PublishVideo {
                    sdp_offer: params.string("sdpOffer")?,
                    do_loopback: params.bool("doLoopback")?,
                    stream: stream(&params),
                }))
            }
            "unpublishVideo" => Ok(Self::UnpublishVideo(stream(&Params::new(params)?))),
            "receiveVideoFrom" => {
                let params = Params::new(params)?;
                Ok(Self::ReceiveVideoFrom(ReceiveVideo {
                    sender: SenderRef::parse(&params.string("sender")?)?,
                    sdp_offer: params.string("sdpOffer")?,
                }))
            }
            "unsubscribeFromVideo" => {
                let params = Params::new(params)?;
                SenderRef::parse(&params.string("sender")?).map(Self::UnsubscribeFromVideo)
            }
            "onIceCandidate" => {
                let params = Params::new(params)?;
                Ok(Self::OnIceCandidate(IceCandidate {
                    endpoint_name: params.string("endpointName")?,
                    candidate: params.string("candidate")?,
                    sdp_mid: params.string("sdpMid")?,
                    sdp_m_line_index: params.int("sdpMLineIndex")?,
                    stream: stream(&params),
                }))
            }
            "sendMessage" => {
                let params = Params::new(params)?;
                Ok(Self::SendMessage(SendMessage {
                    user_message: params.string("userMessage")?,
                    room_message: params.string("roomMessage")?,
                    message: params.string("message")?,
                }))
            }
            "setVideoPreferences" => {
                let params = Params::new(params)?;
                let entries = params.list("preferences")?.iter();
                let entries =
                    entries.map(|entry| VideoPreference::parse(Params::new(Some(entry))?));
                entries
                    .collect::<Result<_, _>>()
                    .map(Self::SetVideoPreferences)
            }
            "restartIce" => {
                let params = Params::new(params)?;
                Ok(Self::RestartIce(RestartIce {
                    sdp_offer: params.string("sdpOffer")?,
                    sender: match params.value("sender") {
                        Some(_) => Some(SenderRef::parse(&params.string("sender")?)?),
                        None => None,
                    },
                    stream: stream(&params),
                }))
            }
            "muteMedia" => {
                let params = Params::new(params)?;
                Ok(Self::MuteMedia(MuteMedia {
                    sender: SenderRef::parse(&params.string("sender")?)?,
                    audio: params.optional_bool("audio")?,
                    video: params.optional_bool("video")?,
                }))
            }
            "evictParticipant" => {
                let user = Params::new(params)?.string("user")?;
                Ok(Self::EvictParticipant(user))
            }
            "closeRoom" => Params::new(params)
                .map(|_| Self::CloseRoom)
                .map_err(Into::into),
            "lockRoom" => Ok(Self::LockRoom(Params::new(params)?.bool("locked")?)),
            "customRequest" => Ok(Self::CustomRequest(Params::new(params)?.to_map())),
            unknown => Err(RequestError::UnknownMethod(
                unknown.chars().take(MAX_REPORTED_METHOD_CHARS).collect(),
            )),
        }
    }

    /// The method's name on the wire.
    #[must_use]
    pub fn method(&self) -> &'static str {
        match self {
            Self::JoinRoom(_) => "joinRoom",
            Self::LeaveRoom => "leaveRoom",
            Self::PublishVideo(_) => "publishVideo",
            Self::UnpublishVideo(_) => "unpublishVideo",
            Self::ReceiveVideoFrom(_) => "receiveVideoFrom",
            Self::UnsubscribeFromVideo(_) => "unsubscribeFromVideo",
            Self::OnIceCandidate(_) => "onIceCandidate",
            Self::SendMessage(_) => "sendMessage",
            Self::CustomRequest(_) => "customRequest",
            Self::SetVideoPreferences(_) => "setVideoPreferences",
            Self::RestartIce(_) => "restartIce",
            Self::MuteMedia(_) => "muteMedia",
            Self::EvictParticipant(_) => "evictParticipant",
            Self::CloseRoom => "closeRoom",
            Self::LockRoom(_) => "lockRoom",
        }
    }

    /// The `params` that make [`Request::parse`] give this request back; for clients.
    #[must_use]
    pub fn params(&self) -> Map<String, Value> {
        let value = match self {
            Self::JoinRoom(join) => serde_json::to_value(join),
            Self::PublishVideo(publish) => serde_json::to_value(publish),
            Self::ReceiveVideoFrom(receive) => serde_json::to_value(receive),
            Self::OnIceCandidate(candidate) => serde_json::to_value(candidate),
            Self::SendMessage(message) => serde_json::to_value(message),
            Self::UnsubscribeFromVideo(sender) => Ok(serde_json::json!({ "sender": sender })),
            Self::CustomRequest(members) => Ok(Value::Object(members.clone())),
            Self::SetVideoPreferences(entries) => Ok(serde_json::json!({ "preferences": entries })),
            Self::RestartIce(restart) => serde_json::to_value(restart),
            Self::MuteMedia(mute) => serde_json::to_value(mute),
            Self::EvictParticipant(user) => Ok(serde_json::json!({ "user": user })),
            Self::LockRoom(locked) => Ok(serde_json::json!({ "locked": locked })),
            Self::UnpublishVideo(stream) if stream != crate::STREAM_ID => {
                Ok(serde_json::json!({ "stream": stream }))
            }
            Self::LeaveRoom | Self::UnpublishVideo(_) | Self::CloseRoom => {
                Ok(Value::Object(Map::new()))
            }
        };
        match value {
            Ok(Value::Object(members)) => members,
            // Structs of strings, booleans and integers always become objects.
            Ok(_) | Err(_) => Map::new(),
        }
    }
}

impl RequestError {
    /// `error.code` on the wire: -32601 for an unknown method, otherwise -1.
    #[must_use]
    pub const fn code(&self) -> i32 {
        match self {
            Self::UnknownMethod(_) => METHOD_NOT_FOUND,
            Self::Params(_) | Self::Sender => NOT_UNDERSTOOD,
        }
    }
}
