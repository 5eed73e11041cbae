//! What a shard asks of the processors of its pipelines, and what it is told.
//!
//! As with sockets ([`network`](crate::network)), a shard never starts a program. It leaves
//! [`ProcessorRequest`]s in a queue; whoever drives it takes them out with `Shard::poll_processor` after
//! every command and every `flush`, `handle_timeout` and `handle_processor`, and hands what becomes of them in with
//! `Shard::handle_processor`. Control messages arrive in order and none is lost, unless the processor is.
//!
//! Media goes over the socket that `Attached` names: one datagram is one RTP or RTCP packet, both ways; the engine packs
//! them into messages and keeps the credit. The remote address of such datagrams is [`NOWHERE`].

use salono_media_api::PipelineKey;
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent};
use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::network::SocketId;

/// The remote address of a processor's datagrams.
pub const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// One wish of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessorRequest {
    /// Give a pipeline a processor. Answered with `Attached` or `Unavailable` later.
    Attach {
        /// For this pipeline; one each.
        pipeline: PipelineKey,
    },
    /// Tell the processor something. Dropped when it is lost, which is reported.
    Tell {
        /// Of this pipeline.
        pipeline: PipelineKey,
        /// What.
        command: Box<BridgeCommand>,
    },
    /// Let the processor finish and end, and close its socket; also one that is still to be
    /// attached. Nothing more is reported for it.
    Detach {
        /// Of this pipeline.
        pipeline: PipelineKey,
    },
}

/// What becomes of processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessorReport {
    /// A processor waits for commands; it was told what it may reach.
    Attached {
        /// Of this pipeline.
        pipeline: PipelineKey,
        /// Its media.
        socket: SocketId,
    },
    /// It says something.
    Heard {
        /// Of this pipeline.
        pipeline: PipelineKey,
        /// What.
        event: Box<BridgeEvent>,
    },
    /// It ended without being told to, or was ended since it no longer answered. Its socket is closed.
    Lost {
        /// Of this pipeline.
        pipeline: PipelineKey,
        /// Text for people.
        reason: String,
    },
    /// None can be had.
    Unavailable {
        /// For this pipeline.
        pipeline: PipelineKey,
        /// Text for people, with the mend.
        reason: String,
    },
}

/// Wishes that wait to be taken out.
#[derive(Debug, Default)]
pub(crate) struct ProcessorRequests {
    queue: VecDeque<ProcessorRequest>,
}

impl ProcessorRequests {
    pub(crate) fn push(&mut self, request: ProcessorRequest) {
        self.queue.push_back(request);
    }

    pub(crate) fn poll(&mut self) -> Option<ProcessorRequest> {
        self.queue.pop_front()
    }
}
