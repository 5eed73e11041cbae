//! What all servers have around them: logging, the async runtime, and an orderly end.

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use crate::config::{Loaded, Log, LogFormat};
use crate::failure::Failure;
use crate::logfile::LogFiles;

/// Threads of the control plane. Media has threads of its own.
const WORKERS: usize = 2;

/// How long an orderly end may take.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// What a shell reports for a program that was interrupted.
const INTERRUPTED: u8 = 130;

/// SIGINT and SIGTERM.
pub(crate) struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    /// From now on the signals do not end the process any more.
    pub(crate) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(Failure::system("cannot watch for signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
        })
    }

    /// The next of them.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    /// Carries out an orderly end: bounded in time, and a further signal ends it at once.
    pub(crate) async fn end(mut self, end: impl Future<Output = ()>) -> ExitCode {
        tokio::select! {
            () = end => ExitCode::SUCCESS,
            () = tokio::time::sleep(END_PATIENCE) => {
                tracing::warn!("not everything ended in time");
                ExitCode::SUCCESS
            }
            () = self.next() => ExitCode::from(INTERRUPTED),
        }
    }
}

/// Runs a server. What is still running when it returns is not waited for.
pub(crate) fn block_on(
    server: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    let result = runtime.block_on(server);
    runtime.shutdown_background();
    result
}

/// Sends logs to standard error.
pub(crate) fn start_logging(config: &Log) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(io::stderr);
    match config.format {
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

/// Sends logs to files.
pub(crate) fn start_logging_to(config: &Log, files: LogFiles) -> Result<(), Failure> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(Mutex::new(files));
    match config.format {
        LogFormat::Text => builder.with_ansi(false).init(),
        LogFormat::Json => builder.json().init(),
    }
    Ok(())
}

fn filter(config: &Log) -> Result<EnvFilter, Failure> {
    EnvFilter::try_new(&config.filter).map_err(|error| Failure::LogFilter(error.to_string()))
}

/// Says what happened while the configuration was read.
pub(crate) fn log_configuration(loaded: &Loaded) {
    if let Some(file) = &loaded.file {
        tracing::info!(file = %file.display(), "configuration read");
    }
    for name in &loaded.unknown_variables {
        tracing::warn!(%name, "environment variable names no setting: `salono config` lists them");
    }
    for key in &loaded.imported {
        tracing::info!(file = %key.file.display(), key = %key.key, became = %key.became, "imported");
    }
}
