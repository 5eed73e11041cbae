//! Turns `demo/static` into a table of embedded files.
//!
//! Among the files is the bundled JavaScript client, twice, which `make build` produces before
//! cargo runs. Without it the build stops here and says so.

use std::fmt::Write as _;
use std::fs;
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The bundles that the pages load: a module, and a script that defines a global.
const BUNDLES: [&str; 2] = ["js/salono-client.js", "js/KurentoRoom.js"];

fn main() -> ExitCode {
    match embed() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            println!("cargo::error={message}");
            ExitCode::FAILURE
        }
    }
}

fn embed() -> Result<(), String> {
    let manifest = variable("CARGO_MANIFEST_DIR")?;
    let root = Path::new(&manifest).join("../../demo/static");
    let root = fs::canonicalize(&root)
        .map_err(|error| format!("the demo page is not at {}: {error}", root.display()))?;
    println!("cargo::rerun-if-changed={}", root.display());
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(bundle) = BUNDLES.iter().find(|path| !root.join(path).is_file()) {
        return Err(format!(
            "the JavaScript client is not built: demo/static/{bundle} is missing. Run `make build` \
             (or `make js` once, then cargo as you like)."
        ));
    }
    let mut files = Vec::new();
    collect(&root, &mut files).map_err(|error| format!("cannot read the demo page: {error}"))?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let name = file
            .strip_prefix(&root)
            .map_err(|error| error.to_string())?;
        let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("cargo::rerun-if-changed={}", file.display());
        writeln!(
            table,
            "    (\"/{}\", \"{}\", \"{:016x}\", include_bytes!({:?})),",
            name.display(),
            media_type(file),
            hash(&bytes),
            file.display().to_string(),
        )
        .map_err(|error| error.to_string())?;
    }
    table.push_str("]\n");
    let out = PathBuf::from(variable("OUT_DIR")?).join("pages.rs");
    fs::write(&out, table).map_err(|error| format!("{}: {error}", out.display()))
}

/// An environment variable that cargo sets.
fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}

/// All files below `folder`, hidden ones left out.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with('.') {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}

/// By file name extension.
fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some(_) | None => "application/octet-stream",
    }
}

/// Changes when the content does; no more is asked of it.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}
