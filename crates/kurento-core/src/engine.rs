//! What the media engine reports: answers to commands, and events of elements.

use crate::{
    Now, ObjectModel,
    adaptation::SentLayer,
    call::{Then, media_type},
    endpoint::{Pair, dtls_members, ice_state, pair_value},
    links::DEFAULT,
    negotiation::{Negotiation, already_negotiated},
    processing::{answered, not_created, refused},
    release::Announce,
    rtp_base::connection_state,
    upload::{not_registered, released},
};
use salono_kurento_model::{Error, ErrorCode, KURENTO, Map, Value, tagged};
use salono_media_api::{
    ConnectionState, ElementEvent, IceCandidate, MediaError, MediaErrorKind, MediaKind, Reply,
    StreamName,
};

impl ObjectModel {
    /// The value of a request that the engine has answered.
    pub(crate) fn engine_replied(
        &mut self,
        then: Then,
        result: Result<Reply, MediaError>,
        now: Now,
    ) -> Result<Value, Error> {
        match (then, result) {
            (Then::Create { object }, Ok(_)) => {
                if self.tree.get(object).is_none() {
                    return Err(released());
                }
                Ok(self.created(object, now))
            }
            (Then::Create { object }, Err(error)) => {
                if error.kind == MediaErrorKind::Unavailable && self.only_switches(object) {
                    return Ok(self.created(object, now));
                }
                let class = self.tree.get(object).map(|it| it.class.clone());
                self.remove(object, Announce::No, now);
                if let Some(refusal) = class.and_then(|it| not_created(it.name(), &error)) {
                    return Err(refusal);
                }
                Err(error_of(
                    &error,
                    ErrorCode::UnexpectedError,
                    "Cannot create the element",
                ))
            }
            (Then::Offer { .. }, Ok(Reply::Sdp(sdp))) => Ok(sdp.into()),
            (Then::Offer { object, before }, Err(error)) => {
                self.negotiation(object, before);
                let code = ErrorCode::SdpGenerateOfferError;
                Err(session_error(&error, code, "Error generating offer"))
            }
            (Then::Answer { object, .. }, Ok(Reply::Sdp(sdp))) => {
                self.negotiation(object, Negotiation::Answered);
                self.start_session(object, now);
                Ok(sdp.into())
            }
            (Then::Answer { object, before }, Err(error)) => {
                self.negotiation(object, before);
                // Kurento's text for this one, and no more.
                if error.kind == MediaErrorKind::AlreadyNegotiated {
                    Err(already_negotiated())
                } else {
                    let code = ErrorCode::SdpProcessOfferError;
                    Err(session_error(&error, code, "Error processing offer"))
                }
            }
            (Then::Complete { object }, Ok(Reply::Sdp(sdp))) => {
                self.negotiation(object, Negotiation::Completed);
                self.start_session(object, now);
                Ok(sdp.into())
            }
            // Unlike in Kurento a bad answer can be followed by a good one.
            (Then::Complete { object }, Err(error)) => {
                self.negotiation(object, Negotiation::Offered);
                Err(error_of(
                    &error,
                    ErrorCode::SdpProcessAnswerError,
                    "Error processing answer",
                ))
            }
            (Then::Description { .. }, Ok(Reply::Description(Some(sdp)))) => Ok(sdp.into()),
            (Then::Description { remote: false }, Ok(Reply::Description(None))) => {
                Err(Error::new(ErrorCode::SdpNoLocalSdp, "No local SDP"))
            }
            (Then::Description { remote: true }, Ok(Reply::Description(None))) => {
                Err(Error::new(ErrorCode::SdpNoRemoteSdp, "No remote SDP"))
            }
            (Then::Confirm | Then::CloseChannel, Ok(Reply::Done)) => Ok(Value::Null),
            // A channel that is not there is closed already.
            (Then::CloseChannel, Err(error)) if error.kind == MediaErrorKind::IllegalParam => {
                Ok(Value::Null)
            }
            (Then::Stats { object, kind }, Ok(Reply::Stats(stats))) => {
                Ok(self.stats_value(object, kind, &stats, now))
            }
            (Then::Processed(asked), Ok(Reply::Processed(reply))) => answered(asked, reply)
                .ok_or_else(|| {
                    Error::new(
                        ErrorCode::InternalError,
                        "Unexpected error while processing method: wrong kind of answer",
                    )
                }),
            (Then::Processed(asked), Err(error)) => {
                Err(refused(asked, &error).unwrap_or_else(|| {
                    let text = "Unexpected error while processing method";
                    error_of(&error, ErrorCode::InternalError, text)
                }))
            }
            (Then::Invoked { returns }, Ok(Reply::Processed(reply))) => {
                self.invoked(returns.as_ref(), &reply)
            }
            (Then::StopAndWait, Ok(Reply::Processed(_))) => Ok(Value::Null),
            (Then::Listen { object }, Err(error)) => {
                self.remove(object, Announce::No, now);
                Err(not_registered(&error.message))
            }
            (
                Then::Description { .. }
                | Then::StopAndWait
                | Then::Invoked { .. }
                | Then::Release { .. }
                | Then::Confirm
                | Then::CloseChannel
                | Then::Stats { .. }
                | Then::Memory
                | Then::Processors
                | Then::LoadBegin { .. }
                | Then::LoadEnd { .. },
                Err(error),
            ) => Err(error_of(
                &error,
                ErrorCode::InternalError,
                "Unexpected error while processing method",
            )),
            (then, Ok(reply)) => {
                tracing::error!(?then, ?reply, "the media engine answers something else");
                Err(Error::new(
                    ErrorCode::InternalError,
                    "Unexpected error while processing method: wrong kind of answer",
                ))
            }
        }
    }

