//! Typed streams: when they begin, what they get, when they end.

use std::sync::Arc;

use salono_kurento_model::{
    Error as ServerError, Value,
    wire::{Notification, Request},
};

use super::{Driver, PlannedRoute, RouteTarget, Stream, Waiter};
use crate::SessionEvent;

impl Driver {
    /// A stream of a known object stands before the server can raise the first event.
    pub(super) fn open(&mut self, planned: PlannedRoute) -> Stream {
        let PlannedRoute {
            operation,
            object,
            event,
            route,
        } = planned;
        match object {
            RouteTarget::Known(object) => {
                let id = route.id;
                self.routes.insert(object.clone(), event, route);
                Stream::Open {
                    operation,
                    object,
                    route: id,
                }
            }
            RouteTarget::New(object) => Stream::Late {
                operation: operation.unwrap_or_default(),
                object,
                event,
                route,
            },
        }
    }

    /// Streams begin with the answer to their subscription, or end with it.
    pub(super) fn settle(&mut self, streams: Vec<Stream>, result: &Result<Value, ServerError>) {
        for stream in streams {
            match stream {
                Stream::Open {
                    operation,
                    object,
                    route,
                } => {
                    let subscription = result.as_ref().ok().and_then(|value| match operation {
                        Some(operation) => created(value, operation),
                        None => value.as_str(),
                    });
                    self.subscribed(object, route, subscription);
                }
                Stream::Late {
                    operation,
                    object,
                    event,
                    route,
                } => {
                    let Ok(value) = result else { continue };
                    let id = route.id;
                    let subscription = created(value, operation);
                    if let (Some(object), Some(_)) = (created(value, object), subscription) {
                        let object: Arc<str> = Arc::from(object);
                        self.routes.insert_late(object.clone(), event, route);
                        self.subscribed(object, id, subscription);
                    }
                }
            }
        }
        if !self.pending.creates_streams() {
            self.routes.drop_held();
        }
    }

    /// A subscription is answered; `None` when it was refused.
    fn subscribed(&mut self, object: Arc<str>, route: u64, subscription: Option<&str>) {
        let Some(subscription) = subscription else {
            self.routes.remove(route);
            return;
        };
        if !self.routes.subscribed(route, subscription) {
            // The stream was dropped in the meantime.
            self.routes.remove(route);
            self.unsubscribe(&object, subscription.to_owned());
        }
    }

    pub(super) fn unroute(&mut self, route: u64) {
        // One whose subscription is not answered yet is found out when it is.
        if let Some((object, Some(subscription))) = self.routes.remove(route) {
            self.unsubscribe(&object, subscription);
        }
    }

    pub(super) fn unsubscribe(&mut self, object: &str, subscription: String) {
        let object = object.to_owned();
        let request = Request::Unsubscribe {
            object,
            subscription,
        };
        self.enqueue(request, Waiter::Nobody);
    }

    /// Ends the subscriptions of all streams that nobody reads any more.
    pub(super) fn sweep(&mut self) {
        for route in self.routes.closed() {
            self.unroute(route);
        }
    }

    pub(super) fn deliver(&mut self, event: Notification) {
        let event = Arc::new(event);
        for route in self.routes.deliver(&event) {
            self.unroute(route);
        }
        if self.pending.creates_streams() {
            self.routes.hold(event.clone());
        }
        self.publish(SessionEvent::Notification(event));
    }
}

/// The responses of a transaction.
pub(super) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// What an operation of a transaction answered, if that is an id.
pub(super) fn created(responses: &Value, operation: usize) -> Option<&str> {
    let response = items(responses).get(operation)?;
    response.get("result")?.get("value")?.as_str()
}
