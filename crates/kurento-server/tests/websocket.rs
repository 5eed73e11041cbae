//! The server over real WebSockets on the loopback interface.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use futures_util::{SinkExt as _, StreamExt as _};
use salono_jsonrpc::Limits;
use salono_kurento_model::{Value, json};
use salono_kurento_server::{Config, ListenerConfig, serve_listener};
use std::{net::SocketAddr, time::Duration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Message,
        client::IntoClientRequest as _,
        protocol::frame::{
            Frame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

struct Server {
    address: SocketAddr,
    running: fake_engine::Running,
}

async fn start(listener: ListenerConfig) -> Server {
    start_with(Config::default(), listener).await
}

async fn start_with(config: Config, listener: ListenerConfig) -> Server {
    let running = fake_engine::start(config);
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(serve_listener(running.handle.clone(), socket, listener));
    Server { address, running }
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(server: &Server, target: &str) -> Self {
        let url = format!("ws://{}{target}", server.address);
        Self(connect_async(url).await.unwrap().0)
    }

    async fn send(&mut self, text: impl Into<String>) {
        let text: String = text.into();
        self.0.send(Message::Text(text.into())).await.unwrap();
    }

    /// The next message that is no ping: a text as JSON, or the code of the close.
    async fn next(&mut self) -> Result<Value, Option<CloseCode>> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.parse().unwrap()),
                Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code)),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Binary(_) | Message::Frame(_)) | Err(_)) | None => {
                    return Err(None);
                }
            }
        }
    }

    async fn ask(&mut self, id: u64, method: &str, params: Value) -> Value {
        let request = json!({"jsonrpc":"2.0","id":id,"method":method,"params":params});
        self.send(request.to_string()).await;
        loop {
            let message = self.next().await.unwrap();
            if message["id"] == id {
                return message;
            }
        }
    }
}

#[tokio::test]
async fn a_client_creates_subscribes_and_hears_its_events() {
    let server = start(ListenerConfig::default()).await;
    let mut client = Client::connect(&server, "/kurento?access_token=x").await;
    // As the JavaScript client begins: two requests back to back, neither with a session.
    let describe = json!({"jsonrpc":"2.0","id":1,"method":"describe","params":{"object":"manager_ServerManager"}});
    let create = json!({"jsonrpc":"2.0","id":2,"method":"create","params":{"type":"MediaPipeline","properties":{}}});
    client.send(describe.to_string()).await;
    client.send(create.to_string()).await;
    let described = client.next().await.unwrap();
    let created = client.next().await.unwrap();
    assert_eq!(
        described["result"]["sessionId"],
        created["result"]["sessionId"]
    );
    let params = json!({"mediaPipeline": created["result"]["value"]});
    let params = json!({"type":"WebRtcEndpoint","constructorParams":params});
    let endpoint = client.ask(3, "create", params).await["result"]["value"].clone();
    let params = json!({"object":endpoint,"type":"IceCandidateFound"});
    client.ask(4, "subscribe", params).await;
    let gather = json!({"jsonrpc":"2.0","id":5,"method":"invoke","params":{"object":endpoint,"operation":"gatherCandidates"}});
    client.send(gather.to_string()).await;
    let event = client.next().await.unwrap();
    assert_eq!(event["method"], "onEvent");
    assert_eq!(event["params"]["value"]["type"], "IceCandidateFound");
    assert!(event.get("id").is_none());
}

#[tokio::test]
async fn a_session_continues_on_a_new_connection_after_the_old_one_broke() {
    let server = start(ListenerConfig::default()).await;
    let mut old = Client::connect(&server, "/kurento").await;
    let created = old.ask(1, "create", json!({"type":"MediaPipeline"})).await;
    let session = created["result"]["sessionId"].clone();
    let params = json!({"object":"manager_ServerManager","type":"ObjectCreated"});
    old.ask(2, "subscribe", params).await;
    drop(old);
    let mut new = Client::connect(&server, "/kurento").await;
    let connected = new.ask(3, "connect", json!({"sessionId":session})).await;
    assert_eq!(connected["result"]["sessionId"], session);
    let create =
        json!({"jsonrpc":"2.0","id":4,"method":"create","params":{"type":"MediaPipeline"}});
    new.send(create.to_string()).await;
    let event = new.next().await.unwrap();
    assert_eq!(event["params"]["value"]["type"], "ObjectCreated");
}

