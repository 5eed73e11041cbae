//! What stands for what: identifiers, session descriptions and candidates of a recording are others
//! in each replay.

use salono_kurento_model::Value;
use std::collections::BTreeMap;

/// Length of a UUID in text.
const UUID: usize = 36;

/// Names of the recording and what they are now.
#[derive(Default)]
pub(crate) struct Names {
    uuids: BTreeMap<String, String>,
    descriptions: BTreeMap<String, String>,
    /// UUIDs of objects that were made in the recording and cannot be made here, with their classes.
    absent: BTreeMap<String, String>,
    candidates: Vec<Candidate>,
}

/// A candidate that the recorded server found.
struct Candidate {
    object: String,
    mid: Value,
    line: String,
}

impl Names {
    /// Learns from two answers to one request, the recorded one and ours.
    pub(crate) fn learn(&mut self, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::String(recorded), Value::String(ours)) => {
                if recorded.starts_with("v=0") && ours.starts_with("v=0") {
                    self.descriptions.insert(recorded.clone(), ours.clone());
                }
                let (before, after) = (split(recorded), split(ours));
                if before.texts == after.texts {
                    for (recorded, ours) in before.uuids.iter().zip(after.uuids) {
                        if !self.absent.contains_key(*recorded) {
                            let entry = self.uuids.entry((*recorded).to_owned());
                            entry.or_insert_with(|| ours.to_owned());
                        }
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) if recorded.len() == ours.len() => {
                for (recorded, ours) in recorded.iter().zip(ours) {
                    self.learn(recorded, ours);
                }
            }
            (Value::Object(recorded), Value::Object(ours)) => {
                for (name, recorded) in recorded {
                    if let Some(ours) = ours.get(name) {
                        self.learn(recorded, ours);
                    }
                }
            }
            _ => {}
        }
    }

    /// Notes a candidate of the recording.
    pub(crate) fn note_candidate(&mut self, event: &Value) {
        let candidate = &event["data"]["candidate"];
        self.candidates.push(Candidate {
            object: event["object"].as_str().unwrap().to_owned(),
            mid: candidate["sdpMid"].clone(),
            line: candidate["candidate"].as_str().unwrap().to_owned(),
        });
    }

    /// Notes that an object of the recording cannot be made.
    pub(crate) fn note_absent(&mut self, object: &str, class: &str) {
        if let Some(own) = split(object).uuids.last() {
            self.absent.insert((*own).to_owned(), class.to_owned());
        }
    }

    /// The class of an object that is missing, if anything in the value refers to one.
    pub(crate) fn absent_class(&self, value: &Value) -> Option<&str> {
        let text = value.to_string();
        let found = split(&text);
        let class = found.uuids.iter().find_map(|uuid| self.absent.get(*uuid));
        class.map(String::as_str)
    }

    /// A text of the recording as it is now.
    pub(crate) fn reveal(&self, text: &str) -> String {
        if let Some(ours) = self.descriptions.get(text) {
            return ours.clone();
        }
        let parts = split(text);
        let mut revealed = String::with_capacity(text.len());
        for (index, between) in parts.texts.iter().enumerate() {
            revealed.push_str(between);
            if let Some(uuid) = parts.uuids.get(index) {
                revealed.push_str(self.uuids.get(*uuid).map_or(uuid, String::as_str));
            }
        }
        revealed
    }

    /// A value of the recording as it is now. `events` are those that came so far.
    pub(crate) fn reveal_value(&self, value: &Value, events: &[&Value]) -> Value {
        match value {
            Value::String(text) => self.reveal(text).into(),
            Value::Array(items) => items
                .iter()
                .map(|item| self.reveal_value(item, events))
                .collect(),
            Value::Object(members) => {
                let reveal = |(name, member): (&String, &Value)| {
                    let member = match self.candidate(members.get("sdpMid"), member, events) {
                        Some(ours) if name == "candidate" => ours,
                        Some(_) | None => self.reveal_value(member, events),
                    };
                    (self.reveal(name), member)
                };
                Value::Object(members.iter().map(reveal).collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// Our counterpart of a recorded candidate: of the same endpoint and media, of the same
    /// transport where there is one.
    fn candidate(&self, mid: Option<&Value>, line: &Value, events: &[&Value]) -> Option<Value> {
        let line = line.as_str()?;
        let known = |known: &&Candidate| known.line == line && Some(&known.mid) == mid;
        let recorded = self.candidates.iter().find(known)?;
        let object = self.reveal(&recorded.object);
        let ours: Vec<&Value> = events
            .iter()
            .filter(|event| event["type"] == "IceCandidateFound" && event["object"] == *object)
            .map(|event| &event["data"]["candidate"])
            .filter(|candidate| candidate["sdpMid"] == recorded.mid)
            .map(|candidate| &candidate["candidate"])
            .collect();
        let same = |ours: &&&Value| {
            ours.as_str()
                .is_some_and(|ours| transport(ours) == transport(line))
        };
        ours.iter()
            .find(same)
            .or(ours.first())
            .map(|&ours| ours.clone())
    }
}

/// Component and transport of a candidate line, with its TCP type.
pub(crate) fn transport(line: &str) -> String {
    let fields: Vec<&str> = line.split(' ').collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let tcp = fields.iter().position(|field| *field == "tcptype");
    let kind = tcp.map_or("", |at| field(at + 1));
    format!("{} {} {kind}", field(1), field(2).to_uppercase())
        .trim_end()
        .to_owned()
}

/// A text taken apart at its UUIDs.
pub(crate) struct Split<'a> {
    /// What is around them; one more than they are.
    pub(crate) texts: Vec<&'a str>,
    /// The UUIDs.
    pub(crate) uuids: Vec<&'a str>,
}

pub(crate) fn split(text: &str) -> Split<'_> {
    let mut parts = Split {
        texts: Vec::new(),
        uuids: Vec::new(),
    };
    let (mut from, mut at) = (0, 0);
    while at + UUID <= text.len() {
        if is_uuid(&text.as_bytes()[at..at + UUID]) {
            parts.texts.push(&text[from..at]);
            parts.uuids.push(&text[at..at + UUID]);
            at += UUID;
            from = at;
        } else {
            at += 1;
        }
    }
    parts.texts.push(&text[from..]);
    parts
}

fn is_uuid(bytes: &[u8]) -> bool {
    bytes.iter().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    })
}
