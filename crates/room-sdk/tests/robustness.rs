//! What holds beyond the original: races, failures, limits and lost connections.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;
#[path = "fake/scene.rs"]
mod scene;

use std::time::Duration;

use fake::{Action, creates, invokes};
use salono_room_sdk::{
    Bandwidth, Join, KurentoClientSessionInfo, Listens, ManagerConfig, MutedMedia, MutedMediaType,
    Publish, RoomErrorCode,
};
use scene::{Heard, Scene, USERS, candidate, names, pid, user};

const ROOM: &str = "room";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_that_join_at_once_one_finds_the_other() {
    for _ in 0..50 {
        let scene = std::sync::Arc::new(Scene::new());
        let joins: Vec<_> = (0..USERS)
            .map(|n| {
                let scene = std::sync::Arc::clone(&scene);
                tokio::spawn(async move { scene.join(n, ROOM).await.len() })
            })
            .collect();
        let mut found = Vec::new();
        for join in joins {
            found.push(join.await.unwrap());
        }
        found.sort_unstable();
        assert_eq!(found, (0..USERS).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_that_ends_never_costs_a_newcomer_its_join() {
    let scene = std::sync::Arc::new(Scene::new());
    let visits: Vec<_> = (0..4)
        .map(|n| {
            let scene = std::sync::Arc::clone(&scene);
            tokio::spawn(async move {
                for _ in 0..100 {
                    scene.join(n, ROOM).await;
                    scene.manager.leave_room(&pid(n)).await.unwrap();
                }
            })
        })
        .collect();
    for visit in visits {
        visit.await.unwrap();
    }
    assert!(scene.manager.rooms().is_empty());
    assert_eq!(scene.manager.participant_count(), 0);
    scene.kurento.until_empty().await;
    assert!(scene.kurento.stray_releases().is_empty());
}

#[tokio::test]
async fn leaving_while_publishing_leaves_nothing_behind() {
    for operation in ["create", "processOffer", "connect"] {
        let scene = Scene::new();
        scene.join(0, ROOM).await;
        scene.join(1, ROOM).await;
        scene.kurento.rule(Action::Hold, move |request| {
            creates(request, "WebRtcEndpoint") && operation == "create"
                || invokes(request, operation)
        });
        let (pid0, manager) = (pid(0), &scene.manager);
        let (published, ()) = tokio::join!(
            manager.publish_media(&pid0, Publish::offer("offer")),
            async {
                scene.kurento.until(|fake| fake.held() == 1).await;
                manager.leave_room(&pid0).await.unwrap();
                scene.kurento.answer_held().await;
            }
        );
        assert_eq!(published.unwrap_err().code, RoomErrorCode::UserClosed);
        scene.kurento.until(|fake| fake.live() == 1).await;
        manager.leave_room(&pid(1)).await.unwrap();
        scene.kurento.until_empty().await;
        assert!(scene.kurento.stray_releases().is_empty());
    }
}

#[tokio::test]
async fn the_last_one_leaving_while_the_pipeline_is_made_leaves_nothing_behind() {
    let scene = Scene::new();
    let hold = |request: &_| creates(request, "MediaPipeline");
    scene.kurento.rule(Action::Hold, hold);
    let (pid0, manager) = (pid(0), &scene.manager);
    let (joined, ()) = tokio::join!(scene.try_join(0, ROOM, "user0"), async {
        scene.kurento.until(|fake| fake.held() == 1).await;
        let left = manager.leave_room(&pid0).await;
        assert_eq!(left.unwrap_err().code, RoomErrorCode::UserNotFound);
        scene.kurento.answer_held().await;
    });
    assert_eq!(joined.unwrap_err().code, RoomErrorCode::UserClosed);
    scene.kurento.until_empty().await;
}

#[tokio::test]
async fn a_refused_pipeline_leaves_no_room_and_the_next_join_succeeds() {
    let scene = Scene::new();
    let refuse = |request: &_| creates(request, "MediaPipeline");
    scene.kurento.rule(Action::Refuse, refuse);
    let error = scene.try_join(0, ROOM, "user0").await.unwrap_err();
    assert_eq!(error.code, RoomErrorCode::RoomCannotBeCreated);
    assert!(scene.manager.rooms().is_empty());
    scene.kurento.clear_rules();
    scene.join(0, ROOM).await;
}

#[tokio::test]
async fn a_room_made_in_advance_survives_a_refused_pipeline() {
    let scene = Scene::new();
    let session = KurentoClientSessionInfo::for_room(ROOM);
    scene.manager.create_room(session).await.unwrap();
    let refuse = |request: &_| creates(request, "MediaPipeline");
    scene.kurento.rule(Action::Refuse, refuse);
    scene.try_join(0, ROOM, "user0").await.unwrap_err();
    assert_eq!(scene.manager.rooms(), [ROOM]);
    scene.kurento.clear_rules();
    scene.join(0, ROOM).await;
}

#[tokio::test]
async fn a_refused_name_opens_no_room() {
    let scene = Scene::new();
    let error = scene.try_join(0, ROOM, "").await.unwrap_err();
    assert_eq!(error.code, RoomErrorCode::Generic);
    assert!(scene.manager.rooms().is_empty());
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_participant_is_in_one_room() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let taken = scene.try_join(1, ROOM, "user0").await.unwrap_err();
    assert_eq!(taken.code, RoomErrorCode::ExistingUserInRoom);
    let twice = scene.try_join(0, "other", "user0").await.unwrap_err();
    assert_eq!(twice.code, RoomErrorCode::ExistingUserInRoom);
    assert_eq!(scene.manager.rooms(), [ROOM]);
    // A refused join holds no place.
    scene.join(1, ROOM).await;
}

#[tokio::test]
async fn a_user_can_publish_again_and_again() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    for _ in 0..3 {
        scene.publish(0).await;
        scene.subscribe(1, 0).await;
        scene.manager.unpublish_media(&pid(0)).await.unwrap();
    }
    scene.kurento.until(|fake| fake.live() == 1).await;
}

#[tokio::test]
async fn errors_have_the_codes_that_clients_know() {
    let scene = Scene::new();
    let manager = &scene.manager;
    let nobody = manager.leave_room(&pid(0)).await.unwrap_err();
    assert_eq!(nobody.code.number(), 102);
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    let code =
        |result: Result<String, salono_room_sdk::RoomError>| result.unwrap_err().code.number();
    let garbage = Publish::offer("garbage");
    assert_eq!(code(manager.publish_media(&pid(0), garbage).await), 302);
    assert_eq!(code(manager.subscribe(&pid(0), "nobody", "o").await), 102);
    assert_eq!(code(manager.subscribe(&pid(0), "user1", "o").await), 105);
    scene.publish(0).await;
    let again = Publish::offer("offer");
    assert_eq!(code(manager.publish_media(&pid(0), again).await), 302);
    assert_eq!(code(manager.subscribe(&pid(0), "user0", "o").await), 105);
    let refused = manager.subscribe(&pid(1), "user0", "garbage").await;
    assert_eq!(code(refused), 302);
    scene.subscribe(1, 0).await;
    assert_eq!(code(manager.subscribe(&pid(1), "user0", "o").await), 302);
    let unpublish = manager.unpublish_media(&pid(1)).await.unwrap_err();
    assert_eq!(unpublish.code.number(), 105);
    scene.join_rtp(2, ROOM).await;
    let ice = manager
        .on_ice_candidate(&pid(2), "user0", candidate("c"))
        .await;
    assert_eq!(ice.unwrap_err().code.number(), 306);
    // Nothing of what failed stays: pipeline, publisher (2), subscriber.
    scene.kurento.until(|fake| fake.live() == 4).await;
}

#[tokio::test]
async fn unsubscribing_without_a_subscription_is_fine() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    let manager = &scene.manager;
    manager.unsubscribe(&pid(0), &user(1)).await.unwrap();
    manager.unsubscribe(&pid(0), &user(0)).await.unwrap();
    let nobody = manager.unsubscribe(&pid(0), "nobody").await;
    assert_eq!(nobody.unwrap_err().code, RoomErrorCode::UserNotFound);
}

#[tokio::test]
async fn candidates_that_come_early_reach_their_endpoint() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    let (manager, kurento) = (&scene.manager, &scene.kurento);
    for (n, name) in [(0, "user0"), (1, "user0"), (1, "nobody")] {
        for text in ["candidate:1", "candidate:2"] {
            manager
                .on_ice_candidate(&pid(n), name, candidate(text))
                .await
                .unwrap();
        }
    }
    let added = || kurento.count(|request| invokes(request, "addIceCandidate"));
    assert_eq!(added(), 0);
    scene.publish(0).await;
    kurento.until(|_| added() == 2).await;
    scene.subscribe(1, 0).await;
    kurento.until(|_| added() == 4).await;
    manager
        .on_ice_candidate(&pid(1), "user0", candidate("candidate:3"))
        .await
        .unwrap();
    kurento.until(|_| added() == 5).await;
}

