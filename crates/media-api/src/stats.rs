//! Counters of one element, read on demand.

use crate::{Bitrate, MediaKind};
use std::time::Duration;

/// What an element counted since it was created.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ElementStats {
    /// One entry per RTP stream, received ones first.
    pub streams: Vec<StreamStats>,
    /// One entry per data channel, closed ones included.
    pub data_channels: Vec<DataChannelStats>,
    /// Data channels opened so far; `None` without an SCTP association.
    pub data_channels_opened: Option<u64>,
    /// Data channels closed so far.
    pub data_channels_closed: u64,
    /// One entry per transport of an endpoint.
    pub transports: Vec<TransportStats>,
    /// Negotiated codecs.
    pub codecs: Vec<CodecStats>,
    /// Time from the arrival of a packet in this process until it entered this element; empty
    /// where nothing was measured.
    pub input_latency: Vec<LatencyStats>,
    /// Time from the arrival of a packet in this process until this endpoint sent it.
    pub end_to_end_latency: Vec<LatencyStats>,
}

/// An average latency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencyStats {
    /// Of this kind of media.
    pub kind: MediaKind,
    /// Moving average: a quarter of each new value, as in Kurento.
    pub average: Duration,
}

/// A codec of an m-line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecStats {
    /// Audio or video.
    pub kind: MediaKind,
    /// RTP payload type: the one that the peer sends with.
    pub payload_type: u8,
    /// Encoding name, as in `video/VP8` without the kind.
    pub name: String,
    /// Hertz.
    pub clock_rate: u32,
    /// Audio channels; 0 for video.
    pub channels: u8,
    /// Format parameters as in SDP.
    pub parameters: String,
}

/// Counters of one transport.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TransportStats {
    /// Index of the transport, from 1.
    pub stream: u16,
    /// Bytes sent, headers of RTP and STUN included.
    pub bytes_sent: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Pairs that were checked, the selected one marked.
    pub pairs: Vec<CandidatePairStats>,
    /// Our certificate and the peer's.
    pub certificates: Vec<CertificateStats>,
}

/// A candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateStats {
    /// Address without port.
    pub address: String,
    /// Port.
    pub port: u16,
    /// `udp` or `tcp`.
    pub protocol: String,
    /// `host`, `srflx`, `prflx` or `relay` (RFC 8839 §5.1).
    pub kind: String,
    /// Priority (RFC 8445 §5.1.2).
    pub priority: u32,
}

/// A pair of candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct CandidatePairStats {
    /// Ours.
    pub local: CandidateStats,
    /// The peer's.
    pub remote: CandidateStats,
    /// How far checks have come.
    pub state: CandidatePairState,
    /// Packets take it.
    pub selected: bool,
    /// Round-trip time of checks.
    pub round_trip_time: Option<Duration>,
    /// Estimated bandwidth towards the peer.
    pub available_outgoing: Option<Bitrate>,
    /// Estimated bandwidth from the peer.
    pub available_incoming: Option<Bitrate>,
}

/// State of a pair (RFC 8445 §6.1.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandidatePairState {
    /// Waits for another one of its foundation.
    Frozen,
    /// Waits for its check.
    Waiting,
    /// Check under way.
    InProgress,
    /// Check answered.
    Succeeded,
    /// Check failed.
    Failed,
}

/// A certificate of a DTLS session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateStats {
    /// Ours, or the peer's.
    pub local: bool,
    /// Hexadecimal pairs with colons, as in SDP.
    pub fingerprint: String,
    /// Hash name, as in SDP: `sha-256`.
    pub algorithm: String,
    /// DER.
    pub certificate: Vec<u8>,
}

/// Direction of a stream, from our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamDirection {
    /// From the peer.
    Inbound,
    /// To the peer.
    Outbound,
}

/// Counters of one RTP stream (one SSRC; retransmissions count with their primary stream).
#[derive(Debug, Clone, PartialEq)]
pub struct StreamStats {
    /// Received or sent.
    pub direction: StreamDirection,
    /// Audio or video.
    pub kind: MediaKind,
    /// Synchronisation source on the wire.
    pub ssrc: u32,
    /// RTP packets, retransmissions not included.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
    /// Lost packets (RFC 3550 A.3): ours for inbound, as the peer reports for outbound.
    pub packets_lost: i64,
    /// Lost fraction of the last report, 0 to 1.
    pub fraction_lost: f64,
    /// Interarrival jitter (RFC 3550 A.8), inbound.
    pub jitter: Duration,
    /// Round-trip time from the last report, outbound.
    pub round_trip_time: Option<Duration>,
    /// Full intra requests (RFC 5104): sent for inbound, received for outbound.
    pub fir_count: u64,
    /// Picture loss indications (RFC 4585): sent for inbound, received for outbound.
    pub pli_count: u64,
    /// Generic NACK messages: sent for inbound, received for outbound.
    pub nack_count: u64,
    /// Last REMB: sent for inbound, received for outbound.
    pub remb: Option<Bitrate>,
    /// Bits per second over the last second.
    pub bitrate: Bitrate,
    /// Video frames that ended, as markers tell.
    pub frames: u64,
    /// How many of them ended in the last second.
    pub frames_per_second: u16,
    /// Index of the transport, from 1.
    pub transport: Option<u16>,
    /// Payload type of the codec in use, as in [`CodecStats::payload_type`].
    pub payload_type: Option<u8>,
    /// Identifier of a simulcast layer (RFC 8851), inbound.
    pub rid: Option<String>,
    /// Lines of the picture, where known; inbound.
    pub frame_height: Option<u16>,
}

/// Counters of one data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataChannelStats {
    /// SCTP stream id.
    pub id: u16,
    /// Label.
    pub label: String,
    /// Sub-protocol.
    pub protocol: String,
    /// State.
    pub state: DataChannelState,
    /// Messages sent.
    pub messages_sent: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Messages received.
    pub messages_received: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
}

/// State of a data channel, W3C terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataChannelState {
    /// Being opened.
    Connecting,
    /// Usable.
    Open,
    /// Being closed.
    Closing,
    /// Gone.
    Closed,
}
