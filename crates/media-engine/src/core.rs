//! What a shard thread drives.

use salono_media_api::{Command, Event, ShardMetrics};
use salono_media_core::{
    Egress, Elsewhere, Joined, LinkMessage, NetworkEvent, NetworkRequest, ProcessorReport,
    ProcessorRequest, Shard, ShardId, SocketId,
};
use std::net::SocketAddr;
use std::time::Instant;

/// The sans-IO side of a shard thread. [`Shard`] is the one; tests put something smaller here.
pub(crate) trait Core {
    /// Carries out one command.
    fn handle_command(&mut self, command: Command, now: Instant);
    /// A pipeline has a part on this shard from now on.
    fn handle_joined(&mut self, joined: Joined, now: Instant);
    /// An element of a pipeline that has a part here was created on another shard.
    fn handle_elsewhere(&mut self, elsewhere: &Elsewhere);
    /// Takes in what another shard says.
    fn handle_link(&mut self, from: ShardId, message: LinkMessage, now: Instant);
    /// The next message for another shard.
    fn poll_link(&mut self, to: ShardId) -> Option<LinkMessage>;
    /// Others talked to one before, which has lost everything.
    fn announce_restart(&mut self, others: Vec<ShardId>);
    /// Takes one datagram; works in place.
    fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &mut [u8],
        now: Instant,
    );
    /// Ends a batch: what it caused goes to the egress.
    fn flush(&mut self, now: Instant);
    /// Does what is due.
    fn handle_timeout(&mut self, now: Instant);
    /// The next report.
    fn poll_event(&mut self) -> Option<Event>;
    /// When [`Core::handle_timeout`] wants to be called next.
    fn poll_timeout(&mut self) -> Option<Instant>;
    /// Until when more of what came is awaited, so that taking it in can wait as well.
    fn gathers_until(&self) -> Option<Instant> {
        None
    }
    /// The next wish about sockets or names.
    fn poll_network(&mut self) -> Option<NetworkRequest>;
    /// Takes in what became of a wish.
    fn handle_network(&mut self, event: NetworkEvent, now: Instant);
    /// The next wish about processors.
    fn poll_processor(&mut self) -> Option<ProcessorRequest>;
    /// Takes in what became of a processor, or what it says.
    fn handle_processor(&mut self, report: ProcessorReport, now: Instant);
    /// Gives back what others hold for the shard; nothing is asked of it afterwards but what it
    /// leaves in the egress.
    fn shut_down(&mut self, now: Instant);
    /// Datagrams to send.
    fn egress(&mut self) -> &mut Egress;
    /// Counters since the beginning.
    fn metrics(&self) -> ShardMetrics;
}

impl Core for Shard {
    fn handle_command(&mut self, command: Command, now: Instant) {
        Self::handle_command(self, command, now);
    }

    fn handle_joined(&mut self, joined: Joined, now: Instant) {
        Self::handle_joined(self, joined, now);
    }

    fn handle_elsewhere(&mut self, elsewhere: &Elsewhere) {
        Self::handle_elsewhere(self, elsewhere);
    }

    fn handle_link(&mut self, from: ShardId, message: LinkMessage, now: Instant) {
        Self::handle_link(self, from, message, now);
    }

    fn poll_link(&mut self, to: ShardId) -> Option<LinkMessage> {
        Self::poll_link(self, to)
    }

    fn announce_restart(&mut self, others: Vec<ShardId>) {
        Self::announce_restart(self, others);
    }

    fn handle_datagram(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        bytes: &mut [u8],
        now: Instant,
    ) {
        Self::handle_datagram(self, socket, remote, bytes, now);
    }

    fn flush(&mut self, now: Instant) {
        Self::flush(self, now);
    }

    fn handle_timeout(&mut self, now: Instant) {
        Self::handle_timeout(self, now);
    }

    fn poll_event(&mut self) -> Option<Event> {
        Self::poll_event(self)
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        Self::poll_timeout(self)
    }

    fn gathers_until(&self) -> Option<Instant> {
        Self::gathers_until(self)
    }

    fn poll_network(&mut self) -> Option<NetworkRequest> {
        Self::poll_network(self)
    }

    fn handle_network(&mut self, event: NetworkEvent, now: Instant) {
        Self::handle_network(self, event, now);
    }

    fn poll_processor(&mut self) -> Option<ProcessorRequest> {
        Self::poll_processor(self)
    }

    fn handle_processor(&mut self, report: ProcessorReport, now: Instant) {
        Self::handle_processor(self, report, now);
    }

    fn shut_down(&mut self, now: Instant) {
        Self::shut_down(self, now);
    }

    fn egress(&mut self) -> &mut Egress {
        Self::egress(self)
    }

    fn metrics(&self) -> ShardMetrics {
        Self::metrics(self)
    }
}

#[cfg(test)]
pub(crate) mod crossing;
#[cfg(test)]
pub(crate) mod echo;
