//! Event data as Rust types.

use std::fmt::Write;

use super::{
    Module, Source,
    names::{doc, field, owned},
    types::rename,
};

pub(crate) fn render(source: &Source) -> String {
    let mut out = String::from(
        "//! The data of events as Rust types.\n\
         //!\n\
         //! Events of modules outside the `kurento` namespace are in a module of that name.\n\n\
         use serde::{Deserialize, Serialize, de::DeserializeOwned};\n\n\
         use crate::types;\n\n\
         /// The data of one event type.\n\
         pub trait EventData: DeserializeOwned {\n\
         /// The name that clients subscribe to.\n\
         const NAME: &'static str;\n}\n\n",
    );
    for module in source.modules.iter().filter(|module| module.is_built_in()) {
        module_events(source, module, &mut out);
    }
    let others = source.modules.iter().filter(|module| !module.is_built_in());
    for module in others.filter(|module| !module.descriptor.events.is_empty()) {
        let name = &module.descriptor.name;
        let _ = writeln!(out, "/// Events of the module `{name}`.\npub mod {name} {{");
        out.push_str(
            "use serde::{Deserialize, Serialize};\n\nuse super::EventData;\nuse crate::types;\n\n",
        );
        module_events(source, module, &mut out);
        out.push_str("}\n\n");
    }
    out
}

/// Documentation of an event's member, wherever it is declared.
pub(crate) fn member_doc<'s>(source: &'s Source, event: &str, member: &str) -> &'s str {
    let events = || {
        source
            .modules
            .iter()
            .flat_map(|module| &module.descriptor.events)
    };
    let mut next = Some(event);
    while let Some(name) = next {
        let Some(declared) = events().find(|declared| declared.name == name) else {
            break;
        };
        if let Some(found) = declared
            .properties
            .iter()
            .find(|found| found.name == member)
        {
            return &found.doc;
        }
        next = declared.extends.as_deref();
    }
    ""
}

pub(crate) fn module_events(source: &Source, module: &Module, out: &mut String) {
    let raised = |name: &str| {
        let mut classes = source.registry.classes();
        classes.any(|class| class.events().any(|event| event == name))
    };
    // The bases of event types are never raised themselves.
    for declared in module
        .descriptor
        .events
        .iter()
        .filter(|event| raised(&event.name))
    {
        let Some(event) = source.registry.event(&declared.name) else {
            continue;
        };
        out.push_str(&doc(&declared.doc, &declared.name));
        let _ = writeln!(
            out,
            "#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]\npub struct {} {{",
            declared.name
        );
        for member in &event.fields {
            out.push_str(&doc(
                member_doc(source, &declared.name, &member.name),
                &member.name,
            ));
            // Older servers leave some of what all events share out.
            if matches!(&*member.name, "type" | "tags" | "timestampMillis") {
                out.push_str("#[serde(default)]\n");
            }
            out.push_str(&rename(&member.name, member.optional));
            let kind = owned(&source.registry, &member.kind, "types");
            let kind = if member.optional {
                format!("Option<{kind}>")
            } else {
                kind
            };
            let _ = writeln!(out, "pub {}: {kind},", field(&member.name));
        }
        let _ = writeln!(
            out,
            "}}\n\nimpl EventData for {name} {{\nconst NAME: &'static str = \"{name}\";\n}}\n",
            name = declared.name
        );
    }
}
