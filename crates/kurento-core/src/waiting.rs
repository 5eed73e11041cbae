//! Requests that wait for the media engine or the host, by token and by deadline.

use crate::{ConnectionKey, call::Pending};
use salono_media_api::Token;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    by_token: BTreeMap<Token, Pending>,
    by_deadline: BTreeSet<(Instant, Token)>,
}

impl Waiting {
    pub(crate) fn insert(&mut self, token: Token, pending: Pending) {
        self.by_deadline.insert((pending.deadline, token));
        self.by_token.insert(token, pending);
    }

    /// Takes out what waits for this token.
    pub(crate) fn remove(&mut self, token: Token) -> Option<Pending> {
        let pending = self.by_token.remove(&token)?;
        self.by_deadline.remove(&(pending.deadline, token));
        Some(pending)
    }

    pub(crate) fn get_mut(&mut self, token: Token) -> Option<&mut Pending> {
        self.by_token.get_mut(&token)
    }

    /// When the first one is given up.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.by_deadline.first().map(|(deadline, _)| *deadline)
    }

    /// Takes out one whose deadline has passed.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Pending> {
        let (deadline, token) = *self.by_deadline.first()?;
        if deadline > now {
            return None;
        }
        self.remove(token)
    }

    /// Requests of a connection, operations of its transactions not counted.
    pub(crate) fn requests_of(&self, connection: ConnectionKey) -> usize {
        let pending = self.by_token.values();
        pending
            .filter(|it| it.origin.connection == connection && !it.origin.step)
            .count()
    }

    /// Forgets operations of a connection's transactions.
    pub(crate) fn forget_steps(&mut self, connection: ConnectionKey) {
        let steps: Vec<Token> = self
            .by_token
            .iter()
            .filter(|(_, it)| it.origin.connection == connection && it.origin.step)
            .map(|(token, _)| *token)
            .collect();
        for token in steps {
            self.remove(token);
        }
    }
}
