//! Who sends what to whom.
//!
//! A sink input (kind and description) has at most one source; a source output feeds any number of
//! sinks. What is called [`DEFAULT`] is the first stream of a kind, other descriptions are names of
//! further ones; data has one stream only.

use crate::call::media_type;
use salono_media_api::{ElementKey, MediaKind, Pad, StreamName};
use std::collections::{BTreeMap, BTreeSet};

/// The description of the stream that counts where none is described.
pub(crate) const DEFAULT: &str = "default";

/// An output or an input of an element.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Port {
    /// Number of the element.
    pub(crate) element: u64,
    /// What passes.
    pub(crate) kind: MediaKind,
    /// Which of several streams of the kind.
    pub(crate) description: String,
}

impl Port {
    /// What the engine knows it by.
    pub(crate) fn pad(&self) -> Pad {
        Pad {
            element: ElementKey(self.element),
            stream: match self.description.as_str() {
                DEFAULT => StreamName::Default,
                name => StreamName::Named(name.into()),
            },
        }
    }
}

/// A connection between two elements.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Link {
    /// Output.
    pub(crate) source: Port,
    /// Input.
    pub(crate) sink: Port,
}

impl Link {
    /// Whether media takes it.
    pub(crate) fn carries_media(&self) -> bool {
        self.sink.kind != MediaKind::Data
            || (self.source.description == DEFAULT && self.sink.description == DEFAULT)
    }
}

/// All links.
#[derive(Debug, Default)]
pub(crate) struct Links {
    by_sink: BTreeMap<Port, Port>,
    by_source: BTreeSet<Link>,
}

impl Links {
    /// Adds a link and returns the one that it replaces; `None` too when it was there before.
    pub(crate) fn connect(&mut self, link: Link) -> Option<Link> {
        let before = self
            .by_sink
            .insert(link.sink.clone(), link.source.clone())
            .map(|source| Link {
                source,
                sink: link.sink.clone(),
            })
            .filter(|before| *before != link);
        if let Some(before) = &before {
            self.by_source.remove(before);
        }
        self.by_source.insert(link);
        before
    }

    /// Removes a link; false when there was none.
    pub(crate) fn disconnect(&mut self, link: &Link) -> bool {
        let found = self.by_source.remove(link);
        if found {
            self.by_sink.remove(&link.sink);
        }
        found
    }

    /// Whether this input has a source.
    pub(crate) fn has_source(&self, sink: &Port) -> bool {
        self.by_sink.contains_key(sink)
    }

    /// The element whose media of a kind comes in by the default stream.
    pub(crate) fn source_of(&self, element: u64, kind: MediaKind) -> Option<u64> {
        self.source_of_stream(element, kind, DEFAULT)
    }

    /// The element whose media of a kind comes in by a stream.
    pub(crate) fn source_of_stream(
        &self,
        element: u64,
        kind: MediaKind,
        description: &str,
    ) -> Option<u64> {
        let sink = Port {
            element,
            kind,
            description: description.to_owned(),
        };
        self.by_sink.get(&sink).map(|source| source.element)
    }

    /// Links that bring something to the element, by kind and description.
    pub(crate) fn sources_of(&self, element: u64) -> Vec<Link> {
        in_order(
            self.by_sink
                .range(first(element)..first(element + 1))
                .map(|(sink, source)| Link {
                    source: source.clone(),
                    sink: sink.clone(),
                }),
        )
    }

    /// Links that take something from the element, by kind and description.
    pub(crate) fn sinks_of(&self, element: u64) -> Vec<Link> {
        let bound = |element| Link {
            source: first(element),
            sink: first(0),
        };
        in_order(
            self.by_source
                .range(bound(element)..bound(element + 1))
                .cloned(),
        )
    }
}

/// Kinds in the order of their names, as Kurento lists them.
fn in_order(links: impl Iterator<Item = Link>) -> Vec<Link> {
    let mut links: Vec<Link> = links.collect();
    links.sort_by_key(|link| media_type(link.sink.kind));
    links
}

/// The port that orders before all others of the element.
fn first(element: u64) -> Port {
    Port {
        element,
        kind: MediaKind::Audio,
        description: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(source: u64, sink: u64, kind: MediaKind) -> Link {
        let port = |element| Port {
            element,
            kind,
            description: DEFAULT.to_owned(),
        };
        Link {
            source: port(source),
            sink: port(sink),
        }
    }

    #[test]
    fn a_new_source_replaces_the_old_one_of_that_kind_only() {
        let mut links = Links::default();
        assert_eq!(links.connect(link(1, 3, MediaKind::Audio)), None);
        assert_eq!(links.connect(link(1, 3, MediaKind::Video)), None);
        assert_eq!(links.connect(link(1, 3, MediaKind::Video)), None);
        let before = links.connect(link(2, 3, MediaKind::Video));
        assert_eq!(before, Some(link(1, 3, MediaKind::Video)));
        assert_eq!(links.sinks_of(1), [link(1, 3, MediaKind::Audio)]);
        assert_eq!(links.sinks_of(2), [link(2, 3, MediaKind::Video)]);
        assert_eq!(links.sources_of(3).len(), 2);
        assert!(links.disconnect(&link(2, 3, MediaKind::Video)));
        assert!(!links.disconnect(&link(2, 3, MediaKind::Video)));
        assert_eq!(links.sources_of(3), [link(1, 3, MediaKind::Audio)]);
    }
}
