//! Which frames of a layered stream a receiver gets.
//!
//! A [`Selector`] is told every packet of one source in order and says which to forward, so that what is forwarded
//! can be decoded at any time: layers are left at the start of a picture, and joined only where the sender says that
//! nothing which was left out is missed. VP8 has temporal layers (RFC 7741 §4.2: TID and Y), VP9 temporal and
//! spatial ones (RFC 9628 §4.2: TID, U, SID, D and Z). For streams that describe their frames in a header extension,
//! as AV1 does, it is [`Targets`] that decides.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod dependency;
mod targets;

pub use targets::Targets;

use crate::codec::Descriptor;

/// One quality of a source: how large the picture and how high the frame rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Layer {
    /// Rank by picture size, 0 is the smallest.
    pub spatial: u8,
    /// Rank by frame rate, 0 is the lowest.
    pub temporal: u8,
}

impl Layer {
    /// Whatever is the best that a source has.
    pub const HIGHEST: Self = Self {
        spatial: u8::MAX,
        temporal: u8::MAX,
    };
}

/// Frames that are remembered as left out, for packets of theirs that come late.
const REMEMBERED: usize = 16;

/// Pictures to wait for a point to go up to a higher frame rate at, before a keyframe is asked for.
const PATIENCE: u16 = 100;

/// What to do with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is for the receiver.
    Forward,
    /// It is of a layer that the receiver does not get.
    LeaveOut,
}

/// The frame that packets belong to at the moment.
#[derive(Debug, Clone, Copy)]
struct Frame {
    timestamp: u32,
    spatial: u8,
    verdict: Verdict,
}

/// Chooses the layers of one source for one receiver.
#[derive(Debug, Clone)]
pub struct Selector {
    target: Layer,
    current: Layer,
    frame: Option<Frame>,
    /// Highest spatial layer of this picture so far, and whether the picture is a keyframe.
    top_seen: u8,
    is_key_picture: bool,
    /// Upper layers are predicted from lower ones at keyframes only, so that lower ones need not be sent.
    is_key_svc: bool,
    has_spatial: bool,
    needs_keyframe: bool,
    waited: u16,
    left_out: [Option<(u32, u8)>; REMEMBERED],
    next_left_out: usize,
}

impl Selector {
    /// For a receiver that has got everything so far.
    pub const fn new() -> Self {
        Self {
            target: Layer::HIGHEST,
            current: Layer::HIGHEST,
            frame: None,
            top_seen: 0,
            is_key_picture: false,
            is_key_svc: false,
            has_spatial: false,
            needs_keyframe: false,
            waited: 0,
            left_out: [None; REMEMBERED],
            next_left_out: 0,
        }
    }

    /// The highest layer that the receiver shall get.
    pub fn set_target(&mut self, target: Layer) {
        if self.target != target {
            self.target = target;
            self.waited = 0;
        }
    }

    /// Another source begins, with a keyframe.
    pub fn restart(&mut self) {
        *self = Self {
            target: self.target,
            current: self.target,
            ..Self::new()
        };
    }

    /// The highest layer that the receiver gets at the moment.
    pub const fn current(&self) -> Layer {
        self.current
    }

    /// Whether the target can only be reached by a keyframe.
    pub const fn needs_keyframe(&self) -> bool {
        self.needs_keyframe
    }

    /// The spatial layer whose last packet ends the picture for the receiver; `None` when the sender's marker does.
    pub fn top(&self) -> Option<u8> {
        (self.has_spatial && self.current.spatial != u8::MAX).then_some(self.current.spatial)
    }

    /// Whether a packet that comes late is of a frame that was left out.
    pub fn was_left_out(&self, timestamp: u32, descriptor: &Descriptor) -> bool {
        let frame = (timestamp, descriptor.spatial_layer.unwrap_or(0));
        self.left_out.contains(&Some(frame))
    }

    /// Decides on a packet that is newer than all before it.
    pub fn take(&mut self, timestamp: u32, descriptor: &Descriptor) -> Verdict {
        let spatial = descriptor.spatial_layer.unwrap_or(0);
        if let Some(frame) = self.frame
            && (frame.timestamp, frame.spatial) == (timestamp, spatial)
        {
            return frame.verdict;
        }
        if self
            .frame
            .is_none_or(|frame| frame.timestamp != timestamp || spatial < frame.spatial)
        {
            self.begin_picture(descriptor);
        }
        let verdict = self.judge(spatial, descriptor);
        self.frame = Some(Frame {
            timestamp,
            spatial,
            verdict,
        });
        if verdict == Verdict::LeaveOut {
            if let Some(entry) = self.left_out.get_mut(self.next_left_out) {
                *entry = Some((timestamp, spatial));
            }
            self.next_left_out = self.next_left_out.wrapping_add(1) % REMEMBERED;
        }
        verdict
    }

