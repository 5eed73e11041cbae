//! What is asked of a room and what comes back: commands, outcomes and the values in them.

use std::fmt;
use std::sync::Arc;

/// Names one participant across all rooms: in the room server, the session of its socket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ParticipantId(Arc<str>);

impl ParticipantId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ParticipantId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for ParticipantId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl fmt::Display for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stream that clients of Kurento Room know; whoever publishes one of theirs publishes this one.
pub const WEBCAM: &str = "webcam";

/// One of the streams that a user publishes, or may.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamRef {
    /// Name of the user.
    pub user: String,
    /// Id of the stream.
    pub stream: String,
}

impl StreamRef {
    /// A stream of a user.
    pub fn new(user: impl Into<String>, stream: impl Into<String>) -> Self {
        Self {
            user: user.into(),
            stream: stream.into(),
        }
    }

    /// Whether it is the one that everybody knows.
    pub fn is_webcam(&self) -> bool {
        self.stream == WEBCAM
    }
}

impl From<&str> for StreamRef {
    /// The [`WEBCAM`] of a user.
    fn from(user: &str) -> Self {
        Self::new(user, WEBCAM)
    }
}

impl From<String> for StreamRef {
    /// The [`WEBCAM`] of a user.
    fn from(user: String) -> Self {
        Self::new(user, WEBCAM)
    }
}

impl From<&String> for StreamRef {
    /// The [`WEBCAM`] of a user.
    fn from(user: &String) -> Self {
        Self::new(user, WEBCAM)
    }
}

impl fmt::Display for StreamRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.user)?;
        if self.is_webcam() {
            return Ok(());
        }
        write!(f, "_{}", self.stream)
    }
}

/// A participant as others see it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserParticipant {
    /// The participant's id.
    pub participant_id: ParticipantId,
    /// The name it has in the room.
    pub user_name: String,
    /// Whether it publishes media.
    pub streaming: bool,
    /// Ids of the streams that it publishes; for somebody who does not know of several streams, the
    /// [`WEBCAM`] at most.
    pub streams: Vec<String>,
    /// Whether it knows that others may publish several streams.
    pub knows_streams: bool,
}

/// What a participant wants to be told beside what everybody is. Where the media server cannot tell,
/// it hears nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Listens {
    /// Who the active speaker is, whenever that changes.
    pub active_speaker: bool,
    /// How loud everybody is, five times a second.
    pub levels: bool,
    /// Which quality of each stream it receives, whenever that changes.
    pub layers: bool,
    /// What is muted for everybody and whether the room is locked, whenever that changes.
    pub moderation: bool,
    /// That it is to publish again, after the media server was lost and replaced; who does not want
    /// to know hears of an error instead.
    pub recovery: bool,
    /// Of streams other than the [`WEBCAM`].
    pub streams: bool,
}

/// How a participant shows the video of another: what it needs of it, where there are several
/// qualities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VideoPreference {
    /// Lines of the picture that are enough; 0 for as many as there are.
    pub height: u16,
    /// Where not everything fits, streams with greater numbers come first.
    pub priority: u8,
}

/// A quality of video.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VideoLayer {
    /// Rank by picture size, 0 is the smallest.
    pub spatial: u8,
    /// Rank by frame rate, 0 is the lowest.
    pub temporal: u8,
    /// Lines of the picture, where known.
    pub height: Option<u16>,
}

/// How loud a participant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpeakerLevel {
    /// Who.
    pub participant: UserParticipant,
    /// Which of its streams.
    pub stream: String,
    /// Level in dBov: 0 is the loudest there can be, −127 is silence.
    pub dbov: i8,
}

/// A kind of media, as elements are connected by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MediaType {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channel messages.
    Data,
}

impl MediaType {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Audio, Self::Video, Self::Data];

    /// The name in the Kurento Protocol.
    pub fn wire_name(self) -> &'static str {
        match self {
            Self::Audio => "AUDIO",
            Self::Video => "VIDEO",
            Self::Data => "DATA",
        }
    }
}

/// What a mute silences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MutedMediaType {
    /// Everything, data included.
    All,
    /// Pictures only.
    Video,
    /// Sound only.
    Audio,
}

/// What of a participant's media nobody receives, because it was muted where it is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct MutedMedia {
    /// Its sound.
    pub audio: bool,
    /// Its pictures.
    pub video: bool,
}

/// Which side of a negotiation a session description is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SdpType {
    /// It opens the negotiation.
    Offer,
    /// It answers an offer of the media server.
    Answer,
}

/// What a publisher hears and sees of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Loopback {
    /// Nothing.
    #[default]
    Off,
    /// Its own media, after the elements that were added to it.
    Own {
        /// Only this kind of media; `None` for all.
        media: Option<MediaType>,
    },
    /// The media of another element, which the room neither creates nor releases.
    Source {
        /// Object id of the element.
        element: String,
        /// Only this kind of media; `None` for all.
        media: Option<MediaType>,
    },
}

/// One trickled ICE candidate (RFC 8838) as browsers exchange it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IceCandidate {
    /// The `candidate:…` line; empty marks the end of candidates.
    pub candidate: String,
    /// `a=mid` of the media section that the candidate belongs to.
    pub sdp_mid: String,
    /// Index of that media section.
    pub sdp_m_line_index: i32,
}

