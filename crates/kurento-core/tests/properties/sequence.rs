//! One random sequence of operations, carried out in the model and in its reference.

use crate::{
    reference::{MANAGER, Reference},
    world::{Answer, World},
};
use salono_kurento_model::{ErrorCode, Value, json, wire::Request};
use std::{collections::BTreeSet, time::Duration};

/// Period of the session collection.
const PERIOD: Duration = Duration::from_secs(240);

/// Steps of a sequence.
const STEPS: usize = 30;

/// Connections at the same time.
const CONNECTIONS: usize = 3;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % u64::try_from(end).unwrap()).unwrap()
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        (!items.is_empty()).then(|| items[self.below(items.len())].clone())
    }
}

/// Carries a sequence out.
pub(crate) fn run(seed: u64) {
    let mut sequence = Sequence {
        random: Random(seed),
        world: World::new(PERIOD, seed),
        reference: Reference::new(PERIOD),
        connections: Vec::new(),
        opened: 0,
        sessions: vec!["invented".to_owned()],
        pipelines: Vec::new(),
        elements: Vec::new(),
        subscriptions: Vec::new(),
        ghosts: 0,
    };
    for _ in 0..STEPS {
        sequence.step();
        sequence.check();
    }
    while let Some(connection) = sequence.connections.pop() {
        sequence.world.close(connection);
        sequence.reference.disconnect(connection);
    }
    sequence.pass(PERIOD * 2);
    sequence.check();
    let world = &sequence.world;
    assert_eq!(
        (world.objects(), world.sessions(), world.engine()),
        (0, 0, 0)
    );
}

struct Sequence {
    random: Random,
    world: World,
    reference: Reference,
    connections: Vec<u64>,
    opened: u64,
    /// Every session that was ever answered, living or not.
    sessions: Vec<String>,
    /// Every object that was ever made, living or not.
    pipelines: Vec<String>,
    elements: Vec<String>,
    /// Object and subscription.
    subscriptions: Vec<(String, String)>,
    /// Sessions that exist although no answer named them: their request failed half-way.
    ghosts: u64,
}

impl Sequence {
    fn step(&mut self) {
        if self.connections.is_empty() {
            return self.open();
        }
        match self.random.below(40) {
            0 | 1 if self.connections.len() < CONNECTIONS => self.open(),
            2 => {
                let at = self.random.below(self.connections.len());
                let connection = self.connections.remove(at);
                self.world.close(connection);
                self.reference.disconnect(connection);
            }
            3..=5 => {
                let seconds = [1, 30, 61, 240, 500];
                let seconds = self.random.pick(&seconds).unwrap();
                self.pass(Duration::from_secs(seconds));
            }
            _ => self.request(),
        }
    }

    fn open(&mut self) {
        self.opened += 1;
        self.connections.push(self.opened);
        self.world.open(self.opened);
    }

    fn pass(&mut self, time: Duration) {
        self.world.pass(time);
        self.reference.pass(self.world.passed);
    }

    /// What both must agree on after every step.
    fn check(&mut self) {
        self.world.heard.sort();
        self.reference.heard.sort();
        assert_eq!(self.world.heard, self.reference.heard, "events");
        self.world.heard.clear();
        self.reference.heard.clear();
        assert_eq!(self.world.objects(), self.reference.objects(), "objects");
        assert_eq!(self.world.sessions(), self.reference.sessions(), "sessions");
        assert_eq!(
            self.world.engine(),
            self.reference.objects(),
            "the engine's objects"
        );
    }

