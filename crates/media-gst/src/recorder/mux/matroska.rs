//! Matroska and WebM (RFC 9559), in clusters that are written whole.
//!
//! While it is written, the segment has no length, and the duration is brought up to date with every few
//! clusters. At the end come the cues, and the room before the tracks is filled with where to find them.

use super::{MAX_INDEX, MAX_PIECE_BYTES, Muxer, Output, PIECE, Sample, ebml};
use crate::recorder::bitstream;
use crate::recorder::format::{Codec, Format};

const SEGMENT: u32 = 0x1853_8067;
const SEEK_HEAD: u32 = 0x114d_9b74;
const INFO: u32 = 0x1549_a966;
const TRACKS: u32 = 0x1654_ae6b;
const CLUSTER: u32 = 0x1f43_b675;
const CUES: u32 = 0x1c53_bb6b;

/// Room for three entries of where to find things.
const SEEK_ROOM: usize = 128;

/// An element for the duration: id, length, eight bytes.
const DURATION_ROOM: usize = 11;

/// The duration is brought up to date after so many nanoseconds.
const DURATION_EVERY: u64 = 2_000_000_000;

/// Places in the index are so far apart at least, in milliseconds.
const CUE_EVERY: u64 = 1_000;

const MILLISECOND: u64 = 1_000_000;

/// A file being written.
pub(super) struct Matroska {
    codecs: Vec<Codec>,
    /// Whose keyframes are worth finding: the first track of pictures, else the first.
    main: usize,
    segment: u64,
    seek_room: u64,
    info: u64,
    duration: u64,
    tracks: u64,
    /// Blocks of the cluster at hand.
    blocks: Vec<u8>,
    /// Timestamp of that cluster, in milliseconds, once it has blocks.
    since: Option<u64>,
    /// It begins with a keyframe of the main track.
    finds: bool,
    cues: Vec<(u64, u64)>,
    /// End of what was pushed, in nanoseconds.
    end: u64,
    told: u64,
}

impl Matroska {
    pub(super) fn begin(kind: &str, tracks: &[Format], out: &mut Output) -> Self {
        let head = &mut out.append;
        ebml::master(head, 0x1a45_dfa3, |head| {
            ebml::uint(head, 0x4286, 1);
            ebml::uint(head, 0x42f7, 1);
            ebml::uint(head, 0x42f2, 4);
            ebml::uint(head, 0x42f3, 8);
            ebml::bytes(head, 0x4282, kind.as_bytes());
            ebml::uint(head, 0x4287, 4);
            ebml::uint(head, 0x4285, 2);
        });
        ebml::id(head, SEGMENT);
        head.extend_from_slice(&[1, 255, 255, 255, 255, 255, 255, 255]);
        let segment = out.position();
        ebml::void(&mut out.append, SEEK_ROOM);
        let info = out.position();
        let mut content = Vec::new();
        ebml::uint(&mut content, 0x002a_d7b1, MILLISECOND);
        ebml::bytes(&mut content, 0x4d80, b"Salono");
        ebml::bytes(&mut content, 0x5741, b"Salono");
        ebml::void(&mut content, DURATION_ROOM);
        ebml::bytes(&mut out.append, INFO, &content);
        let duration = out.position() - DURATION_ROOM as u64;
        let tracks_at = out.position();
        ebml::master(&mut out.append, TRACKS, |all| {
            for (number, format) in (1..).zip(tracks) {
                ebml::master(all, 0xae, |entry| describe(entry, number, format));
            }
        });
        Self {
            codecs: tracks.iter().map(|format| format.codec).collect(),
            main: tracks
                .iter()
                .position(|format| !format.codec.is_audio())
                .unwrap_or(0),
            segment,
            seek_room: segment,
            info,
            duration,
            tracks: tracks_at,
            blocks: Vec::new(),
            since: None,
            finds: false,
            cues: Vec::new(),
            end: 0,
            told: 0,
        }
    }

    fn tell_duration(&mut self, end: u64, out: &mut Output) {
        let mut element = Vec::new();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds within 2^53")]
        ebml::float(&mut element, 0x4489, (end / 1_000) as f64 / 1_000.0);
        out.patches.push((self.duration, element));
        self.told = end;
    }
}

