//! JPEG pictures one after the other, each a whole one.

use super::{Muxer, Output, Sample};
use crate::recorder::format::Format;

pub(super) struct Jpeg;

impl Muxer for Jpeg {
    fn push(&mut self, _track: usize, sample: &Sample, out: &mut Output) {
        out.append.extend_from_slice(sample.data.bytes());
    }

    fn reformat(&mut self, _track: usize, _format: &Format, _out: &mut Output) -> bool {
        true
    }

    fn flush(&mut self, _out: &mut Output) {}

    fn finish(&mut self, _end: u64, _out: &mut Output) {}
}
