//! Seam C: what a media shard tells the processor of a pipeline, and what it is told.
//!
//! **Channels.** A processor is started with two sockets. File descriptor [`CONTROL_FD`] is a stream of
//! JSON texts, one a line, [`BridgeCommand`] down and [`BridgeEvent`] up, lossless and in order.
//! [`MEDIA_FD`] is a `SOCK_SEQPACKET` socket of [`frames`](super::frames): RTP and RTCP both ways, without encryption,
//! which may lose packets.
//!
//! **Media.** An inlet carries a stream into the processor, an outlet one out of it. RTP packets have
//! the key of their inlet or outlet as SSRC. RTCP beside them goes both ways: sender reports relate
//! streams to each other and to the clock of the sender; the receiver of a stream asks for keyframes with PLI
//! (RFC 4585) and says with REMB how much it takes. One inlet serves any number of sinks in the processor; one
//! outlet any number of receivers in the shard.
//!
//! **Loss.** Neither side ever waits for the other. Each grants the other [`frames::Frame::Credit`](super::frames::Frame) and
//! drops the oldest media where that is used up. A processor answers every [`BridgeCommand::Ping`] within seconds and every
//! [`BridgeCommand::Call`] within half a minute, `StopAndWait` and `Body` apart; else it is taken for hung.
//!
//! **Coming back.** A processor that ends is replaced by a new one, and told everything again by the
//! shard: elements with their last [`BridgeEvent::Checkpoint`], links, inlets, outlets.

use super::{Encoding, ProcessorCall, ProcessorEvent, ProcessorReply, ProcessorSpec};
use crate::{Bitrate, ElementKey, MediaError, MediaKind, Token};
use serde::{Deserialize, Serialize};

/// Of the processor: the control stream.
pub const CONTROL_FD: i32 = 3;

/// Of the processor: the media socket.
pub const MEDIA_FD: i32 = 4;

/// Version of this seam; both sides must have the same.
pub const VERSION: u32 = 1;

/// Longest line of the control stream, in bytes.
pub const MAX_LINE: usize = 4 * 1024 * 1024;

/// A stream into the processor; never reused within a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InletKey(pub u32);

/// A stream out of the processor; never reused within a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OutletKey(pub u32);

/// Where a stream within the processor begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Origin {
    /// What an element lets out.
    Element(ElementKey),
    /// What comes from the shard.
    Inlet(InletKey),
}

/// How an RTP stream is encoded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RtpFormat {
    /// Encoding name as in SDP: `VP8`, `opus`.
    pub codec: String,
    /// RTP payload type.
    pub payload_type: u8,
    /// Hertz.
    pub clock_rate: u32,
    /// Audio channels; 0 for video.
    pub channels: u8,
    /// Format parameters as in SDP; may be empty.
    pub parameters: String,
}

/// What the processor may reach outside of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UriPolicy {
    /// Directories that files are played from; links are followed before the check.
    pub read_roots: Vec<String>,
    /// Directories that files are written in.
    pub write_roots: Vec<String>,
    /// Write over files that are there.
    pub overwrite: bool,
    /// Reach addresses that are not public (RFC 1918, loopback, link-local and so on).
    pub private_addresses: bool,
    /// Schemes that players may read from, apart from `file`.
    pub read_schemes: Vec<String>,
    /// Schemes that recorders may write to, apart from `file`.
    pub write_schemes: Vec<String>,
    /// Names of GStreamer elements that filters may consist of.
    pub elements: Vec<String>,
}

