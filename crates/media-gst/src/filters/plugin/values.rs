//! JSON values as GStreamer has them, and back.

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Values in values that are followed.
const MAX_DEPTH: usize = 16;

/// A name without what spellings differ in: `plateWidth`, `plate-width` and `plate_width` are one.
pub(super) fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| letter.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}

/// A value of this type.
///
/// # Errors
/// Why it is none, in words.
pub(super) fn to_gst(value: &Value, kind: glib::Type) -> Result<glib::Value, String> {
    let wrong = || format!("{value} is no {}", kind.name());
    let number = || value.as_f64().ok_or_else(wrong);
    let whole = || {
        let real = value.as_f64().filter(|real| real.fract() == 0.0);
        value
            .as_i64()
            .or_else(|| real.map(|real| real as i64))
            .ok_or_else(wrong)
    };
    let natural = || whole().and_then(|whole| u64::try_from(whole).map_err(|_| wrong()));
    let out_of_range = |_| wrong();
    Ok(match kind {
        glib::Type::BOOL => value.as_bool().ok_or_else(wrong)?.to_value(),
        glib::Type::I8 => i8::try_from(whole()?).map_err(out_of_range)?.to_value(),
        glib::Type::U8 => u8::try_from(natural()?).map_err(out_of_range)?.to_value(),
        glib::Type::I32 => i32::try_from(whole()?).map_err(out_of_range)?.to_value(),
        glib::Type::U32 => u32::try_from(natural()?).map_err(out_of_range)?.to_value(),
        glib::Type::I64 => whole()?.to_value(),
        glib::Type::U64 => natural()?.to_value(),
        glib::Type::I_LONG => glib::ILong(whole()? as _).to_value(),
        glib::Type::U_LONG => glib::ULong(natural()? as _).to_value(),
        glib::Type::F32 => (number()? as f32).to_value(),
        glib::Type::F64 => number()?.to_value(),
        glib::Type::STRING => match value {
            Value::String(text) => text.to_value(),
            Value::Null => None::<&str>.to_value(),
            // What there is no type for in the element is a text of JSON.
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                value.to_string().to_value()
            }
        },
        kind if kind.is_a(glib::Type::ENUM) => enumeration(value, kind).ok_or_else(wrong)?,
        kind if kind.is_a(glib::Type::FLAGS) => flags(value, kind).ok_or_else(wrong)?,
        kind if kind == gst::Structure::static_type() => {
            let members = value.as_object().ok_or_else(wrong)?;
            structure(members, 0).ok_or_else(wrong)?.to_value()
        }
        kind if kind == gst::Array::static_type() => {
            let items = value.as_array().and_then(|items| alike(items, 0));
            gst::Array::from_values(items.ok_or_else(wrong)?).to_value()
        }
        kind if kind == gst::List::static_type() => {
            let items = value.as_array().and_then(|items| alike(items, 0));
            gst::List::from_values(items.ok_or_else(wrong)?).to_value()
        }
        kind if kind == Vec::<String>::static_type() => {
            let items = value.as_array().ok_or_else(wrong)?.iter();
            let items: Option<Vec<String>> =
                items.map(|item| Some(item.as_str()?.to_owned())).collect();
            items.ok_or_else(wrong)?.to_value()
        }
        kind if kind == glib::Bytes::static_type() => {
            let text = value.as_str().ok_or_else(wrong)?;
            glib::Bytes::from_owned(text.to_owned()).to_value()
        }
        // Caps, fractions and the like have texts of their own.
        kind => {
            let text = value.as_str().ok_or_else(wrong)?;
            glib::Value::deserialize(text, kind).map_err(|_| wrong())?
        }
    })
}

/// By number, name or nick, however it is spelt.
fn enumeration(value: &Value, kind: glib::Type) -> Option<glib::Value> {
    let class = glib::EnumClass::with_type(kind)?;
    if let Some(number) = value.as_i64() {
        return class.to_value(i32::try_from(number).ok()?);
    }
    let wanted = plain(value.as_str()?);
    let mut known = class.values().iter();
    let found = known.find(|it| plain(it.nick()) == wanted || plain(it.name()) == wanted)?;
    class.to_value(found.value())
}

/// A number, a nick, or a list of nicks.
fn flags(value: &Value, kind: glib::Type) -> Option<glib::Value> {
    let class = glib::FlagsClass::with_type(kind)?;
    let bit = |value: &Value| {
        let wanted = plain(value.as_str()?);
        let mut known = class.values().iter();
        known
            .find(|it| plain(it.nick()) == wanted)
            .map(|it| it.value())
    };
    let bits = match value {
        Value::Number(number) => u32::try_from(number.as_u64()?).ok()?,
        Value::Array(items) => items
            .iter()
            .map(bit)
            .try_fold(0, |all, bit| Some(all | bit?))?,
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Object(_) => bit(value)?,
    };
    let builder = class.values().iter().filter(|it| bits & it.value() != 0);
    let builder = builder.fold(class.builder(), |builder, it| builder.set(it.value()));
    builder.build()
}

