//! Elements that process media: what they are made from, what is asked of them, what they report.
//!
//! The work happens in another process, behind the media engine. The object model keeps what clients can
//! ask at any time, checks what it can check, and hands everything else on.

use crate::{
    Config, Now, ObjectModel,
    call::{Asked, Call, Outcome, Then},
    filter::{self, Filter},
    plugin::Plugin,
    tree::Object,
    upload::Upload,
    uri::UriEndpoint,
};
use salono_kurento_model::{Error, ErrorCode, KURENTO, Map, Value, tagged};
use salono_media_api::{
    ElementKey, MediaError, MediaErrorKind, Op,
    processing::{
        FilterSpec, ProcessorCall, ProcessorError, ProcessorEvent, ProcessorReply, ProcessorSpec,
        Seekable,
    },
};

/// What the classes of such elements add.
#[derive(Debug)]
pub(crate) enum Processed {
    /// `PlayerEndpoint`.
    Player(UriEndpoint),
    /// `RecorderEndpoint`.
    Recorder(UriEndpoint),
    /// `HttpPostEndpoint`.
    Upload(Upload),
    /// A filter.
    Filter(Filter),
    /// Of a third-party module.
    Plugin(Plugin),
}

impl Processed {
    /// An element of an available class; `None` for classes that do not process.
    pub(crate) fn new(
        qualified: &str,
        params: &Map<String, Value>,
        config: &Config,
    ) -> Option<Self> {
        let uri = || UriEndpoint::new(params);
        Some(match qualified {
            "kurento.PlayerEndpoint" => Self::Player(uri()),
            "kurento.RecorderEndpoint" => Self::Recorder(uri()),
            "kurento.HttpPostEndpoint" => Self::Upload(Upload::new(params)),
            _ => Self::Filter(Filter::new(qualified, params, &config.limits)?),
        })
    }

    /// What the engine makes it from.
    ///
    /// # Errors
    /// When a parameter has a value that is refused.
    pub(crate) fn spec(
        &self,
        params: &Map<String, Value>,
        config: &Config,
    ) -> Result<ProcessorSpec, Error> {
        Ok(match self {
            Self::Player(player) => ProcessorSpec::Player(player.player_spec(params, config)),
            Self::Recorder(recorder) => {
                ProcessorSpec::Recorder(recorder.recorder_spec(params, config)?)
            }
            Self::Upload(_) => Upload::spec(params),
            Self::Filter(filter) => ProcessorSpec::Filter(filter::spec(filter, params)?),
            Self::Plugin(plugin) => {
                let spec = plugin.spec(params).ok_or_else(|| {
                    Error::new(ErrorCode::UnexpectedError, "The class is of no module")
                })?;
                ProcessorSpec::Filter(FilterSpec::Plugin(spec))
            }
        })
    }

    /// Whether its statistics are those of an endpoint.
    pub(crate) fn is_measured(&self) -> bool {
        match self {
            Self::Recorder(_) => true,
            Self::Player(_) | Self::Upload(_) | Self::Filter(_) | Self::Plugin(_) => false,
        }
    }

    /// What has a URI, and whether it records.
    fn uri_mut(&mut self) -> Option<(&mut UriEndpoint, bool)> {
        match self {
            Self::Player(uri) => Some((uri, false)),
            Self::Recorder(uri) => Some((uri, true)),
            Self::Upload(_) | Self::Filter(_) | Self::Plugin(_) => None,
        }
    }

    /// A recorder that has something to complete.
    pub(crate) fn writes(&self) -> bool {
        match self {
            Self::Recorder(recorder) => recorder.is_active(),
            Self::Player(_) | Self::Upload(_) | Self::Filter(_) | Self::Plugin(_) => false,
        }
    }
}

impl ObjectModel {
    /// Operations of the classes of elements that process media.
    pub(crate) fn call_processed(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let processed = self.processed_mut(call.object)?;
        match processed {
            Processed::Player(player) => {
                let asked = player.call_player(call)?;
                Some(self.carry_on(call, asked))
            }
            Processed::Recorder(recorder) => {
                let asked = recorder.call_recorder(call)?;
                Some(self.carry_on(call, asked))
            }
            Processed::Upload(upload) => upload.call(call).map(Ok),
            Processed::Filter(filter) => {
                let asked = filter.call(call)?;
                Some(asked.and_then(|asked| self.carry_on(call, asked)))
            }
            Processed::Plugin(plugin) => {
                let invocation = plugin.call(call)?;
                Some(Ok(self.invoke_plugin(call, invocation)))
            }
        }
    }

    /// Answers, or asks the engine.
    pub(crate) fn carry_on(&mut self, call: &Call<'_>, asked: Answer) -> Result<Outcome, Error> {
        match asked {
            Answer::Now(value) => Ok(Outcome::Value(value)),
            Answer::Ask(request, asked) => {
                Ok(self.ask_processor(call.object, request, Then::Processed(asked)))
            }
            Answer::Complete => {
                Ok(self.ask_processor(call.object, ProcessorCall::StopAndWait, Then::StopAndWait))
            }
        }
    }

    /// Asks an element, or a hub, that processes media.
    pub(crate) fn ask_processor(
        &mut self,
        key: u64,
        request: ProcessorCall,
        then: Then,
    ) -> Outcome {
        let Some(pipeline) = self.tree.get(key).and_then(|object| object.pipeline) else {
            return Outcome::VOID;
        };
        let token = self.ask(pipeline, |token| Op::Call {
            token,
            element: ElementKey(key),
            call: Box::new(request),
        });
        Outcome::Later(token, then)
    }

