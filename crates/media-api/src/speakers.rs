//! Who speaks in a pipeline, and how loud everybody is.

use crate::ElementKey;
use std::time::Duration;

/// How speakers of a pipeline are detected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeakerDetection {
    /// Forward the audio of so many sources only, the loudest; 0 is all of them. Sources that tell
    /// no level are forwarded always, and so is the active speaker.
    pub loudest: u16,
    /// Least time between two reports of levels; `None` for no reports.
    pub level_interval: Option<Duration>,
}

/// What is to be heard in a pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpeakerEvent {
    /// Somebody else speaks, or nobody any more.
    Active(Option<ElementKey>),
    /// Levels of the elements that are to be heard now, loudest first. Once nobody is, one report
    /// comes without any.
    Levels(Vec<AudioLevel>),
}

/// How loud the audio is that an element receives from its peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioLevel {
    /// The element.
    pub element: ElementKey,
    /// Level in dBov: 0 is the loudest there can be, −127 is silence.
    pub dbov: i8,
}
