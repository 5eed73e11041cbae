//! The typed Rust client against the server: in the process and over a WebSocket.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod fake_engine;

use salono_kurento_client::{
    Client, Composite, Error, FaceOverlayFilter, GStreamerFilter, HttpPostEndpoint, HubPort,
    ImageOverlayFilter, MediaPipeline, Mixer, PassThrough, PlayerEndpoint, RecorderEndpoint,
    WebRtcEndpoint, ZBarFilter, chroma::ChromaFilter, salono::LayoutComposite, types,
};
use salono_kurento_server::{Config, ListenerConfig, serve_listener};
use tokio::net::TcpListener;

/// What an application does with one publisher and a fixed point.
async fn use_it(client: &Client) {
    let pipeline = MediaPipeline::create(client).await.unwrap();
    let endpoint = WebRtcEndpoint::builder(&pipeline)
        .use_data_channels(true)
        .create()
        .await
        .unwrap();
    let point = PassThrough::create(&pipeline).await.unwrap();
    assert!(endpoint.id().starts_with(pipeline.id()));
    let mut candidates = endpoint.on_ice_candidate_found().await.unwrap();
    endpoint.connect(&point).await.unwrap();
    assert_eq!(endpoint.process_offer("v=0").await.unwrap(), "v=0 answer");
    endpoint.gather_candidates().await.unwrap();
    let found = candidates.recv().await.unwrap().unwrap();
    assert_eq!(found.source, endpoint.id());
    assert!(found.candidate.candidate.starts_with("candidate:"));
    assert!(endpoint.get_stats().await.unwrap().is_empty());
    let empty = endpoint.process_offer("").await.unwrap_err();
    let Error::Server(refusal) = empty else {
        panic!("a refusal, not {empty:?}");
    };
    assert_eq!(refusal.code.code(), 40201);
    pipeline.release().await.unwrap();
    assert!(point.name().await.is_err());
}

#[tokio::test]
async fn a_typed_client_in_the_process_is_served() {
    let running = fake_engine::start(Config::default());
    let (requests, messages) = running.handle.open_session().await.unwrap();
    let (client, driver) = Client::from_channel(requests, messages);
    let driver = tokio::spawn(driver.run());
    use_it(&client).await;
    drop(client);
    driver.await.unwrap();
}

/// The code of a refusal.
fn code<T: std::fmt::Debug>(result: Result<T, Error>) -> i32 {
    match result {
        Err(Error::Server(refusal)) => refusal.code.code(),
        other => panic!("a refusal, not {other:?}"),
    }
}

async fn play_and_record(pipeline: &MediaPipeline) {
    let player = PlayerEndpoint::builder(pipeline, "file:///tmp/a%2Fb.webm")
        .use_encoded_media(true)
        .network_cache(100)
        .create()
        .await
        .unwrap();
    assert_eq!(player.uri().await.unwrap(), "file:///tmp/a/b.webm");
    let mut states = player.on_uri_endpoint_state_changed().await.unwrap();
    player.play().await.unwrap();
    player.play().await.unwrap();
    player.pause().await.unwrap();
    for expected in [
        types::UriEndpointState::Start,
        types::UriEndpointState::Pause,
    ] {
        let changed = states.recv().await.unwrap().unwrap();
        assert_eq!(changed.state, expected);
    }
    assert_eq!(
        player.state().await.unwrap(),
        types::UriEndpointState::Pause
    );
    assert_eq!(player.position().await.unwrap(), 0);
    assert_eq!(code(player.set_position(5_000).await), 40_700);
    assert!(!player.video_info().await.unwrap().is_seekable);
    let dot = player.element_gstreamer_dot().await.unwrap();
    assert!(dot.starts_with("digraph"), "{dot}");

    let recorder = RecorderEndpoint::builder(pipeline, "file:///tmp/a.webm")
        .media_profile(types::MediaProfileSpecType::Mp4)
        .stop_on_end_of_stream(true)
        .create()
        .await
        .unwrap();
    player.connect(&recorder).await.unwrap();
    let mut recording = recorder.on_recording().await.unwrap();
    let mut stopped = recorder.on_stopped().await.unwrap();
    recorder.record().await.unwrap();
    recording.recv().await.unwrap().unwrap();
    recorder.stop_and_wait().await.unwrap();
    let stopped = stopped.recv().await.unwrap().unwrap();
    assert_eq!(stopped.uri.as_deref(), Some("file:///tmp/a.webm"));
    assert_eq!(
        (stopped.duration, stopped.bytes),
        (Some(2_000), Some(50_000))
    );
    recorder.release().await.unwrap();
}

