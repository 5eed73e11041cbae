//! What a publisher is asked to keep to.

/// The most that the publisher shall send, in bits per second; 0 is unlimited.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Cap {
    /// The publisher understands REMB.
    pub(super) is_possible: bool,
    pub(super) min: u64,
    pub(super) max: u64,
    /// What receivers of the track shall be sent at most.
    pub(super) downstream: u64,
    /// Reports that take an earlier cap back, where the publisher has an estimate of its own.
    pub(super) lifts: u8,
}

impl Cap {
    pub(super) fn bitrate(&self) -> u64 {
        match (self.max, self.downstream) {
            (max, 0) => max,
            (0, downstream) => downstream.max(self.min),
            // Receivers cannot make the publisher send less than it was told to send at least.
            (max, downstream) => max.min(downstream.max(self.min)),
        }
    }
}
