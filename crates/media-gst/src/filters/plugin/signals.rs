//! Signals of an element: those that are methods, and those that are events.

use super::values::{members, plain, to_gst, to_json};
use crate::element::Context;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::subclass::SignalId;
use gstreamer::glib::subclass::signal::SignalQuery;
use gstreamer::prelude::*;
use salono_media_api::processing::bridge::BridgeEvent;
use salono_media_api::processing::{PluginEvent, ProcessorError, ProcessorEvent};
use serde_json::{Map, Value};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Signals by which elements get and give messages of data channels.
const RECEIVE: &str = "receive-data";
const SEND: &str = "send-data";

/// Events and messages of one element at once, and per second in the long run; what is more is left out.
const AT_ONCE: f64 = 200.0;
const PER_SECOND: f64 = 100.0;

/// Longest event, as JSON, and longest message, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// What an element may still say.
#[derive(Debug)]
struct Budget {
    left: f64,
    at: Instant,
    /// That something was left out was told.
    told: bool,
}

/// Where events and messages of an element go.
#[derive(Debug, Clone)]
pub(super) struct Mouth {
    context: Context,
    budget: Arc<Mutex<Budget>>,
}

impl Mouth {
    pub(super) fn new(context: &Context) -> Self {
        Self {
            context: context.clone(),
            budget: Arc::new(Mutex::new(Budget {
                left: AT_ONCE,
                at: Instant::now(),
                told: false,
            })),
        }
    }

    /// Whether something of so many bytes may be said.
    fn may(&self, bytes: usize) -> bool {
        let now = Instant::now();
        let mut budget = self.budget.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(budget.at).as_secs_f64();
        budget.at = now;
        budget.left = (budget.left + passed * PER_SECOND).min(AT_ONCE);
        if budget.left >= 1.0 && bytes <= MAX_BYTES {
            budget.left -= 1.0;
            budget.told &= budget.left < AT_ONCE / 2.0;
            return true;
        }
        let tell = !std::mem::replace(&mut budget.told, true);
        drop(budget);
        if tell {
            let error = ProcessorError {
                code: 0,
                kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                description: format!(
                    "events are left out: the element may raise {PER_SECOND} a second, of {MAX_BYTES} bytes each"
                ),
            };
            let reports = self.context.host.reports();
            reports.error(self.context.element, error);
        }
        false
    }

    /// Raises an event.
    fn raise(&self, name: &str, fields: Map<String, Value>) {
        let fields = Value::Object(fields).to_string();
        if self.may(fields.len()) {
            let name = name.to_owned();
            let event = ProcessorEvent::Signal { name, fields };
            let reports = self.context.host.reports();
            reports.element(self.context.element, event);
        }
    }

    /// Sends a message to the data channels behind the element.
    fn send(&self, binary: bool, bytes: &[u8]) {
        if self.may(bytes.len()) {
            self.context.host.reports().send(BridgeEvent::Message {
                source: self.context.element,
                binary,
                base64: STANDARD.encode(bytes),
            });
        }
    }
}

/// Passes on what an element says from now on.
pub(super) fn listen(element: &gst::Element, events: &[PluginEvent], mouth: &Mouth) {
    for event in events {
        let Some((name, signal)) = find(element, &event.signal) else {
            continue;
        };
        if signal.flags().contains(glib::SignalFlags::ACTION) {
            continue;
        }
        let (mouth, event) = (mouth.clone(), event.clone());
        let returns = signal.return_type().type_();
        element.connect(&name, false, move |arguments| {
            // The first one is the element.
            let arguments = arguments.get(1..).unwrap_or_default();
            mouth.raise(&event.name, fields(&event.fields, arguments));
            nothing(returns)
        });
    }
    if let Some((name, signal)) = find(element, SEND) {
        let mouth = mouth.clone();
        let returns = signal.return_type().type_();
        element.connect(&name, false, move |arguments| {
            let said_binary = arguments.get(2).and_then(|it| it.get::<bool>().ok());
            let Some(first) = arguments.get(1) else {
                return nothing(returns);
            };
            if let Ok(text) = first.get::<String>() {
                mouth.send(said_binary.unwrap_or(false), text.as_bytes());
            } else if let Ok(bytes) = first.get::<glib::Bytes>() {
                mouth.send(said_binary.unwrap_or(true), &bytes);
            }
            nothing(returns)
        });
    }
}

