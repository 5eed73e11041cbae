//! Turns the interface of the room client into Kotlin and Swift.
//!
//! The interface is read out of the built library, which carries a description of itself. As with
//! the descriptors, `write` puts what comes out into the tree, and a test compares it with the tree.

use std::{
    env::consts::{DLL_PREFIX, DLL_SUFFIX},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use camino::{Utf8Path, Utf8PathBuf};
use uniffi_bindgen::{
    BindgenPaths, BindgenPathsLayer,
    bindings::{GenerateOptions, TargetLanguage, generate_with_bindgen_paths},
};

/// The crate that is turned into other languages, and its library.
const PACKAGE: &str = "salono-room-client-ffi";
const LIBRARY: &str = "salono_room_ffi";

/// What is generated, and where it belongs in the tree.
const PLACES: [(&str, &str); 4] = [
    (
        "salono/room/salono_room_ffi.kt",
        "clients/android/src/main/kotlin/salono/room/salono_room_ffi.kt",
    ),
    (
        "SalonoRoom.swift",
        "clients/ios/Sources/SalonoRoom/SalonoRoom.swift",
    ),
    ("SalonoRoomFFI.h", "clients/ios/Headers/SalonoRoomFFI.h"),
    (
        "SalonoRoomFFI.modulemap",
        "clients/ios/Headers/module.modulemap",
    ),
];

/// The library's name as a file.
#[must_use]
pub fn library_file() -> String {
    format!("{DLL_PREFIX}{LIBRARY}{DLL_SUFFIX}")
}

/// Generates everything from the built library: paths relative to the workspace, with their
/// contents.
///
/// # Errors
/// When the library is none, or files cannot be written where temporary ones belong.
pub fn generate(library: &Path) -> io::Result<Vec<(PathBuf, String)>> {
    let folder = std::env::temp_dir().join(format!("salono-bindings-{}", std::process::id()));
    let folder = Utf8PathBuf::try_from(folder).map_err(io::Error::other)?;
    let files = generate_into(library, &folder);
    // Whatever is left there is temporary.
    let _ = fs::remove_dir_all(&folder);
    files
}

/// Builds the library, generates everything and writes what has changed.
///
/// # Errors
/// As [`generate`], and when the library cannot be built or a file cannot be written.
pub fn write(root: &Path) -> io::Result<()> {
    crate::put(root, generate(&build(root)?)?)
}

fn generate_into(library: &Path, folder: &Utf8Path) -> io::Result<Vec<(PathBuf, String)>> {
    let library = Utf8Path::from_path(library)
        .ok_or_else(|| io::Error::other("the path of the library is no text"))?;
    let mut paths = BindgenPaths::default();
    paths.add_layer(Settings);
    let options = GenerateOptions {
        languages: vec![TargetLanguage::Kotlin, TargetLanguage::Swift],
        source: library.to_owned(),
        out_dir: folder.to_owned(),
        ..GenerateOptions::default()
    };
    generate_with_bindgen_paths(options, paths).map_err(io::Error::other)?;
    let files = PLACES.iter().map(|(made, place)| {
        let text = fs::read_to_string(folder.join(made))?;
        Ok((PathBuf::from(place), text))
    });
    files.collect()
}

/// Where the crate has its `uniffi.toml`.
struct Settings;

impl BindgenPathsLayer for Settings {
    fn get_crate_root(&self, _: &str) -> Option<Utf8PathBuf> {
        let here = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
        here.parent()
            .map(|root| root.join("crates/room-client-ffi"))
    }
}

/// Builds the library; cargo knows where it puts it.
fn build(root: &Path) -> io::Result<PathBuf> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "build",
            "-p",
            PACKAGE,
            "--lib",
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the library cannot be built"));
    }
    let messages = String::from_utf8(output.stdout).map_err(io::Error::other)?;
    let file = library_file();
    messages
        .split('"')
        .map(Path::new)
        .find(|text| text.is_absolute() && text.ends_with(&file))
        .map(Path::to_owned)
        .ok_or_else(|| io::Error::other("cargo does not say where the library is"))
}
