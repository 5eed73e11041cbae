//! Figures of several servers side by side, as Markdown.

use crate::load::{Outcome, Scenario};
use crate::{median, process};
use std::fmt::{self, Write as _};
use std::time::Duration;

/// Name of the row that the others are compared with: the bare forwarder.
pub const FLOOR: &str = "floor";

/// Name of the row of the bare forwarder whose receivers tell it nothing.
pub const DEAF_FLOOR: &str = "floor-deaf";

/// Everything that was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Scoreboard {
    /// The command line that leads to the same measurement.
    pub command: String,
    /// What else is worth knowing, a sentence each.
    pub notes: Vec<String>,
    /// Scenarios in order.
    pub sections: Vec<Section>,
}

/// One scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// Who publishes and who watches.
    pub scenario: Scenario,
    /// Servers in order.
    pub rows: Vec<Row>,
}

/// One server in one scenario.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What the server is called.
    pub server: String,
    /// Each run, in order, or why there is nothing to say about it.
    pub runs: Vec<Result<Outcome, String>>,
}

impl Row {
    /// The runs that came to an end.
    fn outcomes(&self) -> impl Iterator<Item = &Outcome> {
        self.runs.iter().flatten()
    }

    fn sum(&self, value: fn(&Outcome) -> u64) -> u64 {
        self.outcomes().map(value).sum()
    }

    /// Whether every packet of every run reached everybody.
    pub fn is_lossless(&self) -> bool {
        let all = |run: &Result<Outcome, String>| {
            run.as_ref()
                .is_ok_and(|run| run.expected > 0 && run.delivered == run.expected)
        };
        !self.runs.is_empty() && self.runs.iter().all(all)
    }

    /// Median and best of the CPU time per packet, microseconds.
    fn cost(&self) -> Option<(f64, f64)> {
        let mut costs: Vec<_> = self
            .outcomes()
            .filter_map(Outcome::cpu_per_packet_us)
            .collect();
        let median = median(&mut costs);
        costs.first().map(|best| (median, *best))
    }

    /// Median of the ratios to the runs of the floor beside ours.
    fn over(&self, floor: &Self) -> Option<f64> {
        let cost = |run: &Result<Outcome, String>| run.as_ref().ok()?.cpu_per_packet_us();
        let pairs = self.runs.iter().zip(&floor.runs);
        let mut ratios: Vec<_> = pairs
            .filter_map(|(run, floor)| Some(cost(run)? / cost(floor)?))
            .collect();
        (!ratios.is_empty()).then(|| median(&mut ratios))
    }

    /// Median of what the 99th percentile of latency is beyond that of the floor's run beside ours, milliseconds.
    fn added_p99_ms(&self, floor: &Self) -> Option<f64> {
        let p99 = |run: &Result<Outcome, String>| {
            let mut latencies = run.as_ref().ok()?.latencies_us.clone();
            latencies.sort_unstable();
            quantile(&latencies, 0.99).map(|micros| f64::from(micros) / 1e3)
        };
        let pairs = self.runs.iter().zip(&floor.runs);
        let mut added: Vec<_> = pairs
            .filter_map(|(run, floor)| Some(p99(run)? - p99(floor)?))
            .collect();
        (!added.is_empty()).then(|| median(&mut added))
    }

    /// Median of the packets that arrived for each second of CPU time of the busiest media thread: what could be
    /// forwarded if that had a core to itself.
    fn capacity(&self) -> Option<f64> {
        let mut all: Vec<_> = self.outcomes().filter_map(capacity).collect();
        (!all.is_empty()).then(|| median(&mut all))
    }

    /// Median of the ratios of [`Row::capacity`] to the runs beside it of `one`, which has one media thread.
    fn scaling(&self, one: &Self) -> Option<f64> {
        let of = |run: &Result<Outcome, String>| capacity(run.as_ref().ok()?);
        let pairs = self.runs.iter().zip(&one.runs);
        let mut ratios: Vec<_> = pairs
            .filter_map(|(run, one)| Some(of(run)? / of(one)?))
            .collect();
        (!ratios.is_empty()).then(|| median(&mut ratios))
    }

    /// How many media threads there were.
    fn threads(&self) -> usize {
        let mut threads = self.outcomes().map(|run| run.server_threads.len());
        threads.next().unwrap_or_default()
    }

    /// Median of the share of one core, per cent.
    fn load(&self, cpu: fn(&Outcome) -> Option<Duration>) -> Option<f64> {
        let share = |run: &Outcome| Some(cpu(run)?.as_secs_f64() / run.measured.as_secs_f64());
        let mut shares: Vec<_> = self.outcomes().filter_map(share).collect();
        (!shares.is_empty()).then(|| median(&mut shares) * 100.0)
    }

