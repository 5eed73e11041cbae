//! What a room asks of a media server that can tell who speaks, and what it makes of the answers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::Instant;

use salono_kurento_model::wire::{Notification, Request};
use salono_kurento_model::{Value, json};
use salono_room_core::{
    Command, Effect, Listens, Loopback, MutedMediaType, ParticipantId, Room, RoomConfig, RoomEvent,
    SdpType, Ticket, WEBCAM,
};

const ALL: Listens = Listens {
    active_speaker: true,
    levels: true,
    layers: false,
    moderation: false,
    recovery: false,
    streams: false,
};
const NONE: Listens = Listens {
    active_speaker: false,
    levels: false,
    layers: false,
    moderation: false,
    recovery: false,
    streams: false,
};

/// A room on a media server that does everything at once.
struct Scene {
    room: Room,
    now: Instant,
    tickets: u64,
    endpoints: usize,
    asked: Vec<String>,
    events: Vec<RoomEvent>,
}

impl Scene {
    #[allow(
        clippy::disallowed_methods,
        reason = "any point in time will do as the first"
    )]
    fn new(loudest: u16) -> Self {
        let config = RoomConfig {
            loudest,
            ..RoomConfig::default()
        };
        Self {
            room: Room::new("room", config, false),
            now: Instant::now(),
            tickets: 0,
            endpoints: 0,
            asked: Vec::new(),
            events: Vec::new(),
        }
    }

    fn command(&mut self, command: Command) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.room.handle_command(ticket, command, self.now);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Request { token, request } => {
                    let reply = self.answer(request);
                    self.room.handle_reply(token, Ok(reply), self.now);
                }
                Effect::Done { result, .. } => drop(result.unwrap()),
                Effect::Event(event) => self.events.push(event),
            }
        }
    }

    fn answer(&mut self, request: Request) -> Value {
        match request {
            Request::Create { class, .. } if class == "salono.SpeakerDetector" => {
                self.asked.push("create".to_owned());
                "detector".into()
            }
            Request::Create { class, .. } if class == "WebRtcEndpoint" => {
                self.endpoints += 1;
                format!("endpoint{}", self.endpoints).into()
            }
            Request::Create { class, .. } => class.into(),
            Request::Invoke {
                operation, params, ..
            } => match operation.as_str() {
                "getInfo" => {
                    self.asked.push(operation);
                    json!({ "modules": [{ "name": "salono", "factories": ["SpeakerDetector"] }] })
                }
                "setLoudest" | "setLevelInterval" => {
                    let value = params
                        .unwrap()
                        .as_object()
                        .unwrap()
                        .values()
                        .next()
                        .cloned();
                    self.asked.push(format!("{operation} {}", value.unwrap()));
                    Value::Null
                }
                _ => "sdp".into(),
            },
            Request::Subscribe { object, event } => {
                if object == "detector" {
                    self.asked.push(format!("subscribe {event}"));
                }
                "subscription".into()
            }
            Request::Release { .. } => Value::Null,
            other @ (Request::Connect
            | Request::Ping { .. }
            | Request::Describe { .. }
            | Request::Unsubscribe { .. }
            | Request::Ref { .. }
            | Request::Unref { .. }
            | Request::KeepAlive
            | Request::CloseSession { .. }
            | Request::Transaction { .. }) => panic!("{other:?}"),
        }
    }

    fn join(&mut self, id: &str, listens: Listens) {
        self.command(Command::Join {
            participant: ParticipantId::from(id),
            user: format!("user {id}"),
            data_channels: false,
            web: true,
            listens,
        });
    }

    fn publish(&mut self, id: &str) {
        self.command(Command::Publish {
            participant: ParticipantId::from(id),
            sdp_type: SdpType::Offer,
            sdp: "offer".into(),
            loopback: Loopback::Off,
            elements: Vec::new(),
            stream: WEBCAM.into(),
        });
    }

    fn leave(&mut self, id: &str) {
        let participant = ParticipantId::from(id);
        self.command(Command::Leave { participant });
    }

    fn raise(&mut self, event: &str, data: Value) {
        self.room.handle_notification(&Notification {
            object: "detector".into(),
            event: event.into(),
            data: data.as_object().unwrap().clone(),
        });
        self.settle();
    }

    fn asked(&mut self) -> Vec<String> {
        std::mem::take(&mut self.asked)
    }

    /// Who was told of which speaker.
    fn told(&mut self) -> Vec<(usize, Option<String>)> {
        std::mem::take(&mut self.events)
            .into_iter()
            .filter_map(|event| match event {
                RoomEvent::ActiveSpeakerChanged { receivers, speaker } => {
                    Some((receivers.len(), speaker.map(|speaker| speaker.user)))
                }
                RoomEvent::IceCandidateFound { .. }
                | RoomEvent::MediaElementError { .. }
                | RoomEvent::PipelineError { .. }
                | RoomEvent::AudioLevels { .. }
                | RoomEvent::VideoLayerChanged { .. }
                | RoomEvent::MediaMuted { .. }
                | RoomEvent::LockChanged { .. }
                | RoomEvent::MediaLost { .. }
                | RoomEvent::MediaReplaced { .. }
                | RoomEvent::Closed { .. } => None,
            })
            .collect()
    }
}

