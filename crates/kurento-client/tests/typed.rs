//! The typed client over the in-process queues, against a scripted other end.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod peer;

use std::time::Duration;

use peer::{create, invoke, start, with};
use salono_kurento_client::{
    Config, Error, ErrorCode, EventError, MediaPipeline, OBJECT_EVENTS, SessionEvent, Value,
    WebRtcEndpoint, events::IceCandidateFound, types, wire::Request,
};
use salono_kurento_model::{Error as ServerError, json};

#[tokio::test]
async fn typed_calls_become_the_requests_of_the_protocol() {
    let (client, mut peer, _driver) = start(Config::default());
    let pipeline = with(MediaPipeline::create(&client), async || {
        let message = peer.expect().await;
        assert_eq!(message.session, None);
        let (class, params) = ("MediaPipeline".to_owned(), None);
        assert_eq!(message.request, Request::Create { class, params });
        peer.answer(&message, json!("p")).await;
    });
    let pipeline = pipeline.await.unwrap();
    assert_eq!(pipeline.id(), "p");

    let building = WebRtcEndpoint::builder(&pipeline)
        .use_data_channels(true)
        .certificate_key_type(types::CertificateKeyType::Ecdsa)
        .create();
    let endpoint = with(building, async || {
        let message = peer.expect().await;
        assert_eq!(message.session.as_deref(), Some("s1"));
        let params =
            json!({"mediaPipeline": "p", "useDataChannels": true, "certificateKeyType": "ECDSA"});
        assert_eq!(message.request, create("WebRtcEndpoint", params));
        peer.answer(&message, json!("p/w")).await;
    });
    let endpoint = endpoint.await.unwrap();

    with(endpoint.connect(&endpoint), async || {
        let message = peer.expect().await;
        assert_eq!(
            message.request,
            invoke("p/w", "connect", Some(json!({"sink": "p/w"})))
        );
        peer.answer(&message, Value::Null).await;
    })
    .await
    .unwrap();

    let only_video = endpoint.connect_with(&endpoint, Some(types::MediaType::Video), None, None);
    with(only_video, async || {
        let message = peer.expect().await;
        let params = json!({"sink": "p/w", "mediaType": "VIDEO"});
        assert_eq!(message.request, invoke("p/w", "connect", Some(params)));
        peer.answer(&message, Value::Null).await;
    })
    .await
    .unwrap();

    let candidate = types::IceCandidate {
        candidate: "candidate:1".to_owned(),
        sdp_mid: "0".to_owned(),
        sdp_m_line_index: 0,
    };
    with(endpoint.add_ice_candidate(&candidate), async || {
        let message = peer.expect().await;
        let params = json!({
            "candidate": {"candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0,
                "__module__": "kurento", "__type__": "IceCandidate"}
        });
        assert_eq!(
            message.request,
            invoke("p/w", "addIceCandidate", Some(params))
        );
        peer.answer(&message, Value::Null).await;
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn answers_are_read_as_their_types() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "p/w");

    let parent = with(endpoint.parent(), async || {
        let message = peer.expect().await;
        assert_eq!(message.request, invoke("p/w", "getParent", None));
        peer.answer(&message, json!("p")).await;
    });
    assert_eq!(parent.await.unwrap().unwrap().id(), "p");
    let nobody = with(endpoint.parent(), async || {
        let message = peer.expect().await;
        peer.answer(&message, Value::Null).await;
    });
    assert!(nobody.await.unwrap().is_none());

    let state = with(endpoint.media_state(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("HALF_CONNECTED")).await;
    });
    let unknown = types::MediaState::Unknown("HALF_CONNECTED".to_owned());
    assert_eq!(state.await.unwrap(), unknown);

    let stats = with(endpoint.get_stats(), async || {
        let message = peer.expect().await;
        let session = json!({
            "__module__": "kurento", "__type__": "RTCPeerConnectionStats", "id": "a",
            "type": "session", "timestampMillis": 5, "dataChannelsOpened": 1,
            "dataChannelsClosed": 0
        });
        let strange = json!({"__module__": "kurento", "__type__": "Strange", "id": "b"});
        peer.answer(&message, json!({"a": session, "b": strange}))
            .await;
    });
    let stats = stats.await.unwrap();
    assert!(matches!(
        &stats["a"],
        types::AnyStats::RTCPeerConnectionStats(stats) if stats.data_channels_opened == 1
    ));
    assert!(matches!(&stats["b"], types::AnyStats::Unknown(_)));
    let empty = with(endpoint.get_stats(), async || {
        let message = peer.expect().await;
        peer.answer(&message, Value::Null).await;
    });
    assert!(empty.await.unwrap().is_empty());

    let nonsense = with(endpoint.name(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!([1])).await;
    });
    assert!(matches!(nonsense.await, Err(Error::UnexpectedAnswer(_))));
}

#[tokio::test]
async fn refusals_keep_code_kind_and_message() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "gone");
    let error = with(endpoint.generate_offer(), async || {
        let message = peer.expect().await;
        let error = ServerError::new(ErrorCode::MediaObjectNotFound, "Object 'gone' not found");
        peer.refuse(&message, error).await;
    });
    let error = error.await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MediaObjectNotFound));
    assert_eq!(error.kind(), Some("MEDIA_OBJECT_NOT_FOUND"));
    assert_eq!(error.message(), "Object 'gone' not found");
}

