//! Lenient reading of `params`.
//!
//! Existing clients send numbers as strings (an Android client does so with `sdpMLineIndex`) and
//! booleans as strings; the reference server coerced them, so this one does as well. `null` is
//! never coerced: it fails like a missing parameter.

use serde_json::{Map, Value};

/// The members of a request's or notification's `params`, read by name.
///
/// Absent `params` read like an empty object; members that nobody asks for are ignored.
#[derive(Debug, Clone, Copy)]
pub struct Params<'a>(Option<&'a Map<String, Value>>);

/// Why a parameter could not be read. On the wire this is error -1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamsError {
    /// `params` is neither absent nor an object.
    #[error("params is not an object")]
    NotAnObject,
    /// A required member is absent or `null`.
    #[error("missing element '{0}' in params")]
    Missing(&'static str),
    /// A member has a type that cannot be understood as the wanted one.
    #[error("element '{name}' in params is not {expected}")]
    WrongType {
        /// The member's name.
        name: &'static str,
        /// What it should have been, with its article.
        expected: &'static str,
    },
}

impl<'a> Params<'a> {
    /// Reads from `params` of a frame; `None` and `null` count as an empty object.
    ///
    /// # Errors
    /// [`ParamsError::NotAnObject`] for arrays and scalars.
    pub fn new(params: Option<&'a Value>) -> Result<Self, ParamsError> {
        match params {
            None | Some(Value::Null) => Ok(Self(None)),
            Some(Value::Object(members)) => Ok(Self(Some(members))),
            Some(Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                Err(ParamsError::NotAnObject)
            }
        }
    }

    /// A text; numbers and booleans are taken as their JSON text.
    ///
    /// # Errors
    /// Absent, `null`, or an object or array.
    pub fn string(&self, name: &'static str) -> Result<String, ParamsError> {
        match self.present(name)? {
            Value::String(text) => Ok(text.clone()),
            Value::Number(number) => Ok(number.to_string()),
            Value::Bool(flag) => Ok(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(ParamsError::WrongType {
                name,
                expected: "a string",
            }),
        }
    }

    /// A whole number; a text of decimal digits counts, a fraction is cut off.
    ///
    /// # Errors
    /// Absent, `null`, not a number, or beyond 32 bits.
    pub fn int(&self, name: &'static str) -> Result<i32, ParamsError> {
        let wrong = ParamsError::WrongType {
            name,
            expected: "an integer",
        };
        match self.present(name)? {
            Value::Number(number) => number
                .as_i64()
                .or_else(|| number.as_f64().and_then(truncate))
                .and_then(|wide| i32::try_from(wide).ok())
                .ok_or(wrong),
            Value::String(text) => text.parse().map_err(|_| wrong),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(wrong),
        }
    }

    /// A boolean; a text counts as true when it reads `true` in any case, every other text and
    /// every number as false.
    ///
    /// # Errors
    /// Absent, `null`, or an object or array.
    pub fn bool(&self, name: &'static str) -> Result<bool, ParamsError> {
        match self.present(name)? {
            Value::Bool(flag) => Ok(*flag),
            Value::String(text) => Ok(text.eq_ignore_ascii_case("true")),
            Value::Number(_) => Ok(false),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(ParamsError::WrongType {
                name,
                expected: "a boolean",
            }),
        }
    }

    /// A boolean that may be left out; `null` is still an error.
    ///
    /// # Errors
    /// As [`Params::bool`], except that absence is `Ok(None)`.
    pub fn optional_bool(&self, name: &'static str) -> Result<Option<bool>, ParamsError> {
        if self.0.is_some_and(|members| members.contains_key(name)) {
            self.bool(name).map(Some)
        } else {
            Ok(None)
        }
    }

    /// A list.
    ///
    /// # Errors
    /// Absent, `null`, or anything but an array.
    pub fn list(&self, name: &'static str) -> Result<&'a [Value], ParamsError> {
        match self.present(name)? {
            Value::Array(entries) => Ok(entries),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Object(_) => Err(ParamsError::WrongType {
                name,
                expected: "an array",
            }),
        }
    }

    /// The raw member, if it is there.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.0.and_then(|members| members.get(name))
    }

    /// All members, cloned.
    #[must_use]
    pub fn to_map(&self) -> Map<String, Value> {
        self.0.cloned().unwrap_or_default()
    }

    fn present(&self, name: &'static str) -> Result<&'a Value, ParamsError> {
        match self.value(name) {
            None | Some(Value::Null) => Err(ParamsError::Missing(name)),
            Some(value) => Ok(value),
        }
    }
}

/// The whole part of a finite number that fits 64 bits.
fn truncate(number: f64) -> Option<i64> {
    // Bounds that a double represents exactly; the cast below is then lossless on the whole part.
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    (number.is_finite() && number.abs() <= LIMIT).then_some(number.trunc() as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Params, ParamsError};

    fn read<T>(
        value: Value,
        with: impl Fn(&Params<'_>) -> Result<T, ParamsError>,
    ) -> Result<T, ParamsError> {
        let params = json!({ "x": value });
        with(&Params::new(Some(&params)).unwrap())
    }

    #[test]
    fn a_string_accepts_numbers_and_booleans() {
        assert_eq!(read(json!("a"), |p| p.string("x")), Ok("a".into()));
        assert_eq!(read(json!(12), |p| p.string("x")), Ok("12".into()));
        assert_eq!(read(json!(true), |p| p.string("x")), Ok("true".into()));
        assert!(read(json!({}), |p| p.string("x")).is_err());
    }

    #[test]
    fn an_int_accepts_digits_in_a_string() {
        assert_eq!(read(json!(3), |p| p.int("x")), Ok(3));
        assert_eq!(read(json!("3"), |p| p.int("x")), Ok(3));
        assert_eq!(read(json!(1.9), |p| p.int("x")), Ok(1));
        assert_eq!(read(json!("-1"), |p| p.int("x")), Ok(-1));
        for wrong in [
            json!("3.5"),
            json!(""),
            json!(true),
            json!(1e300),
            json!(4_294_967_296_u64),
        ] {
            assert!(read(wrong, |p| p.int("x")).is_err());
        }
    }

    #[test]
    fn a_bool_accepts_text_and_takes_numbers_as_false() {
        assert_eq!(read(json!("TRUE"), |p| p.bool("x")), Ok(true));
        assert_eq!(read(json!("yes"), |p| p.bool("x")), Ok(false));
        assert_eq!(read(json!(1), |p| p.bool("x")), Ok(false));
    }

    #[test]
    fn null_is_missing_even_where_absence_is_allowed() {
        let missing = Err(ParamsError::Missing("x"));
        assert_eq!(read(Value::Null, |p| p.string("x")), missing);
        assert_eq!(
            read(Value::Null, |p| p.optional_bool("x")),
            Err(ParamsError::Missing("x"))
        );
        assert_eq!(Params::new(None).unwrap().optional_bool("x"), Ok(None));
    }

    #[test]
    fn params_must_be_an_object_or_absent() {
        assert!(Params::new(Some(&Value::Null)).is_ok());
        for wrong in [json!([]), json!(1), json!("x"), json!(false)] {
            assert_eq!(
                Params::new(Some(&wrong)).unwrap_err(),
                ParamsError::NotAnObject
            );
        }
    }
}
