//! The interface for administrators, held against its own description.

use std::net::SocketAddr;

use salono_room_server::{AdminToken, RoomServerConfig};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::support::client::TestClient;
use crate::support::{listen, start};

const TOKEN: &str = "sixteen-or-more-characters";

fn config() -> RoomServerConfig {
    RoomServerConfig {
        admin_token: AdminToken::new(TOKEN),
        allow_close: true,
        ..RoomServerConfig::default()
    }
}

/// Status, lower-case head and body.
async fn call(
    address: SocketAddr,
    token: Option<&str>,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> (u16, String, Value) {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if let Some(token) = token {
        text.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    let body = body.map(Value::to_string).unwrap_or_default();
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status, head.to_ascii_lowercase(), body)
}

async fn ask(address: SocketAddr, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let (status, _, body) = call(address, Some(TOKEN), method, path, body).await;
    (status, body)
}

async fn join(address: SocketAddr, user: &str) -> TestClient {
    let mut client = TestClient::connect(address).await;
    let params = json!({ "room": "big room", "user": user });
    let join = json!({ "jsonrpc": "2.0", "id": 1, "method": "joinRoom", "params": params });
    client.send(&join.to_string()).await;
    client.hear_text("join").await;
    client
}

async fn hear(client: &mut TestClient) -> Value {
    serde_json::from_str(&client.hear_text("an event").await).unwrap()
}

#[tokio::test]
async fn administrators_see_and_change_rooms_and_participants() {
    let (server, _kurento) = start(config());
    let address = listen(&server).await;
    let mut ann = join(address, "ann").await;
    let mut bob = join(address, "žo e_").await;
    hear(&mut ann).await;
    let publish = json!({ "sdpOffer": "O", "doLoopback": false });
    let publish = json!({ "jsonrpc": "2.0", "id": 2, "method": "publishVideo", "params": publish });
    ann.send(&publish.to_string()).await;
    hear(&mut ann).await;
    hear(&mut bob).await;

    let rooms = json!({ "rooms": [{ "name": "big room", "locked": false, "participants": 2 }] });
    assert_eq!(
        ask(address, "GET", "/api/v1/rooms", None).await,
        (200, rooms)
    );
    let room = "/api/v1/rooms/big%20room";
    let (status, shown) = ask(address, "GET", room, None).await;
    assert_eq!(status, 200);
    assert_eq!(shown["participants"][0]["user"], "ann");
    assert_eq!(shown["participants"][0]["publishes"], true);
    assert_eq!(shown["participants"][1]["publishes"], false);
    // A session's id is a secret of its client.
    assert!(shown["participants"][0]["id"].as_str().unwrap().len() < 10);

    let person = format!("{room}/participants/ann");
    let mute = format!("{person}/mute");
    let sound = json!({ "video": false });
    assert_eq!(ask(address, "POST", &mute, Some(&sound)).await.0, 204);
    let (_, shown) = ask(address, "GET", &person, None).await;
    assert_eq!(shown["muted"], json!({ "audio": true, "video": false }));
    assert_eq!(ask(address, "POST", &mute, None).await.0, 204);
    let (_, shown) = ask(address, "GET", &person, None).await;
    assert_eq!(shown["muted"], json!({ "audio": true, "video": true }));
    assert_eq!(ask(address, "DELETE", &mute, None).await.0, 204);
    let (_, shown) = ask(address, "GET", &person, None).await;
    assert_eq!(shown["muted"], json!({ "audio": false, "video": false }));
    let silent = format!("{room}/participants/%C5%BEo%20e_");
    let (status, why) = ask(address, "POST", &format!("{silent}/mute"), None).await;
    assert_eq!((status, &why["error"]["code"]), (409, &json!(105)));

    let lock = format!("{room}/lock");
    assert_eq!(ask(address, "POST", &lock, None).await.0, 204);
    let mut late = TestClient::connect(address).await;
    let params = json!({ "room": "big room", "user": "cid" });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "joinRoom", "params": params });
    late.send(&request.to_string()).await;
    assert_eq!(hear(&mut late).await["error"]["code"], 205);
    assert_eq!(ask(address, "DELETE", &lock, None).await.0, 204);
    late.send(&request.to_string()).await;
    assert!(hear(&mut late).await["result"].is_object());
    hear(&mut ann).await;
    hear(&mut bob).await;

    assert_eq!(ask(address, "DELETE", &silent, None).await.0, 204);
    assert_eq!(hear(&mut ann).await["method"], "participantLeft");
    assert_eq!(hear(&mut bob).await["method"], "participantEvicted");
    let (status, why) = ask(address, "DELETE", &silent, None).await;
    assert_eq!((status, &why["error"]["code"]), (404, &json!(102)));
    let (_, listed) = ask(address, "GET", &format!("{room}/participants"), None).await;
    assert_eq!(listed["participants"].as_array().unwrap().len(), 2);

    assert_eq!(ask(address, "DELETE", room, None).await.0, 204);
    assert_eq!(hear(&mut ann).await["method"], "roomClosed");
    let (status, why) = ask(address, "GET", room, None).await;
    assert_eq!((status, &why["error"]["code"]), (404, &json!(202)));

    let new = json!({ "name": "new" });
    assert_eq!(
        ask(address, "POST", "/api/v1/rooms", Some(&new)).await.0,
        201
    );
    assert_eq!(
        ask(address, "POST", "/api/v1/rooms", Some(&new)).await.0,
        200
    );
    let empty = json!({ "name": "" });
    assert_eq!(
        ask(address, "POST", "/api/v1/rooms", Some(&empty)).await.0,
        400
    );
    let odd = json!({ "name": "a", "size": 3 });
    assert_eq!(
        ask(address, "POST", "/api/v1/rooms", Some(&odd)).await.0,
        422
    );
    assert_eq!(
        ask(address, "DELETE", "/api/v1/rooms/new", None).await.0,
        204
    );
}

