//! Events, as one enumeration of the other language.

use salono_room_client as room;
use salono_room_client::{Event, Notification, STREAM_ID, StreamInfo};
use serde_json::Value;

use crate::client::Candidate;

/// Something that happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Enum)]
pub enum RoomEvent {
    /// Somebody entered the room.
    ParticipantJoined {
        /// Its name.
        user: String,
    },
    /// Somebody started to publish.
    ParticipantPublished {
        /// Its name.
        user: String,
        /// What it publishes.
        streams: Vec<String>,
    },
    /// Somebody stopped publishing.
    ParticipantUnpublished {
        /// Its name.
        user: String,
        /// What it does not publish any more; empty with servers that know one stream only.
        streams: Vec<String>,
    },
    /// Somebody left, was evicted or lost its connection.
    ParticipantLeft {
        /// Its name.
        user: String,
    },
    /// This participant was thrown out of the room.
    ParticipantEvicted,
    /// Chat; also what one says oneself.
    MessageReceived {
        /// The room.
        room: String,
        /// Who says it.
        user: String,
        /// What it says: data, never markup.
        message: String,
    },
    /// An ICE candidate of the server.
    IceCandidateFound {
        /// For which stream: one's own for the connection that publishes it, else the one that is
        /// received.
        user: String,
        /// Which of that user's streams.
        stream: String,
        /// The candidate.
        candidate: Candidate,
    },
    /// Something failed in the media server.
    MediaFailed {
        /// What.
        error: String,
    },
    /// Somebody else speaks, or nobody any more; to who asked for it.
    ActiveSpeakerChanged {
        /// Its name; absent when nobody speaks.
        user: Option<String>,
        /// Which of its streams.
        stream: Option<String>,
    },
    /// How loud those are who are to be heard; to who asked for it.
    AudioLevelsMeasured {
        /// The loudest first.
        levels: Vec<AudioLevel>,
    },
    /// A stream comes in another quality; to who asked for it.
    VideoLayerChanged {
        /// Whose stream.
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
    /// What of a stream is muted for everybody changed, or is some when one joins.
    MediaMuted {
        /// Whose stream.
        user: String,
        /// Which of its streams.
        stream: String,
        /// Whether its sound is muted.
        audio: bool,
        /// Whether its picture is.
        video: bool,
    },
    /// The room was locked or unlocked.
    RoomLocked {
        /// Whether nobody can join.
        locked: bool,
    },
    /// The media server was lost and replaced: publish these streams again, with fresh offers.
    RepublishAsked {
        /// What this participant published.
        streams: Vec<String>,
    },
    /// The server closed the room.
    RoomClosed {
        /// The room.
        room: String,
    },
    /// An application's own event.
    CustomReceived {
        /// What it says, as JSON.
        json: String,
    },
    /// What this version does not know.
    OtherReceived {
        /// The event's name.
        method: String,
        /// What it says, as JSON.
        json: String,
    },
    /// The connection was lost; the client tries to open it again.
    Disconnected,
    /// The connection is there again.
    Reconnected {
        /// Whether this participant is still in its room. Otherwise it has to join anew.
        resumed: bool,
    },
    /// This many events are gone.
    Missed {
        /// How many.
        count: u64,
    },
}

/// How loud a stream is.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct AudioLevel {
    /// Whose stream.
    pub user: String,
    /// Which of its streams.
    pub stream: String,
    /// Level in dBov: 0 is the loudest there can be, -127 is silence.
    pub level: i8,
}

impl From<Event> for RoomEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Notification(notification) => notification.into(),
            Event::Unknown { method, params } => Self::OtherReceived {
                method,
                json: params.unwrap_or(Value::Null).to_string(),
            },
            Event::Disconnected => Self::Disconnected,
            Event::Reconnected { resumed } => Self::Reconnected { resumed },
            Event::Missed(count) => Self::Missed { count },
            other => Self::OtherReceived {
                method: format!("{other:?}"),
                json: Value::Null.to_string(),
            },
        }
    }
}

impl From<Notification> for RoomEvent {
    fn from(notification: Notification) -> Self {
        match notification {
            Notification::ParticipantJoined { user } => Self::ParticipantJoined { user },
            Notification::ParticipantPublished { user, streams } => Self::ParticipantPublished {
                user,
                streams: names(streams),
            },
            Notification::ParticipantUnpublished { user, streams } => {
                Self::ParticipantUnpublished {
                    user,
                    streams: names(streams.unwrap_or_default()),
                }
            }
            Notification::ParticipantLeft { user } => Self::ParticipantLeft { user },
            Notification::ParticipantEvicted => Self::ParticipantEvicted,
            Notification::SendMessage {
                room,
                user,
                message,
            } => Self::MessageReceived {
                room,
                user,
                message,
            },
            Notification::IceCandidate {
                endpoint,
                sdp_m_line_index,
                sdp_mid,
                candidate,
                stream,
            } => Self::IceCandidateFound {
                user: endpoint,
                stream: stream.unwrap_or_else(|| STREAM_ID.to_owned()),
                candidate: Candidate {
                    candidate,
                    sdp_mid,
                    sdp_m_line_index,
                },
            },
            Notification::MediaError { error } => Self::MediaFailed { error },
            Notification::ActiveSpeakerChanged { speaker } => {
                let (user, stream) = speaker.unzip();
                Self::ActiveSpeakerChanged { user, stream }
            }
            Notification::AudioLevels { levels } => Self::AudioLevelsMeasured {
                levels: levels.into_iter().map(AudioLevel::from).collect(),
            },
            Notification::VideoLayerChanged {
                user,
                stream,
                spatial_layer,
                temporal_layer,
                height,
            } => Self::VideoLayerChanged {
                user,
                stream,
                spatial_layer,
                temporal_layer,
                height,
            },
            Notification::MediaMuted {
                user,
                stream,
                audio,
                video,
            } => Self::MediaMuted {
                user,
                stream,
                audio,
                video,
            },
            Notification::RoomLocked { locked } => Self::RoomLocked { locked },
            Notification::Republish { streams } => Self::RepublishAsked {
                streams: names(streams),
            },
            Notification::RoomClosed { room } => Self::RoomClosed { room },
            Notification::Custom(members) => Self::CustomReceived {
                json: Value::Object(members).to_string(),
            },
            other => Self::OtherReceived {
                method: other.method().to_owned(),
                json: Value::Null.to_string(),
            },
        }
    }
}

impl From<room::AudioLevel> for AudioLevel {
    fn from(level: room::AudioLevel) -> Self {
        Self {
            user: level.user,
            stream: level.stream,
            level: level.level,
        }
    }
}

fn names(streams: Vec<StreamInfo>) -> Vec<String> {
    streams.into_iter().map(|stream| stream.id).collect()
}
