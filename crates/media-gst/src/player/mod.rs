//! `PlayerEndpoint`: plays a URI in real time.

mod session;

pub(crate) use session::{NothingToPlay, Origin, Outputs, Session};

use crate::element::{Context, Done, Element};
use crate::fault;
use crate::media::Media;
use crate::policy::{Target, guard};
use crate::reports::Answer;
use gstreamer as gst;
use salono_media_api::processing::{
    PlayerSpec, ProcessorCall, ProcessorError, ProcessorEvent, ProcessorReply, Seekable, UriState,
};
use salono_media_api::{MediaErrorKind, MediaKind};
use std::any::Any;
use std::time::{Duration, Instant};

/// Between checkpoints.
const CHECKPOINT: Duration = Duration::from_secs(1);

/// Waits before a live source is tried again: the first, doubled each time up to the last.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// A source that brings nothing for as long is broken: from the beginning on, and later on.
const STALLED: (Duration, Duration) = (Duration::from_secs(15), Duration::from_secs(30));

/// A player.
#[derive(Debug)]
pub struct Player {
    context: Context,
    spec: PlayerSpec,
    outputs: Outputs,
    state: UriState,
    session: Option<Session>,
    /// A live source broke off: when to try again, and how long to wait after that.
    again: Option<(Instant, Duration)>,
    /// It has come since the player was started, so it is worth coming back to.
    has_come: bool,
    checkpoint: Instant,
    /// When something came last, or was done that it has to come after.
    active: Instant,
}

impl Player {
    /// A player that is stopped, or in the state of its checkpoint.
    pub fn new(context: Context, spec: PlayerSpec) -> Self {
        let outputs = Outputs {
            audio: context.media(MediaKind::Audio),
            video: context.media(MediaKind::Video),
            encoded: spec.encoded,
        };
        let resume = context.resume.clone();
        let mut player = Self {
            context,
            spec,
            outputs,
            state: UriState::Stop,
            session: None,
            again: None,
            has_come: false,
            checkpoint: Instant::now(),
            active: Instant::now(),
        };
        if let Some((state, position_ms)) = resume.as_deref().and_then(parse) {
            player.resume(state, position_ms);
        }
        player
    }

    /// Goes on where another process ended.
    fn resume(&mut self, state: UriState, position_ms: u64) {
        // The shard knows the state, so it is not reported.
        self.state = state;
        match state {
            UriState::Stop => {}
            UriState::Start | UriState::Pause => {
                self.begin();
                if let Some(session) = &self.session {
                    session.jump(position_ms, None);
                    if state == UriState::Start {
                        session.play();
                    } else {
                        session.pause();
                    }
                }
            }
        }
    }

    /// Makes a session, stopped. Failing that, there is none.
    fn begin(&mut self) {
        self.active = Instant::now();
        let target = self.context.host.policy().read(&self.spec.uri);
        let uri = match target {
            Ok(Target::File(path)) => gst::glib::filename_to_uri(path, None)
                .map(String::from)
                .ok(),
            Ok(Target::Url(url)) => Some(url.to_string()),
            Err(refused) => {
                self.fail(fault::invalid_uri(&refused.to_string()));
                return;
            }
        };
        let origin = Origin::Uri {
            uri: uri.unwrap_or_default(),
            network_cache_ms: self.spec.network_cache_ms,
        };
        match Session::new(&self.context, &origin, &self.outputs) {
            Ok(session) => self.session = Some(session),
            Err(error) => self.fail(fault::invalid_media(&error.to_string())),
        }
    }

    fn play(&mut self) {
        if self.state == UriState::Start {
            return;
        }
        self.set_state(UriState::Start);
        if self.session.is_none() {
            self.has_come = false;
            self.begin();
        }
        if let Some(session) = &self.session {
            session.play();
        }
    }

