//! [`RoomServer`]: sessions, rooms and the task that keeps their time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use axum::extract::ws::Message;
use futures_util::{Sink, Stream};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng};
use salono_jsonrpc::room::{Hub, SocketId};
use salono_room_sdk::{KurentoClientProvider, NotificationRoomManager};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::config::RoomServerConfig;
use crate::custom::{CustomRequests, NoCustomRequests};
use crate::dispatch;
use crate::exchange::{Exchange, Job};
use crate::members::Members;
use crate::metrics::{Counters, RoomServerMetrics};
use crate::notifier::Notifier;
use crate::socket;

/// A room server without its listeners; [`router`](crate::router) serves it. Cheap to clone; clones
/// are the same server.
///
/// Must be used inside a tokio runtime: timers, requests and rooms run on tasks of their own.
#[derive(Clone)]
pub struct RoomServer {
    pub(crate) shared: Arc<Shared>,
}

/// What sockets, rooms and web handlers share.
pub(crate) struct Shared {
    pub(crate) config: RoomServerConfig,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) manager: NotificationRoomManager,
    pub(crate) custom: Arc<dyn CustomRequests>,
    pub(crate) counters: Counters,
    pub(crate) members: Members,
    closing: AtomicBool,
    /// How many sockets are being served, those included that the exchange has forgotten.
    serving: watch::Sender<usize>,
    /// Ends the timer task when the last handle is gone.
    _alive: watch::Sender<()>,
}

impl RoomServer {
    /// A server whose rooms get their media server from `provider`. Spawns one task, for timers,
    /// which ends with the last clone.
    ///
    /// # Panics
    /// Outside of a tokio runtime, and when the operating system has no randomness to give.
    pub fn start(config: RoomServerConfig, provider: Arc<dyn KurentoClientProvider>) -> Self {
        Self::start_with(config, provider, Arc::new(NoCustomRequests))
    }

    /// As [`RoomServer::start`], with an application's own requests.
    ///
    /// # Panics
    /// As [`RoomServer::start`].
    pub fn start_with(
        config: RoomServerConfig,
        provider: Arc<dyn KurentoClientProvider>,
        custom: Arc<dyn CustomRequests>,
    ) -> Self {
        let mut random = StdRng::try_from_rng(&mut SysRng)
            .expect("the operating system provides randomness for session ids");
        let hub = Hub::new(config.sessions.clone(), move |bytes| {
            random.fill_bytes(bytes);
        });
        let (alive, gone) = watch::channel(());
        let shared = Arc::new_cyclic(|weak| {
            let notifier = Arc::new(Notifier::new(weak.clone()));
            Shared {
                manager: NotificationRoomManager::with_user_notification_service(
                    notifier,
                    provider,
                    config.rooms,
                ),
                custom,
                exchange: Arc::new(Exchange::new(hub)),
                counters: Counters::default(),
                members: Members::default(),
                closing: AtomicBool::new(false),
                serving: watch::Sender::new(0),
                _alive: alive,
                config,
            }
        });
        tokio::spawn(keep_time(
            Arc::downgrade(&shared),
            Arc::clone(&shared.exchange),
            gone,
        ));
        Self { shared }
    }

    /// Serves a WebSocket that was accepted elsewhere, until it ends. [`router`](crate::router)
    /// does this for `/room`.
    pub async fn serve_socket<S>(&self, socket: S)
    where
        S: Stream<Item = Result<Message, axum::Error>> + Sink<Message> + Send,
    {
        socket::serve(Arc::clone(&self.shared), socket, None).await;
    }

    /// The rooms, for listings and for what only the server's side may do: evict, close, mute.
    pub fn rooms(&self) -> &NotificationRoomManager {
        &self.shared.manager
    }

    /// A reading of all counters.
    pub fn snapshot(&self) -> RoomServerMetrics {
        let (sockets, sessions, hub, slow_clients) = self.shared.exchange.reading();
        let rooms = self.shared.manager.room_manager();
        let counters = &self.shared.counters;
        let mut requests = counters.requests();
        requests.insert("builtin", hub.builtin);
        RoomServerMetrics {
            rooms: rooms.room_count() as u64,
            participants: rooms.participant_count() as u64,
            sockets: sockets as u64,
            sessions: sessions as u64,
            requests,
            errors: hub.errors,
            unusable_frames: counters.unusable_frames.load(Ordering::Relaxed),
            duplicates: hub.duplicates,
            slow_clients,
            missed_frames: hub.missed,
            refused_connections: counters.refused_connections.load(Ordering::Relaxed),
        }
    }

    /// Ends everything: members are told that their room is closed, sockets are closed with 1001
    /// and new ones refused. Returns when all are gone, or after
    /// [`shutdown_patience`](RoomServerConfig::shutdown_patience).
    pub async fn shutdown(&self) {
        let shared = &self.shared;
        shared.closing.store(true, Ordering::Relaxed);
        // A media server that does not answer must not keep the sockets from hearing of it.
        let half = shared.config.shutdown_patience / 2;
        if timeout(half, shared.manager.shutdown()).await.is_err() {
            tracing::warn!("some rooms did not close in time");
        }
        shared.drive(|hub, now| hub.close_all(1001, "server is shutting down", now));
        let mut serving = shared.serving.subscribe();
        if timeout(half, serving.wait_for(|count| *count == 0))
            .await
            .is_err()
        {
            tracing::warn!("some clients did not close in time");
        }
    }
}

impl Shared {
    /// Changes the state of sessions and carries out what follows.
    pub(crate) fn drive<R>(self: &Arc<Self>, change: impl FnOnce(&mut Hub, Instant) -> R) -> R {
        let (result, jobs) = self.exchange.drive(change);
        self.start_all(jobs);
        result
    }

    /// Closes a socket after what is queued for it.
    pub(crate) fn close_socket(
        self: &Arc<Self>,
        socket: SocketId,
        code: u16,
        reason: &'static str,
    ) {
        let jobs = self.exchange.close(socket, code, reason);
        self.start_all(jobs);
    }

    /// Whether [`RoomServer::shutdown`] was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn serving(self: &Arc<Self>) -> ServingGuard {
        self.serving.send_modify(|count| *count += 1);
        ServingGuard(Arc::clone(self))
    }

    fn start_all(self: &Arc<Self>, jobs: Vec<Job>) {
        for job in jobs {
            dispatch::start(self, job);
        }
    }
}

/// One connection that is being served.
pub(crate) struct ServingGuard(Arc<Shared>);

impl Drop for ServingGuard {
    fn drop(&mut self) {
        self.0.serving.send_modify(|count| *count -= 1);
    }
}

/// Calls the hub when its timers are due.
async fn keep_time(server: Weak<Shared>, exchange: Arc<Exchange>, mut gone: watch::Receiver<()>) {
    loop {
        tokio::select! {
            jobs = exchange.next_timeout() => match server.upgrade() {
                Some(server) => server.start_all(jobs),
                None => return,
            },
            // Nothing is ever sent: this is the last handle going away.
            _ = gone.changed() => return,
        }
    }
}
