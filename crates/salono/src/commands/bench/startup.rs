//! How long `salono serve` takes until it can be used, and how much memory it then holds.
//!
//! This program starts itself again and again with one data folder, so that the kept
//! certificate is found, as on every start but the very first of an installation. The time ends
//! when both listeners have answered a request; it includes loading the program.

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

fn table(first: &Run, mut runs: Vec<Run>) -> String {
    let millis = |run: &Run| run.listening.as_secs_f64() * 1000.0;
    let mebibytes = |run: &Run| run.resident_bytes as f64 / f64::from(1 << 20);
    let count = runs.len();
    runs.sort_by_key(|run| run.listening);
    let times = (
        millis(&runs[0]),
        millis(&runs[count / 2]),
        millis(&runs[count - 1]),
    );
    runs.sort_by_key(|run| run.resident_bytes);
    let sizes = (
        mebibytes(&runs[0]),
        mebibytes(&runs[count / 2]),
        mebibytes(&runs[count - 1]),
    );
    format!(
        "`salono serve`, {count} starts with a kept certificate; the first start, which makes it, \
         apart.\n\n\
         | | first | median | best | worst |\n\
         | --- | --- | --- | --- | --- |\n\
         | start to both listeners answering, ms | {:.1} | {:.1} | {:.1} | {:.1} |\n\
         | resident after 1 s idle, MiB | {:.1} | {:.1} | {:.1} | {:.1} |\n",
        millis(first),
        times.1,
        times.0,
        times.2,
        mebibytes(first),
        sizes.1,
        sizes.0,
        sizes.2,
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
    for address in [https, kurento] {
        wait_for(address, &mut process, began).await?;
    }
    let listening = began.elapsed();
    sleep(IDLE).await;
    let resident_bytes = resident(&process)?;
    process.kill().await?;
    Ok(Run {
        listening,
        resident_bytes,
    })
}

async fn free_port() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    listener.local_addr()
}

async fn wait_for(address: SocketAddr, process: &mut Child, began: Instant) -> io::Result<()> {
    while timeout(PATIENCE, answer(address)).await?.is_err() {
        if let Some(status) = process.try_wait()? {
            return Err(io::Error::other(format!("it ended at once: {status}")));
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("it does not listen"));
        }
        sleep(POLL).await;
    }
    Ok(())
}

/// A request in plain HTTP, which every listener answers with something: a redirect to HTTPS, or
/// that a WebSocket is needed. The system takes connections before the program does, so a
/// connection alone proves little.
async fn answer(address: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
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
