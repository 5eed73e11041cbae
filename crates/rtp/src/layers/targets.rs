//! Which frames of a stream with dependency descriptors a receiver gets.
//!
//! A [`Targets`] is told every frame and moves between decode targets so that what is forwarded can be decoded at any
//! time: to one of which nothing was left out since it could last be begun with, or to one that can be begun with
//! here, because the frame says so and everything that it is predicted from was forwarded. A picture, which may
//! have frames of several spatial layers, is of one target, except that better ones may begin within it.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

use super::dependency::{Frame, Structure};
use super::{Layer, PATIENCE, Verdict};

/// Frames that are remembered.
const REMEMBERED: u16 = 64;

/// Chooses the decode target of one source for one receiver.
#[derive(Debug, Clone)]
pub struct Targets {
    limit: Layer,
    /// The structure that all of the following is about.
    epoch: Option<u8>,
    /// Targets that do not exceed the limit.
    within: u32,
    current: Option<u8>,
    layer: Layer,
    /// Targets of which the receiver has everything.
    intact: u32,
    /// The receiver was told that it does not get all targets.
    is_reduced: bool,
    /// What it is told that it gets.
    told: u16,
    has_spatial: bool,
    timestamp: u32,
    /// The newest frame; bit `n` of each: the frame `n` numbers before it was decided on, and was forwarded.
    newest: u16,
    seen: u64,
    sent: u64,
    needs_keyframe: bool,
    waited: u16,
}

impl Targets {
    /// For a receiver that has got everything so far.
    pub const fn new() -> Self {
        Self {
            limit: Layer::HIGHEST,
            epoch: None,
            within: 0,
            current: None,
            layer: Layer::HIGHEST,
            intact: 0,
            is_reduced: false,
            told: 0,
            has_spatial: false,
            timestamp: 0,
            newest: 0,
            seen: 0,
            sent: 0,
            needs_keyframe: false,
            waited: 0,
        }
    }

    /// The highest layer that the receiver shall get.
    pub fn set_limit(&mut self, limit: Layer) {
        if self.limit != limit {
            self.limit = limit;
            self.waited = 0;
            // What does not exceed it is found with the next frame.
            self.within = 0;
        }
    }

    /// Another source begins, with a keyframe.
    pub fn restart(&mut self) {
        *self = Self {
            limit: self.limit,
            ..Self::new()
        };
    }

    /// Whether frames were decided on, so that the layers are known.
    pub const fn is_used(&self) -> bool {
        self.epoch.is_some()
    }

    /// The highest layer that the receiver gets at the moment.
    pub const fn current(&self) -> Layer {
        self.layer
    }

    /// Whether the limit can only be reached by a keyframe.
    pub const fn needs_keyframe(&self) -> bool {
        self.needs_keyframe
    }

    /// The spatial layer whose last packet ends the picture for the receiver; `None` when the sender's marker does.
    pub fn top(&self) -> Option<u8> {
        self.has_spatial.then_some(self.layer.spatial)
    }

    /// What the receiver is to be told of the targets that it gets: a bit each, or 0 when what the sender says holds.
    pub const fn told(&self) -> u16 {
        self.told
    }

    /// Whether a frame was left out.
    pub fn was_left_out(&self, frame: &Frame) -> bool {
        let behind = self.newest.wrapping_sub(frame.number);
        behind < REMEMBERED && bit(self.seen, behind) && !bit(self.sent, behind)
    }

