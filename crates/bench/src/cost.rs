//! CPU time per packet over several runs.

use std::time::Duration;

/// CPU time per packet, in microseconds, of runs that alternated with others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Of the best run: what the work takes when nothing disturbs it.
    pub best_us: f64,
    /// Of the run in the middle: what it takes usually.
    pub median_us: f64,
}

impl Cost {
    /// From the CPU time and the packets of each run; runs without packets do not count.
    pub fn of_runs(runs: &[(Duration, u64)]) -> Self {
        let mut costs: Vec<f64> = runs
            .iter()
            .filter(|(_, packets)| *packets > 0)
            .map(|(cpu, packets)| cpu.as_secs_f64() * 1e6 / *packets as f64)
            .collect();
        let median_us = median(&mut costs);
        Self {
            // `median` has sorted them.
            best_us: costs.first().copied().unwrap_or_default(),
            median_us,
        }
    }
}

/// The middle value, or the mean of the two in the middle; 0 of none. Sorts the values.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.get(middle.wrapping_sub(1)), values.get(middle)) {
        (Some(low), Some(high)) if values.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(value)) => *value,
        (_, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_value_in_the_middle() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0]), 3.0);
        assert_eq!(median(&mut [3.0, 1.0]), 2.0);
        assert_eq!(median(&mut [9.0, 1.0, 2.0]), 2.0);
    }

    #[test]
    fn cost_is_time_per_packet() {
        let runs = [(30, 10), (10, 10), (0, 0), (50, 10)];
        let runs = runs.map(|(us, packets)| (Duration::from_micros(us), packets));
        let cost = Cost::of_runs(&runs);
        assert!((cost.best_us - 1.0).abs() < 1e-9 && (cost.median_us - 3.0).abs() < 1e-9);
    }
}
