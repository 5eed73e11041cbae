//! What the client writes is what Kurento's own JavaScript client writes, frame by frame.
//!
//! The expected frames are recorded ones of `kurento-client` 7.3 (ids shortened and counted from
//! our first request), but for `properties: {}` in `create`, which servers ignore.
#![cfg(feature = "ws")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use salono_kurento_client::{
    Client, Config, GStreamerFilter, Hub, HubPort, MediaPipeline, PassThrough, RemoteObject,
    SessionEvent, Value, WebRtcEndpoint, types,
};
use salono_kurento_model::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

/// Answers whatever comes, and shows it to the test; `cut` ends the connection.
async fn serve(listener: TcpListener, frames: mpsc::Sender<Value>, mut cut: mpsc::Receiver<()>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let frame: Value = serde_json::from_str(&text).unwrap();
                        answer(&mut socket, &frame).await;
                        frames.send(frame).await.unwrap();
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return,
                },
                Some(()) = cut.recv() => break,
            }
        }
    }
}

async fn answer(socket: &mut WebSocketStream<TcpStream>, frame: &Value) {
    let value = match frame["method"].as_str().unwrap() {
        "create" if frame["params"]["type"] == "MediaPipeline" => json!("P"),
        "create" if frame["params"]["type"] == "WebRtcEndpoint" => json!("P/W"),
        "create" => json!("P/X"),
        "subscribe" => json!("U"),
        "transaction" => {
            let response = |id: u64, value: &str| json!({"id": id, "jsonrpc": "2.0", "result": {"value": value}});
            json!([response(0, "P/F"), response(1, "name")])
        }
        "invoke" if frame["params"]["operation"] == "generateOffer" => json!("v=0"),
        "invoke" if frame["params"]["operation"] == "getInfo" => {
            json!({"version": "7.3.0", "modules": [], "type": "KMS", "capabilities": []})
        }
        _ => Value::Null,
    };
    let result = json!({"value": value, "sessionId": "S"});
    let response = json!({"id": frame["id"], "jsonrpc": "2.0", "result": result});
    socket
        .send(Message::text(response.to_string()))
        .await
        .unwrap();
}

#[tokio::test]
async fn frames_are_those_of_kurentos_own_client() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", listener.local_addr().unwrap());
    let (show, mut frames) = mpsc::channel(64);
    let (cut, cutting) = mpsc::channel(1);
    tokio::spawn(serve(listener, show, cutting));
    let mut config = Config::default();
    config.reconnect_delay = Duration::from_millis(1);
    let (client, driver) = Client::connect_with(&url, config).await.unwrap();
    let driver = tokio::spawn(driver.run());
    let mut session = client.events();

    let pipeline = MediaPipeline::create(&client).await.unwrap();
    client.server_manager().info().await.unwrap();
    let endpoint = WebRtcEndpoint::builder(&pipeline)
        .recvonly(true)
        .use_data_channels(true)
        .create()
        .await
        .unwrap();
    let found = endpoint.on_ice_candidate_found().await.unwrap();
    let hub = Hub::from(RemoteObject::attach(&client, "P/H"));
    HubPort::create(&hub).await.unwrap();
    let sink = PassThrough::attach(&client, "P/R");
    let audio = Some(types::MediaType::Audio);
    endpoint
        .connect_with(&sink, audio, None, None)
        .await
        .unwrap();
    endpoint.generate_offer().await.unwrap();
    let candidate = types::IceCandidate {
        candidate: "candidate:1 1 UDP ...".to_owned(),
        sdp_mid: "0".to_owned(),
        sdp_m_line_index: 0,
    };
    endpoint.add_ice_candidate(&candidate).await.unwrap();
    let caps = types::VideoCaps {
        codec: types::VideoCodec::Vp8,
        framerate: types::Fraction {
            numerator: 30,
            denominator: 1,
        },
    };
    endpoint.set_video_format(&caps).await.unwrap();
    let mut tx = client.begin_transaction();
    let building = GStreamerFilter::builder(&pipeline, "videobalance");
    let building = building.filter_type(types::FilterType::Video);
    let filter = tx.create(building.create());
    let name = tx.add(filter.name());
    tx.commit().await.unwrap().succeeded().unwrap();
    assert_eq!(name.await.unwrap(), "name");
    drop(found);
    endpoint.release().await.unwrap();
    cut.send(()).await.unwrap();
    while session.recv().await != Some(SessionEvent::Reconnected { same_session: true }) {}
    drop((client, pipeline, endpoint, hub, sink, filter));
    driver.await.unwrap();

    let operations = json!([
        {"method": "create", "params": {"type": "GStreamerFilter", "constructorParams":
            {"command": "videobalance", "filterType": "VIDEO", "mediaPipeline": "P"}},
            "jsonrpc": "2.0", "id": 0},
        {"method": "invoke", "params": {"object": "newref:0", "operation": "getName"},
            "jsonrpc": "2.0", "id": 1}
    ]);
    let expected = [
        ("create", json!({"type": "MediaPipeline"})),
        (
            "invoke",
            json!({"object": "manager_ServerManager", "operation": "getInfo", "sessionId": "S"}),
        ),
        (
            "create",
            json!({"type": "WebRtcEndpoint", "constructorParams":
            {"mediaPipeline": "P", "recvonly": true, "useDataChannels": true}, "sessionId": "S"}),
        ),
        (
            "subscribe",
            json!({"object": "P/W", "type": "IceCandidateFound", "sessionId": "S"}),
        ),
        (
            "create",
            json!({"type": "HubPort", "constructorParams": {"hub": "P/H"}, "sessionId": "S"}),
        ),
        (
            "invoke",
            json!({"object": "P/W", "operation": "connect", "operationParams":
            {"sink": "P/R", "mediaType": "AUDIO"}, "sessionId": "S"}),
        ),
        (
            "invoke",
            json!({"object": "P/W", "operation": "generateOffer", "operationParams": {},
            "sessionId": "S"}),
        ),
        (
            "invoke",
            json!({"object": "P/W", "operation": "addIceCandidate", "operationParams":
            {"candidate": {"candidate": "candidate:1 1 UDP ...", "sdpMid": "0", "sdpMLineIndex": 0,
                "__module__": "kurento", "__type__": "IceCandidate"}}, "sessionId": "S"}),
        ),
        (
            "invoke",
            json!({"object": "P/W", "operation": "setVideoFormat", "operationParams":
            {"caps": {"codec": "VP8", "framerate": {"numerator": 30, "denominator": 1,
                "__module__": "kurento", "__type__": "Fraction"},
                "__module__": "kurento", "__type__": "VideoCaps"}}, "sessionId": "S"}),
        ),
        (
            "transaction",
            json!({"operations": operations, "sessionId": "S"}),
        ),
        (
            "unsubscribe",
            json!({"object": "P/W", "subscription": "U", "sessionId": "S"}),
        ),
        ("release", json!({"object": "P/W", "sessionId": "S"})),
        // On the second connection; identifiers go on.
        ("connect", json!({"sessionId": "S"})),
        ("closeSession", json!({"release": false, "sessionId": "S"})),
    ];
    for (id, (method, params)) in expected.into_iter().enumerate() {
        let frame = frames.recv().await.unwrap();
        let wanted = json!({"jsonrpc": "2.0", "method": method, "params": params, "id": id});
        assert_eq!(frame, wanted);
    }
    assert!(frames.recv().await.is_none());
}
