//! The events of the room server: Kurento Room's ten, and those that clients ask for when they join.
//!
//! Mind the key that names the user: `id` in joined and published, `name` in unpublished and left,
//! `user` in chat.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use serde_json::{Map, Value};

use crate::extract::{Params, ParamsError};
use crate::reply::StreamInfo;

/// One event, as a method and its `params`.
///
/// Serialising a notification gives its `params`, members in the customary order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Notification {
    /// Somebody entered the room. To everybody who was there before.
    ParticipantJoined {
        /// Its name; `id` on the wire.
        user: String,
    },
    /// Somebody started to publish. To everybody else.
    ParticipantPublished {
        /// Its name; `id` on the wire.
        user: String,
        /// What it publishes.
        streams: Vec<StreamInfo>,
    },
    /// Somebody stopped publishing. To everybody else.
    ParticipantUnpublished {
        /// Its name; `name` on the wire.
        user: String,
        /// What it does not publish any more; absent for receivers that do not know of several
        /// streams.
        streams: Option<Vec<StreamInfo>>,
    },
    /// Somebody left, was evicted or lost its connection. To those who remain.
    ParticipantLeft {
        /// Its name; `name` on the wire.
        user: String,
    },
    /// The receiver was thrown out of the room.
    ParticipantEvicted,
    /// Chat. To everybody in the room, the sender included.
    SendMessage {
        /// The room.
        room: String,
        /// Who says it.
        user: String,
        /// What it says: data, never markup.
        message: String,
    },
    /// An ICE candidate of the media server.
    IceCandidate {
        /// The receiver's own name for its publisher, else the name of the user whose media it
        /// receives.
        endpoint: String,
        /// The m-line it belongs to, by position.
        sdp_m_line_index: i32,
        /// The m-line it belongs to, by `mid`.
        sdp_mid: String,
        /// The candidate line (RFC 8839).
        candidate: String,
        /// Which of that user's streams; absent for the one that everybody has.
        stream: Option<String>,
    },
    /// Something failed in the media server.
    MediaError {
        /// `TYPE: description(errCode=N)`.
        error: String,
    },
    /// Somebody else speaks, or nobody any more. To those who asked for it when they joined.
    ActiveSpeakerChanged {
        /// Its name and stream, `id` and `stream` on the wire; both are absent when nobody speaks.
        speaker: Option<(String, String)>,
    },
    /// How loud those are who are to be heard. To those who asked for it when they joined.
    AudioLevels {
        /// The loudest first; empty once nobody is to be heard any more.
        levels: Vec<AudioLevel>,
    },
    /// A stream comes in another quality from now on. To its receiver, if it asked for that when it
    /// joined.
    VideoLayerChanged {
        /// Whose stream; `id` on the wire.
        user: String,
        /// Which of its streams.
        stream: String,
        /// Rank by picture size, 0 is the smallest.
        spatial_layer: u8,
        /// Rank by frame rate, 0 is the lowest.
        temporal_layer: u8,
        /// Lines of the picture, where known.
        height: Option<u16>,
    },
    /// What of a stream is muted for everybody changed, or is some when one joins. To those who asked
    /// for it when they joined.
    MediaMuted {
        /// Whose stream; `id` on the wire.
        user: String,
        /// Which of its streams.
        stream: String,
        /// Whether its sound is muted.
        audio: bool,
        /// Whether its pictures are.
        video: bool,
    },
    /// The room was locked or unlocked. To those who asked for it when they joined.
    RoomLocked {
        /// Whether nobody can join.
        locked: bool,
    },
    /// The receiver is to publish again: the media server was lost and replaced. To a publisher that
    /// asked for it when it joined.
    Republish {
        /// What it published.
        streams: Vec<StreamInfo>,
    },
    /// The server closed the room. To everybody who was in it; nobody gets `participantLeft` then.
    RoomClosed {
        /// The room.
        room: String,
    },
    /// An application's own event. The method is spelled `custonNotification`.
    Custom(Map<String, Value>),
}

