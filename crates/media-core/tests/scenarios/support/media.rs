//! Media that can be judged: frames that name their publisher and number and carry a checksum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Bytes of a packet's payload at most, descriptor included.
const MAX_PAYLOAD: usize = 1_100;
const KEYFRAME_BYTES: usize = 4_200;
const DELTA_BYTES: usize = 1_500;
const AUDIO_BYTES: usize = 90;
/// Publisher, number, checksum.
const LABEL: usize = 1 + 4 + 4;
/// Payload header of a VP8 keyframe (RFC 6386 §9.1); the first 3 bytes are in every frame.
const VP8_KEY_HEADER: [u8; 10] = [0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00];
const VP8_DELTA_HEADER: [u8; 10] = [0x11, 0x00, 0x00, 0, 0, 0, 0, 0, 0, 0];
/// TOC byte of a 20 ms Opus frame (RFC 6716 §3.1).
const OPUS_HEADER: [u8; 1] = [0x78];

/// One packet to send.
pub(crate) struct OutPacket {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

/// A camera or a microphone.
pub(crate) struct Source {
    pub(crate) is_video: bool,
    publisher: u8,
    pub(crate) next: Instant,
    interval: Duration,
    seq: u64,
    timestamp: u32,
    ticks: u32,
    picture: u16,
    tl0: u8,
    pub(crate) keyframe_wanted: bool,
    /// When which frame was sent, by number from 0.
    pub(crate) sent: Vec<Instant>,
}

impl Source {
    /// 30 frames of VP8 a second.
    pub(crate) fn video(publisher: u8, start: Instant) -> Self {
        Self {
            is_video: true,
            publisher,
            next: start,
            interval: Duration::from_micros(33_333),
            // Every number wraps within a few seconds.
            seq: 32_000 + u64::from(publisher) * 11_000,
            timestamp: u32::MAX - 150_000 - u32::from(publisher) * 10_000,
            ticks: 3_000,
            picture: 0x7fff - 40 - u16::from(publisher) * 7,
            tl0: 250 - publisher,
            keyframe_wanted: true,
            sent: Vec::new(),
        }
    }

    /// 50 frames of Opus a second.
    pub(crate) fn audio(publisher: u8, start: Instant) -> Self {
        Self {
            is_video: false,
            interval: Duration::from_millis(20),
            ticks: 960,
            keyframe_wanted: false,
            ..Self::video(publisher, start)
        }
    }

    /// The packets of the next frame.
    pub(crate) fn frame(&mut self, now: Instant) -> Vec<OutPacket> {
        let number = self.sent.len() as u32;
        self.sent.push(now);
        self.next += self.interval;
        let timestamp = self.timestamp;
        self.timestamp = self.timestamp.wrapping_add(self.ticks);
        if !self.is_video {
            let payload = label(&OPUS_HEADER, AUDIO_BYTES, self.publisher, number);
            let seq = self.seq;
            self.seq += 1;
            return vec![OutPacket {
                seq,
                timestamp,
                marker: false,
                payload,
            }];
        }
        let is_key = std::mem::take(&mut self.keyframe_wanted);
        let (header, size) = if is_key {
            (&VP8_KEY_HEADER, KEYFRAME_BYTES)
        } else {
            (&VP8_DELTA_HEADER, DELTA_BYTES)
        };
        let frame = label(header, size, self.publisher, number);
        self.picture = (self.picture + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        let chunks: Vec<&[u8]> = frame.chunks(MAX_PAYLOAD - 5).collect();
        let last = chunks.len() - 1;
        let mut packets = Vec::new();
        for (index, chunk) in chunks.into_iter().enumerate() {
            // X and S on the first; I and L: 15 bit picture id and TL0PICIDX (RFC 7741 §4.2).
            let start = if index == 0 { 0x10 } else { 0 };
            let [high, low] = (self.picture | 0x8000).to_be_bytes();
            let mut payload = vec![0x80 | start, 0xc0, high, low, self.tl0];
            payload.extend_from_slice(chunk);
            packets.push(OutPacket {
                seq: self.seq,
                timestamp,
                marker: index == last,
                payload,
            });
            self.seq += 1;
        }
        packets
    }
}

fn label(header: &[u8], size: usize, publisher: u8, number: u32) -> Vec<u8> {
    let mut frame = header.to_vec();
    frame.push(publisher);
    frame.extend_from_slice(&number.to_be_bytes());
    let filler = (number as usize).wrapping_mul(31);
    while frame.len() < size - 4 {
        frame.push((filler + frame.len() * 7) as u8);
    }
    let sum = checksum(&frame);
    frame.extend_from_slice(&sum.to_be_bytes());
    frame
}

/// FNV-1a.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| {
        (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}

/// One packet that a peer received, retransmissions undone.
#[derive(Debug, Clone)]
pub(crate) struct Packet {
    pub(crate) at: Instant,
    pub(crate) is_video: bool,
    pub(crate) ssrc: u32,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
}

/// One frame that could be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) publisher: u8,
    pub(crate) number: u32,
    pub(crate) is_key: bool,
    pub(crate) timestamp: u32,
    pub(crate) picture: u16,
    pub(crate) tl0: u8,
    /// When its last packet came.
    pub(crate) at: Instant,
}

/// Everything of one kind that a peer received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// In order of arrival.
    pub(crate) packets: Vec<Packet>,
}

