//! Answers that come when nobody waits for them any more: what the request made is taken back.
//!
//! A request that this side gives up is carried out by the server all the same. Nobody learns the
//! id of what it created, so nobody could release it before the session ends.

use salono_kurento_model::{Value, wire::Request};

use super::{Driver, Waiter, streams::created};

/// What a request makes on the server that its answer alone names.
#[derive(Debug)]
pub(super) enum Makes {
    /// An object.
    Object,
    /// A subscription to an event of this object.
    Subscription { object: String },
    /// What the operations of a transaction make, by their places.
    Operations(Vec<(usize, Makes)>),
}

impl Makes {
    /// What a request makes, if anything.
    pub(super) fn of(request: &Request) -> Option<Self> {
        match request {
            Request::Create { .. } => Some(Self::Object),
            Request::Subscribe { object, .. } => Some(Self::Subscription {
                object: object.clone(),
            }),
            Request::Transaction { operations } => {
                let made = operations.iter().enumerate();
                let made = made.filter_map(|(index, it)| Some((index, Self::of_operation(it)?)));
                let made: Vec<_> = made.collect();
                (!made.is_empty()).then_some(Self::Operations(made))
            }
            Request::Connect
            | Request::Ping { .. }
            | Request::Describe { .. }
            | Request::Invoke { .. }
            | Request::Unsubscribe { .. }
            | Request::Release { .. }
            | Request::Ref { .. }
            | Request::Unref { .. }
            | Request::KeepAlive
            | Request::CloseSession { .. } => None,
        }
    }

    fn of_operation(operation: &Value) -> Option<Self> {
        match operation["method"].as_str()? {
            "create" => Some(Self::Object),
            "subscribe" => {
                let object = operation["params"]["object"].as_str()?.to_owned();
                // One of an object that the transaction creates ends with the object.
                let known = !object.starts_with("newref:");
                known.then_some(Self::Subscription { object })
            }
            _ => None,
        }
    }
}

impl Driver {
    /// Takes back what a request made that was given up.
    pub(super) fn undo(&mut self, makes: &Makes, value: &Value) {
        match makes {
            Makes::Object => {
                if let Some(object) = value.as_str() {
                    self.undo_object(object);
                }
            }
            Makes::Subscription { object } => {
                if let Some(subscription) = value.as_str() {
                    self.unsubscribe(object, subscription.to_owned());
                }
            }
            Makes::Operations(operations) => {
                // Children before their parents, so that each release finds its object.
                for (index, makes) in operations.iter().rev() {
                    if let Some(made) = created(value, *index) {
                        self.undo(makes, &made.into());
                    }
                }
            }
        }
    }

    /// Takes back the objects that a request made whose caller has gone. Its streams know by
    /// themselves that nobody reads them.
    pub(super) fn undo_objects(&mut self, request: &Request, value: &Value) {
        match Makes::of(request) {
            Some(makes @ Makes::Object) => self.undo(&makes, value),
            Some(Makes::Operations(operations)) => {
                let objects = operations.into_iter();
                let objects = objects.filter(|(_, it)| matches!(it, Makes::Object));
                self.undo(&Makes::Operations(objects.collect()), value);
            }
            Some(Makes::Subscription { .. }) | None => {}
        }
    }

    fn undo_object(&mut self, object: &str) {
        tracing::debug!(object, "nobody waits for this object any more");
        let object = object.to_owned();
        self.enqueue(Request::Release { object }, Waiter::Nobody);
    }
}
