//! The sources in `clients/android` and `clients/ios` are what this crate says.

use std::{fs, path::Path};

#[test]
fn generated_sources_match_the_library() {
    // Cargo puts the library of the package beside its tests.
    let here = std::env::current_exe().expect("a test knows where it is");
    let library = here.with_file_name(xtask::bindings::library_file());
    let files = xtask::bindings::generate(&library).expect("the library describes itself");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (path, expected) in files {
        let present = fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            present == expected,
            "{} is stale: run `cargo xtask bindings`",
            path.display()
        );
    }
}
