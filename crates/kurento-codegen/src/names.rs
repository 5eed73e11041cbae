//! Names and types of the descriptors as Rust spells them.

use salono_kurento_model::{ComplexType, KURENTO, Registry, StructType, Type};

/// `mediaPipeline` as `media_pipeline`.
pub(crate) fn snake(name: &str) -> String {
    // Abbreviations that the case of letters alone would tear apart.
    let name = name.replace("IPv", "Ipv").replace("E2EL", "E2eL");
    let chars: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (at, char) in chars.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(at + 1);
        let starts = char.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase()
                    || (before.is_ascii_uppercase()
                        && after.is_some_and(|after| after.is_ascii_lowercase()))
            });
        if starts {
            snake.push('_');
        }
        snake.push(char.to_ascii_lowercase());
    }
    snake
}

/// A member's or parameter's name; `type` is a word of Rust's own.
pub(crate) fn field(name: &str) -> String {
    match name {
        "type" => "kind".to_owned(),
        name => snake(name),
    }
}

/// `AES_128_CM_HMAC_SHA1_32` as `Aes128CmHmacSha1_32`.
pub(crate) fn variant(value: &str) -> String {
    let mut name = String::with_capacity(value.len());
    for word in value.split('_') {
        let mut chars = word.chars();
        let Some(first) = chars.next() else { continue };
        // Two numbers in a row stay apart.
        if first.is_ascii_digit() && name.ends_with(|last: char| last.is_ascii_digit()) {
            name.push('_');
        }
        name.push(first.to_ascii_uppercase());
        name.extend(chars.map(|char| char.to_ascii_lowercase()));
    }
    name
}

/// Path below a root module: `MediaType`, or `chroma::WindowParam` for other modules' names.
pub(crate) fn path(root: &str, qualified: &str) -> String {
    let (namespace, name) = qualified.split_once('.').unwrap_or((KURENTO, qualified));
    if namespace == KURENTO {
        format!("{root}::{name}")
    } else {
        format!("{root}::{namespace}::{name}")
    }
}

/// The owned Rust type of a value; objects are their ids.
pub(crate) fn owned(registry: &Registry, kind: &Type, types: &str) -> String {
    match kind {
        Type::String | Type::Object(_) => "String".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Int => "i32".to_owned(),
        Type::Int64 => "i64".to_owned(),
        Type::Float | Type::Double => "f64".to_owned(),
        Type::Enum(name) => path(types, name),
        Type::Struct(name) if descendants(registry, name).is_empty() => path(types, name),
        Type::Struct(name) => {
            let (namespace, simple) = name.split_once('.').unwrap_or((KURENTO, name));
            path(types, &format!("{namespace}.Any{simple}"))
        }
        Type::List(item) => format!("Vec<{}>", owned(registry, item, types)),
        Type::Map(item) => format!("BTreeMap<String, {}>", owned(registry, item, types)),
    }
}

/// The structs that extend the one with this qualified name.
pub(crate) fn descendants<'r>(registry: &'r Registry, name: &str) -> Vec<&'r StructType> {
    let structs = registry
        .complex_types()
        .filter_map(|(_, complex)| match complex {
            ComplexType::Struct(declared) => Some(declared),
            ComplexType::Enum(_) => None,
        });
    structs
        .filter(|declared| {
            declared
                .ancestors
                .iter()
                .any(|ancestor| &**ancestor == name)
        })
        .collect()
}

/// Documentation lines of Rust.
pub(crate) fn doc(text: &str, fallback: &str) -> String {
    let text = if text.is_empty() { fallback } else { text };
    // Further lines of a list item stand below its first word.
    let hang = if text.starts_with("- ") { "  " } else { "" };
    wrap(text, 90)
        .iter()
        .enumerate()
        .map(|(at, line)| {
            let indent = if at == 0 { "" } else { hang };
            format!("/// {indent}{line}").trim_end().to_owned() + "\n"
        })
        .collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.len() + 1 + word.len() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_as_rust_writes_them() {
        for (name, expected) in [
            ("mediaPipeline", "media_pipeline"),
            ("ICECandidatePairs", "ice_candidate_pairs"),
            ("sdpMLineIndex", "sdp_m_line_index"),
            ("externalIPv4", "external_ipv4"),
            ("E2ELatency", "e2e_latency"),
            ("getUsedCpu", "get_used_cpu"),
        ] {
            assert_eq!(snake(name), expected);
        }
        assert_eq!(variant("AES_128_CM_HMAC_SHA1_32"), "Aes128CmHmacSha1_32");
        assert_eq!(variant("serverreflexive"), "Serverreflexive");
    }
}