#[test]
fn a_room_that_nobody_listens_in_asks_for_nothing() {
    let mut scene = Scene::new(0);
    scene.join("1", NONE);
    scene.publish("1");
    assert_eq!(scene.asked(), [""; 0]);
}

#[test]
fn a_room_that_forwards_the_loudest_says_so_without_listeners() {
    let mut scene = Scene::new(3);
    scene.join("1", NONE);
    let expected = [
        "getInfo",
        "create",
        "setLoudest 3",
        "setLevelInterval 0",
        "subscribe ActiveSpeakerChanged",
        "subscribe AudioLevels",
    ];
    assert_eq!(scene.asked(), expected);
    scene.join("2", NONE);
    assert_eq!(scene.asked(), [""; 0]);
}

#[test]
fn levels_are_made_while_somebody_listens() {
    let mut scene = Scene::new(0);
    scene.join("1", NONE);
    scene.join("2", ALL);
    assert_eq!(scene.asked().last().unwrap(), "setLevelInterval 200");
    scene.join("3", ALL);
    assert_eq!(scene.asked(), [""; 0]);
    scene.leave("2");
    assert_eq!(scene.asked(), [""; 0]);
    scene.leave("3");
    assert_eq!(scene.asked(), ["setLevelInterval 0"]);
    scene.join("4", ALL);
    assert_eq!(scene.asked(), ["setLevelInterval 200"]);
}

#[test]
fn a_muted_publisher_is_not_the_speaker_and_has_no_level() {
    let mut scene = Scene::new(0);
    scene.join("1", ALL);
    scene.publish("1");
    let speaks = json!({ "element": "endpoint1" });
    scene.raise("ActiveSpeakerChanged", speaks.clone());
    assert_eq!(scene.told(), [(1, Some("user 1".to_owned()))]);
    scene.raise("ActiveSpeakerChanged", json!({}));
    assert_eq!(scene.told(), [(1, None)]);
    scene.command(Command::MutePublished {
        participant: ParticipantId::from("1"),
        stream: WEBCAM.into(),
        media: MutedMediaType::Audio,
    });
    scene.raise("ActiveSpeakerChanged", speaks);
    let levels = json!({ "levels": [{ "element": "endpoint1", "level": -20 }] });
    scene.raise("AudioLevels", levels);
    assert!(scene.events.is_empty(), "{:?}", scene.events);
}

#[test]
fn what_makes_no_sense_is_no_event() {
    let mut scene = Scene::new(0);
    scene.join("1", ALL);
    scene.publish("1");
    for (event, data) in [
        ("ActiveSpeakerChanged", json!({ "element": 7 })),
        (
            "ActiveSpeakerChanged",
            json!({ "element": "WebRtcEndpoint" }),
        ),
        ("AudioLevels", json!({})),
        ("AudioLevels", json!({ "levels": "loud" })),
        (
            "AudioLevels",
            json!({ "levels": [{ "element": "endpoint1", "level": 1000 }, 5, null] }),
        ),
        ("Other", json!({})),
    ] {
        scene.raise(event, data);
        assert!(scene.events.is_empty(), "{event}: {:?}", scene.events);
    }
}
