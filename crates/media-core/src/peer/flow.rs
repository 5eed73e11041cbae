//! Whether media flows from and to a peer: told with the first packet, and looked at now and then.

use super::{FLOW_INTERVAL, Peer, report};
use crate::track::{Clock, OutSlot, Router, TrackSlot};
use salono_media_api::{ConnectionState, ElementEvent, Event, MediaKind};
use std::collections::VecDeque;
use std::time::Instant;

impl Peer {
    /// Whether media of a kind comes from the peer.
    pub(crate) fn sends(&self, kind: MediaKind) -> bool {
        self.line(kind).is_some_and(|line| line.flows_out)
    }

    /// Whether media began or ceased to come from the peer since this was asked last.
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
        let kind = if self.audio.inbound == Some(track) {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        if !self.sends(kind) {
            self.set_flow_out(kind, true, events);
            self.note_codec(kind, router, events);
            self.next_flow.get_or_insert(now + FLOW_INTERVAL);
        }
        self.set_media(ConnectionState::Connected, events);
    }

    /// Reports the first packet that went to the peer; the flow timer reports when it ceases.
    pub(crate) fn note_sent(&mut self, out: OutSlot, events: &mut VecDeque<Event>, now: Instant) {
        let kind = if self.audio.outbound == Some(out) {
            MediaKind::Audio
        } else {
            MediaKind::Video
        };
        self.set_flow_in(kind, true, events);
        self.next_flow.get_or_insert(now + FLOW_INTERVAL);
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
        let mut receives = false;
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let Some(line) = self.line(kind) else {
                continue;
            };
            let last = line
                .inbound
                .and_then(|track| router.track(track)?.last_packet());
            let comes = is_recent(last);
            let out = line.outbound.and_then(|out| router.out_mut(out));
            let goes = out.is_some_and(|out| {
                let goes = is_recent(out.last_sent());
                out.set_flowing(goes);
                goes
            });
            receives |= comes;
            self.set_flow_out(kind, comes, events);
            self.note_codec(kind, router, events);
            self.set_flow_in(kind, goes, events);
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

    fn set_flow_out(&mut self, kind: MediaKind, flowing: bool, events: &mut VecDeque<Event>) {
        let Some(line) = self.line_mut(kind).filter(|line| line.flows_out != flowing) else {
            return;
        };
        line.flows_out = flowing;
        self.flow_changed = true;
        let event = ElementEvent::FlowOut { kind, flowing };
        report(events, self.endpoint.key(), event);
    }

    fn set_flow_in(&mut self, kind: MediaKind, flowing: bool, events: &mut VecDeque<Event>) {
        let Some(line) = self.line_mut(kind).filter(|line| line.flows_in != flowing) else {
            return;
        };
        line.flows_in = flowing;
        let event = ElementEvent::FlowIn { kind, flowing };
        report(events, self.endpoint.key(), event);
    }

    /// Reports what the peer sends with when that is news.
    fn note_codec(&mut self, kind: MediaKind, router: &Router, events: &mut VecDeque<Event>) {
        let Some(line) = self.line_mut(kind) else {
            return;
        };
        let Some(codec) = line
            .inbound
            .and_then(|track| router.track(track)?.current_codec())
            .filter(|codec| line.codec != Some(codec.kind))
        else {
            return;
        };
        line.codec = Some(codec.kind);
        let name = codec.kind.name().to_owned();
        report(
            events,
            self.endpoint.key(),
            ElementEvent::Codec { kind, name },
        );
    }

    fn set_media(&mut self, state: ConnectionState, events: &mut VecDeque<Event>) {
        if self.media != state {
            self.media = state;
            report(events, self.endpoint.key(), ElementEvent::Media(state));
        }
    }
}
