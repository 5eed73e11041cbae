//! What `RoomManager` promises, case by case as Kurento Room's own tests of its manager list it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;
#[path = "fake/scene.rs"]
mod scene;

use fake::{Action, invokes};
use salono_kurento_model::Map;
use salono_room_sdk::{
    Join, KurentoClientSessionInfo, Loopback, MediaType, MutedMediaType, Publish, RoomErrorCode,
};
use scene::{
    Heard, ROOMS, Scene, USERS, candidate, candidate_event, error_event, names, pid, user,
};

const ROOM: &str = "room";

#[tokio::test]
async fn join_new_room_finds_nobody_and_is_listed() {
    let scene = Scene::new();
    assert!(scene.join(0, ROOM).await.is_empty());
    assert_eq!(scene.manager.rooms(), [ROOM]);
    let listed = scene.manager.participants(ROOM).await.unwrap();
    assert_eq!(names(&listed), [user(0)]);
}

#[tokio::test]
async fn rtp_join_new_room() {
    let scene = Scene::new();
    assert!(scene.join_rtp(0, ROOM).await.is_empty());
    assert_eq!(scene.manager.rooms(), [ROOM]);
    let listed = scene.manager.participants(ROOM).await.unwrap();
    assert_eq!(names(&listed), [user(0)]);
}

#[tokio::test]
async fn join_room_fail_without_leave_to_create_it() {
    let scene = Scene::new();
    let error = scene
        .manager
        .join_room(&pid(0), Join::new(ROOM, user(0)), None)
        .await
        .unwrap_err();
    assert_eq!(error.code, RoomErrorCode::RoomNotFound);
    assert!(error.message.contains("must be created before"));
    assert!(scene.manager.rooms().is_empty());
}

#[tokio::test]
async fn join_many_users_one_room_shares_one_pipeline() {
    let scene = Scene::new();
    for n in 0..USERS {
        let existing = scene.join(n, ROOM).await;
        let expected: Vec<String> = (0..n).map(user).collect();
        assert_eq!(names(&existing), expected);
    }
    assert_eq!(scene.manager.rooms(), [ROOM]);
    assert_eq!(scene.kurento.created("MediaPipeline"), 1);
}

#[tokio::test]
async fn join_many_web_users_and_one_rtp() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let existing = scene.join_rtp(USERS, ROOM).await;
    assert_eq!(existing.len(), USERS);
    let listed = scene.manager.participants(ROOM).await.unwrap();
    assert_eq!(listed.len(), USERS + 1);
}

#[tokio::test]
async fn join_many_users_many_rooms_makes_each_pipeline_at_the_first_join() {
    let scene = Scene::new();
    for r in 0..ROOMS {
        let session = KurentoClientSessionInfo::for_room(format!("room{r}"));
        scene.manager.create_room(session).await.unwrap();
    }
    assert_eq!(scene.manager.rooms(), ["room0", "room1", "room2"]);
    assert_eq!(scene.kurento.created("MediaPipeline"), 0);
    for n in 0..USERS {
        let existing = scene.join(n, &format!("room{}", n % ROOMS)).await;
        assert_eq!(existing.len(), n / ROOMS);
    }
    assert_eq!(scene.kurento.created("MediaPipeline"), ROOMS);
}

#[tokio::test]
async fn leave_room_returns_exactly_who_remains() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let remaining = scene.manager.leave_room(&pid(0)).await.unwrap();
    let expected: Vec<String> = (1..USERS).map(user).collect();
    assert_eq!(names(&remaining), expected);
    let listed = scene.manager.participants(ROOM).await.unwrap();
    assert_eq!(listed, remaining);
}

#[tokio::test]
async fn rtp_leave_room_returns_exactly_who_remains() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.join_rtp(USERS, ROOM).await;
    let remaining = scene.manager.leave_room(&pid(USERS)).await.unwrap();
    assert_eq!(remaining.len(), USERS);
    let listed = scene.manager.participants(ROOM).await.unwrap();
    assert_eq!(listed, remaining);
}

