//! Repository chores, as a library so that tests can compare instead of write.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub mod bindings;

pub use salono_kurento_codegen as codegen;
use salono_kurento_model::Registry;

/// Writes generated files, those that have changed.
fn put(root: &Path, files: Vec<(PathBuf, String)>) -> io::Result<()> {
    for (path, text) in files {
        let path = root.join(path);
        if fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
    }
    Ok(())
}

/// The descriptor of the example module that has a typed client, and the client.
const EXAMPLE: (&str, &str) = (
    "examples/modules/colour-detector/colourdetector.kmd.json",
    "examples/src/colour_detector.rs",
);

/// The typed client of the example module: its path below the root, and its text.
///
/// # Errors
/// As [`codegen::client`]; a descriptor that cannot be read.
pub fn example_client(root: &Path) -> io::Result<(PathBuf, String)> {
    let (descriptor, client) = EXAMPLE;
    let text = fs::read_to_string(root.join(descriptor))?;
    let mut registry = Registry::built_in();
    registry
        .install(&text, descriptor)
        .map_err(io::Error::other)?;
    let text = codegen::client(&registry, &["colourdetector"])?;
    Ok((client.into(), text))
}

/// Generates everything and writes what has changed.
///
/// # Errors
/// As [`codegen::write`] and [`example_client`].
pub fn write(root: &Path) -> io::Result<()> {
    codegen::write(root)?;
    let (path, text) = example_client(root)?;
    fs::write(root.join(path), text)
}
