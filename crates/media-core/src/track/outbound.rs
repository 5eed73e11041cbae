//! One stream that a peer receives: made of whatever track feeds it, unbroken when that changes.

mod feedback;
mod header;
mod layering;
mod pacing;
mod redundancy;
mod retransmission;

use super::inbound::{Extensions, Fresh, Inbound};
use super::latency::Latency;
use super::layers::Layer;
use super::router::TrackSlot;
use crate::demux::EndpointSlot;
use crate::egress::Egress;
use crate::processing::is_media;
use crate::sending::{
    Grant, Numbers, PacedQueue, Preference, Repairs, RetransmissionBudget, Sender, SenderSlot,
};
use crate::webrtc::Path;
use header::{About, Dependency, mark_padded, number, pad, room, write_header};
use layering::{Layering, Next, admit};
use redundancy::Content;
use salono_media_api::{Bitrate, MediaKind, ShardMetrics};
use salono_rtp::codec::{Codec, Descriptor, Rewrite};
use salono_rtp::header::Fields;
use salono_rtp::munge::{Drop, Input, Munger};
use salono_rtp::rate::{BitrateMeter, FrameMeter};
use salono_rtp::seq::ExtSeq;
use salono_rtp::srtp::{MAX_RTP_OVERHEAD, Sealer};
use salono_sdp::negotiate::{NegotiatedCodec, NegotiatedMedia};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Packets whose transport-wide numbers are remembered where that is needed: as many as NACKs ask for
/// within a second.
const NUMBERS_OF_VIDEO: usize = 512;
const NUMBERS_OF_AUDIO: usize = 64;

/// How often the meter of a bitrate is told, which cannot tell shorter times apart.
const METERED_EVERY: Duration = Duration::from_millis(50);

/// Where a stream goes and with which keys; absent until DTLS is done.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) path: Path,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) dscp: u8,
}

/// Source payload type and what it goes out as; decided once per source and kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mapping {
    source: TrackSlot,
    source_pt: u8,
    /// Payload type, and what of the payload goes out.
    pt: Option<(u8, Content)>,
}

/// What each packet touches comes first and lies together: with thousands of streams it is memory that forwarding
/// waits for, and a line of cache that is touched for one field costs as much as for all that are in it.
#[repr(C)]
pub(crate) struct Outbound {
    // What every packet needs.
    /// The track that packets are taken from: the source, or a layer of it.
    followed: Option<TrackSlot>,
    /// What it shares with the other streams to the peer.
    sender: Option<SenderSlot>,
    ssrc: u32,
    /// The highest layer that may be sent; `None` pauses the stream.
    ceiling: Option<Layer>,
    kind: MediaKind,
    /// The newest packet that was sent ended a frame.
    is_between_frames: bool,
    /// Packets go out; the first one of a while is news.
    flowing: bool,
    started: bool,
    /// Somebody wants to know which layer is sent.
    tells_layers: bool,
    extensions: Extensions,
    destination: Option<Destination>,
    layering: Option<Box<Layering>>,
    mapping: Option<Mapping>,
    munger: Munger,
    packets: u64,
    octets: u64,
    /// With headers and what SRTP adds, retransmissions included.
    wire_bytes: u64,
    budget: RetransmissionBudget,
    /// Payload bytes that the meter does not know yet.
    unmetered: usize,
    last_sent: Option<Instant>,
    /// When the meter is told next.
    meter_at: Option<Instant>,
    latency: Latency,
    /// For retransmissions without a stream of their own.
    numbers: Option<Numbers>,
    /// Packets that wait for their turn.
    queue: PacedQueue,
    /// The layer to go on with.
    next: Option<Next>,
    frames: FrameMeter,
    meter: BitrateMeter,
    // What forwarding does not touch.
    source: Option<TrackSlot>,
    owner: EndpointSlot,
    codecs: Vec<NegotiatedCodec>,
    rtx: Option<Rtx>,
    /// Where decoding started last: what is missing before is not sent again.
    floor: ExtSeq,
    repairs: Repairs,
    /// How far behind the newest packet the last padding was taken from.
    padding_at: u16,
    feedback: FeedbackCounters,
    fir_sequence: Option<u8>,
    send_bounds: (u64, u64),
    preference: Preference,
    grant: Grant,
    /// What was told of the layer that is sent last.
    told: Option<(Layer, Option<u16>)>,
    /// A moment of the NTP clock and the timestamp of it, from before the source changed.
    anchor: Option<(i64, u32)>,
}

/// The retransmission stream (RFC 4588).
struct Rtx {
    ssrc: u32,
    next: ExtSeq,
}

