//! Which shard carries which pipeline.

use salono_media_api::PipelineKey;
use std::collections::BTreeMap;

/// Pipelines and their shards. Grows with the pipelines that the control side creates, which
/// bounds them.
#[derive(Debug)]
pub(crate) struct Placement {
    /// Where each pipeline lives.
    shards: BTreeMap<PipelineKey, usize>,
    /// Pipelines per shard.
    load: Vec<usize>,
}

impl Placement {
    /// No pipelines on `shards` shards.
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            shards: BTreeMap::new(),
            load: vec![0; shards],
        }
    }

    /// Where a pipeline lives. Commands for one that nobody created go to the first shard, which
    /// answers that it does not exist.
    pub(crate) fn shard(&self, pipeline: PipelineKey) -> usize {
        self.shards.get(&pipeline).copied().unwrap_or_default()
    }

    /// Gives a new pipeline a place on the shard with the fewest; one that has a place keeps it.
    pub(crate) fn place(&mut self, pipeline: PipelineKey) -> usize {
        if let Some(shard) = self.shards.get(&pipeline) {
            return *shard;
        }
        let least = (0..self.load.len()).min_by_key(|shard| self.load[*shard]);
        let shard = least.unwrap_or_default();
        self.load[shard] += 1;
        self.shards.insert(pipeline, shard);
        shard
    }

    /// Forgets a pipeline.
    pub(crate) fn remove(&mut self, pipeline: PipelineKey) {
        if let Some(shard) = self.shards.remove(&pipeline) {
            self.load[shard] -= 1;
        }
    }

    /// Whether a pipeline has a place.
    pub(crate) fn contains(&self, pipeline: PipelineKey) -> bool {
        self.shards.contains_key(&pipeline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_pipelines_go_where_the_fewest_are_and_stay() {
        let mut placement = Placement::new(3);
        let placed: Vec<_> = (0..6)
            .map(|key| placement.place(PipelineKey(key)))
            .collect();
        assert_eq!(placed, [0, 1, 2, 0, 1, 2]);
        placement.remove(PipelineKey(1));
        placement.remove(PipelineKey(4));
        assert_eq!(placement.place(PipelineKey(6)), 1);
        assert_eq!(placement.place(PipelineKey(5)), 2);
        assert_eq!(placement.shard(PipelineKey(6)), 1);
        assert_eq!(placement.shard(PipelineKey(99)), 0);
    }
}
