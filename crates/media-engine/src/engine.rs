//! Starting and ending the shard threads, and the handle that the rest of the process holds.

use crate::bind::{self, LocalIp, StartError};
use crate::config::EngineConfig;
use crate::core::Core;
use crate::links::{self, Bell, Links};
use crate::lookup::Lookup;
use crate::mailbox::{Mailbox, Room};
use crate::network::NetworkParts;
use crate::os;
use crate::outbox::{Outbox, Sink};
use crate::processors::{Desk, ProcessorMetrics, Processors};
use crate::udp::UdpSocket;
use crate::worker::{Letter, Worker, WorkerParts};
use salono_media_api::{Command, CommandSink, ElementSpec, Event, Op, ShardMetrics};
use salono_media_core::{
    Certificates, LocalAddress, Placement, Shard, ShardConfig, ShardId, SocketId, SocketKind,
};
use std::collections::BTreeSet;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

/// Most shards; more threads than this help nobody.
const MAX_SHARDS: usize = 256;

/// Starts media shards.
#[derive(Debug)]
pub struct Engine;

/// Carries commands to running shards. Clones share them; when the last is dropped, or at
/// [`EngineHandle::shutdown`], the shards end.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    /// What all clones share.
    shared: Arc<Shared>,
}

/// The running shards.
#[derive(Debug)]
struct Shared {
    /// By number.
    shards: Vec<ShardLink>,
    /// Which of them carries what.
    places: Arc<Mutex<Places>>,
    /// To be joined once.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that the shards present.
    certificates: Certificates,
    /// The media processors of all shards.
    processors: Arc<Processors>,
}

/// What lives where.
#[derive(Debug)]
struct Places {
    /// Pipelines and elements.
    placement: Placement,
    /// Shards that exchange messages, the lower number first.
    linked: BTreeSet<(ShardId, ShardId)>,
}

/// What other threads know of a shard.
#[derive(Debug)]
struct ShardLink {
    /// Its commands.
    mailbox: Arc<Mailbox<Letter>>,
    /// Wakes it when another shard has something for it.
    bell: Arc<Bell>,
    /// What its sockets are bound to, by socket index.
    addresses: Vec<SocketAddr>,
    /// Its metrics as of the last second.
    metrics: Arc<Mutex<ShardMetrics>>,
}

impl Engine {
    /// Binds the sockets and starts the threads.
    ///
    /// `sink` takes the events of all shards, each shard has a clone. It is called on the shard
    /// threads and must not wait: when it has no room it gives the event back and is asked again
    /// some milliseconds later.
    ///
    /// # Errors
    /// Says what mends it; nothing keeps running.
    pub fn start<S>(config: &EngineConfig, sink: S) -> Result<EngineHandle, StartError>
    where
        S: Fn(Event) -> Result<(), Event> + Clone + Send + 'static,
    {
        start_with(config, sink, |addresses, siblings| {
            let config = ShardConfig {
                addresses,
                siblings: siblings.to_vec(),
                announced_v4: config.announced_v4,
                announced_v6: config.announced_v6,
                certificates: config.certificates.clone(),
                codecs: config.codecs.clone(),
                transcoding: config.transcoding,
                limits: config.limits.clone(),
                seed: [0; 32],
                unix_time: Duration::ZERO,
            };
            move |now| {
                let config = ShardConfig {
                    // A new one each time: after a restart no credential may come again.
                    seed: os::random_seed()?,
                    // A host whose clock stands before 1970 gets timestamps from then.
                    unix_time: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default(),
                    ..config.clone()
                };
                Ok(Shard::new(config, now))
            }
        })
    }
}

impl EngineHandle {
    /// UDP port of each shard.
    pub fn local_ports(&self) -> Vec<u16> {
        let ports = self.shared.shards.iter();
        ports
            .filter_map(|shard| shard.addresses.first())
            .map(SocketAddr::port)
            .collect()
    }

    /// What the sockets of each shard are bound to.
    pub fn local_addresses(&self) -> Vec<Vec<SocketAddr>> {
        self.shared
            .shards
            .iter()
            .map(|shard| shard.addresses.clone())
            .collect()
    }

    /// Counters of each shard, not older than about a second.
    pub fn metrics(&self) -> Vec<ShardMetrics> {
        let published = self.shared.shards.iter().map(|shard| &shard.metrics);
        published
            .map(|metrics| *metrics.lock().unwrap_or_else(PoisonError::into_inner))
            .collect()
    }

