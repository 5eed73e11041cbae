//! Datagrams that wait to be sent: one arena of bytes and a list of entries.
//!
//! A shard writes protected packets straight into the arena; the shell hands ranges of the arena to
//! the kernel without copying them again. Entries are sent in the order in which they were pushed.
//! What is pushed in succession lies in succession, so a run of equal-sized packets to one peer is
//! one segmentation-offload message.
//!
//! Both the arena and the list are bounded; what does not fit is dropped and counted, never waited
//! for.
//!
//! What is pushed to a relay on a TURN server is wrapped where it lies: the packet is written behind
//! room for its head, and the entry says where the server is.
//!
//! The arena is taken from the system zeroed and is resident only as far as it was ever used.

use crate::nat::{FIRST_RELAY, Relays, Wrapping};
use crate::network::SocketId;
use std::net::SocketAddr;

/// Bytes of the arena: a 5-packet frame of 1 228-byte packets for 2 700 receivers. At the cap
/// datagrams are dropped and counted.
pub const EGRESS_ARENA_BYTES: usize = 16 * 1024 * 1024;

/// Most entries between two flushes, for floods of small packets. At the cap datagrams are dropped
/// and counted.
pub const EGRESS_DATAGRAMS: usize = 65_536;

/// Bytes from which on it is time to send: they are in the processor's cache still when the kernel
/// reads them, and 64 messages with the packets of a frame each, which is a system call, are as much.
const FULL_BYTES: usize = 512 * 1024;

/// Entries from which on it is time to send.
const FULL_DATAGRAMS: usize = 4_096;

/// One datagram to send; its bytes are a range of [`Egress::bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    /// The local socket.
    pub socket: SocketId,
    /// Where it goes to.
    pub remote: SocketAddr,
    /// First byte in the arena.
    pub start: u32,
    /// Length in bytes, never 0.
    pub len: u32,
    /// Differentiated services code point (RFC 2474), 0 to 63.
    pub dscp: u8,
}

/// Bounded queue of datagrams to send.
#[derive(Debug)]
pub struct Egress {
    /// Fixed length; `used` says how much of it holds packets.
    arena: Box<[u8]>,
    /// Bytes committed so far.
    used: usize,
    /// Entries in order of pushing.
    datagrams: Vec<Outgoing>,
    /// Datagrams that did not fit, since creation.
    dropped: u64,
    /// Where relays lead to.
    relays: Relays,
}

impl Egress {
    /// An empty queue with the documented bounds.
    pub fn new() -> Self {
        Self::with_arena(EGRESS_ARENA_BYTES)
    }

    /// An empty queue with an arena of `bytes`, at most 4 GiB.
    pub fn with_arena(bytes: usize) -> Self {
        let bytes = bytes.min(u32::MAX as usize);
        Self {
            arena: vec![0; bytes].into_boxed_slice(),
            used: 0,
            datagrams: Vec::new(),
            dropped: 0,
            relays: Relays::default(),
        }
    }

    /// Lets `write` put one datagram of at most `max_len` bytes into the arena.
    ///
    /// `write` gets exactly `max_len` bytes with arbitrary content and returns how many of them
    /// it made; 0 means that there is nothing to send after all. Without room, `write` is not
    /// called and the datagram is counted as dropped. Returns whether a datagram was queued.
    pub fn push_with(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        dscp: u8,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        if socket.0 >= FIRST_RELAY {
            return self.push_relayed(socket, remote, dscp, max_len, write);
        }
        self.push_direct(socket, remote, dscp, max_len, write)
    }

    fn push_direct(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        dscp: u8,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let start = self.used;
        let room = start
            .checked_add(max_len)
            .and_then(|end| self.arena.get_mut(start..end));
        let Some(room) = room.filter(|_| self.datagrams.len() < EGRESS_DATAGRAMS) else {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        };
        let len = write(room).min(max_len);
        if len == 0 {
            return false;
        }
        self.used = start + len;
        self.datagrams.push(Outgoing {
            socket,
            remote,
            start: start as u32,
            len: len as u32,
            dscp,
        });
        true
    }

