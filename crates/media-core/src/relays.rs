//! Media flow of elements that only hand media on: PassThroughs and hub ports.
//!
//! Packets do not pass them one by one, so their state follows from the endpoints around: it flows
//! where the way up leads to an endpoint whose peer sends. It begins at once. A changed way ends it
//! only when the flow timer has passed and it did not come back, as with endpoints.

use crate::peer::FLOW_INTERVAL;
use crate::track::Clock;
use salono_media_api::{ElementEvent, ElementKey, Event, MediaKind, StreamName};
use std::collections::{BTreeSet, VecDeque};
use std::time::Instant;

/// One kind of media at one side of an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Flow {
    pub(crate) element: ElementKey,
    pub(crate) kind: MediaKind,
    /// What leaves the element, else what enters it.
    pub(crate) outgoing: bool,
}

/// When a flow that was seen to end must have come back.
#[derive(Debug, Default)]
pub(crate) struct Relays {
    flowing: BTreeSet<Flow>,
    due: BTreeSet<(Instant, Flow)>,
}

/// Whether a state may end at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The time of grace is over already.
    Now,
    /// It has to stay away for the flow interval.
    Later,
}

impl Relays {
    /// Takes in how it is now, and reports what is news.
    pub(crate) fn note(
        &mut self,
        flow: Flow,
        flows: bool,
        ending: Ending,
        events: &mut VecDeque<Event>,
        clock: Clock,
        now: Instant,
    ) {
        let before = self.flowing.contains(&flow);
        if before == flows {
            return;
        }
        if flows {
            self.flowing.insert(flow);
        } else if ending == Ending::Later {
            // Common moments: however often the ways change, few entries wait.
            self.due.insert((clock.beat(now + FLOW_INTERVAL), flow));
            return;
        } else {
            self.flowing.remove(&flow);
        }
        let Flow {
            element,
            kind,
            outgoing,
        } = flow;
        let event = if outgoing {
            ElementEvent::FlowOut {
                stream: StreamName::Default,
                kind,
                flowing: flows,
            }
        } else {
            ElementEvent::FlowIn {
                stream: StreamName::Default,
                kind,
                flowing: flows,
            }
        };
        events.push_back(Event::Element { element, event });
    }

    /// Forgets an element that ends.
    pub(crate) fn forget(&mut self, element: ElementKey) {
        for kind in MediaKind::ALL {
            for outgoing in [false, true] {
                self.flowing.remove(&Flow {
                    element,
                    kind,
                    outgoing,
                });
            }
        }
    }

    /// When a flow is to be looked at again.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A flow that is to be looked at now.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<Flow> {
        let (at, flow) = *self.due.first()?;
        if at > now {
            return None;
        }
        self.due.pop_first();
        Some(flow)
    }
}
