//! Hubs that mix: all sound, and in [`Composite`](ProcessorSpec::Composite) and
//! [`AlphaBlending`](ProcessorSpec::AlphaBlending) all pictures as well.
//!
//! A hub and its ports share a [`Board`]. Ports put the newest picture and the samples of what enters them onto
//! it; one thread of the hub [composes](picture) at the framerate, another one [mixes](sound) every 20 ms. Neither
//! waits for any port, so one that stalls, joins or leaves disturbs nobody.
//!
//! The composed picture is one [`Media`] of the hub, which all ports let out: whoever watches in the same
//! codec shares an encoder.

mod arrangement;
mod label;
mod layout;
mod picture;
mod sound;

use crate::codec::Format;
use crate::element::{Context, Element};
use crate::elements::Elements;
use crate::line::{Line, LineError, Out};
use crate::media::{EXIT, Media, RAW_ENTRY, Supply};
use crate::reports::Answer;
use crate::stream::{Entry, Item};
use arrangement::Arrangement;
use gstreamer as gst;
use salono_media_api::processing::bridge::BridgeEvent;
use salono_media_api::processing::{CompositeSpec, ProcessorCall, ProcessorError, ProcessorSpec};
use salono_media_api::{ElementKey, MediaError, MediaErrorKind, MediaKind};
use std::any::Any;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A port's audio line that fails so often is given up until it is connected again.
const MAX_FAILURES: u32 = 8;

/// What a hub and its ports share.
#[derive(Debug, Default)]
struct Board {
    pictures: Mutex<picture::Pictures>,
    sounds: Mutex<sound::Sounds>,
    ended: Mutex<bool>,
    end: Condvar,
}

impl Board {
    fn pictures(&self) -> MutexGuard<'_, picture::Pictures> {
        self.pictures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sounds(&self) -> MutexGuard<'_, sound::Sounds> {
        self.sounds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for this long; false when the hub ended meanwhile.
    fn wait(&self, patience: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let (ended, _) = self
            .end
            .wait_timeout_while(ended, patience, |ended| !*ended)
            .unwrap_or_else(PoisonError::into_inner);
        !*ended
    }
}

/// A hub of any class.
struct Hub {
    context: Context,
    board: Arc<Board>,
    /// None in a hub that only mixes sound.
    video: Option<Media>,
    /// The calls that make it again as it is now, by what each replaces.
    calls: BTreeMap<Setting, ProcessorCall>,
    is_grid: bool,
}

/// What a call sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Setting {
    Layout,
    Master,
    Port(ElementKey),
    Mix(ElementKey, ElementKey),
}

impl Setting {
    fn concerns(self, port: ElementKey, call: &ProcessorCall) -> bool {
        match self {
            Self::Layout => false,
            Self::Master => {
                matches!(call, ProcessorCall::SetMaster { port: master, .. } if *master == port)
            }
            Self::Port(of) => of == port,
            Self::Mix(source, sink) => source == port || sink == port,
        }
    }
}

/// Makes a hub.
///
/// # Errors
/// No thread for it.
pub fn make(spec: &ProcessorSpec, context: Context) -> Result<Box<dyn Element>, MediaError> {
    let (arrangement, is_grid) = match spec {
        ProcessorSpec::Composite(CompositeSpec {
            width,
            height,
            framerate,
        }) => {
            let grid = Arrangement::grid((*width).into(), (*height).into());
            (Some((grid, (*framerate).clamp(1, 60))), true)
        }
        ProcessorSpec::AlphaBlending => (Some((Arrangement::blending(), 15)), false),
        ProcessorSpec::Mixer
        | ProcessorSpec::Port { .. }
        | ProcessorSpec::Player(_)
        | ProcessorSpec::Recorder(_)
        | ProcessorSpec::Upload { .. }
        | ProcessorSpec::Filter(_) => (None, false),
    };
    let board = Arc::new(Board {
        sounds: Mutex::new(sound::Sounds::new(arrangement.is_some())),
        ..Board::default()
    });
    let mut hub = Hub {
        board: Arc::clone(&board),
        video: None,
        calls: BTreeMap::new(),
        is_grid,
        context,
    };
    let host = hub.context.host.clone();
    if let Some((arrangement, framerate)) = arrangement {
        let video = hub.context.media(MediaKind::Video);
        video.announce(&gst::Caps::new_empty_simple("video/x-raw"));
        hub.video = Some(video.clone());
        board.pictures().arrangement = arrangement;
        let (board, host) = (Arc::clone(&board), host.clone());
        start("compose", move || {
            picture::run(&board, &host, &video, framerate);
        })?;
    }
    start("mix", move || sound::run(&board, &host))?;
    hub.resume();
    Ok(Box::new(hub))
}

