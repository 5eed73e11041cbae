//! What all typed objects are made of.

use std::{collections::BTreeMap, sync::Arc};

use salono_kurento_model::{Map, Value, events::EventData};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Client, Error, Events, client::read};

/// A handle of an object on the server. Clones are cheap and mean the same object.
///
/// Dropping a handle does not release the object: other handles and other sessions may use it.
/// [`RemoteObject::release`] does, and so does the end of the last session that refers to it.
#[derive(Debug, Clone)]
pub struct RemoteObject {
    client: Client,
    id: Arc<str>,
}

impl RemoteObject {
    /// A handle of the object with this id. Nothing is asked of the server.
    #[must_use]
    pub fn attach(client: &Client, id: &str) -> Self {
        Self {
            client: client.clone(),
            id: id.into(),
        }
    }

    pub(crate) async fn create(client: &Client, class: &str, args: Args) -> Result<Self, Error> {
        let id = client.create(class, args.0).await?;
        Ok(Self::attach(client, &id))
    }

    /// The object's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The session that the handle belongs to.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Destroys the object and its children, for every session.
    ///
    /// # Errors
    /// As [`Client::release`].
    pub async fn release(&self) -> Result<(), Error> {
        self.client.release(&self.id).await
    }

    /// Calls an operation that the handle's type does not have.
    ///
    /// # Errors
    /// As [`Client::invoke`].
    pub async fn invoke(
        &self,
        operation: &str,
        params: Map<String, Value>,
    ) -> Result<Value, Error> {
        self.client.invoke(&self.id, operation, params).await
    }

    /// Subscribes to an event that the handle's type does not have.
    ///
    /// # Errors
    /// As [`Client::stream`].
    pub async fn stream<E: EventData>(&self) -> Result<Events<E>, Error> {
        self.client.stream(&self.id).await
    }

    pub(crate) async fn run(&self, operation: &str, args: Args) -> Result<(), Error> {
        self.invoke(operation, args.0).await.map(drop)
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        operation: &str,
        args: Args,
    ) -> Result<T, Error> {
        read(self.invoke(operation, args.0).await?)
    }

    /// Maps without members arrive as `null`.
    pub(crate) async fn map<T: DeserializeOwned>(
        &self,
        operation: &str,
        args: Args,
    ) -> Result<BTreeMap<String, T>, Error> {
        let map: Option<_> = self.get(operation, args).await?;
        Ok(map.unwrap_or_default())
    }

    /// No object arrives as `null`.
    pub(crate) async fn object<T: From<Self>>(
        &self,
        operation: &str,
        args: Args,
    ) -> Result<Option<T>, Error> {
        let id: Option<String> = self.get(operation, args).await?;
        Ok(id.map(|id| Self::attach(&self.client, &id).into()))
    }

    pub(crate) async fn objects<T: From<Self>>(
        &self,
        operation: &str,
        args: Args,
    ) -> Result<Vec<T>, Error> {
        let ids: Vec<String> = self.get(operation, args).await?;
        let objects = ids.iter().map(|id| Self::attach(&self.client, id).into());
        Ok(objects.collect())
    }
}

/// Parameters of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Args(Map<String, Value>);

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        let value = serde_json::to_value(value)
            .expect("parameters are texts, numbers, lists and structs of those");
        self.0.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn maybe(self, name: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}
