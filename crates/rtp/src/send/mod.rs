//! The sending side of streams: statistics for sender reports, the throttle of keyframe requests, and what the path to
//! a peer carries.

#![cfg_attr(
    not(test),
    deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod bwe;
mod keyframe;
mod statistics;

pub use keyframe::{Config as KeyframeConfig, KeyframeThrottle};
pub use statistics::Statistics;
