//! What `NotificationRoomManager` with its default handler says to whom, case by case as Kurento Room's
//! own tests of it list it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;
#[path = "fake/scene.rs"]
mod scene;

use std::sync::{Arc, Mutex};

use fake::FakeKurento;
use salono_kurento_model::{Map, Value};
use salono_room_sdk::{
    FixedKurento, Join, ManagerConfig, NotificationRoomManager, ParticipantId, ParticipantRequest,
    Publish, RoomError, RoomErrorCode, UserNotificationService,
};
use scene::{ROOMS, USERS, candidate, candidate_event, error_event, pid, user};

const ROOM: &str = "room";

/// Something sent, as text: `verb pid …`.
#[derive(Default)]
struct Outbox(Mutex<Vec<String>>);

impl Outbox {
    /// What was sent since the last look.
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn put(&self, line: String) {
        self.0.lock().unwrap().push(line);
    }
}

impl UserNotificationService for Outbox {
    fn send_response(&self, request: &ParticipantRequest, result: Value) {
        self.put(format!("response {} {result}", request.participant_id));
    }

    fn send_error_response(
        &self,
        request: &ParticipantRequest,
        data: Option<Value>,
        error: &RoomError,
    ) {
        assert_eq!(data, None);
        let code = error.code.number();
        self.put(format!("error {} {code}", request.participant_id));
    }

    fn send_notification(
        &self,
        participant: &ParticipantId,
        method: &str,
        params: Map<String, Value>,
    ) {
        let params = Value::Object(params);
        self.put(format!("notify {participant} {method} {params}"));
    }

    fn close_session(&self, request: &ParticipantRequest) {
        self.put(format!("close {}", request.participant_id));
    }
}

struct Server {
    manager: NotificationRoomManager,
    kurento: FakeKurento,
    outbox: Arc<Outbox>,
}

impl Server {
    fn new() -> Self {
        let (kurento, client) = FakeKurento::start();
        let outbox = Arc::new(Outbox::default());
        let service = Arc::clone(&outbox);
        let manager = NotificationRoomManager::with_user_notification_service(
            service,
            Arc::new(FixedKurento::new(client)),
            ManagerConfig::default(),
        );
        Self {
            manager,
            kurento,
            outbox,
        }
    }

    async fn join(&self, n: usize, room: &str) -> Vec<String> {
        self.manager
            .join_room(&request(n), Join::new(room, user(n)))
            .await;
        self.outbox.take()
    }

    async fn join_all(&self) {
        for n in 0..USERS {
            self.join(n, ROOM).await;
        }
    }

    async fn publish(&self, n: usize) -> Vec<String> {
        let publish = Publish::offer("offer");
        self.manager.publish_media(&request(n), publish).await;
        self.outbox.take()
    }

    async fn subscribe(&self, n: usize, publisher: usize) -> Vec<String> {
        let remote = user(publisher);
        self.manager.subscribe(&request(n), &remote, "offer").await;
        self.outbox.take()
    }

    async fn unpublish(&self, n: usize) -> Vec<String> {
        self.manager.unpublish_media(&request(n)).await;
        self.outbox.take()
    }

    /// Waits until something was sent.
    async fn sent(&self) -> Vec<String> {
        loop {
            let sent = self.outbox.take();
            if !sent.is_empty() {
                return sent;
            }
            tokio::task::yield_now().await;
        }
    }
}

fn request(n: usize) -> ParticipantRequest {
    ParticipantRequest::new(pid(n), Some("7".into()))
}

/// The lines that everybody but `n` gets, in order of joining.
fn to_others(n: usize, text: &str) -> Vec<String> {
    let others = (0..USERS).filter(|other| *other != n);
    others
        .map(|other| format!("notify pid{other} {text}"))
        .collect()
}

#[tokio::test]
async fn join_new_room_is_answered_and_nobody_told() {
    let server = Server::new();
    assert_eq!(server.join(0, ROOM).await, ["response pid0 []"]);
}

