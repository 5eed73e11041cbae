//! A small core for tests of what is between a shard and its processors: has one for each pipeline, and sends through it
//! what peers send.

use super::Core;
use salono_media_api::processing::bridge::{BridgeCommand, BridgeEvent};
use salono_media_api::{Command, Event, Op, PipelineKey, ShardMetrics};
use salono_media_core::{
    Egress, Elsewhere, Joined, LinkMessage, NOWHERE, NetworkEvent, NetworkRequest, ProcessorReport,
    ProcessorRequest, ShardId, SocketId,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

/// Begins a datagram that is to go through the processor of the pipeline that the next byte names. Others are
/// sent back at once.
pub(crate) const THROUGH: u8 = b'>';

/// Attaches with `Op::CreatePipeline`, tells with `Op::Call`, detaches with `Op::ReleasePipeline`.
pub(crate) struct Crossing {
    egress: Egress,
    requests: VecDeque<ProcessorRequest>,
    /// Media sockets, and who is sent what comes out of them.
    sockets: BTreeMap<PipelineKey, (SocketId, Option<(SocketId, SocketAddr)>)>,
    datagrams: Vec<(SocketId, SocketAddr, Vec<u8>)>,
    reports: Sender<ProcessorReport>,
}

impl Crossing {
    /// Hands everything that is reported of processors on to a test.
    pub(crate) fn new(reports: Sender<ProcessorReport>) -> Self {
        Self {
            egress: Egress::new(),
            requests: VecDeque::new(),
            sockets: BTreeMap::new(),
            datagrams: Vec::new(),
            reports,
        }
    }
}

impl Core for Crossing {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "carries out a few operations only"
    )]
    fn handle_command(&mut self, command: Command, _: Instant) {
        let pipeline = command.pipeline;
        match command.op {
            Op::CreatePipeline => self
                .requests
                .push_back(ProcessorRequest::Attach { pipeline }),
            Op::ReleasePipeline => {
                self.sockets.remove(&pipeline);
                self.requests
                    .push_back(ProcessorRequest::Detach { pipeline });
            }
            Op::Call {
                token,
                element,
                call,
            } => {
                let call = *call;
                let command = BridgeCommand::Call {
                    token,
                    element,
                    call,
                };
                let command = Box::new(command);
                self.requests
                    .push_back(ProcessorRequest::Tell { pipeline, command });
            }
            op => panic!("{op:?} is not played"),
        }
    }

    fn handle_joined(&mut self, _: Joined, _: Instant) {}

    fn handle_elsewhere(&mut self, _: &Elsewhere) {}

    fn handle_link(&mut self, _: ShardId, _: LinkMessage, _: Instant) {}

    fn poll_link(&mut self, _: ShardId) -> Option<LinkMessage> {
        None
    }

    fn announce_restart(&mut self, _: Vec<ShardId>) {}

    fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &mut [u8],
        _: Instant,
    ) {
        if remote == NOWHERE {
            let mut sockets = self.sockets.values();
            let of = sockets.find(|(media, _)| *media == socket);
            let (_, to) = of.expect("media of a processor that is there");
            let (socket, remote) = to.expect("media that somebody sent");
            self.datagrams.push((socket, remote, bytes.to_vec()));
        } else if let [THROUGH, pipeline, packet @ ..] = &*bytes {
            let pipeline = PipelineKey(u64::from(*pipeline));
            // There may be none, or none any more.
            if let Some((media, to)) = self.sockets.get_mut(&pipeline) {
                *to = Some((socket, remote));
                self.datagrams.push((*media, NOWHERE, packet.to_vec()));
            }
        } else {
            self.datagrams.push((socket, remote, bytes.to_vec()));
        }
    }

    fn flush(&mut self, _: Instant) {
        for (socket, remote, bytes) in self.datagrams.drain(..) {
            self.egress.push(socket, remote, 0, &bytes);
        }
    }

    fn handle_timeout(&mut self, _: Instant) {}

    fn poll_event(&mut self) -> Option<Event> {
        None
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        None
    }

    fn poll_network(&mut self) -> Option<NetworkRequest> {
        None
    }

    fn handle_network(&mut self, event: NetworkEvent, _: Instant) {
        panic!("{event:?} was not asked for")
    }

    fn poll_processor(&mut self) -> Option<ProcessorRequest> {
        self.requests.pop_front()
    }

    fn handle_processor(&mut self, report: ProcessorReport, _: Instant) {
        match &report {
            ProcessorReport::Attached { pipeline, socket } => {
                self.sockets.insert(*pipeline, (*socket, None));
            }
            ProcessorReport::Lost { pipeline, .. } => {
                self.sockets.remove(pipeline);
                let pipeline = *pipeline;
                self.requests
                    .push_back(ProcessorRequest::Attach { pipeline });
            }
            ProcessorReport::Heard { event, .. } => {
                assert!(!matches!(
                    &**event,
                    BridgeEvent::Pong | BridgeEvent::Ready { .. }
                ));
            }
            ProcessorReport::Unavailable { .. } => {}
        }
        // A test that has ended wants to know nothing.
        let _ = self.reports.send(report);
    }

    fn shut_down(&mut self, _: Instant) {}

    fn egress(&mut self) -> &mut Egress {
        &mut self.egress
    }

    fn metrics(&self) -> ShardMetrics {
        ShardMetrics::default()
    }
}
