//! Requests that are given up on this side leave nothing behind on the other.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod peer;

use std::{future::Future, time::Duration};

use peer::{Peer, begin, start, with};
use salono_kurento_client::{
    Client, Config, Error, MediaPipeline, PassThrough, TransactionError, WebRtcEndpoint,
    wire::{ClientMessage, Request},
};
use salono_kurento_model::{Error as ServerError, ErrorCode, json};
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(3);

fn impatient() -> (Client, Peer, JoinHandle<()>) {
    let mut config = Config::default();
    config.request_timeout = PATIENCE;
    start(config)
}

fn release(object: &str) -> Request {
    Request::Release {
        object: object.to_owned(),
    }
}

/// Gives the server's answer to a request that has timed out.
async fn time_out<T>(
    peer: &mut Peer,
    call: impl Future<Output = Result<T, Error>>,
) -> ClientMessage {
    let (result, late) = tokio::join!(call, peer.expect());
    assert_eq!(result.map(drop), Err(Error::Timeout(PATIENCE)));
    late
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_created_too_late_is_released() {
    let (client, mut peer, _driver) = impatient();
    let late = time_out(&mut peer, async { MediaPipeline::create(&client).await }).await;
    peer.answer(&late, json!("p")).await;
    assert_eq!(peer.expect().await.request, release("p"));
    // By name it is the same.
    let late = time_out(
        &mut peer,
        client.create("MediaPipeline", Default::default()),
    )
    .await;
    peer.answer(&late, json!("q")).await;
    assert_eq!(peer.expect().await.request, release("q"));
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_fails_too_late_is_forgotten() {
    let (client, mut peer, _driver) = impatient();
    let late = time_out(&mut peer, async { MediaPipeline::create(&client).await }).await;
    let error = ServerError::new(ErrorCode::NotEnoughResources, "too many");
    peer.refuse(&late, error).await;
    // A second answer to the same request means nothing.
    peer.answer(&late, json!("p")).await;
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let name = with(endpoint.name(), async || {
        let message = peer.expect().await;
        assert!(
            matches!(message.request, Request::Invoke { .. }),
            "{message:?}"
        );
        peer.answer(&message, json!("w")).await;
    });
    assert_eq!(name.await, Ok("w".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_comes_too_late_is_ended() {
    let (client, mut peer, _driver) = impatient();
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let late = time_out(&mut peer, endpoint.on_error()).await;
    peer.answer(&late, json!("sub")).await;
    let expected = Request::Unsubscribe {
        object: "w".to_owned(),
        subscription: "sub".to_owned(),
    };
    assert_eq!(peer.expect().await.request, expected);
}

#[tokio::test(start_paused = true)]
async fn what_a_transaction_makes_too_late_is_taken_back() {
    let (client, mut peer, _driver) = impatient();
    let other = WebRtcEndpoint::attach(&client, "w");
    let commit = client.transact(|tx| {
        let pipeline = tx.create(MediaPipeline::create(&client));
        let element = tx.create(PassThrough::create(&pipeline));
        let name = tx.add(element.name());
        let streams = [element.on_error(), other.on_error()].map(|it| tx.subscribe(it));
        (name, streams)
    });
    let (result, late) = tokio::join!(commit, async {
        // A transaction needs a session.
        let connect = peer.expect().await;
        assert_eq!(connect.request, Request::Connect);
        peer.answer(&connect, json!(null)).await;
        peer.expect().await
    });
    let error = result.map(drop).unwrap_err();
    assert!(matches!(error, TransactionError::Call(Error::Timeout(_))));
    let done = |value: &str| json!({"id": 0, "jsonrpc": "2.0", "result": {"value": value}});
    let answers = ["p", "p/e", "name", "sub-e", "sub-w"].map(done);
    peer.answer(&late, json!(answers)).await;
    let ended = Request::Unsubscribe {
        object: "w".to_owned(),
        subscription: "sub-w".to_owned(),
    };
    for expected in [ended, release("p/e"), release("p")] {
        assert_eq!(peer.expect().await.request, expected);
    }
}

#[tokio::test]
async fn an_object_whose_creation_nobody_waits_for_is_released() {
    let (client, mut peer, _driver) = start(Config::default());
    let mut creating = MediaPipeline::create(&client);
    begin(&mut creating).await;
    let create = peer.expect().await;
    drop(creating);
    peer.answer(&create, json!("p")).await;
    assert_eq!(peer.expect().await.request, release("p"));
}