    /// What an element adds that processes media.
    pub(crate) fn processed_mut(&mut self, key: u64) -> Option<&mut Processed> {
        self.tree.get_mut(key)?.element_mut()?.processed_mut()
    }

    /// Something happened at such an element.
    pub(crate) fn processor_event(&mut self, key: u64, event: ProcessorEvent, now: Now) {
        match event {
            ProcessorEvent::State(state) => {
                let uri = self.processed_mut(key).and_then(Processed::uri_mut);
                let Some((uri, records)) = uri else {
                    return;
                };
                for (event, data) in uri.state_changed(state, records) {
                    self.raise(key, event, data, now);
                }
            }
            ProcessorEvent::Recorded {
                uri,
                duration_ms,
                bytes,
            } => {
                let endpoint = self.processed_mut(key).and_then(Processed::uri_mut);
                if let Some((endpoint, _)) = endpoint {
                    endpoint.recorded(uri, duration_ms, bytes);
                }
            }
            ProcessorEvent::EndOfStream => {
                self.raise(key, "EndOfStream", Map::new(), now);
            }
            ProcessorEvent::CodeFound { kind, value } => {
                let members = [("codeType", kind.into()), ("value", value.into())];
                self.raise_with(key, "CodeFound", members, now);
            }
            ProcessorEvent::Signal { name, fields } => {
                let raises = |class: &salono_kurento_model::Class| class.supports_event(&name);
                let object = self.tree.get(key);
                let is_plugin = object.is_some_and(Object::is_plugin);
                if object.is_some_and(|object| raises(&object.class))
                    && let Ok(Value::Object(mut data)) = fields.parse()
                {
                    if is_plugin {
                        data = self.event_members(&name, data);
                    }
                    self.raise(key, &name, data, now);
                }
            }
            ProcessorEvent::Transcoding { kind, on } => {
                self.transcoding_changed(key, kind, on, now);
            }
            ProcessorEvent::Error(error) => self.element_error(key, error, now),
        }
    }

    fn element_error(&mut self, key: u64, error: ProcessorError, now: Now) {
        let ProcessorError {
            code,
            kind,
            description,
        } = error;
        tracing::info!(
            element = key,
            code,
            kind,
            description,
            "error of an element"
        );
        let members = [
            ("description", description.into()),
            ("errorCode", code.into()),
            ("type", kind.into()),
        ];
        self.raise_with(key, "Error", members, now);
    }
}

/// How an operation of such an element goes on.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Answered.
    Now(Value),
    /// The element decides.
    Ask(ProcessorCall, Asked),
    /// Answered once the element has completed its file.
    Complete,
}

impl Answer {
    /// Nothing but success or failure of a request.
    pub(crate) fn success(request: ProcessorCall) -> Self {
        Self::Ask(request, Asked::Success)
    }
}

/// The value of an answer; `None` when it does not suit what was asked.
pub(crate) fn answered(asked: Asked, reply: ProcessorReply) -> Option<Value> {
    match (asked, reply) {
        (
            Asked::Success | Asked::Seek | Asked::ElementProperty | Asked::Picture,
            ProcessorReply::Done,
        ) => Some(Value::Null),
        (Asked::Position, ProcessorReply::Position(ms)) => Some(ms.into()),
        (Asked::VideoInfo, ProcessorReply::Seekable(seekable)) => Some(video_info(seekable)),
        (Asked::Text, ProcessorReply::Text(text)) => Some(text.into()),
        (_, reply) => {
            tracing::error!(?asked, ?reply, "an element answers something else");
            None
        }
    }
}

fn video_info(seekable: Seekable) -> Value {
    let Seekable {
        seekable,
        from_ms,
        to_ms,
        duration_ms,
    } = seekable;
    let members = Map::from_iter([
        ("isSeekable".to_owned(), seekable.into()),
        ("seekableInit".to_owned(), from_ms.into()),
        ("seekableEnd".to_owned(), to_ms.into()),
        ("duration".to_owned(), duration_ms.into()),
    ]);
    tagged(KURENTO, "VideoInfo", members)
}

/// The error of a request to an element, where Kurento has one of its own for it.
pub(crate) fn refused(asked: Asked, error: &MediaError) -> Option<Error> {
    let code = match (asked, error.kind) {
        (Asked::Seek, MediaErrorKind::Seek) => {
            return Some(Error::new(ErrorCode::PlayerSeekFail, "Seek fails"));
        }
        (Asked::ElementProperty, MediaErrorKind::IllegalParam) => ErrorCode::MarshallError,
        (Asked::ElementProperty, MediaErrorKind::PropertyType) => ErrorCode::NotImplemented,
        (Asked::Picture, MediaErrorKind::NotFound) => ErrorCode::UriPathFileNotFound,
        _ => return None,
    };
    Some(Error::new(code, error.message.as_str()))
}

/// The error of a creation that the engine refused, where the class is the reason.
pub(crate) fn not_created(class: &str, error: &MediaError) -> Option<Error> {
    if error.kind == MediaErrorKind::Unavailable {
        // Kurento has this code for elements whose plugin is missing.
        return Some(Error::new(
            ErrorCode::MediaObjectNotAvailable,
            format!("{class} cannot be created: {}", error.message),
        ));
    }
    if error.kind == MediaErrorKind::IllegalParam && class == "GStreamerFilter" {
        return Some(Error::new(ErrorCode::MarshallError, error.message.as_str()));
    }
    None
}
