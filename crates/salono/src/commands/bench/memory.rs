//! What one endpoint takes of a server's memory.
//!
//! Two servers are started, each as `salono media` in a process of its own. In one, endpoints are
//! connected (ICE, DTLS) and nothing is sent. In the other, one endpoint publishes audio and video
//! and the others receive it. Some endpoints come first and stay: they bring what a process takes
//! once. What is counted is by how much resident memory grows with those that come after them,
//! divided by their number.

use std::io;
use std::time::Duration;

use salono_bench::Role;
use tokio::time::sleep;

use super::MemoryArgs;
use super::calls::{Calls, MeasureError};
use super::process::MediaProcess;
use crate::failure::Failure;

/// Endpoints that come before those that are counted.
const FIRST: usize = 50;
/// Endpoints that connect at the same time.
const BATCH: usize = 50;
/// How long subscribers receive before memory is read.
const RECEIVE: Duration = Duration::from_secs(3);

/// Most that an idle endpoint may take, in KiB.
const IDLE_KIB: f64 = 60.0;
/// Most that a subscriber may take that receives audio and video, in KiB.
const ACTIVE_KIB: f64 = 120.0;

/// The figures.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MemoryReport {
    idle: Growth,
    active: Growth,
    /// Subscribers that got something, of all of them.
    receivers: (usize, usize),
}

/// Resident memory before and after endpoints came.
#[derive(Debug, Clone, Copy)]
struct Growth {
    endpoints: usize,
    before_kib: u64,
    after_kib: u64,
}

/// Measures.
pub(super) fn measure(args: &MemoryArgs) -> Result<MemoryReport, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    runtime
        .block_on(run(args))
        .map_err(io::Error::other)
        .map_err(Failure::system("cannot measure"))
}

async fn run(args: &MemoryArgs) -> Result<MemoryReport, MeasureError> {
    let count = |wanted: u64| usize::try_from(wanted).unwrap_or(usize::MAX);
    let idle = measure_idle(args, count(args.idle)).await?;
    let (active, receivers) = measure_active(args, count(args.active)).await?;
    Ok(MemoryReport {
        idle,
        active,
        receivers,
    })
}

async fn measure_idle(args: &MemoryArgs, endpoints: usize) -> Result<Growth, MeasureError> {
    let server = MediaProcess::start(args.under.as_deref()).await?;
    let mut calls = Calls::new(&server).await?;
    calls.join(FIRST, Role::Caller).await?;
    let before_kib = server.usage().await?.resident_kib;
    join(&mut calls, endpoints, Role::Caller).await?;
    let after_kib = server.usage().await?.resident_kib;
    sleep(Duration::from_secs(args.hold)).await;
    calls.release().await?;
    Ok(Growth {
        endpoints,
        before_kib,
        after_kib,
    })
}

async fn measure_active(
    args: &MemoryArgs,
    endpoints: usize,
) -> Result<(Growth, (usize, usize)), MeasureError> {
    let server = MediaProcess::start(args.under.as_deref()).await?;
    let mut calls = Calls::new(&server).await?;
    calls.join(1, Role::Caller).await?;
    calls.join(FIRST, Role::Viewer).await?;
    calls.watch_the_first().await?;
    calls.stream(RECEIVE)?;
    let before_kib = server.usage().await?.resident_kib;
    join(&mut calls, endpoints, Role::Viewer).await?;
    calls.watch_the_first().await?;
    let receivers = calls.stream(RECEIVE)?;
    let after_kib = server.usage().await?.resident_kib;
    sleep(Duration::from_secs(args.hold)).await;
    calls.release().await?;
    let growth = Growth {
        endpoints,
        before_kib,
        after_kib,
    };
    Ok((growth, (receivers, FIRST + endpoints)))
}

/// All of them, some at a time.
async fn join(calls: &mut Calls, endpoints: usize, role: Role) -> Result<(), MeasureError> {
    let mut missing = endpoints;
    while missing > 0 {
        let batch = missing.min(BATCH);
        calls.join(batch, role).await?;
        missing -= batch;
    }
    Ok(())
}

impl Growth {
    /// Per endpoint.
    fn each_kib(&self) -> f64 {
        self.after_kib.saturating_sub(self.before_kib) as f64 / self.endpoints.max(1) as f64
    }
}

impl MemoryReport {
    /// What is more than it should be; empty is good.
    pub(crate) fn findings(&self) -> Vec<String> {
        let mut findings = Vec::new();
        for (what, growth, most) in [
            ("idle endpoint", self.idle, IDLE_KIB),
            ("active subscriber", self.active, ACTIVE_KIB),
        ] {
            if growth.each_kib() > most {
                let each = growth.each_kib();
                findings.push(format!("{each:.1} KiB per {what}, more than {most} KiB"));
            }
        }
        let (receivers, subscribers) = self.receivers;
        if receivers < subscribers {
            findings.push(format!(
                "{receivers} of {subscribers} subscribers got something"
            ));
        }
        findings
    }

    /// As Markdown.
    pub(crate) fn print(&self) -> String {
        let row = |what: &str, growth: &Growth| {
            format!(
                "| {what} | {} | {} | {} | {:.1} |\n",
                growth.endpoints,
                growth.before_kib,
                growth.after_kib,
                growth.each_kib()
            )
        };
        format!(
            "| endpoints | number | resident before, KiB | resident after, KiB | KiB per endpoint |\n\
             | --- | --- | --- | --- | --- |\n{}{}\n\
             {FIRST} endpoints were there before. {} of {} subscribers received audio and video.\n",
            row("idle: ICE and DTLS connected", &self.idle),
            row("active: receiving audio and video", &self.active),
            self.receivers.0,
            self.receivers.1
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> MemoryReport {
        let growth = |endpoints, after_kib| Growth {
            endpoints,
            before_kib: 20_000,
            after_kib,
        };
        MemoryReport {
            idle: growth(100, 25_000),
            active: growth(10, 21_000),
            receivers: (60, 60),
        }
    }

    #[test]
    fn what_is_within_bounds_is_no_finding() {
        assert_eq!(report().findings(), Vec::<String>::new());
        let text = report().print();
        assert!(text.contains("| 100 | 20000 | 25000 | 50.0 |"), "{text}");
        assert!(text.contains("| 10 | 20000 | 21000 | 100.0 |"), "{text}");
    }

    #[test]
    fn whatever_is_too_much_or_missing_is_a_finding() {
        let spoil: [fn(&mut MemoryReport); 3] = [
            |report| report.idle.after_kib = 26_001,
            |report| report.active.after_kib = 21_201,
            |report| report.receivers.0 = 59,
        ];
        for spoil in spoil {
            let mut report = report();
            spoil(&mut report);
            assert_eq!(report.findings().len(), 1, "{report:?}");
        }
    }
}
