//! Units that would otherwise be bare integers.

/// Bits per second.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Default,
    Hash,
    serde::Serialize,
    serde::Deserialize,
)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No bits at all; as a limit it stands for "unlimited" only where the field says so.
    pub const ZERO: Self = Self(0);

    /// From bits per second.
    pub const fn bps(bps: u64) -> Self {
        Self(bps)
    }

    /// From kilobits (1 000 bits) per second, the unit of Kurento's bandwidth properties.
    pub const fn kbps(kbps: u64) -> Self {
        Self(kbps.saturating_mul(1_000))
    }

    /// In bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// In whole kilobits per second, rounded down.
    pub const fn as_kbps(self) -> u64 {
        self.0 / 1_000
    }
}
