//! The figures, and what of them is a leak.

use std::fmt::Write as _;
use std::thread;
use std::time::Duration;

use crate::commands::bench::process::Usage;

/// Part of the memory before by which the memory after may differ.
const TOLERANCE: f64 = 0.1;

/// Threads beside two per processor.
const THREADS: u64 = 32;

/// What was measured.
#[derive(Debug, Clone)]
pub(crate) struct LeakReport {
    /// Endpoints that came and went on the measured side.
    pub(crate) endpoints: usize,
    /// Of them at a time.
    pub(crate) batch: usize,
    /// For all of them.
    pub(crate) took: Duration,
    /// Media shards.
    pub(crate) shards: u64,
    /// Before anything was created.
    pub(crate) idle: Usage,
    /// After the first batches came and went.
    pub(crate) before: Usage,
    /// The most of everything.
    pub(crate) peak: Usage,
    /// After all of them went.
    pub(crate) after: Usage,
}

impl LeakReport {
    /// What was left behind, or was too much; empty is good.
    pub(crate) fn findings(&self) -> Vec<String> {
        let Self {
            shards,
            before,
            peak,
            after,
            ..
        } = self;
        let mut findings = Vec::new();
        let (was, is) = (before.resident_kib as f64, after.resident_kib as f64);
        if is > was * (1.0 + TOLERANCE) {
            findings.push(format!(
                "{} KiB resident instead of {} KiB",
                after.resident_kib, before.resident_kib
            ));
        }
        let processors = thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let most = 2 * processors + THREADS;
        if peak.threads > most {
            findings.push(format!("{} threads, more than {most}", peak.threads));
        }
        for (when, usage) in [("at the peak", peak), ("at the end", after)] {
            if usage.udp_addresses != *shards {
                findings.push(format!(
                    "{} UDP addresses {when} with {shards} shards",
                    usage.udp_addresses
                ));
            }
        }
        if after.files > before.files {
            findings.push(format!(
                "{} open files instead of {}",
                after.files, before.files
            ));
        }
        if (after.elements, after.pipelines) != (0, 0) {
            findings.push(format!(
                "{} elements and {} pipelines are left",
                after.elements, after.pipelines
            ));
        }
        findings
    }

    /// As Markdown.
    pub(crate) fn print(&self) -> String {
        let Self {
            endpoints,
            batch,
            took,
            shards,
            idle,
            before,
            peak,
            after,
        } = self;
        let mut out = format!(
            "{endpoints} WebRtcEndpoints created, connected (ICE, DTLS) and released, {batch} \
             at a time, in {:.1} s; {shards} shards.\n\n\
             | | idle | warmed up | peak | after all |\n\
             | --- | --- | --- | --- | --- |\n",
            took.as_secs_f64()
        );
        let mut row = |what: &str, read: fn(&Usage) -> u64| {
            // Writing to a `String` cannot fail.
            let _ = writeln!(
                out,
                "| {what} | {} | {} | {} | {} |",
                read(idle),
                read(before),
                read(peak),
                read(after)
            );
        };
        row("resident, KiB", |usage| usage.resident_kib);
        row("threads", |usage| usage.threads);
        row("UDP addresses", |usage| usage.udp_addresses);
        row("open files", |usage| usage.files);
        let grown = peak
            .resident_kib
            .saturating_sub(before.resident_kib.min(idle.resident_kib));
        let change = 100.0 * (after.resident_kib as f64 / before.resident_kib.max(1) as f64 - 1.0);
        let _ = writeln!(
            out,
            "\nLeft on the shards: {} elements, {} pipelines. Resident per connected endpoint: {} KiB at most. Resident after all against \
             warmed up: {change:+.1} %.",
            after.elements,
            after.pipelines,
            grown / (*batch).max(1) as u64
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> LeakReport {
        let usage = |resident_kib, elements| Usage {
            resident_kib,
            threads: 6,
            udp_addresses: 2,
            files: 20,
            elements,
            pipelines: elements.min(1),
        };
        LeakReport {
            endpoints: 1_000,
            batch: 50,
            took: Duration::from_secs(10),
            shards: 2,
            idle: usage(10_000, 0),
            before: usage(20_000, 0),
            peak: usage(30_000, 50),
            after: usage(21_000, 0),
        }
    }

    #[test]
    fn what_is_back_is_no_finding() {
        assert_eq!(report().findings(), Vec::<String>::new());
        let text = report().print();
        assert!(text.contains("| resident, KiB | 10000 | 20000 | 30000 | 21000 |"));
        assert!(
            text.contains("endpoint: 400 KiB") && text.contains("+5.0 %"),
            "{text}"
        );
    }

    #[test]
    fn whatever_is_left_behind_is_a_finding() {
        let spoil: [fn(&mut LeakReport); 7] = [
            |report| report.after.resident_kib = 22_001,
            |report| report.peak.threads = 100_000,
            |report| report.peak.udp_addresses = 3,
            |report| report.after.udp_addresses = 1,
            |report| report.after.files = 21,
            |report| report.after.elements = 1,
            |report| report.after.pipelines = 1,
        ];
        for spoil in spoil {
            let mut report = report();
            spoil(&mut report);
            assert_eq!(report.findings().len(), 1, "{report:?}");
        }
    }
}
