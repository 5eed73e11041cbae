//! Media that can be judged: frames that name their publisher and number and carry a checksum.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use str0m::format::Codec;

/// Bytes of a packet's payload at most, descriptor included.
const MAX_PAYLOAD: usize = 1_100;
const KEYFRAME_BYTES: usize = 4_200;
const DELTA_BYTES: usize = 1_500;
const AUDIO_BYTES: usize = 90;
/// Publisher, keyframe or not, number, checksum.
const LABEL: usize = 1 + 1 + 4 + 4;

/// What a frame of a codec begins with: as much of its header as a server may look at.
fn header(codec: Codec, is_key: bool) -> &'static [u8] {
    match (codec, is_key) {
        // Payload header with start code and size (RFC 6386 §9.1).
        (Codec::Vp8, true) => &[0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0x00],
        (Codec::Vp8, false) => &[0x11, 0x00, 0x00],
        // A slice that begins at the first macroblock.
        (Codec::H264, _) => &[0x88],
        // A frame OBU without extension and size.
        (Codec::Av1, _) => &[0x30],
        // A 20 ms frame (RFC 6716 §3.1).
        (Codec::Opus, _) => &[0x78],
        _ => &[],
    }
}

/// The header of a frame; keyframes of VP8 tell the height of the picture.
fn header_of(codec: Codec, is_key: bool, height: u16) -> Vec<u8> {
    let mut header = header(codec, is_key).to_vec();
    if codec == Codec::Vp8 && is_key {
        header[8..].copy_from_slice(&height.to_le_bytes());
    }
    header
}

/// Whether a frame begins with such a header, whatever the size of the picture.
fn has_header(codec: Codec, is_key: bool, frame: &[u8]) -> bool {
    let header = header(codec, is_key);
    let fixed = header.len().min(6);
    frame.len() > header.len() && frame[..fixed] == header[..fixed]
}

/// What precedes a keyframe of H264: the size of the picture and what goes with it, in one packet (RFC 6184 §5.7.1).
fn parameter_sets(height: u16) -> Vec<u8> {
    // Exp-Golomb, as most of it is.
    let code = |value: u32| {
        let width = 32 - (value + 1).leading_zeros();
        let zeros = (1..width).map(|_| false);
        zeros.chain((0..width).rev().map(move |at| (value + 1) >> at & 1 == 1))
    };
    let lines = u32::from(height).div_ceil(16);
    // Set 0, 4 bits of frame numbers, pictures in order, one reference.
    let mut bits: Vec<bool> = [0, 0, 2, 1].into_iter().flat_map(code).collect();
    bits.push(false);
    // Macroblocks across and down.
    bits.extend([19, lines - 1].into_iter().flat_map(code));
    // Frames, no direct inference, nothing cut off, no more; the end.
    bits.extend([true, false, false, false, true]);
    let byte = |bits: &[bool]| {
        bits.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)) << (8 - bits.len())
    };
    let mut sps = vec![0x67, 0x42, 0xe0, 0x1f];
    sps.extend(bits.chunks(8).map(byte));
    let mut payload = vec![0x78, 0, sps.len() as u8];
    payload.extend(sps);
    payload.extend([0, 2, 0x68, 0xce]);
    payload
}

/// Whether a packet is one of those.
fn is_parameter_sets(codec: Codec, payload: &[u8]) -> bool {
    codec == Codec::H264 && payload.first() == Some(&0x78)
}

/// Length of the payload descriptor in front of every chunk of a frame.
fn descriptor_len(codec: Codec) -> usize {
    match codec {
        Codec::Vp8 => 5,
        Codec::Vp9 => 3,
        Codec::H264 => 2,
        Codec::Av1 => 1,
        _ => 0,
    }
}

/// The descriptor of one chunk.
fn descriptor(
    codec: Codec,
    is_key: bool,
    (first, last): (bool, bool),
    (picture, tl0): (u16, u8),
) -> Vec<u8> {
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    let [high, low] = (picture | 0x8000).to_be_bytes();
    match codec {
        // X, S; I, L: 15 bit picture id and TL0PICIDX (RFC 7741 §4.2).
        Codec::Vp8 => vec![0x80 | flag(first, 0x10), 0xc0, high, low, tl0],
        // I, P, B, E: 15 bit picture id (RFC 9628 §4.2).
        Codec::Vp9 => {
            let flags = flag(!is_key, 0x40) | flag(first, 0x08) | flag(last, 0x04);
            vec![0x80 | flags, high, low]
        }
        // FU-A with S and E, IDR or other slice (RFC 6184 §5.8).
        Codec::H264 => {
            let kind = if is_key { 5 } else { 1 };
            vec![0x7c, flag(first, 0x80) | flag(last, 0x40) | kind]
        }
        // Z, Y, one element, N (RTP payload format for AV1 §4.4).
        Codec::Av1 => {
            let flags = flag(!first, 0x80) | flag(!last, 0x40) | flag(first && is_key, 0x08);
            vec![0x10 | flags]
        }
        _ => Vec::new(),
    }
}

