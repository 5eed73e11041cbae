//! H.264 payloads (RFC 6184): single NAL units, STAP-A and FU-A.
//!
//! A keyframe starts with the sequence parameter set that precedes the IDR picture, or, when parameter sets went
//! out of band, with the IDR slice itself.

use super::Descriptor;
use crate::wire;

/// NAL unit types (ITU-T H.264 table 7-1, RFC 6184 table 1).
const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SEQUENCE_PARAMETER_SET: u8 = 7;
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

pub(super) fn describe(payload: &[u8]) -> Descriptor {
    let mut found = Found::default();
    match payload.first().map(|byte| byte & 0x1F) {
        Some(STAP_A) => {
            let mut rest = payload.get(1..).unwrap_or(&[]);
            while let Some(len) = wire::u16_at(rest, 0) {
                let Some((unit, tail)) = rest
                    .get(2..)
                    .and_then(|units| units.split_at_checked(usize::from(len)))
                else {
                    break;
                };
                found.look(unit.first().copied(), unit.get(1..).unwrap_or(&[]));
                rest = tail;
            }
        }
        Some(FU_A) => {
            let start = payload.get(1).copied().filter(|header| header & 0x80 != 0);
            found.look(start, payload.get(2..).unwrap_or(&[]));
        }
        Some(_) => found.look(payload.first().copied(), payload.get(1..).unwrap_or(&[])),
        None => {}
    }
    Descriptor {
        is_keyframe_start: found.key,
        is_frame_start: found.key || found.first_slice,
        ..Descriptor::default()
    }
}

/// What the NAL units of one payload are.
#[derive(Debug, Default)]
struct Found {
    key: bool,
    /// A slice that begins at the first macroblock.
    first_slice: bool,
}

impl Found {
    /// Looks at a NAL unit: a byte with its type in the low bits, and what follows.
    fn look(&mut self, header: Option<u8>, body: &[u8]) {
        // `first_mb_in_slice` leads the slice header as an Exp-Golomb code; zero is a single one bit.
        let is_first = body.first().is_some_and(|byte| byte & 0x80 != 0);
        match header.map(|byte| byte & 0x1F) {
            Some(SEQUENCE_PARAMETER_SET) => self.key = true,
            Some(IDR_SLICE) if is_first => self.key = true,
            Some(SLICE) if is_first => self.first_slice = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_found_in_every_packetisation() {
        for (payload, key) in [
            (&[0x67, 0x42, 0xE0][..], true),
            (&[0x65, 0x88], true),
            (&[0x65, 0x08], false),
            (&[0x41, 0x9A], false),
            (&[0x18, 0, 2, 0x67, 0x42, 0, 2, 0x68, 0xCE], true),
            (&[0x18, 0, 2, 0x41, 0x9A], false),
            (&[0x18, 0, 9, 0x67], false),
            (&[0x7C, 0x85, 0x88], true),
            (&[0x7C, 0x05, 0x88], false),
            (&[0x7C, 0x81, 0x88], false),
            (&[0x7C], false),
            (&[], false),
        ] {
            assert_eq!(describe(payload).is_keyframe_start, key, "{payload:x?}");
        }
        assert!(describe(&[0x41, 0x9A]).is_frame_start);
        assert!(!describe(&[0x41, 0x1A]).is_frame_start);
    }
}
