//! Elements of third-party modules: one GStreamer element, that the operator has installed, between what enters
//! and what leaves.
//!
//! The element is made with the object and stays until it is released: methods, properties and messages reach
//! it whether or not media does. One that fails is made anew, with the properties that were set.

mod signals;
pub(super) mod values;

use super::{AUDIO_ENTRY, MAX_FAILURES, VIDEO_ENTRY};
use crate::element::{Context, Element};
use crate::fault;
use crate::line::{Line, Out};
use crate::media::{EXIT, Media, Supply, watch_keyframe_wishes};
use crate::reports::Answer;
use crate::stream::Entry;
use gstreamer as gst;
use gstreamer::prelude::*;
use salono_media_api::processing::{PluginSpec, ProcessorCall, ProcessorError, ProcessorReply};
use salono_media_api::{MediaError, MediaErrorKind, MediaKind};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Properties that calls set.
const MAX_SETTINGS: usize = 256;

/// Shared libraries that are tried to find out why there is no element.
const MAX_LIBRARIES: usize = 16;

/// The pads for one kind of media.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Way {
    sink: Option<String>,
    source: Option<String>,
}

/// What there is while the element works.
struct Work {
    line: Line,
    element: gst::Element,
}

struct Plugin {
    context: Context,
    spec: PluginSpec,
    factory: gst::ElementFactory,
    mouth: signals::Mouth,
    outputs: BTreeMap<MediaKind, Media>,
    sources: BTreeMap<MediaKind, Media>,
    // Fed first, so ended first.
    supplies: BTreeMap<MediaKind, Supply>,
    work: Option<Work>,
    /// By name, as JSON text; set by calls.
    settings: BTreeMap<String, String>,
    failures: u32,
}

/// Makes an element of a module.
///
/// # Errors
/// An element that there is not, properties that it does not take.
pub(super) fn make(spec: PluginSpec, mut context: Context) -> Result<Box<dyn Element>, MediaError> {
    let factory = find(&spec)?;
    let settings = context.resume.take();
    let settings = settings.and_then(|text| serde_json::from_str(&text).ok());
    let flowing = spec.kinds.iter().filter(|kind| **kind != MediaKind::Data);
    let media = |kind: &MediaKind| (*kind, context.media(*kind));
    let mut plugin = Plugin {
        mouth: signals::Mouth::new(&context),
        outputs: flowing.map(media).collect(),
        sources: BTreeMap::new(),
        supplies: BTreeMap::new(),
        work: None,
        settings: settings.unwrap_or_default(),
        failures: 0,
        factory,
        spec,
        context,
    };
    plugin.start().map_err(|why| {
        let text = format!("{} ({}): {why}", plugin.spec.class, plugin.spec.descriptor);
        MediaError::new(MediaErrorKind::IllegalParam, text)
    })?;
    Ok(Box::new(plugin))
}

/// The first element of these names that there is.
fn find(spec: &PluginSpec) -> Result<gst::ElementFactory, MediaError> {
    let mut names = spec.factories.iter();
    if let Some(found) = names.find_map(|name| gst::ElementFactory::find(name)) {
        return Ok(found);
    }
    let names: Vec<String> = spec
        .factories
        .iter()
        .map(|name| format!("`{name}`"))
        .collect();
    let directory = Path::new(&spec.descriptor).parent();
    let directory = directory.unwrap_or(Path::new("/"));
    let mut text = format!(
        "there is no GStreamer element {}, which {} is to be carried out by: put its plugin beside {}, or name the \
         element there, in `salono.element` of the class",
        names.join(" or "),
        spec.class,
        spec.descriptor
    );
    for (library, why) in faulty(directory) {
        text.push_str(&format!("; {} cannot be loaded: {why}", library.display()));
    }
    Err(MediaError::new(MediaErrorKind::Unavailable, text))
}

/// Shared libraries in a directory that are no plugins that can be used, and why.
fn faulty(directory: &Path) -> Vec<(PathBuf, String)> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let libraries = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let libraries = libraries.filter(|path| path.extension().is_some_and(|end| end == "so"));
    let tried = libraries.take(MAX_LIBRARIES).filter_map(|path| {
        let why = gst::Plugin::load_file(&path).err()?;
        Some((path, why.to_string()))
    });
    tried.collect()
}

impl Plugin {
    /// Makes the element with everything around it.
    fn start(&mut self) -> Result<(), String> {
        self.supplies.clear();
        self.work = None;
        let ways = ways(&self.factory, self.outputs.keys().copied());
        let text = text(&self.factory.name(), &ways);
        let line = Line::parse(&self.context.host, self.context.owner(), &text)
            .map_err(|error| error.to_string())?;
        let element = line.element("plugin").ok_or("it was not made")?;
        let given = self.spec.properties.iter();
        let given = given.map(|(name, value)| (name, value));
        for (name, value) in given.chain(&self.settings) {
            let value = value.parse().map_err(|_| "a property is no JSON")?;
            values::set(&element, name, &value)?;
        }
        signals::listen(&element, &self.spec.events, &self.mouth);
        for (kind, output) in &self.outputs {
            let output = output.clone();
            line.on_out(&format!("out-{}", word(*kind)), move |out| match out {
                Out::Sample(sample) => output.publish_sample(&sample),
                Out::End => output.native().end(),
            });
        }
        line.play().map_err(|error| error.to_string())?;
        self.work = Some(Work { line, element });
        for kind in self.sources.keys().copied().collect::<Vec<_>>() {
            self.feed(kind);
        }
        Ok(())
    }