    fn pause(&mut self) {
        if self.state == UriState::Pause {
            return;
        }
        self.again = None;
        // From the beginning, when it never played.
        if self.state == UriState::Stop {
            self.has_come = false;
            self.set_state(UriState::Pause);
            self.begin();
        } else {
            self.set_state(UriState::Pause);
        }
        if let Some(session) = &self.session {
            session.pause();
        }
    }

    fn stop(&mut self) {
        if self.state == UriState::Stop {
            return;
        }
        self.halt();
        self.set_state(UriState::Stop);
    }

    /// Ends the session; the streams of the element come to their end.
    fn halt(&mut self) {
        self.session = None;
        self.again = None;
        self.outputs.audio.native().end();
        self.outputs.video.native().end();
    }

    /// Something went wrong that ends the session.
    fn fail(&mut self, error: ProcessorError) {
        if self.reconnects() {
            if self.again.is_none() {
                self.report(error);
            }
            self.wait();
            return;
        }
        self.report(error);
        // KMS: the state stays what it is until somebody stops the player.
        self.halt();
    }

    /// Everything was played.
    fn finish(&mut self) {
        if self.reconnects() {
            self.wait();
            return;
        }
        self.halt();
        self.set_state(UriState::Stop);
        let reports = self.context.host.reports();
        reports.element(self.context.element, ProcessorEvent::EndOfStream);
    }

    /// Whether the source is one that comes back.
    fn reconnects(&self) -> bool {
        let live = match &self.session {
            Some(session) => session.is_live() || session.seekable().duration_ms == 0,
            // It is being waited for.
            None => self.again.is_some(),
        };
        let is_file = self.spec.uri.starts_with("file:");
        self.spec.reconnect && self.has_come && live && !is_file && self.state == UriState::Start
    }

    /// Tries again later.
    fn wait(&mut self) {
        self.session = None;
        let (first, most) = RECONNECT;
        let wait = self.again.map_or(first, |(_, wait)| (wait * 2).min(most));
        self.again = Some((Instant::now() + wait, wait));
    }

    /// Gives up a source that brings nothing.
    fn watch(&mut self) {
        for media in [&self.outputs.audio, &self.outputs.video] {
            if let Some(published) = media.native().published() {
                self.active = self.active.max(published);
            }
        }
        let Some(session) = &self.session else {
            return;
        };
        let (first, later) = STALLED;
        let patience = if session.has_flowed() { later } else { first };
        if self.state == UriState::Start && self.active.elapsed() >= patience {
            self.fail(fault::invalid_media("nothing comes any more"));
        }
    }

    fn set_state(&mut self, state: UriState) {
        self.active = Instant::now();
        if self.state == state {
            return;
        }
        self.state = state;
        let reports = self.context.host.reports();
        reports.state(self.context.element, state);
        self.save();
    }

    fn report(&self, error: ProcessorError) {
        let reports = self.context.host.reports();
        reports.error(self.context.element, error);
    }

    fn save(&mut self) {
        self.checkpoint = Instant::now();
        let position_ms = self.session.as_ref().map_or(0, Session::position_ms);
        let state = match self.state {
            UriState::Stop => "STOP",
            UriState::Start => "START",
            UriState::Pause => "PAUSE",
        };
        let reports = self.context.host.reports();
        reports.checkpoint(self.context.element, format!("{state} {position_ms}"));
    }

    fn jump(&mut self, position_ms: i64, answer: Answer) {
        self.active = Instant::now();
        match (&self.session, u64::try_from(position_ms)) {
            (Some(session), Ok(position_ms)) => session.jump(position_ms, Some(answer)),
            (_, _) => answer.fail(MediaErrorKind::Seek, "Seek fails"),
        }
    }
}

