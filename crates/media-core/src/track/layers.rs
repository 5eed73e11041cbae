//! The qualities that a source comes in, and which of them a receiver gets.
//!
//! A source has spatial layers, which are streams of their own (simulcast) or parts of one stream
//! (SVC), and each of them has temporal layers. A plain source has one layer.

/// One quality of a source: how large the picture and how high the frame rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Layer {
    /// Rank by picture size, 0 is the smallest.
    pub(crate) spatial: u8,
    /// Rank by frame rate, 0 is the lowest.
    pub(crate) temporal: u8,
}

impl Layer {
    /// Whatever is the best that a source has.
    pub(crate) const HIGHEST: Self = Self {
        spatial: u8::MAX,
        temporal: u8::MAX,
    };
}

/// What it takes to receive a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Quality {
    pub(crate) layer: Layer,
    /// Bits per second as measured, of everything that has to be sent for this layer.
    pub(crate) bitrate: u64,
    /// Lines of the picture, where known.
    pub(crate) height: Option<u16>,
}

/// Spatial layers of a source that are told apart.
pub(crate) const MAX_SPATIAL: usize = 4;
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
