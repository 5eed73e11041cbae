//! Which shard an element lives on, and who has to know.
//!
//! A pipeline begins on one shard, its home, and stays there while it is small: packets of a small
//! room never change thread. Endpoints of a bigger one are placed on further shards, its parts; see
//! [`Spreading`]. Elements never move. What changes the graph is told to every part, everything else
//! to the shard that has the element. Elements without a peer live at home, those that process media too.

mod load;

use crate::graph::{Graph, Roles};
use crate::links::ShardId;
use load::Loads;
use salono_media_api::{Command, ElementKey, ElementSpec, Op, PipelineKey, SpeakerDetection};
use std::collections::BTreeMap;
use std::time::Instant;

/// When pipelines spread over shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spreading {
    /// A pipeline gets a part on one more shard only when each part has so many endpoints, so that
    /// mirroring its tracks there costs little beside what receivers there cost.
    pub endpoints_per_part: usize,
}

impl Default for Spreading {
    /// 128 endpoints per part: rooms of up to 11, where everybody receives everybody by an endpoint
    /// each, stay on one shard.
    fn default() -> Self {
        Self {
            endpoints_per_part: 128,
        }
    }
}

/// What one shard is told.
#[derive(Debug)]
pub enum Order {
    /// A command for what lives there, or about the graph of a pipeline that has a part there.
    Command(Command),
    /// A pipeline has a part there from now on.
    Joined(Box<Joined>),
    /// An element of a pipeline that has a part there was created elsewhere.
    Elsewhere(Elsewhere),
}

/// A pipeline as it was when it got a part on a shard.
#[derive(Debug)]
pub struct Joined {
    pub(crate) pipeline: PipelineKey,
    /// Its home, when that is not the shard that is told.
    pub(crate) home: Option<ShardId>,
    pub(crate) graph: Graph,
    /// Elements on other shards.
    pub(crate) elsewhere: Vec<(ElementKey, ShardId)>,
    pub(crate) measured: bool,
    pub(crate) detection: Option<SpeakerDetection>,
}

impl Joined {
    /// Which pipeline.
    pub fn pipeline(&self) -> PipelineKey {
        self.pipeline
    }
}

/// An element on another shard.
#[derive(Debug, Clone, Copy)]
pub struct Elsewhere {
    pub(crate) pipeline: PipelineKey,
    pub(crate) element: ElementKey,
    pub(crate) roles: Roles,
    pub(crate) shard: ShardId,
}

/// Who is to be told of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The shard that carries the command out; first among those that are told.
    on: usize,
    /// The others.
    others: Vec<usize>,
    /// The first one has no part of the pipeline yet.
    joins: bool,
}

impl Plan {
    /// Every shard that is told, with the number of orders that it gets.
    pub fn shards(&self) -> impl Iterator<Item = (ShardId, usize)> + '_ {
        let first = (id(self.on), 1 + usize::from(self.joins));
        let others = self.others.iter().map(|shard| (id(*shard), 1));
        std::iter::once(first).chain(others)
    }

    /// Shards that must be able to exchange messages before the orders are carried out: one that
    /// joins a pipeline, and each part that it has.
    pub fn links(&self) -> impl Iterator<Item = (ShardId, ShardId)> + '_ {
        let others = self.others.iter().filter(|_| self.joins);
        others.map(|other| (id(self.on), id(*other)))
    }
}

/// Where everything lives. Grows with what the control side creates, which bounds it.
#[derive(Debug)]
pub struct Placement {
    spreading: Spreading,
    loads: Loads,
    pipelines: BTreeMap<PipelineKey, Place>,
}

/// Where a pipeline lives, and what a further part of it would have to know.
#[derive(Debug, Default)]
struct Place {
    home: usize,
    /// Endpoints of each part, home included.
    parts: BTreeMap<usize, usize>,
    elements: BTreeMap<ElementKey, Placed>,
    graph: Graph,
    measured: bool,
    detection: Option<SpeakerDetection>,
}

#[derive(Debug, Clone, Copy)]
struct Placed {
    shard: usize,
    has_peer: bool,
}

impl Placement {
    /// Nothing on `shards` shards, at least one.
    pub fn new(shards: usize, spreading: Spreading) -> Self {
        Self {
            spreading,
            loads: Loads::new(shards),
            pipelines: BTreeMap::new(),
        }
    }