#[tokio::test]
async fn nobody_gets_in_without_the_token() {
    let (server, _kurento) = start(config());
    let address = listen(&server).await;
    for token in [
        None,
        Some(""),
        Some("sixteen-or-more-character"),
        Some("SIXTEEN-OR-MORE-CHARACTERS"),
    ] {
        let (status, head, _) = call(address, token, "GET", "/api/v1/rooms", None).await;
        assert_eq!(status, 401);
        assert!(head.contains("www-authenticate: bearer"));
        let (status, ..) = call(address, token, "DELETE", "/api/v1/rooms/r", None).await;
        assert_eq!(status, 401);
    }
    // Where there is no token there is no interface.
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    for token in [None, Some(TOKEN), Some("")] {
        let (status, ..) = call(address, token, "GET", "/api/v1/rooms", None).await;
        assert_eq!(status, 404);
    }
    for secret in ["", "short", "has spaces in it, many"] {
        assert_eq!(AdminToken::new(secret), None);
    }
    assert!(!format!("{:?}", config()).contains(TOKEN));
}

#[tokio::test]
async fn every_path_and_method_of_the_description_answers_and_no_other_method_does() {
    let (server, _kurento) = start(config());
    let address = listen(&server).await;
    let (status, head, document) = call(address, None, "GET", "/api/openapi.json", None).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"));
    let paths = document["paths"].as_object().unwrap();
    for (path, operations) in paths {
        // The resources of Kurento Room answer every method, as they do there.
        let is_lenient = path.starts_with("/get");
        let real = path.replace("{room}", "r").replace("{user}", "u");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let (status, _, body) = call(address, Some(TOKEN), method, &real, None).await;
            match operations.get(method.to_ascii_lowercase()) {
                Some(operation) => {
                    let described = operation["responses"].as_object().unwrap();
                    assert!(
                        described.contains_key(&status.to_string()),
                        "{method} {path}: {status} is not described"
                    );
                    let refused = path.starts_with("/api/v1/") && status >= 400;
                    assert!(
                        !refused || body["error"]["message"].is_string(),
                        "{method} {path}"
                    );
                }
                None if is_lenient => assert_eq!(status, 200, "{method} {path}"),
                None => assert_eq!(status, 405, "{method} {path}"),
            }
        }
    }
    // What the router serves beside pages and the WebSocket is described.
    for path in [
        "/getAllRooms",
        "/getClientConfig",
        "/close",
        "/healthz",
        "/api/v1/rooms",
    ] {
        assert!(paths.contains_key(path), "{path}");
    }
}
