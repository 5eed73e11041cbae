//! The dialect between media servers and their clients (Kurento Protocol).
//!
//! Server side: [`decode_request`] and [`encode_message`]. Client side: [`encode_request`] and
//! [`parse_incoming`]. Scalars are read as leniently as Kurento reads them: a string parameter also
//! takes numbers, booleans and `null`. Unknown members are ignored everywhere.

use crate::frame::{self, ErrorObject, Frame, Limits, Malformed};
use salono_kurento_model::wire::{ClientMessage, Notification, Request, ServerMessage};
use salono_kurento_model::{Error, ErrorCode, Map, Value};

/// Name of the only notification that a server sends.
const ON_EVENT: &str = "onEvent";

/// Reads what a client sent.
///
/// `session_known` says whether the connection has a session already: Kurento then adds the session
/// to the parameters, so that absent parameters count as empty ones.
///
/// # Errors
/// The answer to send back when the text is no request of this protocol. Boxed because it is rare.
pub fn decode_request(
    text: &str,
    limits: &Limits,
    session_known: bool,
) -> Result<ClientMessage, Box<ServerMessage>> {
    let refuse = |id, error| {
        Box::new(ServerMessage::Response {
            id,
            result: Err(error),
        })
    };
    let frame = frame::parse(text, limits).map_err(|why| refuse(None, malformed(&why)))?;
    let Frame::Request { id, method, params } = frame else {
        return Err(refuse(None, malformed(&Malformed::NotJsonRpc)));
    };
    match request(&method, params, session_known) {
        Ok((session, request)) => Ok(ClientMessage {
            id,
            session,
            request,
        }),
        Err(error) => Err(refuse(id, error)),
    }
}

/// Reads method and parameters: the session they name, and the request.
///
/// # Errors
/// -32601 for an unknown method, -32602 for parameters that are no object, -32000 for a missing or
/// mistyped parameter.
pub fn request(
    method: &str,
    params: Option<Value>,
    session_known: bool,
) -> Result<(Option<String>, Request), Error> {
    if !METHODS.contains(&method) {
        return Err(Error::new(ErrorCode::MethodNotFound, "Method not found."));
    }
    let optional = session_known || matches!(method, "connect" | "ping");
    let mut params = match params {
        Some(Value::Object(params)) => params,
        None | Some(Value::Null) if optional => Map::new(),
        None | Some(_) => {
            return Err(Error::new(ErrorCode::InvalidParams, "'params' is required"));
        }
    };
    // What cannot be read as a text counts as absent, and an empty name is no session.
    let session = params
        .get("sessionId")
        .and_then(text)
        .filter(|session| !session.is_empty());
    let params = &mut params;
    let request = match method {
        "connect" => Request::Connect,
        "ping" => Request::Ping {
            interval_ms: params.get("interval").and_then(Value::as_u64),
        },
        "create" => Request::Create {
            class: string(params, "type")?,
            params: params.remove("constructorParams"),
        },
        "describe" => Request::Describe {
            object: string(params, "object")?,
        },
        "invoke" => {
            let operation = string(params, "operation")?;
            Request::Invoke {
                object: string(params, "object")?,
                operation,
                params: params.remove("operationParams"),
            }
        }
        "subscribe" => {
            let event = string(params, "type")?;
            Request::Subscribe {
                object: string(params, "object")?,
                event,
            }
        }
        "unsubscribe" => {
            let subscription = string(params, "subscription")?;
            Request::Unsubscribe {
                object: string(params, "object")?,
                subscription,
            }
        }
        "release" => Request::Release {
            object: string(params, "object")?,
        },
        "ref" => Request::Ref {
            object: string(params, "object")?,
        },
        "unref" => Request::Unref {
            object: string(params, "object")?,
        },
        "keepAlive" => Request::KeepAlive,
        "closeSession" => Request::CloseSession {
            release: match params.get("release") {
                None => false,
                Some(value) => boolean(value).ok_or_else(|| mistyped("release", "a boolean"))?,
            },
        },
        "transaction" => Request::Transaction {
            operations: match params.remove("operations") {
                None => return Err(missing("operations")),
                Some(Value::Null) => Vec::new(),
                Some(Value::Array(operations)) => operations,
                Some(_) => return Err(mistyped("operations", "an array")),
            },
        },
        _ => return Err(Error::new(ErrorCode::MethodNotFound, "Method not found.")),
    };
    Ok((session, request))
}