/// What the peer reported and asked for.
#[derive(Default)]
struct FeedbackCounters {
    nacks: u64,
    plis: u64,
    firs: u64,
    remb: Option<Bitrate>,
    fraction_lost: f64,
    packets_lost: i64,
    round_trip: Option<Duration>,
    jitter: Duration,
}

impl Outbound {
    /// A stream for an m-line on which we may send. Sequence number and timestamp begin at random.
    pub(crate) fn new(
        owner: EndpointSlot,
        kind: MediaKind,
        media: &NegotiatedMedia,
        ssrc: u32,
        rtx_ssrc: Option<u32>,
        random: u64,
    ) -> Self {
        let clock = media.codecs.first().map_or(90_000, |codec| codec.clock);
        // Which video codec only matters for whether a start needs a keyframe: all of them do.
        let codec = if kind == MediaKind::Video {
            Codec::Vp8
        } else {
            Codec::Opaque
        };
        let rtx_offered = media.codecs.iter().any(|codec| codec.send_rtx_pt.is_some());
        Self {
            source: None,
            followed: None,
            next: None,
            is_between_frames: true,
            layering: None,
            destination: None,
            sender: None,
            ssrc,
            munger: Munger::new(codec, clock, random as u16, (random >> 16) as u32),
            mapping: None,
            extensions: Extensions::negotiated(media, false),
            packets: 0,
            octets: 0,
            wire_bytes: 0,
            frames: FrameMeter::default(),
            flowing: false,
            started: false,
            latency: Latency::default(),
            owner,
            kind,
            codecs: media.codecs.clone(),
            rtx: rtx_ssrc.filter(|_| rtx_offered).map(|ssrc| Rtx {
                ssrc,
                next: ExtSeq::from_parts(0, (random >> 48) as u16 & 0x7fff),
            }),
            numbers: None,
            budget: RetransmissionBudget::default(),
            queue: PacedQueue::default(),
            floor: ExtSeq::default(),
            repairs: Repairs::default(),
            padding_at: 0,
            feedback: FeedbackCounters::default(),
            meter: BitrateMeter::new(),
            unmetered: 0,
            meter_at: None,
            last_sent: None,
            fir_sequence: None,
            send_bounds: (0, 0),
            preference: Preference::default(),
            grant: Grant::default(),
            ceiling: Some(Layer::HIGHEST),
            tells_layers: false,
            told: None,
            anchor: None,
        }
        .with_numbers()
    }

    /// Remembers numbers where a packet can be sent again only as it was.
    fn with_numbers(mut self) -> Self {
        self.prepare_numbers();
        self
    }

    fn prepare_numbers(&mut self) {
        let repairs = self.codecs.iter().any(|codec| codec.feedback.nack);
        let is_wanted = repairs && self.rtx.is_none() && self.extensions.transport_cc != 0;
        if is_wanted && self.numbers.is_none() {
            let packets = match self.kind {
                MediaKind::Video => NUMBERS_OF_VIDEO,
                MediaKind::Audio | MediaKind::Data => NUMBERS_OF_AUDIO,
            };
            self.numbers = Some(Numbers::new(packets));
        }
    }

    /// Takes over another negotiation. Numbers go on: a stream must never use one twice.
    pub(crate) fn renegotiate(
        &mut self,
        media: &NegotiatedMedia,
        rtx_ssrc: Option<u32>,
        random: u64,
    ) {
        self.extensions = Extensions::negotiated(media, false);
        self.codecs.clone_from(&media.codecs);
        self.mapping = None;
        let rtx_offered = media.codecs.iter().any(|codec| codec.send_rtx_pt.is_some());
        if let (true, None, Some(ssrc)) = (rtx_offered, &self.rtx, rtx_ssrc) {
            self.rtx = Some(Rtx {
                ssrc,
                next: ExtSeq::from_parts(0, (random >> 48) as u16 & 0x7fff),
            });
        }
        self.prepare_numbers();
    }

    pub(crate) fn source(&self) -> Option<TrackSlot> {
        self.source
    }

    pub(crate) fn is_video(&self) -> bool {
        self.kind == MediaKind::Video
    }

    /// What the peer takes.
    pub(crate) fn codecs(&self) -> &[NegotiatedCodec] {
        &self.codecs
    }

    /// Whether the peer takes what comes with the `current` one of these codecs; `None` while that is not known, and
    /// there are some that it takes.
    pub(crate) fn takes(
        &self,
        codecs: &[NegotiatedCodec],
        current: Option<&NegotiatedCodec>,
    ) -> Option<bool> {
        let by_payload_type = |pt| codecs.iter().find(|codec| codec.receive_pt == pt);
        let fits =
            |codec: &NegotiatedCodec| redundancy::agree(&self.codecs, codec, by_payload_type);
        match current {
            Some(codec) => Some(fits(codec).is_some()),
            None => {
                let mut media = codecs.iter().filter(|codec| is_media(codec.kind));
                let is_hopeless = !codecs.is_empty() && !media.any(|codec| fits(codec).is_some());
                is_hopeless.then_some(false)
            }
        }
    }

