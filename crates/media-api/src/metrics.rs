//! Counters of one shard, published as a value once a second.

use std::time::Duration;

/// What a shard counted since it started; gauges say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardMetrics {
    /// Pipelines now (gauge).
    pub pipelines: u64,
    /// Elements now (gauge).
    pub elements: u64,
    /// Elements now that talk to a peer (gauge).
    pub endpoints: u64,
    /// Endpoints now with all transports connected (gauge).
    pub endpoints_connected: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Bytes sent.
    pub bytes_sent: u64,
    /// Datagrams of nobody's, or malformed, or not authentic.
    pub datagrams_refused: u64,
    /// RTP packets received and authenticated.
    pub rtp_received: u64,
    /// RTP packets forwarded, one per receiver.
    pub rtp_forwarded: u64,
    /// Tracks now: what peers send, and copies of what peers of other shards send (gauge).
    pub tracks: u64,
    /// Of these, copies of tracks of other shards (gauge).
    pub mirrors: u64,
    /// Tracks that other shards have a copy of, once per shard (gauge).
    pub mirrored: u64,
    /// RTP packets copied to other shards, one per shard.
    pub rtp_mirrored: u64,
    /// RTP packets dropped on the way to a shard that did not keep up.
    pub mirror_drops: u64,
    /// Packets missing on arrival (RFC 3550 cumulative loss, over all streams).
    pub rtp_lost: u64,
    /// Packets retransmitted by us.
    pub rtp_retransmitted: u64,
    /// Negative acknowledgements sent to publishers.
    pub nacks_sent: u64,
    /// Keyframe requests sent to publishers.
    pub keyframe_requests_sent: u64,
    /// Decoders at work in media processors now (gauge).
    pub decoders: u64,
    /// Encoders at work in media processors now (gauge).
    pub encoders: u64,
    /// UDP sockets and outgoing connections beside those that the shard started with, now (gauge).
    pub sockets: u64,
    /// TCP connections with peers and relays now (gauge).
    pub tcp_connections: u64,
    /// Frames dropped because a TCP connection did not keep up.
    pub tcp_dropped_frames: u64,
    /// Bytes of these.
    pub tcp_dropped_bytes: u64,
    /// Packets that went to media processors.
    pub processor_sent: u64,
    /// Packets that came from media processors.
    pub processor_received: u64,
    /// Packets for media processors that were dropped, as those did not keep up.
    pub processor_drops: u64,
    /// Datagrams that the socket refused (buffer full).
    pub send_drops: u64,
    /// Events dropped because the control side did not keep up.
    pub events_dropped: u64,
    /// Wake-ups of the shard loop.
    pub loops: u64,
    /// Time spent working, waiting not included.
    pub busy: Duration,
    /// Longest single pass of the loop since the last snapshot (gauge).
    pub longest_loop: Duration,
}