/// Reads method and parameters of an operation of a transaction, whose session is the transaction's.
///
/// # Errors
/// As [`request`].
pub fn read_operation(method: &str, params: Option<Value>) -> Result<Request, Error> {
    request(method, params, true).map(|(_, request)| request)
}

/// Text of an answer or an event.
pub fn encode_message(message: &ServerMessage) -> String {
    match message {
        ServerMessage::Response { id, result } => frame::encode_response(
            id.clone().unwrap_or(Value::Null),
            result.clone().map_err(|error| error_object(&error)),
        ),
        ServerMessage::Event(event) => {
            let mut value = Map::new();
            value.insert("data".to_owned(), Value::Object(event.data.clone()));
            value.insert("object".to_owned(), event.object.clone().into());
            value.insert("type".to_owned(), event.event.clone().into());
            let mut params = Map::new();
            params.insert("value".to_owned(), Value::Object(value));
            frame::encode_request(None, ON_EVENT, Value::Object(params))
        }
    }
}

/// An error as the `error` member of a response.
pub fn error_object(error: &Error) -> ErrorObject {
    ErrorObject {
        code: error.code.code(),
        message: error.message.clone(),
        data: error.data(),
    }
}

/// Text of a request of ours.
pub fn encode_request(id: impl Into<Value>, request: &Request, session: Option<&str>) -> String {
    let (method, params) = method_and_params(request, session);
    frame::encode_request(Some(&id.into()), method, Value::Object(params))
}

/// A request of ours as an operation of a transaction, which lends it its session.
pub fn encode_operation(index: usize, request: &Request) -> Value {
    let (method, params) = method_and_params(request, None);
    let members = [
        ("jsonrpc", "2.0".into()),
        ("id", index.into()),
        ("method", method.into()),
        ("params", Value::Object(params)),
    ];
    let members = members.map(|(name, value)| (name.to_owned(), value));
    Value::Object(Map::from_iter(members))
}

fn method_and_params(
    request: &Request,
    session: Option<&str>,
) -> (&'static str, Map<String, Value>) {
    let mut params = Map::new();
    let mut put = |name: &str, value: Value| {
        params.insert(name.to_owned(), value);
    };
    if let Some(session) = session {
        put("sessionId", session.into());
    }
    let method = match request {
        Request::Connect => "connect",
        Request::Ping { interval_ms } => {
            if let Some(interval) = interval_ms {
                put("interval", (*interval).into());
            }
            "ping"
        }
        Request::Create {
            class,
            params: constructor,
        } => {
            put("type", class.as_str().into());
            if let Some(constructor) = constructor {
                put("constructorParams", constructor.clone());
            }
            "create"
        }
        Request::Describe { object } => {
            put("object", object.as_str().into());
            "describe"
        }
        Request::Invoke {
            object,
            operation,
            params: arguments,
        } => {
            put("object", object.as_str().into());
            put("operation", operation.as_str().into());
            if let Some(arguments) = arguments {
                put("operationParams", arguments.clone());
            }
            "invoke"
        }
        Request::Subscribe { object, event } => {
            put("object", object.as_str().into());
            put("type", event.as_str().into());
            "subscribe"
        }
        Request::Unsubscribe {
            object,
            subscription,
        } => {
            put("object", object.as_str().into());
            put("subscription", subscription.as_str().into());
            "unsubscribe"
        }
        Request::Release { object } => {
            put("object", object.as_str().into());
            "release"
        }
        Request::Ref { object } => {
            put("object", object.as_str().into());
            "ref"
        }
        Request::Unref { object } => {
            put("object", object.as_str().into());
            "unref"
        }
        Request::KeepAlive => "keepAlive",
        Request::CloseSession { release } => {
            put("release", (*release).into());
            "closeSession"
        }
        Request::Transaction { operations } => {
            put("operations", operations.clone().into());
            "transaction"
        }
    };
    (method, params)
}

/// What a client hears from a media server.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// The answer to one of our requests.
    Response {
        /// Identifier of the request; `null` when the server could not read it.
        id: Value,
        /// The whole `result` member, or the error.
        result: Result<Value, Error>,
    },
    /// An event that we subscribed to.
    Event(Notification),
}

/// Longest text that a client takes from a server; a module descriptor is well below it.
const INCOMING: Limits = Limits {
    max_bytes: 16 << 20,
    max_depth: 64,
};

