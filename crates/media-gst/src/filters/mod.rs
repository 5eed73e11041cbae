//! Filters: one kind of media in, changed or looked at, and out.
//!
//! All of them are one [`Filter`], which has the line and makes it anew when it fails; what is special to
//! a class is its [`Work`]. The calls that made a filter what it is are its checkpoint: they are carried
//! out again in the process that replaces this one.

mod chroma;
mod codes;
mod command;
mod faces;
mod images;
mod overlay;
mod picture;
mod plugin;

use crate::element::{Context, Element};
use crate::fault;
use crate::line::{Line, LineError, Out};
use crate::media::{EXIT, Media, Supply, watch_keyframe_wishes};
use crate::reports::Answer;
use crate::stream::Entry;
use gstreamer as gst;
use salono_media_api::processing::{FilterSpec, ProcessorCall, ProcessorError};
use salono_media_api::{MediaError, MediaErrorKind, MediaKind};
use std::any::Any;

/// One buffer waits, so that a slow filter leaves pictures out instead of delaying them; of sound, which is
/// small and must not have holes, 200 ms.
const VIDEO_ENTRY: &str = "appsrc name=in format=time is-live=true block=false \
     leaky-type=downstream max-buffers=1 max-bytes=0 max-time=0 ! videoconvert n-threads=1";
const AUDIO_ENTRY: &str = "appsrc name=in format=time is-live=true block=false \
     leaky-type=downstream max-buffers=0 max-bytes=0 max-time=200000000 ! audioconvert ! audioresample";

/// A line that fails so often is given up until something else is connected.
const MAX_FAILURES: u32 = 8;

/// What is special to a class of filters.
trait Work {
    /// The piece of pipeline between raw media in and out.
    fn text(&self) -> String;

    /// The line was made, for the first time or again; it does not run yet.
    fn made(&mut self, line: &Line) {
        let _ = line;
    }

    /// Does what is asked for; `line` when there is one.
    ///
    /// # Errors
    /// What it refuses; nothing has changed then.
    fn call(&mut self, call: &ProcessorCall, line: Option<&Line>) -> Result<(), MediaError>;

    /// The calls that make it again as it is now.
    fn calls(&self) -> Vec<ProcessorCall>;

    /// The line posted something that is no error.
    fn bus(&mut self, message: &gst::Message) {
        let _ = message;
    }

    /// Something it sent to itself.
    fn note(&mut self, note: Box<dyn Any + Send>) {
        let _ = note;
    }

    /// What it has found out, for the process that replaces this one.
    fn memory(&self) -> Option<String> {
        None
    }

    /// What the process before this one had found out.
    fn remember(&mut self, memory: &str) {
        let _ = memory;
    }
}

/// What makes a filter again: its calls, and what it has found out.
type Checkpoint = (Vec<ProcessorCall>, Option<String>);

/// A filter of any class.
struct Filter {
    context: Context,
    kind: MediaKind,
    output: Media,
    source: Option<Media>,
    // Fed first, so ended first.
    supply: Option<Supply>,
    line: Option<Line>,
    failures: u32,
    /// What the work had found out at the last look.
    memory: Option<String>,
    work: Box<dyn Work>,
}

/// Makes a filter.
///
/// # Errors
/// Elements that are not installed, and commands that are refused.
pub fn make(spec: FilterSpec, context: Context) -> Result<Box<dyn Element>, MediaError> {
    let (kind, work): (MediaKind, Box<dyn Work>) = match spec {
        FilterSpec::GStreamer {
            command,
            kind,
            takes,
        } => {
            let policy = context.host.policy().rules();
            let work = command::Command::new(&command, kind, takes, &policy.elements)?;
            (work.kind(), Box::new(work))
        }
        FilterSpec::ImageOverlay => (MediaKind::Video, Box::new(images::Images::new(&context)?)),
        FilterSpec::FaceOverlay { picture } => {
            let work = faces::Faces::new(&context, picture)?;
            (MediaKind::Video, Box::new(work))
        }
        FilterSpec::ZBar => (MediaKind::Video, Box::new(codes::Codes::new(&context)?)),
        FilterSpec::Chroma { window, background } => {
            let work = chroma::Chroma::new(&context, window, background)?;
            (MediaKind::Video, Box::new(work))
        }
        FilterSpec::Plugin(spec) => return plugin::make(spec, context),
    };
    let mut filter = Filter {
        output: context.media(kind),
        kind,
        source: None,
        supply: None,
        line: None,
        failures: 0,
        memory: None,
        work,
        context,
    };
    filter.resume();
    Ok(Box::new(filter))
}