    /// A picture is where layers are left, and where the frame rate goes up.
    fn begin_picture(&mut self, descriptor: &Descriptor) {
        let (was_key, top_before) = (self.is_key_picture, self.top_seen);
        let is_first = self.frame.is_none();
        self.top_seen = 0;
        self.is_key_picture = descriptor.is_keyframe_start;
        if descriptor.is_keyframe_start {
            self.current = self.target;
            self.needs_keyframe = false;
            self.waited = 0;
            return;
        }
        self.current.temporal = self.current.temporal.min(self.target.temporal);
        self.rise(descriptor);
        if !self.has_spatial {
            return;
        }
        let wanted = self.target.spatial.min(self.current.spatial);
        if !self.is_key_svc {
            self.current.spatial = wanted;
            return;
        }
        // The layer that is forwarded may have ceased; below it only a keyframe has what is needed.
        if !is_first && self.current.spatial != u8::MAX && top_before < self.current.spatial {
            if was_key {
                self.current.spatial = top_before;
            } else {
                self.needs_keyframe = true;
            }
        }
        if wanted < self.current.spatial {
            if was_key {
                self.current.spatial = wanted;
            } else {
                self.needs_keyframe = true;
            }
        }
    }

    /// Goes up one temporal layer if this is a point for it.
    fn rise(&mut self, descriptor: &Descriptor) {
        let Some(temporal) = descriptor.temporal_layer else {
            return;
        };
        if temporal <= self.current.temporal || self.current.temporal >= self.target.temporal {
            return;
        }
        let is_next = temporal == self.current.temporal.saturating_add(1);
        if is_next && descriptor.is_frame_start && descriptor.is_switching_point {
            self.current.temporal = temporal;
            self.waited = 0;
            return;
        }
        self.waited = self.waited.saturating_add(1);
        self.needs_keyframe |= self.waited >= PATIENCE;
    }

    fn judge(&mut self, spatial: u8, descriptor: &Descriptor) -> Verdict {
        self.top_seen = self.top_seen.max(spatial);
        if spatial > 0 {
            self.has_spatial = true;
            if !self.is_key_picture && descriptor.is_inter_predicted {
                self.is_key_svc = !descriptor.is_inter_layer;
            }
            let is_next = spatial == self.current.spatial.saturating_add(1);
            if is_next && spatial <= self.target.spatial {
                // Predicted from the layer below alone.
                if descriptor.is_frame_start && !descriptor.is_inter_predicted {
                    self.current.spatial = spatial;
                } else {
                    self.needs_keyframe = true;
                }
            }
        }
        let temporal = descriptor.temporal_layer.unwrap_or(0);
        if spatial > self.current.spatial || temporal > self.current.temporal {
            return Verdict::LeaveOut;
        }
        let is_spared = self.is_key_svc
            && !self.is_key_picture
            && descriptor.is_unused_above
            && self.current.spatial != u8::MAX
            && spatial < self.current.spatial;
        if is_spared {
            Verdict::LeaveOut
        } else {
            Verdict::Forward
        }
    }
}

impl Default for Selector {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(spatial: u8, temporal: u8) -> Layer {
        Layer { spatial, temporal }
    }

    fn frame(temporal: u8, is_switching_point: bool) -> Descriptor {
        Descriptor {
            is_frame_start: true,
            temporal_layer: Some(temporal),
            is_switching_point,
            is_inter_predicted: true,
            ..Descriptor::default()
        }
    }

    fn key() -> Descriptor {
        Descriptor {
            is_keyframe_start: true,
            is_inter_predicted: false,
            ..frame(0, false)
        }
    }

    /// Temporal layers of what is forwarded of the usual pattern of three, from picture `from` on.
    fn forwarded(selector: &mut Selector, from: u32, pictures: u32) -> Vec<u8> {
        let pattern = [(0, false), (2, true), (1, true), (2, false)];
        let mut taken = Vec::new();
        for picture in from..from + pictures {
            let (temporal, up) = pattern[picture as usize % 4];
            let descriptor = frame(temporal, up);
            let verdict = selector.take(picture, &descriptor);
            assert_eq!(verdict, selector.take(picture, &descriptor));
            if verdict == Verdict::Forward {
                taken.push(temporal);
            }
        }
        taken
    }

