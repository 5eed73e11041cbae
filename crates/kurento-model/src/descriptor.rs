//! The reader of module descriptors (`*.kmd.json`).
//!
//! A descriptor declares a module's remote classes, complex types and events; everything else that
//! knows the remote API is derived from it. The reader takes strict JSON at full speed and falls
//! back to a lenient reading, because descriptors written by hand contain raw line breaks inside
//! documentation strings, `//` comments and trailing commas. Unknown members are ignored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Longest descriptor text that is read; the largest known one is a tenth of this.
pub const MAX_DESCRIPTOR_BYTES: usize = 1 << 20;

/// A descriptor cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is longer than [`MAX_DESCRIPTOR_BYTES`].
    #[error("the descriptor has {0} bytes, more than {MAX_DESCRIPTOR_BYTES}")]
    TooLong(usize),
    /// Not JSON even by the lenient reading, or not a descriptor.
    #[error("not a module descriptor: {0}")]
    Json(#[from] serde_json::Error),
}

/// One module as its descriptor declares it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Module name, for example `elements`.
    pub name: String,
    /// Version of the module.
    pub version: String,
    /// Remote classes in declaration order.
    #[serde(default)]
    pub remote_classes: Vec<RemoteClass>,
    /// Enumerations and structs in declaration order.
    #[serde(default)]
    pub complex_types: Vec<ComplexType>,
    /// Event types in declaration order.
    #[serde(default)]
    pub events: Vec<Event>,
}

/// A class whose objects live on the server.
#[derive(Debug, Clone, Deserialize)]
pub struct RemoteClass {
    /// Simple name.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Simple name of the parent class.
    pub extends: Option<String>,
    /// No object has exactly this class.
    #[serde(default, rename = "abstract")]
    pub is_abstract: bool,
    /// How clients create objects; absent on classes that they cannot create.
    pub constructor: Option<Constructor>,
    /// Properties of the class itself.
    #[serde(default)]
    pub properties: Vec<Property>,
    /// Methods of the class itself.
    #[serde(default)]
    pub methods: Vec<Method>,
    /// Names of the events that the class itself adds.
    #[serde(default)]
    pub events: Vec<String>,
    /// How a GStreamer element carries the class out, where names alone do not tell. Not a part of
    /// Kurento's format.
    pub salono: Option<ElementSection>,
}

/// The section `salono` of a class.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ElementSection {
    /// Name of the GStreamer element.
    pub element: Option<String>,
    /// What it works on; everything else passes it by.
    pub media: Option<Vec<Media>>,
    /// Its names of properties and constructor parameters, by those of the class.
    pub properties: BTreeMap<String, String>,
    /// Its names of methods.
    pub methods: BTreeMap<String, String>,
    /// Its names of events.
    pub events: BTreeMap<String, String>,
}

/// What elements work on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Media {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Messages of data channels.
    Data,
}

/// How an object is created.
#[derive(Debug, Clone, Deserialize)]
pub struct Constructor {
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Parameters, required ones first.
    #[serde(default)]
    pub params: Vec<Field>,
}

/// A readable and perhaps writable attribute of a remote object.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Property {
    /// Name; the accessors are `get<Name>` and `set<Name>`.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Type expression.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Constant for the life of the object.
    #[serde(default, rename = "final")]
    pub is_final: bool,
    /// Without a setter.
    #[serde(default)]
    pub read_only: bool,
}

/// An operation of a remote object.
#[derive(Debug, Clone, Deserialize)]
pub struct Method {
    /// Name as it is invoked.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Parameters, required ones first.
    #[serde(default)]
    pub params: Vec<Field>,
    /// What it answers; absent when it answers nothing.
    #[serde(rename = "return")]
    pub returns: Option<Returns>,
}

/// The answer of a method.
#[derive(Debug, Clone, Deserialize)]
pub struct Returns {
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Type expression.
    #[serde(rename = "type")]
    pub type_name: String,
}

/// A parameter, a struct member or an event member.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Name on the wire.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Type expression.
    #[serde(rename = "type")]
    pub type_name: String,
    /// May be left out.
    #[serde(default)]
    pub optional: bool,
    /// Value of an optional field that was left out.
    pub default_value: Option<Value>,
}

/// Which of the two kinds of complex type is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum TypeFormat {
    /// An enumeration.
    #[serde(rename = "ENUM")]
    Enum,
    /// A struct.
    #[serde(rename = "REGISTER")]
    Register,
}

