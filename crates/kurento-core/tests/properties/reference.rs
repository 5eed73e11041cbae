//! What the object tree should be, in plain sets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Id of the object that always exists.
pub(crate) const MANAGER: &str = "manager_ServerManager";

/// An event that a client should hear: where, of whom, which, about what.
pub(crate) type Heard = (u64, String, String, String);

/// A media object.
#[derive(Default)]
struct Node {
    /// Creation order.
    order: u64,
    parent: Option<String>,
    sessions: BTreeSet<String>,
    /// Subscriptions by event and session.
    subscriptions: BTreeMap<(String, String), BTreeSet<String>>,
}

/// A link: source, kind, sink.
type Link = (String, String, String);

/// The whole state.
pub(crate) struct Reference {
    created: u64,
    nodes: BTreeMap<String, Node>,
    /// Sessions that exist, and whether they were used since the last collection.
    sessions: BTreeMap<String, bool>,
    remembered: BTreeMap<u64, String>,
    listeners: BTreeMap<String, u64>,
    links: BTreeSet<Link>,
    period: Duration,
    next_mark: Duration,
    next_collection: Duration,
    /// Since the last step.
    pub(crate) heard: Vec<Heard>,
}

impl Reference {
    pub(crate) fn new(period: Duration) -> Self {
        Self {
            created: 0,
            nodes: BTreeMap::from([(MANAGER.to_owned(), Node::default())]),
            sessions: BTreeMap::new(),
            remembered: BTreeMap::new(),
            listeners: BTreeMap::new(),
            links: BTreeSet::new(),
            period,
            next_mark: period / 4,
            next_collection: period,
            heard: Vec::new(),
        }
    }

