//! What the layers within one stream take.
//!
//! A layer takes what is sent to its receivers, which is not always everything below it: where larger pictures are
//! predicted from smaller ones at keyframes only, or never, who gets a larger one is spared the smaller ones.

use crate::track::layers::{Layer, MAX_SPATIAL};
use salono_rtp::codec::Descriptor;
use salono_rtp::layers::dependency::{Frame, Structure};
use salono_rtp::rate::BitrateMeter;
use std::time::Instant;

/// Kinds of frames that are told apart: of up to 16 layers, those of keyframes and a few patterns of others.
const MAX_KINDS: usize = 48;

/// Who is sent a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// Whoever gets its layer or one above in either respect.
    Above,
    /// Whoever gets its spatial layer.
    Own,
    /// Whoever gets one of these decode targets, a bit each.
    Targets(u32),
}

/// Bitrates by kind of frame.
#[derive(Debug, Default)]
pub(crate) struct Rates {
    /// Ascending by layer and scope; those that came so far.
    kinds: Vec<(Layer, Scope, BitrateMeter)>,
    /// Upper layers are predicted from lower ones at keyframes only.
    is_key_svc: bool,
    key_timestamp: Option<u32>,
}

impl Rates {
    /// Counts a packet; one without a layer counts only where others have one.
    pub(crate) fn add(
        &mut self,
        descriptor: &Descriptor,
        dependency: Option<&Frame>,
        timestamp: u32,
        bytes: usize,
        now: Instant,
    ) {
        let layer = Layer {
            spatial: descriptor.spatial_layer.unwrap_or(0),
            temporal: descriptor.temporal_layer.unwrap_or(0),
        };
        if self.kinds.is_empty() && layer == Layer::default() {
            return;
        }
        let scope = match dependency {
            Some(frame) => Scope::Targets(frame.present),
            None => self.scope(layer.spatial, descriptor, timestamp),
        };
        let key = |(of, scope, _): &(Layer, Scope, BitrateMeter)| (*of, *scope);
        let mut found = self.kinds.binary_search_by_key(&(layer, scope), key);
        if found.is_err() && self.kinds.len() >= MAX_KINDS {
            let kinds = &mut self.kinds;
            kinds.retain_mut(|(_, _, meter)| meter.bits_per_second(now) > 0);
            found = kinds.binary_search_by_key(&(layer, scope), key);
        }
        let at = match found {
            Ok(at) => at,
            Err(_) if self.kinds.len() >= MAX_KINDS => return,
            Err(at) => {
                self.kinds.insert(at, (layer, scope, BitrateMeter::new()));
                at
            }
        };
        if let Some((_, _, meter)) = self.kinds.get_mut(at) {
            meter.add(bytes, now);
        }
    }

    /// Who is sent a frame that no dependency descriptor tells of.
    fn scope(&mut self, spatial: u8, descriptor: &Descriptor, timestamp: u32) -> Scope {
        if descriptor.is_keyframe_start {
            self.key_timestamp = Some(timestamp);
        }
        let is_key_picture = self.key_timestamp == Some(timestamp);
        if spatial > 0 && !is_key_picture && descriptor.is_inter_predicted {
            self.is_key_svc = !descriptor.is_inter_layer;
        }
        if self.is_key_svc && !is_key_picture && descriptor.is_unused_above {
            Scope::Own
        } else {
            Scope::Above
        }
    }

    /// Tells each layer that comes, with what it takes to receive it. `structure` is the one that decode targets are
    /// those of.
    pub(crate) fn each(
        &mut self,
        structure: Option<&Structure>,
        now: Instant,
        mut tell: impl FnMut(Layer, u64),
    ) {
        let mut rates = [(Layer::default(), Scope::Above, 0); MAX_KINDS];
        for (entry, (layer, scope, meter)) in rates.iter_mut().zip(&mut self.kinds) {
            *entry = (*layer, *scope, meter.bits_per_second(now));
        }
        let rates = rates.get(..self.kinds.len()).unwrap_or(&[]);
        let sum = |includes: &dyn Fn(Layer, Scope) -> bool| -> u64 {
            let of = rates.iter().filter(|(of, scope, _)| includes(*of, *scope));
            of.map(|(_, _, rate)| rate).sum()
        };
        let comes = |layer: Layer| sum(&|of, _| of == layer) > 0;
        let has_targets = rates
            .iter()
            .any(|(_, scope, rate)| matches!(scope, Scope::Targets(_)) && *rate > 0);
        if let Some(structure) = structure.filter(|_| has_targets) {
            for (target, layer) in structure.targets().filter(|(_, layer)| comes(*layer)) {
                let takes = sum(&|_, scope| match scope {
                    Scope::Targets(targets) => targets >> target & 1 == 1,
                    Scope::Above | Scope::Own => false,
                });
                tell(layer, takes);
            }
            return;
        }
        let mut last = None;
        for (layer, _, _) in rates {
            if last.replace(*layer) == Some(*layer) || !comes(*layer) {
                continue;
            }
            let takes = sum(&|of, scope| {
                let is_spared = scope == Scope::Own && of.spatial != layer.spatial;
                of.spatial <= layer.spatial && of.temporal <= layer.temporal && !is_spared
            });
            tell(*layer, takes);
        }
    }

