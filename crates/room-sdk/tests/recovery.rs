//! Rooms whose media server is lost: they go on with another one, and everybody is told what to do.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;
#[path = "fake/scene.rs"]
mod scene;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fake::{Action, FakeKurento, creates, invokes};
use futures_util::future::BoxFuture;
use salono_kurento_client::Client;
use salono_kurento_model::{Map, Value};
use salono_room_sdk::{
    Join, KurentoClientProvider, KurentoClientSessionInfo, Listens, ManagerConfig,
    NotificationRoomManager, ParticipantId, ParticipantRequest, Publish, RoomError, RoomErrorCode,
    UserNotificationService,
};
use scene::{candidate, pid, user};
use tokio::sync::mpsc;

const ROOM: &str = "room";

/// Media servers in the order in which rooms get them.
struct Spares(Mutex<VecDeque<Client>>);

impl KurentoClientProvider for Spares {
    fn kurento_client<'a>(
        &'a self,
        _: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async {
            let next = self.0.lock().unwrap().pop_front();
            next.ok_or_else(|| RoomError::new(RoomErrorCode::RoomCannotBeCreated, "none left"))
        })
    }
}

/// What is sent, as text.
struct Outbox(mpsc::Sender<String>);

impl UserNotificationService for Outbox {
    fn send_response(&self, request: &ParticipantRequest, result: Value) {
        let text = format!("response {} {result}", request.participant_id);
        self.0.try_send(text).unwrap();
    }

    fn send_error_response(
        &self,
        request: &ParticipantRequest,
        _: Option<Value>,
        error: &RoomError,
    ) {
        let code = error.code.number();
        let text = format!("error {} {code}", request.participant_id);
        self.0.try_send(text).unwrap();
    }

    fn send_notification(
        &self,
        participant: &ParticipantId,
        method: &str,
        params: Map<String, Value>,
    ) {
        let params = Value::Object(params);
        let text = format!("notify {participant} {method} {params}");
        self.0.try_send(text).unwrap();
    }

    fn close_session(&self, _: &ParticipantRequest) {}
}

struct Server {
    manager: NotificationRoomManager,
    kurentos: Vec<FakeKurento>,
    sent: mpsc::Receiver<String>,
}

impl Server {
    fn new(media_servers: usize) -> Self {
        let (kurentos, clients): (Vec<_>, _) =
            (0..media_servers).map(|_| FakeKurento::start()).unzip();
        let (sender, sent) = mpsc::channel(1024);
        let manager = NotificationRoomManager::with_user_notification_service(
            Arc::new(Outbox(sender)),
            Arc::new(Spares(Mutex::new(clients))),
            ManagerConfig::default(),
        );
        Self {
            manager,
            kurentos,
            sent,
        }
    }

    async fn join(&self, n: usize, recovery: bool) {
        let join = Join {
            listens: Listens {
                recovery,
                ..Listens::default()
            },
            ..Join::new(ROOM, user(n))
        };
        self.manager.join_room(&request(n), join).await;
    }

    async fn publish(&self, n: usize) {
        let publish = Publish::offer(format!("offer {n}"));
        self.manager.publish_media(&request(n), publish).await;
    }

    async fn subscribe(&self, n: usize, publisher: usize) {
        let remote = user(publisher);
        self.manager
            .subscribe(&request(n), &remote, "an offer")
            .await;
    }

    /// Everything that was sent so far.
    fn so_far(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.sent.try_recv().ok()).collect()
    }

    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut lines = Vec::new();
        for _ in 0..count {
            lines.push(self.sent.recv().await.unwrap());
        }
        lines
    }
}

fn request(n: usize) -> ParticipantRequest {
    ParticipantRequest::new(pid(n), Some("1".to_owned()))
}

const LOST: &str = r#"mediaError {"error":"MEDIA_SERVER_LOST: the media server was replaced, publish again(errCode=40101)"}"#;

