//! Layers of a source: this track as one of them, and those within its stream.

use super::Inbound;
use crate::track::layers::{Layer, MAX_SPATIAL, Qualities, Quality};
use crate::track::router::{LayerName, TrackSlot};
use salono_rtp::codec::Heights;
use std::time::Instant;

impl Inbound {
    /// Makes this track a layer of a source, or a source by itself.
    pub(crate) fn set_name(&mut self, name: Option<LayerName>, of: Option<TrackSlot>) {
        self.name = name;
        self.layer_of = of;
        if of.is_some() {
            // One layer's share says nothing of what the publisher's path carries.
            self.remb = None;
        }
    }

    /// How the publisher calls this layer; `None` for a track that is none.
    pub(crate) fn name(&self) -> Option<&LayerName> {
        self.name.as_ref()
    }

    /// The source that this track is a layer of.
    pub(crate) fn layer_of(&self) -> Option<TrackSlot> {
        self.layer_of
    }

    /// Lines of the picture, of the highest layer within the stream; `None` before they are known.
    pub(crate) fn height(&self) -> Option<u16> {
        self.heights.into_iter().max().filter(|height| *height > 0)
    }

    /// Takes over the size of the picture from elsewhere.
    pub(super) fn set_height(&mut self, height: u16) {
        if height > 0 && self.height() != Some(height) {
            self.heights = [height, 0, 0, 0];
            self.heights_changed = true;
        }
    }

    /// Whether the size of the picture changed since this was asked last.
    pub(crate) fn take_heights_changed(&mut self) -> bool {
        std::mem::take(&mut self.heights_changed)
    }

    /// Lines of the picture by spatial layer, 0 where not known.
    pub(crate) fn heights(&self) -> Heights {
        self.heights
    }

    /// Lines of the picture of a spatial layer within the stream.
    pub(crate) fn height_of(&self, spatial: u8) -> Option<u16> {
        let height = self.heights.get(usize::from(spatial)).copied();
        height.filter(|height| *height > 0)
    }

    /// What each spatial layer within the stream takes by itself, in bits per second.
    pub(crate) fn spatial_rates(&mut self, now: Instant) -> [u64; MAX_SPATIAL] {
        self.rates.spatial(now)
    }

    /// What it takes to receive each spatial layer within the stream in full, in bits per second.
    pub(crate) fn spatial_costs(&mut self, now: Instant) -> [u64; MAX_SPATIAL] {
        let mut costs = [0; MAX_SPATIAL];
        let structure = self.dependencies.reader().current();
        self.rates.each(structure, now, |layer, bitrate| {
            if let Some(cost) = costs.get_mut(usize::from(layer.spatial)) {
                *cost = bitrate.max(*cost);
            }
        });
        costs
    }

    /// The highest spatial layer within the stream that came.
    pub(crate) fn top_spatial(&self) -> u8 {
        self.rates.top_spatial()
    }

    /// The highest temporal layer that came.
    pub(crate) fn top_temporal(&self) -> u8 {
        self.rates.top_temporal()
    }

    /// The qualities of a source that is this track alone.
    pub(crate) fn qualities(&mut self, into: &mut Qualities, now: Instant) {
        let before = into.len();
        let (heights, structure) = (self.heights, self.dependencies.reader().current());
        self.rates.each(structure, now, |layer, bitrate| {
            let height = heights.get(usize::from(layer.spatial)).copied();
            into.push(Quality {
                layer,
                bitrate,
                height: height.filter(|height| *height > 0),
            });
        });
        if into.len() == before {
            into.push(Quality {
                layer: Layer::default(),
                bitrate: self.meter.bits_per_second(now),
                height: self.height(),
            });
        }
    }

    /// The qualities of this stream as one of several.
    pub(crate) fn stream_qualities(&mut self, rank: u8, into: &mut Qualities, now: Instant) {
        let height = self.height();
        if let Some(state) = self.stream_state()
            && self.links().is_empty()
        {
            into.push(Quality {
                layer: Layer {
                    spatial: rank,
                    temporal: state.temporal,
                },
                bitrate: state.bitrate,
                height,
            });
            return;
        }
        let mut any = false;
        let structure = self.dependencies.reader().current();
        self.rates.each(structure, now, |layer, bitrate| {
            any = true;
            into.push(Quality {
                layer: Layer {
                    spatial: rank,
                    ..layer
                },
                bitrate,
                height,
            });
        });
        if !any {
            into.push(Quality {
                layer: Layer {
                    spatial: rank,
                    temporal: 0,
                },
                bitrate: self.meter.bits_per_second(now),
                height,
            });
        }
    }
}
