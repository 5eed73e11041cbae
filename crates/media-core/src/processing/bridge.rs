//! What the processor of one pipeline was told, and what it said.

use super::calls::Calls;
use super::life::Life;
use super::plan::{Plan, Situation, Source, Wanted};
use crate::demux::EndpointSlot;
use crate::links::Stream;
use crate::track::OutSlot;
use salono_media_api::processing::bridge::{InletKey, Origin, OutletKey, RtpFormat};
use salono_media_api::processing::{Encoding, ProcessorSpec};
use salono_media_api::{ElementKey, MediaKind, Token};
use std::collections::{BTreeMap, BTreeSet};

/// An element that lives in the processor.
#[derive(Debug)]
pub(crate) struct Element {
    pub(crate) spec: ProcessorSpec,
    /// Whom to tell that it was created, as long as no processor was asked.
    pub(crate) token: Option<Token>,
    /// What it is to be made again with.
    pub(crate) checkpoint: Option<String>,
}

/// A stream into the processor.
#[derive(Debug)]
pub(crate) struct Inlet {
    pub(crate) key: InletKey,
    pub(crate) slot: EndpointSlot,
    pub(crate) format: RtpFormat,
}

/// A stream out of the processor.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) key: OutletKey,
    pub(crate) slot: EndpointSlot,
    /// It is decoded and encoded anew.
    pub(crate) is_transcoded: bool,
}

/// One kind of media that enters or leaves an element in the processor.
pub(crate) type Side = (ElementKey, MediaKind, bool);

/// The side of the shard of one pipeline's processor.
#[derive(Default)]
pub(crate) struct Bridge {
    pub(crate) life: Life,
    pub(crate) elements: BTreeMap<ElementKey, Element>,
    pub(crate) situation: Situation,
    /// The streams to peers that receivers of the situation are.
    pub(crate) outs: BTreeMap<Stream, OutSlot>,
    /// What receivers get, as was planned last.
    pub(crate) given: BTreeMap<Stream, Wanted>,
    pub(crate) calls: Calls,
    /// Streams of peers that it has to do with.
    pub(crate) sources: BTreeSet<Stream>,
    pub(crate) inlets: BTreeMap<Stream, Inlet>,
    pub(crate) outlets: BTreeMap<Wanted, Outlet>,
    /// Of a processor that is lost: receivers stay with these until there is something new.
    pub(crate) retired: Vec<Outlet>,
    /// What the processor was told.
    pub(crate) links: BTreeMap<(ElementKey, MediaKind), Origin>,
    /// Of inlets, as the processor was told.
    pub(crate) told_encodings: BTreeMap<InletKey, Encoding>,
    by_key: BTreeMap<u32, EndpointSlot>,
    last_key: u32,
    /// What the processor said that flows; the last of each is whether it leaves the element.
    pub(crate) said_flows: BTreeSet<Side>,
    /// What was reported to flow.
    pub(crate) flows: BTreeSet<Side>,
    /// Elements whose media was reported to be transcoded.
    pub(crate) transcoded: BTreeSet<(ElementKey, MediaKind)>,
    /// The processor's clock behind ours.
    pub(crate) clock_offset: Option<i64>,
    /// Decoders and encoders.
    pub(crate) load: (u32, u32),
}

impl Bridge {
    /// Whether a processor is needed: for elements, or for streams that are to cross.
    pub(crate) fn is_needed(&self, plan: &Plan) -> bool {
        !self.elements.is_empty() || !plan.outlets.is_empty()
    }

    /// Whether nothing is worth remembering.
    pub(crate) fn is_idle(&self) -> bool {
        self.elements.is_empty()
            && self.situation == Situation::default()
            && self.crossings() == 0
            && self.transcoded.is_empty()
    }

    pub(crate) fn crossings(&self) -> usize {
        self.by_key.len()
    }

    /// A key that was never used in this pipeline; also the SSRC of its stream.
    pub(crate) fn next_key(&mut self) -> u32 {
        self.last_key = self.last_key.wrapping_add(1).max(1);
        self.last_key
    }

    /// The stream with this key is now at this place.
    pub(crate) fn add_crossing(&mut self, key: u32, slot: EndpointSlot) {
        self.by_key.insert(key, slot);
    }

    pub(crate) fn remove_crossing(&mut self, key: u32) {
        self.by_key.remove(&key);
    }

    /// The stream with this key.
    pub(crate) fn slot_of(&self, key: u32) -> Option<EndpointSlot> {
        self.by_key.get(&key).copied()
    }

    /// Gives up all streams that cross.
    pub(crate) fn take_slots(&mut self) -> Vec<EndpointSlot> {
        std::mem::take(&mut self.by_key).into_values().collect()
    }

    /// All streams that cross.
    pub(crate) fn slots(&self) -> impl Iterator<Item = EndpointSlot> + '_ {
        self.by_key.values().copied()
    }

    /// How the processor knows a source; `None` for a stream without an inlet.
    pub(crate) fn origin(&self, source: &Source) -> Option<Origin> {
        match source {
            Source::Element(element) => Some(Origin::Element(*element)),
            Source::Stream(stream) => {
                let inlet = self.inlets.get(stream)?;
                Some(Origin::Inlet(inlet.key))
            }
        }
    }

    /// Forgets what a processor that is gone was told and said. Streams into it stay, without a way; those out of it
    /// are kept for their receivers.
    pub(crate) fn forget_processor(&mut self) {
        self.links.clear();
        self.told_encodings.clear();
        self.said_flows.clear();
        self.clock_offset = None;
        self.load = (0, 0);
        let outlets = std::mem::take(&mut self.outlets);
        self.retired.extend(outlets.into_values());
    }

    /// Forgets an element that ends.
    pub(crate) fn forget(&mut self, element: ElementKey) {
        self.elements.remove(&element);
        for kind in MediaKind::ALL {
            self.situation.inputs.remove(&(element, kind));
            self.situation.produced.remove(&(element, kind));
            self.links.remove(&(element, kind));
            for out in [false, true] {
                self.said_flows.remove(&(element, kind, out));
                self.flows.remove(&(element, kind, out));
            }
            self.transcoded.remove(&(element, kind));
        }
        self.situation.encodings.remove(&element);
        self.forget_receiver(element);
    }

    /// An element of the shard that received something ends.
    pub(crate) fn forget_receiver(&mut self, element: ElementKey) {
        let receivers = &mut self.situation.receivers;
        receivers.retain(|sink, _| sink.element != element);
        self.outs.retain(|sink, _| sink.element != element);
    }

    /// Whether a stream of a peer is of interest to the processor, or might be.
    pub(crate) fn uses(&self, element: ElementKey, kind: MediaKind) -> bool {
        let inputs = self.situation.inputs.values();
        let receivers = self.situation.receivers.values();
        let sources = receivers.map(|receiver| &receiver.source);
        inputs.chain(sources).any(|source| match source {
            Source::Element(_) => false,
            Source::Stream(stream) => stream.element == element && stream.kind == kind,
        })
    }
}