/// Publisher 0 publishes already: everybody subscribes, then it unpublishes.
async fn check_lifecycle(scene: &Scene, publisher: usize, subscribers: usize) {
    let manager = &scene.manager;
    let publishers = manager.publishers(ROOM).await.unwrap();
    assert_eq!(names(&publishers), [user(publisher)]);
    for n in (0..USERS).filter(|n| *n != publisher) {
        assert_eq!(
            scene.subscribe(n, publisher).await,
            "answer to offer of subscriber"
        );
    }
    assert_eq!(manager.subscribers(ROOM).await.unwrap().len(), subscribers);
    manager.unpublish_media(&pid(publisher)).await.unwrap();
    assert!(manager.publishers(ROOM).await.unwrap().is_empty());
    assert!(manager.subscribers(ROOM).await.unwrap().is_empty());
    scene.kurento.until(|fake| fake.live() == 1).await;
    assert!(scene.kurento.stray_releases().is_empty());
}

#[tokio::test]
async fn publisher_lifecycle_ends_every_subscription() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    assert_eq!(scene.publish(0).await, "answer to offer of user0");
    check_lifecycle(&scene, 0, USERS - 1).await;
}

#[tokio::test]
async fn rtp_publisher_lifecycle_reaches_all_web_participants() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.join_rtp(USERS, ROOM).await;
    scene.publish(USERS).await;
    assert_eq!(scene.kurento.created("RtpEndpoint"), 1);
    assert_eq!(
        scene
            .kurento
            .subscriptions("RtpEndpoint", "IceCandidateFound"),
        0
    );
    assert_eq!(scene.kurento.count(|r| invokes(r, "gatherCandidates")), 0);
    check_lifecycle(&scene, USERS, USERS).await;
}

#[tokio::test]
async fn inverted_publisher_lifecycle_starts_at_the_answer() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let offer = scene.manager.generate_publish_offer(&pid(0)).await;
    assert_eq!(offer.unwrap(), "generated offer");
    assert!(scene.manager.publishers(ROOM).await.unwrap().is_empty());
    assert_eq!(scene.kurento.count(|r| invokes(r, "gatherCandidates")), 0);
    let published = scene
        .manager
        .publish_media(&pid(0), Publish::answer("answer of user0"))
        .await;
    assert_eq!(published.unwrap(), "offer after answer of user0");
    check_lifecycle(&scene, 0, USERS - 1).await;
}

async fn check_publish_and_leave(scene: &Scene) {
    let kurento = &scene.kurento;
    assert_eq!(
        kurento.links("connect", "WebRtcEndpoint", "PassThrough"),
        [None]
    );
    assert!(
        kurento
            .links("connect", "PassThrough", "WebRtcEndpoint")
            .is_empty()
    );
    scene.subscribe_all_to(0).await;
    assert_eq!(
        kurento.links("connect", "PassThrough", "WebRtcEndpoint"),
        vec![None; USERS - 1]
    );
    scene.manager.leave_room(&pid(0)).await.unwrap();
    let manager = &scene.manager;
    assert!(manager.publishers(ROOM).await.unwrap().is_empty());
    assert!(manager.subscribers(ROOM).await.unwrap().is_empty());
    kurento.until(|fake| fake.live() == 1).await;
    assert!(kurento.stray_releases().is_empty());
}

#[tokio::test]
async fn publish_and_leave_takes_subscriptions_along() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.publish(0).await;
    check_publish_and_leave(&scene).await;
}

#[tokio::test]
async fn inverted_publish_and_leave_takes_subscriptions_along() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let manager = &scene.manager;
    manager.generate_publish_offer(&pid(0)).await.unwrap();
    let publish = Publish::answer("answer");
    manager.publish_media(&pid(0), publish).await.unwrap();
    check_publish_and_leave(&scene).await;
}

#[tokio::test]
async fn publish_with_loopback_error_fails_the_publish() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.kurento.rule(Action::Refuse, |request| {
        matches!(request, salono_kurento_model::wire::Request::Invoke { object, operation, .. }
            if operation == "connect" && object.ends_with("PassThrough"))
    });
    let publish = Publish::offer("offer").with_loopback(true);
    let error = scene.manager.publish_media(&pid(0), publish).await;
    assert_eq!(error.unwrap_err().code, RoomErrorCode::MediaEndpoint);
    assert!(scene.manager.publishers(ROOM).await.unwrap().is_empty());
    // Nothing of the attempt stays, and the next one works.
    scene.kurento.until(|fake| fake.live() == 1).await;
    scene.kurento.clear_rules();
    scene.publish(0).await;
}

