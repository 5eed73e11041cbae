//! Repository rules that the compiler cannot see. Run with `cargo test -p xtask`.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Which crates of the workspace each crate may use. Adding an arrow means editing this table,
/// which is what a reviewer looks at.
const ARROWS: &[(&str, &[&str])] = &[
    ("media-api", &[]),
    ("kurento-model", &[]),
    ("room-proto", &[]),
    ("sdp", &[]),
    ("rtp", &[]),
    ("jsonrpc", &["kurento-model"]),
    ("kurento-codegen", &["kurento-model"]),
    ("colour-detector", &[]),
    ("kurento-core", &["kurento-model", "media-api"]),
    ("room-core", &["kurento-model"]),
    ("media-core", &["media-api", "sdp", "rtp"]),
    ("media-engine", &["media-core", "media-api"]),
    ("sandbox", &[]),
    ("media-gst", &["media-api", "rtp", "sandbox"]),
    (
        "kurento-server",
        &["kurento-core", "kurento-model", "media-api", "jsonrpc"],
    ),
    ("tls-trust", &[]),
    ("kurento-client", &["kurento-model", "jsonrpc", "tls-trust"]),
    ("room-client", &["room-proto", "jsonrpc", "tls-trust"]),
    ("room-client-ffi", &["room-client"]),
    ("room-test", &["room-client"]),
    (
        "room-sdk",
        &["room-core", "kurento-client", "kurento-model"],
    ),
    ("room-token", &[]),
    (
        "room-server",
        &["room-sdk", "room-proto", "room-token", "jsonrpc"],
    ),
    ("examples", &["kurento-client"]),
    ("sip-bridge", &["kurento-client", "examples"]),
    (
        "own-rooms",
        &["kurento-client", "room-sdk", "room-server", "examples"],
    ),
    (
        "bench",
        &[
            "media-engine",
            "media-core",
            "media-api",
            "rtp",
            "kurento-client",
            "kurento-model",
        ],
    ),
    (
        "salono",
        &[
            "room-server",
            "room-sdk",
            "room-token",
            "kurento-server",
            "kurento-client",
            "kurento-codegen",
            "kurento-core",
            "kurento-model",
            "media-engine",
            "media-core",
            "media-api",
            "bench",
            "room-test",
        ],
    ),
];

/// Vocabulary and sans-IO crates.
const PURE: &[&str] = &[
    "media-api",
    "kurento-model",
    "room-proto",
    "room-token",
    "sdp",
    "rtp",
    "jsonrpc",
    "kurento-core",
    "room-core",
    "media-core",
];

/// What pure crates must not use: runtimes, sockets, servers.
const NO_IO: &[&str] = &[
    "async-std",
    "axum",
    "axum-server",
    "futures-util",
    "hyper",
    "libc",
    "mio",
    "nix",
    "quinn-udp",
    "reqwest",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tokio-rustls",
    "tokio-tungstenite",
    "tower-http",
    "tracing-subscriber",
    "tungstenite",
];

/// The crates that may know a serialised form. Others that need a JSON value take the one that
/// `kurento-model` re-exports. Values of seam C leave the process, so `media-api` derives it for them.
const SERDE: &[&str] = &[
    "media-api",
    "media-engine",
    "media-gst",
    "kurento-model",
    "room-proto",
    "room-token",
    "jsonrpc",
    "kurento-client",
    "room-client",
    "room-client-ffi",
    "room-server",
    "room-sdk",
    "salono",
    "bench",
    "examples",
    "sip-bridge",
    "own-rooms",
];

/// Longest source file, in lines; tests and generated files may be longer.
const FILE_BUDGET: usize = 1500;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

fn crates() -> Vec<PathBuf> {
    let folder = fs::read_dir(root().join("crates")).expect("the workspace has crates");
    let mut crates: Vec<PathBuf> = folder
        .map(|entry| entry.expect("a readable folder").path())
        .chain(
            ["examples", "examples/own-rooms", "examples/sip-bridge"]
                .map(|folder| root().join(folder)),
        )
        .filter(|path| path.join("Cargo.toml").is_file())
        .collect();
    crates.sort();
    crates
}

fn short_name(name: &str) -> &str {
    name.strip_prefix("salono-").unwrap_or(name)
}