    /// An element reported something. Elements that are gone already are ignored.
    pub(crate) fn element_event(&mut self, key: u64, event: ElementEvent, now: Now) {
        match event {
            ElementEvent::Processor(event) => self.processor_event(key, event, now),
            ElementEvent::IceCandidateFound(candidate) => {
                let candidate = candidate_value(candidate);
                self.raise_with(key, "IceCandidateFound", [("candidate", candidate)], now);
            }
            ElementEvent::KeySoftLimit { kind } => {
                let members = [("mediaType", media_type(kind).into())];
                self.raise_with(key, "OnKeySoftLimit", members, now);
            }
            ElementEvent::IceGatheringDone => {
                self.raise(key, "IceGatheringDone", Map::new(), now);
            }
            ElementEvent::IceState {
                stream,
                component,
                state,
            } => {
                if let Some(endpoint) = self.web_rtc_mut(key) {
                    endpoint.ice.insert((stream, component), state);
                }
                let members = [
                    ("streamId", stream.into()),
                    ("componentId", component.into()),
                    ("state", ice_state(state).into()),
                ];
                self.raise_with(key, "IceComponentStateChanged", members, now);
            }
            ElementEvent::CandidatePairSelected {
                stream,
                component,
                local,
                remote,
            } => {
                let pair = Pair { local, remote };
                let value = pair_value((stream, component), &pair);
                if let Some(endpoint) = self.web_rtc_mut(key) {
                    endpoint.pairs.insert((stream, component), pair);
                }
                let members = [("candidatePair", value)];
                self.raise_with(key, "NewCandidatePairSelected", members, now);
            }
            ElementEvent::DtlsState {
                stream,
                component,
                state,
            } => {
                if let Some(endpoint) = self.web_rtc_mut(key) {
                    endpoint.dtls.insert((stream, component), state);
                }
                let data = Map::from_iter(dtls_members((stream, component), state));
                self.raise(key, "DtlsConnectionStateChange", data, now);
            }
            ElementEvent::Connection(state) => {
                let before = self
                    .endpoint_mut(key)
                    .map(|endpoint| std::mem::replace(&mut endpoint.connection, state));
                self.state_changed(key, "ConnectionStateChanged", before, state, now);
            }
            ElementEvent::Media(state) => {
                let before = self
                    .endpoint_mut(key)
                    .map(|endpoint| std::mem::replace(&mut endpoint.media, state));
                self.state_changed(key, "MediaStateChanged", before, state, now);
            }
            ElementEvent::FlowIn {
                kind,
                stream,
                flowing,
            } => {
                let event = "MediaFlowInStateChanged";
                self.flow_changed(key, event, kind, &stream, flowing, now);
            }
            ElementEvent::FlowOut {
                kind,
                stream,
                flowing,
            } => {
                let event = "MediaFlowOutStateChanged";
                self.flow_changed(key, event, kind, &stream, flowing, now);
            }
            ElementEvent::Codec { kind, name } => {
                let element = self
                    .tree
                    .get_mut(key)
                    .and_then(|object| object.element_mut());
                if let Some(codec) = element.and_then(|element| element.codecs.get_mut(kind)) {
                    *codec = Some(name);
                }
            }
            ElementEvent::LayerChanged {
                spatial,
                temporal,
                height,
            } => {
                let layer = SentLayer {
                    spatial,
                    temporal,
                    height,
                };
                self.layer_changed(key, layer, now);
            }
            ElementEvent::DataChannelOpened { channel } => {
                let members = [("channelId", channel.into())];
                self.raise_with(key, "DataChannelOpened", members, now);
            }
            ElementEvent::DataChannelClosed { channel } => {
                let members = [("channelId", channel.into())];
                self.raise_with(key, "DataChannelClosed", members, now);
            }
            ElementEvent::Failed(error) => {
                tracing::warn!(element = key, %error, "element failed");
                let members = [
                    ("description", error.message.into()),
                    ("errorCode", ErrorCode::UnexpectedError.code().into()),
                    ("type", "UNEXPECTED_ELEMENT_ERROR".into()),
                ];
                self.raise_with(key, "Error", members, now);
            }
        }
    }

