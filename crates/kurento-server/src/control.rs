//! The control task: the only owner of the object model.

use crate::{
    UploadConfig,
    graph::Graphs,
    host,
    submit::Submitter,
    uploads::{Report, Uploads},
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream, SelectAll},
};
use rand::{TryRng as _, rngs::SysRng};
use salono_jsonrpc::kurento;
use salono_kurento_core::{ConnectionKey, Effect, Now, ObjectModel};
use salono_kurento_model::{
    Registry,
    wire::{ClientMessage, Request, ServerMessage},
};
use salono_media_api::{CommandSink, Event};
use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::{mpsc, watch};

/// Settings of a [`Server`].
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Of the object model.
    pub model: salono_kurento_core::Config,
    /// Requests of one client that wait for the control task; beyond, the client waits.
    pub inbound_messages: usize,
    /// Messages that wait for one client; beyond, it is too slow and loses its connection.
    pub outbound_messages: usize,
    /// Part of the process's limits of threads and files: when more is used and no object is left,
    /// [`ServerHandle::exhausted`] says so.
    pub kill_limit: Option<f64>,
    /// Where `dumpGstreamerDot` writes its files; nowhere without it.
    pub graph_folder: Option<PathBuf>,
    /// Where uploads to endpoints are taken.
    pub uploads: UploadConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            model: salono_kurento_core::Config::default(),
            inbound_messages: 64,
            outbound_messages: 4_096,
            kill_limit: None,
            graph_folder: None,
            uploads: UploadConfig::default(),
        }
    }
}

/// New connections that wait for the control task.
const OPENING: usize = 64;

/// Age from which on a reading of what the process uses is made anew before something is created.
/// With ten thousand open files a reading takes some milliseconds.
const USAGE_AGE: Duration = Duration::from_millis(100);

/// How long to wait before a full engine queue is tried again.
const RETRY: Duration = Duration::from_millis(2);

/// How long the engine may take for the last commands on shutdown.
const LAST_COMMANDS: Duration = Duration::from_secs(2);

/// The control task has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the media server has ended")]
pub struct ServerClosed;

/// Makes a media server; see [`Server::new`].
#[derive(Debug)]
pub struct Server;

impl Server {
    /// A server over a media engine: its handle, and the control task to spawn.
    ///
    /// The task ends after [`ServerHandle::shutdown`], or when all handles and all connections are
    /// gone.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the server is its handle and its task"
    )]
    pub fn new(
        config: Config,
        engine: Box<dyn CommandSink>,
        events: mpsc::Receiver<Event>,
        registry: Arc<Registry>,
    ) -> (ServerHandle, impl Future<Output = ()> + Send + 'static) {
        let (open, opened) = mpsc::channel(OPENING);
        let (stop, stopping) = watch::channel(false);
        let (published, counts) = watch::channel(Counts::default());
        let (exhausted, is_exhausted) = watch::channel(false);
        let handle = ServerHandle {
            open,
            stop: Arc::new(stop),
            counts,
            exhausted: is_exhausted,
            inbound: config.inbound_messages,
            outbound: config.outbound_messages,
        };
        let (uploads, posted) = Uploads::new(config.uploads);
        let control = Control {
            model: ObjectModel::new(
                config.model,
                registry,
                kurento::read_operation,
                seed(),
                now(),
            ),
            submitter: Submitter::new(engine),
            next_connection: 0,
            clients: BTreeMap::new(),
            counts: published,
            usage_read: None,
            kill_limit: config.kill_limit,
            exhausted,
            graphs: Graphs::new(config.graph_folder, Instant::now()),
            uploads,
        };
        (handle, control.run(events, opened, posted, stopping))
    }
}

/// A running server, for clients in this process and for listeners. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServerHandle {
    open: mpsc::Sender<Opening>,
    stop: Arc<watch::Sender<bool>>,
    counts: watch::Receiver<Counts>,
    exhausted: watch::Receiver<bool>,
    inbound: usize,
    outbound: usize,
}

/// The server's ends of a new connection.
#[derive(Debug)]
struct Opening {
    inbox: mpsc::Receiver<ClientMessage>,
    outbox: mpsc::Sender<ServerMessage>,
}

