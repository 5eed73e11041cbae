//! Writing what room clients read. Member order and presence are part of the format.
//!
//! Absent members stay absent: no client of this dialect expects `null`.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::frame::RequestId;

/// What comes back for a request that failed.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    /// `error.code`.
    pub code: i32,
    /// `error.message`, for people.
    pub message: String,
    /// Whether the request was understood and then refused. Only then the reply names the session
    /// (inside `error`) and carries an empty top-level `data`, as clients of a refusal have seen.
    pub refused: bool,
}

impl Failure {
    /// A request that was understood and refused, with a code of the application.
    #[must_use]
    pub fn refused(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            refused: true,
        }
    }

    /// A request that did not get as far as the application.
    #[must_use]
    pub fn rejected(code: i32, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            refused: false,
        }
    }
}

/// A successful reply. Objects get `sessionId` added, everything else is wrapped in `value` first;
/// `null` counts as an empty object.
#[must_use]
pub fn result(id: Option<RequestId>, result: &Value, session: Option<&str>) -> String {
    text(&Reply {
        id: id.map(|id| id.0),
        result: Some(ResultBody { result, session }),
        error: None,
        jsonrpc: "2.0",
        data: None,
    })
}

/// The reply to `closeSession`: a bare string where every other result is an object.
#[must_use]
pub fn bye(id: Option<RequestId>) -> String {
    text(&Reply {
        id: id.map(|id| id.0),
        result: Some("bye"),
        error: None,
        jsonrpc: "2.0",
        data: None,
    })
}

/// A reply that says what went wrong.
#[must_use]
pub fn error(id: Option<RequestId>, failure: &Failure, session: Option<&str>) -> String {
    text(&Reply::<&str> {
        id: id.map(|id| id.0),
        result: None,
        error: Some(ErrorBody {
            code: failure.code,
            message: &failure.message,
            session_id: session.filter(|_| failure.refused),
        }),
        jsonrpc: "2.0",
        data: failure.refused.then(Map::new),
    })
}

/// An event: no id, no session.
#[must_use]
pub fn notification(method: &str, params: &impl Serialize) -> String {
    text(&Event {
        method,
        params,
        jsonrpc: "2.0",
    })
}

#[derive(Serialize)]
struct Reply<'a, R> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<R>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorBody<'a>>,
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Map<String, Value>>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    code: i32,
    message: &'a str,
    #[serde(rename = "sessionId", skip_serializing_if = "Option::is_none")]
    session_id: Option<&'a str>,
}

#[derive(Serialize)]
struct Event<'a, P> {
    method: &'a str,
    params: &'a P,
    jsonrpc: &'static str,
}

struct ResultBody<'a> {
    result: &'a Value,
    session: Option<&'a str>,
}

impl Serialize for ResultBody<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.result {
            Value::Object(members) => {
                for (name, value) in members.iter().filter(|(_, value)| !value.is_null()) {
                    map.serialize_entry(name, value)?;
                }
            }
            Value::Null => {}
            scalar @ (Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                map.serialize_entry("value", scalar)?;
            }
        }
        if let Some(session) = self.session {
            map.serialize_entry("sessionId", session)?;
        }
        map.end()
    }
}

fn text(frame: &impl Serialize) -> String {
    // Fails only for maps with keys that are not strings, or a serializer of the caller's that
    // fails by itself; an empty frame is then ignored by every client.
    serde_json::to_string(frame).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Failure, bye, error, notification, result};
    use crate::room::RequestId;

    const ID: Option<RequestId> = Some(RequestId(3));

    #[test]
    fn results_carry_the_session_and_wrap_what_is_no_object() {
        for (value, session, expected) in [
            (
                json!({ "sdpAnswer": "v=0 <&'=>" }),
                Some("S"),
                r#"{"id":3,"result":{"sdpAnswer":"v=0 <&'=>","sessionId":"S"},"jsonrpc":"2.0"}"#,
            ),
            (
                json!({}),
                Some("S"),
                r#"{"id":3,"result":{"sessionId":"S"},"jsonrpc":"2.0"}"#,
            ),
            (
                Value::Null,
                Some("S"),
                r#"{"id":3,"result":{"sessionId":"S"},"jsonrpc":"2.0"}"#,
            ),
            (
                json!([]),
                Some("S"),
                r#"{"id":3,"result":{"value":[],"sessionId":"S"},"jsonrpc":"2.0"}"#,
            ),
            (
                json!("pong"),
                None,
                r#"{"id":3,"result":{"value":"pong"},"jsonrpc":"2.0"}"#,
            ),
        ] {
            assert_eq!(result(ID, &value, session), expected);
        }
    }

    #[test]
    fn a_refusal_names_the_session_inside_the_error_and_has_stray_data() {
        assert_eq!(
            error(ID, &Failure::refused(104, "taken"), Some("S")),
            r#"{"id":3,"error":{"code":104,"message":"taken","sessionId":"S"},"jsonrpc":"2.0","data":{}}"#
        );
    }

    #[test]
    fn a_rejection_has_neither_session_nor_data() {
        assert_eq!(
            error(ID, &Failure::rejected(-1, "no"), Some("S")),
            r#"{"id":3,"error":{"code":-1,"message":"no"},"jsonrpc":"2.0"}"#
        );
        assert_eq!(
            error(None, &Failure::rejected(-1, "no"), None),
            r#"{"error":{"code":-1,"message":"no"},"jsonrpc":"2.0"}"#
        );
    }

    #[test]
    fn bye_is_a_bare_string() {
        assert_eq!(bye(ID), r#"{"id":3,"result":"bye","jsonrpc":"2.0"}"#);
    }

    #[test]
    fn events_have_neither_id_nor_session() {
        assert_eq!(
            notification("participantJoined", &json!({ "id": "USER1" })),
            r#"{"method":"participantJoined","params":{"id":"USER1"},"jsonrpc":"2.0"}"#
        );
    }
}
