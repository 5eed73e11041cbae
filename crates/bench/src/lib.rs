//! Measures this server and its peers.
//!
//! Costs are CPU time of the thread that does the work, not wall-clock time, over real loopback
//! sockets. On loopback the kernel delivers within the sender's system call, so a sender's CPU
//! time includes the way to the receiver's socket, but not the receiver.
//!
//! [`floor`] measures the least that forwarding can cost on this machine, [`forward`] what it
//! costs in the media engine. [`Pattern`] and [`SinkSockets`] are shared by everything that
//! measures forwarding, so that figures compare.

mod cost;
pub mod floor;
pub mod forward;
mod pattern;
mod sinks;

pub use cost::{Cost, median};
pub use pattern::{Burst, Pacer, Pattern};
pub use sinks::{SinkReport, SinkSockets};
