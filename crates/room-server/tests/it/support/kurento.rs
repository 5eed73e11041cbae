//! A Kurento media server that does what a test says. It speaks wire messages, so everything
//! between them and the room server's sockets is the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use salono_kurento_client::Client;
use salono_kurento_model::wire::{ClientMessage, Notification, Request, RequestId, ServerMessage};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_room_sdk::{KurentoClientProvider, KurentoClientSessionInfo, RoomError};
use serde_json::json;
use tokio::sync::{mpsc, watch};

/// The test's end of it.
#[derive(Clone)]
pub(crate) struct FakeKurento {
    script: mpsc::Sender<Script>,
    objects: watch::Receiver<usize>,
    waiting: watch::Receiver<usize>,
    /// How viewers want video, as they said.
    wishes: watch::Receiver<Vec<String>>,
    /// How many of them the test has seen.
    wishes_seen: usize,
    /// Takes over when this one vanishes.
    spare: Option<Box<FakeKurento>>,
    /// Where rooms look for that one.
    spares: Spares,
}

/// Media servers for rooms that have lost theirs.
#[derive(Clone, Default)]
pub(crate) struct Spares(Arc<Mutex<Option<Client>>>);

/// Gives rooms the first media server, and those that lose it the spare one.
pub(crate) struct Fakes {
    pub(crate) first: Client,
    pub(crate) spares: Spares,
}

impl KurentoClientProvider for Fakes {
    fn kurento_client<'a>(
        &'a self,
        _: &'a KurentoClientSessionInfo,
    ) -> BoxFuture<'a, Result<Client, RoomError>> {
        Box::pin(async { Ok(self.first.clone()) })
    }

    fn replacement<'a>(
        &'a self,
        _: &'a KurentoClientSessionInfo,
        _: &'a Client,
    ) -> BoxFuture<'a, Result<Option<Client>, RoomError>> {
        Box::pin(async { Ok(self.spares.0.lock().unwrap().take()) })
    }
}

#[derive(Debug)]
enum Script {
    Hold(String),
    Release(String),
    Fail(String),
    Candidates,
    Speakers,
    Raise(String, String, Value),
    Vanish,
}

impl FakeKurento {
    /// Where rooms look for a media server when this one vanished.
    pub(crate) fn spares(&self) -> Spares {
        self.spares.clone()
    }

    /// A server and a client that is connected to it.
    pub(crate) fn start() -> (Self, Client) {
        let (to_server, requests) = mpsc::channel(1024);
        let (replies, from_server) = mpsc::channel(1024);
        let (script, orders) = mpsc::channel(64);
        let (object_count, objects) = watch::channel(0);
        let (waiting_count, waiting) = watch::channel(0);
        let (wishes_made, wishes) = watch::channel(Vec::new());
        let (client, driver) = Client::from_channel(to_server, from_server);
        tokio::spawn(driver.run());
        let state = State {
            replies,
            object_count,
            waiting_count,
            objects: BTreeMap::new(),
            created: BTreeMap::new(),
            held: BTreeSet::new(),
            failing: BTreeSet::new(),
            waiting: Vec::new(),
            candidates: false,
            speakers: false,
            wishes: wishes_made,
        };
        tokio::spawn(state.run(requests, orders));
        let fake = Self {
            script,
            objects,
            waiting,
            wishes,
            wishes_seen: 0,
            spare: None,
            spares: Spares::default(),
        };
        (fake, client)
    }

    /// `hold OP`, `release OP`, `fail OP` (each operation or class), `candidates`, `speakers`, `vanish`, `spare` (takes over from one that vanishes),
    /// `waiting N`, `objects N`, `wish OBJECT PROPERTY VALUE` (the next one is this), `raise CLASS#N EVENT {data}`.
    pub(crate) async fn order(&mut self, line: &str) {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let order = match verb {
            "hold" => Script::Hold(rest.to_owned()),
            "release" => Script::Release(rest.to_owned()),
            "fail" => Script::Fail(rest.to_owned()),
            "candidates" => Script::Candidates,
            "speakers" => Script::Speakers,
            "vanish" => {
                let _ = self.script.send(Script::Vanish).await;
                if let Some(spare) = self.spare.take() {
                    *self = *spare;
                }
                return;
            }
            "spare" => {
                let (spare, client) = Self::start();
                *self.spares.0.lock().unwrap() = Some(client);
                self.spare = Some(Box::new(spare));
                return;
            }
            "raise" => {
                let mut parts = rest.splitn(3, ' ');
                let mut next = || parts.next().unwrap().to_owned();
                let (object, event) = (next(), next());
                Script::Raise(object, event, serde_json::from_str(&next()).unwrap())
            }
            "objects" => {
                let wanted: usize = rest.parse().unwrap();
                self.objects.wait_for(|n| *n == wanted).await.unwrap();
                return;
            }
            "wish" => {
                let seen = self.wishes_seen;
                let made = self.wishes.wait_for(|made| made.len() > seen).await;
                assert_eq!(made.unwrap()[seen], rest);
                self.wishes_seen += 1;
                return;
            }
            "waiting" => {
                let wanted: usize = rest.parse().unwrap();
                self.waiting.wait_for(|n| *n == wanted).await.unwrap();
                return;
            }
            other => panic!("no such order: {other}"),
        };
        self.script.send(order).await.unwrap();
    }
}

