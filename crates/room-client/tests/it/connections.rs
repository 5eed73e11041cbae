//! Connections that break, and how clients come back.

use std::time::Duration;

use salono_room_client::{Config, Error, Event, Join, Notification, Reconnect, RoomClient};
use salono_room_server::RoomServerConfig;
use serde_json::json;
use tokio::time::timeout;

use crate::support::cable::Cable;
use crate::support::scripted::Scripted;
use crate::support::{PATIENCE, Participant, Rooms};

const BACK: Event = Event::Reconnected { resumed: true };

#[tokio::test]
async fn who_lost_the_connection_keeps_the_place_and_hears_what_was_missed_in_order() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let cable = Cable::lay(rooms.address).await;
    let mut bob = rooms.join("r", "bob").await;
    let mut ann = Participant::connect(&cable.url(), Config::default()).await;
    ann.client.join_room("r", "ann").await.unwrap();
    bob.hear_of().await;
    let session = ann.client.session_id();
    cable.pull();
    assert_eq!(ann.hear().await, Some(Event::Disconnected));
    for number in 0..20 {
        bob.client
            .send_message("bob", "r", &number.to_string())
            .await
            .unwrap();
        bob.hear_chat().await;
    }
    // A request made meanwhile waits for the connection.
    let client = ann.client.clone();
    let waiting = tokio::spawn(async move { client.send_message("ann", "r", "back").await });
    cable.mend();
    assert_eq!(ann.hear().await, Some(BACK));
    for number in 0..20 {
        assert_eq!(ann.hear_chat().await, number.to_string());
    }
    waiting.await.unwrap().unwrap();
    assert_eq!(ann.hear_chat().await, "back");
    assert_eq!(ann.client.session_id(), session);
    // Others have seen nothing of it.
    assert_eq!(bob.hear_chat().await, "back");
}

#[tokio::test]
async fn a_change_of_network_is_survived_again_and_again() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let cable = Cable::lay(rooms.address).await;
    let mut ann = Participant::connect(&cable.url(), Config::default()).await;
    ann.client.join_room("r", "ann").await.unwrap();
    for round in 0..5 {
        if round % 2 == 0 {
            ann.client.reconnect();
        } else {
            cable.cut();
        }
        assert_eq!(ann.hear().await, Some(Event::Disconnected));
        assert_eq!(ann.hear().await, Some(BACK));
        ann.client.send_message("ann", "r", "here").await.unwrap();
        assert_eq!(ann.hear_chat().await, "here");
    }
}

#[tokio::test]
async fn who_comes_back_too_late_is_told_so_and_joins_anew() {
    let mut config = RoomServerConfig::default();
    config.sessions.reconnection_grace = Duration::from_millis(20);
    let rooms = Rooms::start(config).await;
    let cable = Cable::lay(rooms.address).await;
    let mut bob = rooms.join("r", "bob").await;
    let mut ann = Participant::connect(&cable.url(), Config::default()).await;
    ann.client.join_room("r", "ann").await.unwrap();
    bob.hear_of().await;
    cable.pull();
    assert_eq!(
        bob.hear_of().await,
        Notification::ParticipantLeft { user: "ann".into() }
    );
    cable.mend();
    assert_eq!(ann.hear().await, Some(Event::Disconnected));
    assert_eq!(
        ann.hear().await,
        Some(Event::Reconnected { resumed: false })
    );
    let joined = ann.client.join_room("r", "ann").await.unwrap();
    assert_eq!(joined.peers[0].id, "bob");
}

#[tokio::test]
async fn numbered_frames_come_once_and_requests_without_an_answer_are_repeated() {
    let mut server = Scripted::start().await;
    let mut ann = Participant::connect(&server.url(), Config::default()).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join(&Join::new("r", "ann")).await });
    let request = peer.request().await;
    assert_eq!(request["params"]["resume"], true);
    let reply = json!({ "value": [], "resumeToken": "R", "sessionId": "S" });
    peer.say_numbered(1, json!({ "id": request["id"], "result": reply }))
        .await;
    let joined = joining.await.unwrap().unwrap();
    assert_eq!(joined.resume_token.as_deref(), Some("R"));
    let closed = |room: &str| json!({ "method": "roomClosed", "params": { "room": room } });
    peer.say_numbered(2, closed("2")).await;
    let client = ann.client.clone();
    let publishing = tokio::spawn(async move { client.publish_video("O", false).await });
    let publish = peer.request().await;
    assert_eq!(publish["params"]["sessionId"], "S");
    drop(peer);

    let mut peer = server.accept().await;
    let connect = peer.request().await;
    assert_eq!(connect["method"], "connect");
    assert_eq!(connect["params"], json!({ "sessionId": "S", "seq": 2 }));
    let result = json!({ "value": "reconnection successful", "seq": 4, "sessionId": "S" });
    peer.answer(&connect, result).await;
    // A server that repeats itself is not heard twice.
    for (seq, room) in [(2, "2"), (3, "3"), (3, "3"), (4, "4")] {
        peer.say_numbered(seq, closed(room)).await;
    }
    assert_eq!(
        peer.request().await,
        publish,
        "again, under the same number"
    );
    let answer = json!({ "sdpAnswer": "A", "sessionId": "S" });
    peer.say_numbered(5, json!({ "id": publish["id"], "result": answer }))
        .await;
    assert_eq!(publishing.await.unwrap().unwrap(), "A");
    let mut heard = Vec::new();
    while heard.len() < 5 {
        heard.push(ann.hear().await.unwrap());
    }
    let closed = |room: &str| Event::Notification(Notification::RoomClosed { room: room.into() });
    assert_eq!(
        heard,
        [
            closed("2"),
            Event::Disconnected,
            BACK,
            closed("3"),
            closed("4")
        ]
    );
    // What has arrived is acknowledged.
    ann.client.reconnect();
    let mut peer = server.accept().await;
    let ping = peer.any_request().await;
    assert_eq!(
        (&ping["method"], &ping["params"]["seq"]),
        (&json!("ping"), &json!(5))
    );
}

