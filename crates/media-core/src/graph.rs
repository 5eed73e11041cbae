//! The element graph of one pipeline, and the question that routing asks of it.
//!
//! Elements connect per media kind; a sink takes one source per kind. Endpoints make and use media,
//! PassThroughs only hand it on, and hub ports hand on what another port of their hub took in, so a
//! route is the nearest endpoint upstream. Cycles are legal (loopback); a ring without an endpoint
//! carries nothing.

use salono_media_api::{ElementKey, MediaKind};
use std::collections::{BTreeMap, BTreeSet};

/// What routing needs to know about an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NodeKind {
    /// Makes media of its own and uses what it receives.
    Endpoint,
    /// Hands on what it receives.
    PassThrough,
    /// Takes media in, and hands on what another port of its hub, or itself, took in.
    HubPort,
}

#[derive(Debug, Clone)]
struct Node {
    kind: NodeKind,
    sources: [Option<ElementKey>; 3],
    sinks: [BTreeSet<ElementKey>; 3],
    /// For hub ports: the port whose input leaves here.
    from: [Option<ElementKey>; 3],
    /// For hub ports: the ports that what comes in here leaves by.
    to: [BTreeSet<ElementKey>; 3],
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
    pub(crate) fn add(&mut self, element: ElementKey, kind: NodeKind) {
        self.nodes.insert(
            element,
            Node {
                kind,
                sources: [None; 3],
                sinks: Default::default(),
                from: [None; 3],
                to: Default::default(),
            },
        );
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
        let sources = node.sources;
        let sinks = node.sinks.clone();
        let to = node.to.clone();
        for kind in MediaKind::ALL {
            if let Some(source) = sources[slot(kind)] {
                affected.append(&mut self.disconnect(source, element, kind));
            }
            for sink in &sinks[slot(kind)] {
                affected.append(&mut self.disconnect(element, *sink, kind));
            }
            for port in &to[slot(kind)] {
                affected.append(&mut self.route(*port, None, kind));
            }
            self.route(element, None, kind);
        }
        self.nodes.remove(&element);
        affected.retain(|(endpoint, _)| *endpoint != element);
        affected
    }

    /// Connects `source` to `sink`, in place of the sink's previous source. `None` when either
    /// element is unknown.
    pub(crate) fn connect(
        &mut self,
        source: ElementKey,
        sink: ElementKey,
        kind: MediaKind,
    ) -> Option<Affected> {
        if !self.nodes.contains_key(&source) {
            return None;
        }
        let previous = self.nodes.get_mut(&sink)?.sources[slot(kind)].replace(source);
        if let Some(previous) = previous
            && let Some(node) = self.nodes.get_mut(&previous)
        {
            node.sinks[slot(kind)].remove(&sink);
        }
        self.nodes.get_mut(&source)?.sinks[slot(kind)].insert(sink);
        Some(self.downstream(sink, kind))
    }

