//! The element graph of one pipeline, and the question that routing asks of it.
//!
//! Elements connect per media kind and stream; a stream of a sink takes one source. Endpoints make
//! and use media, PassThroughs only hand it on, and hub ports hand on what another port of their hub
//! took in, so a route is the nearest endpoint upstream. An element that processes media is an endpoint for the kinds
//! that it processes and something that hands on for the others. Cycles are legal (loopback); a ring without
//! an endpoint carries nothing.

use salono_media_api::processing::ProcessorSpec;
use salono_media_api::{ElementKey, ElementSpec, MediaKind, Pad, StreamName};
use std::collections::{BTreeMap, BTreeSet};

/// What routing needs to know about an element, as far as one kind of media is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Makes media of its own and uses what it receives.
    Endpoint,
    /// The same, in the processor of its pipeline.
    Processed,
    /// Hands on what it receives.
    PassThrough,
    /// Takes media in, and hands on what another port of its hub, or itself, took in.
    HubPort,
    /// A port of this hub: hands on what any port of it takes in, itself included.
    SharedPort(ElementKey),
}

/// What an element is to each kind of media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Roles([NodeKind; 3]);

impl From<NodeKind> for Roles {
    fn from(kind: NodeKind) -> Self {
        Self([kind; 3])
    }
}

impl Roles {
    /// Of an element with this specification.
    pub(crate) fn of(spec: &ElementSpec) -> Self {
        match spec {
            ElementSpec::WebRtc(_) | ElementSpec::Rtp(_) => NodeKind::Endpoint.into(),
            ElementSpec::PassThrough => NodeKind::PassThrough.into(),
            ElementSpec::HubPort => NodeKind::HubPort.into(),
            ElementSpec::Processor(spec) => Self(MediaKind::ALL.map(|kind| match spec.as_ref() {
                spec if spec.processes(kind) => NodeKind::Processed,
                ProcessorSpec::Port {
                    switches_video: true,
                    ..
                } => NodeKind::HubPort,
                ProcessorSpec::Port { hub, .. } => NodeKind::SharedPort(*hub),
                ProcessorSpec::Player(_)
                | ProcessorSpec::Recorder(_)
                | ProcessorSpec::Upload { .. }
                | ProcessorSpec::Composite(_)
                | ProcessorSpec::AlphaBlending
                | ProcessorSpec::Mixer
                | ProcessorSpec::Filter(_) => NodeKind::PassThrough,
            })),
        }
    }

    pub(crate) fn role(self, kind: MediaKind) -> NodeKind {
        self.0[slot(kind)]
    }

    /// Whether there is a peer behind the element.
    pub(crate) fn has_peer(self) -> bool {
        self.0.contains(&NodeKind::Endpoint)
    }
}

/// A stream of an element, as an input or as an output.
type Stream = (MediaKind, StreamName);

#[derive(Debug, Clone)]
struct Node {
    roles: Roles,
    sources: BTreeMap<Stream, Pad>,
    sinks: BTreeMap<Stream, BTreeSet<Pad>>,
    /// For hub ports: the port whose input leaves here.
    from: [Option<ElementKey>; 3],
    /// For hub ports: the ports that what comes in here leaves by.
    to: [BTreeSet<ElementKey>; 3],
}

impl Node {
    fn role(&self, kind: MediaKind) -> NodeKind {
        self.roles.role(kind)
    }

    fn source(&self, kind: MediaKind, stream: &StreamName) -> Option<&Pad> {
        self.sources.get(&(kind, stream.clone()))
    }

    /// Where an output leads to.
    fn sinks(&self, kind: MediaKind, stream: &StreamName) -> impl Iterator<Item = &Pad> {
        self.sinks
            .get(&(kind, stream.clone()))
            .into_iter()
            .flatten()
    }

    /// Where all outputs of a kind lead to.
    fn all_sinks(&self, kind: MediaKind) -> impl Iterator<Item = &Pad> {
        let of_kind = self.sinks.iter().filter(move |((of, _), _)| *of == kind);
        of_kind.flat_map(|(_, sinks)| sinks)
    }

