//! A media server that does nothing but keep books, over the queues of a real client.
//!
//! It knows which objects live, refuses what a real server would refuse, notes every request, and can
//! be told to refuse, to keep answers back, and to raise events.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use salono_kurento_client::Client;
use salono_kurento_model::wire::{ClientMessage, Notification, Request, ServerMessage};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use tokio::sync::{Notify, mpsc};

/// What the fake does with requests that a rule matches.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Refuses them.
    Refuse,
    /// Carries them out and keeps the answer back until [`FakeKurento::answer_held`].
    Hold,
}

struct Rule {
    matches: Box<dyn Fn(&Request) -> bool + Send>,
    action: Action,
}

#[derive(Default)]
struct State {
    /// Class of each object alive, by id.
    objects: BTreeMap<String, String>,
    subscriptions: BTreeSet<(String, String)>,
    requests: Vec<Request>,
    /// Releases of objects that were not alive.
    stray_releases: Vec<String>,
    next_id: u64,
    rules: Vec<Rule>,
    held: Vec<ServerMessage>,
}

/// The fake and its books.
#[derive(Clone)]
pub struct FakeKurento {
    state: Arc<Mutex<State>>,
    out: mpsc::Sender<ServerMessage>,
    stop: Arc<Notify>,
    changed: Arc<Notify>,
}

