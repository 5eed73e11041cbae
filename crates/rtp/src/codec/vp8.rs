//! The VP8 payload descriptor (RFC 7741 §4.2).

use super::{Descriptor, PictureId, Rewrite, picture_id_at, put_picture_id};
use crate::wire;

/// Offsets of the optional fields of a descriptor.
#[derive(Debug, Default)]
struct Layout {
    picture_id: Option<(usize, PictureId)>,
    tl0_picture_index: Option<usize>,
    /// Offset of the byte with TID, Y and KEYIDX, and which of them are valid.
    layers: Option<(usize, bool, bool)>,
    /// Offset of the VP8 payload header.
    payload: usize,
}

fn layout(payload: &[u8]) -> Option<Layout> {
    let first = *payload.first()?;
    let mut layout = Layout {
        payload: 1,
        ..Layout::default()
    };
    if first & 0x80 == 0 {
        return Some(layout);
    }
    let flags = *payload.get(1)?;
    let mut at = 2usize;
    if flags & 0x80 != 0 {
        let (id, next) = picture_id_at(payload, at)?;
        layout.picture_id = Some((at, id));
        at = next;
    }
    if flags & 0x40 != 0 {
        layout.tl0_picture_index = Some(at);
        at = at.checked_add(1)?;
    }
    if flags & 0x30 != 0 {
        layout.layers = Some((at, flags & 0x20 != 0, flags & 0x10 != 0));
        at = at.checked_add(1)?;
    }
    layout.payload = at;
    // Nothing may be cut off in the descriptor.
    (at <= payload.len()).then_some(layout)
}

pub(super) fn describe(payload: &[u8]) -> Option<Descriptor> {
    let layout = layout(payload)?;
    let first = *payload.first()?;
    // S bit and partition index 0: the first packet of a frame.
    let is_frame_start = first & 0x17 == 0x10;
    // The P bit of the payload header is 0 in keyframes (§4.3).
    let is_key = wire::u8_at(payload, layout.payload).is_some_and(|header| header & 1 == 0);
    let layers = layout
        .layers
        .and_then(|(at, tid, key)| Some((*payload.get(at)?, tid, key)));
    Some(Descriptor {
        is_keyframe_start: is_frame_start && is_key,
        is_frame_start,
        picture_id: layout.picture_id.map(|(_, id)| id),
        tl0_picture_index: layout
            .tl0_picture_index
            .and_then(|at| wire::u8_at(payload, at)),
        temporal_layer: layers.and_then(|(byte, tid, _)| tid.then_some(byte >> 6)),
        spatial_layer: None,
        is_switching_point: layers.is_some_and(|(byte, tid, _)| tid && byte & 0x20 != 0),
        key_index: layers.and_then(|(byte, _, key)| key.then_some(byte & 0x1F)),
        ..Descriptor::default()
    })
}

/// Height of a keyframe (RFC 6386 §9.1): behind the frame tag, the start code and the width.
pub(super) fn height(payload: &[u8]) -> Option<u16> {
    let descriptor = describe(payload).filter(|read| read.is_keyframe_start);
    let at = descriptor.and_then(|_| layout(payload))?.payload;
    let header = payload.get(at..at.checked_add(10)?)?;
    match *header {
        [_, _, _, 0x9D, 0x01, 0x2A, _, _, low, high] => {
            Some(u16::from_le_bytes([low, high]) & 0x3FFF)
        }
        _ => None,
    }
}

pub(super) fn rewrite(payload: &mut [u8], numbers: Rewrite) -> Option<()> {
    let layout = layout(payload)?;
    if let (Some((at, id)), Some(value)) = (layout.picture_id, numbers.picture_id) {
        put_picture_id(payload, at, id.is_long, value)?;
    }
    if let (Some(at), Some(value)) = (layout.tl0_picture_index, numbers.tl0_picture_index) {
        wire::put(payload, at, &[value])?;
    }
    if let (Some((at, _, true)), Some(value)) = (layout.layers, numbers.key_index) {
        let byte = payload.get_mut(at)?;
        *byte = (*byte & 0xE0) | (value & 0x1F);
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_descriptors_are_read_and_rewritten() {
        // X, S; I, L, T, K; 15 bit picture id 0x1234; tl0 9; tid 1, Y, key 5; payload of a keyframe.
        let mut payload = [0x90, 0xF0, 0x92, 0x34, 9, 0x65, 0x10, 0, 0];
        let read = describe(&payload).unwrap();
        assert!(read.is_keyframe_start && read.is_frame_start && read.is_switching_point);
        assert_eq!(
            read.picture_id,
            Some(PictureId {
                value: 0x1234,
                is_long: true
            })
        );
        assert_eq!(
            (read.tl0_picture_index, read.temporal_layer, read.key_index),
            (Some(9), Some(1), Some(5))
        );
        let numbers = Rewrite {
            picture_id: Some(0x7FFF),
            tl0_picture_index: Some(0),
            key_index: Some(31),
            ..Rewrite::default()
        };
        rewrite(&mut payload, numbers).unwrap();
        assert_eq!(payload, [0x90, 0xF0, 0xFF, 0xFF, 0, 0x7F, 0x10, 0, 0]);
    }

    #[test]
    fn keyframes_tell_their_height() {
        let key = [
            0x10, 0x00, 0x00, 0x00, 0x9D, 0x01, 0x2A, 0x80, 0x02, 0x68, 0x41,
        ];
        assert_eq!(height(&key), Some(360));
        assert_eq!(height(&key[..10]), None);
        assert_eq!(
            height(&[0x10, 0x01, 0, 0, 0x9D, 0x01, 0x2A, 1, 1, 1, 1]),
            None
        );
    }

    #[test]
    fn continuations_and_later_partitions_start_nothing() {
        assert!(describe(&[0x10, 0x00]).unwrap().is_keyframe_start);
        assert!(!describe(&[0x10, 0x01]).unwrap().is_keyframe_start);
        assert!(describe(&[0x10, 0x01]).unwrap().is_frame_start);
        assert!(!describe(&[0x00, 0x00]).unwrap().is_frame_start);
        assert!(!describe(&[0x11, 0x00]).unwrap().is_frame_start);
        assert!(!describe(&[0x10]).unwrap().is_keyframe_start);
        assert_eq!(describe(&[0x90, 0x80]), None);
    }
}
