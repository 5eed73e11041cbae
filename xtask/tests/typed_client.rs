//! The typed client has a counterpart for everything that the descriptors declare. The generator is
//! not asked: its output is read as a program would use it.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use salono_kurento_model::{
    Registry,
    descriptor::{self, TypeFormat},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// Public functions of each type of a generated file, by names without underscores.
fn surface(path: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(path).unwrap();
    let mut types: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("impl ") {
            current = rest.strip_suffix(" {").map(str::to_owned);
        }
        if let Some(rest) = line.trim_start().strip_prefix("pub fn ")
            && let Some(current) = &current
        {
            let name = rest.split(['(', '<']).next().unwrap();
            let functions = types.entry(current.clone()).or_default();
            functions.insert(plain(name));
        }
    }
    types
}

/// A name as it is compared: the two sides part words differently.
fn plain(name: &str) -> String {
    name.replace('_', "").to_lowercase()
}

#[test]
fn every_class_method_property_event_and_optional_argument_is_typed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/kurento-client/src");
    let registry = Registry::built_in();
    let mut missing = Vec::new();
    let mut counted = 0;
    for module in registry.modules() {
        let declared = descriptor::parse(&module.descriptor).unwrap();
        let types = surface(&folder.join(format!("gen/{}.rs", module.name)));
        let mut need = |kind: &str, function: String| {
            counted += 1;
            let present = types
                .get(kind)
                .is_some_and(|functions| functions.contains(&plain(&function)));
            if !present {
                missing.push(format!("{}: {kind}::{function}", module.name));
            }
        };
        for class in &declared.remote_classes {
            let name = &class.name;
            let own = |property: &str| match property {
                "type" => "kind".to_owned(),
                property => property.to_owned(),
            };
            need(name, "attach".to_owned());
            if let Some(constructor) = &class.constructor {
                let optional: Vec<_> = constructor.params.iter().filter(|it| it.optional).collect();
                if !class.is_abstract {
                    need(name, "create".to_owned());
                }
                if !optional.is_empty() {
                    need(name, "builder".to_owned());
                }
                for param in optional {
                    need(&format!("{name}Builder"), own(&param.name));
                }
            }
            // The id is known without asking.
            for property in class.properties.iter().filter(|it| it.name != "id") {
                need(name, own(&property.name));
                if !property.read_only && !property.is_final {
                    need(name, format!("set{}", property.name));
                }
            }
            for method in &class.methods {
                need(name, method.name.clone());
                if method.params.iter().any(|it| it.optional) {
                    need(name, format!("{}With", method.name));
                }
            }
            for event in &class.events {
                need(
                    name,
                    format!("on{}", event.strip_prefix("On").unwrap_or(event)),
                );
            }
        }
    }
    let model = folder.join("../../kurento-model/src/gen");
    let types = fs::read_to_string(model.join("types.rs")).unwrap();
    let events = fs::read_to_string(model.join("events.rs")).unwrap();
    for module in registry.modules() {
        let declared = descriptor::parse(&module.descriptor).unwrap();
        let mut look = |text: &str, what: &str, name: &str| {
            counted += 1;
            if !text.contains(&format!("pub {what} {name} ")) {
                missing.push(format!("{}: {what} {name}", module.name));
            }
        };
        for kind in &declared.complex_types {
            let what = match kind.type_format {
                TypeFormat::Enum => "enum",
                TypeFormat::Register => "struct",
            };
            look(&types, what, &kind.name);
        }
        for event in &declared.events {
            // What events have in common is a part of each of them.
            if matches!(event.name.as_str(), "RaiseBase" | "Media") {
                continue;
            }
            look(&events, "struct", &event.name);
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    assert!(counted > 300, "only {counted} were looked for");
}
