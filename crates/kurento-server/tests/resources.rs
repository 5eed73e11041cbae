//! What happens when the process comes near its limits.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use salono_kurento_client::{Client, ErrorCode, MediaPipeline, WebRtcEndpoint};
use salono_kurento_server::{Config, ServerHandle};

async fn client(handle: &ServerHandle) -> Client {
    let (requests, messages) = handle.open_session().await.unwrap();
    let (client, driver) = Client::from_channel(requests, messages);
    tokio::spawn(driver.run());
    client
}

/// So little of the limits that any process uses more.
const LITTLE: f64 = 1e-9;

#[tokio::test]
async fn nothing_is_created_above_the_exception_limit_and_everything_else_works() {
    let mut config = Config::default();
    config.model.exception_limit = LITTLE;
    let running = fake_engine::start(config);
    let client = client(&running.handle).await;
    let error = MediaPipeline::create(&client).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NotEnoughResources));
    assert_eq!(error.kind(), Some("NOT_ENOUGH_RESOURCES"));
    let text = error.message();
    assert!(
        ["Reached KMS threads limit: 0", "Reached KMS files limit: 0"].contains(&text.as_str()),
        "{text}"
    );
    // The class comes first.
    let unknown = client.create("Nothing", Default::default()).await;
    assert_eq!(
        unknown.unwrap_err().code(),
        Some(ErrorCode::MediaObjectNotAvailable)
    );
    assert!(client.server_manager().info().await.is_ok());
}

#[tokio::test]
async fn above_the_kill_limit_the_server_is_exhausted_once_its_last_object_is_gone() {
    let config = Config {
        kill_limit: Some(LITTLE),
        ..Config::default()
    };
    let running = fake_engine::start(config);
    let client = client(&running.handle).await;
    let first = MediaPipeline::create(&client).await.unwrap();
    let second = MediaPipeline::create(&client).await.unwrap();
    WebRtcEndpoint::create(&second).await.unwrap();
    let handle = running.handle.clone();
    let exhausted = tokio::spawn(async move { handle.exhausted().await });
    first.release().await.unwrap();
    // Answered after the release was carried out.
    client.server_manager().info().await.unwrap();
    assert!(!exhausted.is_finished(), "an object is left");
    second.release().await.unwrap();
    exhausted.await.unwrap();
}
