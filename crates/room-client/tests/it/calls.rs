//! Every request and every event, with the real room server.

use salono_room_client::{
    Candidate, ErrorCode, Event, Join, Notification, SenderRef, VideoPreference,
};
use salono_room_server::RoomServerConfig;
use serde_json::json;

use crate::support::Rooms;

fn candidate() -> Candidate {
    Candidate {
        candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host".into(),
        sdp_mid: "0".into(),
        sdp_m_line_index: 0,
    }
}

#[tokio::test]
async fn two_people_hold_a_whole_call() {
    let mut rooms = Rooms::start(RoomServerConfig::default()).await;
    rooms.kurento.order("candidates").await;
    let mut ann = rooms.connect().await;
    assert_eq!(ann.client.session_id(), None);
    let joined = ann.client.join_room("r", "ann").await.unwrap();
    assert!(joined.peers.is_empty());
    assert!(ann.client.session_id().is_some() && ann.client.is_connected());

    let bob = ann_and_bob(&rooms, &mut ann).await;
    let mut bob = bob;
    let answer = ann.client.publish_video("O", false).await.unwrap();
    assert_eq!(answer, "answer to O");
    let own = SenderRef::webcam("ann");
    ann.client
        .on_ice_candidate(&own, &candidate())
        .await
        .unwrap();
    match ann.hear_of().await {
        Notification::IceCandidate {
            endpoint,
            sdp_mid,
            candidate,
            ..
        } => assert_eq!(
            (endpoint.as_str(), sdp_mid.as_str(), candidate.as_str()),
            ("ann", "0", "candidate:1")
        ),
        other => panic!("{other:?}"),
    }
    match bob.hear_of().await {
        Notification::ParticipantPublished { user, streams } => {
            assert_eq!((user.as_str(), streams[0].id.as_str()), ("ann", "webcam"));
        }
        other => panic!("{other:?}"),
    }

    let answer = bob.client.receive_video_from(&own, "P").await.unwrap();
    assert_eq!(answer, "answer to P");
    bob.client
        .on_ice_candidate(&own, &candidate())
        .await
        .unwrap();
    assert!(matches!(
        bob.hear_of().await,
        Notification::IceCandidate { endpoint, .. } if endpoint == "ann"
    ));
    let preference = VideoPreference {
        sender: own.clone(),
        height: 180,
        priority: 1,
    };
    bob.client
        .set_video_preferences(&[preference])
        .await
        .unwrap();
    bob.client.unsubscribe_from_video(&own).await.unwrap();

    bob.client
        .send_message("bob", "r", "<hello>")
        .await
        .unwrap();
    assert_eq!(ann.hear_chat().await, "<hello>");
    assert_eq!(bob.hear_chat().await, "<hello>");

    ann.client.unpublish_video().await.unwrap();
    assert!(matches!(
        bob.hear_of().await,
        Notification::ParticipantUnpublished { user, .. } if user == "ann"
    ));
    let hat = json!({ "hat": true }).as_object().cloned().unwrap();
    let refusal = ann.client.custom_request(hat).await.unwrap_err();
    assert_eq!(refusal.code(), None, "{refusal}");

    ann.client.leave_room().await.unwrap();
    assert!(matches!(
        bob.hear_of().await,
        Notification::ParticipantLeft { user } if user == "ann"
    ));
}

async fn ann_and_bob(
    rooms: &Rooms,
    ann: &mut crate::support::Participant,
) -> crate::support::Participant {
    let bob = rooms.connect().await;
    let mut join = Join::new("r", "bob");
    join.data_channels = true;
    let joined = bob.client.join(&join).await.unwrap();
    assert_eq!(joined.peers.len(), 1);
    assert_eq!(joined.peers[0].id, "ann");
    assert_eq!(joined.peers[0].streams, None);
    assert_eq!(
        ann.hear_of().await,
        Notification::ParticipantJoined { user: "bob".into() }
    );
    bob
}

#[tokio::test]
async fn refusals_have_their_meaning() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let ann = rooms.join("r", "ann").await;
    let bob = rooms.connect().await;
    let nobody = SenderRef::webcam("nobody");
    let codes = [
        (
            bob.client.join_room("r", "ann").await.map(drop),
            ErrorCode::ExistingUserInRoom,
        ),
        (
            bob.client.publish_video("O", false).await.map(drop),
            ErrorCode::UserNotFound,
        ),
        (
            ann.client.receive_video_from(&nobody, "O").await.map(drop),
            ErrorCode::UserNotFound,
        ),
        (
            ann.client.unpublish_video().await,
            ErrorCode::UserNotStreaming,
        ),
        (
            ann.client.send_message("ann", "other", "x").await,
            ErrorCode::RoomNotFound,
        ),
        (
            ann.client
                .publish_video(&"x".repeat(1_000_000), false)
                .await
                .map(drop),
            ErrorCode::TransportRequest,
        ),
    ];
    for (result, code) in codes {
        assert_eq!(result.unwrap_err().code(), Some(code));
    }
}

#[tokio::test]
async fn what_the_server_does_by_itself_is_heard() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let mut ann = rooms.join("r", "ann").await;
    let manager = rooms.server.rooms();
    manager.close_room("r").await.unwrap();
    assert_eq!(
        ann.hear_of().await,
        Notification::RoomClosed { room: "r".into() }
    );
    // The connection stays, and with it the client.
    ann.client.join_room("r", "ann").await.unwrap();
}

#[tokio::test]
async fn a_client_that_has_left_joins_again() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let mut ann = rooms.join("r", "ann").await;
    for room in ["s", "t"] {
        ann.client.leave_room().await.unwrap();
        ann.client.join_room(room, "ann").await.unwrap();
        let all = rooms.server.rooms().rooms();
        assert_eq!(all.into_iter().collect::<Vec<_>>(), [room]);
    }
    // To leave is no accident: there is nothing to tell.
    assert_eq!(ann.events.try_recv(), None::<Event>);
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_all_answered() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let mut ann = rooms.join("r", "ann").await;
    let mut all = tokio::task::JoinSet::new();
    for number in 0..400 {
        let client = ann.client.clone();
        all.spawn(async move { client.send_message("ann", "r", &number.to_string()).await });
    }
    while let Some(sent) = all.join_next().await {
        sent.unwrap().unwrap();
    }
    for _ in 0..400 {
        ann.hear_chat().await;
    }
}
