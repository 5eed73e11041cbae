//! Events, from an object to the sessions that listen.

use crate::{ConnectionKey, Effect, Now, ObjectModel};
use salono_kurento_model::{
    Map, Value, former_events,
    wire::{Notification, ServerMessage},
};
use std::sync::Arc;

impl ObjectModel {
    /// Raises an event of an object: one notification per session that listens.
    pub(crate) fn raise(&mut self, object: u64, event: &str, data: Map<String, Value>, now: Now) {
        for effect in self.notifications(object, event, data, now) {
            self.effects.push_back(effect);
        }
    }

    /// Raises an event that clients see after the answer to the current request.
    pub(crate) fn raise_later(
        &mut self,
        object: u64,
        event: &str,
        data: Map<String, Value>,
        now: Now,
    ) {
        for effect in self.notifications(object, event, data, now) {
            self.deferred.push_back(effect);
        }
    }

    fn notifications(
        &self,
        object: u64,
        event: &str,
        mut data: Map<String, Value>,
        now: Now,
    ) -> Vec<Effect> {
        let Some(object) = self.tree.get(object) else {
            return Vec::new();
        };
        // Everybody hears it by the name they subscribed to, which may be one of Kurento 6.
        let mut names: Vec<&str> = vec![event];
        for former in former_events(event) {
            names.push(former);
        }
        let listeners: Vec<(&str, ConnectionKey)> = names
            .into_iter()
            .flat_map(|name| {
                let from = (name.to_owned(), Arc::from(""));
                let handlers = object.handlers.range(from..);
                handlers
                    .take_while(move |((subscribed, _), _)| subscribed == name)
                    .filter_map(|((_, session), _)| self.sessions.listener(session))
                    .map(move |connection| (name, connection))
            })
            .collect();
        if listeners.is_empty() {
            return Vec::new();
        }
        data.insert("source".to_owned(), object.id.as_ref().into());
        let tags = if object.send_tags {
            object.tag_list()
        } else {
            Value::Array(Vec::new())
        };
        data.insert("tags".to_owned(), tags);
        data.insert("timestampMillis".to_owned(), now.unix_ms.to_string().into());
        // The seconds that Kurento 6 has besides; its programs may read nothing else.
        let seconds = (now.unix_ms / 1_000).to_string();
        data.insert("timestamp".to_owned(), seconds.into());
        let is_media = self
            .registry
            .event(event)
            .is_some_and(|declared| declared.is_media());
        listeners
            .into_iter()
            .map(|(name, connection)| {
                if is_media {
                    data.insert("type".to_owned(), name.into());
                }
                Effect::Send {
                    connection,
                    message: ServerMessage::Event(Notification {
                        object: object.id.as_ref().to_owned(),
                        event: name.to_owned(),
                        data: data.clone(),
                    }),
                }
            })
            .collect()
    }
}