    pub(crate) fn objects(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(crate) fn sessions(&self) -> usize {
        self.sessions.len()
    }

    pub(crate) fn is_alive(&self, object: &str) -> bool {
        self.nodes.contains_key(object)
    }

    pub(crate) fn exists(&self, session: &str) -> bool {
        self.sessions.contains_key(session)
    }

    pub(crate) fn remembered(&self, connection: u64) -> Option<String> {
        self.remembered.get(&connection).cloned()
    }

    pub(crate) fn children(&self, object: &str) -> BTreeSet<String> {
        let child = |(_, node): &(&String, &Node)| node.parent.as_deref() == Some(object);
        let children = self.nodes.iter().filter(child);
        children.map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn share_pipeline(&self, a: &str, b: &str) -> bool {
        let parent = |id: &str| self.nodes.get(id).and_then(|node| node.parent.clone());
        parent(a).is_some() && parent(a) == parent(b)
    }

    /// A connection got an answer that names a session.
    pub(crate) fn associate(&mut self, connection: u64, session: &str) {
        if let Some(before) = self.remembered.insert(connection, session.to_owned())
            && before != session
        {
            self.listeners.remove(&before);
        }
        if let Some(before) = self.listeners.insert(session.to_owned(), connection)
            && before != connection
        {
            self.remembered.remove(&before);
        }
        self.mark(session);
    }

    pub(crate) fn disconnect(&mut self, connection: u64) {
        if let Some(session) = self.remembered.remove(&connection) {
            self.listeners.remove(&session);
        }
    }

    pub(crate) fn mark(&mut self, session: &str) {
        if let Some(in_use) = self.sessions.get_mut(session) {
            *in_use = true;
        }
    }

    pub(crate) fn create(&mut self, session: &str, object: &str, parent: Option<&str>) {
        self.created += 1;
        let node = Node {
            order: self.created,
            parent: parent.map(str::to_owned),
            ..Node::default()
        };
        let others = parent.map(|parent| self.nodes[parent].sessions.clone());
        self.nodes.insert(object.to_owned(), node);
        self.refer(session, object);
        for other in others.unwrap_or_default() {
            self.refer(&other, object);
        }
        self.raise(MANAGER, "ObjectCreated", object);
    }

    /// A session uses an object, and everything above it.
    pub(crate) fn refer(&mut self, session: &str, object: &str) {
        self.sessions.insert(session.to_owned(), true);
        let mut next = Some(object.to_owned());
        while let Some(id) = next {
            let node = self.nodes.get_mut(&id).unwrap();
            node.sessions.insert(session.to_owned());
            next = node.parent.clone();
        }
    }

    pub(crate) fn subscribe(&mut self, session: &str, object: &str, event: &str, id: &str) {
        self.refer(session, object);
        let node = self.nodes.get_mut(object).unwrap();
        let key = (event.to_owned(), session.to_owned());
        node.subscriptions
            .entry(key)
            .or_default()
            .insert(id.to_owned());
    }

    pub(crate) fn unsubscribe(&mut self, session: &str, object: &str, id: &str) {
        if let Some(node) = self.nodes.get_mut(object) {
            node.subscriptions.retain(|(_, owner), ids| {
                if owner == session {
                    ids.remove(id);
                }
                !ids.is_empty()
            });
        }
    }

    pub(crate) fn connect(&mut self, source: &str, kind: &str, sink: &str) {
        let replaced = self
            .links
            .iter()
            .find(|(_, of, to)| of == kind && to == sink)
            .cloned();
        if let Some(link) = replaced {
            self.links.remove(&link);
            if link.0 != source {
                self.raise(&link.0, "ElementDisconnected", sink);
            }
        }
        self.links
            .insert((source.to_owned(), kind.to_owned(), sink.to_owned()));
        self.raise(source, "ElementConnected", sink);
    }

    pub(crate) fn unlink(&mut self, source: &str, kind: &str, sink: &str) {
        self.links
            .remove(&(source.to_owned(), kind.to_owned(), sink.to_owned()));
        self.raise(source, "ElementDisconnected", sink);
    }

    /// Takes one session's reference to an object and to everything below it.
    pub(crate) fn unrefer(&mut self, session: &str, object: &str) {
        let mut all = self.children(object);
        all.insert(object.to_owned());
        if object == MANAGER {
            all = BTreeSet::from([MANAGER.to_owned()]);
        }
        for id in self.youngest_first(all) {
            self.forget(session, &id);
        }
    }

    pub(crate) fn release(&mut self, object: &str) {
        if object == MANAGER || !self.is_alive(object) {
            return;
        }
        let mut dying = self.children(object);
        dying.insert(object.to_owned());
        for id in self.youngest_first(dying.clone()) {
            let links: Vec<Link> = self
                .links
                .iter()
                .filter(|(source, _, sink)| *source == id || *sink == id)
                .cloned()
                .collect();
            for link in links {
                self.links.remove(&link);
                if !dying.contains(&link.0) {
                    self.raise(&link.0, "ElementDisconnected", &link.2);
                }
            }
            self.nodes.remove(&id);
            self.raise(MANAGER, "ObjectDestroyed", &id);
        }
    }

    pub(crate) fn close_session(&mut self, session: &str, release: bool) {
        if release && self.exists(session) {
            for id in self.referenced(session) {
                self.release(&id);
            }
        }
        self.drop_session(session);
    }

    /// Time passes; marks and collections happen when they are due, marks first.
    pub(crate) fn pass(&mut self, until: Duration) {
        loop {
            let due = self.next_mark.min(self.next_collection);
            if due > until {
                return;
            }
            if due == self.next_mark {
                self.next_mark += self.period / 4;
                let connected: Vec<String> = self.listeners.keys().cloned().collect();
                for session in connected {
                    self.mark(&session);
                }
            }
            if due == self.next_collection {
                self.next_collection += self.period;
                let idle = self.sessions.iter().filter(|(_, in_use)| !**in_use);
                let idle: Vec<String> = idle.map(|(session, _)| session.clone()).collect();
                for in_use in self.sessions.values_mut() {
                    *in_use = false;
                }
                for session in idle {
                    self.drop_session(&session);
                }
            }
        }
    }

    fn drop_session(&mut self, session: &str) {
        if self.sessions.contains_key(session) {
            let all = self.referenced(session).into_iter().collect();
            for id in self.youngest_first(all) {
                self.forget(session, &id);
            }
            self.sessions.remove(session);
        }
    }

    /// Takes one reference; the last one takes the object along.
    fn forget(&mut self, session: &str, object: &str) {
        let Some(node) = self.nodes.get_mut(object) else {
            return;
        };
        node.sessions.remove(session);
        node.subscriptions.retain(|(_, owner), _| owner != session);
        if node.sessions.is_empty() {
            self.release(object);
        }
    }

    /// Oldest first.
    fn referenced(&self, session: &str) -> Vec<String> {
        let mine = |(_, node): &(&String, &Node)| node.sessions.contains(session);
        let mut mine: Vec<(u64, &String)> = self
            .nodes
            .iter()
            .filter(mine)
            .map(|(id, node)| (node.order, id))
            .collect();
        mine.sort_unstable();
        mine.into_iter().map(|(_, id)| id.clone()).collect()
    }

    fn youngest_first(&self, ids: BTreeSet<String>) -> Vec<String> {
        let mut ids: Vec<String> = ids.into_iter().collect();
        ids.sort_by_key(|id| std::cmp::Reverse(self.nodes.get(id).map_or(0, |node| node.order)));
        ids
    }

    /// One notification for each session that listens, however many subscriptions it has.
    fn raise(&mut self, object: &str, event: &str, about: &str) {
        let Some(node) = self.nodes.get(object) else {
            return;
        };
        let subscribed = node.subscriptions.keys().filter(|(name, _)| name == event);
        for (_, session) in subscribed {
            if let Some(connection) = self.listeners.get(session) {
                let heard = (
                    *connection,
                    object.to_owned(),
                    event.to_owned(),
                    about.to_owned(),
                );
                self.heard.push(heard);
            }
        }
    }
}
