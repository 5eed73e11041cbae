//! AV1 in RTP (RTP Payload Format For AV1, version 1.0), which GStreamer has no elements for here.
//!
//! A stream has temporal units of OBUs with size fields, each beginning with a temporal delimiter; packets have OBU elements without
//! either.

use std::collections::VecDeque;

/// Longest temporal unit that is put together.
const MAX_UNIT: usize = 8 * 1024 * 1024;

/// Types of OBUs (AV1 specification §6.2.2).
const SEQUENCE_HEADER: u8 = 1;
const TEMPORAL_DELIMITER: u8 = 2;
const TILE_LIST: u8 = 8;
const PADDING: u8 = 15;

/// The temporal delimiter with its size field.
const DELIMITER: [u8; 2] = [0x12, 0x00];

/// Puts temporal units together.
#[derive(Debug, Default)]
pub(crate) struct Depacketizer {
    unit: Vec<u8>,
    /// The beginning of an OBU element that goes on in the next packet.
    partial: Option<Vec<u8>>,
    timestamp: Option<u32>,
    /// Something of the unit is missing.
    broken: bool,
}

impl Depacketizer {
    /// Takes a payload in; returns the temporal unit that it completes.
    pub(crate) fn push(
        &mut self,
        payload: &[u8],
        timestamp: u32,
        marker: bool,
        after_loss: bool,
    ) -> Option<Vec<u8>> {
        if self.timestamp != Some(timestamp) || after_loss {
            let began = after_loss && self.timestamp == Some(timestamp);
            self.unit.clear();
            self.partial = None;
            self.broken = began;
            self.timestamp = Some(timestamp);
        }
        if self.read(payload).is_none() || self.unit.len() > MAX_UNIT {
            self.broken = true;
        }
        if !marker {
            return None;
        }
        self.timestamp = None;
        let whole = !std::mem::take(&mut self.broken) && self.partial.take().is_none();
        let unit = std::mem::take(&mut self.unit);
        (whole && !unit.is_empty()).then(|| [&DELIMITER, unit.as_slice()].concat())
    }

    fn read(&mut self, payload: &[u8]) -> Option<()> {
        let (aggregation, mut rest) = payload.split_first()?;
        let mut continues = aggregation & 0x80 != 0;
        let goes_on = aggregation & 0x40 != 0;
        let count = (aggregation >> 4) & 3;
        let mut number = 0;
        while !rest.is_empty() {
            number += 1;
            let length = if count != 0 && number == count {
                rest.len()
            } else {
                let (length, after) = read_leb128(rest)?;
                rest = after;
                length
            };
            let (element, after) = rest.split_at_checked(length)?;
            rest = after;
            let mut whole = if std::mem::take(&mut continues) {
                // The beginning was lost.
                self.partial.take()?
            } else {
                Vec::new()
            };
            whole.extend_from_slice(element);
            if rest.is_empty() && goes_on {
                if whole.len() > MAX_UNIT {
                    return None;
                }
                self.partial = Some(whole);
            } else {
                self.append(&whole)?;
            }
        }
        Some(())
    }

    /// Appends an OBU with a size field.
    fn append(&mut self, obu: &[u8]) -> Option<()> {
        let (header, body) = split_header(obu)?;
        let [first, extension @ ..] = header else {
            return None;
        };
        let body = if first & 0x02 == 0 {
            body
        } else {
            let (length, after) = read_leb128(body)?;
            after.get(..length)?
        };
        if matches!(kind(*first), TEMPORAL_DELIMITER | TILE_LIST) {
            return Some(());
        }
        self.unit.push(first | 0x02);
        self.unit.extend_from_slice(extension);
        write_leb128(&mut self.unit, body.len());
        self.unit.extend_from_slice(body);
        Some(())
    }
}

/// The payloads of a temporal unit, none longer than `most` bytes; empty when it makes no sense.
pub(crate) fn packetize(unit: &[u8], is_keyframe: bool, most: usize) -> Vec<Vec<u8>> {
    let Some((elements, begins)) = split(unit) else {
        return Vec::new();
    };
    let most = most.max(16);
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut packet = vec![0_u8];
    let mut queue: VecDeque<&[u8]> = elements.iter().map(Vec::as_slice).collect();
    while let Some(element) = queue.pop_front() {
        let room = most.saturating_sub(packet.len() + leb128_length(element.len()));
        if element.len() <= room {
            write_leb128(&mut packet, element.len());
            packet.extend_from_slice(element);
            continue;
        }
        let (now, later) = element.split_at(room);
        if !now.is_empty() {
            write_leb128(&mut packet, now.len());
            packet.extend_from_slice(now);
            packet[0] |= 0x40;
        }
        queue.push_front(later);
        let next = if now.is_empty() { 0 } else { 0x80 };
        packets.push(std::mem::replace(&mut packet, vec![next]));
    }
    if packet.len() > 1 {
        packets.push(packet);
    }
    if let Some(first) = packets.first_mut()
        && is_keyframe
        && begins
    {
        // The first packet of a coded video sequence.
        first[0] |= 0x08;
    }
    packets
}

