//! Ten thousand frames that are nearly right, from several clients at once.
//!
//! The test is alone in its process, so that what the process has open afterwards is what the server
//! left behind.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod footprint;
#[allow(dead_code, reason = "the replays of recordings use the rest")]
#[path = "../traces/live.rs"]
mod live;
mod mutation;
#[allow(dead_code, reason = "the replays of recordings use the rest")]
#[path = "../traces/names.rs"]
mod names;
#[allow(dead_code, reason = "the replays of recordings use the rest")]
#[path = "../traces/recording.rs"]
mod recording;
#[path = "../traces/witness.rs"]
mod witness;

use footprint::Footprint;
use live::{Client, Live, PATIENCE};
use mutation::{Random, mutate};
use recording::{Recording, Step};
use witness::Witness;

use salono_kurento_model::{Value, json};
use salono_kurento_server::Config;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Seed unless `FUZZ_SEED` gives another one.
const SEED: u64 = 20_260;

/// Frames in all unless `FUZZ_FRAMES` says otherwise.
const FRAMES: usize = 10_000;

/// Clients that send them.
const CLIENTS: usize = 8;

/// Distance of looks at what only changes by itself.
const LOOK: Duration = Duration::from_millis(20);

/// After so many frames a client lets go of everything that it has made.
const FRAMES_PER_SESSION: usize = 250;

#[test]
fn mutated_frames_are_answered_or_end_their_connection_and_leave_nothing_behind() {
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    // The first one makes a pair of sockets for signals, which the process keeps.
    drop(runtime());
    let before = Footprint::now();
    runtime().block_on(fuzz());
    before.is_back("after the end of the server");
}

async fn fuzz() {
    let number = |name: &str, default| match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    };
    let seed = number("FUZZ_SEED", SEED);
    let frames = number("FUZZ_FRAMES", u64::try_from(FRAMES).unwrap());
    let share = usize::try_from(frames).unwrap().div_ceil(CLIENTS);
    let corpus = Arc::new(corpus());
    let mut config = Config::default();
    config.model.session_period = Duration::from_secs(1);
    // The answer to `getUsedCpu` comes after an interval that it names, or this.
    config.model.limits.load_interval = Duration::from_millis(20);
    let live = Live::start(config).await;
    let idle = Footprint::now();
    let mut witness = Witness::new(&live).await;
    let mut clients = tokio::task::JoinSet::new();
    for client in 0..CLIENTS {
        let random = Random(seed ^ (u64::try_from(client).unwrap() << 32));
        let fuzzer = Fuzzer::new(&live, Arc::clone(&corpus), random, seed).await;
        clients.spawn(fuzzer.run(share));
    }
    while !clients.is_empty() {
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        witness.look().await;
    }
    witness.leave().await;
    live.is_empty().await;
    // Threads of the runtime come and go as it likes.
    let sockets = async {
        while Footprint::now().sockets != idle.sockets {
            tokio::time::sleep(LOOK).await;
        }
    };
    let waited = timeout(PATIENCE, sockets).await;
    assert!(waited.is_ok(), "{:?}, not {idle:?}", Footprint::now());
    live.stop().await;
}

/// Every request of the recordings.
fn corpus() -> Vec<Value> {
    let steps = Recording::all()
        .into_iter()
        .flat_map(|recording| recording.steps);
    let frames = steps.filter_map(|step| match step {
        Step::Send { frame, .. } => frame,
        Step::Open { .. }
        | Step::Close { .. }
        | Step::Answer { .. }
        | Step::Event { .. }
        | Step::Remark => None,
    });
    frames.filter(Value::is_object).collect()
}

struct Fuzzer {
    address: std::net::SocketAddr,
    client: Client,
    corpus: Arc<Vec<Value>>,
    random: Random,
    seed: u64,
    session: String,
    /// Own objects; recorded ids are replaced by these.
    objects: Vec<String>,
    next_id: u64,
}

impl Fuzzer {
    async fn new(live: &Live, corpus: Arc<Vec<Value>>, random: Random, seed: u64) -> Self {
        let mut fuzzer = Self {
            address: live.address,
            client: live.connect("/kurento").await,
            corpus,
            random,
            seed,
            session: String::new(),
            objects: Vec::new(),
            next_id: 1_000_000,
        };
        fuzzer.begin().await;
        fuzzer
    }

