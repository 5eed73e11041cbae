//! What both sides make of each other's texts.

use super::*;
use crate::frame::Limits;
use salono_kurento_model::wire::{ClientMessage, Notification, Request, ServerMessage};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
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
