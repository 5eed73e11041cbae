//! The server over TLS on the loopback interface: `wss://` beside `ws://`.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use rcgen::{CertificateParams, KeyPair};
use salono_kurento_client::{Client, Config as ClientConfig, ConnectError, MediaPipeline, Trust};
use salono_kurento_server::{Config, ListenerConfig, serve_listener, serve_tls_listener};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ServerConfig, crypto::aws_lc_rs::default_provider, pki_types::PrivateKeyDer,
        pki_types::ServerName,
    },
};

struct Server {
    plain: SocketAddr,
    secure: SocketAddr,
    /// Of the certificate.
    pem: String,
    running: fake_engine::Running,
}

/// Both listeners; the certificate is for these names.
async fn start(names: &[&str]) -> Server {
    let running = fake_engine::start(Config::default());
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let certificate = CertificateParams::new(names)
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], der)
        .unwrap();
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secure = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server {
        plain: plain.local_addr().unwrap(),
        secure: secure.local_addr().unwrap(),
        pem: certificate.pem(),
        running,
    };
    let handle = &server.running.handle;
    let config = ListenerConfig::default();
    tokio::spawn(serve_listener(handle.clone(), plain, config.clone()));
    let tls = Arc::new(tls);
    tokio::spawn(serve_tls_listener(handle.clone(), secure, tls, config));
    server
}

/// Connects, runs the driver, or says why not.
async fn connect(address: SocketAddr, scheme: &str, trust: Trust) -> Result<Client, ConnectError> {
    let mut config = ClientConfig::default();
    config.trust = trust;
    let url = format!("{scheme}://{address}/kurento");
    let (client, driver) = Client::connect_with(&url, config).await?;
    tokio::spawn(driver.run());
    Ok(client)
}

#[tokio::test]
async fn one_server_is_used_over_tls_and_without_it_at_the_same_time() {
    let server = start(&["127.0.0.1"]).await;
    let trust = Trust::roots_pem(server.pem.as_bytes()).unwrap();
    let secure = connect(server.secure, "wss", trust).await.unwrap();
    let plain = connect(server.plain, "ws", Trust::default()).await.unwrap();
    let mut created = plain.server_manager().on_object_created().await.unwrap();
    let pipeline = MediaPipeline::create(&secure).await.unwrap();
    let event = created.recv().await.unwrap().unwrap();
    assert_eq!(event.object, pipeline.id());
    let pipelines = plain.server_manager().pipelines().await.unwrap();
    assert_eq!(pipelines.len(), 1);
}

#[tokio::test]
async fn a_client_believes_only_whom_it_was_told_to() {
    let server = start(&["127.0.0.1"]).await;
    let other = start(&["example.org"]).await;
    // Nobody vouches for the certificate.
    let refused = connect(server.secure, "wss", Trust::system()).await;
    assert!(matches!(refused, Err(ConnectError::WebSocket(_))));
    // Another certificate is expected.
    let trust = Trust::roots_pem(other.pem.as_bytes()).unwrap();
    let refused = connect(server.secure, "wss", trust.clone()).await;
    assert!(matches!(refused, Err(ConnectError::WebSocket(_))));
    // The right certificate, at another host than it is for.
    let refused = connect(other.secure, "wss", trust).await;
    assert!(matches!(refused, Err(ConnectError::WebSocket(_))));
    // No questions asked.
    let client = connect(other.secure, "wss", Trust::anybody().unwrap()).await;
    MediaPipeline::create(&client.unwrap()).await.unwrap();
}

#[tokio::test]
async fn health_checks_get_their_answer_within_tls_too() {
    let server = start(&["127.0.0.1"]).await;
    for (head, status) in [
        ("GET /kurento HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
        (
            "GET /kurento HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            "500",
        ),
    ] {
        let trust = Trust::roots_pem(server.pem.as_bytes()).unwrap();
        let connector = TlsConnector::from(trust.tls_config().unwrap());
        let stream = TcpStream::connect(server.secure).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let mut stream = connector.connect(name, stream).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let prefix = format!("HTTP/1.1 {status} ");
        assert!(answer.starts_with(&prefix), "{head}: {answer}");
    }
}

#[tokio::test]
async fn a_peer_that_speaks_no_tls_is_let_go_and_others_are_served() {
    let server = start(&["127.0.0.1"]).await;
    let mut stranger = TcpStream::connect(server.secure).await.unwrap();
    stranger
        .write_all(b"GET /kurento HTTP/1.1\r\n\r\n")
        .await
        .unwrap();
    let trust = Trust::roots_pem(server.pem.as_bytes()).unwrap();
    let client = connect(server.secure, "wss", trust).await.unwrap();
    MediaPipeline::create(&client).await.unwrap();
    // An alert, then the end.
    let mut answer = Vec::new();
    let _ = stranger.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}
