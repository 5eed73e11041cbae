//! Values that elements of third-party modules give, on their way to clients.
//!
//! Elements know no descriptors: members have the names of GStreamer (`plate-width`), enumerations lower-case
//! nicks, and what an element has no type for comes as a text of JSON.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::{ComplexType, Registry, StructType, Type};

impl Registry {
    /// A value as this type is declared; `None` when it does not suit.
    #[must_use]
    pub fn outgoing(&self, value: &Value, kind: &Type) -> Option<Value> {
        match kind {
            Type::String | Type::Object(_) => match value {
                Value::String(_) => Some(value.clone()),
                Value::Null => Some(Value::from("")),
                Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    Some(value.to_string().into())
                }
            },
            Type::Boolean => value.as_bool().map(Value::from),
            Type::Int => {
                let number = whole(value).and_then(|number| i32::try_from(number).ok());
                number.map(Value::from)
            }
            Type::Int64 => whole(value).map(Value::from),
            Type::Float | Type::Double => value.as_f64().map(Value::from),
            Type::Enum(name) => {
                let Some(ComplexType::Enum(declared)) = self.complex_type(name) else {
                    return None;
                };
                let given = plain(value.as_str()?);
                let found = declared.values.iter().find(|known| plain(known) == given);
                found.map(|known| known.as_str().into())
            }
            Type::List(item) => {
                let value = parsed(value);
                let items = value.as_array()?.iter();
                items.map(|value| self.outgoing(value, item)).collect()
            }
            Type::Map(item) => {
                let value = parsed(value);
                let members = value.as_object()?.iter();
                let members =
                    members.map(|(name, value)| Some((name.clone(), self.outgoing(value, item)?)));
                members.collect::<Option<Map<_, _>>>().map(Value::Object)
            }
            Type::Struct(name) => {
                let Some(ComplexType::Struct(declared)) = self.complex_type(name) else {
                    return None;
                };
                self.outgoing_struct(parsed(value).as_object()?, declared)
            }
        }
    }

    fn outgoing_struct(&self, given: &Map<String, Value>, declared: &StructType) -> Option<Value> {
        let mut members = Map::new();
        for field in &declared.fields {
            let found = given
                .get(&field.name)
                .or_else(|| {
                    let wanted = plain(&field.name);
                    let mut given = given.iter();
                    Some(given.find(|(name, _)| plain(name) == wanted)?.1)
                })
                .filter(|value| !value.is_null());
            match found {
                Some(value) => {
                    let value = self.outgoing(value, &field.kind)?;
                    members.insert(field.name.clone(), value);
                }
                None if field.optional => {}
                None => return None,
            }
        }
        Some(declared.tag(members))
    }
}

/// A name without what spellings differ in.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

fn whole(value: &Value) -> Option<i64> {
    let real = || value.as_f64().filter(|real| real.fract() == 0.0);
    // A cast saturates, and a double that is whole and fits is exact.
    value.as_i64().or_else(|| real().map(|real| real as i64))
}

/// What a text of JSON says; other values as they are.
fn parsed(value: &Value) -> Cow<'_, Value> {
    let text = value.as_str();
    match text.and_then(|text| serde_json::from_str(text).ok()) {
        Some(parsed) => Cow::Owned(parsed),
        None => Cow::Borrowed(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_elements_become_what_is_declared() {
        let registry = Registry::built_in();
        let out = |value: Value, namespace: &str, kind: &str| {
            let kind = registry.resolve(namespace, kind).unwrap();
            registry.outgoing(&value, &kind)
        };
        let window =
            json!({"top-right-corner-x": 1, "topRightCornerY": 2.0, "width": 3, "height": 4});
        let expected = json!({"topRightCornerX": 1, "topRightCornerY": 2, "width": 3, "height": 4,
            "__module__": "chroma", "__type__": "WindowParam"});
        assert_eq!(
            out(window.clone(), "chroma", "WindowParam"),
            Some(expected.clone())
        );
        let text = json!(json!([window]).to_string());
        assert_eq!(
            out(text, "chroma", "WindowParam[]"),
            Some(json!([expected]))
        );
        assert_eq!(
            out(json!("jpeg"), "videosampler", "ImageEncoding"),
            Some(json!("JPEG"))
        );
        assert_eq!(out(json!("gif"), "videosampler", "ImageEncoding"), None);
        assert_eq!(out(json!({"width": 1}), "chroma", "WindowParam"), None);
        assert_eq!(out(json!(5_000_000_000_i64), "chroma", "int"), None);
        assert_eq!(out(json!(1.5), "chroma", "int64"), None);
        assert_eq!(out(json!(7), "chroma", "String"), Some(json!("7")));
        assert_eq!(
            out(json!({"a": 1}), "chroma", "int<>"),
            Some(json!({"a": 1}))
        );
    }
}
