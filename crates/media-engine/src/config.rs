//! What the engine is told when it starts.

use crate::processors::ProcessorConfig;
use crate::udp::SocketOptions;
use salono_media_core::{Certificates, Codecs, Limits, Spreading, Transcoding};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Settings of the engine and of all of its shards.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Number of shards, each a thread; 0 means one per core.
    pub shards: usize,
    /// Local addresses to use; empty means every address of this host except loopback and
    /// link-local ones, or loopback when there is no other.
    pub ips: Vec<IpAddr>,
    /// UDP port of the first shard, the next shards have the following ones; 0 means any free port
    /// for each.
    pub port: u16,
    /// Announced in candidates instead of local IPv4 addresses (1:1 NAT).
    pub announced_v4: Option<Ipv4Addr>,
    /// Announced in candidates instead of local IPv6 addresses.
    pub announced_v6: Option<Ipv6Addr>,
    /// The DTLS certificates of this process.
    pub certificates: Certificates,
    /// Codecs of session descriptions.
    pub codecs: Codecs,
    /// Caps of each shard.
    pub limits: Limits,
    /// Commands that may wait for one shard; at the cap the caller gets the command back.
    pub command_queue: usize,
    /// Events that may wait in one shard while the control side does not keep up; at the cap they
    /// are dropped and counted. From half of it on, the shard takes no commands, so that answers
    /// find room.
    pub event_backlog: usize,
    /// How sockets are set up.
    pub sockets: SocketOptions,
    /// Also listen for ICE over TCP on every local address, on the shard's UDP port when it is free
    /// for TCP, else on any.
    pub ice_tcp: bool,
    /// Certificates (PEM) that TLS connections to relays trust beside those that this system trusts;
    /// empty for none.
    pub extra_roots: String,
    /// When a pipeline spreads over several shards.
    pub spreading: Spreading,
    /// Whether media is encoded anew for peers that know none of its codecs.
    pub transcoding: Transcoding,
    /// How media processors are started.
    pub processors: ProcessorConfig,
}

impl EngineConfig {
    /// The defaults: one shard per core, all addresses, any port.
    pub fn new(certificates: Certificates) -> Self {
        Self {
            shards: 0,
            ips: Vec::new(),
            port: 0,
            announced_v4: None,
            announced_v6: None,
            certificates,
            codecs: Codecs::default(),
            limits: Limits::default(),
            command_queue: 4_096,
            event_backlog: 16_384,
            sockets: SocketOptions::default(),
            ice_tcp: true,
            extra_roots: String::new(),
            spreading: Spreading::default(),
            transcoding: Transcoding::Allow,
            processors: ProcessorConfig::default(),
        }
    }
}