async fn check_loopback(scene: &Scene) {
    let kurento = &scene.kurento;
    assert_eq!(
        kurento.links("connect", "WebRtcEndpoint", "PassThrough"),
        [None]
    );
    assert_eq!(
        kurento.links("connect", "PassThrough", "WebRtcEndpoint"),
        [None]
    );
    scene.subscribe_all_to(0).await;
    assert_eq!(
        kurento.links("connect", "PassThrough", "WebRtcEndpoint"),
        vec![None; USERS]
    );
}

#[tokio::test]
async fn publish_with_loopback_is_one_more_connection_of_the_pass_through() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let publish = Publish::offer("offer").with_loopback(true);
    let manager = &scene.manager;
    manager.publish_media(&pid(0), publish).await.unwrap();
    check_loopback(&scene).await;
}

#[tokio::test]
async fn inverted_publish_with_loopback() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let manager = &scene.manager;
    manager.generate_publish_offer(&pid(0)).await.unwrap();
    let publish = Publish::answer("answer").with_loopback(true);
    manager.publish_media(&pid(0), publish).await.unwrap();
    check_loopback(&scene).await;
}

async fn check_other_loopback(media: Option<MediaType>, expected: Option<&str>) {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let pipeline = scene.manager.pipeline(&pid(0)).await.unwrap();
    let mut params = Map::new();
    params.insert("mediaPipeline".into(), pipeline.object.into());
    let player = pipeline.client.create("PlayerEndpoint", params).await;
    let publish = Publish {
        loopback: Loopback::Source {
            element: player.unwrap(),
            media,
        },
        ..Publish::offer("offer")
    };
    let manager = &scene.manager;
    manager.publish_media(&pid(0), publish).await.unwrap();
    let kurento = &scene.kurento;
    assert!(
        kurento
            .links("connect", "PassThrough", "WebRtcEndpoint")
            .is_empty()
    );
    assert_eq!(
        kurento.links("connect", "PlayerEndpoint", "WebRtcEndpoint"),
        [expected.map(str::to_owned)]
    );
    // It is not the room's to release.
    manager.unpublish_media(&pid(0)).await.unwrap();
    kurento.until(|fake| fake.live() == 2).await;
    assert_eq!(kurento.objects("PlayerEndpoint").len(), 1);
}

#[tokio::test]
async fn publish_with_alternative_loopback_src() {
    check_other_loopback(None, None).await;
}

#[tokio::test]
async fn publish_with_alternative_loopback_src_audio_type() {
    check_other_loopback(Some(MediaType::Audio), Some("AUDIO")).await;
}

#[tokio::test]
async fn mute_unmute_published_is_one_disconnection_and_one_connection() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.publish(0).await;
    let (manager, kurento) = (&scene.manager, &scene.kurento);
    manager
        .mute_published_media(&pid(0), MutedMediaType::All)
        .await
        .unwrap();
    assert_eq!(
        kurento.links("disconnect", "WebRtcEndpoint", "PassThrough"),
        [None]
    );
    kurento.forget_requests();
    manager
        .unmute_published_media(&pid(0), MutedMediaType::All)
        .await
        .unwrap();
    manager
        .unmute_published_media(&pid(0), MutedMediaType::All)
        .await
        .unwrap();
    assert_eq!(
        kurento.links("connect", "WebRtcEndpoint", "PassThrough"),
        [None]
    );
}

#[tokio::test]
async fn mute_unmute_subscribed_is_one_disconnection_and_one_connection() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    scene.publish(0).await;
    scene.subscribe(1, 0).await;
    let (manager, kurento) = (&scene.manager, &scene.kurento);
    manager
        .mute_subscribed_media(&pid(1), &user(0), MutedMediaType::All)
        .await
        .unwrap();
    assert_eq!(
        kurento.links("disconnect", "PassThrough", "WebRtcEndpoint"),
        [None]
    );
    kurento.forget_requests();
    manager
        .unmute_subscribed_media(&pid(1), &user(0))
        .await
        .unwrap();
    assert_eq!(
        kurento.links("connect", "PassThrough", "WebRtcEndpoint"),
        [None]
    );
}

