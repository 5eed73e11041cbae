//! One track that a peer sends: its packets, its statistics and what it asks of the peer.

mod feedback;
mod layers;
mod mirror;

pub(crate) use feedback::Share;

use super::latency::Latency;
use super::layers::Rates;
use super::router::{LayerName, OutSlot, TrackSlot};
use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::speakers::Membership;
use salono_media_api::{Bitrate, MediaKind};
use salono_rtp::codec::{Codec, Descriptor, Heights};
use salono_rtp::header::Header;
use salono_rtp::rate::{BitrateMeter, FrameMeter};
use salono_rtp::ring::{self, PacketRef, PacketRing};
use salono_rtp::seq::ExtSeq;
use salono_rtp::{recv, send};
use salono_sdp::negotiate::{NegotiatedCodec, NegotiatedMedia};
use salono_sdp::{CodecKind, ExtensionKind};
use std::time::{Duration, Instant};

/// Packets of one batch and one track; a batch is smaller, the rest waits for the next.
const MAX_FRESH: usize = 512;

/// A REMB that limits nothing.
pub(crate) const UNLIMITED_BPS: u64 = 1_000_000_000;
/// Such reports after a cap is gone; one of them arrives.
const LIFTS: u8 = 5;

/// How long a stream must be silent before another SSRC takes its place.
const SSRC_HOLD: Duration = Duration::from_millis(500);

/// Identifiers of the header extensions that are read or handed on; 0 is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Extensions {
    pub(crate) audio_level: u8,
    pub(crate) orientation: u8,
    pub(crate) transport_cc: u8,
    pub(crate) mid: u8,
    pub(crate) rid: u8,
    pub(crate) repaired_rid: u8,
}

impl Extensions {
    /// Of what the peer may put into its packets (`recv`) or we into ours.
    pub(crate) fn negotiated(media: &NegotiatedMedia, recv: bool) -> Self {
        let mut ids = Self::default();
        for extension in &media.extensions {
            if !(if recv { extension.recv } else { extension.send }) {
                continue;
            }
            match extension.kind {
                ExtensionKind::AudioLevel => ids.audio_level = extension.id,
                ExtensionKind::VideoOrientation => ids.orientation = extension.id,
                ExtensionKind::TransportCc => ids.transport_cc = extension.id,
                ExtensionKind::Mid => ids.mid = extension.id,
                ExtensionKind::Rid => ids.rid = extension.id,
                ExtensionKind::RepairedRid => ids.repaired_rid = extension.id,
                ExtensionKind::AbsSendTime | ExtensionKind::DependencyDescriptor => {}
            }
        }
        ids
    }
}

/// A packet that came in with this batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fresh {
    pub(crate) seq: ExtSeq,
    pub(crate) descriptor: Descriptor,
    /// Padding only: receivers must neither get nor miss it.
    pub(crate) is_empty: bool,
    pub(crate) audio_level: Option<u8>,
    pub(crate) orientation: Option<u8>,
}

/// What a packet did to its track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is the first of this batch: the track is to be forwarded.
    First,
    /// It joins others of this batch, or changes nothing.
    Known,
}

pub(crate) struct Inbound {
    owner: EndpointSlot,
    kind: MediaKind,
    transport: usize,
    codecs: Vec<NegotiatedCodec>,
    extensions: Extensions,
    /// The peer takes keyframe requests.
    can_ask: bool,
    local_ssrc: u32,
    ssrc: Option<u32>,
    announced_ssrc: Option<u32>,
    codec: Codec,
    ring: PacketRing,
    ring_config: ring::Config,
    statistics: recv::Statistics,
    nack: Option<recv::NackGenerator>,
    remb: Option<recv::RembEstimator>,
    cap: Cap,
    throttle: send::KeyframeThrottle,
    fresh: Vec<Fresh>,
    links: Vec<OutSlot>,
    keyframe_wanted: bool,
    last_packet: Option<Instant>,
    report: Option<CapturePoint>,
    meter: BitrateMeter,
    requests: Requests,
    remb_base: (u64, i64),
    fir_sequence: u8,
    /// Of what came last, telephone events apart.
    payload_type: Option<u8>,
    /// Frames that ended, as markers tell.
    frames: FrameMeter,
    latency: Latency,
    /// Where levels of audio are told, if somebody wants to know who speaks.
    membership: Option<Membership>,
    /// The last packet that was held back and not shown to receivers.
    withheld: Option<ExtSeq>,
    /// The source that the track is a layer of.
    layer_of: Option<TrackSlot>,
    name: Option<LayerName>,
    heights: Heights,
    heights_changed: bool,
    /// Of layers within the stream; made when there are some.
    rates: Rates,
}

