//! `SpeakerDetector`: who speaks in a pipeline. Not one of Kurento's classes.
//!
//! The media engine detects once per pipeline, however many detectors there are: it is told what
//! serves them all. A detector is told of the active speaker in any case, of levels only while
//! somebody listens.

use crate::{
    Now, ObjectModel,
    call::{Call, Outcome},
    tree::{Body, Object},
};
use salono_kurento_model::{Error, ErrorCode, Map, Value, tagged};
use salono_media_api::{AudioLevel, Op, SpeakerDetection, SpeakerEvent};
use std::time::{Duration, Instant};

/// Qualified name of the class.
pub(crate) const SPEAKER_DETECTOR: &str = "salono.SpeakerDetector";
/// Namespace of its types.
const MODULE: &str = "salono";
const ACTIVE_SPEAKER_CHANGED: &str = "ActiveSpeakerChanged";
const AUDIO_LEVELS: &str = "AudioLevels";

/// Unless set otherwise, levels come five times a second.
const DEFAULT_INTERVAL_MS: i32 = 200;
/// Levels come no more often.
const MIN_INTERVAL_MS: i32 = 100;

/// State of a detector.
#[derive(Debug)]
pub(crate) struct SpeakerDetector {
    /// Forward so many; 0 is everybody.
    loudest: u16,
    /// Milliseconds between reports of levels; 0 is never.
    interval: i32,
    /// When levels may be reported next.
    next: Option<Instant>,
}

impl Default for SpeakerDetector {
    fn default() -> Self {
        Self {
            loudest: 0,
            interval: DEFAULT_INTERVAL_MS,
            next: None,
        }
    }
}

impl Object {
    fn speakers(&self) -> Option<&SpeakerDetector> {
        match &self.body {
            Body::Speakers(detector) => Some(detector),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Hub(_)
            | Body::Adaptation(_) => None,
        }
    }

    fn speakers_mut(&mut self) -> Option<&mut SpeakerDetector> {
        match &mut self.body {
            Body::Speakers(detector) => Some(detector),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Hub(_)
            | Body::Adaptation(_) => None,
        }
    }

    /// Whether somebody subscribed to an event.
    fn is_listened_to(&self, event: &str) -> bool {
        self.handlers.keys().any(|(name, _)| name == event)
    }
}

impl ObjectModel {
    /// Operations of detectors.
    pub(crate) fn call_speakers(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let object = self.tree.get_mut(call.object)?;
        let pipeline = object.pipeline?;
        let detector = object.speakers_mut()?;
        match call.operation {
            "getLoudest" => return Some(Outcome::value(detector.loudest)),
            "getLevelInterval" => return Some(Outcome::value(detector.interval)),
            "setLoudest" => {
                let loudest = call.int("loudest").unwrap_or_default();
                let Ok(loudest) = u16::try_from(loudest) else {
                    return Some(Err(illegal("loudest", "0 to 65535")));
                };
                detector.loudest = loudest;
            }
            "setLevelInterval" => {
                let interval = call.int("levelInterval").unwrap_or_default();
                if interval != 0 && interval < MIN_INTERVAL_MS {
                    return Some(Err(illegal("levelInterval", "0, or 100 and more")));
                }
                detector.interval = interval;
            }
            _ => return None,
        }
        self.order_detection(pipeline);
        Some(Ok(Outcome::VOID))
    }

    /// Tells the engine what the detectors of a pipeline need, if that is news: some came, went or
    /// changed, or somebody listens now or no longer.
    pub(crate) fn order_detection(&mut self, pipeline: u64) {
        let wanted = self.wanted_detection(pipeline);
        let Some(Body::Pipeline { detection, .. }) =
            self.tree.get_mut(pipeline).map(|object| &mut object.body)
        else {
            return;
        };
        if std::mem::replace(detection, wanted) != wanted {
            self.order(pipeline, Op::DetectSpeakers { detection: wanted });
        }
    }

    /// As [`Self::order_detection`], for whatever object somebody subscribes at.
    pub(crate) fn listeners_changed(&mut self, key: u64) {
        let Some(object) = self.tree.get(key).filter(|it| it.speakers().is_some()) else {
            return;
        };
        if let Some(pipeline) = object.pipeline {
            self.order_detection(pipeline);
        }
    }

