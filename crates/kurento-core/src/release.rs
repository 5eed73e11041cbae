//! How objects end.
//!
//! `release` ends an object for everybody; a session that ends takes its references along, and an
//! object without references ends too. An object takes its children with it, its links are undone
//! (sources that live on say so), its subscriptions end, and the server manager reports it.

use crate::{
    Now, ObjectModel,
    answer::with_session,
    call::{Origin, Outcome, Pending, Then},
    links::Link,
    processing::Processed,
    tree::{Body, MANAGER},
};
use salono_kurento_model::Map;
use salono_media_api::{ElementKey, Op, Token, processing::ProcessorCall};
use std::{collections::BTreeSet, sync::Arc};

/// Whether the server manager reports that an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announce {
    Yes,
    /// Its creation was not reported either.
    No,
}

impl ObjectModel {
    /// `release`: unknown objects are ignored, and the server manager stays. Recorders complete their
    /// files first; then what is returned is to be waited for.
    pub(crate) fn release(
        &mut self,
        session: &Arc<str>,
        id: &str,
        now: Now,
    ) -> Option<(Token, Then)> {
        let object = self.find(session, id).map(|object| object.key).ok()?;
        let writing: Vec<u64> = self
            .tree
            .with_descendants(object)
            .into_iter()
            .filter(|key| self.writes(*key))
            .collect();
        if writing.is_empty() {
            self.destroy(object, now);
            return None;
        }
        let release = self.token();
        let mut waiting = 0;
        for key in writing {
            let outcome = self.ask_processor(key, ProcessorCall::StopAndWait, Then::Confirm);
            if let Outcome::Later(call, _) = outcome {
                self.stops.insert(call, release);
                waiting += 1;
            }
        }
        let writing = waiting;
        Some((release, Then::Release { object, writing }))
    }

    /// One of the recorders that a release waits for has stopped, or cannot.
    pub(crate) fn recorder_stopped(&mut self, release: Token, now: Now) {
        let Some(pending) = self.pending.get_mut(release) else {
            return;
        };
        if let Then::Release { writing, .. } = &mut pending.then {
            *writing = writing.saturating_sub(1);
            if *writing > 0 {
                return;
            }
        }
        if let Some(Pending { origin, then, .. }) = self.pending.remove(release)
            && let Some(object) = then.object()
        {
            self.finish_release(origin, object, now);
        }
    }

    /// Everything is written, or takes too long to be waited for.
    pub(crate) fn finish_release(&mut self, origin: Origin, object: u64, now: Now) {
        self.destroy(object, now);
        let result = with_session(&origin, None);
        self.conclude(origin, Ok(result), now);
    }

    /// Whether an object is a recorder that has something to complete.
    fn writes(&self, key: u64) -> bool {
        let element = self.tree.get(key).and_then(|object| object.element());
        element
            .and_then(|element| element.processed())
            .is_some_and(Processed::writes)
    }

    /// Drops a session's reference to an object and to everything below it.
    pub(crate) fn unreference(&mut self, session: &Arc<str>, key: u64, now: Now) {
        if key == MANAGER {
            self.forget(session, key);
            return;
        }
        for key in self.tree.with_descendants(key) {
            self.forget(session, key);
            let orphaned = self
                .tree
                .get(key)
                .is_some_and(|object| object.sessions.is_empty());
            if orphaned {
                self.destroy(key, now);
            }
        }
    }

    /// `closeSession`: with `release`, what the session references ends for everybody.
    pub(crate) fn close_session(&mut self, session: &Arc<str>, release: bool, now: Now) {
        if release {
            let objects = self
                .sessions
                .get(session)
                .map(|state| state.objects.clone());
            for key in objects.unwrap_or_default() {
                self.destroy(key, now);
            }
        }
        self.drop_session(session, now);
    }

    /// Ends a session: its references and subscriptions go.
    pub(crate) fn drop_session(&mut self, session: &Arc<str>, now: Now) {
        let Some(state) = self.sessions.get(session) else {
            return;
        };
        // The youngest first, so that children end before their parents.
        let objects: Vec<u64> = state.objects.iter().rev().copied().collect();
        for key in objects {
            self.forget(session, key);
            let orphaned = self
                .tree
                .get(key)
                .is_some_and(|object| key != MANAGER && object.sessions.is_empty());
            if orphaned {
                self.destroy(key, now);
            }
        }
        self.sessions.remove(session);
    }

    /// Ends an object and everything below it. The server manager stays.
    pub(crate) fn destroy(&mut self, key: u64, now: Now) {
        self.remove(key, Announce::Yes, now);
    }

