//! The room and its media server: replies, events, and what happens when the connection breaks.

use std::sync::Arc;

use salono_kurento_client::{Client, Error, SessionEvent, Value};
use salono_room_core::{MediaFailure, Token};
use tokio::time::Instant;

use super::{Running, now};
use crate::recovery::{release_if_it_returns, search};

impl Running {
    pub(super) fn handle_reply(&mut self, token: Token, reply: Result<Value, Error>) {
        let failure = |error: &Error| MediaFailure {
            code: error.code().map_or(0, |code| code.code()),
            message: error.message(),
        };
        match reply {
            Ok(value) => self.room.handle_reply(token, Ok(value), now()),
            Err(error @ (Error::Disconnected | Error::SessionLost | Error::Closed)) => {
                self.cut_off.push((token, Err(failure(&error))));
            }
            Err(error) => self.room.handle_reply(token, Err(failure(&error)), now()),
        }
    }

    pub(super) fn handle_media(&mut self, event: Option<SessionEvent>) {
        match event {
            Some(SessionEvent::Notification(notification)) => {
                self.room.handle_notification(&notification);
            }
            Some(SessionEvent::Lagged(count)) => {
                tracing::warn!(room = self.address.name, count, "media events were missed");
            }
            Some(SessionEvent::Disconnected) => {
                let limit = self.shared.config.media_reconnect;
                self.reconnect_deadline
                    .get_or_insert_with(|| Instant::now() + limit);
            }
            Some(SessionEvent::Reconnected { same_session: true }) => {
                self.reconnect_deadline = None;
                for (token, failure) in std::mem::take(&mut self.cut_off) {
                    self.room.handle_reply(token, failure, now());
                }
            }
            Some(SessionEvent::Reconnected {
                same_session: false,
            })
            | None => self.media_lost(),
        }
    }

    /// The media server is out of reach, or has forgotten everything.
    pub(super) fn media_lost(&mut self) {
        if let (Some(pipeline), Some(events)) = (self.room.pipeline_object(), self.events.take()) {
            let client = self.client.clone();
            tokio::spawn(release_if_it_returns(client, events, pipeline.to_owned()));
        }
        self.reconnect_deadline = None;
        // What is still under way leaves nothing behind: the client releases what nobody waits for.
        self.requests.clear();
        self.cut_off.clear();
        self.room.suspend_media();
        if self.room.is_closed() {
            self.events = None;
        }
    }

    pub(super) fn look_for_media(&mut self) {
        // Replies of the server before are of no use from here on.
        self.requests.clear();
        self.cut_off.clear();
        self.room.suspend_media();
        self.events = None;
        let patience = self.shared.config.media_recovery;
        let is_first = self.recovery_deadline.is_none();
        let deadline = *self
            .recovery_deadline
            .get_or_insert_with(|| Instant::now() + patience);
        if patience.is_zero() || deadline <= Instant::now() {
            self.room.handle_media_lost();
            return;
        }
        tracing::warn!(
            room = self.address.name,
            "media server lost, looking for another"
        );
        self.search = Some(search(
            Arc::clone(&self.shared.provider),
            self.session.clone(),
            self.client.clone(),
            is_first,
            deadline,
        ));
    }

    pub(super) fn media_found(&mut self, client: Option<Client>) {
        self.search = None;
        if self.room.is_closed() {
            return;
        }
        let Some(client) = client else {
            self.room.handle_media_lost();
            return;
        };
        let lost = std::mem::replace(&mut self.client, client);
        if self.shared.provider.destroy_when_unused() {
            tokio::spawn(async move { lost.close().await });
        }
        self.events = Some(self.client.events());
        self.room.resume_media(now());
        if self.room.is_suspended() {
            // Nobody is left to need it; the next to come begins a search of its own.
            self.recovery_deadline = None;
        }
    }
}
