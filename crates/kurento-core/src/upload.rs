//! `HttpPostEndpoint`: media that comes as the body of HTTP requests.
//!
//! The shell serves HTTP: it is told to open a path for an endpoint and reports what is posted there. One
//! piece of a body is under way at a time; the next is asked for once the element has taken it, so that
//! an upload is no faster than the element. A session begins with the first request and ends some time after
//! the last one; its URL ends with it.

use crate::{
    Effect, Now, ObjectModel,
    call::{Call, Outcome, Pending, Then},
    processing::Processed,
    release::Announce,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use salono_kurento_model::{Error, ErrorCode, Map, Value};
use salono_media_api::{
    ElementKey, MediaError, Op, Reply, Token,
    processing::{ProcessorCall, ProcessorSpec},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

/// An endpoint that takes uploads; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadKey(pub u64);

/// What the shell is to do for such an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadOrder {
    /// Serve it at this path. Answered with [`UploadReport::Opened`].
    Open {
        /// Ties the answer to this order.
        token: Token,
        /// A UUID, which nobody can guess.
        path: String,
    },
    /// What was reported last has been taken, or cannot be: text for people.
    Continue(Result<(), String>),
    /// Serve it no longer; what is under way is given up.
    Close,
}

/// What the shell tells of such an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadReport {
    /// It is served at this URL, or cannot be: text for people.
    Opened {
        /// Of the order.
        token: Token,
        /// The URL.
        result: Result<String, String>,
    },
    /// A request began. Not answered.
    Begun,
    /// A piece of its body. Answered with [`UploadOrder::Continue`].
    Piece {
        /// The bytes; never none.
        bytes: Vec<u8>,
        /// Of the body.
        content_type: String,
    },
    /// The body is over, or broke off. Answered with [`UploadOrder::Continue`].
    Ended,
}

/// State of an endpoint that takes uploads.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Where it is served; empty before and after.
    url: String,
    /// From the end of the last request to the end of the session.
    timeout: Duration,
    started: bool,
    /// When the session ends, while no request is under way.
    end: Option<Instant>,
}

impl Upload {
    pub(crate) fn new(params: &Map<String, Value>) -> Self {
        let seconds = params.get("disconnectionTimeout").and_then(Value::as_i64);
        Self {
            url: String::new(),
            timeout: Duration::from_secs(u64::try_from(seconds.unwrap_or_default()).unwrap_or(0)),
            started: false,
            end: None,
        }
    }

    pub(crate) fn spec(params: &Map<String, Value>) -> ProcessorSpec {
        let encoded = params.get("useEncodedMedia").and_then(Value::as_bool);
        ProcessorSpec::Upload {
            encoded: encoded.unwrap_or_default(),
        }
    }

    pub(crate) fn call(&self, call: &Call<'_>) -> Option<Outcome> {
        (call.operation == "getUrl").then(|| Outcome::Value(self.url.as_str().into()))
    }
}

/// What is under way between the shell and the elements.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    /// Pieces that elements have not taken: whose, and whether it is the end of the body.
    pieces: BTreeMap<Token, (u64, bool)>,
    /// When sessions end.
    ends: BTreeSet<(Instant, u64)>,
}

impl Uploads {
    /// When the first session ends.
    pub(crate) fn next_end(&self) -> Option<Instant> {
        self.ends.first().map(|(when, _)| *when)
    }
}

impl ObjectModel {
    /// The shell tells what happens to an upload; see [`Effect::Upload`].
    pub fn handle_upload(&mut self, upload: UploadKey, report: UploadReport, now: Now) {
        self.note_object(None, Some(upload.0));
        match report {
            UploadReport::Opened { token, result } => {
                self.upload_opened(upload.0, token, result, now)
            }
            UploadReport::Begun => self.upload_began(upload.0, now),
            UploadReport::Piece {
                bytes,
                content_type,
            } => self.hand_on(upload.0, &bytes, content_type),
            // No bytes are the end of the body.
            UploadReport::Ended => self.hand_on(upload.0, &[], String::new()),
        }
        self.flush_deferred();
    }

    /// The endpoint that a creation has made, if it takes uploads.
    pub(crate) fn created_upload(&mut self, then: &Then) -> Option<u64> {
        let Then::Create { object } = then else {
            return None;
        };
        self.upload_mut(*object).is_some().then_some(*object)
    }

    /// Has a new endpoint served; it is created once it has its URL.
    pub(crate) fn open_upload(&mut self, key: u64, pending: Pending, now: Now) {
        let token = self.token();
        let path = self.random.uuid();
        self.upload_order(key, UploadOrder::Open { token, path });
        self.wait(pending.origin, token, Then::Listen { object: key }, now);
        self.flush_deferred();
    }

