//! Events: past tense, upwards.

use crate::processing::{ProcessorEvent, ProcessorReply};
use crate::{
    ElementKey, ElementStats, IceCandidate, MediaError, MediaKind, PipelineKey, SpeakerEvent,
    StreamName, Token,
};

/// One report of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A command was carried out, or failed.
    Replied {
        /// Of the command.
        token: Token,
        /// What it answers.
        result: Result<Reply, MediaError>,
    },
    /// Something happened at an element.
    Element {
        /// Where.
        element: ElementKey,
        /// What.
        event: ElementEvent,
    },
    /// Something is to be heard in a pipeline whose speakers are detected.
    Speakers {
        /// Where.
        pipeline: PipelineKey,
        /// What.
        event: SpeakerEvent,
    },
}

/// What a command answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// Nothing but success.
    Done,
    /// An offer or an answer of ours.
    Sdp(String),
    /// A stored description, if there is one.
    Description(SessionDescription),
    /// What an element that processes media answered.
    Processed(ProcessorReply),
    /// Counters.
    Stats(Box<ElementStats>),
}

/// A stored session description; `None` before negotiation.
pub type SessionDescription = Option<String>;

/// What can happen at an element. State events are sent once per change.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementEvent {
    /// A local candidate, once per m-line that shares its transport.
    IceCandidateFound(IceCandidate),
    /// All local candidates are reported.
    IceGatheringDone,
    /// ICE of one transport changed.
    IceState {
        /// Index of the transport, from 1.
        stream: u16,
        /// 1 RTP (and everything else with rtcp-mux), 2 RTCP.
        component: u16,
        /// The new state.
        state: IceState,
    },
    /// Packets now take this pair.
    CandidatePairSelected {
        /// Index of the transport, from 1.
        stream: u16,
        /// 1 RTP, 2 RTCP.
        component: u16,
        /// `candidate:…` line of ours.
        local: String,
        /// `candidate:…` line of the peer.
        remote: String,
    },
    /// DTLS of one transport changed.
    DtlsState {
        /// Index of the transport, from 1.
        stream: u16,
        /// 1 RTP, 2 RTCP.
        component: u16,
        /// The new state.
        state: DtlsState,
    },
    /// All transports are connected, or one no longer is.
    Connection(ConnectionState),
    /// RTP or RTCP of the peer arrives, or has stopped.
    Media(ConnectionState),
    /// Media began or ceased to come in from connected elements (towards the peer).
    FlowIn {
        /// Of this kind.
        kind: MediaKind,
        /// The stream; [`StreamName::Default`] for the default one, whatever its mid.
        stream: StreamName,
        /// Now flowing.
        flowing: bool,
    },
    /// Media began or ceased to go out to connected elements (from the peer).
    FlowOut {
        /// Of this kind.
        kind: MediaKind,
        /// The stream; [`StreamName::Default`] for the default one, whatever its mid.
        stream: StreamName,
        /// Now flowing.
        flowing: bool,
    },
    /// What comes from the peer by its default stream is encoded like this, now for the first time or otherwise than
    /// before.
    Codec {
        /// Audio or video.
        kind: MediaKind,
        /// Encoding name as in SDP.
        name: String,
    },
    /// The endpoint is sent another quality of its video; told after an
    /// [`Op::WishVideo`](crate::Op::WishVideo).
    LayerChanged {
        /// Rank by picture size, 0 is the smallest.
        spatial: u8,
        /// Rank by frame rate, 0 is the lowest.
        temporal: u8,
        /// Lines of the picture, where known.
        height: Option<u16>,
    },
    /// A data channel is open.
    DataChannelOpened {
        /// SCTP stream id.
        channel: u16,
    },
    /// A data channel is closed.
    DataChannelClosed {
        /// SCTP stream id.
        channel: u16,
    },
    /// The SRTP key of a kind is used up so far that it should be replaced (RFC 3711 §9.2).
    KeySoftLimit {
        /// Of this kind.
        kind: MediaKind,
    },
    /// Something happened at an element that processes media, or to what it lets out.
    Processor(ProcessorEvent),
    /// The element failed; it stays until it is released but does nothing more.
    Failed(MediaError),
}

/// State of ICE on one transport, in Kurento's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IceState {
    /// Nothing reaches the peer any more.
    Disconnected,
    /// Candidates are being reported.
    Gathering,
    /// Pairs are being checked.
    Connecting,
    /// A pair works.
    Connected,
    /// The pair is final for now.
    Ready,
    /// No pair worked.
    Failed,
}

/// State of DTLS on one transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DtlsState {
    /// Not begun.
    New,
    /// Handshake runs.
    Connecting,
    /// Keys are agreed and the peer's fingerprint matched.
    Connected,
    /// Handshake or fingerprint failed.
    Failed,
    /// Ended by either side.
    Closed,
}

/// Connected or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionState {
    /// Not connected.
    Disconnected,
    /// Connected.
    Connected,
}