    pub(crate) fn ssrc(&self) -> u32 {
        self.ssrc
    }

    pub(crate) fn set_source(&mut self, source: Option<TrackSlot>) {
        self.source = source;
        self.next = None;
        self.set_followed(None);
    }

    /// Bounds the layers that are sent; true when the stream resumes, which takes a keyframe.
    pub(crate) fn set_ceiling(&mut self, ceiling: Option<Layer>) -> bool {
        let before = std::mem::replace(&mut self.ceiling, ceiling);
        if ceiling.is_none() {
            self.queue.clear();
            self.munger.stop();
        }
        before.is_none() && ceiling.is_some()
    }

    pub(crate) fn sender(&self) -> Option<SenderSlot> {
        self.sender
    }

    pub(crate) fn set_sender(&mut self, sender: Option<SenderSlot>) {
        self.sender = sender;
    }

    pub(crate) fn set_destination(&mut self, destination: Option<Destination>) {
        // What is left out now would be missed by the decoder: it goes on with a keyframe.
        if destination.is_none() {
            self.queue.clear();
            self.munger.stop();
        }
        self.destination = destination;
    }

    pub(crate) fn has_destination(&self) -> bool {
        self.destination.is_some()
    }

    pub(crate) fn owner(&self) -> EndpointSlot {
        self.owner
    }

    /// Whether packets went out lately, as the flow timer finds.
    pub(crate) fn set_flowing(&mut self, flowing: bool) {
        self.flowing = flowing;
    }

    /// Measures how long packets stay in the process, or no longer.
    pub(crate) fn measure_latency(&mut self, on: bool) {
        self.latency.measure(on);
    }

    pub(crate) fn latency(&self) -> Option<Duration> {
        self.latency.average()
    }

    pub(crate) fn last_sent(&self) -> Option<Instant> {
        self.last_sent
    }

    /// Goes on after packets of the source, up to this one, were held back from all receivers.
    pub(crate) fn resume(&mut self, ssrc: u32, last: ExtSeq) {
        self.munger.skip_to(ssrc, last);
    }

