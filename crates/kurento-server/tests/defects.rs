//! A defect in one request must not be felt by anybody else.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use salono_kurento_client::{Client, Error, ErrorCode, MediaPipeline, PassThrough, WebRtcEndpoint};
use salono_kurento_model::json;
use salono_kurento_server::Config;

/// A server whose `getCreationTime` panics.
fn start() -> fake_engine::Running {
    let mut config = Config::default();
    config.model.panic_at = Some("getCreationTime".to_owned());
    fake_engine::start(config)
}

async fn client(running: &fake_engine::Running) -> Client {
    let (requests, messages) = running.handle.open_session().await.unwrap();
    let (client, driver) = Client::from_channel(requests, messages);
    tokio::spawn(driver.run());
    client
}

#[tokio::test]
async fn a_request_that_panics_is_answered_and_costs_what_it_touched_only() {
    let running = start();
    let witness = client(&running).await;
    let bystander = MediaPipeline::create(&witness).await.unwrap();
    let mut destroyed = witness
        .server_manager()
        .on_object_destroyed()
        .await
        .unwrap();

    let victim = client(&running).await;
    let pipeline = MediaPipeline::create(&victim).await.unwrap();
    let lost = WebRtcEndpoint::create(&pipeline).await.unwrap();
    let kept = PassThrough::create(&pipeline).await.unwrap();
    let error = lost.creation_time().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InternalError));
    // What it touched is gone, and whoever listens learns it.
    let event = destroyed.recv().await.unwrap().unwrap();
    assert_eq!(event.object_id, lost.id());
    let error = lost.name().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MediaObjectNotFound));
    // Everything else works: the same connection, its other objects, other sessions.
    assert_eq!(kept.name().await.unwrap(), kept.id());
    assert_eq!(bystander.name().await.unwrap(), bystander.id());
    MediaPipeline::create(&witness).await.unwrap();
}

#[tokio::test]
async fn the_server_manager_survives_a_request_that_panics_in_it() {
    let running = start();
    let client = client(&running).await;
    let error = client.server_manager().creation_time().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InternalError));
    assert!(client.server_manager().info().await.is_ok());
}

#[tokio::test]
async fn a_transaction_with_a_request_that_panics_is_answered_as_a_whole() {
    let running = start();
    let client = client(&running).await;
    let kept = MediaPipeline::create(&client).await.unwrap();
    let operations = vec![
        json!({"jsonrpc":"2.0","id":0,"method":"create","params":{"type":"MediaPipeline"}}),
        json!({"jsonrpc":"2.0","id":1,"method":"invoke","params":
            {"object":"newref:0","operation":"getCreationTime"}}),
        json!({"jsonrpc":"2.0","id":2,"method":"create","params":{"type":"MediaPipeline"}}),
    ];
    let error = client.transaction(operations).await.unwrap_err();
    assert!(
        matches!(&error, Error::Server(error) if error.code == ErrorCode::InternalError),
        "{error:?}"
    );
    // The third operation was never begun, the object of the second is given up.
    assert_eq!(running.handle.counts().objects, 1);
    assert_eq!(kept.name().await.unwrap(), kept.id());
    let operations = vec![json!({"jsonrpc":"2.0","id":0,"method":"invoke","params":
            {"object":kept.id(),"operation":"getName"}})];
    assert_eq!(client.transaction(operations).await.unwrap().len(), 1);
}
