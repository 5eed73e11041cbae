//! The client side of the room dialect: writing requests, reading what servers send.
//!
//! A client repeats the session id that it was given in the `params` of every request, which is
//! how it gets its session back on another socket; servers put it into `result`, or into `error`
//! for requests that they understood and refused. Frames without `"jsonrpc":"2.0"` are not taken,
//! as none of the existing clients takes them.

use serde_json::{Map, Value};

use super::frame::{RequestId, Unusable, is_deeper_than};
use crate::frame::{self, Limits, Malformed};

/// One usable frame of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct FromServer {
    /// What it says.
    pub body: Body,
    /// Its number within the session, from 1, where the server numbers what it sends: a client that
    /// resumes a session tells the last one it has.
    pub seq: Option<u64>,
}

/// What a frame of a server says.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// The answer to a request.
    Answer(Answer),
    /// An event.
    Notification {
        /// The event's name.
        method: String,
        /// What it says.
        params: Option<Value>,
    },
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Which request.
    pub id: RequestId,
    /// The result without its `sessionId`, or why there is none.
    pub result: Result<Value, Refusal>,
    /// The client's session, where the answer names it.
    pub session: Option<String>,
}

/// The `error` of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    /// What kind of failure.
    pub code: i32,
    /// A sentence for people.
    pub message: String,
    /// Anything more.
    pub data: Option<Value>,
}

/// The text of a request. A `sessionId` among `params` gives way to `session`.
#[must_use]
pub fn encode_call(
    id: RequestId,
    method: &str,
    mut params: Map<String, Value>,
    session: Option<&str>,
) -> String {
    if let Some(session) = session {
        params.insert(SESSION_ID.to_owned(), Value::String(session.to_owned()));
    }
    frame::encode_request(Some(&id.0.into()), method, Value::Object(params))
}

/// Reads one text frame of a server.
///
/// # Errors
/// [`Unusable`]. The frame is then ignored; the connection lives on.
pub fn parse_from_server(text: &str, limits: &Limits) -> Result<FromServer, Unusable> {
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
    if frame.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Err(Malformed::NotJsonRpc.into());
    }
    let seq = frame.get("seq").and_then(Value::as_u64);
    let body = match frame.remove("method") {
        // Servers of this dialect ask nothing: a frame with both a method and an id is an event.
        Some(Value::String(method)) => Body::Notification {
            method,
            params: frame.remove("params").filter(|params| !params.is_null()),
        },
        Some(_) => return Err(Malformed::NotJsonRpc.into()),
        None => Body::Answer(answer(frame)?),
    };
    Ok(FromServer { body, seq })
}

/// The member that names the session, in `params`, `result` and `error`.
const SESSION_ID: &str = "sessionId";

fn answer(mut frame: Map<String, Value>) -> Result<Answer, Unusable> {
    let id = frame.get("id").and_then(Value::as_i64);
    let id = id.map(RequestId).ok_or(Unusable::Id)?;
    let error = frame.remove("error").filter(|error| !error.is_null());
    let (result, session) = match (error, frame.remove("result")) {
        (Some(mut error), _) => {
            let session = error.as_object_mut().and_then(take_session);
            (Err(refusal(error)), session)
        }
        (None, Some(mut result)) => {
            let session = result.as_object_mut().and_then(take_session);
            (Ok(result), session)
        }
        (None, None) => return Err(Malformed::NotJsonRpc.into()),
    };
    Ok(Answer {
        id,
        result,
        session,
    })
}

fn take_session(members: &mut Map<String, Value>) -> Option<String> {
    match members.remove(SESSION_ID) {
        Some(Value::String(session)) => Some(session),
        Some(_) | None => None,
    }
}

