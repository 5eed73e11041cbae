//! `MediaElement`: connections, media flow.

use crate::{
    Config, Now, ObjectModel,
    call::{Call, Outcome, media_type},
    encoding::Encoding,
    endpoint::WebRtc,
    links::{DEFAULT, Link, Port},
    plugin::Plugin,
    processing::Processed,
    random::Random,
    rtp::Rtp,
    rtp_base::BaseRtp,
    stats::Counted,
};
use salono_kurento_model::{Error, ErrorCode, KURENTO, Map, Value, tagged};
use salono_media_api::{ElementSpec, MediaKind, Op};
use std::collections::{BTreeMap, BTreeSet};

/// State of an element.
#[derive(Debug)]
pub(crate) struct Element {
    /// How what it lets out is encoded where that is needed.
    pub(crate) encoding: Encoding,
    /// Descriptions of the streams that come in from connected elements now.
    pub(crate) flowing_in: PerKind<BTreeSet<String>>,
    /// Descriptions of the streams that go out to connected elements now.
    pub(crate) flowing_out: PerKind<BTreeSet<String>>,
    /// Codecs of what the peer sends.
    pub(crate) codecs: PerKind<Option<String>>,
    /// Kinds whose first connection has carried media.
    carried: PerKind<bool>,
    /// Kinds that are decoded and encoded anew for some receiver.
    transcoding: PerKind<bool>,
    /// Ids in `getStats`, so that a client can follow a stream from reading to reading.
    pub(crate) stat_ids: BTreeMap<Counted, String>,
    /// What the class adds.
    pub(crate) kind: Kind,
}

/// What the classes of elements add.
#[derive(Debug)]
pub(crate) enum Kind {
    /// Nothing.
    PassThrough,
    /// Its hub decides what it lets out.
    HubPort,
    /// An endpoint.
    WebRtc(Box<WebRtc>),
    /// An endpoint without ICE and DTLS.
    Rtp(Box<Rtp>),
    /// Works on media itself.
    Processed(Box<Processed>),
}

/// Something for each kind that flows; data has none.
#[derive(Debug, Default, Clone)]
pub(crate) struct PerKind<T> {
    audio: T,
    video: T,
}

impl<T> PerKind<T> {
    pub(crate) fn get(&self, kind: MediaKind) -> Option<&T> {
        match kind {
            MediaKind::Audio => Some(&self.audio),
            MediaKind::Video => Some(&self.video),
            MediaKind::Data => None,
        }
    }

    pub(crate) fn get_mut(&mut self, kind: MediaKind) -> Option<&mut T> {
        match kind {
            MediaKind::Audio => Some(&mut self.audio),
            MediaKind::Video => Some(&mut self.video),
            MediaKind::Data => None,
        }
    }
}

impl Element {
    /// A new element of an available class.
    pub(crate) fn new(qualified: &str, params: &Map<String, Value>, config: &Config) -> Self {
        let kind = match qualified {
            "kurento.WebRtcEndpoint" => Kind::WebRtc(Box::new(WebRtc::new(params, config))),
            "kurento.HubPort" => Kind::HubPort,
            "kurento.RtpEndpoint" => Kind::Rtp(Box::new(Rtp::new(config))),
            _ => Processed::new(qualified, params, config)
                .map_or(Kind::PassThrough, |it| Kind::Processed(Box::new(it))),
        };
        Self::with(kind, config)
    }

    /// A new element of a class of a third-party module.
    pub(crate) fn of_plugin(plugin: Plugin, config: &Config) -> Self {
        let kind = Kind::Processed(Box::new(Processed::Plugin(plugin)));
        Self::with(kind, config)
    }

    fn with(kind: Kind, config: &Config) -> Self {
        Self {
            encoding: Encoding::new(&config.endpoints),
            flowing_in: PerKind::default(),
            flowing_out: PerKind::default(),
            codecs: PerKind::default(),
            carried: PerKind::default(),
            transcoding: PerKind::default(),
            stat_ids: BTreeMap::new(),
            kind,
        }
    }

