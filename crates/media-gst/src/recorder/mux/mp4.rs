//! MP4 (ISO/IEC 14496-12) in fragments: whatever fragments are written play, without anything after them.
//!
//! Every fragment says when it begins, so that gaps stay gaps. H.264 and H.265 begin as `avc1` and `hvc1`, which everything
//! plays; when parameter sets change in band, the letters in the head become `avc3` and `hev1`, which allow that.

use super::boxes::{boxed, full, u32, u64};
use super::{MAX_INDEX, MAX_PIECE_BYTES, Muxer, Output, PIECE, Sample, mp4_entry};
use crate::recorder::bitstream;
use crate::recorder::format::{Codec, Format};

/// Flags of a sample that depends on no other, and of one that does (section 8.8.3.1).
const KEY: u32 = 0x0200_0000;
const DELTA: u32 = 0x0101_0000;

/// The duration is brought up to date after so many nanoseconds.
const DURATION_EVERY: u64 = 2_000_000_000;

/// A file being written.
pub(super) struct Mp4 {
    tracks: Vec<Track>,
    sequence: u32,
    /// Where the duration is.
    duration: u64,
    /// When the fragment at hand began, in nanoseconds.
    since: Option<u64>,
    held: usize,
    end: u64,
    told: u64,
}

struct Track {
    codec: Codec,
    timescale: u32,
    /// Where the letters of the codec are in the file.
    letters: u64,
    samples: Vec<Entry>,
    data: Vec<u8>,
    /// Fragments that begin with a keyframe: time in ticks, position.
    index: Vec<(u64, u64)>,
}

struct Entry {
    dts: u64,
    /// In ticks; `None` until the next one is there.
    duration: Option<u32>,
    /// Taken when there is no next one.
    nominal: u32,
    offset: i32,
    size: u32,
    key: bool,
}

impl Mp4 {
    pub(super) fn begin(tracks: &[Format], out: &mut Output) -> Self {
        let base = out.position();
        let head = &mut out.append;
        let start = head.len();
        boxed(head, b"ftyp", |head| {
            head.extend_from_slice(b"iso6");
            u32(head, 0);
            head.extend_from_slice(b"iso6iso5mp41");
        });
        let mut letters = Vec::new();
        let mut duration = 0;
        boxed(head, b"moov", |head| {
            let count = u32::try_from(tracks.len()).unwrap_or(0);
            mp4_entry::movie(head, count);
            for (number, format) in (1..).zip(tracks) {
                letters.push(mp4_entry::track(head, number, format));
            }
            boxed(head, b"mvex", |head| {
                full(head, b"mehd", 1, 0, |head| {
                    duration = head.len();
                    u64(head, 0);
                });
                for number in 1..=count {
                    full(head, b"trex", 0, 0, |head| {
                        for value in [number, 1, 0, 0, 0] {
                            u32(head, value);
                        }
                    });
                }
            });
        });
        let place = |at: usize| base + (at - start) as u64;
        let tracks = tracks.iter().zip(letters).map(|(format, letters)| Track {
            codec: format.codec,
            timescale: mp4_entry::timescale(format),
            letters: place(letters),
            samples: Vec::new(),
            data: Vec::new(),
            index: Vec::new(),
        });
        Self {
            tracks: tracks.collect(),
            sequence: 0,
            duration: place(duration),
            since: None,
            held: 0,
            end: 0,
            told: 0,
        }
    }

    /// Writes a fragment of all samples whose duration is known, or of all.
    fn cut(&mut self, all: bool, out: &mut Output) {
        self.since = None;
        let mut parts: Vec<(usize, Vec<Entry>, Vec<u8>)> = Vec::new();
        for (number, track) in self.tracks.iter_mut().enumerate() {
            let is_audio = track.codec.is_audio();
            let keep = track.samples.last().is_some_and(|last| {
                !all && last.duration.is_none() && !(is_audio && last.nominal > 0)
            });
            let count = track.samples.len() - usize::from(keep);
            if count == 0 {
                continue;
            }
            let rest = track.samples.split_off(count);
            let length = rest.first().map_or(0, |entry| entry.size as usize);
            let tail = track.data.split_off(track.data.len() - length);
            let samples = std::mem::replace(&mut track.samples, rest);
            let data = std::mem::replace(&mut track.data, tail);
            parts.push((number, samples, data));
        }
        self.held = self.tracks.iter().map(|track| track.data.len()).sum();
        if parts.is_empty() {
            return;
        }
        self.sequence += 1;
        let start = out.position();
        let at = out.append.len();
        let mut offsets = Vec::new();
        boxed(&mut out.append, b"moof", |out| {
            full(out, b"mfhd", 0, 0, |out| u32(out, self.sequence));
            for (number, samples, _) in &parts {
                let id = u32::try_from(number + 1).unwrap_or(0);
                offsets.push(fragment(out, id, samples));
            }
        });
        let mut data_at = out.append.len() - at + 8;
        for (place, (_, _, data)) in offsets.iter().zip(&parts) {
            let offset = u32::try_from(data_at).unwrap_or(0).to_be_bytes();
            out.append[*place..place + 4].copy_from_slice(&offset);
            data_at += data.len();
        }
        boxed(&mut out.append, b"mdat", |out| {
            for (_, _, data) in &mut parts {
                out.append(data);
            }
        });
        for (number, samples, _) in &parts {
            let index = &mut self.tracks[*number].index;
            if let Some(first) = samples.first()
                && first.key
                && index.len() < MAX_INDEX
            {
                let time = first.dts.saturating_add_signed(first.offset.into());
                index.push((time, start));
            }
        }
        if self.end >= self.told + DURATION_EVERY {
            self.tell_duration(self.end, out);
        }
    }