#[tokio::test]
async fn another_path_is_closed_as_a_protocol_error() {
    let server = start(ListenerConfig::default()).await;
    for path in ["/wrong", "/kurento/", "/"] {
        let mut client = Client::connect(&server, path).await;
        assert_eq!(
            client.next().await,
            Err(Some(CloseCode::Protocol)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn plain_http_gets_the_status_that_health_checks_look_for() {
    let server = start(ListenerConfig::default()).await;
    for (head, status) in [
        ("GET /kurento HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
        (
            "GET /kurento HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "500",
        ),
        ("\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let prefix = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&prefix), "{head}: {answer}");
    }
}

#[tokio::test]
async fn only_listed_origins_get_in() {
    let listener = ListenerConfig {
        origins: vec!["https://example.org".to_owned()],
        ..ListenerConfig::default()
    };
    let server = start(listener).await;
    for (origin, allowed) in [
        (None, true),
        (Some("https://example.org"), true),
        (Some("https://example.org.evil.example"), false),
        (Some("127.0.0.1:8888"), false),
    ] {
        let url = format!("ws://{}/kurento", server.address);
        let mut request = url.into_client_request().unwrap();
        if let Some(origin) = origin {
            let headers = request.headers_mut();
            headers.insert("Origin", origin.parse().unwrap());
        }
        let connected = connect_async(request).await.is_ok();
        assert_eq!(connected, allowed, "{origin:?}");
    }
}

#[tokio::test]
async fn malformed_texts_are_answered_and_the_connection_lives() {
    let server = start(ListenerConfig::default()).await;
    let mut client = Client::connect(&server, "/kurento").await;
    let deep = "[".repeat(1_000);
    for (text, code) in [
        ("{", -32700),
        ("", -32700),
        ("[]", -32600),
        (deep.as_str(), -32600),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\"}", -32601),
        (
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"create\"}",
            -32602,
        ),
    ] {
        client.send(text).await;
        assert_eq!(client.next().await.unwrap()["error"]["code"], code);
    }
    let pong = client.ask(1, "ping", json!({})).await;
    assert_eq!(pong["result"]["value"], "pong");
}

#[tokio::test]
async fn too_long_frames_end_their_connection_only_and_binary_ones_count_as_texts() {
    let listener = ListenerConfig {
        frames: Limits {
            max_bytes: 1_000,
            max_depth: 64,
        },
        ..ListenerConfig::default()
    };
    let server = start(listener).await;
    let mut other = Client::connect(&server, "/kurento").await;
    let mut long = Client::connect(&server, "/kurento").await;
    long.send("x".repeat(1_001)).await;
    assert_eq!(long.next().await, Err(Some(CloseCode::Size)));
    let mut binary = Client::connect(&server, "/kurento").await;
    for (bytes, member) in [
        (
            br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec(),
            "result",
        ),
        (vec![0xFF; 10], "error"),
    ] {
        binary.0.send(Message::Binary(bytes.into())).await.unwrap();
        assert!(binary.next().await.unwrap()[member].is_object());
    }
    assert_eq!(
        other.ask(1, "ping", json!({})).await["result"]["value"],
        "pong"
    );
}

#[tokio::test]
async fn a_request_in_single_bytes_is_answered_and_fragments_without_end_are_not_kept() {
    let listener = ListenerConfig {
        frames: Limits {
            max_bytes: 1_000,
            max_depth: 64,
        },
        ..ListenerConfig::default()
    };
    let server = start(listener).await;
    let fragment = |byte: u8, first: bool, last: bool| {
        let code = OpCode::Data(if first { Data::Text } else { Data::Continue });
        Message::Frame(Frame::message(vec![byte], code, last))
    };
    let mut client = Client::connect(&server, "/kurento").await;
    let request = br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (at, byte) in request.iter().enumerate() {
        let message = fragment(*byte, at == 0, at + 1 == request.len());
        client.0.send(message).await.unwrap();
    }
    assert_eq!(client.next().await.unwrap()["result"]["value"], "pong");
    for at in 0..1_001 {
        client.0.send(fragment(b' ', at == 0, false)).await.unwrap();
    }
    assert_eq!(client.next().await, Err(Some(CloseCode::Size)));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_disconnected_and_others_are_served() {
    let config = Config {
        outbound_messages: 16,
        ..Config::default()
    };
    let listener = ListenerConfig {
        send_time: Duration::from_millis(200),
        ..ListenerConfig::default()
    };
    let server = start_with(config, listener).await;
    let mut other = Client::connect(&server, "/kurento").await;
    let mut lazy = Client::connect(&server, "/kurento").await;
    // Answers of some 40 KB that nobody takes fill the socket, then the queue.
    let send_until_refused = async {
        for id in 0_u64.. {
            let request = json!({"jsonrpc":"2.0","id":id,"method":"invoke","params":{
                "object":"manager_ServerManager","operation":"getKmd","operationParams":{"moduleName":"core"}}});
            let message = Message::Text(request.to_string().into());
            if lazy.0.send(message).await.is_err() {
                break;
            }
        }
    };
    let refused = tokio::time::timeout(Duration::from_secs(60), send_until_refused).await;
    assert!(refused.is_ok());
    assert_eq!(
        other.ask(1, "ping", json!({})).await["result"]["value"],
        "pong"
    );
}

#[tokio::test]
async fn more_connections_than_allowed_are_refused() {
    let listener = ListenerConfig {
        connections: 1,
        ..ListenerConfig::default()
    };
    let server = start(listener).await;
    let mut first = Client::connect(&server, "/kurento").await;
    first.ask(1, "ping", json!({})).await;
    let url = format!("ws://{}/kurento", server.address);
    assert!(connect_async(url).await.is_err());
    first.ask(2, "ping", json!({})).await;
}

#[tokio::test]
async fn shutdown_tells_every_client() {
    let server = start(ListenerConfig::default()).await;
    let mut client = Client::connect(&server, "/kurento").await;
    client
        .ask(1, "create", json!({"type":"MediaPipeline"}))
        .await;
    server.running.handle.shutdown().await;
    assert_eq!(client.next().await, Err(Some(CloseCode::Away)));
}

#[tokio::test]
async fn many_connections_are_served_at_once() {
    let server = start(ListenerConfig::default()).await;
    let mut clients = Vec::new();
    for _ in 0..100 {
        clients.push(Client::connect(&server, "/kurento").await);
    }
    for client in &mut clients {
        client
            .ask(1, "create", json!({"type":"MediaPipeline"}))
            .await;
    }
    let params = json!({"object":"manager_ServerManager","operation":"getPipelines"});
    let answer = clients[0].ask(2, "invoke", params).await;
    assert_eq!(answer["result"]["value"].as_array().unwrap().len(), 100);
}