    fn upload_opened(&mut self, key: u64, token: Token, result: Result<String, String>, now: Now) {
        let Some(pending) = self.pending.remove(token) else {
            return;
        };
        let value = match (result, self.upload_mut(key)) {
            (Ok(url), Some(upload)) => {
                upload.url = url;
                Ok(self.created(key, now))
            }
            (Ok(_), None) => Err(released()),
            (Err(reason), _) => {
                self.remove(key, Announce::No, now);
                Err(not_registered(&reason))
            }
        };
        self.resume(pending.origin, value, now);
    }

    fn upload_began(&mut self, key: u64, now: Now) {
        let upload = self.upload_mut(key);
        let Some(upload) = upload.filter(|upload| !upload.url.is_empty()) else {
            return;
        };
        let end = upload.end.take();
        let is_first = !std::mem::replace(&mut upload.started, true);
        if let Some(end) = end {
            self.uploads.ends.remove(&(end, key));
        }
        if is_first {
            self.raise(key, "MediaSessionStarted", Map::new(), now);
        }
    }

    /// Hands a piece of a body to its element.
    fn hand_on(&mut self, key: u64, bytes: &[u8], content_type: String) {
        let is_end = bytes.is_empty();
        let pipeline = self.tree.get(key).and_then(|object| object.pipeline);
        let is_open = self.upload_mut(key).is_some_and(|it| !it.url.is_empty());
        let Some(pipeline) = pipeline.filter(|_| is_open) else {
            let gone = "the session is over".to_owned();
            self.upload_order(key, UploadOrder::Continue(Err(gone)));
            return;
        };
        let call = ProcessorCall::Body {
            base64: BASE64_STANDARD.encode(bytes),
            content_type,
        };
        let token = self.ask(pipeline, |token| Op::Call {
            token,
            element: ElementKey(key),
            call: Box::new(call),
        });
        self.uploads.pieces.insert(token, (key, is_end));
    }

    /// The engine has answered something that nobody else waits for.
    pub(crate) fn upload_answered(
        &mut self,
        token: Token,
        result: Result<Reply, MediaError>,
        now: Now,
    ) {
        let Some((key, is_end)) = self.uploads.pieces.remove(&token) else {
            return;
        };
        let Some(upload) = self.upload_mut(key) else {
            return;
        };
        if is_end {
            let end = now.monotonic + upload.timeout;
            upload.end = Some(end);
            self.uploads.ends.insert((end, key));
        }
        let result = result.map(|_| ()).map_err(|error| error.message);
        self.upload_order(key, UploadOrder::Continue(result));
    }

    /// Ends the sessions that nothing was uploaded to for long enough.
    pub(crate) fn end_uploads(&mut self, now: Now) {
        while let Some((when, key)) = self.uploads.ends.first().copied()
            && when <= now.monotonic
        {
            self.uploads.ends.remove(&(when, key));
            let Some(upload) = self.upload_mut(key) else {
                continue;
            };
            upload.end = None;
            upload.url.clear();
            self.upload_order(key, UploadOrder::Close);
            self.raise(key, "MediaSessionTerminated", Map::new(), now);
        }
    }

    /// An endpoint ends.
    pub(crate) fn forget_upload(&mut self, key: u64) {
        let Some(upload) = self.upload_mut(key) else {
            return;
        };
        if let Some(end) = upload.end.take() {
            self.uploads.ends.remove(&(end, key));
        }
        self.uploads.pieces.retain(|_, (of, _)| *of != key);
        self.upload_order(key, UploadOrder::Close);
    }

    fn upload_order(&mut self, key: u64, order: UploadOrder) {
        let effect = Effect::Upload(UploadKey(key), order);
        self.effects.push_back(effect);
    }

    fn upload_mut(&mut self, key: u64) -> Option<&mut Upload> {
        match self.processed_mut(key)? {
            Processed::Upload(upload) => Some(upload),
            Processed::Player(_)
            | Processed::Recorder(_)
            | Processed::Filter(_)
            | Processed::Plugin(_) => None,
        }
    }
}

/// The error of a creation whose endpoint cannot be served.
pub(crate) fn not_registered(reason: &str) -> Error {
    Error::new(
        ErrorCode::HttpRegistrationError,
        format!("Cannot register HTTP endpoint: {reason}"),
    )
}

/// The error of a creation whose object somebody has released meanwhile.
pub(crate) fn released() -> Error {
    Error::new(
        ErrorCode::MediaObjectNotFound,
        "Object not found: it was released while it was created",
    )
}
