//! Which m-line a datagram of a socket of its own belongs to.

use crate::demux::Owner;
use crate::network::SocketId;

/// What a port of a pair is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Component {
    /// RTP, and RTCP of peers that put both on one port.
    Rtp,
    /// RTCP.
    Rtcp,
    /// No port: streams to and from the processor of a pipeline.
    Processor,
}

/// Sockets that belong to one m-line each, by their id; ids are small and dense.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    owners: Vec<Option<(Owner, Component)>>,
}

impl Sockets {
    pub(crate) fn owner(&self, socket: SocketId) -> Option<(Owner, Component)> {
        *self.owners.get(usize::from(socket.0))?
    }

    pub(crate) fn add(&mut self, socket: SocketId, owner: Owner, component: Component) {
        let at = usize::from(socket.0);
        if self.owners.len() <= at {
            self.owners.resize(at + 1, None);
        }
        self.owners[at] = Some((owner, component));
    }

    pub(crate) fn remove(&mut self, socket: SocketId) {
        if let Some(owner) = self.owners.get_mut(usize::from(socket.0)) {
            *owner = None;
        }
    }
}
