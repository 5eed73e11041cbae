//! What media processors cost, beside `gst-launch-1.0` and `ffmpeg` doing the same in the same run.
//!
//! This program starts itself once more, as `salono media`, and drives it through the Kurento Protocol. What is measured
//! is the CPU time and the memory of that process and of the media processors that it starts, read from `/proc`. Files and
//! streams are made by `gst-launch-1.0`.

mod composite;
mod idle;
mod programs;
mod recording;
mod transcode;
mod usage;

use std::future::Future;
use std::io;

use super::calls::MeasureError;
use super::{CompositeArgs, IdleElementArgs, RecordingArgs, TranscodeArgs};
use crate::failure::Failure;

/// Markdown, and what is more than it should be.
#[derive(Debug)]
pub(super) struct Figures {
    pub(super) text: String,
    pub(super) findings: Vec<String>,
}

/// Measures recordings.
pub(super) fn recording(args: &RecordingArgs) -> Result<Figures, Failure> {
    measure(recording::run(args))
}

/// Measures a composite.
pub(super) fn composite(args: &CompositeArgs) -> Result<Figures, Failure> {
    measure(composite::run(args))
}

/// Measures transcoding.
pub(super) fn transcode(args: &TranscodeArgs) -> Result<Figures, Failure> {
    measure(transcode::run(args))
}

/// Measures elements that nobody takes anything from.
pub(super) fn idle_element(args: &IdleElementArgs) -> Result<Figures, Failure> {
    measure(idle::run(args))
}

fn measure(
    course: impl Future<Output = Result<Figures, MeasureError>>,
) -> Result<Figures, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::system("cannot start the runtime"))?;
    runtime
        .block_on(course)
        .map_err(io::Error::other)
        .map_err(Failure::system("cannot measure"))
}