    async fn run(mut self, frames: usize) {
        for count in 1..=frames {
            let at = self.random.below(self.corpus.len());
            let other = self.random.below(self.corpus.len());
            let recorded = self.own(&self.corpus[at].clone());
            let other = self.own(&self.corpus[other].clone());
            let frame = mutate(&recorded, &other, &mut self.random);
            self.send(&frame.bytes).await;
            if count % FRAMES_PER_SESSION == 0 {
                self.end().await;
                self.begin().await;
            }
        }
        self.end().await;
        self.client.close().await;
    }

    /// Sends a frame and gets its answer, or another connection.
    async fn send(&mut self, bytes: &[u8]) {
        match std::str::from_utf8(bytes) {
            Ok(text) => self.client.send(text, false).await,
            Err(_) => self.client.send_bytes(bytes).await,
        }
        let outcome = timeout(PATIENCE, self.client.any_answer()).await;
        let Ok(answer) = outcome else {
            let text: String = String::from_utf8_lossy(bytes).chars().take(2_000).collect();
            panic!("seed {}: no answer to {text}", self.seed);
        };
        if answer.is_none() {
            let code = self.client.closed;
            assert_ne!(code, Some(1_006), "seed {}: not a clean close", self.seed);
            self.client = Client::connect(self.address, "/kurento").await;
        }
        self.client.events.clear();
    }

    /// A session with something in it.
    async fn begin(&mut self) {
        self.session.clear();
        self.objects.clear();
        let pipeline = self.create("MediaPipeline", json!({})).await;
        let params = json!({"mediaPipeline": pipeline, "useDataChannels": true});
        for class in ["WebRtcEndpoint", "WebRtcEndpoint", "PassThrough"] {
            self.create(class, params.clone()).await;
        }
    }

    async fn create(&mut self, class: &str, params: Value) -> String {
        let mut params = json!({"type": class, "constructorParams": params});
        if !self.session.is_empty() {
            params["sessionId"] = self.session.as_str().into();
        }
        let answer = self.ask("create", params).await;
        let object = answer["result"]["value"].as_str();
        let object = object.unwrap_or_else(|| panic!("seed {}: {answer}", self.seed));
        self.session = answer["result"]["sessionId"].as_str().unwrap().to_owned();
        self.objects.push(object.to_owned());
        object.to_owned()
    }

    /// Lets go of everything.
    async fn end(&mut self) {
        let params = json!({"sessionId": self.session, "release": true});
        let answer = self.ask("closeSession", params).await;
        assert!(answer["error"].is_null(), "seed {}: {answer}", self.seed);
        self.client.close().await;
        self.client = Client::connect(self.address, "/kurento").await;
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = Value::from(self.next_id);
        let request = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        self.client.send(&request.to_string(), false).await;
        timeout(PATIENCE, self.client.answer(&id))
            .await
            .unwrap_or_else(|_| panic!("seed {}: {request} is not answered", self.seed))
            .expect("the connection lives")
    }

    /// A recorded value about own objects and the own session, with a fresh identifier.
    fn own(&mut self, value: &Value) -> Value {
        let mut value = self.own_names(value);
        if value["id"].is_number() {
            self.next_id += 1;
            value["id"] = self.next_id.into();
        }
        value
    }

    fn own_names(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                if names::split(text).uuids.is_empty() || text.starts_with("v=0") {
                    return value.clone();
                }
                if !text.contains("_kurento.") {
                    return self.session.as_str().into();
                }
                let class = text.rsplit('_').next().unwrap_or_default();
                let same: Vec<&String> = self
                    .objects
                    .iter()
                    .filter(|object| object.ends_with(class))
                    .collect();
                if same.is_empty() {
                    return self.random.pick(&self.objects).as_str().into();
                }
                self.random.pick(&same).as_str().into()
            }
            Value::Array(items) => items.iter().map(|item| self.own_names(item)).collect(),
            Value::Object(members) => {
                let members = members.iter();
                let own = members.map(|(name, member)| (name.clone(), self.own_names(member)));
                Value::Object(own.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}