#[tokio::test]
async fn answers_find_their_requests_in_any_order() {
    let (client, mut peer, _driver) = start(Config::default());
    let (one, two) = (
        WebRtcEndpoint::attach(&client, "1"),
        WebRtcEndpoint::attach(&client, "2"),
    );
    let both = async { tokio::join!(one.name(), two.name()) };
    let (first, second) = with(both, async || {
        let first = peer.expect().await;
        let second = peer.expect().await;
        assert_eq!(first.request, invoke("1", "getName", None));
        peer.answer(&second, json!("second")).await;
        peer.answer(&first, json!("first")).await;
    })
    .await;
    assert_eq!(
        (first.unwrap(), second.unwrap()),
        ("first".to_owned(), "second".to_owned())
    );
}

#[tokio::test]
async fn streams_deliver_their_event_of_their_object_and_end_with_it() {
    let (client, mut peer, _driver) = start(Config::default());
    let mut session = client.events();
    let endpoint = WebRtcEndpoint::attach(&client, "p/w");
    let candidates = with(endpoint.on_ice_candidate_found(), async || {
        let message = peer.expect().await;
        let (object, event) = ("p/w".to_owned(), "IceCandidateFound".to_owned());
        assert_eq!(message.request, Request::Subscribe { object, event });
        // An event may overtake the answer.
        peer.raise_candidate("p/w", 1).await;
        peer.answer(&message, json!("sub")).await;
    });
    let mut candidates = candidates.await.unwrap();
    peer.raise_candidate("p/other", 9).await;
    peer.raise_candidate("p/w", 2).await;

    for number in [1, 2] {
        let found: IceCandidateFound = candidates.recv().await.unwrap().unwrap();
        assert_eq!(found.candidate.candidate, format!("candidate:{number}"));
        assert_eq!(found.source, "p/w");
    }
    for number in [1, 9, 2] {
        let Some(SessionEvent::Notification(event)) = session.recv().await else {
            panic!("an event");
        };
        assert_eq!(
            event.data["candidate"]["candidate"],
            format!("candidate:{number}")
        );
    }

    let pipeline = MediaPipeline::attach(&client, "p");
    with(pipeline.release(), async || {
        let message = peer.expect().await;
        assert_eq!(
            message.request,
            Request::Release {
                object: "p".to_owned()
            }
        );
        peer.answer(&message, Value::Null).await;
    })
    .await
    .unwrap();
    assert!(candidates.recv().await.is_none());
}

#[tokio::test]
async fn dropping_a_stream_ends_the_subscription() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let stream = with(endpoint.on_error(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("sub")).await;
    });
    drop(stream.await.unwrap());
    let (object, subscription) = ("w".to_owned(), "sub".to_owned());
    let expected = Request::Unsubscribe {
        object,
        subscription,
    };
    assert_eq!(peer.expect().await.request, expected);
}

#[tokio::test]
async fn a_slow_reader_is_told_how_much_it_lost() {
    let (client, mut peer, _driver) = start(Config::default());
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let candidates = with(endpoint.on_ice_candidate_found(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("sub")).await;
    });
    let mut candidates = candidates.await.unwrap();
    for number in 0..OBJECT_EVENTS + 7 {
        peer.raise_candidate("w", number).await;
    }
    // An answer comes after all events before it.
    with(endpoint.name(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("n")).await;
    })
    .await
    .unwrap();
    for number in 0..OBJECT_EVENTS {
        let found = candidates.recv().await.unwrap().unwrap();
        assert_eq!(found.candidate.candidate, format!("candidate:{number}"));
    }
    assert_eq!(candidates.recv().await, Some(Err(EventError::Lagged(7))));
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_times_out_and_its_late_answer_is_ignored() {
    let mut config = Config::default();
    config.request_timeout = Duration::from_secs(3);
    let (client, mut peer, _driver) = start(config);
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let (result, late) = tokio::join!(endpoint.name(), peer.expect());
    assert_eq!(result, Err(Error::Timeout(Duration::from_secs(3))));
    peer.answer(&late, json!("late")).await;
    let name = with(endpoint.name(), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("in time")).await;
    });
    assert_eq!(name.await, Ok("in time".to_owned()));
}

#[tokio::test]
async fn losing_the_object_model_fails_what_is_outstanding_and_ends_the_streams() {
    let (client, mut peer, driver) = start(Config::default());
    let mut session = client.events();
    let endpoint = WebRtcEndpoint::attach(&client, "w");
    let (result, ()) = tokio::join!(endpoint.name(), async {
        peer.expect().await;
        drop(peer);
    });
    assert_eq!(result, Err(Error::Disconnected));
    assert_eq!(session.recv().await, Some(SessionEvent::Disconnected));
    driver.await.unwrap();
    assert_eq!(session.recv().await, None);
    assert_eq!(endpoint.name().await, Err(Error::Closed));
    assert_eq!(client.events().recv().await, None);
}

#[tokio::test]
async fn the_last_handle_closes_the_session() {
    let (client, mut peer, driver) = start(Config::default());
    let pipeline = with(MediaPipeline::create(&client), async || {
        let message = peer.expect().await;
        peer.answer(&message, json!("p")).await;
    });
    let pipeline = pipeline.await.unwrap();
    drop(client);
    drop(pipeline);
    let goodbye = peer.expect().await;
    assert_eq!(goodbye.session.as_deref(), Some("s1"));
    assert_eq!(goodbye.request, Request::CloseSession { release: false });
    driver.await.unwrap();
}
