//! Compares what was recorded with what is answered now: shape, types, and every value that is not
//! bound to differ.

use crate::{names, sdp};
use salono_kurento_model::{Map, Value, json};
use std::collections::BTreeMap;

/// Where two values differ, and how.
pub(crate) type Difference = (String, String, String);

/// Operations whose numbers differ each time.
const MEASURED: &[&str] = &[
    "getStats",
    "getUsedMemory",
    "getUsedCpu",
    "getCpuCount",
    "getCreationTime",
];

/// Operations whose lists are sets.
const SETS: &[&str] = &[
    "getChildren",
    "getPipelines",
    "getSessions",
    "getSourceConnections",
    "getSinkConnections",
    "getICECandidatePairs",
    "getIceConnectionState",
];

/// The value without what differs each time.
pub(crate) fn canonical(value: &Value, operation: &str) -> Value {
    match value {
        Value::String(text) => canonical_text(text),
        Value::Number(number) if MEASURED.contains(&operation) => {
            // A zero is written alike whatever its type.
            let kind = match number.as_f64() {
                Some(0.0) => "<zero>",
                Some(_) if number.is_f64() => "<real>",
                Some(_) | None => "<integer>",
            };
            kind.into()
        }
        Value::Array(items) if items.iter().any(is_module) => {
            let by_name = |item: &Value| {
                let name = item["name"].as_str()?.to_owned();
                Some((name, canonical(item, operation)))
            };
            Value::Object(items.iter().filter_map(by_name).collect())
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items
                .iter()
                .map(|item| canonical(item, operation))
                .collect();
            if SETS.contains(&operation) {
                items.sort_by_key(Value::to_string);
            }
            items.into()
        }
        Value::Object(members) => {
            let stats = |member: &Value| member["timestampMillis"].is_u64();
            if operation == "getStats" && members.values().any(stats) {
                return by_class(members);
            }
            let canonical = |(name, member): (&String, &Value)| {
                let member = match name.as_str() {
                    "timestampMillis" | "timestamp" | "ssrc" => kind_of(member),
                    "version" | "generationTime" => "<version>".into(),
                    _ => canonical(member, operation),
                };
                (name.clone(), member)
            };
            Value::Object(members.iter().map(canonical).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Modules are told apart by their names.
fn is_module(item: &Value) -> bool {
    item["__type__"] == "ModuleInfo"
}

fn canonical_text(text: &str) -> Value {
    if text.starts_with("v=0") {
        sdp::summary(text)
    } else if text.starts_with("candidate:") {
        format!("<candidate {}>", names::transport(text)).into()
    } else if text.starts_with("digraph") {
        "<graph>".into()
    } else if text.starts_with("<module descriptor") || text.starts_with("{\n  \"") {
        "<descriptor>".into()
    } else {
        text.into()
    }
}

/// A text of digits, a whole number or something else.
fn kind_of(value: &Value) -> Value {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if value.as_str().is_some_and(digits) {
        "<digits>".into()
    } else if value.is_u64() {
        "<integer>".into()
    } else {
        value.clone()
    }
}

/// Statistics have random names; their classes are what can be compared.
fn by_class(members: &Map<String, Value>) -> Value {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut entries = Map::new();
    // Data channels in the order of their labels.
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    members.sort_by_key(|(_, entry)| entry["label"].as_str().unwrap_or_default());
    for (name, entry) in members {
        let class = entry["__type__"].as_str().unwrap_or(name);
        let count = counts.entry(class).or_default();
        *count += 1;
        let mut entry = canonical(entry, "getStats");
        if entry["id"] == **name {
            entry["id"] = "<its name>".into();
        }
        entries.insert(format!("{class} {count}"), entry);
    }
    Value::Object(entries)
}

/// All places where the two differ; both are canonical.
pub(crate) fn differences(path: &str, recorded: &Value, ours: &Value, found: &mut Vec<Difference>) {
    match (recorded, ours) {
        (Value::Object(recorded), Value::Object(ours)) => {
            for (name, before) in recorded {
                let path = join(path, name);
                match ours.get(name) {
                    Some(after) => differences(&path, before, after, found),
                    None => found.push((path, show(before), "nothing".to_owned())),
                }
            }
            for (name, after) in ours {
                if !recorded.contains_key(name) {
                    let path = join(path, name);
                    found.push((path, "nothing".to_owned(), show(after)));
                }
            }
        }
        (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
            for (index, (recorded, ours)) in recorded.iter().zip(ours).enumerate() {
                differences(&format!("{path}[{index}]"), recorded, ours, found);
            }
        }
        _ if equal(recorded, ours) => {}
        _ => found.push((path.to_owned(), show(recorded), show(ours))),
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Numbers of single precision are written with more digits by the reference.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the comparison is one of single precision"
)]
fn equal(recorded: &Value, ours: &Value) -> bool {
    if recorded.is_f64() && ours.is_f64() {
        let single = |value: &Value| value.as_f64().map(|number| number as f32);
        return single(recorded) == single(ours);
    }
    match (recorded.as_str(), ours.as_str()) {
        (Some("<zero>"), Some("<integer>" | "<real>"))
        | (Some("<integer>" | "<real>"), Some("<zero>")) => true,
        _ => recorded == ours,
    }
}

/// A value as a cell of the table.
pub(crate) fn show(value: &Value) -> String {
    /// Longest cell, in characters.
    const LONGEST: usize = 600;
    let quoted = |text: &str| format!("\"{text}\"");
    let text = value.as_str().map_or_else(|| value.to_string(), quoted);
    let text = names::split(&text).texts.join("~");
    let text = text
        .replace('|', "/")
        .replace('`', "'")
        .replace(['\r', '\n'], " ");
    if text.chars().count() <= LONGEST {
        return text;
    }
    text.chars().take(LONGEST).chain(['…']).collect()
}

/// The part of an answer that is compared.
pub(crate) fn outcome(answer: &Value) -> Value {
    match answer.get("error") {
        Some(error) => json!({"id": answer["id"], "jsonrpc": answer["jsonrpc"], "error": error}),
        None => {
            json!({"id": answer["id"], "jsonrpc": answer["jsonrpc"], "result": answer["result"]})
        }
    }
}
