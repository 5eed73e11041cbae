//! Which typed stream gets which event.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use salono_kurento_model::wire::Notification;

use crate::event::{OBJECT_EVENTS, Route};

/// An event of an object.
type Key = (Arc<str>, &'static str);

/// The end of a subscription: object and, if the server has answered it, the subscription's id.
pub(super) type Ended = (Arc<str>, Option<String>);

/// Typed streams by object and event.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Streams in the order in which they were asked for. Two of one event share a subscription's
    /// events: the server sends them once.
    by_event: BTreeMap<Key, Vec<Route>>,
    /// Where each stream stands, by number.
    keys: BTreeMap<u64, Key>,
    /// Events that came while a transaction creates objects whose ids are not known; the oldest
    /// go first beyond [`OBJECT_EVENTS`].
    held: VecDeque<Arc<Notification>>,
}

impl Routes {
    pub(super) fn insert(&mut self, object: Arc<str>, event: &'static str, route: Route) {
        let key = (object, event);
        self.keys.insert(route.id, key.clone());
        self.by_event.entry(key).or_default().push(route);
    }

    /// The server has answered a subscription; `false` when nobody reads the stream any more.
    pub(super) fn subscribed(&mut self, id: u64, subscription: &str) -> bool {
        let routes = self
            .keys
            .get(&id)
            .and_then(|key| self.by_event.get_mut(key));
        let route = routes.and_then(|routes| routes.iter_mut().find(|route| route.id == id));
        route.is_some_and(|route| {
            route.subscription = Some(subscription.to_owned());
            !route.is_closed()
        })
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Ended> {
        let key = self.keys.remove(&id)?;
        let routes = self.by_event.get_mut(&key)?;
        let at = routes.iter().position(|route| route.id == id)?;
        let route = routes.remove(at);
        if routes.is_empty() {
            self.by_event.remove(&key);
        }
        Some((key.0, route.subscription))
    }

    /// The object and its children are gone: their streams end.
    pub(super) fn forget(&mut self, object: &str) {
        let keys = &mut self.keys;
        self.by_event.retain(|(routed, _), routes| {
            let rest = routed.strip_prefix(object);
            let gone = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
            if gone {
                for route in routes {
                    keys.remove(&route.id);
                }
            }
            !gone
        });
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Hands an event to its streams; answers the streams that nobody reads any more.
    pub(super) fn deliver(&self, event: &Arc<Notification>) -> Vec<u64> {
        let mut closed = Vec::new();
        // Event names come from the generated types; the wire's text only selects among them.
        let of_object = self
            .by_event
            .range((Arc::from(event.object.as_str()), "")..)
            .take_while(|((object, _), _)| **object == *event.object);
        for (_, routes) in of_object.filter(|((_, name), _)| **name == *event.event) {
            let unread = routes.iter().filter(|route| !route.deliver(event));
            closed.extend(unread.map(|route| route.id));
        }
        closed
    }

    /// Streams that nobody reads any more.
    pub(super) fn closed(&self) -> Vec<u64> {
        let routes = self.by_event.values().flatten();
        let closed = routes.filter(|route| route.is_closed());
        closed.map(|route| route.id).collect()
    }

    /// Keeps an event for a stream whose object's id is not known yet.
    pub(super) fn hold(&mut self, event: Arc<Notification>) {
        if self.held.len() == OBJECT_EVENTS {
            self.held.pop_front();
        }
        self.held.push_back(event);
    }

    /// Adds the stream of an object that a transaction created, with what it missed.
    pub(super) fn insert_late(&mut self, object: Arc<str>, event: &'static str, route: Route) {
        for held in &self.held {
            if *held.object == *object && *held.event == *event {
                // A stream that nobody reads is found out when it stands in the table.
                let _ = route.deliver(held);
            }
        }
        self.insert(object, event, route);
    }

    /// No transaction is under way any more.
    pub(super) fn drop_held(&mut self) {
        self.held.clear();
    }
}
