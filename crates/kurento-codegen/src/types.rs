//! Enumerations and structs as Rust types.

use std::fmt::Write;

use salono_kurento_model::{
    ComplexType, Param, Registry, Type,
    descriptor::{self, TypeFormat},
};

use super::{
    Module, Source,
    names::{descendants, doc, field, owned, path, variant},
};

pub(crate) fn render(source: &Source) -> String {
    let mut out = String::from(
        "//! Enumerations and structs of the remote API as Rust types.\n\
         //!\n\
         //! Members that the descriptors call optional are `Option`s. Objects are named by their ids.\n\
         //! Types of modules outside the `kurento` namespace are in a module of that name.\n\n\
         use std::collections::BTreeMap;\n\n\
         use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::SerializeMap as _};\n\
         use serde_json::Value;\n\n",
    );
    for module in source.modules.iter().filter(|module| module.is_built_in()) {
        module_types(source, module, "self", &mut out);
    }
    let others = source.modules.iter().filter(|module| !module.is_built_in());
    for module in others.filter(|module| !module.descriptor.complex_types.is_empty()) {
        let name = &module.descriptor.name;
        let _ = writeln!(out, "/// Types of the module `{name}`.\npub mod {name} {{");
        let mut body = String::new();
        module_types(source, module, "super", &mut body);
        out.push_str("use serde::{Deserialize, Serialize");
        if body.contains("Serializer") {
            out.push_str(", Serializer, ser::SerializeMap as _");
        }
        out.push_str("};\n");
        out.push_str(&body);
        out.push_str("}\n\n");
    }
    out
}

pub(crate) fn module_types(source: &Source, module: &Module, root: &str, out: &mut String) {
    for declared in &module.descriptor.complex_types {
        let qualified = format!("{}.{}", module.namespace, declared.name);
        match declared.type_format {
            TypeFormat::Enum => enumeration(declared, out),
            TypeFormat::Register => {
                let Some(ComplexType::Struct(resolved)) = source.registry.complex_type(&qualified)
                else {
                    unreachable!("the registry was built from these descriptors");
                };
                let docs = docs_of_fields(source, module, declared);
                structure(
                    &source.registry,
                    declared,
                    &resolved.fields,
                    &docs,
                    &module.namespace,
                    root,
                    out,
                );
                if !descendants(&source.registry, &qualified).is_empty()
                    && is_used(source, &qualified)
                {
                    any(&source.registry, &declared.name, &qualified, root, out);
                }
            }
        }
    }
}

/// Documentation of all members, inherited ones first.
fn docs_of_fields(
    source: &Source,
    module: &Module,
    declared: &descriptor::ComplexType,
) -> Vec<String> {
    let mut docs = Vec::new();
    if let Some(parent) = &declared.extends {
        let found = source
            .modules
            .iter()
            .filter(|other| other.namespace == module.namespace || other.is_built_in())
            .flat_map(|other| {
                other
                    .descriptor
                    .complex_types
                    .iter()
                    .map(move |t| (other, t))
            })
            .find(|(_, other)| other.name == *parent);
        if let Some((module, parent)) = found {
            docs = docs_of_fields(source, module, parent);
        }
    }
    docs.extend(
        declared
            .properties
            .iter()
            .map(|property| property.doc.clone()),
    );
    docs
}

fn enumeration(declared: &descriptor::ComplexType, out: &mut String) {
    let name = &declared.name;
    out.push_str(&doc(&declared.doc, name));
    out.push_str("#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]\n");
    let _ = writeln!(out, "pub enum {name} {{");
    for value in &declared.values {
        let _ = writeln!(
            out,
            "/// `{value}`.\n#[serde(rename = \"{value}\")]\n{},",
            variant(value)
        );
    }
    out.push_str(
        "/// A value that this version does not know.\n#[serde(untagged)]\nUnknown(String),\n}\n\n",
    );
    let _ = writeln!(
        out,
        "impl {name} {{\n/// The value as it is on the wire.\n#[must_use]\npub fn as_str(&self) -> &str {{\nmatch self {{"
    );
    for value in &declared.values {
        let _ = writeln!(out, "Self::{} => \"{value}\",", variant(value));
    }
    out.push_str("Self::Unknown(value) => value,\n}\n}\n}\n\n");
}