/// What a handler returns that has nothing to say.
fn nothing(kind: glib::Type) -> Option<glib::Value> {
    (kind != glib::Type::UNIT && kind != glib::Type::INVALID).then(|| glib::Value::from_type(kind))
}

/// An element's message on the bus that has the name of an event.
pub(super) fn hear(structure: &gst::StructureRef, events: &[PluginEvent], mouth: &Mouth) {
    let name = plain(structure.name());
    let is_it = |event: &&PluginEvent| plain(&event.signal) == name || plain(&event.name) == name;
    if let Some(event) = events.iter().find(is_it) {
        mouth.raise(&event.name, by_name(&event.fields, members(structure)));
    }
}

/// Members of an event out of the arguments of a signal: in order, or one structure or text of JSON with all.
fn fields(names: &[String], arguments: &[glib::Value]) -> Map<String, Value> {
    if let [only] = arguments {
        if let Ok(Some(structure)) = only.get::<Option<gst::Structure>>()
            && names.len() != 1
        {
            return by_name(names, members(&structure));
        }
        if let Ok(Some(text)) = only.get::<Option<String>>()
            && names.len() > 1
            && let Ok(Value::Object(given)) = text.parse()
        {
            return by_name(names, given);
        }
    }
    let pairs = names.iter().zip(arguments);
    pairs
        .map(|(name, value)| (name.clone(), to_json(value)))
        .collect()
}

/// Members with the names that the descriptor has for them.
fn by_name(names: &[String], mut given: Map<String, Value>) -> Map<String, Value> {
    let named = names.iter().filter_map(|name| {
        let wanted = plain(name);
        let key = given.keys().find(|key| plain(key) == wanted)?.clone();
        Some((name.clone(), given.remove(&key)?))
    });
    named.collect()
}

/// Calls a method: an action signal, or the property that a setter or getter is for.
///
/// # Errors
/// Why not, in words.
pub(super) fn invoke(
    element: &gst::Element,
    method: &str,
    arguments: &[Value],
) -> Result<Value, String> {
    let Some((name, signal)) = find(element, method) else {
        return accessor(element, method, arguments);
    };
    if !signal.flags().contains(glib::SignalFlags::ACTION) {
        return Err(format!("signal '{name}' of the element is no action"));
    }
    let kinds = signal.param_types();
    if kinds.len() != arguments.len() {
        return Err(format!(
            "signal '{name}' of the element takes {} arguments, not {}",
            kinds.len(),
            arguments.len()
        ));
    }
    let values = arguments
        .iter()
        .zip(kinds)
        .map(|(value, kind)| to_gst(value, kind.type_()));
    let values = values.collect::<Result<Vec<_>, _>>()?;
    emit(element, &name, &values).map(|value| value.map_or(Value::Null, |it| to_json(&it)))
}

fn accessor(element: &gst::Element, method: &str, arguments: &[Value]) -> Result<Value, String> {
    let unknown = || format!("the element has no method '{method}'");
    let (verb, name) = method.split_at_checked(3).ok_or_else(unknown)?;
    let name = name.trim_start_matches(['-', '_']);
    if super::values::property(element, name).is_none() {
        return Err(unknown());
    }
    match (verb, arguments) {
        ("set", [value]) => super::values::set(element, name, value).map(|()| Value::Null),
        ("get", []) => super::values::get(element, name),
        _ => Err(unknown()),
    }
}

