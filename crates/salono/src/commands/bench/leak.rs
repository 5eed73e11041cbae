//! What endpoints cost and whether they leave anything behind.
//!
//! This program starts itself once more, as `salono media`. Batch after batch of `WebRtcEndpoint`s is
//! created there, called by str0m peers with sockets of their own over the loopback interface until
//! ICE and DTLS are connected, and released, all through the Kurento Protocol. What is measured is
//! read from `/proc` and from `/metrics` of that process. The first batches are not counted: they bring
//! what a process keeps once it has been used.

mod report;

use std::io;
use std::time::Instant;

use salono_bench::Role;

use super::LeakArgs;
use super::calls::{Calls, MeasureError};
use super::process::{MediaProcess, Usage};
use crate::failure::Failure;
pub(crate) use report::LeakReport;

/// Batches before the first that counts. The allocator takes some to find its level.
const WARM_UP: usize = 4;

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

async fn run(args: &LeakArgs) -> Result<LeakReport, MeasureError> {
    let measured = MediaProcess::start(None).await?;
    let idle = measured.usage().await?;
    let batch = args.batch.max(1);
    let mut peak = Usage::default();
    for _ in 0..WARM_UP {
        call(&measured, batch, &mut peak).await?;
    }
    let before = measured.settled(idle.files).await?;
    peak = before;
    let began = Instant::now();
    let mut done = 0;
    while done < args.endpoints {
        let size = batch.min(args.endpoints - done);
        call(&measured, size, &mut peak).await?;
        done += size;
    }
    let took = began.elapsed();
    let after = measured.settled(before.files).await?;
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
async fn call(measured: &MediaProcess, size: usize, peak: &mut Usage) -> Result<(), MeasureError> {
    let mut calls = Calls::new(measured).await?;
    calls.join(size, Role::Caller).await?;
    peak.raise(measured.usage().await?);
    calls.release().await
}
