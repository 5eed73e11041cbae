//! The qualities that a source comes in, and which of them a receiver gets.
//!
//! A source has spatial layers, which are streams of their own (simulcast) or parts of one stream
//! (SVC), and each of them has temporal layers. A plain source has one layer.

pub(crate) use salono_rtp::codec::MAX_SPATIAL;
pub(crate) use salono_rtp::layers::Layer;

/// What it takes to receive a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Quality {
    pub(crate) layer: Layer,
    /// Bits per second as measured, of everything that has to be sent for this layer.
    pub(crate) bitrate: u64,
    /// Lines of the picture, where known.
    pub(crate) height: Option<u16>,
}

/// Temporal layers that are told apart.
pub(crate) const MAX_TEMPORAL: usize = 4;

/// The qualities of a source, ascending by bitrate.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Qualities {
    entries: [Quality; MAX_SPATIAL * MAX_TEMPORAL],
    len: usize,
}

impl Qualities {
    /// Adds an entry; what does not fit is left out.
    pub(crate) fn push(&mut self, quality: Quality) {
        if let Some(entry) = self.entries.get_mut(self.len) {
            *entry = quality;
            self.len += 1;
        }
    }

    /// Lets a spatial layer take so much at least; false when there is none.
    pub(crate) fn raise(&mut self, spatial: u8, bitrate: u64) -> bool {
        let mut is_there = false;
        for quality in self.entries.iter_mut().take(self.len) {
            if quality.layer.spatial == spatial {
                quality.bitrate = quality.bitrate.max(bitrate);
                is_there = true;
            }
        }
        is_there
    }

    /// Leaves out all but the smallest picture.
    pub(crate) fn keep_smallest(&mut self) {
        let mut kept = Self::default();
        for quality in self.iter().filter(|quality| quality.layer.spatial == 0) {
            kept.push(*quality);
        }
        *self = kept;
    }

    /// Puts the entries into ascending order of bitrate.
    pub(crate) fn sort(&mut self) {
        if let Some(entries) = self.entries.get_mut(..self.len) {
            entries.sort_by_key(|quality| (quality.bitrate, quality.layer));
        }
    }
}

impl std::ops::Deref for Qualities {
    type Target = [Quality];

    fn deref(&self) -> &[Quality] {
        self.entries.get(..self.len).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qualities_ascend_and_never_overflow() {
        let mut qualities = Qualities::default();
        for rank in 0..20 {
            qualities.push(Quality {
                layer: Layer {
                    spatial: rank,
                    temporal: 0,
                },
                bitrate: 1_000 - u64::from(rank),
                height: None,
            });
        }
        qualities.sort();
        assert_eq!(qualities.len(), MAX_SPATIAL * MAX_TEMPORAL);
        assert!(qualities.is_sorted_by_key(|quality| quality.bitrate));
    }
}