fn structure(members: &Map<String, Value>, depth: usize) -> Option<gst::Structure> {
    let mut structure = gst::Structure::new_empty("object");
    for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
        structure.set_value(name.as_str(), any(value, depth + 1)?);
    }
    Some(structure)
}

/// Items of a list, which are of one type in GStreamer; `None` when they cannot be.
fn alike(items: &[Value], depth: usize) -> Option<Vec<glib::SendValue>> {
    let has_reals = items.iter().any(Value::is_f64);
    let item = |item: &Value| match item.as_f64() {
        Some(real) if has_reals => Some(real.to_send_value()),
        Some(_) | None => any(item, depth),
    };
    let items = items.iter().map(item).collect::<Option<Vec<_>>>()?;
    let is_one = items
        .windows(2)
        .all(|pair| pair[0].type_() == pair[1].type_());
    is_one.then_some(items)
}

/// A value of the type that fits it best.
fn any(value: &Value, depth: usize) -> Option<glib::SendValue> {
    if depth > MAX_DEPTH {
        return None;
    }
    Some(match value {
        Value::Null => None::<&str>.to_send_value(),
        Value::Bool(truth) => truth.to_send_value(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => match i32::try_from(whole) {
                Ok(whole) => whole.to_send_value(),
                Err(_) => whole.to_send_value(),
            },
            None => number.as_f64()?.to_send_value(),
        },
        Value::String(text) => text.to_send_value(),
        Value::Array(items) => gst::Array::from_values(alike(items, depth + 1)?).to_send_value(),
        Value::Object(members) => structure(members, depth)?.to_send_value(),
    })
}

/// A value of GStreamer as JSON; what has no form there is its text, or nothing.
pub(super) fn to_json(value: &glib::Value) -> Value {
    json(value, 0)
}

fn json(value: &glib::Value, depth: usize) -> Value {
    if depth > MAX_DEPTH {
        return Value::Null;
    }
    let kind = value.type_();
    match kind {
        glib::Type::BOOL => value.get::<bool>().map_or(Value::Null, Value::from),
        glib::Type::I8 => value.get::<i8>().map_or(Value::Null, Value::from),
        glib::Type::U8 => value.get::<u8>().map_or(Value::Null, Value::from),
        glib::Type::I32 => value.get::<i32>().map_or(Value::Null, Value::from),
        glib::Type::U32 => value.get::<u32>().map_or(Value::Null, Value::from),
        glib::Type::I64 => value.get::<i64>().map_or(Value::Null, Value::from),
        glib::Type::U64 => value.get::<u64>().map_or(Value::Null, Value::from),
        glib::Type::I_LONG => value
            .get::<glib::ILong>()
            .map_or(Value::Null, |it| it.0.into()),
        glib::Type::U_LONG => value
            .get::<glib::ULong>()
            .map_or(Value::Null, |it| it.0.into()),
        // By way of the shortest text, so that 0.1 stays 0.1.
        glib::Type::F32 => value
            .get::<f32>()
            .ok()
            .and_then(|it| it.to_string().parse::<f64>().ok())
            .map_or(Value::Null, Value::from),
        glib::Type::F64 => value.get::<f64>().map_or(Value::Null, Value::from),
        glib::Type::STRING => {
            let text = value.get::<Option<String>>();
            text.ok().flatten().map_or(Value::Null, Value::from)
        }
        kind if kind.is_a(glib::Type::ENUM) => {
            let found = glib::EnumValue::from_value(value);
            found.map_or(Value::Null, |(_, it)| it.nick().into())
        }
        kind if kind.is_a(glib::Type::FLAGS) => glib::FlagsValue::from_value(value)
            .map_or(Value::Null, |(_, set)| {
                set.iter().map(|it| it.nick()).collect()
            }),
        kind if kind == gst::Structure::static_type() => {
            let structure = value.get::<Option<gst::Structure>>().ok().flatten();
            structure.map_or(Value::Null, |it| object(&it, depth))
        }
        kind if kind == gst::Array::static_type() => {
            let items = value.get::<gst::ArrayRef<'_>>();
            items.map_or(Value::Null, |it| list(it.as_slice(), depth))
        }
        kind if kind == gst::List::static_type() => {
            let items = value.get::<gst::ListRef<'_>>();
            items.map_or(Value::Null, |it| list(it.as_slice(), depth))
        }
        kind if kind == Vec::<String>::static_type() => {
            let items = value.get::<Vec<String>>();
            items.map_or(Value::Null, Value::from)
        }
        kind if kind == glib::Bytes::static_type() => {
            let bytes = value.get::<Option<glib::Bytes>>().ok().flatten();
            let text = bytes.as_deref().map(String::from_utf8_lossy);
            text.map_or(Value::Null, Value::from)
        }
        _ => value
            .serialize()
            .map_or(Value::Null, |text| text.as_str().into()),
    }
}

fn list(items: &[glib::SendValue], depth: usize) -> Value {
    items.iter().map(|item| json(item, depth + 1)).collect()
}

fn object(structure: &gst::StructureRef, depth: usize) -> Value {
    let members = structure.iter();
    let members = members.map(|(name, value)| (name.to_string(), json(value, depth + 1)));
    Value::Object(members.collect())
}