struct State {
    replies: mpsc::Sender<ServerMessage>,
    object_count: watch::Sender<usize>,
    waiting_count: watch::Sender<usize>,
    /// Object id to its parent.
    objects: BTreeMap<String, Option<String>>,
    /// How many objects of a class there have been.
    created: BTreeMap<String, usize>,
    held: BTreeSet<String>,
    failing: BTreeSet<String>,
    waiting: Vec<ClientMessage>,
    candidates: bool,
    /// It has the module `salono`, and says so.
    speakers: bool,
    wishes: watch::Sender<Vec<String>>,
}

impl State {
    async fn run(
        mut self,
        mut requests: mpsc::Receiver<ClientMessage>,
        mut orders: mpsc::Receiver<Script>,
    ) {
        loop {
            tokio::select! {
                biased;
                Some(order) = orders.recv() => match order {
                    Script::Hold(what) => drop(self.held.insert(what)),
                    Script::Fail(what) => drop(self.failing.insert(what)),
                    Script::Candidates => self.candidates = true,
                    Script::Speakers => self.speakers = true,
                    Script::Vanish => return,
                    Script::Raise(object, event, data) => self.raise(&object, &event, data).await,
                    Script::Release(what) => {
                        self.held.remove(&what);
                        for request in std::mem::take(&mut self.waiting) {
                            self.receive(request).await;
                        }
                    }
                },
                request = requests.recv() => match request {
                    Some(request) => self.receive(request).await,
                    None => return,
                },
            }
            self.object_count.send_replace(self.objects.len());
            self.waiting_count.send_replace(self.waiting.len());
        }
    }

    async fn receive(&mut self, message: ClientMessage) {
        let what = match &message.request {
            Request::Create { class, .. } => class.clone(),
            Request::Invoke { operation, .. } => operation.clone(),
            _ => String::new(),
        };
        if self.held.contains(&what) {
            self.waiting.push(message);
        } else if self.failing.remove(&what) {
            let error = Error::new(ErrorCode::SdpCreateError, "scripted failure");
            self.reply(message.id, Err(error)).await;
        } else {
            let value = self.carry_out(message.request).await;
            let result = json!({ "value": value, "sessionId": "media-session" });
            self.reply(message.id, Ok(result)).await;
        }
    }

    async fn carry_out(&mut self, request: Request) -> Value {
        match request {
            Request::Create { class, params } => {
                let number = self.created.entry(class.clone()).or_default();
                *number += 1;
                let id = format!("{class}#{number}");
                let parent = params
                    .as_ref()
                    .and_then(|params| params.get("mediaPipeline").or(params.get("endpoint")))
                    .and_then(Value::as_str)
                    .map(str::to_owned);
                self.objects.insert(id.clone(), parent);
                id.into()
            }
            Request::Invoke {
                object,
                operation,
                params,
            } => match operation.as_str() {
                "processOffer" => {
                    format!("answer to {}", params.unwrap()["offer"].as_str().unwrap()).into()
                }
                "gatherCandidates" if self.candidates => {
                    let candidate = json!({
                        "candidate": { "candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0 }
                    });
                    self.raise(&object, "IceCandidateFound", candidate).await;
                    Value::Null
                }
                "getInfo" => {
                    let classes = ["SpeakerDetector", "VideoAdaptation"];
                    let salono = json!({ "name": "salono", "factories": classes });
                    let core = json!({ "name": "core", "factories": ["MediaPipeline"] });
                    let modules = if self.speakers {
                        vec![core, salono]
                    } else {
                        vec![core]
                    };
                    json!({ "modules": modules })
                }
                "setPreferredHeight" | "setPriority" => {
                    for (name, value) in params.as_ref().and_then(Value::as_object).unwrap() {
                        let wish = format!("{object} {name} {value}");
                        self.wishes.send_modify(|wishes| wishes.push(wish));
                    }
                    Value::Null
                }
                _ => Value::Null,
            },
            Request::Subscribe { object, event } => format!("{object}:{event}").into(),
            Request::Release { object } => {
                self.objects.remove(&object);
                self.objects
                    .retain(|_, parent| parent.as_deref() != Some(object.as_str()));
                Value::Null
            }
            Request::Ping { .. } => "pong".into(),
            _ => Value::Null,
        }
    }

    async fn raise(&self, object: &str, event: &str, data: Value) {
        let mut members: Map<String, Value> = data.as_object().cloned().unwrap();
        members.insert("source".into(), object.into());
        members.insert("tags".into(), json!([]));
        members.insert("timestampMillis".into(), "0".into());
        members.entry("type").or_insert_with(|| event.into());
        let notification = Notification {
            object: object.to_owned(),
            event: event.to_owned(),
            data: members,
        };
        let _ = self.replies.send(ServerMessage::Event(notification)).await;
    }

    async fn reply(&self, id: RequestId, result: Result<Value, Error>) {
        let _ = self
            .replies
            .send(ServerMessage::Response { id, result })
            .await;
    }
}