async fn filter(scene: &Scene) -> String {
    let pipeline = scene.manager.pipeline(&pid(0)).await.unwrap();
    let mut params = Map::new();
    params.insert("mediaPipeline".into(), pipeline.object.into());
    let filter = pipeline.client.create("FaceOverlayFilter", params).await;
    filter.unwrap()
}

fn check_filter(scene: &Scene) {
    let kurento = &scene.kurento;
    assert_eq!(
        kurento.links("connect", "WebRtcEndpoint", "FaceOverlayFilter"),
        [None]
    );
    assert_eq!(
        kurento.links("connect", "FaceOverlayFilter", "PassThrough"),
        [None]
    );
    assert_eq!(kurento.subscriptions("FaceOverlayFilter", "Error"), 1);
}

#[tokio::test]
async fn add_media_filter_in_parallel_connects_it_once() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let filter = filter(&scene).await;
    let manager = &scene.manager;
    let hold = |request: &_| invokes(request, "processOffer");
    scene.kurento.rule(Action::Hold, hold);
    let (pid, publish) = (pid(0), Publish::offer("offer"));
    let (published, added, ()) = tokio::join!(
        manager.publish_media(&pid, publish),
        manager.add_media_element(&pid, filter, None),
        async {
            scene.kurento.until(|fake| fake.held() == 1).await;
            scene.kurento.answer_held().await;
        },
    );
    published.unwrap();
    added.unwrap();
    check_filter(&scene);
}

#[tokio::test]
async fn add_media_filter_before_publishing_connects_it_once() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let filter = filter(&scene).await;
    let manager = &scene.manager;
    manager
        .add_media_element(&pid(0), filter.as_str(), None)
        .await
        .unwrap();
    scene.publish(0).await;
    check_filter(&scene);
    // Taken out again it is released, and the endpoint feeds the pass-through directly.
    scene.kurento.forget_requests();
    let manager = &scene.manager;
    manager.remove_media_element(&pid(0), filter).await.unwrap();
    let kurento = &scene.kurento;
    assert_eq!(
        kurento.links("connect", "WebRtcEndpoint", "PassThrough"),
        [None]
    );
    kurento
        .until(|fake| fake.objects("FaceOverlayFilter").is_empty())
        .await;
}

#[tokio::test]
async fn ice_candidate_reaches_its_subscriber_under_the_publishers_name() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.publish(0).await;
    scene.subscribe_all_to(0).await;
    let kurento = &scene.kurento;
    assert_eq!(
        kurento.subscriptions("WebRtcEndpoint", "IceCandidateFound"),
        USERS
    );
    let endpoints = kurento.objects("WebRtcEndpoint");
    for (n, endpoint) in endpoints.iter().enumerate() {
        let found = candidate(&format!("candidate:{n}"));
        let data = candidate_event(&found);
        kurento.raise(endpoint, "IceCandidateFound", data).await;
        let expected = Heard::Candidate(ROOM.into(), format!("pid{n}"), user(0), found);
        assert_eq!(scene.heard().await, expected);
    }
}

#[tokio::test]
async fn media_error_reaches_the_owner_of_the_endpoint() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    scene.publish(0).await;
    scene.subscribe_all_to(0).await;
    let kurento = &scene.kurento;
    assert_eq!(kurento.subscriptions("WebRtcEndpoint", "Error"), USERS);
    for (n, endpoint) in kurento.objects("WebRtcEndpoint").iter().enumerate() {
        let data = error_event("MOCK_ERR", "text", 505);
        kurento.raise(endpoint, "Error", data).await;
        let text = "MOCK_ERR: text(errCode=505)".to_owned();
        let expected = Heard::ElementError(ROOM.into(), format!("pid{n}"), text);
        assert_eq!(scene.heard().await, expected);
    }
}

#[tokio::test]
async fn pipeline_error_names_everybody_in_the_room() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let kurento = &scene.kurento;
    assert_eq!(kurento.subscriptions("MediaPipeline", "Error"), 1);
    let pipeline = kurento.objects("MediaPipeline");
    let data = error_event("MOCK_ERR", "text", 505);
    kurento.raise(&pipeline[0], "Error", data).await;
    let everybody = (0..USERS).map(|n| format!("pid{n}")).collect();
    let text = "MOCK_ERR: text(errCode=505)".to_owned();
    let expected = Heard::PipelineError(ROOM.into(), everybody, text);
    assert_eq!(scene.heard().await, expected);
}
