//! What a process uses together with those that it has started.

use std::fs;
use std::io;
use std::time::Duration;

use salono_bench::process::ProcessUsage;
use tokio::time::{Instant, sleep};

/// The processes that a process has started and that live, theirs included; not itself.
pub(super) fn descendants(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else {
        return found;
    };
    for thread in threads.flatten() {
        let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| id.parse().ok()) {
            found.push(child);
            found.extend(descendants(child));
        }
    }
    found
}

/// CPU time of a process, and of the processes that it has started and that live.
fn cpu(process: u32) -> io::Result<Duration> {
    let mut cpu = ProcessUsage::of(process)?.cpu;
    for child in descendants(process) {
        // One may end meanwhile.
        cpu += ProcessUsage::of(child).unwrap_or_default().cpu;
    }
    Ok(cpu)
}

/// How much of a core processes take, each with those that it has started, in the course of the next `length`; in per cent.
pub(super) async fn shares<const N: usize>(
    processes: [u32; N],
    length: Duration,
) -> io::Result<[f64; N]> {
    let meter = Meter::start(processes)?;
    sleep(length).await;
    meter.stop()
}

/// Counts CPU time.
pub(super) struct Meter<const N: usize> {
    processes: [u32; N],
    before: [Duration; N],
    began: Instant,
}

impl<const N: usize> Meter<N> {
    /// Begins.
    pub(super) fn start(processes: [u32; N]) -> io::Result<Self> {
        Ok(Self {
            processes,
            before: of_each(processes)?,
            began: Instant::now(),
        })
    }

    /// How much of a core each took since the beginning, in per cent.
    pub(super) fn stop(self) -> io::Result<[f64; N]> {
        let took = self.began.elapsed().as_secs_f64();
        let mut shares = [0.0; N];
        let used = of_each(self.processes)?;
        for (share, (after, before)) in shares.iter_mut().zip(used.iter().zip(self.before)) {
            *share = after.saturating_sub(before).as_secs_f64() / took * 100.0;
        }
        Ok(shares)
    }
}

fn of_each<const N: usize>(processes: [u32; N]) -> io::Result<[Duration; N]> {
    let mut times = [Duration::ZERO; N];
    for (time, process) in times.iter_mut().zip(processes) {
        *time = cpu(process)?;
    }
    Ok(times)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn processes_that_were_started_by_others_are_found() {
        let mut shell = Command::new("sh")
            .args(["-c", "sleep 60 & echo $!; wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let stdout = shell.stdout.take().unwrap();
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut said).unwrap();
        let sleeper: u32 = said.trim().parse().unwrap();
        assert!(descendants(std::process::id()).contains(&sleeper));
        assert_eq!(descendants(shell.id()), [sleeper]);
        let killed = Command::new("kill").arg(sleeper.to_string()).status();
        assert!(killed.unwrap().success());
        shell.wait().unwrap();
    }
}