    /// Whether media of a stream leaves the element, or enters it.
    pub(crate) fn flows(&self, port: &Port, outgoing: bool) -> bool {
        let flow = if outgoing {
            &self.flowing_out
        } else {
            &self.flowing_in
        };
        let streams = flow.get(port.kind);
        streams.is_some_and(|streams| streams.contains(&port.description))
    }

    /// Whether its statistics are those of an endpoint.
    pub(crate) fn is_measured(&self) -> bool {
        match &self.kind {
            Kind::WebRtc(_) | Kind::Rtp(_) => true,
            Kind::PassThrough | Kind::HubPort => false,
            Kind::Processed(processed) => processed.is_measured(),
        }
    }

    /// Whether the engine counts packets and channels of it.
    pub(crate) fn is_counted(&self) -> bool {
        self.endpoint().is_some()
    }

    /// Codec of what the peer sends, once something came.
    pub(crate) fn codec(&self, kind: MediaKind) -> Option<&str> {
        self.codecs.get(kind)?.as_deref()
    }

    /// What the engine makes it from.
    ///
    /// # Errors
    /// When the parameters of an RTP endpoint have a key that is none.
    pub(crate) fn spec(
        &self,
        params: &Map<String, Value>,
        config: &Config,
        random: &mut Random,
    ) -> Result<ElementSpec, Error> {
        Ok(match &self.kind {
            Kind::PassThrough => ElementSpec::PassThrough,
            Kind::HubPort => ElementSpec::HubPort,
            Kind::WebRtc(_) => ElementSpec::WebRtc(WebRtc::spec(params, config)),
            Kind::Rtp(_) => ElementSpec::Rtp(Rtp::spec(params, config, random)?),
            Kind::Processed(processed) => {
                ElementSpec::Processor(Box::new(processed.spec(params, config)?))
            }
        })
    }

    /// What endpoints have in common, if it is one.
    pub(crate) fn endpoint(&self) -> Option<&BaseRtp> {
        match &self.kind {
            Kind::WebRtc(endpoint) => Some(&endpoint.base),
            Kind::Rtp(endpoint) => Some(&endpoint.base),
            Kind::PassThrough | Kind::HubPort | Kind::Processed(_) => None,
        }
    }

    /// What endpoints have in common, if it is one.
    pub(crate) fn endpoint_mut(&mut self) -> Option<&mut BaseRtp> {
        match &mut self.kind {
            Kind::WebRtc(endpoint) => Some(&mut endpoint.base),
            Kind::Rtp(endpoint) => Some(&mut endpoint.base),
            Kind::PassThrough | Kind::HubPort | Kind::Processed(_) => None,
        }
    }

    /// What it adds if it works on media itself.
    pub(crate) fn processed(&self) -> Option<&Processed> {
        match &self.kind {
            Kind::Processed(processed) => Some(processed),
            Kind::PassThrough | Kind::HubPort | Kind::WebRtc(_) | Kind::Rtp(_) => None,
        }
    }

    /// What it adds if it works on media itself.
    pub(crate) fn processed_mut(&mut self) -> Option<&mut Processed> {
        match &mut self.kind {
            Kind::Processed(processed) => Some(processed),
            Kind::PassThrough | Kind::HubPort | Kind::WebRtc(_) | Kind::Rtp(_) => None,
        }
    }

    /// The state of a WebRTC endpoint, if it is one.
    pub(crate) fn web_rtc_mut(&mut self) -> Option<&mut WebRtc> {
        match &mut self.kind {
            Kind::WebRtc(endpoint) => Some(endpoint),
            Kind::PassThrough | Kind::HubPort | Kind::Rtp(_) | Kind::Processed(_) => None,
        }
    }
}

