//! Send-side bandwidth estimation: what the path to one peer carries, found out by the sender.
//!
//! The shape is that of Google congestion control (draft-ietf-rmcat-gcc-02): the receiver tells when every packet
//! arrived (transport-wide feedback), and from that the sender works out two bounds. The one follows the queueing
//! delay: groups of packets that arrive ever farther apart than they were sent mean that a queue builds up, and the
//! rate falls below what got through. The other follows loss. Short bursts of padding ([`SendEstimator::probe_due`])
//! find out whether there is room above what is being sent. What a receiver estimates by itself (REMB) bounds the
//! result, and stands in for it where there is no feedback.
//!
//! One file per part: `history` knows what was sent, `groups` and `trend` judge delay, `aimd` follows the
//! judgement, `throughput` measures what arrives, `loss` and `probe` are what they say, and `estimator` puts
//! them together.

mod aimd;
mod estimator;
mod groups;
mod history;
mod loss;
mod probe;
mod throughput;
mod trend;

pub use estimator::{Bounds, START_BPS, SendEstimator};

#[cfg(test)]
mod tests;
