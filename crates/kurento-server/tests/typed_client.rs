//! The typed Rust client against the server: in the process and over a WebSocket.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use salono_kurento_client::{Client, Error, MediaPipeline, PassThrough, WebRtcEndpoint};
use salono_kurento_server::{Config, ListenerConfig, serve_listener};
use tokio::net::TcpListener;

/// What an application does with one publisher and a fixed point.
async fn use_it(client: &Client) {
    let pipeline = MediaPipeline::create(client).await.unwrap();
    let endpoint = WebRtcEndpoint::builder(&pipeline)
        .use_data_channels(true)
        .create()
        .await
        .unwrap();
    let point = PassThrough::create(&pipeline).await.unwrap();
    assert!(endpoint.id().starts_with(pipeline.id()));
    let mut candidates = endpoint.on_ice_candidate_found().await.unwrap();
    endpoint.connect(&point).await.unwrap();
    assert_eq!(endpoint.process_offer("v=0").await.unwrap(), "v=0 answer");
    endpoint.gather_candidates().await.unwrap();
    let found = candidates.recv().await.unwrap().unwrap();
    assert_eq!(found.source, endpoint.id());
    assert!(found.candidate.candidate.starts_with("candidate:"));
    assert!(endpoint.get_stats().await.unwrap().is_empty());
    let empty = endpoint.process_offer("").await.unwrap_err();
    let Error::Server(refusal) = empty else {
        panic!("a refusal, not {empty:?}");
    };
    assert_eq!(refusal.code.code(), 40201);
    pipeline.release().await.unwrap();
    assert!(point.name().await.is_err());
}

#[tokio::test]
async fn a_typed_client_in_the_process_is_served() {
    let running = fake_engine::start(Config::default());
    let (requests, messages) = running.handle.open_session().await.unwrap();
    let (client, driver) = Client::from_channel(requests, messages);
    let driver = tokio::spawn(driver.run());
    use_it(&client).await;
    drop(client);
    driver.await.unwrap();
}

#[tokio::test]
async fn a_typed_client_over_a_web_socket_is_served() {
    let running = fake_engine::start(Config::default());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", socket.local_addr().unwrap());
    let listener = ListenerConfig::default();
    tokio::spawn(serve_listener(running.handle.clone(), socket, listener));
    let (client, driver) = Client::connect(&url).await.unwrap();
    let driver = tokio::spawn(driver.run());
    use_it(&client).await;
    drop(client);
    driver.await.unwrap();
}
