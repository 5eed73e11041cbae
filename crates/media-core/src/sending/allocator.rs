//! Who gets how much of what the path to one viewer carries.
//!
//! Streams are served in order: of the priority that the viewer gave them; if it gave none, the
//! active speaker's comes first; and what is shown larger comes before what is shown smaller. First
//! each gets its smallest quality, as far as that goes, then the most important one as much as there
//! is, and so on. A quality that is sent
//! stays until it clearly does not fit any more, and a better one has to fit clearly, so that an
//! estimate that swings around a quality does not make the picture swing with it.
//!
//! A plain stream has one quality. It cannot be made smaller for one viewer, so its publisher is
//! asked to, if nobody else watches; and else it is paused for the viewer whose path does not carry
//! it beside what is more important, since one slow viewer must not degrade what others see.

use crate::track::{Layer, Quality};
use std::time::{Duration, Instant};

/// A quality that is sent may take this much more than there is.
const KEEP: f64 = 1.1;
/// A better one has to leave this much.
const CLIMB: f64 = 1.2;
/// A plain stream is held to be too much from this multiple of what there is.
const TOO_MUCH: f64 = 1.3;
/// It is paused after so long: a publisher that adapts, or an estimate that recovers, comes first.
const PATIENCE: Duration = Duration::from_secs(2);
/// A publisher is told what its only viewer can take from this share of it on, and up to the other.
const NEAR: f64 = 1.5;
const FAR: f64 = 2.0;
/// The least that a publisher is asked for.
const LEAST_BPS: u64 = 30_000;

/// What a viewer wants of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Preference {
    /// Lines of the picture that are enough; 0 is any number.
    pub(crate) height: u16,
    /// Streams with greater numbers are served first.
    pub(crate) priority: u8,
}

/// What is known of one stream of a viewer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Demand<'a> {
    /// Ascending by bitrate.
    pub(crate) qualities: &'a [Quality],
    pub(crate) preference: Preference,
    /// It shows who speaks.
    pub(crate) is_prominent: bool,
    /// Bound that was set for the endpoint, in bits per second; 0 is none.
    pub(crate) max_bps: u64,
    /// Nobody else watches, and the publisher can be asked to send less.
    pub(crate) is_steerable: bool,
    pub(crate) before: Grant,
}

/// What one stream gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The highest layer that may be sent; `None` pauses the stream.
    pub(crate) ceiling: Option<Layer>,
    /// What the publisher is to be asked for on behalf of this viewer, in bits per second.
    pub(crate) share: Option<u64>,
    /// Since when a plain stream is too much.
    pub(crate) short_since: Option<Instant>,
}

impl Default for Grant {
    fn default() -> Self {
        Self {
            ceiling: Some(Layer::HIGHEST),
            share: None,
            short_since: None,
        }
    }
}

/// What the streams of a viewer get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Division {
    /// One per demand.
    pub(crate) grants: Vec<Grant>,
    /// The limit, in bits per second, from which on a stream that is paused now would be sent.
    pub(crate) resumes_at: Option<u64>,
}

