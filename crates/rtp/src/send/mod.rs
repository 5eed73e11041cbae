//! The sending side of streams: statistics for sender reports, and the throttle of keyframe requests.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod keyframe;
mod statistics;

pub use keyframe::{Config as KeyframeConfig, KeyframeThrottle};
pub use statistics::Statistics;
