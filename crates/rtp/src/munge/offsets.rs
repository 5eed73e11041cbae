//! From the numbers of a source to those that its packets go out with.

use super::{NO_LAYER, PICTURE_MASK};
use crate::codec::{Descriptor, Rewrite};
use crate::seq::ExtSeq;

/// What must be known of a source's packet.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// Its source.
    pub ssrc: u32,
    /// Its extended sequence number.
    pub seq: ExtSeq,
    /// Its timestamp.
    pub timestamp: u32,
    /// What its payload says.
    pub descriptor: &'a Descriptor,
}

/// The numbers that a packet goes out with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// Sequence number; its rollover counter is the one for SRTP.
    pub seq: ExtSeq,
    /// Timestamp.
    pub timestamp: u32,
    /// Numbers for the payload, to give to [`Codec::rewrite`].
    pub rewrite: Rewrite,
    /// The packet ends a picture whose upper layers are left out: it takes the marker.
    pub ends_picture: bool,
    /// Decode targets that the receiver gets, for its dependency descriptor; with 0 what the source says holds.
    pub active: u16,
}

/// Offsets from source to outgoing numbers, each modulo its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offsets {
    pub(super) timestamp: u32,
    /// Of picture numbers, or of frame numbers: no payload has both.
    pub(super) picture: u16,
    pub(super) tl0_picture_index: u8,
    pub(super) key_index: u8,
    pub(super) part: Part,
}

/// What of its source a receiver gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    /// The highest spatial layer that is forwarded, if upper ones are left out.
    pub(super) top: u8,
    /// Decode targets that it is told of.
    pub(super) active: u16,
}

impl Part {
    /// All of it.
    pub(super) const ALL: Self = Self {
        top: NO_LAYER,
        active: 0,
    };
}

impl Default for Offsets {
    fn default() -> Self {
        Self {
            timestamp: 0,
            picture: 0,
            tl0_picture_index: 0,
            key_index: 0,
            part: Part::ALL,
        }
    }
}

impl Offsets {
    /// The outgoing numbers of a packet with `seq` as its outgoing sequence number.
    #[inline]
    pub fn apply(self, seq: ExtSeq, timestamp: u32, descriptor: &Descriptor) -> Outgoing {
        let picture_id = descriptor
            .picture_id
            .map(|id| id.value.wrapping_add(self.picture) & PICTURE_MASK);
        Outgoing {
            seq,
            timestamp: timestamp.wrapping_add(self.timestamp),
            rewrite: Rewrite {
                picture_id,
                tl0_picture_index: descriptor
                    .tl0_picture_index
                    .map(|index| index.wrapping_add(self.tl0_picture_index)),
                key_index: descriptor
                    .key_index
                    .map(|index| index.wrapping_add(self.key_index) & 0x1F),
                frame_number: descriptor
                    .frame_number
                    .map(|number| number.wrapping_add(self.picture)),
            },
            ends_picture: descriptor.is_frame_end
                && descriptor.spatial_layer.unwrap_or(NO_LAYER) == self.part.top
                && self.part.top != NO_LAYER,
            active: self.part.active,
        }
    }
}