/// OBU elements of a temporal unit, and whether it has a sequence header.
fn split(mut unit: &[u8]) -> Option<(Vec<Vec<u8>>, bool)> {
    let (mut elements, mut begins) = (Vec::new(), false);
    while !unit.is_empty() {
        let (header, rest) = split_header(unit)?;
        let first = *header.first()?;
        let (length, rest) = if first & 0x02 == 0 {
            (rest.len(), rest)
        } else {
            read_leb128(rest)?
        };
        let (body, rest) = rest.split_at_checked(length)?;
        unit = rest;
        if matches!(kind(first), TEMPORAL_DELIMITER | TILE_LIST | PADDING) {
            continue;
        }
        begins |= kind(first) == SEQUENCE_HEADER;
        let mut element = header.to_vec();
        element[0] &= !0x02;
        element.extend_from_slice(body);
        elements.push(element);
    }
    Some((elements, begins))
}

/// The header of an OBU with its extension, and what follows.
fn split_header(obu: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = if obu.first()? & 0x04 == 0 { 1 } else { 2 };
    obu.split_at_checked(length)
}

fn kind(header: u8) -> u8 {
    (header >> 3) & 0x0F
}

/// A length in little endian base 128 (AV1 specification §4.10.5), and what follows.
fn read_leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    // Four groups hold all lengths that a packet or unit can have.
    for at in 0..4 {
        let byte = *bytes.get(at)?;
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

fn write_leb128(bytes: &mut Vec<u8>, mut value: usize) {
    loop {
        let group = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(group);
            return;
        }
        bytes.push(group | 0x80);
    }
}

fn leb128_length(value: usize) -> usize {
    let mut bytes = Vec::new();
    write_leb128(&mut bytes, value);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A sequence header, a frame with an extension, and padding.
    fn unit(frame: usize) -> Vec<u8> {
        let mut unit = DELIMITER.to_vec();
        unit.extend_from_slice(&[0x0A, 3, 1, 2, 3]);
        unit.extend_from_slice(&[0x36, 0x08]);
        write_leb128(&mut unit, frame);
        unit.extend((0..frame).map(|at| (at % 251) as u8));
        unit
    }

    #[test]
    fn units_survive_the_way_through_packets_of_any_size() {
        for frame in [0, 1, 100, 1_100, 5_000, 70_000] {
            for most in [20, 127, 128, 129, 130, 131, 1_168] {
                let unit = unit(frame);
                let packets = packetize(&unit, true, most);
                assert!(packets.iter().all(|packet| packet.len() <= most));
                assert_eq!(packets[0][0] & 0x08, 0x08);
                assert!(packets[1..].iter().all(|packet| packet[0] & 0x08 == 0));
                let mut depacketizer = Depacketizer::default();
                let (last, rest) = packets.split_last().unwrap();
                for packet in rest {
                    assert_eq!(depacketizer.push(packet, 7, false, false), None);
                }
                assert_eq!(depacketizer.push(last, 7, true, false), Some(unit));
            }
        }
    }

    #[test]
    fn units_that_are_not_whole_are_left_out() {
        let packets = packetize(&unit(5_000), true, 1_000);
        let mut depacketizer = Depacketizer::default();
        depacketizer.push(&packets[0], 1, false, false);
        for packet in &packets[2..packets.len() - 1] {
            depacketizer.push(packet, 1, false, true);
        }
        let last = packets.last().unwrap();
        assert_eq!(depacketizer.push(last, 1, true, false), None);
        // The next one is.
        let whole = packetize(&unit(10), true, 1_000);
        assert_eq!(depacketizer.push(&whole[0], 2, true, false), Some(unit(10)));
    }

    #[test]
    fn garbage_is_nothing() {
        let mut depacketizer = Depacketizer::default();
        for payload in [
            &[][..],
            &[0x80, 5, 1],
            &[0x00, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0xFF; 40],
            &[0x10],
            &[0x10, 0x06],
            &[0x20, 1],
        ] {
            assert_eq!(
                depacketizer.push(payload, 9, true, false),
                None,
                "{payload:?}"
            );
        }
        assert!(packetize(&[0x0A, 0x80], true, 1_000).is_empty());
        assert!(packetize(&[0x0E], true, 1_000).is_empty());
    }
}