fn assert_clean(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn dependencies_follow_the_table() {
    let mut faults = Vec::new();
    for path in crates() {
        let manifest = fs::read_to_string(path.join("Cargo.toml")).expect("a readable manifest");
        faults.extend(dependency_faults(&manifest));
    }
    assert_clean(&faults);
}

#[test]
fn shortcuts_are_found() {
    let manifest = |name: &str, dependency: &str| {
        let text = format!("[package]\nname = \"salono-{name}\"\n[dependencies]\n{dependency}\n");
        dependency_faults(&text).len()
    };
    assert_eq!(manifest("media-core", "salono-sdp.workspace = true"), 0);
    assert_eq!(
        manifest("media-core", "salono-kurento-model.workspace = true"),
        1
    );
    assert_eq!(
        manifest("kurento-core", "salono-media-core.workspace = true"),
        1
    );
    assert_eq!(manifest("room-core", "tokio = { workspace = true }"), 1);
    assert_eq!(manifest("media-core", "serde_json.workspace = true"), 1);
    assert_eq!(manifest("kurento-model", "serde = \"1\""), 0);
    assert_eq!(manifest("nobody", ""), 1);
    let dev = "[package]\nname = \"salono-sdp\"\n[dev-dependencies]\nsalono-rtp.workspace = true\n";
    assert!(dependency_faults(dev).is_empty());
    let table = "[package]\nname = \"salono-sdp\"\n[dependencies.tokio]\nversion = \"1\"\n";
    assert_eq!(dependency_faults(table).len(), 1);
}

fn dependency_faults(manifest: &str) -> Vec<String> {
    let (name, dependencies) = parse(manifest);
    let name = short_name(&name);
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
        return vec![format!(
            "{name}: add it to the table in xtask/tests/tidy.rs"
        )];
    };
    let mut faults = Vec::new();
    for dependency in &dependencies {
        let short = short_name(dependency);
        let ours =
            dependency.starts_with("salono") && ARROWS.iter().any(|(known, _)| *known == short);
        if ours && !allowed.contains(&short) {
            faults.push(format!("{name} -> {short}: not in the table"));
        }
        if PURE.contains(&name) && NO_IO.contains(&&**dependency) {
            faults.push(format!("{name} -> {dependency}: I/O in a pure crate"));
        }
        if dependency.starts_with("serde") && !SERDE.contains(&name) {
            faults.push(format!(
                "{name} -> {dependency}: wire types stay at the edges"
            ));
        }
    }
    faults
}

/// Name and `[dependencies]` of a manifest. What only tests use may point anywhere.
fn parse(manifest: &str) -> (String, Vec<String>) {
    let (mut section, mut name, mut dependencies) = ("", String::new(), Vec::new());
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
            let table = section.strip_prefix("[dependencies.");
            if let Some(dependency) = table.and_then(|rest| rest.strip_suffix(']')) {
                dependencies.push(dependency.to_owned());
            }
        } else if let Some((key, value)) = line.split_once('=') {
            let key = key.trim().split('.').next().unwrap_or_default();
            match section {
                "[package]" if key == "name" => {
                    value.trim().trim_matches('"').clone_into(&mut name)
                }
                "[dependencies]" if !key.starts_with('#') => dependencies.push(key.to_owned()),
                _ => {}
            }
        }
    }
    (name, dependencies)
}

#[test]
fn arrows_have_no_cycle() {
    // Each crate only points at crates that stand before it, so the order is a proof.
    for (at, (name, allowed)) in ARROWS.iter().enumerate() {
        for target in *allowed {
            let place = ARROWS.iter().position(|(known, _)| known == target);
            assert!(
                place.is_some_and(|place| place < at),
                "{name} -> {target}: the target must stand before in the table"
            );
        }
    }
}

#[test]
fn pure_crates_are_linted_as_such() {
    let rules = fs::read_to_string(root().join("config/sans-io.clippy.toml")).expect("the rules");
    let mut faults = Vec::new();
    for path in crates() {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !PURE.contains(&name) {
            continue;
        }
        let present = fs::read_to_string(path.join("clippy.toml")).unwrap_or_default();
        if present != rules {
            faults.push(format!(
                "{name}: clippy.toml is not a link to config/sans-io.clippy.toml"
            ));
        }
    }
    assert_clean(&faults);
}

#[test]
fn files_stay_within_the_budget() {
    let mut faults = Vec::new();
    let mut sources = Vec::new();
    for path in crates() {
        collect_rust(&path.join("src"), &mut sources);
    }
    collect_rust(&root().join("xtask/src"), &mut sources);
    for path in sources {
        let text = fs::read_to_string(&path).expect("a readable source");
        if text.starts_with("// Generated by `cargo xtask codegen`") {
            continue;
        }
        let lines = text.lines().count();
        if lines > FILE_BUDGET {
            faults.push(format!(
                "{}: {lines} lines, split it by role",
                path.display()
            ));
        }
    }
    assert_clean(&faults);
}

fn collect_rust(folder: &Path, sources: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if path.is_dir() {
            if name != "tests" {
                collect_rust(&path, sources);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            sources.push(path);
        }
    }
}
