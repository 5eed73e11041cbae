//! Holds a recorded conversation again and notes every difference.

use crate::{
    compare::{self, canonical, differences, show},
    live::{Client, Live, PATIENCE},
    names::{self, Names},
    player::Player,
    processing::Pretending,
    recording::{Recording, Step},
    table::{Found, Table},
    witness::Witness,
};
use salono_kurento_model::{Value, json};
use salono_kurento_server::Config;
use salono_media_api::CommandSink;
use salono_media_core::Codecs;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// How long an event may take that the recording has and the table does not miss.
const EVENT_PATIENCE: Duration = Duration::from_secs(5);

/// Replays one recording against a server of its own; returns every difference.
pub(crate) async fn replay(recording: &Recording, table: &Table) -> Vec<Found> {
    let mut config = Config::default();
    let hostile = recording.name.starts_with("99");
    if hostile || recording.name.starts_with("14b") {
        // The recording, or the end of the replay, waits for collections of unused sessions.
        config.model.session_period = Duration::from_millis(400);
    }
    config.uploads.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let live = if only_asks(recording) {
        let pretend = |engine, events| -> Box<dyn CommandSink> {
            Box::new(Pretending {
                engine,
                events,
                hubs: BTreeSet::new(),
            })
        };
        Live::start_with(config, codecs(recording), pretend).await
    } else {
        Live::start_with(config, codecs(recording), |engine, _| engine).await
    };
    let mut replay = Replay {
        recording,
        table,
        witness: if hostile {
            Some(Witness::new(&live).await)
        } else {
            None
        },
        player: None,
        live,
        clients: BTreeMap::new(),
        names: Names::default(),
        heard: BTreeMap::new(),
        recorded: BTreeMap::new(),
        given_up: BTreeSet::new(),
        found: Vec::new(),
    };
    for index in 0..recording.steps.len() {
        replay.step(index).await;
    }
    let events = replay.compare_events();
    replay.found.extend(events);
    for (_, mut client) in std::mem::take(&mut replay.clients) {
        client.close().await;
    }
    if let Some(player) = replay.player {
        player.leave().await;
    }
    if let Some(witness) = replay.witness {
        witness.leave().await;
        replay.live.is_empty().await;
    }
    replay.live.stop().await;
    replay.found
}

/// Whether elements that process media are only asked for what they are in a recording.
fn only_asks(recording: &Recording) -> bool {
    recording.name.starts_with("elem") || recording.name.starts_with("26")
}

/// Whether media flows in a recording, from a player through a call.
fn has_call(recording: &Recording) -> bool {
    recording.name.ends_with("_vp8")
}

/// The lists of codecs that the recorded server was set up with.
fn codecs(recording: &Recording) -> Codecs {
    let named = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let audio: Vec<String> = named(&["opus/48000/2", "PCMU/8000", "PCMA/8000", "AMR/8000"]);
    let video: Vec<String> = if has_call(recording) {
        named(&["VP8/90000", "H264/90000"])
    } else {
        let names = ["H265", "AV1", "VP9", "VP8", "H264"].map(|name| format!("{name}/90000"));
        names.into()
    };
    Codecs::named(&audio, &video, false).0
}

struct Replay<'a> {
    recording: &'a Recording,
    table: &'a Table,
    live: Live,
    /// Is not to notice the conversation.
    witness: Option<Witness>,
    /// Stands in for the recorded player of a call.
    player: Option<Player>,
    clients: BTreeMap<u64, Client>,
    names: Names,
    /// Events that came, by connection.
    heard: BTreeMap<u64, Vec<Value>>,
    /// Events of the recording so far, by connection.
    recorded: BTreeMap<u64, Vec<Value>>,
    /// Kinds of events that did not come in time; they are not waited for again.
    given_up: BTreeSet<String>,
    found: Vec<Found>,
}

