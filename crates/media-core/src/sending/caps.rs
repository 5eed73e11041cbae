//! What receivers bound of what a publisher sends.

/// Bounds of what a publisher sends, in bits per second; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Caps {
    /// Set by a program for one receiver: the least of these holds.
    pub(crate) set: u64,
    /// Carried by the path to a receiver. The best path counts: a slow one must not degrade what
    /// others see.
    pub(crate) carried: u64,
}

impl Caps {
    /// Of both receivers.
    pub(crate) fn join(self, other: Self) -> Self {
        Self {
            set: least(self.set, other.set),
            carried: match (self.carried, other.carried) {
                (0, _) | (_, 0) => 0,
                (one, two) => one.max(two),
            },
        }
    }

    /// What the publisher is to be asked for; 0 is no limit.
    pub(crate) fn bitrate(self) -> u64 {
        least(self.set, self.carried)
    }
}

fn least(one: u64, two: u64) -> u64 {
    match (one, two) {
        (0, bound) | (bound, 0) => bound,
        (one, two) => one.min(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_path_counts_and_the_least_bound_that_was_set() {
        let caps = |set, carried| Caps { set, carried };
        assert_eq!(caps(0, 300).join(caps(0, 900)).bitrate(), 900);
        assert_eq!(caps(0, 300).join(caps(0, 0)).bitrate(), 0);
        assert_eq!(caps(600, 300).join(caps(500, 900)), caps(500, 900));
        assert_eq!(caps(600, 0).join(caps(0, 400)).bitrate(), 600);
        assert_eq!(caps(600, 400).bitrate(), 400);
        assert_eq!(Caps::default().bitrate(), 0);
    }
}