    /// Counters of the media processors, as of now.
    pub fn processor_metrics(&self) -> ProcessorMetrics {
        self.shared.processors.metrics()
    }

    /// Lets the shards finish the commands that wait, then ends their threads and closes the
    /// sockets and ends the media processors. Returns when that is done; further commands are given back.
    pub fn shutdown(&self) {
        self.shared.shutdown();
    }
}

impl EngineHandle {
    /// Makes an RSA key before a shard needs it: that takes longer than a shard may stand still.
    fn prepare(&self, op: &Op) {
        if let Op::Create {
            spec: ElementSpec::WebRtc(spec),
            ..
        } = op
            && let Err(error) = self.shared.certificates.get(spec.certificate)
        {
            tracing::error!(%error, "no certificate for an endpoint");
        }
    }
}

impl CommandSink for EngineHandle {
    fn submit(&mut self, command: Command) -> Result<(), Box<Command>> {
        self.prepare(&command.op);
        let shared = &*self.shared;
        // Held until everybody is told, so that all shards are told in the same order.
        let mut places = lock(&shared.places);
        let now = Instant::now();
        if places.placement.wants_measure(&command, now) {
            let forwarded = shared.shards.iter();
            let forwarded = forwarded.map(|shard| lock(&shard.metrics).rtp_forwarded);
            places.placement.measure(forwarded, now);
        }
        let plan = places.placement.plan(&command);
        for (at, (shard, letters)) in plan.shards().enumerate() {
            let room = shared.shard(shard).map(|it| it.mailbox.room_for(letters));
            match room {
                Some(Room::Free) => {}
                // A shard that ended keeps nobody else from going on.
                Some(Room::Closed) | None if at > 0 => {}
                Some(Room::Full | Room::Closed) | None => return Err(Box::new(command)),
            }
        }
        for (first, second) in plan.links() {
            if places.linked.insert((first.min(second), first.max(second))) {
                shared.link(first, second);
            }
        }
        for (shard, order) in places.placement.carry_out(command, &plan) {
            let Some(shard) = shared.shard(shard) else {
                continue;
            };
            // Refused only by one that ended.
            if shard.mailbox.push(Letter::Order(order)).is_err() {
                tracing::debug!("a shard that ended is not told");
            }
        }
        Ok(())
    }
}

/// What a mutex guards; a panic elsewhere leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn shard(&self, id: ShardId) -> Option<&ShardLink> {
        self.shards.get(usize::from(id.0))
    }

    /// Lets two shards exchange messages.
    fn link(&self, first: ShardId, second: ShardId) {
        let (Some(one), Some(other)) = (self.shard(first), self.shard(second)) else {
            return;
        };
        let (here, there) = links::connect((first, &one.bell), (second, &other.bell));
        for (shard, end) in [(one, here), (other, there)] {
            if shard.mailbox.push(Letter::Link(end)).is_err() {
                tracing::debug!("a shard that ended is not linked");
            }
        }
    }

    /// Closes the mailboxes and joins the threads.
    fn shutdown(&self) {
        for shard in &self.shards {
            shard.mailbox.close();
        }
        let threads =
            std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // The last handle may be dropped by a sink, on the thread itself.
            if thread.thread().id() != thread::current().id() && thread.join().is_err() {
                tracing::error!("a shard thread ended by a panic");
            }
        }
        self.processors.stop();
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// [`Engine::start`] with a core of the caller's: `plan` is told the sockets of a shard and gives
/// the function that makes its core, on its thread, as often as needed.
pub(crate) fn start_with<S, P, M, C>(
    config: &EngineConfig,
    sink: S,
    mut plan: P,
) -> Result<EngineHandle, StartError>
where
    S: Fn(Event) -> Result<(), Event> + Clone + Send + 'static,
    P: FnMut(Vec<LocalAddress>, &[SocketAddr]) -> M,
    M: FnMut(Instant) -> io::Result<C> + Send + 'static,
    C: Core + 'static,
{
    let count = match config.shards {
        0 => thread::available_parallelism().map_or(1, usize::from),
        shards => shards,
    };
    let count = count.min(MAX_SHARDS);
    let ips = bind::local_ips(&config.ips)?;
    let sockets = bind::bind_shards(count, &ips, config.port, config.sockets)?;
    warn_of_small_buffers(sockets.iter().flatten(), config.sockets.buffer_bytes);
    let mut shared = Shared {
        shards: Vec::with_capacity(count),
        places: Arc::new(Mutex::new(Places {
            placement: Placement::new(count, config.spreading),
            linked: BTreeSet::new(),
        })),
        threads: Mutex::default(),
        certificates: config.certificates.clone(),
        processors: Arc::new(Processors::new(config.processors.clone())?),
    };
    let lookup = Arc::new(Lookup::new(bind::extra_roots(&config.extra_roots)?));
    let siblings: Vec<SocketAddr> = sockets
        .iter()
        .flatten()
        .map(UdpSocket::local_addr)
        .collect();
    // From here on dropping `shared` ends what was started.
    for (index, sockets) in sockets.into_iter().enumerate() {
        let addresses: Vec<_> = sockets.iter().map(UdpSocket::local_addr).collect();
        let beside = match config.ice_tcp {
            true => bind::listen_beside(&sockets),
            false => Vec::new(),
        };
        let (locals, ice_tcp) = local_addresses(&ips, &addresses, beside)?;
        let make = plan(locals, &siblings);
        let link = ShardLink {
            mailbox: Arc::new(Mailbox::new(config.command_queue)?),
            bell: Arc::new(Bell::new()?),
            addresses,
            metrics: Arc::default(),
        };
        let sink: Sink = Box::new(sink.clone());
        let places = Arc::clone(&shared.places);
        let id = ShardId(u16::try_from(index).unwrap_or(u16::MAX));
        let parts = WorkerParts {
            index,
            make,
            network: NetworkParts {
                udp: sockets,
                ice_tcp,
                options: config.sockets,
                lookup: Arc::clone(&lookup),
            },
            mailbox: Arc::clone(&link.mailbox),
            links: Links::new(Arc::clone(&link.bell)),
            desk: Desk::new(Arc::clone(&shared.processors))?,
            recover: Box::new(move || lock(&places).placement.recover(id)),
            outbox: Outbox::new(sink, config.event_backlog),
            published: Arc::clone(&link.metrics),
        };
        tracing::info!(shard = index, addresses = ?link.addresses, "media shard listens");
        shared.shards.push(link);
        let thread = spawn(index, parts)?;
        shared
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
            .push(thread);
    }
    Ok(EngineHandle {
        shared: Arc::new(shared),
    })
}