    /// Values of all runs together, sorted.
    fn all(&self, values: fn(&Outcome) -> &[u32]) -> Vec<u32> {
        let mut all: Vec<_> = self.outcomes().flat_map(values).copied().collect();
        all.sort_unstable();
        all
    }
}

impl Scoreboard {
    /// The whole document.
    pub fn print(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_to(&mut text);
        text
    }

    fn write_to(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "- machine: {}", process::machine())?;
        writeln!(out, "- command: `{}`", self.command)?;
        for note in &self.notes {
            writeln!(out, "- {note}")?;
        }
        for section in &self.sections {
            writeln!(out, "\n### {}\n", section.scenario)?;
            section.write_servers(out)?;
            section.write_costs(out)?;
            section.write_delivery(out)?;
            section.write_joining(out)?;
        }
        Ok(())
    }
}

impl Section {
    /// What each server is, and what failed.
    fn write_servers(&self, out: &mut String) -> fmt::Result {
        for row in &self.rows {
            if let Some(run) = row.outcomes().next() {
                writeln!(
                    out,
                    "- {}: {}; {} connections, {} of them decrypting; {}",
                    row.server, run.server, run.endpoints, run.sampled, run.srtp
                )?;
            }
            for (at, run) in row.outcomes().enumerate() {
                if run.server_threads.len() > 1 {
                    let shares = run.server_threads.iter().map(|cpu| {
                        let share = cpu.as_secs_f64() / run.measured.as_secs_f64();
                        format!("{:.0} %", share * 100.0)
                    });
                    let shares = shares.collect::<Vec<_>>().join(", ");
                    writeln!(
                        out,
                        "- {}: media threads in run {}, of a core each: {shares}",
                        row.server,
                        at + 1
                    )?;
                }
            }
            let one = self.rows.iter().find(|row| row.threads() == 1);
            if let (2.., Some(capacity)) = (row.threads(), row.capacity()) {
                let scaling = one.and_then(|one| row.scaling(one));
                writeln!(
                    out,
                    "- {}: {capacity:.0} packets per second of CPU time of the busier media thread; {} × one media thread",
                    row.server,
                    show(scaling, |it| format!("{it:.2}"))
                )?;
            }
            for failure in row.runs.iter().filter_map(|run| run.as_ref().err()) {
                writeln!(out, "- {}: failed: {failure}", row.server)?;
            }
        }
        Ok(())
    }

    fn write_costs(&self, out: &mut String) -> fmt::Result {
        let floor = self.rows.iter().find(|row| row.server == FLOOR);
        writeln!(
            out,
            "\n| server | CPU µs per packet, median (best) | × floor | server, % of a core | load, % of a core |\n\
             | --- | --- | --- | --- | --- |"
        )?;
        for row in &self.rows {
            let cost = row.cost();
            writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                row.server,
                show(cost, |(median, best)| format!("{median:.2} ({best:.2})")),
                show(floor.and_then(|floor| row.over(floor)), |it| format!(
                    "{it:.2}"
                )),
                show(row.load(|run| run.server_cpu), |it| format!("{it:.0}")),
                show(row.load(|run| Some(run.own_cpu)), |it| format!("{it:.0}")),
            )?;
        }
        Ok(())
    }

    fn write_delivery(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n| server | delivered / expected | lost | repaired | reordered | twice | padding | one way p50 | p99 | p99.9 | p99 over floor |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
        )?;
        let floor = self.rows.iter().find(|row| row.server == FLOOR);
        for row in &self.rows {
            let (delivered, expected) = (row.sum(|it| it.delivered), row.sum(|it| it.expected));
            let lost = (expected > 0)
                .then(|| expected.saturating_sub(delivered) as f64 / expected as f64 * 100.0);
            let latencies = row.all(|run| &run.latencies_us);
            writeln!(
                out,
                "| {} | {delivered} / {expected} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
                row.server,
                show(lost, |it| if it > 0.0 {
                    format!("{it:.3} %")
                } else {
                    "0".into()
                }),
                row.sum(|it| it.repaired),
                row.sum(|it| it.reordered),
                row.sum(|it| it.duplicates),
                row.sum(|it| it.padding),
                millis(&latencies, 0.5),
                millis(&latencies, 0.99),
                millis(&latencies, 0.999),
                show(
                    floor.and_then(|floor| row.added_p99_ms(floor)),
                    |it| format!("{it:+.2} ms")
                ),
            )?;
        }
        Ok(())
    }

    fn write_joining(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "\n| server | connected p50 | p99 | first packet p50 | p99 | did not connect | idle MiB | KiB per connection |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |"
        )?;
        for row in &self.rows {
            let connected = row.all(|run| &run.times.connected_us);
            let first = row.all(|run| &run.times.first_packet_us);
            // Each run has a server of its own, so any will do; the first has the coldest caches.
            let run = row.outcomes().next();
            let idle = run.filter(|run| run.server_cpu.is_some());
            writeln!(
                out,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                row.server,
                millis(&connected, 0.5),
                millis(&connected, 0.99),
                millis(&first, 0.5),
                millis(&first, 0.99),
                row.sum(|it| it.unconnected),
                show(idle, |run| format!(
                    "{:.1}",
                    run.idle_bytes as f64 / 1_048_576.0
                )),
                show(run.and_then(Outcome::bytes_per_endpoint), |it| (it / 1_024)
                    .to_string()),
            )?;
        }
        Ok(())
    }
}

