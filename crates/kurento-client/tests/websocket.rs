//! The client over real WebSockets on the loopback interface.
#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use salono_kurento_client::{
    Client, Config, ConnectError, Error, MediaPipeline, OnDisconnect, SessionEvent, Value,
    WebRtcEndpoint,
};
use salono_kurento_model::json;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// One accepted connection.
struct Socket(WebSocketStream<TcpStream>);

impl Socket {
    async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().await.unwrap();
        Self(accept_async(stream).await.unwrap())
    }

    async fn expect(&mut self, method: &str) -> Value {
        loop {
            let message = self.0.next().await.unwrap().unwrap();
            if let Message::Text(text) = message {
                let frame: Value = serde_json::from_str(&text).unwrap();
                assert_eq!(frame["jsonrpc"], "2.0");
                assert_eq!(frame["method"], method, "{frame}");
                return frame;
            }
        }
    }

    async fn send(&mut self, frame: Value) {
        self.0.send(Message::text(frame.to_string())).await.unwrap();
    }

    async fn answer(&mut self, request: &Value, value: Value) {
        let result = json!({"value": value, "sessionId": "s1"});
        self.send(json!({"id": request["id"], "jsonrpc": "2.0", "result": result}))
            .await;
    }
}

async fn start(config: Config) -> (Client, Socket, TcpListener, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", listener.local_addr().unwrap());
    let (opened, socket) = tokio::join!(
        Client::connect_with(&url, config),
        Socket::accept(&listener)
    );
    let (client, driver) = opened.unwrap();
    (client, socket, listener, tokio::spawn(driver.run()))
}

fn impatient() -> Config {
    let mut config = Config::default();
    config.reconnect_delay = Duration::from_millis(1);
    config
}

async fn create_pipeline(client: &Client, socket: &mut Socket) -> MediaPipeline {
    let (pipeline, ()) = tokio::join!(MediaPipeline::create(client), async {
        let request = socket.expect("create").await;
        assert_eq!(request["params"]["type"], "MediaPipeline");
        socket.answer(&request, json!("p")).await;
    });
    pipeline.unwrap()
}

#[tokio::test]
async fn requests_events_and_goodbye_cross_the_wire() {
    let (client, mut socket, _listener, driver) = start(Config::default()).await;
    let pipeline = create_pipeline(&client, &mut socket).await;
    let endpoint = WebRtcEndpoint::attach(&client, "p/w");
    let (stream, ()) = tokio::join!(endpoint.on_ice_gathering_done(), async {
        let request = socket.expect("subscribe").await;
        assert_eq!(request["params"]["sessionId"], "s1");
        socket.answer(&request, json!("sub")).await;
    });
    let mut stream = stream.unwrap();
    // What is no message does no harm.
    socket.0.send(Message::text("nonsense")).await.unwrap();
    let data =
        json!({"source": "p/w", "tags": [], "timestampMillis": "7", "type": "IceGatheringDone"});
    let value = json!({"object": "p/w", "type": "IceGatheringDone", "data": data});
    socket
        .send(json!({"jsonrpc": "2.0", "method": "onEvent", "params": {"value": value}}))
        .await;
    assert_eq!(stream.recv().await.unwrap().unwrap().timestamp_millis, "7");

    drop((client, pipeline, endpoint));
    drop(stream);
    let unsubscribe = socket.expect("unsubscribe").await;
    assert_eq!(unsubscribe["params"]["subscription"], "sub");
    let close = socket.expect("closeSession").await;
    assert_eq!(close["params"]["sessionId"], "s1");
    assert!(matches!(socket.0.next().await, Some(Ok(Message::Close(_)))));
    driver.await.unwrap();
}

#[tokio::test]
async fn a_lost_connection_comes_back_with_its_session() {
    let (client, mut socket, listener, _driver) = start(impatient()).await;
    let mut session = client.events();
    let pipeline = create_pipeline(&client, &mut socket).await;
    let (stream, ()) = tokio::join!(pipeline.on_error(), async {
        let request = socket.expect("subscribe").await;
        socket.answer(&request, json!("sub")).await;
    });
    let mut stream = stream.unwrap();

    let (outstanding, ()) = tokio::join!(pipeline.name(), async {
        socket.expect("invoke").await;
        drop(socket);
    });
    assert_eq!(outstanding, Err(Error::Disconnected));
    assert_eq!(session.recv().await, Some(SessionEvent::Disconnected));

    let mut socket = Socket::accept(&listener).await;
    let connect = socket.expect("connect").await;
    assert_eq!(connect["params"]["sessionId"], "s1");
    let result = json!({"serverId": "x", "sessionId": "s1"});
    socket
        .send(json!({"id": connect["id"], "jsonrpc": "2.0", "result": result}))
        .await;
    assert_eq!(
        session.recv().await,
        Some(SessionEvent::Reconnected { same_session: true })
    );

    let data = json!({"source": "p", "description": "d", "errorCode": 1, "type": "T"});
    let value = json!({"object": "p", "type": "Error", "data": data});
    socket
        .send(json!({"jsonrpc": "2.0", "method": "onEvent", "params": {"value": value}}))
        .await;
    assert_eq!(stream.recv().await.unwrap().unwrap().description, "d");
}

