//! A camera whose stream has layers within, and how a decoder judges what came of it.

#[path = "../../../../rtp/tests/support/scalable.rs"]
#[allow(
    dead_code,
    reason = "tests of the forwarder's parts look at more of it"
)]
mod encoder;

use super::media::{OutPacket, Packet};
pub(crate) use encoder::Between;
use encoder::Encoder;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use str0m::RtcConfig;
use str0m::format::Codec;
use str0m::rtp::{Extension, ExtensionSerializer, ExtensionValues};

const URI: &str =
    "https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension";
const INTERVAL: Duration = Duration::from_micros(33_333);
/// Bytes of a packet's payload.
const MAX_PAYLOAD: usize = 1_100;

/// The value of the dependency descriptor extension.
#[derive(Debug, Clone)]
pub(crate) struct Descriptor(pub(crate) Vec<u8>);

#[derive(Debug)]
struct Serializer;

impl ExtensionSerializer for Serializer {
    fn write_to(&self, buf: &mut [u8], values: &ExtensionValues) -> usize {
        let Some(Descriptor(value)) = values.user_values.get::<Descriptor>() else {
            return 0;
        };
        buf[..value.len()].copy_from_slice(value);
        value.len()
    }

    fn parse_value(&self, buf: &[u8], values: &mut ExtensionValues) -> bool {
        values.user_values.set(Descriptor(buf.to_vec()));
        true
    }

    fn is_video(&self) -> bool {
        true
    }

    fn is_audio(&self) -> bool {
        false
    }

    fn requires_two_byte_form(&self, values: &ExtensionValues) -> bool {
        let value = values.user_values.get::<Descriptor>();
        value.is_some_and(|Descriptor(value)| value.len() > 16)
    }
}

/// AV1 and nothing else, with dependency descriptors.
pub(crate) fn av1_with_descriptors(config: RtcConfig) -> RtcConfig {
    av1(config).set_extension(12, Extension::with_serializer(URI, Serializer))
}

/// AV1 and nothing else.
pub(crate) fn av1(config: RtcConfig) -> RtcConfig {
    let config = config.clear_codecs();
    config.enable_opus(true, false).enable_av1(true)
}

/// VP9 and nothing else.
pub(crate) fn vp9(config: RtcConfig) -> RtcConfig {
    let config = config.clear_codecs();
    config.enable_opus(true, false).enable_vp9(true)
}

/// A camera that encodes in layers.
pub(crate) struct Camera {
    pub(crate) codec: Codec,
    id: u8,
    encoder: Encoder,
    between: Between,
    pub(crate) next: Instant,
    pub(crate) keyframe_wanted: bool,
    /// Bits per second by spatial layer.
    rates: Vec<u64>,
    /// What all that is sent shall take at most, as a peer asked for.
    pub(crate) bound: Option<u64>,
    /// Layers that were sent of the last picture.
    pub(crate) active: usize,
    seq: u64,
    timestamp: u32,
    picture: u16,
    tl0: u8,
}

impl Camera {
    pub(crate) fn new(
        codec: Codec,
        id: u8,
        (spatial, temporal, between): (u8, u8, Between),
        now: Instant,
    ) -> Self {
        Self {
            codec,
            id,
            encoder: Encoder::new(spatial, temporal, between, 65_400 - 20_000 * u16::from(id)),
            between,
            next: now,
            keyframe_wanted: true,
            rates: (0..spatial).map(|spatial| 150_000 << spatial).collect(),
            bound: None,
            active: 0,
            seq: 1_000,
            timestamp: u32::MAX - 100_000,
            picture: 0x7f00,
            tl0: 200,
        }
    }

    /// Layers that are sent: the lowest ones first, a further one from half of its rate on.
    fn sent(&self) -> usize {
        let Some(mut left) = self.bound else {
            return self.rates.len();
        };
        let fits = |rate: &&u64| {
            let is_on = left >= **rate / 2;
            left = left.saturating_sub(**rate);
            is_on
        };
        self.rates.iter().take_while(fits).count().max(1)
    }

    /// The packets of the next picture, with their descriptors.
    pub(crate) fn picture(&mut self) -> Vec<(OutPacket, Vec<u8>)> {
        self.next += INTERVAL;
        self.timestamp = self.timestamp.wrapping_add(3_000);
        self.picture = (self.picture + 1) & 0x7fff;
        let sent = self.sent();
        // Nothing is there that a layer which was off could go on from.
        let is_key = std::mem::take(&mut self.keyframe_wanted) || sent > self.active;
        self.active = sent;
        let mut frames = self.encoder.encode(is_key);
        frames.truncate(sent);
        let top = frames.len() - 1;
        if frames[0].temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let mut packets = Vec::new();
        for (at, frame) in frames.iter().enumerate() {
            let size = (self.rates[at] / 8 / 30) as usize;
            let count = size.div_ceil(MAX_PAYLOAD).max(1);
            for packet in 0..count {
                let ends = (packet == 0, packet + 1 == count);
                let mut payload = self.head(frame, top as u8, ends);
                payload.extend_from_slice(&[self.id, frame.spatial, frame.temporal]);
                payload.extend_from_slice(&[is_key.into(), ends.0.into(), ends.1.into()]);
                payload.extend_from_slice(&frame.number.to_be_bytes());
                payload.push(frame.needs.len() as u8);
                for needed in &frame.needs {
                    payload.extend_from_slice(&needed.to_be_bytes());
                }
                payload.resize(payload.len().max(size / count), 7);
                let packet = OutPacket {
                    seq: self.seq,
                    timestamp: self.timestamp,
                    marker: at == top && ends.1,
                    payload,
                    level: None,
                };
                self.seq += 1;
                packets.push((packet, self.encoder.descriptor(frame, ends.0, ends.1)));
            }
        }
        packets
    }

