//! The qualities that a source comes in, and which of them a receiver gets.
//!
//! A source has spatial layers, which are streams of their own (simulcast) or parts of one stream
//! (SVC), and each of them has temporal layers. A plain source has one layer.

use salono_rtp::codec::Descriptor;
use salono_rtp::rate::BitrateMeter;
use std::time::Instant;

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

/// The bitrate of each layer within one stream, own parts only.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Ascending by layer; those that came so far.
    meters: Vec<(Layer, BitrateMeter)>,
}

impl Rates {
    /// Counts a packet; one without a layer counts only where others have one.
    pub(crate) fn add(&mut self, descriptor: &Descriptor, bytes: usize, now: Instant) {
        let layer = Layer {
            spatial: descriptor.spatial_layer.unwrap_or(0),
            temporal: descriptor.temporal_layer.unwrap_or(0),
        };
        if self.meters.is_empty() && layer == Layer::default() {
            return;
        }
        let at = match self.meters.binary_search_by_key(&layer, |(of, _)| *of) {
            Ok(at) => at,
            Err(_) if self.meters.len() >= MAX_SPATIAL * MAX_TEMPORAL => return,
            Err(at) => {
                self.meters.insert(at, (layer, BitrateMeter::new()));
                at
            }
        };
        if let Some((_, meter)) = self.meters.get_mut(at) {
            meter.add(bytes, now);
        }
    }

    /// The layers that came, each with what it takes to receive it: all layers that are not above
    /// it in either respect.
    pub(crate) fn cumulative(&mut self, now: Instant) -> impl Iterator<Item = (Layer, u64)> + '_ {
        let mut own = [(Layer::default(), 0); MAX_SPATIAL * MAX_TEMPORAL];
        for (entry, (layer, meter)) in own.iter_mut().zip(&mut self.meters) {
            *entry = (*layer, meter.bits_per_second(now));
        }
        let count = self.meters.len();
        (0..count).filter_map(move |at| {
            let (layer, rate) = *own.get(at)?;
            if rate == 0 {
                return None;
            }
            let below = own.iter().take(count).filter(|(other, _)| {
                other.spatial <= layer.spatial && other.temporal <= layer.temporal
            });
            Some((layer, below.map(|(_, rate)| rate).sum()))
        })
    }

    /// What each spatial layer takes by itself, in bits per second.
    pub(crate) fn spatial(&mut self, now: Instant) -> [u64; MAX_SPATIAL] {
        let mut rates = [0; MAX_SPATIAL];
        for (layer, meter) in &mut self.meters {
            if let Some(rate) = rates.get_mut(usize::from(layer.spatial)) {
                *rate += meter.bits_per_second(now);
            }
        }
        rates
    }

    /// The highest spatial layer that came.
    pub(crate) fn top_spatial(&self) -> u8 {
        let spatial = self.meters.iter().map(|(layer, _)| layer.spatial);
        spatial.max().unwrap_or(0)
    }

    /// The highest temporal layer that came.
    pub(crate) fn top_temporal(&self) -> u8 {
        let temporal = self.meters.iter().map(|(layer, _)| layer.temporal);
        temporal.max().unwrap_or(0)
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
