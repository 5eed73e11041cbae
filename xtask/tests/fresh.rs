//! Generated files are what the generator makes.

use std::{fs, path::Path};

#[test]
fn generated_files_match_the_descriptors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    for (path, expected) in xtask::codegen::generate().expect("descriptors and rustfmt work") {
        let present = fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            present == expected,
            "{} is stale: run `cargo xtask codegen`",
            path.display()
        );
    }
}
