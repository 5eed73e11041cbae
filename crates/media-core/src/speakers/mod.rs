//! Who speaks in a pipeline, how loud everybody is, and who is forwarded when only the loudest are.
//!
//! A pipeline has a [`Detector`] while somebody asked for one; its audio tracks are the members. The
//! router tells the levels of each batch of a track's packets and learns whether the batch is
//! forwarded: one decision per track and batch, whatever the number of receivers. Decisions about the
//! active speaker, and reports, are made ten times a second, and only where there is something to
//! hear.
//!
//! | module | role |
//! | --- | --- |
//! | `voice` | one track: smoothed level, background, speech over three windows |
//! | `dominance` | the active speaker |
//! | `loudest` | the few that are forwarded |

mod dominance;
mod loudest;
mod voice;

#[cfg(test)]
mod tests;

use dominance::{Candidate, Dominance};
use loudest::{Admission, Loudest};
use salono_media_api::{
    AudioLevel, ElementKey, Event, PipelineKey, SpeakerDetection, SpeakerEvent,
};
use salono_rtp::ext;
use slotmap::{SlotMap, new_key_type};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use voice::{AUDIBLE, Voice};

/// How often detectors look at their members.
const TICK: Duration = Duration::from_millis(100);
/// Whose picture comes first changes no more often: each change costs two keyframes at every viewer,
/// and two who talk to each other take turns faster than that.
const PROMINENCE_HOLD: Duration = Duration::from_millis(1_500);
/// Elements in one report of levels; the loudest are in it.
const MAX_LEVELS: usize = 64;

new_key_type! {
    /// The detector of a pipeline.
    pub(crate) struct DetectorSlot;
    /// A track of a detector's pipeline.
    pub(crate) struct MemberSlot;
}

/// A track's place at a detector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    detector: DetectorSlot,
    member: MemberSlot,
}

/// All detectors of a shard.
#[derive(Debug, Default)]
pub(crate) struct Detectors {
    detectors: SlotMap<DetectorSlot, Detector>,
    by_pipeline: BTreeMap<PipelineKey, DetectorSlot>,
    /// Those that have something to hear; each is in here once.
    awake: Vec<DetectorSlot>,
    next_tick: Option<Instant>,
    /// Pipelines in which another element is prominent now.
    turned: Vec<Turn>,
}

/// Another element of a pipeline became the one whose picture comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) pipeline: PipelineKey,
    pub(crate) from: Option<ElementKey>,
    pub(crate) to: Option<ElementKey>,
}

/// One pipeline.
#[derive(Debug)]
struct Detector {
    pipeline: PipelineKey,
    members: SlotMap<MemberSlot, Member>,
    dominance: Dominance<MemberSlot>,
    /// The element that was reported as the active speaker last.
    reported: Option<ElementKey>,
    /// The element whose picture comes first: the last active speaker, also while nobody speaks.
    prominent: Option<ElementKey>,
    prominent_since: Option<Instant>,
    loudest: Loudest,
    level_interval: Option<Duration>,
    next_levels: Option<Instant>,
    /// The last report of levels had some in it.
    is_loud: bool,
    is_awake: bool,
}

/// A track.
#[derive(Debug)]
pub(crate) struct Member {
    voice: Voice,
    admission: Admission,
}

impl Detectors {
    /// Detects in a pipeline from now on, or goes on with other settings.
    pub(crate) fn open(&mut self, pipeline: PipelineKey, settings: SpeakerDetection, now: Instant) {
        let slot = *self.by_pipeline.entry(pipeline).or_insert_with(|| {
            self.detectors.insert(Detector {
                pipeline,
                members: SlotMap::with_key(),
                dominance: Dominance::default(),
                reported: None,
                prominent: None,
                prominent_since: None,
                loudest: Loudest::default(),
                level_interval: None,
                next_levels: None,
                is_loud: false,
                is_awake: false,
            })
        });
        if let Some(detector) = self.detectors.get_mut(slot) {
            let limit = usize::from(settings.loudest);
            detector
                .loudest
                .set_limit(limit, &mut detector.members, now);
            detector.level_interval = settings.level_interval;
        }
    }

    /// Detects no longer; what was withheld flows again.
    pub(crate) fn close(&mut self, pipeline: PipelineKey) {
        if let Some(slot) = self.by_pipeline.remove(&pipeline) {
            let prominent = self.detectors.remove(slot).and_then(|it| it.prominent);
            if prominent.is_some() {
                self.turned.push(Turn {
                    pipeline,
                    from: prominent,
                    to: None,
                });
            }
            self.awake.retain(|awake| *awake != slot);
        }
    }

    /// Whether somebody wants to know who speaks in a pipeline.
    pub(crate) fn is_open(&self, pipeline: PipelineKey) -> bool {
        self.by_pipeline.contains_key(&pipeline)
    }

    /// Lets a track take part, if its pipeline has a detector.
    pub(crate) fn join(
        &mut self,
        pipeline: PipelineKey,
        element: ElementKey,
    ) -> Option<Membership> {
        let slot = *self.by_pipeline.get(&pipeline)?;
        let member = self.detectors.get_mut(slot)?.members.insert(Member {
            voice: Voice::new(element),
            admission: Admission::Out,
        });
        Some(Membership {
            detector: slot,
            member,
        })
    }

    /// Whether a place is still there: a detector may have ended and another begun.
    pub(crate) fn knows(&self, membership: Membership) -> bool {
        self.detectors
            .get(membership.detector)
            .is_some_and(|detector| detector.members.contains_key(membership.member))
    }

