//! Typed streams that are dropped leave nothing behind: not here, not on the server.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod peer;

use std::collections::BTreeSet;

use peer::{begin, start, with};
use salono_kurento_client::{
    Client, Config, Error, UNANSWERED_REQUESTS, WAITING_REQUESTS, WebRtcEndpoint, events, types,
    wire::Request,
};
use salono_kurento_model::{Error as ServerError, ErrorCode, json};

#[tokio::test]
async fn a_subscription_that_nobody_waits_for_any_more_is_ended_when_it_is_answered() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let mut subscribing = endpoint.on_error();
    begin(&mut subscribing).await;
    let subscribe = peer.expect().await;
    drop(subscribing);
    peer.answer(&subscribe, json!("sub")).await;
    let (object, subscription) = ("w".to_owned(), "sub".to_owned());
    let expected = Request::Unsubscribe {
        object,
        subscription,
    };
    assert_eq!(peer.expect().await.request, expected);
}

#[tokio::test]
async fn a_refused_subscription_leaves_no_stream() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let refused = with(endpoint.on_error(), async || {
        let message = peer.expect().await;
        let error = ServerError::new(ErrorCode::MediaObjectNotFound, "Object 'w' not found");
        peer.refuse(&message, error).await;
    });
    let error = refused.await.map(drop).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MediaObjectNotFound));
    // The next one of the same event gets its events.
    let stream = with(endpoint.on_error(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("sub")).await;
    });
    let mut stream = stream.await.unwrap();
    let data = json!({"source": "w", "description": "d", "errorCode": 1, "type": "T"});
    peer.raise("w", "Error", data).await;
    assert_eq!(stream.recv().await.unwrap().unwrap().description, "d");
}

#[tokio::test]
async fn streams_that_are_dropped_while_the_client_is_busy_are_ended_too() {
    let (client, mut peer, _driver) = start(Config::default());
    let mut streams = Vec::new();
    for number in 0..20 {
        let endpoint = WebRtcEndpoint::attach(&client, &format!("w{number}"));
        let stream = with(endpoint.on_ice_candidate_found(), async || {
            let message = peer.expect().await;
            peer.answer(&message, json!(format!("sub{number}"))).await;
        });
        streams.push(stream.await.unwrap());
    }
    // More requests than anybody takes.
    let mut asked = Vec::new();
    for _ in 0..2 * WAITING_REQUESTS {
        let endpoint = WebRtcEndpoint::attach(&client, "busy");
        let mut call = Box::pin(endpoint.name());
        begin(&mut call).await;
        asked.push(call);
    }
    drop(streams);
    let mut ended = BTreeSet::new();
    while ended.len() < 20 {
        let message = peer.expect().await;
        if let Request::Unsubscribe { subscription, .. } = message.request {
            ended.insert(subscription);
        } else {
            peer.answer(&message, json!("name")).await;
        }
    }
    drop(asked);
}

#[tokio::test]
async fn requests_without_an_answer_are_limited_and_callers_wait() {
    let (client, mut peer, _driver) = start(Config::default());
    let mut asked = Vec::new();
    let ask = |client: &Client| Box::pin(WebRtcEndpoint::attach(client, "w").name());
    for _ in 0..UNANSWERED_REQUESTS {
        let mut call = ask(&client);
        begin(&mut call).await;
        asked.push((call, peer.expect().await));
    }
    let mut one_more = ask(&client);
    begin(&mut one_more).await;
    tokio::task::yield_now().await;
    assert!(peer.requests.try_recv().is_err());
    let (first, message) = asked.swap_remove(0);
    peer.answer(&message, json!("n")).await;
    assert_eq!(first.await, Ok("n".to_owned()));
    let message = peer.expect().await;
    peer.answer(&message, json!("m")).await;
    assert_eq!(one_more.await, Ok("m".to_owned()));
}

#[tokio::test]
async fn what_a_newer_server_adds_does_no_harm() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let stream = with(endpoint.on_connection_state_changed(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("sub")).await;
    });
    let mut stream = stream.await.unwrap();
    let data = json!({
        "source": "w", "tags": [], "timestampMillis": "1", "type": "ConnectionStateChanged",
        "oldState": "CONNECTED", "newState": "HIBERNATING", "why": {"__type__": "News"}
    });
    peer.raise("w", "ConnectionStateChanged", data).await;
    let changed: events::ConnectionStateChanged = stream.recv().await.unwrap().unwrap();
    assert_eq!(changed.old_state, types::ConnectionState::Connected);
    assert_eq!(changed.new_state.as_str(), "HIBERNATING");

    // An event that cannot be read is told of; the stream goes on.
    let broken = json!({"source": "w", "oldState": 5});
    peer.raise("w", "ConnectionStateChanged", broken).await;
    assert!(stream.recv().await.unwrap().is_err());

    let info = with(client.server_manager().info(), async || {
        let message = peer.expect().await;
        let module = json!({"name": "core", "version": "8", "generationTime": "", "factories": [],
            "maintainer": "somebody", "__module__": "kurento", "__type__": "ModuleInfo"});
        peer.answer(
            &message,
            json!({"version": "8.0.0", "modules": [module], "type": "XMS", "capabilities": [],
                "colour": "red", "__module__": "kurento", "__type__": "ServerInfo"}),
        )
        .await;
    });
    let info = info.await.unwrap();
    assert_eq!(info.kind, types::ServerType::Unknown("XMS".to_owned()));
    assert_eq!(info.modules[0].name, "core");
    let gone = client.close();
    gone.await;
    assert_eq!(endpoint.name().await, Err(Error::Closed));
}
