//! One track of audio as a detector hears it: how loud it is and how much of it is speech.
//!
//! Only the levels that senders write into their packets are looked at (RFC 6464). Each frame of
//! 20 ms gets a mark: how far it stands out of the track's own background, 0 for what does not. The
//! sums of the marks over the last 100 ms, 500 ms and 1.5 s are what speakers are compared by.

use salono_media_api::ElementKey;
use salono_rtp::ext::AudioLevel;
use std::time::{Duration, Instant};

/// What one mark stands for.
const FRAME: Duration = Duration::from_millis(20);
/// Frames in the windows.
const IMMEDIATE: usize = 5;
const MEDIUM: usize = 25;
const LONG: usize = 75;
/// A packet speaks for the time since the one before it, if that is at most this many frames: the
/// longest packets are of 120 ms (RFC 7587 §4.2). A longer gap was silent.
const MAX_PACKET_FRAMES: usize = 6;
/// Without packets for so long a track is silent.
const STALE: Duration = Duration::from_millis(200);

/// Levels are counted upwards here: 0 is silence, 127 the loudest there can be.
const SILENCE_DBOV: i16 = -127;
/// Backgrounds are taken to be at least and at most so loud.
const MIN_BACKGROUND: i32 = loudness(-62);
const MAX_BACKGROUND: i32 = loudness(-40);
/// What is quieter is a muted microphone and says nothing of the background.
const MUTED: i32 = loudness(-90);
/// How long the least level of a track is remembered: at least once, at most twice that.
const BACKGROUND_SPAN: Duration = Duration::from_secs(5);
/// Decibels per mark, the least mark that counts, and the greatest.
const DB_PER_MARK: i32 = 3;
const MIN_MARK: i32 = 3;
const MAX_MARK: i32 = 13;
/// From here on a track is to be heard.
pub(super) const AUDIBLE: i32 = loudness(-60);

/// Fixed point of the smoothed level.
const UNIT: i32 = 256;

const fn loudness(dbov: i32) -> i32 {
    dbov - SILENCE_DBOV as i32
}

/// One track.
#[derive(Debug)]
pub(crate) struct Voice {
    element: ElementKey,
    /// Smoothed loudness, in `UNIT`s per decibel. Rises at once, falls by half in 100 ms.
    level: i32,
    /// When a packet with a level came last; `None` before the first.
    heard: Option<Instant>,
    /// The sender tells voice from other sounds.
    tells_voice: bool,
    /// Until when there are marks.
    marked: Option<Instant>,
    marks: [u8; LONG],
    /// Where the next mark goes.
    at: usize,
    sums: Sums,
    /// When speech was there last.
    spoke: Option<Instant>,
    background: Background,
}

/// Marks of the last 100 ms, 500 ms and 1.5 s, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) immediate: u16,
    pub(crate) medium: u16,
    pub(crate) long: u16,
    /// Frames of the last 1.5 s with speech.
    pub(crate) frames: u8,
}

/// The least smoothed level of this span of time and of the one before.
#[derive(Debug)]
struct Background {
    before: i32,
    now: i32,
    since: Option<Instant>,
}

impl Voice {
    pub(crate) fn new(element: ElementKey) -> Self {
        Self {
            element,
            level: 0,
            heard: None,
            tells_voice: false,
            marked: None,
            marks: [0; LONG],
            at: 0,
            sums: Sums::default(),
            spoke: None,
            background: Background {
                before: i32::MAX,
                now: i32::MAX,
                since: None,
            },
        }
    }

    /// The element that receives the track.
    pub(crate) fn element(&self) -> ElementKey {
        self.element
    }

    /// Whether the sender ever told a level.
    pub(crate) fn is_known(&self) -> bool {
        self.heard.is_some()
    }

    /// When speech was there last.
    pub(crate) fn spoke(&self) -> Option<Instant> {
        self.spoke
    }

    pub(crate) fn sums(&self) -> Sums {
        self.sums
    }

    /// Smoothed loudness above silence, in decibels.
    pub(crate) fn loudness(&self, now: Instant) -> i32 {
        let is_fresh = self
            .heard
            .is_some_and(|at| now.saturating_duration_since(at) < STALE);
        if is_fresh { self.level / UNIT } else { 0 }
    }

    /// The same in dBov, from −127 to 0.
    pub(crate) fn dbov(&self, now: Instant) -> i8 {
        let dbov = self.loudness(now) + i32::from(SILENCE_DBOV);
        i8::try_from(dbov.clamp(-127, 0)).unwrap_or(-127)
    }

