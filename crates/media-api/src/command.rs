//! Commands: imperative, downwards.

use crate::processing::{Encoding, ProcessorCall};
use crate::{
    Bandwidth, DataChannelSpec, ElementKey, ElementSpec, IceCandidate, IceSettings, MediaKind,
    OfferKinds, Pad, PipelineKey, RembParams, SpeakerDetection, Token, ViewerKey,
};

/// One order for the shard, or shards, that carry a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The pipeline it concerns; with the element it decides which shards receive it.
    pub pipeline: PipelineKey,
    /// What to do.
    pub op: Op,
}

/// What a shard can be told. Operations with a `token` are answered by one `Event::Replied`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Makes room for a pipeline on a shard.
    CreatePipeline,
    /// Releases a pipeline with all of its elements.
    ReleasePipeline,
    /// Creates an element. Answered with `Reply::Done`.
    Create {
        /// Ties the answer to this command.
        token: Token,
        /// Key of the new element.
        element: ElementKey,
        /// What it is.
        spec: ElementSpec,
    },
    /// Releases an element and its connections. Unknown elements are ignored.
    Release {
        /// The element.
        element: ElementKey,
    },
    /// Sends one kind of media from `source` to `sink`, replacing the sink's previous source. A
    /// stream that does not exist yet carries media once it does.
    Connect {
        /// Where media comes from.
        source: Pad,
        /// Where it goes to; may be `source` itself (loopback).
        sink: Pad,
        /// Which kind.
        kind: MediaKind,
    },
    /// Ends a connection. Unknown connections are ignored.
    Disconnect {
        /// Where media came from.
        source: Pad,
        /// Where it went to.
        sink: Pad,
        /// Which kind.
        kind: MediaKind,
    },
    /// Decides what leaves a hub port: one kind of what comes in at another port of its hub, or of
    /// its own. Both are `ElementSpec::HubPort`.
    Route {
        /// The port that media leaves by.
        port: ElementKey,
        /// The port that media comes in by; `None` lets nothing out.
        from: Option<ElementKey>,
        /// Which kind.
        kind: MediaKind,
    },
    /// Measures how long packets stay in the process, in all elements of the pipeline, also those
    /// to come; or no longer.
    MeasureLatency {
        /// Whether.
        on: bool,
    },
    /// Detects speakers in the pipeline, or goes on with other settings; `None` ends it. Reported
    /// by `Event::Speakers`.
    DetectSpeakers {
        /// How, if at all.
        detection: Option<SpeakerDetection>,
    },
    /// Makes an offer. Answered with `Reply::Sdp`.
    GenerateOffer {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// Which m-lines to offer.
        kinds: OfferKinds,
    },
    /// Answers a remote offer. Answered with `Reply::Sdp`.
    ProcessOffer {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// The remote session description.
        sdp: String,
    },
    /// Applies a remote answer. Answered with `Reply::Sdp` (our own description).
    ProcessAnswer {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// The remote session description.
        sdp: String,
    },
    /// Reads a session description. Answered with `Reply::Description`.
    Description {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// The remote one instead of ours.
        remote: bool,
    },
    /// Starts reporting local candidates. Answered with `Reply::Done`.
    GatherCandidates {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
    },
    /// Adds a remote candidate; kept until the m-line is known. Answered with `Reply::Done`.
    AddIceCandidate {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// The candidate.
        candidate: IceCandidate,
    },
    /// Sets a bandwidth limit.
    SetBandwidth {
        /// The endpoint.
        element: ElementKey,
        /// The limit.
        bandwidth: Bandwidth,
    },
    /// Says how the receiver's estimate of the bandwidth moves.
    SetRembParams {
        /// The endpoint.
        element: ElementKey,
        /// All parameters; they replace the former ones.
        params: RembParams,
    },
    /// Says which quality of its video an endpoint wishes, where the source has several. From then on
    /// [`ElementEvent::LayerChanged`](crate::ElementEvent::LayerChanged) tells what it gets.
    WishVideo {
        /// The endpoint that receives.
        element: ElementKey,
        /// What it wishes.
        wish: VideoWish,
    },
    /// Says that an endpoint sends to one connection of a viewer, or of nobody in particular. Endpoints of the same
    /// viewer share what the path to it carries, as far as they live on the same shard.
    SetViewer {
        /// The endpoint that sends to the viewer.
        element: ElementKey,
        /// The viewer, whose connections end in one device: they are taken to have their bottleneck in common.
        viewer: Option<ViewerKey>,
    },
    /// Says how candidates are gathered from now on; what was gathered stays.
    SetIce {
        /// The endpoint.
        element: ElementKey,
        /// All settings; they replace the former ones.
        settings: Box<IceSettings>,
    },
    /// Asks the sender of what this endpoint sends for a keyframe. Answered with `Reply::Done`.
    RequestKeyframe {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint that lacks the keyframe.
        element: ElementKey,
    },
    /// Opens a data channel. Answered with `Reply::Done`.
    CreateDataChannel {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// Label and reliability.
        channel: DataChannelSpec,
    },
    /// Closes a data channel. Answered with `Reply::Done`.
    CloseDataChannel {
        /// Ties the answer to this command.
        token: Token,
        /// The endpoint.
        element: ElementKey,
        /// SCTP stream id of the channel.
        channel: u16,
    },
    /// Asks an element that processes media for something. Answered with `Reply::Processed`.
    Call {
        /// Ties the answer to this command.
        token: Token,
        /// The element.
        element: ElementKey,
        /// What.
        call: Box<ProcessorCall>,
    },
    /// Says how what an element lets out is encoded, where a receiver needs that.
    SetEncoding {
        /// The element.
        element: ElementKey,
        /// How.
        encoding: Box<Encoding>,
    },
    /// Reads the counters of an element. Answered with `Reply::Stats`.
    Stats {
        /// Ties the answer to this command.
        token: Token,
        /// The element.
        element: ElementKey,
    },
}

