//! The descriptor for one receiver: with frame numbers that go on over changes of the source, and with the decode
//! targets that it gets.

use super::bits::{BitWriter, Bits};
use super::{FLAG_BITS, Frame, MANDATORY_BITS};

/// Bytes that a descriptor may grow by: flags and a mask of 32 decode targets.
pub const MAX_GROWTH: usize = 5;

/// The flag that says that the targets in use are told.
const HAS_MASK: u32 = 0b01000;

/// What a receiver's descriptor says otherwise than the sender's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Running number of the frame.
    pub number: u16,
    /// Decode targets that the receiver gets, a bit each; with 0 what the sender says holds.
    pub active: u16,
}

impl Change {
    /// Writes the descriptor `value`, which was read as `frame`, into `out`; returns its length. `None` when there is
    /// no room.
    pub fn write(self, value: &[u8], frame: &Frame, out: &mut [u8]) -> Option<usize> {
        if self.active == 0 || !(frame.is_first || frame.has_mask) {
            let (first, rest) = value.split_first()?;
            let rest = rest.get(2..)?;
            let [high, low] = self.number.to_be_bytes();
            let len = value.len();
            out.get_mut(..3)?.copy_from_slice(&[*first, high, low]);
            out.get_mut(3..len)?.copy_from_slice(rest);
            return Some(len);
        }
        let mut from = Bits::new(value);
        let mut to = BitWriter::new(out);
        to.copy(&mut from, 8)?;
        to.put(16, u32::from(self.number))?;
        from = Bits::from(value, MANDATORY_BITS);
        let has_flags = from.left() > 0;
        let flags = if has_flags {
            from.take(FLAG_BITS as u32)?
        } else {
            0
        };
        to.put(FLAG_BITS as u32, flags | HAS_MASK)?;
        let before = usize::from(frame.mask_at).saturating_sub(from.position());
        to.copy(&mut from, before)?;
        to.put(u32::from(frame.targets), u32::from(self.active))?;
        if frame.has_mask {
            from.take(u32::from(frame.targets))?;
        }
        let rest = from.left();
        to.copy(&mut from, rest)?;
        Some(to.len())
    }
}
