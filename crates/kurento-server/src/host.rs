//! Counters of the process, from `/proc` (zero where there is none).

use salono_kurento_core::{HostFacts, Level, Usage};
use std::{fs, thread, time::Duration};

/// `USER_HZ`: clock ticks per second in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Reads the counters; takes some ten microseconds.
pub(crate) fn read() -> HostFacts {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    HostFacts {
        processors: processors(&status),
        resident_kib: resident_kib(&status),
        processor_time: processor_time(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
    }
}

/// Reads what the process uses of its limits; takes a microsecond per open file.
pub(crate) fn usage() -> Usage {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // One of them is the folder that is read.
    let files = fs::read_dir("/proc/self/fd").map_or(0, |files| files.count().saturating_sub(1));
    Usage {
        threads: Level {
            used: number(&status, "Threads:").unwrap_or(0),
            granted: number(&limits, "Max processes"),
        },
        files: Level {
            used: u64::try_from(files).unwrap_or(u64::MAX),
            granted: number(&limits, "Max open files"),
        },
    }
}

/// The first number behind a label at the start of a line; `None` also where it is `unlimited`.
/// In proc_pid_limits(5) that is the soft limit.
fn number(text: &str, label: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(label))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Processors that the process may run on, from its affinity mask as `0-3,8`. A quota of the
/// process's control group does not count, as with Kurento.
fn processors(status: &str) -> u32 {
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let count = |range: &str| -> Option<u32> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        Some(last.checked_sub(first)?.saturating_add(1))
    };
    list.and_then(|list| list.trim().split(',').map(count).sum())
        .filter(|count| *count > 0)
        .unwrap_or_else(|| {
            let processors = thread::available_parallelism().map_or(1, usize::from);
            u32::try_from(processors).unwrap_or(u32::MAX)
        })
}

/// `VmRSS` of proc_pid_status(5).
fn resident_kib(status: &str) -> u64 {
    number(status, "VmRSS:").unwrap_or(0)
}

/// `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5). The second field is a name in
/// parentheses that may contain anything, so counting begins behind it.
fn processor_time(stat: &str) -> Duration {
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Duration::from_millis(ticks * 1_000 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_those_of_the_affinity_mask() {
        for (list, count) in [("0", 1), ("0-3", 4), ("0-1,4,6-7", 5)] {
            let status = format!("Name:\tx\nCpus_allowed_list:\t{list}\nVmRSS:\t1 kB\n");
            assert_eq!(processors(&status), count, "{list}");
        }
        for broken in ["", "Cpus_allowed_list:\t3-1\n", "Cpus_allowed_list:\tx\n"] {
            assert!(processors(broken) >= 1, "{broken}");
        }
    }

    #[test]
    fn limits_are_the_soft_ones_and_may_be_missing() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
            Max processes             unlimited            unlimited            processes\n\
            Max open files            1024                 524288               files\n";
        assert_eq!(number(limits, "Max open files"), Some(1_024));
        assert_eq!(number(limits, "Max processes"), None);
        assert_eq!(number("", "Max processes"), None);
    }

    #[test]
    fn a_process_uses_threads_and_files() {
        let usage = usage();
        assert!(
            usage.threads.used >= 1 && usage.files.used >= 3,
            "{usage:?}"
        );
    }

    #[test]
    fn counters_are_read_whatever_the_process_is_called() {
        let stat = "1 (a) b (c) S 1 1 1 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(processor_time(stat), Duration::from_secs(2));
        assert_eq!(processor_time(""), Duration::ZERO);
        assert_eq!(resident_kib("VmSize:\t9 kB\nVmRSS:\t  28596 kB\n"), 28_596);
    }
}
