//! Flash Video: tags one after the other, H.264 with AAC.

use super::{Muxer, Output, Sample};
use crate::recorder::format::{Codec, Format};

const AUDIO: u8 = 8;
const VIDEO: u8 = 9;
const SCRIPT: u8 = 18;

/// The duration is brought up to date after so many nanoseconds.
const DURATION_EVERY: u64 = 2_000_000_000;

/// A file being written.
pub(super) struct Flv {
    codecs: Vec<Codec>,
    /// Where the numbers of the length and of the size are.
    duration: u64,
    size: u64,
    end: u64,
    told: u64,
    /// Time of the last tag, in milliseconds.
    time: u32,
}

impl Flv {
    pub(super) fn begin(tracks: &[Format], out: &mut Output) -> Self {
        let has = |audio| tracks.iter().any(|format| format.codec.is_audio() == audio);
        let flags = u8::from(has(true)) << 2 | u8::from(has(false));
        out.append
            .extend_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0]);
        let mut script = vec![2];
        text(&mut script, "onMetaData");
        let mut values: Vec<(&str, f64)> = vec![("duration", 0.0), ("filesize", 0.0)];
        for format in tracks {
            if format.codec.is_audio() {
                values.push(("audiocodecid", 10.0));
                values.push(("audiosamplerate", f64::from(format.rate)));
            } else {
                values.push(("videocodecid", 7.0));
                values.push(("width", f64::from(format.width)));
                values.push(("height", f64::from(format.height)));
            }
        }
        script.push(8);
        script.extend_from_slice(&u32::try_from(values.len()).unwrap_or(0).to_be_bytes());
        let mut places = Vec::new();
        for (name, value) in values {
            text(&mut script, name);
            script.push(0);
            places.push(script.len() as u64);
            script.extend_from_slice(&value.to_be_bytes());
        }
        script.extend_from_slice(&[0, 0, 9]);
        let base = out.position() + 11;
        tag(&mut out.append, SCRIPT, 0, &[], &script);
        for format in tracks {
            configuration(&mut out.append, 0, format);
        }
        Self {
            codecs: tracks.iter().map(|format| format.codec).collect(),
            duration: base + places[0],
            size: base + places[1],
            end: 0,
            told: 0,
            time: 0,
        }
    }

    fn tell_duration(&mut self, end: u64, out: &mut Output) {
        #[expect(clippy::cast_precision_loss, reason = "microseconds within 2^53")]
        let seconds = (end / 1_000) as f64 / 1_000_000.0;
        out.patches
            .push((self.duration, seconds.to_be_bytes().to_vec()));
        self.told = end;
    }
}

impl Muxer for Flv {
    fn push(&mut self, track: usize, sample: &Sample, out: &mut Output) {
        let Some(codec) = self.codecs.get(track) else {
            return;
        };
        let milliseconds = |time: u64| u32::try_from(time / 1_000_000).unwrap_or(u32::MAX);
        // Players want tags in the order of their time.
        self.time = self.time.max(milliseconds(sample.dts));
        let bytes = sample.data.bytes();
        if codec.is_audio() {
            tag(&mut out.append, AUDIO, self.time, &[0xaf, 1], bytes);
        } else {
            let kind = if sample.key { 0x17 } else { 0x27 };
            let offset = milliseconds(sample.pts.saturating_sub(sample.dts)).to_be_bytes();
            let head = [kind, 1, offset[1], offset[2], offset[3]];
            tag(&mut out.append, VIDEO, self.time, &head, bytes);
        }
        self.end = self.end.max(sample.pts + sample.duration);
        if self.end >= self.told + DURATION_EVERY {
            self.tell_duration(self.end, out);
        }
    }

    fn reformat(&mut self, track: usize, format: &Format, out: &mut Output) -> bool {
        if self.codecs.get(track) != Some(&format.codec) {
            return false;
        }
        configuration(&mut out.append, self.time, format);
        true
    }

    fn flush(&mut self, _out: &mut Output) {}

    fn finish(&mut self, end: u64, out: &mut Output) {
        self.tell_duration(end.max(self.end), out);
        #[expect(clippy::cast_precision_loss, reason = "no file has 2^53 bytes")]
        let size = out.position() as f64;
        out.patches.push((self.size, size.to_be_bytes().to_vec()));
    }
}

fn configuration(out: &mut Vec<u8>, time: u32, format: &Format) {
    if format.codec.is_audio() {
        tag(out, AUDIO, time, &[0xaf, 0], &format.private);
    } else {
        tag(out, VIDEO, time, &[0x17, 0, 0, 0, 0], &format.private);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&u16::try_from(text.len()).unwrap_or(0).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn tag(out: &mut Vec<u8>, kind: u8, time: u32, head: &[u8], body: &[u8]) {
    let length = u32::try_from(head.len() + body.len()).unwrap_or(0);
    let (size, time) = (length.to_be_bytes(), time.to_be_bytes());
    out.extend_from_slice(&[kind, size[1], size[2], size[3]]);
    out.extend_from_slice(&[time[1], time[2], time[3], time[0], 0, 0, 0]);
    out.extend_from_slice(head);
    out.extend_from_slice(body);
    out.extend_from_slice(&(length + 11).to_be_bytes());
}
