//! Load for a media server, and what becomes of it.
//!
//! A [`Job`] says which server, how many publish and who watches whom; [`run`] does it in this process, which should do
//! nothing else, and returns an [`Outcome`]. Everything goes over real protocols and real loopback sockets: signalling,
//! ICE, DTLS 1.2, SRTP and RTCP. Publishers are str0m, an independent WebRTC stack. So are receivers, but most of them
//! have only ICE and DTLS from it: packets are counted by their headers, which are not encrypted, and feedback is ours.
//! Some, evenly spread, decrypt all they receive through str0m; they measure latency, by a time that the payloads carry.

mod apart;
mod audience;
mod camera;
mod chatter;
mod counter;
mod outcome;
mod plan;
mod signalling;
mod studio;
mod viewer;
mod window;

pub use outcome::{Outcome, Times};
pub use plan::{Job, Scenario, Server};

use crate::peer::PeerError;
use crate::process::{ProcessUsage, media_threads};
use audience::Audience;
use futures_util::{StreamExt as _, stream};
use plan::Watch;
use salono_media_engine::os::raise_descriptor_limit;
use signalling::Signalling;
use std::cell::{Cell, RefCell};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use studio::Cameras;
use tokio::time::{sleep, timeout};
use viewer::Joined;
use window::{StampClock, Window};

/// How long anybody may take to connect.
const JOIN_PATIENCE: Duration = Duration::from_secs(20);

/// Receivers that join one after the other, the last ones, so that it can be told how long that takes.
const TIMED: usize = 50;

/// The others, at a time.
const JOINING: usize = 8;

/// Time for joining to quieten down before anything is measured.
const SETTLE: Duration = Duration::from_secs(1);

/// Time for the last measured packets to arrive, lost ones repaired.
const LAST_ARRIVALS: Duration = Duration::from_millis(700);

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// Sockets, threads or files of `/proc` cannot be had.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A peer failed.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// The server refused something or does not answer.
    #[error("server: {0}")]
    Server(String),
    /// It took too long; how far it got.
    #[error("did not finish: {0}")]
    Unfinished(String),
    /// The load itself failed.
    #[error("load: {0}")]
    Load(String),
}

/// What all that joins share.
struct Floorplan {
    cameras: Cameras,
    audience: RefCell<Audience>,
    windows: Vec<Arc<Window>>,
    clock: StampClock,
}

/// Runs the load on this thread and some more, until everything is measured.
///
/// # Errors
/// When publishers do not connect, the server refuses something, or this process cannot go on. Receivers that do not
/// connect are part of the outcome.
pub fn run(job: &Job) -> Result<Outcome, LoadError> {
    raise_descriptor_limit()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, measure(job))
}

