//! The control thread: carries commands out, passes messages on, and looks at the time.

mod wiring;

use crate::element::{Context, Done, Owner};
use crate::elements::{self, Elements};
use crate::host::Host;
use crate::inbox::{Input, Note};
use crate::inlet::Inlet;
use crate::media::Media;
use crate::outlet::Outlet;
use crate::reports::Answer;
use crate::routes::Routes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gstreamer as gst;
use salono_media_api::processing::bridge::{
    BridgeCommand, BridgeEvent, InletKey, Origin, OutletKey, VERSION,
};
use salono_media_api::processing::{ProcessorCall, ProcessorError, ProcessorReply};
use salono_media_api::{ElementKey, MediaError, MediaErrorKind, MediaKind};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How often elements look at the time.
pub const TICK: Duration = Duration::from_millis(250);

/// Without a buffer for this long, media no longer flows.
const STILL: Duration = Duration::from_secs(2);

/// Elements have this long to finish when the process ends; a little later the supervisor ends it.
const FINISH: Duration = Duration::from_millis(4_500);

/// The supervisor has this long to read the last events.
const PARTING: Duration = Duration::from_secs(2);

/// Elements, inlets and outlets of one processor, each.
pub const MAX_OBJECTS: usize = 4_096;

/// Everything that the control thread owns.
pub struct Processor {
    host: Host,
    routes: Routes,
    elements: Elements,
    links: BTreeMap<(ElementKey, MediaKind), Link>,
    inlets: BTreeMap<InletKey, Inlet>,
    outlets: BTreeMap<OutletKey, Outlet>,
    /// What leaves elements, as reported: flowing or not.
    flows: BTreeMap<(ElementKey, MediaKind), bool>,
    begun: bool,
    /// Held by all that is still being finished.
    alive: SyncSender<()>,
    finished: Receiver<()>,
}

/// What enters an element.
#[derive(Debug)]
struct Link {
    origin: Origin,
    /// Known to the element: the origin exists.
    made: bool,
    flows: bool,
}

impl Processor {
    /// With nothing in it.
    pub fn new(host: Host, routes: Routes) -> Self {
        let (alive, finished) = sync_channel(1);
        Self {
            host,
            routes,
            elements: BTreeMap::new(),
            links: BTreeMap::new(),
            inlets: BTreeMap::new(),
            outlets: BTreeMap::new(),
            flows: BTreeMap::new(),
            begun: false,
            alive,
            finished,
        }
    }

    /// Works until it is told to end, or the supervisor is gone.
    pub fn run(mut self) {
        self.host
            .reports()
            .send(BridgeEvent::Ready { version: VERSION });
        let mut next = Instant::now() + TICK;
        loop {
            let patience = next.saturating_duration_since(Instant::now());
            match self.host.inbox().wait(patience) {
                Input::Command(BridgeCommand::End) | Input::Closed => break,
                Input::Command(command) => self.command(command),
                Input::Note(note) => self.note(note),
                Input::Timeout => {}
            }
            if Instant::now() >= next {
                self.tick();
                next = Instant::now() + TICK;
            }
        }
        self.end();
    }

    /// Lets everything finish.
    fn end(mut self) {
        for key in self.outlets.keys().copied().collect::<Vec<_>>() {
            self.close_outlet(key);
        }
        for element in self.elements.keys().copied().collect::<Vec<_>>() {
            self.release(element);
        }
        self.inlets.clear();
        drop(self.alive);
        if self.finished.recv_timeout(FINISH) == Err(RecvTimeoutError::Timeout) {
            eprintln!("elements did not finish in time");
        }
        self.host.reports().drain(PARTING);
    }

