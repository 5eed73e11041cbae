//! The methods of the protocol, except `transaction`.

use crate::{
    ConnectionKey, Now, ObjectModel,
    adaptation::LAYER_CHANGED,
    answer::with_session,
    cache::Seen,
    call::{Call, Origin, Outcome},
    session::MAX_SESSION_ID_BYTES,
    tree::{MANAGER, Object},
};
use salono_kurento_model::{
    Class, Error, ErrorCode, Map, ParamsOf, Value, current_event, former_operation,
    object_not_found, unknown_operation,
    wire::{ClientMessage, Request},
};
use std::sync::Arc;

/// How far a request came.
pub(crate) enum Executed {
    /// It has a `result` or failed.
    Done(Result<Value, Error>),
    /// It waits for the engine or a timer.
    Waiting,
    /// It is a transaction, which is begun.
    Begun,
}

impl ObjectModel {
    /// Begins a request of a client.
    pub(crate) fn begin(&mut self, connection: ConnectionKey, message: ClientMessage, now: Now) {
        let ClientMessage {
            id,
            session,
            request,
        } = message;
        let given = session
            .map(Arc::from)
            .or_else(|| self.sessions.remembered(connection));
        let mut origin = Origin {
            connection,
            session: given,
            id,
            step: false,
        };
        if let Some(session) = &origin.session
            && session.len() > MAX_SESSION_ID_BYTES
        {
            self.answer(&origin, Err(invalid_session()));
            return;
        }
        if let (Some(session), Some(id)) = (&origin.session, &origin.id) {
            match self.replies.look_up(session, id, &origin) {
                Seen::No => self.replies.start(session, id),
                Seen::InProgress => return,
                Seen::Answered(result) => return self.deliver(&origin, result),
            }
        }
        match self.execute(&mut origin, request, now) {
            Executed::Done(result) => self.finish(&origin, result, now),
            Executed::Waiting => {
                // The next request may come before the answer and must land in the same session.
                if let Some(session) = &origin.session
                    && self.is_open(connection)
                {
                    self.sessions.associate(connection, session);
                }
                if let Some(state) = self.connections.get_mut(&connection) {
                    state.in_flight += 1;
                }
            }
            Executed::Begun => {}
        }
    }

    /// Carries a request out. Gives `origin` a new session if the method needs one.
    pub(crate) fn execute(&mut self, origin: &mut Origin, request: Request, now: Now) -> Executed {
        self.note_request(origin, &request);
        let needs_session = match &request {
            Request::KeepAlive
            | Request::CloseSession { .. }
            | Request::Unsubscribe { .. }
            | Request::Ref { .. }
            | Request::Unref { .. } => {
                if origin.session.is_none() {
                    return Executed::Done(Err(Error::new(
                        ErrorCode::ServerError,
                        "'sessionId' parameter is required",
                    )));
                }
                false
            }
            Request::Ping { .. } => false,
            Request::Connect => {
                return Executed::Done(self.connect_session(origin));
            }
            Request::Create { .. }
            | Request::Describe { .. }
            | Request::Invoke { .. }
            | Request::Subscribe { .. }
            | Request::Release { .. }
            | Request::Transaction { .. } => origin.session.is_none(),
        };
        if needs_session {
            origin.session = Some(self.random.uuid().into());
        }
        if let Request::Ping { .. } = request {
            return Executed::Done(Ok(with_session(origin, Some("pong".into()))));
        }
        let session = origin
            .session
            .clone()
            .expect("every method but ping has a session by now");
        match request {
            Request::Connect | Request::Ping { .. } => Executed::Begun,
            Request::Create { class, params } => {
                let outcome = self.create(&session, &class, params.as_ref(), now);
                self.outcome(origin, outcome, now)
            }
            Request::Describe { object } => {
                Executed::Done(self.describe(&session, &object, origin))
            }
            Request::Invoke {
                object,
                operation,
                params,
            } => {
                let outcome = self.invoke(&session, &object, &operation, params.as_ref(), now);
                self.outcome(origin, outcome, now)
            }
            Request::Subscribe { object, event } => {
                let is_layer = event == LAYER_CHANGED;
                let id = self.subscribe(&session, &object, event);
                if is_layer && id.is_ok() {
                    self.introduce_layer(&session, &object, now);
                }
                Executed::Done(id.map(|id| with_session(origin, Some(id.into()))))
            }
            Request::Unsubscribe {
                object,
                subscription,
            } => {
                self.unsubscribe(&session, &object, &subscription);
                Executed::Done(Ok(with_session(origin, None)))
            }
            Request::Release { object } => {
                if let Some((token, then)) = self.release(&session, &object, now) {
                    self.wait(origin.clone(), token, then, now);
                    return Executed::Waiting;
                }
                Executed::Done(Ok(with_session(origin, None)))
            }
            Request::Ref { object } => {
                let found = self.find(&session, &object).map(|object| object.key);
                let referenced = found.and_then(|key| self.reference(&session, key));
                Executed::Done(referenced.map(|()| with_session(origin, None)))
            }
            Request::Unref { object } => {
                if let Some(key) = self.tree.by_id(&object).map(|object| object.key) {
                    self.unreference(&session, key, now);
                }
                Executed::Done(Ok(with_session(origin, None)))
            }
            Request::KeepAlive => {
                if !self.sessions.exists(&session) {
                    return Executed::Done(Err(invalid_session()));
                }
                self.sessions.mark(&session);
                Executed::Done(Ok(with_session(origin, None)))
            }
            Request::CloseSession { release } => {
                self.close_session(&session, release, now);
                Executed::Done(Ok(Value::Null))
            }
            Request::Transaction { operations } => {
                match self.begin_transaction(origin, session, operations) {
                    Ok(()) => Executed::Begun,
                    Err(error) => Executed::Done(Err(error)),
                }
            }
        }
    }

