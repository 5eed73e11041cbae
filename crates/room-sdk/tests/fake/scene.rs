//! A room manager on a fake media server, with a handler that writes down what it hears.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::sync::{Arc, Mutex};

use salono_kurento_model::{Map, Value};
use salono_room_sdk::{
    FixedKurento, IceCandidate, Join, KurentoClientSessionInfo, ManagerConfig, MutedMedia,
    ParticipantId, Publish, RoomHandler, RoomManager, StreamRef, UserParticipant,
};
use tokio::sync::mpsc;

use crate::fake::FakeKurento;

pub const USERS: usize = 10;
pub const ROOMS: usize = 3;

/// What a handler heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    Candidate(String, String, String, IceCandidate),
    ElementError(String, String, String),
    PipelineError(String, Vec<String>, String),
    Lost(String, usize),
    Filter(String, String, String),
    Muted(Vec<String>, String, MutedMedia),
    Locked(Vec<String>, bool),
}

pub struct Listener {
    heard: mpsc::Sender<Heard>,
}

impl RoomHandler for Listener {
    fn on_ice_candidate(
        &self,
        room: &str,
        participant: &ParticipantId,
        endpoint: &StreamRef,
        candidate: &IceCandidate,
    ) {
        let _ = self.heard.try_send(Heard::Candidate(
            room.into(),
            participant.to_string(),
            endpoint.to_string(),
            candidate.clone(),
        ));
    }

    fn on_media_element_error(&self, room: &str, participant: &ParticipantId, text: &str) {
        let heard = Heard::ElementError(room.into(), participant.to_string(), text.into());
        let _ = self.heard.try_send(heard);
    }

    fn on_pipeline_error(&self, room: &str, participants: &[ParticipantId], text: &str) {
        let ids = participants.iter().map(ToString::to_string).collect();
        let _ = self
            .heard
            .try_send(Heard::PipelineError(room.into(), ids, text.into()));
    }

    fn on_room_lost(&self, room: &str, members: &[UserParticipant]) {
        let _ = self.heard.try_send(Heard::Lost(room.into(), members.len()));
    }

    fn on_media_muted(
        &self,
        _: &str,
        receivers: &[ParticipantId],
        participant: &UserParticipant,
        _: &str,
        muted: MutedMedia,
    ) {
        let receivers = receivers.iter().map(ToString::to_string).collect();
        let user = participant.user_name.clone();
        let _ = self.heard.try_send(Heard::Muted(receivers, user, muted));
    }

    fn on_room_locked(&self, _: &str, receivers: &[ParticipantId], locked: bool) {
        let receivers = receivers.iter().map(ToString::to_string).collect();
        let _ = self.heard.try_send(Heard::Locked(receivers, locked));
    }

    fn update_filter(&self, _: &str, participant: &UserParticipant, filter: &str, state: &str) {
        let user = participant.user_name.clone();
        let _ = self
            .heard
            .try_send(Heard::Filter(user, filter.into(), state.into()));
    }

    fn next_filter_state(&self, _: &str, state: Option<&str>) -> Option<String> {
        let next = state.map_or(0, |state| state.parse::<u32>().unwrap() + 1);
        Some(next.to_string())
    }
}

pub struct Scene {
    pub manager: RoomManager,
    pub kurento: FakeKurento,
    heard: Mutex<mpsc::Receiver<Heard>>,
}

impl Scene {
    pub fn new() -> Self {
        Self::with_config(ManagerConfig::default())
    }

    pub fn with_config(config: ManagerConfig) -> Self {
        let (kurento, client) = FakeKurento::start();
        let (sender, receiver) = mpsc::channel(1024);
        let handler = Arc::new(Listener { heard: sender });
        let provider = Arc::new(FixedKurento::new(client));
        Self {
            manager: RoomManager::new(handler, provider, config),
            kurento,
            heard: Mutex::new(receiver),
        }
    }

    /// The next thing that the handler hears.
    #[allow(clippy::await_holding_lock, reason = "one test, one reader")]
    pub async fn heard(&self) -> Heard {
        self.heard.lock().unwrap().recv().await.unwrap()
    }

    pub fn heard_nothing(&self) -> bool {
        self.heard.lock().unwrap().try_recv().is_err()
    }

    pub async fn join(&self, n: usize, room: &str) -> Vec<UserParticipant> {
        self.try_join(n, room, &user(n)).await.unwrap()
    }

    pub async fn try_join(
        &self,
        n: usize,
        room: &str,
        name: &str,
    ) -> Result<Vec<UserParticipant>, salono_room_sdk::RoomError> {
        let session = Some(KurentoClientSessionInfo::for_room(room));
        let join = Join::new(room, name);
        self.manager.join_room(&pid(n), join, session).await
    }

    /// Joins as a plain RTP participant.
    pub async fn join_rtp(&self, n: usize, room: &str) -> Vec<UserParticipant> {
        let join = Join {
            web: false,
            ..Join::new(room, user(n))
        };
        let session = Some(KurentoClientSessionInfo::for_room(room));
        let joined = self.manager.join_room(&pid(n), join, session).await;
        joined.unwrap()
    }

    pub async fn join_all(&self, room: &str) {
        for n in 0..USERS {
            self.join(n, room).await;
        }
    }

    pub async fn publish(&self, n: usize) -> String {
        let publish = Publish::offer(format!("offer of {}", user(n)));
        self.manager.publish_media(&pid(n), publish).await.unwrap()
    }

    /// Everybody but the publisher subscribes to it.
    pub async fn subscribe_all_to(&self, publisher: usize) {
        for n in (0..USERS).filter(|n| *n != publisher) {
            self.subscribe(n, publisher).await;
        }
    }

    pub async fn subscribe(&self, n: usize, publisher: usize) -> String {
        self.manager
            .subscribe(&pid(n), &user(publisher), "offer of subscriber")
            .await
            .unwrap()
    }
}

pub fn pid(n: usize) -> ParticipantId {
    format!("pid{n}").into()
}

pub fn user(n: usize) -> String {
    format!("user{n}")
}

pub fn names(participants: &[UserParticipant]) -> Vec<String> {
    let names = participants.iter();
    names
        .map(|participant| participant.user_name.clone())
        .collect()
}

pub fn candidate(text: &str) -> IceCandidate {
    IceCandidate {
        candidate: text.into(),
        sdp_mid: "audio".into(),
        sdp_m_line_index: 1,
    }
}

/// Members of an `IceCandidateFound` event.
pub fn candidate_event(candidate: &IceCandidate) -> Map<String, Value> {
    let mut value = Map::new();
    value.insert("candidate".into(), candidate.candidate.clone().into());
    value.insert("sdpMid".into(), candidate.sdp_mid.clone().into());
    value.insert("sdpMLineIndex".into(), candidate.sdp_m_line_index.into());
    let mut data = Map::new();
    data.insert("candidate".into(), Value::Object(value));
    data
}

/// Members of an `Error` event.
pub fn error_event(kind: &str, text: &str, code: i32) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("type".into(), kind.into());
    data.insert("description".into(), text.into());
    data.insert("errorCode".into(), code.into());
    data
}