#[tokio::test(start_paused = true)]
async fn a_room_goes_on_with_another_media_server_and_everybody_is_told_what_to_do() {
    let mut server = Server::new(2);
    server.join(0, true).await;
    server.join(1, false).await;
    server.join(2, false).await;
    server.publish(0).await;
    server.publish(1).await;
    server.subscribe(2, 0).await;
    server.so_far();
    server.kurentos[0].disconnect();
    // First nobody publishes any more, then those who did are asked to do so again, each in a way
    // that its client knows.
    let expected = [
        r#"notify pid1 participantUnpublished {"name":"user0"}"#.to_owned(),
        r#"notify pid2 participantUnpublished {"name":"user0"}"#.to_owned(),
        r#"notify pid0 participantUnpublished {"name":"user1"}"#.to_owned(),
        r#"notify pid2 participantUnpublished {"name":"user1"}"#.to_owned(),
        r#"notify pid0 republish {"streams":[{"id":"webcam"}]}"#.to_owned(),
        format!("notify pid1 {LOST}"),
    ];
    assert_eq!(server.next(6).await, expected);
    let members = server.manager.participants(ROOM).await.unwrap();
    assert_eq!(members.len(), 3);
    assert!(members.iter().all(|member| !member.streaming));
    assert!(server.manager.subscribers(ROOM).await.unwrap().is_empty());
    // To publish and to receive again is what it ever was, on the second server.
    server.publish(0).await;
    server.subscribe(2, 0).await;
    let expected = [
        r#"response pid0 {"sdpAnswer":"answer to offer 0"}"#,
        r#"notify pid1 participantPublished {"id":"user0","streams":[{"id":"webcam"}]}"#,
        r#"notify pid2 participantPublished {"id":"user0","streams":[{"id":"webcam"}]}"#,
        r#"response pid2 {"sdpAnswer":"answer to an offer"}"#,
    ];
    assert_eq!(server.so_far(), expected);
    assert_eq!(server.kurentos[1].objects("WebRtcEndpoint").len(), 2);
    for n in 0..3 {
        server.manager.leave_room(&request(n)).await;
    }
    server.kurentos[1].until_empty().await;
    assert!(server.kurentos[1].stray_releases().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_under_way_is_done_on_the_next_media_server() {
    let mut server = Server::new(2);
    server.join(0, true).await;
    let silent = |request: &_| invokes(request, "processOffer");
    server.kurentos[0].rule(Action::Hold, silent);
    server.so_far();
    let manager = server.manager.clone();
    let (mine, early) = (request(0), request(0));
    let lost = server.kurentos[0].clone();
    tokio::join!(
        manager.publish_media(&mine, Publish::offer("mine")),
        async {
            lost.until(|fake| fake.held() == 1).await;
            // It came while the first server thought about the offer.
            manager
                .on_ice_candidate(&early, &user(0), candidate("mine"))
                .await;
            lost.disconnect();
            // A newcomer waits for the next server, too.
            manager
                .join_room(&request(1), Join::new(ROOM, user(1)))
                .await;
        }
    );
    let expected = [
        "response pid0 {}",
        r#"notify pid0 participantJoined {"id":"user1"}"#,
        r#"response pid1 [{"id":"user0"}]"#,
        r#"response pid0 {"sdpAnswer":"answer to mine"}"#,
        r#"notify pid1 participantPublished {"id":"user0","streams":[{"id":"webcam"}]}"#,
    ];
    assert_eq!(server.so_far(), expected);
    let next = &server.kurentos[1];
    next.until(|fake| fake.count(|request| invokes(request, "addIceCandidate")) == 1)
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_media_server_that_makes_no_pipeline_is_passed_over() {
    let mut server = Server::new(3);
    server.join(0, true).await;
    server.publish(0).await;
    server.so_far();
    server.kurentos[1].rule(Action::Refuse, |request| creates(request, "MediaPipeline"));
    server.kurentos[0].disconnect();
    let asked = r#"notify pid0 republish {"streams":[{"id":"webcam"}]}"#;
    assert_eq!(server.next(1).await, [asked]);
    server.publish(0).await;
    assert_eq!(server.kurentos[1].live(), 0);
    assert_eq!(server.kurentos[2].objects("WebRtcEndpoint").len(), 1);
    // And the third one is replaced as well as the first was.
    server.so_far();
    server.kurentos[2].disconnect();
    let begun = tokio::time::Instant::now();
    assert_eq!(
        server.next(1).await,
        [r#"notify pid0 roomClosed {"room":"room"}"#]
    );
    let waited = begun.elapsed();
    assert!(waited >= Duration::from_secs(29) && waited <= Duration::from_secs(35));
    assert!(server.manager.rooms().is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_while_there_is_no_media_server_is_gone() {
    let mut server = Server::new(1);
    server.join(0, true).await;
    server.join(1, true).await;
    server.publish(1).await;
    server.so_far();
    server.kurentos[0].disconnect();
    let unpublished = r#"notify pid0 participantUnpublished {"name":"user1"}"#;
    assert_eq!(server.next(1).await, [unpublished]);
    server.manager.leave_room(&request(1)).await;
    let expected = [
        r#"notify pid0 participantLeft {"name":"user1"}"#,
        "response pid1 {}",
    ];
    assert_eq!(server.next(2).await, expected);
    server.manager.leave_room(&request(0)).await;
    assert_eq!(server.next(1).await, ["response pid0 {}"]);
    assert!(server.manager.rooms().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_was_muted_stays_muted_on_the_next_media_server() {
    use salono_room_sdk::MutedMediaType;
    let mut server = Server::new(2);
    server.join(0, true).await;
    server.publish(0).await;
    let (pid, all) = (pid(0), MutedMediaType::All);
    let muted = server.manager.mute_published_media(&pid, all).await;
    muted.unwrap();
    server.so_far();
    server.kurentos[0].disconnect();
    server.next(1).await;
    server.publish(0).await;
    let next = &server.kurentos[1];
    assert!(
        next.links("connect", "WebRtcEndpoint", "PassThrough")
            .is_empty()
    );
    let unmuted = server.manager.unmute_published_media(&pid, all).await;
    unmuted.unwrap();
    let links = next.links("connect", "WebRtcEndpoint", "PassThrough");
    assert_eq!(links, [None]);
}
