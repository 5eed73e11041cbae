//! A forwarder that does the indispensable and nothing else.
//!
//! It receives RTP in the clear, as if somebody had decrypted it, and sends every packet to all who asked for its
//! stream, encrypted for each with a key of its own. It parses nothing but the fixed header, keeps no packets,
//! reports nothing and answers nobody. Whoever wants streams says so in one datagram and has it confirmed.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use salono_media_core::{Egress, SocketId};
use salono_media_engine::os::{Poller, Ready};
use salono_media_engine::udp::{Receiver, Sender, UdpSocket};
use salono_rtp::seq::Unwrapper;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

/// Fixed RTP header (RFC 3550 §5.1), authenticated but not encrypted.
const HEADER: usize = 12;

/// Authentication tag of AEAD_AES_128_GCM (RFC 7714).
const TAG: usize = 16;

/// Begins the datagram that asks for streams; the sources follow. RTP cannot begin like this.
const ASK: [u8; 4] = *b"view";

/// Confirms it.
const CONFIRM: [u8; 4] = *b"seen";

/// SRTP state of one receiver. The key is no secret: nothing is.
pub(crate) struct FloorKey {
    key: LessSafeKey,
    salt: [u8; 12],
}

impl FloorKey {
    /// The key of the receiver at this address.
    pub(crate) fn new(receiver: SocketAddr) -> io::Result<Self> {
        let mut key = [0x3c; 16];
        key[..2].copy_from_slice(&receiver.port().to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(io::Error::other)?;
        Ok(Self {
            key: LessSafeKey::new(key),
            salt: [0xa5; 12],
        })
    }

    /// Encrypts the payload of a packet in place and writes the tag behind it, for which there is room. `index` is
    /// rollover counter and sequence number. Returns the packet's length, 0 if encryption failed.
    pub(super) fn seal(&self, packet: &mut [u8], index: u64) -> usize {
        let len = packet.len();
        let nonce = self.nonce(packet, index);
        let Some((header, rest)) = packet.split_at_mut_checked(HEADER) else {
            return 0;
        };
        let Some((payload, tag_room)) = rest.split_at_mut_checked(len.saturating_sub(HEADER + TAG))
        else {
            return 0;
        };
        let sealed = self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload);
        match sealed {
            Ok(tag) if tag_room.len() == TAG => {
                tag_room.copy_from_slice(tag.as_ref());
                len
            }
            Ok(_) | Err(_) => 0,
        }
    }