    /// Takes in how many packets each shard has forwarded so far; once a second is enough.
    pub fn measure(&mut self, forwarded: impl Iterator<Item = u64>, now: Instant) {
        self.loads.measure(forwarded, now);
    }

    /// Whether [`Placement::measure`] wants to be called before this command is planned.
    pub fn wants_measure(&self, command: &Command, now: Instant) -> bool {
        matches!(command.op, Op::CreatePipeline | Op::Create { .. }) && self.loads.is_old(now)
    }

    /// Decides who is to be told of a command. Nothing changes before it is carried out.
    pub fn plan(&self, command: &Command) -> Plan {
        let alone = |on| Plan {
            on,
            others: Vec::new(),
            joins: false,
        };
        if self.loads.len() == 1 {
            return alone(0);
        }
        let Some(place) = self.pipelines.get(&command.pipeline) else {
            // What nobody created has no place; the first shard answers that it does not exist.
            let creates = matches!(command.op, Op::CreatePipeline);
            return alone(if creates { self.loads.least() } else { 0 });
        };
        let with_others = |on: usize| Plan {
            on,
            others: place.parts.keys().copied().filter(|it| *it != on).collect(),
            joins: !place.parts.contains_key(&on),
        };
        match &command.op {
            Op::Create { element, spec, .. } => {
                let known = place.elements.get(element).map(|placed| placed.shard);
                with_others(known.unwrap_or_else(|| self.choose(place, spec)))
            }
            Op::ReleasePipeline
            | Op::Release { .. }
            | Op::Connect { .. }
            | Op::Disconnect { .. }
            | Op::Route { .. }
            | Op::MeasureLatency { .. }
            | Op::DetectSpeakers { .. }
            | Op::SetEncoding { .. } => with_others(place.home),
            Op::CreatePipeline => alone(place.home),
            Op::GenerateOffer { element, .. }
            | Op::ProcessOffer { element, .. }
            | Op::ProcessAnswer { element, .. }
            | Op::Description { element, .. }
            | Op::GatherCandidates { element, .. }
            | Op::AddIceCandidate { element, .. }
            | Op::SetBandwidth { element, .. }
            | Op::SetRembParams { element, .. }
            | Op::WishVideo { element, .. }
            | Op::SetViewer { element, .. }
            | Op::SetIce { element, .. }
            | Op::RequestKeyframe { element, .. }
            | Op::CreateDataChannel { element, .. }
            | Op::CloseDataChannel { element, .. }
            | Op::Call { element, .. }
            | Op::Stats { element, .. } => {
                let placed = place.elements.get(element);
                alone(placed.map_or(place.home, |placed| placed.shard))
            }
        }
    }

    /// The shard for a new element of a pipeline.
    fn choose(&self, place: &Place, spec: &ElementSpec) -> usize {
        if !Roles::of(spec).has_peer() {
            return place.home;
        }
        let parts = place.parts.keys().copied();
        let part = parts.min_by_key(|part| self.loads.of(*part));
        let part = part.unwrap_or(place.home);
        let has_room = place
            .parts
            .values()
            .any(|endpoints| *endpoints < self.spreading.endpoints_per_part);
        let fresh = (0..self.loads.len())
            .filter(|shard| !place.parts.contains_key(shard))
            .min_by_key(|shard| self.loads.of(*shard));
        match fresh {
            Some(fresh) if !has_room && self.loads.is_clearly_less(fresh, part) => fresh,
            Some(_) | None => part,
        }
    }

    /// Takes note of a command that was planned just now; returns what to tell to whom, in order.
    pub fn carry_out(&mut self, command: Command, plan: &Plan) -> Vec<(ShardId, Order)> {
        let mut orders = Vec::with_capacity(plan.others.len() + 2);
        let on = id(plan.on);
        if self.loads.len() > 1 {
            if plan.joins {
                orders.extend(
                    self.join(command.pipeline, plan.on)
                        .map(|joined| (on, joined)),
                );
            }
            self.note(&command, plan.on);
        }
        for other in &plan.others {
            let order = if let Op::Create { element, spec, .. } = &command.op {
                Order::Elsewhere(Elsewhere {
                    pipeline: command.pipeline,
                    element: *element,
                    roles: Roles::of(spec),
                    shard: on,
                })
            } else {
                Order::Command(command.clone())
            };
            orders.push((id(*other), order));
        }
        orders.push((on, Order::Command(command)));
        orders
    }

