//! Which datagrams of a flush are for which socket, found in one pass and without allocating.

use salono_media_core::{Outgoing, SocketId};
use std::ops::Range;

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// Successive datagrams of one socket.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    first: u32,
    end: u32,
    /// The next stretch of the same socket.
    next: u32,
}

/// First and last stretch of a socket.
#[derive(Debug, Clone, Copy)]
struct Chain {
    first: u32,
    last: u32,
}

/// Sorts the datagrams of a flush by socket, keeping their order. The memory is kept between
/// flushes; effort grows with the datagrams and the sockets in use, not with the sockets there are.
#[derive(Debug, Default)]
pub(super) struct BySocket {
    stretches: Vec<Stretch>,
    /// By socket id, as long as the highest that was ever used.
    chains: Vec<Chain>,
    /// Sockets with a chain, in order of first use.
    used: Vec<SocketId>,
}

impl BySocket {
    /// Sorts the datagrams of a flush.
    pub(super) fn sort(&mut self, datagrams: &[Outgoing]) {
        for socket in self.used.drain(..) {
            self.chains[usize::from(socket.0)] = Chain::EMPTY;
        }
        self.stretches.clear();
        let mut first = 0;
        for stretch in datagrams.chunk_by(|a, b| a.socket == b.socket) {
            let end = first + stretch.len() as u32;
            self.append(stretch[0].socket, first, end);
            first = end;
        }
    }

    fn append(&mut self, socket: SocketId, first: u32, end: u32) {
        let place = usize::from(socket.0);
        if place >= self.chains.len() {
            self.chains.resize(place + 1, Chain::EMPTY);
        }
        let index = self.stretches.len() as u32;
        self.stretches.push(Stretch {
            first,
            end,
            next: NONE,
        });
        let chain = &mut self.chains[place];
        if chain.first == NONE {
            chain.first = index;
            self.used.push(socket);
        } else {
            self.stretches[chain.last as usize].next = index;
        }
        chain.last = index;
    }

    /// Number of sockets that have something to send.
    pub(super) fn len(&self) -> usize {
        self.used.len()
    }

    /// The socket with this number among those that have something to send.
    pub(super) fn socket(&self, number: usize) -> Option<SocketId> {
        self.used.get(number).copied()
    }

    /// Ranges of the datagrams of one socket, in order.
    pub(super) fn stretches(&self, socket: SocketId) -> impl Iterator<Item = Range<usize>> {
        let chain = self.chains.get(usize::from(socket.0));
        let mut next = chain.map_or(NONE, |chain| chain.first);
        std::iter::from_fn(move || {
            let stretch = self.stretches.get(next as usize)?;
            next = stretch.next;
            Some(stretch.first as usize..stretch.end as usize)
        })
    }
}

impl Chain {
    const EMPTY: Self = Self {
        first: NONE,
        last: NONE,
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, SocketAddr};

    fn outgoing(sockets: &[u16]) -> Vec<Outgoing> {
        let datagram = |socket: &u16| Outgoing {
            socket: SocketId(*socket),
            remote: SocketAddr::from((Ipv4Addr::LOCALHOST, 9)),
            start: 0,
            len: 1,
            dscp: 0,
        };
        sockets.iter().map(datagram).collect()
    }

    proptest! {
        #[test]
        fn every_datagram_goes_to_its_socket_in_order(
            flushes in prop::collection::vec(prop::collection::vec(0_u16..6, 0..40), 1..4),
        ) {
            let mut by_socket = BySocket::default();
            for flush in flushes {
                by_socket.sort(&outgoing(&flush));
                let mut seen = 0;
                for number in 0..by_socket.len() {
                    let socket = by_socket.socket(number).unwrap();
                    let got: Vec<usize> = by_socket.stretches(socket).flatten().collect();
                    let expected = (0..flush.len()).filter(|index| flush[*index] == socket.0);
                    prop_assert_eq!(&got, &expected.collect::<Vec<_>>());
                    seen += got.len();
                }
                prop_assert_eq!(seen, flush.len());
            }
        }
    }
}
