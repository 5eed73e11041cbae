//! One track that a peer sends: its packets, its statistics and what it asks of the peer.

mod cap;
mod feedback;
mod fresh;
mod gathering;
mod layers;
mod levelling;
mod mirror;
mod receive;

pub(crate) use feedback::Share;
pub(crate) use fresh::{Extensions, Fresh};

use cap::Cap;
use fresh::Dependencies;
use mirror::Original;

use super::latency::Latency;
use super::rates::Rates;
use super::router::{LayerName, OutSlot, TrackSlot};
use crate::config::Limits;
use crate::demux::EndpointSlot;
use crate::speakers::Membership;
use gathering::Gathering;
use salono_media_api::{Bitrate, MediaKind};
use salono_rtp::codec::{Codec, Heights};
use salono_rtp::rate::{BitrateMeter, FrameMeter};
use salono_rtp::ring::{self, PacketRef, PacketRing};
use salono_rtp::seq::ExtSeq;
use salono_rtp::{recv, send};
use salono_sdp::negotiate::{NegotiatedCodec, NegotiatedMedia};
use std::time::{Duration, Instant};

/// Packets of one batch and one track; a batch is smaller, the rest waits for the next.
const MAX_FRESH: usize = 512;

/// A REMB that limits nothing.
pub(crate) const UNLIMITED_BPS: u64 = 1_000_000_000;
/// Such reports after a cap is gone; one of them arrives.
const LIFTS: u8 = 5;

/// How long a stream must be silent before another SSRC takes its place.
const SSRC_HOLD: Duration = Duration::from_millis(500);

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
    /// First packet of the newest keyframe, and when it came.
    keyframe: Option<(ExtSeq, Instant)>,
    fresh: Vec<Fresh>,
    /// The newest packet that was fresh once.
    forwarded: Option<ExtSeq>,
    gathering: Gathering,
    links: Vec<OutSlot>,
    /// How far the fresh packets have come, if there was no room for all receivers.
    batch: Option<Batch>,
    keyframe_wanted: bool,
    last_packet: Option<Instant>,
    report: Option<CapturePoint>,
    meter: BitrateMeter,
    requests: Requests,
    remb_base: (u64, i64),
    fir_sequence: u8,
    /// Of what came last, telephone events apart.
    payload_type: Option<u8>,
    /// That changed since it was asked last.
    is_recoded: bool,
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
    dependencies: Dependencies,
    /// Of a mirror: what is known of the source.
    original: Option<Original>,
}

/// Fresh packets that some receivers have got and others have not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Batch {
    /// How many of the fresh packets, from the first on.
    pub(crate) packets: usize,
    /// How many of the receivers have got them, from the first on.
    pub(crate) served: usize,
    /// One of these needs a keyframe.
    pub(crate) wants_keyframe: bool,
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
            keyframe: None,
            fresh: Vec::new(),
            forwarded: None,
            gathering: Gathering::default(),
            links: Vec::new(),
            batch: None,
            keyframe_wanted: false,
            last_packet: None,
            report: None,
            meter: BitrateMeter::new(),
            requests: Requests::default(),
            remb_base: (0, 0),
            fir_sequence: 0,
            payload_type: None,
            is_recoded: false,
            frames: FrameMeter::default(),
            latency: Latency::default(),
            membership: None,
            withheld: None,
            layer_of: None,
            name: None,
            heights: Heights::default(),
            heights_changed: false,
            rates: Rates::default(),
            dependencies: Dependencies::default(),
            original: None,
        }
    }

    /// Takes over another negotiation; what arrived before stays.
    pub(crate) fn renegotiate(&mut self, media: &NegotiatedMedia) {
        self.codecs.clone_from(&media.codecs);
        self.extensions = Extensions::negotiated(media, true);
        self.transport = media.transport.unwrap_or(self.transport);
        // The same number may stand for another codec now.
        self.is_recoded = true;
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

    /// Everything that may come.
    pub(crate) fn codecs(&self) -> &[NegotiatedCodec] {
        &self.codecs
    }

    /// Whether another codec comes than before, once.
    pub(crate) fn take_recoded(&mut self) -> bool {
        std::mem::take(&mut self.is_recoded)
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
        let at = self.links.iter().position(|link| *link == out);
        if let (Some(at), Some(batch)) = (at, &mut self.batch) {
            batch.served -= usize::from(at < batch.served);
        }
        self.links.retain(|link| *link != out);
    }

    /// How far the fresh packets have come, if they are on their way already.
    pub(crate) fn take_batch(&mut self) -> Option<Batch> {
        self.batch.take()
    }

    /// The others of the receivers get the packets later.
    pub(crate) fn set_batch(&mut self, batch: Batch) {
        self.batch = Some(batch);
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
        self.clear_fresh(self.fresh.len());
    }

    /// The last packet that was withheld, once.
    pub(crate) fn take_withheld(&mut self) -> Option<ExtSeq> {
        self.withheld.take()
    }

    /// The first `packets` of those that are fresh were forwarded. True when there are others.
    pub(crate) fn clear_fresh(&mut self, packets: usize) -> bool {
        let packets = packets.min(self.fresh.len());
        let newest = self.fresh.drain(..packets).map(|fresh| fresh.seq).max();
        self.forwarded = self.forwarded.max(newest);
        self.batch = None;
        let is_done = self.fresh.is_empty();
        if is_done {
            self.gathering.clear();
        }
        !is_done
    }

    /// Until when fresh packets wait for the rest of their frame; `None` when they go now.
    pub(crate) fn waits_until(&mut self, now: Instant) -> Option<Instant> {
        self.gathering.until(self.fresh.len(), now)
    }

    /// Whether a packet is still to be forwarded with its batch.
    pub(crate) fn is_fresh(&self, seq: ExtSeq) -> bool {
        self.fresh.iter().any(|fresh| fresh.seq == seq)
    }

    /// Where a new receiver can begin with packets that are there already: at the last packet of
    /// sound, or at a keyframe, if these are no older than that.
    pub(crate) fn start_for(
        &self,
        sound: Duration,
        video: Duration,
        now: Instant,
    ) -> Option<ExtSeq> {
        let is_recent = |at: Instant, most| now.saturating_duration_since(at) <= most;
        if self.is_video() {
            let (start, at) = self.keyframe?;
            return (is_recent(at, video) && self.packet(start).is_some()).then_some(start);
        }
        let newest = self.packet(self.newest()?)?;
        (is_recent(newest.arrival, sound) && self.withheld.is_none()).then_some(newest.seq)
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
}