    fn outcome(&mut self, origin: &Origin, outcome: Result<Outcome, Error>, now: Now) -> Executed {
        match outcome {
            Ok(Outcome::Value(value)) => Executed::Done(Ok(with_session(origin, Some(value)))),
            Ok(Outcome::Later(token, then)) => {
                self.wait(origin.clone(), token, then, now);
                Executed::Waiting
            }
            Err(error) => Executed::Done(Err(error)),
        }
    }

    fn connect_session(&mut self, origin: &mut Origin) -> Result<Value, Error> {
        match &origin.session {
            Some(session) if !self.sessions.exists(session) => return Err(invalid_session()),
            Some(session) => self.sessions.mark(session),
            None => origin.session = Some(self.random.uuid().into()),
        }
        let mut result = with_session(origin, None);
        if let Value::Object(members) = &mut result {
            members.insert("serverId".to_owned(), self.server_id.as_str().into());
        }
        Ok(result)
    }

    fn describe(&mut self, session: &Arc<str>, id: &str, origin: &Origin) -> Result<Value, Error> {
        let (key, class) = self
            .find(session, id)
            .map(|object| (object.key, object.class.clone()))?;
        self.reference(session, key)?;
        let mut result = with_session(origin, None);
        if let Value::Object(members) = &mut result {
            members.insert("hierarchy".to_owned(), class.hierarchy().into());
            members.insert("qualifiedType".to_owned(), class.qualified_name().into());
            members.insert("type".to_owned(), class.name().into());
        }
        Ok(result)
    }

