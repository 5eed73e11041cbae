//! JSON-RPC 2.0 frames: one JSON object per text, no batches.
//!
//! Every text passes the limits before a value is built from it, so a hostile peer costs one scan of
//! its bytes and nothing else. What a frame means (methods, parameters, sessions) is the dialects'
//! business.

use serde_json::{Map, Value};

/// Caps on one text. A text beyond them is refused unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text in bytes.
    pub max_bytes: usize,
    /// Deepest nesting of objects and arrays.
    pub max_depth: usize,
}

impl Default for Limits {
    /// 1 MiB, which is what Kurento's Java client accepts per frame, and 64 levels.
    fn default() -> Self {
        Self {
            max_bytes: 1 << 20,
            max_depth: 64,
        }
    }
}

/// Longest string identifier of a request, in bytes. Identifiers are kept in reply caches, so they
/// must not be as long as a frame; a longer one makes the frame malformed.
pub const MAX_ID_BYTES: usize = 256;

/// One frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A call, to be answered; without `id` it is a JSON-RPC notification.
    Request {
        /// Number, string or boolean, echoed as it is; `None` when absent or `null`.
        id: Option<Value>,
        /// Method name.
        method: String,
        /// Parameters as sent.
        params: Option<Value>,
    },
    /// An answer.
    Response {
        /// Identifier of the request; `null` when the other side could not tell.
        id: Value,
        /// Result or error.
        result: Result<Value, ErrorObject>,
    },
}

/// The `error` member of a response.
#[derive(Debug, Clone, PartialEq)]
pub struct ErrorObject {
    /// Error code.
    pub code: i32,
    /// Text for people.
    pub message: String,
    /// Anything more.
    pub data: Option<Value>,
}

/// Why a text is not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// More bytes than [`Limits::max_bytes`].
    #[error("frame is longer than {0} bytes")]
    TooLong(usize),
    /// Nested deeper than [`Limits::max_depth`].
    #[error("frame is nested deeper than {0} levels")]
    TooDeep(usize),
    /// Not JSON.
    #[error("frame is not JSON")]
    Syntax,
    /// JSON, but no JSON-RPC 2.0 request, notification or response.
    #[error("frame is not JSON-RPC 2.0")]
    NotJsonRpc,
}

/// Reads one frame.
///
/// # Errors
/// See [`Malformed`].
pub fn parse(text: &str, limits: &Limits) -> Result<Frame, Malformed> {
    if text.len() > limits.max_bytes {
        return Err(Malformed::TooLong(limits.max_bytes));
    }
    if deeper_than(text, limits.max_depth) {
        return Err(Malformed::TooDeep(limits.max_depth));
    }
    let Value::Object(object) = serde_json::from_str(text).map_err(|_| Malformed::Syntax)? else {
        return Err(Malformed::NotJsonRpc);
    };
    from_object(object)
}

/// Reads a frame that is part of a larger value, for example an operation of a transaction.
///
/// # Errors
/// [`Malformed::NotJsonRpc`].
pub fn from_value(value: Value) -> Result<Frame, Malformed> {
    match value {
        Value::Object(object) => from_object(object),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Malformed::NotJsonRpc)
        }
    }
}

/// Text of a request; of a notification when `id` is `None`.
pub fn encode_request(id: Option<&Value>, method: &str, params: Value) -> String {
    let mut object = envelope();
    if let Some(id) = id {
        object.insert("id".to_owned(), id.clone());
    }
    object.insert("method".to_owned(), Value::String(method.to_owned()));
    object.insert("params".to_owned(), params);
    Value::Object(object).to_string()
}

/// Text of a response. The identifier of a request that could not be read is `Value::Null`.
pub fn encode_response(id: Value, result: Result<Value, ErrorObject>) -> String {
    Value::Object(response(id, result)).to_string()
}

/// A response as a value, for answers inside answers.
pub fn response(id: Value, result: Result<Value, ErrorObject>) -> Map<String, Value> {
    let mut object = envelope();
    object.insert("id".to_owned(), id);
    match result {
        Ok(result) => object.insert("result".to_owned(), result),
        Err(error) => object.insert("error".to_owned(), error_value(error)),
    };
    object
}

fn error_value(error: ErrorObject) -> Value {
    let mut object = Map::new();
    object.insert("code".to_owned(), error.code.into());
    object.insert("message".to_owned(), error.message.into());
    if let Some(data) = error.data {
        object.insert("data".to_owned(), data);
    }
    Value::Object(object)
}