/// An enumeration or a struct.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ComplexType {
    /// Enumeration or struct.
    pub type_format: TypeFormat,
    /// Simple name.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Simple name of the struct that this one extends.
    pub extends: Option<String>,
    /// Values of an enumeration.
    #[serde(default)]
    pub values: Vec<String>,
    /// Members of a struct, without inherited ones.
    #[serde(default)]
    pub properties: Vec<Field>,
}

/// An event type.
#[derive(Debug, Clone, Deserialize)]
pub struct Event {
    /// Name as it is subscribed to.
    pub name: String,
    /// Documentation in Markdown.
    #[serde(default)]
    pub doc: String,
    /// Simple name of the event type that this one extends.
    pub extends: Option<String>,
    /// Members, without inherited ones.
    #[serde(default)]
    pub properties: Vec<Field>,
}

/// Reads one descriptor.
///
/// # Errors
/// [`ParseError`] when the text is too long, is not JSON by the lenient reading either, or lacks
/// what a descriptor must have.
pub fn parse(text: &str) -> Result<Descriptor, ParseError> {
    if text.len() > MAX_DESCRIPTOR_BYTES {
        return Err(ParseError::TooLong(text.len()));
    }
    match serde_json::from_str(text) {
        Ok(descriptor) => Ok(descriptor),
        // The lenient reading copies the text, so that only those who need it pay for it. Its own
        // error is the better one to report: it is about what is left after the known liberties.
        Err(_) => Ok(serde_json::from_str(&strict_json(text))?),
    }
}

/// Rewrites lenient JSON as strict JSON: comments and trailing commas go, raw control characters
/// inside strings are escaped.
#[must_use]
pub fn strict_json(text: &str) -> String {
    let mut strict = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    // Where a comma stands that may turn out to be trailing.
    let mut comma: Option<usize> = None;
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                comma = None;
                strict.push('"');
                copy_string(&mut chars, &mut strict);
            }
            '/' if chars.peek() == Some(&'/') => {
                while chars.next_if(|next| *next != '\n').is_some() {}
            }
            '/' if chars.peek() == Some(&'*') => {
                chars.next();
                let mut star = false;
                for next in chars.by_ref() {
                    if star && next == '/' {
                        break;
                    }
                    star = next == '*';
                }
            }
            ',' => {
                comma = Some(strict.len());
                strict.push(',');
            }
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    strict.remove(at);
                }
                strict.push(char);
            }
            other => {
                if !other.is_whitespace() {
                    comma = None;
                }
                strict.push(other);
            }
        }
    }
    strict
}

/// Copies the rest of a string literal, its closing quote included.
fn copy_string(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, strict: &mut String) {
    while let Some(char) = chars.next() {
        match char {
            '"' => {
                strict.push('"');
                return;
            }
            '\\' => {
                strict.push('\\');
                if let Some(escaped) = chars.next() {
                    strict.push(escaped);
                }
            }
            '\n' => strict.push_str("\\n"),
            '\r' => strict.push_str("\\r"),
            '\t' => strict.push_str("\\t"),
            control if control < ' ' => {
                strict.push_str(&format!("\\u{:04x}", u32::from(control)));
            }
            other => strict.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn liberties_of_hand_written_descriptors_are_read() {
        let text = r#"
        // A filter of somebody else.
        {
            "name": "wave", /* not
               published */ "version": "1.2.0",
            "remoteClasses": [
                { "name": "WaveFilter", "extends": "Filter", "doc": "First line
Second	line, with // no comment, /* none */ and \"quotes\",]",
                  "constructor": { "params": [], }, },
            ],
        }"#;
        let module = parse(text).unwrap();
        assert_eq!(module.name, "wave");
        assert_eq!(
            module.remote_classes[0].doc,
            "First line\nSecond\tline, with // no comment, /* none */ and \"quotes\",]"
        );
        assert!(module.remote_classes[0].constructor.is_some());
    }

    #[test]
    fn strict_json_survives_the_lenient_reading_unchanged() {
        let text = r#"{"a":[1,{"b":"c,]\\"}],"d":null}"#;
        assert_eq!(strict_json(text), text);
    }

    #[test]
    fn what_is_no_descriptor_is_refused() {
        for text in [
            "",
            "{",
            "[]",
            "{\"name\":1}",
            "{\"version\":\"1\"}",
            "\"",
            "{/*",
            "{//",
        ] {
            assert!(matches!(parse(text), Err(ParseError::Json(_))), "{text}");
        }
        let long = " ".repeat(MAX_DESCRIPTOR_BYTES + 1);
        assert!(matches!(parse(&long), Err(ParseError::TooLong(_))));
    }
}
