//! What becomes of frames while a file is open: their order, their time in the file, and when it needs to be another file.

use super::{Failed, Frame, Phase, Session, Shell, Slot, is_over};
use crate::recorder::format::Codec;
use crate::recorder::mux::{Data, Sample};
use crate::recorder::order::REORDER;
use std::time::{Duration, Instant};

/// After a file failed, the next attempt comes so much later, each time twice that.
const RETRY: Duration = Duration::from_secs(5);

/// The longest time between attempts.
const MAX_RETRY: Duration = Duration::from_secs(60);

/// Sound that is missing for longer than this, in nanoseconds, becomes silence. Senders that say nothing while nobody
/// speaks (DTX) leave shorter gaps.
const SILENCE: u64 = 1_000_000_000;

/// Longer gaps stay gaps, in nanoseconds: an hour.
const MAX_SILENCE: u64 = 3_600_000_000_000;

/// A frame of silence, in nanoseconds.
const SILENT_FRAME: u64 = 20_000_000;

/// Sound may begin so much before the end of what it follows, in nanoseconds.
const OVERLAP: u64 = 60_000_000;

impl<S: Shell> Session<S> {
    /// Takes a frame for the file at hand, or finds that it needs another one.
    pub(super) fn store(&mut self, now: Instant, slot: Slot, frame: Frame) {
        let pictures = self.tracks[Slot::Video as usize].stored.is_some();
        let begins = slot == Slot::Video && frame.key;
        if let Phase::Resuming { since } = self.phase {
            if slot == Slot::Audio && pictures && !is_over(since, now) {
                return;
            }
            // What comes first follows what was last.
            self.base = frame.dts.min(frame.pts).saturating_sub(self.end());
            self.phase = Phase::Writing;
        }
        self.adapt(now, slot);
        let track = &self.tracks[slot as usize];
        if track.stored.is_some() && !track.foreign && !(begins && self.roll.is_some()) {
            self.order.push(slot, frame);
            self.write(now, false);
            return;
        }
        self.roll.get_or_insert(now);
        // The other file begins with a keyframe, where there are pictures.
        if begins || !pictures {
            self.roll(now);
            if let Phase::Gathering { since } = &mut self.phase {
                since.get_or_insert(now);
                self.order.push(slot, frame);
                self.gather(now);
            }
        } else {
            self.ask(now);
        }
    }

    /// Brings the file at hand up to what a track is now.
    fn adapt(&mut self, now: Instant, slot: Slot) {
        let track = &mut self.tracks[slot as usize];
        if !std::mem::take(&mut track.stale) {
            return;
        }
        let Some(format) = track.format.clone() else {
            return;
        };
        let Some((index, stored)) = &track.stored else {
            return;
        };
        if *stored == format {
            track.foreign = false;
            return;
        }
        let index = *index;
        // What was before the change goes before it.
        self.write(now, true);
        let Some(file) = &mut self.file else {
            return;
        };
        let fits = file.reformat(index, &format, &mut self.output);
        let track = &mut self.tracks[slot as usize];
        track.foreign = !fits;
        if fits {
            track.stored = Some((index, format));
        }
    }

    /// Ends the file at hand; the next one begins with what comes.
    pub(super) fn roll(&mut self, now: Instant) {
        self.settle(now);
        if self.phase != Phase::Writing {
            return;
        }
        self.end_file();
        self.roll = None;
        self.phase = Phase::Gathering { since: None };
    }

    /// Writes what waits, in order; with `all`, everything.
    pub(super) fn write(&mut self, now: Instant, all: bool) {
        if self.file.is_none() {
            return;
        }
        let expected = self.tracks.each_ref().map(|track| track.stored.is_some());
        while let Some((slot, frame)) = self.order.pop(expected, all) {
            self.put(slot, frame);
        }
        self.fill_silence();
        self.hand_over(now);
    }

