//! Whatever a client sends, the server is there afterwards.

use std::time::Duration;

use proptest::prelude::*;
use salono_jsonrpc::Limits;
use salono_jsonrpc::room::{Config, Hub, Incoming, parse};
use salono_room_proto::{Notification, Request};
use salono_room_server::RoomServerConfig;
use serde_json::{Value, json};

use crate::support::client::TestClient;
use crate::support::start;

/// JSON of any shape, with the names that mean something here.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[a-z]{0,3}(_[a-z]{0,3}){0,2}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "room",
            "user",
            "dataChannels",
            "sdpOffer",
            "doLoopback",
            "sender",
            "endpointName",
            "candidate",
            "sdpMid",
            "sdpMLineIndex",
            "userMessage",
            "roomMessage",
            "message",
            "sessionId",
            "interval",
            "id",
            "name",
            "streams",
        ])
        .prop_map(str::to_owned),
        ".{0,8}",
    ]
}

fn method() -> impl Strategy<Value = Value> {
    prop_oneof![
        9 => prop::sample::select(vec![
            "joinRoom", "leaveRoom", "publishVideo", "unpublishVideo", "receiveVideoFrom",
            "unsubscribeFromVideo", "onIceCandidate", "sendMessage", "customRequest", "ping",
            "connect", "closeSession", "participantPublished", "poll",
        ])
        .prop_map(Value::from),
        1 => value(),
    ]
}

/// A frame that is almost right.
fn frame() -> impl Strategy<Value = String> {
    (method(), value(), value()).prop_map(|(method, id, params)| {
        json!({ "jsonrpc": "2.0", "method": method, "id": id, "params": params }).to_string()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = parse(&text, &Limits::default());
    }

    #[test]
    fn any_params_are_read_or_refused(method in method(), params in value()) {
        let method = method.as_str().unwrap_or_default();
        let _ = Request::parse(method, Some(&params));
        let _ = Notification::parse(method, Some(&params));
    }

    #[test]
    fn the_hub_outlives_any_frames(frames in prop::collection::vec(frame(), 0..20)) {
        let mut count = 0_u8;
        let mut hub = Hub::new(Config::default(), move |bytes| {
            count += 1;
            bytes.fill(count);
        });
        let now = std::time::Instant::now();
        let socket = hub.handle_open().unwrap();
        for text in frames {
            if let Ok(frame) = parse(&text, &Limits::default()) {
                let calls = matches!(frame, Incoming::Call(_));
                hub.handle_frame(socket, frame, now);
                prop_assert!(calls || hub.poll_effect().is_none());
                while hub.poll_effect().is_some() {}
            }
        }
        hub.handle_close(socket, now);
        hub.handle_timeout(now + Duration::from_secs(20_000));
    }
}

#[test]
fn a_server_that_was_fed_garbage_still_holds_calls() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    // The same frames each time.
    let mut runner = TestRunner::deterministic();
    let frames: Vec<String> = (0..500)
        .map(|_| frame().new_tree(&mut runner).unwrap().current())
        .collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (server, mut kurento) = start(RoomServerConfig::default());
        for chunk in frames.chunks(50) {
            let client = TestClient::within(&server);
            for text in chunk {
                // closeSession may come along, after which nobody listens.
                client.try_send(text).await;
            }
            client.drop_connection().await;
        }
        let mut ann = TestClient::within(&server);
        let join = json!({ "room": "still here", "user": "ann" });
        ann.send(&json!({ "id": 1, "method": "joinRoom", "params": join }).to_string())
            .await;
        assert!(ann.hear_text("join").await.contains("result"));
        // When everybody's grace is over, nothing is left of them.
        tokio::time::sleep(Duration::from_secs(11)).await;
        let metrics = server.snapshot();
        assert_eq!(
            (metrics.rooms, metrics.sessions, metrics.sockets),
            (1, 1, 1)
        );
        kurento.order("objects 1").await;
    });
}