/// Reads what a media server sent.
///
/// # Errors
/// [`Malformed`]; notifications other than `onEvent` count as [`Malformed::NotJsonRpc`].
pub fn parse_incoming(text: &str) -> Result<Incoming, Malformed> {
    match frame::parse(text, &INCOMING)? {
        Frame::Response { id, result } => Ok(Incoming::Response {
            id,
            result: result.map_err(model_error),
        }),
        Frame::Request { method, params, .. } => {
            if method != ON_EVENT {
                return Err(Malformed::NotJsonRpc);
            }
            notification(params).map(Incoming::Event)
        }
    }
}

fn notification(params: Option<Value>) -> Result<Notification, Malformed> {
    let take = |value: Option<Value>| match value {
        Some(Value::Object(object)) => Ok(object),
        None | Some(_) => Err(Malformed::NotJsonRpc),
    };
    let name = |value: Option<Value>| match value {
        Some(Value::String(name)) => Ok(name),
        None | Some(_) => Err(Malformed::NotJsonRpc),
    };
    let mut value = take(take(params)?.remove("value"))?;
    Ok(Notification {
        object: name(value.remove("object"))?,
        event: name(value.remove("type"))?,
        data: match value.remove("data") {
            Some(data) => take(Some(data))?,
            None => Map::new(),
        },
    })
}

fn model_error(error: ErrorObject) -> Error {
    let code = ErrorCode::from(error.code);
    // `data` that the code implies is not kept, so that equal errors compare equal.
    let implied = Error::new(code, String::new()).data();
    Error {
        code,
        message: error.message,
        data: error.data.filter(|data| Some(data) != implied.as_ref()),
    }
}

/// Every method of the protocol.
const METHODS: &[&str] = &[
    "connect",
    "ping",
    "create",
    "describe",
    "invoke",
    "subscribe",
    "unsubscribe",
    "release",
    "ref",
    "unref",
    "keepAlive",
    "closeSession",
    "transaction",
];

fn malformed(why: &Malformed) -> Error {
    match why {
        Malformed::Syntax => Error::new(ErrorCode::ParseError, "Parse error."),
        Malformed::TooLong(_) | Malformed::TooDeep(_) | Malformed::NotJsonRpc => {
            Error::new(ErrorCode::InvalidRequest, "Invalid JSON-RPC request.")
        }
    }
}

fn missing(name: &str) -> Error {
    Error::new(
        ErrorCode::ServerError,
        format!("'{name}' parameter is required"),
    )
}

fn mistyped(name: &str, expected: &str) -> Error {
    Error::new(
        ErrorCode::ServerError,
        format!("'{name}' parameter should be {expected}"),
    )
}

fn string(params: &Map<String, Value>, name: &str) -> Result<String, Error> {
    let value = params.get(name).ok_or_else(|| missing(name))?;
    text(value).ok_or_else(|| mistyped(name, "a string"))
}

