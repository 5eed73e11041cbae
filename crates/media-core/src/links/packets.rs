//! Copies of packets on their way to mirrors.

use crate::track::Inbound;
use salono_rtp::header::Header;
use salono_rtp::seq::ExtSeq;
use std::sync::Arc;
use std::time::Instant;

/// Copies that are kept for reuse.
const POOL: usize = 64;
/// Bytes up to which a copy is kept for reuse; a frame rarely has more.
const KEPT_BYTES: usize = 64 * 1024;

/// Bytes of a payload that tell what a packet is of which nobody needs more.
const TOLD_BYTES: usize = 32;

/// The fresh packets of one batch and one track, decrypted.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    pub(crate) ssrc: u32,
    records: Vec<Record>,
    bytes: Vec<u8>,
}

/// One packet.
#[derive(Debug, Clone, Copy)]
struct Record {
    seq: ExtSeq,
    header: Header,
    arrival: Instant,
    start: usize,
    len: usize,
    /// Bytes of the payload, of which there may be less here.
    payload: usize,
}

/// A packet of a copy.
pub(crate) struct Copied<'a> {
    pub(crate) seq: ExtSeq,
    pub(crate) header: Header,
    pub(crate) arrival: Instant,
    /// Header and payload, or only the first bytes of that.
    pub(crate) bytes: &'a [u8],
    /// Bytes of the payload.
    pub(crate) payload: usize,
}

impl Packets {
    pub(crate) fn iter(&self) -> impl Iterator<Item = Copied<'_>> {
        self.records.iter().filter_map(|record| {
            Some(Copied {
                seq: record.seq,
                header: record.header,
                arrival: record.arrival,
                bytes: self.bytes.get(record.start..record.start + record.len)?,
                payload: record.payload,
            })
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes in memory, roughly.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<Record>()
    }

    /// Copies what is fresh; of layers above `spatial` only what tells which they are.
    fn fill(&mut self, track: &Inbound, spatial: u8) {
        self.ssrc = track.ssrc();
        self.records.clear();
        self.bytes.clear();
        for fresh in track.fresh() {
            let Some(packet) = track.packet(fresh.seq) else {
                continue;
            };
            // Padding is not stored.
            let header = Header {
                has_padding: false,
                ..packet.header
            };
            let (mut bytes, payload) = (packet.bytes(), packet.payload().len());
            if fresh.descriptor.spatial_layer.unwrap_or(0) > spatial {
                bytes = bytes.get(..header.len() + TOLD_BYTES).unwrap_or(bytes);
            }
            self.records.push(Record {
                seq: packet.seq,
                header,
                arrival: packet.arrival,
                start: self.bytes.len(),
                len: bytes.len(),
                payload,
            });
            self.bytes.extend_from_slice(bytes);
        }
    }
}

/// Copies that all shards are done with are used again, so that none is allocated in a steady flow.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    lent: Vec<Arc<Packets>>,
    /// Where the last one was found.
    at: usize,
}

impl Pool {
    /// A copy of what is fresh in a track; one serves every shard that mirrors it. Layers above `spatial` are not
    /// needed.
    pub(crate) fn copy(&mut self, track: &Inbound, spatial: u8) -> Arc<Packets> {
        for _ in 0..self.lent.len() {
            self.at = (self.at + 1) % self.lent.len();
            if let Some(packets) = Arc::get_mut(&mut self.lent[self.at]) {
                packets.fill(track, spatial);
                let packets = Arc::clone(&self.lent[self.at]);
                if packets.bytes.capacity() > KEPT_BYTES {
                    self.lent.swap_remove(self.at);
                }
                return packets;
            }
        }
        let mut packets = Packets::default();
        packets.fill(track, spatial);
        let packets = Arc::new(packets);
        if self.lent.len() < POOL {
            self.lent.push(Arc::clone(&packets));
        }
        packets
    }
}
