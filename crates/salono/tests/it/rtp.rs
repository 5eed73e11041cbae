//! `RtpEndpoint` with the programs that people use: what `ffmpeg` and GStreamer send arrives,
//! goes through a pipeline, and is decoded by the other program.

use serde_json::{Value, json};

use crate::process::{Client, Folder, Server};
use crate::programs::{
    KEY_128, KEY_128_BASE64, Media, decoded, ended, ffmpeg_receives, ffmpeg_sends, free_pair,
    gstreamer_receives, gstreamer_sends,
};

/// Frames that a receiver has to decode.
const FRAMES: u32 = 20;

/// Master key and salt of AES-256, as GStreamer wants them: 46 times the byte 7.
const KEY_256_HEX: &str =
    "07070707070707070707070707070707070707070707070707070707070707070707070707070707070707070707";
const KEY_256_BASE64: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBw==";

/// A media server with RTP ports outside of those that systems give out by themselves.
async fn media_server(folder: &Folder) -> Server {
    let file = folder.0.join("salono.toml");
    std::fs::write(
        &file,
        "[endpoint]\nrtp_port_min = 30000\nrtp_port_max = 32000\n",
    )
    .unwrap();
    Server::start("media", &["--config", file.to_str().unwrap()], folder).await
}

async fn invoke(client: &mut Client, object: &str, operation: &str, params: Value) -> Value {
    let params = json!({ "object": object, "operation": operation, "operationParams": params });
    client.result("invoke", params).await["value"].take()
}

async fn create(client: &mut Client, class: &str, params: Value) -> String {
    let params = json!({ "type": class, "constructorParams": params });
    let created = client.result("create", params).await;
    created["value"].as_str().unwrap().to_owned()
}

/// Two connected endpoints: what the first receives the second sends.
struct Relay {
    client: Client,
    pipeline: String,
    from: String,
    to: String,
}

impl Relay {
    async fn new(server: &Server, crypto: Value) -> Self {
        let mut client = server.kurento_client().await;
        let pipeline = create(&mut client, "MediaPipeline", json!({})).await;
        let mut params = json!({ "mediaPipeline": pipeline });
        if !crypto.is_null() {
            params["crypto"] = crypto;
        }
        let from = create(&mut client, "RtpEndpoint", params.clone()).await;
        let to = create(&mut client, "RtpEndpoint", params).await;
        invoke(&mut client, &from, "connect", json!({ "sink": to })).await;
        Self {
            client,
            pipeline,
            from,
            to,
        }
    }

    /// Negotiates both ends; returns the port to send to.
    async fn negotiate(&mut self, media: Media, port: u16, key: Option<&str>) -> u16 {
        // Where the sender receives is of no importance: nobody sends there.
        let offer = json!({ "offer": media.sdp(9, key, "sendonly") });
        let answer = invoke(&mut self.client, &self.from, "processOffer", offer).await;
        let offer = json!({ "offer": media.sdp(port, key, "recvonly") });
        let answered = invoke(&mut self.client, &self.to, "processOffer", offer).await;
        assert!(
            answered.as_str().unwrap().contains("a=sendonly"),
            "{answered}"
        );
        port_of(&answer)
    }

    /// Everything that was bound is given back.
    async fn release(mut self) {
        let params = json!({ "object": self.pipeline });
        self.client.result("release", params).await;
    }
}

/// The port of the only m-line of a description.
fn port_of(sdp: &Value) -> u16 {
    let line = sdp
        .as_str()
        .unwrap()
        .lines()
        .find(|line| line.starts_with("m="))
        .unwrap();
    let port = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!((30_000..=32_000).contains(&port), "as configured: {port}");
    port
}

