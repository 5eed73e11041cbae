//! H.265 payloads (RFC 7798): single NAL units, aggregation packets and fragmentation units.
//!
//! A keyframe starts with the video parameter set that precedes the picture, or, when parameter sets
//! went out of band, with the first slice of a random access picture.

use super::Descriptor;
use crate::wire;

/// NAL unit types (ITU-T H.265 table 7-1, RFC 7798 §4.4).
const RANDOM_ACCESS: std::ops::RangeInclusive<u8> = 16..=23;
const LAST_SLICE: u8 = 31;
const VIDEO_PARAMETER_SET: u8 = 32;
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;

pub(super) fn describe(payload: &[u8]) -> Descriptor {
    let mut found = Found::default();
    match payload.first().copied().map(unit_type) {
        Some(AGGREGATION) => {
            let mut rest = payload.get(2..).unwrap_or(&[]);
            while let Some(len) = wire::u16_at(rest, 0) {
                let Some((unit, tail)) = rest
                    .get(2..)
                    .and_then(|units| units.split_at_checked(usize::from(len)))
                else {
                    break;
                };
                found.look(
                    unit.first().copied().map(unit_type),
                    unit.get(2..).unwrap_or(&[]),
                );
                rest = tail;
            }
        }
        Some(FRAGMENTATION) => {
            let start = payload.get(2).copied().filter(|header| header & 0x80 != 0);
            let kind = start.map(|header| header & 0x3F);
            found.look(kind, payload.get(3..).unwrap_or(&[]));
        }
        kind => found.look(kind, payload.get(2..).unwrap_or(&[])),
    }
    Descriptor {
        is_keyframe_start: found.key,
        is_frame_start: found.key || found.first_slice,
        ..Descriptor::default()
    }
}

/// The type in the first byte of a NAL unit's header.
fn unit_type(byte: u8) -> u8 {
    (byte >> 1) & 0x3F
}

/// What the NAL units of one payload are.
#[derive(Debug, Default)]
struct Found {
    key: bool,
    /// The first slice segment of a picture.
    first_slice: bool,
}

impl Found {
    /// Looks at a NAL unit: its type, and what follows its header.
    fn look(&mut self, kind: Option<u8>, body: &[u8]) {
        // `first_slice_segment_in_pic_flag` leads the header of a slice segment.
        let is_first = body.first().is_some_and(|byte| byte & 0x80 != 0);
        match kind {
            Some(VIDEO_PARAMETER_SET) => self.key = true,
            Some(kind) if RANDOM_ACCESS.contains(&kind) && is_first => self.key = true,
            Some(0..=LAST_SLICE) if is_first => self.first_slice = true,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyframes_are_found_in_every_packetisation() {
        for (payload, key, start) in [
            // Video, sequence and picture parameter sets.
            (&[0x40, 1, 0x0C][..], true, true),
            (&[0x42, 1, 0x01], false, false),
            (&[0x44, 1, 0xC0], false, false),
            // An IDR picture, its first slice segment and another one.
            (&[0x26, 1, 0x80], true, true),
            (&[0x26, 1, 0x40], false, false),
            // CRA, and a trailing picture.
            (&[0x2A, 1, 0x80], true, true),
            (&[0x02, 1, 0x80], false, true),
            // An aggregation of parameter sets; one that is cut short.
            (
                &[0x60, 1, 0, 3, 0x40, 1, 0x0C, 0, 3, 0x42, 1, 1],
                true,
                true,
            ),
            (&[0x60, 1, 0, 3, 0x02, 1, 0x80, 0, 9, 0x40], false, true),
            // The first fragment of an IDR picture, and the next.
            (&[0x62, 1, 0x80 | 19, 0x80], true, true),
            (&[0x62, 1, 19, 0x80], false, false),
            (&[0x62, 1, 0x80 | 1, 0x80], false, true),
            (&[0x62, 1], false, false),
            (&[], false, false),
        ] {
            let found = describe(payload);
            assert_eq!(found.is_keyframe_start, key, "{payload:02x?}");
            assert_eq!(found.is_frame_start, start, "{payload:02x?}");
        }
    }
}
