//! What leads where: links, inlets and outlets, and what becomes of them when their origins come and go.

use super::{Link, MAX_OBJECTS, Processor};
use crate::host::Host;
use crate::inlet::Inlet;
use crate::media::Media;
use crate::outlet::Outlet;
use salono_media_api::processing::bridge::{InletKey, Origin, OutletKey, RtpFormat};
use salono_media_api::{ElementKey, MediaKind};

impl Processor {
    pub(super) fn link(&mut self, sink: ElementKey, kind: MediaKind, source: Option<Origin>) {
        let before = self.links.remove(&(sink, kind));
        match source {
            Some(origin) if self.links.len() < 2 * MAX_OBJECTS => {
                let link = Link {
                    origin,
                    made: false,
                    flows: before.as_ref().is_some_and(|before| before.flows),
                };
                self.links.insert((sink, kind), link);
            }
            Some(_) | None => {
                if before.as_ref().is_some_and(|before| before.flows) {
                    self.flow(sink, kind, false, false);
                }
            }
        }
        // A source that is not there yet: nothing enters until it comes.
        if before.is_some_and(|before| before.made) {
            self.set_link(sink, kind, None);
        }
        self.connect_links(|element, of| element == sink && of == kind);
    }

    /// Makes the links of these sinks whose origins exist.
    pub(super) fn connect_links(&mut self, which: impl Fn(ElementKey, MediaKind) -> bool) {
        let waiting: Vec<_> = self
            .links
            .iter()
            .filter(|((sink, kind), link)| !link.made && which(*sink, *kind))
            .map(|(at, link)| (*at, link.origin))
            .collect();
        for ((sink, kind), origin) in waiting {
            if !self.elements.contains_key(&sink) {
                continue;
            }
            let Some(media) = self.media(origin, kind) else {
                continue;
            };
            if let Some(link) = self.links.get_mut(&(sink, kind)) {
                link.made = true;
            }
            self.set_link(sink, kind, Some(media));
        }
    }

    fn set_link(&mut self, sink: ElementKey, kind: MediaKind, media: Option<Media>) {
        self.guard(sink, |this| {
            if let Some(element) = this.elements.get_mut(&sink) {
                element.link(kind, media);
            }
        });
    }

    pub(super) fn open_inlet(&mut self, key: InletKey, kind: MediaKind, format: &RtpFormat) {
        let is_full = self.inlets.len() >= MAX_OBJECTS;
        let result = match self.inlets.get_mut(&key) {
            Some(inlet) => inlet.reopen(&self.host, key, format),
            None if is_full => return,
            None => Inlet::open(&self.host, key, kind, format).map(|inlet| {
                self.routes.set_inlet(key.0, Some(inlet.port().clone()));
                self.inlets.insert(key, inlet);
            }),
        };
        match result {
            Ok(()) => self.appeared(Origin::Inlet(key)),
            Err(error) => eprintln!("inlet {}: {error}", key.0),
        }
    }

    pub(super) fn close_inlet(&mut self, key: InletKey) {
        self.routes.set_inlet(key.0, None);
        if let Some(inlet) = self.inlets.remove(&key) {
            self.vanished(Origin::Inlet(key));
            inlet.media().native().end();
        }
    }

    pub(super) fn open_outlet(
        &mut self,
        key: OutletKey,
        origin: Origin,
        kind: MediaKind,
        format: RtpFormat,
    ) {
        if self.outlets.len() >= MAX_OBJECTS || self.outlets.contains_key(&key) {
            return;
        }
        match Outlet::open(key, origin, kind, format) {
            Ok(mut outlet) => {
                self.routes
                    .set_outlet(key.0, Some(std::sync::Arc::clone(outlet.port())));
                outlet.plan(&self.host, self.media(origin, kind).as_ref());
                self.outlets.insert(key, outlet);
            }
            Err(error) => eprintln!("outlet {}: {error}", key.0),
        }
    }

    pub(super) fn close_outlet(&mut self, key: OutletKey) {
        self.routes.set_outlet(key.0, None);
        self.outlets.remove(&key);
    }

    /// An origin exists from now on: whoever waits for it gets it.
    pub(super) fn appeared(&mut self, origin: Origin) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            if let Some(media) = self.media(origin, kind) {
                for outlet in self.outlets_of(origin, kind) {
                    outlet.0.plan(outlet.1, Some(&media));
                }
            }
        }
        let to: Vec<_> = self
            .links
            .iter()
            .filter(|(_, link)| link.origin == origin)
            .map(|(at, _)| *at)
            .collect();
        self.connect_links(|sink, kind| to.contains(&(sink, kind)));
    }

    /// An origin is gone: nothing comes from it any more.
    pub(super) fn vanished(&mut self, origin: Origin) {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            for outlet in self.outlets_of(origin, kind) {
                outlet.0.plan(outlet.1, None);
            }
        }
        let mut cut = Vec::new();
        for (at, link) in &mut self.links {
            if link.origin == origin && std::mem::take(&mut link.made) {
                cut.push(*at);
            }
        }
        for (sink, kind) in cut {
            self.set_link(sink, kind, None);
        }
    }

    pub(super) fn outlets_of(
        &mut self,
        origin: Origin,
        kind: MediaKind,
    ) -> impl Iterator<Item = (&mut Outlet, &Host)> {
        let host = &self.host;
        self.outlets
            .values_mut()
            .filter(move |outlet| outlet.origin() == origin && outlet.kind() == kind)
            .map(move |outlet| (outlet, host))
    }
}
