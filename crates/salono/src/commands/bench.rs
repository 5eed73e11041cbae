//! `salono bench`: measurements of this program on this machine, as Markdown on standard output.

mod calls;
mod join;
mod leak;
mod memory;
mod process;
mod processing;
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
    /// Time from entering a room to the first picture, one after the other and all at once
    Join(JoinArgs),
    /// Whether endpoints leave anything behind, and what each costs, about half a minute
    Leak(LeakArgs),
    /// Memory per endpoint, idle and receiving audio and video, about half a minute
    Memory(MemoryArgs),
    /// Start of media processors, and latency of a packet that goes through one and is not encoded anew
    Processor(ProcessorArgs),
    /// Recordings of a call, without encoding it anew, beside gst-launch-1.0 and ffmpeg
    Recording(RecordingArgs),
    /// Mixing pictures into one, beside the same graph in gst-launch-1.0
    Composite(CompositeArgs),
    /// VP8 for viewers who take H264 only: one of them, many, and what gst-launch-1.0 and ffmpeg take for it
    Transcode(TranscodeArgs),
    /// Whether elements without a sink grow, beside gst-launch-1.0
    IdleElement(IdleElementArgs),
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

/// Of `salono bench join`.
#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// How many join, in each of the two ways
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) count: usize,
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

/// Of `salono bench recording`.
#[derive(Debug, Args)]
pub(crate) struct RecordingArgs {
    /// Calls that are recorded at a time, in one pipeline
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) recordings: u64,
    /// How long it is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = at_least_one())]
    pub(crate) seconds: u64,
}

/// Of `salono bench composite`.
#[derive(Debug, Args)]
pub(crate) struct CompositeArgs {
    /// Inputs of 640x360 at 15 pictures a second
    #[arg(long, value_name = "N", default_value_t = 9, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub(crate) inputs: u64,
    /// Turns of each side
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
    pub(crate) runs: u64,
    /// How long one turn is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 8, value_parser = at_least_one())]
    pub(crate) seconds: u64,
}

/// Of `salono bench transcode`.
#[derive(Debug, Args)]
pub(crate) struct TranscodeArgs {
    /// Viewers
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    pub(crate) viewers: u64,
    /// Turns of each
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one())]
    pub(crate) runs: u64,
    /// How long one turn is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = at_least_one())]
    pub(crate) seconds: u64,
}

/// Of `salono bench idle-element`.
#[derive(Debug, Args)]
pub(crate) struct IdleElementArgs {
    /// How long memory is watched; 600 is what the bound is meant for
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(10..=86_400))]
    pub(crate) seconds: u64,
}

/// For numbers of which 0 makes no sense.
fn at_least_one() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=100_000)
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let (mut left_behind, mut lossy) = (Vec::new(), Vec::new());
    let mut too_much = Vec::new();
    let mut judge = |figures: processing::Figures| {
        too_much = figures.findings;
        figures.text
    };
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
        Benchmark::Join(args) => join::measure(args)?,
        Benchmark::Processor(args) => judge(processor::measure(args)?),
        Benchmark::Recording(args) => judge(processing::recording(args)?),
        Benchmark::Composite(args) => judge(processing::composite(args)?),
        Benchmark::Transcode(args) => judge(processing::transcode(args)?),
        Benchmark::IdleElement(args) => judge(processing::idle_element(args)?),
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
    if !too_much.is_empty() {
        return Err(Failure::TooMuch(too_much.join("; ")));
    }
    if !lossy.is_empty() {
        return Err(Failure::Lossy(lossy.join("; ")));
    }
    Ok(ExitCode::SUCCESS)
}
