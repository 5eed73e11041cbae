//! What enters a recorder: taken in the form that its files have.

use super::Note;
use super::format::Codec;
use super::profile::Profile;
use super::session::Slot;
use super::worker::Worker;
use crate::codec::{Codec as Known, Format};
use crate::element::Context;
use crate::encoding::{Class, Purpose};
use crate::line::{Line, LineError, Out};
use crate::media::{ENCODED_ENTRY, EXIT, Media, Supply};
use crate::stream::{Entry, Item, to_running_time};
use gstreamer as gst;
use salono_media_api::MediaKind;
use salono_media_api::processing::ProcessorError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Frames that are kept until it is clear what becomes of them, and their bytes.
const MAX_EARLY: usize = 600;
const MAX_EARLY_BYTES: usize = 8 * 1024 * 1024;

type Sink = Box<dyn FnMut(&gst::Caps, &gst::Buffer) + Send>;

/// One kind of media that enters.
pub(super) struct Source {
    context: Context,
    slot: Slot,
    profile: Profile,
    media: Option<Media>,
    /// Of the form in which it is published.
    native: Option<Supply>,
    /// From the encoder.
    encoded: Option<Supply>,
    gate: Arc<Mutex<Gate>>,
    line: Option<Line>,
    is_over: bool,
}

/// What is published goes through here. The first frames come before the control thread knows their
/// codec, and are kept for it: no keyframe is lost, and no beginning.
#[derive(Default)]
struct Gate {
    early: Vec<(gst::Caps, gst::Buffer)>,
    bytes: usize,
    /// Where frames of this codec go.
    sink: Option<(Codec, Sink)>,
    /// What is published is encoded first: nothing passes.
    is_closed: bool,
}

impl Gate {
    fn pass(&mut self, caps: &gst::Caps, buffer: &gst::Buffer) {
        let codec = caps.structure(0).and_then(Codec::from_structure);
        if let Some((open, sink)) = &mut self.sink
            && codec == Some(*open)
        {
            sink(caps, buffer);
        } else if codec.is_some()
            && !self.is_closed
            && self.early.len() < MAX_EARLY
            && self.bytes + buffer.size() <= MAX_EARLY_BYTES
        {
            self.bytes += buffer.size();
            self.early.push((caps.clone(), buffer.clone()));
        }
    }

    fn open(&mut self, codec: Codec, sink: Sink) {
        self.is_closed = false;
        self.sink = Some((codec, sink));
        self.bytes = 0;
        for (caps, buffer) in std::mem::take(&mut self.early) {
            self.pass(&caps, &buffer);
        }
    }

    fn close(&mut self) {
        *self = Self {
            is_closed: true,
            ..Self::default()
        };
    }
}

impl Source {
    pub(super) fn new(context: &Context, slot: Slot, profile: Profile) -> Self {
        Self {
            context: context.clone(),
            slot,
            profile,
            media: None,
            native: None,
            encoded: None,
            gate: Arc::default(),
            line: None,
            is_over: false,
        }
    }

    /// Connects it to something else, or to nothing.
    pub(super) fn link(&mut self, media: Option<Media>, worker: Option<&Worker>) {
        self.native = None;
        self.encoded = None;
        self.line = None;
        self.gate = Arc::default();
        let kind = match self.slot {
            Slot::Audio => MediaKind::Audio,
            Slot::Video => MediaKind::Video,
        };
        self.media = media.filter(|_| self.profile.has(kind));
        self.is_over = false;
        if let Some(worker) = worker {
            self.begin(worker);
        }
    }

    /// Begins to take, now that there is something to record with.
    pub(super) fn begin(&mut self, worker: &Worker) {
        worker.link(self.slot, self.media.is_some());
        let Some(media) = &self.media else {
            return;
        };
        let (host, element, slot) = (self.context.host.clone(), self.context.element, self.slot);
        let gate = Arc::clone(&self.gate);
        self.native = media.take_native(move |item| match item {
            Item::Buffer { caps, buffer } => lock(&gate).pass(caps, buffer),
            Item::End => host.note(element, Box::new(Note::Ended(slot))),
        });
        self.adapt(worker);
    }

