//! Repository chores, as a library so that tests can compare instead of write.

pub mod codegen;