    fn forget_sink(&mut self, output: &Stream, sink: &Pad) {
        if let Some(sinks) = self.sinks.get_mut(output) {
            sinks.remove(sink);
            if sinks.is_empty() {
                self.sinks.remove(output);
            }
        }
    }
}

/// The elements of one pipeline and their connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    nodes: BTreeMap<ElementKey, Node>,
}

/// Endpoints whose route may have changed, with the kind of media.
pub(crate) type Affected = BTreeSet<(ElementKey, MediaKind)>;

fn slot(kind: MediaKind) -> usize {
    match kind {
        MediaKind::Audio => 0,
        MediaKind::Video => 1,
        MediaKind::Data => 2,
    }
}

impl Graph {
    pub(crate) fn add(&mut self, element: ElementKey, roles: impl Into<Roles>) {
        let roles = roles.into();
        self.nodes.insert(
            element,
            Node {
                roles,
                sources: BTreeMap::new(),
                sinks: BTreeMap::new(),
                from: [None; 3],
                to: Default::default(),
            },
        );
        for kind in MediaKind::ALL {
            if let NodeKind::SharedPort(_) = roles.role(kind) {
                self.share(roles.role(kind), kind);
            }
        }
    }

    /// Lets what comes in at any port of a hub leave by all of them.
    fn share(&mut self, role: NodeKind, kind: MediaKind) {
        let ports = self.nodes.iter();
        let ports: BTreeSet<ElementKey> = ports
            .filter(|(_, node)| node.role(kind) == role)
            .map(|(element, _)| *element)
            .collect();
        for port in &ports {
            if let Some(node) = self.nodes.get_mut(port) {
                node.to[slot(kind)].clone_from(&ports);
            }
        }
    }

    /// Whether there is such an element.
    pub(crate) fn has(&self, element: ElementKey) -> bool {
        self.nodes.contains_key(&element)
    }

    /// Whether the processor makes what leaves an element.
    pub(crate) fn is_processed(&self, element: ElementKey, kind: MediaKind) -> bool {
        let node = self.nodes.get(&element);
        node.is_some_and(|node| node.role(kind) == NodeKind::Processed)
    }

