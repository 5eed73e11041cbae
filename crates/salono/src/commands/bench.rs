//! `salono bench`: measurements of this program on this machine, as Markdown on standard output.

mod startup;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use salono_bench::floor::{self, FloorOptions};

use crate::cli::BenchArgs;
use crate::failure::Failure;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Benchmark {
    /// Time from start to listening, and memory when idle, of `salono serve`
    Startup(StartupArgs),
    /// The least that forwarding one packet can cost on this machine, about half a minute
    Floor,
}

/// Of `salono bench startup`.
#[derive(Debug, Args)]
pub(crate) struct StartupArgs {
    /// How often it is started
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) runs: usize,
}

/// Measures and prints.
pub(crate) fn run(args: &BenchArgs) -> Result<ExitCode, Failure> {
    let text = match &args.what {
        Benchmark::Startup(args) => startup::measure(args)?,
        Benchmark::Floor => floor::run(&FloorOptions::default())
            .map_err(Failure::system("cannot measure"))?
            .print(),
    };
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::system("cannot print"))?;
    Ok(ExitCode::SUCCESS)
}
