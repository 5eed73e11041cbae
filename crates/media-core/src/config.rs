//! What a shard is told when it starts.

use crate::network::{SocketId, SocketKind};
use crate::{Certificates, Codecs};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// One socket that a shard starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalAddress {
    /// How the engine names the socket in datagrams both ways.
    pub socket: SocketId,
    /// What it speaks: `Udp` or `IceTcp`.
    pub kind: SocketKind,
    /// What the socket is bound to; never the unspecified address.
    pub addr: SocketAddr,
    /// Name of the network interface that has the address; empty when there is none known.
    pub interface: String,
}

/// Whether media of one peer is decoded and encoded anew for another that takes none of its codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transcoding {
    /// Where that is needed, in a media processor.
    #[default]
    Allow,
    /// Such peers do not get it.
    Deny,
}

/// Everything a shard needs to know from outside.
#[derive(Debug, Clone)]
pub struct ShardConfig {
    /// The sockets: of each local IP address one for UDP and perhaps one for ICE-TCP.
    pub addresses: Vec<LocalAddress>,
    /// UDP addresses of all shards of this process, this one's included.
    pub siblings: Vec<SocketAddr>,
    /// Announced in host candidates instead of local IPv4 addresses (1:1 NAT).
    pub announced_v4: Option<Ipv4Addr>,
    /// Announced in host candidates instead of local IPv6 addresses.
    pub announced_v6: Option<Ipv6Addr>,
    /// The DTLS certificates of this process.
    pub certificates: Certificates,
    /// Codecs of session descriptions.
    pub codecs: Codecs,
    /// Whether encoded media is encoded anew where receivers need that.
    pub transcoding: Transcoding,
    /// Caps on everything that a peer or a client can grow.
    pub limits: Limits,
    /// Wall clock time, since 1970, of the moment that `Shard::new` is given as `now`.
    pub unix_time: Duration,
    /// Seed of ICE credentials, SSRCs and session ids; secret, 256 random bits.
    pub seed: [u8; 32],
}

/// Caps; at a cap the request fails with `MediaErrorKind::Limit` or the packet is dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Elements on one shard. A cap on memory, not on load.
    pub elements: usize,
    /// Session description size in bytes.
    pub sdp_bytes: usize,
    /// m-lines of a session description.
    pub sdp_media: usize,
    /// Remote candidates of one endpoint, signalled and in descriptions together.
    pub candidates: usize,
    /// Remote addresses that one transport may be reached from.
    pub remote_addresses: usize,
    /// Retransmission store of one video stream, bytes.
    pub video_ring_bytes: usize,
    /// Retransmission store of one audio stream, bytes.
    pub audio_ring_bytes: usize,
    /// Sockets of endpoints that cannot use the shard's, because their peer is an endpoint of this
    /// or another server that shares a port with others; at the cap such peers are not reached.
    pub own_sockets: usize,
    /// RTCP packets that a key from a session description protects until its replacement is asked
    /// for. What RFC 3711 §9.2 allows is the default, with some room.
    pub srtcp_packets: u32,
    /// Data channels of one endpoint.
    pub data_channels: usize,
    /// Size of one data channel message, bytes; advertised as `a=max-message-size`.
    pub message_bytes: usize,
    /// Bytes that may wait in the data channels of one endpoint before messages are dropped.
    pub data_buffered_bytes: usize,
    /// Calls to elements that process media, of one pipeline, that may be unanswered.
    pub processor_calls: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            elements: 20_000,
            sdp_bytes: 128 * 1024,
            sdp_media: 64,
            candidates: 64,
            remote_addresses: 16,
            video_ring_bytes: 1024 * 1024,
            audio_ring_bytes: 64 * 1024,
            own_sockets: 4_096,
            srtcp_packets: 0x8000_0000 - 0x1_0000,
            data_channels: 64,
            message_bytes: 256 * 1024,
            data_buffered_bytes: 1024 * 1024,
            processor_calls: 1_024,
        }
    }
}

impl ShardConfig {
    /// The sockets for UDP.
    pub(crate) fn udp(&self) -> impl Iterator<Item = &LocalAddress> {
        self.addresses
            .iter()
            .filter(|local| local.kind == SocketKind::Udp)
    }

    /// Whether an address, as it was bound or as it is announced, is a shard's of this process.
    pub(crate) fn is_of_this_process(&self, addr: SocketAddr) -> bool {
        let is_announced = match addr.ip() {
            IpAddr::V4(ip) => self.announced_v4 == Some(ip),
            IpAddr::V6(ip) => self.announced_v6 == Some(ip),
        };
        self.siblings
            .iter()
            .any(|sibling| *sibling == addr || (is_announced && sibling.port() == addr.port()))
    }

    /// One of the sockets that the shard started with.
    pub(crate) fn local(&self, socket: SocketId) -> Option<&LocalAddress> {
        self.addresses.iter().find(|local| local.socket == socket)
    }
}