#[tokio::test]
async fn candidates_before_an_endpoint_are_bounded() {
    let mut config = ManagerConfig::default();
    config.room.limits.buffered_candidates = 3;
    let scene = Scene::with_config(config);
    scene.join(0, ROOM).await;
    for n in 0..100 {
        let text = format!("candidate:{n}");
        scene
            .manager
            .on_ice_candidate(&pid(0), "user0", candidate(&text))
            .await
            .unwrap();
    }
    scene.publish(0).await;
    scene.manager.leave_room(&pid(0)).await.unwrap();
    scene.kurento.until_empty().await;
    let added = scene.kurento.count(|r| invokes(r, "addIceCandidate"));
    assert_eq!(added, 3);
}

#[tokio::test]
async fn muting_sound_and_then_pictures_mutes_both() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.publish(0).await;
    let (manager, kurento) = (&scene.manager, &scene.kurento);
    for media in [MutedMediaType::Audio, MutedMediaType::Video] {
        manager.mute_published_media(&pid(0), media).await.unwrap();
    }
    let typed = |operation| kurento.links(operation, "WebRtcEndpoint", "PassThrough");
    let both = [Some("AUDIO".to_owned()), Some("VIDEO".to_owned())];
    assert_eq!(typed("disconnect"), both);
    kurento.forget_requests();
    manager
        .unmute_published_media(&pid(0), MutedMediaType::All)
        .await
        .unwrap();
    assert_eq!(typed("connect"), both);
}