    /// Lets what enters it in.
    fn feed(&mut self, kind: MediaKind) {
        self.supplies.remove(&kind);
        let (Some(work), Some(source)) = (&self.work, self.sources.get(&kind)) else {
            return;
        };
        let name = format!("in-{}", word(kind));
        if work.line.element(&name).is_none() {
            return;
        }
        let entry = work.line.entry(&name);
        let upstream = source.clone();
        watch_keyframe_wishes(&entry, move || upstream.want_keyframe(None));
        let mut entry = Entry::new(entry);
        if let Some(supply) = source.take_raw(move |item| entry.put(item)) {
            self.supplies.insert(kind, supply);
        }
    }

    fn element(&self) -> Result<&gst::Element, String> {
        let work = self.work.as_ref();
        work.map(|work| &work.element)
            .ok_or_else(|| "the element has failed too often".to_owned())
    }

    fn answer(&mut self, call: &ProcessorCall) -> Result<Option<Value>, String> {
        match call {
            ProcessorCall::Invoke { method, arguments } => {
                let arguments: Value = arguments.parse().map_err(|_| "arguments are no JSON")?;
                let arguments = arguments.as_array().ok_or("arguments are no list")?;
                signals::invoke(self.element()?, method, arguments).map(Some)
            }
            ProcessorCall::GetProperty { name } => values::get(self.element()?, name).map(Some),
            ProcessorCall::SetProperty { name, value } => {
                let parsed: Value = value.parse().map_err(|_| "the value is no JSON")?;
                if self.settings.len() >= MAX_SETTINGS && !self.settings.contains_key(name) {
                    return Err("too many properties are set".to_owned());
                }
                values::set(self.element()?, name, &parsed)?;
                self.settings.insert(name.clone(), value.clone());
                self.checkpoint();
                Ok(Some(Value::Null))
            }
            ProcessorCall::Play
            | ProcessorCall::Record
            | ProcessorCall::Pause
            | ProcessorCall::Stop
            | ProcessorCall::StopAndWait
            | ProcessorCall::Position
            | ProcessorCall::SetPosition { .. }
            | ProcessorCall::VideoInfo
            | ProcessorCall::Dot
            | ProcessorCall::Body { .. }
            | ProcessorCall::SetMaster { .. }
            | ProcessorCall::SetPort { .. }
            | ProcessorCall::SetLayout { .. }
            | ProcessorCall::MixAudio { .. }
            | ProcessorCall::SetElementProperty { .. }
            | ProcessorCall::AddPicture { .. }
            | ProcessorCall::RemovePicture { .. }
            | ProcessorCall::SetFacePicture { .. }
            | ProcessorCall::SetBackground { .. } => Ok(None),
        }
    }

    fn checkpoint(&self) {
        if let Ok(state) = serde_json::to_string(&self.settings) {
            let reports = self.context.host.reports();
            reports.checkpoint(self.context.element, state);
        }
    }

    fn report(&self, why: &str) {
        let error = ProcessorError {
            code: 0,
            kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
            description: why.to_owned(),
        };
        let reports = self.context.host.reports();
        reports.error(self.context.element, error);
    }
}

impl Element for Plugin {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        self.outputs.get(&kind)
    }

    fn link(&mut self, kind: MediaKind, source: Option<Media>) {
        if !self.outputs.contains_key(&kind) {
            return;
        }
        match source {
            Some(source) => self.sources.insert(kind, source),
            None => self.sources.remove(&kind),
        };
        self.failures = 0;
        if self.work.is_some() {
            self.feed(kind);
        } else if let Err(why) = self.start() {
            self.report(&why);
        }
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match self.answer(&call) {
            Ok(Some(Value::Null)) if matches!(call, ProcessorCall::SetProperty { .. }) => {
                answer.done();
            }
            Ok(Some(value)) => answer.send(Ok(ProcessorReply::Json(value.to_string()))),
            Ok(None) => answer.unsupported(),
            Err(why) => answer.fail(MediaErrorKind::IllegalParam, why),
        }
    }

    fn bus(&mut self, message: &gst::Message) {
        // Of a line that was given up already.
        let is_ours = |work: &Work| work.line.posted(message);
        if !self.work.as_ref().is_some_and(is_ours) {
            return;
        }
        if message.type_() == gst::MessageType::Element {
            if let Some(structure) = message.structure() {
                signals::hear(structure, &self.spec.events, &self.mouth);
            }
            return;
        }
        if message.type_() != gst::MessageType::Error {
            return;
        }
        if let Some(error) = fault::of_message(message) {
            let reports = self.context.host.reports();
            reports.error(self.context.element, error);
        }
        self.failures += 1;
        if self.failures > MAX_FAILURES {
            self.supplies.clear();
            self.work = None;
            self.report(
                "the element failed too often and does nothing until it is connected again",
            );
        } else if let Err(why) = self.start() {
            self.report(&why);
        }
    }

    fn message(&mut self, binary: bool, bytes: &[u8]) {
        if let Some(work) = &self.work {
            signals::give(&work.element, binary, bytes);
        }
    }
}