#[tokio::test]
async fn what_ffmpeg_sends_ffmpeg_decodes() {
    let folder = Folder::new();
    let server = media_server(&folder).await;
    for media in [Media::Vp8, Media::H264, Media::Opus] {
        let mut relay = Relay::new(&server, Value::Null).await;
        let port = free_pair();
        let target = relay.negotiate(media, port, None).await;
        let receiver = ffmpeg_receives(media, port, None, FRAMES, &folder.0);
        let sender = ffmpeg_sends(media, target, None);
        let printed = ended(receiver).await;
        assert!(decoded(&printed) >= FRAMES as usize, "{media:?}: {printed}");
        drop(sender);
        relay.release().await;
    }
}

#[tokio::test]
async fn what_ffmpeg_encrypts_ffmpeg_decodes() {
    let folder = Folder::new();
    let server = media_server(&folder).await;
    let crypto = json!({ "crypto": "AES_128_CM_HMAC_SHA1_80", "key": KEY_128 });
    for media in [Media::Vp8, Media::H264, Media::Opus] {
        let mut relay = Relay::new(&server, crypto.clone()).await;
        let port = free_pair();
        let key = Some(KEY_128_BASE64);
        let target = relay.negotiate(media, port, key).await;
        let receiver = ffmpeg_receives(media, port, key, FRAMES, &folder.0);
        let sender = ffmpeg_sends(media, target, key);
        let printed = ended(receiver).await;
        assert!(decoded(&printed) >= FRAMES as usize, "{media:?}: {printed}");
        drop(sender);
        relay.release().await;
    }
}

#[tokio::test]
async fn ffmpeg_and_gstreamer_understand_each_other_through_a_pipeline() {
    let folder = Folder::new();
    let server = media_server(&folder).await;
    for media in [Media::Vp8, Media::H264, Media::Opus, Media::Pcmu] {
        let mut relay = Relay::new(&server, Value::Null).await;
        let port = free_pair();
        let target = relay.negotiate(media, port, None).await;
        let receiver = gstreamer_receives(media, port, "", FRAMES);
        let sender = ffmpeg_sends(media, target, None);
        let printed = ended(receiver).await;
        assert!(decoded(&printed) >= FRAMES as usize, "{media:?}: {printed}");
        drop(sender);
        relay.release().await;

        let mut relay = Relay::new(&server, Value::Null).await;
        let port = free_pair();
        let target = relay.negotiate(media, port, None).await;
        let receiver = ffmpeg_receives(media, port, None, FRAMES, &folder.0);
        let sender = gstreamer_sends(media, target, "");
        let printed = ended(receiver).await;
        assert!(decoded(&printed) >= FRAMES as usize, "{media:?}: {printed}");
        drop(sender);
        relay.release().await;
    }
}