/// Whether a chunk is the first of its frame, and the frame's numbers where the codec has them.
fn read_descriptor(codec: Codec, bytes: &[u8]) -> (bool, Option<u16>, Option<u8>) {
    let picture = |at: usize| {
        assert_eq!(bytes[at] & 0x80, 0x80, "a picture id keeps its width");
        Some(u16::from_be_bytes([bytes[at], bytes[at + 1]]) & 0x7fff)
    };
    match codec {
        Codec::Vp8 => {
            assert_eq!((bytes[0] & 0x80, bytes[1]), (0x80, 0xc0), "kept");
            (bytes[0] & 0x10 != 0, picture(2), Some(bytes[4]))
        }
        Codec::Vp9 => (bytes[0] & 0x08 != 0, picture(1), None),
        Codec::H264 => (bytes[1] & 0x80 != 0, None, None),
        Codec::Av1 => (bytes[0] & 0x80 == 0, None, None),
        _ => (true, None, None),
    }
}

/// One packet to send.
pub(crate) struct OutPacket {
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
    /// How loud it is, in dBov.
    pub(crate) level: Option<i8>,
}

/// A camera or a microphone.
pub(crate) struct Source {
    pub(crate) codec: Codec,
    publisher: u8,
    pub(crate) next: Instant,
    interval: Duration,
    seq: u64,
    timestamp: u32,
    ticks: u32,
    picture: u16,
    tl0: u8,
    /// Bits per second of video; 0 is a size of frames that suffices for most tests.
    pub(crate) bps: u64,
    height: u16,
    pub(crate) keyframe_wanted: bool,
    /// What the header extension says from now on, in dBov.
    pub(crate) level: Option<i8>,
    /// When which frame was sent, by number from 0.
    pub(crate) sent: Vec<Instant>,
}

impl Source {
    /// 30 frames a second.
    pub(crate) fn video(codec: Codec, publisher: u8, start: Instant) -> Self {
        Self {
            codec,
            publisher,
            next: start,
            interval: Duration::from_micros(33_333),
            // Every number wraps within a few seconds.
            // A first number beyond 16 bits would have to be signalled.
            seq: (32_000 + u64::from(publisher) * 11_000) % 64_000,
            timestamp: u32::MAX - 150_000 - u32::from(publisher) * 10_000,
            ticks: 3_000,
            picture: 0x7fff - 40 - u16::from(publisher) * 7,
            tl0: 250 - publisher,
            bps: 0,
            height: 240,
            keyframe_wanted: true,
            level: None,
            sent: Vec::new(),
        }
    }

    /// One simulcast layer of a camera, all of which begin at the same moment.
    pub(crate) fn layer(codec: Codec, publisher: u8, height: u16, start: Instant) -> Self {
        Self {
            height,
            ..Self::video(codec, publisher, start)
        }
    }

    /// 50 frames a second.
    pub(crate) fn audio(codec: Codec, publisher: u8, start: Instant) -> Self {
        Self {
            interval: Duration::from_millis(20),
            ticks: if codec == Codec::Opus { 960 } else { 160 },
            keyframe_wanted: false,
            ..Self::video(codec, publisher, start)
        }
    }

    /// The timestamp of a moment.
    pub(crate) fn timestamp_at(&self, now: Instant) -> u32 {
        let ahead = self.next.saturating_duration_since(now).as_secs_f64();
        let rate = f64::from(self.ticks) / self.interval.as_secs_f64();
        self.timestamp.wrapping_sub((ahead * rate) as u32)
    }

