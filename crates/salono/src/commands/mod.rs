//! The subcommands, one module each.

pub(crate) mod bench;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod media;
pub(crate) mod modules;
pub(crate) mod room;
pub(crate) mod serve;
pub(crate) mod token;