impl ServerHandle {
    /// A connection like a WebSocket's, of values instead of texts.
    ///
    /// Both queues are bounded. Whoever sends too fast waits. Whoever does not read loses the
    /// connection: the receiver ends after what was queued, and the session can be resumed from
    /// another connection. Dropping the sender closes the connection.
    ///
    /// # Errors
    /// [`ServerClosed`].
    pub async fn open_session(
        &self,
    ) -> Result<(mpsc::Sender<ClientMessage>, mpsc::Receiver<ServerMessage>), ServerClosed> {
        let (sender, inbox) = mpsc::channel(self.inbound.max(1));
        let (outbox, receiver) = mpsc::channel(self.outbound.max(1));
        self.open
            .send(Opening { inbox, outbox })
            .await
            .map_err(|_| ServerClosed)?;
        Ok((sender, receiver))
    }

    /// Releases every object, closes every connection and ends the control task. Returns when that
    /// is done.
    pub async fn shutdown(&self) {
        self.stop.send_replace(true);
        self.open.closed().await;
    }

    /// What the server carries now.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Ends when the process uses more than [`Config::kill_limit`] allows and no object is left, so
    /// that whoever runs the process can end it and start it anew without harm.
    pub async fn exhausted(&self) {
        let mut exhausted = self.exhausted.clone();
        if exhausted.wait_for(|exhausted| *exhausted).await.is_err() {
            // The control task has ended for another reason.
            std::future::pending::<()>().await;
        }
    }

    /// Ends when [`ServerHandle::shutdown`] is called.
    pub(crate) async fn stopping(&self) {
        let mut stopping = self.stop.subscribe();
        // The handle itself keeps the sender alive.
        let _ = stopping.wait_for(|stop| *stop).await;
    }
}

/// What a server carries now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Connections, in-process ones included.
    pub connections: usize,
    /// Sessions that hold references.
    pub sessions: usize,
    /// Media objects, the server manager not counted.
    pub objects: usize,
}

/// What a client does.
enum Arrival {
    Message(Box<ClientMessage>),
    Gone,
}

struct Control {
    model: ObjectModel,
    submitter: Submitter,
    next_connection: u64,
    clients: BTreeMap<ConnectionKey, mpsc::Sender<ServerMessage>>,
    counts: watch::Sender<Counts>,
    /// When the model learned last what the process uses.
    usage_read: Option<Instant>,
    kill_limit: Option<f64>,
    exhausted: watch::Sender<bool>,
    graphs: Graphs,
    uploads: Uploads,
}

/// Why the control task woke.
enum Wake {
    Stop,
    Engine(Option<Event>),
    Opening(Option<Opening>),
    Posted(Report),
    Client(ConnectionKey, Arrival),
    Timeout,
    Retry,
}