    fn wanted_detection(&self, pipeline: u64) -> Option<SpeakerDetection> {
        let detectors = self.detectors_of(pipeline).into_iter();
        let detectors = detectors.filter_map(|key| {
            let object = self.tree.get(key)?;
            Some((object, object.speakers()?))
        });
        detectors
            .map(|(object, detector)| SpeakerDetection {
                loudest: detector.loudest,
                level_interval: u64::try_from(detector.interval)
                    .ok()
                    .filter(|interval| *interval > 0 && object.is_listened_to(AUDIO_LEVELS))
                    .map(Duration::from_millis),
            })
            .reduce(|one, other| SpeakerDetection {
                loudest: match (one.loudest, other.loudest) {
                    (0, loudest) | (loudest, 0) => loudest,
                    (one, other) => one.min(other),
                },
                level_interval: match (one.level_interval, other.level_interval) {
                    (None, interval) | (interval, None) => interval,
                    (Some(one), Some(other)) => Some(one.min(other)),
                },
            })
    }

    /// Numbers of the detectors of a pipeline.
    fn detectors_of(&self, pipeline: u64) -> Vec<u64> {
        let Some(pipeline) = self.tree.get(pipeline) else {
            return Vec::new();
        };
        let children = pipeline.children.iter().copied();
        children
            .filter(|child| {
                let child = self.tree.get(*child);
                child.is_some_and(|child| child.speakers().is_some())
            })
            .collect()
    }

    /// The engine heard something in a pipeline: its detectors say so.
    pub(crate) fn speaker_event(&mut self, pipeline: u64, event: SpeakerEvent, now: Now) {
        let detectors = self.detectors_of(pipeline);
        match event {
            SpeakerEvent::Active(element) => {
                let id = element
                    .and_then(|element| self.tree.get(element.0))
                    .map(|object| Value::from(object.id.as_ref()));
                let data: Map<String, Value> = id
                    .into_iter()
                    .map(|id| ("element".to_owned(), id))
                    .collect();
                for detector in detectors {
                    self.raise(detector, ACTIVE_SPEAKER_CHANGED, data.clone(), now);
                }
            }
            SpeakerEvent::Levels(levels) => {
                let due: Vec<u64> = detectors
                    .into_iter()
                    .filter(|detector| self.may_report_levels(*detector, levels.is_empty(), now))
                    .collect();
                if due.is_empty() {
                    return;
                }
                let levels: Value = levels
                    .iter()
                    .filter_map(|it| self.level_value(it))
                    .collect();
                for detector in due {
                    let members = [("levels", levels.clone())];
                    self.raise_with(detector, AUDIO_LEVELS, members, now);
                }
            }
        }
    }

    /// Whether a detector's own interval has passed: another's may be shorter. The end of all sound
    /// is always told.
    fn may_report_levels(&mut self, detector: u64, is_end: bool, now: Now) -> bool {
        /// The engine's reports come a little early or late.
        const TOLERANCE: Duration = Duration::from_millis(50);
        let object = self.tree.get_mut(detector);
        let Some(detector) = object.and_then(Object::speakers_mut) else {
            return false;
        };
        let Ok(interval @ 1..) = u64::try_from(detector.interval) else {
            return false;
        };
        let is_due = detector
            .next
            .is_none_or(|next| now.monotonic + TOLERANCE >= next);
        if is_due {
            detector.next = Some(now.monotonic + Duration::from_millis(interval));
        }
        is_due || is_end
    }

    /// A level as an event carries it; `None` for an element that is gone.
    fn level_value(&self, level: &AudioLevel) -> Option<Value> {
        let element = self.tree.get(level.element.0)?;
        let members = Map::from_iter([
            ("element".to_owned(), element.id.as_ref().into()),
            ("level".to_owned(), level.dbov.into()),
        ]);
        Some(tagged(MODULE, "AudioLevel", members))
    }
}

/// A value that an operation does not take.
pub(crate) fn illegal(name: &str, range: &str) -> Error {
    Error::new(
        ErrorCode::MediaObjectIllegalParam,
        format!("'{name}' is out of range: {range}"),
    )
}
