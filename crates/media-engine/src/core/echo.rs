//! A small core for tests of the thread around it: sends every datagram back, answers every
//! command, and binds, closes and panics when told.

use super::Core;
use salono_media_api::{
    Command, ElementKey, Event, MediaError, MediaErrorKind, Op, PipelineKey, Reply, ShardMetrics,
    Token,
};
use salono_media_core::{
    Egress, Elsewhere, Joined, LinkMessage, NetworkEvent, NetworkRequest, ProcessorReport,
    ProcessorRequest, RequestId, ShardId, SocketId,
};
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// A datagram with this content makes it panic.
pub(crate) const PANIC_DATAGRAM: &[u8] = b"panic";

/// A datagram with this content makes it bind a pair of sockets on the address of the sender, and
/// greet the sender from both.
pub(crate) const BIND_DATAGRAM: &[u8] = b"bind";

/// What it greets with.
pub(crate) const GREETING: &[u8] = b"bound";

/// A datagram with this content makes it say goodbye through the socket and close that.
pub(crate) const CLOSE_DATAGRAM: &[u8] = b"close";

/// What it says.
pub(crate) const GOODBYE: &[u8] = b"goodbye";

/// How long after an `Op::RequestKeyframe` its answer comes.
pub(crate) const DELAY: Duration = Duration::from_millis(30);

/// Echoes datagrams; `Op::Stats` panics, `Op::RequestKeyframe` is answered after [`DELAY`].
pub(crate) struct Echo {
    egress: Egress,
    datagrams: Vec<(SocketId, SocketAddr, Vec<u8>)>,
    events: VecDeque<Event>,
    pipelines: BTreeSet<PipelineKey>,
    elements: BTreeSet<ElementKey>,
    timers: VecDeque<(Instant, Token)>,
    requests: VecDeque<NetworkRequest>,
    /// Who asked for sockets, by the number of the request.
    askers: Vec<SocketAddr>,
}

impl Echo {
    pub(crate) fn new() -> Self {
        Self {
            egress: Egress::new(),
            datagrams: Vec::new(),
            events: VecDeque::new(),
            pipelines: BTreeSet::new(),
            elements: BTreeSet::new(),
            timers: VecDeque::new(),
            requests: VecDeque::new(),
            askers: Vec::new(),
        }
    }

    fn reply(&mut self, token: Token, ok: bool) {
        let error = || MediaError::new(MediaErrorKind::NotFound, "no such thing");
        let result = if ok { Ok(Reply::Done) } else { Err(error()) };
        self.events.push_back(Event::Replied { token, result });
    }
}

impl Core for Echo {
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "answers a few operations only"
    )]
    fn handle_command(&mut self, command: Command, now: Instant) {
        let known = self.pipelines.contains(&command.pipeline);
        match command.op {
            Op::CreatePipeline => {
                self.pipelines.insert(command.pipeline);
            }
            Op::Create { token, element, .. } => {
                if known {
                    self.elements.insert(element);
                }
                self.reply(token, known);
            }
            Op::Description { token, element, .. } => {
                let known = self.elements.contains(&element);
                self.reply(token, known);
            }
            Op::RequestKeyframe { token, .. } => self.timers.push_back((now + DELAY, token)),
            Op::Stats { .. } => panic!("told to"),
            _ => {}
        }
    }

    fn handle_joined(&mut self, joined: Joined, _: Instant) {
        self.pipelines.insert(joined.pipeline());
    }

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
        assert_ne!(bytes, PANIC_DATAGRAM, "told to");
        if bytes == BIND_DATAGRAM {
            self.requests.push_back(NetworkRequest::BindUdp {
                request: RequestId(self.askers.len() as u64),
                ip: remote.ip(),
                ports: 10_000..=30_000,
                pair: true,
            });
            self.askers.push(remote);
            return;
        }
        if bytes == CLOSE_DATAGRAM {
            self.egress.push(socket, remote, 0, GOODBYE);
            self.requests.push_back(NetworkRequest::Close { socket });
            return;
        }
        self.datagrams.push((socket, remote, bytes.to_vec()));
    }

    fn flush(&mut self, _: Instant) {
        for (socket, remote, bytes) in self.datagrams.drain(..) {
            self.egress.push(socket, remote, 0, &bytes);
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some((_, token)) = self.timers.pop_front_if(|(due, _)| *due <= now) {
            self.reply(token, true);
        }
    }

    fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.timers.front().map(|(due, _)| *due)
    }

    fn poll_network(&mut self) -> Option<NetworkRequest> {
        self.requests.pop_front()
    }

    fn handle_network(&mut self, event: NetworkEvent, _: Instant) {
        let NetworkEvent::Bound { request, sockets } = event else {
            panic!("{event:?} was not asked for")
        };
        let asker = self.askers[request.0 as usize];
        for (socket, _) in sockets {
            self.datagrams.push((socket, asker, GREETING.to_vec()));
        }
    }

    fn poll_processor(&mut self) -> Option<ProcessorRequest> {
        None
    }

    fn handle_processor(&mut self, report: ProcessorReport, _: Instant) {
        panic!("{report:?} was not asked for")
    }

    fn shut_down(&mut self, _: Instant) {}

    fn egress(&mut self) -> &mut Egress {
        &mut self.egress
    }

    fn metrics(&self) -> ShardMetrics {
        ShardMetrics {
            pipelines: self.pipelines.len() as u64,
            elements: self.elements.len() as u64,
            ..ShardMetrics::default()
        }
    }
}
