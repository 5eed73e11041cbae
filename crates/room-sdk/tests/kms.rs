//! Which media server rooms get.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fake;

use std::sync::Arc;

use fake::FakeKurento;
use salono_room_sdk::{
    IceCandidate, Join, Kms, KmsChoice, KmsManager, KurentoClientSessionInfo, LoadManager,
    ManagerConfig, MaxWebRtcLoadManager, NamePattern, ParticipantId, RoomError, RoomErrorCode,
    RoomHandler, RoomManager, UnlimitedLoadManager, UserParticipant,
};

/// Hears nothing.
struct Deaf;

impl RoomHandler for Deaf {
    fn on_ice_candidate(
        &self,
        _: &str,
        _: &ParticipantId,
        _: &salono_room_sdk::StreamRef,
        _: &IceCandidate,
    ) {
    }
    fn on_media_element_error(&self, _: &str, _: &ParticipantId, _: &str) {}
    fn on_pipeline_error(&self, _: &str, _: &[ParticipantId], _: &str) {}
}

struct Scene {
    manager: RoomManager,
    kurentos: Vec<FakeKurento>,
    kmss: Arc<KmsManager>,
}

impl Scene {
    /// Three media servers, each for so many rooms.
    fn new(kmss: KmsManager, limit: Option<usize>) -> Self {
        let mut kurentos = Vec::new();
        for n in 0..3 {
            let (kurento, client) = FakeKurento::start();
            let load: Arc<dyn LoadManager> = match limit {
                Some(limit) => Arc::new(MaxWebRtcLoadManager::new(limit)),
                None => Arc::new(UnlimitedLoadManager),
            };
            kmss.add_kms(Kms::connected(format!("fake {n}"), client, load));
            kurentos.push(kurento);
        }
        let kmss = Arc::new(kmss);
        let provider = Arc::clone(&kmss);
        Self {
            manager: RoomManager::new(Arc::new(Deaf), provider, ManagerConfig::default()),
            kurentos,
            kmss,
        }
    }

    async fn join(&self, room: &str, user: &str) -> Result<Vec<UserParticipant>, RoomError> {
        let id = ParticipantId::from(format!("{user} in {room}"));
        let session = KurentoClientSessionInfo {
            room_name: room.to_owned(),
            participant_id: Some(id.clone()),
            user_name: Some(user.to_owned()),
        };
        let join = Join::new(room, user);
        self.manager.join_room(&id, join, Some(session)).await
    }

    /// How many rooms each media server has.
    fn rooms(&self) -> [usize; 3] {
        [0, 1, 2].map(|n| self.kurentos[n].objects("MediaPipeline").len())
    }
}

fn special() -> KmsChoice {
    KmsChoice::ServiceLevel(NamePattern::new("special.*").unwrap())
}

#[tokio::test]
async fn media_servers_take_turns() {
    let scene = Scene::new(KmsManager::new(KmsChoice::RoundRobin), None);
    for n in 0..6 {
        scene.join(&format!("room{n}"), "ann").await.unwrap();
        scene.join(&format!("room{n}"), "bob").await.unwrap();
    }
    assert_eq!(scene.rooms(), [2, 2, 2]);
}

#[tokio::test]
async fn the_least_loaded_media_server_gets_the_next_room() {
    let scene = Scene::new(KmsManager::new(KmsChoice::LeastLoaded), None);
    for n in 0..4 {
        scene.join(&format!("room{n}"), "ann").await.unwrap();
    }
    assert_eq!(scene.rooms(), [2, 1, 1]);
    let sorted = scene.kmss.kmss_sorted_by_load().await;
    let names: Vec<&str> = sorted.iter().map(|(kms, _)| kms.name()).collect();
    assert_eq!(names, ["fake 1", "fake 2", "fake 0"]);
    assert_eq!(scene.kmss.kmss().len(), 3);
}

