//! Generated files are what the generator makes, from descriptors that say everything.

use std::{fs, path::Path};

#[test]
fn generated_files_match_the_descriptors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a workspace");
    let mut files = xtask::codegen::generate().expect("descriptors and rustfmt work");
    files.push(xtask::example_client(root).expect("the example's descriptor is one"));
    for (path, expected) in files {
        let present = fs::read_to_string(root.join(&path)).unwrap_or_default();
        assert!(
            present == expected,
            "{} is stale: run `cargo xtask codegen`",
            path.display()
        );
    }
}

#[test]
fn everything_in_the_descriptors_is_documented() {
    let registry = salono_kurento_model::Registry::built_in();
    let mut bare = Vec::new();
    for module in registry.modules() {
        let module = salono_kurento_model::descriptor::parse(&module.descriptor)
            .expect("registered descriptors can be read");
        let mut note = |doc: &str, path: String| {
            if doc.is_empty() {
                bare.push(format!("{}: {path}", module.name));
            }
        };
        for class in &module.remote_classes {
            note(&class.doc, class.name.clone());
            if let Some(constructor) = &class.constructor {
                note(&constructor.doc, format!("{}()", class.name));
                for param in &constructor.params {
                    note(&param.doc, format!("{}({})", class.name, param.name));
                }
            }
            for property in &class.properties {
                note(&property.doc, format!("{}.{}", class.name, property.name));
            }
            for method in &class.methods {
                let path = format!("{}.{}", class.name, method.name);
                note(&method.doc, path.clone());
                for param in &method.params {
                    note(&param.doc, format!("{path}({})", param.name));
                }
                if let Some(returns) = &method.returns {
                    note(&returns.doc, format!("{path} ->"));
                }
            }
        }
        for complex in &module.complex_types {
            note(&complex.doc, complex.name.clone());
            for member in &complex.properties {
                note(&member.doc, format!("{}.{}", complex.name, member.name));
            }
        }
        for event in &module.events {
            note(&event.doc, event.name.clone());
            for member in &event.properties {
                note(&member.doc, format!("{}.{}", event.name, member.name));
            }
        }
    }
    assert!(bare.is_empty(), "\n{}", bare.join("\n"));
}
