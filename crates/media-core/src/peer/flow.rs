//! Whether media flows from and to a peer: told with the first packet, and looked at now and then.

use super::lines::Line;
use super::{FLOW_INTERVAL, Peer, report};
use crate::track::{Clock, OutSlot, Router, TrackSlot};
use salono_media_api::{ConnectionState, ElementEvent, ElementKey, Event, MediaKind, StreamName};
use std::collections::VecDeque;
use std::time::Instant;

impl Peer {
    /// Whether media of a stream comes from the peer.
    pub(crate) fn sends(&self, kind: MediaKind, name: &StreamName) -> bool {
        let line = self.lines.named(kind, name);
        line.is_some_and(|line| line.flows_out)
    }

    /// Whether media of a kind goes to the peer.
    pub(crate) fn receives(&self, kind: MediaKind) -> bool {
        let line = self.lines.first(kind);
        line.is_some_and(|line| line.flows_in)
    }

    /// Whether media began or ceased to come from the peer since this was asked last; with a stream of a
    /// processor, also to go there.
    pub(crate) fn take_flow_change(&mut self) -> bool {
        std::mem::take(&mut self.flow_changed)
    }

    /// Reports the first packet of a track; the flow timer reports when it ceases.
    pub(super) fn note_media(
        &mut self,
        track: TrackSlot,
        router: &Router,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) {
        let line = self.lines.of_track_mut(track);
        if let Some(line) = line.filter(|line| !line.flows_out) {
            let element = self.endpoint.reports_as();
            self.flow_changed |= line.set_flow_out(true, element, events);
            line.note_codec(router, element, events);
            self.next_flow.get_or_insert(now + FLOW_INTERVAL);
        }
        self.set_media(ConnectionState::Connected, events);
    }

    /// Reports the first packet that went to the peer; the flow timer reports when it ceases.
    pub(crate) fn note_sent(
        &mut self,
        out: OutSlot,
        router: &mut Router,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) {
        if let Some(line) = self.lines.of_out_mut(out) {
            let changed = line.set_flow_in(true, self.endpoint.reports_as(), events);
            self.flow_changed |= changed && self.endpoint.crossing().is_some();
            router.start_probing(out);
            self.next_flow.get_or_insert(now + FLOW_INTERVAL);
        }
    }

    /// Looks whether media flows in both directions and reports changes.
    pub(crate) fn check_flow(
        &mut self,
        router: &mut Router,
        events: &mut VecDeque<Event>,
        clock: Clock,
        now: Instant,
    ) {
        if self.next_flow.is_none_or(|due| due > now) {
            return;
        }
        self.next_flow = Some(clock.beat(now + FLOW_INTERVAL));
        let recent = now.checked_sub(FLOW_INTERVAL);
        let is_recent =
            |at: Option<Instant>| at.is_some_and(|at| recent.is_none_or(|recent| at >= recent));
        let element = self.endpoint.reports_as();
        let mut receives = false;
        for line in self.lines.iter_mut() {
            let last = line.inbound.and_then(|track| router.last_packet(track));
            let comes = is_recent(last);
            let out = line.outbound.and_then(|out| router.out_mut(out));
            let goes = out.is_some_and(|out| {
                let goes = is_recent(out.last_sent());
                out.set_flowing(goes);
                goes
            });
            receives |= comes;
            self.flow_changed |= line.set_flow_out(comes, element, events);
            line.note_codec(router, element, events);
            self.flow_changed |= line.set_flow_in(goes, element, events) && element.is_none();
        }
        // A peer that only listens is alive as long as its reports arrive.
        if receives {
            self.set_media(ConnectionState::Connected, events);
        } else if !is_recent(self.feedback.last_report()) {
            self.set_media(ConnectionState::Disconnected, events);
        }
    }

    /// A peer that only listens is connected once its reports arrive.
    pub(crate) fn note_report(&mut self, events: &mut VecDeque<Event>) {
        self.set_media(ConnectionState::Connected, events);
    }

    /// Starts the flow watch of a peer that sends nothing itself.
    pub(crate) fn watch_flow(&mut self, now: Instant) {
        self.next_flow.get_or_insert(now);
    }

    fn set_media(&mut self, state: ConnectionState, events: &mut VecDeque<Event>) {
        if self.media != state {
            self.media = state;
            report(
                events,
                self.endpoint.reports_as(),
                ElementEvent::Media(state),
            );
        }
    }
}

impl Line {
    /// True when this is news.
    fn set_flow_out(
        &mut self,
        flowing: bool,
        element: Option<ElementKey>,
        events: &mut VecDeque<Event>,
    ) -> bool {
        let changed = self.flows_out != flowing;
        if changed {
            self.flows_out = flowing;
            let event = ElementEvent::FlowOut {
                kind: self.kind,
                stream: self.told_name(),
                flowing,
            };
            report(events, element, event);
        }
        changed
    }

    /// True when this is news.
    fn set_flow_in(
        &mut self,
        flowing: bool,
        element: Option<ElementKey>,
        events: &mut VecDeque<Event>,
    ) -> bool {
        let changed = self.flows_in != flowing;
        if changed {
            self.flows_in = flowing;
            let event = ElementEvent::FlowIn {
                kind: self.kind,
                stream: self.told_name(),
                flowing,
            };
            report(events, element, event);
        }
        changed
    }

    /// Reports what the peer sends with by its default stream when that is news.
    fn note_codec(
        &mut self,
        router: &Router,
        element: Option<ElementKey>,
        events: &mut VecDeque<Event>,
    ) {
        let Some(codec) = self
            .inbound
            .and_then(|track| router.current_codec(track))
            .filter(|codec| self.is_default() && self.codec != Some(codec.kind))
        else {
            return;
        };
        self.codec = Some(codec.kind);
        let (kind, name) = (self.kind, codec.kind.name().to_owned());
        report(events, element, ElementEvent::Codec { kind, name });
    }
}
