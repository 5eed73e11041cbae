//! What fakes show: a film in an IVF file, played again and again, with silence for sound.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use str0m::format::Codec;

/// Two seconds of a test picture, 320x240.
const BUILT_IN: &[u8] = include_bytes!("film.ivf");

/// Lengths of the headers of an IVF file and of each of its frames.
const FILE_HEADER: usize = 32;
const FRAME_HEADER: usize = 12;

/// Longest pause between two frames; what a file says beyond that is not believed.
const LONGEST_FRAME: Duration = Duration::from_secs(10);

/// Opus' shortest packet of silence (RFC 6716 section 3.1: one frame of 20 ms, CELT, stereo).
pub(crate) const SILENCE: [u8; 3] = [0xfc, 0xff, 0xfe];

/// How long each of them lasts.
pub(crate) const SILENCE_LENGTH: Duration = Duration::from_millis(20);

/// Why a file cannot be played.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FilmError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is not IVF. `ffmpeg -i FILE -an -c:v libvpx film.ivf` makes one of most films.
    #[error("not an IVF file; make one with: ffmpeg -i FILE -an -c:v libvpx film.ivf")]
    NotIvf,
    /// Its codec is none of VP8, VP9, H264 and AV1.
    #[error("the codec {0:?} is none of VP80, VP90, H264, AV01")]
    Codec(String),
    /// No frames, or times that make no sense.
    #[error("there is nothing to play in it")]
    Empty,
}

/// A film, in memory. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Film(Arc<Reel>);

#[derive(Debug)]
struct Reel {
    codec: Codec,
    frames: Vec<Frame>,
    length: Duration,
}

/// One encoded picture.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    /// When it is shown, from the beginning.
    pub(crate) at: Duration,
    /// The encoded picture.
    pub(crate) data: Arc<[u8]>,
    /// Whether a decoder may begin here.
    pub(crate) keyframe: bool,
}

impl Film {
    /// Reads an IVF file.
    ///
    /// # Errors
    /// [`FilmError`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FilmError> {
        Self::read(&fs::read(path)?)
    }

    /// Two seconds of a moving test picture, 320x240, VP8.
    #[must_use]
    pub fn test_picture() -> Self {
        Self::read(BUILT_IN).expect("the film that is built in can be played")
    }

    fn read(file: &[u8]) -> Result<Self, FilmError> {
        let header = file.get(..FILE_HEADER).ok_or(FilmError::NotIvf)?;
        if !header.starts_with(b"DKIF") {
            return Err(FilmError::NotIvf);
        }
        let codec = match &header[8..12] {
            b"VP80" => Codec::Vp8,
            b"VP90" => Codec::Vp9,
            b"H264" => Codec::H264,
            b"AV01" => Codec::Av1,
            other => {
                return Err(FilmError::Codec(
                    String::from_utf8_lossy(other).into_owned(),
                ));
            }
        };
        let number = |at: usize| -> u32 {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
        };
        // Ticks are `scale / rate` seconds long.
        let (rate, scale) = (number(16), number(20));
        if rate == 0 || scale == 0 {
            return Err(FilmError::Empty);
        }
        let tick = f64::from(scale) / f64::from(rate);
        let mut frames: Vec<Frame> = Vec::new();
        let mut rest = &file[FILE_HEADER..];
        let mut last = Duration::ZERO;
        while rest.len() > FRAME_HEADER {
            let (head, tail) = rest.split_at(FRAME_HEADER);
            let size = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let low = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            // A file that was cut off ends with its last whole frame.
            let Some(data) = tail.get(..size) else { break };
            let at = Duration::from_secs_f64(f64::from(low) * tick);
            if at < last || at - last > LONGEST_FRAME {
                return Err(FilmError::Empty);
            }
            last = at;
            frames.push(Frame {
                at,
                keyframe: is_keyframe(codec, data),
                data: data.into(),
            });
            rest = &tail[size..];
        }
        let whole = match frames.as_slice() {
            [first, .., before, last] => last.at + (last.at - before.at) - first.at,
            _ => return Err(FilmError::Empty),
        };
        Ok(Self(Arc::new(Reel {
            codec,
            frames,
            length: whole,
        })))
    }

    pub(crate) fn codec(&self) -> Codec {
        self.0.codec
    }

    /// The frame of this number, counted on through all repetitions.
    pub(crate) fn frame(&self, number: u64) -> Frame {
        let reel = &*self.0;
        let count = reel.frames.len() as u64;
        let round = u32::try_from(number / count).unwrap_or(u32::MAX);
        let place = usize::try_from(number % count).unwrap_or_default();
        let mut frame = reel.frames[place].clone();
        frame.at = frame.at.saturating_sub(reel.frames[0].at) + reel.length * round;
        frame
    }

    /// How many frames come before the next one that a decoder may begin at.
    pub(crate) fn until_keyframe(&self, number: u64) -> u64 {
        let count = self.0.frames.len() as u64;
        (0..count)
            .find(|ahead| self.frame(number + ahead).keyframe)
            .unwrap_or(0)
    }
}

impl Default for Film {
    fn default() -> Self {
        Self::test_picture()
    }
}

/// As far as the first bytes tell; in doubt, each frame may be one.
fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    let first = data.first().copied().unwrap_or_default();
    if codec == Codec::Vp8 {
        // RFC 6386 section 9.1.
        first & 1 == 0
    } else if codec == Codec::Vp9 {
        // Frame marker 2, profile, show_existing_frame 0, frame_type 0.
        first & 0b1000_1100 == 0b1000_0000
    } else {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{BUILT_IN, Film, FilmError};

    #[test]
    fn a_film_goes_on_without_a_break() {
        let film = Film::test_picture();
        assert!(film.frame(0).keyframe);
        let step = Duration::from_secs(1) / 15;
        for number in 1..100 {
            let gap = film.frame(number).at - film.frame(number - 1).at;
            assert!(
                gap.abs_diff(step) < Duration::from_millis(2),
                "{number}: {gap:?}"
            );
        }
        let ahead = film.until_keyframe(1);
        assert!(film.frame(1 + ahead).keyframe && ahead < 30);
    }

    #[test]
    fn what_is_no_film_is_refused() {
        assert!(matches!(Film::read(b"RIFF"), Err(FilmError::NotIvf)));
        let mut other = BUILT_IN.to_vec();
        other[8..12].copy_from_slice(b"MJPG");
        assert!(matches!(Film::read(&other), Err(FilmError::Codec(name)) if name == "MJPG"));
        assert!(matches!(Film::read(&BUILT_IN[..32]), Err(FilmError::Empty)));
        let mut still = BUILT_IN.to_vec();
        still[16..20].fill(0);
        assert!(matches!(Film::read(&still), Err(FilmError::Empty)));
        // Wherever it is cut off.
        for end in 0..BUILT_IN.len().min(6_000) {
            let _ = Film::read(&BUILT_IN[..end]);
        }
    }
}
