//! RecorderEndpoint: writes what enters it to files, or to a server.
//!
//! - [`Recorder`] is the element: it takes the streams as they come where the [`profile`] has their codec, and from the shared
//!   encoders otherwise.
//! - A [`worker`] thread per recorder takes their frames from a bounded queue. Its [`session`] decides which of them go into which
//!   file and when they are; [`mux`] makes bytes of them; a [`target`] or an [`upload`] takes the bytes.
//!
//! # Files
//! A file plays up to the last two seconds at least, whatever happens to the process: Matroska and WebM are
//! written in clusters, MP4 in fragments of at most a second, FLV tag by tag. What a file gains at its end is an index and its exact
//! length.
//!
//! The first file has the name that was asked for; `name-2.webm`, `name-3.webm` follow when the process was replaced, when a
//! track came late or in a codec that the file cannot have, and when writing failed and became possible again. Files that are there are
//! never written over, unless the configuration lets that be: the next free number is taken instead.

mod bitstream;
mod destination;
pub mod format;
pub mod mux;
mod order;
pub mod profile;
mod s3;
pub mod session;
mod source;
pub mod storage;
pub mod target;
pub mod upload;
pub mod worker;

use crate::element::{Context, Done, Element};
use crate::fault;
use crate::media::Media;
use crate::reports::Answer;
use destination::Wish;
use gstreamer as gst;
use profile::Profile;
use salono_media_api::processing::{ProcessorCall, ProcessorEvent, RecorderSpec, UriState};
use salono_media_api::{MediaError, MediaErrorKind, MediaKind};
use session::Slot;
use source::Source;
use std::any::Any;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use upload::Progress;
use worker::{Growing, Report, Setup, Target, Worker};

/// Who waits for the end of a recording is answered after this at the latest: clients expect it within four seconds.
const PATIENCE: Duration = Duration::from_millis(3_500);

/// After their sources have ended, parsers and encoders have this long to bring the rest.
const REST: Duration = Duration::from_millis(500);

/// What the threads of a recorder tell it.
pub(crate) enum Note {
    /// From the thread that writes.
    Worker(Report),
    /// A file is finished.
    Finished {
        uri: String,
        duration_ms: u64,
        bytes: u64,
    },
    /// A file is finished and waits for its upload.
    Queued,
    /// From the thread that sends.
    Upload(Progress),
    /// A keyframe is needed.
    Keyframe,
    /// A source has come to its end.
    Ended(Slot),
}

/// The element.
pub struct Recorder {
    context: Context,
    spec: RecorderSpec,
    profile: Profile,
    worker: Option<Worker>,
    sources: [Source; 2],
    begun: bool,
    /// It was asked to stop.
    stopping: Option<Instant>,
    /// When a source came to its end last.
    over: Option<Instant>,
    /// The files are written.
    written: bool,
    uploading: bool,
    /// Nothing more happens.
    ended: bool,
    told: UriState,
    answers: Vec<Answer>,
    segments: u32,
    /// The file that is open.
    growing: Option<Growing>,
    /// Files that no server has yet, with their numbers.
    spools: BTreeMap<PathBuf, u32>,
    progress: &'static str,
    /// Shared with the thread that sends, which ends by itself.
    keep: Arc<Mutex<Option<Done>>>,
}

impl Recorder {
    /// Makes one; touches nothing outside yet.
    pub fn new(spec: RecorderSpec, context: Context) -> Self {
        let profile = Profile::of(spec.profile);
        let mut recorder = Self {
            sources: [
                Source::new(&context, Slot::Audio, profile),
                Source::new(&context, Slot::Video, profile),
            ],
            context,
            spec,
            profile,
            worker: None,
            begun: false,
            stopping: None,
            over: None,
            written: false,
            uploading: false,
            ended: false,
            told: UriState::Stop,
            answers: Vec::new(),
            segments: 0,
            growing: None,
            spools: BTreeMap::new(),
            progress: "",
            keep: Arc::default(),
        };
        if let Some(state) = recorder.context.resume.take() {
            recorder.resume(&state);
        }
        recorder
    }