    /// What comes of each spatial layer, in bits per second.
    pub(crate) fn spatial(&mut self, now: Instant) -> [u64; MAX_SPATIAL] {
        let mut rates = [0; MAX_SPATIAL];
        for (layer, _, meter) in &mut self.kinds {
            if let Some(rate) = rates.get_mut(usize::from(layer.spatial)) {
                *rate += meter.bits_per_second(now);
            }
        }
        rates
    }

    /// The highest spatial layer that came.
    pub(crate) fn top_spatial(&self) -> u8 {
        let spatial = self.kinds.iter().map(|(layer, _, _)| layer.spatial);
        spatial.max().unwrap_or(0)
    }

    /// The highest temporal layer that came.
    pub(crate) fn top_temporal(&self) -> u8 {
        let temporal = self.kinds.iter().map(|(layer, _, _)| layer.temporal);
        temporal.max().unwrap_or(0)
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;
    use std::time::Duration;

    const BYTES: [usize; 3] = [500, 1_000, 2_000];

    /// What each layer of three takes over two seconds of 25 pictures per second, a keyframe every second, where
    /// layers are predicted from lower ones at keyframes alone, or always.
    fn takes(is_key_svc: bool) -> Vec<(Layer, u64)> {
        let start = Instant::now();
        let mut now = start;
        let mut rates = Rates::default();
        for picture in 0..50u32 {
            let is_key = picture % 25 == 0;
            for (spatial, bytes) in (0u8..).zip(BYTES) {
                let joins = is_key || !is_key_svc;
                let descriptor = Descriptor {
                    is_keyframe_start: is_key && spatial == 0,
                    spatial_layer: Some(spatial),
                    is_inter_predicted: !is_key,
                    is_inter_layer: spatial > 0 && joins,
                    is_unused_above: spatial == 2 || !joins,
                    ..Descriptor::default()
                };
                rates.add(&descriptor, None, picture * 3_600, bytes, now);
            }
            now += Duration::from_millis(40);
        }
        let mut takes = Vec::new();
        rates.each(None, now, |layer, rate| takes.push((layer, rate)));
        takes
    }

    fn kilobits(takes: &[(Layer, u64)]) -> Vec<u64> {
        takes.iter().map(|(_, rate)| rate / 1_000).collect()
    }

    #[test]
    fn a_layer_takes_all_below_it_where_it_is_predicted_from_them() {
        let all = kilobits(&takes(false));
        for (got, expected) in all.iter().zip([100, 300, 700]) {
            assert!(got.abs_diff(expected) <= expected / 20, "{all:?}");
        }
    }

    #[test]
    fn a_layer_takes_keyframes_alone_of_those_below_where_it_needs_no_more() {
        let all = kilobits(&takes(true));
        // One picture of 25 with everything below.
        for (got, expected) in all.iter().zip([100, 204, 412]) {
            assert!(got.abs_diff(expected) <= expected / 20, "{all:?}");
        }
    }

    #[test]
    fn kinds_are_bounded_and_those_that_ceased_make_room() {
        let mut now = Instant::now();
        let mut rates = Rates::default();
        for pattern in 0..1_000u32 {
            let descriptor = Descriptor {
                spatial_layer: Some(1),
                ..Descriptor::default()
            };
            let mut frame = Frame::default();
            frame.present = pattern;
            rates.add(&descriptor, Some(&frame), pattern, 100, now);
            assert!(rates.kinds.len() <= MAX_KINDS);
            now += Duration::from_millis(40);
        }
        let newest = Scope::Targets(999);
        assert!(rates.kinds.iter().any(|(_, scope, _)| *scope == newest));
    }
}
