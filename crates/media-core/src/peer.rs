//! One peer of a shard: its endpoint together with the tracks that it sends and receives.

mod flow;
mod lines;
mod receive;
mod sending;
mod stats;
mod tracks;

use crate::demux::EndpointSlot;
use crate::endpoint::Endpoint;
use crate::feedback::Feedback;
use crate::links::Stream;
use crate::timers::{Alarm, Timers};
use crate::track::{Router, TrackSlot};
use lines::Lines;
use receive::Source;
use salono_media_api::{
    Bandwidth, ConnectionState, ElementEvent, ElementKey, Event, MediaKind, RembParams, StreamName,
    VideoWish, ViewerKey,
};
use salono_sdp::MediaKind as SdpKind;
use salono_sdp::negotiate::NegotiatedMedia;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often media flow is looked at, as in Kurento.
pub(crate) const FLOW_INTERVAL: Duration = Duration::from_secs(2);

pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    pub(crate) alarm: Alarm,
    pub(crate) lines: Lines,
    pub(crate) feedback: Feedback,
    senders: sending::Senders,
    sources: Vec<Source>,
    media: ConnectionState,
    next_flow: Option<Instant>,
    flow_changed: bool,
    measures_latency: bool,
    min_video_recv_bps: u64,
    max_video_recv_bps: u64,
    /// Least and most.
    video_send_bps: (u64, u64),
    remb_params: RembParams,
    video_wish: Option<VideoWish>,
    viewer: Option<ViewerKey>,
}

impl Peer {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            alarm: Alarm::default(),
            lines: Lines::default(),
            feedback: Feedback::default(),
            senders: sending::Senders::default(),
            sources: Vec::new(),
            media: ConnectionState::Disconnected,
            next_flow: None,
            flow_changed: false,
            measures_latency: false,
            min_video_recv_bps: 0,
            max_video_recv_bps: 0,
            video_send_bps: (0, 0),
            remb_params: RembParams::default(),
            video_wish: None,
            viewer: None,
        }
    }

    /// The track of a stream that this peer sends.
    pub(crate) fn inbound_of(&self, kind: MediaKind, name: &StreamName) -> Option<TrackSlot> {
        self.lines.named(kind, name).and_then(|line| line.inbound)
    }

    /// The track of a kind that this peer sends by its default stream.
    pub(crate) fn inbound(&self, kind: MediaKind) -> Option<TrackSlot> {
        self.lines.first(kind).and_then(|line| line.inbound)
    }

    /// What was negotiated for a stream that this peer sends.
    pub(crate) fn negotiated(
        &self,
        kind: MediaKind,
        name: &StreamName,
    ) -> Option<&NegotiatedMedia> {
        let line = self.lines.named(kind, name)?;
        self.endpoint.media()?.get(line.index)
    }

    /// What this peer may send, by every name that it has.
    pub(crate) fn streams(&self) -> impl Iterator<Item = Stream> + '_ {
        let element = self.endpoint.key();
        let kinds = [MediaKind::Audio, MediaKind::Video];
        let defaults = kinds.map(|kind| Stream::default_of(element, kind));
        let named = self.lines.iter().filter_map(move |line| match line.name {
            StreamName::Default => None,
            StreamName::Named(_) => Some(Stream {
                element,
                kind: line.kind,
                name: line.name.clone(),
                takes: None,
            }),
        });
        defaults.into_iter().chain(named)
    }

    pub(crate) fn set_bandwidth(&mut self, bandwidth: Bandwidth, router: &mut Router) {
        match bandwidth {
            Bandwidth::MaxVideoRecv(rate) => {
                self.max_video_recv_bps = rate.as_bps();
                self.endpoint
                    .set_max_recv_kbps(SdpKind::Video, rate.as_kbps());
            }
            Bandwidth::MaxAudioRecv(rate) => {
                self.endpoint
                    .set_max_recv_kbps(SdpKind::Audio, rate.as_kbps());
            }
            Bandwidth::MinVideoRecv(rate) => self.min_video_recv_bps = rate.as_bps(),
            // What is forwarded is not encoded here: the publisher is told.
            Bandwidth::MinVideoSend(rate) => self.video_send_bps.0 = rate.as_bps(),
            Bandwidth::MaxVideoSend(rate) => self.video_send_bps.1 = rate.as_bps(),
        }
        for line in self.lines.of(MediaKind::Video) {
            if let Some(out) = line.outbound.and_then(|out| router.out_mut(out)) {
                out.set_send_bounds(self.video_send_bps.0, self.video_send_bps.1);
            }
            if let Some(track) = line.inbound.and_then(|track| router.track_mut(track)) {
                track.set_remb_bounds(self.min_video_recv_bps, self.max_video_recv_bps);
            }
        }
        self.set_sender_bounds(router);
    }

    pub(crate) fn set_remb_params(&mut self, params: RembParams, router: &mut Router) {
        self.remb_params = params;
        for line in self.lines.of(MediaKind::Video) {
            if let Some(track) = line.inbound.and_then(|track| router.track_mut(track)) {
                track.set_remb_params(params);
            }
        }
        self.set_sender_bounds(router);
    }

    /// Notes which quality of video the peer wishes, also for lines to come.
    pub(crate) fn set_video_wish(&mut self, wish: VideoWish, router: &mut Router) {
        self.video_wish = Some(wish);
        for out in self
            .lines
            .of(MediaKind::Video)
            .filter_map(|line| line.outbound)
        {
            router.set_wish(out, wish);
        }
    }

    /// Asks the senders of what this peer sees for keyframes; false when it sees nothing.
    pub(crate) fn ask_source_for_keyframe(&self, router: &mut Router) -> bool {
        let mut sees = false;
        for line in self.lines.of(MediaKind::Video) {
            if let Some(out) = line.outbound {
                sees |= router.want_keyframe_for(out);
            }
        }
        sees
    }

    /// Sets the alarm to the earliest thing that is due.
    pub(crate) fn arm(&mut self, timers: &mut Timers, slot: EndpointSlot, router: &Router) {
        let due = [self.endpoint.poll_timeout(), self.media_timeout(router)];
        if let Some(at) = due.into_iter().flatten().min() {
            timers.schedule(&mut self.alarm, slot, at);
        }
    }

    /// The alarm alone for what a packet may have started: cheap enough for every packet.
    pub(crate) fn arm_media(&mut self, timers: &mut Timers, slot: EndpointSlot, router: &Router) {
        if let Some(at) = self.media_timeout(router) {
            timers.schedule(&mut self.alarm, slot, at);
        }
    }

    /// When media wants to be looked at. Feedback that cannot be sent is not waited for: it stays
    /// due, and would keep the shard awake until the transport is there.
    fn media_timeout(&self, router: &Router) -> Option<Instant> {
        let can_send = |transport: usize| {
            self.endpoint.srtp(transport).is_some() && self.endpoint.rtcp_path(transport).is_some()
        };
        // What is due is looked at first: mostly it is nothing.
        let tracks = self
            .lines
            .iter()
            .filter_map(|line| Some((line.transport, router.requests_due(line.inbound?)?)))
            .filter(|(transport, _)| can_send(*transport))
            .map(|(_, due)| due)
            .min();
        let feedback = self.feedback.poll_timeout(can_send);
        let senders = self.senders_timeout(can_send, router);
        [self.next_flow, feedback, tracks, senders]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Reports of an element, where there is one that it is about.
fn report(events: &mut VecDeque<Event>, element: Option<ElementKey>, event: ElementEvent) {
    if let Some(element) = element {
        events.push_back(Event::Element { element, event });
    }
}
