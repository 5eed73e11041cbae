//! Messages of the media socket of seam C.
//!
//! A message is a sequence of items. An item is a length of two bytes, big endian, and as many bytes
//! of an RTP or RTCP packet (told apart as in RFC 5761). The length 0 stands for four bytes of credit instead: as many more bytes
//! of packets may be sent the other way.

/// Longest message, in bytes.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Credit that each side has at the beginning, in bytes.
pub const INITIAL_CREDIT: u32 = 2 * 1024 * 1024;

/// One item of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// An RTP or RTCP packet.
    Packet(&'a [u8]),
    /// As many more bytes may be sent to whoever sent this.
    Credit(u32),
}

/// Adds a packet to a message; false, and nothing added, when it does not fit or is empty.
#[must_use]
pub fn push_packet(message: &mut Vec<u8>, packet: &[u8]) -> bool {
    let Ok(length) = u16::try_from(packet.len()) else {
        return false;
    };
    if length == 0 || message.len() + 2 + packet.len() > MAX_MESSAGE {
        return false;
    }
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(packet);
    true
}

/// Adds credit to a message; false when it does not fit.
#[must_use]
pub fn push_credit(message: &mut Vec<u8>, bytes: u32) -> bool {
    if message.len() + 6 > MAX_MESSAGE {
        return false;
    }
    message.extend_from_slice(&[0, 0]);
    message.extend_from_slice(&bytes.to_be_bytes());
    true
}

/// The items of a message. Ends early where the rest is cut off.
pub fn read(message: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut rest = message;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            let (credit, after) = after.split_first_chunk::<4>()?;
            rest = after;
            return Some(Frame::Credit(u32::from_be_bytes(*credit)));
        }
        let (packet, after) = after.split_at_checked(length)?;
        rest = after;
        Some(Frame::Packet(packet))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_come_out_as_they_went_in() {
        let mut message = Vec::new();
        assert!(push_packet(&mut message, b"abc"));
        assert!(push_credit(&mut message, 70_000));
        assert!(push_packet(&mut message, b"d"));
        let items: Vec<_> = read(&message).collect();
        let expected = [
            Frame::Packet(b"abc"),
            Frame::Credit(70_000),
            Frame::Packet(b"d"),
        ];
        assert_eq!(items, expected);
    }

    #[test]
    fn a_message_that_was_cut_off_yields_what_is_whole() {
        let mut message = Vec::new();
        assert!(push_packet(&mut message, b"abc"));
        assert!(push_packet(&mut message, b"def"));
        message.truncate(8);
        assert_eq!(read(&message).collect::<Vec<_>>(), [Frame::Packet(b"abc")]);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut message = vec![0; MAX_MESSAGE - 4];
        assert!(!push_packet(&mut message, b"abc"));
        assert!(push_packet(&mut message, b"ab"));
        assert!(!push_credit(&mut message, 1));
        assert!(!push_packet(&mut Vec::new(), b""));
    }
}