    /// Like [`Self::destroy`], also for an element that was never announced.
    pub(crate) fn remove(&mut self, key: u64, announce: Announce, now: Now) {
        if key == MANAGER {
            return;
        }
        let Some(object) = self.tree.get(key) else {
            return;
        };
        let detects = object
            .pipeline
            .filter(|_| matches!(object.body, Body::Speakers(_)));
        let adapts = object
            .parent
            .filter(|_| matches!(object.body, Body::Adaptation(_)));
        match &object.body {
            Body::Pipeline { .. } => {
                // Nothing that ends with them is missing from their files.
                for recorder in self.tree.with_descendants(key) {
                    if self.writes(recorder) {
                        let element = ElementKey(recorder);
                        self.order(key, Op::Release { element });
                    }
                }
                self.order(key, Op::ReleasePipeline);
            }
            Body::Element(_) => {
                if let Some(pipeline) = object.pipeline {
                    let element = ElementKey(key);
                    self.order(pipeline, Op::Release { element });
                }
            }
            Body::Hub(hub) => {
                let mixes = hub.mixes();
                if let Some(pipeline) = object.pipeline {
                    for port in object.children.clone() {
                        let element = ElementKey(port);
                        self.order(pipeline, Op::Release { element });
                    }
                    if mixes {
                        let element = ElementKey(key);
                        self.order(pipeline, Op::Release { element });
                    }
                }
            }
            Body::Manager | Body::Speakers(_) | Body::Adaptation(_) => {}
        }
        if let Some(parent) = self.tree.get(key).and_then(|object| object.parent) {
            self.forget_port(parent, key);
        }
        let dying = self.tree.with_descendants(key);
        let all: BTreeSet<u64> = dying.iter().copied().collect();
        for key in dying {
            self.unlink(key, &all, now);
            self.forget_upload(key);
            let Some(object) = self.tree.remove(key) else {
                continue;
            };
            for session in &object.sessions {
                if let Some(state) = self.sessions.get_mut(session) {
                    state.objects.remove(&key);
                }
            }
            for ((_, session), subscriptions) in &object.handlers {
                if let Some(state) = self.sessions.get_mut(session) {
                    state.subscriptions = state.subscriptions.saturating_sub(subscriptions.len());
                }
            }
            tracing::debug!(object = %object.id, "destroyed");
            if announce == Announce::No {
                continue;
            }
            let data = Map::from_iter([("objectId".to_owned(), object.id.as_ref().into())]);
            self.raise_later(MANAGER, "ObjectDestroyed", data, now);
        }
        if let Some(pipeline) = detects {
            self.order_detection(pipeline);
        }
        if let Some(endpoint) = adapts {
            self.order_wish(endpoint);
        }
    }

    /// Undoes the links of an element that ends; the engine does so by itself.
    fn unlink(&mut self, key: u64, dying: &BTreeSet<u64>, now: Now) {
        let mut links = self.links.sources_of(key);
        links.extend(self.links.sinks_of(key));
        for link in links {
            if self.links.disconnect(&link) && !dying.contains(&link.source.element) {
                let data = self.link_event(&link);
                self.raise_later(link.source.element, "ElementDisconnected", data, now);
            }
        }
    }

    /// Members of the events about a link.
    pub(crate) fn link_event(&self, link: &Link) -> Map<String, salono_kurento_model::Value> {
        let sink = self.tree.get(link.sink.element);
        Map::from_iter([
            (
                "sink".to_owned(),
                sink.map(|object| object.id.as_ref()).into(),
            ),
            (
                "mediaType".to_owned(),
                crate::call::media_type(link.sink.kind).into(),
            ),
            (
                "sourceMediaDescription".to_owned(),
                link.source.description.as_str().into(),
            ),
            (
                "sinkMediaDescription".to_owned(),
                link.sink.description.as_str().into(),
            ),
        ])
    }

    /// Takes a session's reference to one object and its subscriptions there away.
    fn forget(&mut self, session: &Arc<str>, key: u64) {
        let mut ended = 0;
        if let Some(object) = self.tree.get_mut(key) {
            object.sessions.remove(session);
            object.handlers.retain(|(_, owner), subscriptions| {
                let keep = owner != session;
                if !keep {
                    ended += subscriptions.len();
                }
                keep
            });
        }
        if let Some(state) = self.sessions.get_mut(session) {
            state.objects.remove(&key);
            state.subscriptions = state.subscriptions.saturating_sub(ended);
        }
        if ended > 0 {
            self.listeners_changed(key);
        }
    }
}
