//! Tracks that cross from one shard to another.
//!
//! A pipeline that is bigger than one shard has parts on several. Each part knows the graph of the
//! whole; elements of other parts are nodes without a peer. When the source of a sink lives on
//! another shard, the sink's shard asks for a **mirror** of the track: a track of its own router,
//! with a ring of its own, that the source's shard feeds with a copy of every fresh packet. One copy
//! per track serves all receivers of a shard, retransmissions included.
//!
//! | direction | what crosses |
//! | --- | --- |
//! | source → mirror | what was negotiated, packets, the relation of timestamps to time, the end |
//! | mirror → source | the wish for a track and its end, keyframe wishes, what receivers need |
//! | endpoint → pipeline's home | whether media flows, for elements that only hand it on |
//! | endpoint → other parts | messages of data channels |
//!
//! What a processor makes of a stream is mirrored like the stream itself, from the home of the pipeline, where the
//! processor is; who wants it says which codecs its receivers take.
//!
//! Everything that waits to cross is state, not history: however long another shard stands still,
//! there is at most one description, report or wish per track to be told. Packets and messages are
//! bounded in bytes; at the cap the oldest packets of a track are dropped and counted, and the
//! mirror asks for a keyframe when it learns of it.

mod exports;
mod imports;
mod message;
mod outgoing;
mod packets;

pub(crate) use exports::{Export, Exports};
pub(crate) use imports::Imports;
pub use message::LinkMessage;
pub(crate) use message::{Body, Capture, Data, Description, Flow, Needs, State, StreamState};
use outgoing::{Outgoing, Push};
pub(crate) use packets::{Copied, Packets, Pool};

use crate::track::TrackSlot;
use salono_media_api::processing::bridge::RtpFormat;
use salono_media_api::{ElementKey, MediaKind, Pad, PipelineKey, StreamName};
use slotmap::new_key_type;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of a shard of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

new_key_type! {
    /// A track of another shard that is mirrored here. Its shard names it by this too.
    pub(crate) struct MirrorSlot;
    /// A track of this shard that another one mirrors.
    pub(crate) struct ExportSlot;
}

/// A stream of media that leaves an endpoint, or that one receives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stream {
    pub(crate) element: ElementKey,
    pub(crate) kind: MediaKind,
    pub(crate) name: StreamName,
    /// As it comes; or else made fit by the processor of the pipeline for who takes these, in this order.
    pub(crate) takes: Option<Arc<[RtpFormat]>>,
}

impl Stream {
    /// The same stream as it comes.
    pub(crate) fn plain(&self) -> Self {
        Self {
            takes: None,
            ..self.clone()
        }
    }

    /// The same stream, made fit for who takes these.
    pub(crate) fn fit_for(&self, takes: &[RtpFormat]) -> Self {
        Self {
            takes: Some(takes.into()),
            ..self.clone()
        }
    }

    /// The one that counts where none is named.
    pub(crate) fn default_of(element: ElementKey, kind: MediaKind) -> Self {
        Self {
            element,
            kind,
            name: StreamName::Default,
            takes: None,
        }
    }

    pub(crate) fn at(pad: Pad, kind: MediaKind) -> Self {
        Self {
            element: pad.element,
            kind,
            name: pad.stream,
            takes: None,
        }
    }
}

/// An element of a pipeline of ours that lives on another shard.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Remote {
    pub(crate) pipeline: PipelineKey,
    pub(crate) shard: ShardId,
}

/// What a shard knows of others, and what waits to be told to them.
#[derive(Default)]
pub(crate) struct Links {
    /// Elements of our pipelines on other shards.
    pub(crate) remote: BTreeMap<ElementKey, Remote>,
    /// Where the pipelines are at home that this shard has a part of only.
    pub(crate) homes: BTreeMap<PipelineKey, ShardId>,
    /// Media that comes from peers of other shards, as far as it concerns pipelines at home here.
    pub(crate) flows: BTreeMap<Stream, Flow>,
    pub(crate) imports: Imports,
    pub(crate) exports: Exports,
    outgoing: BTreeMap<ShardId, Outgoing>,
    /// Tracks of mirrors that nobody needs any more, for the router to remove.
    pub(crate) orphans: Vec<TrackSlot>,
    /// Packets that were not told to others in time.
    pub(crate) dropped: u64,
    /// Packets copied to other shards.
    pub(crate) copied: u64,
}