#[tokio::test]
async fn bandwidth_is_limited_only_when_configured() {
    let setters = |scene: &Scene| {
        scene
            .kurento
            .count(|r| invokes(r, "setMaxVideoSendBandwidth"))
    };
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.publish(0).await;
    assert_eq!(setters(&scene), 0);
    let mut config = ManagerConfig::default();
    config.room.bandwidth = Bandwidth {
        max_video_send: Some(600),
        ..Bandwidth::default()
    };
    let scene = Scene::with_config(config);
    scene.join(0, ROOM).await;
    scene.publish(0).await;
    assert_eq!(setters(&scene), 1);
}

#[tokio::test]
async fn one_participants_slow_media_holds_up_nobody_else() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    scene.kurento.rule(Action::Hold, |request| {
        matches!(request, salono_kurento_model::wire::Request::Invoke { params: Some(params), .. }
            if params.get("offer").is_some_and(|offer| offer == "slow"))
    });
    let (pid0, manager) = (pid(0), &scene.manager);
    let (slow, ()) = tokio::join!(
        manager.publish_media(&pid0, Publish::offer("slow")),
        async {
            scene.kurento.until(|fake| fake.held() == 1).await;
            scene.publish(1).await;
            scene.join(2, ROOM).await;
            scene.subscribe(2, 1).await;
            scene.kurento.answer_held().await;
        }
    );
    slow.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_media_server_fails_operations_in_time() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let silent = |request: &_| invokes(request, "processOffer");
    scene.kurento.rule(Action::Hold, silent);
    let begun = tokio::time::Instant::now();
    let publish = Publish::offer("offer");
    let error = scene.manager.publish_media(&pid(0), publish).await;
    error.unwrap_err();
    assert!(begun.elapsed() <= Duration::from_secs(31));
    scene.kurento.until(|fake| fake.live() == 1).await;
    scene.kurento.clear_rules();
    scene.publish(0).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_fails_what_is_under_way_and_closes_the_room() {
    let scene = Scene::new();
    scene.join_all(ROOM).await;
    let silent = |request: &_| invokes(request, "processOffer");
    scene.kurento.rule(Action::Hold, silent);
    let (pid0, manager) = (pid(0), &scene.manager);
    let (published, ()) = tokio::join!(
        manager.publish_media(&pid0, Publish::offer("offer")),
        async {
            scene.kurento.until(|fake| fake.held() == 1).await;
            scene.kurento.disconnect();
        }
    );
    published.unwrap_err();
    assert_eq!(scene.heard().await, Heard::Lost(ROOM.into(), USERS));
    assert!(manager.rooms().is_empty());
    let gone = manager.participant_info(&pid0).await.unwrap_err();
    assert_eq!(gone.code, RoomErrorCode::UserNotFound);
}

