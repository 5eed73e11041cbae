//! Whatever participants ask and however the media server's answers come, fail or stay away: every
//! command ends once, whoever is in a room knows of everybody else, and nothing stays behind.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use salono_kurento_model::Value;
use salono_kurento_model::wire::Request;
use salono_room_core::{
    Command, Effect, IceCandidate, Listens, Loopback, MediaFailure, MutedMediaType, Outcome,
    ParticipantId, Room, RoomConfig, RoomEvent, SdpType, Ticket, Token, WEBCAM,
};

const PARTICIPANTS: usize = 4;

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Ask(usize, Ask),
    /// The media server carries out the n-th request that it has not carried out yet.
    Execute(prop::sample::Index),
    /// It refuses it.
    Refuse(prop::sample::Index),
    /// The n-th answer on its way arrives.
    Arrive(prop::sample::Index),
    /// Half a minute passes.
    Wait,
    /// Everything that is under way comes to its end.
    Settle,
    /// The media server is lost.
    Lose,
    /// There is another one.
    Replace,
}

#[derive(Debug, Clone)]
enum Ask {
    Join,
    Leave,
    Publish { loopback: bool, element: bool },
    Offer,
    Answer,
    Unpublish,
    Subscribe(usize),
    Unsubscribe(usize),
    Candidate(usize),
    Mute(bool),
    Unmute,
    MuteSubscribed(usize),
    AddElement,
    RemoveElement,
}

