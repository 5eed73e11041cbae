//! Duplicate suppression: answers of the last seconds, by session and request identifier.
//!
//! A client that lost its connection repeats its request; it must not be carried out twice. The key
//! is the session and the identifier as text, whatever the method is (Kurento does the same).

use crate::call::Origin;
use salono_kurento_model::{Error, Value};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

/// Session and request identifier as text.
type Key = (Arc<str>, String);

/// What is known about a request that comes again.
#[derive(Debug)]
pub(crate) enum Seen {
    /// Never seen.
    No,
    /// Its answer.
    Answered(Result<Value, Error>),
    /// It is being carried out; the repetition will be answered together with it.
    InProgress,
}

#[derive(Debug)]
enum Entry {
    Running { repetitions: Vec<Origin> },
    Done(Result<Value, Error>),
}

/// Repetitions of one running request that are remembered; more are dropped unanswered, like
/// frames that the client gave up on.
const MAX_REPETITIONS: usize = 8;

/// Bounded by the number of answers and by the bytes of each.
#[derive(Debug)]
pub(crate) struct ReplyCache {
    lifetime: Duration,
    capacity: usize,
    entries: BTreeMap<Key, Entry>,
    /// Keys of answers, oldest first.
    expiry: VecDeque<(Instant, Key)>,
}

impl ReplyCache {
    pub(crate) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            lifetime,
            capacity,
            entries: BTreeMap::new(),
            expiry: VecDeque::new(),
        }
    }

    /// Looks a request up; one that is running remembers `origin`.
    pub(crate) fn look_up(&mut self, session: &Arc<str>, id: &Value, origin: &Origin) -> Seen {
        match self.entries.get_mut(&(session.clone(), id_text(id))) {
            None => Seen::No,
            Some(Entry::Done(result)) => Seen::Answered(result.clone()),
            Some(Entry::Running { repetitions }) => {
                if repetitions.len() < MAX_REPETITIONS {
                    repetitions.push(origin.clone());
                }
                Seen::InProgress
            }
        }
    }

    /// Notes that a request is being carried out.
    pub(crate) fn start(&mut self, session: &Arc<str>, id: &Value) {
        if self.enabled() {
            let entry = Entry::Running {
                repetitions: Vec::new(),
            };
            self.entries.insert((session.clone(), id_text(id)), entry);
        }
    }

    /// Keeps an answer, unless `keep` is false; returns who else waits for it.
    pub(crate) fn finish(
        &mut self,
        session: &Arc<str>,
        id: &Value,
        result: &Result<Value, Error>,
        keep: bool,
        now: Instant,
    ) -> Vec<Origin> {
        if !self.enabled() {
            return Vec::new();
        }
        let key = (session.clone(), id_text(id));
        let before = if keep {
            self.expiry.push_back((now + self.lifetime, key.clone()));
            self.entries.insert(key, Entry::Done(result.clone()))
        } else {
            self.entries.remove(&key)
        };
        while self.expiry.len() > self.capacity {
            self.drop_oldest();
        }
        match before {
            Some(Entry::Running { repetitions }) => repetitions,
            Some(Entry::Done(_)) | None => Vec::new(),
        }
    }

    /// Drops answers that are too old.
    pub(crate) fn expire(&mut self, now: Instant) {
        while self.expiry.front().is_some_and(|(when, _)| *when <= now) {
            self.drop_oldest();
        }
    }

    /// When the oldest answer must go.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.front().map(|(when, _)| *when)
    }

    fn enabled(&self) -> bool {
        !self.lifetime.is_zero() && self.capacity > 0
    }

    fn drop_oldest(&mut self) {
        if let Some((_, key)) = self.expiry.pop_front()
            && matches!(self.entries.get(&key), Some(Entry::Done(_)))
        {
            self.entries.remove(&key);
        }
    }
}

/// Identifiers count as equal when their texts are: `1` is `"1"`.
fn id_text(id: &Value) -> String {
    match id {
        Value::String(text) => text.clone(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            id.to_string()
        }
    }
}
