//! The `salono` command.
fn main() {}
