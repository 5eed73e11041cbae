//! The formats that Kurento's configuration files may have, all read into one JSON value.
//!
//! Besides [lenient JSON](super::lenient) these are `ini`, `info` (names and values with braces) and
//! `xml` (elements without attributes), in the extent in which configurations use them. In the last
//! three every value is a text.

use serde_json::{Map, Value};

use super::lenient;

/// Nesting of a file; more is an error.
const MAX_DEPTH: usize = 32;

/// Reads a file of a format, which is the end of its name.
pub(super) fn parse(format: &str, text: &str) -> Result<Value, String> {
    match format {
        "json" => lenient::parse(text).map_err(|error| error.to_string()),
        "ini" => Ok(ini(text)),
        "info" => info(text),
        "xml" => xml(text),
        _ => Err("only json, ini, info and xml are read".to_owned()),
    }
}

/// The format of `Name.conf.FORMAT`, with the name.
pub(super) fn name_and_format(file: &str) -> Option<(&str, &str)> {
    file.rsplit_once(".conf.")
}

/// `[section]` lines lead to what follows; dots in them lead deeper. `;` and `#` start comments.
fn ini(text: &str) -> Value {
    let mut root = Map::new();
    let mut section: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
            section = name.split('.').map(str::trim).take(MAX_DEPTH).collect();
        } else if let Some((key, value)) = line.split_once('=') {
            let mut at = &mut root;
            for name in &section {
                at = inside(at, name);
            }
            at.insert(key.trim().to_owned(), value.trim().into());
        }
    }
    Value::Object(root)
}

/// The object at a name, made if need be.
fn inside<'a>(at: &'a mut Map<String, Value>, name: &str) -> &'a mut Map<String, Value> {
    let value = at.entry(name).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("it was made an object")
        }
    }
}

/// `name value`, `name "value"` and `name { … }`; `;` starts a comment.
fn info(text: &str) -> Result<Value, String> {
    let mut open: Vec<(String, Map<String, Value>)> = vec![(String::new(), Map::new())];
    let mut name: Option<String> = None;
    for line in text.lines() {
        let mut rest = line.trim();
        while !rest.is_empty() && !rest.starts_with(';') {
            let (word, behind) = info_word(rest)?;
            rest = behind.trim_start();
            match (word, &mut name) {
                (Word::Open, name) => {
                    let of = name.take().ok_or("a brace without a name")?;
                    if open.len() >= MAX_DEPTH {
                        return Err("it is nested too deeply".to_owned());
                    }
                    open.push((of, Map::new()));
                }
                (Word::Close, name) => {
                    let last = &mut open.last_mut().ok_or("a brace too many")?.1;
                    if let Some(name) = name.take() {
                        last.insert(name, "".into());
                    }
                    let (of, members) = open.pop().ok_or("a brace too many")?;
                    let outer = &mut open.last_mut().ok_or("a brace too many")?.1;
                    outer.insert(of, Value::Object(members));
                }
                (Word::Text(text), None) => name = Some(text),
                (Word::Text(text), Some(_)) => {
                    let last = &mut open.last_mut().ok_or("a brace too many")?.1;
                    last.insert(name.take().unwrap_or_default(), text.into());
                }
            }
        }
    }
    let (Some((_, mut root)), None) = (open.pop(), open.pop()) else {
        return Err("a brace is missing".to_owned());
    };
    if let Some(name) = name {
        root.insert(name, "".into());
    }
    Ok(Value::Object(root))
}

enum Word {
    Open,
    Close,
    Text(String),
}

/// The first word of a line that is not empty, and what is behind it.
fn info_word(line: &str) -> Result<(Word, &str), String> {
    if let Some(rest) = line.strip_prefix('{') {
        return Ok((Word::Open, rest));
    }
    if let Some(rest) = line.strip_prefix('}') {
        return Ok((Word::Close, rest));
    }
    if let Some(rest) = line.strip_prefix('"') {
        let mut text = String::new();
        let mut escaped = false;
        for (at, c) in rest.char_indices() {
            match c {
                '"' if !escaped => return Ok((Word::Text(text), &rest[at + 1..])),
                '\\' if !escaped => escaped = true,
                _ => {
                    text.push(c);
                    escaped = false;
                }
            }
        }
        return Err("a quotation mark is missing".to_owned());
    }
    let end = line.find(|c: char| c.is_whitespace() || "{};".contains(c));
    let (word, rest) = line.split_at(end.unwrap_or(line.len()));
    Ok((Word::Text(word.to_owned()), rest))
}