#[tokio::test]
async fn nothing_is_heard_of_a_participant_that_left() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    scene.publish(0).await;
    let endpoint = scene.kurento.objects("WebRtcEndpoint").remove(0);
    let hold = |request: &_| matches!(request, salono_kurento_model::wire::Request::Release { .. });
    // The endpoint's release is refused, so that it goes on to raise events.
    scene.kurento.rule(Action::Refuse, hold);
    scene.manager.leave_room(&pid(0)).await.unwrap();
    let data = scene::candidate_event(&candidate("candidate:1"));
    let kurento = &scene.kurento;
    kurento.raise(&endpoint, "IceCandidateFound", data).await;
    // Answers come behind the event.
    scene.publish(1).await;
    assert!(scene.heard_nothing());
}

#[tokio::test]
async fn limits_of_rooms_and_participants_hold() {
    let mut config = ManagerConfig {
        rooms: 1,
        ..ManagerConfig::default()
    };
    config.room.limits.participants = 2;
    let scene = Scene::with_config(config);
    scene.join(0, ROOM).await;
    scene.join(1, ROOM).await;
    let full = scene.try_join(2, ROOM, "user2").await.unwrap_err();
    assert_eq!(full.code, RoomErrorCode::RoomGeneric);
    let too_many = scene.try_join(2, "other", "user2").await.unwrap_err();
    assert_eq!(too_many.code, RoomErrorCode::RoomCannotBeCreated);
    scene.manager.leave_room(&pid(0)).await.unwrap();
    scene.join(2, ROOM).await;
}

#[tokio::test]
async fn filters_are_applied_to_everybody_and_to_those_who_come_later() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let filter = |n: usize, state: &str| Heard::Filter(user(n), "hat".into(), state.into());
    scene.manager.update_filter(ROOM, "hat").await.unwrap();
    assert_eq!(scene.heard().await, filter(0, "0"));
    scene.manager.update_filter(ROOM, "hat").await.unwrap();
    assert_eq!(scene.heard().await, filter(0, "1"));
    scene.join(1, ROOM).await;
    assert_eq!(scene.heard().await, filter(1, "1"));
    let nowhere = scene.manager.update_filter("x", "hat").await;
    assert_eq!(nowhere.unwrap_err().code, RoomErrorCode::RoomNotFound);
}