#[tokio::test]
async fn events_that_the_server_could_not_keep_are_told_of() {
    let mut server = Scripted::start().await;
    let mut ann = Participant::connect(&server.url(), Config::default()).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    let request = peer.request().await;
    let reply = json!({ "id": request["id"], "result": { "value": [], "sessionId": "S" } });
    peer.say_numbered(1, reply).await;
    joining.await.unwrap().unwrap();
    drop(peer);
    let mut peer = server.accept().await;
    let connect = peer.request().await;
    peer.answer(
        &connect,
        json!({ "value": "reconnection successful", "seq": 9, "lost": 7 }),
    )
    .await;
    for expected in [Event::Disconnected, BACK, Event::Missed(7)] {
        assert_eq!(ann.hear().await, Some(expected));
    }
}

#[tokio::test]
async fn a_server_that_is_too_busy_to_give_a_session_back_is_asked_again() {
    let mut server = Scripted::start().await;
    let mut ann = Participant::connect(&server.url(), Config::default()).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    let request = peer.request().await;
    peer.answer(&request, json!({ "value": [], "sessionId": "S" }))
        .await;
    joining.await.unwrap().unwrap();
    drop(peer);
    assert_eq!(ann.hear().await, Some(Event::Disconnected));
    for _ in 0..3 {
        let mut peer = server.accept().await;
        let connect = peer.request().await;
        let error = json!({ "code": -32000, "message": "too many sessions" });
        let refusal = json!({ "id": connect["id"], "error": error, "jsonrpc": "2.0" });
        peer.say(&refusal.to_string()).await;
        assert_eq!(ann.hear().await, Some(Event::Disconnected));
    }
    let mut peer = server.accept().await;
    let connect = peer.request().await;
    peer.answer(&connect, json!({ "value": "reconnection successful" }))
        .await;
    assert_eq!(ann.hear().await, Some(BACK));
}

#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_found_and_opened_again() {
    let mut server = Scripted::start().await;
    let mut config = Config::default();
    config.ping_interval = Some(Duration::from_millis(50));
    let mut ann = Participant::connect(&server.url(), config).await;
    let _dead = server.accept().await;
    let mut alive = server.accept().await;
    assert_eq!(ann.hear().await, Some(Event::Disconnected));
    let ping = alive.any_request().await;
    assert_eq!(ping["params"]["interval"], 50);
    assert_eq!(
        ann.hear().await,
        Some(Event::Reconnected { resumed: false })
    );
}

#[tokio::test]
async fn answers_that_do_not_come_are_not_waited_for_and_do_no_harm_when_they_do() {
    let mut server = Scripted::start().await;
    let mut config = Config::default();
    config.request_timeout = Duration::from_millis(50);
    let ann = Participant::connect(&server.url(), config.clone()).await;
    let mut peer = server.accept().await;
    let error = ann.client.join_room("r", "ann").await.unwrap_err();
    assert_eq!(error, Error::Timeout(config.request_timeout));
    let late = peer.request().await;
    peer.answer(&late, json!({ "value": [] })).await;
    let client = ann.client.clone();
    let mut tries = 0;
    // A machine that is busy may need more than one.
    loop {
        let client = client.clone();
        let leaving = tokio::spawn(async move { client.lock_room(true).await });
        let request = peer.request().await;
        peer.answer(&request, json!({})).await;
        tries += 1;
        match leaving.await.unwrap() {
            Ok(()) => break,
            Err(error) => assert!(tries < 100, "{error}"),
        }
    }
}

#[tokio::test]
async fn requests_without_a_session_do_not_outlive_their_connection() {
    let mut server = Scripted::start().await;
    let ann = Participant::connect(&server.url(), Config::default()).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    peer.request().await;
    drop(peer);
    assert_eq!(joining.await.unwrap().unwrap_err(), Error::Disconnected);
}

#[tokio::test]
async fn a_client_that_may_not_reconnect_ends_with_its_connection() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let cable = Cable::lay(rooms.address).await;
    for give_up_after in [None, Some(Duration::ZERO)] {
        let mut config = Config::default();
        config.reconnect = give_up_after.map(|patience| {
            let mut reconnect = Reconnect::default();
            reconnect.give_up_after = Some(patience);
            reconnect
        });
        let mut ann = Participant::connect(&cable.url(), config).await;
        cable.cut();
        assert_eq!(ann.hear().await, Some(Event::Disconnected));
        assert_eq!(ann.hear().await, None);
        assert_eq!(ann.client.leave_room().await, Err(Error::Closed));
        timeout(PATIENCE, ann.driver).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_in_time() {
    let server = Scripted::start().await;
    let url = server.url();
    server.stop().await;
    assert!(RoomClient::connect(&url).await.is_err());
    for url in ["", "no url", "http://127.0.0.1:1/room", "ws://"] {
        assert!(RoomClient::connect(url).await.is_err(), "{url}");
    }
}