#[tokio::test]
async fn what_gstreamer_encrypts_with_every_suite_gstreamer_decodes() {
    let folder = Folder::new();
    let server = media_server(&folder).await;
    let key_128: String = KEY_128.bytes().map(|byte| format!("{byte:02x}")).collect();
    for (suite, sdes, key, base64, cipher, tag) in [
        (
            "AES_128_CM_HMAC_SHA1_32",
            "AES_CM_128_HMAC_SHA1_32",
            &*key_128,
            KEY_128_BASE64,
            128,
            32,
        ),
        (
            "AES_128_CM_HMAC_SHA1_80",
            "AES_CM_128_HMAC_SHA1_80",
            &*key_128,
            KEY_128_BASE64,
            128,
            80,
        ),
        (
            "AES_256_CM_HMAC_SHA1_32",
            "AES_256_CM_HMAC_SHA1_32",
            KEY_256_HEX,
            KEY_256_BASE64,
            256,
            32,
        ),
        (
            "AES_256_CM_HMAC_SHA1_80",
            "AES_256_CM_HMAC_SHA1_80",
            KEY_256_HEX,
            KEY_256_BASE64,
            256,
            80,
        ),
    ] {
        let media = if tag == 80 { Media::H264 } else { Media::Opus };
        let crypto = json!({ "crypto": suite, "keyBase64": base64 });
        let mut relay = Relay::new(&server, crypto).await;
        let port = free_pair();
        let line = |sdp: String| sdp.replace("AES_CM_128_HMAC_SHA1_80", sdes);
        let offer = json!({ "offer": line(media.sdp(9, Some(base64), "sendonly")) });
        let answer = invoke(&mut relay.client, &relay.from, "processOffer", offer).await;
        let own = format!("a=crypto:1 {sdes} inline:{base64}");
        assert!(answer.as_str().unwrap().contains(&own), "{answer}");
        let offer = json!({ "offer": line(media.sdp(port, Some(base64), "recvonly")) });
        let sends = invoke(&mut relay.client, &relay.to, "processOffer", offer).await;
        // GStreamer opens only streams that it was told of.
        let ssrc = sends.as_str().unwrap().split("a=ssrc:").nth(1).unwrap();
        let ssrc = ssrc.split(' ').next().unwrap();

        let how = format!("rtp-cipher=aes-{cipher}-icm rtp-auth=hmac-sha1-{tag}");
        let rtcp = format!("rtcp-cipher=aes-{cipher}-icm rtcp-auth=hmac-sha1-80");
        let encrypt = format!("! srtpenc key={key} {how} {rtcp}");
        let open = format!(
            "ssrc=(uint){ssrc},srtp-key=(buffer){key},srtp-cipher=(string)aes-{cipher}-icm,srtp-auth=(string)hmac-sha1-{tag},srtcp-cipher=(string)aes-{cipher}-icm,srtcp-auth=(string)hmac-sha1-80"
        );
        let receiver = gstreamer_receives(media, port, &open, FRAMES);
        let sender = gstreamer_sends(media, port_of(&answer), &encrypt);
        let printed = ended(receiver).await;
        assert!(decoded(&printed) >= FRAMES as usize, "{suite}: {printed}");
        drop(sender);
        relay.release().await;
    }
}

#[tokio::test]
async fn states_and_counters_follow_what_ffmpeg_sends() {
    let folder = Folder::new();
    let server = media_server(&folder).await;
    let mut relay = Relay::new(&server, Value::Null).await;
    for event in [
        "MediaStateChanged",
        "ConnectionStateChanged",
        "MediaFlowOutStateChanged",
    ] {
        let params = json!({ "object": relay.from, "type": event });
        relay.client.result("subscribe", params).await;
    }
    let state = invoke(
        &mut relay.client,
        &relay.from,
        "getConnectionState",
        json!({}),
    )
    .await;
    assert_eq!(state, "DISCONNECTED");
    let target = relay.negotiate(Media::Vp8, free_pair(), None).await;
    let state = invoke(
        &mut relay.client,
        &relay.from,
        "getConnectionState",
        json!({}),
    )
    .await;
    assert_eq!(state, "CONNECTED");
    let sender = ffmpeg_sends(Media::Vp8, target, None);
    relay
        .await_event("MediaStateChanged", "newState", "CONNECTED")
        .await;
    let stats = invoke(&mut relay.client, &relay.from, "getStats", json!({})).await;
    let received = stats.as_object().unwrap().values().any(|stream| {
        stream["type"] == "inboundrtp" && stream["packetsReceived"].as_u64() > Some(0)
    });
    assert!(received, "{stats}");
    drop(sender);
    relay
        .await_event("MediaFlowOutStateChanged", "state", "NOT_FLOWING")
        .await;
    relay
        .await_event("MediaStateChanged", "newState", "DISCONNECTED")
        .await;
    relay.release().await;
}

impl Relay {
    /// Waits for an event of the receiving end whose member has this value.
    async fn await_event(&mut self, event: &str, member: &str, value: &str) {
        loop {
            match self.client.receive().await {
                crate::process::Received::Json(message) => {
                    let raised = &message["params"]["value"];
                    if raised["type"] == event && raised["data"][member] == value {
                        return;
                    }
                }
                crate::process::Received::Closed(code) => panic!("closed with {code:?}"),
            }
        }
    }
}