    /// What the payload begins with.
    fn head(&self, frame: &encoder::Frame, top: u8, (first, last): (bool, bool)) -> Vec<u8> {
        let flag = |is: bool, bit: u8| if is { bit } else { 0 };
        let joins = match self.between {
            Between::All => true,
            Between::KeyPictures => frame.is_key,
            Between::Never => false,
        };
        if self.codec == Codec::Av1 {
            // Z, Y, one element, N; a frame OBU.
            let is_new = first && frame.is_key && frame.spatial == 0;
            let flags = flag(!first, 0x80) | flag(!last, 0x40) | flag(is_new, 0x08);
            return vec![0x10 | flags, 0x30];
        }
        // I, P, L, B, E, Z; picture, layers, TL0PICIDX (RFC 9628 §4.2).
        let flags = flag(!frame.is_key, 0x40) | flag(first, 0x08) | flag(last, 0x04);
        let unused_above = frame.spatial == top || !joins;
        let is_point = frame.temporal > 0;
        let [high, low] = (self.picture | 0x8000).to_be_bytes();
        let layers = frame.temporal << 5
            | flag(is_point, 0x10)
            | frame.spatial << 1
            | flag(frame.spatial > 0 && joins, 1);
        vec![
            0xA0 | flags | flag(unused_above, 1),
            high,
            low,
            layers,
            self.tl0,
        ]
    }
}

/// What a decoder made of it.
#[derive(Debug, Default)]
pub(crate) struct Judgement {
    pub(crate) pictures: usize,
    /// The best layer of each picture, and whose it is, each time that this changed.
    pub(crate) layers: Vec<(u8, u8, u8)>,
    /// Frames with a descriptor.
    pub(crate) described: usize,
}

impl Judgement {
    /// Whose pictures of which size came last.
    pub(crate) fn last(&self) -> Option<(u8, u8)> {
        self.layers.last().map(|(id, spatial, _)| (*id, *spatial))
    }
}

/// Decodes what came, which must be complete.
///
/// # Panics
/// When a decoder lacks something, or a picture does not end with the marker.
pub(crate) fn decode(packets: &[Packet]) -> Judgement {
    let mut judgement = Judgement::default();
    let mut decoded: BTreeSet<u16> = BTreeSet::new();
    let mut reader = salono_rtp::layers::dependency::Reader::new();
    let mut numbers: BTreeSet<u16> = BTreeSet::new();
    let (mut source, mut last, mut is_ended) = (0, None::<(u64, u32)>, true);
    let mut newest_number = None::<u16>;
    let mut best = (0, 0, 0);
    for packet in packets {
        let head = if packet.codec == Codec::Av1 { 2 } else { 5 };
        if let Some((seq, timestamp)) = last {
            assert_eq!(seq + 1, packet.seq, "no gap");
            let is_new = timestamp != packet.timestamp;
            assert!(!is_new || is_ended, "a picture ends with the marker");
            if is_new {
                judgement.pictures += 1;
                if judgement.layers.last() != Some(&best) {
                    judgement.layers.push(best);
                }
                best = (0, 0, 0);
            }
        }
        last = Some((packet.seq, packet.timestamp));
        is_ended = packet.marker;
        let Some(body) = packet.payload.get(head..) else {
            continue;
        };
        let [id, spatial, temporal, is_key, first, ends] = body[..6].try_into().expect("a label");
        let number = u16::from_be_bytes([body[6], body[7]]);
        if id != source {
            assert!(
                is_key == 1 && spatial == 0 && first == 1,
                "a source begins with a keyframe"
            );
            (source, decoded) = (id, BTreeSet::new());
        }
        best = best.max((id, spatial, temporal));
        if first == 1 {
            for needed in body[9..].chunks(2).take(usize::from(body[8])) {
                let needed = u16::from_be_bytes([needed[0], needed[1]]);
                assert!(
                    decoded.contains(&needed),
                    "{number} of {spatial} lacks {needed}"
                );
            }
        }
        if ends == 1 {
            decoded.insert(number);
            decoded.remove(&number.wrapping_sub(0x200));
        }
        let Some(value) = &packet.descriptor else {
            continue;
        };
        let frame = reader.read(value).expect("it is understood");
        assert_eq!(
            (frame.layer.spatial, frame.layer.temporal),
            (spatial, temporal)
        );
        if first == 1 {
            judgement.described += 1;
            let ahead = newest_number.map_or(1, |newest| frame.number.wrapping_sub(newest));
            assert!((1..0x200).contains(&ahead), "frame numbers go up: {ahead}");
            newest_number = Some(frame.number);
            for place in (0..64).filter(|place| frame.references >> place & 1 == 1) {
                let needed = frame.number.wrapping_sub(place + 1);
                assert!(numbers.contains(&needed), "as told, it lacks {needed}");
            }
            numbers.insert(frame.number);
            numbers.remove(&frame.number.wrapping_sub(0x200));
        }
    }
    judgement
}
