//! The real program as a process: what somebody who runs it can rely on.

#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is how these tests fail"
)]

mod command;
mod failover;
mod kurento;
mod leak;
mod process;
mod programs;
mod rtp;
mod secrets;
mod serving;
mod sfu;
mod shutdown;
mod sip;
mod together;
