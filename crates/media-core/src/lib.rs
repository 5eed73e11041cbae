//! A media shard without sockets or clocks: WebRTC transports, the element graph, the RTP router.
//!
//! [`Shard`] owns pipelines with their elements and the peers behind them. It is told what to do by
//! `salono_media_api` commands, handed datagrams and time, and answers with events and with
//! datagrams to send; see [`Shard`] for the drive contract.
//!
//! | module | role |
//! | --- | --- |
//! | `shard` | dispatch: commands, datagrams and time to whom they concern |
//! | `graph` | elements, connections, and which endpoint feeds which |
//! | `demux` | which transport a datagram belongs to |
//! | `webrtc` | one endpoint: negotiation, ICE, DTLS, data channels |
//! | `peer`, `feedback` | an endpoint with its tracks, and the RTCP of both |
//! | `sending` | what the path to a peer carries, and how fast packets leave |
//! | `relays` | media flow of elements that only hand media on |
//! | `links` | tracks that cross from one shard to another |
//! | `placement` | which shard an element lives on, and who has to know |
//! | `track` | RTP in, RTP out, and the forwarding loop between |
//! | `speakers` | audio levels, the active speaker, the loudest few |
//! | `nat` | STUN and TURN servers: how we are reached from behind NATs |
//! | `processing` | what crosses between a shard and the processes that work on media |
//! | `processor` | what a shard asks of those processes |
//! | `network` | further sockets and names that a shard asks for |
//! | `egress`, `timers` | what waits to be sent, who waits to be woken |

mod certificate;
mod codecs;
mod config;
mod context;
mod demux;
mod egress;
mod endpoint;
mod feedback;
mod graph;
mod links;
mod nat;
mod network;
mod peer;
mod placement;
mod plain;
mod processing;
mod processor;
mod relays;
mod sending;
mod shard;
mod speakers;
mod timers;
mod track;
mod webrtc;

pub use certificate::{Certificate, CertificateError, Certificates};
pub use codecs::Codecs;
pub use config::{Limits, LocalAddress, ShardConfig, Transcoding};
pub use egress::{EGRESS_ARENA_BYTES, EGRESS_DATAGRAMS, Egress, Outgoing};
pub use links::{LinkMessage, ShardId};
pub use network::{ENGINE_SOCKETS, NetworkEvent, NetworkRequest, RequestId, SocketId, SocketKind};
pub use placement::{Elsewhere, Joined, Order, Placement, Plan, Spreading};
pub use processor::{NOWHERE, ProcessorReport, ProcessorRequest};
pub use shard::Shard;
