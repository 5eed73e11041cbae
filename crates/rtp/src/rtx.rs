//! Retransmission payloads (RFC 4588 §4): the original sequence number in front of the original payload.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use crate::wire;

/// Bytes that precede the original payload: the original sequence number (OSN).
pub const OSN_LEN: usize = 2;

/// Writes the payload of a retransmission of sequence number `original` to `buf`; returns its length, or `None` when
/// it does not fit.
pub fn encapsulate(original: u16, payload: &[u8], buf: &mut [u8]) -> Option<usize> {
    let len = OSN_LEN.checked_add(payload.len())?;
    let target = buf.get_mut(..len)?;
    wire::put(target, 0, &original.to_be_bytes())?;
    wire::put(target, OSN_LEN, payload)?;
    Some(len)
}

/// Original sequence number and payload of a retransmission. `None` when it is too short, as the padding-only packets
/// are that senders probe bandwidth with.
pub fn decapsulate(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (osn, original) = payload.split_first_chunk::<OSN_LEN>()?;
    Some((u16::from_be_bytes(*osn), original))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retransmission_carries_number_and_payload() {
        let mut buf = [0; 8];
        assert_eq!(encapsulate(0xABCD, b"hello", &mut buf), Some(7));
        assert_eq!(decapsulate(&buf[..7]), Some((0xABCD, &b"hello"[..])));
        assert_eq!(encapsulate(1, b"too long", &mut buf), None);
        assert_eq!(decapsulate(&[1]), None);
        assert_eq!(decapsulate(&[0, 1]), Some((1, &[][..])));
    }
}
