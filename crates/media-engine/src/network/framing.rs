//! Packets on a byte stream (RFC 4571): each is preceded by its length in two bytes.

/// Largest frame that is accepted: a DTLS record with its header and what encryption adds (RFC 6347
/// §4.1). Media and STUN are far smaller.
pub(super) const MAX_FRAME_BYTES: usize = 16_384 + 2_048 + 13;

/// Bytes of the length.
pub(super) const HEADER_BYTES: usize = 2;

/// Why a stream cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FramingError {
    /// No packet has no bytes.
    #[error("a frame without content")]
    Empty,
    /// No packet is that large.
    #[error("a frame of {0} bytes")]
    TooLarge(usize),
}

/// Finds the frames in what arrives of a stream, however it is cut.
#[derive(Debug, Default)]
pub(super) struct Deframer {
    /// The beginning of a frame, header included; at most one frame.
    partial: Vec<u8>,
}

impl Deframer {
    /// Hands every frame that is complete now to `handle`, in order and without its header.
    /// Frames that lie in `bytes` as a whole are not copied.
    ///
    /// # Errors
    /// The stream is out of step or not of this kind; frames before that were handed over.
    pub(super) fn feed(
        &mut self,
        mut bytes: &mut [u8],
        mut handle: impl FnMut(&mut [u8]),
    ) -> Result<(), FramingError> {
        while !self.partial.is_empty() && !bytes.is_empty() {
            let missing = match frame_end(&self.partial)? {
                None => HEADER_BYTES,
                Some(end) => end,
            } - self.partial.len();
            let (found, rest) = bytes.split_at_mut(missing.min(bytes.len()));
            self.partial.extend_from_slice(found);
            bytes = rest;
            if frame_end(&self.partial)? == Some(self.partial.len()) {
                handle(&mut self.partial[HEADER_BYTES..]);
                self.partial.clear();
            }
        }
        while !bytes.is_empty() {
            match frame_end(bytes)? {
                Some(end) if end <= bytes.len() => {
                    let (frame, rest) = bytes.split_at_mut(end);
                    handle(&mut frame[HEADER_BYTES..]);
                    bytes = rest;
                }
                Some(_) | None => {
                    self.partial.extend_from_slice(bytes);
                    break;
                }
            }
        }
        Ok(())
    }
}

/// Where the frame at the beginning of `bytes` ends; `None` while its header is incomplete.
fn frame_end(bytes: &[u8]) -> Result<Option<usize>, FramingError> {
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return Ok(None);
    };
    match usize::from(u16::from_be_bytes(*header)) {
        0 => Err(FramingError::Empty),
        len if len > MAX_FRAME_BYTES => Err(FramingError::TooLarge(len)),
        len => Ok(Some(HEADER_BYTES + len)),
    }
}

/// The header of a frame; `None` for what cannot be framed.
pub(super) fn header(frame: &[u8]) -> Option<[u8; HEADER_BYTES]> {
    let len = u16::try_from(frame.len()).ok().filter(|len| *len > 0)?;
    Some(len.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stream(frames: &[Vec<u8>]) -> Vec<u8> {
        let framed = |frame: &Vec<u8>| [&header(frame).unwrap()[..], frame].concat();
        frames.iter().flat_map(framed).collect()
    }

    fn feed(deframer: &mut Deframer, bytes: &[u8]) -> (Vec<Vec<u8>>, Result<(), FramingError>) {
        let mut frames = Vec::new();
        let result = deframer.feed(&mut bytes.to_vec(), |frame| frames.push(frame.to_vec()));
        (frames, result)
    }

    #[test]
    fn frames_come_whole_wherever_the_stream_is_cut() {
        let frames = [vec![1], vec![2; 300], vec![3; 2], vec![4; 1_200]];
        let stream = stream(&frames);
        for first in 0..stream.len() {
            for second in (first..stream.len()).step_by(97) {
                let mut deframer = Deframer::default();
                let mut got = Vec::new();
                for piece in [&stream[..first], &stream[first..second], &stream[second..]] {
                    let (frames, result) = feed(&mut deframer, piece);
                    assert_eq!(result, Ok(()));
                    got.extend(frames);
                }
                assert_eq!(got, frames, "cut at {first} and {second}");
            }
        }
        let mut deframer = Deframer::default();
        let got = stream
            .iter()
            .flat_map(|byte| feed(&mut deframer, &[*byte]).0);
        assert_eq!(got.collect::<Vec<_>>(), frames);
    }

    #[test]
    fn what_is_no_frame_ends_the_stream_after_the_frames_before_it() {
        for (bad, error) in [
            ([0, 0], FramingError::Empty),
            ([0xff, 0xff], FramingError::TooLarge(65_535)),
        ] {
            let stream = [&stream(&[vec![7; 20]])[..], &bad].concat();
            let whole = feed(&mut Deframer::default(), &stream);
            assert_eq!(whole, (vec![vec![7; 20]], Err(error)));
            let mut deframer = Deframer::default();
            let last = stream.len() - 1;
            assert_eq!(feed(&mut deframer, &stream[..last]).1, Ok(()));
            assert_eq!(feed(&mut deframer, &stream[last..]), (vec![], Err(error)));
        }
    }

    #[test]
    fn only_what_a_header_can_tell_is_framed() {
        assert_eq!(header(&[]), None);
        assert_eq!(header(&[0; 65_536]), None);
        assert_eq!(header(&[0; 258]), Some([1, 2]));
    }

    proptest! {
        #[test]
        fn no_bytes_panic_or_pile_up(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..40),
        ) {
            let mut deframer = Deframer::default();
            for piece in pieces {
                let failed = feed(&mut deframer, &piece).1.is_err();
                prop_assert!(deframer.partial.len() < HEADER_BYTES + MAX_FRAME_BYTES);
                if failed {
                    break;
                }
            }
        }
    }
}