fn envelope() -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("jsonrpc".to_owned(), Value::String("2.0".to_owned()));
    object
}

fn from_object(mut object: Map<String, Value>) -> Result<Frame, Malformed> {
    if object.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(Malformed::NotJsonRpc);
    }
    let id = match object.remove("id") {
        None | Some(Value::Null) => None,
        Some(Value::String(id)) if id.len() > MAX_ID_BYTES => return Err(Malformed::NotJsonRpc),
        Some(id @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) => Some(id),
        Some(Value::Array(_) | Value::Object(_)) => return Err(Malformed::NotJsonRpc),
    };
    match object.remove("method") {
        Some(Value::String(method)) => Ok(Frame::Request {
            id,
            method,
            params: object.remove("params"),
        }),
        Some(_) => Err(Malformed::NotJsonRpc),
        None => {
            let result = match object.remove("error") {
                None | Some(Value::Null) => {
                    Ok(object.remove("result").ok_or(Malformed::NotJsonRpc)?)
                }
                Some(error) => Err(error_object(error)?),
            };
            Ok(Frame::Response {
                id: id.unwrap_or(Value::Null),
                result,
            })
        }
    }
}

fn error_object(value: Value) -> Result<ErrorObject, Malformed> {
    let Value::Object(mut object) = value else {
        return Err(Malformed::NotJsonRpc);
    };
    let code = object
        .get("code")
        .and_then(Value::as_i64)
        .and_then(|code| i32::try_from(code).ok())
        .ok_or(Malformed::NotJsonRpc)?;
    let message = match object.remove("message") {
        Some(Value::String(message)) => message,
        None | Some(_) => String::new(),
    };
    Ok(ErrorObject {
        code,
        message,
        data: object.remove("data"),
    })
}

/// Counts brackets outside of strings; malformed text is left for the parser to refuse.
fn deeper_than(text: &str, max: usize) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for byte in text.bytes() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => {
                depth += 1;
                if depth > max {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(text: &str) -> Result<Frame, Malformed> {
        parse(text, &Limits::default())
    }

    #[test]
    fn identifiers_keep_their_type() {
        for id in [json!(1), json!("a"), json!(1.5), json!(-7), json!(true)] {
            let text = json!({"jsonrpc":"2.0","id":id,"method":"m"}).to_string();
            let Frame::Request { id: seen, .. } = check(&text).unwrap() else {
                panic!("a request");
            };
            assert_eq!(seen, Some(id));
        }
    }

    #[test]
    fn an_absent_or_null_identifier_is_a_notification() {
        for text in [
            r#"{"jsonrpc":"2.0","method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"m"}"#,
        ] {
            assert!(matches!(check(text), Ok(Frame::Request { id: None, .. })));
        }
    }

    #[test]
    fn what_is_not_json_rpc_is_told_from_what_is_not_json() {
        for text in ["{", "", "hello", "{\"a\":}", "{} x"] {
            assert_eq!(check(text), Err(Malformed::Syntax), "{text}");
        }
        for text in [
            "5",
            "null",
            "[]",
            "{}",
            r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#,
            r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#,
            r#"{"jsonrpc":2,"id":1,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
        ] {
            assert_eq!(check(text), Err(Malformed::NotJsonRpc), "{text}");
        }
    }

    #[test]
    fn limits_hold_before_anything_is_built() {
        let limits = Limits {
            max_bytes: 200_000,
            max_depth: 3,
        };
        assert_eq!(
            parse(&"[".repeat(100_000), &limits),
            Err(Malformed::TooDeep(3))
        );
        assert_eq!(
            parse(&" ".repeat(200_001), &limits),
            Err(Malformed::TooLong(200_000))
        );
        // Brackets in strings are text.
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"[[[[[\"{{{{"}"#;
        assert!(parse(text, &limits).is_ok());
    }

    #[test]
    fn long_string_identifiers_are_refused() {
        let text = json!({"jsonrpc":"2.0","id":"x".repeat(MAX_ID_BYTES + 1),"method":"m"});
        assert_eq!(check(&text.to_string()), Err(Malformed::NotJsonRpc));
    }

    #[test]
    fn responses_round_trip() {
        let error = ErrorObject {
            code: 40101,
            message: "no".to_owned(),
            data: Some(json!({"type":"X"})),
        };
        for result in [Ok(json!(null)), Ok(json!({"a":1})), Err(error)] {
            let text = encode_response(json!(3), result.clone());
            assert_eq!(
                check(&text),
                Ok(Frame::Response {
                    id: json!(3),
                    result
                })
            );
        }
    }
}
