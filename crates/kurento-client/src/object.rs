//! What all typed objects are made of.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use salono_kurento_model::{Map, Value, events::EventData, wire::Request};
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    Args, Call, Client, Error, Subscribe,
    args::{Origin, Plan},
    call::Answer,
    client::read,
};

/// A handle of an object on the server. Clones are cheap and mean the same object.
///
/// Dropping a handle does not release the object: other handles and other sessions may use it.
/// [`RemoteObject::release`] does, and so does the end of the last session that refers to it.
///
/// A handle belongs to the session in which it was made. When the server has lost that session
/// ([`SessionEvent::Reconnected`](crate::SessionEvent::Reconnected) with `same_session: false`),
/// everything that is asked of the handle fails with [`Error::SessionLost`], without asking the
/// server.
#[derive(Debug, Clone)]
pub struct RemoteObject {
    client: Client,
    identity: Arc<Identity>,
}

/// Which object a handle means.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Set from the start, or once the transaction that creates the object was carried out.
    known: OnceLock<Known>,
    place: Option<Place>,
}

#[derive(Debug)]
struct Known {
    id: String,
    origin: Origin,
}

/// The operation of a transaction that creates an object.
#[derive(Debug)]
struct Place {
    transaction: u64,
    /// `newref:` and the operation's index.
    reference: String,
}

impl Identity {
    /// The operation was carried out and created this object.
    pub(crate) fn resolve(&self, id: String, epoch: u64) {
        let origin = Origin::Session(epoch);
        // A transaction is carried out once; nobody else sets it.
        let _ = self.known.set(Known { id, origin });
    }
}

/// What the server says about an object's class ([`RemoteObject::describe`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// Simple name of the class, for example `WebRtcEndpoint`.
    #[serde(rename = "type")]
    pub class: String,
    /// Its name with the module's namespace, for example `kurento.WebRtcEndpoint`; empty where a
    /// server does not say (Kurento 6).
    #[serde(default, rename = "qualifiedType")]
    pub qualified_class: String,
    /// Qualified names of the classes that it extends, nearest first; empty where a server does
    /// not say.
    #[serde(default)]
    pub hierarchy: Vec<String>,
}

impl RemoteObject {
    /// A handle of the object with this id, in the session as it is now. Nothing is asked of the
    /// server.
    #[must_use]
    pub fn attach(client: &Client, id: &str) -> Self {
        let origin = Origin::Session(client.epoch());
        Self::known(client, id.to_owned(), origin)
    }

    pub(crate) fn known(client: &Client, id: String, origin: Origin) -> Self {
        let identity = Identity {
            known: OnceLock::from(Known { id, origin }),
            place: None,
        };
        Self {
            client: client.clone(),
            identity: Arc::new(identity),
        }
    }

    /// The object that an operation of a transaction will create.
    pub(crate) fn planned(client: &Client, transaction: u64, operation: usize) -> Self {
        let identity = Identity {
            known: OnceLock::new(),
            place: Some(Place {
                transaction,
                reference: format!("newref:{operation}"),
            }),
        };
        Self {
            client: client.clone(),
            identity: Arc::new(identity),
        }
    }

    pub(crate) fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    pub(crate) fn origin(&self) -> Origin {
        match (self.identity.known.get(), &self.identity.place) {
            (Some(known), _) => known.origin,
            (None, Some(place)) => Origin::Transaction(place.transaction),
            (None, None) => Origin::Anywhere,
        }
    }

    /// The object's id; the placeholder `newref:N` while the transaction that creates it is not
    /// carried out.
    #[must_use]
    pub fn id(&self) -> &str {
        match (self.identity.known.get(), &self.identity.place) {
            (Some(known), _) => &known.id,
            (None, Some(place)) => &place.reference,
            (None, None) => "",
        }
    }

    /// The client that the handle belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Destroys the object and its children, for every session. Typed streams of theirs end.
    ///
    /// # Errors
    /// As [`Client::release`].
    pub fn release(&self) -> Call<()> {
        let object = self.id().to_owned();
        self.plan(Request::Release { object }, |_, _| Ok(()))
    }