fn start(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), MediaError> {
    let thread = thread::Builder::new().name(name.into()).spawn(run);
    let failed = |error: std::io::Error| {
        MediaError::new(MediaErrorKind::Internal, format!("no thread: {error}"))
    };
    thread.map(|_| ()).map_err(failed)
}

/// Makes a port of one of the elements there are.
///
/// # Errors
/// No such hub.
pub fn make_port(
    hub: ElementKey,
    context: Context,
    elements: &mut Elements,
) -> Result<Box<dyn Element>, MediaError> {
    let element: Option<&mut dyn Any> = match elements.get_mut(&hub) {
        Some(element) => Some(element.as_mut()),
        None => None,
    };
    let (board, video) = match element.and_then(|element| element.downcast_mut::<Hub>()) {
        Some(hub) => (Arc::clone(&hub.board), hub.video.clone()),
        // It was released before its ports, which live on in silence; so they do in another process.
        None if context.is_again => (Arc::default(), None),
        None => {
            let text = "the hub of the port does not exist";
            return Err(MediaError::new(MediaErrorKind::NotFound, text));
        }
    };
    let audio = context.media(MediaKind::Audio);
    audio.announce(&sound::caps());
    board.sounds().join(context.element, audio.clone());
    if video.is_some() {
        board.pictures().join(context.element);
    }
    let port = Port {
        board,
        audio,
        video,
        source: None,
        hears: None,
        sees: None,
        line: None,
        failures: 0,
        context,
    };
    // The composition is no news of the port: its format never changes.
    if port.video.is_some() {
        port.context.host.reports().send(BridgeEvent::Produces {
            element: port.context.element,
            kind: MediaKind::Video,
            native: None,
        });
    }
    Ok(Box::new(port))
}

impl Hub {
    /// Carries out the calls of its checkpoint.
    fn resume(&mut self) {
        let calls = self.context.resume.take();
        let calls = calls.and_then(|text| serde_json::from_str::<Vec<ProcessorCall>>(&text).ok());
        for call in calls.unwrap_or_default() {
            if let Err(error) = self.set(call) {
                eprintln!("a call of the former process is refused now: {error}");
            }
        }
    }

    /// Does what is asked for; an error changes nothing.
    fn set(&mut self, call: ProcessorCall) -> Result<(), MediaError> {
        let is_blending = self.video.is_some() && !self.is_grid;
        let setting = match &call {
            ProcessorCall::SetLayout { layout } if self.is_grid => {
                let layout = layout::parse(layout)
                    .map_err(|why| MediaError::new(MediaErrorKind::IllegalParam, why))?;
                let (setter, package) = label::SETTER;
                if layout.has_labels() && gst::ElementFactory::find(setter).is_none() {
                    let error = ProcessorError {
                        code: 0,
                        kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                        description: format!(
                            "labels are not drawn: install {package}, the GStreamer element `{setter}` is missing"
                        ),
                    };
                    let reports = self.context.host.reports();
                    reports.error(self.context.element, error);
                }
                self.board.pictures().arrangement.set_layout(layout);
                Setting::Layout
            }
            ProcessorCall::SetMaster { port, z_order } if is_blending => {
                let mut pictures = self.board.pictures();
                pictures.arrangement.set_master(*port, *z_order);
                Setting::Master
            }
            ProcessorCall::SetPort {
                port,
                place,
                z_order,
            } if is_blending => {
                let mut pictures = self.board.pictures();
                pictures.arrangement.set_port(*port, *place, *z_order);
                Setting::Port(*port)
            }
            ProcessorCall::MixAudio { source, sink, on } if self.video.is_none() => {
                self.board.sounds().connect(*source, *sink, *on);
                let setting = Setting::Mix(*source, *sink);
                if !*on {
                    self.calls.remove(&setting);
                    return Ok(());
                }
                setting
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
            | ProcessorCall::SetBackground { .. }
            | ProcessorCall::Invoke { .. }
            | ProcessorCall::GetProperty { .. }
            | ProcessorCall::SetProperty { .. } => {
                let text = "the element has no such operation";
                return Err(MediaError::new(MediaErrorKind::NotSupported, text));
            }
        };
        self.calls.insert(setting, call);
        Ok(())
    }

    fn checkpoint(&self) {
        let calls: Vec<_> = self.calls.values().collect();
        if let Ok(state) = serde_json::to_string(&calls) {
            let reports = self.context.host.reports();
            reports.checkpoint(self.context.element, state);
        }
    }
}

impl Element for Hub {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        self.video.as_ref().filter(|_| kind == MediaKind::Video)
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match self.set(call) {
            Ok(()) => {
                self.checkpoint();
                answer.done();
            }
            Err(error) => answer.send(Err(error)),
        }
    }

