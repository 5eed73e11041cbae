//! What every part of a shard may use while it handles one input.

use crate::config::ShardConfig;
use crate::demux::Demux;
use crate::egress::Egress;
use crate::network::Requests;
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
}