    fn invoke(
        &mut self,
        session: &Arc<str>,
        id: &str,
        operation: &str,
        params: Option<&Value>,
        now: Now,
    ) -> Result<Outcome, Error> {
        let (key, class) = self
            .find(session, id)
            .map(|object| (object.key, object.class.clone()))?;
        self.reference(session, key)?;
        let Some(declared) = class.operation(operation) else {
            return self.invoke_former(session, id, operation, params, now);
        };
        let params = self.coerce(session, &declared.params, params, ParamsOf::Operation)?;
        let limit = self.config.limits.text_bytes;
        if !matches!(operation, "processOffer" | "processAnswer")
            && params
                .values()
                .filter_map(Value::as_str)
                .any(|text| text.len() > limit)
        {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!("A parameter is longer than {limit} bytes"),
            ));
        }
        crate::failure::inject(&self.config, operation);
        self.call(Call {
            session,
            object: key,
            operation,
            params,
            now,
        })
    }

    /// Invokes an operation by the name that it had in Kurento 6.
    fn invoke_former(
        &mut self,
        session: &Arc<str>,
        id: &str,
        operation: &str,
        params: Option<&Value>,
        now: Now,
    ) -> Result<Outcome, Error> {
        let class = self.find(session, id).map(|object| object.class.clone())?;
        let former = former_operation(operation, params)
            .filter(|former| class.operation(former.current).is_some());
        let Some(former) = former else {
            return Err(unknown_operation(operation, params));
        };
        let params = former.rename(params);
        let outcome = self.invoke(session, id, former.current, params.as_ref(), now)?;
        // The one address of version 6 may be of the other family.
        if operation == "getExternalAddress"
            && matches!(&outcome, Outcome::Value(Value::String(address)) if address.is_empty())
        {
            return self.invoke(session, id, "getExternalIPv6", params.as_ref(), now);
        }
        Ok(outcome)
    }

    pub(crate) fn coerce(
        &self,
        session: &Arc<str>,
        declared: &[salono_kurento_model::Param],
        params: Option<&Value>,
        of: ParamsOf,
    ) -> Result<Map<String, Value>, Error> {
        let class_of = |id: &str| -> Option<&Class> {
            self.find(session, id).ok().map(|object| &*object.class)
        };
        self.registry.coerce_params(declared, params, of, &class_of)
    }

    fn subscribe(&mut self, session: &Arc<str>, id: &str, event: String) -> Result<String, Error> {
        let (key, supported) = self.find(session, id).map(|object| {
            (
                object.key,
                object.class.supports_event(current_event(&event)),
            )
        })?;
        if !supported {
            return Err(Error::new(
                ErrorCode::MediaObjectEventNotSupported,
                format!("Event '{event}' not supported"),
            ));
        }
        self.reference(session, key)?;
        let limit = self.config.limits.subscriptions_per_session;
        let state = self.sessions.entry(session);
        if state.subscriptions >= limit {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!("Reached the limit of {limit} subscriptions of one session"),
            ));
        }
        state.subscriptions += 1;
        let subscription = self.random.uuid();
        if let Some(object) = self.tree.get_mut(key) {
            object
                .handlers
                .entry((event, session.clone()))
                .or_default()
                .insert(subscription.clone());
        }
        self.listeners_changed(key);
        Ok(subscription)
    }

    fn unsubscribe(&mut self, session: &Arc<str>, id: &str, subscription: &str) {
        let Some(key) = self.tree.by_id(id).map(|object| object.key) else {
            return;
        };
        let Some(object) = self.tree.get_mut(key) else {
            return;
        };
        let mut removed = false;
        object.handlers.retain(|(_, owner), subscriptions| {
            removed |= owner == session && subscriptions.remove(subscription);
            !subscriptions.is_empty()
        });
        if removed && let Some(state) = self.sessions.get_mut(session) {
            state.subscriptions = state.subscriptions.saturating_sub(1);
        }
        self.listeners_changed(key);
    }

    /// The object with this id, as far as the session may see it.
    pub(crate) fn find(&self, session: &Arc<str>, id: &str) -> Result<&Object, Error> {
        self.tree
            .by_id(id)
            .filter(|object| self.is_visible(session, object))
            .ok_or_else(|| object_not_found(id))
    }

    pub(crate) fn is_visible(&self, session: &Arc<str>, object: &Object) -> bool {
        !self.config.isolate_sessions || object.key == MANAGER || object.sessions.contains(session)
    }

    /// Notes that a session uses an object and everything above it.
    pub(crate) fn reference(&mut self, session: &Arc<str>, key: u64) -> Result<(), Error> {
        self.check_session_limit(session)?;
        let keys = self.tree.with_ancestors(key);
        let state = self.sessions.entry(session);
        state.in_use = true;
        for key in keys {
            if state.objects.insert(key)
                && let Some(object) = self.tree.get_mut(key)
            {
                object.sessions.insert(session.clone());
            }
        }
        Ok(())
    }

    pub(crate) fn check_session_limit(&self, session: &Arc<str>) -> Result<(), Error> {
        let limit = self.config.limits.sessions;
        if self.sessions.len() >= limit && !self.sessions.exists(session) {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!("Reached the limit of {limit} sessions"),
            ));
        }
        Ok(())
    }
}

fn invalid_session() -> Error {
    Error::new(ErrorCode::InvalidSession, "Invalid session")
}