    /// Lets `write` put the datagram behind the head that the TURN server wants.
    fn push_relayed(
        &mut self,
        relay: SocketId,
        peer: SocketAddr,
        dscp: u8,
        max_len: usize,
        write: impl FnOnce(&mut [u8]) -> usize,
    ) -> bool {
        let Some(wrapping) = self.relays.wrap(relay, peer) else {
            self.dropped = self.dropped.saturating_add(1);
            return false;
        };
        let (socket, server, head) = (wrapping.socket, wrapping.server, wrapping.head());
        let room = max_len.saturating_add(Wrapping::MAX_OVERHEAD);
        self.push_direct(socket, server, dscp, room, |buf| {
            match write(&mut buf[head..head + max_len]).min(max_len) {
                0 => 0,
                len => wrapping.finish(buf, len),
            }
        })
    }

    pub(crate) fn relays(&self) -> &Relays {
        &self.relays
    }

    pub(crate) fn relays_mut(&mut self) -> &mut Relays {
        &mut self.relays
    }

    /// Copies a finished datagram into the queue; see [`Egress::push_with`].
    pub fn push(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        dscp: u8,
        datagram: &[u8],
    ) -> bool {
        self.push_with(socket, remote, dscp, datagram.len(), |room| {
            room.copy_from_slice(datagram);
            datagram.len()
        })
    }

    /// Forgets all entries; the memory is kept.
    pub fn clear(&mut self) {
        self.used = 0;
        self.datagrams.clear();
    }

    /// Entries in order of pushing.
    pub fn datagrams(&self) -> &[Outgoing] {
        &self.datagrams
    }

    /// The bytes that the entries point into.
    pub fn bytes(&self) -> &[u8] {
        &self.arena[..self.used]
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Whether it is time to send. Whoever fans out should stop here and go on at the next flush; the
    /// shell flushes again right after sending for as long as this holds.
    pub fn is_full(&self) -> bool {
        self.used >= FULL_BYTES || self.datagrams.len() >= FULL_DATAGRAMS
    }

    /// Datagrams that found no room since creation.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

impl Default for Egress {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(port: u16) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    #[test]
    fn successive_datagrams_lie_in_succession() {
        let mut egress = Egress::with_arena(1_000);
        assert!(egress.push_with(SocketId(0), peer(1), 0, 500, |room| {
            room[..3].copy_from_slice(b"abc");
            3
        }));
        assert!(egress.push(SocketId(0), peer(1), 0, b"de"));
        let ends: Vec<_> = egress
            .datagrams()
            .iter()
            .map(|d| (d.start, d.start + d.len))
            .collect();
        assert_eq!(ends, [(0, 3), (3, 5)]);
        assert_eq!(egress.bytes(), b"abcde");
    }

    #[test]
    fn full_arena_drops_and_counts_without_calling_the_writer() {
        let mut egress = Egress::with_arena(10);
        assert!(egress.push(SocketId(0), peer(1), 0, &[1; 8]));
        assert!(!egress.push_with(SocketId(0), peer(1), 0, 3, |_| panic!("there is no room")));
        assert!(
            !egress.push_with(SocketId(0), peer(1), 0, usize::MAX, |_| panic!(
                "there is no room"
            ))
        );
        assert_eq!((egress.dropped(), egress.datagrams().len()), (2, 1));
        egress.clear();
        assert!(egress.is_empty() && egress.push(SocketId(0), peer(1), 0, &[1; 10]));
    }

    #[test]
    fn writer_that_declines_leaves_no_trace() {
        let mut egress = Egress::with_arena(10);
        assert!(!egress.push_with(SocketId(0), peer(1), 0, 5, |_| 0));
        assert_eq!(
            (egress.dropped(), egress.bytes().len(), egress.is_empty()),
            (0, 0, true)
        );
    }

    #[test]
    fn entry_list_is_bounded() {
        let mut egress = Egress::with_arena(EGRESS_DATAGRAMS * 2);
        let mut queued = 0;
        for _ in 0..EGRESS_DATAGRAMS + 5 {
            queued += usize::from(egress.push(SocketId(0), peer(1), 0, b"x"));
        }
        assert_eq!((queued, egress.dropped()), (EGRESS_DATAGRAMS, 5));
    }

    #[test]
    fn it_is_full_long_before_anything_is_dropped() {
        let mut egress = Egress::new();
        assert!(!egress.is_full());
        while !egress.is_full() {
            assert!(egress.push(SocketId(0), peer(1), 0, &[0; 1_200]));
        }
        assert!(egress.bytes().len() * 8 < EGRESS_ARENA_BYTES);
        egress.clear();
        while !egress.is_full() {
            assert!(egress.push(SocketId(0), peer(1), 0, &[0; 20]));
        }
        assert!(egress.datagrams().len() * 8 < EGRESS_DATAGRAMS);
        assert_eq!(egress.dropped(), 0);
    }
}
