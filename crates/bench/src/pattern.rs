//! What a publisher sends, and when.

use salono_media_api::MediaKind;
use std::thread;
use std::time::{Duration, Instant};

/// Largest RTP payload of a video packet: 1 200 bytes less header and header extensions, as browsers keep to.
const MAX_VIDEO_PAYLOAD: usize = 1_160;

/// Sizes of successive frames between keyframes, in per cent of their mean: encoders come near their target
/// bitrate, not to it. The mean of these is 100.
const FRAME_SIZES: [usize; 8] = [96, 112, 88, 104, 90, 114, 98, 98];

/// How many times the mean a keyframe takes.
const KEYFRAME_SIZE: usize = 4;

/// VP8 payload descriptor (RFC 7741 §4.2) with a 15 bit picture id, as browsers send it.
const VP8_DESCRIPTOR: usize = 4;

/// Traffic of one publisher: frames of a camera and packets of a microphone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Video frames per second; 0 for no video.
    pub frames_per_second: u32,
    /// Mean bitrate of the video's RTP payloads, bits per second.
    pub video_bps: u32,
    /// Every so many frames is a keyframe, four times as large as frames are in the mean.
    pub keyframe_every: u64,
    /// Audio packets per second; 0 for no audio.
    pub audio_per_second: u32,
    /// RTP payload bytes of an audio packet.
    pub audio_bytes: usize,
}

impl Default for Pattern {
    /// A camera at 1.5 Mbit/s, 30 frames of 5 or 6 packets, a keyframe every 3 s, and Opus at 48 kbit/s in
    /// 20 ms packets.
    fn default() -> Self {
        Self {
            frames_per_second: 30,
            video_bps: 1_500_000,
            keyframe_every: 90,
            audio_per_second: 50,
            audio_bytes: 120,
        }
    }
}

/// What is sent at one moment: a video frame or an audio packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Time since the beginning.
    pub at: Duration,
    /// Audio or video.
    pub kind: MediaKind,
    /// Number of the frame or audio packet, from 0.
    pub number: u64,
    /// It is a video frame that needs no other.
    pub keyframe: bool,
    /// RTP payload bytes of all packets together.
    pub bytes: usize,
}

impl Burst {
    /// RTP payload bytes of each packet: as even as can be, the larger ones first.
    pub fn packets(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.bytes.div_ceil(MAX_VIDEO_PAYLOAD).max(1);
        let (each, rest) = (self.bytes / count, self.bytes % count);
        (0..count).map(move |index| each + usize::from(index < rest))
    }
}

impl Pattern {
    /// A microphone alone.
    pub fn audio_only() -> Self {
        Self {
            frames_per_second: 0,
            ..Self::default()
        }
    }

    /// Whether there is video.
    pub fn has_video(&self) -> bool {
        self.frames_per_second > 0
    }

    /// What is sent, in order of time, without end unless nothing is sent at all.
    pub fn bursts(&self) -> impl Iterator<Item = Burst> + use<> {
        let mut video = self.frames().peekable();
        let mut audio = self.audio().peekable();
        std::iter::from_fn(move || match (video.peek(), audio.peek()) {
            (Some(frame), Some(packet)) if packet.at < frame.at => audio.next(),
            (Some(_), _) => video.next(),
            (None, _) => audio.next(),
        })
    }

    /// Bytes of a keyframe.
    pub fn keyframe_bytes(&self) -> usize {
        self.mean_frame() * KEYFRAME_SIZE
    }

    /// Bytes of a frame in the mean, keyframes included.
    fn mean_frame(&self) -> usize {
        self.video_bps as usize / 8 / self.frames_per_second.max(1) as usize
    }

