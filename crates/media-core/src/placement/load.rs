//! How busy shards are.

use std::time::{Duration, Instant};

/// How often the packets that shards forward are counted.
const MEASURE_EVERY: Duration = Duration::from_secs(1);
/// What an endpoint counts at least, in packets forwarded per second: it may become busy any time.
const IDLE: u64 = 20;
/// What a pipeline counts, in idle endpoints: those that are likely to come.
const PIPELINE: u64 = 8;

/// One shard.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    pipelines: u64,
    endpoints: u64,
    /// Endpoints that came since packets were counted.
    new: u64,
    forwarded: u64,
    /// Packets forwarded per second.
    rate: u64,
}

/// All shards.
#[derive(Debug)]
pub(super) struct Loads {
    shards: Vec<Load>,
    measured_at: Option<Instant>,
}

impl Loads {
    pub(super) fn new(shards: usize) -> Self {
        Self {
            shards: vec![Load::default(); shards.max(1)],
            measured_at: None,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.len()
    }

    /// Whether the last count is from a while ago.
    pub(super) fn is_old(&self, now: Instant) -> bool {
        self.len() > 1
            && self
                .measured_at
                .is_none_or(|at| now.saturating_duration_since(at) >= MEASURE_EVERY)
    }

    pub(super) fn measure(&mut self, forwarded: impl Iterator<Item = u64>, now: Instant) {
        let since = self.measured_at.replace(now);
        let past = since.map_or(0, |since| now.saturating_duration_since(since).as_millis());
        for (load, forwarded) in self.shards.iter_mut().zip(forwarded) {
            let more = u128::from(forwarded.saturating_sub(load.forwarded));
            let rate = (more * 1_000).checked_div(past).unwrap_or(0);
            load.rate = u64::try_from(rate).unwrap_or(u64::MAX);
            load.forwarded = forwarded;
            load.new = 0;
        }
    }

    pub(super) fn add_pipeline(&mut self, shard: usize) {
        if let Some(load) = self.shards.get_mut(shard) {
            load.pipelines += 1;
        }
    }

    pub(super) fn remove_pipeline(&mut self, shard: usize) {
        if let Some(load) = self.shards.get_mut(shard) {
            load.pipelines = load.pipelines.saturating_sub(1);
        }
    }

    pub(super) fn add_endpoint(&mut self, shard: usize) {
        if let Some(load) = self.shards.get_mut(shard) {
            load.endpoints += 1;
            load.new += 1;
        }
    }

    pub(super) fn remove_endpoints(&mut self, shard: usize, count: usize) {
        if let Some(load) = self.shards.get_mut(shard) {
            load.endpoints = load.endpoints.saturating_sub(count as u64);
            load.new = load.new.min(load.endpoints);
        }
    }

    /// Packets per second that a shard forwards, or may soon. Endpoints that came since the last
    /// count are taken for average ones.
    pub(super) fn of(&self, shard: usize) -> u64 {
        let Some(load) = self.shards.get(shard) else {
            return u64::MAX;
        };
        let (rate, old) = self.shards.iter().fold((0u64, 0u64), |(rate, old), load| {
            (
                rate.saturating_add(load.rate),
                old + load.endpoints - load.new,
            )
        });
        let average = rate.checked_div(old).unwrap_or(0);
        load.rate
            .saturating_add(load.new.saturating_mul(average))
            .saturating_add(IDLE * load.endpoints)
    }

    /// The shard for another pipeline.
    pub(super) fn least(&self) -> usize {
        let load = |shard: &usize| {
            let pipelines = self.shards.get(*shard).map_or(0, |load| load.pipelines);
            let count = PIPELINE * IDLE * pipelines;
            (self.of(*shard).saturating_add(count), pipelines)
        };
        (0..self.len()).min_by_key(load).unwrap_or_default()
    }

    /// Whether a shard has at least a quarter less to do than another. Less would not be worth a
    /// part of its own, which is for good.
    pub(super) fn is_clearly_less(&self, shard: usize, than: usize) -> bool {
        self.of(shard) <= self.of(than) / 4 * 3
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test may take the clock as its origin"
)]
mod tests {
    use super::*;

    #[test]
    fn pipelines_go_where_the_fewest_are() {
        let mut loads = Loads::new(3);
        let mut place = || {
            let shard = loads.least();
            loads.add_pipeline(shard);
            shard
        };
        let placed: Vec<_> = (0..6).map(|_| place()).collect();
        assert_eq!(placed, [0, 1, 2, 0, 1, 2]);
        loads.remove_pipeline(1);
        assert_eq!(loads.least(), 1);
    }

    #[test]
    fn what_is_forwarded_counts_as_well_as_what_may_be() {
        let mut loads = Loads::new(2);
        let start = Instant::now();
        assert!(loads.is_old(start));
        loads.measure([0, 0].into_iter(), start);
        for shard in [0, 0, 1, 1, 1] {
            loads.add_endpoint(shard);
        }
        assert_eq!(loads.least(), 0);
        let later = start + MEASURE_EVERY;
        assert!(loads.is_old(later) && !loads.is_old(start + MEASURE_EVERY / 2));
        loads.measure([2_000, 30].into_iter(), later);
        assert_eq!((loads.of(0), loads.of(1)), (2_040, 90));
        assert!(loads.is_clearly_less(1, 0) && !loads.is_clearly_less(0, 1));
        // New ones are taken for average ones until packets are counted again.
        loads.add_endpoint(1);
        assert_eq!(loads.of(1), 30 + 406 + 80);
    }

    #[test]
    fn a_single_shard_needs_no_counting() {
        assert!(!Loads::new(1).is_old(Instant::now()));
    }
}
