//! One time for everything: the running time since the process began.
//!
//! Every pipeline of the process has the same clock (the monotonic one of the system) and the same base
//! time, so a timestamp means the same moment wherever a buffer is, and buffers need no
//! translation on their way from element to element.

use gstreamer as gst;
use gstreamer::prelude::*;
use salono_rtp::time::Ntp;
use std::time::{Duration, SystemTime};

/// The clock that all pipelines share, and where its time begins.
#[derive(Debug, Clone)]
pub struct Timebase {
    clock: gst::Clock,
    base: gst::ClockTime,
    /// Wall clock at `base`, since the Unix epoch.
    epoch: Duration,
}

impl Timebase {
    /// Time begins now.
    pub fn begin() -> Self {
        let clock = gst::SystemClock::obtain();
        let base = clock.time();
        let epoch = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Self { clock, base, epoch }
    }

    /// The running time.
    pub fn now(&self) -> gst::ClockTime {
        self.clock.time().saturating_sub(self.base)
    }

    /// The running time at a running time of a pipeline that has its own base time.
    pub fn since(&self, base: gst::ClockTime, running: gst::ClockTime) -> gst::ClockTime {
        (base + running).saturating_sub(self.base)
    }

    /// The wall clock at a running time, for sender reports. Steps of the wall clock after the beginning
    /// are not followed: streams stay related to each other.
    pub fn ntp(&self, running: gst::ClockTime) -> Ntp {
        Ntp::from_unix(self.epoch + Duration::from_nanos(running.nseconds()))
    }

    /// Makes a pipeline follow this time whatever its elements offer.
    pub fn rule(&self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&self.clock));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(self.base);
    }

    /// Lets a pipeline keep a base time of its own on the shared clock, as one that pauses and jumps must.
    pub fn lend(&self, pipeline: &gst::Pipeline) {
        pipeline.use_clock(Some(&self.clock));
    }
}
