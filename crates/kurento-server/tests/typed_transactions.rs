//! Typed transactions of the Rust client against the server.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use fake_engine::Running;
use salono_kurento_client::{
    Client, Error, ErrorCode, MediaPipeline, PassThrough, TransactionError, WebRtcEndpoint, types,
};
use salono_kurento_server::{Config, ListenerConfig, serve_listener};
use tokio::net::TcpListener;

async fn start() -> (Client, Running) {
    let running = fake_engine::start(Config::default());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", socket.local_addr().unwrap());
    let listener = ListenerConfig::default();
    tokio::spawn(serve_listener(running.handle.clone(), socket, listener));
    let (client, driver) = Client::connect(&url).await.unwrap();
    tokio::spawn(driver.run());
    (client, running)
}

#[tokio::test]
async fn a_whole_call_is_set_up_in_one_round_trip() {
    let (client, _server) = start().await;
    let mut tx = client.begin_transaction();
    let pipeline = tx.create(MediaPipeline::create(&client));
    let building = WebRtcEndpoint::builder(&pipeline).use_data_channels(true);
    let endpoint = tx.create(building.create());
    let point = tx.create(PassThrough::create(&pipeline));
    drop(tx.add(endpoint.connect_with(&point, Some(types::MediaType::Video), None, None)));
    let sinks = tx.add(endpoint.get_sink_connections());
    let candidates = tx.subscribe(endpoint.on_ice_candidate_found());
    let answer = tx.add(endpoint.process_offer("v=0"));
    drop(tx.add(endpoint.gather_candidates()));
    let parent = tx.add(endpoint.parent());
    assert_eq!(tx.len(), 9);
    assert!(pipeline.id().starts_with("newref:"));

    let outcome = tx.commit().await.unwrap();
    assert_eq!(outcome.first_failure(), None);
    assert_eq!(outcome.results().len(), 9);
    assert!(
        endpoint.id().starts_with(pipeline.id()),
        "{}",
        endpoint.id()
    );
    assert_eq!(answer.await.unwrap(), "v=0 answer");
    assert_eq!(parent.await.unwrap().unwrap().id(), pipeline.id());
    let sinks = sinks.await.unwrap();
    assert_eq!(sinks.len(), 1);
    assert_eq!(sinks[0].sink, point.id());
    // The event that an operation of the transaction caused is there.
    let mut candidates = candidates.await.unwrap();
    let found = candidates.recv().await.unwrap().unwrap();
    assert_eq!(found.source, endpoint.id());
    // Afterwards the handles are handles like others.
    assert_eq!(endpoint.name().await.unwrap(), endpoint.id());
}

#[tokio::test]
async fn each_operation_tells_its_own_fate() {
    let (client, server) = start().await;
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    let mut tx = client.begin_transaction();
    let endpoint = tx.create(WebRtcEndpoint::create(&pipeline));
    let offer = tx.add(endpoint.generate_offer());
    let again = tx.add(endpoint.generate_offer());
    let name = tx.add(pipeline.name());
    let never = tx.create(PassThrough::create(&pipeline));
    let events = tx.subscribe(never.on_error());

    let outcome = tx.commit().await.unwrap();
    let refusal = again.await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::SdpAlreadyNegotiated));
    let failure = outcome.first_failure().unwrap();
    assert_eq!((failure.index, failure.error), (2, &refusal));
    let expected = [
        Ok(()),
        Ok(()),
        Err(refusal.clone()),
        Err(Error::NotTried),
        Err(Error::NotTried),
        Err(Error::NotTried),
    ];
    assert_eq!(outcome.results(), expected);
    assert_eq!(offer.await.unwrap(), "v=0 offer");
    assert_eq!(name.await, Err(Error::NotTried));
    assert_eq!(events.await.map(drop), Err(Error::NotTried));
    assert_eq!(never.name().await, Err(Error::Uncommitted));
    // What was done before the failure stays.
    assert_eq!(endpoint.name().await.unwrap(), endpoint.id());
    assert_eq!(server.handle.counts().objects, 2);

    let all_or_error = client.transact(|tx| {
        let point = tx.create(PassThrough::create(&pipeline));
        drop(tx.add(endpoint.generate_offer()));
        point
    });
    let error = all_or_error.await.map(drop).unwrap_err();
    let TransactionError::Operation { index: 1, error } = error else {
        panic!("the second operation fails, not: {error}");
    };
    assert_eq!(error, refusal);
}

#[tokio::test]
async fn objects_of_a_transaction_cannot_be_used_before_or_in_another_one() {
    let (client, server) = start().await;
    let mut tx = client.begin_transaction();
    let pipeline = tx.create(MediaPipeline::create(&client));
    assert_eq!(pipeline.name().await, Err(Error::Uncommitted));
    let early = WebRtcEndpoint::create(&pipeline).await.map(drop);
    assert_eq!(early, Err(Error::Uncommitted));
    assert_eq!(pipeline.on_error().await.map(drop), Err(Error::Uncommitted));

    let mut other = client.begin_transaction();
    let foreign = other.add(pipeline.name());
    assert_eq!(other.commit().await.map(drop), Err(Error::Uncommitted));
    assert_eq!(foreign.await, Err(Error::Uncommitted));

    // A call that was awaited cannot be queued as well.
    let mut tx = client.begin_transaction();
    let mut sent = client.server_manager().info();
    (&mut sent).await.unwrap();
    drop(tx.add(sent));
    assert_eq!(tx.commit().await.map(drop), Err(Error::Uncommitted));

    let mut dropped = client.begin_transaction();
    let queued = dropped.add(client.server_manager().info());
    drop(dropped);
    assert_eq!(queued.await.map(drop), Err(Error::Uncommitted));
    assert_eq!(server.handle.counts().objects, 0);
}

#[tokio::test]
async fn a_transaction_that_is_refused_as_a_whole_is_an_error() {
    let (client, _server) = start().await;
    let mut tx = client.begin_transaction();
    for _ in 0..3_000 {
        drop(tx.add(client.server_manager().name()));
    }
    // Operations of one transaction have a limit.
    let refusal = tx.commit().await.unwrap_err();
    assert_eq!(refusal.code(), Some(ErrorCode::NotEnoughResources));
    let nothing = client.begin_transaction();
    assert!(nothing.is_empty());
    let outcome = nothing.commit().await;
    assert!(outcome.is_ok_and(|outcome| outcome.results().is_empty()));
}

#[tokio::test]
async fn a_release_in_a_transaction_ends_the_streams() {
    let (client, server) = start().await;
    let (pipeline, errors) = client
        .transact(|tx| {
            let pipeline = tx.create(MediaPipeline::create(&client));
            let errors = tx.subscribe(pipeline.on_error());
            (pipeline, errors)
        })
        .await
        .unwrap();
    let mut errors = errors.await.unwrap();
    client
        .transact(|tx| drop(tx.add(pipeline.release())))
        .await
        .unwrap();
    assert!(errors.recv().await.is_none());
    assert_eq!(server.handle.counts().objects, 0);
}