    fn tick(&mut self) {
        // What was said about ports that are gone.
        let left = std::mem::take(&mut self.board.sounds().left);
        if left.is_empty() {
            return;
        }
        let gone = |setting: &Setting, call: &ProcessorCall| {
            left.iter().any(|port| setting.concerns(*port, call))
        };
        let before = self.calls.len();
        self.calls.retain(|setting, call| !gone(setting, call));
        if self.calls.len() != before {
            self.checkpoint();
        }
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        let ended = self.board.ended.lock();
        *ended.unwrap_or_else(PoisonError::into_inner) = true;
        self.board.end.notify_all();
    }
}

/// A port of a hub.
struct Port {
    context: Context,
    board: Arc<Board>,
    audio: Media,
    video: Option<Media>,
    /// Of sound.
    source: Option<Media>,
    // Fed first, so ended first.
    hears: Option<Supply>,
    sees: Option<Supply>,
    line: Option<Line>,
    failures: u32,
}

impl Port {
    /// Makes the line that brings sound into the form of the mix.
    fn listen(&mut self) {
        self.hears = None;
        self.line = None;
        let port = self.context.element;
        self.board.sounds().clear(port);
        let Some(source) = self.source.clone() else {
            return;
        };
        match self.make_line(&source) {
            Ok((line, supply)) => (self.line, self.hears) = (Some(line), supply),
            Err(error) => {
                let error = ProcessorError {
                    code: 0,
                    kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                    description: error.to_string(),
                };
                self.context.host.reports().error(port, error);
            }
        }
    }

    fn make_line(&self, source: &Media) -> Result<(Line, Option<Supply>), LineError> {
        let text = format!(
            "{RAW_ENTRY} ! audioconvert ! audioresample ! {} ! {EXIT}",
            sound::CAPS
        );
        let line = Line::parse(&self.context.host, self.context.owner(), &text)?;
        let (board, port) = (Arc::clone(&self.board), self.context.element);
        line.on_out("out", move |out| {
            if let Out::Sample(sample) = out
                && let Some(buffer) = sample.buffer()
                && let Ok(bytes) = buffer.map_readable()
            {
                board.sounds().put(port, &bytes);
            }
        });
        line.play()?;
        let mut entry = Entry::new(line.entry("in"));
        let supply = source.take_raw(move |item| entry.put(item));
        Ok((line, supply))
    }

    fn watch(&mut self, source: Option<&Media>) {
        self.sees = None;
        let port = self.context.element;
        self.board.pictures().show(port, None);
        let board = Arc::clone(&self.board);
        let mut eye = picture::Eye::default();
        self.sees = source.and_then(|source| {
            source.take_raw(move |item| {
                let shot = match item {
                    Item::Buffer { caps, buffer } => eye.shot(caps, buffer),
                    Item::End => None,
                };
                board.pictures().show(port, shot);
            })
        });
    }
}

impl Element for Port {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        match kind {
            MediaKind::Audio => Some(&self.audio),
            MediaKind::Video => self.video.as_ref(),
            MediaKind::Data => None,
        }
    }

    fn link(&mut self, kind: MediaKind, source: Option<Media>) {
        match kind {
            MediaKind::Audio => {
                self.source = source;
                self.failures = 0;
                self.listen();
            }
            MediaKind::Video if self.video.is_some() => self.watch(source.as_ref()),
            MediaKind::Video | MediaKind::Data => {}
        }
    }

    fn format_changed(&mut self, kind: MediaKind) {
        // Another source may follow the old one without a cut; the newest picture stays until then.
        let raw = self.source.as_ref().and_then(Media::format) == Some(Format::Raw);
        if kind == MediaKind::Audio && raw && self.line.is_none() {
            self.listen();
        }
    }

    fn bus(&mut self, message: &gst::Message) {
        let failed = message.type_() == gst::MessageType::Error
            && self.line.as_ref().is_some_and(|line| line.posted(message));
        if failed && self.failures < MAX_FAILURES {
            self.failures += 1;
            self.listen();
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        (self.hears, self.sees) = (None, None);
        self.board.pictures().leave(self.context.element);
        self.board.sounds().leave(self.context.element);
    }
}
