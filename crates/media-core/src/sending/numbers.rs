//! Which transport-wide number a packet went out with, where that has to be known again.
//!
//! Without a stream of retransmissions a packet is sent again as it was, to the last byte: a sequence
//! number that was sealed with other bytes would give the key away (RFC 7714 §8.4). The number is part
//! of these bytes.

use salono_rtp::seq::ExtSeq;

/// The numbers of the newest packets of a stream.
#[derive(Debug)]
pub(crate) struct Numbers {
    /// By the low bits of the sequence number; the length is a power of two.
    entries: Box<[Option<(ExtSeq, u16)>]>,
}

impl Numbers {
    /// Remembers so many packets, rounded up to a power of two.
    pub(crate) fn new(packets: usize) -> Self {
        Self {
            entries: vec![None; packets.max(1).next_power_of_two()].into_boxed_slice(),
        }
    }

    pub(crate) fn note(&mut self, seq: ExtSeq, number: u16) {
        let at = self.place(seq);
        if let Some(entry) = self.entries.get_mut(at) {
            *entry = Some((seq, number));
        }
    }

    pub(crate) fn of(&self, seq: ExtSeq) -> Option<u16> {
        let (noted, number) = (*self.entries.get(self.place(seq))?)?;
        (noted == seq).then_some(number)
    }

    fn place(&self, seq: ExtSeq) -> usize {
        (seq.get() as usize) & (self.entries.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_numbers_are_known_and_others_are_not_mistaken_for_them() {
        let mut numbers = Numbers::new(100);
        for seq in 0..1_000u64 {
            numbers.note(ExtSeq::new(seq), seq as u16 * 3);
        }
        assert_eq!(numbers.of(ExtSeq::new(999)), Some(2_997));
        assert_eq!(numbers.of(ExtSeq::new(999 - 127)), Some(2_616));
        assert_eq!(numbers.of(ExtSeq::new(999 - 128)), None);
        assert_eq!(numbers.of(ExtSeq::new(1_000)), None);
    }
}
