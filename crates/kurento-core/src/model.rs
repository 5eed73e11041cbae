//! The state machine itself: its inputs, its outputs, its timers.

use crate::{
    Config, HostFacts, Usage,
    cache::ReplyCache,
    call::{Origin, Outcome, Pending, Then},
    failure::Current,
    links::Links,
    random::Random,
    session::Sessions,
    transaction::Transaction,
    tree::{MANAGER, Tree},
    upload::{UploadKey, UploadOrder, Uploads},
    waiting::Waiting,
};
use salono_kurento_model::{
    Error, ErrorCode, Registry, Value,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_media_api::{Command, Event, Op, PipelineKey, Token};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Instant,
};

/// A client's connection; numbered by whoever owns the connections, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionKey(pub u64);

/// The time of an input, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For timers; never goes backwards.
    pub monotonic: Instant,
    /// For what clients see: milliseconds since 1970.
    pub unix_ms: u64,
}

/// How a method and its parameters are read, `sessionId` apart.
///
/// A transaction carries its operations as they came, and each is read only when the results that it
/// refers to are there. The dialect that reads requests lends the model its reader for that.
pub type ReadRequest = fn(&str, Option<Value>) -> Result<Request, Error>;

/// What the model asks its shell to do, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a message to a client.
    Send {
        /// Which.
        connection: ConnectionKey,
        /// What.
        message: ServerMessage,
    },
    /// Hand a command to the media engine. What cannot be handed over must be kept and handed over
    /// later, in order.
    Engine(Command),
    /// Write the graph of an object where the operator wants it; nothing where nobody does.
    WriteGraph {
        /// Id of the object.
        object: String,
        /// A Graphviz text.
        text: String,
    },
    /// Serve an endpoint that takes uploads, or go on with that; see
    /// [`ObjectModel::handle_upload`].
    Upload(UploadKey, UploadOrder),
    /// Read the host's counters and give them to [`ObjectModel::handle_host`].
    ReadHost(Token),
}

/// Why the model wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Sessions with a connection are marked as in use.
    MarkSessions,
    /// Sessions that are not in use are dropped.
    CollectSessions,
    /// A kept answer is too old.
    ExpireReply,
    /// The engine has not answered in time.
    GiveUp,
    /// The second reading of the processor time is due.
    ReadLoad,
    /// Nothing more was uploaded to an endpoint for long enough.
    EndUpload,
}

/// Requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Not begun: behind a transaction.
    pub(crate) queue: VecDeque<ClientMessage>,
    /// Running transactions, innermost last.
    pub(crate) transactions: Vec<Transaction>,
    /// The innermost transaction's current operation waits for the engine.
    pub(crate) step_waits: bool,
    /// Requests that wait for the engine or a timer.
    pub(crate) in_flight: usize,
    /// The client is gone; what it asked for is still carried out.
    pub(crate) closed: bool,
}

/// Sessions, objects and subscriptions of one media server.
///
/// **The drive contract.** Give it inputs with the `handle_…` methods; after each, call
/// [`poll_effect`](Self::poll_effect) until it returns `None` and carry the effects out in that
/// order, then call [`poll_timeout`](Self::poll_timeout) and arrange for
/// [`handle_timeout`](Self::handle_timeout) to be called at that time. Time never goes backwards.
///
/// Requests of one connection begin in the order they came; while one waits for the media engine the
/// next ones go on, because the engine keeps the order of commands. Only a transaction holds up what
/// comes behind it.
#[derive(Debug)]
pub struct ObjectModel {
    pub(crate) config: Config,
    pub(crate) registry: Arc<Registry>,
    pub(crate) read_request: ReadRequest,
    pub(crate) random: Random,
    pub(crate) server_id: String,
    pub(crate) tree: Tree,
    pub(crate) links: Links,
    pub(crate) sessions: Sessions,
    pub(crate) replies: ReplyCache,
    pub(crate) connections: BTreeMap<ConnectionKey, Connection>,
    /// Requests that wait.
    pub(crate) pending: Waiting,
    /// Recorders that are stopped for a release, by the token of the call; the token of the release.
    pub(crate) stops: BTreeMap<Token, Token>,
    /// What is uploaded to endpoints.
    pub(crate) uploads: Uploads,
    /// What the process uses.
    pub(crate) usage: Usage,
    /// What is being carried out, in case that it fails.
    pub(crate) current: Option<Current>,
    next_token: u64,
    /// Second readings of the processor time, by when they are due.
    pub(crate) load_readings: BTreeMap<(Instant, Token), (Origin, Then)>,
    pub(crate) effects: VecDeque<Effect>,
    /// Events that follow the answer of the request that caused them.
    pub(crate) deferred: VecDeque<Effect>,
    next_mark: Instant,
    next_collection: Instant,
}

