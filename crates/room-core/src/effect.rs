//! What a room wants done: requests to the media server, finished commands and events.

use salono_kurento_model::Value;
use salono_kurento_model::wire;

use crate::command::{
    IceCandidate, MutedMedia, Outcome, ParticipantId, SpeakerLevel, StreamRef, Ticket,
    UserParticipant, VideoLayer,
};
use crate::error::RoomError;

/// The room's number for one request to the media server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// One thing for the room's driver to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send this to the media server; its reply goes to [`Room::handle_reply`](crate::Room::handle_reply).
    ///
    /// Requests need no order among each other: whatever depends on a reply is only sent after it.
    Request {
        /// Comes back with the reply.
        token: Token,
        /// What to send.
        request: wire::Request,
    },
    /// A command is finished.
    Done {
        /// The command's number.
        ticket: Ticket,
        /// How it ended.
        result: Result<Outcome, RoomError>,
    },
    /// Something happened that nobody asked for.
    Event(RoomEvent),
}

/// Something that happened in the room and concerns its participants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEvent {
    /// An endpoint of the participant found a candidate of the media server.
    IceCandidateFound {
        /// Who gets it.
        participant: ParticipantId,
        /// A stream of its own for a publisher endpoint, another user's for a subscription.
        endpoint: StreamRef,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// An element of the participant failed.
    MediaElementError {
        /// Whose element it is.
        participant: ParticipantId,
        /// `TYPE: description(errCode=N)`.
        description: String,
    },
    /// The pipeline failed.
    PipelineError {
        /// Everybody in the room.
        participants: Vec<ParticipantId>,
        /// `TYPE: description(errCode=N)`.
        description: String,
    },
    /// Somebody else speaks, or nobody any more.
    ActiveSpeakerChanged {
        /// Who wants to know.
        receivers: Vec<ParticipantId>,
        /// Who speaks, and on which stream.
        speaker: Option<StreamRef>,
    },
    /// How loud those are who are to be heard now.
    AudioLevels {
        /// Who wants to know.
        receivers: Vec<ParticipantId>,
        /// The loudest first; empty once nobody is to be heard any more.
        levels: Vec<SpeakerLevel>,
    },
    /// A participant receives another quality of what somebody publishes, or the first one.
    VideoLayerChanged {
        /// Who wants to know.
        receiver: ParticipantId,
        /// What is received.
        remote: StreamRef,
        /// What comes now.
        layer: VideoLayer,
    },
    /// Something that somebody publishes was muted for everybody, or no longer is.
    MediaMuted {
        /// Who wants to know.
        receivers: Vec<ParticipantId>,
        /// Who publishes.
        participant: UserParticipant,
        /// Which of its streams.
        stream: String,
        /// What is muted now.
        muted: MutedMedia,
    },
    /// The room was locked or unlocked.
    LockChanged {
        /// Who wants to know.
        receivers: Vec<ParticipantId>,
        /// Whether it is locked now.
        locked: bool,
    },
    /// The media server is lost: nobody publishes or receives any more. The room goes on.
    MediaLost {
        /// Who published until now.
        publishers: Vec<UserParticipant>,
        /// Everybody in the room.
        members: Vec<UserParticipant>,
    },
    /// There is another media server, on which nobody publishes yet.
    MediaReplaced {
        /// Who published on the lost one, is still in the room and has not begun to do so again.
        publishers: Vec<LostPublisher>,
        /// Everybody in the room.
        members: Vec<UserParticipant>,
    },
    /// The room is over; no command succeeds any more.
    Closed {
        /// Why.
        reason: CloseReason,
        /// Who was in.
        members: Vec<UserParticipant>,
    },
}

/// Somebody whose media was lost with its media server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostPublisher {
    /// Who, as it was when it published.
    pub participant: UserParticipant,
    /// It wants to be asked to publish again.
    pub listens: bool,
}

/// Why a room ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The last participant left, or the only join failed.
    Empty,
    /// [`Command::Close`](crate::Command::Close).
    Asked,
    /// The connection to the media server is gone.
    MediaServerLost,
}

/// A request that the media server refused or never answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct MediaFailure {
    /// The Kurento error code, or 0 for a failure on the way.
    pub code: i32,
    /// Text for people.
    pub message: String,
}

/// The reply to one [`Effect::Request`]: `result.value`, or why there is none.
pub type Reply = Result<Value, MediaFailure>;
