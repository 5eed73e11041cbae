//! What participants ask for, as values.

use salono_room_core::{Command, Listens, Loopback, ParticipantId, SdpType, WEBCAM};

/// A request of a participant, to be answered later.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ParticipantRequest {
    /// Who asks.
    pub participant_id: ParticipantId,
    /// The transport's identifier of the request; `None` if it has none.
    pub request_id: Option<String>,
}

impl ParticipantRequest {
    /// A request of a participant.
    pub fn new(participant_id: impl Into<ParticipantId>, request_id: Option<String>) -> Self {
        Self {
            participant_id: participant_id.into(),
            request_id,
        }
    }
}

/// Who wants into which room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    /// The room.
    pub room: String,
    /// The name to have there.
    pub user: String,
    /// Whether the participant's publisher endpoint offers data channels.
    pub data_channels: bool,
    /// WebRTC if true, plain RTP otherwise.
    pub web: bool,
    /// What the participant wants to be told beside what everybody is.
    pub listens: Listens,
}

impl Join {
    /// A WebRTC participant without data channels.
    pub fn new(room: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            room: room.into(),
            user: user.into(),
            data_channels: false,
            web: true,
            listens: Listens::default(),
        }
    }
}

/// What to publish and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// Whether `sdp` is the participant's offer, or its answer to a generated offer.
    pub sdp_type: SdpType,
    /// The session description.
    pub sdp: String,
    /// What the publisher gets back.
    pub loopback: Loopback,
    /// Object ids of elements to put into the chain first, in order; the room owns them from then on.
    pub elements: Vec<String>,
    /// Which of the participant's streams it is.
    pub stream: String,
}

impl Publish {
    /// Publishes with an offer of the participant, without loopback.
    pub fn offer(sdp: impl Into<String>) -> Self {
        Self {
            sdp_type: SdpType::Offer,
            sdp: sdp.into(),
            loopback: Loopback::Off,
            elements: Vec::new(),
            stream: WEBCAM.to_owned(),
        }
    }

    /// Publishes with the participant's answer to a generated offer, without loopback.
    pub fn answer(sdp: impl Into<String>) -> Self {
        Self {
            sdp_type: SdpType::Answer,
            ..Self::offer(sdp)
        }
    }

    /// Publishes a stream beside, or instead of, the one that everybody knows.
    #[must_use]
    pub fn as_stream(mut self, stream: impl Into<String>) -> Self {
        self.stream = stream.into();
        self
    }

    /// Sends the publisher's own media back to it.
    #[must_use]
    pub fn with_loopback(mut self, loopback: bool) -> Self {
        self.loopback = if loopback {
            Loopback::Own { media: None }
        } else {
            Loopback::Off
        };
        self
    }
}

pub(crate) fn publish_command(participant: &ParticipantId, publish: Publish) -> Command {
    Command::Publish {
        participant: participant.clone(),
        sdp_type: publish.sdp_type,
        sdp: publish.sdp,
        loopback: publish.loopback,
        elements: publish.elements,
        stream: publish.stream,
    }
}
