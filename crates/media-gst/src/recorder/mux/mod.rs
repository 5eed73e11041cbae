//! Containers: from samples to bytes, without files or clocks.
//!
//! The muxers of GStreamer wait for all of their inputs, refuse a change of the picture size, and finish files only
//! at their end; a recording of live tracks needs none of that. Each of these writes what it got at once, or,
//! where the container is made of pieces, a piece at least every [`PIECE`]; whatever was
//! written up to then plays. What is known only at the end (duration, index) is put where room was left for it.

mod boxes;
mod ebml;
mod flv;
mod jpeg;
mod matroska;
mod mp4;
mod mp4_entry;

use super::format::Format;
use gstreamer as gst;
use std::time::Duration;

/// Longest piece (cluster, fragment) of a file.
pub const PIECE: Duration = Duration::from_millis(900);

/// Most bytes in a piece; one that grows beyond is ended early.
const MAX_PIECE_BYTES: usize = 32 * 1024 * 1024;

/// Most entries in the index of a file; later ones are left out: players find their way from the last.
const MAX_INDEX: usize = 200_000;

/// A compressed frame.
#[derive(Debug)]
pub struct Sample {
    /// Its bytes.
    pub data: Data,
    /// When it is shown, in nanoseconds from the beginning of the file.
    pub pts: u64,
    /// When it is decoded; no later than `pts`.
    pub dts: u64,
    /// How long it is shown, in nanoseconds; 0 when not known.
    pub duration: u64,
    /// Decodable without others before it.
    pub key: bool,
}

/// Bytes of a sample, copied nowhere before they are in a piece.
#[derive(Debug)]
pub enum Data {
    /// In a buffer of GStreamer.
    Mapped(gst::MappedBuffer<gst::buffer::Readable>),
    /// Made here.
    Owned(Vec<u8>),
}

impl Data {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map.as_slice(),
            Self::Owned(bytes) => bytes,
        }
    }
}

/// What is to be done to the file.
#[derive(Debug, Default)]
pub struct Output {
    /// Added at its end.
    pub append: Vec<u8>,
    /// Then written over what is there: offset, bytes.
    pub patches: Vec<(u64, Vec<u8>)>,
    /// Bytes of the file before `append`.
    written: u64,
}

impl Output {
    /// Where the next byte goes.
    fn position(&self) -> u64 {
        self.written + self.append.len() as u64
    }

    /// Nothing left to do.
    pub fn is_empty(&self) -> bool {
        self.append.is_empty() && self.patches.is_empty()
    }

    /// Takes what is to be done.
    pub fn take(&mut self) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
        self.written = self.position();
        (
            std::mem::take(&mut self.append),
            std::mem::take(&mut self.patches),
        )
    }
}

/// A container being written.
pub trait Muxer: Send {
    /// Takes a sample of a track, tracks counted as they were given. Samples of a track come in the order of their `dts`.
    fn push(&mut self, track: usize, sample: &Sample, out: &mut Output);

    /// A track's decoder configuration or size changed. False when this file cannot have that.
    fn reformat(&mut self, track: usize, format: &Format, out: &mut Output) -> bool {
        let _ = (track, format, out);
        false
    }

    /// Writes everything that is held back.
    fn flush(&mut self, out: &mut Output);

    /// The end of the file: its length in nanoseconds.
    fn finish(&mut self, end: u64, out: &mut Output);
}

/// Kinds of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Container {
    /// WebM.
    Webm,
    /// Matroska.
    Matroska,
    /// MP4 in fragments.
    Mp4,
    /// Flash Video.
    Flv,
    /// JPEG pictures one after the other.
    Jpeg,
}

/// Begins a file with these tracks.
pub fn begin(container: Container, tracks: &[Format], out: &mut Output) -> Box<dyn Muxer> {
    match container {
        Container::Webm => Box::new(matroska::Matroska::begin("webm", tracks, out)),
        Container::Matroska => Box::new(matroska::Matroska::begin("matroska", tracks, out)),
        Container::Mp4 => Box::new(mp4::Mp4::begin(tracks, out)),
        Container::Flv => Box::new(flv::Flv::begin(tracks, out)),
        Container::Jpeg => Box::new(jpeg::Jpeg),
    }
}
