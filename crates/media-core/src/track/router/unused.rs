//! Layers that nobody gets are not sent by their publisher either.
//!
//! There is no message for that between a browser and a server, but browsers fill their layers from the smallest
//! one upwards with what they are asked to keep to, whether these are streams or parts of one. A bound just below
//! what the next layer takes turns it off, and all above it.

use super::{Router, TrackSlot};
use crate::sending::Caps;
use crate::track::inbound::Inbound;
use crate::track::layers::{Layer, MAX_SPATIAL, Qualities, Quality};
use crate::track::outbound::Outbound;
use std::time::{Duration, Instant};

/// How often it is looked at which layers are in use.
const INTERVAL: Duration = Duration::from_secs(1);
/// A layer that nobody got for so long is turned off.
const UNUSED_AFTER: Duration = Duration::from_secs(3);
/// What sound takes of a bound, in bits per second.
const SOUND_BPS: u64 = 64_000;

/// Which spatial layers of a source a publisher is asked for.
#[derive(Debug, Default)]
pub(super) struct Use {
    /// Nothing else takes from the bound.
    is_pausable: bool,
    next_look: Option<Instant>,
    /// Since when the best layers are not in use.
    unused_since: Option<Instant>,
    /// Up to which layer, and the bound for it.
    bound: Option<(usize, u64)>,
    /// Bits per second of each layer within a stream when it was last sent, and what it took to receive it.
    rates: [u64; MAX_SPATIAL],
    costs: [u64; MAX_SPATIAL],
}

impl Router {
    /// Whether layers of a source may be turned off.
    pub(crate) fn set_pausable(&mut self, source: TrackSlot, pausable: bool) {
        if self.tracks.get(source).is_some_and(Inbound::is_video)
            && let Some(entry) = self.uses.entry(source)
        {
            entry.or_default().is_pausable = pausable;
        }
    }

    /// Whether layers of a source were turned off.
    pub(super) fn is_bound(&self, source: TrackSlot) -> bool {
        self.uses
            .get(source)
            .is_some_and(|usage| usage.bound.is_some())
    }

    /// What the publisher of a source is to be asked for so that it turns layers off, besides what its receivers
    /// bound.
    pub(super) fn without_unused(&self, source: TrackSlot, caps: Caps) -> Caps {
        let bound = self.uses.get(source).and_then(|usage| usage.bound);
        let bound = bound.map_or(0, |(_, bound)| bound);
        if self.has_layers(source) {
            // Each receiver gets the layer that it has room for.
            return Caps {
                set: bound,
                carried: 0,
            };
        }
        let set = match (caps.set, bound) {
            (set, 0) | (0, set) => set,
            (set, bound) => set.min(bound),
        };
        Caps { set, ..caps }
    }

    /// Adds the layers within a stream that were turned off to those that are sent. Those that just were seem to
    /// take less and less, until they are gone.
    pub(super) fn add_unused(&self, source: TrackSlot, qualities: &mut Qualities) {
        let Some((usage, rank)) = self.bound_of(source) else {
            return;
        };
        let Some(track) = self.tracks.get(source) else {
            return;
        };
        for (spatial, bitrate) in (0u8..).zip(usage.costs).skip(rank + 1) {
            if bitrate > 0 && !qualities.raise(spatial, bitrate) {
                qualities.push(Quality {
                    layer: Layer {
                        spatial,
                        temporal: track.top_temporal(),
                    },
                    bitrate,
                    height: track.height_of(spatial),
                });
            }
        }
    }

    /// The same for the streams that a source comes in, by what they usually take.
    pub(super) fn raise_unused(
        &self,
        source: TrackSlot,
        usual: &[u64; MAX_SPATIAL],
        qualities: &mut Qualities,
    ) {
        if let Some((_, rank)) = self.bound_of(source) {
            for (spatial, bitrate) in (0u8..).zip(usual).skip(rank + 1) {
                qualities.raise(spatial, *bitrate);
            }
        }
    }

    /// How a source is used of which layers are turned off, and the highest that is not.
    fn bound_of(&self, source: TrackSlot) -> Option<(&Use, usize)> {
        let usage = self.uses.get(source)?;
        usage.bound.map(|(rank, _)| (usage, rank))
    }

    /// Looks whether there are layers that nobody gets.
    pub(super) fn review_use(&mut self, source: TrackSlot, now: Instant) {
        let is_due = |usage: &Use| usage.next_look.is_none_or(|at| now >= at);
        if !self.uses.get(source).is_some_and(is_due) {
            return;
        }
        let elsewhere = self.mirrored.get(source).map_or(0, |it| it.spatial);
        let wanted = usize::from(
            self.highest_limit(source, Outbound::has_destination)
                .max(elsewhere),
        );
        let streams = self.simulcasts.get(source).map(|simulcast| simulcast.rates);
        let Some(usage) = self.uses.get_mut(source) else {
            return;
        };
        usage.next_look = Some(now + INTERVAL);
        if streams.is_none()
            && usage.bound.is_none()
            && let Some(track) = self.tracks.get_mut(source)
        {
            usage.rates = track.spatial_rates(now);
            usage.costs = track.spatial_costs(now);
        }
        let bound = bound_for(&streams.unwrap_or(usage.rates), wanted);
        let Some(bound) = bound.filter(|_| usage.is_pausable) else {
            usage.unused_since = None;
            // A bound that holds already was found when all layers were known.
            if usage.bound.is_some_and(|(rank, _)| rank < wanted) {
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
    pub(crate) fn use_layer(&mut self, source: TrackSlot, spatial: u8) {
        let bound = self.uses.get(source).and_then(|usage| usage.bound);
        if bound.is_some_and(|(rank, _)| usize::from(spatial) > rank) {
            self.lift(source);
        }
    }

    fn lift(&mut self, source: TrackSlot) {
        if let Some(usage) = self.uses.get_mut(source) {
            usage.bound = None;
            usage.unused_since = None;
            self.capped.push(source);
        }
    }
}

/// The bound that leaves the layers up to `rank` on and turns the next one off; `None` when there is no next one or
/// its bitrate was never seen.
fn bound_for(rates: &[u64; MAX_SPATIAL], rank: usize) -> Option<u64> {
    let next = rates
        .get(rank.checked_add(1)?)
        .copied()
        .filter(|rate| *rate > 0)?;
    let kept: u64 = rates.iter().take(rank + 1).sum();
    // Layers are turned on at about a quarter of what they take in the end.
    Some(SOUND_BPS + kept * 11 / 10 + next / 10)
}