/// The most that the publisher shall send, in bits per second; 0 is unlimited.
#[derive(Debug, Default, Clone, Copy)]
struct Cap {
    /// The publisher understands REMB.
    is_possible: bool,
    min: u64,
    max: u64,
    /// What receivers of the track shall be sent at most.
    downstream: u64,
    /// Reports that take an earlier cap back, where the publisher has an estimate of its own.
    lifts: u8,
}

impl Cap {
    fn bitrate(&self) -> u64 {
        match (self.max, self.downstream) {
            (max, 0) => max,
            (0, downstream) => downstream.max(self.min),
            // Receivers cannot make the publisher send less than it was told to send at least.
            (max, downstream) => max.min(downstream.max(self.min)),
        }
    }
}

/// Feedback that we sent to the publisher.
#[derive(Debug, Default, Clone, Copy)]
struct Requests {
    nacks: u64,
    plis: u64,
    firs: u64,
    remb: Option<Bitrate>,
}

/// A sender report: one of the publisher's timestamps and our wall clock when it was current.
#[derive(Debug, Clone, Copy)]
struct CapturePoint {
    timestamp: u32,
    /// Fixed point seconds of our NTP clock.
    ntp: i64,
}

impl Inbound {
    /// A track for an m-line on which the peer may send.
    pub(crate) fn new(
        owner: EndpointSlot,
        kind: MediaKind,
        media: &NegotiatedMedia,
        local_ssrc: u32,
        limits: &Limits,
    ) -> Self {
        let ring_config = match kind {
            MediaKind::Video => ring::Config {
                max_bytes: limits.video_ring_bytes,
                ..ring::Config::VIDEO
            },
            MediaKind::Audio | MediaKind::Data => ring::Config {
                max_bytes: limits.audio_ring_bytes,
                ..ring::Config::AUDIO
            },
        };
        let clock = media.codecs.first().map_or(90_000, |codec| codec.clock);
        let uses = |flag: fn(&NegotiatedCodec) -> bool| media.codecs.iter().any(flag);
        let nack = uses(|codec| codec.feedback.nack)
            .then(|| recv::NackGenerator::new(recv::NackConfig::default()));
        let is_capped = kind == MediaKind::Video && uses(|codec| codec.feedback.goog_remb);
        let remb = (kind == MediaKind::Video
            && uses(|codec| codec.feedback.goog_remb)
            && !uses(|codec| codec.feedback.transport_cc))
        .then(|| recv::RembEstimator::new(recv::RembConfig::default()));
        Self {
            owner,
            kind,
            transport: media.transport.unwrap_or(0),
            codecs: media.codecs.clone(),
            extensions: Extensions::negotiated(media, true),
            can_ask: media.keyframe_requests,
            local_ssrc,
            ssrc: None,
            announced_ssrc: media.remote_sources.first().map(|source| source.ssrc),
            codec: Codec::Opaque,
            ring: PacketRing::new(ring_config),
            ring_config,
            statistics: recv::Statistics::new(0, clock),
            nack,
            remb,
            cap: Cap {
                is_possible: is_capped,
                ..Cap::default()
            },
            throttle: send::KeyframeThrottle::new(send::KeyframeConfig::default()),
            fresh: Vec::new(),
            links: Vec::new(),
            keyframe_wanted: false,
            last_packet: None,
            report: None,
            meter: BitrateMeter::new(),
            requests: Requests::default(),
            remb_base: (0, 0),
            fir_sequence: 0,
            payload_type: None,
            frames: FrameMeter::default(),
            latency: Latency::default(),
            membership: None,
            withheld: None,
            layer_of: None,
            name: None,
            heights: Heights::default(),
            heights_changed: false,
            rates: Rates::default(),
        }
    }