    /// What a shard has to be told that has lost everything: the pipelines that it has a part of.
    /// Elements of its own are not made again.
    pub fn recover(&self, shard: ShardId) -> Vec<Joined> {
        let shard = usize::from(shard.0);
        let parts = self.pipelines.iter();
        parts
            .filter(|(_, place)| place.parts.contains_key(&shard))
            .map(|(pipeline, place)| place.joined(*pipeline, shard))
            .collect()
    }

    fn join(&mut self, pipeline: PipelineKey, shard: usize) -> Option<Order> {
        let place = self.pipelines.get_mut(&pipeline)?;
        place.parts.insert(shard, 0);
        Some(Order::Joined(Box::new(place.joined(pipeline, shard))))
    }

    fn note(&mut self, command: &Command, on: usize) {
        let pipeline = command.pipeline;
        if let Op::CreatePipeline = command.op {
            self.pipelines.entry(pipeline).or_insert_with(|| {
                self.loads.add_pipeline(on);
                Place {
                    home: on,
                    parts: BTreeMap::from([(on, 0)]),
                    ..Place::default()
                }
            });
            return;
        }
        if let Op::ReleasePipeline = command.op {
            if let Some(place) = self.pipelines.remove(&pipeline) {
                self.loads.remove_pipeline(place.home);
                for (shard, endpoints) in place.parts {
                    self.loads.remove_endpoints(shard, endpoints);
                }
            }
            return;
        }
        let Some(place) = self.pipelines.get_mut(&pipeline) else {
            return;
        };
        match &command.op {
            Op::Create { element, spec, .. } => {
                let roles = Roles::of(spec);
                let has_peer = roles.has_peer();
                if place.elements.contains_key(element) {
                    return;
                }
                place.graph.add(*element, roles);
                let shard = on;
                place.elements.insert(*element, Placed { shard, has_peer });
                if has_peer {
                    *place.parts.entry(on).or_default() += 1;
                    self.loads.add_endpoint(on);
                }
            }
            Op::Release { element } => {
                place.graph.remove(*element);
                let placed = place.elements.remove(element);
                if let Some(placed) = placed.filter(|it| it.has_peer) {
                    if let Some(endpoints) = place.parts.get_mut(&placed.shard) {
                        *endpoints = endpoints.saturating_sub(1);
                    }
                    self.loads.remove_endpoints(placed.shard, 1);
                }
            }
            Op::Connect { source, sink, kind } => {
                place.graph.connect(source, sink, *kind);
            }
            Op::Disconnect { source, sink, kind } => {
                place.graph.disconnect(source, sink, *kind);
            }
            Op::Route { port, from, kind } => {
                place.graph.route(*port, *from, *kind);
            }
            Op::MeasureLatency { on } => place.measured = *on,
            Op::DetectSpeakers { detection } => place.detection = *detection,
            Op::CreatePipeline
            | Op::ReleasePipeline
            | Op::GenerateOffer { .. }
            | Op::ProcessOffer { .. }
            | Op::ProcessAnswer { .. }
            | Op::Description { .. }
            | Op::GatherCandidates { .. }
            | Op::AddIceCandidate { .. }
            | Op::SetBandwidth { .. }
            | Op::SetRembParams { .. }
            | Op::WishVideo { .. }
            | Op::SetViewer { .. }
            | Op::SetIce { .. }
            | Op::RequestKeyframe { .. }
            | Op::CreateDataChannel { .. }
            | Op::CloseDataChannel { .. }
            | Op::Call { .. }
            | Op::SetEncoding { .. }
            | Op::Stats { .. } => {}
        }
    }
}

impl Place {
    fn joined(&self, pipeline: PipelineKey, shard: usize) -> Joined {
        let elsewhere = self.elements.iter();
        Joined {
            pipeline,
            home: (self.home != shard).then(|| id(self.home)),
            graph: self.graph.clone(),
            elsewhere: elsewhere
                .filter(|(_, placed)| placed.shard != shard)
                .map(|(element, placed)| (*element, id(placed.shard)))
                .collect(),
            measured: self.measured,
            detection: self.detection,
        }
    }
}

fn id(shard: usize) -> ShardId {
    ShardId(u16::try_from(shard).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