    /// Sends one packet of the source, now; true when a keyframe of it is needed to go on.
    pub(crate) fn forward_now(
        &mut self,
        fresh: &Fresh,
        track: &Inbound,
        sender: Option<&mut Sender>,
        egress: &mut Egress,
        metrics: &mut ShardMetrics,
        now: Instant,
    ) -> bool {
        let (Some(destination), Some(_)) = (&self.destination, self.ceiling) else {
            return false;
        };
        let Some(packet) = track.packet(fresh.seq) else {
            return false;
        };
        let ssrc = track.ssrc();
        if self.munger.source() != Some(ssrc) {
            self.munger.switch(ssrc);
        }
        if self.munger.is_pending() && fresh.descriptor.is_keyframe_start {
            let aligned = self.aligned(track, packet.header.timestamp);
            self.munger.align(aligned);
            if let Some(layering) = &mut self.layering {
                layering.restart();
            }
        }
        let pt = match (self.mapping, self.followed) {
            (Some(known), Some(source))
                if known.source == source && known.source_pt == packet.header.payload_type =>
            {
                known.pt
            }
            (_, Some(source)) => {
                let pt = track
                    .codec(packet.header.payload_type)
                    .and_then(|codec| redundancy::agree(&self.codecs, codec, |pt| track.codec(pt)))
                    .map(|(codec, content)| (codec.send_pt, content));
                let source_pt = packet.header.payload_type;
                self.mapping = Some(Mapping {
                    source,
                    source_pt,
                    pt,
                });
                pt
            }
            (_, None) => None,
        };
        // Nothing the peer can decode, or nothing at all (padding): the peer must not miss it.
        let part = pt.filter(|_| !fresh.is_empty).and_then(|(pt, content)| {
            let payload = content.part(packet.payload())?;
            Some((pt, content, payload))
        });
        let Some((pt, content, payload)) = part else {
            self.munger.skip(ssrc, fresh.seq);
            return false;
        };
        let (layering, munger) = (&mut self.layering, &mut self.munger);
        let about = (track, self.extensions.dependency != 0);
        let admitted = admit(layering, munger, fresh, about, packet.header.timestamp);
        let Some(has_payload) = admitted else {
            return self.lacks_layer();
        };
        let input = Input {
            ssrc,
            seq: fresh.seq,
            timestamp: packet.header.timestamp,
            descriptor: &fresh.descriptor,
        };
        let starts = self.munger.is_awaiting_keyframe();
        let out = match self.munger.forward(&input, now) {
            Ok(out) => out,
            Err(Drop::AwaitingKeyframe) => return true,
            Err(Drop::OtherSource | Drop::Duplicate | Drop::Late) => return false,
        };
        if starts {
            self.floor = out.seq;
        }
        let marker = has_payload && (packet.header.marker || out.ends_picture);
        let fields = Fields {
            marker,
            payload_type: pt,
            sequence_number: out.seq.wire(),
            timestamp: out.timestamp,
            ssrc: self.ssrc,
        };
        let (payload, padding) = match has_payload {
            true => (payload, usize::from(packet.padding)),
            false => (&[][..], 0),
        };
        let dependency = if has_payload && self.extensions.dependency != 0 {
            Dependency::of(self.extensions, fresh, (track, &packet), &out)
        } else {
            None
        };
        // The first source of a stream usually goes on unchanged, and then needs no copy.
        let rewrites = content.changes()
            || (track.codec_kind().rewrites_payload() && changes(out.rewrite, &fresh.descriptor));
        let extensions = self.extensions;
        let number = number(extensions, sender, payload.len() + padding, now);
        if let Some((numbers, number)) = self.numbers.as_mut().zip(number) {
            numbers.note(out.seq, number);
        }
        let mut wire = 0;
        let sent = egress.push_with(
            destination.path.socket,
            destination.path.remote,
            destination.dscp,
            room(dependency.as_ref()) + payload.len() + padding + MAX_RTP_OVERHEAD,
            |buf| {
                let about = About {
                    fresh,
                    dependency: dependency.as_ref(),
                };
                let Some(header) = write_header(buf, &fields, extensions, number, Some(about))
                else {
                    return 0;
                };
                let roc = out.seq.roc();
                let sealed = if rewrites {
                    let plain = header + payload.len();
                    buf[header..plain].copy_from_slice(payload);
                    track
                        .codec_kind()
                        .rewrite(&mut buf[header..plain], out.rewrite);
                    content.change(&mut buf[header..plain]);
                    let plain = pad(buf, plain, padding);
                    destination.sealer.seal_rtp(roc, header, buf, plain)
                } else if padding > 0 {
                    mark_padded(buf);
                    let payload = packet.padded_payload();
                    destination.sealer.seal_rtp_from(roc, header, payload, buf)
                } else {
                    destination.sealer.seal_rtp_from(roc, header, payload, buf)
                };
                wire = sealed.unwrap_or(0);
                wire
            },
        );
        if sent {
            self.wire_bytes += wire as u64;
            self.budget.earn(payload.len());
            self.packets += 1;
            self.octets += payload.len() as u64;
            if marker {
                self.frames.add(now);
            }
            self.unmetered += payload.len();
            self.latency.add(packet.arrival, now);
            if !self.flowing {
                self.flowing = true;
                self.started = true;
            }
            metrics.rtp_forwarded += 1;
        }
        self.is_between_frames = marker;
        self.lacks_layer()
    }

    /// Bits per second over the last second.
    pub(crate) fn bitrate(&mut self, now: Instant) -> u64 {
        self.tell_meter(now);
        self.meter.bits_per_second(now)
    }

    /// Whether the first packet of a while went out since this was asked last.
    pub(crate) fn take_started(&mut self) -> bool {
        std::mem::take(&mut self.started)
    }

    /// Counts what the packets of a batch need not each count.
    #[inline]
    pub(crate) fn end_batch(&mut self, now: Instant) {
        if self.unmetered > 0 {
            self.last_sent = Some(now);
            if self.meter_at.is_none_or(|at| at <= now) {
                self.tell_meter(now);
            }
        }
    }

    fn tell_meter(&mut self, now: Instant) {
        if self.unmetered > 0 {
            self.meter_at = now.checked_add(METERED_EVERY);
            let sent = self.last_sent.unwrap_or(now);
            self.meter.add(std::mem::take(&mut self.unmetered), sent);
        }
    }

    /// Bytes sent, as the network sees them.
    pub(crate) fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }
}

/// Whether a payload with these numbers looks different with those.
fn changes(numbers: Rewrite, descriptor: &Descriptor) -> bool {
    numbers.picture_id != descriptor.picture_id.map(|id| id.value)
        || numbers.tl0_picture_index != descriptor.tl0_picture_index
        || numbers.key_index != descriptor.key_index
}
