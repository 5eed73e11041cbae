//! A server that says exactly what a test wants it to.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::PATIENCE;

pub(crate) struct Scripted {
    address: SocketAddr,
    peers: mpsc::Receiver<Peer>,
    task: JoinHandle<()>,
}

/// One connection of a client.
pub(crate) struct Peer(WebSocketStream<TcpStream>);

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, peers) = mpsc::channel(16);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that thinks better of it is none.
                if let Ok(socket) = tokio_tungstenite::accept_async(stream).await {
                    accepted.send(Peer(socket)).await.unwrap();
                }
            }
        });
        Self {
            address,
            peers,
            task,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/room", self.address)
    }

    /// The next connection.
    pub(crate) async fn accept(&mut self) -> Peer {
        timeout(PATIENCE, self.peers.recv()).await.unwrap().unwrap()
    }

    /// Stops listening.
    pub(crate) async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }
}

impl Peer {
    /// The next request that is no ping; pings are answered.
    pub(crate) async fn request(&mut self) -> Value {
        loop {
            let request = self.any_request().await;
            if request["method"] != "ping" {
                return request;
            }
            self.answer(&request, json!({ "value": "pong" })).await;
        }
    }

    /// The next request.
    pub(crate) async fn any_request(&mut self) -> Value {
        loop {
            let message = timeout(PATIENCE, self.0.next()).await.unwrap();
            if let Message::Text(text) = message.unwrap().unwrap() {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }

    pub(crate) async fn answer(&mut self, request: &Value, result: Value) {
        let answer = json!({ "id": request["id"], "result": result, "jsonrpc": "2.0" });
        self.say(&answer.to_string()).await;
    }

    /// A frame with a number.
    pub(crate) async fn say_numbered(&mut self, seq: u64, mut frame: Value) {
        frame["seq"] = json!(seq);
        frame["jsonrpc"] = json!("2.0");
        self.say(&frame.to_string()).await;
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    /// Sends if the client still listens.
    pub(crate) async fn try_send(&mut self, message: Message) {
        let _ = self.0.send(message).await;
    }

    /// Whether the client has ended the connection by now, or does so.
    pub(crate) async fn wait_for_end(mut self) {
        while let Some(Ok(_)) = timeout(PATIENCE, self.0.next()).await.unwrap() {}
    }
}
