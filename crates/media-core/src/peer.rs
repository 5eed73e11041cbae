//! One peer of a shard: its endpoint together with the tracks that it sends and receives.

mod flow;
mod stats;

use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::endpoint::Endpoint;
use crate::feedback::Feedback;
use crate::timers::{Alarm, Timers};
use crate::track::{Destination, Inbound, OutSlot, Outbound, Router, Taken, TrackSlot};
use salono_media_api::{
    Bandwidth, ConnectionState, ElementEvent, ElementKey, Event, MediaKind, ShardMetrics,
};
use salono_rtp::ext;
use salono_rtp::header::Header;
use salono_sdp::{CodecKind, MediaKind as SdpKind};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// SSRCs of one peer that are remembered; beyond that the oldest is forgotten.
const MAX_SOURCES: usize = 32;
/// How often media flow is looked at, as in Kurento.
pub(crate) const FLOW_INTERVAL: Duration = Duration::from_secs(2);

/// What an SSRC of a peer carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Source {
    ssrc: u32,
    track: TrackSlot,
    is_rtx: bool,
}

/// One kind of media in both directions.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub(crate) transport: usize,
    pub(crate) inbound: Option<TrackSlot>,
    pub(crate) outbound: Option<OutSlot>,
    /// The peer takes what the outbound stream carries.
    sends: bool,
    flows_out: bool,
    flows_in: bool,
    /// What was reported of what comes.
    codec: Option<CodecKind>,
}

pub(crate) struct Peer {
    pub(crate) endpoint: Endpoint,
    pub(crate) alarm: Alarm,
    pub(crate) audio: Line,
    pub(crate) video: Line,
    pub(crate) feedback: Feedback,
    sources: Vec<Source>,
    media: ConnectionState,
    next_flow: Option<Instant>,
    flow_changed: bool,
    measures_latency: bool,
    min_video_recv_bps: u64,
    max_video_recv_bps: u64,
    /// Least and most.
    video_send_bps: (u64, u64),
}