    /// Takes over another negotiation; what arrived before stays.
    pub(crate) fn renegotiate(&mut self, media: &NegotiatedMedia) {
        self.codecs.clone_from(&media.codecs);
        self.extensions = Extensions::negotiated(media, true);
        self.transport = media.transport.unwrap_or(self.transport);
        let nack = media.codecs.iter().any(|codec| codec.feedback.nack);
        if nack && self.nack.is_none() {
            self.nack = Some(recv::NackGenerator::new(recv::NackConfig::default()));
        }
        match &self.name {
            None => {
                if let Some(source) = media.remote_sources.first() {
                    self.announced_ssrc = Some(source.ssrc);
                }
            }
            Some(LayerName::Rid(_)) => self.announced_ssrc = None,
            Some(LayerName::Source(source)) => self.announced_ssrc = Some(source.ssrc),
        }
    }

    pub(crate) fn owner(&self) -> EndpointSlot {
        self.owner
    }

    pub(crate) fn is_video(&self) -> bool {
        self.kind == MediaKind::Video
    }

    pub(crate) fn transport(&self) -> usize {
        self.transport
    }

    pub(crate) fn extensions(&self) -> Extensions {
        self.extensions
    }

    /// SSRC of what is received; 0 before the first packet of an unannounced track.
    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc.or(self.announced_ssrc).unwrap_or(0)
    }

    /// How to look into this track's payloads.
    pub(crate) fn codec_kind(&self) -> Codec {
        self.codec
    }

    /// What was negotiated for a payload type.
    pub(crate) fn codec(&self, payload_type: u8) -> Option<&NegotiatedCodec> {
        self.codecs
            .iter()
            .find(|codec| codec.receive_pt == payload_type)
    }

    /// What the peer sends with now; `None` before its first packet.
    pub(crate) fn current_codec(&self) -> Option<&NegotiatedCodec> {
        self.payload_type.and_then(|known| self.codec(known))
    }

    /// Measures how long packets wait to be forwarded, or no longer.
    pub(crate) fn measure_latency(&mut self, on: bool) {
        self.latency.measure(on);
    }

    /// Fresh packets are forwarded now.
    pub(crate) fn note_latency(&mut self, now: Instant) {
        if !self.latency.is_on() {
            return;
        }
        for fresh in &self.fresh {
            if let Some(packet) = self.ring.get(fresh.seq) {
                self.latency.add(packet.arrival, now);
            }
        }
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    /// Whether a payload type is this track's: media, or retransmissions of it.
    pub(crate) fn owns(&self, payload_type: u8) -> Option<bool> {
        self.codecs.iter().find_map(|codec| {
            if codec.receive_pt == payload_type {
                Some(false)
            } else {
                (codec.receive_rtx_pt == Some(payload_type)).then_some(true)
            }
        })
    }

    /// The payload type of the media that a retransmission payload type repairs.
    pub(crate) fn primary_of(&self, rtx_payload_type: u8) -> Option<u8> {
        self.codecs
            .iter()
            .find(|codec| codec.receive_rtx_pt == Some(rtx_payload_type))
            .map(|codec| codec.receive_pt)
    }

    pub(crate) fn links(&self) -> &[OutSlot] {
        &self.links
    }

    pub(crate) fn link(&mut self, out: OutSlot) {
        self.links.push(out);
    }

    pub(crate) fn unlink(&mut self, out: OutSlot) {
        self.links.retain(|link| *link != out);
    }

    pub(crate) fn fresh(&self) -> &[Fresh] {
        &self.fresh
    }

    pub(crate) fn is_audio(&self) -> bool {
        self.kind == MediaKind::Audio
    }

    pub(crate) fn membership(&self) -> Option<Membership> {
        self.membership
    }

    pub(crate) fn set_membership(&mut self, membership: Option<Membership>) {
        self.membership = membership;
    }

    /// Lets no receiver have what is fresh.
    pub(crate) fn withhold(&mut self) {
        let newest = self.fresh.iter().map(|fresh| fresh.seq).max();
        self.withheld = self.withheld.max(newest);
        self.fresh.clear();
    }

    /// The last packet that was withheld, once.
    pub(crate) fn take_withheld(&mut self) -> Option<ExtSeq> {
        self.withheld.take()
    }

    pub(crate) fn clear_fresh(&mut self) {
        self.fresh.clear();
    }

    pub(crate) fn packet(&self, seq: ExtSeq) -> Option<PacketRef<'_>> {
        self.ring.get(seq)
    }

    /// Bits per second over the last second.
    pub(crate) fn bitrate(&mut self, now: Instant) -> u64 {
        self.meter.bits_per_second(now)
    }

    /// The newest packet that is stored.
    pub(crate) fn newest(&self) -> Option<ExtSeq> {
        self.ring.newest()
    }

    pub(crate) fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }

    /// Whether packets with this SSRC are the track. A browser may change it at will, which is a
    /// change of source for receivers; but while one stream flows, others beside it are not taken:
    /// a publisher that sends layers under one payload type would change the source per packet.
    pub(crate) fn takes_ssrc(&mut self, ssrc: u32, now: Instant) -> bool {
        if self.ssrc == Some(ssrc) {
            return true;
        }
        let flows = self
            .last_packet
            .is_some_and(|at| now.saturating_duration_since(at) < SSRC_HOLD);
        if flows {
            return false;
        }
        self.begin(ssrc);
        true
    }

    /// Takes up a stream, in place of the one before.
    fn begin(&mut self, ssrc: u32) {
        if self.ssrc.is_some() {
            self.ring = PacketRing::new(self.ring_config);
            if let Some(nack) = self.nack.as_mut() {
                *nack = recv::NackGenerator::new(recv::NackConfig::default());
            }
            self.report = None;
            self.fresh.clear();
            self.withheld = None;
            self.remb_base = (0, 0);
        }
        self.ssrc = Some(ssrc);
        self.statistics = recv::Statistics::new(ssrc, self.clock_rate());
    }

    fn clock_rate(&self) -> u32 {
        self.codecs.first().map_or(90_000, |codec| codec.clock)
    }

    /// Takes in a decrypted packet of the primary stream.
    pub(crate) fn receive(
        &mut self,
        packet: &[u8],
        header: &Header,
        seq: ExtSeq,
        now: Instant,
    ) -> Taken {
        let payload_bytes = header.payload(packet).map_or(0, <[u8]>::len);
        self.statistics
            .packet(seq, header.timestamp, payload_bytes, now);
        self.meter.add(payload_bytes, now);
        if header.marker {
            self.frames.add(now);
        }
        self.last_packet = Some(now);
        if let Some(nack) = self.nack.as_mut() {
            nack.packet(seq, now);
        }
        self.store(packet, header, seq, now)
    }

    /// Takes in the packet that a retransmission carried; its header names the primary stream.
    pub(crate) fn receive_repair(&mut self, packet: &[u8], header: &Header, now: Instant) -> Taken {
        let newest = self.ring.newest();
        let Some(seq) = newest.and_then(|newest| newest.nearest(header.sequence_number)) else {
            return Taken::Known;
        };
        // What nobody misses is a probe of the sender's bandwidth estimation.
        let missing = self.nack.as_mut().is_some_and(|nack| nack.packet(seq, now));
        if missing {
            self.store(packet, header, seq, now)
        } else {
            Taken::Known
        }
    }

    fn store(&mut self, packet: &[u8], header: &Header, seq: ExtSeq, now: Instant) -> Taken {
        let Some(codec) = self.codec(header.payload_type) else {
            return Taken::Known;
        };
        let kind = codec.kind;
        self.codec = look_into(kind);
        if kind != CodecKind::TelephoneEvent {
            self.payload_type = Some(header.payload_type);
        }
        if self.fresh.len() >= MAX_FRESH {
            return Taken::Known;
        }
        let Ok(stored) = self.ring.push(seq, header, packet, now) else {
            return Taken::Known;
        };
        let fresh = describe(self.codec, self.extensions, &stored);
        if self.kind == MediaKind::Video {
            if fresh.descriptor.is_keyframe_start {
                self.throttle.keyframe();
                let heights = self.codec.heights(stored.payload());
                if heights != Heights::default() {
                    self.heights_changed |= self.heights != heights;
                    self.heights = heights;
                }
            }
            self.rates
                .add(&fresh.descriptor, stored.payload().len(), now);
        }
        self.fresh.push(fresh);
        if self.fresh.len() == 1 {
            Taken::First
        } else {
            Taken::Known
        }
    }

    /// What a stored packet says, as it said when it was fresh.
    pub(crate) fn describe(&self, packet: &PacketRef<'_>) -> Fresh {
        describe(self.codec, self.extensions, packet)
    }
}

