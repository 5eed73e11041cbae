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

/// Height that the sequence parameter set at the start of a keyframe tells, without cropping: it is 16 lines too
/// much at most.
pub(super) fn height(payload: &[u8]) -> Option<u16> {
    let first = *payload.first()? & 0x1F;
    let unit = match first {
        SEQUENCE_PARAMETER_SET => payload,
        STAP_A => payload.get(3..)?,
        _ => return None,
    };
    (*unit.first()? & 0x1F == SEQUENCE_PARAMETER_SET)
        .then(|| sps_height(unit.get(1..)?))
        .flatten()
}

/// Height in a sequence parameter set (ITU-T H.264 §7.3.2.1.1) of the profiles without scaling lists, which are those
/// of WebRTC.
fn sps_height(sps: &[u8]) -> Option<u16> {
    let profile = *sps.first()?;
    if !matches!(profile, 66 | 77 | 88) {
        return None;
    }
    let mut bits = Bits {
        bytes: sps.get(3..)?,
        at: 0,
    };
    bits.exp_golomb()?;
    // log2_max_frame_num_minus4
    bits.exp_golomb()?;
    match bits.exp_golomb()? {
        0 => {
            bits.exp_golomb()?;
        }
        1 => {
            bits.bit()?;
            bits.exp_golomb()?;
            bits.exp_golomb()?;
            for _ in 0..bits.exp_golomb()?.min(255) {
                bits.exp_golomb()?;
            }
        }
        _ => {}
    }
    // max_num_ref_frames, gaps_in_frame_num_value_allowed_flag, pic_width_in_mbs_minus1
    bits.exp_golomb()?;
    bits.bit()?;
    bits.exp_golomb()?;
    let units = bits.exp_golomb()?.checked_add(1)?;
    let fields = if bits.bit()? == 1 { 1 } else { 2 };
    u16::try_from(units.checked_mul(16)?.checked_mul(fields)?).ok()
}

/// Reads bits, highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn bit(&mut self) -> Option<u32> {
        let byte = *self.bytes.get(self.at >> 3)?;
        let shift = 7usize.saturating_sub(self.at & 7) as u32;
        self.at = self.at.checked_add(1)?;
        Some(u32::from(byte.wrapping_shr(shift) & 1))
    }

    /// An unsigned Exp-Golomb code (§9.1) of at most 31 bits.
    fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0u32;
        while self.bit()? == 0 {
            zeros = zeros.checked_add(1).filter(|zeros| *zeros < 16)?;
        }
        let mut value = 1u32;
        for _ in 0..zeros {
            value = value.wrapping_shl(1) | self.bit()?;
        }
        value.checked_sub(1)
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
    fn parameter_sets_tell_the_height() {
        // Baseline, level 3.1, 640 × 480 as OpenH264 writes it: 40 × 30 macroblocks.
        let sps = [0x67, 0x42, 0xC0, 0x1F, 0x8C, 0x8D, 0x40, 0x50, 0x1E, 0xD0];
        assert_eq!(height(&sps), Some(480));
        let mut aggregate = vec![0x78, 0, sps.len() as u8];
        aggregate.extend(sps);
        aggregate.extend([0, 2, 0x68, 0xCE]);
        assert_eq!(height(&aggregate), Some(480));
        for len in 0..6 {
            assert_eq!(height(&sps[..len]), None);
        }
        assert_eq!(height(&[0x65, 0x88]), None);
    }

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