    /// Goes on where the recorder of the process before this one was.
    fn resume(&mut self, state: &str) {
        let Ok(state) = serde_json::from_str::<serde_json::Value>(state) else {
            return;
        };
        let segments = state["segments"].as_u64().unwrap_or(0);
        self.segments = u32::try_from(segments).unwrap_or(0);
        if let Ok(growing) = serde_json::from_value::<Growing>(state["growing"].clone()) {
            self.bury(growing);
        }
        let spools = serde_json::from_value::<Vec<(PathBuf, u32)>>(state["spools"].clone());
        self.spools = spools.unwrap_or_default().into_iter().collect();
        if !self.spools.is_empty() {
            self.uploading = true;
            self.worker = self.start();
        }
        match state["state"].as_str() {
            Some("recording") => {
                self.progress = "recording";
                self.record();
            }
            Some("paused") => {
                self.progress = "paused";
                self.record();
                self.pause();
            }
            Some("ended") => {
                self.progress = "ended";
                self.begun = true;
                self.ended = true;
            }
            Some(_) | None => {}
        }
    }

    /// Reports a file that was open when the process before this one ended: it stays as it is. What came after that
    /// process said how long it is, a second at most, is not counted.
    fn bury(&self, growing: Growing) {
        let Some(path) = growing.path else {
            return;
        };
        let Ok(file) = path.metadata() else {
            return;
        };
        let event = ProcessorEvent::Recorded {
            uri: growing.uri,
            duration_ms: growing.duration_ms,
            bytes: file.len(),
        };
        let reports = self.context.host.reports();
        reports.element(self.context.element, event);
    }

    fn record(&mut self) {
        if self.ended || self.stopping.is_some() {
            return;
        }
        if self.worker.is_none() {
            self.worker = self.start();
        }
        let Some(worker) = &self.worker else {
            return;
        };
        if !self.begun {
            self.begun = true;
            self.progress = "recording";
            for source in &mut self.sources {
                source.begin(worker);
            }
        }
        worker.record();
    }

    fn pause(&self) {
        if let Some(worker) = &self.worker {
            worker.pause();
        }
    }

    fn stop(&mut self) {
        if !self.begun || self.ended || self.stopping.is_some() {
            return;
        }
        self.stopping = Some(Instant::now());
        if let Some(worker) = &self.worker {
            worker.stop();
        }
    }

    fn start(&self) -> Option<Worker> {
        let note = self.noter();
        let result = Worker::start(Setup {
            container: self.profile.container,
            target: self.target()?,
            segments: self.segments,
            report: Box::new(move |report| note(Note::Worker(report))),
            ask_keyframe: {
                let note = self.noter();
                Box::new(move || note(Note::Keyframe))
            },
        });
        match result {
            Ok(worker) => Some(worker),
            Err(error) => {
                let error = storage::open_error("the recording cannot begin", &error);
                self.context
                    .host
                    .reports()
                    .error(self.context.element, error);
                None
            }
        }
    }

    /// Where the files go; `None` when that is not allowed, which is reported.
    fn target(&self) -> Option<Box<dyn Target>> {
        let host = &self.context.host;
        let wish = Wish {
            uri: &self.spec.uri,
            element: self.context.element,
            profile: self.profile,
            policy: host.policy(),
            spools: self.spools.clone().into_iter().collect(),
        };
        destination::find(wish, || self.noter(), Arc::clone(&self.keep))
            .inspect_err(|reason| {
                let error = fault::invalid_uri(reason);
                host.reports().error(self.context.element, error);
            })
            .ok()
    }

    fn noter(&self) -> impl Fn(Note) + Send + 'static {
        let (host, element) = (self.context.host.clone(), self.context.element);
        move |note| host.note(element, Box::new(note))
    }

    fn report(&mut self, report: Report) {
        let reports = self.context.host.reports();
        let element = self.context.element;
        match report {
            Report::State(UriState::Stop) => {}
            Report::State(state) => {
                self.told = state;
                reports.state(element, state);
            }
            Report::Error(error) => reports.error(element, error),
            Report::Progress { segments, state } => {
                self.segments = segments;
                self.progress = match state {
                    UriState::Start => "recording",
                    UriState::Pause => "paused",
                    UriState::Stop => "ended",
                };
                self.checkpoint();
            }
            Report::Grown(growing) => {
                let keeps = growing.path.is_some();
                self.growing = Some(growing);
                if keeps {
                    self.checkpoint();
                }
            }
            Report::Ended => {
                self.written = true;
                self.end_if_done();
            }
        }
    }

    /// Says what the recorder of a process after this one needs to know.
    fn checkpoint(&self) {
        let spools: Vec<_> = self
            .spools
            .iter()
            .filter_map(|(file, segment)| Some((file.to_str()?, segment)))
            .collect();
        let state = serde_json::json!({
            "segments": self.segments,
            "state": self.progress,
            "spools": spools,
            "growing": self.growing,
        });
        let reports = self.context.host.reports();
        reports.checkpoint(self.context.element, state.to_string());
    }

    fn end_if_done(&mut self) {
        if self.written && !self.uploading {
            self.end();
        }
    }

    /// Everything is written, or is not waited for any longer.
    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) && self.told != UriState::Stop {
            self.told = UriState::Stop;
            let reports = self.context.host.reports();
            reports.state(self.context.element, UriState::Stop);
        }
        self.answers.drain(..).for_each(Answer::done);
    }
}

