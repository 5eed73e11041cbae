//! Which packets of a publisher are measured, and how receivers tell them.
//!
//! Each packet carries its number in its stream and when it was handed to the publisher's stack. A receiver that does
//! not decrypt sees neither; to it the beginning shows by length: the first packets that are measured have lengths that
//! no others have, one each, so that every one of them tells the sequence number of the first.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Index of audio wherever there is one value for each of audio and video.
pub(super) const AUDIO: usize = 0;

/// Index of video there.
pub(super) const VIDEO: usize = 1;

/// RTP payload bytes of the first measured packet of audio and of video. No others are as long, nor are those of the
/// next ones, which are longer by a step each.
const FIRST_LENGTH: [usize; 2] = [40, 400];

/// First measured packets whose lengths tell that they are.
const FIRST_PACKETS: [usize; 2] = [4, 8];

/// More than a server would add to a packet, so that the packets of a frame are of equal length.
const STEP: usize = 16;

/// Where the stamp lies in a payload: behind everything that a codec or the server looks at.
const STAMP_AT: usize = 16;

/// Bytes that a payload needs for its stamp.
const STAMPED_BYTES: usize = STAMP_AT + 16;

/// Lengths of the packets that begin the measurement.
pub(super) fn first_lengths(
    kind: usize,
) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
    (0..FIRST_PACKETS[kind]).map(move |number| FIRST_LENGTH[kind] + number * STEP)
}

/// The number, among those that are measured, of a packet with this payload length, if that tells it.
pub(super) fn number_by_length(kind: usize, payload_len: usize) -> Option<u64> {
    let number = first_lengths(kind).position(|len| len == payload_len);
    number.map(|number| number as u64)
}

/// The packets of one publisher that are measured: numbers from, and up to but without.
#[derive(Debug)]
pub(super) struct Window {
    start: [AtomicU64; 2],
    end: [AtomicU64; 2],
}

impl Window {
    /// Nothing is measured yet.
    pub(super) fn new() -> Self {
        let never = || AtomicU64::new(u64::MAX);
        Self {
            start: [never(), never()],
            end: [never(), never()],
        }
    }

    /// Measures from the packet with this number on.
    pub(super) fn open(&self, kind: usize, number: u64) {
        self.start[kind].store(number, Ordering::SeqCst);
    }

    /// Measures up to the packet before this number.
    pub(super) fn close(&self, kind: usize, number: u64) {
        self.end[kind].store(number, Ordering::SeqCst);
    }

    /// The first number, once it is known.
    pub(super) fn start(&self, kind: usize) -> Option<u64> {
        let start = self.start[kind].load(Ordering::Relaxed);
        (start != u64::MAX).then_some(start)
    }

    /// How many are measured; 0 before the end is known.
    pub(super) fn packets(&self, kind: usize) -> u64 {
        match (self.start(kind), self.end[kind].load(Ordering::SeqCst)) {
            (Some(start), end) if end != u64::MAX => end.saturating_sub(start),
            (Some(_) | None, _) => 0,
        }
    }
}

/// The clock of all stamps.
#[derive(Debug, Clone, Copy)]
pub(super) struct StampClock(Instant);

impl StampClock {
    /// Time begins now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// Writes number and time into a payload, if it has room for them.
    pub(super) fn stamp(self, payload: &mut [u8], number: u64) {
        let nanos = self.0.elapsed().as_nanos() as u64;
        if let Some(stamp) = payload.get_mut(STAMP_AT..STAMPED_BYTES) {
            stamp[..8].copy_from_slice(&number.to_be_bytes());
            stamp[8..].copy_from_slice(&nanos.to_be_bytes());
        }
    }

    /// Number of a stamped packet, and how long ago it was stamped.
    pub(super) fn read(self, payload: &[u8]) -> Option<(u64, Duration)> {
        let stamp = payload.get(STAMP_AT..STAMPED_BYTES)?;
        let number = u64::from_be_bytes(*stamp.first_chunk()?);
        let nanos = u64::from_be_bytes(*stamp.last_chunk()?);
        let age = self.0.elapsed().saturating_sub(Duration::from_nanos(nanos));
        Some((number, age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pattern;
    use salono_media_api::MediaKind;

    #[test]
    fn stamps_read_back_and_fit_the_shortest_packets() {
        let clock = StampClock::start();
        for kind in [AUDIO, VIDEO] {
            let mut payload = vec![0x5a; FIRST_LENGTH[kind]];
            clock.stamp(&mut payload, 77);
            let (number, age) = clock.read(&payload).unwrap();
            assert!(number == 77 && age < Duration::from_secs(60));
        }
        assert_eq!(clock.read(&[0; STAMPED_BYTES - 1]), None);
    }

    #[test]
    fn lengths_that_begin_the_measurement_do_not_occur_otherwise() {
        let minute = Pattern::default().bursts().take(4_800);
        for burst in minute {
            let kind = if burst.kind == MediaKind::Audio {
                AUDIO
            } else {
                VIDEO
            };
            for len in burst.packets() {
                assert_eq!(number_by_length(kind, len), None);
            }
        }
        let numbers = first_lengths(VIDEO).map(|len| number_by_length(VIDEO, len));
        assert!(numbers.eq((0..8).map(Some)));
    }

    #[test]
    fn window_has_a_size_once_it_is_closed() {
        let window = Window::new();
        assert_eq!((window.start(VIDEO), window.packets(VIDEO)), (None, 0));
        window.open(VIDEO, 10);
        assert_eq!((window.start(VIDEO), window.packets(VIDEO)), (Some(10), 0));
        window.close(VIDEO, 25);
        assert_eq!((window.packets(VIDEO), window.packets(AUDIO)), (15, 0));
    }
}