/// The pads of an element for each of these kinds; each pad is used once.
fn ways(
    factory: &gst::ElementFactory,
    kinds: impl Iterator<Item = MediaKind>,
) -> BTreeMap<MediaKind, Way> {
    let mut taken: Vec<String> = Vec::new();
    let mut pad = |kind: MediaKind, direction: gst::PadDirection| {
        let raw = gst::Caps::new_empty_simple(match kind {
            MediaKind::Audio => "audio/x-raw",
            MediaKind::Video | MediaKind::Data => "video/x-raw",
        });
        let templates = factory.static_pad_templates();
        let mut fitting: Vec<String> = templates
            .iter()
            .filter(|it| {
                it.direction() == direction && it.presence() != gst::PadPresence::Sometimes
            })
            .filter(|it| it.caps().can_intersect(&raw))
            .map(|it| it.name_template().to_owned())
            .filter(|name| !taken.contains(name))
            .collect();
        // One that is named after the kind comes first.
        fitting.sort_by_key(|name| !name.contains(word(kind)));
        let found = fitting.into_iter().next()?;
        taken.push(found.clone());
        Some(found)
    };
    kinds
        .map(|kind| {
            let way = Way {
                sink: pad(kind, gst::PadDirection::Sink),
                source: pad(kind, gst::PadDirection::Src),
            };
            (kind, way)
        })
        .collect()
}

/// The line: the element, and for each kind a way in and a way out. What an element takes and does not give
/// goes on beside it.
fn text(factory: &str, ways: &BTreeMap<MediaKind, Way>) -> String {
    let mut text = format!("{factory} name=plugin");
    for (kind, way) in ways {
        let (entry, exit) = match kind {
            MediaKind::Audio => (AUDIO_ENTRY, "audioconvert"),
            MediaKind::Video | MediaKind::Data => (VIDEO_ENTRY, "videoconvert n-threads=1"),
        };
        let word = word(*kind);
        let entry = entry.replacen("name=in", &format!("name=in-{word}"), 1);
        let out = EXIT.replacen("name=out", &format!("name=out-{word}"), 1);
        let piece = match (&way.sink, &way.source) {
            (Some(sink), Some(source)) => {
                format!("{entry} ! plugin.{sink} plugin.{source} ! {exit} ! {out}")
            }
            (Some(sink), None) => format!(
                "{entry} ! tee name=tee-{word} tee-{word}. ! queue ! {exit} ! {out} \
                 tee-{word}. ! queue leaky=downstream max-size-buffers=1 max-size-time=0 max-size-bytes=0 ! plugin.{sink}"
            ),
            (None, Some(source)) => format!("plugin.{source} ! {exit} ! {out}"),
            (None, None) => format!("{entry} ! {exit} ! {out}"),
        };
        text.push(' ');
        text.push_str(&piece);
    }
    text
}

fn word(kind: MediaKind) -> &'static str {
    match kind {
        MediaKind::Audio => "audio",
        MediaKind::Video => "video",
        MediaKind::Data => "data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways_of(name: &str, kinds: &[MediaKind]) -> BTreeMap<MediaKind, Way> {
        gst::init().unwrap();
        let factory = gst::ElementFactory::find(name).unwrap();
        ways(&factory, kinds.iter().copied())
    }

    #[test]
    fn pads_are_found_by_what_they_take() {
        let way = |sink: Option<&str>, source: Option<&str>| Way {
            sink: sink.map(str::to_owned),
            source: source.map(str::to_owned),
        };
        let (audio, video) = (MediaKind::Audio, MediaKind::Video);
        assert_eq!(
            ways_of("videoflip", &[video])[&video],
            way(Some("sink"), Some("src"))
        );
        assert_eq!(ways_of("videoflip", &[audio])[&audio], way(None, None));
        assert_eq!(
            ways_of("fakesink", &[video])[&video],
            way(Some("sink"), None)
        );
        assert_eq!(
            ways_of("videotestsrc", &[video])[&video],
            way(None, Some("src"))
        );
        let both = ways_of("textoverlay", &[video]);
        assert_eq!(both[&video], way(Some("video_sink"), Some("src")));
        let identity = ways_of("identity", &[audio, video]);
        assert_eq!(identity[&audio], way(Some("sink"), Some("src")));
        assert_eq!(identity[&video], way(None, None));
    }
}