impl FakeKurento {
    /// A fake and a client of it. Both run on the test's runtime.
    pub fn start() -> (Self, Client) {
        let (to_server, mut requests) = mpsc::channel::<ClientMessage>(64);
        let (out, from_server) = mpsc::channel(64);
        let fake = Self {
            state: Arc::default(),
            out: out.clone(),
            stop: Arc::new(Notify::new()),
            changed: Arc::new(Notify::new()),
        };
        let (client, driver) = Client::from_channel(to_server, from_server);
        let driver = tokio::spawn(driver.run());
        let server = fake.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = requests.recv() => {
                        let Some(message) = message else { break };
                        if let Some(answer) = server.handle(message) {
                            let _ = out.send(answer).await;
                        }
                        server.changed.notify_waiters();
                    }
                    () = server.stop.notified() => {
                        // The connection breaks: nothing is read or written any more.
                        driver.abort();
                        break;
                    }
                }
            }
        });
        (fake, client)
    }

    /// Breaks the connection.
    pub fn disconnect(&self) {
        self.stop.notify_one();
    }

    pub fn rule(&self, action: Action, matches: impl Fn(&Request) -> bool + Send + 'static) {
        let matches = Box::new(matches);
        self.state().rules.push(Rule { matches, action });
    }

    pub fn clear_rules(&self) {
        self.state().rules.clear();
    }

    /// Sends the answers that were kept back, in order.
    pub async fn answer_held(&self) {
        let held = std::mem::take(&mut self.state().held);
        for answer in held {
            self.out.send(answer).await.unwrap();
        }
    }

    /// Raises an event, if the client subscribed to it.
    pub async fn raise(&self, object: &str, event: &str, data: Map<String, Value>) {
        let key = (object.to_owned(), event.to_owned());
        if self.state().subscriptions.contains(&key) {
            let (object, event) = key;
            let notification = Notification {
                object,
                event,
                data,
            };
            let message = ServerMessage::Event(notification);
            self.out.send(message).await.unwrap();
        }
    }

    /// Waits until the books show something. Every request wakes it up.
    pub async fn until(&self, condition: impl Fn(&Self) -> bool) {
        loop {
            let changed = self.changed.notified();
            if condition(self) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until everything is released.
    pub async fn until_empty(&self) {
        self.until(|fake| fake.state().objects.is_empty()).await;
    }

    /// Ids of the objects of a class that are alive, oldest first.
    pub fn objects(&self, class: &str) -> Vec<String> {
        let state = self.state();
        let mut ids: Vec<String> = state
            .objects
            .iter()
            .filter(|(_, c)| *c == class)
            .map(|(id, _)| id.clone())
            .collect();
        ids.sort_by_key(|id| number(id));
        ids
    }

    pub fn live(&self) -> usize {
        self.state().objects.len()
    }

    pub fn stray_releases(&self) -> Vec<String> {
        self.state().stray_releases.clone()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.state().requests.clear();
    }

    pub fn held(&self) -> usize {
        self.state().held.len()
    }

    pub fn created(&self, class: &str) -> usize {
        self.count(|request| matches!(request, Request::Create { class: c, .. } if c == class))
    }

    pub fn count(&self, matches: impl Fn(&Request) -> bool) -> usize {
        self.state()
            .requests
            .iter()
            .filter(|request| matches(request))
            .count()
    }

    /// Calls of `connect` or `disconnect` from objects of one class to objects of another, with their
    /// media type.
    pub fn links(&self, operation: &str, source: &str, sink: &str) -> Vec<Option<String>> {
        let state = self.state();
        state
            .requests
            .iter()
            .filter_map(|request| {
                let Request::Invoke {
                    object,
                    operation: op,
                    params: Some(params),
                } = request
                else {
                    return None;
                };
                let to = params.get("sink")?.as_str()?;
                let fits = op == operation && class_of(object) == source && class_of(to) == sink;
                fits.then(|| {
                    let media = params.get("mediaType").and_then(Value::as_str);
                    media.map(str::to_owned)
                })
            })
            .collect()
    }

    pub fn subscriptions(&self, class: &str, event: &str) -> usize {
        let state = self.state();
        let of_class = |(object, e): &&(String, String)| class_of(object) == class && e == event;
        state.subscriptions.iter().filter(of_class).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn handle(&self, message: ClientMessage) -> Option<ServerMessage> {
        let mut state = self.state();
        state.requests.push(message.request.clone());
        let action = state
            .rules
            .iter()
            .find(|rule| (rule.matches)(&message.request))
            .map(|rule| rule.action);
        let result = match action {
            Some(Action::Refuse) => Err(Error::new(
                ErrorCode::UnexpectedError,
                "refused by the test",
            )),
            Some(Action::Hold) | None => state.execute(message.request),
        };
        let result = result.map(|value| {
            let mut result = Map::new();
            result.insert("value".into(), value);
            result.insert("sessionId".into(), "fake-session".into());
            Value::Object(result)
        });
        let answer = ServerMessage::Response {
            id: message.id,
            result,
        };
        if action == Some(Action::Hold) {
            state.held.push(answer);
            None
        } else {
            Some(answer)
        }
    }
}

impl State {
    fn execute(&mut self, request: Request) -> Result<Value, Error> {
        match request {
            Request::Create { class, params } => {
                let parent = params
                    .as_ref()
                    .and_then(|params| params.get("mediaPipeline"))
                    .and_then(Value::as_str);
                let number = self.next_id;
                self.next_id += 1;
                let id = match parent {
                    Some(parent) => {
                        self.alive(parent)?;
                        format!("{parent}/{number}_kurento.{class}")
                    }
                    None => format!("{number}_kurento.{class}"),
                };
                self.objects.insert(id.clone(), class);
                Ok(id.into())
            }
            Request::Invoke {
                object,
                operation,
                params,
            } if operation == "getPipelines" => {
                assert_eq!(object, "manager_ServerManager");
                assert_eq!(params, None);
                let pipelines = self.objects.iter().filter(|(_, c)| *c == "MediaPipeline");
                Ok(pipelines.map(|(id, _)| Value::from(id.as_str())).collect())
            }
            Request::Invoke {
                object,
                operation,
                params,
            } => {
                self.alive(&object)?;
                let param = |name: &str| {
                    let value = params.as_ref().and_then(|params| params.get(name));
                    value.and_then(Value::as_str).unwrap_or_default().to_owned()
                };
                match operation.as_str() {
                    "processOffer" if param("offer") == "garbage" => {
                        Err(Error::new(ErrorCode::SdpParseError, "Error parsing SDP"))
                    }
                    "processOffer" => Ok(format!("answer to {}", param("offer")).into()),
                    "processAnswer" => Ok(format!("offer after {}", param("answer")).into()),
                    "generateOffer" => Ok("generated offer".into()),
                    "connect" | "disconnect" => {
                        self.alive(&param("sink"))?;
                        Ok(Value::Null)
                    }
                    _ => Ok(Value::Null),
                }
            }
            Request::Subscribe { object, event } => {
                self.alive(&object)?;
                let id = format!("{object}#{event}");
                self.subscriptions.insert((object, event));
                Ok(id.into())
            }
            Request::Release { object } => {
                if !self.objects.contains_key(&object) {
                    self.stray_releases.push(object.clone());
                }
                let below = format!("{object}/");
                let dies = |id: &String| *id == object || id.starts_with(&below);
                self.objects.retain(|id, _| !dies(id));
                self.subscriptions.retain(|(id, _)| !dies(id));
                Ok(Value::Null)
            }
            Request::Connect
            | Request::Ping { .. }
            | Request::Describe { .. }
            | Request::Unsubscribe { .. }
            | Request::Ref { .. }
            | Request::Unref { .. }
            | Request::KeepAlive
            | Request::CloseSession { .. }
            | Request::Transaction { .. } => Ok(Value::Null),
        }
    }

    fn alive(&self, object: &str) -> Result<(), Error> {
        if self.objects.contains_key(object) {
            Ok(())
        } else {
            Err(Error::new(
                ErrorCode::MediaObjectNotFound,
                format!("Object '{object}' not found"),
            ))
        }
    }
}

/// Whether a request calls an operation.
pub fn invokes(request: &Request, name: &str) -> bool {
    matches!(request, Request::Invoke { operation, .. } if operation == name)
}

/// Whether a request creates an object of a class.
pub fn creates(request: &Request, name: &str) -> bool {
    matches!(request, Request::Create { class, .. } if class == name)
}

fn class_of(object: &str) -> &str {
    object.rsplit('.').next().unwrap()
}

fn number(object: &str) -> u64 {
    let own = object.rsplit('/').next().unwrap();
    own.split('_').next().unwrap().parse().unwrap()
}
