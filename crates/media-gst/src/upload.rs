//! What `HttpPostEndpoint` receives: the body of a request, played.
//!
//! A piece is answered when there is room for the next one, so whoever sends the body is slowed down to the
//! speed at which it is played.

use crate::element::{Context, Done, Element};
use crate::fault;
use crate::media::Media;
use crate::player::{NothingToPlay, Origin, Outputs, Session, describe};
use crate::reports::Answer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gstreamer as gst;
use salono_media_api::processing::{ProcessorCall, ProcessorError, ProcessorEvent};
use salono_media_api::{MediaErrorKind, MediaKind};
use std::any::Any;
use std::collections::VecDeque;

/// Bytes of a body that wait to be played.
const MAX_WAITING: u64 = 2 * 1024 * 1024;

/// Pieces that wait for their answer; who sends does not wait for answers as it should.
const MAX_UNANSWERED: usize = 64;

/// An upload.
#[derive(Debug)]
pub struct Upload {
    context: Context,
    outputs: Outputs,
    session: Option<Session>,
    /// Bytes that came before the pipeline could take them, and whether the body has ended.
    early: VecDeque<Vec<u8>>,
    ended: bool,
    unanswered: VecDeque<Answer>,
}

impl Upload {
    /// An upload of which nothing has come.
    pub fn new(context: Context, encoded: bool) -> Self {
        let outputs = Outputs {
            audio: context.media(MediaKind::Audio),
            video: context.media(MediaKind::Video),
            encoded,
        };
        Self {
            context,
            outputs,
            session: None,
            early: VecDeque::new(),
            ended: false,
            unanswered: VecDeque::new(),
        }
    }

    fn body(&mut self, base64: &str, answer: Answer) {
        let Ok(bytes) = STANDARD.decode(base64) else {
            answer.fail(MediaErrorKind::IllegalParam, "the body is not base64");
            return;
        };
        if self.session.is_none() {
            // Nothing of a body that has failed is wanted.
            if self.ended {
                self.ended = !bytes.is_empty();
                answer.done();
                return;
            }
            match Session::new(&self.context, &Origin::Bytes, &self.outputs) {
                Ok(session) => {
                    session.play();
                    self.session = Some(session);
                }
                Err(error) => {
                    answer.fail(MediaErrorKind::Unavailable, error.to_string());
                    return;
                }
            }
        }
        if self.unanswered.len() >= MAX_UNANSWERED {
            answer.fail(MediaErrorKind::Limit, "too many pieces are unanswered");
            return;
        }
        if bytes.is_empty() {
            self.ended = true;
        } else {
            self.early.push_back(bytes);
        }
        self.unanswered.push_back(answer);
        self.push();
    }

    /// Puts in what waits and answers what has room.
    fn push(&mut self) {
        let Some(entry) = self.session.as_ref().and_then(Session::entry) else {
            return;
        };
        while entry.current_level_bytes() < MAX_WAITING {
            let Some(bytes) = self.early.pop_front() else {
                if self.ended {
                    let _ = entry.end_of_stream();
                }
                break;
            };
            let _ = entry.push_buffer(gst::Buffer::from_mut_slice(bytes));
            if let Some(answer) = self.unanswered.pop_front() {
                answer.done();
            }
        }
        if self.early.is_empty() {
            for answer in self.unanswered.drain(..) {
                answer.done();
            }
        }
    }

    fn end(&mut self) {
        self.session = None;
        self.early.clear();
        for answer in self.unanswered.drain(..) {
            answer.done();
        }
        self.outputs.audio.native().end();
        self.outputs.video.native().end();
    }

    fn fail(&mut self, error: ProcessorError) {
        let reports = self.context.host.reports().clone();
        reports.error(self.context.element, error);
        let more = !self.ended;
        self.end();
        // What still comes of this body is swallowed.
        self.ended = more;
        if !more {
            reports.element(self.context.element, ProcessorEvent::EndOfStream);
        }
    }
}

impl Element for Upload {
    fn media(&self, kind: MediaKind) -> Option<&Media> {
        self.outputs.media(kind)
    }

    fn call(&mut self, call: ProcessorCall, answer: Answer) {
        match call {
            ProcessorCall::Body { base64, .. } => self.body(&base64, answer),
            ProcessorCall::Stop => {
                self.ended = false;
                self.end();
                answer.done();
            }
            ProcessorCall::Play
            | ProcessorCall::Record
            | ProcessorCall::Pause
            | ProcessorCall::StopAndWait
            | ProcessorCall::Position
            | ProcessorCall::SetPosition { .. }
            | ProcessorCall::VideoInfo
            | ProcessorCall::Dot
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
            self.end();
            self.ended = false;
            let reports = self.context.host.reports();
            reports.element(self.context.element, ProcessorEvent::EndOfStream);
        } else if kind == gst::MessageType::Latency {
            session.latency();
        }
    }

    fn note(&mut self, note: Box<dyn Any + Send>) {
        if note.is::<NothingToPlay>() && self.session.is_some() {
            self.fail(fault::invalid_media("there is neither sound nor picture"));
        }
    }

    fn tick(&mut self) {
        self.push();
    }

    fn release(mut self: Box<Self>, done: Done) {
        self.end();
        drop(done);
    }
}
