//! The VP9 payload descriptor (RFC 9628 §4.2).

use super::{Descriptor, PictureId, Rewrite, picture_id_at, put_picture_id};
use crate::wire;

/// Flag bits of the first byte.
const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const FRAME_START: u8 = 0x08;

/// Offsets of the optional fields of a descriptor.
#[derive(Debug, Default)]
struct Layout {
    flags: u8,
    picture_id: Option<(usize, PictureId)>,
    /// The byte with TID, U, SID and D.
    layers: Option<u8>,
    tl0_picture_index: Option<usize>,
}

fn layout(payload: &[u8]) -> Option<Layout> {
    let flags = *payload.first()?;
    let mut layout = Layout {
        flags,
        ..Layout::default()
    };
    let mut at = 1usize;
    if flags & HAS_PICTURE_ID != 0 {
        let (id, next) = picture_id_at(payload, at)?;
        layout.picture_id = Some((at, id));
        at = next;
    }
    if flags & HAS_LAYERS != 0 {
        layout.layers = Some(*payload.get(at)?);
        at = at.checked_add(1)?;
        if flags & FLEXIBLE == 0 {
            payload.get(at)?;
            layout.tl0_picture_index = Some(at);
        }
    }
    Some(layout)
}

pub(super) fn describe(payload: &[u8]) -> Option<Descriptor> {
    let layout = layout(payload)?;
    let is_frame_start = layout.flags & FRAME_START != 0;
    let spatial_layer = layout.layers.map(|byte| (byte >> 1) & 7);
    // A keyframe begins with its lowest spatial layer; upper ones of the same picture are predicted between layers
    // only and have the P bit clear as well.
    let is_lowest = spatial_layer.unwrap_or(0) == 0;
    Some(Descriptor {
        is_keyframe_start: is_frame_start && is_lowest && layout.flags & INTER_PREDICTED == 0,
        is_frame_start,
        picture_id: layout.picture_id.map(|(_, id)| id),
        tl0_picture_index: layout
            .tl0_picture_index
            .and_then(|at| wire::u8_at(payload, at)),
        temporal_layer: layout.layers.map(|byte| byte >> 5),
        spatial_layer,
        is_switching_point: layout.layers.is_some_and(|byte| byte & 0x10 != 0),
        key_index: None,
    })
}

pub(super) fn rewrite(payload: &mut [u8], numbers: Rewrite) -> Option<()> {
    let layout = layout(payload)?;
    if let (Some((at, id)), Some(value)) = (layout.picture_id, numbers.picture_id) {
        put_picture_id(payload, at, id.is_long, value)?;
    }
    if let (Some(at), Some(value)) = (layout.tl0_picture_index, numbers.tl0_picture_index) {
        wire::put(payload, at, &[value])?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layered_descriptors_are_read_and_rewritten() {
        // I, P, L, B; picture id 0x0102; tid 2, U, sid 0; tl0 7.
        let mut payload = [0xE8, 0x81, 0x02, 0x50, 7, 0xAA];
        let read = describe(&payload).unwrap();
        assert!(read.is_frame_start && !read.is_keyframe_start && read.is_switching_point);
        assert_eq!(
            read.picture_id,
            Some(PictureId {
                value: 0x0102,
                is_long: true
            })
        );
        assert_eq!(
            (read.temporal_layer, read.spatial_layer),
            (Some(2), Some(0))
        );
        assert_eq!(read.tl0_picture_index, Some(7));
        let numbers = Rewrite {
            picture_id: Some(3),
            tl0_picture_index: Some(8),
            key_index: None,
        };
        rewrite(&mut payload, numbers).unwrap();
        assert_eq!(payload, [0xE8, 0x80, 0x03, 0x50, 8, 0xAA]);
    }

    #[test]
    fn keyframes_start_at_their_lowest_layer_only() {
        assert!(describe(&[0x88, 1]).unwrap().is_keyframe_start);
        assert!(!describe(&[0x80, 1]).unwrap().is_keyframe_start);
        assert!(describe(&[0xA8, 1, 0x00, 0]).unwrap().is_keyframe_start);
        assert!(!describe(&[0xA8, 1, 0x02, 0]).unwrap().is_keyframe_start);
        assert_eq!(describe(&[0x80]), None);
        assert_eq!(describe(&[]), None);
    }
}
