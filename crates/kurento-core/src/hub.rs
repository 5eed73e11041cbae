//! Hubs, and what the switching ones do: `Dispatcher`, `DispatcherOneToMany`, `Mixer`.
//!
//! A hub that switches carries no media itself. Elements connect to its ports, which are elements too, and
//! the hub says for each port what leaves there: one kind of what comes in at a port. The media engine
//! knows ports and routes only. Hubs that work on media themselves are elements of the engine, too
//! (`mixing`).

use crate::{
    ObjectModel,
    call::{Call, Outcome, media_type},
    layout::LAYOUT_COMPOSITE,
    tree::Body,
};
use salono_kurento_model::{Error, ErrorCode};
use salono_media_api::{ElementKey, MediaKind, Op};
use std::collections::{BTreeMap, BTreeSet};

/// What hubs switch; messages of data channels do not pass them.
const SWITCHED: [MediaKind; 2] = [MediaKind::Audio, MediaKind::Video];

/// State of a hub. Its ports are its children in the tree.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) kind: HubKind,
    /// Which port hears which others, where that is said pair by pair: source last.
    pub(crate) heard: BTreeSet<(u64, u64)>,
    /// By the port that media leaves by, the port that it comes in by.
    routes: BTreeMap<(u64, MediaKind), u64>,
}

/// Which class a hub is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum HubKind {
    /// Any port to any port.
    Dispatcher,
    /// One port to all others.
    OneToMany {
        /// The port, if there is one.
        source: Option<u64>,
    },
    /// Any port to any port, kind by kind.
    Mixer {
        /// Sound is mixed; without, the sound of one port is switched like pictures.
        mixes: bool,
    },
    /// A grid of pictures, and all sound.
    Composite,
    /// Pictures over one another, and all sound.
    AlphaBlending,
}

impl Hub {
    /// A hub of an available class; `None` for classes that are no hubs.
    pub(crate) fn new(qualified: &str) -> Option<Self> {
        let kind = match qualified {
            "kurento.Dispatcher" => HubKind::Dispatcher,
            "kurento.DispatcherOneToMany" => HubKind::OneToMany { source: None },
            "kurento.Mixer" => HubKind::Mixer { mixes: true },
            "kurento.Composite" | LAYOUT_COMPOSITE => HubKind::Composite,
            "kurento.AlphaBlending" => HubKind::AlphaBlending,
            _ => return None,
        };
        Some(Self {
            kind,
            heard: BTreeSet::new(),
            routes: BTreeMap::new(),
        })
    }

    /// Whether it works on media itself, instead of switching.
    pub(crate) fn mixes(&self) -> bool {
        match self.kind {
            HubKind::Dispatcher | HubKind::OneToMany { .. } => false,
            HubKind::Mixer { mixes } => mixes,
            HubKind::Composite | HubKind::AlphaBlending => true,
        }
    }

    /// What leaves where: port, kind, and the port that it comes in by.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (u64, MediaKind, u64)> {
        let switched = self.routes.iter();
        let heard = self.heard.iter();
        switched
            .map(|((port, kind), from)| (*port, *kind, *from))
            .chain(heard.map(|(port, from)| (*port, MediaKind::Audio, *from)))
    }

    /// The port whose input leaves by this one.
    pub(crate) fn source_of(&self, port: u64, kind: MediaKind) -> Option<u64> {
        self.routes.get(&(port, kind)).copied()
    }

    /// Forgets a port that ends; the engine does so by itself.
    fn forget(&mut self, port: u64) {
        self.routes
            .retain(|(to, _), from| *to != port && *from != port);
        self.heard.retain(|(to, from)| *to != port && *from != port);
        if let HubKind::OneToMany { source } = &mut self.kind
            && *source == Some(port)
        {
            *source = None;
        }
    }
}

impl ObjectModel {
    /// Operations of hubs.
    pub(crate) fn call_hub(&mut self, call: &Call<'_>) -> Option<Result<Outcome, Error>> {
        let kind = self.tree.get(call.object)?.hub()?.kind;
        match (kind, call.operation) {
            (HubKind::Dispatcher, "connect") => Some(self.dispatch(call)),
            (HubKind::OneToMany { .. }, "setSource") => Some(self.set_source(call)),
            (HubKind::OneToMany { .. }, "removeSource") => {
                self.send_to_all(call.object, None);
                Some(Ok(Outcome::VOID))
            }
            (HubKind::Mixer { mixes }, "connect") => Some(self.mix(call, mixes)),
            (HubKind::Mixer { mixes }, "disconnect") => Some(self.unmix(call, mixes)),
            (HubKind::AlphaBlending, "setMaster") => Some(self.set_master(call)),
            (HubKind::AlphaBlending, "setPortProperties") => Some(self.place_port(call)),
            (HubKind::Composite, "setLayout") => Some(self.set_layout(call)),
            _ => None,
        }
    }

    /// Forgets a child that ends, if the object is a hub.
    pub(crate) fn forget_port(&mut self, hub: u64, port: u64) {
        if let Some(hub) = self.tree.get_mut(hub).and_then(|hub| hub.hub_mut()) {
            hub.forget(port);
        }
    }