impl Op {
    /// Ties the answer to this operation; `None` for what is not answered.
    pub fn token(&self) -> Option<Token> {
        match self {
            Self::Create { token, .. }
            | Self::GenerateOffer { token, .. }
            | Self::ProcessOffer { token, .. }
            | Self::ProcessAnswer { token, .. }
            | Self::Description { token, .. }
            | Self::GatherCandidates { token, .. }
            | Self::AddIceCandidate { token, .. }
            | Self::RequestKeyframe { token, .. }
            | Self::CreateDataChannel { token, .. }
            | Self::CloseDataChannel { token, .. }
            | Self::Call { token, .. }
            | Self::Stats { token, .. } => Some(*token),
            Self::CreatePipeline
            | Self::ReleasePipeline
            | Self::Release { .. }
            | Self::Connect { .. }
            | Self::Disconnect { .. }
            | Self::MeasureLatency { .. }
            | Self::DetectSpeakers { .. }
            | Self::SetBandwidth { .. }
            | Self::SetRembParams { .. }
            | Self::WishVideo { .. }
            | Self::SetViewer { .. }
            | Self::SetEncoding { .. }
            | Self::Route { .. }
            | Self::SetIce { .. } => None,
        }
    }
}

/// What a receiver wishes of video that comes in several qualities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VideoWish {
    /// Lines of the picture that are enough; 0 for as many as there are.
    pub height: u16,
    /// Where not everything fits, streams with a higher number come first.
    pub priority: u8,
}

/// Where commands go: a bounded, lossless queue per shard.
pub trait CommandSink: Send {
    /// Hands a command to the shards that it concerns.
    ///
    /// # Errors
    /// Gives the command back when a shard's queue is full, or the shard has ended.
    fn submit(&mut self, command: Command) -> Result<(), Box<Command>>;
}
