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
use salono_media_api::MediaKind;
use salono_media_api::processing::ProcessorError;

/// One kind of media that enters.
pub(super) struct Source {
    context: Context,
    slot: Slot,
    profile: Profile,
    media: Option<Media>,
    /// Fed first, so ended first.
    supply: Option<Supply>,
    line: Option<Line>,
    is_over: bool,
}

impl Source {
    pub(super) fn new(context: &Context, slot: Slot, profile: Profile) -> Self {
        Self {
            context: context.clone(),
            slot,
            profile,
            media: None,
            supply: None,
            line: None,
            is_over: false,
        }
    }

    /// Connects it to something else, or to nothing.
    pub(super) fn link(&mut self, media: Option<Media>, worker: Option<&Worker>) {
        self.supply = None;
        self.line = None;
        self.media = media;
        self.is_over = false;
        if let Some(worker) = worker {
            self.open(worker);
        }
    }

    /// Begins to take, in the form that suits what there is now.
    pub(super) fn open(&mut self, worker: &Worker) {
        self.supply = None;
        self.line = None;
        self.is_over = false;
        let kind = match self.slot {
            Slot::Audio => MediaKind::Audio,
            Slot::Video => MediaKind::Video,
        };
        let media = self.media.clone().filter(|_| self.profile.has(kind));
        worker.link(self.slot, media.is_some());
        let Some(media) = media else {
            return;
        };
        let Some(format) = media.format() else {
            return;
        };
        let native = match format {
            Format::Encoded(codec) => stored(codec).filter(|codec| self.profile.takes(*codec)),
            Format::Raw => None,
        };
        let codec = native.unwrap_or_else(|| self.profile.encoded_as(kind));
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
        let (host, element, slot) = (self.context.host.clone(), self.context.element, self.slot);
        let end = move || host.note(element, Box::new(Note::Ended(slot)));
        let take: Box<dyn FnMut(Item<'_>) + Send> = if codec.parser() == "identity" {
            Box::new(move |item| match item {
                Item::Buffer { caps, buffer } => feed.put(caps, buffer),
                Item::End => end(),
            })
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
            Box::new(move |item| match item {
                Item::Buffer { .. } => entry.put(item),
                Item::End => end(),
            })
        };
        self.supply = if encode {
            let made = known(codec);
            let class = Class {
                codec: made,
                purpose: Purpose::File { bitrate: 0 },
            };
            let supply = media.take_encoded(class, take);
            if supply.is_none() {
                let text = format!("no encoder for {} is installed", made.name());
                return Err(LineError::Build(text));
            }
            supply
        } else {
            media.take_native(take)
        };
        Ok(())
    }

    /// Asks for a keyframe.
    pub(super) fn want_keyframe(&self) {
        if let Some(media) = &self.media {
            media.want_keyframe(self.supply.as_ref());
        }
    }

    /// It has come to its end.
    pub(super) fn ended(&mut self) {
        self.is_over = true;
    }

    /// Nothing comes, or no more.
    pub(super) fn is_over(&self) -> bool {
        self.media.is_none() || self.is_over || self.supply.is_none()
    }
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
