//! Layers that nobody gets are not sent by their publisher either.
//!
//! There is no message for that between a browser and a server, but browsers fill their layers from the smallest
//! one upwards with what they are asked to keep to. A bound just below what the next layer takes turns it off, and
//! all above it.

use super::simulcast::Simulcast;
use super::{Router, TrackSlot};
use std::time::{Duration, Instant};

/// How often it is looked at which layers are in use.
const INTERVAL: Duration = Duration::from_secs(1);
/// A layer that nobody got for so long is turned off.
const UNUSED_AFTER: Duration = Duration::from_secs(3);
/// What sound takes of a bound, in bits per second.
const SOUND_BPS: u64 = 64_000;

/// Which layers of a source a publisher is asked for.
#[derive(Debug, Default)]
pub(super) struct Use {
    /// Nothing else takes from the bound.
    is_pausable: bool,
    next_look: Option<Instant>,
    /// Since when the best layers are not in use.
    unused_since: Option<Instant>,
    /// Up to which layer, and the bound for it.
    bound: Option<(usize, u64)>,
}

impl Use {
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }
}

impl Router {
    /// Whether layers of a source may be turned off.
    pub(crate) fn set_pausable(&mut self, source: TrackSlot, pausable: bool) {
        if let Some(simulcast) = self.simulcasts.get_mut(source) {
            simulcast.usage.is_pausable = pausable;
        }
    }

    /// What the publisher of a layered source is to be asked for, in bits per second; 0 is no limit. `None` for any
    /// other source.
    pub(super) fn unused_cap(&self, source: TrackSlot) -> Option<u64> {
        let simulcast = self.simulcasts.get(source)?;
        Some(simulcast.usage.bound.map_or(0, |(_, bound)| bound))
    }

    /// Looks whether there are layers that nobody gets.
    pub(super) fn review_use(&mut self, source: TrackSlot, now: Instant) {
        let Some(simulcast) = self.simulcasts.get(source) else {
            return;
        };
        if simulcast.usage.next_look.is_some_and(|at| now < at) {
            return;
        }
        let limits = simulcast.outs().iter().filter_map(|out| {
            let heights = self.heights(source);
            self.outs
                .get(*out)
                .filter(|out| out.has_destination())?
                .limit(heights)
        });
        let wanted = limits.map(|limit| usize::from(limit.spatial)).max();
        let is_mirrored = self.mirrored.contains_key(source);
        let Some(simulcast) = self.simulcasts.get_mut(source) else {
            return;
        };
        simulcast.usage.next_look = Some(now + INTERVAL);
        let wanted = wanted.unwrap_or(0);
        let bound = if is_mirrored {
            None
        } else {
            simulcast.bound_for(wanted)
        };
        let usage = &mut simulcast.usage;
        let Some(bound) = bound.filter(|_| usage.is_pausable) else {
            usage.unused_since = None;
            // A bound that holds already was found when all layers were known.
            if usage.bound.is_some_and(|(rank, _)| rank < wanted) || is_mirrored {
                self.lift(source);
            }
            return;
        };
        let since = *usage.unused_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= UNUSED_AFTER
            && usage.bound.is_none_or(|(rank, _)| rank != wanted)
        {
            usage.bound = Some((wanted, bound));
            self.capped.push(source);
        }
    }

    /// A receiver is to get a layer: if it was turned off, it is asked for at once.
    pub(super) fn use_layer(&mut self, source: TrackSlot, spatial: u8) {
        let bound = self
            .simulcasts
            .get(source)
            .and_then(|simulcast| simulcast.usage.bound);
        if bound.is_some_and(|(rank, _)| usize::from(spatial) > rank) {
            self.lift(source);
        }
    }

    fn lift(&mut self, source: TrackSlot) {
        if let Some(simulcast) = self.simulcasts.get_mut(source) {
            simulcast.usage.bound = None;
            simulcast.usage.unused_since = None;
            self.capped.push(source);
        }
    }
}

impl Simulcast {
    /// The bound that leaves the layers up to `rank` on and turns the next one off; `None` when there is no next one
    /// or its bitrate was never seen.
    fn bound_for(&self, rank: usize) -> Option<u64> {
        let next = self
            .rates()
            .get(rank.checked_add(1)?)
            .copied()
            .filter(|rate| *rate > 0)?;
        let kept: u64 = self.rates().iter().take(rank + 1).sum();
        // Layers are turned on at about a quarter of what they take in the end.
        Some(SOUND_BPS + kept * 11 / 10 + next / 10)
    }
}