#[tokio::test]
async fn join_many_users_one_room_tells_everybody_before_it_is_answered() {
    let server = Server::new();
    for n in 0..USERS {
        let mut expected: Vec<String> = (0..n)
            .map(|peer| format!(r#"notify pid{peer} participantJoined {{"id":"user{n}"}}"#))
            .collect();
        let peers: Vec<String> = (0..n)
            .map(|peer| format!(r#"{{"id":"user{peer}"}}"#))
            .collect();
        expected.push(format!("response pid{n} [{}]", peers.join(",")));
        assert_eq!(server.join(n, ROOM).await, expected);
    }
}

#[tokio::test]
async fn join_many_users_many_rooms_keeps_notifications_in_their_room() {
    let server = Server::new();
    for n in 0..USERS {
        let sent = server.join(n, &format!("room{}", n % ROOMS)).await;
        assert_eq!(sent.len(), n / ROOMS + 1);
        for peer in (0..n).filter(|peer| peer % ROOMS == n % ROOMS) {
            assert!(
                sent.iter()
                    .any(|line| line.starts_with(&format!("notify pid{peer} ")))
            );
        }
    }
    assert_eq!(server.kurento.created("MediaPipeline"), ROOMS);
}

#[tokio::test]
async fn leave_room_is_told_then_answered_then_the_session_closed() {
    let server = Server::new();
    server.join_all().await;
    server.manager.leave_room(&request(0)).await;
    let mut expected = to_others(0, r#"participantLeft {"name":"user0"}"#);
    expected.push("response pid0 {}".into());
    expected.push("close pid0".into());
    assert_eq!(server.outbox.take(), expected);
}

#[tokio::test]
async fn one_publisher_comes_and_goes() {
    let server = Server::new();
    server.join_all().await;
    let mut expected = vec![r#"response pid0 {"sdpAnswer":"answer to offer"}"#.to_owned()];
    expected.extend(to_others(
        0,
        r#"participantPublished {"id":"user0","streams":[{"id":"webcam"}]}"#,
    ));
    assert_eq!(server.publish(0).await, expected);
    for n in 1..USERS {
        let expected = format!(r#"response pid{n} {{"sdpAnswer":"answer to offer"}}"#);
        assert_eq!(server.subscribe(n, 0).await, [expected]);
    }
    let mut expected = vec!["response pid0 {}".to_owned()];
    expected.extend(to_others(0, r#"participantUnpublished {"name":"user0"}"#));
    assert_eq!(server.unpublish(0).await, expected);
    for n in 1..USERS {
        server.manager.unsubscribe(&request(n), &user(0)).await;
        assert_eq!(server.outbox.take(), [format!("response pid{n} {{}}")]);
    }
}

#[tokio::test]
async fn join_and_publish_shows_late_joiners_who_publishes() {
    let server = Server::new();
    for n in 0..USERS {
        let sent = server.join(n, ROOM).await;
        assert_eq!(sent.len(), n + 1);
        let answer = sent.last().unwrap();
        assert_eq!(answer.matches(r#""streams":[{"id":"webcam"}]"#).count(), n);
        assert_eq!(server.publish(n).await.len(), n + 1);
    }
}

#[tokio::test]
async fn many_publishers_are_received_by_everybody() {
    let server = Server::new();
    server.join_all().await;
    for n in 0..USERS {
        server.publish(n).await;
    }
    for n in 0..USERS {
        for publisher in (0..USERS).filter(|publisher| *publisher != n) {
            let sent = server.subscribe(n, publisher).await;
            assert!(sent[0].starts_with(&format!("response pid{n} ")));
        }
    }
    let manager = &server.manager;
    for n in 0..USERS {
        assert_eq!(
            manager.peer_publishers(&pid(n)).await.unwrap().len(),
            USERS - 1
        );
        assert_eq!(
            manager.peer_subscribers(&pid(n)).await.unwrap().len(),
            USERS - 1
        );
    }
    for n in 0..USERS {
        server.unpublish(n).await;
        let expected = match USERS - 1 - n {
            0 => 0,
            // The one that still publishes receives nothing.
            1 => USERS - 1,
            _ => USERS,
        };
        assert_eq!(manager.subscribers(ROOM).await.unwrap().len(), expected);
    }
    server.kurento.until(|fake| fake.live() == 1).await;
}

#[tokio::test]
async fn send_many_messages_reaches_everybody_and_the_sender() {
    let server = Server::new();
    server.join_all().await;
    for n in 0..USERS {
        let manager = &server.manager;
        manager
            .send_message(&request(n), "hi", &user(n), ROOM)
            .await;
        let mut expected = vec![format!("response pid{n} {{}}")];
        expected.extend((0..USERS).map(|to| {
            format!(
                r#"notify pid{to} sendMessage {{"message":"hi","room":"room","user":"user{n}"}}"#
            )
        }));
        assert_eq!(sorted(server.outbox.take()), sorted(expected));
    }
}

#[tokio::test]
async fn chat_under_another_name_or_room_is_refused() {
    let server = Server::new();
    server.join_all().await;
    let manager = &server.manager;
    manager
        .send_message(&request(0), "hi", &user(1), ROOM)
        .await;
    manager.send_message(&request(0), "hi", &user(0), "x").await;
    manager
        .send_message(&request(77), "hi", &user(0), ROOM)
        .await;
    let expected = ["error pid0 102", "error pid0 202", "error pid77 102"];
    assert_eq!(server.outbox.take(), expected);
}

#[tokio::test]
async fn ice_candidate_is_notified_to_the_subscriber() {
    let server = Server::new();
    server.join_all().await;
    server.publish(0).await;
    server.subscribe(1, 0).await;
    let endpoints = server.kurento.objects("WebRtcEndpoint");
    let data = candidate_event(&candidate("candidate:1"));
    let kurento = &server.kurento;
    kurento
        .raise(&endpoints[1], "IceCandidateFound", data)
        .await;
    let sent = server.sent().await;
    let (head, params) = sent[0].split_once('{').unwrap();
    assert_eq!(head, "notify pid1 iceCandidate ");
    for member in [
        r#""endpointName":"user0""#,
        r#""sdpMLineIndex":1"#,
        r#""sdpMid":"audio""#,
        r#""candidate":"candidate:1""#,
    ] {
        assert!(params.contains(member), "{member} in {params}");
    }
    assert_eq!(sent.len(), 1);
}

#[tokio::test]
async fn media_error_is_notified_to_the_owner_only() {
    let server = Server::new();
    server.join_all().await;
    server.publish(0).await;
    let endpoint = &server.kurento.objects("WebRtcEndpoint")[0];
    let data = error_event("TYPE", "text", 5);
    server.kurento.raise(endpoint, "Error", data).await;
    let expected = r#"notify pid0 mediaError {"error":"TYPE: text(errCode=5)"}"#;
    assert_eq!(server.sent().await, [expected]);
}

#[tokio::test]
async fn pipeline_error_is_notified_to_everybody() {
    let server = Server::new();
    server.join_all().await;
    let pipeline = &server.kurento.objects("MediaPipeline")[0];
    let data = error_event("TYPE", "text", 5);
    server.kurento.raise(pipeline, "Error", data).await;
    let text = r#"mediaError {"error":"TYPE: text(errCode=5)"}"#;
    let expected: Vec<String> = (0..USERS)
        .map(|n| format!("notify pid{n} {text}"))
        .collect();
    assert_eq!(server.sent().await, expected);
}

#[tokio::test]
async fn an_evicted_participant_is_told_after_the_others() {
    let server = Server::new();
    server.join_all().await;
    let manager = &server.manager;
    manager.evict_participant(&pid(3)).await.unwrap();
    let mut expected = to_others(3, r#"participantLeft {"name":"user3"}"#);
    expected.push("notify pid3 participantEvicted {}".into());
    assert_eq!(server.outbox.take(), expected);
    let again = manager.evict_participant(&pid(3)).await;
    assert_eq!(again.unwrap_err().code, RoomErrorCode::UserNotFound);
}

#[tokio::test]
async fn closing_a_room_is_told_to_everybody_in_it() {
    let server = Server::new();
    server.join_all().await;
    server.manager.close_room(ROOM).await.unwrap();
    let text = r#"roomClosed {"room":"room"}"#;
    let expected: Vec<String> = (0..USERS)
        .map(|n| format!("notify pid{n} {text}"))
        .collect();
    assert_eq!(server.outbox.take(), expected);
    server.kurento.until_empty().await;
    let again = server.manager.close_room(ROOM).await;
    assert_eq!(again.unwrap_err().code, RoomErrorCode::RoomNotFound);
}

#[tokio::test]
async fn a_lost_media_server_closes_the_room_for_everybody_in_it() {
    let server = Server::new();
    server.join_all().await;
    server.kurento.disconnect();
    let sent = server.sent().await;
    let text = r#"roomClosed {"room":"room"}"#;
    let expected: Vec<String> = (0..USERS)
        .map(|n| format!("notify pid{n} {text}"))
        .collect();
    assert_eq!(sent, expected);
    assert!(server.manager.rooms().is_empty());
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}