    /// Takes in the form that suits what there is now.
    pub(super) fn adapt(&mut self, worker: &Worker) {
        self.encoded = None;
        self.line = None;
        self.is_over = false;
        let Some(media) = self.media.clone() else {
            return;
        };
        let Some(format) = media.format() else {
            return;
        };
        let native = match format {
            Format::Encoded(codec) => stored(codec).filter(|codec| self.profile.takes(*codec)),
            Format::Raw => None,
        };
        let codec = native.unwrap_or_else(|| self.profile.encoded_as(media.kind()));
        if let Err(error) = self.take(&media, native.is_none(), codec, worker) {
            let reports = self.context.host.reports();
            let error = ProcessorError {
                code: 0,
                kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                description: format!("{codec:?} cannot be recorded: {error}"),
            };
            reports.error(self.context.element, error);
        }
    }

    fn take(
        &mut self,
        media: &Media,
        encode: bool,
        codec: Codec,
        worker: &Worker,
    ) -> Result<(), LineError> {
        let feed = worker.feed(self.slot);
        let mut sink: Sink = if codec.parser() == "identity" {
            Box::new(move |caps, buffer| feed.put(caps, buffer))
        } else {
            let text = format!("{ENCODED_ENTRY} ! {} ! {EXIT}", codec.parser());
            let line = Line::parse(&self.context.host, self.context.owner(), &text)?;
            line.on_out("out", move |out| match out {
                Out::Sample(sample) => {
                    if let Some((caps, buffer)) = to_running_time(&sample) {
                        feed.put(&caps, &buffer);
                    }
                }
                Out::End => {}
            });
            line.play()?;
            let mut entry = Entry::new(line.entry("in"));
            self.line = Some(line);
            Box::new(move |caps, buffer| entry.put(Item::Buffer { caps, buffer }))
        };
        if !encode {
            lock(&self.gate).open(codec, sink);
            return Ok(());
        }
        lock(&self.gate).close();
        let made = known(codec);
        let class = Class {
            codec: made,
            purpose: Purpose::File { bitrate: 0 },
        };
        let supply = media.take_encoded(class, move |item| match item {
            Item::Buffer { caps, buffer } => sink(caps, buffer),
            Item::End => {}
        });
        self.encoded = Some(supply.ok_or_else(|| {
            LineError::Build(format!("no encoder for {} is installed", made.name()))
        })?);
        Ok(())
    }

    /// Asks for a keyframe.
    pub(super) fn want_keyframe(&self) {
        if let Some(media) = &self.media {
            media.want_keyframe(self.encoded.as_ref());
        }
    }

    /// It has come to its end.
    pub(super) fn ended(&mut self) {
        self.is_over = true;
    }

    /// Nothing comes, or no more.
    pub(super) fn is_over(&self) -> bool {
        self.media.is_none() || self.is_over
    }
}

fn lock(gate: &Mutex<Gate>) -> MutexGuard<'_, Gate> {
    gate.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How files call a codec; `None` for one that is in no file as it is.
fn stored(codec: Known) -> Option<Codec> {
    Some(match codec {
        Known::Vp8 => Codec::Vp8,
        Known::Vp9 => Codec::Vp9,
        Known::Av1 => Codec::Av1,
        Known::H264 => Codec::H264,
        Known::H265 => Codec::H265,
        Known::H263 => Codec::H263,
        Known::Opus => Codec::Opus,
        Known::Pcmu => Codec::Pcmu,
        Known::Pcma => Codec::Pcma,
        Known::Amr => Codec::AmrNb,
        Known::Speex => Codec::Speex,
        Known::G722 => Codec::G722,
        Known::Aac => Codec::Aac,
        Known::Jpeg => Codec::Jpeg,
        Known::H263Plus => return None,
    })
}

/// The encoder of what files are made with.
fn known(codec: Codec) -> Known {
    match codec {
        Codec::Vp8 => Known::Vp8,
        Codec::Vp9 => Known::Vp9,
        Codec::Av1 => Known::Av1,
        Codec::H264 => Known::H264,
        Codec::H265 => Known::H265,
        Codec::H263 => Known::H263,
        Codec::Jpeg => Known::Jpeg,
        Codec::Opus | Codec::Vorbis => Known::Opus,
        Codec::Aac => Known::Aac,
        Codec::Pcmu => Known::Pcmu,
        Codec::Pcma => Known::Pcma,
        Codec::Speex => Known::Speex,
        Codec::G722 => Known::G722,
        Codec::AmrNb => Known::Amr,
    }
}
