//! The nine requests of a participant, and one that Kurento Room does not have.
//!
//! [`Request::parse`] reads parameters in the order in which the reference server reads them, so
//! that a request with several faults is refused for the same one.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::extract::{Params, ParamsError};

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
    /// `unpublishVideo`: stop sending it.
    UnpublishVideo,
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
    /// `setVideoPreferences`: how large one shows the streams of others. Not one of Kurento Room's:
    /// its server does not answer it.
    SetVideoPreferences(Vec<VideoPreference>),
}

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
}

/// Parameters of `publishVideo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishVideo {
    /// The browser's offer.
    pub sdp_offer: String,
    /// Whether the server sends the media back to its publisher too. Required.
    pub do_loopback: bool,
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

/// A stream named as `<user>_<stream>`.
///
/// The split is at the *last* underscore: user names may hold underscores, stream ids do not. (The
/// reference server splits at the first one, which makes such users unreachable.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderRef {
    /// Who publishes.
    pub user: String,
    /// Which of its streams; not looked at in version 1, where there is only one.
    pub stream: String,
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
                    active_speaker: asks_for(&params, "activeSpeaker"),
                    audio_levels: asks_for(&params, "audioLevels"),
                    video_layers: asks_for(&params, "videoLayers"),
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
                }))
            }
            "unpublishVideo" => Params::new(params)
                .map(|_| Self::UnpublishVideo)
                .map_err(Into::into),
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
            Self::UnpublishVideo => "unpublishVideo",
            Self::ReceiveVideoFrom(_) => "receiveVideoFrom",
            Self::UnsubscribeFromVideo(_) => "unsubscribeFromVideo",
            Self::OnIceCandidate(_) => "onIceCandidate",
            Self::SendMessage(_) => "sendMessage",
            Self::CustomRequest(_) => "customRequest",
            Self::SetVideoPreferences(_) => "setVideoPreferences",
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
            Self::LeaveRoom | Self::UnpublishVideo => Ok(Value::Object(Map::new())),
        };
        match value {
            Ok(Value::Object(members)) => members,
            // Structs of strings, booleans and integers always become objects.
            Ok(_) | Err(_) => Map::new(),
        }
    }
}

/// A member that only our own clients send: whatever others put there, it is no fault of theirs.
fn asks_for(params: &Params<'_>, name: &'static str) -> bool {
    params.optional_bool(name).ok().flatten().unwrap_or(false)
}

impl VideoPreference {
    /// Numbers beyond what there can be count as the nearest that can.
    fn parse(params: Params<'_>) -> Result<Self, RequestError> {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        IceCandidate, JoinRoom, MAX_REPORTED_METHOD_CHARS, ParamsError, PublishVideo, ReceiveVideo,
        Request, RequestError, SendMessage, SenderRef, VideoPreference,
    };

    fn all() -> Vec<Request> {
        let sender = SenderRef {
            user: "ann".into(),
            stream: "webcam".into(),
        };
        vec![
            Request::JoinRoom(JoinRoom {
                room: "r".into(),
                user: "ann".into(),
                data_channels: true,
                active_speaker: true,
                audio_levels: true,
                video_layers: true,
            }),
            Request::LeaveRoom,
            Request::PublishVideo(PublishVideo {
                sdp_offer: "v=0".into(),
                do_loopback: false,
            }),
            Request::UnpublishVideo,
            Request::ReceiveVideoFrom(ReceiveVideo {
                sender: sender.clone(),
                sdp_offer: "v=0".into(),
            }),
            Request::UnsubscribeFromVideo(sender.clone()),
            Request::OnIceCandidate(IceCandidate {
                endpoint_name: "ann".into(),
                candidate: "candidate:1".into(),
                sdp_mid: "0".into(),
                sdp_m_line_index: 0,
            }),
            Request::SendMessage(SendMessage {
                user_message: "ann".into(),
                room_message: "r".into(),
                message: "hi".into(),
            }),
            Request::CustomRequest(json!({ "hat": true }).as_object().cloned().unwrap()),
            Request::SetVideoPreferences(vec![VideoPreference {
                sender,
                height: 180,
                priority: 2,
            }]),
        ]
    }

    #[test]
    fn every_request_reads_back_what_it_writes() {
        for request in all() {
            let params = serde_json::Value::Object(request.params());
            assert_eq!(Request::parse(request.method(), Some(&params)), Ok(request));
        }
    }

