//! Who of several voices is the active speaker.
//!
//! After the idea of Volfin and Cohen ("Dominant speaker identification for multipoint
//! videoconferencing", 2012): somebody takes over who stands out over a short, a medium and a long
//! window at once. The short one lets changes be quick, the medium one leaves the pauses between
//! words alone, the long one leaves interjections alone.

use super::voice::Sums;
use std::time::{Duration, Instant};

/// Least time between two changes.
pub(crate) const HOLD: Duration = Duration::from_secs(1);
/// So long after the last speech there is no active speaker any more.
pub(crate) const SILENCE: Duration = Duration::from_secs(2);
/// Frames of 20 ms with speech within 1.5 s that make a speaker; coughs are shorter.
const SPEECH_FRAMES: u8 = 20;

/// What is to be known of somebody who may be the speaker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<T> {
    pub(crate) id: T,
    pub(crate) sums: Sums,
    /// When there was speech last.
    pub(crate) spoke: Option<Instant>,
}

/// The active speaker, and since when.
#[derive(Debug)]
pub(crate) struct Dominance<T> {
    active: Option<T>,
    /// The last change.
    changed: Option<Instant>,
}

impl<T> Default for Dominance<T> {
    fn default() -> Self {
        Self {
            active: None,
            changed: None,
        }
    }
}

impl<T: Copy + PartialEq> Dominance<T> {
    pub(crate) fn active(&self) -> Option<T> {
        self.active
    }

    /// Looks at everybody.
    pub(crate) fn decide(
        &mut self,
        candidates: impl Iterator<Item = Candidate<T>> + Clone,
        now: Instant,
    ) {
        let current = candidates
            .clone()
            .find(|candidate| Some(candidate.id) == self.active);
        if self.active.is_some() && current.is_none() {
            // Who is gone does not speak, however short it was.
            let next = strongest(candidates);
            self.change(next, now);
            return;
        }
        let holds = self
            .changed
            .is_some_and(|at| now.saturating_duration_since(at) < HOLD);
        if holds {
            return;
        }
        let next = match current {
            None => strongest(candidates),
            Some(current) => {
                let others = candidates.filter(|other| takes_over(other.sums, current.sums));
                let is_silent = current
                    .spoke
                    .is_none_or(|at| now.saturating_duration_since(at) >= SILENCE);
                strongest(others).or(self.active.filter(|_| !is_silent))
            }
        };
        if next != self.active {
            self.change(next, now);
        }
    }

    fn change(&mut self, next: Option<T>, now: Instant) {
        self.active = next;
        self.changed = Some(now);
    }
}

/// Who spoke enough to be a speaker, and most.
fn strongest<T>(candidates: impl Iterator<Item = Candidate<T>>) -> Option<T> {
    candidates
        .filter(|candidate| speaks(candidate.sums))
        .reduce(|best, other| {
            if other.sums.long > best.sums.long {
                other
            } else {
                best
            }
        })
        .map(|best| best.id)
}

fn speaks(sums: Sums) -> bool {
    sums.immediate > 0 && sums.frames >= SPEECH_FRAMES
}

fn takes_over(challenger: Sums, current: Sums) -> bool {
    speaks(challenger)
        && challenger.immediate > 2 * current.immediate
        && challenger.medium > 2 * current.medium
        && 2 * challenger.long > 3 * current.long
}
