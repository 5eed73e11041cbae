//! The typed Rust client when its connection to the server breaks.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod cable;
mod fake_engine;

use cable::Cable;
use fake_engine::Running;
use salono_kurento_client::{
    Client, Config as ClientConfig, Error, ErrorCode, EventError, EventStream, MediaPipeline,
    OBJECT_EVENTS, OnDisconnect, SessionEvent, WebRtcEndpoint,
};
use salono_kurento_server::{Config, ListenerConfig, serve_listener};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;

/// A server on a port of its own.
async fn serve() -> (Running, SocketAddr) {
    let running = fake_engine::start(Config::default());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let listener = ListenerConfig::default();
    tokio::spawn(serve_listener(running.handle.clone(), socket, listener));
    (running, address)
}

async fn connect(address: SocketAddr, on_disconnect: OnDisconnect) -> Client {
    let mut config = ClientConfig::default();
    config.reconnect_delay = Duration::from_millis(1);
    config.on_disconnect = on_disconnect;
    let url = format!("ws://{address}/kurento");
    let (client, driver) = Client::connect_with(&url, config).await.unwrap();
    tokio::spawn(driver.run());
    client
}

/// The next thing that happens to the session which is not an event of an object.
async fn next_change(session: &mut EventStream) -> SessionEvent {
    loop {
        match session.recv().await.unwrap() {
            SessionEvent::Notification(_) => {}
            change @ (SessionEvent::Disconnected
            | SessionEvent::Reconnected { .. }
            | SessionEvent::Lagged(_)) => return change,
        }
    }
}

