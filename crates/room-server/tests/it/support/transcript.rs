//! Replays transcripts; their language is described in `tests/transcripts/README.md`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use salono_room_sdk::ParticipantId;
use salono_room_server::RoomServer;
use serde_json::Value;

use super::client::{Heard, TestClient};
use super::kurento::FakeKurento;
use super::token;

/// How clients reach the server.
pub(crate) enum Way {
    /// Within the process, in virtual time.
    Within,
    /// Over TCP, in real time.
    Tcp(SocketAddr),
}

/// One replay.
pub(crate) struct Replay {
    pub(crate) server: RoomServer,
    pub(crate) kurento: FakeKurento,
    pub(crate) way: Way,
    pub(crate) clients: BTreeMap<String, TestClient>,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Replay {
    pub(crate) fn new(server: RoomServer, kurento: FakeKurento, way: Way) -> Self {
        Self {
            server,
            kurento,
            way,
            clients: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    pub(crate) async fn run(&mut self, name: &str, text: &str) {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let mut at = 0;
        while at < lines.len() {
            let place = format!("{name}:{}", at + 1);
            let line = lines[at];
            at += 1;
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (who, rest) = line.split_once(' ').unwrap_or((line, ""));
            let rest = rest.trim();
            let split = who
                .find(|c: char| !c.is_alphanumeric())
                .expect("an operator");
            match (&who[..split], &who[split..]) {
                ("T", "+") => {
                    let seconds = rest.trim_end_matches('s').parse().unwrap();
                    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                }
                ("K", "!") => self.kurento.order(rest).await,
                ("S", "!") => match rest.strip_prefix("token ") {
                    Some(rest) => {
                        let (name, claims) = rest.split_once(' ').unwrap();
                        let claims = serde_json::from_str(claims).unwrap();
                        self.variables.insert(name.to_owned(), token(&claims));
                    }
                    None => self.act(rest, &place).await,
                },
                (client, ">") => {
                    let text = self.substitute(rest);
                    self.client(client).await.send(&text).await;
                }
                (client, "<") => {
                    let heard = self.client(client).await.hear_text(&place).await;
                    self.expect(&[rest], &heard, &place);
                }
                (client, "<|") => {
                    // This line and the like ones that follow come in any order.
                    let mut group = vec![rest.to_owned()];
                    while let Some(more) = lines
                        .get(at)
                        .and_then(|line| line.strip_prefix(&format!("{client}<| ")))
                    {
                        group.push(more.trim().to_owned());
                        at += 1;
                    }
                    while !group.is_empty() {
                        let heard = self.client(client).await.hear_text(&place).await;
                        let options: Vec<&str> = group.iter().map(String::as_str).collect();
                        let taken = self.expect(&options, &heard, &place);
                        group.remove(taken);
                    }
                }
                (client, "!") => {
                    let code: u16 = rest.strip_prefix("close ").unwrap().parse().unwrap();
                    let heard = self.client(client).await.hear().await;
                    assert_eq!(heard, Some(Heard::Close(Some(code))), "{place}");
                    self.clients.remove(client);
                }
                (client, "=") => self.quiet(client, &place).await,
                (client, "~") => match rest {
                    "open" => drop(self.client(client).await),
                    "drop" => {
                        if let Some(client) = self.clients.remove(client) {
                            client.drop_connection().await;
                        }
                    }
                    "close" => {
                        if let Some(mut client) = self.clients.remove(client) {
                            client.close().await;
                        }
                    }
                    other => panic!("{place}: no such act: {other}"),
                },
                _ => panic!("{place}: not understood: {line}"),
            }
        }
        for client in self.clients.keys().cloned().collect::<Vec<_>>() {
            self.quiet(&client, &format!("{name}: end")).await;
        }
    }

    /// Nothing is on its way to the client: a ping is answered next.
    async fn quiet(&mut self, client: &str, place: &str) {
        let client = self.client(client).await;
        client
            .send(r#"{"jsonrpc":"2.0","id":424242,"method":"ping"}"#)
            .await;
        let heard = client.hear_text(place).await;
        assert!(heard.contains("424242"), "{place}: unexpected {heard}");
    }

    async fn act(&self, order: &str, place: &str) {
        let rooms = self.server.rooms().clone();
        let (verb, rest) = order.split_once(' ').unwrap_or((order, ""));
        match verb {
            "close" => rooms.close_room(rest).await.unwrap(),
            "evict" => {
                let (room, user) = rest.split_once(' ').unwrap();
                let all = rooms.participants(room).await.unwrap();
                let found = all.into_iter().find(|p| p.user_name == user).unwrap();
                rooms
                    .evict_participant(&found.participant_id)
                    .await
                    .unwrap();
            }
            "evict-session" => {
                let session = ParticipantId::from(self.variables[rest].as_str());
                rooms.evict_participant(&session).await.unwrap();
            }
            "rooms" => assert_eq!(
                serde_json::to_string(&rooms.rooms()).unwrap(),
                rest,
                "{place}"
            ),
            "sessions" => {
                assert_eq!(self.server.snapshot().sessions.to_string(), rest, "{place}");
            }
            // Heeded when the server started.
            "tokens" => {}
            "shutdown" => self.server.shutdown().await,
            other => panic!("{place}: no such act: {other}"),
        }
    }

    async fn client(&mut self, name: &str) -> &mut TestClient {
        if !self.clients.contains_key(name) {
            let client = match self.way {
                Way::Within => TestClient::within(&self.server),
                Way::Tcp(address) => TestClient::connect(address).await,
            };
            self.clients.insert(name.to_owned(), client);
        }
        self.clients.get_mut(name).unwrap()
    }

    /// Which of the patterns fits; one must.
    fn expect(&mut self, patterns: &[&str], heard: &str, place: &str) -> usize {
        let heard: Value = serde_json::from_str(heard).unwrap();
        for (index, pattern) in patterns.iter().enumerate() {
            let pattern: Value =
                serde_json::from_str(pattern).unwrap_or_else(|error| panic!("{place}: {error}"));
            let mut variables = self.variables.clone();
            if fits(&pattern, &heard, &mut variables) {
                self.variables = variables;
                return index;
            }
        }
        panic!(
            "{place}\n  heard    {heard}\n  expected {}",
            patterns.join("\n  or ")
        );
    }

    fn substitute(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.variables {
            text = text.replace(&format!("\"{name}\""), &format!("\"{value}\""));
        }
        text
    }
}

/// Whether values are the same, member for member. A string `"$*"` fits every string, a string that
/// starts with `$` is a variable: it fits anything at first, and the same thing from then on.
fn fits(pattern: &Value, heard: &Value, variables: &mut BTreeMap<String, String>) -> bool {
    match (pattern, heard) {
        (Value::String(pattern), Value::String(_)) if pattern == "$*" => true,
        (Value::String(pattern), Value::String(heard)) if pattern.starts_with('$') => {
            variables
                .entry(pattern.clone())
                .or_insert_with(|| heard.clone())
                == heard
        }
        (Value::Array(patterns), Value::Array(items)) => {
            patterns.len() == items.len()
                && patterns
                    .iter()
                    .zip(items)
                    .all(|(pattern, item)| fits(pattern, item, variables))
        }
        (Value::Object(patterns), Value::Object(members)) => {
            patterns.len() == members.len()
                && patterns.iter().all(|(name, pattern)| {
                    members
                        .get(name)
                        .is_some_and(|member| fits(pattern, member, variables))
                })
        }
        (pattern, heard) => pattern == heard,
    }
}
