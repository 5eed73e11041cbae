//! The task of one room: feeds the state machine and does what it asks for.
//!
//! Everything that concerns a room passes through here one thing at a time, callbacks included, so
//! the order in which the state machine decides is the order in which participants hear.

mod media;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use salono_kurento_client::{Client, Error, EventStream, SessionEvent, Value};
use salono_room_core::{
    Command, Effect, Outcome, ParticipantId, Reply, Room, RoomError, RoomErrorCode, Ticket, Token,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::directory::RoomAddress;
use crate::manager::Pipeline;
use crate::message::{Completion, JoinOrder, Message, Reservation};
use crate::provider::KurentoClientSessionInfo;
use crate::shared::Shared;

/// Room-wide filters of one room; a program that needs more wants something else.
const MAX_FILTERS: usize = 64;

/// What a finished command means outside the room.
enum Waiting {
    Join {
        participant: ParticipantId,
        reservation: Reservation,
        completion: Completion,
    },
    Leave {
        participant: ParticipantId,
        completion: Completion,
    },
    Other(Completion),
}

/// Every reason for the task to wake up.
enum Wake {
    Message(Option<Message>),
    Reply(Token, Result<Value, Error>),
    Media(Option<SessionEvent>),
    /// The search for another media server is over.
    Found(Option<Client>),
    Timeout,
    ReconnectTimeout,
    DrainTimeout,
}

/// A room before it runs.
pub(crate) struct RoomTask {
    shared: Arc<Shared>,
    address: RoomAddress,
    session: KurentoClientSessionInfo,
    created: Option<oneshot::Sender<Result<(), RoomError>>>,
}

impl RoomTask {
    /// A room whose creator hears through `created` (if it is not a join) that it is ready.
    pub(crate) fn new(
        shared: Arc<Shared>,
        address: RoomAddress,
        session: KurentoClientSessionInfo,
        created: Option<oneshot::Sender<Result<(), RoomError>>>,
    ) -> Self {
        Self {
            shared,
            address,
            session,
            created,
        }
    }

    /// Runs the room to its end.
    pub(crate) async fn run(self, mut messages: mpsc::Receiver<Message>) {
        // Whatever ends this task, the room must not stay in the directory.
        let _listed = Listed {
            shared: Arc::clone(&self.shared),
            address: self.address.clone(),
        };
        let explicit = self.created.is_some();
        let client = match self.media_server().await {
            Ok(client) => client,
            Err(error) => {
                tracing::warn!(room = self.address.name, %error, "no media server for the room");
                self.shared.directory().close(self.address.key);
                if let Some(created) = self.created {
                    let _ = created.send(Err(error.clone()));
                }
                refuse_all(&mut messages, &error).await;
                return;
            }
        };
        if let Some(created) = self.created {
            let _ = created.send(Ok(()));
        }
        let config = self.shared.config.room;
        let mut running = Running {
            room: Room::new(&self.address.name, config, explicit),
            session: self.session,
            events: Some(client.events()),
            client,
            search: None,
            recovery_deadline: None,
            shared: self.shared,
            address: self.address,
            requests: FuturesUnordered::new(),
            cut_off: Vec::new(),
            waiting: HashMap::new(),
            filters: BTreeMap::new(),
            next_ticket: 0,
            reconnect_deadline: None,
            drain_deadline: None,
        };
        running.run(&mut messages).await;
    }

    async fn media_server(&self) -> Result<Client, RoomError> {
        let limit = self.shared.config.room.limits.pipeline_timeout;
        let choice = self.shared.provider.kurento_client(&self.session);
        tokio::time::timeout(limit, choice)
            .await
            .unwrap_or_else(|_| {
                Err(RoomError::new(
                    RoomErrorCode::RoomCannotBeCreated,
                    "no media server was found in time",
                ))
            })
    }
}

/// Takes the room out of the directory at the latest when its task ends.
struct Listed {
    shared: Arc<Shared>,
    address: RoomAddress,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.directory().close(self.address.key);
    }
}

async fn refuse_all(messages: &mut mpsc::Receiver<Message>, error: &RoomError) {
    messages.close();
    while let Some(message) = messages.recv().await {
        match message {
            Message::Join { order, reservation } => {
                drop(reservation);
                order.completion.finish(Err(error.clone()));
            }
            Message::Command { completion, .. } => completion.finish(Err(error.clone())),
            Message::Query(_) => {}
            Message::Pipeline { reply, .. } => drop(reply.send(Err(error.clone()))),
            Message::UpdateFilter { reply, .. } => drop(reply.send(Err(error.clone()))),
        }
    }
}

