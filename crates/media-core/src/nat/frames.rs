//! What comes from a TURN server: packets of peers, unwrapped in place, and answers.

use super::message::{Class, Message, Method, attribute};
use super::relays::CHANNEL_HEAD;
use super::{Io, Nat, Wires, io, with_relays};
use crate::network::SocketId;
use std::net::SocketAddr;
use std::ops::Range;

/// What a frame of a server was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unwrapped {
    /// A packet that a peer sent to a relay; a range of the frame.
    Packet {
        relay: SocketId,
        peer: SocketAddr,
        range: Range<usize>,
    },
    /// An answer, taken in.
    Answer,
    /// Nothing that anybody waits for.
    Refused,
}

/// Length of the frame that begins here, padding included; `Ok(None)` when it cannot be told yet,
/// an error when no frame begins like this.
fn frame_len(bytes: &[u8]) -> Result<Option<usize>, ()> {
    let Some([first, _, l0, l1]) = bytes.first_chunk() else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    match first >> 6 {
        0 => Ok(Some(super::message::HEADER + length)),
        1 => Ok(Some(CHANNEL_HEAD + length.next_multiple_of(4))),
        _ => Err(()),
    }
}

impl Nat {
    /// Whether a socket leads to a TURN server.
    pub(crate) fn is_link(&self, socket: SocketId) -> bool {
        !self.links.is_empty() && self.links.contains_key(&socket)
    }

    /// Whether a socket carries a byte stream instead of whole frames.
    pub(crate) fn is_stream(&self, socket: SocketId) -> bool {
        self.links
            .get(&socket)
            .and_then(|link| self.allocations.get(&link.relay))
            .is_some_and(|allocation| {
                allocation.transport() != salono_media_api::TurnTransport::Udp
            })
    }

    /// Takes a frame of a server apart.
    pub(crate) fn unwrap(
        &mut self,
        socket: SocketId,
        remote: SocketAddr,
        frame: &[u8],
        wires: Wires<'_>,
    ) -> Unwrapped {
        let Some(relay) = self.links.get(&socket).map(|link| link.relay) else {
            return Unwrapped::Refused;
        };
        let Some(allocation) = self.allocations.get_mut(&relay) else {
            return Unwrapped::Refused;
        };
        if !allocation.is_server(remote) {
            return Unwrapped::Refused;
        }
        if let Some([n0 @ 0x40..=0x4f, n1, l0, l1]) = frame.first_chunk() {
            let end = CHANNEL_HEAD + usize::from(u16::from_be_bytes([*l0, *l1]));
            return match allocation.peer_of(u16::from_be_bytes([*n0, *n1])) {
                Some(peer) if end <= frame.len() => Unwrapped::Packet {
                    relay,
                    peer,
                    range: CHANNEL_HEAD..end,
                },
                Some(_) | None => Unwrapped::Refused,
            };
        }
        let Some(message) = Message::parse(frame) else {
            return Unwrapped::Refused;
        };
        if (message.method, message.class) == (Method::Data, Class::Indication) {
            let peer = message.xor_address(attribute::XOR_PEER_ADDRESS);
            return match peer.zip(message.range(attribute::DATA)) {
                Some((peer, range)) => Unwrapped::Packet { relay, peer, range },
                None => Unwrapped::Refused,
            };
        }
        let mut wires = wires;
        let mut io: Io<'_> = io(&mut self.rng, wires.reborrow());
        let used = with_relays(&mut io, |relays, io| {
            allocation.handle_response(&message, relays, io)
        });
        if used {
            self.advance(wires);
            Unwrapped::Answer
        } else {
            Unwrapped::Refused
        }
    }

    /// The bytes of a stream that are to be looked at together with `piece`: empty when `piece`
    /// begins with a frame, else the beginning of one with `piece` appended.
    pub(crate) fn join(&mut self, socket: SocketId, piece: &[u8]) -> Vec<u8> {
        match self.links.get_mut(&socket) {
            Some(link) if !link.partial.is_empty() => {
                let mut joined = std::mem::take(&mut link.partial);
                joined.extend_from_slice(piece);
                joined
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// The next whole frame of a stream; what is left is kept when there is none. Garbage ends the
    /// connection.
    pub(crate) fn next_frame(
        &mut self,
        socket: SocketId,
        bytes: &[u8],
        wires: Wires<'_>,
    ) -> Option<usize> {
        match frame_len(bytes) {
            Ok(Some(length)) if length <= bytes.len() => Some(length),
            Ok(_) => {
                if let Some(link) = self.links.get_mut(&socket) {
                    link.partial = bytes.to_vec();
                }
                None
            }
            Err(()) => {
                self.break_off(socket, wires);
                None
            }
        }
    }

    /// A connection speaks something else than TURN.
    fn break_off(&mut self, socket: SocketId, mut wires: Wires<'_>) {
        let relay = self.links.get(&socket).map(|link| link.relay);
        let Some(allocation) = relay.and_then(|relay| self.allocations.get_mut(&relay)) else {
            return;
        };
        let mut io = io(&mut self.rng, wires.reborrow());
        with_relays(&mut io, |relays, io| {
            allocation.break_off(relays, io);
        });
        self.advance(wires);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_a_stream_are_told_by_their_first_bytes() {
        assert_eq!(frame_len(&[0x01, 0x03, 0x00]), Ok(None));
        assert_eq!(frame_len(&[0x01, 0x03, 0x00, 0x08]), Ok(Some(28)));
        assert_eq!(frame_len(&[0x40, 0x00, 0x00, 0x05]), Ok(Some(12)));
        assert_eq!(frame_len(&[0x40, 0x00, 0x00, 0x00]), Ok(Some(4)));
        assert_eq!(frame_len(b"HTTP"), Ok(Some(21_588)));
        assert_eq!(frame_len(&[0x80, 0x00, 0x00, 0x00]), Err(()));
    }
}
