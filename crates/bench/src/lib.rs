//! Measures this server and its peers.
//!
//! Everything goes over real loopback sockets. On loopback the kernel delivers within the sender's system call, so a
//! sender's CPU time includes the way to the receiver's socket, but not the receiver.
//!
//! [`load`] is the traffic of publishers and receivers, for any server; [`floor`] is the least that forwarding can cost
//! on this machine; [`scoreboard`] writes figures of several servers side by side.

mod cost;
pub mod floor;
pub mod load;
mod pattern;
mod peer;
pub mod process;
pub mod scoreboard;
mod sinks;

pub use cost::{Cost, median};
pub use pattern::{Burst, Pacer, Pattern};
pub use peer::{Callers, PeerError, Role};
pub use sinks::{SinkReport, SinkSockets};
