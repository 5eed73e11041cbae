//! What every part of a shard may use while it handles one input.

use crate::config::ShardConfig;
use crate::demux::{Demux, Owner};
use crate::egress::Egress;
use crate::network::{NetworkRequest, Requests, SocketKind};
use crate::webrtc::Path;
use salono_media_api::{ElementEvent, ElementKey, Event};
use std::collections::VecDeque;
use std::time::Instant;

/// The shard's outputs and tables, lent for one call.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a ShardConfig,
    pub(crate) demux: &'a mut Demux,
    pub(crate) egress: &'a mut Egress,
    pub(crate) events: &'a mut VecDeque<Event>,
    pub(crate) requests: &'a mut Requests,
    pub(crate) now: Instant,
}

impl Context<'_> {
    /// Queues a report of an element.
    pub(crate) fn report(&mut self, element: ElementKey, event: ElementEvent) {
        self.events.push_back(Event::Element { element, event });
    }

    /// Closes the connection that a path is, if it is one that a peer made to a listener and still
    /// the owner's. True when it is given up.
    pub(crate) fn disconnect(&mut self, path: Path, owner: Owner) -> bool {
        let listens = self
            .config
            .local(path.socket)
            .is_some_and(|local| local.kind == SocketKind::IceTcp);
        if listens && self.demux.by_path(path) == Some(owner) {
            self.demux.remove_path(path, owner);
            self.requests.push(NetworkRequest::Disconnect {
                socket: path.socket,
                remote: path.remote,
            });
        }
        listens
    }
}