/// Members of a structure as JSON.
pub(super) fn members(structure: &gst::StructureRef) -> Map<String, Value> {
    let members = structure.iter();
    members
        .map(|(name, value)| (name.to_string(), to_json(value)))
        .collect()
}

/// A property of an element, however its name is spelt.
pub(super) fn property(element: &gst::Element, name: &str) -> Option<glib::ParamSpec> {
    element.find_property(name).or_else(|| {
        let wanted = plain(name);
        let known = element.list_properties();
        known.iter().find(|it| plain(it.name()) == wanted).cloned()
    })
}

/// Sets a property.
///
/// # Errors
/// Why it cannot be set, in words.
pub(super) fn set(element: &gst::Element, name: &str, value: &Value) -> Result<(), String> {
    let spec =
        property(element, name).ok_or_else(|| format!("the element has no property '{name}'"))?;
    let flags = spec.flags();
    if !flags.contains(glib::ParamFlags::WRITABLE)
        || flags.contains(glib::ParamFlags::CONSTRUCT_ONLY)
    {
        return Err(format!("property '{name}' of the element cannot be set"));
    }
    let value = to_gst(value, spec.value_type())
        .map_err(|why| format!("property '{name}' of the element: {why}"))?;
    put(element, &spec, &value)
}

/// Sets a property to a value of its type.
///
/// # Errors
/// It is out of range.
pub(in crate::filters) fn put(
    element: &gst::Element,
    spec: &glib::ParamSpec,
    value: &glib::Value,
) -> Result<(), String> {
    // The binding has no other way to say that a value is out of range.
    let set = AssertUnwindSafe(|| element.set_property_from_value(spec.name(), value));
    catch_unwind(set).map_err(|_| format!("the value is out of range: property '{}'", spec.name()))
}

/// Reads a property.
///
/// # Errors
/// Why it cannot be read, in words.
pub(super) fn get(element: &gst::Element, name: &str) -> Result<Value, String> {
    let spec =
        property(element, name).ok_or_else(|| format!("the element has no property '{name}'"))?;
    if !spec.flags().contains(glib::ParamFlags::READABLE) {
        return Err(format!("property '{name}' of the element cannot be read"));
    }
    Ok(to_json(&element.property_value(spec.name())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_go_there_and_back() {
        gst::init().unwrap();
        let kinds = [
            (json!(true), bool::static_type()),
            (json!(-5), i32::static_type()),
            (json!(5), u64::static_type()),
            (json!(0.1), f32::static_type()),
            (json!(0.25), f64::static_type()),
            (json!("text"), String::static_type()),
            (json!(["a", "b"]), Vec::<String>::static_type()),
            (
                json!([{"b": "x"}, {"c": [0.5, 2.0]}]),
                gst::Array::static_type(),
            ),
            (
                json!({"a": 1, "b": {"c": true}}),
                gst::Structure::static_type(),
            ),
            (json!("1/2"), gst::Fraction::static_type()),
            (json!("paused"), gst::State::static_type()),
        ];
        for (value, kind) in kinds {
            let there = to_gst(&value, kind).unwrap();
            assert_eq!(there.type_(), kind);
            assert_eq!(to_json(&there), value, "{kind}");
        }
        let text = to_gst(&json!({"a": [1]}), String::static_type()).unwrap();
        assert_eq!(to_json(&text), json!(r#"{"a":[1]}"#));
        let by_name = to_gst(&json!("PAUSED"), gst::State::static_type()).unwrap();
        assert_eq!(to_json(&by_name), json!("paused"));
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        gst::init().unwrap();
        for (value, kind) in [
            (json!(1.5), i32::static_type()),
            (json!(-1), u32::static_type()),
            (json!(300), u8::static_type()),
            (json!("x"), bool::static_type()),
            (json!(5), gst::Structure::static_type()),
            (json!("nowhere"), gst::State::static_type()),
            (json!([1]), Vec::<String>::static_type()),
            (json!("x"), gst::Pad::static_type()),
            (json!([1, "b"]), gst::Array::static_type()),
        ] {
            let why = to_gst(&value, kind).unwrap_err();
            assert!(why.contains("is no"), "{why}");
        }
        let mut deep = json!(1);
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert!(to_gst(&deep, gst::Array::static_type()).is_err());
    }

    #[test]
    fn properties_are_found_however_they_are_spelt_and_checked() {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("videobalance").build().unwrap();
        set(&element, "Saturation", &json!(0.5)).unwrap();
        assert_eq!(get(&element, "saturation"), Ok(json!(0.5)));
        assert!(
            set(&element, "saturation", &json!(99))
                .unwrap_err()
                .contains("range")
        );
        assert!(
            set(&element, "nothing", &json!(1))
                .unwrap_err()
                .contains("'nothing'")
        );
        assert!(set(&element, "parent", &json!("x")).is_err());
        let queue = gst::ElementFactory::make("queue").build().unwrap();
        set(&queue, "maxSizeBuffers", &json!(7)).unwrap();
        assert_eq!(get(&queue, "max_size_buffers"), Ok(json!(7)));
    }
}