fn ask() -> impl Strategy<Value = Ask> {
    let peer = 0..PARTICIPANTS;
    prop_oneof![
        4 => Just(Ask::Join),
        1 => Just(Ask::Leave),
        4 => (any::<bool>(), any::<bool>())
            .prop_map(|(loopback, element)| Ask::Publish { loopback, element }),
        1 => Just(Ask::Offer),
        1 => Just(Ask::Answer),
        1 => Just(Ask::Unpublish),
        8 => peer.clone().prop_map(Ask::Subscribe),
        1 => peer.clone().prop_map(Ask::Unsubscribe),
        1 => peer.clone().prop_map(Ask::Candidate),
        1 => any::<bool>().prop_map(Ask::Mute),
        1 => Just(Ask::Unmute),
        1 => peer.prop_map(Ask::MuteSubscribed),
        1 => Just(Ask::AddElement),
        1 => Just(Ask::RemoveElement),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let any_index = any::<prop::sample::Index>;
    prop_oneof![
        10 => (0..PARTICIPANTS, ask()).prop_map(|(who, ask)| Step::Ask(who, ask)),
        16 => any_index().prop_map(Step::Execute),
        1 => any_index().prop_map(Step::Refuse),
        16 => any_index().prop_map(Step::Arrive),
        1 => Just(Step::Wait),
        4 => Just(Step::Settle),
        1 => Just(Step::Lose),
        2 => Just(Step::Replace),
    ]
}

type Answer = (Token, Result<Value, MediaFailure>);

struct World {
    room: Room,
    now: Instant,
    next_ticket: u64,
    next_object: u64,
    /// Commands without an end, and whose join it is.
    open: BTreeMap<Ticket, Option<usize>>,
    to_execute: Vec<(Token, Request)>,
    answers: Vec<Answer>,
    /// Objects that the room had made.
    live: BTreeSet<String>,
    /// Of each object that was made in a pipeline, which one.
    pipelines: BTreeMap<String, String>,
    /// Objects that were made for it: the room's from the moment that it accepts them.
    elements: BTreeSet<String>,
    element_of: BTreeMap<Ticket, String>,
    /// The last element of each participant.
    last_element: BTreeMap<usize, String>,
    released: BTreeSet<String>,
    /// Elements that ended with their media server.
    lost: BTreeSet<String>,
    /// Whom each member knows, by what it was told.
    known: BTreeMap<usize, BTreeSet<String>>,
}

fn pid(n: usize) -> ParticipantId {
    format!("pid{n}").into()
}

fn user(n: usize) -> String {
    format!("user{n}")
}

fn index_of(id: &ParticipantId) -> usize {
    id.as_str().trim_start_matches("pid").parse().unwrap()
}

impl World {
    fn new() -> Self {
        Self {
            room: Room::new("room", RoomConfig::default(), false),
            now: start(),
            next_ticket: 0,
            next_object: 0,
            open: BTreeMap::new(),
            to_execute: Vec::new(),
            answers: Vec::new(),
            live: BTreeSet::new(),
            pipelines: BTreeMap::new(),
            elements: BTreeSet::new(),
            element_of: BTreeMap::new(),
            last_element: BTreeMap::new(),
            released: BTreeSet::new(),
            lost: BTreeSet::new(),
            known: BTreeMap::new(),
        }
    }

    fn object(&mut self, class: &str) -> String {
        self.next_object += 1;
        format!("{}.{class}", self.next_object)
    }

    fn ask(&mut self, who: usize, ask: Ask) {
        let participant = pid(who);
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let joins = matches!(ask, Ask::Join).then_some(who);
        let new_element = |world: &mut Self| {
            let element = world.object("Filter");
            world.element_of.insert(ticket, element.clone());
            world.elements.insert(element.clone());
            world.last_element.insert(who, element.clone());
            element
        };
        let command = match ask {
            Ask::Join => Command::Join {
                participant,
                user: user(who),
                data_channels: false,
                web: true,
                listens: Listens::default(),
            },
            Ask::Leave => Command::Leave { participant },
            Ask::Publish { loopback, element } => Command::Publish {
                participant,
                sdp_type: SdpType::Offer,
                sdp: "offer".into(),
                loopback: if loopback {
                    Loopback::Own { media: None }
                } else {
                    Loopback::Off
                },
                elements: if element {
                    vec![new_element(self)]
                } else {
                    vec![]
                },
                stream: WEBCAM.into(),
            },
            Ask::Offer => Command::GeneratePublishOffer {
                participant,
                stream: WEBCAM.into(),
            },
            Ask::Answer => Command::Publish {
                participant,
                sdp_type: SdpType::Answer,
                sdp: "answer".into(),
                loopback: Loopback::Off,
                elements: vec![],
                stream: WEBCAM.into(),
            },
            Ask::Unpublish => Command::Unpublish {
                participant,
                stream: WEBCAM.into(),
            },
            Ask::Subscribe(peer) => Command::Subscribe {
                participant,
                remote: user(peer).into(),
                offer: "offer".into(),
            },
            Ask::Unsubscribe(peer) => Command::Unsubscribe {
                participant,
                remote: user(peer).into(),
            },
            Ask::Candidate(peer) => Command::AddIceCandidate {
                participant,
                endpoint: user(peer).into(),
                candidate: IceCandidate {
                    candidate: "candidate".into(),
                    sdp_mid: "0".into(),
                    sdp_m_line_index: 0,
                },
            },
            Ask::Mute(audio) => Command::MutePublished {
                participant,
                stream: WEBCAM.into(),
                media: if audio {
                    MutedMediaType::Audio
                } else {
                    MutedMediaType::All
                },
            },
            Ask::Unmute => Command::UnmutePublished {
                participant,
                stream: WEBCAM.into(),
                media: MutedMediaType::Audio,
            },
            Ask::MuteSubscribed(peer) => Command::MuteSubscribed {
                participant,
                remote: user(peer).into(),
                media: MutedMediaType::Video,
            },
            Ask::AddElement => Command::AddMediaElement {
                participant,
                element: new_element(self),
                media: None,
            },
            Ask::RemoveElement => Command::RemoveMediaElement {
                participant,
                element: self.last_element.get(&who).cloned().unwrap_or_default(),
            },
        };
        self.open.insert(ticket, joins);
        self.room.handle_command(ticket, command, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Request { token, request } => self.to_execute.push((token, request)),
                Effect::Done { ticket, result } => {
                    let joined = self.open.remove(&ticket).expect("a command ends once");
                    // Elements of a command that failed before it took them stay their creator's.
                    match result {
                        Ok(Outcome::Joined { existing }) => {
                            let who = joined.expect("only joins end as joins");
                            let mut knows = BTreeSet::new();
                            for peer in existing {
                                knows.insert(peer.user_name);
                                let peer = index_of(&peer.participant_id);
                                self.known.entry(peer).or_default().insert(user(who));
                            }
                            self.known.insert(who, knows);
                        }
                        Ok(Outcome::Left {
                            user: name,
                            remaining,
                        }) => {
                            for peer in &remaining {
                                let peer = index_of(&peer.participant_id);
                                self.known.entry(peer).or_default().remove(&name);
                            }
                            let gone: usize = name.trim_start_matches("user").parse().unwrap();
                            self.known.remove(&gone);
                        }
                        Ok(_) | Err(_) => {}
                    }
                }
                Effect::Event(RoomEvent::Closed { .. }) => self.known.clear(),
                Effect::Event(_) => {}
            }
        }
        for participant in self.room.participants() {
            let who = index_of(&participant.participant_id);
            let others: BTreeSet<String> = self
                .room
                .participants()
                .into_iter()
                .map(|other| other.user_name)
                .filter(|name| *name != user(who))
                .collect();
            assert_eq!(self.known[&who], others, "user{who} knows whoever is there");
            let peers = self.room.peer_publishers(&participant.participant_id);
            assert!(
                peers.unwrap().iter().all(|peer| peer.streaming),
                "a subscription lives as long as what it is a subscription to"
            );
        }
    }

    fn execute(&mut self, index: usize, refuse: bool) {
        let (token, request) = self.to_execute.remove(index);
        let failure = || MediaFailure {
            code: 40101,
            message: "not found".into(),
        };
        let alive = |world: &Self, object: &String| {
            world.live.contains(object)
                || (world.elements.contains(object) && !world.released.contains(object))
        };
        let answer = match request {
            // A release is never refused.
            Request::Release { object } => {
                let pipeline = object.ends_with("MediaPipeline");
                assert!(
                    pipeline
                        || alive(self, &object)
                        || self.lost.contains(&object)
                        || self.live.is_empty(),
                    "'{object}' is released once"
                );
                if pipeline {
                    assert!(self.live.contains(&object), "one release of the pipeline");
                    self.live.remove(&object);
                    let pipelines = &self.pipelines;
                    self.live.retain(|id| pipelines.get(id) != Some(&object));
                } else {
                    self.live.remove(&object);
                    self.released.insert(object);
                }
                Ok(Value::Null)
            }
            _ if refuse => Err(failure()),
            Request::Create { class, params } => {
                let parent = params
                    .as_ref()
                    .and_then(|params| params.get("mediaPipeline"));
                let parent = parent.and_then(Value::as_str).map(str::to_owned);
                if parent
                    .as_ref()
                    .is_some_and(|parent| !self.live.contains(parent))
                {
                    Err(failure())
                } else {
                    let id = self.object(&class);
                    if let Some(parent) = parent {
                        self.pipelines.insert(id.clone(), parent);
                    }
                    self.live.insert(id.clone());
                    Ok(id.into())
                }
            }
            Request::Invoke { object, .. } if !alive(self, &object) => Err(failure()),
            Request::Invoke { operation, .. } => Ok(match operation.as_str() {
                "processOffer" | "processAnswer" | "generateOffer" => "sdp".into(),
                _ => Value::Null,
            }),
            Request::Subscribe { .. } => Ok("subscription".into()),
            other @ (Request::Connect
            | Request::Ping { .. }
            | Request::Describe { .. }
            | Request::Unsubscribe { .. }
            | Request::Ref { .. }
            | Request::Unref { .. }
            | Request::KeepAlive
            | Request::CloseSession { .. }
            | Request::Transaction { .. }) => panic!("rooms do not need {other:?}"),
        };
        self.answers.push((token, answer));
    }

    fn arrive(&mut self, index: usize) {
        let (token, answer) = self.answers.remove(index);
        self.room.handle_reply(token, answer, self.now);
        self.drain();
    }

    fn wait(&mut self) {
        self.now += Duration::from_secs(31);
        self.room.handle_timeout(self.now);
        self.drain();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Ask(who, ask) => self.ask(who, ask),
            Step::Execute(index) if !self.to_execute.is_empty() => {
                self.execute(index.index(self.to_execute.len()), false);
            }
            Step::Refuse(index) if !self.to_execute.is_empty() => {
                self.execute(index.index(self.to_execute.len()), true);
            }
            Step::Arrive(index) if !self.answers.is_empty() => {
                self.arrive(index.index(self.answers.len()));
            }
            Step::Execute(_) | Step::Refuse(_) | Step::Arrive(_) => {}
            Step::Wait => self.wait(),
            Step::Settle => self.settle(),
            Step::Lose => self.lose(),
            Step::Replace => self.replace(),
        }
    }

    /// Everything on the media server is gone, and nothing that was asked of it is answered.
    fn lose(&mut self) {
        self.to_execute.clear();
        self.answers.clear();
        self.live.clear();
        self.lost.append(&mut self.elements.clone());
        self.released.append(&mut self.elements.clone());
        self.room.suspend_media();
        assert!(self.room.publishers().is_empty());
        assert!(self.room.subscribers().is_empty());
        self.drain();
    }

    fn replace(&mut self) {
        self.room.resume_media(self.now);
        self.drain();
    }

    fn settle(&mut self) {
        while self.room.is_suspended() || !self.to_execute.is_empty() || !self.answers.is_empty() {
            self.replace();
            while !self.to_execute.is_empty() {
                self.execute(0, false);
            }
            while !self.answers.is_empty() {
                self.arrive(0);
            }
        }
    }

    /// Everything that lives is something that somebody in the room uses.
    fn check_quiet(&self) {
        let publishers = self.room.publishers().len();
        let count = |class: &str| {
            let suffix = format!(".{class}");
            self.live.iter().filter(|id| id.ends_with(&suffix)).count()
        };
        // An offer that waits for its answer has both objects as well.
        let offered = count("PassThrough") - publishers;
        let subscriptions: usize = self
            .room
            .participants()
            .iter()
            .map(|member| {
                let peers = self.room.peer_publishers(&member.participant_id);
                peers.unwrap().len()
            })
            .sum();
        assert!(offered <= self.room.participants().len());
        assert_eq!(
            count("WebRtcEndpoint"),
            publishers + offered + subscriptions,
            "endpoints alive are endpoints in use"
        );
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "any point in time will do as the first"
)]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_left_behind_whatever_happens(steps in prop::collection::vec(step(), 1..200)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.settle();
        world.check_quiet();
        prop_assert!(world.open.is_empty(), "every command ends: {:?}", world.open);
        for who in 0..PARTICIPANTS {
            world.ask(who, Ask::Leave);
        }
        world.settle();
        prop_assert!(world.live.is_empty(), "left behind: {:?}", world.live);
        prop_assert!(world.open.is_empty());
        prop_assert!(!world.room.awaits_replies());
        prop_assert!(world.room.poll_timeout().is_none());
    }
}
