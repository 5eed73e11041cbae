//! The few facts that are read from compressed media itself: sizes in keyframes, the configuration of AV1.

/// Size in a keyframe of VP8 (RFC 6386 section 9.1).
pub(super) fn vp8_size(frame: &[u8]) -> Option<(u32, u32)> {
    let head: &[u8; 10] = frame.first_chunk()?;
    if head[0] & 1 != 0 || head[3..6] != [0x9d, 0x01, 0x2a] {
        return None;
    }
    let width = u16::from_le_bytes([head[6], head[7]]) & 0x3fff;
    let height = u16::from_le_bytes([head[8], head[9]]) & 0x3fff;
    Some((u32::from(width), u32::from(height)))
}

/// Size in the frame header of a JPEG picture (ITU-T T.81 B.2.2).
pub(super) fn jpeg_size(picture: &[u8]) -> Option<(u32, u32)> {
    let mut rest = picture.strip_prefix(&[0xff, 0xd8])?;
    loop {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        if head[0] != 0xff {
            return None;
        }
        // Start of frame, of any process; C4, C8 and CC in this range are something else.
        if matches!(head[1], 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
            let frame: &[u8; 5] = after.first_chunk()?;
            let height = u16::from_be_bytes([frame[1], frame[2]]);
            let width = u16::from_be_bytes([frame[3], frame[4]]);
            return Some((u32::from(width), u32::from(height)));
        }
        rest = after.get(length.checked_sub(2)?..)?;
    }
}

/// The units of AV1 in a temporal unit, each whole with its header: type and bytes (AV1 section 5.3).
pub(super) fn av1_units(mut rest: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let header = *rest.first()?;
        let extension = usize::from(header & 4 != 0);
        let end = if header & 2 != 0 {
            let (size, length) = leb128(rest.get(1 + extension..)?)?;
            (1 + extension + length).checked_add(size)?
        } else {
            rest.len()
        };
        let (unit, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(((header >> 3) & 15, unit))
    })
}

const AV1_SEQUENCE_HEADER: u8 = 1;
/// Unit that begins a temporal unit, which containers leave out.
pub(super) const AV1_TEMPORAL_DELIMITER: u8 = 2;

/// What a sequence header of AV1 says.
pub(super) struct Av1Sequence {
    pub(super) width: u32,
    pub(super) height: u32,
    /// The content of an `av1C` box.
    pub(super) configuration: Vec<u8>,
}