fn refusal(mut error: Value) -> Refusal {
    let code = error.get("code").and_then(Value::as_i64);
    let code = code.and_then(|code| i32::try_from(code).ok());
    let message = error.get("message").and_then(Value::as_str);
    Refusal {
        code: code.unwrap_or(super::CODE_NOT_UNDERSTOOD),
        message: message.unwrap_or_default().to_owned(),
        data: error
            .as_object_mut()
            .and_then(|members| members.remove("data")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Answer, Body, Refusal, encode_call, parse_from_server};
    use crate::frame::{Limits, Malformed};
    use crate::room::envelope::{self, Failure};
    use crate::room::{Incoming, RequestId, Unusable, parse};

    const ID: RequestId = RequestId(7);

    fn read(text: &str) -> Result<Body, Unusable> {
        parse_from_server(text, &Limits::default()).map(|frame| frame.body)
    }

    #[test]
    fn a_server_understands_what_a_client_writes() {
        let params = json!({ "room": "r", "sessionId": "old" });
        let text = encode_call(
            ID,
            "joinRoom",
            params.as_object().cloned().unwrap(),
            Some("S"),
        );
        let Ok(Incoming::Call(call)) = parse(&text, &Limits::default()) else {
            panic!("a call: {text}");
        };
        assert_eq!((call.id, call.method.as_str()), (Some(ID), "joinRoom"));
        assert_eq!(call.session.as_deref(), Some("S"));
        assert_eq!(call.params, Some(json!({ "room": "r" })));
    }

    #[test]
    fn a_client_understands_what_a_server_writes() {
        let refusal = Refusal {
            code: 104,
            message: "taken".into(),
            data: None,
        };
        for (text, result, session) in [
            (
                envelope::result(Some(ID), &json!({ "sdpAnswer": "v=0" }), Some("S")),
                Ok(json!({ "sdpAnswer": "v=0" })),
                Some("S"),
            ),
            (
                envelope::result(Some(ID), &json!([]), None),
                Ok(json!({ "value": [] })),
                None,
            ),
            (envelope::bye(Some(ID)), Ok(json!("bye")), None),
            (
                envelope::error(Some(ID), &Failure::refused(104, "taken"), Some("S")),
                Err(refusal.clone()),
                Some("S"),
            ),
            (
                envelope::error(Some(ID), &Failure::rejected(104, "taken"), Some("S")),
                Err(refusal),
                None,
            ),
        ] {
            let answer = Answer {
                id: ID,
                result,
                session: session.map(str::to_owned),
            };
            assert_eq!(read(&text), Ok(Body::Answer(answer)), "{text}");
        }
        let text = envelope::notification("roomClosed", &json!({ "room": "r" }));
        let expected = Body::Notification {
            method: "roomClosed".into(),
            params: Some(json!({ "room": "r" })),
        };
        assert_eq!(read(&text), Ok(expected));
    }

    #[test]
    fn the_number_of_a_frame_is_kept() {
        for (seq, expected) in [(json!(7), Some(7)), (json!(-1), None), (json!("7"), None)] {
            let text = json!({ "jsonrpc": "2.0", "method": "m", "seq": seq }).to_string();
            let frame = parse_from_server(&text, &Limits::default()).unwrap();
            assert_eq!(frame.seq, expected);
        }
    }

    #[test]
    fn errors_of_odd_shapes_are_still_errors() {
        for (error, code) in [
            (json!({ "code": 1 }), 1),
            (json!({ "code": 1, "message": 5 }), 1),
            (json!({ "code": 1e30 }), -1),
            (json!("no"), -1),
        ] {
            let text = json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
            let Ok(Body::Answer(answer)) = read(&text) else {
                panic!("an answer: {text}");
            };
            assert_eq!(answer.result.unwrap_err().code, code);
        }
    }

    #[test]
    fn what_no_client_takes_is_refused() {
        for (text, error) in [
            ("{", Malformed::Syntax.into()),
            ("[]", Malformed::NotJsonRpc.into()),
            (r#"{"id":1,"result":{}}"#, Malformed::NotJsonRpc.into()),
            (r#"{"jsonrpc":"2.0","id":1}"#, Malformed::NotJsonRpc.into()),
            (
                r#"{"jsonrpc":"2.0","method":1}"#,
                Malformed::NotJsonRpc.into(),
            ),
            (r#"{"jsonrpc":"2.0","id":"x","result":{}}"#, Unusable::Id),
            (r#"{"jsonrpc":"2.0","result":{}}"#, Unusable::Id),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep).is_err());
        assert_eq!(
            read(&Value::Null.to_string()),
            Err(Malformed::NotJsonRpc.into())
        );
    }
}
