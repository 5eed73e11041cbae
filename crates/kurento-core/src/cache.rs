//! Duplicate suppression: answers of the last seconds, by session and request identifier.
//!
//! A client that lost its connection repeats its request; it must not be carried out twice. The key
//! is the session and the identifier as text, whatever the method is (Kurento does the same).
//!
//! Most answers are never asked for again, so they are kept as text, which takes a tenth of what the
//! values take, and of each session only as many as a client may have under way.

use crate::call::Origin;
use salono_kurento_model::{Error, Value};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

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
    Running {
        repetitions: Vec<Origin>,
    },
    /// A value as JSON.
    Done(Result<Box<str>, Box<Error>>),
}

/// Repetitions of one running request that are remembered; more are dropped unanswered, like
/// frames that the client gave up on.
const MAX_REPETITIONS: usize = 8;
/// Answers of one session that are kept; at the cap its oldest goes. What a client repeats are the
/// requests that it had under way when its connection broke.
const MAX_PER_SESSION: usize = 256;

/// What is known of one session.
#[derive(Debug, Default)]
struct Replies {
    /// By identifier as text.
    entries: BTreeMap<Box<str>, Entry>,
    /// Answers, oldest first, with the numbers that `expiry` has them by.
    order: VecDeque<(u64, Box<str>)>,
}

/// Bounded by the number of answers and by the bytes of each.
#[derive(Debug)]
pub(crate) struct ReplyCache {
    lifetime: Duration,
    capacity: usize,
    sessions: BTreeMap<Arc<str>, Replies>,
    /// When answers must go, the oldest first, by their numbers; some are gone before.
    expiry: VecDeque<(Instant, u64, Arc<str>)>,
    next: u64,
}

impl Replies {
    fn drop_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front()
            && matches!(self.entries.get(&id), Some(Entry::Done(_)))
        {
            self.entries.remove(&id);
        }
    }
}

impl ReplyCache {
    pub(crate) fn new(lifetime: Duration, capacity: usize) -> Self {
        Self {
            lifetime,
            capacity,
            sessions: BTreeMap::new(),
            expiry: VecDeque::new(),
            next: 0,
        }
    }

    /// Looks a request up; one that is running remembers `origin`.
    pub(crate) fn look_up(&mut self, session: &Arc<str>, id: &Value, origin: &Origin) -> Seen {
        let entry = self
            .sessions
            .get_mut(session)
            .and_then(|replies| replies.entries.get_mut(id_text(id).as_str()));
        match entry {
            None => Seen::No,
            Some(Entry::Done(Ok(text))) => {
                // What was written here can be read.
                Seen::Answered(Ok(text.parse().unwrap_or_default()))
            }
            Some(Entry::Done(Err(error))) => Seen::Answered(Err(Error::clone(error))),
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
            let replies = self.sessions.entry(session.clone()).or_default();
            replies.entries.insert(id_text(id).into(), entry);
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
        let replies = self.sessions.entry(session.clone()).or_default();
        let id: Box<str> = id_text(id).into();
        let before = if keep {
            let number = self.next;
            self.next += 1;
            self.expiry
                .push_back((now + self.lifetime, number, session.clone()));
            replies.order.push_back((number, id.clone()));
            let result = result.as_ref();
            let result = result.map(|value| value.to_string().into());
            let result = result.map_err(|error| Box::new(error.clone()));
            let before = replies.entries.insert(id, Entry::Done(result));
            if replies.order.len() > MAX_PER_SESSION {
                replies.drop_oldest();
            }
            before
        } else {
            replies.entries.remove(&id)
        };
        if replies.entries.is_empty() {
            self.sessions.remove(session);
        }
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
        while self.expiry.front().is_some_and(|(when, ..)| *when <= now) {
            self.drop_oldest();
        }
    }

    /// When the oldest answer must go.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.expiry.front().map(|(when, ..)| *when)
    }

    fn enabled(&self) -> bool {
        !self.lifetime.is_zero() && self.capacity > 0
    }

    fn drop_oldest(&mut self) {
        let Some((_, number, session)) = self.expiry.pop_front() else {
            return;
        };
        let Some(replies) = self.sessions.get_mut(&session) else {
            return;
        };
        if replies.order.front().is_some_and(|(it, _)| *it == number) {
            replies.drop_oldest();
            if replies.entries.is_empty() {
                self.sessions.remove(&session);
            }
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

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;
    use crate::ConnectionKey;
    use salono_kurento_model::ErrorCode;

    const LIFETIME: Duration = Duration::from_secs(20);

    fn answered(cache: &mut ReplyCache, session: &Arc<str>, id: usize) -> bool {
        let origin = Origin {
            connection: ConnectionKey(1),
            session: Some(session.clone()),
            id: Some(id.into()),
            step: false,
        };
        match cache.look_up(session, &id.into(), &origin) {
            Seen::Answered(Ok(value)) => {
                assert_eq!(value, Value::from(format!("answer {id} \u{1F600}")));
                true
            }
            Seen::Answered(Err(error)) => panic!("{error:?}"),
            Seen::No => false,
            Seen::InProgress => panic!("it was answered"),
        }
    }

    fn answer(cache: &mut ReplyCache, session: &Arc<str>, id: usize, now: Instant) {
        cache.start(session, &id.into());
        let result = Ok(Value::from(format!("answer {id} \u{1F600}")));
        cache.finish(session, &id.into(), &result, true, now);
    }

    #[test]
    fn a_busy_session_keeps_its_newest_answers_and_those_of_others() {
        let mut cache = ReplyCache::new(LIFETIME, 8_192);
        let now = Instant::now();
        let (busy, quiet): (Arc<str>, Arc<str>) = ("busy".into(), "quiet".into());
        answer(&mut cache, &quiet, 7, now);
        for id in 0..1_000 {
            answer(&mut cache, &busy, id, now);
        }
        assert!(answered(&mut cache, &quiet, 7));
        let kept = (0..1_000).filter(|id| answered(&mut cache, &busy, *id));
        assert_eq!(
            kept.collect::<Vec<_>>(),
            (1_000 - MAX_PER_SESSION..1_000).collect::<Vec<_>>()
        );
        cache.expire(now + LIFETIME);
        assert!(!answered(&mut cache, &quiet, 7) && !answered(&mut cache, &busy, 999));
        assert!(cache.sessions.is_empty() && cache.expiry.is_empty());
    }

    #[test]
    fn at_the_cap_the_oldest_of_all_goes() {
        let mut cache = ReplyCache::new(LIFETIME, 3);
        let now = Instant::now();
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        for (session, id) in [(&one, 1), (&two, 1), (&one, 2), (&two, 2)] {
            answer(&mut cache, session, id, now);
        }
        assert!(!answered(&mut cache, &one, 1));
        for (session, id) in [(&two, 1), (&one, 2), (&two, 2)] {
            assert!(answered(&mut cache, session, id));
        }
    }

    #[test]
    fn an_error_is_kept_as_it_was() {
        let mut cache = ReplyCache::new(LIFETIME, 3);
        let now = Instant::now();
        let session: Arc<str> = "one".into();
        let error = Error::new(ErrorCode::NotEnoughResources, "no more");
        cache.finish(&session, &1.into(), &Err(error.clone()), true, now);
        let origin = Origin {
            connection: ConnectionKey(1),
            session: Some(session.clone()),
            id: Some(1.into()),
            step: false,
        };
        let Seen::Answered(Err(kept)) = cache.look_up(&session, &1.into(), &origin) else {
            panic!("it was answered");
        };
        assert_eq!(kept, error);
    }
}
