//! Redundant audio (RFC 2198): a packet that carries, besides its own data, some of packets before.
//!
//! ```text
//!  0                   1                    2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3  4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |1|   block PT  |  timestamp offset         |   block length    |  for each redundant block
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |0|   block PT  |                                                  for the primary one
//! +-+-+-+-+-+-+-+-+   followed by the blocks in the same order
//! ```
//!
//! A forwarder does two things with it: it renames the payload types of the blocks, which each side
//! numbers for itself, and takes the primary data out for those who do not know the format.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

/// Blocks of one packet that are looked at; senders put in two or three.
const MAX_BLOCKS: usize = 16;

/// Header of a redundant block, and of the primary one.
const HEADER: usize = 4;
const PRIMARY_HEADER: usize = 1;

/// A further header follows.
const FOLLOWS: u8 = 0x80;

/// Where the primary data are in the payload of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Primary {
    /// Payload type of the data.
    pub payload_type: u8,
    /// Where they begin; they go on to the end.
    pub start: usize,
}

impl Primary {
    /// Finds the primary data. `None` when the payload is none of this format.
    pub fn find(payload: &[u8]) -> Option<Self> {
        let (headers, redundant, payload_type) = walk(payload)?;
        let start = headers.checked_add(redundant)?;
        (start <= payload.len()).then_some(Self {
            payload_type,
            start,
        })
    }
}

/// Calls the blocks of payload type `from` `to`, which is below 128. What is none of this format is left alone.
pub fn rename(payload: &mut [u8], from: u8, to: u8) {
    let Some((headers, _, _)) = walk(payload) else {
        return;
    };
    let last = headers.saturating_sub(PRIMARY_HEADER);
    for at in (0..=last).step_by(HEADER) {
        if let Some(byte) = payload.get_mut(at)
            && *byte & !FOLLOWS == from
        {
            *byte = (*byte & FOLLOWS) | (to & !FOLLOWS);
        }
    }
}

/// Bytes of all headers, bytes of the redundant blocks, payload type of the primary one.
fn walk(payload: &[u8]) -> Option<(usize, usize, u8)> {
    let (mut at, mut redundant) = (0_usize, 0_usize);
    for _ in 0..MAX_BLOCKS {
        let rest = payload.get(at..)?;
        let first = *rest.first()?;
        if first & FOLLOWS == 0 {
            return Some((at.checked_add(PRIMARY_HEADER)?, redundant, first));
        }
        let [_, _, high, low] = *rest.first_chunk::<HEADER>()?;
        let length = u16::from_be_bytes([high & 0x03, low]);
        redundant = redundant.checked_add(usize::from(length))?;
        at = at.checked_add(HEADER)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Two redundant blocks of payload type 111 and the primary one.
    fn packet() -> Vec<u8> {
        let mut packet = vec![0x80 | 111, 0x1E, 0x00, 3, 0x80 | 111, 0x0F, 0x00, 2, 111];
        packet.extend_from_slice(b"aaabbprimary");
        packet
    }

    #[test]
    fn the_primary_data_are_behind_all_headers_and_blocks() {
        let packet = packet();
        let found = Primary::find(&packet).unwrap();
        assert_eq!(found.payload_type, 111);
        assert_eq!(&packet[found.start..], b"primary");
        let alone = [100, 1, 2];
        assert_eq!(
            Primary::find(&alone),
            Some(Primary {
                payload_type: 100,
                start: 1
            })
        );
    }

    #[test]
    fn lengths_have_ten_bits() {
        let mut packet = vec![0x80 | 111, 0x1E, 0x03, 0xFF, 111];
        packet.resize(5 + 1_023, 7);
        packet.push(9);
        let found = Primary::find(&packet).unwrap();
        assert_eq!(&packet[found.start..], [9]);
    }

    #[test]
    fn what_is_cut_short_is_no_packet() {
        let packet = packet();
        for length in 0..14 {
            assert_eq!(Primary::find(&packet[..length]), None, "{length}");
        }
        assert_eq!(
            Primary::find(&[0x80 | 111; 200]),
            None,
            "headers without end"
        );
    }

    #[test]
    fn blocks_are_renamed_and_nothing_else_is() {
        let mut packet = packet();
        packet[4] = 0x80 | 13;
        let before = packet.clone();
        rename(&mut packet, 111, 96);
        let changed: Vec<usize> = (0..packet.len())
            .filter(|at| packet[*at] != before[*at])
            .collect();
        assert_eq!(changed, [0, 8]);
        assert_eq!((packet[0], packet[8]), (0x80 | 96, 96));
        let mut cut = before[..6].to_vec();
        rename(&mut cut, 111, 96);
        assert_eq!(cut, before[..6]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_survived(mut bytes: Vec<u8>, from: u8, to: u8) {
            if let Some(found) = Primary::find(&bytes) {
                prop_assert!(found.start <= bytes.len());
            }
            let length = bytes.len();
            rename(&mut bytes, from, to);
            prop_assert_eq!(bytes.len(), length);
        }
    }
}