    fn request(&mut self) {
        let connection = self.random.pick(&self.connections).unwrap();
        let given = match self.random.below(3) {
            0 => self.random.pick(&self.sessions),
            _ => None,
        };
        let known = given
            .clone()
            .or_else(|| self.reference.remembered(connection));
        let from = From {
            connection,
            given,
            known,
        };
        match self.random.below(16) {
            0 => self.create_pipeline(&from),
            1..=3 => self.create_element(&from),
            4 => self.describe(&from),
            5 => self.children(&from),
            6 | 7 => self.link(&from, true),
            8 => self.link(&from, false),
            9 | 10 => self.subscribe(&from),
            11 => self.unsubscribe(&from),
            12 => self.release(&from),
            13 => self.refer_or_not(&from),
            14 => self.session_request(&from),
            _ => self.transaction(&from),
        }
    }

    fn ask(&mut self, from: &From, request: Request) -> Answer {
        self.world
            .ask(from.connection, from.given.as_deref(), request)
    }

    /// The session of a successful answer: the one that was known, or a new one. Binds it.
    fn session(&mut self, from: &From, answer: &Value) -> String {
        let session = answer["sessionId"].as_str().unwrap().to_owned();
        match &from.known {
            Some(known) => assert_eq!(session, *known),
            None => {
                assert!(!self.sessions.contains(&session), "a new one");
                self.sessions.push(session.clone());
            }
        }
        session
    }

    /// The session of a request that fails after it has used an object.
    fn failed_session(&mut self, from: &From) -> String {
        from.known.clone().unwrap_or_else(|| {
            self.ghosts += 1;
            format!("ghost {}", self.ghosts)
        })
    }

    fn any_object(&mut self) -> String {
        let mut all = self.elements.clone();
        all.extend(self.pipelines.clone());
        all.push(MANAGER.to_owned());
        self.random.pick(&all).unwrap()
    }

    fn create_pipeline(&mut self, from: &From) {
        let request = create("MediaPipeline", json!({}));
        let answer = self.ask(from, request).unwrap();
        let session = self.session(from, &answer);
        let object = answer["value"].as_str().unwrap().to_owned();
        self.reference.create(&session, &object, None);
        self.reference.associate(from.connection, &session);
        self.pipelines.push(object);
    }

    fn create_element(&mut self, from: &From) {
        let Some(pipeline) = self.random.pick(&self.pipelines) else {
            return;
        };
        let request = create("PassThrough", json!({"mediaPipeline": pipeline}));
        let answer = self.ask(from, request);
        if !self.reference.is_alive(&pipeline) {
            return not_found(&answer);
        }
        let answer = answer.unwrap();
        let session = self.session(from, &answer);
        let object = answer["value"].as_str().unwrap().to_owned();
        // The session hears of it on the connection that asked.
        self.reference.associate(from.connection, &session);
        self.reference.create(&session, &object, Some(&pipeline));
        self.elements.push(object);
    }

    fn describe(&mut self, from: &From) {
        let object = self.any_object();
        let request = Request::Describe {
            object: object.clone(),
        };
        let answer = self.ask(from, request);
        self.touch(from, &object, answer);
    }

    fn children(&mut self, from: &From) {
        let object = self.any_object();
        let answer = self.ask(from, invoke(&object, "getChildren", json!({})));
        if let Some(answer) = self.touch(from, &object, answer) {
            let children: BTreeSet<String> = answer["value"]
                .as_array()
                .unwrap()
                .iter()
                .map(|child| child.as_str().unwrap().to_owned())
                .collect();
            assert_eq!(children, self.reference.children(&object));
        }
    }

    /// A request that references its object and does nothing else.
    fn touch(&mut self, from: &From, object: &str, answer: Answer) -> Option<Value> {
        if !self.reference.is_alive(object) {
            not_found(&answer);
            return None;
        }
        let answer = answer.unwrap();
        let session = self.session(from, &answer);
        self.reference.refer(&session, object);
        self.reference.associate(from.connection, &session);
        Some(answer)
    }

