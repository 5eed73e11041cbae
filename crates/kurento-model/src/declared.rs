//! Types of values as the descriptors declare them, and what the wire calls them.

use std::sync::Arc;

use serde_json::{Map, Value};

/// The declared type of a parameter, a property, a member or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A signed 32 bit integer.
    Int,
    /// A signed 64 bit integer.
    Int64,
    /// A single precision number.
    Float,
    /// A double precision number.
    Double,
    /// One of the values of the enumeration with this qualified name.
    Enum(Arc<str>),
    /// A struct with this qualified name, or one that extends it.
    Struct(Arc<str>),
    /// The id of an object of the class with this qualified name, or of a class that extends it.
    Object(Arc<str>),
    /// A list.
    List(Box<Type>),
    /// A map with text keys.
    Map(Box<Type>),
}

impl Type {
    /// The word for the JSON form in error messages.
    #[must_use]
    pub fn json_name(&self) -> &'static str {
        match self {
            Self::String | Self::Enum(_) | Self::Object(_) => "string",
            Self::Boolean => "boolean",
            Self::Int => "integer",
            Self::Int64 => "int64",
            Self::Float | Self::Double => "double",
            Self::Struct(_) => "object",
            Self::List(_) => "list",
            Self::Map(_) => "map",
        }
    }
}

/// A parameter, a struct member or an event member.
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Name on the wire.
    pub name: String,
    /// Declared type.
    pub kind: Type,
    /// May be left out.
    pub optional: bool,
    /// What an optional one that was left out stands for, as the descriptor writes it.
    pub default: Option<Value>,
}

/// A declared enumeration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnumType {
    /// Simple name.
    pub name: String,
    /// `kurento` for the built-in modules, else the module's name.
    pub namespace: String,
    /// Values in declaration order.
    pub values: Vec<String>,
}

/// A declared struct.
#[derive(Debug, Clone, PartialEq)]
pub struct StructType {
    /// Simple name; `__type__` on the wire.
    pub name: String,
    /// `__module__` on the wire: `kurento` for the built-in modules, else the module's name.
    pub namespace: String,
    /// Qualified names of the structs that this one extends, nearest first.
    pub ancestors: Vec<Arc<str>>,
    /// Members, inherited ones first.
    pub fields: Vec<Param>,
}

impl StructType {
    /// Puts `__module__` and `__type__` into a struct on its way out.
    #[must_use]
    pub fn tag(&self, members: Map<String, Value>) -> Value {
        tagged(&self.namespace, &self.name, members)
    }
}

/// A declared enumeration or struct.
#[derive(Debug, Clone, PartialEq)]
pub enum ComplexType {
    /// An enumeration.
    Enum(EnumType),
    /// A struct.
    Struct(StructType),
}

/// A declared event type.
#[derive(Debug, Clone, PartialEq)]
pub struct EventType {
    /// Name as it is subscribed to.
    pub name: String,
    /// Name of the module that declares it.
    pub module: String,
    /// Names of the event types that this one extends, nearest first.
    pub ancestors: Vec<String>,
    /// Members, inherited ones first.
    pub fields: Vec<Param>,
}

impl EventType {
    /// Whether its data carries the event's own name as `type`.
    #[must_use]
    pub fn is_media(&self) -> bool {
        self.ancestors.iter().any(|ancestor| ancestor == "Media")
    }
}

/// A struct on its way out: its members with `__module__` and `__type__`.
///
/// The built-in modules' namespace is `kurento`. Leave optional members that are unset out.
#[must_use]
pub fn tagged(namespace: &str, type_name: &str, mut members: Map<String, Value>) -> Value {
    members.insert("__module__".to_owned(), Value::from(namespace));
    members.insert("__type__".to_owned(), Value::from(type_name));
    Value::Object(members)
}

/// A map on its way out; clients expect `null` where it is empty.
#[must_use]
pub fn map_or_null(members: Map<String, Value>) -> Value {
    if members.is_empty() {
        Value::Null
    } else {
        Value::Object(members)
    }
}
