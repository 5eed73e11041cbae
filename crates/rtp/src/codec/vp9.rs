//! The VP9 payload descriptor (RFC 9628 §4.2).

use super::{Descriptor, Heights, PictureId, Rewrite, picture_id_at, put_picture_id};
use crate::wire;

/// Flag bits of the first byte.
const HAS_PICTURE_ID: u8 = 0x80;
const INTER_PREDICTED: u8 = 0x40;
const HAS_LAYERS: u8 = 0x20;
const FLEXIBLE: u8 = 0x10;
const FRAME_START: u8 = 0x08;
const FRAME_END: u8 = 0x04;
const HAS_STRUCTURE: u8 = 0x02;
const UNUSED_ABOVE: u8 = 0x01;
/// Most reference pictures that flexible mode names.
const MAX_REFERENCES: usize = 3;

/// Offsets of the optional fields of a descriptor.
#[derive(Debug, Default)]
struct Layout {
    flags: u8,
    picture_id: Option<(usize, PictureId)>,
    /// The byte with TID, U, SID and D.
    layers: Option<u8>,
    tl0_picture_index: Option<usize>,
    /// Offset of the scalability structure.
    structure: Option<usize>,
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
            at = at.checked_add(1)?;
        }
    }
    if flags & FLEXIBLE != 0 && flags & INTER_PREDICTED != 0 {
        // Differences of picture numbers; the lowest bit says that another follows.
        for _ in 0..MAX_REFERENCES {
            let difference = *payload.get(at)?;
            at = at.checked_add(1)?;
            if difference & 1 == 0 {
                break;
            }
        }
    }
    layout.structure = (flags & HAS_STRUCTURE != 0).then_some(at);
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
        frame_number: None,
        is_frame_end: layout.flags & FRAME_END != 0,
        is_inter_predicted: layout.flags & INTER_PREDICTED != 0,
        is_inter_layer: layout.layers.is_some_and(|byte| byte & 1 != 0),
        is_unused_above: layout.flags & UNUSED_ABOVE != 0,
    })
}

/// Heights of the scalability structure: N_S, Y and G, then width and height of each layer.
pub(super) fn heights(payload: &[u8]) -> Option<Heights> {
    let mut at = layout(payload)?.structure?;
    let flags = *payload.get(at)?;
    if flags & 0x10 == 0 {
        return None;
    }
    let mut heights = Heights::default();
    at = at.checked_add(3)?;
    let layers = usize::from(flags >> 5).saturating_add(1);
    for height in heights.iter_mut().take(layers) {
        *height = wire::u16_at(payload, at)?;
        at = at.checked_add(4)?;
    }
    Some(heights)
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
            ..Rewrite::default()
        };
        rewrite(&mut payload, numbers).unwrap();
        assert_eq!(payload, [0xE8, 0x80, 0x03, 0x50, 8, 0xAA]);
    }

    #[test]
    fn structures_tell_heights_behind_whatever_precedes_them() {
        // I, L, F, B, V; picture id; sid 0; two layers with sizes.
        let plain = [0xBA, 1, 0x00, 0x30, 1, 0x40, 0, 180, 2, 0x80, 1, 0x68, 0xAA];
        assert_eq!(heights(&plain), Some([180, 360, 0, 0]));
        // With P there are differences of picture numbers in between.
        let flexible = [0xFA, 1, 0x00, 3, 2, 0x10, 1, 0x40, 0, 180];
        assert_eq!(heights(&flexible), Some([180, 0, 0, 0]));
        assert_eq!(heights(&[0xB8, 1, 0x00, 0x10]), None);
        assert_eq!(heights(&[0xBA, 1, 0x00, 0x10, 1]), None);
    }

    #[test]
    fn flags_of_prediction_are_read() {
        // I, P, L, E, Z; sid 1 with D.
        let read = describe(&[0xE5, 1, 0x03, 0]).unwrap();
        assert!(read.is_frame_end && read.is_inter_predicted);
        assert!(read.is_inter_layer && read.is_unused_above);
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