impl Filter {
    /// Carries out the calls of its checkpoint.
    fn resume(&mut self) {
        let kept = self.context.resume.take();
        let kept = kept.and_then(|text| serde_json::from_str::<Checkpoint>(&text).ok());
        let (calls, memory) = kept.unwrap_or_default();
        if let Some(memory) = memory {
            self.work.remember(&memory);
        }
        for call in calls {
            if let Err(error) = self.work.call(&call, None) {
                eprintln!("a call of the former process is refused now: {error}");
            }
        }
    }

    /// Makes the line and feeds it.
    fn start(&mut self) {
        self.stop();
        let Some(source) = self.source.clone() else {
            return;
        };
        match self.make_line(&source) {
            Ok((line, supply)) => (self.line, self.supply) = (Some(line), supply),
            Err(error) => self.report(&error.to_string()),
        }
    }

    fn make_line(&mut self, source: &Media) -> Result<(Line, Option<Supply>), LineError> {
        let (entry, exit) = match self.kind {
            MediaKind::Audio => (AUDIO_ENTRY, "audioconvert"),
            MediaKind::Video | MediaKind::Data => (VIDEO_ENTRY, "videoconvert n-threads=1"),
        };
        let text = format!("{entry} ! {} ! {exit} ! {EXIT}", self.work.text());
        let host = &self.context.host;
        let line = Line::parse(host, self.context.owner(), &text)?;
        self.work.made(&line);
        let output = self.output.clone();
        line.on_out("out", move |out| match out {
            Out::Sample(sample) => output.publish_sample(&sample),
            Out::End => output.native().end(),
        });
        let upstream = source.clone();
        watch_keyframe_wishes(&line.entry("in"), move || upstream.want_keyframe(None));
        line.play()?;
        let mut entry = Entry::new(line.entry("in"));
        let supply = source.take_raw(move |item| entry.put(item));
        Ok((line, supply))
    }

    fn stop(&mut self) {
        self.supply = None;
        self.line = None;
    }

    fn report(&self, why: &str) {
        let error = ProcessorError {
            code: 0,
            kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
            description: why.to_owned(),
        };
        self.context
            .host
            .reports()
            .error(self.context.element, error);
    }

    fn checkpoint(&self) {
        let kept: Checkpoint = (self.work.calls(), self.work.memory());
        if let Ok(state) = serde_json::to_string(&kept) {
            self.context
                .host
                .reports()
                .checkpoint(self.context.element, state);
        }
    }
}

impl Element for Filter {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        (kind == self.kind).then_some(&self.output)
    }

    fn link(&mut self, kind: MediaKind, source: Option<Media>) {
        if kind == self.kind {
            self.source = source;
            self.failures = 0;
            self.start();
        }
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match self.work.call(&call, self.line.as_ref()) {
            Ok(()) => {
                self.checkpoint();
                answer.done();
            }
            Err(error) => answer.send(Err(error)),
        }
    }

    fn bus(&mut self, message: &gst::Message) {
        if message.type_() != gst::MessageType::Error {
            return self.work.bus(message);
        }
        // Of a line that was given up already.
        if !self.line.as_ref().is_some_and(|line| line.posted(message)) {
            return;
        }
        if let Some(error) = fault::of_message(message) {
            self.context
                .host
                .reports()
                .error(self.context.element, error);
        }
        self.failures += 1;
        if self.failures <= MAX_FAILURES {
            self.start();
        } else {
            self.stop();
            self.report("the filter failed too often and does nothing until it is connected again");
        }
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        self.work.note(note);
        if self.memory != self.work.memory() {
            self.memory = self.work.memory();
            self.checkpoint();
        }
    }
}

/// The answer to a call that is another class's.
fn unsupported() -> MediaError {
    MediaError::new(
        MediaErrorKind::NotSupported,
        "the element has no such operation",
    )
}

/// Refuses to make a filter whose element is not installed.
fn need(element: &str, package: &str) -> Result<(), MediaError> {
    if gst::ElementFactory::find(element).is_some() {
        return Ok(());
    }
    Err(MediaError::new(
        MediaErrorKind::Unavailable,
        format!("install {package}: the GStreamer element `{element}` is missing"),
    ))
}