impl ObjectModel {
    /// A model with nothing but the server manager in it.
    ///
    /// All identifiers come from `seed`; a server takes it from the operating system.
    ///
    /// # Panics
    /// When the registry lacks the core module.
    pub fn new(
        config: Config,
        registry: Arc<Registry>,
        read_request: ReadRequest,
        seed: [u8; 32],
        now: Now,
    ) -> Self {
        let manager = registry
            .class("kurento.ServerManager")
            .expect("the core module declares the server manager")
            .clone();
        let mut random = Random::new(seed);
        let server_id = random.uuid();
        Self {
            replies: ReplyCache::new(config.reply_lifetime, config.limits.replies),
            next_mark: now.monotonic + config.session_period / 4,
            next_collection: now.monotonic + config.session_period,
            config,
            registry,
            read_request,
            random,
            server_id,
            tree: Tree::new(manager, now.unix_ms / 1_000),
            links: Links::default(),
            sessions: Sessions::default(),
            connections: BTreeMap::new(),
            pending: Waiting::default(),
            stops: BTreeMap::new(),
            uploads: Uploads::default(),
            usage: Usage::default(),
            current: None,
            next_token: 0,
            load_readings: BTreeMap::new(),
            effects: VecDeque::new(),
            deferred: VecDeque::new(),
        }
    }

    /// A client came.
    pub fn handle_connect(&mut self, connection: ConnectionKey) {
        self.connections.entry(connection).or_default();
    }

    /// A client went. Its session stays until it is collected; what it asked for is carried out.
    pub fn handle_disconnect(&mut self, connection: ConnectionKey, now: Now) {
        self.current = None;
        self.sessions.disconnect(connection);
        if let Some(state) = self.connections.get_mut(&connection) {
            state.closed = true;
        }
        self.run(connection, now);
    }

    /// A client sent a request. Messages of unknown connections are ignored.
    pub fn handle_message(&mut self, connection: ConnectionKey, message: ClientMessage, now: Now) {
        self.current = None;
        let limit = self.config.limits.requests_per_connection;
        let Some(state) = self.connections.get_mut(&connection) else {
            return;
        };
        if state.closed {
            return;
        }
        if state.queue.len() + state.in_flight >= limit {
            let message = ServerMessage::Response {
                id: message.id,
                result: Err(Error::new(
                    ErrorCode::NotEnoughResources,
                    format!("More than {limit} requests wait on this connection"),
                )),
            };
            self.effects.push_back(Effect::Send {
                connection,
                message,
            });
            return;
        }
        state.queue.push_back(message);
        self.run(connection, now);
    }

    /// The media engine reported something.
    pub fn handle_engine(&mut self, event: Event, now: Now) {
        self.current = None;
        match event {
            Event::Replied { token, result } => {
                if let Some(pending) = self.pending.remove(token) {
                    self.note_object(Some(&pending.origin), pending.then.object());
                    if result.is_ok()
                        && let Some(upload) = self.created_upload(&pending.then)
                    {
                        self.open_upload(upload, pending, now);
                    } else {
                        let value = self.engine_replied(pending.then, result, now);
                        self.resume(pending.origin, value, now);
                    }
                } else if let Some(release) = self.stops.remove(&token) {
                    self.recorder_stopped(release, now);
                } else {
                    self.upload_answered(token, result, now);
                }
            }
            Event::Element { element, event } => {
                self.note_object(None, Some(element.0));
                self.element_event(element.0, event, now);
            }
            Event::Speakers { pipeline, event } => {
                self.note_object(None, Some(pipeline.0));
                self.speaker_event(pipeline.0, event, now);
            }
        }
        self.flush_deferred();
    }

    /// The shell read the host's counters; see [`Effect::ReadHost`].
    pub fn handle_host(&mut self, token: Token, facts: HostFacts, now: Now) {
        let Some(Pending { origin, then, .. }) = self.pending.remove(token) else {
            return;
        };
        self.note_object(Some(&origin), None);
        if let Then::LoadBegin { interval } = then {
            let due = now.monotonic + interval;
            let then = Then::LoadEnd {
                begin: facts,
                since: now.monotonic,
            };
            self.load_readings.insert((due, token), (origin, then));
            return;
        }
        let value = crate::manager::host_value(&then, facts, now.monotonic);
        self.resume(origin, value, now);
    }

