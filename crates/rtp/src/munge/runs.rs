//! What was sent, as stretches of constant offsets.

use std::collections::VecDeque;

use super::Drop;
use super::offsets::Offsets;
use crate::seq::ExtSeq;

/// Runs of constant offset that are remembered besides the current one. Each switch and each deliberately dropped
/// packet begins a run; NACKs for packets of forgotten runs go unanswered.
/// Where every other picture is left out, this is a second's worth.
const MAX_RUNS: usize = 64;

/// Where an outgoing packet came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Its source.
    pub ssrc: u32,
    /// Its sequence number there.
    pub seq: ExtSeq,
    /// The outgoing sequence number, extended.
    pub outgoing: ExtSeq,
    /// How its other numbers were changed.
    pub offsets: Offsets,
}

/// A stretch of packets with constant offsets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) ssrc: u32,
    pub(super) offsets: Offsets,
    /// First sequence number of the source.
    pub(super) source_start: ExtSeq,
    /// Outgoing number of that.
    pub(super) out_start: ExtSeq,
}

impl Run {
    /// Outgoing number of `seq`, which is not before the run.
    pub(super) fn map(&self, seq: ExtSeq) -> ExtSeq {
        self.out_start.offset(seq.since(self.source_start))
    }
}

/// Earlier runs, oldest first.
#[derive(Debug, Default)]
pub(super) struct Earlier(VecDeque<Run>);

impl Earlier {
    /// Adds one that has ended.
    pub(super) fn push(&mut self, run: Run) {
        if self.0.len() >= MAX_RUNS {
            self.0.pop_front();
        }
        self.0.push_back(run);
    }

    /// Newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Run> {
        self.0.iter().rev()
    }

    /// The outgoing number of a packet from before the current run.
    pub(super) fn place(&self, current: &Run, seq: ExtSeq) -> Result<ExtSeq, Drop> {
        let mut next_out = current.out_start;
        for run in self.newest_first() {
            if seq >= run.source_start && run.ssrc == current.ssrc {
                let out = run.map(seq);
                // Numbers from the next run's start on were given away.
                return if out < next_out {
                    Ok(out)
                } else {
                    Err(Drop::Late)
                };
            }
            next_out = run.out_start;
        }
        Err(Drop::Late)
    }
}
