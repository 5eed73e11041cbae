//! A form of media that is made: what fills it may fail or change, the stream stays.

use crate::encoding::RateUnit;
use crate::host::Host;
use crate::line::Line;
use crate::stream::Stream;
use gstreamer as gst;
use std::any::Any;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A codec that fails so often at short intervals is given up until its input changes.
const MAX_FAILURES: u32 = 8;

/// A failure counts as a first one when none came before it for as long.
const FORGIVEN: Duration = Duration::from_secs(10);

/// A form that is made: a stream that stays, and what fills it at present.
#[derive(Default)]
pub(super) struct Stage {
    pub(super) output: Stream,
    plant: Mutex<Option<Plant>>,
    failures: Mutex<Failures>,
}

impl Stage {
    pub(super) fn put(&self, plant: Option<Plant>) {
        let before = std::mem::replace(&mut *self.lock(), plant);
        drop(before);
    }

    pub(super) fn posted(&self, message: &gst::Message) -> bool {
        self.lock()
            .as_ref()
            .and_then(|plant| plant.line.as_ref())
            .is_some_and(|line| line.posted(message))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Plant>> {
        self.plant.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn failures(&self) -> MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
pub(super) struct Failures {
    count: u32,
    last: Option<Instant>,
}

impl Failures {
    /// One more; whether to try again.
    pub(super) fn again(&mut self) -> bool {
        let now = Instant::now();
        let before = self.last.replace(now);
        if before.is_some_and(|before| now.duration_since(before) > FORGIVEN) {
            self.count = 0;
        }
        self.count = self.count.saturating_add(1);
        self.count <= MAX_FAILURES
    }

    pub(super) fn clear(&mut self) {
        self.count = 0;
    }
}

/// What fills a made form.
pub(super) struct Plant {
    /// Fed first, so ended first.
    pub(super) _feed: Box<dyn Any + Send>,
    pub(super) line: Option<Line>,
    pub(super) rate: Option<(gst::Element, &'static str, RateUnit)>,
    pub(super) _count: Option<Count>,
}

/// One decoder or encoder at work.
pub(super) struct Count {
    host: Host,
    encodes: bool,
}

impl Count {
    pub(super) fn new(host: &Host, encodes: bool) -> Self {
        host.count(encodes, true);
        let host = host.clone();
        Self { host, encodes }
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.host.count(self.encodes, false);
    }
}
