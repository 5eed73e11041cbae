//! Starting and ending the shard threads, and the handle that the rest of the process holds.

use crate::bind::{self, LocalIp, StartError};
use crate::config::EngineConfig;
use crate::core::Core;
use crate::lookup::Lookup;
use crate::mailbox::Mailbox;
use crate::network::NetworkParts;
use crate::os;
use crate::outbox::{Outbox, Sink};
use crate::placement::Placement;
use crate::udp::UdpSocket;
use crate::worker::{Worker, WorkerParts};
use salono_media_api::{Command, CommandSink, ElementSpec, Event, Op, ShardMetrics};
use salono_media_core::{Certificates, LocalAddress, Shard, ShardConfig, SocketId, SocketKind};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, Once, PoisonError, mpsc};
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
    /// Which of them carries which pipeline.
    placement: Mutex<Placement>,
    /// To be joined once.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Those that the shards present.
    certificates: Certificates,
}

/// What other threads know of a shard.
#[derive(Debug)]
struct ShardLink {
    /// Its commands.
    mailbox: Arc<Mailbox>,
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

    /// Lets the shards finish the commands that wait, then ends their threads and closes the
    /// sockets. Returns when that is done; further commands are given back.
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
        let pipeline = command.pipeline;
        let creates = matches!(command.op, Op::CreatePipeline);
        self.prepare(&command.op);
        let releases = matches!(command.op, Op::ReleasePipeline);
        let mut placement = self
            .shared
            .placement
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = creates && !placement.contains(pipeline);
        let shard = if creates {
            placement.place(pipeline)
        } else {
            placement.shard(pipeline)
        };
        let result = match self.shared.shards.get(shard) {
            Some(shard) => shard.mailbox.push(command),
            None => Err(Box::new(command)),
        };
        if (new && result.is_err()) || (releases && result.is_ok()) {
            placement.remove(pipeline);
        }
        result
    }
}

impl Shared {
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
        placement: Mutex::new(Placement::new(count)),
        threads: Mutex::default(),
        certificates: config.certificates.clone(),
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
            addresses,
            metrics: Arc::default(),
        };
        let sink: Sink = Box::new(sink.clone());
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
