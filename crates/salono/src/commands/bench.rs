//! `salono bench`: measurements of this program on this machine, as Markdown on standard output.

mod calls;
mod leak;
mod memory;
mod process;
mod processor;
mod sfu;
mod startup;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use salono_bench::floor::{self, StepOptions};

use crate::cli::BenchArgs;
use crate::failure::Failure;
pub(crate) use sfu::SfuArgs;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// Time from start to listening, and memory when idle, of `salono serve`
    Startup(StartupArgs),
    /// The least that forwarding a packet can cost on this machine: its steps, and a forwarder of nothing else
    Floor,
    /// Whether endpoints leave anything behind, and what each costs, about half a minute
    Leak(LeakArgs),
    /// Memory per endpoint, idle and receiving audio and video, about half a minute
    Memory(MemoryArgs),
    /// Start of media processors, and latency of a packet that goes through one and is not encoded anew
    Processor(ProcessorArgs),
    /// Forwarding, side by side with other servers and with the least that it can cost
    Sfu(Box<SfuArgs>),
    /// The load of `sfu`, which starts it
    #[command(hide = true)]
    Load,
    /// The bare forwarder of `sfu`, which starts it
    #[command(hide = true)]
    Forwarder,
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

/// Of `salono bench memory`.
#[derive(Debug, Args)]
pub(crate) struct MemoryArgs {
    /// Endpoints that are counted while nothing is sent
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = at_least_one())]
    pub(crate) idle: u64,
    /// Subscribers that are counted while they receive audio and video
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = at_least_one())]
    pub(crate) active: u64,
    /// Keep everybody for so long before they leave, to look at the server
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    pub(crate) hold: u64,
    /// Start the server under a program, as in --under "valgrind --tool=massif"
    #[arg(long, value_name = "COMMAND")]
    pub(crate) under: Option<String>,
}

/// Of `salono bench processor`.
#[derive(Debug, Args)]
pub(crate) struct ProcessorArgs {
    /// Packets that are sent, 50 a second
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub(crate) packets: u32,
    /// The program, instead of the `salono-processor` beside this one or in PATH
    #[arg(long, value_name = "FILE")]
    pub(crate) program: Option<std::path::PathBuf>,
}

/// For numbers of which 0 makes no sense.
fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=100_000)
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let (mut left_behind, mut lossy) = (Vec::new(), Vec::new());
    let text = match &args.what {
        Benchmark::Startup(args) => startup::measure(args)?,
        Benchmark::Leak(args) => {
            let report = leak::measure(args)?;
            left_behind = report.findings();
            report.print()
        }
        Benchmark::Memory(args) => {
            let report = memory::measure(args)?;
            left_behind = report.findings();
            report.print()
        }
        Benchmark::Processor(args) => processor::measure(args)?,
        Benchmark::Floor => {
            let steps = floor::measure_steps(&StepOptions::default())
                .map_err(Failure::system("cannot measure"))?;
            format!("{}\n{}", steps.print(), sfu::measure_floor()?)
        }
        Benchmark::Sfu(args) => {
            let (text, found) = sfu::measure(args)?;
            lossy = found;
            text
        }
        Benchmark::Load => sfu::load()?,
        Benchmark::Forwarder => sfu::forwarder()?,
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::system("cannot print"))?;
    if !left_behind.is_empty() {
        return Err(Failure::LeftBehind(left_behind.join("; ")));
    }
    if !lossy.is_empty() {
        return Err(Failure::Lossy(lossy.join("; ")));
    }
    Ok(ExitCode::SUCCESS)
}
