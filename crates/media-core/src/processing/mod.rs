//! What crosses between a shard and the processors of its pipelines (seam C, the side of the shard).
//!
//! Elements that process media are nodes of the element graph like others; what leads to them or away from them is
//! carried by streams to and from a process, and so are streams between peers that have no codec in common. A pipeline
//! that needs a processor has a [`Bridge`] on its home shard.
//!
//! | module | role |
//! | --- | --- |
//! | `plan` | what is to cross, as it follows from who is connected to whom |
//! | `formats` | codecs as processors name them, and which one a receiver gets |
//! | `crossing` | one stream that crosses, in the place of a peer's endpoint |
//! | `bridge` | what the processor of one pipeline was told, and what it said |
//! | `calls` | who waits for an answer of it |
//! | `life` | whether there is one |
//!
//! `shard::processing` carries out what is decided here.

mod bridge;
mod calls;
mod crossing;
mod formats;
mod life;
mod plan;

pub(crate) use bridge::{Bridge, Element, Inlet, Outlet};
pub(crate) use calls::{Asked, Waiting};
pub(crate) use crossing::Crossing;
pub(crate) use formats::{Direction, choose, format_of, is_media, taken};
pub(crate) use life::Step;
pub(crate) use plan::{Plan, Receiver, Source, Wanted, forced, is_reshaped, plan};

use crate::demux::EndpointSlot;
use crate::network::SocketId;
use salono_media_api::PipelineKey;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

/// The bridges of a shard.
#[derive(Default)]
pub(crate) struct Bridges {
    bridges: BTreeMap<PipelineKey, Bridge>,
    /// Whose plan may have changed.
    dirty: BTreeSet<PipelineKey>,
    sockets: BTreeMap<SocketId, PipelineKey>,
    /// Where somebody went without what would have to be transcoded, which is logged once.
    denied: BTreeSet<PipelineKey>,
}

impl Bridges {
    pub(crate) fn get(&self, pipeline: PipelineKey) -> Option<&Bridge> {
        self.bridges.get(&pipeline)
    }

    pub(crate) fn get_mut(&mut self, pipeline: PipelineKey) -> Option<&mut Bridge> {
        self.bridges.get_mut(&pipeline)
    }

    /// The bridge of a pipeline whose plan is about to change; made when there is none.
    pub(crate) fn change(&mut self, pipeline: PipelineKey) -> &mut Bridge {
        self.dirty.insert(pipeline);
        self.bridges.entry(pipeline).or_default()
    }

    /// What the plan of a pipeline follows from has changed, if it has one.
    pub(crate) fn touch(&mut self, pipeline: PipelineKey) {
        if self.bridges.contains_key(&pipeline) {
            self.dirty.insert(pipeline);
        }
    }

    /// A pipeline whose plan may have changed.
    pub(crate) fn next_dirty(&mut self) -> Option<PipelineKey> {
        self.dirty.pop_first()
    }

    pub(crate) fn remove(&mut self, pipeline: PipelineKey) -> Option<Bridge> {
        self.dirty.remove(&pipeline);
        self.denied.remove(&pipeline);
        self.bridges.remove(&pipeline)
    }

    /// Notes that somebody went without; true for the first time.
    pub(crate) fn deny(&mut self, pipeline: PipelineKey) -> bool {
        self.denied.insert(pipeline)
    }

    // Sockets.

    pub(crate) fn add_socket(&mut self, socket: SocketId, pipeline: PipelineKey) {
        self.sockets.insert(socket, pipeline);
    }

    pub(crate) fn remove_socket(&mut self, socket: SocketId) {
        self.sockets.remove(&socket);
    }

    /// The pipeline that a socket is for.
    pub(crate) fn of_socket(&self, socket: SocketId) -> Option<PipelineKey> {
        self.sockets.get(&socket).copied()
    }

    /// The stream of this key that crosses a socket.
    pub(crate) fn crossing(&self, socket: SocketId, key: u32) -> Option<EndpointSlot> {
        let pipeline = self.sockets.get(&socket)?;
        self.bridges.get(pipeline)?.slot_of(key)
    }

    // Time and counters.

    /// When a processor is to be asked for again.
    pub(crate) fn next(&self) -> Option<Instant> {
        let due = self.bridges.values().filter_map(|bridge| bridge.life.due());
        due.min()
    }

    /// Ends the rests that are over.
    pub(crate) fn wake(&mut self, now: Instant) {
        for (pipeline, bridge) in &mut self.bridges {
            if bridge.life.wake(now) {
                self.dirty.insert(*pipeline);
            }
        }
    }

    /// Streams that cross.
    pub(crate) fn crossings(&self) -> usize {
        self.bridges.values().map(Bridge::crossings).sum()
    }

    /// Decoders and encoders at work.
    pub(crate) fn load(&self) -> (u64, u64) {
        let loads = self.bridges.values().map(|bridge| bridge.load);
        loads.fold((0, 0), |(decoders, encoders), load| {
            (decoders + u64::from(load.0), encoders + u64::from(load.1))
        })
    }
}
