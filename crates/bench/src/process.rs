//! What a process uses, and what machine it runs on.

use salono_media_engine::os::process_cpu_time;
use std::fs;
use std::io;
use std::time::Duration;

/// Ticks of the CPU times in a `stat` of `/proc` per second: 100 on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

/// CPU time and memory of a process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessUsage {
    /// CPU time of all its threads, those that have ended included: user and system.
    pub cpu: Duration,
    /// Resident memory, bytes.
    pub resident: u64,
}

impl ProcessUsage {
    /// Of the process with this id.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn of(process: u32) -> io::Result<Self> {
        let status = fs::read_to_string(format!("/proc/{process}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        Ok(Self {
            // Finer than the ticks of /proc/PID/stat.
            cpu: process_cpu_time(process)?,
            resident: kib.ok_or_else(|| io::Error::other("the process has ended"))? * 1_024,
        })
    }
}

/// CPU time of the media threads of a Salono, in the order of their numbers; none of another server.
///
/// # Errors
/// When there is no such process.
pub fn media_threads(process: u32) -> io::Result<Vec<Duration>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{process}/task"))?.flatten() {
        // One that ends meanwhile is none of them.
        let read = |file| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        threads.extend(media_thread(&read("stat"), &read("schedstat")));
    }
    threads.sort_unstable();
    Ok(threads.into_iter().map(|(_, cpu)| cpu).collect())
}

/// Number and CPU time of a media thread, by its `stat` and by its `schedstat`, which begins with nanoseconds and which
/// not every kernel has.
fn media_thread(stat: &str, schedstat: &str) -> Option<(u32, Duration)> {
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let number = name.strip_prefix("shard-")?.parse().ok()?;
    let nanos = schedstat.split_whitespace().next();
    let fine = nanos.and_then(|nanos| nanos.parse().ok().map(Duration::from_nanos));
    Some((number, fine.or_else(|| cpu_time(rest))?))
}

/// User and system time, by what follows the name in a `stat`.
fn cpu_time(rest: &str) -> Option<Duration> {
    let mut fields = rest.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Duration::from_millis(
        (user + system) * 1_000 / TICKS_PER_SECOND,
    ))
}

/// The process that listens on a TCP port of this machine, as far as this user may know.
pub fn listening_on(port: u16) -> Option<u32> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"]
        .into_iter()
        .find_map(|table| listener(&fs::read_to_string(table).ok()?, port))?;
    let wanted = format!("socket:[{inode}]");
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let process = entry.file_name().to_str()?.parse().ok()?;
        let mut files = fs::read_dir(entry.path().join("fd")).ok()?.flatten();
        let is_it = |file: fs::DirEntry| {
            fs::read_link(file.path()).is_ok_and(|target| target.as_os_str() == wanted.as_str())
        };
        files.any(is_it).then_some(process)
    })
}

/// Inode of the socket that listens on a port (proc_net_tcp: state 0A in column 4, inode in column 10).
fn listener(table: &str, port: u16) -> Option<String> {
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<_> = line.split_whitespace().collect();
        let (_, local) = columns.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local, 16) == Ok(port) && columns.get(3) == Some(&"0A");
        is_it.then(|| columns.get(9).map(ToString::to_string))?
    })
}

/// The machine in a line: processor, cores, kernel.
pub fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    // Not those that this process is confined to.
    let cores = info
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_threads_are_told_by_their_names() {
        let stat = "9 (shard-12) S 1 2 3 4 5 6 7 8 9 10 30 20 0 0 20 0 1 0";
        let coarse = Some((12, Duration::from_millis(500)));
        assert_eq!(media_thread(stat, ""), coarse);
        let fine = Some((12, Duration::from_nanos(503_000_001)));
        assert_eq!(media_thread(stat, "503000001 7 8\n"), fine);
        assert_eq!(media_thread(&stat.replace("shard-", "tokio-"), ""), None);
        assert!(media_threads(std::process::id()).unwrap().is_empty());
    }

    #[test]
    fn listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listening_on(port), Some(std::process::id()));
        drop(listener);
        assert_eq!(listening_on(port), None);
    }

    #[test]
    fn this_process_uses_memory_and_no_process_is_an_error() {
        assert!(ProcessUsage::of(std::process::id()).unwrap().resident > 0);
        assert!(ProcessUsage::of(u32::MAX).is_err());
        assert!(machine().contains("Linux"));
    }
}