/// Elements with text or elements in them; attributes, comments and declarations are read over.
fn xml(text: &str) -> Result<Value, String> {
    let mut open: Vec<(String, Map<String, Value>, String)> =
        vec![(String::new(), Map::new(), String::new())];
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('<') {
        if let Some((_, _, content)) = open.last_mut() {
            content.push_str(before);
        }
        if let Some(comment) = behind.strip_prefix("!--") {
            rest = comment.split_once("-->").ok_or("a comment has no end")?.1;
            continue;
        }
        let (tag, behind) = behind.split_once('>').ok_or("a tag has no end")?;
        rest = behind;
        if tag.starts_with(['?', '!']) {
            continue;
        }
        let name = |tag: &str| {
            let name = tag.split(|c: char| c.is_whitespace() || c == '/').next();
            name.unwrap_or_default().to_owned()
        };
        if let Some(closed) = tag.strip_prefix('/') {
            let (of, members, content) = open.pop().ok_or("an end tag too many")?;
            if open.is_empty() || of != name(closed) {
                return Err(format!("</{closed}> closes nothing"));
            }
            let value = if members.is_empty() {
                unescaped(content.trim()).into()
            } else {
                Value::Object(members)
            };
            if let Some((_, outer, _)) = open.last_mut() {
                outer.insert(of, value);
            }
        } else if tag.ends_with('/') {
            if let Some((_, outer, _)) = open.last_mut() {
                outer.insert(name(tag), "".into());
            }
        } else {
            if open.len() >= MAX_DEPTH {
                return Err("it is nested too deeply".to_owned());
            }
            open.push((name(tag), Map::new(), String::new()));
        }
    }
    match (open.pop(), open.pop()) {
        (Some((_, root, _)), None) => Ok(Value::Object(root)),
        (Some(_), Some(_)) | (None, _) => Err("an end tag is missing".to_owned()),
    }
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&apos;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::{name_and_format, parse};
    use serde_json::json;

    #[test]
    fn the_same_configuration_is_read_from_every_format() {
        let expected = json!({ "net": { "websocket": { "port": "8888", "path": "a b" } } });
        for (format, text) in [
            (
                "json",
                "{ \"net\": { \"websocket\": { \"port\": \"8888\", \"path\": \"a b\" } } } // end",
            ),
            (
                "ini",
                "; remark\n[net.websocket]\n port = 8888\n# remark\npath=a b\nno assignment\n",
            ),
            (
                "info",
                "; remark\nnet\n{\n  websocket { port 8888 ; remark\n path \"a b\" }\n}\n",
            ),
            (
                "xml",
                "<?xml version=\"1.0\"?><net><!-- <remark> --><websocket a=\"b\">\n<port> 8888 \
                 </port><path>a b</path></websocket></net>",
            ),
        ] {
            assert_eq!(parse(format, text), Ok(expected.clone()), "{format}");
        }
    }

    #[test]
    fn values_may_be_empty_or_hold_marks_of_their_format() {
        let ini = parse("ini", "turnURL=u:p@h:1?transport=udp\nempty=\n");
        let turn = "u:p@h:1?transport=udp";
        assert_eq!(ini, Ok(json!({ "turnURL": turn, "empty": "" })));
        let info = parse("info", "turnURL \"a;{\\\"}\"\nempty");
        assert_eq!(info, Ok(json!({ "turnURL": "a;{\"}", "empty": "" })));
        let xml = parse("xml", "<a>&lt;&amp;lt;</a><empty/>");
        assert_eq!(xml, Ok(json!({ "a": "<&lt;", "empty": "" })));
    }

    #[test]
    fn what_is_broken_is_an_error() {
        let deep = "<a>".repeat(100);
        for (format, text) in [
            ("json", "{"),
            ("info", "a {"),
            ("info", "}"),
            ("info", "{ }"),
            ("info", "a \"b"),
            ("xml", "<a>"),
            ("xml", "<a></b>"),
            ("xml", "</a>"),
            ("xml", "<a"),
            ("xml", "<!-- "),
            ("xml", deep.as_str()),
            ("yaml", "a: b"),
        ] {
            assert!(parse(format, text).is_err(), "{format}: {text}");
        }
    }

    #[test]
    fn a_format_is_the_end_of_a_name() {
        let name = name_and_format("WebRtcEndpoint.conf.ini");
        assert_eq!(name, Some(("WebRtcEndpoint", "ini")));
        assert_eq!(name_and_format("README.md"), None);
    }
}
