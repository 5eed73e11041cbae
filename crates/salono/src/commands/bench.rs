//! `salono bench`: measurements of this program on this machine, as Markdown on standard output.

mod leak;
mod startup;

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use salono_bench::floor::{self, FloorOptions};
use salono_bench::forward::{self, ForwardOptions};

use crate::cli::BenchArgs;
use crate::failure::Failure;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// Time from start to listening, and memory when idle, of `salono serve`
    Startup(StartupArgs),
    /// The least that forwarding one packet can cost on this machine, about half a minute
    Floor,
    /// Whether endpoints leave anything behind, and what each costs, about half a minute
    Leak(LeakArgs),
    /// What forwarding costs in the media engine, beside the floor, about two minutes
    Forward(ForwardArgs),
}

/// Of `salono bench startup`.
#[derive(Debug, Args)]
pub(crate) struct StartupArgs {
    /// How often it is started
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) runs: usize,
}

/// Of `salono bench leak`.
#[derive(Debug, Args)]
pub(crate) struct LeakArgs {
    /// WebRtcEndpoints in all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) endpoints: usize,
    /// Of them at a time
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) batch: usize,
}

/// Of `salono bench forward`.
#[derive(Debug, Args)]
pub(crate) struct ForwardArgs {
    /// Numbers of subscribers to one publisher
    #[arg(long, value_name = "N,N,...", value_delimiter = ',', default_values_t = [10, 50, 200])]
    pub(crate) subscribers: Vec<usize>,
    /// Runs with each number of subscribers, alternating with runs of the floor
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub(crate) runs: usize,
    /// Length of one run
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub(crate) seconds: u64,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let mut left_behind = Vec::new();
    let text = match &args.what {
        Benchmark::Startup(args) => startup::measure(args)?,
        Benchmark::Leak(args) => {
            let report = leak::measure(args)?;
            left_behind = report.findings();
            report.print()
        }
        Benchmark::Floor => floor::run(&FloorOptions::default())
            .map_err(Failure::system("cannot measure"))?
            .print(),
        Benchmark::Forward(args) => forward::run(&ForwardOptions {
            subscribers: args.subscribers.clone(),
            runs: args.runs,
            length: Duration::from_secs(args.seconds),
            ..ForwardOptions::default()
        })
        .map_err(io::Error::other)
        .map_err(Failure::system("cannot measure"))?
        .print(),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::system("cannot print"))?;
    if !left_behind.is_empty() {
        return Err(Failure::LeftBehind(left_behind.join("; ")));
    }
    Ok(ExitCode::SUCCESS)
}