#[tokio::test]
async fn a_closed_manager_opens_no_room() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.manager.close().await;
    assert!(scene.manager.is_closed());
    assert!(scene.manager.rooms().is_empty());
    let error = scene.try_join(0, ROOM, "user0").await.unwrap_err();
    assert_eq!(error.code, RoomErrorCode::RoomClosed);
    scene.kurento.until_empty().await;
    assert!(scene.heard_nothing());
}

#[tokio::test]
async fn a_rooms_name_is_free_as_soon_as_it_is_closed() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let members = scene.manager.close_room(ROOM).await.unwrap();
    assert_eq!(names(&members), [user(0)]);
    assert!(scene.join(0, ROOM).await.is_empty());
    assert_eq!(scene.kurento.created("MediaPipeline"), 2);
}

#[tokio::test]
async fn nobody_joins_a_locked_room_until_it_is_unlocked() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    scene.manager.set_room_locked(ROOM, true).await.unwrap();
    assert!(scene.manager.is_room_locked(ROOM).await.unwrap());
    let error = scene.try_join(1, ROOM, &user(1)).await.unwrap_err();
    assert_eq!(error.code, RoomErrorCode::RoomLocked);
    assert_eq!(error.code.number(), 205);
    // Who is in goes on as ever, and other rooms are not concerned.
    scene.publish(0).await;
    scene.join(2, "other").await;
    scene.manager.set_room_locked(ROOM, false).await.unwrap();
    assert_eq!(scene.join(1, ROOM).await.len(), 1);
    // The lock ends with the room.
    scene.manager.set_room_locked(ROOM, true).await.unwrap();
    scene.manager.close_room(ROOM).await.unwrap();
    scene.join(3, ROOM).await;
    let nowhere = scene.manager.set_room_locked("none", true).await;
    assert_eq!(nowhere.unwrap_err().code, RoomErrorCode::RoomNotFound);
}

#[tokio::test]
async fn mutes_and_locks_are_told_to_those_who_asked_for_it() {
    let scene = Scene::new();
    scene.join(0, ROOM).await;
    let join = || Join {
        listens: Listens {
            moderation: true,
            ..Listens::default()
        },
        ..Join::new(ROOM, "moderator")
    };
    scene
        .manager
        .join_room(&pid(1), join(), None)
        .await
        .unwrap();
    scene.publish(0).await;
    let target = scene.manager.find(ROOM, &user(0)).await.unwrap();
    let target = target.participant_id;
    let muted = |audio, video| {
        let receivers = vec![pid(1).to_string()];
        Heard::Muted(receivers, user(0), MutedMedia { audio, video })
    };
    let mute = async |media| {
        let done = scene.manager.mute_published_media(&target, media).await;
        done.unwrap();
    };
    mute(MutedMediaType::Audio).await;
    assert_eq!(scene.heard().await, muted(true, false));
    // What changes nothing is no news.
    mute(MutedMediaType::Audio).await;
    mute(MutedMediaType::Video).await;
    assert_eq!(scene.heard().await, muted(true, true));
    let unmuted = scene
        .manager
        .unmute_published_media(&target, MutedMediaType::Audio);
    unmuted.await.unwrap();
    assert_eq!(scene.heard().await, muted(false, true));
    let known = scene.manager.muted_media(&target).await.unwrap();
    assert_eq!((known.audio, known.video), (false, true));
    // Who comes later learns what is muted.
    scene.manager.leave_room(&pid(1)).await.unwrap();
    scene
        .manager
        .join_room(&pid(1), join(), None)
        .await
        .unwrap();
    assert_eq!(scene.heard().await, muted(false, true));
    scene.manager.set_room_locked(ROOM, true).await.unwrap();
    scene.manager.set_room_locked(ROOM, true).await.unwrap();
    let receivers = vec![pid(1).to_string()];
    assert_eq!(scene.heard().await, Heard::Locked(receivers, true));
    assert!(scene.heard_nothing());
}