impl Element for Player {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        self.outputs.media(kind)
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match call {
            ProcessorCall::Play => {
                self.play();
                answer.done();
            }
            ProcessorCall::Pause => {
                self.pause();
                answer.done();
            }
            ProcessorCall::Stop => {
                self.stop();
                answer.done();
            }
            ProcessorCall::Position => {
                let position_ms = self.session.as_ref().map_or(0, Session::position_ms);
                answer.send(Ok(ProcessorReply::Position(position_ms)));
            }
            ProcessorCall::SetPosition { position_ms } => self.jump(position_ms, answer),
            ProcessorCall::VideoInfo => {
                let session = self.session.as_ref();
                let seekable = session.map_or_else(Seekable::default, Session::seekable);
                answer.send(Ok(ProcessorReply::Seekable(seekable)));
            }
            ProcessorCall::Dot
            | ProcessorCall::Record
            | ProcessorCall::StopAndWait
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
            | ProcessorCall::SetProperty { .. } => answer.unsupported(),
        }
    }

    fn bus(&mut self, message: &gst::Message) {
        let Some(session) = &self.session else {
            return;
        };
        if !session.posted(message) {
            return;
        }
        let kind = message.type_();
        if kind == gst::MessageType::Error {
            if let Some(error) = describe(message, session.has_flowed()) {
                self.fail(error);
            }
        } else if kind == gst::MessageType::Eos {
            self.finish();
        } else if kind == gst::MessageType::Latency {
            session.latency();
        }
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        if note.is::<NothingToPlay>() && self.session.as_ref().is_some_and(|it| !it.has_flowed()) {
            self.fail(fault::invalid_media("there is neither sound nor picture"));
        }
    }

    fn tick(&mut self) {
        if let Some(session) = &self.session
            && session.has_flowed()
        {
            self.has_come = true;
            self.again = None;
        }
        if let Some((at, _)) = self.again
            && self.session.is_none()
            && Instant::now() >= at
        {
            self.begin();
            if let Some(session) = &self.session {
                session.play();
            }
        }
        self.watch();
        if self.state == UriState::Start && self.checkpoint.elapsed() >= CHECKPOINT {
            self.save();
        }
    }

    fn release(mut self: Box<Self>, done: Done) {
        self.halt();
        drop(done);
    }
}

impl Outputs {
    pub(crate) fn media(&self, kind: MediaKind) -> Option<&Media> {
        match kind {
            MediaKind::Audio => Some(&self.audio),
            MediaKind::Video => Some(&self.video),
            MediaKind::Data => None,
        }
    }
}

/// An error of a session: of the source, of what it contains, or another one.
pub(crate) fn describe(message: &gst::Message, has_flowed: bool) -> Option<ProcessorError> {
    use gst::{ResourceError, StreamError};
    let error = fault::of_message(message)?;
    let gst::MessageView::Error(posted) = message.view() else {
        return Some(error);
    };
    if let Some(address) = guard::take_refused() {
        return Some(fault::invalid_uri(&format!(
            "the address {address} is not public"
        )));
    }
    let posted = posted.error();
    let source = [
        ResourceError::NotFound,
        ResourceError::OpenRead,
        ResourceError::OpenReadWrite,
        ResourceError::NotAuthorized,
    ];
    let media = [
        StreamError::TypeNotFound,
        StreamError::WrongType,
        StreamError::CodecNotFound,
        StreamError::Demux,
        StreamError::Decode,
        StreamError::Format,
        StreamError::Failed,
        StreamError::NotImplemented,
    ];
    Some(if has_flowed {
        error
    } else if source.iter().any(|kind| posted.matches(*kind)) {
        fault::invalid_uri(&error.description)
    } else if media.iter().any(|kind| posted.matches(*kind)) {
        fault::invalid_media(&error.description)
    } else {
        error
    })
}

/// A checkpoint.
fn parse(text: &str) -> Option<(UriState, u64)> {
    let (state, position_ms) = text.split_once(' ')?;
    let state = match state {
        "STOP" => UriState::Stop,
        "START" => UriState::Start,
        "PAUSE" => UriState::Pause,
        _ => return None,
    };
    Some((state, position_ms.parse().ok()?))
}