/// Packets for each second of CPU time of the busiest media thread.
fn capacity(run: &Outcome) -> Option<f64> {
    let busiest = run.server_threads.iter().max()?.as_secs_f64();
    (busiest > 0.0).then(|| run.delivered as f64 / busiest)
}

/// A value as text, or a dash.
fn show<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

/// The value that `share` (0 to 1) of the sorted microseconds do not exceed, as milliseconds.
fn millis(sorted: &[u32], share: f64) -> String {
    show(quantile(sorted, share), |micros| {
        format!("{:.2} ms", f64::from(micros) / 1e3)
    })
}

/// The value that `share` (0 to 1) of the sorted ones do not exceed.
fn quantile(sorted: &[u32], share: f64) -> Option<u32> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get((last as f64 * share).round() as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(cpu_ms: u64, delivered: u64) -> Outcome {
        Outcome {
            server: "it".into(),
            expected: 1_000,
            delivered,
            endpoints: 4,
            measured: Duration::from_secs(1),
            server_cpu: Some(Duration::from_millis(cpu_ms)),
            idle_bytes: 1 << 20,
            resident_bytes: 3 << 20,
            latencies_us: (1..=1_000).collect(),
            ..Outcome::default()
        }
    }

    fn row(server: &str, runs: Vec<Result<Outcome, String>>) -> Row {
        Row {
            server: server.into(),
            runs,
        }
    }

    #[test]
    fn each_server_is_compared_with_the_floor_beside_it() {
        let floor = row(FLOOR, vec![Ok(outcome(10, 1_000)), Ok(outcome(20, 1_000))]);
        let ours = row("ours", vec![Ok(outcome(15, 1_000)), Ok(outcome(26, 1_000))]);
        assert!(ours.is_lossless());
        let over = ours.over(&floor).unwrap();
        assert!((over - 1.4).abs() < 1e-9, "{over}");
        let board = Scoreboard {
            command: "salono bench sfu".into(),
            notes: vec!["A note.".into()],
            sections: vec![Section {
                scenario: Scenario::OneToMany { subscribers: 3 },
                rows: vec![floor, ours],
            }],
        };
        let text = board.print();
        for expected in [
            "### 1 → 3",
            "- A note.",
            "| ours | 20.50 (15.00) | 1.40 | 2 | 0 |",
            "| ours | 2000 / 2000 | 0 | 0 | 0 | 0 | 0 | 0.50 ms | 0.99 ms | 1.00 ms | +0.00 ms |",
            "| – | – | – | – | 0 | 1.0 | 512 |",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn shares_of_several_media_threads_show() {
        let run = Outcome {
            server_threads: [470, 455].map(Duration::from_millis).into(),
            ..outcome(1_000, 1_000)
        };
        let section = Section {
            scenario: Scenario::OneToMany { subscribers: 3 },
            rows: vec![row("ours", vec![Ok(run)])],
        };
        let mut text = String::new();
        section.write_servers(&mut text).unwrap();
        let line = "- ours: media threads in run 1, of a core each: 47 %, 46 %\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn several_media_threads_are_compared_with_one() {
        let with = |threads: &[u64]| Outcome {
            server_threads: threads.iter().copied().map(Duration::from_millis).collect(),
            ..outcome(1_000, 1_000)
        };
        let section = Section {
            scenario: Scenario::OneToMany { subscribers: 3 },
            rows: vec![
                row("one", vec![Ok(with(&[900]))]),
                row("two", vec![Ok(with(&[450, 500]))]),
            ],
        };
        let mut text = String::new();
        section.write_servers(&mut text).unwrap();
        let line = "- two: 2000 packets per second of CPU time of the busier media thread; 1.80 × one media thread\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn losses_and_failures_show() {
        let lossy = row("lossy", vec![Ok(outcome(10, 900)), Err("no answer".into())]);
        assert!(!lossy.is_lossless() && !row("none", vec![]).is_lossless());
        let section = Section {
            scenario: Scenario::Audio { size: 3 },
            rows: vec![lossy],
        };
        let mut text = String::new();
        section.write_servers(&mut text).unwrap();
        assert!(!text.contains("media threads"), "{text}");
        section.write_delivery(&mut text).unwrap();
        assert!(
            text.contains("lossy: failed: no answer") && text.contains("| 10.000 % |"),
            "{text}"
        );
    }
}