impl Muxer for Matroska {
    fn push(&mut self, track: usize, sample: &Sample, out: &mut Output) {
        let Some(codec) = self.codecs.get(track).copied() else {
            return;
        };
        let time = sample.pts / MILLISECOND;
        let finds = track == self.main && sample.key;
        if let Some(since) = self.since {
            let age = time.saturating_sub(since);
            // A block says its distance from its cluster in 16 bits.
            let beyond = age > 30_000 || since.saturating_sub(time) > 30_000;
            let new_picture = finds && !codec.is_audio() && age > 0;
            if new_picture
                || beyond
                || age >= PIECE.as_millis() as u64
                || self.blocks.len() > MAX_PIECE_BYTES
            {
                self.flush(out);
            }
        }
        let since = *self.since.get_or_insert_with(|| {
            self.finds = finds;
            time
        });
        let number = u8::try_from(track + 1).unwrap_or(127);
        let offset = i128::from(time) - i128::from(since);
        let offset = i16::try_from(offset).unwrap_or(0).to_be_bytes();
        let head = [
            0x80 | number,
            offset[0],
            offset[1],
            if sample.key { 0x80 } else { 0 },
        ];
        ebml::id(&mut self.blocks, 0xa3);
        let bytes = sample.data.bytes();
        if codec == Codec::Av1 {
            // AV1 in Matroska has no temporal delimiters.
            let units = || {
                bitstream::av1_units(bytes)
                    .filter(|(kind, _)| *kind != bitstream::AV1_TEMPORAL_DELIMITER)
                    .map(|(_, unit)| unit)
            };
            let length: usize = units().map(<[u8]>::len).sum();
            ebml::size(&mut self.blocks, (head.len() + length) as u64);
            self.blocks.extend_from_slice(&head);
            units().for_each(|unit| self.blocks.extend_from_slice(unit));
        } else {
            ebml::size(&mut self.blocks, (head.len() + bytes.len()) as u64);
            self.blocks.extend_from_slice(&head);
            self.blocks.extend_from_slice(bytes);
        }
        self.end = self.end.max(sample.pts + sample.duration);
    }

    /// Sizes are in the keyframes of all codecs, parameter sets of H.264 and H.265 in band as well.
    fn reformat(&mut self, track: usize, format: &Format, _out: &mut Output) -> bool {
        self.codecs.get(track) == Some(&format.codec) && !format.codec.is_audio()
    }

    fn flush(&mut self, out: &mut Output) {
        let Some(since) = self.since.take() else {
            return;
        };
        let last = self.cues.last().map(|(time, _)| *time);
        if self.finds
            && self.cues.len() < MAX_INDEX
            && last.is_none_or(|last| since >= last + CUE_EVERY)
        {
            self.cues.push((since, out.position() - self.segment));
        }
        let mut timestamp = Vec::new();
        ebml::uint(&mut timestamp, 0xe7, since);
        ebml::id(&mut out.append, CLUSTER);
        let length = timestamp.len() + self.blocks.len();
        ebml::size(&mut out.append, length as u64);
        out.append.append(&mut timestamp);
        out.append.append(&mut self.blocks);
        if self.end >= self.told + DURATION_EVERY {
            self.tell_duration(self.end, out);
        }
    }

    fn finish(&mut self, end: u64, out: &mut Output) {
        self.flush(out);
        let cues = out.position();
        if !self.cues.is_empty() {
            ebml::master(&mut out.append, CUES, |all| {
                for (time, position) in &self.cues {
                    ebml::master(all, 0xbb, |point| {
                        ebml::uint(point, 0xb3, *time);
                        ebml::master(point, 0xb7, |place| {
                            ebml::uint(place, 0xf7, self.main as u64 + 1);
                            ebml::uint(place, 0xf1, *position);
                        });
                    });
                }
            });
        }
        let length = out.position() - self.segment;
        let mut size = Vec::new();
        ebml::size_in(&mut size, length, 8);
        out.patches.push((self.segment - 8, size));
        let mut seek = Vec::new();
        ebml::master(&mut seek, SEEK_HEAD, |head| {
            let mut places = vec![(INFO, self.info), (TRACKS, self.tracks)];
            if !self.cues.is_empty() {
                places.push((CUES, cues));
            }
            for (element, position) in places {
                ebml::master(head, 0x4dbb, |entry| {
                    ebml::bytes(entry, 0x53ab, &element.to_be_bytes());
                    ebml::uint(entry, 0x53ac, position - self.segment);
                });
            }
        });
        let rest = SEEK_ROOM - seek.len();
        ebml::void(&mut seek, rest);
        out.patches.push((self.seek_room, seek));
        self.tell_duration(end.max(self.end), out);
    }
}

