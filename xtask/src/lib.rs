//! Repository chores, as a library so that tests can compare instead of write.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

pub mod bindings;

pub use salono_kurento_codegen as codegen;

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