/// Divides `limit` (bits per second; `None` is no limit) among streams.
pub(crate) fn allocate(limit: Option<u64>, demands: &[Demand<'_>], now: Instant) -> Division {
    let mut grants: Vec<Grant> = demands.iter().map(Demand::unlimited).collect();
    let Some(limit) = limit else {
        return Division {
            grants,
            resumes_at: None,
        };
    };
    let order = order(demands);
    let mut left = limit as f64;
    let mut resumes_at: Option<f64> = None;
    // What is chosen of each stream, as a place among its qualities.
    let mut chosen: Vec<Option<usize>> = vec![None; demands.len()];
    // The smallest of each; a plain one has no other.
    for at in &order {
        let (Some(demand), Some(grant)) = (demands.get(*at), grants.get_mut(*at)) else {
            continue;
        };
        let Some(lowest) = demand.qualities.first() else {
            continue;
        };
        let cost = lowest.bitrate as f64;
        let is_sent = if demand.is_plain() {
            grant.short_since = demand.short_since(cost, left, now);
            demand.is_sent_plain(grant.short_since, now)
        } else {
            left * demand.slack(0) >= cost || chosen_none(&chosen)
        };
        if is_sent {
            chosen[*at] = Some(0);
            left -= cost;
        } else {
            grant.ceiling = None;
            let needed = limit as f64 - left + cost * CLIMB;
            resumes_at = Some(resumes_at.map_or(needed, |least| least.min(needed)));
        }
    }
    // As much as there is of the most important one, and of the next.
    for at in &order {
        let (Some(demand), Some(grant)) = (demands.get(*at), grants.get_mut(*at)) else {
            continue;
        };
        let Some(mut place) = chosen[*at].filter(|_| !demand.is_plain()) else {
            continue;
        };
        for better in place + 1..=demand.most() {
            let extra = cost(demand, better) - cost(demand, place);
            if (left + cost(demand, place)) * demand.slack(better) >= cost(demand, better) {
                left -= extra;
                place = better;
            }
        }
        grant.ceiling = demand.qualities.get(place).map(|quality| quality.layer);
    }
    let plain: Vec<usize> = order
        .into_iter()
        .filter(|at| demands.get(*at).is_some_and(Demand::is_plain))
        .collect();
    let sent = plain.iter().filter(|at| chosen[**at].is_some());
    // What plain streams together have: what the others left of it, theirs included.
    let sent: f64 = sent.map(|at| bitrate(demands, *at)).sum();
    tell_publishers(demands, &plain, (left + sent).max(0.0), &mut grants);
    Division {
        grants,
        resumes_at: resumes_at.map(|bps| bps.ceil() as u64),
    }
}

/// Finds what the publishers of plain streams are asked for, the most important ones first: of `available`, those
/// that matter the same get shares by size, and those that matter less what they leave.
fn tell_publishers(
    demands: &[Demand<'_>],
    order: &[usize],
    mut available: f64,
    grants: &mut [Grant],
) {
    let has_own = has_own(demands);
    let rank = |at: &usize| demands.get(*at).map(|of| of.rank(has_own));
    for equals in order.chunk_by(|one, other| rank(one) == rank(other)) {
        let all: f64 = equals.iter().map(|at| bitrate(demands, *at)).sum();
        for at in equals {
            let (Some(demand), Some(grant)) = (demands.get(*at), grants.get_mut(*at)) else {
                continue;
            };
            // Of nothing at all everything.
            let bitrate = bitrate(demands, *at);
            let part = if all > 0.0 { bitrate / all } else { 1.0 };
            let share = available * part;
            let was_told = demand.before.share.is_some();
            let tells = share < bitrate * if was_told { FAR } else { NEAR };
            grant.share = (tells && bitrate > 0.0).then_some((share as u64).max(LEAST_BPS));
        }
        available = (available - all).max(0.0);
    }
}

/// The places of the demands, the most important one first.
fn order(demands: &[Demand<'_>]) -> Vec<usize> {
    let has_own = has_own(demands);
    let mut order: Vec<usize> = (0..demands.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(demands.get(*at).map(|of| of.rank(has_own))));
    order
}

/// Whether the viewer said itself what comes first.
fn has_own(demands: &[Demand<'_>]) -> bool {
    demands.iter().any(|of| of.preference.priority > 0)
}

/// What a plain stream takes.
fn bitrate(demands: &[Demand<'_>], at: usize) -> f64 {
    demands.get(at).map_or(0.0, |demand| cost(demand, 0))
}

fn chosen_none(chosen: &[Option<usize>]) -> bool {
    chosen.iter().all(Option::is_none)
}

fn cost(demand: &Demand<'_>, place: usize) -> f64 {
    demand
        .qualities
        .get(place)
        .map_or(0.0, |quality| quality.bitrate as f64)
}

impl Demand<'_> {
    /// Greater ones are served first.
    fn rank(&self, has_own: bool) -> (u8, bool, u16) {
        let height = match self.preference.height {
            0 => u16::MAX,
            height => height,
        };
        let is_speaker = self.is_prominent && !has_own;
        (self.preference.priority, is_speaker, height)
    }

    /// Whether it has one quality, which cannot be made smaller for one viewer.
    fn is_plain(&self) -> bool {
        self.qualities.len() == 1
    }

    /// Since when a plain stream is too much for what is left.
    fn short_since(&self, bitrate: f64, left: f64, now: Instant) -> Option<Instant> {
        let fits = if self.before.ceiling.is_none() {
            left >= bitrate * CLIMB
        } else {
            left * TOO_MUCH >= bitrate
        };
        let is_short = !fits && !self.is_steerable;
        is_short.then(|| self.before.short_since.unwrap_or(now))
    }

    /// Whether a plain stream that is too much since then is sent all the same.
    fn is_sent_plain(&self, short_since: Option<Instant>, now: Instant) -> bool {
        let was_sent = self.before.ceiling.is_some();
        short_since.is_none_or(|since| was_sent && now.saturating_duration_since(since) < PATIENCE)
    }

    /// The grant where the path carries everything.
    fn unlimited(&self) -> Grant {
        let wants_all = self.preference.height == 0 && self.max_bps == 0;
        let quality = self.qualities.get(self.most());
        match quality.filter(|_| !wants_all && self.qualities.len() > 1) {
            Some(quality) => Grant {
                ceiling: Some(quality.layer),
                ..Grant::default()
            },
            None => Grant::default(),
        }
    }

    /// What the stream could make use of, in bits per second.
    pub(crate) fn wanted(&self) -> u64 {
        let quality = self.qualities.get(self.most());
        quality.map_or(0, |quality| quality.bitrate)
    }

    /// The best quality that makes sense: within the bound, and no larger than what is enough.
    fn most(&self) -> usize {
        let last = self.qualities.len().saturating_sub(1);
        let enough = self.qualities.iter().position(|quality| {
            let height = quality.height.unwrap_or(0);
            self.preference.height > 0 && height >= self.preference.height
        });
        // Of the same picture size, the highest frame rate.
        let enough = enough.map_or(last, |first| {
            let height = self.qualities.get(first).and_then(|of| of.height);
            self.qualities
                .iter()
                .rposition(|quality| quality.height == height)
                .unwrap_or(first)
        });
        let allowed = self
            .qualities
            .iter()
            .rposition(|quality| self.max_bps == 0 || quality.bitrate <= self.max_bps)
            .unwrap_or(0);
        enough.min(allowed)
    }

    /// How far what is available may differ from what a quality takes.
    fn slack(&self, place: usize) -> f64 {
        let Some(quality) = self.qualities.get(place) else {
            return 1.0;
        };
        let is_sent = self
            .before
            .ceiling
            .is_some_and(|before| quality.layer <= before && before != Layer::HIGHEST);
        if is_sent { KEEP } else { 1.0 / CLIMB }
    }
}

#[cfg(test)]
mod tests;