/// The caller's number for one command; comes back in [`Effect::Done`](crate::Effect::Done).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a room can be asked to do.
///
/// Commands of one participant run in the order given. Two of them do not wait: `Leave` ends what
/// is under way, and `AddIceCandidate` passes the operation that runs (but none that waits).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Enters the room. The first one in creates the pipeline.
    Join {
        /// Who enters.
        participant: ParticipantId,
        /// The name it wants; must be free and not empty.
        user: String,
        /// Whether its publisher endpoint offers data channels.
        data_channels: bool,
        /// WebRTC endpoints if true, plain RTP endpoints otherwise.
        web: bool,
        /// What it wants to be told beside what everybody is.
        listens: Listens,
    },
    /// Leaves the room; the last one out closes it.
    Leave {
        /// Who leaves.
        participant: ParticipantId,
    },
    /// Starts to publish.
    Publish {
        /// Who publishes.
        participant: ParticipantId,
        /// Whether `sdp` is an offer, or the answer to a generated offer.
        sdp_type: SdpType,
        /// The session description.
        sdp: String,
        /// What the publisher gets back.
        loopback: Loopback,
        /// Elements to put into the chain first, in order.
        elements: Vec<String>,
        /// Which of its streams.
        stream: String,
    },
    /// Makes the publisher endpoint offer; `Publish` with the answer must follow.
    GeneratePublishOffer {
        /// Who will publish.
        participant: ParticipantId,
        /// Which of its streams.
        stream: String,
    },
    /// Stops publishing; everybody's subscription to it ends.
    Unpublish {
        /// Who publishes.
        participant: ParticipantId,
        /// Which of its streams.
        stream: String,
    },
    /// Starts to receive what another user publishes.
    Subscribe {
        /// Who receives.
        participant: ParticipantId,
        /// What another user publishes.
        remote: StreamRef,
        /// The receiver's offer.
        offer: String,
    },
    /// Stops receiving; not being subscribed is fine.
    Unsubscribe {
        /// Who receives.
        participant: ParticipantId,
        /// What another user publishes.
        remote: StreamRef,
    },
    /// Goes on with media over another network: a further offer of the same connection restarts ICE
    /// (RFC 8445 section 9).
    RestartIce {
        /// Whose network changed.
        participant: ParticipantId,
        /// Which stream it receives; `None` for what it publishes.
        remote: Option<StreamRef>,
        /// Which of its streams, for what it publishes.
        stream: String,
        /// The offer, with new ICE credentials.
        offer: String,
    },
    /// Hands over a candidate of the participant.
    AddIceCandidate {
        /// Whose candidate it is.
        participant: ParticipantId,
        /// A stream of its own for that publisher endpoint, another user's for that subscription.
        endpoint: StreamRef,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// Silences what the participant publishes, for everybody.
    MutePublished {
        /// Who publishes.
        participant: ParticipantId,
        /// Which of its streams.
        stream: String,
        /// What is silenced.
        media: MutedMediaType,
    },
    /// Ends mutes of what the participant publishes.
    UnmutePublished {
        /// Who publishes.
        participant: ParticipantId,
        /// Which of its streams.
        stream: String,
        /// What is heard or seen again.
        media: MutedMediaType,
    },
    /// Silences one subscription.
    MuteSubscribed {
        /// Who receives.
        participant: ParticipantId,
        /// What another user publishes.
        remote: StreamRef,
        /// What is silenced.
        media: MutedMediaType,
    },
    /// Ends every mute of one subscription.
    UnmuteSubscribed {
        /// Who receives.
        participant: ParticipantId,
        /// What another user publishes.
        remote: StreamRef,
    },
    /// Puts a media element at the end of what the participant publishes. The room owns it from then on.
    AddMediaElement {
        /// Who publishes, or will.
        participant: ParticipantId,
        /// Object id of an element in the room's pipeline.
        element: String,
        /// Only this kind of media passes the element; `None` for all.
        media: Option<MediaType>,
    },
    /// Takes a media element out of the chain and releases it.
    RemoveMediaElement {
        /// Who publishes, or will.
        participant: ParticipantId,
        /// Object id of the element.
        element: String,
    },
    /// Says how the participant shows what others publish, also what it does not receive yet. Names
    /// of nobody in the room are ignored.
    SetVideoPreferences {
        /// Who shows it.
        participant: ParticipantId,
        /// Streams that are published, or may be, and how they are shown.
        preferences: Vec<(StreamRef, VideoPreference)>,
    },
    /// Lets nobody in from now on, or everybody again. Who is in stays in.
    SetLocked {
        /// Whether the room is locked.
        locked: bool,
    },
    /// Closes the room with everybody in it.
    Close,
}

/// What a command brought about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The participant is in.
    Joined {
        /// Who was in before it, oldest first.
        existing: Vec<UserParticipant>,
    },
    /// The participant is out.
    Left {
        /// The name it had.
        user: String,
        /// Who is still in; empty means that the room is closed.
        remaining: Vec<UserParticipant>,
    },
    /// The participant publishes.
    Published {
        /// Its name.
        user: String,
        /// Which of its streams.
        stream: String,
        /// The media server's answer; after a generated offer, the offer as it came out.
        answer: String,
        /// Everybody in the room, the publisher included.
        members: Vec<UserParticipant>,
    },
    /// The publisher endpoint made an offer.
    OfferGenerated {
        /// The media server's offer.
        offer: String,
    },
    /// The participant stopped publishing.
    Unpublished {
        /// Its name.
        user: String,
        /// Which of its streams.
        stream: String,
        /// Everybody in the room, the former publisher included.
        members: Vec<UserParticipant>,
    },
    /// The participant receives.
    Subscribed {
        /// The media server's answer.
        answer: String,
    },
    /// The media server took the further offer.
    IceRestarted {
        /// Its answer.
        answer: String,
    },
    /// Done, nothing to tell.
    Done,
    /// The room is closed.
    Closed {
        /// Who was in.
        members: Vec<UserParticipant>,
    },
}
