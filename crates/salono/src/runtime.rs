//! What all servers have around them: logging, the async runtime, and an orderly end.

use std::future::Future;
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, filter_fn};
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry, fmt, registry};

use crate::config::{Loaded, Log, LogFormat};
use crate::failure::Failure;
use crate::logfile::LogFiles;
use crate::watched;

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
        notify(&[NotifyState::Stopping]);
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

/// Tells the service manager that the server serves, if one waits to hear it (`Type=notify`). From now
/// on SIGHUP makes the server read replaced certificates and keys at once.
pub(crate) fn serving() -> Result<(), Failure> {
    let mut hangup =
        signal(SignalKind::hangup()).map_err(Failure::system("cannot watch for signals"))?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::info!("certificates and keys are looked at with the next connections");
            watched::look_again();
        }
    });
    notify(&[NotifyState::Ready]);
    Ok(())
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told");
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
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    start_logging_by(config, lines)
}

/// Sends logs to files.
pub(crate) fn start_logging_to(config: &Log, files: LogFiles) -> Result<(), Failure> {
    let lines = fmt::layer().with_writer(Mutex::new(files)).with_ansi(false);
    start_logging_by(config, lines)
}

fn start_logging_by<W>(
    config: &Log,
    lines: fmt::Layer<Logged, fmt::format::DefaultFields, fmt::format::Format, W>,
) -> Result<(), Failure>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&config.filter)
        .map_err(|error| Failure::LogFilter(error.to_string()))?;
    let fit: fn(&Metadata<'_>) -> bool = fit_to_be_seen;
    let logged = registry().with(filter).with(filter_fn(fit));
    match config.format {
        LogFormat::Text => logged.with(lines).init(),
        LogFormat::Json => logged
            .with(lines.json().fmt_fields(fmt::format::JsonFields::new()))
            .init(),
    }
    Ok(())
}

/// What lines are made from.
type Logged = Layered<FilterFn, Layered<EnvFilter, Registry>>;

/// Whether something may be logged at all. The WebSocket library traces whole messages, and with
/// them the passwords and keys of descriptions and addresses; the ICE library tells credentials to
/// those who debug.
fn fit_to_be_seen(about: &Metadata<'_>) -> bool {
    let most = match about.target().split("::").next().unwrap_or_default() {
        "tungstenite" | "tokio_tungstenite" => Level::DEBUG,
        "is" => Level::INFO,
        _ => Level::TRACE,
    };
    *about.level() <= most
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
