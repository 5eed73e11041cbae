//! The replay window (RFC 3711 §3.3.2).

use super::SrtpError;

/// Packets that the window covers. The RFC wants at least 64; plain retransmissions at high rates come much later.
pub(super) const WINDOW: u64 = 1024;

/// Words of the bitmap.
const WORDS: usize = (WINDOW / 64) as usize;

/// Which of the newest [`WINDOW`] indexes were received.
#[derive(Debug, Clone)]
pub(super) struct Window {
    /// The newest index received.
    newest: u64,
    /// One bit per index, at the index modulo the window.
    bits: [u64; WORDS],
}

impl Window {
    /// A window whose first packet is `index`.
    pub(super) fn starting_at(index: u64) -> Self {
        let mut window = Self {
            newest: index,
            bits: [0; WORDS],
        };
        window.set(index, true);
        window
    }

    /// The newest index received.
    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    /// Whether `index` may still be accepted. Changes nothing: the packet is not authentic yet.
    pub(super) fn check(&self, index: u64) -> Result<(), SrtpError> {
        if index > self.newest {
            return Ok(());
        }
        if self.newest.saturating_sub(index) >= WINDOW {
            return Err(SrtpError::TooOld);
        }
        if self.is_set(index) {
            Err(SrtpError::Replayed)
        } else {
            Ok(())
        }
    }

    /// Records an authentic packet.
    pub(super) fn commit(&mut self, index: u64) {
        if index > self.newest {
            if index.saturating_sub(self.newest) >= WINDOW {
                self.bits = [0; WORDS];
            } else {
                let mut skipped = self.newest.saturating_add(1);
                while skipped < index {
                    self.set(skipped, false);
                    skipped = skipped.saturating_add(1);
                }
            }
            self.newest = index;
        }
        self.set(index, true);
    }

    fn set(&mut self, index: u64, to: bool) {
        let (word, mask) = place(index);
        if let Some(bits) = self.bits.get_mut(word) {
            *bits = if to { *bits | mask } else { *bits & !mask };
        }
    }

    fn is_set(&self, index: u64) -> bool {
        let (word, mask) = place(index);
        self.bits.get(word).is_some_and(|bits| bits & mask != 0)
    }
}

/// Word and bit of an index.
const fn place(index: u64) -> (usize, u64) {
    (((index % WINDOW) / 64) as usize, 1 << (index % 64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn accepts_each_index_once_and_none_behind_the_window(
            steps in proptest::collection::vec((any::<bool>(), 0u64..1500), 1..400)
        ) {
            let mut window = Window::starting_at(5_000);
            let mut seen = BTreeSet::from([5_000u64]);
            for (forward, step) in steps {
                let newest = *seen.last().unwrap();
                let index = if forward { newest + step / 40 } else { newest.saturating_sub(step) };
                let expected = if newest.saturating_sub(index) >= WINDOW {
                    Err(SrtpError::TooOld)
                } else if seen.contains(&index) {
                    Err(SrtpError::Replayed)
                } else {
                    Ok(())
                };
                prop_assert_eq!(window.check(index), expected);
                if expected.is_ok() {
                    window.commit(index);
                    seen.insert(index);
                }
                prop_assert_eq!(window.newest(), *seen.last().unwrap());
            }
        }
    }

    #[test]
    fn a_jump_over_the_whole_window_forgets_the_old_bits() {
        let mut window = Window::starting_at(1);
        window.commit(1 + 3 * WINDOW);
        assert_eq!(window.check(1 + 2 * WINDOW + 1), Ok(()));
        assert_eq!(window.check(1 + 2 * WINDOW), Err(SrtpError::TooOld));
    }
}
