//! What must stay secret stays out of logs.

use std::fs::File;

use salono_kurento_client::{MediaPipeline, RtpEndpoint, WebRtcEndpoint, types};
use serde_json::json;

use crate::process::{Folder, Server, salono};

/// The words that a peer proves itself with, in a description.
fn secrets(sdp: &str) -> Vec<String> {
    let secret = |line: &str| {
        let password = line.strip_prefix("a=ice-pwd:");
        let key = line.split_once(" inline:").map(|(_, key)| key);
        password.or(key).map(str::to_owned)
    };
    sdp.lines().filter_map(secret).collect()
}

#[tokio::test]
async fn passwords_and_keys_are_in_no_log_however_much_is_logged() {
    let folder = Folder::new();
    let (ports, log) = (folder.0.join("ports.json"), folder.0.join("log"));
    let arguments = ["media", "--log", "trace", "--kurento", "127.0.0.1:0"];
    let more = ["--media-ip", "127.0.0.1", "--ports-file"];
    let arguments = [&arguments[..], &more[..], &[ports.to_str().unwrap()]].concat();
    let mut command = salono(&arguments, &folder.0);
    // Nobody would read a pipe in the meantime.
    command.stderr(File::create(&log).unwrap());
    let server = Server::spawn(command, &ports).await;
    let client = server.typed_client().await;
    let pipeline = MediaPipeline::create(&client).await.unwrap();
    let one = WebRtcEndpoint::create(&pipeline).await.unwrap();
    let other = WebRtcEndpoint::create(&pipeline).await.unwrap();
    one.set_turn_url("ann:word-of-the-relay@127.0.0.1:9?transport=udp")
        .await
        .unwrap();
    let offer = one.generate_offer().await.unwrap();
    let answer = other.process_offer(&offer).await.unwrap();
    one.process_answer(&answer).await.unwrap();
    let crypto = types::SDES {
        crypto: Some(types::CryptoSuite::Aes128CmHmacSha1_80),
        key: Some("key-of-thirty-bytes-in-a-clear".to_owned()),
        ..types::SDES::default()
    };
    let plain = RtpEndpoint::builder(&pipeline).crypto(&crypto).create();
    let plain_offer = plain.await.unwrap().generate_offer().await.unwrap();
    one.gather_candidates().await.unwrap();
    one.get_stats().await.unwrap();
    // A frame that is refused is no reason to show it.
    let refused = json!({ "object": one.id(), "operation": "setTurnUrl",
        "operationParams": { "turnUrl": ["word-of-the-relay"] } });
    server.kurento_client().await.call("invoke", refused).await;
    server.terminate().await;
    server.ended().await;
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains(" DEBUG "), "{log}");
    let mut hidden = [&offer, &answer, &plain_offer]
        .map(|sdp| secrets(sdp))
        .concat();
    assert_eq!(hidden.len(), 2 + 2 + 2, "{hidden:?}");
    hidden.extend(["word-of-the-relay", "key-of-thirty-bytes"].map(str::to_owned));
    for secret in hidden {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret}");
    }
}
