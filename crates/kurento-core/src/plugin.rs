//! Classes of third-party modules, which elements of GStreamer carry out.
//!
//! The object model knows from the descriptor what there is, and what values have to be like; what happens is
//! the element's business.

use crate::{
    ObjectModel,
    call::{Call, Outcome, Then},
    tree::Object,
};
use salono_kurento_model::{
    Action, Class, Error, ErrorCode, Map, Registry, Type, Value, descriptor::Media,
};
use salono_media_api::{
    MediaKind,
    processing::{PluginEvent, PluginSpec, ProcessorCall, ProcessorReply},
};
use std::sync::Arc;

/// State of an object of such a class.
#[derive(Debug)]
pub(crate) struct Plugin {
    class: Arc<Class>,
    events: Vec<PluginEvent>,
}

/// What is asked of an element, and the type of its answer.
#[derive(Debug)]
pub(crate) struct Invocation {
    request: ProcessorCall,
    returns: Option<Type>,
}

impl Plugin {
    /// `None` for classes of other modules.
    pub(crate) fn new(class: &Arc<Class>, registry: &Registry) -> Option<Self> {
        let plugin = class.plugin()?;
        // What the object model fills in by itself.
        let common = registry.event("Media").map(|media| &media.fields);
        let own = |name: &str| {
            let event = registry.event(name)?;
            let fields = event.fields.iter().map(|field| &field.name);
            let fields = fields.filter(|name| {
                common.is_none_or(|common| !common.iter().any(|field| field.name == **name))
            });
            Some(PluginEvent {
                name: name.to_owned(),
                signal: plugin.event(name).to_owned(),
                fields: fields.cloned().collect(),
            })
        };
        Some(Self {
            class: Arc::clone(class),
            events: class.plugin_events().filter_map(own).collect(),
        })
    }

    /// What the engine makes it from.
    pub(crate) fn spec(&self, params: &Map<String, Value>) -> Option<PluginSpec> {
        let plugin = self.class.plugin()?;
        let constructor = self.class.constructor().unwrap_or_default();
        let given = constructor
            .iter()
            .filter(|param| param.name != "mediaPipeline")
            .filter_map(|param| Some((param, params.get(&param.name)?)));
        let properties = given.map(|(param, value)| {
            let name = plugin.property(&param.name).to_owned();
            (name, plain(value).to_string())
        });
        let kinds = match plugin.media() {
            Some(media) => media.iter().map(|media| kind(*media)).collect(),
            None if self.class.is_a("kurento.Filter") => vec![MediaKind::Video],
            None => vec![MediaKind::Video, MediaKind::Data],
        };
        Some(PluginSpec {
            class: self.class.qualified_name().to_owned(),
            descriptor: plugin.file().to_owned(),
            factories: plugin.elements().to_vec(),
            kinds,
            properties: properties.collect(),
            events: self.events.clone(),
        })
    }

    /// Operations that the class itself has.
    pub(crate) fn call(&self, call: &Call<'_>) -> Option<Invocation> {
        let plugin = self.class.plugin()?;
        let operation = self.class.plugin_operation(call.operation)?;
        let request = match &operation.action {
            Action::Method => {
                let arguments = operation.params.iter().map(|param| {
                    let given = call.params.get(&param.name).or(param.default.as_ref());
                    given.map_or(Value::Null, plain)
                });
                ProcessorCall::Invoke {
                    method: plugin.method(&operation.name).to_owned(),
                    arguments: arguments.collect::<Value>().to_string(),
                }
            }
            Action::Get(name) => ProcessorCall::GetProperty {
                name: plugin.property(name).to_owned(),
            },
            Action::Set(name) => ProcessorCall::SetProperty {
                name: plugin.property(name).to_owned(),
                value: plain(call.params.get(name).unwrap_or(&Value::Null)).to_string(),
            },
        };
        Some(Invocation {
            request,
            returns: operation.returns.clone(),
        })
    }
}

impl ObjectModel {
    /// Asks an element of a third-party module.
    pub(crate) fn invoke_plugin(&mut self, call: &Call<'_>, invocation: Invocation) -> Outcome {
        let Invocation { request, returns } = invocation;
        self.ask_processor(call.object, request, Then::Invoked { returns })
    }

    /// What such an element answers.
    pub(crate) fn invoked(
        &self,
        returns: Option<&Type>,
        reply: &ProcessorReply,
    ) -> Result<Value, Error> {
        let Some(kind) = returns else {
            return Ok(Value::Null);
        };
        let value = match reply {
            ProcessorReply::Json(text) => text.parse::<Value>().ok(),
            ProcessorReply::Done
            | ProcessorReply::Position(_)
            | ProcessorReply::Seekable(_)
            | ProcessorReply::Text(_) => None,
        };
        let value = value.and_then(|value| self.registry.outgoing(&value, kind));
        value.ok_or_else(|| {
            Error::new(
                ErrorCode::UnexpectedError,
                format!("The element answers what is no {}", kind.json_name()),
            )
        })
    }

    /// Members of an event that an element of a third-party module raised, as they are declared. Those that do not
    /// suit are left out.
    pub(crate) fn event_members(
        &self,
        event: &str,
        given: Map<String, Value>,
    ) -> Map<String, Value> {
        let Some(declared) = self.registry.event(event) else {
            return given;
        };
        let members = declared.fields.iter().filter_map(|field| {
            let value = given.get(&field.name)?;
            let suited = self.registry.outgoing(value, &field.kind);
            if suited.is_none() {
                tracing::warn!(event, field = field.name, %value, "an element raises an event that is not as declared");
            }
            Some((field.name.clone(), suited?))
        });
        members.collect()
    }
}

impl Object {
    /// Whether elements of third-party modules carry its class out.
    pub(crate) fn is_plugin(&self) -> bool {
        self.class.plugin().is_some()
    }
}

/// A value without what only clients need.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let own = members
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "__module__" | "__type__"));
            own.map(|(name, value)| (name.clone(), plain(value)))
                .collect()
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn kind(media: Media) -> MediaKind {
    match media {
        Media::Audio => MediaKind::Audio,
        Media::Video => MediaKind::Video,
        Media::Data => MediaKind::Data,
    }
}
