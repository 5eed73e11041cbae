//! What of the measured packets of one stream arrived.

use salono_rtp::seq::ExtSeq;

/// Packets that one counter can tell apart: an hour of a busy stream. Later ones are not counted.
const MAX_PACKETS: u64 = 1 << 21;

/// Counts packets by number.
#[derive(Debug, Default)]
pub(super) struct Counter {
    /// Number of the first packet that counts; nothing counts before it is known.
    start: Option<u64>,
    /// A bit for each packet since.
    seen: Vec<u64>,
    /// Highest number so far, relative to the first.
    newest: Option<u64>,
    /// Packets that arrived after a later one, other than repaired ones.
    pub(super) reordered: u64,
    /// Packets that had arrived before.
    pub(super) duplicates: u64,
    /// Packets that only came when they were asked for again.
    pub(super) repaired: u64,
    /// Packets that came again without being missed: padding, by which a server probes the path.
    pub(super) padding: u64,
}

impl Counter {
    /// The packet with this number is the first that counts, unless that is known already.
    pub(super) fn begin_at(&mut self, number: u64) {
        self.start.get_or_insert(number);
    }

    /// Whether it counts yet.
    pub(super) const fn has_begun(&self) -> bool {
        self.start.is_some()
    }

    /// The number of a packet of which only the low 16 bits are known: the one nearest to the newest.
    pub(super) fn nearest(&self, low: u16) -> u64 {
        let newest = self.start.unwrap_or_default() + self.newest.unwrap_or_default();
        let newest = ExtSeq::new(newest);
        newest.nearest(low).unwrap_or(newest).get()
    }

    /// Counts a packet that arrived; `repaired` says that it was sent again.
    pub(super) fn count(&mut self, number: u64, repaired: bool) {
        let Some(index) = self.start.and_then(|start| number.checked_sub(start)) else {
            return;
        };
        if index >= MAX_PACKETS {
            return;
        }
        let (word, bit) = ((index / 64) as usize, 1 << (index % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            self.duplicates += 1;
            return;
        }
        self.seen[word] |= bit;
        if repaired {
            self.repaired += 1;
        } else if self.newest.is_some_and(|newest| index < newest) {
            self.reordered += 1;
        }
        self.newest = self.newest.max(Some(index));
    }

    /// Counts a packet that was sent again. Unless it was asked for, one that had arrived before is padding.
    pub(super) fn count_again(&mut self, number: u64, was_asked: bool) {
        let before = self.duplicates;
        self.count(number, true);
        if self.duplicates > before && !was_asked {
            self.duplicates = before;
            self.padding += 1;
        }
    }

    /// How many of the first `expected` packets arrived.
    pub(super) fn delivered(&self, expected: u64) -> u64 {
        let whole = (expected / 64) as usize;
        let ones = |word: &u64| u64::from(word.count_ones());
        let rest = self.seen.get(whole).copied().unwrap_or_default() & ((1 << (expected % 64)) - 1);
        self.seen.iter().take(whole).map(ones).sum::<u64>() + ones(&rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_packet_of_the_window_counts_once() {
        let mut counter = Counter::default();
        counter.count(5, false);
        assert!(!counter.has_begun());
        counter.begin_at(10);
        for number in [9, 10, 12, 11, 12, 200, 201] {
            counter.count(number, false);
        }
        counter.count(13, true);
        assert_eq!(counter.delivered(3), 3);
        assert_eq!(counter.delivered(5), 4);
        assert_eq!(counter.delivered(191), 5);
        assert_eq!(counter.delivered(192), 6);
        assert_eq!(counter.delivered(1_000), 6);
        counter.count_again(13, true);
        counter.count_again(13, false);
        let again = (counter.repaired, counter.duplicates, counter.padding);
        assert_eq!((counter.reordered, again), (1, (1, 2, 1)));
    }
}