#[tokio::test]
async fn a_request_that_ends_every_connection_is_given_up() {
    let mut config = impatient();
    config.on_disconnect = OnDisconnect::Resend;
    let (client, mut socket, listener, _driver) = start(config).await;
    let pipeline = create_pipeline(&client, &mut socket).await;
    let (refused, ()) = tokio::join!(pipeline.name(), async {
        for _ in 0..3 {
            let request = socket.expect("invoke").await;
            assert_eq!(request["id"], 1, "the same request");
            drop(socket);
            socket = Socket::accept(&listener).await;
            let connect = socket.expect("connect").await;
            let result = json!({"serverId": "x", "sessionId": "s1"});
            socket
                .send(json!({"id": connect["id"], "jsonrpc": "2.0", "result": result}))
                .await;
        }
    });
    assert_eq!(refused, Err(Error::Disconnected));
}

#[tokio::test]
async fn a_forgotten_session_is_told_and_its_streams_end() {
    let (client, mut socket, listener, _driver) = start(impatient()).await;
    let mut session = client.events();
    let pipeline = create_pipeline(&client, &mut socket).await;
    let (stream, ()) = tokio::join!(pipeline.on_error(), async {
        let request = socket.expect("subscribe").await;
        socket.answer(&request, json!("sub")).await;
    });
    let mut stream = stream.unwrap();
    drop(socket);
    assert_eq!(session.recv().await, Some(SessionEvent::Disconnected));

    let mut socket = Socket::accept(&listener).await;
    let connect = socket.expect("connect").await;
    let error =
        json!({"code": 40007, "message": "Invalid session", "data": {"type": "INVALID_SESSION"}});
    socket
        .send(json!({"id": connect["id"], "jsonrpc": "2.0", "error": error}))
        .await;
    assert_eq!(
        session.recv().await,
        Some(SessionEvent::Reconnected {
            same_session: false
        })
    );
    assert!(stream.recv().await.is_none());

    let (_, ()) = tokio::join!(MediaPipeline::create(&client), async {
        let request = socket.expect("create").await;
        assert_eq!(request["params"].get("sessionId"), None);
        socket.answer(&request, json!("q")).await;
    });
}

#[tokio::test]
async fn an_unanswered_ping_means_a_dead_connection() {
    let mut config = impatient();
    config.ping_interval = Duration::from_millis(20);
    config.request_timeout = Duration::from_millis(50);
    let (client, mut socket, listener, _driver) = start(config).await;
    let mut session = client.events();
    let ping = socket.expect("ping").await;
    assert_eq!(ping["params"]["interval"], 20);
    // The socket stays open, but nobody answers on it.
    assert_eq!(session.recv().await, Some(SessionEvent::Disconnected));
    let _again = Socket::accept(&listener).await;
    assert_eq!(
        session.recv().await,
        Some(SessionEvent::Reconnected { same_session: true })
    );
}

#[tokio::test]
async fn a_client_without_a_server_refuses_requests_and_can_be_closed() {
    let mut config = Config::default();
    config.reconnect_delay = Duration::from_secs(3600);
    config.reconnect_delay_max = Duration::from_secs(3600);
    let (client, socket, listener, driver) = start(config).await;
    let mut session = client.events();
    drop((socket, listener));
    assert_eq!(session.recv().await, Some(SessionEvent::Disconnected));
    let refused = MediaPipeline::create(&client).await.map(drop);
    assert_eq!(refused, Err(Error::Disconnected));
    client.close().await;
    driver.await.unwrap();
    assert_eq!(
        MediaPipeline::create(&client).await.map(drop),
        Err(Error::Closed)
    );
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_an_error_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", listener.local_addr().unwrap());
    drop(listener);
    for url in [
        &*url,
        "http://127.0.0.1/",
        "nonsense",
        "wss://127.0.0.1:1/kurento",
    ] {
        let error = Client::connect(url).await.map(drop).unwrap_err();
        assert!(
            matches!(error, ConnectError::WebSocket(_)),
            "{url}: {error}"
        );
    }
    // Accepts, but never answers the handshake.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", listener.local_addr().unwrap());
    let mut config = Config::default();
    config.connect_timeout = Duration::from_millis(20);
    let error = Client::connect_with(&url, config)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, ConnectError::Timeout(_)), "{error}");
}