async fn mix(pipeline: &MediaPipeline) {
    let composite = Composite::builder(pipeline).width(640).create().await;
    let port = HubPort::create(&composite.unwrap()).await.unwrap();
    let layouts = LayoutComposite::create(pipeline).await.unwrap();
    let own = HubPort::create(&layouts).await.unwrap();
    let mut layout = types::salono::Layout {
        arrangement: types::salono::LayoutArrangement::Speaker,
        main: Some(own.id().to_owned()),
        ports: None,
        background: None,
    };
    layouts.set_layout(&layout).await.unwrap();
    layout.main = Some(port.id().to_owned());
    assert_eq!(code(layouts.set_layout(&layout).await), 40_004);
    let mixer = Mixer::create(pipeline).await.unwrap();
    let (one, other) = (
        HubPort::create(&mixer).await.unwrap(),
        HubPort::create(&mixer).await.unwrap(),
    );
    let audio = types::MediaType::Audio;
    mixer.connect(audio.clone(), &one, &other).await.unwrap();
    mixer.connect(audio, &other, &other).await.unwrap();
}

async fn filter(pipeline: &MediaPipeline) {
    let flip = GStreamerFilter::create(pipeline, "videoflip method=4");
    let flip = flip.await.unwrap();
    assert_eq!(flip.command().await.unwrap(), "videoflip method=4");
    flip.set_element_property("method", "vertical-flip")
        .await
        .unwrap();
    assert_eq!(code(flip.set_element_property("nope", "1").await), 40_001);
    assert_eq!(
        code(flip.set_element_property("mute", "true").await),
        40_006
    );
    let hat = FaceOverlayFilter::create(pipeline).await.unwrap();
    hat.set_overlayed_image("file:///hat.png", -0.2, -1.2, 1.6, 1.6)
        .await
        .unwrap();
    hat.unset_overlayed_image().await.unwrap();
    let images = ImageOverlayFilter::create(pipeline).await.unwrap();
    images
        .add_image("a", "file:///a.png", 0.1, 0.1, 0.3, 0.3, true, false)
        .await
        .unwrap();
    images.remove_image("a").await.unwrap();
    ZBarFilter::create(pipeline).await.unwrap();
    let window = types::chroma::WindowParam {
        top_right_corner_x: 1,
        top_right_corner_y: 2,
        width: 30,
        height: 40,
    };
    let chroma = ChromaFilter::create(pipeline, &window).await.unwrap();
    chroma.set_background("file:///b.png").await.unwrap();
    chroma.unset_background().await.unwrap();
}

#[tokio::test]
async fn a_typed_client_plays_records_mixes_and_filters() {
    let mut config = Config::default();
    config.uploads.listen = "127.0.0.1:0".parse().unwrap();
    let running = fake_engine::start(config);
    let (requests, messages) = running.handle.open_session().await.unwrap();
    let (client, driver) = Client::from_channel(requests, messages);
    let driver = tokio::spawn(driver.run());
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    play_and_record(&pipeline).await;
    mix(&pipeline).await;
    filter(&pipeline).await;
    let upload = HttpPostEndpoint::create(&pipeline).await.unwrap();
    let url = upload.get_url().await.unwrap();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    pipeline.release().await.unwrap();
    // The driver ends with the last of those that use it.
    drop((upload, pipeline, client));
    driver.await.unwrap();
}

#[tokio::test]
async fn a_typed_client_over_a_web_socket_is_served() {
    let running = fake_engine::start(Config::default());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/kurento", socket.local_addr().unwrap());
    let listener = ListenerConfig::default();
    tokio::spawn(serve_listener(running.handle.clone(), socket, listener));
    let (client, driver) = Client::connect(&url).await.unwrap();
    let driver = tokio::spawn(driver.run());
    use_it(&client).await;
    drop(client);
    driver.await.unwrap();
}