    #[test]
    fn every_required_parameter_is_reported_in_the_order_of_extraction() {
        let order: [(&str, &[&'static str]); 5] = [
            ("joinRoom", &["room", "user"]),
            ("publishVideo", &["sdpOffer", "doLoopback"]),
            ("receiveVideoFrom", &["sender", "sdpOffer"]),
            (
                "onIceCandidate",
                &["endpointName", "candidate", "sdpMid", "sdpMLineIndex"],
            ),
            ("sendMessage", &["userMessage", "roomMessage", "message"]),
        ];
        for (method, names) in order {
            let mut params = json!({});
            for name in names {
                let error = Request::parse(method, Some(&params)).unwrap_err();
                assert_eq!(error, ParamsError::Missing(name).into(), "{method}");
                assert_eq!(error.code(), -1);
                params[name] = json!(if *name == "sender" { "a_webcam" } else { "1" });
            }
            Request::parse(method, Some(&params)).unwrap();
            assert!(Request::parse(method, None).is_err());
        }
    }

    #[test]
    fn preferences_are_read_leniently_but_not_without_a_sender() {
        let read = |preferences: serde_json::Value| {
            let params = json!({ "preferences": preferences });
            let request = Request::parse("setVideoPreferences", Some(&params))?;
            let Request::SetVideoPreferences(entries) = request else {
                panic!("{request:?}");
            };
            Ok(entries)
        };
        assert_eq!(read(json!([])), Ok(Vec::new()));
        let numbers = |entry| read(json!([entry])).map(|read| (read[0].height, read[0].priority));
        assert_eq!(numbers(json!({ "sender": "a_webcam" })), Ok((0, 0)));
        let text = json!({ "sender": "a_webcam", "height": "360", "priority": 1.5 });
        assert_eq!(numbers(text), Ok((360, 1)));
        let far = json!({ "sender": "a_webcam", "height": 70_000, "priority": -1 });
        assert_eq!(numbers(far), Ok((u16::MAX, 0)));
        assert_eq!(numbers(json!({ "sender": "a" })), Err(RequestError::Sender));
        let missing = ParamsError::Missing("sender");
        assert_eq!(numbers(json!({ "height": 1 })), Err(missing.into()));
        assert_eq!(numbers(json!(5)), Err(ParamsError::NotAnObject.into()));
        let none = Request::parse("setVideoPreferences", None);
        assert_eq!(none, Err(ParamsError::Missing("preferences").into()));
        assert!(read(json!({})).is_err());
    }

    #[test]
    fn requests_without_parameters_accept_their_absence() {
        assert_eq!(Request::parse("leaveRoom", None), Ok(Request::LeaveRoom));
        assert_eq!(
            Request::parse("unpublishVideo", None),
            Ok(Request::UnpublishVideo)
        );
    }

    #[test]
    fn unknown_parameters_are_ignored() {
        let params = json!({ "token": "x", "user": "a", "room": "r" });
        assert!(Request::parse("joinRoom", Some(&params)).is_ok());
    }

    #[test]
    fn a_sender_splits_at_its_last_underscore() {
        let sender = SenderRef::parse("mary_ann_webcam").unwrap();
        assert_eq!(
            (sender.user.as_str(), sender.stream.as_str()),
            ("mary_ann", "webcam")
        );
        assert_eq!(SenderRef::parse("ann"), Err(RequestError::Sender));
        assert_eq!(RequestError::Sender.code(), -1);
    }

    #[test]
    fn an_unknown_method_is_named_but_not_at_any_length() {
        let error = Request::parse(&"m".repeat(10_000), Some(&json!([]))).unwrap_err();
        assert_eq!(error.code(), -32601);
        assert_eq!(
            error,
            RequestError::UnknownMethod("m".repeat(MAX_REPORTED_METHOD_CHARS))
        );
    }

    #[test]
    fn an_android_client_may_send_the_m_line_index_as_text() {
        let params = json!({
            "endpointName": "ann", "candidate": "candidate:1", "sdpMid": "video", "sdpMLineIndex": "1"
        });
        let Ok(Request::OnIceCandidate(candidate)) =
            Request::parse("onIceCandidate", Some(&params))
        else {
            panic!("not understood");
        };
        assert_eq!(candidate.sdp_m_line_index, 1);
    }
}