#[tokio::test]
async fn the_least_loaded_media_server_can_be_kept_free() {
    let scene = Scene::new(KmsManager::new(KmsChoice::NextLeastLoaded), None);
    for n in 0..4 {
        scene.join(&format!("room{n}"), "ann").await.unwrap();
    }
    assert_eq!(scene.rooms(), [0, 2, 2]);
}

#[tokio::test]
async fn users_of_a_better_service_level_get_the_least_loaded_media_server() {
    let scene = Scene::new(KmsManager::new(special()), Some(2));
    scene.join("1", "ann").await.unwrap();
    assert_eq!(scene.rooms(), [0, 1, 0]);
    scene.join("2", "SpecialBob").await.unwrap();
    assert_eq!(scene.rooms(), [1, 1, 0]);
    scene.join("3", "special").await.unwrap();
    assert_eq!(scene.rooms(), [1, 1, 1]);
    for room in ["4", "5", "6"] {
        scene.join(room, "cid").await.unwrap();
    }
    assert_eq!(scene.rooms(), [2, 2, 2]);
    for user in ["special", "ann"] {
        let full = scene.join("7", user).await.unwrap_err();
        assert_eq!(full.code, RoomErrorCode::RoomCannotBeCreated);
    }
    // Rooms that exist let everybody in.
    assert_eq!(scene.join("6", "ann").await.unwrap().len(), 1);
}

#[tokio::test]
async fn only_users_whose_name_fits_create_rooms() {
    let creators = NamePattern::new("[a-m].*").unwrap();
    let kmss = KmsManager::new(KmsChoice::RoundRobin).created_by(creators);
    let scene = Scene::new(kmss, None);
    let refused = scene.join("r", "zoe").await.unwrap_err();
    assert_eq!(refused.code, RoomErrorCode::RoomCannotBeCreated);
    assert!(scene.manager.rooms().is_empty());
    scene.join("r", "Ann").await.unwrap();
    assert_eq!(scene.join("r", "zoe").await.unwrap().len(), 1);
    // What the program creates is not a user's.
    let session = KurentoClientSessionInfo::for_room("own");
    scene.manager.create_room(session).await.unwrap();
}

#[tokio::test]
async fn full_media_servers_are_passed_over() {
    let scene = Scene::new(KmsManager::new(KmsChoice::RoundRobin), Some(1));
    for room in ["1", "2", "3"] {
        scene.join(room, "ann").await.unwrap();
    }
    assert_eq!(scene.rooms(), [1, 1, 1]);
    let full = scene.join("4", "ann").await.unwrap_err();
    assert_eq!(full.code, RoomErrorCode::RoomCannotBeCreated);
    let load = scene.kmss.kmss()[0].load().await.unwrap();
    assert!(!load.allows_more);
    scene.manager.close_room("2").await.unwrap();
    scene.kurentos[1].until_empty().await;
    scene.join("4", "ann").await.unwrap();
    assert_eq!(scene.rooms(), [1, 1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_room_moves_from_a_dead_media_server_to_one_that_lives() {
    for choice in [KmsChoice::RoundRobin, KmsChoice::LeastLoaded, special()] {
        let scene = Scene::new(KmsManager::new(choice), Some(10));
        scene.join("room", "ann").await.unwrap();
        let first = scene.rooms().iter().position(|rooms| *rooms == 1).unwrap();
        scene.kurentos[first].disconnect();
        let others: Vec<usize> = (0..3).filter(|n| *n != first).collect();
        let (one, other) = (&scene.kurentos[others[0]], &scene.kurentos[others[1]]);
        let moved = |fake: &FakeKurento| fake.objects("MediaPipeline").len() == 1;
        tokio::select! {
            () = one.until(moved) => {}
            () = other.until(moved) => {}
        }
        // New rooms do not get the dead one either.
        for room in ["2", "3", "4"] {
            scene.join(room, "bob").await.unwrap();
        }
        assert_eq!(scene.manager.participants("room").await.unwrap().len(), 1);
        assert_eq!(scene.manager.rooms().len(), 4);
    }
}