    /// Ends a connection; nothing changes when there is none.
    pub(crate) fn disconnect(
        &mut self,
        source: ElementKey,
        sink: ElementKey,
        kind: MediaKind,
    ) -> Affected {
        let Some(node) = self.nodes.get_mut(&sink) else {
            return Affected::new();
        };
        if node.sources[slot(kind)] != Some(source) {
            return Affected::new();
        }
        node.sources[slot(kind)] = None;
        if let Some(node) = self.nodes.get_mut(&source) {
            node.sinks[slot(kind)].remove(&sink);
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
                .is_some_and(|node| node.kind == NodeKind::HubPort)
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

    /// The endpoint whose media of this kind reaches `sink`.
    pub(crate) fn source_of(&self, sink: ElementKey, kind: MediaKind) -> Option<ElementKey> {
        let mut seen = BTreeSet::new();
        let mut at = self.nodes.get(&sink)?.sources[slot(kind)]?;
        loop {
            let node = self.nodes.get(&at)?;
            match node.kind {
                NodeKind::Endpoint => return Some(at),
                NodeKind::PassThrough => {
                    if !seen.insert(at) {
                        return None;
                    }
                    at = node.sources[slot(kind)]?;
                }
                NodeKind::HubPort => {
                    if !seen.insert(at) {
                        return None;
                    }
                    let from = self.nodes.get(&node.from[slot(kind)]?)?;
                    at = from.sources[slot(kind)]?;
                }
            }
        }
    }

    /// The endpoints that media of this kind leaving `source` reaches, in key order.
    pub(crate) fn sinks_of(&self, source: ElementKey, kind: MediaKind) -> Vec<ElementKey> {
        self.behind(source, kind)
            .into_iter()
            .map(|(endpoint, _)| endpoint)
            .collect()
    }

    /// The endpoint whose media of this kind leaves `element`.
    pub(crate) fn source_behind(&self, element: ElementKey, kind: MediaKind) -> Option<ElementKey> {
        let node = self.nodes.get(&element)?;
        match node.kind {
            NodeKind::Endpoint => Some(element),
            NodeKind::PassThrough => self.source_of(element, kind),
            NodeKind::HubPort => self.source_of(node.from[slot(kind)]?, kind),
        }
    }

    /// Whether something is connected to the element, endpoint or not.
    pub(crate) fn has_source(&self, element: ElementKey, kind: MediaKind) -> bool {
        let node = self.nodes.get(&element);
        node.is_some_and(|node| node.sources[slot(kind)].is_some())
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
            let sinks = &node.sinks[slot(kind)];
            match node.kind {
                NodeKind::Endpoint => {
                    if at == start {
                        todo.extend(sinks);
                    }
                }
                NodeKind::PassThrough => {
                    found.insert(at);
                    todo.extend(sinks);
                }
                NodeKind::HubPort => {
                    found.insert(at);
                    // What leaves the first one may have changed too.
                    if at == start {
                        todo.extend(sinks);
                    }
                    for port in &node.to[slot(kind)] {
                        found.insert(*port);
                        let port = self.nodes.get(port);
                        todo.extend(port.into_iter().flat_map(|port| &port.sinks[slot(kind)]));
                    }
                }
            }
        }
        found.into_iter().collect()
    }

    /// Endpoints that what leaves an element reaches.
    fn behind(&self, source: ElementKey, kind: MediaKind) -> Affected {
        let mut found = Affected::new();
        for sink in self
            .nodes
            .get(&source)
            .into_iter()
            .flat_map(|node| &node.sinks[slot(kind)])
        {
            found.append(&mut self.downstream(*sink, kind));
        }
        found
    }

    /// Endpoints at or behind `sink`, not looking past any endpoint.
    fn downstream(&self, sink: ElementKey, kind: MediaKind) -> Affected {
        let mut found = Affected::new();
        let mut seen = BTreeSet::new();
        let mut todo = vec![sink];
        while let Some(at) = todo.pop() {
            let Some(node) = self.nodes.get(&at) else {
                continue;
            };
            match node.kind {
                NodeKind::Endpoint => {
                    found.insert((at, kind));
                }
                NodeKind::PassThrough => {
                    if seen.insert(at) {
                        todo.extend(&node.sinks[slot(kind)]);
                    }
                }
                NodeKind::HubPort => {
                    if seen.insert(at) {
                        let outputs = node.to[slot(kind)].iter();
                        let sinks = outputs
                            .filter_map(|port| self.nodes.get(port))
                            .flat_map(|port| &port.sinks[slot(kind)]);
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

    #[test]
    fn a_route_leads_through_pass_throughs_to_the_endpoint() {
        let mut graph = graph();
        graph.connect(A, P, Video);
        graph.connect(P, Q, Video);
        let affected = graph.connect(Q, B, Video).unwrap();
        assert_eq!(affected, Affected::from([(B, Video)]));
        assert_eq!(graph.source_of(B, Video), Some(A));
        assert_eq!(graph.source_of(B, Audio), None);
        assert_eq!(graph.sinks_of(A, Video), vec![B]);
    }

    #[test]
    fn a_new_source_replaces_the_old_one_for_everything_behind_it() {
        let mut graph = graph();
        graph.connect(A, P, Video);
        graph.connect(P, A, Video);
        graph.connect(P, B, Video);
        let affected = graph.connect(B, P, Video).unwrap();
        assert_eq!(affected, Affected::from([(A, Video), (B, Video)]));
        assert_eq!(graph.source_of(A, Video), Some(B));
        assert_eq!(graph.sinks_of(A, Video), vec![]);
    }

    #[test]
    fn an_endpoint_may_feed_itself() {
        let mut graph = graph();
        graph.connect(A, A, Audio);
        assert_eq!(graph.source_of(A, Audio), Some(A));
        assert!(graph.remove(A).is_empty());
    }

    #[test]
    fn a_ring_of_pass_throughs_carries_nothing_and_ends() {
        let mut graph = graph();
        graph.connect(P, Q, Video);
        graph.connect(Q, P, Video);
        graph.connect(P, B, Video);
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
        graph.connect(A, one, Video);
        graph.connect(two, B, Video);
        assert_eq!(graph.source_of(B, Video), None);
        assert_eq!(
            graph.route(two, Some(one), Video),
            Affected::from([(B, Video)])
        );
        assert_eq!(graph.source_of(B, Video), Some(A));
        assert_eq!(graph.sinks_of(A, Video), vec![B]);
        assert_eq!(
            graph.disconnect(A, one, Video),
            Affected::from([(B, Video)])
        );
        graph.connect(A, one, Video);
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
        graph.connect(A, P, Video);
        graph.connect(P, B, Video);
        assert_eq!(graph.remove(P), Affected::from([(B, Video)]));
        assert_eq!(graph.source_of(B, Video), None);
        assert!(graph.disconnect(A, P, Video).is_empty());
    }
}