async fn measure(job: &Job) -> Result<Outcome, LoadError> {
    let usage =
        || -> io::Result<Option<ProcessUsage>> { job.process.map(ProcessUsage::of).transpose() };
    let own = || ProcessUsage::of(std::process::id());
    let idle = usage()?;
    let scenario = &job.scenario;
    let clock = StampClock::start();
    let windows = (0..scenario.publishers()).map(|_| Arc::new(Window::new()));
    let plan = Floorplan {
        cameras: Cameras::start(&scenario.pattern(), clock)?,
        audience: RefCell::new(Audience::start(job.threads)?),
        windows: windows.collect(),
        clock,
    };
    let signalling = timeout(JOIN_PATIENCE, Signalling::connect(job)).await;
    let signalling = signalling.map_err(|_| LoadError::Server("does not answer".into()))??;
    let watches = scenario.watches(job.sampled);
    let progress = Progress::default();
    let joining = everybody_joins(&signalling, &plan, scenario, &watches, &progress);
    let patience = Duration::from_secs_f64(job.patience);
    let (times, unconnected) = match timeout(patience, joining).await {
        Ok(joined) => joined?,
        Err(_) => return Err(progress.too_slow(scenario, patience)),
    };
    sleep(SETTLE).await;

    let threads = || job.process.map(media_threads).transpose();
    let (server_before, own_before, threads_before) = (usage()?, own()?, threads()?);
    let began = Instant::now();
    plan.cameras.begin();
    sleep(Duration::from_secs_f64(job.seconds)).await;
    plan.cameras.end();
    let (server_after, own_after, threads_after) = (usage()?, own()?, threads()?);
    let measured = began.elapsed();
    sleep(LAST_ARRIVALS).await;

    let Floorplan {
        cameras, audience, ..
    } = plan;
    cameras.finish()?;
    let tallies = audience.into_inner().finish()?;
    let mut outcome = Outcome {
        server: timeout(JOIN_PATIENCE, signalling.describe())
            .await
            .unwrap_or_default(),
        srtp: signalling.srtp(),
        endpoints: (scenario.publishers() + watches.len()) as u64,
        unconnected,
        sampled: watches.iter().filter(|watch| watch.sampled).count() as u64,
        times,
        measured,
        own_cpu: own_after.cpu.saturating_sub(own_before.cpu),
        ..Outcome::default()
    };
    if let (Some(idle), Some(before), Some(after)) = (idle, server_before, server_after) {
        outcome.server_cpu = Some(after.cpu.saturating_sub(before.cpu));
        outcome.idle_bytes = idle.resident;
        outcome.resident_bytes = after.resident;
    }
    if let (Some(before), Some(after)) = (threads_before, threads_after) {
        let both = before.into_iter().zip(after);
        outcome.server_threads = both
            .map(|(before, after)| after.saturating_sub(before))
            .collect();
    }
    outcome.add_tallies(tallies);
    // The server forgets all of it anyway when the connection ends.
    let _ = timeout(JOIN_PATIENCE, signalling.leave()).await;
    Ok(outcome)
}

/// Who has joined so far.
#[derive(Debug, Default)]
struct Progress {
    publishers: Cell<usize>,
    receivers: Cell<usize>,
}

impl Progress {
    /// Says how far it got in the time that there was.
    fn too_slow(&self, scenario: &Scenario, patience: Duration) -> LoadError {
        LoadError::Unfinished(format!(
            "after {} s, {} of {} publishers and {} of {} receivers had joined",
            patience.as_secs(),
            self.publishers.get(),
            scenario.publishers(),
            self.receivers.get(),
            scenario.receivers(),
        ))
    }
}

/// Publishers, then receivers. Returns how long the timed ones took, and how many did not get through.
async fn everybody_joins(
    signalling: &Signalling,
    plan: &Floorplan,
    scenario: &Scenario,
    watches: &[Watch],
    progress: &Progress,
) -> Result<(Times, u64), LoadError> {
    for publisher in 0..scenario.publishers() {
        let publish = signalling.publish(plan, publisher);
        match timeout(JOIN_PATIENCE, publish).await {
            Ok(result) => result?,
            Err(_) => return Err(LoadError::Load("a publisher does not connect".into())),
        }
        progress.publishers.set(publisher + 1);
    }
    let (rest, timed) = watches.split_at(watches.len().saturating_sub(TIMED));
    let count = |joined: &Option<Joined>| {
        let connected = u64::from(joined.is_some());
        progress
            .receivers
            .set(progress.receivers.get() + connected as usize);
        1 - connected
    };
    let mut unconnected = 0;
    let mut joining = stream::iter(rest.iter().map(|watch| join(signalling, plan, watch)))
        .buffer_unordered(JOINING);
    while let Some(joined) = joining.next().await {
        unconnected += count(&joined?);
    }
    let mut times = Times::default();
    for watch in timed {
        let began = Instant::now();
        let joined = join(signalling, plan, watch).await?;
        unconnected += count(&joined);
        if let Some(joined) = joined {
            times.add(began, joined);
        }
    }
    Ok((times, unconnected))
}

/// One receiver joins. `None` when it does not get through in time.
async fn join(
    signalling: &Signalling,
    plan: &Floorplan,
    watch: &Watch,
) -> Result<Option<Joined>, LoadError> {
    match timeout(JOIN_PATIENCE, signalling.watch(plan, watch)).await {
        Ok(joined) => joined,
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests;
