//! Cuts a stream into lines that are not longer than they may be.

use std::io::{self, Read};

/// Most bytes that are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Memory that is kept when nothing is left over.
const KEPT_BYTES: usize = 64 * 1024;

/// What a reader found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Bytes.
    Some,
    /// None for now.
    Nothing,
    /// The end of the stream.
    End,
}

/// Bytes that were read and not taken out as lines yet.
#[derive(Debug)]
pub(super) struct Lines {
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    /// Up to where there is no end of a line.
    searched: usize,
    /// Longest line.
    max: usize,
}

impl Lines {
    /// Lines of up to `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            max,
        }
    }

    /// Reads once from a source that does not wait.
    ///
    /// # Errors
    /// What the source says.
    pub(super) fn fill(&mut self, mut source: impl Read) -> io::Result<Found> {
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        if self.buffer.is_empty() {
            self.buffer.shrink_to(KEPT_BYTES);
        }
        let length = self.buffer.len();
        self.buffer.resize(length + READ_BYTES, 0);
        let result = source.read(&mut self.buffer[length..]);
        self.buffer
            .truncate(length + result.as_ref().map_or(0, |read| *read));
        match result {
            Ok(0) => Ok(Found::End),
            Ok(_) => Ok(Found::Some),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Found::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Found::Some),
            Err(error) => Err(error),
        }
    }

    /// The next whole line, without its end.
    pub(super) fn next_line(&mut self) -> Option<&[u8]> {
        let unsearched = self.buffer.get(self.searched..)?;
        let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.start..self.searched + length;
        self.start = line.end + 1;
        self.searched = self.start;
        self.buffer.get(line)
    }

    /// Whether the line that has begun is longer than it may be; once there is no whole one any more.
    pub(super) fn is_too_long(&self) -> bool {
        self.is_crowded()
    }

    /// Whether lines should be taken out before more is read.
    pub(super) fn is_crowded(&self) -> bool {
        self.buffer.len() - self.start > self.max
    }

    /// What has begun of a line, which is forgotten.
    pub(super) fn take_rest(&mut self) -> Vec<u8> {
        let rest = self.buffer.split_off(self.start);
        self.buffer.clear();
        (self.start, self.searched) = (0, 0);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_wherever_the_stream_is_cut() {
        let stream = b"one\n\nthree\nrest";
        for first in 0..stream.len() {
            let mut lines = Lines::new(5);
            let mut got: Vec<Vec<u8>> = Vec::new();
            for piece in [&stream[..first], &stream[first..]] {
                if !piece.is_empty() {
                    assert_eq!(lines.fill(piece).unwrap(), Found::Some);
                }
                while let Some(line) = lines.next_line() {
                    got.push(line.to_vec());
                }
            }
            assert_eq!(got, [&b"one"[..], b"", b"three"], "cut at {first}");
            assert!(!lines.is_too_long());
            assert_eq!(lines.fill(&b"!!"[..]).unwrap(), Found::Some);
            assert_eq!(lines.next_line(), None);
            assert!(lines.is_too_long());
            assert_eq!(lines.take_rest(), b"rest!!");
            assert_eq!(lines.fill(&b""[..]).unwrap(), Found::End);
            assert_eq!(lines.next_line(), None);
            assert!(!lines.is_too_long());
        }
    }
}
