//! Requests on their way to the driver, and what they depend on.

use salono_kurento_model::{Map, Value, wire::Request};
use serde::Serialize;

use crate::{Error, RemoteObject};

/// Where an object that a request names comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It outlives sessions, or nobody vouches for it.
    Anywhere,
    /// The session with this number; a client counts the sessions that it loses.
    Session(u64),
    /// The transaction with this number, which was not carried out so far.
    Transaction(u64),
}

/// What the objects that a request names depend on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uses {
    /// The oldest session of theirs.
    pub(crate) epoch: Option<u64>,
    transactions: Vec<u64>,
}

impl Uses {
    pub(crate) fn note(&mut self, origin: Origin) {
        match origin {
            Origin::Anywhere => {}
            Origin::Session(epoch) => {
                self.epoch = Some(self.epoch.map_or(epoch, |oldest| oldest.min(epoch)));
            }
            Origin::Transaction(number) => self.transactions.push(number),
        }
    }

    pub(crate) fn merge(&mut self, other: Self) {
        if let Some(epoch) = other.epoch {
            self.note(Origin::Session(epoch));
        }
        self.transactions.extend(other.transactions);
    }

    /// Whether every object that does not exist yet is created by this transaction.
    pub(crate) fn only_of(&self, transaction: u64) -> bool {
        self.transactions.iter().all(|other| *other == transaction)
    }

    /// For requests outside of transactions: all objects must exist.
    pub(crate) fn settled(&self) -> Result<(), Error> {
        if self.transactions.is_empty() {
            Ok(())
        } else {
            Err(Error::Uncommitted)
        }
    }
}

/// A request and what it depends on.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) request: Request,
    pub(crate) uses: Uses,
}

impl Plan {
    /// A request that names one object.
    pub(crate) fn of(request: Request, origin: Origin) -> Self {
        let mut uses = Uses::default();
        uses.note(origin);
        Self { request, uses }
    }
}

impl From<Request> for Plan {
    fn from(request: Request) -> Self {
        Self::of(request, Origin::Anywhere)
    }
}

/// Parameters of a request, for generated handles.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// `None` leaves the member out, as Kurento's own clients do for accessors of properties.
    params: Option<Map<String, Value>>,
    uses: Uses,
}

impl Args {
    /// Parameters that are sent even if there are none of them.
    #[must_use]
    pub fn new() -> Self {
        Self {
            params: Some(Map::new()),
            uses: Uses::default(),
        }
    }

    /// No parameters at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Parameters, left out if there are none of them.
    pub(crate) fn some(params: Map<String, Value>) -> Self {
        Self {
            params: (!params.is_empty()).then_some(params),
            uses: Uses::default(),
        }
    }

    /// Adds a parameter.
    ///
    /// # Panics
    /// When the value has no form in JSON, as maps without text keys.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value)
            .expect("parameters are texts, numbers, lists and structs of those");
        let params = self.params.get_or_insert_default();
        params.insert(name.to_owned(), value);
        self
    }

    /// Adds a parameter that is there.
    #[must_use]
    pub fn maybe(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Objects are named by their ids.
    #[must_use]
    pub fn object(mut self, name: &str, object: &RemoteObject) -> Self {
        self.uses.note(object.origin());
        self.with(name, object.id())
    }

    /// Adds an object that is there.
    #[must_use]
    pub fn maybe_object(self, name: &str, object: Option<&RemoteObject>) -> Self {
        match object {
            Some(object) => self.object(name, object),
            None => self,
        }
    }

    pub(crate) fn into_parts(self) -> (Option<Value>, Uses) {
        (self.params.map(Value::Object), self.uses)
    }
}