    fn command(&mut self, command: BridgeCommand) {
        if let BridgeCommand::Begin { version, policy } = command {
            if version != VERSION {
                eprintln!("the supervisor speaks version {version}, this is {VERSION}");
            }
            self.begun = version == VERSION && self.host.allow(policy);
            return;
        }
        if let BridgeCommand::Ping = command {
            self.host.reports().send(BridgeEvent::Pong);
            return;
        }
        if !self.begun {
            eprintln!("a command came before the processor may begin");
        }
        match command {
            BridgeCommand::Begin { .. } | BridgeCommand::Ping | BridgeCommand::End => {}
            BridgeCommand::Create {
                token,
                element,
                spec,
                resume,
            } => {
                let answer = Answer::new(self.host.reports(), token);
                match self.create(element, spec, resume, token.is_none()) {
                    Ok(()) => answer.done(),
                    Err(error) => answer.send(Err(error)),
                }
            }
            BridgeCommand::Release { element } => self.release(element),
            BridgeCommand::Call {
                token,
                element,
                call,
            } => {
                let answer = Answer::new(self.host.reports(), Some(token));
                if !self.elements.contains_key(&element) {
                    answer.fail(MediaErrorKind::NotFound, "no such element");
                } else if call == ProcessorCall::Dot {
                    answer.send(Ok(ProcessorReply::Text(self.host.dot(element))));
                } else {
                    self.guard(element, |this| {
                        if let Some(element) = this.elements.get_mut(&element) {
                            element.call(call, answer);
                        }
                    });
                }
            }
            BridgeCommand::Link { sink, kind, source } => self.link(sink, kind, source),
            BridgeCommand::OpenInlet {
                inlet,
                kind,
                format,
            } => self.open_inlet(inlet, kind, &format),
            BridgeCommand::CloseInlet { inlet } => self.close_inlet(inlet),
            BridgeCommand::OpenOutlet {
                outlet,
                origin,
                kind,
                format,
            } => self.open_outlet(outlet, origin, kind, format),
            BridgeCommand::CloseOutlet { outlet } => self.close_outlet(outlet),
            BridgeCommand::SetEncoding { origin, encoding } => {
                for kind in [MediaKind::Audio, MediaKind::Video] {
                    if let Some(media) = self.media(origin, kind) {
                        media.set_encoding(encoding.clone());
                    }
                }
                self.feedback();
            }
            BridgeCommand::Message {
                sink,
                binary,
                base64,
            } => {
                let Ok(bytes) = STANDARD.decode(base64) else {
                    return;
                };
                self.guard(sink, |this| {
                    if let Some(element) = this.elements.get_mut(&sink) {
                        element.message(binary, &bytes);
                    }
                });
            }
        }
    }

    fn create(
        &mut self,
        key: ElementKey,
        spec: salono_media_api::processing::ProcessorSpec,
        resume: Option<String>,
        is_again: bool,
    ) -> Result<(), MediaError> {
        if !self.begun {
            let text = "the processor was not told what it may reach";
            return Err(MediaError::new(MediaErrorKind::Internal, text));
        }
        if self.elements.len() >= MAX_OBJECTS || self.elements.contains_key(&key) {
            let text = "too many elements in the pipeline, or twice the same";
            return Err(MediaError::new(MediaErrorKind::Limit, text));
        }
        let context = Context {
            element: key,
            host: self.host.clone(),
            resume,
            is_again,
        };
        let elements = &mut self.elements;
        let made = catch_unwind(AssertUnwindSafe(|| elements::make(spec, context, elements)));
        let element = made.unwrap_or_else(|_| {
            let text = "the element failed while it was made";
            Err(MediaError::new(MediaErrorKind::Internal, text))
        })?;
        self.elements.insert(key, element);
        self.appeared(Origin::Element(key));
        self.connect_links(|sink, _| sink == key);
        Ok(())
    }

    fn release(&mut self, key: ElementKey) {
        let Some(element) = self.elements.remove(&key) else {
            return;
        };
        self.links.retain(|(sink, _), _| *sink != key);
        self.flows.retain(|(element, _), _| *element != key);
        self.vanished(Origin::Element(key));
        let done = Done {
            _alive: self.alive.clone(),
        };
        if catch_unwind(AssertUnwindSafe(|| element.release(done))).is_err() {
            eprintln!("element {} failed while it was released", key.0);
        }
    }

