//! The server's side: requests are read, answers and events are written.

use super::ON_EVENT;
use crate::frame::{self, ErrorObject, Frame, Limits, Malformed};
use salono_kurento_model::wire::{ClientMessage, Request, ServerMessage};
use salono_kurento_model::{Error, ErrorCode, Map, Value};

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