impl Element for Recorder {
    fn link(&mut self, kind: MediaKind, source: Option<Media>) {
        let slot = match kind {
            MediaKind::Audio => Slot::Audio,
            MediaKind::Video => Slot::Video,
            MediaKind::Data => return,
        };
        self.sources[slot as usize].link(source, self.worker.as_ref());
    }

    fn format_changed(&mut self, kind: MediaKind) {
        let slot = match kind {
            MediaKind::Audio => Slot::Audio,
            MediaKind::Video => Slot::Video,
            MediaKind::Data => return,
        };
        if let Some(worker) = &self.worker {
            self.sources[slot as usize].adapt(worker);
        }
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match call {
            ProcessorCall::Record => self.record(),
            ProcessorCall::Pause => self.pause(),
            ProcessorCall::Stop => self.stop(),
            ProcessorCall::StopAndWait => {
                self.stop();
                if self.begun && !self.ended && self.worker.is_some() {
                    self.answers.push(answer);
                    return;
                }
            }
            ProcessorCall::Play
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
                answer.unsupported();
                return;
            }
        }
        answer.done();
    }

    fn bus(&mut self, message: &gst::Message) {
        if let Some(error) = fault::of_message(message) {
            let reports = self.context.host.reports();
            reports.error(self.context.element, error);
        }
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        let Ok(note) = note.downcast::<Note>() else {
            return;
        };
        let reports = self.context.host.reports().clone();
        let element = self.context.element;
        match *note {
            Note::Worker(report) => self.report(report),
            Note::Finished {
                uri,
                duration_ms,
                bytes,
            }
            | Note::Upload(Progress::Uploaded {
                uri,
                duration_ms,
                bytes,
            }) => {
                // Before the event: what is reported is not reported by another process once more.
                if self.growing.take_if(|open| open.uri == uri).is_some() {
                    self.checkpoint();
                }
                let event = ProcessorEvent::Recorded {
                    uri,
                    duration_ms,
                    bytes,
                };
                reports.element(element, event);
            }
            Note::Queued => self.uploading = true,
            Note::Upload(Progress::Error(error)) => reports.error(element, error),
            Note::Upload(Progress::Spooled(file, segment)) => {
                self.segments = self.segments.max(segment);
                self.spools.insert(file, segment);
                self.checkpoint();
            }
            Note::Upload(Progress::Done(file)) => {
                self.spools.remove(&file);
                self.checkpoint();
            }
            Note::Upload(Progress::Idle) => {
                self.uploading = false;
                self.end_if_done();
            }
            Note::Keyframe => self.sources[Slot::Video as usize].want_keyframe(),
            Note::Ended(slot) => {
                self.sources[slot as usize].ended();
                self.over = Some(Instant::now());
            }
        }
    }

    fn tick(&mut self) {
        if self.spec.stop_on_end
            && self.over.is_some_and(|since| since.elapsed() >= REST)
            && self.sources.iter().all(Source::is_over)
        {
            self.stop();
        }
        if !self.ended
            && self
                .stopping
                .is_some_and(|since| since.elapsed() >= PATIENCE)
        {
            // The files are finished all the same.
            self.end();
        }
    }

    fn release(mut self: Box<Self>, done: Done) {
        for source in &mut self.sources {
            source.link(None, None);
        }
        let mut keep = self.keep.lock().unwrap_or_else(PoisonError::into_inner);
        *keep = Some(done.clone());
        drop(keep);
        if let Some(worker) = self.worker.take() {
            worker.end(done);
        }
    }
}

/// Makes a recorder.
///
/// # Errors
/// None at present; what is wrong with the URI is reported when recording begins, as nothing outside is touched before.
pub fn make(spec: RecorderSpec, context: Context) -> Result<Box<dyn Element>, MediaError> {
    if spec.uri.is_empty() {
        return Err(MediaError::new(
            MediaErrorKind::IllegalParam,
            "a recorder needs a URI",
        ));
    }
    Ok(Box::new(Recorder::new(spec, context)))
}
