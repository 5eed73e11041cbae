//! Values of clients, checked and converted to their declared types.
//!
//! Kurento is lenient about JSON types where the conversion is obvious (a number for a text, a
//! number for a truth value, `null` for an empty value) and strict the other way round: a text is
//! never a number. Error texts are part of the protocol.

use serde_json::{Map, Number, Value};

use crate::{Class, ComplexType, Error, ErrorCode, Param, Registry, StructType, Type};

/// Whose parameters are checked; decides the words of errors and the meaning of optional ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamsOf {
    /// `operationParams` of an invocation. Optional ones count as far as they come in unbroken
    /// declaration order; defaults are the object's business.
    Operation,
    /// `constructorParams` of a creation. Optional ones are independent and get their defaults.
    Constructor,
}

impl ParamsOf {
    fn member(self) -> &'static str {
        match self {
            Self::Operation => "operationParams",
            Self::Constructor => "constructorParams",
        }
    }
}

/// How errors name what they are about.
#[derive(Debug, Clone, Copy)]
enum Role {
    Parameter,
    Property,
}

impl Role {
    fn mismatch(self, name: &str, kind: &Type) -> Error {
        let role = match self {
            Self::Parameter => "parameter",
            Self::Property => "property",
        };
        marshall(format!("'{name}' {role} should be a {}", kind.json_name()))
    }
}

impl Registry {
    /// Checks and converts the parameters of an operation or a constructor.
    ///
    /// `class_of` tells the class of a live object by its id. The result holds declared parameters
    /// only, in their declared JSON types; optional ones that were left out (or are `null`) are
    /// absent unless they have a default that applies.
    ///
    /// # Errors
    /// [`ErrorCode::MarshallError`] for values that do not fit, [`ErrorCode::UnexpectedError`] for
    /// unknown struct types, [`ErrorCode::MediaObjectNotFound`] or
    /// [`ErrorCode::MediaObjectNotFoundTransactionNoCommit`] for ids of no object,
    /// [`ErrorCode::MediaObjectIllegalParam`] for objects of another class.
    pub fn coerce_params<'a>(
        &self,
        params: &[Param],
        value: Option<&Value>,
        of: ParamsOf,
        class_of: &dyn Fn(&str) -> Option<&'a Class>,
    ) -> Result<Map<String, Value>, Error> {
        let required = params.iter().any(|param| !param.optional);
        let empty = Map::new();
        let given = match (value, of) {
            (Some(Value::Object(members)), _) => members,
            // Without a parameter that must be there, Kurento does not look at what was sent.
            _ if !required => &empty,
            (None | Some(Value::Null), ParamsOf::Operation) => &empty,
            (None | Some(Value::Null), ParamsOf::Constructor) => {
                return Err(marshall(format!("'{}' is required", of.member())));
            }
            (Some(_), _) => {
                return Err(marshall(format!("'{}' should be an object", of.member())));
            }
        };
        let walk = Walk {
            registry: self,
            class_of,
        };
        let mut result = Map::new();
        let mut prefix = true;
        for param in params {
            let value = given.get(&param.name);
            if !param.optional {
                let Some(value) = value else {
                    return Err(Role::Parameter.mismatch(&param.name, &param.kind));
                };
                let value = walk.value(value, &param.kind, &param.name, Role::Parameter)?;
                result.insert(param.name.clone(), value);
                continue;
            }
            match (value.filter(|value| !value.is_null()), of) {
                (Some(value), ParamsOf::Constructor) => {
                    let value = walk.value(value, &param.kind, &param.name, Role::Parameter)?;
                    result.insert(param.name.clone(), value);
                }
                (None, ParamsOf::Constructor) => {
                    if let Some(default) = &param.default {
                        let value =
                            walk.value(default, &param.kind, &param.name, Role::Parameter)?;
                        result.insert(param.name.clone(), value);
                    }
                }
                (Some(value), ParamsOf::Operation) if prefix => {
                    let value = walk.value(value, &param.kind, &param.name, Role::Parameter)?;
                    result.insert(param.name.clone(), value);
                }
                (Some(_) | None, ParamsOf::Operation) => prefix = false,
            }
        }
        Ok(result)
    }

    /// Checks and converts one value; `name` is what errors call it (a parameter's name).
    ///
    /// Structs come back with all defaults filled in and with `__module__` and `__type__`.
    ///
    /// # Errors
    /// As [`Registry::coerce_params`].
    pub fn coerce<'a>(
        &self,
        value: &Value,
        kind: &Type,
        name: &str,
        class_of: &dyn Fn(&str) -> Option<&'a Class>,
    ) -> Result<Value, Error> {
        let walk = Walk {
            registry: self,
            class_of,
        };
        walk.value(value, kind, name, Role::Parameter)
    }
}

/// The error of an invocation that names no operation of the object's class.
#[must_use]
pub fn unknown_operation(operation: &str, params: Option<&Value>) -> Error {
    let count = params.and_then(Value::as_object).map_or(0, Map::len);
    Error::new(
        ErrorCode::MalformedTransaction,
        format!("Method '{operation}' with {count} parameters not found"),
    )
}

/// The error of naming an object that is not there.
#[must_use]
pub fn object_not_found(id: &str) -> Error {
    if id.starts_with("newref:") {
        return Error::new(
            ErrorCode::MediaObjectNotFoundTransactionNoCommit,
            format!(
                "Object '{id}' not found. Possibly using a transactional object without \
                 committing the transaction."
            ),
        );
    }
    Error::new(
        ErrorCode::MediaObjectNotFound,
        format!("Object '{id}' not found"),
    )
}

