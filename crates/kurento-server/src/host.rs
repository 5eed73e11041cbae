//! Counters of the process, from `/proc` (zero where there is none).

use salono_kurento_core::HostFacts;
use std::{fs, thread, time::Duration};

/// `USER_HZ`: clock ticks per second in `/proc`, the same on every Linux.
const TICKS_PER_SECOND: u64 = 100;

/// Reads the counters; takes some ten microseconds.
pub(crate) fn read() -> HostFacts {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    HostFacts {
        processors: u32::try_from(processors).unwrap_or(u32::MAX),
        resident_kib: resident_kib(&fs::read_to_string("/proc/self/status").unwrap_or_default()),
        processor_time: processor_time(&fs::read_to_string("/proc/self/stat").unwrap_or_default()),
    }
}

/// `VmRSS` of proc_pid_status(5).
fn resident_kib(status: &str) -> u64 {
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
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
    fn counters_are_read_whatever_the_process_is_called() {
        let stat = "1 (a) b (c) S 1 1 1 0 -1 4194304 1 0 0 0 150 50 0 0 20 0 1 0 1 1 1";
        assert_eq!(processor_time(stat), Duration::from_secs(2));
        assert_eq!(processor_time(""), Duration::ZERO);
        assert_eq!(resident_kib("VmSize:\t9 kB\nVmRSS:\t  28596 kB\n"), 28_596);
    }
}
