//! How long `salono serve` takes until it can be used, and how much memory it then holds.
//!
//! This program starts itself again and again with one data folder, so that the kept
//! certificate is found, as on every start but the very first of an installation. Times include
//! loading the program. Listeners are open before everything behind them runs, and what comes
//! meanwhile waits, so two moments are measured: both listeners open, and both have answered.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::StartupArgs;
use crate::failure::Failure;

/// Pause before a listener that is not open yet is tried again; the resolution of the result.
const POLL: Duration = Duration::from_micros(500);

/// How long a start may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the process is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(1);

/// One start.
struct Run {
    listening: Duration,
    answering: Duration,
    resident_bytes: u64,
}

/// Starts as often as told and prints the medians.
pub(super) fn measure(args: &StartupArgs) -> Result<String, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    let data = env::temp_dir().join(format!("salono-bench-{}", std::process::id()));
    let result = runtime.block_on(async {
        let first = start(&data).await?;
        let mut runs = Vec::new();
        for _ in 0..args.runs.max(1) {
            runs.push(start(&data).await?);
        }
        Ok((first, runs))
    });
    // Nothing of value; a failure to remove it is not one of the measurement.
    let _ = fs::remove_dir_all(&data);
    let (first, runs) = result.map_err(Failure::system("cannot measure the start"))?;
    Ok(table(&first, runs))
}

fn table(first: &Run, runs: Vec<Run>) -> String {
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    let row = |what: &str, read: &dyn Fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(read).collect();
        values.sort_by(f64::total_cmp);
        let (median, best, worst) = (values.len() / 2, 0, values.len() - 1);
        format!(
            "| {what} | {:.1} | {:.1} | {:.1} | {:.1} |\n",
            read(first),
            values[median],
            values[best],
            values[worst]
        )
    };
    format!(
        "`salono serve`, {} starts with a kept certificate; the first start, which makes it, \
         apart.\n\n\
         | | first | median | best | worst |\n\
         | --- | --- | --- | --- | --- |\n\
         {}{}{}",
        runs.len(),
        row("start to both listeners open, ms", &|run| millis(
            run.listening
        )),
        row("start to both answering, ms", &|run| millis(run.answering)),
        row("resident after 1 s idle, MiB", &|run| {
            run.resident_bytes as f64 / f64::from(1 << 20)
        }),
    )
}

/// One start on ports that were free a moment ago.
async fn start(data: &Path) -> io::Result<Run> {
    let (https, kurento) = (free_port().await?, free_port().await?);
    let began = Instant::now();
    let mut process = Command::new(env::current_exe()?)
        .arg("serve")
        .args(["--https", &https.to_string()])
        .args(["--kurento", &kurento.to_string()])
        .args(["--media-ip", "127.0.0.1", "--media-port", "0"])
        .arg("--data-dir")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut streams = Vec::new();
    for address in [https, kurento] {
        streams.push(wait_for(address, &mut process, began).await?);
    }
    let listening = began.elapsed();
    for stream in streams {
        timeout(PATIENCE, answer(stream)).await??;
    }
    let answering = began.elapsed();
    sleep(IDLE).await;
    let resident_bytes = resident(&process)?;
    process.kill().await?;
    Ok(Run {
        listening,
        answering,
        resident_bytes,
    })
}

async fn free_port() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    listener.local_addr()
}

/// Connects as soon as somebody listens.
async fn wait_for(
    address: SocketAddr,
    process: &mut Child,
    began: Instant,
) -> io::Result<TcpStream> {
    loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            return Ok(stream);
        }
        if let Some(status) = process.try_wait()? {
            return Err(io::Error::other(format!("it ended at once: {status}")));
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("it does not listen"));
        }
        sleep(POLL).await;
    }
}

/// A request in plain HTTP, which every listener answers with something: a redirect to HTTPS, or
/// that a WebSocket is needed.
async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    stream.read_u8().await?;
    Ok(())
}

/// Resident memory of a process.
fn resident(process: &Child) -> io::Result<u64> {
    let id = process
        .id()
        .ok_or_else(|| io::Error::other("it has ended"))?;
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| {
            rest.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        })
        .map(|kib| kib * 1024)
        .ok_or_else(|| io::Error::other("its memory cannot be read"))
}