/// A room that runs.
struct Running {
    shared: Arc<Shared>,
    address: RoomAddress,
    room: Room,
    session: KurentoClientSessionInfo,
    client: Client,
    /// Under way while the room has no media server.
    search: Option<BoxFuture<'static, Option<Client>>>,
    /// When that must have led to a pipeline.
    recovery_deadline: Option<Instant>,
    /// `None` once the connection is gone for good.
    events: Option<EventStream>,
    requests: FuturesUnordered<BoxFuture<'static, (Token, Result<Value, Error>)>>,
    /// Replies that the broken connection cost. Whether they are failures shows when it comes back.
    cut_off: Vec<(Token, Reply)>,
    waiting: HashMap<Ticket, Waiting>,
    /// State of each room-wide filter.
    filters: BTreeMap<String, String>,
    next_ticket: u64,
    /// When a broken connection counts as lost.
    reconnect_deadline: Option<Instant>,
    /// When a closed room stops waiting for replies.
    drain_deadline: Option<Instant>,
}

impl Running {
    async fn run(&mut self, messages: &mut mpsc::Receiver<Message>) {
        let mut open = true;
        loop {
            self.perform_effects();
            if self.room.pipeline_object().is_some() {
                self.recovery_deadline = None;
            }
            if self.room.awaits_media() && self.search.is_none() {
                self.look_for_media();
                continue;
            }
            if self.room.is_closed() {
                if self.drain_deadline.is_none() {
                    messages.close();
                    let limit = self.shared.config.room.limits.operation_timeout;
                    self.drain_deadline = Some(Instant::now() + limit);
                }
                if !open && self.requests.is_empty() {
                    break;
                }
            }
            match self.wake(messages, open).await {
                Wake::Message(Some(message)) => self.handle_message(message),
                // The directory holds a sender until the room closes.
                Wake::Message(None) => open = false,
                Wake::Reply(token, reply) => self.handle_reply(token, reply),
                Wake::Media(event) => self.handle_media(event),
                Wake::Found(client) => self.media_found(client),
                Wake::Timeout => self.room.handle_timeout(now()),
                Wake::ReconnectTimeout => self.media_lost(),
                Wake::DrainTimeout => {
                    tracing::warn!(
                        room = self.address.name,
                        "media server leaves requests of a closed room unanswered"
                    );
                    break;
                }
            }
        }
        if self.shared.provider.destroy_when_unused() {
            self.client.close().await;
        }
    }

    async fn wake(&mut self, messages: &mut mpsc::Receiver<Message>, open: bool) -> Wake {
        let timeout = self.room.poll_timeout().map(Instant::from_std);
        let (events, search) = (&mut self.events, &mut self.search);
        tokio::select! {
            // Replies first: an event of an object cannot then be seen before the object is known.
            biased;
            Some((token, reply)) = self.requests.next(), if !self.requests.is_empty() => Wake::Reply(token, reply),
            event = next_event(events) => Wake::Media(event),
            client = found(search) => Wake::Found(client),
            message = messages.recv(), if open => Wake::Message(message),
            () = sleep_until(timeout) => Wake::Timeout,
            () = sleep_until(self.reconnect_deadline) => Wake::ReconnectTimeout,
            () = sleep_until(self.drain_deadline) => Wake::DrainTimeout,
        }
    }