/// The value as Kurento's JSON library reads it where a string is wanted.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// The value as Kurento's JSON library reads it where a boolean is wanted.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Null => Some(false),
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(text: &str, session_known: bool) -> Value {
        let answer = decode_request(text, &Limits::default(), session_known).unwrap_err();
        serde_json::from_str(&encode_message(&answer)).unwrap()
    }

    fn accepted(value: Value) -> ClientMessage {
        decode_request(&value.to_string(), &Limits::default(), false).unwrap()
    }

    fn all_requests() -> Vec<Request> {
        let name = |name: &str| name.to_owned();
        vec![
            Request::Connect,
            Request::Ping { interval_ms: None },
            Request::Ping {
                interval_ms: Some(60_000),
            },
            Request::Create {
                class: name("PassThrough"),
                params: Some(json!({"mediaPipeline":"P"})),
            },
            Request::Describe { object: name("O") },
            Request::Invoke {
                object: name("O"),
                operation: name("getName"),
                params: None,
            },
            Request::Subscribe {
                object: name("O"),
                event: name("Error"),
            },
            Request::Unsubscribe {
                object: name("O"),
                subscription: name("U"),
            },
            Request::Release { object: name("O") },
            Request::Ref { object: name("O") },
            Request::Unref { object: name("O") },
            Request::KeepAlive,
            Request::CloseSession { release: true },
            Request::Transaction {
                operations: vec![json!({"id":0})],
            },
        ]
    }

    #[test]
    fn what_a_client_encodes_is_what_a_server_decodes() {
        for (id, request) in all_requests().into_iter().enumerate() {
            for session in [None, Some("S")] {
                let text = encode_request(id, &request, session);
                let message = decode_request(&text, &Limits::default(), false).unwrap();
                assert_eq!(message.id, Some(json!(id)));
                assert_eq!(message.session.as_deref(), session);
                assert_eq!(message.request, request);
            }
        }
    }

    #[test]
    fn what_a_server_encodes_is_what_a_client_parses() {
        let event = Notification {
            object: "O".to_owned(),
            event: "Error".to_owned(),
            data: Map::from_iter([("source".to_owned(), json!("O"))]),
        };
        let text = encode_message(&ServerMessage::Event(event.clone()));
        assert_eq!(parse_incoming(&text), Ok(Incoming::Event(event)));
        let error = Error::new(ErrorCode::MediaObjectNotFound, "Object 'x' not found");
        for result in [Ok(json!({"value":"v","sessionId":"S"})), Err(error)] {
            let text = encode_message(&ServerMessage::Response {
                id: Some(json!(7)),
                result: result.clone(),
            });
            assert_eq!(
                parse_incoming(&text),
                Ok(Incoming::Response {
                    id: json!(7),
                    result
                })
            );
        }
    }

    #[test]
    fn malformed_texts_get_the_codes_of_json_rpc() {
        assert_eq!(
            refused("{", false),
            json!({"id":null,"jsonrpc":"2.0","error":{"code":-32700,"message":"Parse error."}})
        );
        for text in ["[]", "5", r#"{"jsonrpc":"2.0","id":23,"result":{}}"#] {
            assert_eq!(
                refused(text, false),
                json!({"id":null,"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid JSON-RPC request."}})
            );
        }
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":1,"method":"onEvent"}"#, true),
            json!({"id":1,"jsonrpc":"2.0","error":{"code":-32601,"message":"Method not found."}})
        );
        assert_eq!(
            refused(r#"{"jsonrpc":"2.0","id":1,"method":"create"}"#, false),
            json!({"id":1,"jsonrpc":"2.0","error":{"code":-32602,"message":"'params' is required","data":{"type":"INVALID_PARAMS"}}})
        );
    }

    #[test]
    fn missing_parameters_are_named_in_the_order_of_the_reference() {
        for (method, params, message) in [
            ("create", json!({}), "'type' parameter is required"),
            ("invoke", json!({}), "'operation' parameter is required"),
            (
                "invoke",
                json!({"operation":"o"}),
                "'object' parameter is required",
            ),
            ("subscribe", json!({}), "'type' parameter is required"),
            (
                "subscribe",
                json!({"type":"t"}),
                "'object' parameter is required",
            ),
            (
                "unsubscribe",
                json!({"object":"o"}),
                "'subscription' parameter is required",
            ),
            ("describe", json!({}), "'object' parameter is required"),
            (
                "transaction",
                json!({}),
                "'operations' parameter is required",
            ),
            (
                "transaction",
                json!({"operations":5}),
                "'operations' parameter should be an array",
            ),
            (
                "create",
                json!({"type":{}}),
                "'type' parameter should be a string",
            ),
            (
                "closeSession",
                json!({"release":"x"}),
                "'release' parameter should be a boolean",
            ),
        ] {
            let error = request(method, Some(params), false).unwrap_err();
            assert_eq!(error.message, message);
            assert_eq!(error.code, ErrorCode::ServerError);
            assert_eq!(error.data(), None);
        }
        // With a session on the connection, absent parameters are empty ones.
        let error = request("invoke", None, true).unwrap_err();
        assert_eq!(error.message, "'operation' parameter is required");
    }

    #[test]
    fn scalars_are_read_leniently_and_junk_is_ignored() {
        let message = accepted(json!({"jsonrpc":"2.0","id":"x","method":"create","extra":1,
            "params":{"type":5,"properties":{},"object":{"domain":null},"sessionId":5}}));
        assert_eq!(message.session.as_deref(), Some("5"));
        assert_eq!(
            message.request,
            Request::Create {
                class: "5".to_owned(),
                params: None
            }
        );
        for session in [json!({}), json!([]), json!(""), json!(null)] {
            let message = accepted(
                json!({"jsonrpc":"2.0","id":1,"method":"ping","params":{"sessionId":session}}),
            );
            assert_eq!(message.session, None);
        }
    }
}