impl Links {
    /// What waits for a shard.
    pub(crate) fn to(&mut self, shard: ShardId) -> &mut Outgoing {
        self.outgoing.entry(shard).or_default()
    }

    /// The next message for a shard.
    pub(crate) fn poll(&mut self, to: ShardId) -> Option<Body> {
        let outgoing = self.outgoing.get_mut(&to)?;
        outgoing.poll(&mut self.imports, &mut self.exports)
    }

    /// Tells the shard of a mirror what has changed about it.
    pub(crate) fn tell_about(&mut self, mirror: MirrorSlot) {
        let Some(import) = self.imports.get_mut(mirror) else {
            return;
        };
        if !std::mem::replace(&mut import.is_queued, true) {
            let shard = import.shard;
            self.to(shard).mirrors.push_back(mirror);
        }
    }

    /// Tells the shard that mirrors a track what has changed about it.
    pub(crate) fn tell_of(&mut self, export: ExportSlot) {
        let Some(entry) = self.exports.get_mut(export) else {
            return;
        };
        if !std::mem::replace(&mut entry.is_queued, true) {
            let shard = entry.shard;
            self.to(shard).exports.push_back(export);
        }
    }

    /// Removes what is mirrored for another shard.
    pub(crate) fn end_export(&mut self, slot: ExportSlot) {
        let Some(export) = self.exports.remove(slot) else {
            return;
        };
        self.to(export.shard).waiting_bytes -= export.waiting_bytes;
    }

    /// Takes over what feeds a sink: `source` on another shard, or nothing from there.
    pub(crate) fn feed(
        &mut self,
        sink: &Stream,
        source: Option<(Stream, ShardId)>,
    ) -> Option<MirrorSlot> {
        let is_fed_by = |imports: &Imports, mirror| {
            let known = imports.get(mirror).map(|import| &import.source);
            known.is_some() && known == source.as_ref().map(|(source, _)| source)
        };
        if let Some(old) = self.imports.feeding(sink) {
            if is_fed_by(&self.imports, old) {
                return Some(old);
            }
            self.unfeed(sink);
        }
        let (source, shard) = source?;
        let (mirror, is_new) = self.imports.feed(sink, source, shard);
        if is_new {
            self.tell_about(mirror);
        }
        Some(mirror)
    }

    /// A sink is fed by no other shard any more.
    pub(crate) fn unfeed(&mut self, sink: &Stream) {
        if let Some(mirror) = self.imports.unfeed(sink) {
            self.orphans.extend(self.imports.take_track(mirror));
            self.tell_about(mirror);
        }
    }

    /// Copies what is fresh in a track to everyone who mirrors it.
    pub(crate) fn send(&mut self, track: TrackSlot, packets: &Arc<Packets>) {
        for at in 0..self.exports.of_track(track).len() {
            let Some(slot) = self.exports.of_track(track).get(at).copied() else {
                continue;
            };
            let Some(export) = self.exports.get_mut(slot) else {
                continue;
            };
            let layer = export.layer_of(track);
            if !export.needs.has(layer) {
                continue;
            }
            let outgoing = self.outgoing.entry(export.shard).or_default();
            self.copied += packets.len() as u64;
            match outgoing.push_packets(export, layer, packets) {
                Push::Taken => {}
                Push::Dropped(count) => self.dropped += count as u64,
            }
            self.tell_of(slot);
        }
    }

    /// Elements of a pipeline that live on other shards.
    pub(crate) fn elements_of(&self, pipeline: PipelineKey) -> Vec<ElementKey> {
        self.remote
            .iter()
            .filter(|(_, remote)| remote.pipeline == pipeline)
            .map(|(element, _)| *element)
            .collect()
    }

    /// Forgets whether media comes from the peer of an element that ended.
    pub(crate) fn forget_flows(&mut self, element: ElementKey) {
        self.flows.retain(|stream, _| stream.element != element);
    }

    /// Packets of an export do not wait any more.
    pub(crate) fn forget_bytes(&mut self, export: ExportSlot, bytes: usize) {
        if let Some(shard) = self.exports.get(export).map(|export| export.shard) {
            self.to(shard).waiting_bytes -= bytes;
        }
    }

    /// Asks anew for a mirror whose shard has forgotten the wish.
    pub(crate) fn ask_again(&mut self, mirror: MirrorSlot) {
        let Some(import) = self.imports.get_mut(mirror) else {
            return;
        };
        import.is_asked_for = false;
        import.is_queued = false;
        import.told_needs = Needs::default();
        self.tell_about(mirror);
    }
}