/// How loud a user's stream is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioLevel {
    /// Name of the user; `id` on the wire.
    #[serde(rename = "id")]
    pub user: String,
    /// Which of its streams.
    pub stream: String,
    /// Level in dBov: 0 is the loudest there can be, −127 is silence.
    pub level: i8,
}

/// Why a received notification was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// No such event. Clients ignore those.
    #[error("unknown event")]
    UnknownMethod,
    /// A member is missing or of the wrong type.
    #[error(transparent)]
    Params(#[from] ParamsError),
}

impl Notification {
    /// The method's name on the wire.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::ParticipantJoined { .. } => "participantJoined",
            Self::ParticipantPublished { .. } => "participantPublished",
            Self::ParticipantUnpublished { .. } => "participantUnpublished",
            Self::ParticipantLeft { .. } => "participantLeft",
            Self::ParticipantEvicted => "participantEvicted",
            Self::SendMessage { .. } => "sendMessage",
            Self::IceCandidate { .. } => "iceCandidate",
            Self::MediaError { .. } => "mediaError",
            Self::ActiveSpeakerChanged { .. } => "activeSpeakerChanged",
            Self::AudioLevels { .. } => "audioLevels",
            Self::VideoLayerChanged { .. } => "videoLayerChanged",
            Self::MediaMuted { .. } => "mediaMuted",
            Self::RoomLocked { .. } => "roomLocked",
            Self::Republish { .. } => "republish",
            Self::RoomClosed { .. } => "roomClosed",
            Self::Custom(_) => "custonNotification",
        }
    }

    /// Understands an event; for clients, and for whoever holds events as loose JSON.
    ///
    /// # Errors
    /// The method is none of the events, or a member is missing or of the wrong type.
    pub fn parse(method: &str, params: Option<&Value>) -> Result<Self, NotificationError> {
        let params = Params::new(params)?;
        Ok(match method {
            "participantJoined" => Self::ParticipantJoined {
                user: params.string("id")?,
            },
            "participantPublished" => Self::ParticipantPublished {
                user: params.string("id")?,
                streams: list(&params, "streams", "an array of streams")?,
            },
            "participantUnpublished" => Self::ParticipantUnpublished {
                user: params.string("name")?,
                streams: match params.value("streams") {
                    Some(_) => Some(list(&params, "streams", "an array of streams")?),
                    None => None,
                },
            },
            "participantLeft" => Self::ParticipantLeft {
                user: params.string("name")?,
            },
            "participantEvicted" => Self::ParticipantEvicted,
            "sendMessage" => Self::SendMessage {
                room: params.string("room")?,
                user: params.string("user")?,
                message: params.string("message")?,
            },
            "iceCandidate" => Self::IceCandidate {
                endpoint: params.string("endpointName")?,
                sdp_m_line_index: params.int("sdpMLineIndex")?,
                sdp_mid: params.string("sdpMid")?,
                candidate: params.string("candidate")?,
                stream: match params.value("stream") {
                    Some(_) => Some(params.string("stream")?),
                    None => None,
                },
            },
            "mediaError" => Self::MediaError {
                error: params.string("error")?,
            },
            "activeSpeakerChanged" => Self::ActiveSpeakerChanged {
                speaker: match params.value("id") {
                    Some(_) => Some((params.string("id")?, params.string("stream")?)),
                    None => None,
                },
            },
            "audioLevels" => Self::AudioLevels {
                levels: list(&params, "levels", "an array of levels")?,
            },
            "videoLayerChanged" => Self::VideoLayerChanged {
                user: params.string("id")?,
                stream: params.string("stream")?,
                spatial_layer: number(&params, "spatialLayer")?,
                temporal_layer: number(&params, "temporalLayer")?,
                height: match params.value("height") {
                    Some(_) => Some(number(&params, "height")?),
                    None => None,
                },
            },
            "mediaMuted" => Self::MediaMuted {
                user: params.string("id")?,
                stream: params.string("stream")?,
                audio: params.bool("audio")?,
                video: params.bool("video")?,
            },
            "roomLocked" => Self::RoomLocked {
                locked: params.bool("locked")?,
            },
            "republish" => Self::Republish {
                streams: list(&params, "streams", "an array of streams")?,
            },
            "roomClosed" => Self::RoomClosed {
                room: params.string("room")?,
            },
            "custonNotification" => Self::Custom(params.to_map()),
            _unknown => return Err(NotificationError::UnknownMethod),
        })
    }
}