impl ObjectModel {
    /// Operations of `MediaElement`, then of the derived classes.
    pub(crate) fn call_element(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        match call.operation {
            "connect" => Some(self.connect(call)),
            "disconnect" => Some(self.disconnect(call)),
            "getSourceConnections" => {
                let links = self.links.sources_of(call.object);
                Some(Ok(Outcome::Value(
                    self.connections(links, call, |link| &link.sink.description),
                )))
            }
            "getSinkConnections" => {
                let links = self.links.sinks_of(call.object);
                Some(Ok(Outcome::Value(
                    self.connections(links, call, |link| &link.source.description),
                )))
            }
            "isMediaFlowingIn" | "isMediaFlowingOut" | "isMediaTranscoding" => {
                Some(self.flow(call))
            }
            "getStats" => Some(self.ask_stats(call)),
            "setAudioFormat" | "setVideoFormat" => Some(self.set_format(call)),
            _ => self
                .call_encoder(call)
                .map(Ok)
                .or_else(|| self.call_processed(call))
                .or_else(|| self.call_endpoint(call)),
        }
    }

    /// Says once per element and kind that nothing is transcoded: when the first of its connections
    /// carries media.
    pub(crate) fn note_carried(&mut self, source: u64, kind: MediaKind, now: Now) {
        let flows = |port: &Port, outgoing| {
            let element = self.tree.get(port.element);
            let element = element.and_then(|object| object.element());
            element.is_some_and(|element| element.flows(port, outgoing))
        };
        let carries = self.links.sinks_of(source).iter().any(|link| {
            link.sink.kind == kind
                && link.carries_media()
                && flows(&link.source, true)
                && flows(&link.sink, false)
        });
        let element = self
            .tree
            .get_mut(source)
            .and_then(|object| object.element_mut());
        let Some(told) = element
            .and_then(|element| element.carried.get_mut(kind))
            .filter(|told| carries && !**told)
        else {
            return;
        };
        *told = true;
        self.raise_transcoding(source, kind, false, now);
    }

    /// What an element lets out is transcoded for some receiver, or for none any more.
    pub(crate) fn transcoding_changed(&mut self, key: u64, kind: MediaKind, on: bool, now: Now) {
        let object = self.tree.get_mut(key);
        let Some(element) = object.and_then(|object| object.element_mut()) else {
            return;
        };
        let Some(transcoding) = element.transcoding.get_mut(kind) else {
            return;
        };
        if std::mem::replace(transcoding, on) == on {
            return;
        }
        if let Some(told) = element.carried.get_mut(kind) {
            *told = true;
        }
        self.raise_transcoding(key, kind, on, now);
    }

    fn raise_transcoding(&mut self, key: u64, kind: MediaKind, on: bool, now: Now) {
        let state = if on { "TRANSCODING" } else { "NOT_TRANSCODING" };
        let members = [
            ("state", state.into()),
            ("binName", DEFAULT.into()),
            ("mediaType", media_type(kind).into()),
        ];
        self.raise_with(key, "MediaTranscodingStateChanged", members, now);
    }

    /// The links that an invocation is about: one per kind unless it names one.
    fn links_of_call(&self, call: &Call<'_>) -> Vec<Link> {
        let sink = call.text("sink").and_then(|id| self.tree.by_id(id));
        let Some(sink) = sink.map(|object| object.key) else {
            return Vec::new();
        };
        let port = |element, kind, description: Option<&str>| Port {
            element,
            kind,
            description: description.unwrap_or(DEFAULT).to_owned(),
        };
        let kinds = match call.media_kind("mediaType") {
            Some(kind) => vec![kind],
            None => MediaKind::ALL.to_vec(),
        };
        kinds
            .into_iter()
            .map(|kind| Link {
                source: port(call.object, kind, call.text("sourceMediaDescription")),
                sink: port(sink, kind, call.text("sinkMediaDescription")),
            })
            .collect()
    }