fn marshall(message: String) -> Error {
    Error::new(ErrorCode::MarshallError, message)
}

/// What one walk down a value needs at every step.
struct Walk<'w, 'a> {
    registry: &'w Registry,
    class_of: &'w dyn Fn(&str) -> Option<&'a Class>,
}

impl Walk<'_, '_> {
    fn value(&self, value: &Value, kind: &Type, name: &str, role: Role) -> Result<Value, Error> {
        let mismatch = || role.mismatch(name, kind);
        match kind {
            Type::String => text(value).map(Value::String).ok_or_else(mismatch),
            Type::Boolean => boolean(value).map(Value::Bool).ok_or_else(mismatch),
            Type::Int => integer(value)
                .and_then(|number| i32::try_from(number).ok())
                .map(Value::from)
                .ok_or_else(mismatch),
            Type::Int64 => integer(value).map(Value::from).ok_or_else(mismatch),
            Type::Float | Type::Double => double(value).map(Value::Number).ok_or_else(mismatch),
            Type::Enum(enumeration) => {
                self.enumeration(enumeration, text(value).ok_or_else(mismatch)?)
            }
            Type::Object(class) => self.object(class, text(value).ok_or_else(mismatch)?),
            Type::List(item) => match value {
                Value::Null => Ok(Value::Array(Vec::new())),
                Value::Array(items) => items
                    .iter()
                    .map(|value| self.value(value, item, name, role))
                    .collect(),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
                    Err(mismatch())
                }
            },
            Type::Map(item) => match value {
                Value::Null => Ok(Value::Object(Map::new())),
                Value::Object(members) => members
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), self.value(value, item, name, role)?)))
                    .collect::<Result<Map<_, _>, Error>>()
                    .map(Value::Object),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Err(mismatch())
                }
            },
            Type::Struct(declared) => match value {
                Value::Null => self.members(declared, &Map::new()),
                Value::Object(members) => self.members(declared, members),
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    Err(mismatch())
                }
            },
        }
    }

    fn enumeration(&self, qualified: &str, value: String) -> Result<Value, Error> {
        match self.registry.complex_type(qualified) {
            Some(ComplexType::Enum(declared)) if declared.values.contains(&value) => {
                Ok(Value::String(value))
            }
            Some(ComplexType::Enum(_) | ComplexType::Struct(_)) | None => {
                let name = qualified.rsplit('.').next().unwrap_or(qualified);
                Err(marshall(format!("Invalid value for '{name}'")))
            }
        }
    }

    fn object(&self, class: &str, id: String) -> Result<Value, Error> {
        let Some(found) = (self.class_of)(&id) else {
            return Err(object_not_found(&id));
        };
        if !found.is_a(class) {
            return Err(Error::new(
                ErrorCode::MediaObjectIllegalParam,
                format!("Object '{id}' is not a {class}"),
            ));
        }
        Ok(Value::String(id))
    }

    fn members(&self, declared: &str, members: &Map<String, Value>) -> Result<Value, Error> {
        let actual = self.concrete(declared, members)?;
        let mut result = Map::new();
        for field in &actual.fields {
            let given = members.get(&field.name);
            let value = if field.optional {
                given
                    .filter(|value| !value.is_null())
                    .or(field.default.as_ref())
            } else if given.is_none() {
                return Err(Role::Property.mismatch(&field.name, &field.kind));
            } else {
                given
            };
            if let Some(value) = value {
                let value = self.value(value, &field.kind, &field.name, Role::Property)?;
                result.insert(field.name.clone(), value);
            }
        }
        Ok(actual.tag(result))
    }

    /// The struct type that the value claims to have, if that fits what is declared.
    fn concrete(&self, declared: &str, members: &Map<String, Value>) -> Result<&StructType, Error> {
        let claimed = |key| members.get(key).and_then(Value::as_str);
        let (Some(module), Some(name)) = (claimed("__module__"), claimed("__type__")) else {
            return match self.registry.complex_type(declared) {
                Some(ComplexType::Struct(declared)) => Ok(declared),
                Some(ComplexType::Enum(_)) | None => {
                    Err(unexpected(format!("Type {declared} is not compatible")))
                }
            };
        };
        let qualified = format!("{module}.{name}");
        match self.registry.complex_type(&qualified) {
            Some(ComplexType::Struct(actual))
                if qualified == declared
                    || actual
                        .ancestors
                        .iter()
                        .any(|ancestor| **ancestor == *declared) =>
            {
                Ok(actual)
            }
            Some(ComplexType::Struct(_) | ComplexType::Enum(_)) => {
                Err(unexpected(format!("Type {name} is not compatible")))
            }
            None => Err(unexpected(format!(
                "Type {name} does not exist in module {module}"
            ))),
        }
    }
}

fn unexpected(message: String) -> Error {
    Error::new(ErrorCode::UnexpectedError, message)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Null => Some(false),
        Value::Bool(truth) => Some(*truth),
        Value::Number(number) => Some(number.as_f64() != Some(0.0)),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Null => Some(0),
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::Number(number) => number
            .as_i64()
            .or_else(|| truncated(number.as_f64().filter(|_| number.is_f64())?)),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The integer part, where 64 bits hold it.
fn truncated(real: f64) -> Option<i64> {
    // 2^63 is exact in a double and the first value that no longer fits.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT)
        .contains(&real)
        .then_some(real.trunc() as i64)
}

fn double(value: &Value) -> Option<Number> {
    match value {
        Value::Null => Some(Number::from(0)),
        Value::Bool(truth) => Some(Number::from(u8::from(*truth))),
        Value::Number(number) => Some(number.clone()),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}