/// A whole number of limited size.
fn number<T: TryFrom<i32>>(params: &Params<'_>, name: &'static str) -> Result<T, ParamsError> {
    T::try_from(params.int(name)?).map_err(|_| ParamsError::WrongType {
        name,
        expected: "in range",
    })
}

fn list<'de, T: Deserialize<'de>>(
    params: &Params<'de>,
    name: &'static str,
    expected: &'static str,
) -> Result<Vec<T>, ParamsError> {
    let wrong = ParamsError::WrongType { name, expected };
    params
        .value(name)
        .ok_or(ParamsError::Missing(name))
        .and_then(|value| Vec::deserialize(value).map_err(|_| wrong))
}

impl Serialize for Notification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::ParticipantJoined { user } => map.serialize_entry("id", user)?,
            Self::ParticipantPublished { user, streams } => {
                map.serialize_entry("id", user)?;
                map.serialize_entry("streams", streams)?;
            }
            Self::ParticipantUnpublished { user, streams } => {
                map.serialize_entry("name", user)?;
                if let Some(streams) = streams {
                    map.serialize_entry("streams", streams)?;
                }
            }
            Self::ParticipantLeft { user } => map.serialize_entry("name", user)?,
            Self::ParticipantEvicted => {}
            Self::SendMessage {
                room,
                user,
                message,
            } => {
                map.serialize_entry("room", room)?;
                map.serialize_entry("user", user)?;
                map.serialize_entry("message", message)?;
            }
            Self::IceCandidate {
                endpoint,
                sdp_m_line_index,
                sdp_mid,
                candidate,
                stream,
            } => {
                map.serialize_entry("endpointName", endpoint)?;
                map.serialize_entry("sdpMLineIndex", sdp_m_line_index)?;
                map.serialize_entry("sdpMid", sdp_mid)?;
                map.serialize_entry("candidate", candidate)?;
                if let Some(stream) = stream {
                    map.serialize_entry("stream", stream)?;
                }
            }
            Self::MediaError { error } => map.serialize_entry("error", error)?,
            Self::ActiveSpeakerChanged { speaker } => {
                if let Some((user, stream)) = speaker {
                    map.serialize_entry("id", user)?;
                    map.serialize_entry("stream", stream)?;
                }
            }
            Self::AudioLevels { levels } => map.serialize_entry("levels", levels)?,
            Self::VideoLayerChanged {
                user,
                stream,
                spatial_layer,
                temporal_layer,
                height,
            } => {
                map.serialize_entry("id", user)?;
                map.serialize_entry("stream", stream)?;
                map.serialize_entry("spatialLayer", spatial_layer)?;
                map.serialize_entry("temporalLayer", temporal_layer)?;
                if let Some(height) = height {
                    map.serialize_entry("height", height)?;
                }
            }
            Self::MediaMuted {
                user,
                stream,
                audio,
                video,
            } => {
                map.serialize_entry("id", user)?;
                map.serialize_entry("stream", stream)?;
                map.serialize_entry("audio", audio)?;
                map.serialize_entry("video", video)?;
            }
            Self::RoomLocked { locked } => map.serialize_entry("locked", locked)?,
            Self::Republish { streams } => map.serialize_entry("streams", streams)?,
            Self::RoomClosed { room } => map.serialize_entry("room", room)?,
            Self::Custom(members) => {
                for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                    map.serialize_entry(name, value)?;
                }
            }
        }
        map.end()
    }
}
