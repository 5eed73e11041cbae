//! AMR narrow band in RTP in its bandwidth-efficient form (RFC 4867 section 4.3), which GStreamer has no elements for.
//!
//! A stream has frames as files have them (section 5.3): a header of `0 FT FT FT FT Q 0 0`, then the speech, whose last byte is filled up.

/// Bits of speech by frame type (RFC 4867 section 3.6 and 3GPP TS 26.101); nothing for what is reserved.
const SPEECH_BITS: [Option<usize>; 16] = [
    Some(95),
    Some(103),
    Some(118),
    Some(134),
    Some(148),
    Some(159),
    Some(204),
    Some(244),
    Some(39),
    None,
    None,
    None,
    None,
    None,
    None,
    Some(0),
];

/// No mode is asked for.
const NO_REQUEST: u8 = 15;

/// Frames of a packet: a quarter of a second.
const MAX_FRAMES: usize = 12;

/// Whether packets are of this form, by the format parameters in SDP.
pub(crate) fn is_compact(parameters: &str) -> bool {
    let parameters = parameters
        .split(';')
        .filter_map(|part| part.split_once('='));
    !parameters
        .into_iter()
        .any(|(name, value)| name.trim().eq_ignore_ascii_case("octet-align") && value.trim() == "1")
}

/// The payload of one frame or several in a row; `None` for what is no frame.
pub(crate) fn packetize(mut frames: &[u8]) -> Option<Vec<u8>> {
    let mut found = Vec::new();
    while let Some((header, rest)) = frames.split_first() {
        let bits = SPEECH_BITS[usize::from(header >> 3 & 15)]?;
        let (speech, after) = rest.split_at_checked(bits.div_ceil(8))?;
        found.push((header >> 2 & 31, speech, bits));
        frames = after;
    }
    if found.is_empty() || found.len() > MAX_FRAMES {
        return None;
    }
    let mut payload = Bits::default();
    payload.push(NO_REQUEST, 4);
    for (number, (kind, ..)) in (1..).zip(&found) {
        payload.push(u8::from(number < found.len()), 1);
        payload.push(*kind, 5);
    }
    for (_, speech, bits) in found {
        payload.copy(speech, 0, bits);
    }
    Some(payload.bytes)
}

/// The frames of a payload; `None` when it is none.
pub(crate) fn depacketize(payload: &[u8]) -> Option<Vec<u8>> {
    let mut at = 4;
    let mut kinds = Vec::new();
    loop {
        let entry = take(payload, at, 6)?;
        at += 6;
        kinds.push(entry & 31);
        if kinds.len() > MAX_FRAMES {
            return None;
        }
        if entry & 32 == 0 {
            break;
        }
    }
    let mut frames = Vec::new();
    for kind in kinds {
        let bits = SPEECH_BITS[usize::from(kind >> 1)]?;
        if payload.len() * 8 < at + bits {
            return None;
        }
        let mut speech = Bits::default();
        speech.copy(payload, at, bits);
        at += bits;
        frames.push(kind << 2);
        frames.append(&mut speech.bytes);
    }
    Some(frames)
}

/// So many bits (8 at most) from a place on.
fn take(bytes: &[u8], at: usize, count: usize) -> Option<u8> {
    (at..at + count).try_fold(0, |value, at| Some(value << 1 | bit(bytes, at)?))
}

fn bit(bytes: &[u8], at: usize) -> Option<u8> {
    Some(bytes.get(at / 8)? >> (7 - at % 8) & 1)
}

/// Bits, the first ones in the upper ends of bytes; the last byte is filled up with zeros.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    fn push(&mut self, value: u8, count: usize) {
        for place in (0..count).rev() {
            self.push_bit(value >> place & 1);
        }
    }

    fn copy(&mut self, from: &[u8], at: usize, count: usize) {
        for at in at..at + count {
            self.push_bit(bit(from, at).unwrap_or(0));
        }
    }

    fn push_bit(&mut self, bit: u8) {
        if self.count.is_multiple_of(8) {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= bit << (7 - self.count % 8);
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_as_rfc_4867_shows_it() {
        // Section 4.3.5.1: one frame of 6.7 kbit/s (FT 3), no mode request, 134 bits of speech.
        let mut frame = vec![3 << 3 | 4];
        frame.extend([0xff; 17]);
        frame[17] = 0b1111_1100;
        let payload = packetize(&frame).unwrap();
        assert_eq!(payload.len(), 18);
        assert_eq!(payload[0], 0b1111_0001);
        // FT goes on, Q is set, then comes speech.
        assert_eq!(payload[1], 0b1111_1111);
        assert_eq!(payload[17], 0xff);
        assert_eq!(depacketize(&payload).unwrap(), frame);
    }

    #[test]
    fn frames_of_all_kinds_come_back_as_they_were() {
        let mut frames = Vec::new();
        for kind in [0, 7, 8, 15, 4] {
            let bits = SPEECH_BITS[usize::from(kind)].unwrap();
            frames.push(kind << 3 | 4);
            let mut speech = Bits::default();
            (0..bits).for_each(|at| speech.push_bit(u8::from(at % 3 == 0)));
            frames.append(&mut speech.bytes);
        }
        let payload = packetize(&frames).unwrap();
        assert_eq!(depacketize(&payload).unwrap(), frames);
    }

    #[test]
    fn garbage_is_no_payload_and_no_frame() {
        for length in 0..40 {
            for byte in [0x00, 0x0f, 0x55, 0xff] {
                let bytes = vec![byte; length];
                let _ = (packetize(&bytes), depacketize(&bytes));
            }
        }
        assert_eq!(packetize(&[]), None);
        assert_eq!(depacketize(&[0xf0]), None);
        assert_eq!(packetize(&[9 << 3, 1]), None);
    }

    #[test]
    fn the_compact_form_is_the_one_without_a_word() {
        assert!(is_compact("") && is_compact("mode-set=7") && is_compact("octet-align=0"));
        assert!(!is_compact("mode-set=7; octet-align=1"));
    }
}
