//! A table of things with small numbers: freed numbers are given out again, and a key tells the
//! new owner of a number from the old.

use std::collections::VecDeque;
use std::io;

/// Names one occupation of one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    /// The place.
    pub(super) index: u32,
    /// How often the place was given out before.
    pub(super) generation: u32,
}

/// One place.
#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// The table; never larger than its limit.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Slot<T>>,
    /// Empty places, the one that is empty for longest first: a number rests before it comes again.
    free: VecDeque<u32>,
    limit: usize,
}

impl<T> Slots<T> {
    /// An empty table for at most `limit` things.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: VecDeque::new(),
            limit: limit.min(u32::MAX as usize),
        }
    }

    /// Puts in what `make` makes for a key.
    ///
    /// # Errors
    /// Those of `make`, and when the table is full.
    pub(super) fn insert_with(
        &mut self,
        make: impl FnOnce(Key) -> io::Result<T>,
    ) -> io::Result<Key> {
        let index = match self.free.front() {
            Some(index) => *index,
            None if self.slots.len() < self.limit => self.slots.len() as u32,
            None => return Err(io::Error::other("the shard has as many as it can")),
        };
        let generation = self.slots.get(index as usize);
        let generation = generation.map_or(0, |slot| slot.generation);
        let key = Key { index, generation };
        let value = Some(make(key)?);
        match self.slots.get_mut(index as usize) {
            Some(slot) => {
                slot.value = value;
                self.free.pop_front();
            }
            None => self.slots.push(Slot { generation, value }),
        }
        Ok(key)
    }

    /// Takes a thing out; its number is free at once.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1) & Key::GENERATIONS;
        self.free.push_back(key.index);
        Some(value)
    }

    /// The key of whatever is at this place now.
    pub(super) fn key(&self, index: u32) -> Option<Key> {
        let slot = self.slots.get(index as usize)?;
        slot.value.as_ref()?;
        Some(Key {
            index,
            generation: slot.generation,
        })
    }

    /// The thing at a place, whoever it is.
    pub(super) fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// The thing that got this key.
    pub(super) fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index as usize)?;
        slot.value
            .as_ref()
            .filter(|_| slot.generation == key.generation)
    }

    /// The thing that got this key.
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index as usize)?;
        slot.value
            .as_mut()
            .filter(|_| slot.generation == key.generation)
    }

    /// Keys of all things, by place.
    pub(super) fn keys(&self) -> impl Iterator<Item = Key> {
        (0..self.slots.len() as u32).filter_map(|index| self.key(index))
    }

    /// Number of things.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }
}

impl Key {
    /// Generations fit below this mask, so that a key and two bits make a poller token.
    const GENERATIONS: u32 = (1 << 30) - 1;

    /// As the lower 62 bits of a poller token.
    pub(super) fn to_bits(self) -> u64 {
        (u64::from(self.generation) << 32) | u64::from(self.index)
    }

    /// From the lower 62 bits of a poller token.
    pub(super) fn from_bits(bits: u64) -> Self {
        Self {
            index: bits as u32,
            generation: (bits >> 32) as u32 & Self::GENERATIONS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_number_comes_again_last_and_old_keys_find_nothing() {
        let mut slots = Slots::new(3);
        let [a, b, c] = ["a", "b", "c"].map(|value| slots.insert_with(|_| Ok(value)).unwrap());
        assert!(slots.insert_with(|_| Ok("d")).is_err());
        assert_eq!(slots.remove(b), Some("b"));
        assert_eq!(slots.remove(b), None);
        assert_eq!(slots.remove(a), Some("a"));
        assert!(slots.insert_with(|_| Err(io::Error::other("no"))).is_err());
        let d = slots.insert_with(|_| Ok("d")).unwrap();
        assert_eq!((d.index, d.generation), (b.index, 1));
        assert_eq!((slots.get(b), slots.get(d)), (None, Some(&"d")));
        assert_eq!(slots.at(d.index), Some(&"d"));
        assert_eq!(slots.keys().collect::<Vec<_>>(), [d, c]);
        assert_eq!(slots.len(), 2);
    }

    #[test]
    fn key_survives_the_poller() {
        let key = Key {
            index: 65_535,
            generation: Key::GENERATIONS,
        };
        assert_eq!(Key::from_bits(key.to_bits()), key);
        assert_eq!(key.to_bits() >> 62, 0);
    }
}