    fn state_changed(
        &mut self,
        key: u64,
        event: &str,
        before: Option<ConnectionState>,
        state: ConnectionState,
        now: Now,
    ) {
        let Some(before) = before.filter(|before| *before != state) else {
            return;
        };
        let members = [
            ("oldState", connection_state(before).into()),
            ("newState", connection_state(state).into()),
        ];
        self.raise_with(key, event, members, now);
    }

    fn flow_changed(
        &mut self,
        key: u64,
        event: &str,
        kind: MediaKind,
        stream: &StreamName,
        flowing: bool,
        now: Now,
    ) {
        let element = self
            .tree
            .get_mut(key)
            .and_then(|object| object.element_mut());
        let Some(element) = element else {
            return;
        };
        let flow = if event == "MediaFlowInStateChanged" {
            &mut element.flowing_in
        } else {
            &mut element.flowing_out
        };
        let name = match stream {
            StreamName::Default => DEFAULT,
            StreamName::Named(name) => name,
        };
        let Some(streams) = flow.get_mut(kind) else {
            return;
        };
        let changed = if flowing {
            streams.insert(name.to_owned())
        } else {
            streams.remove(name)
        };
        if !changed {
            return;
        }
        let state = if flowing { "FLOWING" } else { "NOT_FLOWING" };
        let members = [
            ("state", state.into()),
            ("padName", name.into()),
            ("mediaType", media_type(kind).into()),
        ];
        self.raise_with(key, event, members, now);
        if flowing {
            let source = match event {
                "MediaFlowInStateChanged" => self.links.source_of_stream(key, kind, name),
                _ => Some(key),
            };
            if let Some(source) = source {
                self.note_carried(source, kind, now);
            }
        }
    }