    fn link(&mut self, from: &From, connect: bool) {
        let source = self.random.pick(&self.elements);
        let (Some(source), Some(sink)) = (source, self.random.pick(&self.elements)) else {
            return;
        };
        let kind = self.random.pick(&["AUDIO", "VIDEO", "DATA"]).unwrap();
        let operation = if connect { "connect" } else { "disconnect" };
        let params = json!({"sink": sink, "mediaType": kind});
        let answer = self.ask(from, invoke(&source, operation, params));
        if !self.reference.is_alive(&source) {
            return not_found(&answer);
        }
        let alive = self.reference.is_alive(&sink);
        if !alive || (connect && !self.reference.share_pipeline(&source, &sink)) {
            let session = self.failed_session(from);
            self.reference.refer(&session, &source);
            let code = answer.unwrap_err().code;
            let expected = if alive {
                ErrorCode::ConnectError
            } else {
                ErrorCode::MediaObjectNotFound
            };
            return assert_eq!(code, expected);
        }
        let answer = answer.unwrap();
        let session = self.session(from, &answer);
        self.reference.refer(&session, &source);
        // Events of the request come before its answer takes the session over.
        if connect {
            self.reference.connect(&source, kind, &sink);
        } else {
            self.reference.unlink(&source, kind, &sink);
        }
        self.reference.associate(from.connection, &session);
    }

    fn subscribe(&mut self, from: &From) {
        let manager = self.random.below(3) == 0;
        let object = if manager {
            Some(MANAGER.to_owned())
        } else {
            self.random.pick(&self.elements)
        };
        let Some(object) = object else {
            return;
        };
        let events: &[&str] = if manager {
            &["ObjectCreated", "ObjectDestroyed"]
        } else {
            &["ElementConnected", "ElementDisconnected"]
        };
        let event = self.random.pick(events).unwrap();
        let request = Request::Subscribe {
            object: object.clone(),
            event: event.to_owned(),
        };
        let answer = self.ask(from, request);
        if !self.reference.is_alive(&object) {
            return not_found(&answer);
        }
        let answer = answer.unwrap();
        let session = self.session(from, &answer);
        let id = answer["value"].as_str().unwrap().to_owned();
        self.reference.subscribe(&session, &object, event, &id);
        self.reference.associate(from.connection, &session);
        self.subscriptions.push((object, id));
    }

    fn unsubscribe(&mut self, from: &From) {
        let Some((object, subscription)) = self.random.pick(&self.subscriptions) else {
            return;
        };
        let request = Request::Unsubscribe {
            object: object.clone(),
            subscription: subscription.clone(),
        };
        let answer = self.ask(from, request);
        if let Some(session) = self.needs_session(from, answer) {
            self.reference.unsubscribe(&session, &object, &subscription);
            self.reference.associate(from.connection, &session);
        }
    }

    fn release(&mut self, from: &From) {
        let object = self.any_object();
        let request = Request::Release {
            object: object.clone(),
        };
        let answer = self.ask(from, request).unwrap();
        let session = self.session(from, &answer);
        self.reference.release(&object);
        self.reference.associate(from.connection, &session);
    }

    fn refer_or_not(&mut self, from: &From) {
        let object = self.any_object();
        let refer = self.random.below(2) == 0;
        let request = if refer {
            Request::Ref {
                object: object.clone(),
            }
        } else {
            Request::Unref {
                object: object.clone(),
            }
        };
        let answer = self.ask(from, request);
        if refer && from.known.is_some() && !self.reference.is_alive(&object) {
            return not_found(&answer);
        }
        let Some(session) = self.needs_session(from, answer) else {
            return;
        };
        if refer {
            self.reference.refer(&session, &object);
        } else if self.reference.is_alive(&object) {
            self.reference.unrefer(&session, &object);
        }
        self.reference.associate(from.connection, &session);
    }