    fn media(&self, origin: Origin, kind: MediaKind) -> Option<Media> {
        let media = match origin {
            Origin::Element(element) => self.elements.get(&element)?.media(kind)?,
            Origin::Inlet(inlet) => self.inlets.get(&inlet)?.media(),
        };
        (media.kind() == kind).then(|| media.clone())
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Bus(owner, message) => self.bus(owner, &message),
            Note::Format(origin, kind) => self.format_changed(origin, kind),
            Note::Element(element, note) => self.guard(element, |this| {
                if let Some(element) = this.elements.get_mut(&element) {
                    element.note(note);
                }
            }),
            Note::Feedback => self.feedback(),
        }
    }

    fn bus(&mut self, owner: Owner, message: &gst::Message) {
        match owner {
            Owner::Element(key) => self.guard(key, |this| {
                if let Some(element) = this.elements.get_mut(&key) {
                    element.bus(message);
                }
            }),
            Owner::Inlet(key) => {
                if let Some(inlet) = self.inlets.get_mut(&key) {
                    inlet.bus(&self.host, key, message);
                }
            }
            Owner::Outlet(key) => {
                if let Some(outlet) = self.outlets.get_mut(&key) {
                    outlet.bus(&self.host, message);
                }
            }
            Owner::Codec(origin, kind) => {
                if let Some(media) = self.media(origin, kind) {
                    media.bus(message);
                }
            }
        }
    }

    fn format_changed(&mut self, origin: Origin, kind: MediaKind) {
        let Some(media) = self.media(origin, kind) else {
            return;
        };
        media.reformat();
        if let Origin::Element(element) = origin {
            self.produces(element, &media);
        }
        for (outlet, host) in self.outlets_of(origin, kind) {
            outlet.plan(host, Some(&media));
        }
        let sinks: Vec<_> = self
            .links
            .iter()
            .filter(|((_, of), link)| *of == kind && link.origin == origin && link.made)
            .map(|((sink, _), _)| *sink)
            .collect();
        for sink in sinks {
            self.guard(sink, |this| {
                if let Some(element) = this.elements.get_mut(&sink) {
                    element.format_changed(kind);
                }
            });
        }
        media.settle();
    }

    fn produces(&self, element: ElementKey, media: &Media) {
        let native = match media.format() {
            None => return,
            Some(crate::codec::Format::Raw) => None,
            Some(crate::codec::Format::Encoded(codec)) => {
                Some(codec.native_format(media.native().caps().as_ref()))
            }
        };
        self.host.reports().send(BridgeEvent::Produces {
            element,
            kind: media.kind(),
            native,
        });
    }

    fn feedback(&mut self) {
        for outlet in self.outlets.values_mut() {
            outlet.feedback(&self.host);
        }
    }

    fn tick(&mut self) {
        for key in self.elements.keys().copied().collect::<Vec<_>>() {
            self.guard(key, |this| {
                if let Some(element) = this.elements.get_mut(&key) {
                    element.tick();
                }
            });
        }
        for outlet in self.outlets.values_mut() {
            outlet.tick(&self.host);
        }
        self.flows();
    }

    /// Reports what began to flow or ceased to.
    fn flows(&mut self) {
        let mut news = Vec::new();
        for (key, element) in &self.elements {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let Some(media) = element.media(kind) else {
                    continue;
                };
                let known = self.flows.entry((*key, kind)).or_default();
                if *known != is_flowing(media) {
                    *known = !*known;
                    news.push((*key, kind, true, *known));
                }
            }
        }
        let origins: Vec<_> = self
            .links
            .iter()
            .map(|(at, link)| (*at, link.origin))
            .collect();
        for ((sink, kind), origin) in origins {
            let flows = self
                .media(origin, kind)
                .is_some_and(|media| is_flowing(&media));
            if let Some(link) = self.links.get_mut(&(sink, kind))
                && link.flows != flows
            {
                link.flows = flows;
                news.push((sink, kind, false, flows));
            }
        }
        for (element, kind, out, flowing) in news {
            self.flow(element, kind, out, flowing);
        }
    }

    fn flow(&self, element: ElementKey, kind: MediaKind, out: bool, flowing: bool) {
        self.host.reports().send(BridgeEvent::Flow {
            element,
            kind,
            out,
            flowing,
        });
    }

    /// Runs something of an element; one that panics is taken out, the others go on.
    fn guard(&mut self, key: ElementKey, run: impl FnOnce(&mut Self)) {
        let result = catch_unwind(AssertUnwindSafe(|| run(self)));
        if result.is_err() {
            let error = ProcessorError {
                code: 0,
                kind: "UNEXPECTED_ELEMENT_ERROR".to_owned(),
                description: "the element failed and was taken out".to_owned(),
            };
            self.host.reports().error(key, error);
            self.release(key);
        }
    }
}

fn is_flowing(media: &Media) -> bool {
    media
        .native()
        .published()
        .is_some_and(|published| published.elapsed() < STILL)
}