    fn connect(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let links = self.links_of_call(call);
        let pipeline = self
            .tree
            .get(call.object)
            .and_then(|object| object.pipeline);
        for link in &links {
            let other = self
                .tree
                .get(link.sink.element)
                .and_then(|object| object.pipeline);
            if other != pipeline {
                return Err(Error::new(
                    ErrorCode::ConnectError,
                    "Media elements do not share pipeline",
                ));
            }
        }
        let limit = self.config.limits.sources_per_element;
        let new = links
            .iter()
            .filter(|link| !self.links.has_source(&link.sink))
            .count();
        if let Some(link) = links.first()
            && self.links.sources_of(link.sink.element).len() + new > limit
        {
            return Err(Error::new(
                ErrorCode::NotEnoughResources,
                format!("Reached the limit of {limit} sources of one element"),
            ));
        }
        for link in links {
            let before = self.links.connect(link.clone());
            if let Some(before) = before {
                let data = self.link_event(&before);
                self.raise(before.source.element, "ElementDisconnected", data, call.now);
                // The engine replaces a source by itself where the new one carries media.
                if before.carries_media() && !link.carries_media() {
                    self.order_link(pipeline, &before, false);
                }
            }
            if link.carries_media() {
                self.order_link(pipeline, &link, true);
            }
            let data = self.link_event(&link);
            self.raise(call.object, "ElementConnected", data, call.now);
            if link.carries_media() {
                self.note_carried(call.object, link.sink.kind, call.now);
            }
        }
        Ok(Outcome::VOID)
    }

    fn disconnect(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let pipeline = self
            .tree
            .get(call.object)
            .and_then(|object| object.pipeline);
        for link in self.links_of_call(call) {
            if self.links.disconnect(&link) && link.carries_media() {
                self.order_link(pipeline, &link, false);
            }
            // The event comes even where there was no link.
            let data = self.link_event(&link);
            self.raise(call.object, "ElementDisconnected", data, call.now);
        }
        Ok(Outcome::VOID)
    }

    fn order_link(&mut self, pipeline: Option<u64>, link: &Link, connect: bool) {
        let Some(pipeline) = pipeline else {
            return;
        };
        let (source, sink) = (link.source.pad(), link.sink.pad());
        let kind = link.sink.kind;
        let op = if connect {
            Op::Connect { source, sink, kind }
        } else {
            Op::Disconnect { source, sink, kind }
        };
        self.order(pipeline, op);
    }

    fn connections(
        &self,
        links: Vec<Link>,
        call: &Call<'_>,
        description: impl Fn(&Link) -> &String,
    ) -> Value {
        let id_of =
            |key: u64| -> Value { self.tree.get(key).map(|object| object.id.as_ref()).into() };
        links
            .into_iter()
            .filter(|link| {
                call.media_kind("mediaType")
                    .is_none_or(|kind| kind == link.sink.kind)
            })
            .filter(|link| {
                call.text("description")
                    .is_none_or(|wanted| wanted == description(link))
            })
            .map(|link| {
                let members = Map::from_iter([
                    ("source".to_owned(), id_of(link.source.element)),
                    ("sink".to_owned(), id_of(link.sink.element)),
                    ("type".to_owned(), media_type(link.sink.kind).into()),
                    (
                        "sourceDescription".to_owned(),
                        link.source.description.into(),
                    ),
                    ("sinkDescription".to_owned(), link.sink.description.into()),
                ]);
                tagged(KURENTO, "ElementConnectionData", members)
            })
            .collect()
    }

    fn flow(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let kind = call.media_kind("mediaType").unwrap_or(MediaKind::Data);
        let what = call.operation.strip_prefix("is").unwrap_or_default();
        let element = self
            .tree
            .get_mut(call.object)
            .and_then(|object| object.element_mut());
        let Some(element) = element else {
            return Ok(Outcome::VOID);
        };
        let flow = match what {
            "MediaFlowingIn" => &mut element.flowing_in,
            "MediaFlowingOut" => &mut element.flowing_out,
            _ => {
                let Some(transcoding) = element.transcoding.get(kind) else {
                    return Err(no_flow(what));
                };
                let named = call.text("binName").unwrap_or(DEFAULT);
                return Outcome::value(*transcoding && named == DEFAULT);
            }
        };
        let Some(flowing) = flow.get_mut(kind) else {
            return Err(no_flow(what));
        };
        let named = call
            .text("sinkMediaDescription")
            .or_else(|| call.text("sourceMediaDescription"))
            .unwrap_or(DEFAULT);
        Outcome::value(flowing.contains(named))
    }
}

fn no_flow(what: &str) -> Error {
    Error::new(
        ErrorCode::MediaObjectIllegalParam,
        format!("Media type DATA is not supported for {what}"),
    )
}