    fn tell_duration(&mut self, end: u64, out: &mut Output) {
        let milliseconds = end / 1_000_000;
        out.patches
            .push((self.duration, milliseconds.to_be_bytes().to_vec()));
        self.told = end;
    }
}

impl Muxer for Mp4 {
    fn push(&mut self, number: usize, sample: &Sample, out: &mut Output) {
        let Some(track) = self.tracks.get_mut(number) else {
            return;
        };
        let ticks = |time: u64| ticks(time, track.timescale);
        let dts = ticks(sample.dts);
        let nominal = u32::try_from(ticks(sample.duration)).unwrap_or(0);
        let is_audio = track.codec.is_audio();
        if let Some(last) = track.samples.last_mut() {
            let actual = u32::try_from(dts.saturating_sub(last.dts)).unwrap_or(u32::MAX);
            // Sound that is missing is not stretched over the gap: the next fragment says when it begins.
            let gap = is_audio && last.nominal > 0 && actual > last.nominal.saturating_mul(3);
            last.duration = Some(if gap { last.nominal } else { actual });
            if gap {
                self.cut(false, out);
            }
        }
        let age = self
            .since
            .map_or(0, |since| sample.dts.saturating_sub(since));
        let new_picture = sample.key && !is_audio && age > 0;
        if new_picture || u128::from(age) >= PIECE.as_nanos() || self.held > MAX_PIECE_BYTES {
            self.cut(false, out);
        }
        self.since.get_or_insert(sample.dts);
        let track = &mut self.tracks[number];
        let before = track.data.len();
        let bytes = sample.data.bytes();
        if track.codec == Codec::Av1 {
            for (kind, unit) in bitstream::av1_units(bytes) {
                if kind != bitstream::AV1_TEMPORAL_DELIMITER {
                    track.data.extend_from_slice(unit);
                }
            }
        } else {
            track.data.extend_from_slice(bytes);
        }
        let size = track.data.len() - before;
        self.held += size;
        let pts = self::ticks(sample.pts, track.timescale);
        let offset = pts.cast_signed() - dts.cast_signed();
        track.samples.push(Entry {
            dts,
            duration: None,
            nominal,
            offset: i32::try_from(offset).unwrap_or(0),
            size: u32::try_from(size).unwrap_or(0),
            key: sample.key,
        });
        self.end = self.end.max(sample.pts + sample.duration);
    }

    fn reformat(&mut self, number: usize, format: &Format, out: &mut Output) -> bool {
        let Some(track) = self.tracks.get(number) else {
            return false;
        };
        if track.codec != format.codec {
            return false;
        }
        let letters: &[u8] = match format.codec {
            Codec::H264 => b"avc3",
            Codec::H265 => b"hev1",
            Codec::Av1 => b"av01",
            Codec::Aac
            | Codec::Opus
            | Codec::Vp8
            | Codec::Vp9
            | Codec::H263
            | Codec::Jpeg
            | Codec::Vorbis
            | Codec::Pcmu
            | Codec::Pcma
            | Codec::Speex
            | Codec::G722
            | Codec::AmrNb => return false,
        };
        out.patches.push((track.letters, letters.to_vec()));
        true
    }

    fn flush(&mut self, out: &mut Output) {
        self.cut(false, out);
    }

    fn finish(&mut self, end: u64, out: &mut Output) {
        for track in &mut self.tracks {
            let previous = track.samples.iter().rev().nth(1);
            let previous = previous.and_then(|entry| entry.duration);
            if let Some(last) = track.samples.last_mut()
                && last.nominal == 0
            {
                last.nominal = previous.unwrap_or(track.timescale / 30);
            }
        }
        self.cut(true, out);
        let length = out.append.len();
        boxed(&mut out.append, b"mfra", |out| {
            for (number, track) in (1..).zip(&self.tracks) {
                full(out, b"tfra", 1, 0, |out| {
                    u32(out, number);
                    u32(out, 0);
                    u32(out, u32::try_from(track.index.len()).unwrap_or(0));
                    for (time, position) in &track.index {
                        u64(out, *time);
                        u64(out, *position);
                        out.extend_from_slice(&[1, 1, 1]);
                    }
                });
            }
            full(out, b"mfro", 0, 0, |out| {
                let size = out.len() - length + 4;
                u32(out, u32::try_from(size).unwrap_or(0));
            });
        });
        self.tell_duration(end.max(self.end), out);
    }
}

/// Adds the samples of a track in a fragment. Returns where in `out` the offset of their data goes.
fn fragment(out: &mut Vec<u8>, id: u32, samples: &[Entry]) -> usize {
    let mut place = 0;
    boxed(out, b"traf", |out| {
        // The base is the beginning of this fragment.
        full(out, b"tfhd", 0, 0x02_0000, |out| u32(out, id));
        full(out, b"tfdt", 1, 0, |out| {
            u64(out, samples.first().map_or(0, |entry| entry.dts));
        });
        full(out, b"trun", 1, 0xf01, |out| {
            u32(out, u32::try_from(samples.len()).unwrap_or(0));
            place = out.len();
            u32(out, 0);
            for sample in samples {
                u32(out, sample.duration.unwrap_or(sample.nominal));
                u32(out, sample.size);
                u32(out, if sample.key { KEY } else { DELTA });
                out.extend_from_slice(&sample.offset.to_be_bytes());
            }
        });
    });
    place
}

/// Nanoseconds in ticks, rounded.
fn ticks(time: u64, timescale: u32) -> u64 {
    let ticks = (u128::from(time) * u128::from(timescale) + 500_000_000) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}