/// Gives an element a message of a data channel, if it takes any.
pub(super) fn give(element: &gst::Element, binary: bool, bytes: &[u8]) {
    let Some((name, signal)) = find(element, RECEIVE) else {
        return;
    };
    let text = || String::from_utf8_lossy(bytes).into_owned().to_value();
    let kinds = signal.param_types().iter().map(|kind| kind.type_());
    let values = kinds.enumerate().map(|(at, kind)| match (at, kind) {
        (0, glib::Type::STRING) => Some(text()),
        (0, kind) if kind == glib::Bytes::static_type() => {
            Some(glib::Bytes::from_owned(bytes.to_vec()).to_value())
        }
        (1, glib::Type::BOOL) => Some(binary.to_value()),
        _ => None,
    });
    let result = match values.collect::<Option<Vec<_>>>() {
        Some(values) => emit(element, &name, &values).map(|_| ()),
        None => {
            Err("its arguments are neither a text or GBytes, nor whether it is binary".to_owned())
        }
    };
    if let Err(why) = result {
        eprintln!("signal '{name}' of {}: {why}", element.name());
    }
}

fn emit(
    element: &gst::Element,
    name: &str,
    values: &[glib::Value],
) -> Result<Option<glib::Value>, String> {
    let emit = AssertUnwindSafe(|| element.emit_by_name_with_values(name, values));
    catch_unwind(emit).map_err(|_| format!("signal '{name}' of the element failed"))
}

/// A signal, however its name is spelt: as it is, or with hyphens between its words, or none.
fn find(element: &gst::Element, name: &str) -> Option<(String, SignalQuery)> {
    let spellings = [name.to_owned(), hyphens(name), plain(name)];
    spellings.into_iter().find_map(|name| {
        let is_name = name.starts_with(|it: char| it.is_ascii_alphabetic())
            && name
                .chars()
                .all(|it| it.is_ascii_alphanumeric() || matches!(it, '-' | '_'));
        if !is_name {
            return None;
        }
        let signal = SignalId::lookup(&name, element.type_())?;
        Some((name, signal.query()))
    })
}

/// `plateDetected` as `plate-detected`.
fn hyphens(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    let mut before = None;
    for letter in name.chars() {
        if letter.is_uppercase()
            && before.is_some_and(|it: char| it.is_lowercase() || it.is_numeric())
        {
            words.push('-');
        }
        words.extend(letter.to_lowercase());
        before = Some(letter);
    }
    words.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn members_come_in_order_or_by_name() {
        gst::init().unwrap();
        let expected = json!({"plate": "AB 1", "width": 3});
        let both = names(&["plate", "width"]);
        let in_order = fields(&both, &["AB 1".to_value(), 3.to_value()]);
        assert_eq!(Value::Object(in_order), expected);
        let structure = gst::Structure::builder("x")
            .field("Width", 3)
            .field("plate", "AB 1")
            .build();
        assert_eq!(
            Value::Object(fields(&both, &[structure.to_value()])),
            expected
        );
        let text = r#"{"width": 3, "plate": "AB 1", "more": 1}"#.to_value();
        assert_eq!(Value::Object(fields(&both, &[text])), expected);
        let one = fields(&names(&["plate"]), &["{}".to_value()]);
        assert_eq!(Value::Object(one), json!({"plate": "{}"}));
        assert!(fields(&[], &[structure.to_value()]).is_empty());
    }

    #[test]
    fn methods_are_actions_or_accessors() {
        gst::init().unwrap();
        let element = gst::ElementFactory::make("videobalance").build().unwrap();
        assert_eq!(invoke(&element, "setHue", &[json!(0.5)]), Ok(Value::Null));
        assert_eq!(invoke(&element, "getHue", &[]), Ok(json!(0.5)));
        for (method, arguments) in [
            ("setHue", vec![]),
            ("setNothing", vec![json!(1)]),
            ("x", vec![]),
            ("Ünknown", vec![]),
            // A signal that is no action.
            ("padAdded", vec![]),
        ] {
            assert!(invoke(&element, method, &arguments).is_err(), "{method}");
        }
        let source = gst::ElementFactory::make("appsrc").build().unwrap();
        let ended = invoke(&source, "endOfStream", &[]).unwrap();
        assert!(ended.is_string(), "a name of what it answers: {ended}");
        assert!(invoke(&source, "endOfStream", &[json!(1)]).is_err());
    }

    #[test]
    fn names_are_parted_where_people_part_them() {
        assert_eq!(hyphens("PlateDetected"), "plate-detected");
        assert_eq!(hyphens("on_plate2Found"), "on-plate2-found");
    }
}