async fn comes_back(session: &mut EventStream, same_session: bool) {
    assert_eq!(next_change(session).await, SessionEvent::Disconnected);
    let expected = SessionEvent::Reconnected { same_session };
    assert_eq!(next_change(session).await, expected);
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_is_repeated_but_carried_out_once() {
    let (_server, address) = serve().await;
    let cable = Cable::to(address).await;
    let client = connect(cable.address, OnDisconnect::Resend).await;
    let mut session = client.events();
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    let mut objects = client.server_manager().on_object_created().await.unwrap();

    cable.swallow();
    let creating = tokio::spawn(WebRtcEndpoint::create(&pipeline));
    cable.swallowed().await;
    cable.cut();
    let endpoint = creating.await.unwrap().unwrap();
    comes_back(&mut session, true).await;

    let children = pipeline.children().await.unwrap();
    assert_eq!(children.len(), 1, "{children:?}");
    assert_eq!(children[0].id(), endpoint.id());
    // Events flow again, to the same stream.
    let another = MediaPipeline::create(&client).await.unwrap();
    let created = objects.recv().await.unwrap().unwrap();
    assert_eq!(created.object, another.id());
}

#[tokio::test]
async fn requests_made_without_a_connection_wait_for_it() {
    let (_server, address) = serve().await;
    let cable = Cable::to(address).await;
    let client = connect(cable.address, OnDisconnect::Resend).await;
    let mut session = client.events();
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    cable.cut();
    assert_eq!(next_change(&mut session).await, SessionEvent::Disconnected);
    let point = WebRtcEndpoint::create(&pipeline).await.unwrap();
    assert!(point.id().starts_with(pipeline.id()));
}

#[tokio::test]
async fn a_request_whose_answer_was_lost_fails_precisely_if_that_was_chosen() {
    let (_server, address) = serve().await;
    let cable = Cable::to(address).await;
    let client = connect(cable.address, OnDisconnect::Fail).await;
    let mut session = client.events();
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    cable.swallow();
    let creating = tokio::spawn(WebRtcEndpoint::create(&pipeline));
    cable.swallowed().await;
    cable.cut();
    let refused = creating.await.unwrap().map(drop);
    assert_eq!(refused, Err(Error::Disconnected));
    comes_back(&mut session, true).await;
    // It was carried out all the same, which the error leaves open.
    assert_eq!(pipeline.children().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_first_request_whose_answer_was_lost_is_not_repeated() {
    let (server, address) = serve().await;
    let cable = Cable::to(address).await;
    let client = connect(cable.address, OnDisconnect::Resend).await;
    cable.swallow();
    let creating = tokio::spawn(MediaPipeline::create(&client));
    cable.swallowed().await;
    cable.cut();
    // The server could not know a repetition without the session's name.
    let refused = creating.await.unwrap().map(drop);
    assert_eq!(refused, Err(Error::Disconnected));
    MediaPipeline::create(&client).await.unwrap();
    assert_eq!(server.handle.counts().objects, 2);
}

#[tokio::test]
async fn a_restarted_server_ends_the_session_and_the_client_goes_on() {
    for on_disconnect in [OnDisconnect::Fail, OnDisconnect::Resend] {
        let (_old, old_address) = serve().await;
        let cable = Cable::to(old_address).await;
        let client = connect(cable.address, on_disconnect).await;
        let mut session = client.events();
        let pipeline = MediaPipeline::create(&client).await.unwrap();
        let mut errors = pipeline.on_error().await.unwrap();
        let old_id = client.session_id().await.unwrap();
        cable.swallow();
        let waiting = tokio::spawn(pipeline.name());
        cable.swallowed().await;

        let (_new, new_address) = serve().await;
        cable.plug_into(new_address);
        comes_back(&mut session, false).await;
        let expected = match on_disconnect {
            OnDisconnect::Fail => Error::Disconnected,
            OnDisconnect::Resend => Error::SessionLost,
        };
        assert_eq!(waiting.await.unwrap(), Err(expected));
        assert!(errors.recv().await.is_none());

        // Handles of the lost session say so without asking.
        assert_eq!(pipeline.name().await, Err(Error::SessionLost));
        assert_eq!(pipeline.release().await, Err(Error::SessionLost));
        let building = WebRtcEndpoint::create(&pipeline).await.map(drop);
        assert_eq!(building, Err(Error::SessionLost));
        let subscribing = pipeline.on_error().await.map(drop);
        assert_eq!(subscribing, Err(Error::SessionLost));
        let mut tx = client.begin_transaction();
        drop(tx.add(pipeline.name()));
        assert_eq!(tx.commit().await.map(drop), Err(Error::SessionLost));
        // By name, the server is asked.
        let by_name = client.invoke(pipeline.id(), "getName", Default::default());
        let code = by_name.await.unwrap_err().code();
        assert_eq!(code, Some(ErrorCode::MediaObjectNotFound));

        // The server itself outlives sessions, and a new one begins.
        client.server_manager().info().await.unwrap();
        let pipeline = MediaPipeline::create(&client).await.unwrap();
        assert_eq!(pipeline.name().await.unwrap(), pipeline.id());
        assert_ne!(client.session_id().await.unwrap(), old_id);
    }
}

#[tokio::test]
async fn a_burst_of_events_holds_up_nobody_and_a_slow_reader_is_told_of_its_loss() {
    let (_server, address) = serve().await;
    let client = connect(address, OnDisconnect::Fail).await;
    let mut slow = client.server_manager().on_object_created().await.unwrap();
    let mut quick = client.server_manager().on_object_created().await.unwrap();
    let excess = 40;
    for _ in 0..OBJECT_EVENTS + excess {
        let pipeline = MediaPipeline::create(&client).await.unwrap();
        assert_eq!(
            quick.recv().await.unwrap().unwrap().object,
            pipeline.id(),
            "every event, in order"
        );
    }
    for _ in 0..OBJECT_EVENTS {
        slow.recv().await.unwrap().unwrap();
    }
    let lost = u64::try_from(excess).unwrap();
    assert_eq!(slow.recv().await, Some(Err(EventError::Lagged(lost))));
}

#[tokio::test]
async fn references_and_sessions_are_under_the_clients_control() {
    let (server, address) = serve().await;
    let first = connect(address, OnDisconnect::Fail).await;
    let second = connect(address, OnDisconnect::Fail).await;
    assert_eq!(first.session_id().await, None);
    first.ping().await.unwrap();
    let pipeline = MediaPipeline::create(&first).await.unwrap();
    first.keep_alive().await.unwrap();
    let described = pipeline.describe().await.unwrap();
    assert_eq!(described.class, "MediaPipeline");
    assert_eq!(described.qualified_class, "kurento.MediaPipeline");
    assert_eq!(described.hierarchy, ["kurento.MediaObject"]);

    // The second one keeps it alive when the first one lets it go.
    let same = MediaPipeline::attach(&second, pipeline.id());
    same.add_reference().await.unwrap();
    pipeline.remove_reference().await.unwrap();
    assert_eq!(same.name().await.unwrap(), pipeline.id());
    same.remove_reference().await.unwrap();
    let gone = same.name().await.unwrap_err();
    assert_eq!(gone.code(), Some(ErrorCode::MediaObjectNotFound));

    let theirs = MediaPipeline::create(&first).await.unwrap();
    MediaPipeline::attach(&second, theirs.id())
        .add_reference()
        .await
        .unwrap();
    first.close_session(true).await.unwrap();
    assert_eq!(server.handle.counts().objects, 0);
    assert_eq!(theirs.name().await, Err(Error::SessionLost));
    assert_eq!(first.session_id().await, None);
    MediaPipeline::create(&first).await.unwrap();
}
