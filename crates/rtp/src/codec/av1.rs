//! The AV1 aggregation header (RTP Payload Format For AV1 §4.4).

use super::Descriptor;

/// Flag bits of the aggregation header.
const CONTINUES_PREVIOUS: u8 = 0x80;
const NEW_SEQUENCE: u8 = 0x08;

/// OBU type of a sequence header (AV1 §6.2.2).
const SEQUENCE_HEADER: u8 = 1;

pub(super) fn describe(payload: &[u8]) -> Option<Descriptor> {
    let (&header, rest) = payload.split_first()?;
    let is_frame_start = header & CONTINUES_PREVIOUS == 0 && !rest.is_empty();
    // N marks the first packet of a coded video sequence. Senders that leave it out still put the sequence header
    // first.
    let is_new = header & NEW_SEQUENCE != 0;
    let has_sequence = first_obu_type(header, rest) == Some(SEQUENCE_HEADER);
    Some(Descriptor {
        is_keyframe_start: is_frame_start && (is_new || has_sequence),
        is_frame_start,
        ..Descriptor::default()
    })
}

/// Type of the first OBU element; without W there is a length in front of it.
fn first_obu_type(header: u8, rest: &[u8]) -> Option<u8> {
    // With W = 1 the only element has no length; otherwise the first one has.
    let has_length = header & 0x30 != 0x10;
    let mut rest = rest;
    if has_length {
        // LEB128 of at most 8 bytes.
        let end = rest.iter().take(8).position(|byte| byte & 0x80 == 0)?;
        rest = rest.get(end.checked_add(1)?..)?;
    }
    rest.first().map(|obu| (obu >> 3) & 0x0F)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_start_with_the_flag_or_with_their_header() {
        for (payload, key) in [
            (&[0x18, 0x30][..], true),
            (&[0x98, 0x30], false),
            (&[0x10, 0x0A], true),
            (&[0x10, 0x32], false),
            (&[0x20, 0x02, 0x0A, 0x00], true),
            (&[0x20, 0x82, 0x00, 0x0A], true),
            (&[0x20, 0x80], false),
            (&[0x08], false),
        ] {
            assert_eq!(
                describe(payload).unwrap().is_keyframe_start,
                key,
                "{payload:x?}"
            );
        }
        assert_eq!(describe(&[]), None);
    }
}