fn describe(codec: Codec, extensions: Extensions, packet: &PacketRef<'_>) -> Fresh {
    let payload = packet.payload();
    let byte = |id: u8| match id {
        0 => None,
        id => packet
            .extensions()
            .find(id)
            .and_then(|value| value.first().copied()),
    };
    Fresh {
        seq: packet.seq,
        descriptor: codec.describe(payload),
        is_empty: payload.is_empty(),
        audio_level: byte(extensions.audio_level),
        orientation: byte(extensions.orientation),
    }
}

fn look_into(kind: CodecKind) -> Codec {
    match kind {
        CodecKind::Vp8 => Codec::Vp8,
        CodecKind::Vp9 => Codec::Vp9,
        CodecKind::H264 => Codec::H264,
        CodecKind::H265 => Codec::H265,
        CodecKind::Av1 => Codec::Av1,
        CodecKind::H263
        | CodecKind::H263v1998
        | CodecKind::H263v2000
        | CodecKind::Mp4vEs
        | CodecKind::Opus
        | CodecKind::Pcmu
        | CodecKind::Pcma
        | CodecKind::Amr
        | CodecKind::AmrWb
        | CodecKind::OpusRed
        | CodecKind::TelephoneEvent => Codec::Opaque,
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    fn track() -> Inbound {
        let media = NegotiatedMedia {
            index: 0,
            kind: salono_sdp::MediaKind::Video,
            mid: None,
            rejection: None,
            transport: Some(0),
            send: false,
            recv: true,
            codecs: Vec::new(),
            extensions: Vec::new(),
            remote_sources: Vec::new(),
            rids: Vec::new(),
            rtcp_mux: true,
            rtcp_rsize: true,
            keyframe_requests: true,
            remote_address: None,
            remote_rtcp: None,
            sctp: None,
        };
        Inbound::new(
            EndpointSlot::default(),
            MediaKind::Video,
            &media,
            1,
            &Limits::default(),
        )
    }

    #[test]
    fn a_second_stream_takes_over_only_once_the_first_is_silent() {
        let mut track = track();
        let start = Instant::now();
        let packet = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1];
        let header = Header::parse(&packet).unwrap();
        assert!(track.takes_ssrc(7, start));
        track.receive(&packet, &header, ExtSeq::new(1), start);
        assert!(!track.takes_ssrc(8, start + SSRC_HOLD / 2));
        assert_eq!(track.ssrc(), 7);
        assert!(track.takes_ssrc(7, start + SSRC_HOLD / 2));
        assert!(track.takes_ssrc(8, start + SSRC_HOLD));
        assert_eq!(track.ssrc(), 8);
    }
}
