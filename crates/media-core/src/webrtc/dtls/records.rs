//! Which records of a datagram OpenSSL gets to see.
//!
//! Before keys are agreed on nothing is authenticated, and OpenSSL ends a session over records that
//! no peer would send. Those are dropped here, so that damaged or forged datagrams cost nothing
//! (RFC 6347 §4.1.2.7 asks for as much).

/// Record header (RFC 6347 §4.1).
pub(super) const HEADER: usize = 13;
/// Header of a handshake message (RFC 6347 §4.2.2).
const MESSAGE_HEADER: usize = 12;
/// Handshake messages longer than this are none; a chain of certificates is the longest.
const MAX_MESSAGE: usize = 64 * 1024;

pub(super) const CHANGE_CIPHER_SPEC: u8 = 20;
pub(super) const ALERT: u8 = 21;
pub(super) const HANDSHAKE: u8 = 22;
pub(super) const APPLICATION_DATA: u8 = 23;
const FATAL: u8 = 2;

/// A record as it came.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: u8,
    pub(super) epoch: u16,
    /// 48 bits.
    pub(super) sequence: u64,
    pub(super) body: &'a [u8],
    /// Header and body.
    pub(super) whole: &'a [u8],
}

/// The records that make sense during a handshake, in their order.
///
/// OpenSSL keeps encrypted ones that come early in buffers of 16 kB each until it can open them, so
/// only `early` more of them are let through.
pub(super) fn sift(datagram: &[u8], early: &mut u32) -> Vec<u8> {
    let mut kept = Vec::with_capacity(datagram.len());
    for record in each(datagram) {
        if makes_sense(&record, early) {
            kept.extend_from_slice(record.whole);
        }
    }
    kept
}

/// All records, up to the first thing that is none.
pub(super) fn each(mut datagram: &[u8]) -> impl Iterator<Item = Record<'_>> {
    std::iter::from_fn(move || {
        let (whole, rest) = split(datagram)?;
        datagram = rest;
        let (header, body) = whole.split_at_checked(HEADER)?;
        let numbers = u64::from_be_bytes(*header.get(3..11)?.first_chunk()?);
        Some(Record {
            kind: header[0],
            epoch: u16::try_from(numbers >> 48).unwrap_or(u16::MAX),
            sequence: numbers & 0xffff_ffff_ffff,
            body,
            whole,
        })
    })
}

/// The first record and what follows it; `None` when the rest is no record.
fn split(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let header = datagram.get(..HEADER)?;
    let length = usize::from(u16::from_be_bytes([header[11], header[12]]));
    // DTLS 1.0 to 1.2; a first flight may name any of them.
    let is_record = header[1] == 254 && matches!(header[2], 253 | 255) && length > 0;
    let whole = HEADER + length;
    (is_record && whole <= datagram.len()).then(|| datagram.split_at(whole))
}

fn makes_sense(record: &Record<'_>, early: &mut u32) -> bool {
    let body = record.body;
    match record.epoch {
        1 => {
            let room = *early > 0;
            *early = early.saturating_sub(1);
            room
        }
        0 => match record.kind {
            HANDSHAKE => is_message(body),
            CHANGE_CIPHER_SPEC if body == [1] => {
                // From here on OpenSSL opens encrypted records or drops them.
                *early = u32::MAX;
                true
            }
            // In the clear only the end of everything is worth hearing.
            ALERT => body.len() == 2 && body[0] == FATAL,
            APPLICATION_DATA => false,
            _ => false,
        },
        _ => false,
    }
}

/// Whether a body is one fragment of a handshake message, or several.
fn is_message(mut body: &[u8]) -> bool {
    while !body.is_empty() {
        let Some(header) = body.get(..MESSAGE_HEADER) else {
            return false;
        };
        let number = |at: usize| {
            usize::from(header[at]) << 16
                | usize::from(header[at + 1]) << 8
                | usize::from(header[at + 2])
        };
        let (length, offset, fragment) = (number(1), number(6), number(9));
        // An empty fragment of a message that is not empty says nothing.
        let is_whole = length <= MAX_MESSAGE
            && offset + fragment <= length
            && (fragment > 0 || length == 0)
            && MESSAGE_HEADER + fragment <= body.len();
        if !is_whole {
            return false;
        }
        body = &body[MESSAGE_HEADER + fragment..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, epoch: u8, body: &[u8]) -> Vec<u8> {
        let mut record = vec![kind, 254, 253, 0, epoch, 0, 0, 0, 0, 0, 0];
        record.extend_from_slice(&(body.len() as u16).to_be_bytes());
        record.extend_from_slice(body);
        record
    }

    #[test]
    fn records_before_a_damaged_one_are_kept() {
        let hello_done = record(HANDSHAKE, 0, &[14, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0]);
        let mut datagram = hello_done.clone();
        datagram.extend_from_slice(&record(CHANGE_CIPHER_SPEC, 0, &[1])[..13]);
        assert_eq!(sift(&datagram, &mut 2), hello_done);
    }

    #[test]
    fn a_handshake_message_that_contradicts_itself_is_dropped() {
        // Longer than the record, beyond its own length, and empty where it should not be.
        for body in [
            [1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 9],
            [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0],
            [1, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0],
            [1, 255, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        ] {
            let datagram = record(HANDSHAKE, 0, &body);
            assert!(sift(&datagram, &mut 2).is_empty());
        }
    }

    #[test]
    fn encrypted_records_that_come_early_are_bounded() {
        let mut early = 2;
        let datagram = record(HANDSHAKE, 1, &[0; 40]).repeat(5);
        assert_eq!(sift(&datagram, &mut early).len(), 2 * 53);
        assert!(sift(&datagram, &mut early).is_empty());
    }
}
