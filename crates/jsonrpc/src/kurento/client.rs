//! The client's side: requests are written, answers and events are read.

use super::ON_EVENT;
use crate::frame::{self, ErrorObject, Frame, Limits, Malformed};
use salono_kurento_model::wire::{Notification, Request};
use salono_kurento_model::{Error, ErrorCode, Map, Value};

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