    /// Takes in the level of a packet.
    pub(crate) fn hear(&mut self, level: AudioLevel, now: Instant) {
        self.tells_voice |= level.voice;
        // A sender that never sets the bit does not look for voice (RFC 6464 §4).
        let loudness = if self.tells_voice && !level.voice {
            0
        } else {
            loudness(-i32::from(level.attenuation))
        };
        let due = self.due(now);
        let frames = if due > MAX_PACKET_FRAMES {
            self.fill(due - 1, 0, now);
            1
        } else {
            due
        };
        if self.heard.is_none() {
            self.level = loudness * UNIT;
        }
        for _ in 0..frames.max(1) {
            self.smooth(loudness);
        }
        // A level that still rises is not one of the sound's own.
        if loudness > MUTED && loudness * UNIT <= self.level + UNIT {
            self.background.note(self.level / UNIT, now);
        }
        let mark = self.background.mark(loudness);
        if frames == 0 {
            self.raise(mark);
        } else {
            self.fill(frames, mark, now);
        }
        if mark > 0 {
            self.spoke = Some(now);
        }
        self.heard = Some(now);
    }

    /// Brings the marks up to date where no packets came.
    pub(crate) fn pass(&mut self, now: Instant) {
        let due = self.due(now);
        if due > MAX_PACKET_FRAMES {
            self.level = 0;
            self.fill(due, 0, now);
        }
    }

    /// Frames that passed without a mark.
    fn due(&self, now: Instant) -> usize {
        let Some(marked) = self.marked else {
            return 1;
        };
        let passed = now.saturating_duration_since(marked).as_millis() / FRAME.as_millis();
        // More than the longest window makes no difference.
        usize::try_from(passed).map_or(LONG + 1, |passed| passed.min(LONG + 1))
    }

    fn smooth(&mut self, loudness: i32) {
        let distance = loudness * UNIT - self.level;
        self.level += if distance > 0 {
            distance / 2
        } else {
            distance / 8
        };
    }

    fn fill(&mut self, frames: usize, mark: u8, now: Instant) {
        for _ in 0..frames.min(LONG) {
            self.push(mark);
        }
        let passed = FRAME * u32::try_from(frames).unwrap_or(u32::MAX);
        self.marked = Some(match self.marked {
            Some(marked) if frames <= MAX_PACKET_FRAMES => marked + passed,
            Some(_) | None => now,
        });
    }

    fn push(&mut self, mark: u8) {
        let ago = |frames: usize| u16::from(self.marks[(self.at + LONG - frames) % LONG]);
        let (immediate, medium, long) = (ago(IMMEDIATE), ago(MEDIUM), ago(LONG));
        let sums = &mut self.sums;
        let new = u16::from(mark);
        sums.immediate = (sums.immediate + new).saturating_sub(immediate);
        sums.medium = (sums.medium + new).saturating_sub(medium);
        sums.long = (sums.long + new).saturating_sub(long);
        sums.frames = (sums.frames + u8::from(mark > 0)).saturating_sub(u8::from(long > 0));
        self.marks[self.at] = mark;
        self.at = (self.at + 1) % LONG;
    }

    /// Packets that come close together share a mark, the greatest.
    fn raise(&mut self, mark: u8) {
        let newest = &mut self.marks[(self.at + LONG - 1) % LONG];
        let more = u16::from(mark.saturating_sub(*newest));
        if more == 0 {
            return;
        }
        self.sums.frames += u8::from(*newest == 0);
        *newest = mark;
        self.sums.immediate += more;
        self.sums.medium += more;
        self.sums.long += more;
    }
}

