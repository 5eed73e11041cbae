//! What a publisher sends, and when.

use salono_media_api::MediaKind;
use std::thread;
use std::time::{Duration, Instant};

/// Traffic of one publisher: video frames of equal packets, and audio packets between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    /// Video frames per second; 0 for no video.
    pub frames_per_second: u32,
    /// RTP packets of a video frame, sent back to back as browsers do.
    pub packets_per_frame: u32,
    /// RTP payload bytes of a video packet.
    pub video_bytes: usize,
    /// Audio packets per second; 0 for no audio.
    pub audio_per_second: u32,
    /// RTP payload bytes of an audio packet.
    pub audio_bytes: usize,
}

impl Default for Pattern {
    /// A camera at 1.44 Mbit/s (30 frames of 5 × 1 200 bytes) and Opus at 48 kbit/s in 20 ms
    /// packets.
    fn default() -> Self {
        Self {
            frames_per_second: 30,
            packets_per_frame: 5,
            video_bytes: 1_200,
            audio_per_second: 50,
            audio_bytes: 120,
        }
    }
}

/// Packets that are sent at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// Time since the beginning.
    pub at: Duration,
    /// Audio or video.
    pub kind: MediaKind,
    /// Number of the frame or audio packet, from 0.
    pub number: u64,
    /// Number of packets.
    pub packets: u32,
    /// RTP payload bytes of each.
    pub bytes: usize,
}

impl Pattern {
    /// What is sent within `length`, in order of time.
    pub fn bursts(&self, length: Duration) -> impl Iterator<Item = Burst> {
        let mut video = self.stream(MediaKind::Video).peekable();
        let mut audio = self.stream(MediaKind::Audio).peekable();
        std::iter::from_fn(move || match (video.peek(), audio.peek()) {
            (Some(frame), Some(packet)) if packet.at < frame.at => audio.next(),
            (Some(_), _) => video.next(),
            (None, _) => audio.next(),
        })
        .take_while(move |burst| burst.at < length)
    }

    /// RTP packets within `length`.
    pub fn packets(&self, length: Duration) -> u64 {
        self.bursts(length)
            .map(|burst| u64::from(burst.packets))
            .sum()
    }

    /// The bursts of one kind, without end.
    fn stream(&self, kind: MediaKind) -> impl Iterator<Item = Burst> + use<> {
        let (rate, packets, bytes) = match kind {
            MediaKind::Video => (
                self.frames_per_second,
                self.packets_per_frame,
                self.video_bytes,
            ),
            MediaKind::Audio => (self.audio_per_second, 1, self.audio_bytes),
            MediaKind::Data => (0, 0, 0),
        };
        let numbers = (0..u64::MAX).take_while(move |_| rate > 0 && packets > 0);
        numbers.map(move |number| Burst {
            at: Duration::from_nanos(number.saturating_mul(1_000_000_000) / u64::from(rate.max(1))),
            kind,
            number,
            packets,
            bytes,
        })
    }
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
    fn second_of_the_usual_pattern_is_150_video_and_50_audio_packets_in_order() {
        let pattern = Pattern::default();
        let bursts: Vec<_> = pattern.bursts(Duration::from_secs(1)).collect();
        let count = |kind| bursts.iter().filter(|burst| burst.kind == kind).count();
        assert_eq!((count(MediaKind::Video), count(MediaKind::Audio)), (30, 50));
        assert!(bursts.is_sorted_by_key(|burst| burst.at));
        assert_eq!(pattern.packets(Duration::from_secs(1)), 200);
        assert_eq!(pattern.packets(Duration::from_secs(60)), 12_000);
    }

    #[test]
    fn silent_pattern_ends() {
        let pattern = Pattern {
            frames_per_second: 0,
            audio_per_second: 0,
            ..Pattern::default()
        };
        assert_eq!(pattern.packets(Duration::from_secs(1)), 0);
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
