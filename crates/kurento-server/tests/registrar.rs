//! The server announces itself to a registrar, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use futures_util::StreamExt as _;
use salono_kurento_client::Trust;
use salono_kurento_model::{Value, json};
use salono_kurento_server::{Config, RegistrarConfig, keep_registered};
use std::time::Duration;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async};

/// How long anything may take; far more than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// The next connection and what it says first.
async fn registration(registrar: &TcpListener) -> (WebSocketStream<TcpStream>, Value) {
    let arrival = async {
        let (stream, _) = registrar.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
        (socket, text.parse().unwrap())
    };
    timeout(PATIENCE, arrival).await.expect("it registers")
}

#[tokio::test]
async fn a_server_registers_and_registers_again_after_each_loss_until_it_ends() {
    let registrar = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let running = fake_engine::start(Config::default());
    let config = RegistrarConfig {
        url: format!("ws://{}/register", registrar.local_addr().unwrap()),
        announced: "wss://media.example:8433/kurento".to_owned(),
        tls: Trust::system().tls_config().unwrap(),
    };
    let registering = tokio::spawn(keep_registered(running.handle.clone(), config));
    // The first attempt fails: the registrar is not ready yet.
    let (stream, _) = registrar.accept().await.unwrap();
    drop(stream);
    for _ in 0..2 {
        let (socket, message) = registration(&registrar).await;
        assert_eq!(
            message,
            json!({"jsonrpc":"2.0","method":"register","params":{"ws":"wss://media.example:8433/kurento"}})
        );
        drop(socket);
    }
    let (mut socket, _) = registration(&registrar).await;
    running.handle.shutdown().await;
    let last = timeout(PATIENCE, socket.next()).await.expect("ends");
    assert!(last.is_none_or(|last| last.is_err()), "no more messages");
    timeout(PATIENCE, registering).await.expect("ends").unwrap();
}