    /// Decides on a packet of a frame; `structure` is the one that holds for it.
    pub fn take(&mut self, timestamp: u32, frame: &Frame, structure: &Structure) -> Verdict {
        if self.epoch == Some(frame.epoch) || self.epoch.is_none() {
            let behind = self.newest.wrapping_sub(frame.number);
            if self.epoch.is_some() && behind < 0x8000 {
                return self.take_late(behind, frame);
            }
        } else if self.epoch == Some(frame.epoch.wrapping_add(1)) {
            // Of before the last keyframe.
            return match self.newest.wrapping_sub(frame.number) {
                behind if behind < REMEMBERED && bit(self.sent, behind) => Verdict::Forward,
                _ => Verdict::LeaveOut,
            };
        }
        if self.epoch.is_none() {
            (self.seen, self.sent) = (u64::MAX, u64::MAX);
            self.newest = frame.number.wrapping_sub(1);
        }
        let is_first = self.epoch.is_none();
        let is_decodable = self.advance(frame);
        let is_new_picture = timestamp != self.timestamp || self.current.is_none();
        self.timestamp = timestamp;
        if self.epoch != Some(frame.epoch) {
            self.epoch = Some(frame.epoch);
            self.has_spatial = structure.top() > 0;
            self.current = None;
            self.intact = if is_first { frame.active } else { 0 };
            self.within = 0;
            self.is_reduced = false;
            self.waited = 0;
        }
        if self.within == 0 {
            self.within = structure.within(self.limit);
        }
        let joinable = if is_decodable { frame.switches } else { 0 };
        self.choose(frame, structure, joinable, is_new_picture);
        // Where no target needs what is below it, somebody has to tell the structure all the same.
        let is_forwarded = frame.has_structure
            || self
                .current
                .is_some_and(|target| has(frame.present, target));
        if is_forwarded {
            self.intact |= joinable;
            self.sent |= 1;
            Verdict::Forward
        } else {
            self.intact &= !frame.present;
            Verdict::LeaveOut
        }
    }

    /// Takes up a new frame; true when all that it is predicted from was forwarded.
    fn advance(&mut self, frame: &Frame) -> bool {
        let ahead = u32::from(frame.number.wrapping_sub(self.newest));
        // Bit `n` is the frame `n + 1` numbers before.
        let before = self.sent.checked_shl(ahead.saturating_sub(1)).unwrap_or(0);
        let is_decodable = frame.references & !before == 0;
        self.sent = self.sent.checked_shl(ahead).unwrap_or(0);
        self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
        self.newest = frame.number;
        is_decodable
    }

    /// Goes to the best target that there is a way to.
    fn choose(&mut self, frame: &Frame, structure: &Structure, joinable: u32, is_new: bool) {
        let usable = match self.within & frame.active {
            0 => structure
                .least(frame.active)
                .map_or(0, |target| 1u32.wrapping_shl(u32::from(target))),
            usable => usable,
        };
        let reachable = if is_new {
            self.intact | joinable
        } else {
            joinable
        };
        if let Some(best) = structure.best(usable & reachable) {
            let layer = structure.layer(best);
            if is_new || layer > self.layer {
                self.current = Some(best);
                self.layer = layer;
            }
        }
        let wanted = structure.best(usable);
        if wanted.is_none() || wanted == self.current {
            self.needs_keyframe = false;
            self.waited = 0;
        } else if is_new {
            let lacks_picture = wanted.is_some_and(|wanted| {
                self.current.is_none() || structure.layer(wanted).spatial != self.layer.spatial
            });
            self.waited = self.waited.saturating_add(1);
            self.needs_keyframe = lacks_picture || self.waited >= PATIENCE;
        }
        let got = self.current.map_or(0, |target| structure.included(target)) & frame.active;
        self.is_reduced |= got != frame.active;
        // No stream in use has more targets than can be told.
        let told = u16::try_from(got).unwrap_or(0);
        self.told = if self.is_reduced { told } else { 0 };
    }

    /// A packet of a frame that is not newer than all others.
    fn take_late(&mut self, behind: u16, frame: &Frame) -> Verdict {
        if behind >= REMEMBERED {
            return Verdict::LeaveOut;
        }
        let place = 1u64.wrapping_shl(u32::from(behind));
        if self.seen & place == 0 {
            self.seen |= place;
            if self
                .current
                .is_some_and(|target| has(frame.present, target))
            {
                self.sent |= place;
            } else {
                self.intact &= !frame.present;
            }
        }
        if self.sent & place == 0 {
            Verdict::LeaveOut
        } else {
            Verdict::Forward
        }
    }
}

impl Default for Targets {
    fn default() -> Self {
        Self::new()
    }
}

fn bit(mask: u64, place: u16) -> bool {
    mask.wrapping_shr(u32::from(place)) & 1 == 1
}

fn has(mask: u32, place: u8) -> bool {
    mask.wrapping_shr(u32::from(place)) & 1 == 1
}
