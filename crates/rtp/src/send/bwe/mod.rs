//! Send-side bandwidth estimation: what the path to one peer carries, found out by the sender.
//!
//! The shape is that of Google congestion control (draft-ietf-rmcat-gcc-02): the receiver tells when every packet
//! arrived (transport-wide feedback), and from that the sender works out two bounds. The one follows the queueing
//! delay: groups of packets that arrive ever farther apart than they were sent mean that a queue builds up, and the
//! rate falls below what got through. The other follows loss. Short bursts of padding ([`Flow::probe_due`])
//! find out whether there is room above what is being sent. What a receiver estimates by itself (REMB) bounds the
//! result, and stands in for it where there is no feedback.
//!
//! Connections that share a path have one estimate together ([`Path`]), in the manner of RFC 8699.
//!
//! One file per part: `history` knows what was sent, `groups` and `trend` judge delay, `throughput` and `backlog` measure
//! what arrives, and `probe` what probes do; `flow` puts these together for one connection. `aimd` follows the judgement of
//! delay, `loss` that of loss, and `path` puts them together for all connections of a path.

mod aimd;
mod backlog;
mod flow;
mod groups;
mod history;
mod loss;
mod path;
mod probe;
mod throughput;
mod trend;

pub use flow::Flow;
pub use path::{Bounds, FlowId, Path, START_BPS};

#[cfg(test)]
mod tests;
