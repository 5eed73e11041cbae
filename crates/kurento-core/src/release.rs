//! How objects end.
//!
//! `release` ends an object for everybody; a session that ends takes its references along, and an
//! object without references ends too. An object takes its children with it, its links are undone
//! (sources that live on say so), its subscriptions end, and the server manager reports it.

use crate::{
    Now, ObjectModel,
    links::Link,
    tree::{Body, MANAGER},
};
use salono_kurento_model::Map;
use salono_media_api::{ElementKey, Op};
use std::{collections::BTreeSet, sync::Arc};

/// Whether the server manager reports that an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Announce {
    Yes,
    /// Its creation was not reported either.
    No,
}

impl ObjectModel {
    /// `release`: unknown objects are ignored, and the server manager stays.
    pub(crate) fn release(&mut self, session: &Arc<str>, id: &str, now: Now) {
        if let Ok(key) = self.find(session, id).map(|object| object.key) {
            self.destroy(key, now);
        }
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
        match &object.body {
            Body::Pipeline { .. } => self.order(key, Op::ReleasePipeline),
            Body::Element(_) => {
                if let Some(pipeline) = object.pipeline {
                    let element = ElementKey(key);
                    self.order(pipeline, Op::Release { element });
                }
            }
            Body::Hub(_) => {
                if let Some(pipeline) = object.pipeline {
                    for port in object.children.clone() {
                        let element = ElementKey(port);
                        self.order(pipeline, Op::Release { element });
                    }
                }
            }
            Body::Manager | Body::Speakers(_) => {}
        }
        if let Some(parent) = self.tree.get(key).and_then(|object| object.parent) {
            self.forget_port(parent, key);
        }
        let dying = self.tree.with_descendants(key);
        let all: BTreeSet<u64> = dying.iter().copied().collect();
        for key in dying {
            self.unlink(key, &all, now);
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
