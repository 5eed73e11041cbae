//! What a keyframe says of the frames that follow it: decode targets and templates.

use super::bits::Bits;
use crate::codec::{Heights, MAX_SPATIAL};
use crate::layers::Layer;

/// Decode targets that a structure may have: five bits, one more than the number in it.
const MAX_TARGETS: usize = 32;
/// Templates that a structure may have: six bits.
const MAX_TEMPLATES: usize = 64;
/// References that a frame may name; none has more than a codec has buffers.
pub(super) const MAX_REFERENCES: usize = 16;

/// Meanings of a frame for a decode target.
const NOT_PRESENT: u32 = 0;
const SWITCH: u32 = 2;

/// What a template says of a frame.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Template {
    pub(super) layer: Layer,
    pub(super) present: u32,
    pub(super) switches: u32,
    pub(super) references: u64,
}

/// What holds until the next keyframe with a structure.
#[derive(Debug, Clone)]
pub struct Structure {
    pub(super) targets: u8,
    /// Bit `n`: target `n` is in use.
    pub(super) active: u32,
    /// The first frame that it holds for.
    pub(super) since: u16,
    /// Tells it from those before and after.
    pub(super) epoch: u8,
    offset: u8,
    templates: Vec<Template>,
    /// The highest layer of each target.
    layers: [Layer; MAX_TARGETS],
    /// Bit `n` of each target: it has all frames of target `n`.
    included: [u32; MAX_TARGETS],
    heights: Heights,
    top: u8,
}

impl Structure {
    /// The decode targets that do not exceed `limit`, a bit each.
    pub fn within(&self, limit: Layer) -> u32 {
        let fits =
            |layer: &Layer| layer.spatial <= limit.spatial && layer.temporal <= limit.temporal;
        mask(self.layers().map(|layer| fits(&layer)))
    }

    /// Of these decode targets, the one with the largest picture, then the highest frame rate.
    pub fn best(&self, of: u32) -> Option<u8> {
        self.one_of(of)
            .max_by_key(|(_, layer)| *layer)
            .map(|(target, _)| target)
    }

    /// Of these decode targets, the one with the smallest picture, then the lowest frame rate.
    pub fn least(&self, of: u32) -> Option<u8> {
        self.one_of(of)
            .min_by_key(|(_, layer)| *layer)
            .map(|(target, _)| target)
    }

    /// The highest layer of a decode target.
    pub fn layer(&self, target: u8) -> Layer {
        let layer = self.layers.get(usize::from(target)).copied();
        layer.unwrap_or_default()
    }

    /// The decode targets that whoever gets `target` has as well, a bit each.
    pub fn included(&self, target: u8) -> u32 {
        self.included.get(usize::from(target)).copied().unwrap_or(0)
    }