    /// The packets of the next frame.
    pub(crate) fn frame(&mut self, now: Instant) -> Vec<OutPacket> {
        let number = self.sent.len() as u32;
        self.sent.push(now);
        self.next += self.interval;
        let timestamp = self.timestamp;
        self.timestamp = self.timestamp.wrapping_add(self.ticks);
        let (codec, publisher) = (self.codec, self.publisher);
        let is_key = std::mem::take(&mut self.keyframe_wanted);
        let size = match (codec.is_audio(), is_key) {
            (true, _) => AUDIO_BYTES,
            (false, _) if self.bps > 0 => {
                let frame = (self.bps as usize / 8 / 30).max(60);
                if is_key { frame * 3 } else { frame }
            }
            (false, true) => KEYFRAME_BYTES,
            (false, false) => DELTA_BYTES,
        };
        let header = header_of(codec, is_key, self.height);
        let frame = label(&header, size, publisher, is_key, number);
        self.picture = (self.picture + 1) & 0x7fff;
        self.tl0 = self.tl0.wrapping_add(1);
        let chunks: Vec<&[u8]> = frame.chunks(MAX_PAYLOAD - descriptor_len(codec)).collect();
        let last = chunks.len() - 1;
        let mut packets = Vec::new();
        if is_key && codec == Codec::H264 {
            packets.push(OutPacket {
                seq: self.seq,
                timestamp,
                marker: false,
                payload: parameter_sets(self.height),
                level: None,
            });
            self.seq += 1;
        }
        for (index, chunk) in chunks.into_iter().enumerate() {
            let ends = (index == 0, index == last);
            let mut payload = descriptor(codec, is_key, ends, (self.picture, self.tl0));
            payload.extend_from_slice(chunk);
            packets.push(OutPacket {
                seq: self.seq,
                timestamp,
                marker: index == last && !codec.is_audio(),
                payload,
                level: self.level,
            });
            self.seq += 1;
        }
        packets
    }
}

fn label(header: &[u8], size: usize, publisher: u8, is_key: bool, number: u32) -> Vec<u8> {
    let mut frame = header.to_vec();
    frame.extend_from_slice(&[publisher, u8::from(is_key)]);
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
    pub(crate) codec: Codec,
    pub(crate) ssrc: u32,
    pub(crate) seq: u64,
    pub(crate) timestamp: u32,
    pub(crate) marker: bool,
    pub(crate) payload: Vec<u8>,
    /// Its dependency descriptor.
    pub(crate) descriptor: Option<Vec<u8>>,
}

/// One frame that could be put together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) publisher: u8,
    pub(crate) number: u32,
    pub(crate) is_key: bool,
    pub(crate) timestamp: u32,
    pub(crate) picture: Option<u16>,
    pub(crate) tl0: Option<u8>,
    /// When its last packet came.
    pub(crate) at: Instant,
}

/// Everything of one kind that a peer received.
#[derive(Debug, Default)]
pub(crate) struct Received {
    /// In order of arrival.
    pub(crate) packets: Vec<Packet>,
}

impl Packet {
    /// Whether a decoder can begin with this packet.
    pub(crate) fn starts_keyframe(&self) -> bool {
        if is_parameter_sets(self.codec, &self.payload) {
            return true;
        }
        let len = descriptor_len(self.codec).min(self.payload.len());
        let (descriptor, body) = self.payload.split_at(len);
        if body.is_empty() {
            return false;
        }
        let at = header(self.codec, true).len() + 1;
        read_descriptor(self.codec, descriptor).0 && body.get(at) == Some(&1)
    }
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

    /// Keyframes that came.
    pub(crate) fn keyframes(&self) -> usize {
        let frames = self.frames();
        frames.iter().filter(|frame| frame.is_key).count()
    }

