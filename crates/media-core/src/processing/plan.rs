//! What has to cross between a shard and the processor of a pipeline, as it follows from who is connected to whom.
//!
//! Pure: the same [`Situation`] has the same [`Plan`], however it came about.

use super::formats::{choose, is_same};
use crate::config::Transcoding;
use crate::links::Stream;
use salono_media_api::processing::Encoding;
use salono_media_api::processing::bridge::RtpFormat;
use salono_media_api::{Bitrate, ElementKey, MediaKind};
use std::collections::{BTreeMap, BTreeSet};

/// Where media begins that the processor has to do with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// At an element in the processor.
    Element(ElementKey),
    /// At a peer: a stream that comes to this shard.
    Stream(Stream),
}

impl Source {
    /// The element that media comes from.
    pub(crate) fn element(&self) -> ElementKey {
        match self {
            Self::Element(element) => *element,
            Self::Stream(stream) => stream.element,
        }
    }
}

/// One who gets media out of the processor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Receiver {
    pub(crate) source: Source,
    /// In its order of preference.
    pub(crate) takes: Vec<RtpFormat>,
}

/// Everything that a plan follows from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Situation {
    /// What enters elements in the processor.
    pub(crate) inputs: BTreeMap<(ElementKey, MediaKind), Source>,
    /// What streams to peers are fed with by the processor.
    pub(crate) receivers: BTreeMap<Stream, Receiver>,
    /// What elements in the processor let out, and the encoding that it has already.
    pub(crate) produced: BTreeMap<(ElementKey, MediaKind), Option<RtpFormat>>,
    /// How what comes from an element is to be encoded.
    pub(crate) encodings: BTreeMap<ElementKey, Encoding>,
}

/// A stream that is wanted from the processor: one, however many receive it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wanted {
    pub(crate) source: Source,
    pub(crate) kind: MediaKind,
    pub(crate) format: RtpFormat,
}

/// What is to cross.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Plan {
    /// Into the processor.
    pub(crate) inlets: BTreeMap<Stream, RtpFormat>,
    /// What is to enter elements in the processor; streams of these are among the inlets.
    pub(crate) links: BTreeMap<(ElementKey, MediaKind), Source>,
    /// Out of the processor.
    pub(crate) outlets: BTreeSet<Wanted>,
    /// Which one each receiver gets.
    pub(crate) receivers: BTreeMap<Stream, Wanted>,
    /// Those whom transcoding is not allowed for.
    pub(crate) denied: BTreeSet<Stream>,
}

/// The codec that what comes from an element has to have, if any.
pub(crate) fn forced(encoding: Option<&Encoding>, kind: MediaKind) -> Option<&str> {
    let encoding = encoding?;
    match kind {
        MediaKind::Audio => encoding.audio.as_ref()?.codec.as_deref(),
        MediaKind::Video => encoding.video.as_ref()?.codec.as_deref(),
        MediaKind::Data => None,
    }
}

/// Whether what comes from an element has to be encoded anew, whatever it is.
pub(crate) fn is_reshaped(encoding: Option<&Encoding>, kind: MediaKind) -> bool {
    encoding.is_some_and(|encoding| match kind {
        MediaKind::Audio => encoding
            .audio
            .as_ref()
            .is_some_and(|form| form.bitrate > Bitrate::ZERO),
        MediaKind::Video => encoding
            .video
            .as_ref()
            .is_some_and(|form| form.framerate.numerator > 0 && form.framerate.denominator > 0),
        MediaKind::Data => false,
    })
}

/// What has to cross. `formats` are those of the streams that peers send.
pub(crate) fn plan(
    situation: &Situation,
    formats: &BTreeMap<Stream, RtpFormat>,
    transcoding: Transcoding,
) -> Plan {
    let mut plan = Plan::default();
    for (input, source) in &situation.inputs {
        if let Source::Stream(stream) = source {
            let Some(format) = formats.get(stream) else {
                continue;
            };
            plan.inlets.insert(stream.clone(), format.clone());
        }
        plan.links.insert(*input, source.clone());
    }
    for (sink, receiver) in &situation.receivers {
        let (source, kind) = (&receiver.source, sink.kind);
        let native = match source {
            Source::Element(element) => match situation.produced.get(&(*element, kind)) {
                Some(native) => native.as_ref(),
                None => continue,
            },
            Source::Stream(stream) => match formats.get(stream) {
                Some(format) => Some(format),
                None => continue,
            },
        };
        let encoding = situation.encodings.get(&source.element());
        let forced = forced(encoding, kind);
        let ready = native.filter(|_| !is_reshaped(encoding, kind));
        let Some(format) = choose(&receiver.takes, ready, forced) else {
            continue;
        };
        if native.is_some_and(|native| !is_same(native, &format) || ready.is_none())
            && transcoding == Transcoding::Deny
        {
            plan.denied.insert(sink.clone());
            continue;
        }
        if let (Source::Stream(stream), Some(native)) = (source, native) {
            // It can be had without the processor.
            if ready == Some(&format) {
                continue;
            }
            plan.inlets.insert(stream.clone(), native.clone());
        }
        let wanted = Wanted {
            source: source.clone(),
            kind,
            format,
        };
        plan.outlets.insert(wanted.clone());
        plan.receivers.insert(sink.clone(), wanted);
    }
    plan
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