    /// Asks what class the object is of.
    ///
    /// # Errors
    /// As [`Client::create`].
    pub fn describe(&self) -> Call<Description> {
        let object = self.id().to_owned();
        self.plan(Request::Describe { object }, |_, answer| read(answer.value))
    }

    /// Adds the session's reference to the object and what it is in, as every other request that
    /// names the object does.
    ///
    /// # Errors
    /// As [`Client::request`].
    pub fn add_reference(&self) -> Call<()> {
        let object = self.id().to_owned();
        self.plan(Request::Ref { object }, |_, _| Ok(()))
    }

    /// Takes the session's reference away: the object is released unless other sessions refer to
    /// it.
    ///
    /// # Errors
    /// As [`Client::request`]; an object that is gone already is no error.
    pub fn remove_reference(&self) -> Call<()> {
        let object = self.id().to_owned();
        self.plan(Request::Unref { object }, |_, _| Ok(()))
    }

    /// Calls an operation that the handle's type does not have.
    ///
    /// # Errors
    /// As [`Client::invoke`].
    pub fn invoke(&self, operation: &str, params: Map<String, Value>) -> Call<Value> {
        self.operation(operation, Args::some(params), |_, answer| Ok(answer.value))
    }

    /// Subscribes to an event that the handle's type does not have.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub fn stream<E: EventData>(&self) -> Subscribe<E> {
        Subscribe::new(&self.client, self.id(), self.origin())
    }

    /// Invokes a method that answers nothing; for generated handles.
    pub fn run(&self, operation: &str, args: Args) -> Call<()> {
        self.operation(operation, args, |_, _| Ok(()))
    }

    /// Invokes a method that answers a value; for generated handles.
    pub fn get<T: DeserializeOwned>(&self, operation: &str, args: Args) -> Call<T> {
        self.operation(operation, args, |_, answer| read(answer.value))
    }

    /// Invokes a method that answers a map; for generated handles. Maps without members arrive as `null`.
    pub fn map<T: DeserializeOwned>(
        &self,
        operation: &str,
        args: Args,
    ) -> Call<BTreeMap<String, T>> {
        self.operation(operation, args, |_, answer| {
            let map: Option<_> = read(answer.value)?;
            Ok(map.unwrap_or_default())
        })
    }

    /// Invokes a method that answers an object; for generated handles. No object arrives as `null`.
    pub fn object<T: From<Self>>(&self, operation: &str, args: Args) -> Call<Option<T>> {
        self.operation(operation, args, |client, answer| {
            let origin = Origin::Session(answer.epoch);
            let id: Option<String> = read(answer.value)?;
            Ok(id.map(|id| Self::known(client, id, origin).into()))
        })
    }

    /// Invokes a method that answers objects; for generated handles.
    pub fn objects<T: From<Self>>(&self, operation: &str, args: Args) -> Call<Vec<T>> {
        self.operation(operation, args, |client, answer| {
            let origin = Origin::Session(answer.epoch);
            let ids: Vec<String> = read(answer.value)?;
            let objects = ids
                .into_iter()
                .map(|id| Self::known(client, id, origin).into());
            Ok(objects.collect())
        })
    }

    fn operation<T>(
        &self,
        operation: &str,
        args: Args,
        read: fn(&Client, Answer) -> Result<T, Error>,
    ) -> Call<T> {
        let (params, mut uses) = args.into_parts();
        uses.note(self.origin());
        let request = Request::Invoke {
            object: self.id().to_owned(),
            operation: operation.to_owned(),
            params,
        };
        Call::new(&self.client, Plan { request, uses }, read)
    }

    fn plan<T>(&self, request: Request, read: fn(&Client, Answer) -> Result<T, Error>) -> Call<T> {
        let plan = Plan::of(request, self.origin());
        Call::new(&self.client, plan, read)
    }
}
