//! What endpoints cost and whether they leave anything behind.
//!
//! This program starts itself once more, as `salono media`. Batch after batch of `WebRtcEndpoint`s is
//! created there, called by str0m peers with sockets of their own over the loopback interface until
//! ICE and DTLS are connected, and released, all through the Kurento Protocol. What is measured is
//! read from `/proc` and from `/metrics` of that process. The first batches are not counted: they bring
//! what a process keeps once it has been used. Answers are not kept for repeated requests there,
//! because those of the last 20 s would count as memory; they are bounded by number and size.

mod process;
mod report;

use std::io;
use std::time::{Duration, Instant};

use salono_bench::{Callers, PeerError};
use salono_kurento_client::events::{EventData, IceCandidateFound, IceGatheringDone};
use salono_kurento_client::{Error, Events, MediaPipeline, WebRtcEndpoint};
use tokio::time::timeout;

use super::LeakArgs;
use crate::failure::Failure;
use process::MediaProcess;
pub(crate) use process::Usage;
pub(crate) use report::LeakReport;

/// Batches before the first that counts. The allocator takes some to find its level.
const WARM_UP: usize = 4;

/// How long one event, or the connections of one batch, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures.
pub(super) fn measure(args: &LeakArgs) -> Result<LeakReport, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    runtime
        .block_on(run(args))
        .map_err(io::Error::other)
        .map_err(Failure::system("cannot measure"))
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LeakError {
    /// The processes cannot be started or looked at.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A server refused something.
    #[error(transparent)]
    Server(#[from] Error),
    /// A peer did not get through.
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// An event did not come.
    #[error("{0} did not come within {PATIENCE:?}")]
    Missing(&'static str),
}

async fn run(args: &LeakArgs) -> Result<LeakReport, LeakError> {
    let measured = MediaProcess::start().await?;
    let idle = measured.usage().await?;
    let batch = args.batch.max(1);
    let mut peak = Usage::default();
    for _ in 0..WARM_UP {
        call(&measured, batch, &mut peak).await?;
    }
    let before = measured.settled().await?;
    peak = before;
    let began = Instant::now();
    let mut done = 0;
    while done < args.endpoints {
        let size = batch.min(args.endpoints - done);
        call(&measured, size, &mut peak).await?;
        done += size;
    }
    let took = began.elapsed();
    let after = measured.settled().await?;
    Ok(LeakReport {
        endpoints: done,
        batch,
        took,
        shards: measured.shards(),
        idle,
        before,
        peak,
        after,
    })
}

/// One batch: everybody connects, the process is looked at, everybody leaves.
async fn call(measured: &MediaProcess, size: usize, peak: &mut Usage) -> Result<(), LeakError> {
    let pipeline = MediaPipeline::create(&measured.client).await?;
    let mut callers = Callers::new()?;
    let mut endpoints = Vec::with_capacity(size);
    for caller in 0..size {
        let endpoint = WebRtcEndpoint::create(&pipeline).await?;
        let candidates = endpoint.on_ice_candidate_found().await?;
        let gathered = endpoint.on_ice_gathering_done().await?;
        let offer = callers.offer()?;
        let answer = endpoint.process_offer(&offer).await?;
        endpoint.gather_candidates().await?;
        let found = gather(candidates, gathered).await?;
        callers.accept(caller, &answer, &found)?;
        endpoints.push(endpoint);
    }
    callers.connect(PATIENCE)?;
    peak.raise(measured.usage().await?);
    pipeline.release().await?;
    Ok(())
}

/// The candidates for UDP; str0m takes no others.
async fn gather(
    mut candidates: Events<IceCandidateFound>,
    mut gathered: Events<IceGatheringDone>,
) -> Result<Vec<String>, LeakError> {
    next(&mut gathered, "IceGatheringDone").await?;
    let mut found: Vec<String> = Vec::new();
    // Candidates come before the end of gathering, so those that there are wait here.
    while let Ok(Some(Ok(event))) = timeout(Duration::ZERO, candidates.recv()).await {
        let candidate = event.candidate.candidate;
        let is_udp = candidate
            .split(' ')
            .nth(2)
            .is_some_and(|it| it.eq_ignore_ascii_case("udp"));
        if is_udp && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    Ok(found)
}

async fn next<E: EventData>(stream: &mut Events<E>, what: &'static str) -> Result<E, LeakError> {
    match timeout(PATIENCE, stream.recv()).await {
        Ok(Some(Ok(event))) => Ok(event),
        Ok(Some(Err(_)) | None) | Err(_) => Err(LeakError::Missing(what)),
    }
}