impl Peer {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            alarm: Alarm::default(),
            audio: Line::default(),
            video: Line::default(),
            feedback: Feedback::default(),
            sources: Vec::new(),
            media: ConnectionState::Disconnected,
            next_flow: None,
            flow_changed: false,
            measures_latency: false,
            min_video_recv_bps: 0,
            max_video_recv_bps: 0,
            video_send_bps: (0, 0),
        }
    }

    pub(crate) fn line(&self, kind: MediaKind) -> Option<&Line> {
        match kind {
            MediaKind::Audio => Some(&self.audio),
            MediaKind::Video => Some(&self.video),
            MediaKind::Data => None,
        }
    }

    fn line_mut(&mut self, kind: MediaKind) -> Option<&mut Line> {
        match kind {
            MediaKind::Audio => Some(&mut self.audio),
            MediaKind::Video => Some(&mut self.video),
            MediaKind::Data => None,
        }
    }

    /// The track of a kind that this peer sends.
    pub(crate) fn inbound(&self, kind: MediaKind) -> Option<TrackSlot> {
        self.line(kind).and_then(|line| line.inbound)
    }

    pub(crate) fn lines(&self) -> [&Line; 2] {
        [&self.audio, &self.video]
    }

    /// Makes the tracks that were negotiated, or holds those that are there to what is now.
    pub(crate) fn set_up_tracks(
        &mut self,
        slot: EndpointSlot,
        limits: &Limits,
        router: &mut Router,
        randoms: [u64; 2],
    ) {
        let Some(negotiated) = self.endpoint.media() else {
            return;
        };
        let ssrcs = self.endpoint.ssrcs();
        // Audio, video.
        let mut seen = [false; 2];
        for media in negotiated {
            let (line, kind, ssrc, rtx, random) = match media.kind {
                SdpKind::Audio => (
                    &mut self.audio,
                    MediaKind::Audio,
                    ssrcs.audio,
                    None,
                    randoms[0],
                ),
                SdpKind::Video => {
                    let rtx = Some(ssrcs.video_rtx);
                    (
                        &mut self.video,
                        MediaKind::Video,
                        ssrcs.video,
                        rtx,
                        randoms[1],
                    )
                }
                SdpKind::Application | SdpKind::Other => continue,
            };
            let Some(transport) = media.transport else {
                continue;
            };
            seen[usize::from(kind == MediaKind::Video)] = true;
            line.transport = transport;
            line.sends = media.send;
            if media.recv {
                let track = match line.inbound {
                    Some(track) => {
                        if let Some(track) = router.track_mut(track) {
                            track.renegotiate(media);
                        }
                        track
                    }
                    None => {
                        let mut track = Inbound::new(slot, kind, media, ssrc, limits);
                        track.set_remb_bounds(self.min_video_recv_bps, self.max_video_recv_bps);
                        router.add_track(track)
                    }
                };
                line.inbound = Some(track);
                for source in media.remote_sources.iter().take(1) {
                    let both = [(Some(source.ssrc), false), (source.rtx_ssrc, true)];
                    for (ssrc, is_rtx) in both {
                        let Some(ssrc) = ssrc else { continue };
                        self.sources.retain(|known| known.ssrc != ssrc);
                        if self.sources.len() < MAX_SOURCES {
                            self.sources.push(Source {
                                ssrc,
                                track,
                                is_rtx,
                            });
                        }
                    }
                }
            } else if let Some(track) = line.inbound.take() {
                router.remove_track(track);
                self.sources.retain(|source| source.track != track);
            }
            match line.outbound.and_then(|out| router.out_mut(out)) {
                Some(out) => out.renegotiate(media, rtx, random),
                None if media.send => {
                    let mut out = Outbound::new(slot, kind, media, ssrc, rtx, random);
                    if kind == MediaKind::Video {
                        out.set_send_bounds(self.video_send_bps.0, self.video_send_bps.1);
                    }
                    line.outbound = Some(router.add_out(out));
                }
                None => {}
            }
        }
        // M-lines that were stopped. What was sent may go on later, with the next number.
        for (line, seen) in [&mut self.audio, &mut self.video].into_iter().zip(seen) {
            if seen {
                continue;
            }
            line.sends = false;
            if let Some(track) = line.inbound.take() {
                router.remove_track(track);
                self.sources.retain(|source| source.track != track);
            }
        }
        self.feedback.set_up(negotiated);
    }

    pub(crate) fn remove_tracks(&mut self, router: &mut Router) {
        for line in [&mut self.audio, &mut self.video] {
            if let Some(track) = line.inbound.take() {
                router.remove_track(track);
            }
            if let Some(out) = line.outbound.take() {
                router.remove_out(out);
            }
        }
    }

    /// Feeds what this peer receives of a kind from a track, or from nothing.
    pub(crate) fn route(&self, kind: MediaKind, track: Option<TrackSlot>, router: &mut Router) {
        let Some(out) = self.line(kind).and_then(|line| line.outbound) else {
            return;
        };
        let sends = self.line(kind).is_some_and(|line| line.sends);
        router.link(out, track.filter(|_| sends));
    }

    /// Tells the streams to this peer where to go, after keys or path changed.
    pub(crate) fn refresh_outbound(&self, router: &mut Router) {
        for line in self.lines() {
            let Some(out) = line.outbound else { continue };
            let destination = self
                .endpoint
                .srtp(line.transport)
                .zip(self.endpoint.path(line.transport))
                .filter(|_| line.sends)
                .map(|(srtp, path)| Destination {
                    path,
                    sealer: srtp.rtp.clone(),
                    dscp: self.endpoint.dscp(),
                });
            let Some(stream) = router.out_mut(out) else {
                continue;
            };
            let starts = destination.is_some() && !stream.has_destination();
            let source = stream.source();
            stream.set_destination(destination);
            if let (true, Some(track)) = (starts, source) {
                router.want_keyframe(track);
            }
        }
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
        if let Some(out) = self.video.outbound.and_then(|out| router.out_mut(out)) {
            out.set_send_bounds(self.video_send_bps.0, self.video_send_bps.1);
        }
        if let Some(track) = self.video.inbound.and_then(|track| router.track_mut(track)) {
            track.set_remb_bounds(self.min_video_recv_bps, self.max_video_recv_bps);
        }
    }

    /// Takes in one RTP packet; false when it is not authentic.
    pub(crate) fn receive_rtp(
        &mut self,
        transport: usize,
        datagram: &mut [u8],
        router: &mut Router,
        metrics: &mut ShardMetrics,
        events: &mut VecDeque<Event>,
        now: Instant,
    ) -> bool {
        let Ok(header) = Header::parse(datagram) else {
            return false;
        };
        let Some(srtp) = self.endpoint.srtp_mut(transport) else {
            return false;
        };
        let Ok(opened) = srtp.opener.open_rtp(datagram, &header) else {
            return false;
        };
        metrics.rtp_received += 1;
        let Some(packet) = datagram.get_mut(..opened.plain_len) else {
            return false;
        };
        let Some(source) = self.source(transport, &header, router) else {
            return true;
        };
        let Some(track) = router.track_mut(source.track) else {
            return true;
        };
        if let Some(seq) = header
            .extensions(packet)
            .find(track.extensions().transport_cc)
            .and_then(ext::transport_sequence)
        {
            self.feedback.record(transport, seq, header.ssrc, now);
        }
        let taken = if source.is_rtx {
            receive_repair(track, packet, &header, now)
        } else if track.takes_ssrc(header.ssrc, now) {
            track.receive(packet, &header, opened.seq, now)
        } else {
            return true;
        };
        if taken == Taken::First {
            router.mark_dirty(source.track);
        }
        self.note_media(source.track, router, events, now);
        true
    }

    /// What an SSRC is: as announced, or by its payload type when it was not.
    fn source(&mut self, transport: usize, header: &Header, router: &Router) -> Option<Source> {
        if let Some(source) = self
            .sources
            .iter()
            .find(|source| source.ssrc == header.ssrc)
        {
            return Some(*source);
        }
        let (track, is_rtx) = self
            .lines()
            .into_iter()
            .filter(|line| line.transport == transport)
            .find_map(|line| {
                let track = line.inbound?;
                Some((track, router.track(track)?.owns(header.payload_type)?))
            })?;
        if self.sources.len() >= MAX_SOURCES {
            // A sender that begins anew picks another SSRC each time; one that is still in use is
            // found again by its payload type.
            self.sources.remove(0);
        }
        let source = Source {
            ssrc: header.ssrc,
            track,
            is_rtx,
        };
        self.sources.push(source);
        Some(source)
    }

    /// Asks the sender of what this peer sees for a keyframe; false when it sees nothing.
    pub(crate) fn ask_source_for_keyframe(&self, router: &mut Router) -> bool {
        let source = self
            .video
            .outbound
            .and_then(|out| router.out(out))
            .and_then(Outbound::source);
        match source {
            Some(track) => {
                router.want_keyframe(track);
                true
            }
            None => false,
        }
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
        let tracks = self
            .lines()
            .into_iter()
            .filter(|line| can_send(line.transport))
            .filter_map(|line| router.track(line.inbound?)?.poll_timeout())
            .min();
        let feedback = self.feedback.poll_timeout(can_send);
        [self.next_flow, feedback, tracks]
            .into_iter()
            .flatten()
            .min()
    }
}

/// Undoes RFC 4588 in place: the original packet begins two bytes later, behind a shifted header.
fn receive_repair(track: &mut Inbound, packet: &mut [u8], header: &Header, now: Instant) -> Taken {
    let length = header.len();
    let Some(original) = packet
        .get(length..length + 2)
        .and_then(|osn| <[u8; 2]>::try_from(osn).ok())
        .map(u16::from_be_bytes)
    else {
        return Taken::Known;
    };
    let Some(payload_type) = track.primary_of(header.payload_type) else {
        return Taken::Known;
    };
    packet.copy_within(..length, 2);
    let header = Header {
        payload_type,
        sequence_number: original,
        ssrc: track.ssrc(),
        ..*header
    };
    match packet.get(2..) {
        Some(packet) => track.receive_repair(packet, &header, now),
        None => Taken::Known,
    }
}

fn report(events: &mut VecDeque<Event>, element: ElementKey, event: ElementEvent) {
    events.push_back(Event::Element { element, event });
}
