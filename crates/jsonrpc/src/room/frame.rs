//! Reading what room clients send.

use serde_json::{Map, Value};

use crate::frame::{Limits, Malformed};

/// The identifier of a request: always a whole number in this dialect. 0 is a normal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub i64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// A request as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Absent only when the frame had no `id` at all.
    pub id: Option<RequestId>,
    /// The method's name.
    pub method: String,
    /// `params` without `sessionId`; `null` counts as absent.
    pub params: Option<Value>,
    /// `params.sessionId`: which session the client believes to be in.
    pub session: Option<String>,
    /// Length of the frame in bytes, for the caps on what waits.
    pub bytes: usize,
}

/// One usable frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Something to do.
    Call(Call),
    /// An answer. The server asks nothing, so there is nothing it could belong to.
    Response,
}

/// Why a frame is dropped without a reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unusable {
    /// Not a JSON object within the limits.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// An `id` that is neither a number nor the text of one; no reply could carry it.
    #[error("id is not a number")]
    Id,
}

/// Reads one text frame.
///
/// # Errors
/// [`Unusable`]. The frame is then ignored; the connection lives on.
pub fn parse(text: &str, limits: &Limits) -> Result<Incoming, Unusable> {
    if text.len() > limits.max_bytes {
        return Err(Malformed::TooLong(limits.max_bytes).into());
    }
    if is_deeper_than(text, limits.max_depth) {
        return Err(Malformed::TooDeep(limits.max_depth).into());
    }
    let value = serde_json::from_str(text).map_err(|_| Malformed::Syntax)?;
    let Value::Object(mut frame) = value else {
        return Err(Malformed::NotJsonRpc.into());
    };
    let method = match frame.remove("method") {
        None | Some(Value::Null) => return Ok(Incoming::Response),
        Some(Value::String(name)) => name,
        // A method of another type is an unknown method, and answered as one.
        Some(other) => other.to_string(),
    };
    let id = match frame.remove("id") {
        None => None,
        Some(id) => Some(request_id(&id).ok_or(Unusable::Id)?),
    };
    let mut params = frame.remove("params").filter(|params| !params.is_null());
    let session = params
        .as_mut()
        .and_then(Value::as_object_mut)
        .and_then(take_session);
    Ok(Incoming::Call(Call {
        id,
        method,
        params,
        session,
        bytes: text.len(),
    }))
}

/// Numbers are cut to their whole part, decimal strings are read, everything else is no id.
fn request_id(id: &Value) -> Option<RequestId> {
    match id {
        Value::Number(number) => number
            .as_i64()
            .or_else(|| number.as_f64().and_then(whole_part)),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
    .map(RequestId)
}

/// The whole part of a number, where a double still tells neighbours apart.
fn whole_part(number: f64) -> Option<i64> {
    const LIMIT: f64 = 9_007_199_254_740_992.0;
    (number.abs() <= LIMIT).then_some(number.trunc() as i64)
}

fn take_session(params: &mut Map<String, Value>) -> Option<String> {
    match params.remove("sessionId")? {
        Value::String(session) => Some(session),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Counts brackets outside of strings, so that nothing is built of a text that nests too deep.
pub(super) fn is_deeper_than(text: &str, max: usize) -> bool {
    let mut depth = 0_usize;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                // To the closing quote; a backslash takes the next byte with it.
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => drop(bytes.next()),
                        _ => {}
                    }
                }
            }
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
    use serde_json::json;

    use super::{Call, Incoming, RequestId, Unusable, parse};
    use crate::frame::{Limits, Malformed};

    fn call(text: &str) -> Call {
        match parse(text, &Limits::default()).unwrap() {
            Incoming::Call(call) => call,
            Incoming::Response => panic!("taken for a response"),
        }
    }

    #[test]
    fn ids_are_whole_numbers_however_they_are_written() {
        for (text, id) in [
            ("0", 0),
            ("7", 7),
            (r#""12""#, 12),
            ("1.5", 1),
            ("-3", -3),
            ("1e3", 1000),
        ] {
            let frame = format!(r#"{{"id":{text},"method":"m"}}"#);
            assert_eq!(call(&frame).id, Some(RequestId(id)), "{text}");
        }
        assert_eq!(call(r#"{"method":"m"}"#).id, None);
    }

    #[test]
    fn an_id_that_no_reply_could_carry_makes_the_frame_unusable() {
        for id in ["null", r#""abc""#, r#""1.5""#, "true", "[1]", "{}", "1e300"] {
            let frame = format!(r#"{{"id":{id},"method":"m"}}"#);
            assert_eq!(parse(&frame, &Limits::default()), Err(Unusable::Id), "{id}");
        }
    }

    #[test]
    fn the_session_is_taken_out_of_the_params() {
        let call = call(r#"{"id":1,"method":"m","params":{"a":1,"sessionId":"s"}}"#);
        assert_eq!(call.session.as_deref(), Some("s"));
        assert_eq!(call.params, Some(json!({ "a": 1 })));
    }

    #[test]
    fn without_a_method_it_is_a_response() {
        for text in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"id":"x","error":{"code":1}}"#,
            "{}",
        ] {
            assert_eq!(parse(text, &Limits::default()), Ok(Incoming::Response));
        }
    }

    #[test]
    fn garbage_is_told_apart_but_never_panics() {
        let limits = Limits {
            max_bytes: 1000,
            max_depth: 4,
        };
        for (text, fault) in [
            ("", Malformed::Syntax),
            ("{", Malformed::Syntax),
            ("\"\\", Malformed::Syntax),
            ("[]", Malformed::NotJsonRpc),
            ("3", Malformed::NotJsonRpc),
            (r#"[{"id":1,"method":"ping"}]"#, Malformed::NotJsonRpc),
        ] {
            assert_eq!(parse(text, &limits), Err(fault.into()), "{text}");
        }
        assert_eq!(
            parse(&"[".repeat(500), &limits),
            Err(Malformed::TooDeep(4).into())
        );
        assert_eq!(
            parse(&" ".repeat(1001), &limits),
            Err(Malformed::TooLong(1000).into())
        );
        // Brackets inside strings do not nest.
        assert!(parse(r#"{"id":1,"method":"[[[[[[\"[[["}"#, &limits).is_ok());
    }
}