    #[test]
    fn temporal_layers_are_left_at_once_and_joined_one_by_one_at_points_for_it() {
        let mut selector = Selector::new();
        assert_eq!(forwarded(&mut selector, 0, 4), [0, 2, 1, 2]);
        selector.set_target(layer(255, 0));
        assert_eq!(forwarded(&mut selector, 4, 8), [0, 0]);
        selector.set_target(Layer::HIGHEST);
        // The second layer begins at picture 14, the third at the next point of it.
        assert_eq!(forwarded(&mut selector, 12, 8), [0, 1, 0, 2, 1, 2]);
        assert!(!selector.needs_keyframe());
    }

    #[test]
    fn a_sender_without_points_is_asked_for_a_keyframe_in_the_end() {
        let mut selector = Selector::new();
        selector.set_target(layer(0, 0));
        selector.take(0, &frame(0, false));
        selector.set_target(layer(0, 1));
        for picture in 1..200 {
            selector.take(picture, &frame((picture % 2) as u8, false));
        }
        assert!(selector.needs_keyframe());
        assert_eq!(selector.take(200, &key()), Verdict::Forward);
        assert_eq!(selector.take(201, &frame(1, false)), Verdict::Forward);
        assert!(!selector.needs_keyframe());
    }

    /// The three spatial layers of a picture; returns those that are forwarded.
    fn picture(selector: &mut Selector, timestamp: u32, is_key: bool, key_svc: bool) -> Vec<u8> {
        let mut taken = Vec::new();
        for spatial in 0..3 {
            let descriptor = Descriptor {
                is_keyframe_start: is_key && spatial == 0,
                is_frame_start: true,
                spatial_layer: Some(spatial),
                temporal_layer: Some(0),
                is_inter_predicted: !is_key,
                is_inter_layer: spatial > 0 && (is_key || !key_svc),
                is_unused_above: spatial == 2 || (key_svc && !is_key),
                ..Descriptor::default()
            };
            if selector.take(timestamp, &descriptor) == Verdict::Forward {
                taken.push(spatial);
            }
        }
        taken
    }

    #[test]
    fn spatial_layers_are_left_at_once_and_joined_at_keyframes() {
        let mut selector = Selector::new();
        assert_eq!(picture(&mut selector, 0, true, false), [0, 1, 2]);
        selector.set_target(layer(1, 0));
        assert_eq!(picture(&mut selector, 1, false, false), [0, 1]);
        assert_eq!(selector.top(), Some(1));
        selector.set_target(layer(0, 0));
        assert_eq!(picture(&mut selector, 2, false, false), [0]);
        assert!(!selector.needs_keyframe());
        selector.set_target(layer(2, 0));
        assert_eq!(picture(&mut selector, 3, false, false), [0]);
        assert!(selector.needs_keyframe());
        assert_eq!(picture(&mut selector, 4, true, false), [0, 1, 2]);
        assert_eq!(picture(&mut selector, 5, false, false), [0, 1, 2]);
    }

    #[test]
    fn lower_layers_are_spared_between_keyframes_where_nothing_needs_them() {
        let mut selector = Selector::new();
        selector.set_target(layer(2, 0));
        assert_eq!(picture(&mut selector, 0, true, true), [0, 1, 2]);
        picture(&mut selector, 1, false, true);
        assert_eq!(picture(&mut selector, 2, false, true), [2]);
        selector.set_target(layer(0, 0));
        assert_eq!(picture(&mut selector, 3, false, true), [2]);
        assert!(selector.needs_keyframe());
        assert_eq!(picture(&mut selector, 4, true, true), [0]);
        assert_eq!(picture(&mut selector, 5, false, true), [0]);
        assert!(!selector.needs_keyframe());
    }

    #[test]
    fn late_packets_are_known_by_their_frame() {
        let mut selector = Selector::new();
        selector.set_target(layer(0, 0));
        selector.take(0, &frame(0, false));
        selector.take(1, &frame(1, false));
        selector.take(2, &frame(0, false));
        assert!(selector.was_left_out(1, &frame(1, false)));
        assert!(!selector.was_left_out(0, &frame(0, false)));
    }
}
