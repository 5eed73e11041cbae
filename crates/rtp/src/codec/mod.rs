//! What a forwarder must know of a payload: keyframes, starts of frames, and the running numbers that have to be
//! rewritten when the source changes.
//!
//! One file per codec. [`Codec::describe`] reads a payload into a [`Descriptor`]; [`Codec::rewrite`] writes new
//! numbers into a copy of it, in place and without changing its length. Codecs without anything to know (all of
//! audio) are [`Codec::Opaque`].

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod av1;
mod h264;
mod h265;
mod vp8;
mod vp9;

/// How to look into the payloads of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Codec {
    /// Nothing to see: every packet is a place to start at.
    #[default]
    Opaque,
    /// VP8 (RFC 7741).
    Vp8,
    /// VP9 (RFC 9628).
    Vp9,
    /// H.264 (RFC 6184).
    H264,
    /// H.265 (RFC 7798).
    H265,
    /// AV1 (RTP Payload Format For AV1, v1.0).
    Av1,
}

/// What one payload says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Descriptor {
    /// Decoding can start with this packet: the first one of a keyframe.
    pub is_keyframe_start: bool,
    /// The first packet of a frame.
    pub is_frame_start: bool,
    /// Running number of the picture.
    pub picture_id: Option<PictureId>,
    /// Running number of the base layer frame (VP8 and non-flexible VP9).
    pub tl0_picture_index: Option<u8>,
    /// Temporal layer.
    pub temporal_layer: Option<u8>,
    /// Spatial layer (VP9).
    pub spatial_layer: Option<u8>,
    /// A switch up to this temporal layer may happen here.
    pub is_switching_point: bool,
    /// Running number of the keyframe (VP8).
    pub key_index: Option<u8>,
    /// Running number of the frame, all layers counted (dependency descriptor).
    pub frame_number: Option<u16>,
    /// The last packet of a frame, which with several spatial layers is not the last of its picture (VP9, AV1).
    pub is_frame_end: bool,
    /// The frame is predicted from earlier pictures (VP9).
    pub is_inter_predicted: bool,
    /// The frame is predicted from the spatial layer below (VP9).
    pub is_inter_layer: bool,
    /// Upper spatial layers of this picture are not predicted from the frame (VP9).
    pub is_unused_above: bool,
}

/// Spatial layers that are told apart.
pub const MAX_SPATIAL: usize = 4;

/// Lines of the picture by spatial layer, 0 where not known.
pub type Heights = [u16; MAX_SPATIAL];

/// A picture number with its width on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureId {
    /// The number, 7 or 15 bits.
    pub value: u16,
    /// Whether it takes 15 bits.
    pub is_long: bool,
}

/// New running numbers for a payload; those that the payload does not have are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Picture number, of which as many bits are written as the payload has.
    pub picture_id: Option<u16>,
    /// Base layer frame number.
    pub tl0_picture_index: Option<u8>,
    /// Keyframe number (VP8, 5 bits).
    pub key_index: Option<u8>,
    /// Frame number, which is in a header extension.
    pub frame_number: Option<u16>,
}

impl Codec {
    /// The codec of an SDP encoding name, without regard to case.
    pub fn from_encoding_name(name: &str) -> Self {
        [
            ("VP8", Self::Vp8),
            ("VP9", Self::Vp9),
            ("H264", Self::H264),
            ("H265", Self::H265),
            ("AV1", Self::Av1),
        ]
        .into_iter()
        .find_map(|(known, codec)| known.eq_ignore_ascii_case(name).then_some(codec))
        .unwrap_or(Self::Opaque)
    }

    /// Whether decoding can start only at keyframes.
    pub const fn needs_keyframe(self) -> bool {
        match self {
            Self::Opaque => false,
            Self::Vp8 | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1 => true,
        }
    }

    /// Reads a payload. Damaged ones describe as nothing in particular.
    pub fn describe(self, payload: &[u8]) -> Descriptor {
        match self {
            Self::Opaque => Descriptor {
                is_keyframe_start: true,
                is_frame_start: true,
                ..Descriptor::default()
            },
            Self::Vp8 => vp8::describe(payload).unwrap_or_default(),
            Self::Vp9 => vp9::describe(payload).unwrap_or_default(),
            Self::H264 => h264::describe(payload),
            Self::H265 => h265::describe(payload),
            Self::Av1 => av1::describe(payload).unwrap_or_default(),
        }
    }

