//! The object graph as a Graphviz text, which is what `getGstreamerDot` answers here.
//!
//! Elements are boxes with class, name and state, hubs are clusters of their ports, connections are
//! arrows with kind, codec and whether media flows; a hub's routes are dashed arrows between its
//! ports. The text has ids of its own, so that names need no care but quoting.

use crate::{
    ObjectModel,
    call::media_type,
    element::Element,
    links::{DEFAULT, Link, Port},
    rtp_base::connection_state,
    tree::{Body, Object},
};
use salono_media_api::MediaKind;
use std::{collections::BTreeSet, fmt::Write as _};

/// Longest way from a connection to the endpoint that makes its media; further up nobody looks.
const MAX_DISTANCE: usize = 64;

/// What of the graph is shown.
#[derive(Debug, Clone, Copy)]
struct Details {
    codecs: bool,
    states: bool,
    parameters: bool,
}

impl Details {
    /// Of a name of `GstreamerDotDetails`; everything where nothing is said.
    fn named(name: Option<&str>) -> Self {
        let (codecs, states, parameters) = match name {
            Some("SHOW_MEDIA_TYPE") => (false, false, false),
            Some("SHOW_CAPS_DETAILS") => (true, false, false),
            Some("SHOW_STATES") => (false, true, false),
            Some("SHOW_NON_DEFAULT_PARAMS" | "SHOW_FULL_PARAMS") => (false, false, true),
            _ => (true, true, true),
        };
        Self {
            codecs,
            states,
            parameters,
        }
    }
}

impl ObjectModel {
    /// A `digraph` of an object, what is below it, and the links of all that.
    pub(crate) fn dot(&self, key: u64, details: Option<&str>) -> String {
        let details = Details::named(details);
        let mut text = String::from("digraph pipeline {\n  rankdir=LR;\n  node [shape=box];\n");
        let mut keys = self.tree.with_descendants(key);
        keys.sort_unstable();
        let links: BTreeSet<Link> = keys
            .iter()
            .flat_map(|key| [self.links.sources_of(*key), self.links.sinks_of(*key)])
            .flatten()
            .collect();
        // Neighbours of an element are shown with it.
        let mut nodes: BTreeSet<u64> = keys.into_iter().collect();
        nodes.extend(
            links
                .iter()
                .flat_map(|link| [link.source.element, link.sink.element]),
        );
        // Writing to a string cannot fail.
        for object in nodes.iter().filter_map(|key| self.tree.get(*key)) {
            let label = quoted(&self.label(object, details));
            match &object.body {
                Body::Hub(_) => {
                    let _ = writeln!(text, "  subgraph cluster_{} {{", object.key);
                    let _ = writeln!(text, "    label={label};");
                    for port in &object.children {
                        let _ = writeln!(text, "    n{port};");
                    }
                    text.push_str("  }\n");
                }
                Body::Pipeline { .. } => {
                    let _ = writeln!(text, "  label={label};");
                }
                // No media passes it.
                Body::Speakers(_) | Body::Adaptation(_) => {}
                Body::Manager | Body::Element(_) => {
                    let _ = writeln!(text, "  n{} [label={label}];", object.key);
                }
            }
        }
        for link in &links {
            let label = quoted(&self.link_label(link, details));
            let (source, sink) = (link.source.element, link.sink.element);
            let _ = writeln!(text, "  n{source} -> n{sink} [label={label}];");
        }
        let hubs = nodes.iter().filter_map(|key| self.tree.get(*key)?.hub());
        for (port, kind, from) in hubs.flat_map(|hub| hub.routes()) {
            let label = quoted(media_type(kind));
            let _ = writeln!(text, "  n{from} -> n{port} [style=dashed label={label}];");
        }
        text.push_str("}\n");
        text
    }

    fn label(&self, object: &Object, details: Details) -> String {
        let name = object.name.as_deref().unwrap_or(&object.id);
        let mut label = format!("{}\n{name}", object.class.name());
        if details.states
            && let Some(element) = object.element()
        {
            let state = element
                .endpoint()
                .map_or("PLAYING", |endpoint| connection_state(endpoint.connection));
            let _ = write!(label, "\n{state}");
        }
        if details.parameters {
            for kind in [MediaKind::Audio, MediaKind::Video] {
                let format = object
                    .element()
                    .and_then(|element| element.encoding.codec(kind));
                if let Some(format) = format {
                    let _ = write!(label, "\n{}: {format}", media_type(kind));
                }
            }
            for (key, value) in &object.tags {
                let _ = write!(label, "\n{key}={value}");
            }
        }
        label
    }

    fn link_label(&self, link: &Link, details: Details) -> String {
        let kind = link.sink.kind;
        let mut label = media_type(kind).to_owned();
        if link.source.description != DEFAULT || link.sink.description != DEFAULT {
            let (source, sink) = (&link.source.description, &link.sink.description);
            let _ = write!(label, "\n{source} to {sink}");
        }
        if details.codecs
            && let Some(codec) = self.codec_of(link.source.element, kind)
        {
            let _ = write!(label, "\n{codec}");
        }
        if details.states && kind != MediaKind::Data {
            let flows = |port: &Port, outgoing| {
                let element = self.tree.get(port.element);
                let element = element.and_then(|object| object.element());
                element.is_some_and(|element: &Element| element.flows(port, outgoing))
            };
            let state = if flows(&link.source, true) && flows(&link.sink, false) {
                "FLOWING"
            } else {
                "NOT_FLOWING"
            };
            let _ = write!(label, "\n{state}");
        }
        label
    }

    /// The codec of what leaves an element: of the endpoint that made it.
    fn codec_of(&self, element: u64, kind: MediaKind) -> Option<&str> {
        let mut at = element;
        for _ in 0..MAX_DISTANCE {
            let object = self.tree.get(at)?;
            let state = object.element()?;
            if let Some(codec) = state.codec(kind) {
                return Some(codec);
            }
            let input = match object.parent.and_then(|hub| self.tree.get(hub)?.hub()) {
                Some(hub) => hub.source_of(at, kind)?,
                None => at,
            };
            at = self.links.source_of(input, kind)?;
        }
        None
    }
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n");
    format!("\"{escaped}\"")
}