    /// Lets a new port take part.
    pub(crate) fn add_port(&mut self, hub: u64, port: u64) {
        let kind = self
            .tree
            .get(hub)
            .and_then(|hub| hub.hub())
            .map(|it| it.kind);
        if let Some(HubKind::OneToMany { source }) = kind {
            for kind in SWITCHED {
                self.route(hub, port, kind, source);
            }
        }
    }

    fn dispatch(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let error = "Can not connect ports";
        let (source, sink) = (
            self.port(call, "source", error)?,
            self.port(call, "sink", error)?,
        );
        for kind in SWITCHED {
            self.route(call.object, sink, kind, Some(source));
        }
        Ok(Outcome::VOID)
    }

    fn set_source(&mut self, call: &Call<'_>) -> Result<Outcome, Error> {
        let source = self.port(call, "source", "Can not connect ports")?;
        self.send_to_all(call.object, Some(source));
        Ok(Outcome::VOID)
    }

    /// Sends what comes in at one port to all others, or nothing to any.
    fn send_to_all(&mut self, key: u64, from: Option<u64>) {
        let Some(object) = self.tree.get_mut(key) else {
            return;
        };
        let ports = object.children.clone();
        if let Some(HubKind::OneToMany { source }) = object.hub_mut().map(|hub| &mut hub.kind) {
            *source = from;
        }
        for port in ports {
            for kind in SWITCHED {
                self.route(key, port, kind, from.filter(|from| *from != port));
            }
        }
    }

    fn mix(&mut self, call: &Call<'_>, mixes: bool) -> Result<Outcome, Error> {
        let kind = mixed(call)?;
        let error = match kind {
            MediaKind::Audio => "Can not connect audio ports",
            MediaKind::Video | MediaKind::Data => "Can not connect video ports",
        };
        let (source, sink) = (
            self.port(call, "source", error)?,
            self.port(call, "sink", error)?,
        );
        if mixes && kind == MediaKind::Audio {
            return Ok(self.hear(call.object, source, sink, true));
        }
        // The mix of one source is that source.
        if kind == MediaKind::Audio
            && let Some(other) = self.routed(call.object, sink, kind)
            && other != source
        {
            return Err(Error::new(
                ErrorCode::NotImplemented,
                "The sink has an audio source already: mixing several needs the media processor, which this server does not have",
            ));
        }
        self.route(call.object, sink, kind, Some(source));
        Ok(Outcome::VOID)
    }

    fn unmix(&mut self, call: &Call<'_>, mixes: bool) -> Result<Outcome, Error> {
        let kind = mixed(call)?;
        let error = "Can not disconnect ports";
        let (source, sink) = (
            self.port(call, "source", error)?,
            self.port(call, "sink", error)?,
        );
        if mixes && kind == MediaKind::Audio {
            return Ok(self.hear(call.object, source, sink, false));
        }
        if self.routed(call.object, sink, kind) == Some(source) {
            self.route(call.object, sink, kind, None);
        }
        Ok(Outcome::VOID)
    }

    /// A port of the hub that is called.
    pub(crate) fn port(&self, call: &Call<'_>, name: &str, error: &str) -> Result<u64, Error> {
        call.text(name)
            .and_then(|id| self.tree.by_id(id))
            .filter(|port| port.parent == Some(call.object))
            .map(|port| port.key)
            .ok_or_else(|| Error::new(ErrorCode::ConnectError, error))
    }

    /// The port whose input leaves by this one.
    fn routed(&self, hub: u64, port: u64, kind: MediaKind) -> Option<u64> {
        self.tree.get(hub)?.hub()?.source_of(port, kind)
    }

    /// Decides what leaves by a port.
    fn route(&mut self, key: u64, port: u64, kind: MediaKind, from: Option<u64>) {
        let Some(object) = self.tree.get_mut(key) else {
            return;
        };
        let pipeline = object.pipeline;
        let Some(hub) = object.hub_mut() else {
            return;
        };
        let before = match from {
            Some(from) => hub.routes.insert((port, kind), from),
            None => hub.routes.remove(&(port, kind)),
        };
        if let Some(pipeline) = pipeline.filter(|_| before != from) {
            self.order(
                pipeline,
                Op::Route {
                    port: ElementKey(port),
                    from: from.map(ElementKey),
                    kind,
                },
            );
        }
    }
}

impl crate::tree::Object {
    /// The hub state, if it is one.
    pub(crate) fn hub(&self) -> Option<&Hub> {
        match &self.body {
            Body::Hub(hub) => Some(hub),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Speakers(_)
            | Body::Adaptation(_) => None,
        }
    }

    pub(crate) fn hub_mut(&mut self) -> Option<&mut Hub> {
        match &mut self.body {
            Body::Hub(hub) => Some(hub),
            Body::Manager
            | Body::Pipeline { .. }
            | Body::Element(_)
            | Body::Speakers(_)
            | Body::Adaptation(_) => None,
        }
    }
}

/// The kind of media that a mixer is asked for.
fn mixed(call: &Call<'_>) -> Result<MediaKind, Error> {
    let kind = call.media_kind("media").unwrap_or(MediaKind::Data);
    if SWITCHED.contains(&kind) {
        return Ok(kind);
    }
    Err(Error::new(
        ErrorCode::UnsupportedMediaType,
        format!("A mixer does not take {}", media_type(kind)),
    ))
}
