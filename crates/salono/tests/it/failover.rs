//! A media server that dies costs nobody the room.

use salono_kurento_client::{MediaPipeline, WebRtcEndpoint};
use serde_json::{Value, json};

use crate::process::{Client, Folder, Received, Server, salono};

/// The next message of a method, and what came before it.
async fn hear(client: &mut Client, method: &str) -> (Value, Vec<String>) {
    let mut before = Vec::new();
    loop {
        match client.receive().await {
            Received::Json(mut event) if event["method"] == method => {
                return (event["params"].take(), before);
            }
            Received::Json(event) => before.push(event["method"].to_string()),
            Received::Closed(code) => panic!("closed with {code:?} instead of {method}"),
        }
    }
}

async fn join(rooms: &Server, user: &str) -> Client {
    let mut client = rooms.room_client().await;
    let join = json!({ "room": "r", "user": user, "dataChannels": false });
    client.result("joinRoom", join).await;
    client
}

async fn publish(client: &mut Client, peer: &MediaPipeline) -> Value {
    let endpoint = WebRtcEndpoint::create(peer).await.unwrap();
    let offer = endpoint.generate_offer().await.unwrap();
    let publish = json!({ "sdpOffer": offer, "doLoopback": false });
    let answer = client.result("publishVideo", publish).await;
    // It is a real answer to a real offer.
    let answer = answer["sdpAnswer"].as_str().unwrap().to_owned();
    endpoint.process_answer(&answer).await.unwrap();
    answer.into()
}

async fn receive(client: &mut Client, peer: &MediaPipeline) {
    let endpoint = WebRtcEndpoint::create(peer).await.unwrap();
    let offer = endpoint.generate_offer().await.unwrap();
    let receive = json!({ "sender": "ann_webcam", "sdpOffer": offer });
    let answer = client.result("receiveVideoFrom", receive).await;
    let answer = answer["sdpAnswer"].as_str().unwrap();
    endpoint.process_answer(answer).await.unwrap();
}

async fn pipelines(media: &Server) -> usize {
    let client = media.typed_client().await;
    client.server_manager().pipelines().await.unwrap().len()
}

#[tokio::test]
async fn a_room_goes_on_when_its_media_server_is_killed() {
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let [first, second] = [&folders[0], &folders[1]];
    let mut media = [
        Server::start("media", &[], first).await,
        Server::start("media", &[], second).await,
    ];
    // The browsers of this test.
    let browsers = Server::start("serve", &[], &folders[2]).await;
    let peer = browsers.typed_client().await;
    let peer = MediaPipeline::create(&peer).await.unwrap();
    let urls: Vec<String> = media
        .iter()
        .map(|media| format!("ws://{}/kurento", media.address("kurento")))
        .collect();
    let arguments = ["--kms", &urls[0], "--kms", &urls[1]];
    let rooms = Server::start("room", &arguments, &folders[2]).await;

    let mut ann = join(&rooms, "ann").await;
    let mut bob = join(&rooms, "bob").await;
    hear(&mut ann, "participantJoined").await;
    let before = publish(&mut ann, &peer).await;
    hear(&mut bob, "participantPublished").await;
    receive(&mut bob, &peer).await;

    let used = usize::from(pipelines(&media[0]).await == 0);
    assert_eq!(pipelines(&media[used]).await, 1);
    assert_eq!(pipelines(&media[1 - used]).await, 0);
    media[used].child.start_kill().unwrap();
    media[used].child.wait().await.unwrap();

    // Old clients hear that nobody publishes any more, and publishers that something went wrong.
    let (unpublished, _) = hear(&mut bob, "participantUnpublished").await;
    assert_eq!(unpublished, json!({ "name": "ann" }));
    let (error, _) = hear(&mut ann, "mediaError").await;
    let error = error["error"].as_str().unwrap();
    assert!(error.starts_with("MEDIA_SERVER_LOST"), "{error}");

    // The room is the same, and so is everything in it.
    let after = publish(&mut ann, &peer).await;
    assert_ne!(before, after);
    let (published, missed) = hear(&mut bob, "participantPublished").await;
    assert_eq!(published["id"], "ann");
    assert!(!missed.iter().any(|event| event.contains("participantLeft")));
    receive(&mut bob, &peer).await;
    assert_eq!(pipelines(&media[1 - used]).await, 1);

    // Nobody who comes now is sent to the dead one.
    let mut cid = join(&rooms, "cid").await;
    receive(&mut cid, &peer).await;
    for room in ["2", "3"] {
        let mut dan = rooms.room_client().await;
        let join = json!({ "room": room, "user": "dan", "dataChannels": false });
        dan.result("joinRoom", join).await;
    }

    // Once it is back it is used again.
    let address = urls[used].trim_start_matches("ws://");
    let address = address.trim_end_matches("/kurento");
    let file = folders[used].0.join("again.json");
    let mut arguments = vec!["media", "--ports-file", file.to_str().unwrap()];
    arguments.extend(["--http", "127.0.0.1:0", "--media-ip", "127.0.0.1"]);
    arguments.extend(["--kurento", address]);
    media[used] = Server::spawn(salono(&arguments, &folders[used].0), &file).await;
    let mut visitors = Vec::new();
    while pipelines(&media[used]).await == 0 {
        let mut eve = rooms.room_client().await;
        let room = format!("again {}", visitors.len());
        let join = json!({ "room": room, "user": "eve", "dataChannels": false });
        eve.result("joinRoom", join).await;
        visitors.push(eve);
        assert!(visitors.len() < 1000);
    }
}