    /// The payload of a packet whose sequence number has not wrapped.
    pub(crate) fn open<'a>(&self, packet: &'a mut [u8]) -> Option<&'a [u8]> {
        let [_, _, s, t, ..] = *packet else {
            return None;
        };
        let nonce = self.nonce(packet, u64::from(u16::from_be_bytes([s, t])));
        let (header, rest) = packet.split_at_mut_checked(HEADER)?;
        let payload = self.key.open_in_place(nonce, Aad::from(&*header), rest);
        payload.ok().map(|payload| &*payload)
    }

    /// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter, sequence number, all XOR the salt.
    fn nonce(&self, packet: &[u8], index: u64) -> Nonce {
        let mut nonce = [0; 12];
        if let Some(ssrc) = packet.get(8..HEADER) {
            nonce[2..6].copy_from_slice(ssrc);
        }
        nonce[6..].copy_from_slice(&index.to_be_bytes()[2..]);
        for (byte, salt) in nonce.iter_mut().zip(self.salt) {
            *byte ^= salt;
        }
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Asks the forwarder at `server` for the streams of these sources.
pub(crate) fn register(egress: &mut Egress, server: SocketAddr, sources: [u32; 2]) {
    let mut ask = ASK.to_vec();
    for source in sources {
        ask.extend(source.to_be_bytes());
    }
    egress.push(SocketId(0), server, 0, &ask);
}

/// Who gets the streams of one publisher.
struct Receivers {
    sources: [u32; 2],
    receivers: Vec<(SocketAddr, FloorKey)>,
}

/// A packet that was received.
#[derive(Clone, Copy)]
struct Packet {
    /// Place in [`Forwarder::publishers`].
    publisher: usize,
    /// Where it lies in [`Forwarder::bytes`].
    start: usize,
    len: usize,
    /// Rollover counter and sequence number.
    index: u64,
}

/// A socket and everybody who receives through it.
pub(super) struct Forwarder {
    socket: UdpSocket,
    publishers: Vec<Receivers>,
    /// Publisher and sequence of each source.
    sources: BTreeMap<u32, (usize, Unwrapper)>,
    /// What was received and not sent yet.
    packets: Vec<Packet>,
    bytes: Vec<u8>,
    /// Packets to send.
    egress: Egress,
    sender: Sender,
}

impl Forwarder {
    /// Nobody receives yet.
    pub(super) fn new(socket: UdpSocket) -> Self {
        Self {
            socket,
            publishers: Vec::new(),
            sources: BTreeMap::new(),
            packets: Vec::new(),
            bytes: Vec::new(),
            egress: Egress::new(),
            sender: Sender::new(),
        }
    }

    /// Forwards for ever.
    pub(super) fn serve(mut self) -> io::Result<()> {
        let poller = Poller::new()?;
        poller.add(&self.socket, 0)?;
        let (mut ready, mut receiver) = (Ready::new(), Receiver::new());
        loop {
            poller.wait(&mut ready, None)?;
            while self.pass(&mut receiver)? {}
        }
    }

    /// Receives one batch and sends what comes of it. Returns whether there may be more.
    fn pass(&mut self, receiver: &mut Receiver) -> io::Result<bool> {
        let Self {
            socket,
            publishers,
            sources,
            packets,
            bytes,
            egress,
            sender,
        } = self;
        packets.clear();
        bytes.clear();
        let received = receiver.receive(socket, |remote, datagram| {
            if let Some(ask) = datagram.strip_prefix(&ASK) {
                if subscribe(publishers, sources, remote, ask) {
                    egress.push(SocketId(0), remote, 0, &CONFIRM);
                }
                return;
            }
            let [_, _, s, t, _, _, _, _, a, b, c, d, ..] = *datagram else {
                return;
            };
            if let Some((publisher, sequence)) = sources.get_mut(&u32::from_be_bytes([a, b, c, d]))
            {
                packets.push(Packet {
                    publisher: *publisher,
                    start: bytes.len(),
                    len: datagram.len(),
                    // The first one is placed a wrap above zero.
                    index: sequence.unwrap(u16::from_be_bytes([s, t])).get() - (1 << 16),
                });
                bytes.extend_from_slice(datagram);
            }
        })?;
        for run in packets.chunk_by(|a, b| a.publisher == b.publisher) {
            for (remote, key) in &publishers[run[0].publisher].receivers {
                for packet in run {
                    let plain = &bytes[packet.start..packet.start + packet.len];
                    egress.push_with(SocketId(0), *remote, 0, packet.len + TAG, |out| {
                        out[..packet.len].copy_from_slice(plain);
                        key.seal(out, packet.index)
                    });
                }
                if egress.is_full() {
                    flush(sender, socket, egress);
                }
            }
        }
        flush(sender, socket, egress);
        Ok(received.more)
    }
}

/// Sends all that waits.
fn flush(sender: &mut Sender, socket: &UdpSocket, egress: &mut Egress) {
    sender.send(socket, SocketId(0), egress.bytes(), egress.datagrams());
    egress.clear();
}

/// Adds a receiver of the sources that it asked for. Returns whether the request was well-formed.
fn subscribe(
    publishers: &mut Vec<Receivers>,
    sources: &mut BTreeMap<u32, (usize, Unwrapper)>,
    remote: SocketAddr,
    ask: &[u8],
) -> bool {
    let [a, b, c, d, e, f, g, h] = *ask else {
        return false;
    };
    let wanted = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
    let known = publishers.iter().position(|it| it.sources == wanted);
    let publisher = known.unwrap_or(publishers.len());
    if known.is_none() {
        publishers.push(Receivers {
            sources: wanted,
            receivers: Vec::new(),
        });
        for source in wanted {
            sources.insert(source, (publisher, Unwrapper::new()));
        }
    }
    let receivers = &mut publishers[publisher].receivers;
    if receivers.iter().any(|(address, _)| *address == remote) {
        return true;
    }
    let Ok(key) = FloorKey::new(remote) else {
        return false;
    };
    receivers.push((remote, key));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::LOOPBACK;
    use salono_media_engine::udp::SocketOptions;
    use std::net::UdpSocket as StdSocket;
    use std::time::Duration;

    #[test]
    fn whoever_asked_gets_what_the_publisher_sends_encrypted_for_him() {
        let address = SocketAddr::new(LOOPBACK, 0);
        let socket = UdpSocket::bind(address, SocketOptions::default()).unwrap();
        let server = socket.local_addr();
        let mut forwarder = Forwarder::new(socket);
        let open = || {
            let socket = StdSocket::bind(address).unwrap();
            socket
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            socket
        };
        let (viewer, publisher) = (open(), open());
        let poller = Poller::new().unwrap();
        poller.add(&forwarder.socket, 0).unwrap();
        let (mut ready, mut receiver) = (Ready::new(), Receiver::new());
        let mut egress = Egress::with_arena(1_000);
        register(&mut egress, server, [7, 8]);
        viewer.send_to(egress.bytes(), server).unwrap();
        poller
            .wait(&mut ready, Some(Duration::from_secs(20)))
            .unwrap();
        forwarder.pass(&mut receiver).unwrap();
        let mut buf = [0; 1_500];
        let len = viewer.recv(&mut buf).unwrap();
        assert_eq!(buf[..len], CONFIRM);

        let packet = [0x80, 96, 0, 5, 0, 0, 0, 1, 0, 0, 0, 8, b'h', b'i'];
        publisher.send_to(&packet, server).unwrap();
        poller
            .wait(&mut ready, Some(Duration::from_secs(20)))
            .unwrap();
        forwarder.pass(&mut receiver).unwrap();
        let len = viewer.recv(&mut buf).unwrap();
        assert_eq!(
            (len, &buf[..HEADER]),
            (packet.len() + TAG, &packet[..HEADER])
        );
        let key = FloorKey::new(viewer.local_addr().unwrap()).unwrap();
        assert_eq!(key.open(&mut buf[..len]), Some(&b"hi"[..]));
    }
}
