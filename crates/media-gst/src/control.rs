//! The control stream: commands in, one JSON text a line.

use crate::inbox::Inbox;
use salono_media_api::processing::bridge::{BridgeCommand, MAX_LINE};
use std::io::{BufRead, Read};

/// Lines that make no sense in a row before the stream is taken for garbage.
const MAX_GARBAGE: u32 = 16;

/// Why commands are no longer read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The supervisor closed the stream.
    Closed,
    /// A line was too long, or too many made no sense.
    Garbage,
}

/// Reads commands into the inbox until the stream ends. Lines that are no command are left out.
pub fn read(stream: impl Read, inbox: &Inbox) -> Ended {
    let mut stream = std::io::BufReader::new(stream);
    let mut line = Vec::new();
    let mut garbage = 0;
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    let ended = loop {
        line.clear();
        match stream.by_ref().take(most).read_until(b'\n', &mut line) {
            Ok(0) => break Ended::Closed,
            Ok(_) if line.last() != Some(&b'\n') && line.len() >= MAX_LINE => break Ended::Garbage,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break Ended::Closed,
        }
        match serde_json::from_slice::<BridgeCommand>(&line) {
            Ok(command) => {
                garbage = 0;
                inbox.command(command);
            }
            Err(error) => {
                eprintln!("not a command: {error}");
                garbage += 1;
                if garbage >= MAX_GARBAGE {
                    break Ended::Garbage;
                }
            }
        }
    };
    inbox.close();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::Input;
    use std::time::Duration;

    #[test]
    fn garbage_between_commands_is_left_out() {
        let inbox = Inbox::default();
        let ended = read(&b"\"End\"\nnonsense\n\xFF\xFE\n\"End\"\n"[..], &inbox);
        assert_eq!(ended, Ended::Closed);
        for _ in 0..2 {
            let input = inbox.wait(Duration::ZERO);
            assert!(matches!(input, Input::Command(BridgeCommand::End)));
        }
        assert!(matches!(inbox.wait(Duration::ZERO), Input::Closed));
    }

    #[test]
    fn endless_garbage_ends_the_stream() {
        let inbox = Inbox::default();
        assert_eq!(read(std::io::repeat(b'x'), &inbox), Ended::Garbage);
        assert_eq!(read(std::io::repeat(b'\n'), &inbox), Ended::Garbage);
    }
}
