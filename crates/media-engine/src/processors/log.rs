//! What a processor writes to its standard output and error, on its way into our log: line by line, cut, and no more
//! than so many lines in a time.

use super::lines::{Found, Lines};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// Longest line; the rest comes as a line of its own.
const MAX_LINE: usize = 1_000;

/// Lines of one [`WINDOW`]; further ones are only counted.
const LINES: u32 = 50;

/// See [`LINES`].
const WINDOW: Duration = Duration::from_secs(5);

/// Reads of one pass; what is left is found by the next.
const READS: usize = 4;

/// The output of one processor.
#[derive(Debug)]
pub(super) struct Log {
    pid: i32,
    lines: Lines,
    /// Lines of this window, and when it began.
    window: (u32, Instant),
    /// Lines that were left out.
    left_out: u64,
    /// What it said last, for whoever asks why it ended.
    last: String,
}

/// How much attention a line deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

impl Log {
    /// Nothing was said yet.
    pub(super) fn new(pid: i32, now: Instant) -> Self {
        Self {
            pid,
            lines: Lines::new(MAX_LINE),
            window: (0, now),
            left_out: 0,
            last: String::new(),
        }
    }

    /// Takes in what is there; false when nothing more will come.
    pub(super) fn read(&mut self, mut source: &UnixStream, now: Instant) -> bool {
        for _ in 0..READS {
            let found = self.lines.fill(&mut source);
            while let Some(line) = self.lines.next_line() {
                let line = String::from_utf8_lossy(line).into_owned();
                self.say(&line, now);
            }
            if self.lines.is_too_long() {
                let rest = self.lines.take_rest();
                self.say(&String::from_utf8_lossy(&rest), now);
            }
            match found {
                Ok(Found::Some) => {}
                Ok(Found::Nothing) => return true,
                Ok(Found::End) => return false,
                Err(error) => {
                    tracing::debug!(pid = self.pid, %error, "output of a processor");
                    return false;
                }
            }
        }
        true
    }

    /// What it said last that may tell why it ended; empty when it said nothing.
    pub(super) fn last(&self) -> &str {
        &self.last
    }

    fn say(&mut self, line: &str, now: Instant) {
        for line in line.as_bytes().chunks(MAX_LINE) {
            let line = plain(&String::from_utf8_lossy(line));
            if !line.is_empty() {
                self.say_one(&line, now);
            }
        }
    }

    fn say_one(&mut self, line: &str, now: Instant) {
        let pid = self.pid;
        if now.saturating_duration_since(self.window.1) >= WINDOW {
            self.window = (0, now);
            let left_out = std::mem::take(&mut self.left_out);
            if left_out > 0 {
                tracing::warn!(pid, left_out, "processor: lines were left out");
            }
        }
        let level = level(line);
        if level <= Level::Info {
            line.clone_into(&mut self.last);
        }
        if self.window.0 >= LINES {
            self.left_out += 1;
            return;
        }
        self.window.0 += 1;
        match level {
            Level::Error => tracing::error!(pid, "processor: {line}"),
            Level::Warn => tracing::warn!(pid, "processor: {line}"),
            Level::Info => tracing::info!(pid, "processor: {line}"),
            Level::Debug => tracing::debug!(pid, "processor: {line}"),
        }
    }
}

/// A line without what would move the cursor or change colours.
fn plain(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut chars = line.trim_end().chars();
    while let Some(char) = chars.next() {
        match char {
            // A sequence of ECMA-48: up to its final letter.
            '\x1b' => {
                let _ = chars.find(char::is_ascii_alphabetic);
            }
            char if char.is_control() => plain.push(' '),
            char => plain.push(char),
        }
    }
    plain
}

/// From how `tracing` and GLib begin their lines.
fn level(line: &str) -> Level {
    let words = line.split_ascii_whitespace().take(6);
    for word in words {
        match word {
            "ERROR" => return Level::Error,
            "WARN" => return Level::Warn,
            "INFO" => return Level::Info,
            "DEBUG" | "TRACE" => return Level::Debug,
            word if word.ends_with("-CRITICAL") || word.ends_with("-WARNING") => {
                return Level::Warn;
            }
            _ => {}
        }
    }
    Level::Info
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_are_cut_counted_and_free_of_control_characters() {
        let now = Instant::now();
        let (reader, mut writer) = UnixStream::pair().unwrap();
        let mut log = Log::new(1, now);
        writer.write_all(b"\x1b[31mred\x1b[0m\tend\r\n").unwrap();
        writer.write_all(&[b'x'; 2 * MAX_LINE + 1]).unwrap();
        writer.write_all(&[b'\n'; 1]).unwrap();
        drop(writer);
        assert!(!log.read(&reader, now));
        assert_eq!((log.window.0, log.last()), (4, "x"));
        (0..100).for_each(|number| log.say(&format!("red {number}"), now));
        assert_eq!((log.window.0, log.left_out), (LINES, 54));
        assert_eq!(log.last(), "red 99");
        log.say("later", now + WINDOW);
        assert_eq!((log.window.0, log.left_out), (1, 0));
        assert_eq!(plain("\x1b[31mred\x1b[0m\tend\r\n"), "red end");
    }

    #[test]
    fn levels_are_those_of_the_line() {
        let lines = [
            ("2026-01-01T00:00:00Z  WARN salono: x", Level::Warn),
            ("ERROR x", Level::Error),
            ("(x:1): GLib-GObject-CRITICAL **: 10:00: y", Level::Warn),
            ("DEBUG x", Level::Debug),
            ("x", Level::Info),
        ];
        for (line, expected) in lines {
            assert_eq!(level(line), expected, "{line}");
        }
    }
}
