//! How soon a pipeline has a media processor, and what going through one adds to the way of a packet.

use std::time::Duration;

use salono_media_engine::processors::{Probe, ProcessorConfig, probe};

use super::ProcessorArgs;
use super::processing::Figures;
use crate::failure::Failure;

/// What a processor that was kept ready may take, one that was not, and a crossing.
const WARM: Duration = Duration::from_millis(50);
const COLD: Duration = Duration::from_millis(400);
const CROSSING: Duration = Duration::from_millis(5);

/// Measures and prints.
pub(super) fn measure(args: &ProcessorArgs) -> Result<Figures, Failure> {
    let config = ProcessorConfig {
        program: args.program.clone(),
        ..ProcessorConfig::default()
    };
    let probe = probe(&config, args.packets).map_err(Failure::system("cannot measure"))?;
    Ok(print(probe))
}

fn print(probe: Probe) -> Figures {
    let mut crossings = probe.crossings;
    crossings.sort_unstable();
    let at = |share: usize| {
        let place = (crossings.len() * share).div_ceil(100).saturating_sub(1);
        crossings.get(place).copied()
    };
    let millis = |duration: Option<Duration>| match duration {
        Some(duration) => format!("{:.2} ms", duration.as_secs_f64() * 1e3),
        None => "none came".to_owned(),
    };
    let mut findings = Vec::new();
    let mut row = |what: &str, measured: Option<Duration>, goal: Option<Duration>| {
        if goal.is_some_and(|goal| measured.is_none_or(|measured| measured > goal)) {
            findings.push(format!("{what}: {}", millis(measured)));
        }
        let goal = goal.map_or_else(String::new, |goal| format!("≤ {}", millis(Some(goal))));
        format!("| {what} | {} | {goal} |\n", millis(measured))
    };
    let mut text = "| media processor | measured | goal |\n| --- | --- | --- |\n".to_owned();
    text += &row("ready, started for it", Some(probe.cold), Some(COLD));
    text += &row("ready, kept warm", Some(probe.warm), Some(WARM));
    text += &row("crossing and back, p50", at(50), None);
    text += &row("crossing and back, p99", at(99), Some(CROSSING));
    text += &row("crossing and back, most", at(100), None);
    let (came, sent) = (crossings.len(), probe.sent);
    text +=
        &format!("\n{came} of {sent} packets of Opus came back, 20 ms apart, not encoded anew.\n");
    Figures { text, findings }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_came_back() {
        let Figures { text, findings } = print(Probe {
            cold: Duration::from_millis(300),
            warm: Duration::from_millis(3),
            sent: 101,
            crossings: (1..=100).rev().map(Duration::from_millis).collect(),
        });
        for part in ["p50 | 50.00 ms", "p99 | 99.00 ms | ≤ 5.00 ms", "100 of 101"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(findings, ["crossing and back, p99: 99.00 ms"]);
    }
}