/// One track, as the head of a file lists it.
fn describe(entry: &mut Vec<u8>, number: u64, format: &Format) {
    let is_audio = format.codec.is_audio();
    ebml::uint(entry, 0xd7, number);
    ebml::uint(entry, 0x73c5, number);
    ebml::uint(entry, 0x83, if is_audio { 2 } else { 1 });
    ebml::uint(entry, 0x9c, 0);
    ebml::bytes(entry, 0x0022_b59c, b"und");
    let (codec, private) = codec_id(format);
    ebml::bytes(entry, 0x86, codec.as_bytes());
    if !private.is_empty() {
        ebml::bytes(entry, 0x63a2, &private);
    }
    if format.codec == Codec::Opus {
        let skip = format
            .private
            .get(10..12)
            .map_or(0, |skip| u64::from(u16::from_le_bytes([skip[0], skip[1]])));
        ebml::uint(entry, 0x56aa, skip * 1_000_000_000 / 48_000);
        ebml::uint(entry, 0x56bb, 80_000_000);
    }
    if is_audio {
        ebml::master(entry, 0xe1, |audio| {
            ebml::float(audio, 0xb5, f64::from(format.rate));
            ebml::uint(audio, 0x9f, u64::from(format.channels));
        });
    } else {
        ebml::master(entry, 0xe0, |video| {
            ebml::uint(video, 0xb0, u64::from(format.width));
            ebml::uint(video, 0xba, u64::from(format.height));
        });
    }
}

/// Name and private data of a codec. What Matroska has no name for is named as in AVI files.
fn codec_id(format: &Format) -> (&'static str, Vec<u8>) {
    let native = |name| (name, format.private.clone());
    match format.codec {
        Codec::Vp8 => ("V_VP8", Vec::new()),
        Codec::Vp9 => ("V_VP9", Vec::new()),
        Codec::Av1 => native("V_AV1"),
        Codec::H264 => native("V_MPEG4/ISO/AVC"),
        Codec::H265 => native("V_MPEGH/ISO/HEVC"),
        Codec::H263 => ("V_MS/VFW/FOURCC", bitmap_header(format, *b"H263")),
        Codec::Jpeg => ("V_MJPEG", Vec::new()),
        Codec::Opus => native("A_OPUS"),
        Codec::Vorbis => native("A_VORBIS"),
        Codec::Aac => native("A_AAC"),
        Codec::Pcmu => ("A_MS/ACM", wave_header(format, 7, 1, 8)),
        Codec::Pcma => ("A_MS/ACM", wave_header(format, 6, 1, 8)),
        Codec::Speex => ("A_MS/ACM", wave_header(format, 0xa109, 1, 0)),
        Codec::G722 => ("A_MS/ACM", wave_header(format, 0x028f, 1, 4)),
        Codec::AmrNb => ("A_MS/ACM", wave_header(format, 0x57, 1, 0)),
    }
}

/// BITMAPINFOHEADER.
fn bitmap_header(format: &Format, name: [u8; 4]) -> Vec<u8> {
    let mut header = 40_u32.to_le_bytes().to_vec();
    for size in [format.width, format.height] {
        header.extend_from_slice(&size.to_le_bytes());
    }
    header.extend_from_slice(&[1, 0, 24, 0]);
    header.extend_from_slice(&name);
    header.resize(40, 0);
    header
}

/// WAVEFORMATEX.
fn wave_header(format: &Format, tag: u16, align: u16, bits: u16) -> Vec<u8> {
    let channels = u16::try_from(format.channels).unwrap_or(1);
    let bytes_per_second = format
        .rate
        .saturating_mul(u32::from(bits.max(8)) / 8)
        .saturating_mul(format.channels);
    let mut header = Vec::new();
    header.extend_from_slice(&tag.to_le_bytes());
    header.extend_from_slice(&channels.to_le_bytes());
    header.extend_from_slice(&format.rate.to_le_bytes());
    header.extend_from_slice(&bytes_per_second.to_le_bytes());
    header.extend_from_slice(&align.saturating_mul(channels).to_le_bytes());
    header.extend_from_slice(&bits.to_le_bytes());
    let extra = u16::try_from(format.private.len()).unwrap_or(0);
    header.extend_from_slice(&extra.to_le_bytes());
    header.extend_from_slice(&format.private[..usize::from(extra)]);
    header
}
