//! Sessions: who references what, who listens on which connection, who has gone away.
//!
//! A session *exists* once it references an object. Its subscriptions and references belong to it,
//! not to a connection. One session has at most one connection and the other way round; the newest
//! connection that uses a session takes it over.

use crate::ConnectionKey;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Longest session id that a client may invent, in bytes; a longer one is no session.
pub(crate) const MAX_SESSION_ID_BYTES: usize = 256;

/// A session that exists.
#[derive(Debug, Default)]
pub(crate) struct Session {
    /// Keys of the objects that it references.
    pub(crate) objects: BTreeSet<u64>,
    /// Used since the last collection.
    pub(crate) in_use: bool,
    /// Live subscriptions.
    pub(crate) subscriptions: usize,
}

/// All sessions and their connections.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    existing: BTreeMap<Arc<str>, Session>,
    /// The connection that hears a session's events.
    listeners: BTreeMap<Arc<str>, ConnectionKey>,
    /// The session that a connection used last.
    remembered: BTreeMap<ConnectionKey, Arc<str>>,
}

impl Sessions {
    /// The session that the connection used last.
    pub(crate) fn remembered(&self, connection: ConnectionKey) -> Option<Arc<str>> {
        self.remembered.get(&connection).cloned()
    }

    /// The connection that hears a session's events.
    pub(crate) fn listener(&self, session: &str) -> Option<ConnectionKey> {
        self.listeners.get(session).copied()
    }

    /// Binds a session to a connection; both lose what they were bound to.
    pub(crate) fn associate(&mut self, connection: ConnectionKey, session: &Arc<str>) {
        if let Some(before) = self.remembered.insert(connection, session.clone())
            && before != *session
        {
            self.listeners.remove(&before);
        }
        if let Some(before) = self.listeners.insert(session.clone(), connection)
            && before != connection
        {
            self.remembered.remove(&before);
        }
        self.mark(session);
    }

    /// Forgets a connection; its session stays.
    pub(crate) fn disconnect(&mut self, connection: ConnectionKey) {
        if let Some(session) = self.remembered.remove(&connection) {
            self.listeners.remove(&session);
        }
    }

    pub(crate) fn exists(&self, session: &str) -> bool {
        self.existing.contains_key(session)
    }

    pub(crate) fn get(&self, session: &str) -> Option<&Session> {
        self.existing.get(session)
    }

    pub(crate) fn get_mut(&mut self, session: &str) -> Option<&mut Session> {
        self.existing.get_mut(session)
    }

    /// The session, which exists from now on.
    pub(crate) fn entry(&mut self, session: &Arc<str>) -> &mut Session {
        self.existing.entry(session.clone()).or_default()
    }

    pub(crate) fn remove(&mut self, session: &str) -> Option<Session> {
        self.existing.remove(session)
    }

    pub(crate) fn len(&self) -> usize {
        self.existing.len()
    }

    /// Ids of the sessions that exist, in order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.existing.keys()
    }

    /// Notes that a session is in use; does nothing for one that does not exist.
    pub(crate) fn mark(&mut self, session: &str) {
        if let Some(session) = self.existing.get_mut(session) {
            session.in_use = true;
        }
    }

    /// Marks every session that has a connection.
    pub(crate) fn mark_connected(&mut self) {
        for session in self.listeners.keys() {
            if let Some(session) = self.existing.get_mut(session) {
                session.in_use = true;
            }
        }
    }

    /// Takes the marks away and returns the sessions that had none.
    pub(crate) fn sweep(&mut self) -> Vec<Arc<str>> {
        let mut idle = Vec::new();
        for (id, session) in &mut self.existing {
            if !std::mem::take(&mut session.in_use) {
                idle.push(id.clone());
            }
        }
        idle
    }
}
