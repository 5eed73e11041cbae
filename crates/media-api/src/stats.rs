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
