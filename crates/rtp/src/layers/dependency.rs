//! The dependency descriptor of scalable streams (RTP Payload Format For AV1, appendix A).
//!
//! A keyframe carries a structure: which decode targets (qualities that can be decoded by themselves) there are, and
//! templates that say of a frame which targets need it and which earlier frames it is predicted from. Each frame
//! names its template, so a forwarder knows what to leave out without looking at the payload.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod bits;
mod rewrite;
mod structure;

pub use rewrite::{Change, MAX_GROWTH};
pub use structure::Structure;

use crate::layers::Layer;
use bits::Bits;
use structure::{MAX_REFERENCES, indications, reference};

/// Bits of the part that every descriptor has, and of the flags behind it.
const MANDATORY_BITS: usize = 24;
const FLAG_BITS: usize = 5;

/// A structure is taken to hold for this many frames at least; numbers are told apart within half their range.
const KNOWN_FRAMES: u16 = 0x1000;

/// What the descriptor of a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// Running number of the frame, all layers counted.
    pub number: u16,
    /// The packet is the first of the frame.
    pub is_first: bool,
    /// The packet is the last of the frame.
    pub is_last: bool,
    /// A structure came with it.
    pub has_structure: bool,
    /// Which structure holds: [`Structure::epoch`].
    pub epoch: u8,
    /// The layer that the frame is of.
    pub layer: Layer,
    /// Bit `n`: decode target `n` includes the frame.
    pub present: u32,
    /// Bit `n`: with the frame, decode target `n` can be gone on with.
    pub switches: u32,
    /// Bit `n`: the frame is predicted from the one `n + 1` numbers before.
    pub references: u64,
    /// Bit `n`: decode target `n` is in use.
    pub active: u32,
    /// Decode targets that there are.
    targets: u8,
    /// The bit of the descriptor that the mask of targets in use begins at, or would.
    mask_at: u16,
    has_mask: bool,
}

/// Reads the descriptors of one stream.
#[derive(Debug, Default)]
pub struct Reader {
    /// Of the last keyframe, and the one before it for packets that come late.
    structures: [Option<Box<Structure>>; 2],
    /// The newest frame.
    newest: u16,
}

impl Reader {
    /// Before the first structure nothing can be read.
    pub const fn new() -> Self {
        Self {
            structures: [None, None],
            newest: 0,
        }
    }

    /// The structure that a frame was read with, as long as it is known.
    pub fn structure(&self, epoch: u8) -> Option<&Structure> {
        let mut known = self.structures.iter().flatten();
        known.find(|of| of.epoch == epoch).map(Box::as_ref)
    }

    /// The structure of the last keyframe.
    pub fn current(&self) -> Option<&Structure> {
        let [current, _] = &self.structures;
        current.as_deref()
    }

    /// Reads a descriptor, and keeps what it says for those to come.
    pub fn read(&mut self, value: &[u8]) -> Option<Frame> {
        let (mut frame, structure) = self.interpret(value)?;
        if let Some(structure) = structure {
            frame.epoch = self.keep(structure);
        }
        let [current, previous] = &mut self.structures;
        let current = current.as_deref_mut()?;
        if frame.epoch != current.epoch || distance(frame.number, self.newest) < 0 {
            return Some(frame);
        }
        self.newest = frame.number;
        current.active = frame.active;
        if frame.number.wrapping_sub(current.since) >= KNOWN_FRAMES.wrapping_mul(2) {
            current.since = frame.number.wrapping_sub(KNOWN_FRAMES);
            *previous = None;
        }
        Some(frame)
    }

    /// Reads a descriptor that was read before.
    pub fn read_again(&self, value: &[u8]) -> Option<Frame> {
        let (mut frame, structure) = self.interpret(value)?;
        if structure.is_some() {
            frame.epoch = self.at(frame.number)?.epoch;
        }
        Some(frame)
    }

    /// Keeps a structure, and returns its epoch.
    fn keep(&mut self, mut structure: Structure) -> u8 {
        let [current, previous] = &mut self.structures;
        let Some(known) = current else {
            self.newest = structure.since;
            *current = Some(Box::new(structure));
            return 0;
        };
        let ahead = distance(structure.since, known.since);
        if ahead == 0 {
            return known.epoch;
        }
        if ahead > 0 {
            structure.epoch = known.epoch.wrapping_add(1);
            let epoch = structure.epoch;
            self.newest = structure.since;
            *previous = current.replace(Box::new(structure));
            return epoch;
        }
        structure.epoch = known.epoch.wrapping_sub(1);
        let epoch = structure.epoch;
        *previous = Some(Box::new(structure));
        epoch
    }

    /// The structure that holds for a frame.
    fn at(&self, number: u16) -> Option<&Structure> {
        let mut known = self.structures.iter().flatten();
        known
            .find(|structure| distance(number, structure.since) >= 0)
            .map(Box::as_ref)
    }

    /// Reads a descriptor, with the structure that it carries.
    fn interpret(&self, value: &[u8]) -> Option<(Frame, Option<Structure>)> {
        let mut bits = Bits::new(value);
        let mut frame = Frame {
            is_first: bits.flag()?,
            is_last: bits.flag()?,
            ..Frame::default()
        };
        let template = bits.take(6)? as u8;
        frame.number = bits.take(16)? as u16;
        let flags = if bits.left() == 0 {
            Flags::default()
        } else {
            Flags::read(&mut bits)?
        };
        let mut carried = None;
        if flags.structure {
            let mut structure = Structure::read(&mut bits)?;
            structure.since = frame.number;
            carried = Some(structure);
            frame.has_structure = true;
        }
        let structure = carried.as_ref().or_else(|| self.at(frame.number))?;
        frame.mask_at = bits.position() as u16;
        frame.has_mask = flags.active;
        frame.targets = structure.targets;
        frame.epoch = structure.epoch;
        frame.active = structure.active;
        if flags.active {
            frame.active = bits.take(u32::from(structure.targets))?;
        }
        let template = structure.template(template)?;
        frame.layer = template.layer;
        (frame.present, frame.switches) = (template.present, template.switches);
        if flags.custom_indications {
            (frame.present, frame.switches) = indications(&mut bits, structure.targets)?;
        }
        frame.references = template.references;
        if flags.custom_references {
            frame.references = 0;
            for _ in 0..MAX_REFERENCES {
                let size = bits.take(2)?;
                if size == 0 {
                    break;
                }
                frame.references |= reference(bits.take(size.saturating_mul(4))?);
            }
        }
        Some((frame, carried))
    }
}

/// Which optional parts a descriptor has.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    structure: bool,
    active: bool,
    custom_indications: bool,
    custom_references: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let flags = Self {
            structure: bits.flag()?,
            active: bits.flag()?,
            custom_indications: bits.flag()?,
            custom_references: bits.flag()?,
        };
        // Whether chains are told, which are not looked at.
        bits.flag()?;
        Some(flags)
    }
}

/// How many numbers a frame is after another; negative before it.
fn distance(number: u16, of: u16) -> i16 {
    number.wrapping_sub(of).cast_signed()
}

#[cfg(test)]
mod tests;