impl Received {
    pub(crate) fn in_order(&self) -> BTreeMap<u64, &Packet> {
        let mut packets = BTreeMap::new();
        for packet in &self.packets {
            packets.entry(packet.seq).or_insert(packet);
        }
        packets
    }

    /// Sequence numbers between the first and the last that are missing.
    pub(crate) fn gaps(&self) -> Vec<u64> {
        let packets = self.in_order();
        let (Some(first), Some(last)) = (packets.keys().next(), packets.keys().next_back()) else {
            return Vec::new();
        };
        (*first..*last)
            .filter(|seq| !packets.contains_key(seq))
            .collect()
    }

    /// Packets that came more than once.
    pub(crate) fn repeats(&self) -> usize {
        self.packets.len() - self.in_order().len()
    }

    /// Whether packets came in the order of their numbers.
    pub(crate) fn is_sorted(&self) -> bool {
        self.packets.windows(2).all(|two| two[0].seq < two[1].seq)
    }

    pub(crate) fn ssrcs(&self) -> Vec<u32> {
        let mut ssrcs: Vec<u32> = self.packets.iter().map(|packet| packet.ssrc).collect();
        ssrcs.sort_unstable();
        ssrcs.dedup();
        ssrcs
    }

    /// The frames, put together in order of their packets.
    ///
    /// # Panics
    /// When a frame is damaged or starts in the middle: a gap in the packets cuts frames, which is
    /// no damage, they are left out.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut open: Option<(u32, u64, Vec<u8>, u16, u8, Instant)> = None;
        for (seq, packet) in self.in_order() {
            if !packet.is_video {
                frames.push(read(
                    &packet.payload,
                    OPUS_HEADER.len(),
                    packet.timestamp,
                    (0, 0),
                    packet.at,
                ));
                continue;
            }
            let (descriptor, body) = packet.payload.split_at(5);
            assert_eq!(descriptor[0] & 0x80, 0x80, "descriptor kept: {seq}");
            let picture = u16::from_be_bytes([descriptor[2], descriptor[3]]) & 0x7fff;
            let tl0 = descriptor[4];
            if descriptor[0] & 0x10 != 0 {
                open = Some((
                    packet.timestamp,
                    seq,
                    body.to_vec(),
                    picture,
                    tl0,
                    packet.at,
                ));
            } else if let Some((timestamp, last, bytes, id, layer, at)) = open.as_mut() {
                if *last + 1 != seq {
                    open = None;
                    continue;
                }
                assert_eq!(*timestamp, packet.timestamp, "one timestamp per frame");
                assert_eq!((*id, *layer), (picture, tl0), "one picture id per frame");
                *last = seq;
                bytes.extend_from_slice(body);
                *at = packet.at.max(*at);
            }
            if packet.marker
                && let Some((timestamp, _, bytes, picture, tl0, at)) = open.take()
            {
                frames.push(read(
                    &bytes,
                    VP8_KEY_HEADER.len(),
                    timestamp,
                    (picture, tl0),
                    at,
                ));
            }
        }
        frames
    }

    /// The frames as a decoder sees them.
    ///
    /// # Panics
    /// When a decoder would lack something: it must start with a keyframe, every frame follows the
    /// one before it, and a keyframe is the only way to go from one publisher to another or to
    /// leave frames out.
    pub(crate) fn decoded(&self) -> Vec<Frame> {
        let frames = self.frames();
        if let Some(first) = frames.first().filter(|_| self.is_video()) {
            assert!(first.is_key, "decoding starts with a keyframe");
        }
        for two in frames.windows(2) {
            let (old, new) = (two[0], two[1]);
            let follows = old.publisher == new.publisher && old.number + 1 == new.number;
            assert!(
                follows || new.is_key || !self.is_video(),
                "{new:?} does not follow {old:?}"
            );
        }
        frames
    }

    /// Frames of a publisher that were sent between its first one received and `until` and that
    /// did not come.
    pub(crate) fn missing(&self, publisher: u8, source: &Source, until: Instant) -> Vec<u32> {
        let frames = self.frames();
        let numbers: Vec<u32> = frames
            .iter()
            .filter(|frame| frame.publisher == publisher)
            .map(|frame| frame.number)
            .collect();
        let Some(first) = numbers.first() else {
            return (0..source.sent.len() as u32).collect();
        };
        (*first..source.sent.len() as u32)
            .filter(|number| source.sent[*number as usize] <= until && !numbers.contains(number))
            .collect()
    }

    fn is_video(&self) -> bool {
        self.packets.first().is_some_and(|packet| packet.is_video)
    }
}

fn read(
    frame: &[u8],
    header: usize,
    timestamp: u32,
    (picture, tl0): (u16, u8),
    at: Instant,
) -> Frame {
    assert!(frame.len() > header + LABEL, "a whole frame");
    let (content, sum) = frame.split_at(frame.len() - 4);
    assert_eq!(
        checksum(content).to_be_bytes(),
        sum,
        "a frame is not damaged"
    );
    let number = &content[header + 1..header + 5];
    Frame {
        publisher: content[header],
        number: u32::from_be_bytes(number.try_into().expect("four bytes")),
        is_key: header == VP8_KEY_HEADER.len() && content[0] & 1 == 0,
        timestamp,
        picture,
        tl0,
        at,
    }
}