/// Reads the sequence header in a temporal unit, if there is one (AV1 section 5.5).
pub(super) fn av1_sequence(unit: &[u8]) -> Option<Av1Sequence> {
    let (_, header) = av1_units(unit).find(|(kind, _)| *kind == AV1_SEQUENCE_HEADER)?;
    let extension = usize::from(header[0] & 4 != 0);
    let mut at = 1 + extension;
    if header[0] & 2 != 0 {
        at += leb128(header.get(at..)?)?.1;
    }
    let mut bits = Bits::new(header.get(at..)?);
    let profile = bits.take(3)?;
    bits.take(1)?; // still_picture
    let reduced = bits.flag()?;
    let (mut level, mut tier) = (0, false);
    if reduced {
        level = bits.take(5)?;
    } else {
        let mut model = false;
        let mut delay_length = 0;
        if bits.flag()? {
            bits.take(32)?;
            bits.take(32)?;
            if bits.flag()? {
                bits.exponential_golomb()?;
            }
            model = bits.flag()?;
            if model {
                delay_length = bits.take(5)? + 1;
                bits.take(32)?;
                bits.take(10)?;
            }
        }
        let initial_delay = bits.flag()?;
        for point in 0..=bits.take(5)? {
            bits.take(12)?;
            let point_level = bits.take(5)?;
            let point_tier = point_level > 7 && bits.flag()?;
            if point == 0 {
                (level, tier) = (point_level, point_tier);
            }
            if model && bits.flag()? {
                bits.take(delay_length)?;
                bits.take(delay_length)?;
                bits.take(1)?;
            }
            if initial_delay && bits.flag()? {
                bits.take(4)?;
            }
        }
    }
    let (width_bits, height_bits) = (bits.take(4)? + 1, bits.take(4)? + 1);
    let (width, height) = (bits.take(width_bits)? + 1, bits.take(height_bits)? + 1);
    if !reduced && bits.flag()? {
        bits.take(7)?;
    }
    bits.take(3)?; // 128x128 superblocks, filter intra, intra edge filter
    if !reduced {
        bits.take(4)?;
        let order_hint = bits.flag()?;
        if order_hint {
            bits.take(2)?;
        }
        let screen_content = if bits.flag()? { 2 } else { bits.take(1)? };
        if screen_content > 0 && !bits.flag()? {
            bits.take(1)?;
        }
        if order_hint {
            bits.take(3)?;
        }
    }
    bits.take(3)?; // superres, cdef, restoration
    let high = bits.flag()?;
    let twelve = profile == 2 && high && bits.flag()?;
    let monochrome = profile != 1 && bits.flag()?;
    let srgb = bits.flag()? && (bits.take(8)?, bits.take(8)?, bits.take(8)?) == (1, 13, 0);
    let (sub_x, sub_y) = if monochrome {
        (true, true)
    } else if srgb {
        (false, false)
    } else {
        bits.take(1)?;
        match profile {
            0 => (true, true),
            2 if twelve => {
                let x = bits.flag()?;
                (x, x && bits.flag()?)
            }
            2 => (true, false),
            _ => (false, false),
        }
    };
    let position = if sub_x && sub_y && !monochrome {
        bits.take(2)?
    } else {
        0
    };
    let byte = |value: u32| u8::try_from(value & 0xff).expect("eight bits");
    let mut configuration = vec![
        0x81,
        byte(profile << 5 | level),
        u8::from(tier) << 7
            | u8::from(high) << 6
            | u8::from(twelve) << 5
            | u8::from(monochrome) << 4
            | u8::from(sub_x) << 3
            | u8::from(sub_y) << 2
            | byte(position),
        0,
    ];
    configuration.extend_from_slice(header);
    Some(Av1Sequence {
        width,
        height,
        configuration,
    })
}

fn leb128(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    None
}

/// Reads numbers of some bits, the highest first.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Bits<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0_u32;
        for _ in 0..count {
            let byte = *self.bytes.get(self.position / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Some(value)
    }

    fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    /// A number of variable length, whose value nobody needs (AV1 section 4.10.3).
    fn exponential_golomb(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros == 32 {
                return Some(());
            }
        }
        self.take(zeros).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_vp8_keyframe_is_read_without_its_scale() {
        let frame = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x42, 0xe0, 0x81, 7];
        assert_eq!(vp8_size(&frame), Some((640, 480)));
        assert_eq!(vp8_size(&[0x11; 12]), None);
        assert_eq!(vp8_size(&frame[..9]), None);
    }

    #[test]
    fn the_size_of_a_jpeg_picture_is_found_behind_other_segments() {
        let picture = [
            0xff, 0xd8, 0xff, 0xe0, 0, 4, 1, 2, 0xff, 0xc0, 0, 11, 8, 0, 120, 0, 160, 1, 1, 0x11, 0,
        ];
        assert_eq!(jpeg_size(&picture), Some((160, 120)));
        assert_eq!(jpeg_size(&picture[..14]), None);
        assert_eq!(jpeg_size(&[0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0]), None);
    }

    #[test]
    fn units_of_av1_end_where_their_length_says() {
        let unit = [0x12, 0, 0x0a, 2, 1, 2, 0x32, 1, 9];
        let kinds: Vec<_> = av1_units(&unit).map(|(k, u)| (k, u.len())).collect();
        assert_eq!(kinds, [(2, 2), (1, 4), (6, 3)]);
        assert_eq!(av1_units(&[0x0a, 9, 1]).count(), 0);
        assert!(av1_sequence(&[0x0a, 1, 0]).is_none());
    }
}
