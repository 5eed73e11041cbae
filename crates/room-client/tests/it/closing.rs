//! How a client ends.

use salono_room_client::{Config, Error, ErrorCode, Notification};
use salono_room_server::RoomServerConfig;
use tokio::time::timeout;

use crate::support::scripted::Scripted;
use crate::support::{PATIENCE, Participant, Rooms};

async fn hears_that_ann_left(bob: &mut Participant) {
    assert_eq!(
        bob.hear_of().await,
        Notification::ParticipantLeft { user: "ann".into() }
    );
}

/// A server that keeps places for so long that only a goodbye ends them in time.
fn patient() -> RoomServerConfig {
    let mut config = RoomServerConfig::default();
    config.sessions.reconnection_grace = PATIENCE * 10;
    config
}

#[tokio::test]
async fn a_client_that_is_closed_leaves_at_once_and_answers_nothing_more() {
    let rooms = Rooms::start(patient()).await;
    let mut bob = rooms.join("r", "bob").await;
    let mut ann = rooms.join("r", "ann").await;
    bob.hear_of().await;
    ann.client.close().await;
    hears_that_ann_left(&mut bob).await;
    let error = ann.client.leave_room().await.unwrap_err();
    assert_eq!(
        (&error, error.code()),
        (&Error::Closed, Some(ErrorCode::TransportError))
    );
    assert_eq!(ann.hear().await, None);
    assert!(!ann.client.is_connected());
    timeout(PATIENCE, ann.driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_nobody_holds_any_more_leaves_by_itself() {
    let rooms = Rooms::start(patient()).await;
    let mut bob = rooms.join("r", "bob").await;
    let ann = rooms.join("r", "ann").await;
    bob.hear_of().await;
    let clone = ann.client.clone();
    drop(ann.client);
    drop(clone);
    hears_that_ann_left(&mut bob).await;
    timeout(PATIENCE, ann.driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_answer_a_goodbye_keeps_nobody() {
    let mut server = Scripted::start().await;
    let ann = Participant::connect(&server.url(), Config::default()).await;
    let _silent = server.accept().await;
    timeout(PATIENCE, ann.client.close()).await.unwrap();
    timeout(PATIENCE, ann.driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn requests_under_way_end_with_the_client() {
    let mut server = Scripted::start().await;
    let ann = Participant::connect(&server.url(), Config::default()).await;
    let mut peer = server.accept().await;
    let client = ann.client.clone();
    let joining = tokio::spawn(async move { client.join_room("r", "ann").await });
    assert_eq!(peer.request().await["method"], "joinRoom");
    ann.client.close().await;
    assert_eq!(joining.await.unwrap().unwrap_err(), Error::Closed);
}

#[tokio::test]
async fn a_driver_that_is_dropped_takes_its_client_along() {
    let rooms = Rooms::start(RoomServerConfig::default()).await;
    let ann = rooms.join("r", "ann").await;
    ann.driver.abort();
    let _ = ann.driver.await;
    assert_eq!(ann.client.leave_room().await, Err(Error::Closed));
}
