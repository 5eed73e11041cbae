//! How much may be sent again: a share of what is sent.

/// Retransmissions are at most this share of the media of a stream.
const SHARE: u64 = 4;
/// Bytes that may be sent again at the start: a keyframe's worth of losses.
const START: u64 = 24 * 1_024;
/// Bytes that may be saved up for a burst of losses.
const MOST: u64 = 64 * 1_024;

/// Bytes that a stream may send again. A flood of NACKs cannot make us flood the peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetransmissionBudget {
    /// In fractions of a byte, [`SHARE`] to one.
    left: u64,
}

impl Default for RetransmissionBudget {
    fn default() -> Self {
        Self {
            left: START * SHARE,
        }
    }
}

impl RetransmissionBudget {
    /// Media of `bytes` was sent.
    pub(crate) fn earn(&mut self, bytes: usize) {
        let most = (MOST * SHARE).max(self.left);
        self.left = self.left.saturating_add(bytes as u64).min(most);
    }

    /// Takes what a retransmission of `bytes` needs; false when there is not enough.
    pub(crate) fn spend(&mut self, bytes: usize) -> bool {
        match self.left.checked_sub(bytes as u64 * SHARE) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_of_the_media_can_be_sent_again_and_no_more() {
        let mut budget = RetransmissionBudget::default();
        let (mut sent, mut again) = (0u64, 0u64);
        for _ in 0..10_000 {
            budget.earn(1_000);
            sent += 1_000;
            while budget.spend(1_000) {
                again += 1_000;
            }
        }
        assert!(again <= sent / 4 + START, "{again} of {sent}");
        assert!(again >= sent / 4, "{again} of {sent}");
    }

    #[test]
    fn what_is_saved_up_is_bounded() {
        let mut budget = RetransmissionBudget::default();
        for _ in 0..100_000 {
            budget.earn(1_000);
        }
        let mut again = 0;
        while budget.spend(1_000) {
            again += 1_000;
        }
        assert!(again <= MOST, "{again}");
    }
}
