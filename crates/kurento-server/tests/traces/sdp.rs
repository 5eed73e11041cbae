//! What a session description offers, without what differs each time.

use salono_kurento_model::{Map, Value, json};
use std::collections::BTreeMap;

/// The negotiated content of a description.
pub(crate) fn summary(text: &str) -> Value {
    let mut sections: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    let session = sections.remove(0);
    let group = session
        .iter()
        .find_map(|line| line.strip_prefix("a=group:"));
    let media: Map<String, Value> = sections
        .iter()
        .enumerate()
        .map(|(index, lines)| media(index, lines))
        .collect();
    json!({"group": group, "media": media})
}

fn media(index: usize, lines: &[&str]) -> (String, Value) {
    let fields: Vec<&str> = lines[0].trim_start_matches("m=").split(' ').collect();
    let attribute = |name: &str| {
        lines.iter().find_map(|line| {
            line.strip_prefix("a=")?
                .strip_prefix(name)?
                .strip_prefix(':')
        })
    };
    let flag = |name: &str| {
        lines
            .iter()
            .any(|line| line.strip_prefix("a=") == Some(name))
    };
    let rejected = fields.get(1) == Some(&"0");
    let mut content = Map::new();
    content.insert("proto".to_owned(), fields.get(2).copied().into());
    content.insert("rejected".to_owned(), rejected.into());
    if !rejected {
        let directions = ["sendonly", "recvonly", "inactive"];
        let direction = directions.into_iter().find(|name| flag(name));
        let crypto = attribute("crypto").and_then(|crypto| crypto.split(' ').nth(1));
        let bandwidth = lines.iter().find_map(|line| line.strip_prefix("b="));
        for (name, value) in [
            ("direction", Some(direction.unwrap_or("sendrecv"))),
            ("mid", attribute("mid")),
            ("setup", attribute("setup")),
            ("crypto", crypto),
            ("bandwidth", bandwidth),
        ] {
            content.insert(name.to_owned(), value.into());
        }
        content.insert("rtcp-mux".to_owned(), flag("rtcp-mux").into());
        content.insert("ssrc".to_owned(), attribute("ssrc").is_some().into());
        let formats = &fields[3..];
        content.insert("codecs".to_owned(), codecs(formats, lines).into());
        content.insert("formats".to_owned(), Value::Object(parameters(lines)));
        content.insert("feedback".to_owned(), Value::Object(feedback(lines)));
        content.insert("extensions".to_owned(), Value::Object(extensions(lines)));
    }
    (format!("{index} {}", fields[0]), Value::Object(content))
}

/// Retransmissions are no codec; they are told with the parameters of what they repeat.
const RETRANSMISSION: &str = "rtx/90000";

/// Names of the payload types, in order; a codec in several profiles once.
fn codecs(formats: &[&str], lines: &[&str]) -> String {
    let names = names(lines);
    let mut list = Vec::new();
    for format in formats {
        list.push(match *format {
            "0" => "PCMU/8000",
            "8" => "PCMA/8000",
            other => names.get(other).copied().unwrap_or(other),
        });
    }
    list.retain(|name| *name != RETRANSMISSION);
    list.dedup();
    list.join(" ")
}

/// By codec, the sets of parameters that it is offered with, and whether it is retransmitted apart.
fn parameters(lines: &[&str]) -> Map<String, Value> {
    let names = names(lines);
    let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for line in lines {
        let Some((format, text)) = line
            .strip_prefix("a=fmtp:")
            .and_then(|line| line.split_once(' '))
        else {
            continue;
        };
        let mut name = names.get(format).copied().unwrap_or(format);
        let mut text = text.trim();
        if let Some(repeated) = text.strip_prefix("apt=") {
            name = names.get(repeated).copied().unwrap_or(repeated);
            text = "retransmitted apart";
        }
        let sets = all.entry(name.to_owned()).or_default();
        sets.insert(text.to_owned(), true.into());
    }
    all.into_iter()
        .map(|(name, sets)| (name, Value::Object(sets)))
        .collect()
}

fn names<'a>(lines: &[&'a str]) -> BTreeMap<&'a str, &'a str> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("a=rtpmap:")?.split_once(' '))
        .collect()
}

/// By codec, the kinds of feedback.
fn feedback(lines: &[&str]) -> Map<String, Value> {
    let names = names(lines);
    let mut all: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for line in lines {
        if let Some((format, kind)) = line
            .strip_prefix("a=rtcp-fb:")
            .and_then(|line| line.split_once(' '))
        {
            let name = names.get(format).copied().unwrap_or(format);
            let kinds = all.entry(name.to_owned()).or_default();
            kinds.insert(kind.trim().to_owned(), true.into());
        }
    }
    all.into_iter()
        .map(|(name, kinds)| (name, Value::Object(kinds)))
        .collect()
}

fn extensions(lines: &[&str]) -> Map<String, Value> {
    lines
        .iter()
        .filter_map(|line| line.strip_prefix("a=extmap:")?.split(' ').nth(1))
        .map(|uri| uri.rsplit(['/', ':']).next().unwrap_or(uri))
        .map(|name| (name.to_owned(), true.into()))
        .collect()
}