    fn put(&mut self, slot: Slot, frame: Frame) {
        let track = &self.tracks[slot as usize];
        // Frames from before the beginning, or the pause, have no place.
        let Some(dts) = frame.dts.checked_sub(self.base) else {
            return;
        };
        let pts = frame.pts.saturating_sub(self.base).max(dts);
        if slot == Slot::Audio {
            // Sound that was given up as missing.
            if track.last.is_some() && dts + OVERLAP < track.end {
                return;
            }
            let missing = dts.saturating_sub(track.end);
            if track.last.is_some() && (missing > SILENCE || track.silent) {
                self.silence(dts);
            }
            self.tracks[Slot::Audio as usize].silent = false;
        }
        self.push(
            slot,
            Sample {
                data: frame.data,
                pts,
                dts,
                duration: frame.duration,
                key: frame.key,
            },
        );
    }

    fn push(&mut self, slot: Slot, mut sample: Sample) {
        let track = &mut self.tracks[slot as usize];
        let (Some(file), Some((index, _))) = (&mut self.file, &track.stored) else {
            return;
        };
        // Times of decoding only grow.
        sample.dts = sample.dts.max(track.last.map_or(0, |last| last + 1));
        sample.pts = sample.pts.max(sample.dts);
        track.last = Some(sample.dts);
        track.end = track.end.max(sample.pts + sample.duration);
        file.push(*index, &sample, &mut self.output);
    }

    /// Sound that is missing while pictures go on becomes silence in time.
    fn fill_silence(&mut self) {
        let audio = &self.tracks[Slot::Audio as usize];
        if audio.last.is_none() || self.tracks[Slot::Video as usize].stored.is_none() {
            return;
        }
        let newest = self.order.newest().saturating_sub(self.base);
        if newest > audio.end.saturating_add(SILENCE) {
            self.silence(newest - REORDER);
        }
    }

    /// Fills the sound up to a time, where its codec has a frame for silence.
    fn silence(&mut self, until: u64) {
        let track = &self.tracks[Slot::Audio as usize];
        let Some((_, format)) = &track.stored else {
            return;
        };
        if format.codec != Codec::Opus || until.saturating_sub(track.end) > MAX_SILENCE {
            return;
        }
        let stereo = format.channels >= 2;
        loop {
            let dts = self.tracks[Slot::Audio as usize].end;
            if dts + SILENT_FRAME > until {
                return;
            }
            // 20 ms of CELT that says only that it is silent (RFC 6716 section 3.1).
            let toc = if stereo { 0xfc } else { 0xf8 };
            let sample = Sample {
                data: Data::Owned(vec![toc, 0xff, 0xfe]),
                pts: dts,
                dts,
                duration: SILENT_FRAME,
                key: true,
            };
            self.push(Slot::Audio, sample);
            self.tracks[Slot::Audio as usize].silent = true;
        }
    }

    /// Writes everything that waits or is held back.
    pub(super) fn settle(&mut self, now: Instant) {
        self.write(now, true);
        self.order.clear();
        self.flush(now);
    }

    pub(super) fn flush(&mut self, now: Instant) {
        self.flushed = Some(now);
        if let Some(file) = &mut self.file {
            file.flush(&mut self.output);
        }
        self.hand_over(now);
    }

    fn hand_over(&mut self, now: Instant) {
        if self.file.is_none() || self.output.is_empty() {
            return;
        }
        if !self.output.append.is_empty() {
            self.flushed = Some(now);
        }
        let (append, patches) = self.output.take();
        match self.shell.write(&append, &patches, self.end()) {
            Ok(()) => self.failures = 0,
            Err(Failed) => {
                let end = self.end();
                self.file = None;
                self.shell.close(end);
                self.broken(now);
            }
        }
    }

    pub(super) fn end_file(&mut self) {
        let end = self.end();
        if let Some(mut file) = self.file.take() {
            file.finish(end, &mut self.output);
            let (append, patches) = self.output.take();
            // What was written before plays without the index.
            let _ = self.shell.write(&append, &patches, end);
            self.shell.close(end);
        }
        for track in &mut self.tracks {
            track.stored = None;
        }
    }

    pub(super) fn broken(&mut self, now: Instant) {
        self.order.clear();
        for track in &mut self.tracks {
            track.stored = None;
        }
        let factor = 1 << self.failures.min(4);
        self.failures = self.failures.saturating_add(1);
        let until = now + (RETRY * factor).min(MAX_RETRY);
        self.phase = Phase::Broken { until };
    }

    /// End of what was written, in nanoseconds of the file.
    fn end(&self) -> u64 {
        let ends = self.tracks.iter().map(|track| track.end);
        ends.max().unwrap_or(0)
    }
}