impl Control {
    async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut opened: mpsc::Receiver<Opening>,
        mut posted: mpsc::Receiver<Report>,
        mut stopping: watch::Receiver<bool>,
    ) {
        let mut arrivals: SelectAll<BoxStream<'static, (ConnectionKey, Arrival)>> =
            SelectAll::new();
        let mut engine_alive = true;
        let mut handles_alive = true;
        let mut retry_at = Instant::now();
        while handles_alive || !self.clients.is_empty() {
            let (deadline, _) = self.model.poll_timeout();
            let wake = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => Wake::Stop,
                event = events.recv(), if engine_alive => Wake::Engine(event),
                opening = opened.recv(), if handles_alive => Wake::Opening(opening),
                Some(report) = posted.recv() => Wake::Posted(report),
                Some((connection, arrival)) = arrivals.next() => Wake::Client(connection, arrival),
                () = tokio::time::sleep_until(deadline.into()) => Wake::Timeout,
                () = tokio::time::sleep_until(retry_at.into()), if self.submitter.has_kept() => Wake::Retry,
            };
            match wake {
                Wake::Stop => break,
                Wake::Engine(Some(event)) => {
                    self.guard(|model| model.handle_engine(event, now()));
                }
                Wake::Engine(None) => {
                    tracing::error!("the media engine has ended");
                    engine_alive = false;
                }
                Wake::Opening(Some(opening)) => arrivals.push(self.open(opening)),
                Wake::Opening(None) => handles_alive = false,
                Wake::Posted((upload, report)) => {
                    self.guard(|model| model.handle_upload(upload, report, now()));
                }
                Wake::Client(connection, Arrival::Message(message)) => {
                    self.refresh_usage(&message.request);
                    self.guard(|model| model.handle_message(connection, *message, now()));
                }
                Wake::Client(connection, Arrival::Gone) => {
                    self.clients.remove(&connection);
                    self.guard(|model| model.handle_disconnect(connection, now()));
                }
                Wake::Timeout => self.guard(|model| model.handle_timeout(now())),
                Wake::Retry => {
                    self.submitter.retry();
                    retry_at = Instant::now() + RETRY;
                }
            }
            self.carry_out();
            self.publish_counts();
        }
        self.finish().await;
    }

    fn open(&mut self, opening: Opening) -> BoxStream<'static, (ConnectionKey, Arrival)> {
        let connection = ConnectionKey(self.next_connection);
        self.next_connection += 1;
        self.clients.insert(connection, opening.outbox);
        self.model.handle_connect(connection);
        let messages = stream::unfold(opening.inbox, |mut inbox| async move {
            let message = inbox.recv().await?;
            Some((Arrival::Message(Box::new(message)), inbox))
        });
        messages
            .chain(stream::once(std::future::ready(Arrival::Gone)))
            .map(move |arrival| (connection, arrival))
            .boxed()
    }

    /// Carries out what the model asks for, and what that causes.
    fn carry_out(&mut self) {
        while let Some(effect) = self.model.poll_effect() {
            match effect {
                Effect::Send {
                    connection,
                    message,
                } => self.send(connection, message),
                Effect::Engine(command) => {
                    if let Some(failure) = self.submitter.submit(command) {
                        self.guard(|model| model.handle_engine(failure, now()));
                    }
                }
                Effect::WriteGraph { object, text } => {
                    self.graphs.write(&object, text, Instant::now());
                }
                Effect::Upload(upload, order) => {
                    if let Some(report) = self.uploads.carry_out(upload, order) {
                        self.guard(|model| model.handle_upload(upload, report, now()));
                    }
                }
                Effect::ReadHost(token) => {
                    let facts = host::read();
                    self.guard(|model| model.handle_host(token, facts, now()));
                }
            }
        }
    }

    fn send(&mut self, connection: ConnectionKey, message: ServerMessage) {
        let Some(outbox) = self.clients.get(&connection) else {
            return;
        };
        if outbox.try_send(message).is_err() {
            tracing::warn!(
                connection = connection.0,
                "client does not read, disconnected"
            );
            self.clients.remove(&connection);
            self.guard(|model| model.handle_disconnect(connection, now()));
        }
    }

    /// Gives the model an input. A panic in it is a defect that costs the request at hand and what it
    /// touched, not the server.
    fn guard(&mut self, input: impl FnOnce(&mut ObjectModel)) {
        let model = &mut self.model;
        if panic::catch_unwind(AssertUnwindSafe(|| input(model))).is_ok() {
            return;
        }
        if panic::catch_unwind(AssertUnwindSafe(|| model.handle_panic(now()))).is_err() {
            tracing::error!("cleaning up after a defect failed too");
        }
    }

    /// Tells the model what the process uses before a request that may create something.
    fn refresh_usage(&mut self, request: &Request) {
        let creates = matches!(
            request,
            Request::Create { .. } | Request::Transaction { .. }
        );
        if creates
            && self
                .usage_read
                .is_none_or(|read| read.elapsed() >= USAGE_AGE)
        {
            self.usage_read = Some(Instant::now());
            self.model.handle_usage(host::usage());
        }
    }

    /// The last object is gone: is this a good moment to end?
    fn judge_usage(&self) {
        if let Some(part) = self.kill_limit
            && let Some(excess) = host::usage().excess(part)
        {
            tracing::warn!(%excess, "ending, because no media objects are left");
            self.exhausted.send_replace(true);
        }
    }

    fn publish_counts(&self) {
        let counts = Counts {
            connections: self.clients.len(),
            sessions: self.model.session_count(),
            objects: self.model.object_count(),
        };
        let mut emptied = false;
        self.counts.send_if_modified(|before| {
            let changed = *before != counts;
            emptied = before.objects > 0 && counts.objects == 0;
            *before = counts;
            changed
        });
        if emptied {
            self.judge_usage();
        }
    }

    /// Releases everything and lets the engine know.
    async fn finish(mut self) {
        self.model.release_all(now());
        self.carry_out();
        self.publish_counts();
        let deadline = Instant::now() + LAST_COMMANDS;
        while self.submitter.has_kept() && Instant::now() < deadline {
            tokio::time::sleep(RETRY).await;
            self.submitter.retry();
        }
    }
}

fn now() -> Now {
    let since_1970 = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Now {
        monotonic: Instant::now(),
        unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
    }
}

/// Session ids are bearer secrets, so their seed comes from the operating system.
fn seed() -> [u8; 32] {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .expect("the operating system gives random bytes");
    seed
}
