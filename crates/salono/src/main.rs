//! The `salono` command: configuration, wiring of the parts, certificates, metrics.
//!
//! `cli` and `config` decide what to do; `commands` does it, out of `media` (media server), `rooms`
//! (room server) and `web` (HTTP). Nothing here knows a protocol.

mod banner;
mod cli;
mod commands;
mod config;
mod failure;
mod hats;
mod listeners;
mod logfile;
mod media;
mod metrics;
mod modules;
mod pages;
mod ports;
mod processors;
mod rooms;
mod runtime;
mod signalling;
mod tls;
mod token_keys;
mod watched;
mod web;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    let (arguments, as_kurento) = cli::arguments(std::env::args_os());
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if as_kurento && error.use_stderr() => {
            // What Kurento's program says, and ends with.
            eprintln!("Error : {}", error.render());
            return ExitCode::FAILURE;
        }
        Err(error) => error.exit(),
    };
    let result = match cli.command {
        Command::Serve(args) => commands::serve::run(&args),
        Command::Media(args) => commands::media::run(&args),
        Command::Room(args) => commands::room::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args),
        Command::Modules(args) => commands::modules::run(&args),
        Command::Config(args) => commands::config::run(&args),
        Command::Token(args) => commands::token::run(&args),
        Command::Bench(args) => commands::bench::run(&args),
    };
    result.unwrap_or_else(|failure| {
        eprintln!("salono: {failure}");
        ExitCode::FAILURE
    })
}