    /// Heights of the picture, which keyframes tell: the first packet of one, or all zeros.
    pub fn heights(self, payload: &[u8]) -> Heights {
        match self {
            Self::Vp8 => single(vp8::height(payload)),
            Self::H264 => single(h264::height(payload)),
            Self::Vp9 => vp9::heights(payload).unwrap_or_default(),
            Self::Opaque | Self::H265 | Self::Av1 => Heights::default(),
        }
    }

    /// Whether pictures that are left out must not leave a gap in the picture numbers. The numbers of VP9 say which
    /// pictures a frame is predicted from, so they stay.
    pub const fn closes_picture_gaps(self) -> bool {
        match self {
            Self::Vp8 => true,
            Self::Opaque | Self::Vp9 | Self::H264 | Self::H265 | Self::Av1 => false,
        }
    }

    /// Whether [`rewrite`](Self::rewrite) can change payloads of this codec.
    pub const fn rewrites_payload(self) -> bool {
        match self {
            Self::Vp8 | Self::Vp9 => true,
            Self::Opaque | Self::H264 | Self::H265 | Self::Av1 => false,
        }
    }

    /// Writes new running numbers into `payload`. Damaged payloads stay as they are.
    pub fn rewrite(self, payload: &mut [u8], numbers: Rewrite) {
        match self {
            Self::Vp8 => vp8::rewrite(payload, numbers).unwrap_or_default(),
            Self::Vp9 => vp9::rewrite(payload, numbers).unwrap_or_default(),
            Self::Opaque | Self::H264 | Self::H265 | Self::Av1 => {}
        }
    }
}

/// The heights of a codec without spatial layers.
fn single(height: Option<u16>) -> Heights {
    [height.unwrap_or(0), 0, 0, 0]
}

/// Reads a picture number of 7 or 15 bits at `at`; returns it with the offset behind it.
fn picture_id_at(payload: &[u8], at: usize) -> Option<(PictureId, usize)> {
    let first = *payload.get(at)?;
    if first & 0x80 == 0 {
        let id = PictureId {
            value: u16::from(first),
            is_long: false,
        };
        return Some((id, at.checked_add(1)?));
    }
    let value = crate::wire::u16_at(payload, at)? & 0x7FFF;
    Some((
        PictureId {
            value,
            is_long: true,
        },
        at.checked_add(2)?,
    ))
}

/// Writes a picture number in the width that is there.
fn put_picture_id(payload: &mut [u8], at: usize, is_long: bool, value: u16) -> Option<()> {
    if is_long {
        crate::wire::put(payload, at, &(0x8000 | (value & 0x7FFF)).to_be_bytes())
    } else {
        crate::wire::put(payload, at, &[(value & 0x7F) as u8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn encoding_names_select_the_codec() {
        assert_eq!(Codec::from_encoding_name("vp8"), Codec::Vp8);
        assert_eq!(Codec::from_encoding_name("H264"), Codec::H264);
        assert_eq!(Codec::from_encoding_name("opus"), Codec::Opaque);
        assert!(Codec::Opaque.describe(&[]).is_keyframe_start);
    }

    proptest! {
        #[test]
        fn no_payload_panics_and_rewriting_keeps_the_rest(
            payload in proptest::collection::vec(any::<u8>(), 0..40), id in any::<u16>(), tl0 in any::<u8>()
        ) {
            for codec in [Codec::Opaque, Codec::Vp8, Codec::Vp9, Codec::H264, Codec::H265, Codec::Av1] {
                let before = codec.describe(&payload);
                let mut copy = payload.clone();
                let numbers = Rewrite {
                    picture_id: Some(id), tl0_picture_index: Some(tl0), key_index: Some(tl0),
                    ..Rewrite::default()
                };
                codec.rewrite(&mut copy, numbers);
                let after = codec.describe(&copy);
                prop_assert_eq!(before.is_keyframe_start, after.is_keyframe_start);
                prop_assert_eq!(before.temporal_layer, after.temporal_layer);
                prop_assert_eq!(before.picture_id.is_some(), after.picture_id.is_some());
                if let (Some(was), Some(picture)) = (before.picture_id, after.picture_id) {
                    let mask = if was.is_long { 0x7FFF } else { 0x7F };
                    prop_assert_eq!(picture, PictureId { value: id & mask, ..was });
                }
                if after.tl0_picture_index.is_some() {
                    prop_assert_eq!(after.tl0_picture_index, Some(tl0));
                }
            }
        }
    }
}