/// One order to a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BridgeCommand {
    /// The first one: what is allowed. A processor of the warm pool waits for it.
    Begin {
        /// [`VERSION`] of this side.
        version: u32,
        /// What may be reached.
        policy: UriPolicy,
    },
    /// Creates an element. Answered with `Replied`.
    Create {
        /// Ties the answer to this command; `None` when it is created once more.
        token: Option<Token>,
        /// The element.
        element: ElementKey,
        /// What it is.
        spec: ProcessorSpec,
        /// Its last checkpoint, when it is created once more.
        resume: Option<String>,
    },
    /// Releases an element with its links. A recorder finishes its file first.
    Release {
        /// The element.
        element: ElementKey,
    },
    /// Asks an element for something. Answered with `Replied`.
    Call {
        /// Ties the answer to this command.
        token: Token,
        /// The element.
        element: ElementKey,
        /// What.
        call: ProcessorCall,
    },
    /// Sets what enters an element, in place of what entered it before.
    Link {
        /// The element.
        sink: ElementKey,
        /// Of this kind.
        kind: MediaKind,
        /// From where; `None` from nowhere.
        source: Option<Origin>,
    },
    /// Announces a stream, or another encoding of a known one.
    OpenInlet {
        /// The stream.
        inlet: InletKey,
        /// Sound or pictures.
        kind: MediaKind,
        /// How it is encoded from now on.
        format: RtpFormat,
    },
    /// No more of a stream comes.
    CloseInlet {
        /// The stream.
        inlet: InletKey,
    },
    /// Wants a stream, encoded like this. Of what already is encoded so, it is a copy.
    OpenOutlet {
        /// The stream.
        outlet: OutletKey,
        /// From where.
        origin: Origin,
        /// Sound or pictures.
        kind: MediaKind,
        /// How.
        format: RtpFormat,
    },
    /// Wants a stream no longer.
    CloseOutlet {
        /// The stream.
        outlet: OutletKey,
    },
    /// How what comes from an origin is encoded for outlets.
    SetEncoding {
        /// From where.
        origin: Origin,
        /// How.
        encoding: Encoding,
    },
    /// A message of a data channel for an element of a third-party module.
    Message {
        /// The element.
        sink: ElementKey,
        /// Binary, or text.
        binary: bool,
        /// Base64 of its bytes.
        base64: String,
    },
    /// Answered with `Pong` by the loop that carries out commands; one that stays silent is ended.
    Ping,
    /// Finish everything, then end.
    End,
}

/// One report of a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BridgeEvent {
    /// The first one: it waits for [`BridgeCommand::Begin`].
    Ready {
        /// [`VERSION`] of that side.
        version: u32,
    },
    /// A command was carried out, or failed.
    Replied {
        /// Of the command.
        token: Token,
        /// What it answers.
        result: Result<ProcessorReply, MediaError>,
    },
    /// Something happened at an element.
    Element {
        /// Where.
        element: ElementKey,
        /// What.
        event: ProcessorEvent,
    },
    /// Something worth keeping changed: what [`BridgeCommand::Create`] needs to make the element
    /// again as it is now.
    Checkpoint {
        /// Which.
        element: ElementKey,
        /// The element's own text.
        state: String,
    },
    /// An origin has media of this kind from now on, or another codec of it.
    Produces {
        /// Which.
        element: ElementKey,
        /// Sound or pictures.
        kind: MediaKind,
        /// The encoding that can be had without any work; `None` when it is raw.
        native: Option<RtpFormat>,
    },
    /// Media of this kind began or ceased to enter (or leave) an element within the processor.
    Flow {
        /// Which.
        element: ElementKey,
        /// Sound or pictures.
        kind: MediaKind,
        /// Out of the element instead of into it.
        out: bool,
        /// Now flowing.
        flowing: bool,
    },
    /// An outlet is a copy of an encoded stream, or encoded for the purpose.
    Outlet {
        /// Which.
        outlet: OutletKey,
        /// Decoded and encoded anew.
        transcoding: bool,
        /// What it takes of the path.
        bitrate: Option<Bitrate>,
    },
    /// A message for the data channels that an element of a third-party module is connected to.
    Message {
        /// The element.
        source: ElementKey,
        /// Binary, or text.
        binary: bool,
        /// Base64 of its bytes.
        base64: String,
    },
    /// How much is at work, when that changes.
    Load {
        /// Decoders.
        decoders: u32,
        /// Encoders.
        encoders: u32,
    },
    /// Answers `Ping`. Kept from the shard.
    Pong,
}