    fn handle_message(&mut self, message: Message) {
        match message {
            Message::Join { order, reservation } => {
                if self.room.is_closed() {
                    drop(reservation);
                    self.join_anew(order);
                    return;
                }
                let command = Command::Join {
                    participant: order.participant.clone(),
                    user: order.join.user,
                    data_channels: order.join.data_channels,
                    web: order.join.web,
                    listens: order.join.listens,
                };
                let waiting = Waiting::Join {
                    participant: order.participant,
                    reservation,
                    completion: order.completion,
                };
                self.start(command, waiting);
            }
            Message::Command {
                command,
                completion,
            } => {
                let waiting = match &command {
                    Command::Leave { participant } => Waiting::Leave {
                        participant: participant.clone(),
                        completion,
                    },
                    Command::Join { .. }
                    | Command::Publish { .. }
                    | Command::GeneratePublishOffer { .. }
                    | Command::Unpublish { .. }
                    | Command::Subscribe { .. }
                    | Command::Unsubscribe { .. }
                    | Command::RestartIce { .. }
                    | Command::AddIceCandidate { .. }
                    | Command::MutePublished { .. }
                    | Command::UnmutePublished { .. }
                    | Command::MuteSubscribed { .. }
                    | Command::UnmuteSubscribed { .. }
                    | Command::AddMediaElement { .. }
                    | Command::RemoveMediaElement { .. }
                    | Command::SetVideoPreferences { .. }
                    | Command::SetLocked { .. }
                    | Command::Close => Waiting::Other(completion),
                };
                self.start(command, waiting);
            }
            Message::Query(question) => question(&self.room),
            Message::Pipeline { participant, reply } => {
                let pipeline = self.room.pipeline(&participant).map(|object| Pipeline {
                    client: self.client.clone(),
                    object,
                });
                let _ = reply.send(pipeline);
            }
            Message::UpdateFilter { filter_id, reply } => {
                let _ = reply.send(self.update_filter(filter_id));
            }
        }
    }

    fn start(&mut self, command: Command, waiting: Waiting) {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.waiting.insert(ticket, waiting);
        self.room.handle_command(ticket, command, now());
    }

    /// A join that was on its way here when the room ended goes to the next room of that name.
    fn join_anew(&self, mut order: JoinOrder) {
        loop {
            let reservation = match self.shared.admit(&order) {
                Ok(reservation) => reservation,
                Err(error) => return order.completion.finish(Err(error)),
            };
            let sender = reservation.sender();
            match sender.try_send(Message::Join { order, reservation }) {
                Err(TrySendError::Closed(Message::Join { order: again, .. })) => order = again,
                // A full queue drops the message: the completion reports it.
                Err(TrySendError::Closed(_) | TrySendError::Full(_)) | Ok(()) => return,
            }
        }
    }

    fn update_filter(&mut self, filter_id: String) -> Result<(), RoomError> {
        let handler = &self.shared.handler;
        let state = self.filters.get(&filter_id).map(String::as_str);
        let Some(next) = handler.next_filter_state(&filter_id, state) else {
            return Ok(());
        };
        if state.is_none() && self.filters.len() >= MAX_FILTERS {
            return Err(RoomError::new(
                RoomErrorCode::Generic,
                "the room has too many filters",
            ));
        }
        for participant in self.room.participants() {
            handler.update_filter(&self.address.name, &participant, &filter_id, &next);
        }
        self.filters.insert(filter_id, next);
        Ok(())
    }

    fn perform_effects(&mut self) {
        while let Some(effect) = self.room.poll_effect() {
            match effect {
                Effect::Request { token, request } => {
                    let client = self.client.clone();
                    self.requests.push(Box::pin(async move {
                        let reply = client.request(request).await;
                        (token, reply)
                    }));
                }
                Effect::Done { ticket, result } => self.finish(ticket, result),
                Effect::Event(event) => self.tell(event),
            }
        }
    }

    fn finish(&mut self, ticket: Ticket, result: Result<Outcome, RoomError>) {
        match self.waiting.remove(&ticket) {
            Some(Waiting::Join {
                participant,
                reservation,
                completion,
            }) => {
                if result.is_ok() {
                    reservation.take();
                    self.apply_filters(&participant);
                } else {
                    drop(reservation);
                }
                completion.finish(result);
            }
            Some(Waiting::Leave {
                participant,
                completion,
            }) => {
                if result.is_ok() {
                    self.shared
                        .directory()
                        .leave(&participant, self.address.key);
                }
                completion.finish(result);
            }
            Some(Waiting::Other(completion)) => completion.finish(result),
            None => tracing::error!(?ticket, "a command finished twice"),
        }
    }

    fn apply_filters(&self, participant: &ParticipantId) {
        let Ok(participant) = self.room.participant(participant) else {
            return;
        };
        for (filter_id, state) in &self.filters {
            self.shared
                .handler
                .update_filter(&self.address.name, &participant, filter_id, state);
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

async fn found(search: &mut Option<BoxFuture<'static, Option<Client>>>) -> Option<Client> {
    match search {
        Some(search) => search.await,
        None => std::future::pending().await,
    }
}

async fn next_event(events: &mut Option<EventStream>) -> Option<SessionEvent> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}