/// What a core is told of its sockets, in the order of their ids: those for UDP, then listeners.
fn local_addresses(
    ips: &[LocalIp],
    udp: &[SocketAddr],
    beside: Vec<(usize, TcpListener)>,
) -> io::Result<(Vec<LocalAddress>, Vec<TcpListener>)> {
    let named = |id: usize, index: usize, kind, addr| LocalAddress {
        socket: SocketId(id as u16),
        kind,
        addr,
        interface: ips[index].interface.clone(),
    };
    let mut locals: Vec<_> = udp
        .iter()
        .enumerate()
        .map(|(index, addr)| named(index, index, SocketKind::Udp, *addr))
        .collect();
    let mut listeners = Vec::new();
    for (index, listener) in beside {
        let addr = listener.local_addr()?;
        locals.push(named(locals.len(), index, SocketKind::IceTcp, addr));
        listeners.push(listener);
    }
    Ok((locals, listeners))
}

/// Starts one thread and waits until it is set up, or has said why it is not.
fn spawn<C, M>(index: usize, parts: WorkerParts<M>) -> io::Result<JoinHandle<()>>
where
    C: Core + 'static,
    M: FnMut(Instant) -> io::Result<C> + Send + 'static,
{
    let (report, outcome) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name(format!("shard-{index}"))
        .spawn(move || {
            match Worker::new(parts) {
                Ok(worker) => {
                    // Nobody waits for the report only if starting was given up meanwhile.
                    let _ = report.send(Ok(()));
                    worker.run();
                }
                Err(error) => {
                    let _ = report.send(Err(error));
                }
            }
        })?;
    outcome
        .recv()
        .unwrap_or_else(|_| Err(io::Error::other("a shard panicked at its start")))?;
    Ok(thread)
}

/// Says once per process that bursts may be lost.
fn warn_of_small_buffers<'a>(sockets: impl Iterator<Item = &'a UdpSocket>, wanted: usize) {
    static ONCE: Once = Once::new();
    let granted = sockets
        .filter_map(|socket| socket.buffer_bytes().ok())
        .map(|(receive, send)| receive.min(send))
        .min();
    if let Some(granted) = granted.filter(|granted| *granted < wanted) {
        ONCE.call_once(|| {
            tracing::warn!(
                wanted,
                granted,
                "small UDP buffers, bursts may be lost: raise net.core.rmem_max and \
                 net.core.wmem_max with sysctl"
            );
        });
    }
}

#[cfg(test)]
mod tests;
