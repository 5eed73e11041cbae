//! Seam B: what the object model asks of the media shards, and what they report back.
//!
//! Two bounded queues of plain values, no wire formats. The side that owns the object model hands
//! out all keys and tokens, so creating something needs no answer before it can be used. Commands
//! for one pipeline are carried out in the order they were sent; a failed command answers its
//! token with a [`MediaError`] and changes nothing else.

mod command;
mod error;
mod event;
mod key;
mod metrics;
pub mod processing;
mod speakers;
mod spec;
mod stats;
mod units;

pub use command::{Command, CommandSink, Op, VideoWish};
pub use error::{MediaError, MediaErrorKind};
pub use event::{
    ConnectionState, DtlsState, ElementEvent, Event, IceState, Reply, SessionDescription,
};
pub use key::{ElementKey, PipelineKey, Token, ViewerKey};
pub use metrics::ShardMetrics;
pub use speakers::{AudioLevel, SpeakerDetection, SpeakerEvent};
pub use spec::{
    Bandwidth, CertificateKind, CryptoSuite, DataChannelSpec, ElementSpec, IceCandidate,
    IceSettings, MediaKind, OfferDirection, OfferKinds, Pad, RembParams, RtpSpec, SdesKey,
    ServerAddress, StreamName, TurnServer, TurnTransport, WebRtcSpec,
};
pub use stats::{
    CandidatePairState, CandidatePairStats, CandidateStats, CertificateStats, CodecStats,
    DataChannelState, DataChannelStats, ElementStats, LatencyStats, StreamDirection, StreamStats,
    TransportStats,
};
pub use units::Bitrate;
