//! JSON as Kurento's configuration files write it: with `//` and `/* */` comments, numbers like
//! `1.6F` and commas after the last member.

use serde_json::Value;

/// Reads one document.
pub(super) fn parse(text: &str) -> Result<Value, serde_json::Error> {
    serde_json::from_str(&strict(text))
}

/// A value in a document by its dotted path.
pub(super) fn find<'a>(document: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.')
        .try_fold(document, |value, name| value.get(name))
}

/// All values that are no objects, by their dotted paths. Members whose name starts with `//` are
/// comments.
pub(super) fn leaves(document: &Value) -> Vec<(String, &Value)> {
    let mut found = Vec::new();
    collect("", document, &mut found);
    found
}

fn collect<'a>(path: &str, value: &'a Value, found: &mut Vec<(String, &'a Value)>) {
    let Some(members) = value.as_object() else {
        found.push((path.to_owned(), value));
        return;
    };
    for (name, value) in members {
        if name.starts_with("//") {
            continue;
        }
        let path = if path.is_empty() {
            name.clone()
        } else {
            format!("{path}.{name}")
        };
        collect(&path, value, found);
    }
}

/// Rewrites to plain JSON; what is wrong stays wrong.
fn strict(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                out.push(c);
                let mut escaped = false;
                for c in rest.by_ref() {
                    out.push(c);
                    if c == '"' && !escaped {
                        break;
                    }
                    escaped = c == '\\' && !escaped;
                }
            }
            '/' if rest.peek() == Some(&'/') => while rest.next_if(|c| *c != '\n').is_some() {},
            '/' if rest.peek() == Some(&'*') => {
                rest.next();
                let mut last = ' ';
                for c in rest.by_ref() {
                    if last == '*' && c == '/' {
                        break;
                    }
                    last = c;
                }
                out.push(' ');
            }
            // A float's suffix: it follows a digit and ends the number.
            'f' | 'F' if out.ends_with(|c: char| c.is_ascii_digit()) => {}
            '}' | ']' => {
                let kept = out.trim_end().len();
                if out[..kept].ends_with(',') {
                    out.truncate(kept - 1);
                }
                out.push(c);
            }
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{find, leaves, parse};
    use serde_json::json;

    #[test]
    fn comments_suffixes_and_last_commas_are_read_over() {
        let text = r#"
        // the whole
        { "a" : { "offset": -1.2F, "url": "http://x//y", /* why */ "list": [1, 2,], },
          "//off": 1,
          "quote": "a\"//b" // end
        }"#;
        let document = parse(text).unwrap();
        assert_eq!(find(&document, "a.offset"), Some(&json!(-1.2)));
        assert_eq!(find(&document, "a.url"), Some(&json!("http://x//y")));
        assert_eq!(find(&document, "a.list"), Some(&json!([1, 2])));
        assert_eq!(find(&document, "quote"), Some(&json!("a\"//b")));
        let names: Vec<_> = leaves(&document).into_iter().map(|leaf| leaf.0).collect();
        assert_eq!(names, ["a.list", "a.offset", "a.url", "quote"]);
    }

    #[test]
    fn garbage_is_an_error() {
        for text in ["", "{", "{\"a\":}", "/*", "\"", "{'a':1}"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
