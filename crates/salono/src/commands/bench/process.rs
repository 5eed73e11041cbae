//! A `salono media` of its own, a client of it, and what it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use salono_kurento_client::{Client, MediaPipeline, PassThrough};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::calls::MeasureError;

/// How long a start, or an answer, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause before something that changes by itself is looked at again.
const LOOK: Duration = Duration::from_millis(20);

/// What a process uses, in `/proc` and by its own account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// Resident memory.
    pub(crate) resident_kib: u64,
    /// Threads.
    pub(crate) threads: u64,
    /// UDP addresses that sockets are bound to.
    pub(crate) udp_addresses: u64,
    /// All descriptors.
    pub(crate) files: u64,
    /// Elements that the shards carry.
    pub(crate) elements: u64,
    /// Pipelines that they carry.
    pub(crate) pipelines: u64,
}

impl Usage {
    /// Takes what is more.
    pub(super) fn raise(&mut self, other: Self) {
        let Self {
            resident_kib,
            threads,
            udp_addresses,
            files,
            elements,
            pipelines,
        } = self;
        *resident_kib = (*resident_kib).max(other.resident_kib);
        *threads = (*threads).max(other.threads);
        *udp_addresses = (*udp_addresses).max(other.udp_addresses);
        *files = (*files).max(other.files);
        *elements = (*elements).max(other.elements);
        *pipelines = (*pipelines).max(other.pipelines);
    }
}

/// A media server in a process of its own. Ends when dropped.
pub(super) struct MediaProcess {
    child: Child,
    folder: PathBuf,
    /// One session with it.
    pub(super) client: Client,
    http: String,
    shards: u64,
}