    /// Whose frames came, each once in the order of its first.
    pub(crate) fn publishers(&self) -> Vec<u8> {
        let mut publishers = Vec::new();
        for frame in self.frames() {
            if !publishers.contains(&frame.publisher) {
                publishers.push(frame.publisher);
            }
        }
        publishers
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
        // The frame that is being put together, its bytes and its newest packet.
        let mut open: Option<(Frame, Vec<u8>, u64)> = None;
        // The newest packet with parameter sets, and its timestamp.
        let mut sets = None;
        for (seq, packet) in self.in_order() {
            let codec = packet.codec;
            if is_parameter_sets(codec, &packet.payload) {
                assert!(open.is_none(), "they precede a frame");
                assert!(!packet.marker, "they end nothing");
                sets = Some((seq, packet.timestamp));
                continue;
            }
            let (descriptor, body) = packet.payload.split_at(descriptor_len(codec));
            let (is_first, picture, tl0) = read_descriptor(codec, descriptor);
            if is_first {
                let is_idr = codec == Codec::H264 && descriptor[1] & 0x1f == 5;
                let before = Some((seq - 1, packet.timestamp));
                assert!(
                    !is_idr || sets == before,
                    "a keyframe follows its parameters"
                );
                let frame = Frame {
                    publisher: 0,
                    number: 0,
                    is_key: false,
                    timestamp: packet.timestamp,
                    picture,
                    tl0,
                    at: packet.at,
                };
                open = Some((frame, body.to_vec(), seq));
            } else if let Some((frame, bytes, newest)) = open.as_mut() {
                if *newest + 1 != seq {
                    open = None;
                    continue;
                }
                assert_eq!(frame.timestamp, packet.timestamp, "one timestamp per frame");
                assert_eq!(
                    (frame.picture, frame.tl0),
                    (picture, tl0),
                    "one number per frame"
                );
                *newest = seq;
                bytes.extend_from_slice(body);
                frame.at = frame.at.max(packet.at);
            }
            if (packet.marker || codec.is_audio())
                && let Some((frame, bytes, _)) = open.take()
            {
                frames.push(read(codec, &bytes, frame));
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

    /// The frames from the first keyframe on; a decoder throws away what comes before.
    pub(crate) fn decodable(&self) -> Vec<Frame> {
        let mut frames = self.frames();
        if self.is_video() {
            let first = frames.iter().position(|frame| frame.is_key);
            frames.drain(..first.unwrap_or(frames.len()));
        }
        frames
    }

    /// Frames of a publisher that were sent between its first decodable one and `until` and that
    /// did not come.
    pub(crate) fn missing(&self, publisher: u8, source: &Source, until: Instant) -> Vec<u32> {
        let numbers: Vec<u32> = self
            .decodable()
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

    /// When a player shows frames that it holds back until `delay` after their capture. A frame is
    /// shown after the one before it; a keyframe that is complete while others are not is jumped to.
    pub(crate) fn shown(&self, source: &Source, delay: Duration) -> Vec<Instant> {
        let mut ready: Vec<(Instant, Frame)> = self
            .decodable()
            .into_iter()
            .map(|frame| {
                (
                    frame.at.max(source.sent[frame.number as usize] + delay),
                    frame,
                )
            })
            .collect();
        ready.sort_by_key(|(at, frame)| (*at, frame.number));
        let mut waiting = BTreeMap::new();
        let mut shown: Vec<Instant> = Vec::new();
        let mut last: Option<u32> = None;
        for (at, frame) in ready {
            waiting.insert(frame.number, frame.is_key);
            loop {
                let next = last.map_or(0, |last| last + 1);
                let key = || waiting.range(next..).find(|(_, is_key)| **is_key);
                let found = match waiting.get(&next) {
                    Some(_) => Some(next),
                    None => key().map(|(number, _)| *number),
                };
                let Some(number) = found else { break };
                waiting.remove(&number);
                shown.push(at);
                last = Some(number);
            }
        }
        shown
    }

    /// The longest time without a new picture, and the share of time in which the picture stood
    /// still: pauses of more than 150 ms beyond the interval of 30 frames a second.
    pub(crate) fn freezes(
        shown: Vec<Instant>,
        (from, until): (Instant, Instant),
    ) -> (Duration, f64) {
        let mut times: Vec<Instant> = shown
            .into_iter()
            .filter(|at| (from..until).contains(at))
            .collect();
        times.insert(0, from);
        times.push(until);
        let pauses = times.windows(2).map(|two| two[1] - two[0]);
        let longest = pauses.clone().max().unwrap_or_default();
        let frozen: Duration = pauses
            .filter(|pause| *pause > Duration::from_millis(33 + 150))
            .sum();
        (longest, frozen.as_secs_f64() / (until - from).as_secs_f64())
    }

    /// Payload in bits per second between two moments.
    pub(crate) fn bps(&self, from: Instant, until: Instant) -> f64 {
        let packets = self.packets.iter();
        let bytes: usize = packets
            .filter(|packet| (from..until).contains(&packet.at))
            .map(|packet| packet.payload.len())
            .sum();
        bytes as f64 * 8.0 / (until - from).as_secs_f64()
    }

    fn is_video(&self) -> bool {
        self.packets
            .first()
            .is_some_and(|packet| !packet.codec.is_audio())
    }
}

/// Fills in what the content of a frame says.
fn read(codec: Codec, bytes: &[u8], frame: Frame) -> Frame {
    let (content, sum) = bytes.split_at(bytes.len() - 4);
    assert_eq!(
        checksum(content).to_be_bytes(),
        sum,
        "a frame is not damaged"
    );
    let is_key = [true, false]
        .into_iter()
        .find(|is_key| {
            let len = header(codec, *is_key).len();
            has_header(codec, *is_key, content) && content[len + 1] == u8::from(*is_key)
        })
        .expect("the header of a frame is untouched");
    let content = &content[header(codec, is_key).len()..];
    assert!(content.len() + 4 >= LABEL);
    Frame {
        publisher: content[0],
        is_key,
        number: u32::from_be_bytes(content[2..6].try_into().expect("four bytes")),
        ..frame
    }
}