fn structure(
    registry: &Registry,
    declared: &descriptor::ComplexType,
    fields: &[Param],
    docs: &[String],
    namespace: &str,
    root: &str,
    out: &mut String,
) {
    let name = &declared.name;
    out.push_str(&doc(&declared.doc, name));
    let default = if fields.iter().all(|field| field.optional) {
        "Default, "
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "#[derive(Debug, Clone, {default}PartialEq, Deserialize)]\npub struct {name} {{"
    );
    for (member, text) in fields.iter().zip(docs) {
        out.push_str(&doc(text, &member.name));
        out.push_str(&rename(&member.name, member.optional));
        let kind = owned(registry, &member.kind, root);
        let kind = if member.optional {
            format!("Option<{kind}>")
        } else {
            kind
        };
        let _ = writeln!(out, "pub {}: {},", field(&member.name), local(&kind));
    }
    out.push_str("}\n\n");
    serialize(name, fields, namespace, out);
}

/// Structs say on the wire what they are, as those of Kurento's own clients do.
fn serialize(name: &str, fields: &[Param], namespace: &str, out: &mut String) {
    let _ = writeln!(
        out,
        "impl Serialize for {name} {{\n\
         fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{\n\
         let mut members = serializer.serialize_map(None)?;"
    );
    for member in fields {
        let (wire, rust) = (&member.name, field(&member.name));
        let _ = if member.optional {
            writeln!(
                out,
                "if let Some(value) = &self.{rust} {{\n\
                 members.serialize_entry(\"{wire}\", value)?;\n}}"
            )
        } else {
            writeln!(out, "members.serialize_entry(\"{wire}\", &self.{rust})?;")
        };
    }
    let _ = writeln!(
        out,
        "members.serialize_entry(\"__module__\", \"{namespace}\")?;\n\
         members.serialize_entry(\"__type__\", \"{name}\")?;\n\
         members.end()\n}}\n}}\n"
    );
}

/// Types of the same Rust module need no path.
fn local(kind: &str) -> String {
    kind.replace("self::", "")
}

/// The serde attribute of a member.
pub(crate) fn rename(name: &str, optional: bool) -> String {
    let mut parts = Vec::new();
    if field(name) != name {
        parts.push(format!("rename = \"{name}\""));
    }
    if optional {
        parts.push("default, skip_serializing_if = \"Option::is_none\"".to_owned());
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("#[serde({})]\n", parts.join(", "))
    }
}

/// Whether a value anywhere is declared to have this type.
fn is_used(source: &Source, qualified: &str) -> bool {
    fn names(kind: &Type, qualified: &str) -> bool {
        match kind {
            Type::Struct(name) => &**name == qualified,
            Type::List(item) | Type::Map(item) => names(item, qualified),
            Type::String
            | Type::Boolean
            | Type::Int
            | Type::Int64
            | Type::Float
            | Type::Double
            | Type::Enum(_)
            | Type::Object(_) => false,
        }
    }
    source.modules.iter().any(|module| {
        let methods = module
            .descriptor
            .remote_classes
            .iter()
            .flat_map(|class| &class.methods);
        methods
            .filter_map(|method| method.returns.as_ref())
            .filter_map(|returns| {
                source
                    .registry
                    .resolve(&module.namespace, &returns.type_name)
            })
            .any(|kind| names(&kind, qualified))
    })
}

fn any(registry: &Registry, name: &str, qualified: &str, root: &str, out: &mut String) {
    let mut variants = vec![(name.to_owned(), local(&path(root, qualified)))];
    for other in descendants(registry, qualified) {
        let other_path = path(root, &format!("{}.{}", other.namespace, other.name));
        variants.push((other.name.clone(), local(&other_path)));
    }
    let _ = writeln!(
        out,
        "/// A [`{name}`] or a struct that extends it, told apart by `__type__`.\n\
         #[derive(Debug, Clone, PartialEq)]\n\
         #[allow(clippy::large_enum_variant, reason = \"lives as long as one answer is looked at\")]\n\
         pub enum Any{name} {{"
    );
    for (variant, kind) in &variants {
        let _ = writeln!(out, "/// A [`{kind}`].\n{variant}({kind}),");
    }
    let _ = writeln!(
        out,
        "/// A struct that this version does not know.\nUnknown(Value),\n}}\n\n\
         impl<'de> Deserialize<'de> for Any{name} {{\n\
         fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {{\n\
         let value = Value::deserialize(deserializer)?;\n\
         let name = value.get(\"__type__\").and_then(Value::as_str).map(str::to_owned);\n\
         match name.as_deref() {{"
    );
    for (variant, _) in &variants {
        let _ = writeln!(
            out,
            "Some(\"{variant}\") => serde_json::from_value(value).map(Self::{variant}),"
        );
    }
    out.push_str(
        "Some(_) | None => Ok(Self::Unknown(value)),\n}\n.map_err(D::Error::custom)\n}\n}\n\n",
    );
}
