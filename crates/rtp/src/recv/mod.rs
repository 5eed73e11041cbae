//! The receiving side of streams: statistics, retransmission requests, congestion feedback, bitrate estimate.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod nack;
mod remb;
mod statistics;
mod twcc;

pub use nack::{Config as NackConfig, NackGenerator};
pub use remb::{Config as RembConfig, Interval, RembEstimator};
pub use statistics::Statistics;
pub use twcc::TwccReceiver;
