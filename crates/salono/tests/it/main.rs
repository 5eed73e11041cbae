//! The real program as a process: what somebody who runs it can rely on.

mod command;
mod process;
mod serving;
mod shutdown;
mod together;
