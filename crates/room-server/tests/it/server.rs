//! What holds for sockets and HTTP, whatever is said on them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::support::client::{Heard, TestClient};
use crate::support::{access, listen, listen_with, start, token};
use axum::extract::ws;
use salono_room_server::{OriginPolicy, RoomServerConfig, SessionConfig, StaticFile, StaticFiles};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

fn request(id: i64, method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

async fn join(client: &mut TestClient, room: &str, user: &str) -> Value {
    client
        .send(&request(
            1,
            "joinRoom",
            json!({ "room": room, "user": user }),
        ))
        .await;
    let reply: Value = serde_json::from_str(&client.hear_text("join").await).unwrap();
    assert!(reply.get("result").is_some(), "{reply}");
    reply
}

/// Says something and waits until it was carried out.
async fn chat(client: &mut TestClient, room: &str, user: &str, text: &str) {
    let params = json!({ "userMessage": user, "roomMessage": room, "message": text });
    client.send(&request(2, "sendMessage", params)).await;
    let reply = client.hear_text("chat").await;
    assert!(reply.contains("\"result\""), "{reply}");
    client.hear_text("chat").await;
}

/// One HTTP/1.1 exchange: status, header block, body.
async fn http(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, String, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\n");
    if headers.iter().all(|(name, _)| *name != "connection") {
        text.push_str("connection: close\r\n");
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("content-length: 0\r\n\r\n");
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// The headers that make a request a WebSocket upgrade.
const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade, close"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_frame_beyond_the_limit_closes_its_socket_and_nobody_elses() {
    let (server, _kurento) = start(RoomServerConfig {
        max_frame_bytes: 10_000,
        ..RoomServerConfig::default()
    });
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r", "ann").await;
    let mut bob = TestClient::connect(address).await;
    bob.send(&format!("{:9999}", 5)).await;
    join(&mut bob, "other", "bob").await;
    bob.send(&" ".repeat(10_001)).await;
    assert_eq!(bob.hear().await, Some(Heard::Close(Some(1009))));
    chat(&mut ann, "r", "ann", "unharmed").await;
}

#[tokio::test]
async fn a_binary_frame_closes_its_socket() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    ann.send_message(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(ann.hear().await, Some(Heard::Close(Some(1003))));
}

#[tokio::test]
async fn a_megabyte_of_session_description_gets_an_error_and_a_small_one_gets_through() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r", "ann").await;
    let params = json!({ "sdpOffer": "x".repeat(900_000), "doLoopback": false });
    ann.send(&request(2, "publishVideo", params)).await;
    let reply: Value = serde_json::from_str(&ann.hear_text("publish").await).unwrap();
    assert_eq!(reply["error"]["code"], 302);
    let params = json!({ "sdpOffer": "x".repeat(100_000), "doLoopback": false });
    ann.send(&request(3, "publishVideo", params)).await;
    let reply: Value = serde_json::from_str(&ann.hear_text("publish").await).unwrap();
    assert!(reply["result"]["sdpAnswer"].is_string());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_cut_off_and_holds_nobody_up() {
    let (server, _kurento) = start(RoomServerConfig {
        max_outbound_bytes: 50_000,
        ..RoomServerConfig::default()
    });
    let mut ann = TestClient::within(&server);
    join(&mut ann, "r", "ann").await;
    let (deaf, _unread) = TestClient::deaf(&server);
    let text = request(1, "joinRoom", json!({ "room": "r", "user": "deaf" }));
    deaf.send(ws::Message::text(text)).await.unwrap();
    assert!(ann.hear_text("joined").await.contains("participantJoined"));
    let text = "x".repeat(5000);
    for _ in 0..30 {
        chat(&mut ann, "r", "ann", &text).await;
    }
    let metrics = server.snapshot();
    assert_eq!((metrics.slow_clients, metrics.sockets), (1, 1));
    // It counts as a lost connection: ten seconds later it is out.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(ann.hear_text("left").await.contains("participantLeft"));
    assert_eq!(server.snapshot().participants, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_sign_of_life_is_given_up() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let mut ann = TestClient::within(&server);
    join(&mut ann, "r", "ann").await;
    let (deaf, _unread) = TestClient::deaf(&server);
    let text = request(1, "joinRoom", json!({ "room": "r", "user": "deaf" }));
    deaf.send(ws::Message::text(text)).await.unwrap();
    assert!(ann.hear_text("joined").await.contains("participantJoined"));
    tokio::time::sleep(Duration::from_secs(89)).await;
    assert_eq!(ann.hear().await, None);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(ann.hear_text("left").await.contains("participantLeft"));
    assert_eq!(server.snapshot().sockets, 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_cannot_keep_its_connection_from_closing() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let (deaf, _unread) = TestClient::deaf(&server);
    for id in 0..5 {
        let text = request(id, "ping", json!({ "interval": 1000 }));
        deaf.send(ws::Message::text(text)).await.unwrap();
    }
    // Three seconds to the watchdog, two for what is queued, two for an answer.
    tokio::time::timeout(Duration::from_secs(8), deaf.closed())
        .await
        .unwrap();
    assert_eq!(server.snapshot().sockets, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_on_a_new_network_gets_its_session_from_the_dead_connection() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let (dead, mut unread) = TestClient::deaf(&server);
    let text = request(1, "joinRoom", json!({ "room": "r", "user": "ann" }));
    dead.send(ws::Message::text(text)).await.unwrap();
    let ws::Message::Text(reply) = unread.recv().await.unwrap() else {
        panic!("a reply was to come");
    };
    let reply: Value = serde_json::from_str(&reply).unwrap();
    let session = reply["result"]["sessionId"].as_str().unwrap();
    let mut heir = TestClient::within(&server);
    heir.send(&request(2, "connect", json!({ "sessionId": session })))
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(
        heir.hear_text("resume")
            .await
            .contains("reconnection successful")
    );
    chat(&mut heir, "r", "ann", "back again").await;
    assert_eq!(server.snapshot().sockets, 1);
}

/// Fifty people lose their connections at once, three times, for longer and longer.
#[tokio::test(start_paused = true)]
async fn fifty_who_are_cut_off_at_once_miss_nothing_and_nobody_leaves() {
    const PEOPLE: usize = 50;
    let (server, mut kurento) = start(RoomServerConfig::default());
    let mut witness = TestClient::within(&server);
    join(&mut witness, "r", "witness").await;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        let mut client = TestClient::within(&server);
        let params = json!({ "room": "r", "user": format!("user{n}"), "resume": true });
        client.send(&request(1, "joinRoom", params)).await;
        let params = json!({ "sdpOffer": "O", "doLoopback": false });
        client.send(&request(2, "publishVideo", params)).await;
        let reply: Value = serde_json::from_str(&client.hear_text("join").await).unwrap();
        let session = reply["result"]["sessionId"].as_str().unwrap().to_owned();
        people.push((client, session, 0));
    }
    // Everybody hears what there is to be heard, each frame once and in order.
    async fn listen_to(client: &mut TestClient, seen: &mut u64) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Some(Heard::Text(text)) = client.hear().await {
            let frame: Value = serde_json::from_str(&text).unwrap();
            if let Some(seq) = frame["seq"].as_u64() {
                assert_eq!(seq, (*seen).max(1) + 1, "{frame}");
                *seen = seq;
            }
            heard.push(frame);
        }
        heard
    }
    for (client, _, seen) in &mut people {
        listen_to(client, seen).await;
    }
    while witness.hear().await.is_some() {}
    // The pipeline, and two objects of each publisher.
    kurento.order(&format!("objects {}", 1 + 2 * PEOPLE)).await;
    for (round, seconds) in [1, 5, 9].into_iter().enumerate() {
        let mut absent = Vec::new();
        for (client, session, seen) in people {
            client.drop_connection().await;
            absent.push((session, seen));
        }
        let text = format!("round {round}");
        witness
            .send(&request(
                2,
                "sendMessage",
                json!({ "userMessage": "witness", "roomMessage": "r", "message": text }),
            ))
            .await;
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        people = Vec::new();
        for (session, mut seen) in absent {
            let mut client = TestClient::within(&server);
            let params = json!({ "sessionId": session, "seq": seen });
            client.send(&request(3, "connect", params)).await;
            let heard = listen_to(&mut client, &mut seen).await;
            assert_eq!(heard[0]["result"]["value"], "reconnection successful");
            assert_eq!(heard[0]["result"].get("lost"), None);
            let news: Vec<&Value> = heard[1..].iter().collect();
            assert_eq!(news.len(), 1, "{news:?}");
            assert_eq!(news[0]["params"]["message"], text);
            people.push((client, session, seen));
        }
        // The reply and the message: nobody left, nobody came, nothing was unpublished.
        for what in ["\"result\"", "round"] {
            assert!(witness.hear_text("own message").await.contains(what));
        }
        assert_eq!(witness.hear().await, None);
        kurento.order(&format!("objects {}", 1 + 2 * PEOPLE)).await;
    }
    assert_eq!(server.snapshot().participants, PEOPLE as u64 + 1);
}

#[tokio::test]
async fn sockets_beyond_the_limit_are_closed_right_away() {
    let (server, _kurento) = start(RoomServerConfig {
        sessions: SessionConfig {
            max_sockets: 1,
            ..SessionConfig::default()
        },
        ..RoomServerConfig::default()
    });
    let address = listen(&server).await;
    let mut first = TestClient::connect(address).await;
    join(&mut first, "r", "ann").await;
    let mut second = TestClient::connect(address).await;
    assert_eq!(second.hear().await, Some(Heard::Close(Some(1013))));
    assert_eq!(server.snapshot().refused_connections, 1);
    first.close().await;
    let mut tries = 0;
    while server.snapshot().sockets > 0 {
        tries += 1;
        assert!(tries < 10_000, "the first socket is still counted");
        tokio::task::yield_now().await;
    }
    let mut third = TestClient::connect(address).await;
    third.send(&request(1, "ping", json!({}))).await;
    assert!(third.hear_text("ping").await.contains("pong"));
}

#[tokio::test]
async fn rooms_beyond_the_limits_are_refused_with_their_codes() {
    let mut config = RoomServerConfig::default();
    config.rooms.rooms = 1;
    config.rooms.room.limits.participants = 1;
    let (server, _kurento) = start(config);
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r", "ann").await;
    let mut bob = TestClient::connect(address).await;
    for (room, code) in [("r", 201), ("s", 204)] {
        bob.send(&request(
            1,
            "joinRoom",
            json!({ "room": room, "user": "bob" }),
        ))
        .await;
        let reply: Value = serde_json::from_str(&bob.hear_text("join").await).unwrap();
        assert_eq!(reply["error"]["code"], code, "{reply}");
    }
}

#[tokio::test]
async fn a_token_may_come_in_the_url_of_the_socket_and_the_one_of_the_request_counts() {
    let (server, _kurento) = start(RoomServerConfig {
        access: access(false),
        ..RoomServerConfig::default()
    });
    let address = listen(&server).await;
    let for_all = token(&json!({ "room": "*", "role": "subscriber" }));
    let mut ann = TestClient::connect_to(&format!("ws://{address}/room?x=1&token={for_all}")).await;
    let reply = join(&mut ann, "r", "ann").await;
    assert_eq!(reply["result"]["role"], "subscriber");
    let mut bob = TestClient::connect_to(&format!("ws://{address}/room?token={for_all}")).await;
    let elsewhere = token(&json!({ "room": "s" }));
    let params = json!({ "room": "r", "user": "bob", "token": elsewhere });
    bob.send(&request(1, "joinRoom", params)).await;
    let reply: Value = serde_json::from_str(&bob.hear_text("join").await).unwrap();
    assert_eq!(reply["error"]["code"], 405);
}

#[tokio::test]
async fn only_pages_of_allowed_origins_get_a_socket() {
    let (server, _kurento) = start(RoomServerConfig {
        origins: OriginPolicy::AllowList(vec!["https://good.example".into()]),
        ..RoomServerConfig::default()
    });
    let address = listen(&server).await;
    let mut headers = UPGRADE.to_vec();
    headers.push(("origin", "https://evil.example"));
    let (status, _, _) = http(address, "GET", "/room", &headers).await;
    assert_eq!(status, 403);
    // Programs send no origin.
    let mut program = TestClient::connect(address).await;
    join(&mut program, "r", "ann").await;
}

#[tokio::test]
async fn rest_resources_answer_as_the_original_does() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    for (path, body) in [
        ("/getAllRooms", "[]"),
        ("/getUpdateSpeakerInterval", "1800"),
        ("/getThresholdSpeaker", "-50"),
        (
            "/getClientConfig",
            r#"{"loopbackRemote":false,"loopbackAndLocal":false,"filterRequestParam":"hat"}"#,
        ),
    ] {
        for method in ["GET", "POST"] {
            let (status, head, got) = http(address, method, path, &[]).await;
            assert_eq!((status, got.as_str()), (200, body), "{method} {path}");
            assert!(head.contains("content-type: application/json"));
        }
    }
    join(&mut ann, "r <1>", "ann").await;
    let (_, _, rooms) = http(address, "GET", "/getAllRooms", &[]).await;
    assert_eq!(rooms, r#"["r <1>"]"#);
    assert_eq!(http(address, "GET", "/healthz", &[]).await.0, 200);
    assert_eq!(http(address, "GET", "/nothing", &[]).await.0, 404);
    let (status, _, _) = http(address, "GET", "/room", &[]).await;
    assert!((400..500).contains(&status));
}

#[tokio::test]
async fn closing_rooms_over_http_is_off_until_asked_for() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r", "ann").await;
    for method in ["GET", "POST"] {
        assert_eq!(http(address, method, "/close?room=r", &[]).await.0, 404);
    }
    assert_eq!(server.snapshot().rooms, 1);
}

#[tokio::test]
async fn closing_a_room_over_http_takes_a_post_of_ones_own_site() {
    let (server, _kurento) = start(RoomServerConfig {
        allow_close: true,
        ..RoomServerConfig::default()
    });
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r 1", "ann").await;
    let evil = [("origin", "https://evil.example")];
    for (method, path, headers, status) in [
        ("GET", "/close?room=r%201", [].as_slice(), 405),
        ("POST", "/close?room=r%201", evil.as_slice(), 403),
        ("POST", "/close", &[], 400),
        ("POST", "/close?room=other", &[], 404),
    ] {
        assert_eq!(
            http(address, method, path, headers).await.0,
            status,
            "{method} {path}"
        );
    }
    assert_eq!(server.snapshot().rooms, 1);
    let (status, _, body) = http(address, "POST", "/close?room=r%201", &[]).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(
        ann.hear_text("closed").await,
        r#"{"method":"roomClosed","params":{"room":"r 1"},"jsonrpc":"2.0"}"#
    );
    assert_eq!(http(address, "POST", "/close?room=r%201", &[]).await.0, 404);
}

#[tokio::test]
async fn pages_come_with_their_headers_and_are_not_sent_twice() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let page = StaticFile {
        bytes: "<h1>hello</h1>".into(),
        mime: "text/html; charset=utf-8".into(),
        etag: "v1".into(),
    };
    let address = listen_with(&server, StaticFiles::default().with("/", page)).await;
    let (status, head, body) = http(address, "GET", "/", &[]).await;
    assert_eq!((status, body.as_str()), (200, "<h1>hello</h1>"));
    for header in [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'self'",
        "x-content-type-options: nosniff",
        "x-frame-options: deny",
        "referrer-policy: no-referrer",
        "etag: \"v1\"",
    ] {
        assert!(head.contains(header), "{header} is not in {head}");
    }
    let (status, head, body) = http(address, "HEAD", "/", &[]).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert!(head.contains("content-length: 14"));
    for (tag, expected) in [
        ("\"v1\"", 304),
        ("W/\"v1\"", 304),
        ("\"v0\", \"v1\"", 304),
        ("\"v0\"", 200),
    ] {
        let (status, _, body) = http(address, "GET", "/", &[("if-none-match", tag)]).await;
        assert_eq!(status, expected, "{tag}");
        assert_eq!(body.is_empty(), expected == 304);
    }
    assert_eq!(http(address, "DELETE", "/", &[]).await.0, 405);
    assert_eq!(http(address, "GET", "/../../etc/passwd", &[]).await.0, 404);
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_in_time_even_if_the_media_server_and_a_client_hang() {
    let (server, mut kurento) = start(RoomServerConfig::default());
    let mut ann = TestClient::within(&server);
    join(&mut ann, "r", "ann").await;
    kurento.order("hold processOffer").await;
    let params = json!({ "sdpOffer": "O", "doLoopback": false });
    ann.send(&request(2, "publishVideo", params)).await;
    kurento.order("waiting 1").await;
    let (deaf, _unread) = TestClient::deaf(&server);
    for id in 0..3 {
        deaf.send(ws::Message::text(request(id, "ping", json!({}))))
            .await
            .unwrap();
    }
    let before = tokio::time::Instant::now();
    server.shutdown().await;
    assert!(before.elapsed() <= Duration::from_secs(3));
    let mut heard = Vec::new();
    loop {
        match ann.hear().await {
            Some(Heard::Text(text)) => heard.push(text),
            end => {
                assert_eq!(end, Some(Heard::Close(Some(1001))));
                break;
            }
        }
    }
    assert!(
        heard.iter().any(|text| text.contains("roomClosed")),
        "{heard:?}"
    );
    let late = listen(&server).await;
    assert_eq!(http(late, "GET", "/healthz", &[]).await.0, 503);
    assert_eq!(http(late, "GET", "/room", &UPGRADE).await.0, 503);
}

#[tokio::test]
async fn everything_is_counted() {
    let (server, _kurento) = start(RoomServerConfig::default());
    let address = listen(&server).await;
    let mut ann = TestClient::connect(address).await;
    join(&mut ann, "r", "ann").await;
    ann.send("nonsense").await;
    ann.send(&request(2, "nothing", json!({}))).await;
    ann.hear_text("unknown").await;
    ann.send(&request(3, "ping", json!({}))).await;
    ann.hear_text("ping").await;
    let metrics = server.snapshot();
    assert_eq!((metrics.rooms, metrics.participants), (1, 1));
    assert_eq!((metrics.sockets, metrics.sessions), (1, 1));
    assert_eq!((metrics.errors, metrics.unusable_frames), (1, 1));
    for method in ["joinRoom", "unknown", "builtin"] {
        assert_eq!(metrics.requests[method], 1, "{method}");
    }
}

#[tokio::test]
async fn a_thousand_clients_in_a_hurry_leave_nothing_behind() {
    let (server, mut kurento) = start(RoomServerConfig {
        // However busy the machine is, goodbyes are to be heard.
        close_patience: Duration::from_secs(600),
        ..RoomServerConfig::default()
    });
    let server = Arc::new(server);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let server = Arc::clone(&server);
        all.spawn(async move {
            let client = TestClient::within(&server);
            let room = format!("r{}", number % 37);
            let user = format!("u{number}");
            client
                .send(&request(
                    1,
                    "joinRoom",
                    json!({ "room": room, "user": user }),
                ))
                .await;
            let params = json!({ "sdpOffer": "O", "doLoopback": false });
            client.send(&request(2, "publishVideo", params)).await;
            let goodbye = if number % 2 == 0 {
                "leaveRoom"
            } else {
                "closeSession"
            };
            client.send(&request(3, goodbye, json!({}))).await;
            let mut client = client;
            client.wait_for_close().await;
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    kurento.order("objects 0").await;
    let metrics = server.snapshot();
    assert_eq!((metrics.sockets, metrics.rooms), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn frames_are_byte_for_byte_what_the_original_writes() {
    let (server, mut kurento) = start(RoomServerConfig::default());
    kurento.order("candidates").await;
    let mut ann = TestClient::within(&server);
    let reply = join(&mut ann, "r", "ann").await;
    let ann_session = reply["result"]["sessionId"].as_str().unwrap().to_owned();
    let mut bob = TestClient::within(&server);
    bob.send(&request(1, "connect", json!({}))).await;
    let reply: Value = serde_json::from_str(&bob.hear_text("connect").await).unwrap();
    let session = reply["result"]["sessionId"].as_str().unwrap().to_owned();
    bob.send(&request(
        2,
        "joinRoom",
        json!({ "room": "r", "user": "ann" }),
    ))
    .await;
    let refusal = bob.hear_text("refusal").await;
    assert!(refusal.starts_with(r#"{"id":2,"error":{"code":104,"message":""#));
    let end = format!(r#"","sessionId":"{session}"}},"jsonrpc":"2.0","data":{{}}}}"#);
    assert!(refusal.ends_with(&end));
    bob.send(&request(
        3,
        "joinRoom",
        json!({ "room": "r", "user": "bob" }),
    ))
    .await;
    assert_eq!(
        bob.hear_text("join").await,
        format!(
            r#"{{"id":3,"result":{{"value":[{{"id":"ann"}}],"sessionId":"{session}"}},"jsonrpc":"2.0"}}"#
        )
    );
    let joined = ann.hear_text("joined").await;
    assert_eq!(
        joined,
        r#"{"method":"participantJoined","params":{"id":"bob"},"jsonrpc":"2.0"}"#
    );
    let params = json!({ "sdpOffer": "O", "doLoopback": false });
    ann.send(&request(2, "publishVideo", params)).await;
    let mut heard = [
        ann.hear_text("answer").await,
        ann.hear_text("candidate").await,
    ];
    heard.sort();
    assert_eq!(
        heard,
        [
            format!(r#"{{"id":2,"result":{{"sdpAnswer":"answer to O","sessionId":"{ann_session}"}},"jsonrpc":"2.0"}}"#),
            r#"{"method":"iceCandidate","params":{"endpointName":"ann","sdpMLineIndex":0,"sdpMid":"0","candidate":"candidate:1"},"jsonrpc":"2.0"}"#.to_owned(),
        ]
    );
    assert_eq!(
        bob.hear_text("published").await,
        r#"{"method":"participantPublished","params":{"id":"ann","streams":[{"id":"webcam"}]},"jsonrpc":"2.0"}"#
    );
    let params = json!({ "userMessage": "ann", "roomMessage": "r", "message": "<&'=>" });
    ann.send(&request(3, "sendMessage", params)).await;
    assert_eq!(
        bob.hear_text("chat").await,
        r#"{"method":"sendMessage","params":{"room":"r","user":"ann","message":"<&'=>"},"jsonrpc":"2.0"}"#
    );
}