    pub(crate) fn elements(&self) -> impl Iterator<Item = ElementKey> + '_ {
        self.nodes.keys().copied()
    }

    /// Removes an element with its connections.
    pub(crate) fn remove(&mut self, element: ElementKey) -> Affected {
        let mut affected = Affected::new();
        let Some(node) = self.nodes.get(&element) else {
            return affected;
        };
        let sources = node.sources.clone();
        let sinks = node.sinks.clone();
        let to = node.to.clone();
        let roles = node.roles;
        let pad = |stream: StreamName| Pad { element, stream };
        for ((kind, stream), source) in sources {
            affected.append(&mut self.disconnect(&source, &pad(stream), kind));
        }
        for ((kind, stream), sinks) in sinks {
            for sink in sinks {
                affected.append(&mut self.disconnect(&pad(stream.clone()), &sink, kind));
            }
        }
        for kind in MediaKind::ALL {
            for port in &to[slot(kind)] {
                affected.append(&mut self.route(*port, None, kind));
            }
            self.route(element, None, kind);
        }
        self.nodes.remove(&element);
        for kind in MediaKind::ALL {
            if let NodeKind::SharedPort(_) = roles.role(kind) {
                self.share(roles.role(kind), kind);
            }
        }
        affected.retain(|(endpoint, _)| *endpoint != element);
        affected
    }

    /// Connects `source` to `sink`, in place of the sink's previous source. `None` when either
    /// element is unknown.
    pub(crate) fn connect(
        &mut self,
        source: &Pad,
        sink: &Pad,
        kind: MediaKind,
    ) -> Option<Affected> {
        if !self.nodes.contains_key(&source.element) {
            return None;
        }
        let input = (kind, sink.stream.clone());
        let sources = &mut self.nodes.get_mut(&sink.element)?.sources;
        let previous = sources.insert(input, source.clone());
        if let Some(previous) = previous
            && let Some(node) = self.nodes.get_mut(&previous.element)
        {
            node.forget_sink(&(kind, previous.stream), sink);
        }
        let outputs = &mut self.nodes.get_mut(&source.element)?.sinks;
        let sinks = outputs.entry((kind, source.stream.clone())).or_default();
        sinks.insert(sink.clone());
        Some(self.downstream(sink, kind))
    }

    /// Ends a connection; nothing changes when there is none.
    pub(crate) fn disconnect(&mut self, source: &Pad, sink: &Pad, kind: MediaKind) -> Affected {
        let Some(node) = self.nodes.get_mut(&sink.element) else {
            return Affected::new();
        };
        if node.source(kind, &sink.stream) != Some(source) {
            return Affected::new();
        }
        node.sources.remove(&(kind, sink.stream.clone()));
        if let Some(node) = self.nodes.get_mut(&source.element) {
            node.forget_sink(&(kind, source.stream.clone()), sink);
        }
        self.downstream(sink, kind)
    }

    /// Lets what comes in at `from` leave by `port`, in place of what left there before.
    pub(crate) fn route(
        &mut self,
        port: ElementKey,
        from: Option<ElementKey>,
        kind: MediaKind,
    ) -> Affected {
        let is_port = |graph: &Self, key| {
            graph
                .nodes
                .get(&key)
                .is_some_and(|node| node.role(kind) == NodeKind::HubPort)
        };
        if !is_port(self, port) || from.is_some_and(|from| !is_port(self, from)) {
            return Affected::new();
        }
        let Some(node) = self.nodes.get_mut(&port) else {
            return Affected::new();
        };
        let before = std::mem::replace(&mut node.from[slot(kind)], from);
        if let Some(node) = before.and_then(|before| self.nodes.get_mut(&before)) {
            node.to[slot(kind)].remove(&port);
        }
        if let Some(node) = from.and_then(|from| self.nodes.get_mut(&from)) {
            node.to[slot(kind)].insert(port);
        }
        self.behind(port, kind)
    }

    /// The endpoint whose default stream of this kind reaches the default one of `sink`.
    pub(crate) fn source_of(&self, sink: ElementKey, kind: MediaKind) -> Option<ElementKey> {
        let pad = self.pad_behind(sink, kind, &StreamName::Default)?;
        (pad.stream == StreamName::Default).then_some(pad.element)
    }

    /// The stream of an endpoint that reaches a stream of `sink`. What elements in between hand on
    /// keeps its name.
    pub(crate) fn pad_behind(
        &self,
        sink: ElementKey,
        kind: MediaKind,
        stream: &StreamName,
    ) -> Option<Pad> {
        let mut seen = BTreeSet::new();
        let mut at = self.nodes.get(&sink)?.source(kind, stream)?;
        loop {
            let node = self.nodes.get(&at.element)?;
            let input = match node.role(kind) {
                NodeKind::Endpoint | NodeKind::Processed => return Some(at.clone()),
                NodeKind::PassThrough => node,
                NodeKind::HubPort => self.nodes.get(&node.from[slot(kind)]?)?,
                // There are as many as there are ports.
                NodeKind::SharedPort(_) => return None,
            };
            if !seen.insert(at) {
                return None;
            }
            at = input.source(kind, &at.stream)?;
        }
    }

    /// The endpoints that media of this kind leaving `source` reaches, in key order.
    pub(crate) fn sinks_of(&self, source: ElementKey, kind: MediaKind) -> Vec<ElementKey> {
        let sinks = self.nodes.get(&source).into_iter();
        let mut found = Affected::new();
        for sink in sinks.flat_map(|node| node.all_sinks(kind)) {
            found.append(&mut self.downstream(sink, kind));
        }
        found.into_iter().map(|(endpoint, _)| endpoint).collect()
    }

    /// The stream of an endpoint that leaves `element` as its default one.
    pub(crate) fn source_behind(&self, element: ElementKey, kind: MediaKind) -> Option<Pad> {
        let node = self.nodes.get(&element)?;
        let stream = &StreamName::Default;
        match node.role(kind) {
            NodeKind::Endpoint | NodeKind::Processed => Some(element.into()),
            NodeKind::PassThrough => self.pad_behind(element, kind, stream),
            NodeKind::HubPort => self.pad_behind(node.from[slot(kind)]?, kind, stream),
            NodeKind::SharedPort(_) => None,
        }
    }

    /// Whether something is connected to the element's default stream, endpoint or not.
    pub(crate) fn has_source(&self, element: ElementKey, kind: MediaKind) -> bool {
        let node = self.nodes.get(&element);
        node.is_some_and(|node| node.source(kind, &StreamName::Default).is_some())
    }

    /// Elements that hand on what enters or leaves `start`, itself included if it does.
    pub(crate) fn relays_behind(&self, start: ElementKey, kind: MediaKind) -> Vec<ElementKey> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![start];
        while let Some(at) = todo.pop() {
            let Some(node) = self.nodes.get(&at).filter(|_| seen.insert(at)) else {
                continue;
            };
            let sinks = node.all_sinks(kind).map(|sink| sink.element);
            match node.role(kind) {
                NodeKind::Endpoint | NodeKind::Processed => {
                    if at == start {
                        todo.extend(sinks);
                    }
                }
                NodeKind::PassThrough => {
                    found.insert(at);
                    todo.extend(sinks);
                }
                NodeKind::HubPort | NodeKind::SharedPort(_) => {
                    found.insert(at);
                    // What leaves the first one may have changed too.
                    if at == start {
                        todo.extend(sinks);
                    }
                    for port in &node.to[slot(kind)] {
                        found.insert(*port);
                        let port = self.nodes.get(port).into_iter();
                        let sinks = port.flat_map(|port| port.all_sinks(kind));
                        todo.extend(sinks.map(|sink| sink.element));
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// Endpoints that what leaves an element reaches.
    fn behind(&self, source: ElementKey, kind: MediaKind) -> Affected {
        let sinks = self.sinks_of(source, kind).into_iter();
        sinks.map(|sink| (sink, kind)).collect()
    }

    /// Endpoints at or behind `sink`, not looking past any endpoint.
    fn downstream<'a>(&'a self, sink: &'a Pad, kind: MediaKind) -> Affected {
        let mut found = Affected::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![sink];
        while let Some(at) = todo.pop() {
            let Some(node) = self.nodes.get(&at.element) else {
                continue;
            };
            match node.role(kind) {
                NodeKind::Endpoint | NodeKind::Processed => {
                    found.insert((at.element, kind));
                }
                NodeKind::PassThrough => {
                    if seen.insert(at) {
                        todo.extend(node.sinks(kind, &at.stream));
                    }
                }
                NodeKind::HubPort | NodeKind::SharedPort(_) => {
                    if seen.insert(at) {
                        let outputs = node.to[slot(kind)].iter();
                        let sinks = outputs
                            .filter_map(|port| self.nodes.get(port))
                            .flat_map(|port| port.sinks(kind, &at.stream));
                        todo.extend(sinks);
                    }
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use MediaKind::{Audio, Video};

    const A: ElementKey = ElementKey(1);
    const B: ElementKey = ElementKey(2);
    const P: ElementKey = ElementKey(3);
    const Q: ElementKey = ElementKey(4);

    fn graph() -> Graph {
        let mut graph = Graph::default();
        graph.add(A, NodeKind::Endpoint);
        graph.add(B, NodeKind::Endpoint);
        graph.add(P, NodeKind::PassThrough);
        graph.add(Q, NodeKind::PassThrough);
        graph
    }

    fn connect(
        graph: &mut Graph,
        source: ElementKey,
        sink: ElementKey,
        kind: MediaKind,
    ) -> Option<Affected> {
        graph.connect(&source.into(), &sink.into(), kind)
    }

    fn pad(element: ElementKey, stream: &str) -> Pad {
        let stream = StreamName::Named(stream.into());
        Pad { element, stream }
    }

    #[test]
    fn streams_are_connected_by_name_and_keep_it_on_the_way() {
        let mut graph = graph();
        connect(&mut graph, A, P, Video);
        connect(&mut graph, P, B, Video);
        graph.connect(&pad(A, "2"), &pad(P, "screen"), Video);
        let affected = graph.connect(&pad(P, "screen"), &pad(B, "7"), Video);
        assert_eq!(affected, Some(Affected::from([(B, Video)])));
        let seven = StreamName::Named("7".into());
        assert_eq!(graph.pad_behind(B, Video, &seven), Some(pad(A, "2")));
        assert_eq!(graph.source_of(B, Video), Some(A));
        assert_eq!(graph.sinks_of(A, Video), vec![B]);
        graph.disconnect(&pad(P, "screen"), &pad(B, "7"), Video);
        assert_eq!(graph.pad_behind(B, Video, &seven), None);
        assert_eq!(graph.source_of(B, Video), Some(A), "the other one stays");
        // The default input may be fed by a named stream, which is not the default one.
        graph.connect(&pad(A, "2"), &B.into(), Video);
        assert_eq!(graph.source_of(B, Video), None);
        let default = graph.pad_behind(B, Video, &StreamName::Default);
        assert_eq!(default, Some(pad(A, "2")));
    }

    #[test]
    fn a_route_leads_through_pass_throughs_to_the_endpoint() {
        let mut graph = graph();
        connect(&mut graph, A, P, Video);
        connect(&mut graph, P, Q, Video);
        let affected = connect(&mut graph, Q, B, Video).unwrap();
        assert_eq!(affected, Affected::from([(B, Video)]));
        assert_eq!(graph.source_of(B, Video), Some(A));
        assert_eq!(graph.source_of(B, Audio), None);
        assert_eq!(graph.sinks_of(A, Video), vec![B]);
    }

    #[test]
    fn a_new_source_replaces_the_old_one_for_everything_behind_it() {
        let mut graph = graph();
        connect(&mut graph, A, P, Video);
        connect(&mut graph, P, A, Video);
        connect(&mut graph, P, B, Video);
        let affected = connect(&mut graph, B, P, Video).unwrap();
        assert_eq!(affected, Affected::from([(A, Video), (B, Video)]));
        assert_eq!(graph.source_of(A, Video), Some(B));
        assert_eq!(graph.sinks_of(A, Video), vec![]);
    }

    #[test]
    fn an_endpoint_may_feed_itself() {
        let mut graph = graph();
        connect(&mut graph, A, A, Audio);
        assert_eq!(graph.source_of(A, Audio), Some(A));
        assert!(graph.remove(A).is_empty());
    }

    #[test]
    fn a_ring_of_pass_throughs_carries_nothing_and_ends() {
        let mut graph = graph();
        connect(&mut graph, P, Q, Video);
        connect(&mut graph, Q, P, Video);
        connect(&mut graph, P, B, Video);
        assert_eq!(graph.source_of(B, Video), None);
    }

    #[test]
    fn what_comes_in_at_a_hub_port_leaves_by_the_ports_that_are_routed_from_it() {
        let (one, two) = (P, Q);
        let mut graph = Graph::default();
        graph.add(A, NodeKind::Endpoint);
        graph.add(B, NodeKind::Endpoint);
        graph.add(one, NodeKind::HubPort);
        graph.add(two, NodeKind::HubPort);
        connect(&mut graph, A, one, Video);
        connect(&mut graph, two, B, Video);
        assert_eq!(graph.source_of(B, Video), None);
        assert_eq!(
            graph.route(two, Some(one), Video),
            Affected::from([(B, Video)])
        );
        assert_eq!(graph.source_of(B, Video), Some(A));
        assert_eq!(graph.sinks_of(A, Video), vec![B]);
        assert_eq!(
            graph.disconnect(&A.into(), &one.into(), Video),
            Affected::from([(B, Video)])
        );
        connect(&mut graph, A, one, Video);
        assert_eq!(graph.remove(one), Affected::from([(B, Video)]));
        assert_eq!(graph.source_of(B, Video), None);
    }

    #[test]
    fn only_hub_ports_are_routed() {
        let mut graph = graph();
        graph.add(ElementKey(5), NodeKind::HubPort);
        assert!(graph.route(P, Some(Q), Video).is_empty());
        assert!(graph.route(ElementKey(5), Some(Q), Video).is_empty());
    }

    #[test]
    fn removing_an_element_affects_what_is_behind_it() {
        let mut graph = graph();
        connect(&mut graph, A, P, Video);
        connect(&mut graph, P, B, Video);
        assert_eq!(graph.remove(P), Affected::from([(B, Video)]));
        assert_eq!(graph.source_of(B, Video), None);
        assert!(graph.disconnect(&A.into(), &P.into(), Video).is_empty());
    }
}