    /// Time passed; see [`ObjectModel::poll_timeout`].
    pub fn handle_timeout(&mut self, now: Now) {
        self.current = None;
        let at = now.monotonic;
        if at >= self.next_mark {
            self.next_mark = at + self.config.session_period / 4;
            self.sessions.mark_connected();
        }
        if at >= self.next_collection {
            self.next_collection = at + self.config.session_period;
            for session in self.sessions.sweep() {
                tracing::info!(%session, "session collected");
                self.drop_session(&session, now);
            }
        }
        self.replies.expire(at);
        while let Some(Pending { origin, then, .. }) = self.pending.pop_due(at) {
            if let Then::Release { object, .. } = then {
                self.finish_release(origin, object, now);
                continue;
            }
            if matches!(then, Then::StopAndWait) {
                // What is long in writing goes on being written.
                self.resume(origin, Ok(Value::Null), now);
                continue;
            }
            tracing::error!(?then, "the media engine does not answer");
            let late = salono_media_api::MediaError::new(
                salono_media_api::MediaErrorKind::Internal,
                "the media engine does not answer",
            );
            let value = self.engine_replied(then, Err(late), now);
            self.resume(origin, value, now);
        }
        self.end_uploads(now);
        while let Some(entry) = self.load_readings.first_entry()
            && entry.key().0 <= at
        {
            let (origin, then) = entry.remove();
            let token = self.read_host();
            self.wait(origin, token, then, now);
        }
        self.flush_deferred();
    }

    /// The next effect to carry out.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call [`ObjectModel::handle_timeout`] next, and why.
    pub fn poll_timeout(&self) -> (Instant, Timer) {
        let mut next = (self.next_mark, Timer::MarkSessions);
        let candidates = [
            Some((self.next_collection, Timer::CollectSessions)),
            self.replies
                .next_expiry()
                .map(|when| (when, Timer::ExpireReply)),
            self.pending
                .next_deadline()
                .map(|when| (when, Timer::GiveUp)),
            self.uploads.next_end().map(|when| (when, Timer::EndUpload)),
            self.load_readings
                .first_key_value()
                .map(|((when, _), _)| (*when, Timer::ReadLoad)),
        ];
        for candidate in candidates.into_iter().flatten() {
            next = next.min(candidate);
        }
        next
    }

    /// Releases every object, as on shutdown.
    pub fn release_all(&mut self, now: Now) {
        let pipelines: Vec<u64> = self
            .tree
            .iter()
            .filter(|object| object.key != MANAGER && object.parent.is_none())
            .map(|object| object.key)
            .collect();
        for pipeline in pipelines {
            self.destroy(pipeline, now);
        }
        self.flush_deferred();
    }

    /// Media objects now, the server manager not counted.
    pub fn object_count(&self) -> usize {
        self.tree.len()
    }

    /// Sessions now that hold references.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// Orders something of the engine that is answered.
    pub(crate) fn ask(&mut self, pipeline: u64, op: impl FnOnce(Token) -> Op) -> Token {
        let token = self.token();
        self.order(pipeline, op(token));
        token
    }

    /// Orders something of the engine.
    pub(crate) fn order(&mut self, pipeline: u64, op: Op) {
        let pipeline = PipelineKey(pipeline);
        self.effects
            .push_back(Effect::Engine(Command { pipeline, op }));
    }

    /// Hands a graph to the shell.
    pub(crate) fn write_graph(&mut self, object: &str, text: String) {
        self.effects.push_back(Effect::WriteGraph {
            object: object.to_owned(),
            text,
        });
    }

    /// Asks for the host's counters.
    pub(crate) fn read_host(&mut self) -> Token {
        let token = self.token();
        self.effects.push_back(Effect::ReadHost(token));
        token
    }

    /// Asks for the host's counters and waits for them.
    pub(crate) fn ask_host(&mut self, then: Then) -> Outcome {
        Outcome::Later(self.read_host(), then)
    }

    pub(crate) fn token(&mut self) -> Token {
        self.next_token += 1;
        Token(self.next_token)
    }

    /// What was put off follows now.
    pub(crate) fn flush_deferred(&mut self) {
        self.effects.append(&mut self.deferred);
    }
}
