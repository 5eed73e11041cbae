//! Whatever a server sends, the client is there afterwards.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use salono_room_client::{Config, Error, ErrorCode, Event, Overflow, SenderRef};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::Participant;
use crate::support::scripted::{Peer, Scripted};

/// JSON of any shape, with the names that mean something here.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let name = prop_oneof![
            prop::sample::select(vec![
                "id",
                "jsonrpc",
                "method",
                "params",
                "result",
                "error",
                "code",
                "message",
                "data",
                "sessionId",
                "seq",
                "lost",
                "value",
                "streams",
                "name",
                "user",
                "room",
                "levels",
                "endpointName",
                "candidate",
                "sdpMid",
                "sdpMLineIndex",
                "sdpAnswer",
                "grants",
            ])
            .prop_map(str::to_owned),
            ".{0,8}",
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A frame that is almost right.
fn frame() -> impl Strategy<Value = Value> {
    let method = prop::sample::select(vec![
        "participantJoined",
        "participantPublished",
        "participantUnpublished",
        "participantLeft",
        "participantEvicted",
        "sendMessage",
        "iceCandidate",
        "mediaError",
        "activeSpeakerChanged",
        "audioLevels",
        "videoLayerChanged",
        "roomClosed",
        "custonNotification",
        "mediaMuted",
        "republish",
    ]);
    prop_oneof![
        (method, value()).prop_map(|(method, params)| {
            json!({ "jsonrpc": "2.0", "method": method, "params": params })
        }),
        // Ids of requests that there have been, and of some that there have not.
        (0..20_i64, value())
            .prop_map(|(id, result)| { json!({ "jsonrpc": "2.0", "id": id, "result": result }) }),
        (0..20_i64, value())
            .prop_map(|(id, error)| { json!({ "jsonrpc": "2.0", "id": id, "error": error }) }),
        value(),
    ]
}

async fn joined(config: Config) -> (Scripted, Peer, Participant) {
    let mut server = Scripted::start().await;
    let ann = Participant::connect(&server.url(), config).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    let request = peer.request().await;
    peer.answer(&request, json!({ "value": [], "sessionId": "S" }))
        .await;
    joining.await.unwrap().unwrap();
    (server, peer, ann)
}