impl Replay<'_> {
    async fn step(&mut self, index: usize) {
        match &self.recording.steps[index] {
            Step::Open { connection, target } => {
                let client = self.live.connect(target).await;
                self.clients.insert(*connection, client);
            }
            Step::Close { connection, code } => self.close(*connection, *code).await,
            Step::Send {
                connection,
                text,
                binary,
                frame,
            } => {
                self.settle().await;
                let events: Vec<&Value> = self.heard.values().flatten().collect();
                let text = match frame {
                    Some(frame) => self.names.reveal_value(frame, &events).to_string(),
                    None => self.names.reveal(text),
                };
                let client = self.clients.get_mut(connection).unwrap();
                client.send(&text, *binary).await;
                let answers = |step: &Step| matches!(step, Step::Answer { to, .. } if *to == index);
                if !self.recording.steps.iter().any(answers) {
                    // The reference died or said nothing; we answer or close.
                    self.answer(index).await;
                }
            }
            Step::Answer { to, frame } => self.compare_answer(*to, frame).await,
            Step::Event { connection, value } => {
                if value["type"] == "IceCandidateFound" {
                    self.names.note_candidate(value);
                }
                self.recorded
                    .entry(*connection)
                    .or_default()
                    .push(value.clone());
            }
            Step::Remark => {}
        }
    }

    /// The answer to a request, unless the server closes the connection.
    async fn answer(&mut self, to: usize) -> Option<Value> {
        let Step::Send {
            connection,
            text,
            frame,
            ..
        } = &self.recording.steps[to]
        else {
            panic!("answers belong to requests");
        };
        let parsed = frame.clone().or_else(|| text.parse().ok());
        let id = parsed.map_or(Value::Null, |mut frame: Value| {
            frame.get_mut("id").map_or(Value::Null, Value::take)
        });
        let deadline = Instant::now() + PATIENCE;
        let client = self.clients.get_mut(connection).unwrap();
        loop {
            if let Some(answer) = client.take_answer(&id) {
                self.collect(*connection);
                return Some(answer);
            }
            if client.closed.is_some() {
                self.collect(*connection);
                return None;
            }
            timeout_at(deadline, client.hear())
                .await
                .unwrap_or_else(|_| panic!("{}: {id} is not answered", self.recording.name));
        }
    }

    /// Takes over what a client heard.
    fn collect(&mut self, connection: u64) {
        if let Some(client) = self.clients.get_mut(&connection) {
            let heard = self.heard.entry(connection).or_default();
            heard.append(&mut client.events);
        }
    }

    async fn compare_answer(&mut self, to: usize, recorded: &Value) {
        let Step::Send { frame, .. } = &self.recording.steps[to] else {
            panic!("answers belong to requests");
        };
        let request = frame.clone().unwrap_or(Value::Null);
        let label = label(&request);
        let id = request["id"].to_string();
        let Some(ours) = self.answer(to).await else {
            self.note(
                &id,
                &label,
                "",
                show(recorded),
                "the connection is closed".to_owned(),
            );
            return;
        };
        if let Some(class) = self.missing_class(&request, recorded, &ours) {
            self.note(
                &id,
                &format!("class {class}"),
                "",
                String::new(),
                "40108".to_owned(),
            );
            if class == "PlayerEndpoint" && has_call(self.recording) {
                self.play(&request).await;
            }
            return;
        }
        self.names.learn(&recorded["result"], &ours["result"]);
        self.names.learn(&recorded["error"], &ours["error"]);
        let operation = request["params"]["operation"].as_str().unwrap_or_default();
        let revealed = self.reveal_plain(&compare::outcome(recorded));
        let mut found = Vec::new();
        match (recorded.get("error"), ours.get("error")) {
            (Some(before), Some(after)) if before["code"] != after["code"] => {
                found.push(("error".to_owned(), show_error(recorded), show_error(&ours)));
            }
            (Some(_), Some(_)) | (None, None) => differences(
                "",
                &canonical(&revealed, operation),
                &canonical(&compare::outcome(&ours), operation),
                &mut found,
            ),
            (Some(_), None) => {
                found.push((String::new(), show_error(recorded), show(&ours["result"])));
            }
            (None, Some(_)) => {
                let before = show(&recorded["result"]["value"]);
                found.push((String::new(), before, show_error(&ours)));
            }
        }
        for (member, recorded, ours) in found {
            self.note(&id, &label, &member, recorded, ours);
        }
    }

    /// Does what a player is asked for, with media of our own.
    async fn play(&mut self, request: &Value) {
        let params = self.reveal_plain(&request["params"]);
        if request["method"] == "create" {
            let pipeline = params["constructorParams"]["mediaPipeline"].as_str();
            self.player = Some(Player::new(&self.live, pipeline.unwrap()).await);
        }
        let Some(player) = &mut self.player else {
            return;
        };
        match params["operation"].as_str() {
            Some("connect") => {
                let sink = params["operationParams"]["sink"].as_str();
                player.connect(sink.unwrap()).await;
            }
            Some("play") => player.play(),
            Some(_) | None => {}
        }
    }

    /// Names of the recording replaced, everything else as recorded.
    fn reveal_plain(&self, value: &Value) -> Value {
        match value {
            Value::String(text) if text.starts_with("v=0") => value.clone(),
            Value::String(text) => self.names.reveal(text).into(),
            Value::Array(items) => items.iter().map(|item| self.reveal_plain(item)).collect(),
            Value::Object(members) => {
                let members = members.iter();
                let reveal = |(name, member): (&String, &Value)| {
                    (self.names.reveal(name), self.reveal_plain(member))
                };
                Value::Object(members.map(reveal).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// The class that is at fault when it does not exist here.
    fn missing_class(&mut self, request: &Value, recorded: &Value, ours: &Value) -> Option<String> {
        let params = &request["params"];
        if let Some(class) = self.names.absent_class(params) {
            let class = class.to_owned();
            if request["method"] == "create" && recorded["result"]["value"].is_string() {
                let object = recorded["result"]["value"].as_str().unwrap();
                self.names.note_absent(object, &class);
            }
            return Some(class);
        }
        let is_missing = request["method"] == "create"
            && ours["error"]["code"] == 40_108
            && recorded["error"]["code"] != 40_108;
        if !is_missing {
            return None;
        }
        let name = params["type"].as_str()?;
        let class = name.rsplit('.').next().unwrap_or(name).to_owned();
        if let Some(object) = recorded["result"]["value"].as_str() {
            self.names.note_absent(object, &class);
        }
        Some(class)
    }

    /// Waits until every event of the recording so far has come.
    async fn settle(&mut self) {
        let wanted = self.wanted();
        if wanted.is_empty() {
            return;
        }
        let deadline = Instant::now() + EVENT_PATIENCE;
        loop {
            let connections: Vec<u64> = self.clients.keys().copied().collect();
            for connection in &connections {
                self.collect(*connection);
            }
            let missing: Vec<String> = wanted
                .iter()
                .filter(|(key, count)| self.count(key) < **count)
                .map(|(key, _)| key.clone())
                .collect();
            if missing.is_empty() {
                return;
            }
            let hearing = self
                .clients
                .values_mut()
                .map(|client| Box::pin(client.hear()));
            let any = futures_util::future::select_all(hearing);
            if timeout_at(deadline, any).await.is_err() {
                self.given_up.extend(missing);
                return;
            }
        }
    }

    /// How often which event must have come, by connection, object, type and kind.
    fn wanted(&self) -> BTreeMap<String, usize> {
        let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
        for (connection, events) in &self.recorded {
            if !self.clients.contains_key(connection) {
                continue;
            }
            for event in events {
                let at = event_label(event);
                let revealed = self.reveal_plain(event);
                let key = key(*connection, &revealed);
                if self.given_up.contains(&key)
                    || self.names.absent_class(event).is_some()
                    || self.table.misses_event(&self.recording.name, &at)
                {
                    continue;
                }
                let count = wanted.entry(key).or_default();
                // How many candidates there are is a matter of the host.
                *count = if is_set(event) { 1 } else { *count + 1 };
            }
        }
        wanted
    }

    fn count(&self, wanted: &str) -> usize {
        let heard = self.heard.iter();
        heard
            .flat_map(|(connection, events)| {
                events.iter().map(move |event| key(*connection, event))
            })
            .filter(|key| key == wanted)
            .count()
    }

    async fn close(&mut self, connection: u64, code: u16) {
        self.settle().await;
        self.agree().await;
        self.collect(connection);
        let Some(mut client) = self.clients.remove(&connection) else {
            return;
        };
        if code != 1_000 && code != 1_006 {
            let deadline = Instant::now() + PATIENCE;
            while client.closed.is_none() {
                timeout_at(deadline, client.hear())
                    .await
                    .expect("it closes");
            }
            if client.closed != Some(code) {
                let ours = format!("{:?}", client.closed);
                self.note("", "close", "", code.to_string(), ours);
            }
        }
        let heard = self.heard.entry(connection).or_default();
        heard.append(&mut client.events);
        client.close().await;
        if let Some(witness) = &mut self.witness {
            witness.look().await;
        }
    }

    /// Waits until the events are as recorded or as the table says.
    async fn agree(&mut self) {
        let deadline = Instant::now() + EVENT_PATIENCE;
        loop {
            let connections: Vec<u64> = self.clients.keys().copied().collect();
            for connection in &connections {
                self.collect(*connection);
            }
            if self.table.lists_all(&self.compare_events()) {
                return;
            }
            let hearing = self.clients.values_mut();
            let hearing = hearing.map(|client| Box::pin(client.hear()));
            let any = futures_util::future::select_all(hearing);
            if timeout_at(deadline, any).await.is_err() {
                return;
            }
        }
    }

    /// Compares the events of the conversation: for each object and type, and for each kind of media
    /// or component, what came and in which order.
    fn compare_events(&self) -> Vec<Found> {
        type Groups = BTreeMap<String, (Vec<Value>, Vec<Value>)>;
        let mut groups: Groups = BTreeMap::new();
        let mut missing = BTreeSet::new();
        for (connection, events) in &self.recorded {
            for event in events {
                if let Some(class) = self.names.absent_class(event) {
                    missing.insert(class.to_owned());
                    continue;
                }
                let event = self.reveal_plain(event);
                let group = groups.entry(group(*connection, &event)).or_default();
                group.0.push(event);
            }
        }
        for (connection, events) in &self.heard {
            for event in events {
                let group = groups.entry(group(*connection, event)).or_default();
                group.1.push(event.clone());
            }
        }
        let mut found = Vec::new();
        for class in missing {
            let at = format!("class {class}");
            found.push(self.difference("", &at, "", String::new(), "40108".to_owned()));
        }
        for (recorded, ours) in groups.into_values() {
            self.compare_group(&recorded, &ours, &mut found);
        }
        found
    }

    fn compare_group(&self, recorded: &[Value], ours: &[Value], found: &mut Vec<Found>) {
        let first = recorded.first().or(ours.first()).unwrap();
        let at = event_label(first);
        let set = is_set(first);
        let plain = |events: &[Value]| -> Vec<Value> {
            let mut events: Vec<Value> = events.iter().map(|event| canonical(event, "")).collect();
            if set {
                events.sort_by_key(Value::to_string);
                events.dedup();
            }
            events
        };
        let (recorded, ours) = (plain(recorded), plain(ours));
        let (before, after) = (sequence(&recorded), sequence(&ours));
        if before != after {
            found.push(self.difference("", &at, "sequence", before, after));
            return;
        }
        let mut places = Vec::new();
        for (recorded, ours) in recorded.iter().zip(&ours) {
            differences("", recorded, ours, &mut places);
        }
        for (member, recorded, ours) in places {
            found.push(self.difference("", &at, &member, recorded, ours));
        }
    }

    fn note(&mut self, id: &str, at: &str, member: &str, recorded: String, ours: String) {
        let found = self.difference(id, at, member, recorded, ours);
        self.found.push(found);
    }

    fn difference(
        &self,
        id: &str,
        at: &str,
        member: &str,
        recorded: String,
        ours: String,
    ) -> Found {
        Found {
            trace: self.recording.name.clone(),
            id: id.to_owned(),
            at: at.to_owned(),
            member: member.to_owned(),
            recorded,
            ours,
        }
    }
}

/// Events that come as often as the host has addresses.
fn is_set(event: &Value) -> bool {
    event["type"] == "IceCandidateFound"
}

/// What events are told apart by: where, whose, which, and the kind of media or the component.
fn key(connection: u64, event: &Value) -> String {
    let data = &event["data"];
    let kind = match event["type"].as_str() {
        Some("DtlsConnectionStateChange") => &Value::Null,
        Some("NewCandidatePairSelected") => &data["candidatePair"]["componentId"],
        _ => data.get("mediaType").unwrap_or(&data["componentId"]),
    };
    format!("{connection} {} {} {kind}", event["object"], event["type"])
}

/// What events are compared among; candidates only with those of the same transport.
fn group(connection: u64, event: &Value) -> String {
    let line = event["data"]["candidate"]["candidate"].as_str();
    let transport = line.map_or_else(String::new, names::transport);
    format!("{} {transport}", key(connection, event))
}

/// What tells events of one kind apart, one after the other.
fn sequence(events: &[Value]) -> String {
    let word = |event: &Value| {
        let data = &event["data"];
        let names = [
            "state",
            "newState",
            "candidate",
            "mediaType",
            "channelId",
            "componentId",
        ];
        let word = names.iter().find_map(|name| data.get(*name));
        match word {
            Some(Value::String(word)) => word.clone(),
            Some(Value::Object(candidate)) => show(&json!(candidate["candidate"])),
            Some(other) => other.to_string(),
            None => "once".to_owned(),
        }
    };
    if events.is_empty() {
        return "never".to_owned();
    }
    let words: Vec<String> = events.iter().map(word).collect();
    show(&words.join(" ").into()).trim_matches('"').to_owned()
}

fn show_error(answer: &Value) -> String {
    let error = &answer["error"];
    format!("{} {}", error["code"], show(&error["message"]))
}

/// What a request asks for: its method and the class that it is about.
fn label(request: &Value) -> String {
    let params = &request["params"];
    let method = request["method"].as_str().unwrap_or("text");
    let class = class_of(&params["object"]);
    match method {
        "invoke" => format!("{class}.{}", params["operation"].as_str().unwrap_or("?")),
        "create" => format!("create {}", params["type"].as_str().unwrap_or_default())
            .trim_end()
            .to_owned(),
        "subscribe" => format!(
            "subscribe {class}.{}",
            params["type"].as_str().unwrap_or("?")
        ),
        "describe" | "release" => format!("{method} {class}"),
        _ => method.to_owned(),
    }
}

fn event_label(event: &Value) -> String {
    let class = class_of(&event["object"]);
    format!("event {class}.{}", event["type"].as_str().unwrap_or("?"))
}

/// Ids end with the class.
fn class_of(object: &Value) -> &str {
    match object.as_str() {
        Some("manager_ServerManager") => "ServerManager",
        Some(id) => id.rsplit_once('.').map_or("?", |(_, class)| class),
        None => "?",
    }
}