impl Background {
    fn note(&mut self, loudness: i32, now: Instant) {
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) >= BACKGROUND_SPAN {
            self.before = self.now;
            self.now = i32::MAX;
            self.since = Some(now);
        }
        self.now = self.now.min(loudness);
    }

    /// How far a frame stands out.
    fn mark(&self, loudness: i32) -> u8 {
        let background = self
            .before
            .min(self.now)
            .clamp(MIN_BACKGROUND, MAX_BACKGROUND);
        let mark = (loudness - background) / DB_PER_MARK;
        if mark < MIN_MARK {
            return 0;
        }
        u8::try_from(mark.min(MAX_MARK)).unwrap_or(0)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    fn voice() -> Voice {
        Voice::new(ElementKey(1))
    }

    fn level(dbov: i32, voice: bool) -> AudioLevel {
        AudioLevel {
            voice,
            attenuation: u8::try_from(-dbov).unwrap(),
        }
    }

    /// Packets of `packet` for `span` at a level, from `at` on; returns the end.
    fn play(voice: &mut Voice, at: Instant, span: u64, packet: u64, dbov: i32) -> Instant {
        let mut passed = 0;
        while passed < span {
            voice.hear(level(dbov, true), at + Duration::from_millis(passed));
            passed += packet;
        }
        at + Duration::from_millis(span)
    }

    #[test]
    fn a_level_rises_at_once_and_falls_slowly() {
        let (mut voice, start) = (voice(), Instant::now());
        let at = play(&mut voice, start, 100, 20, -30);
        let ms = Duration::from_millis;
        assert!(voice.dbov(at) > -40, "{}", voice.dbov(at));
        let at = play(&mut voice, at, 100, 20, -90);
        assert!((-75..-50).contains(&voice.dbov(at)), "{}", voice.dbov(at));
        let at = play(&mut voice, at, 1_000, 20, -90);
        assert!(voice.dbov(at) < -85);
        assert_eq!(voice.dbov(at + ms(300)), -127, "nothing comes any more");
    }

    #[test]
    fn windows_do_not_depend_on_the_length_of_packets() {
        for packet in [10, 20, 40, 60, 120] {
            let (mut voice, start) = (voice(), Instant::now());
            let at = play(&mut voice, start, 2_400, packet, -80);
            play(&mut voice, at, 600, packet, -35);
            let sums = voice.sums();
            assert!((24..=36).contains(&sums.frames), "{packet} ms: {sums:?}");
            let full = (5 * sums.immediate, sums.medium);
            assert!(full.0.abs_diff(full.1) <= 18, "{packet} ms: {sums:?}");
        }
    }

    #[test]
    fn the_sums_are_those_of_the_marks() {
        let (mut voice, start) = (voice(), Instant::now());
        for step in 0..500_u64 {
            let dbov = -(((step * 37) % 120) as i32);
            let at = start + Duration::from_millis(step * 17 + (step % 3) * 40);
            voice.hear(level(dbov, true), at);
            let ago = |frames: usize| voice.marks[(voice.at + LONG - frames) % LONG];
            let sum = |frames: usize| (1..=frames).map(|n| u16::from(ago(n))).sum::<u16>();
            let sums = voice.sums();
            assert_eq!(sums.immediate, sum(IMMEDIATE));
            assert_eq!(sums.medium, sum(MEDIUM));
            assert_eq!(sums.long, sum(LONG));
            let frames = (1..=LONG).filter(|n| ago(*n) > 0).count();
            assert_eq!(usize::from(sums.frames), frames);
        }
    }

    #[test]
    fn steady_noise_is_background() {
        let (mut voice, mut at) = (voice(), Instant::now());
        for step in 0..1_000 {
            voice.hear(level(-45 + (step * 7) % 5 - 2, true), at);
            at += FRAME;
        }
        assert_eq!(voice.sums(), Sums::default());
        play(&mut voice, at, 200, 20, -25);
        assert!(voice.sums().frames >= 9, "speech stands out of it");
    }

    #[test]
    fn the_pauses_of_discontinuous_transmission_are_silent() {
        let (mut voice, start) = (voice(), Instant::now());
        let mut at = play(&mut voice, start, 400, 20, -80);
        at = play(&mut voice, at, 500, 20, -30);
        // One packet of comfort noise every 400 ms.
        at = play(&mut voice, at, 1_200, 400, -75);
        assert_eq!(voice.sums().medium, 0, "{:?}", voice.sums());
        voice.pass(at + Duration::from_secs(2));
        assert_eq!(voice.sums(), Sums::default());
    }

    #[test]
    fn what_a_sender_tells_from_voice_is_none() {
        let (mut voice, mut at) = (voice(), Instant::now());
        for _ in 0..50 {
            voice.hear(level(-20, false), at);
            at += FRAME;
        }
        assert!(voice.dbov(at) > -30, "it may not look for voice at all");
        voice.hear(level(-20, true), at);
        for _ in 0..100 {
            at += FRAME;
            voice.hear(level(-20, false), at);
        }
        assert!(voice.dbov(at) < -100, "{}", voice.dbov(at));
        assert_eq!(voice.sums(), Sums::default());
    }
}