#[tokio::test]
async fn no_frame_harms_the_client() {
    let (_server, mut peer, mut ann) = joined(Config::default()).await;
    // The same frames each time.
    let mut runner = TestRunner::deterministic();
    let frame = frame();
    for _ in 0..2000 {
        let frame = frame.new_tree(&mut runner).unwrap().current();
        peer.say(&frame.to_string()).await;
    }
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    for text in ["", "{", "null", &deep, "{\"jsonrpc\":\"2.0\"", "\u{0}"] {
        peer.say(text).await;
    }
    peer.send(Message::binary(vec![0, 159, 146, 150])).await;
    peer.say(r#"{"jsonrpc":"2.0","method":"roomClosed","params":{"room":"the end"}}"#)
        .await;
    loop {
        let heard = ann.hear().await.expect("the client lives");
        if format!("{heard:?}").contains("the end") {
            break;
        }
    }
    let client = ann.client.clone();
    let leaving = tokio::spawn(async move { client.leave_room().await });
    let request = peer.request().await;
    assert_eq!(request["method"], "leaveRoom");
    peer.answer(&request, json!({})).await;
    leaving.await.unwrap().unwrap();
}

#[tokio::test]
async fn answers_of_the_wrong_shape_are_errors_of_their_own() {
    let (_server, mut peer, ann) = joined(Config::default()).await;
    for result in [
        json!({}),
        json!({ "sdpAnswer": 5 }),
        json!([]),
        json!("bye"),
        Value::Null,
    ] {
        let client = ann.client.clone();
        let asking = tokio::spawn(async move {
            client
                .receive_video_from(&SenderRef::webcam("bob"), "O")
                .await
        });
        let request = peer.request().await;
        peer.answer(&request, result.clone()).await;
        let error = asking.await.unwrap().unwrap_err();
        assert!(matches!(error, Error::Reply(_)), "{result}: {error:?}");
        assert_eq!(error.code(), Some(ErrorCode::TransportResponse));
    }
}

#[tokio::test]
async fn refusals_that_only_later_servers_know_keep_their_numbers() {
    let (_server, mut peer, ann) = joined(Config::default()).await;
    let client = ann.client.clone();
    let asking = tokio::spawn(async move { client.evict_participant("bob").await });
    let request = peer.request().await;
    assert_eq!(
        request["params"],
        json!({ "user": "bob", "sessionId": "S" })
    );
    let error = json!({ "code": 4711, "message": "no", "data": { "why": 1 } });
    let refusal = json!({ "id": request["id"], "error": error, "jsonrpc": "2.0" });
    peer.say(&refusal.to_string()).await;
    assert_eq!(
        asking.await.unwrap().unwrap_err(),
        Error::Server {
            number: 4711,
            message: "no".into(),
            data: Some(json!({ "why": 1 }))
        }
    );
}

#[tokio::test]
async fn a_message_without_end_costs_the_server_its_connection() {
    let (mut server, mut peer, mut ann) = joined(Config::default()).await;
    peer.try_send(Message::text("x".repeat((4 << 20) + 1)))
        .await;
    assert_eq!(ann.hear().await, Some(Event::Disconnected));
    let mut peer = server.accept().await;
    assert_eq!(peer.request().await["method"], "connect");
}

#[tokio::test]
async fn a_flood_of_events_takes_no_more_room_than_it_is_given() {
    let mut config = Config::default();
    config.max_events = 10;
    let (_server, mut peer, mut ann) = joined(config.clone()).await;
    let closed = |room: u32| {
        json!({ "jsonrpc": "2.0", "method": "roomClosed", "params": { "room": room.to_string() } })
            .to_string()
    };
    for number in 0..500 {
        peer.say(&closed(number)).await;
    }
    // An answer comes after what was said before it.
    let client = ann.client.clone();
    let asking = tokio::spawn(async move { client.lock_room(true).await });
    let request = peer.request().await;
    peer.answer(&request, json!({})).await;
    asking.await.unwrap().unwrap();
    assert_eq!(ann.hear().await, Some(Event::Missed(490)));
    for number in 490..500_u32 {
        let heard = format!("{:?}", ann.hear().await);
        assert!(heard.contains(&number.to_string()), "{heard}");
    }

    config.overflow = Overflow::HoldBack;
    let (_server, mut peer, mut ann) = joined(config).await;
    let saying = tokio::spawn(async move {
        for number in 0..500 {
            peer.say(&closed(number)).await;
        }
        peer
    });
    for number in 0..500_u32 {
        let heard = format!("{:?}", ann.hear().await);
        assert!(heard.contains(&format!("\"{number}\"")), "{heard}");
    }
    drop(saying.await.unwrap());
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_of_a_goodbye_ends_the_client() {
    let (_server, mut peer, ann) = joined(Config::default()).await;
    let client = ann.client.clone();
    let closing = tokio::spawn(async move { client.close().await });
    assert_eq!(peer.request().await["method"], "closeSession");
    drop(peer);
    closing.await.unwrap();
    ann.driver.await.unwrap();
}

#[tokio::test]
async fn a_client_that_has_left_ends_the_connection_by_itself() {
    let (mut server, mut peer, ann) = joined(Config::default()).await;
    let client = ann.client.clone();
    let leaving = tokio::spawn(async move { client.leave_room().await });
    let request = peer.request().await;
    peer.answer(&request, json!({})).await;
    leaving.await.unwrap().unwrap();
    peer.wait_for_end().await;
    assert_eq!(ann.client.session_id(), None);
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    let request = server.accept().await.request().await;
    assert_eq!(request["params"].get("sessionId"), None);
    drop(joining);
}