    fn frames(&self) -> impl Iterator<Item = Burst> + use<> {
        let rate = u64::from(self.frames_per_second);
        let every = self.keyframe_every.max(2);
        let keyframe = self.keyframe_bytes();
        // What keyframes leave to the others.
        let mean =
            (self.mean_frame() * every as usize).saturating_sub(keyframe) / (every as usize - 1);
        (0..u64::MAX)
            .take_while(move |_| rate > 0)
            .map(move |number| {
                let is_keyframe = number.is_multiple_of(every);
                let share = FRAME_SIZES[(number % FRAME_SIZES.len() as u64) as usize];
                Burst {
                    at: nth(number, rate),
                    kind: MediaKind::Video,
                    number,
                    keyframe: is_keyframe,
                    bytes: if is_keyframe {
                        keyframe
                    } else {
                        mean * share / 100
                    },
                }
            })
    }

    fn audio(&self) -> impl Iterator<Item = Burst> + use<> {
        let (rate, bytes) = (u64::from(self.audio_per_second), self.audio_bytes);
        (0..u64::MAX)
            .take_while(move |_| rate > 0)
            .map(move |number| Burst {
                at: nth(number, rate),
                kind: MediaKind::Audio,
                number,
                keyframe: false,
                bytes,
            })
    }
}

/// When number `number` is due at `rate` a second.
fn nth(number: u64, rate: u64) -> Duration {
    Duration::from_nanos(number.saturating_mul(1_000_000_000) / rate.max(1))
}

/// Payload descriptor and first payload byte of a VP8 packet.
pub(crate) fn vp8_head(frame: u64, is_first: bool, is_keyframe: bool) -> [u8; VP8_DESCRIPTOR + 1] {
    // X: extensions follow; S: a partition begins.
    let flags = 0x80 | if is_first { 0x10 } else { 0 };
    // RFC 7741 §4.3: the lowest bit is clear in keyframes.
    let inter = u8::from(!is_keyframe);
    let [high, low] = (frame as u16 & 0x7fff).to_be_bytes();
    [flags, 0x80, 0x80 | high, low, inter]
}

/// Keeps to a schedule in real time.
#[derive(Debug, Clone, Copy)]
pub struct Pacer {
    /// The beginning.
    start: Instant,
}

impl Pacer {
    /// A schedule that begins now.
    pub fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// Waits, without using CPU time, until `at` after the beginning; returns at once when that
    /// is past.
    pub fn wait_until(&self, at: Duration) {
        loop {
            let left = at.saturating_sub(self.start.elapsed());
            if left.is_zero() {
                return;
            }
            thread::park_timeout(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_pattern_is_a_camera_of_one_and_a_half_megabits_and_a_microphone() {
        let minute: Vec<_> = Pattern::default()
            .bursts()
            .take_while(|burst| burst.at < Duration::from_secs(60))
            .collect();
        assert!(minute.is_sorted_by_key(|burst| burst.at));
        let of = |kind| minute.iter().filter(move |burst| burst.kind == kind);
        assert_eq!(of(MediaKind::Audio).count(), 3_000);
        assert_eq!(of(MediaKind::Video).count(), 1_800);
        assert_eq!(
            of(MediaKind::Video).filter(|frame| frame.keyframe).count(),
            20
        );
        let bps = of(MediaKind::Video).map(|frame| frame.bytes).sum::<usize>() * 8 / 60;
        assert!((1_485_000..1_515_000).contains(&bps), "{bps}");
        for frame in of(MediaKind::Video) {
            let sizes: Vec<_> = frame.packets().collect();
            assert_eq!(sizes.iter().sum::<usize>(), frame.bytes);
            assert!(
                frame.keyframe || (5..=6).contains(&sizes.len()),
                "{sizes:?}"
            );
            assert!(sizes.is_sorted_by(|a, b| a >= b) && sizes[0] - sizes[sizes.len() - 1] <= 1);
            assert!(sizes[0] <= MAX_VIDEO_PAYLOAD);
        }
    }

    #[test]
    fn silent_pattern_ends() {
        let pattern = Pattern {
            audio_per_second: 0,
            ..Pattern::audio_only()
        };
        assert_eq!(pattern.bursts().next(), None);
    }

    #[test]
    fn pacer_is_never_early() {
        let (began, pacer) = (Instant::now(), Pacer::start());
        for at in [0, 2, 5].map(Duration::from_millis) {
            pacer.wait_until(at);
            assert!(began.elapsed() >= at);
        }
    }
}