    /// Raises `MediaSessionStarted` once.
    fn start_session(&mut self, object: u64, now: Now) {
        let Some(endpoint) = self.endpoint_mut(object) else {
            return;
        };
        if !std::mem::replace(&mut endpoint.session_started, true) {
            self.raise(object, "MediaSessionStarted", Map::new(), now);
        }
    }

    fn negotiation(&mut self, key: u64, state: Negotiation) {
        if let Some(endpoint) = self.endpoint_mut(key) {
            endpoint.negotiation = state;
        }
    }
}

fn candidate_value(candidate: IceCandidate) -> Value {
    let members = Map::from_iter([
        ("candidate".to_owned(), candidate.candidate.into()),
        ("sdpMid".to_owned(), candidate.mid.into()),
        ("sdpMLineIndex".to_owned(), candidate.mline_index.into()),
    ]);
    tagged(KURENTO, "IceCandidate", members)
}

/// As [`error_of`], for what needs a media session: where the description is not at fault but the
/// engine, no session can be created.
fn session_error(error: &MediaError, code: ErrorCode, text: &str) -> Error {
    match error.kind {
        MediaErrorKind::Internal => error_of(
            error,
            ErrorCode::SdpCannotCreateSession,
            "Cannot create session",
        ),
        MediaErrorKind::NotFound
        | MediaErrorKind::NotSupported
        | MediaErrorKind::SdpParse
        | MediaErrorKind::SdpNegotiation
        | MediaErrorKind::AlreadyNegotiated
        | MediaErrorKind::NoOffer
        | MediaErrorKind::AlreadyAnswered
        | MediaErrorKind::Gather
        | MediaErrorKind::Candidate
        | MediaErrorKind::Limit
        | MediaErrorKind::Unavailable
        | MediaErrorKind::Seek
        | MediaErrorKind::PropertyType
        | MediaErrorKind::IllegalParam => error_of(error, code, text),
    }
}

/// The row of the error table for a failure of the engine; `code` and `text` say what failed where
/// the failure itself does not.
fn error_of(error: &MediaError, code: ErrorCode, text: &str) -> Error {
    let (code, text) = match error.kind {
        MediaErrorKind::NotFound => (ErrorCode::MediaObjectNotFound, "Object not found"),
        MediaErrorKind::NotSupported | MediaErrorKind::Unavailable => {
            return Error::new(
                ErrorCode::MediaObjectOperationNotSupported,
                error.message.as_str(),
            );
        }
        MediaErrorKind::SdpParse => (ErrorCode::SdpParseError, "Error parsing SDP"),
        MediaErrorKind::SdpNegotiation | MediaErrorKind::Internal => (code, text),
        MediaErrorKind::AlreadyNegotiated => (
            ErrorCode::SdpAlreadyNegotiated,
            "Endpoint already negotiated",
        ),
        MediaErrorKind::NoOffer => (
            ErrorCode::SdpNotOfferGenerated,
            "Offer not generated. It is not possible to process an answer.",
        ),
        MediaErrorKind::AlreadyAnswered => (
            ErrorCode::SdpAnswerAlreadyProcessed,
            "Sdp Answer already processed",
        ),
        MediaErrorKind::Gather => (
            ErrorCode::IceGatherCandidatesError,
            "Error gathering candidates",
        ),
        MediaErrorKind::Candidate => (ErrorCode::IceAddCandidateError, "Error adding candidate"),
        MediaErrorKind::Limit => (ErrorCode::NotEnoughResources, "Reached a limit"),
        MediaErrorKind::Seek => (ErrorCode::PlayerSeekFail, "Seek fails"),
        MediaErrorKind::PropertyType => {
            (ErrorCode::NotImplemented, "Property type not implemented")
        }
        MediaErrorKind::IllegalParam => (ErrorCode::MediaObjectIllegalParam, "Illegal parameter"),
    };
    if error.message.is_empty() {
        Error::new(code, text)
    } else if error.message.starts_with(text) {
        Error::new(code, error.message.as_str())
    } else {
        Error::new(code, format!("{text}: {}", error.message))
    }
}