    /// All decode targets, with the highest layer of each.
    pub fn targets(&self) -> impl Iterator<Item = (u8, Layer)> + '_ {
        (0u8..).zip(self.layers())
    }

    /// Heights of the picture by spatial layer, 0 where not told.
    pub const fn heights(&self) -> Heights {
        self.heights
    }

    /// The highest spatial layer.
    pub const fn top(&self) -> u8 {
        self.top
    }

    /// Tells the structure from those before and after it in the stream.
    pub const fn epoch(&self) -> u8 {
        self.epoch
    }

    fn layers(&self) -> impl Iterator<Item = Layer> + '_ {
        self.layers.iter().copied().take(usize::from(self.targets))
    }

    fn one_of(&self, targets: u32) -> impl Iterator<Item = (u8, Layer)> + '_ {
        self.targets()
            .filter(move |(target, _)| has(targets, u32::from(*target)))
    }

    /// The template with this number on the wire.
    pub(super) fn template(&self, number: u8) -> Option<&Template> {
        let at = number.wrapping_sub(self.offset) & 63;
        self.templates.get(usize::from(at))
    }

    /// Reads a structure; frame and epoch are the caller's to say.
    pub(super) fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let offset = bits.take(6)? as u8;
        let targets = (bits.take(5)? as u8).saturating_add(1);
        let mut templates = layers_of_templates(bits)?;
        let top = templates.last()?.layer.spatial;
        for template in &mut templates {
            (template.present, template.switches) = indications(bits, targets)?;
        }
        for template in &mut templates {
            for _ in 0..=MAX_REFERENCES {
                if !bits.flag()? {
                    break;
                }
                template.references |= reference(bits.take(4)?);
            }
        }
        skip_chains(bits, u32::from(targets), templates.len())?;
        let mut heights = Heights::default();
        if bits.flag()? {
            for spatial in 0..=usize::from(top) {
                bits.take(16)?;
                let height = bits.take(16)?.saturating_add(1);
                if let Some(entry) = heights.get_mut(spatial).filter(|_| spatial < MAX_SPATIAL) {
                    *entry = u16::try_from(height).unwrap_or(u16::MAX);
                }
            }
        }
        let mut structure = Self {
            targets,
            active: u32::MAX.wrapping_shr(32u32.saturating_sub(u32::from(targets))),
            since: 0,
            epoch: 0,
            offset,
            templates,
            layers: [Layer::default(); MAX_TARGETS],
            included: [0; MAX_TARGETS],
            heights,
            top,
        };
        structure.derive();
        Some(structure)
    }

    /// Finds what follows from the templates.
    fn derive(&mut self) {
        let targets = u32::from(self.targets);
        for (target, layer) in (0..targets).zip(&mut self.layers) {
            for template in self.templates.iter().filter(|of| has(of.present, target)) {
                layer.spatial = layer.spatial.max(template.layer.spatial);
                layer.temporal = layer.temporal.max(template.layer.temporal);
            }
        }
        for (target, included) in (0..targets).zip(&mut self.included) {
            // Frames that are not in the target belong to others, which are not included therefore.
            let others = self.templates.iter().filter(|of| !has(of.present, target));
            let others = others.fold(0, |all, template| all | template.present);
            *included = self.active & !others;
        }
    }
}

fn has(mask: u32, bit: u32) -> bool {
    mask.wrapping_shr(bit) & 1 == 1
}

fn mask(bits: impl Iterator<Item = bool>) -> u32 {
    (0..32u32)
        .zip(bits)
        .fold(0, |mask, (at, bit)| mask | u32::from(bit).wrapping_shl(at))
}

/// The frame that is `minus_one + 1` numbers before; further back than 64 is not kept, as the highest bit.
pub(super) fn reference(minus_one: u32) -> u64 {
    1u64.wrapping_shl(minus_one.min(63))
}

/// What a frame means for each decode target: those that have it, and those that can be gone on with from it.
pub(super) fn indications(bits: &mut Bits<'_>, targets: u8) -> Option<(u32, u32)> {
    let (mut present, mut switches) = (0u32, 0u32);
    for target in 0..u32::from(targets) {
        let indication = bits.take(2)?;
        let bit = 1u32.wrapping_shl(target);
        if indication != NOT_PRESENT {
            present |= bit;
        }
        if indication == SWITCH {
            switches |= bit;
        }
    }
    Some((present, switches))
}

fn layers_of_templates(bits: &mut Bits<'_>) -> Option<Vec<Template>> {
    let mut templates: Vec<Template> = Vec::new();
    let mut layer = Layer::default();
    while templates.len() < MAX_TEMPLATES {
        templates.push(Template {
            layer,
            ..Template::default()
        });
        match bits.take(2)? {
            0 => {}
            1 => layer.temporal = layer.temporal.saturating_add(1),
            2 => {
                layer = Layer {
                    spatial: layer.spatial.saturating_add(1),
                    temporal: 0,
                };
            }
            _ => return Some(templates),
        }
    }
    None
}

/// Chains tell a receiver which losses matter to it, which is not a forwarder's business.
fn skip_chains(bits: &mut Bits<'_>, targets: u32, templates: usize) -> Option<()> {
    let chains = bits.non_symmetric(targets.saturating_add(1))?;
    if chains == 0 {
        return Some(());
    }
    for _ in 0..targets {
        bits.non_symmetric(chains)?;
    }
    for _ in 0..templates {
        for _ in 0..chains {
            bits.take(4)?;
        }
    }
    Some(())
}