    /// Forgets a track that ends. Should it be the active speaker's, the next tick says so.
    pub(crate) fn leave(&mut self, membership: Membership) {
        if let Some(detector) = self.detectors.get_mut(membership.detector) {
            detector.members.remove(membership.member);
            detector.loudest.forget(membership.member);
        }
    }

    /// Takes in the levels of a batch of packets; whether the batch is forwarded.
    pub(crate) fn hear(
        &mut self,
        membership: Membership,
        levels: impl Iterator<Item = Option<u8>>,
        now: Instant,
    ) -> bool {
        let Some(detector) = self.detectors.get_mut(membership.detector) else {
            return true;
        };
        let Some(member) = detector.members.get_mut(membership.member) else {
            return true;
        };
        for level in levels.flatten() {
            if let Some(level) = ext::AudioLevel::parse(&[level]) {
                member.voice.hear(level, now);
            }
        }
        let is_audible = member.voice.loudness(now) >= AUDIBLE;
        let is_admitted = detector
            .loudest
            .admits(membership.member, &mut detector.members, now)
            || detector.dominance.active() == Some(membership.member);
        if is_audible && !detector.is_awake {
            self.wake(membership.detector, now);
        }
        is_admitted
    }

    /// When [`Self::tick`] is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.next_tick
    }

    /// Decides and reports, if it is time.
    pub(crate) fn tick(&mut self, events: &mut VecDeque<Event>, now: Instant) {
        if self.next_tick.is_none_or(|due| due > now) {
            return;
        }
        let detectors = &mut self.detectors;
        let turned = &mut self.turned;
        self.awake.retain(|slot| {
            detectors.get_mut(*slot).is_some_and(|detector| {
                let stays_awake = detector.tick(events, now);
                turned.extend(detector.turn(now));
                stays_awake
            })
        });
        self.next_tick = (!self.awake.is_empty()).then(|| now + TICK);
    }

    /// The element of a pipeline whose picture comes first.
    pub(crate) fn prominent(&self, pipeline: PipelineKey) -> Option<ElementKey> {
        let slot = self.by_pipeline.get(&pipeline)?;
        self.detectors.get(*slot)?.prominent
    }

    /// What changed of that, each change once.
    pub(crate) fn next_turn(&mut self) -> Option<Turn> {
        self.turned.pop()
    }

    fn wake(&mut self, slot: DetectorSlot, now: Instant) {
        let Some(detector) = self.detectors.get_mut(slot).filter(|it| !it.is_awake) else {
            return;
        };
        detector.is_awake = true;
        self.awake.push(slot);
        self.next_tick.get_or_insert(now + TICK);
    }
}

impl Detector {
    /// Decides and reports; false when there is nothing to hear any more.
    fn tick(&mut self, events: &mut VecDeque<Event>, now: Instant) -> bool {
        for member in self.members.values_mut() {
            member.voice.pass(now);
        }
        let candidates = self.members.iter().map(|(id, member)| Candidate {
            id,
            sums: member.voice.sums(),
            spoke: member.voice.spoke(),
        });
        let before = self.dominance.active();
        self.dominance.decide(candidates, now);
        let active = self.dominance.active();
        if let Some(member) = before
            .filter(|_| before != active)
            .and_then(|before| self.members.get_mut(before))
        {
            Loudest::let_go(member, now);
        }
        let element = active
            .and_then(|active| self.members.get(active))
            .map(|member| member.voice.element());
        // Tracks of one element are one speaker.
        if element != self.reported {
            self.reported = element;
            events.push_back(Event::Speakers {
                pipeline: self.pipeline,
                event: SpeakerEvent::Active(element),
            });
        }
        self.report_levels(events, now);
        let is_audible = self
            .members
            .values()
            .any(|member| member.voice.loudness(now) >= AUDIBLE);
        self.is_awake = is_audible || active.is_some() || self.is_loud;
        self.is_awake
    }

    /// Lets the picture of who speaks now come first, unless another's has for too short a time.
    fn turn(&mut self, now: Instant) -> Option<Turn> {
        let speaker = self
            .reported
            .filter(|speaker| self.prominent != Some(*speaker))?;
        let holds = self
            .prominent_since
            .is_some_and(|since| now.saturating_duration_since(since) < PROMINENCE_HOLD);
        if holds {
            return None;
        }
        self.prominent_since = Some(now);
        Some(Turn {
            pipeline: self.pipeline,
            from: self.prominent.replace(speaker),
            to: Some(speaker),
        })
    }

    fn report_levels(&mut self, events: &mut VecDeque<Event>, now: Instant) {
        let Some(interval) = self.level_interval else {
            self.is_loud = false;
            return;
        };
        if self.next_levels.is_some_and(|due| due > now) {
            return;
        }
        let mut loudest: BTreeMap<ElementKey, i8> = BTreeMap::new();
        for member in self.members.values() {
            if member.voice.loudness(now) >= AUDIBLE {
                let dbov = member.voice.dbov(now);
                let level = loudest.entry(member.voice.element()).or_insert(dbov);
                *level = dbov.max(*level);
            }
        }
        if loudest.is_empty() && !self.is_loud {
            return;
        }
        self.is_loud = !loudest.is_empty();
        self.next_levels = Some(now + interval);
        let mut levels: Vec<AudioLevel> = loudest
            .into_iter()
            .map(|(element, dbov)| AudioLevel { element, dbov })
            .collect();
        levels.sort_by_key(|level| std::cmp::Reverse(level.dbov));
        levels.truncate(MAX_LEVELS);
        events.push_back(Event::Speakers {
            pipeline: self.pipeline,
            event: SpeakerEvent::Levels(levels),
        });
    }
}
