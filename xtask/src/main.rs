//! Repository chores: `cargo xtask codegen` writes everything that is derived from the module
//! descriptors in `modules/`, `cargo xtask bindings` the room client in Kotlin and Swift.

use std::{path::Path, process::ExitCode};

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace");
    let command = std::env::args().nth(1).unwrap_or_default();
    let done = match command.as_str() {
        "codegen" => xtask::write(root),
        "bindings" => xtask::bindings::write(root),
        _unknown => {
            eprintln!("usage: cargo xtask codegen | bindings");
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{command}: {error}");
            ExitCode::FAILURE
        }
    }
}