impl MediaProcess {
    /// Starts one on free ports of the loopback interface; as an argument of the program `under`, if
    /// one is named.
    pub(super) async fn start(under: Option<&str>) -> Result<Self, MeasureError> {
        let name = format!("salono-bench-{}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir_all(&folder)?;
        let ports = folder.join("ports.json");
        // A file of a process that had this id before.
        let _ = fs::remove_file(&ports);
        let mut words: Vec<OsString> = under
            .unwrap_or_default()
            .split_whitespace()
            .map(OsString::from)
            .collect();
        words.push(env::current_exe()?.into());
        let mut child = Command::new(words.remove(0))
            .args(words)
            .arg("media")
            .args(["--kurento", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .args(["--media-ip", "127.0.0.1", "--log", "error"])
            // One that is started in the middle would count as left behind.
            .env("SALONO_PROCESSOR_WARM", "0")
            .arg("--ports-file")
            .arg(&ports)
            .arg("--data-dir")
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let ports = wait_for(&ports, &mut child).await?;
        let text = |name: &str| ports[name].as_str().unwrap_or_default().to_owned();
        let url = format!("ws://{}{}", text("kurento"), text("kurento_path"));
        let (client, driver) = Client::connect(&url).await.map_err(io::Error::other)?;
        tokio::spawn(driver.run());
        Ok(Self {
            child,
            folder,
            client,
            http: text("http"),
            shards: ports["media"]
                .as_array()
                .map_or(0, |ports| ports.len() as u64),
        })
    }

    /// Its process id.
    pub(super) fn id(&self) -> Result<u32, MeasureError> {
        let id = self.child.id();
        Ok(id.ok_or_else(|| io::Error::other("the media server has ended"))?)
    }

    /// The directory that its recorders write to, and its players read.
    pub(super) fn recordings(&self) -> io::Result<PathBuf> {
        let recordings = self.folder.join("recordings");
        fs::create_dir_all(&recordings)?;
        Ok(recordings)
    }

    /// Sum of a metric over all shards, which publish it about once a second.
    pub(super) async fn figure(&self, name: &str) -> Result<u64, MeasureError> {
        Ok(sum(&self.metrics().await?, &format!("{name}{{")))
    }

    /// Shards, each with one UDP address here.
    pub(super) fn shards(&self) -> u64 {
        self.shards
    }

    /// What it uses once everything that was released is gone, and no more than so many files are open: the
    /// connection that asked for the counters last may still be about to close.
    pub(super) async fn settled(&self, files: u64) -> Result<Usage, MeasureError> {
        // A shard carries commands out in order, so what it answers comes after the releases.
        let mut barriers = Vec::new();
        for _ in 0..self.shards {
            let pipeline = MediaPipeline::create(&self.client).await?;
            PassThrough::create(&pipeline).await?;
            barriers.push(pipeline);
        }
        for pipeline in barriers {
            pipeline.release().await?;
        }
        // Shards publish their counters about once a second.
        let began = Instant::now();
        loop {
            let usage = self.usage().await?;
            let is_settled = usage.elements == 0 && usage.pipelines == 0 && usage.files <= files;
            if is_settled || began.elapsed() > PATIENCE {
                return Ok(usage);
            }
            sleep(LOOK).await;
        }
    }

    /// What it uses now.
    pub(super) async fn usage(&self) -> Result<Usage, MeasureError> {
        let id = self
            .child
            .id()
            .ok_or_else(|| io::Error::other("the media server has ended"))?;
        // First, since memory is given back before counters of it are published.
        let metrics = self.metrics().await?;
        let process = PathBuf::from(format!("/proc/{id}"));
        let status = fs::read_to_string(process.join("status"))?;
        let udp = udp_inodes(&process)?;
        let (mut files, mut addresses) = (0, BTreeSet::new());
        for entry in fs::read_dir(process.join("fd"))? {
            files += 1;
            // A descriptor may be closed meanwhile.
            let Ok(target) = fs::read_link(entry?.path()) else {
                continue;
            };
            let target = target.to_string_lossy();
            let inode = target
                .strip_prefix("socket:[")
                .and_then(|rest| rest.strip_suffix(']'));
            // A shard may have two sockets on its address.
            addresses.extend(inode.and_then(|inode| udp.get(inode)));
        }
        Ok(Usage {
            resident_kib: number(&status, "VmRSS:"),
            threads: number(&status, "Threads:"),
            udp_addresses: addresses.len() as u64,
            files,
            elements: sum(&metrics, "salono_media_elements{"),
            pipelines: sum(&metrics, "salono_media_pipelines{"),
        })
    }

    async fn metrics(&self) -> io::Result<String> {
        let mut stream = TcpStream::connect(&self.http).await?;
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            .await?;
        let mut text = String::new();
        timeout(PATIENCE, stream.read_to_string(&mut text)).await??;
        Ok(text)
    }
}

impl Drop for MediaProcess {
    fn drop(&mut self) {
        // Nothing of value; a failure to remove it is not one of the measurement.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The file of a server that has opened its listeners.
pub(super) async fn wait_for(ports: &Path, child: &mut Child) -> io::Result<Value> {
    let began = Instant::now();
    loop {
        if let Ok(text) = fs::read_to_string(ports) {
            return serde_json::from_str(&text).map_err(io::Error::other);
        }
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended at once: {status}")));
        }
        if began.elapsed() > PATIENCE {
            return Err(io::Error::other("it does not start"));
        }
        sleep(LOOK).await;
    }
}

/// Local addresses of all UDP sockets in the network namespace of a process by their inodes (columns 2 and 10 of
/// proc_net_udp(5)).
fn udp_inodes(process: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut inodes = BTreeMap::new();
    for table in ["net/udp", "net/udp6"] {
        // There is none where IPv6 is switched off.
        let text = fs::read_to_string(process.join(table)).unwrap_or_default();
        inodes.extend(text.lines().skip(1).filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            Some(((*columns.get(9)?).to_owned(), (*columns.get(1)?).to_owned()))
        }));
    }
    Ok(inodes)
}

/// The number behind a label.
fn number(text: &str, label: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(label));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

/// Sum of a metric over all shards.
fn sum(metrics: &str, name: &str) -> u64 {
    metrics
        .lines()
        .filter(|line| line.starts_with(name))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}