    fn session_request(&mut self, from: &From) {
        match self.random.below(5) {
            0 => {
                let answer = self.ask(from, Request::Connect);
                if let Some(known) = from.known.clone()
                    && !self.reference.exists(&known)
                {
                    return assert_eq!(answer.unwrap_err().code, ErrorCode::InvalidSession);
                }
                let session = self.session(from, &answer.unwrap());
                self.reference.associate(from.connection, &session);
            }
            1 => {
                let answer = self.ask(from, Request::KeepAlive);
                match &from.known {
                    Some(known) if !self.reference.exists(known) => {
                        assert_eq!(answer.unwrap_err().code, ErrorCode::InvalidSession);
                    }
                    Some(_) | None => {
                        if let Some(session) = self.needs_session(from, answer) {
                            self.reference.associate(from.connection, &session);
                        }
                    }
                }
            }
            2 => {
                let request = Request::Ping { interval_ms: None };
                let answer = self.ask(from, request).unwrap();
                assert_eq!(answer["value"], "pong");
                if from.known.is_some() {
                    let session = self.session(from, &answer);
                    self.reference.associate(from.connection, &session);
                }
            }
            step => {
                let release = step == 3;
                let answer = self.ask(from, Request::CloseSession { release });
                match &from.known {
                    Some(known) => {
                        assert!(answer.unwrap().is_null());
                        self.reference.close_session(known, release);
                    }
                    None => assert_eq!(answer.unwrap_err().code, ErrorCode::ServerError),
                }
            }
        }
    }

    /// The session of a request that none is made for.
    fn needs_session(&mut self, from: &From, answer: Answer) -> Option<String> {
        if from.known.is_none() {
            assert_eq!(answer.unwrap_err().code, ErrorCode::ServerError);
            return None;
        }
        Some(self.session(from, &answer.unwrap()))
    }

    /// A pipeline with two linked elements at once; the last operation may fail.
    fn transaction(&mut self, from: &From) {
        let fails = self.random.below(3) == 0;
        let element =
            json!({"type": "PassThrough", "constructorParams": {"mediaPipeline": "newref:0"}});
        let sink = if fails { "nobody" } else { "newref:2" };
        let operations = [
            ("create", json!({"type": "MediaPipeline"})),
            ("create", element.clone()),
            ("create", element),
            (
                "invoke",
                json!({"object": "newref:1", "operation": "connect",
                    "operationParams": {"sink": sink, "mediaType": "AUDIO"}}),
            ),
            ("describe", json!({"object": "newref:1"})),
        ];
        let operation = |(id, (method, params)): (usize, (&str, Value))| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let operations: Vec<Value> = operations.into_iter().enumerate().map(operation).collect();
        let answer = self.ask(from, Request::Transaction { operations }).unwrap();
        let session = self.session(from, &answer);
        let results = answer["value"].as_array().unwrap();
        assert_eq!(results.len(), if fails { 4 } else { 5 });
        let object = |at: usize| results[at]["result"]["value"].as_str().unwrap().to_owned();
        let (pipeline, source, sink) = (object(0), object(1), object(2));
        self.reference.create(&session, &pipeline, None);
        self.reference.create(&session, &source, Some(&pipeline));
        self.reference.create(&session, &sink, Some(&pipeline));
        if fails {
            assert_eq!(results[3]["error"]["code"], 40_101);
        } else {
            self.reference.connect(&source, "AUDIO", &sink);
        }
        self.reference.associate(from.connection, &session);
        self.pipelines.push(pipeline);
        self.elements.extend([source, sink]);
    }
}

/// Where a request comes from.
struct From {
    connection: u64,
    /// Named in the request.
    given: Option<String>,
    /// Named in the request or remembered by the connection.
    known: Option<String>,
}

fn create(class: &str, params: Value) -> Request {
    Request::Create {
        class: class.to_owned(),
        params: Some(params),
    }
}

fn invoke(object: &str, operation: &str, params: Value) -> Request {
    Request::Invoke {
        object: object.to_owned(),
        operation: operation.to_owned(),
        params: Some(params),
    }
}

fn not_found(answer: &Answer) {
    let error = answer.as_ref().expect_err("the object is gone");
    assert_eq!(error.code, ErrorCode::MediaObjectNotFound);
}
