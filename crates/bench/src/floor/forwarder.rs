//! A forwarder that does the indispensable and nothing else.

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use salono_media_core::{Egress, SocketId};
use salono_media_engine::udp::{Sender, UdpSocket};
use std::io;
use std::net::SocketAddr;

/// Fixed RTP header (RFC 3550 §5.1), authenticated but not encrypted.
const HEADER: usize = 12;

/// Authentication tag of AEAD_AES_128_GCM (RFC 7714).
const TAG: usize = 16;

/// One receiver: its address and its SRTP state.
pub(super) struct Viewer {
    /// Where it is.
    remote: SocketAddr,
    /// Session key.
    key: LessSafeKey,
    /// Session salt.
    salt: [u8; 12],
    /// Synchronisation source.
    ssrc: u32,
    /// Packet index: rollover counter and sequence number.
    index: u64,
}

impl Viewer {
    /// A receiver with a key of its own. The key is no secret: nothing is.
    pub(super) fn new(remote: SocketAddr, number: u32) -> io::Result<Self> {
        let mut key = [0x3c; 16];
        key[..4].copy_from_slice(&number.to_be_bytes());
        let key = UnboundKey::new(&AES_128_GCM, &key).map_err(io::Error::other)?;
        Ok(Self {
            remote,
            key: LessSafeKey::new(key),
            salt: [0xa5; 12],
            ssrc: number,
            index: 0,
        })
    }

    /// Bytes of a packet with `payload` bytes of payload.
    pub(super) const fn packet_len(payload: usize) -> usize {
        HEADER + payload + TAG
    }

    /// Writes header and payload; the tag is left to [`Viewer::seal`].
    pub(super) fn write_packet(&self, payload: &[u8], packet: &mut [u8]) {
        let [a, b, c, d] = self.ssrc.to_be_bytes();
        let [s, t] = (self.index as u16).to_be_bytes();
        packet[..HEADER].copy_from_slice(&[0x80, 96, s, t, 0, 0, 0, 0, a, b, c, d]);
        packet[HEADER..HEADER + payload.len()].copy_from_slice(payload);
    }

    /// Encrypts the payload in place and writes the tag behind it. Returns the packet's length,
    /// 0 if encryption failed.
    pub(super) fn seal(&mut self, packet: &mut [u8]) -> usize {
        let len = packet.len();
        let (header, rest) = packet.split_at_mut(HEADER);
        let (payload, tag_room) = rest.split_at_mut(len - HEADER - TAG);
        let nonce = self.nonce();
        self.index += 1;
        match self
            .key
            .seal_in_place_separate_tag(nonce, Aad::from(&*header), payload)
        {
            Ok(tag) => {
                tag_room.copy_from_slice(tag.as_ref());
                len
            }
            Err(_) => 0,
        }
    }

    /// RFC 7714 §8.1: two zero bytes, SSRC, rollover counter, sequence number, all XOR the salt.
    fn nonce(&self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[2..6].copy_from_slice(&self.ssrc.to_be_bytes());
        nonce[6..].copy_from_slice(&self.index.to_be_bytes()[2..]);
        nonce
            .iter_mut()
            .zip(self.salt)
            .for_each(|(byte, salt)| *byte ^= salt);
        Nonce::assume_unique_for_key(nonce)
    }
}

/// A socket and the receivers that get everything through it.
pub(super) struct Forwarder {
    /// The socket.
    socket: UdpSocket,
    /// The receivers.
    viewers: Vec<Viewer>,
    /// Packets to send.
    egress: Egress,
    /// Send buffers.
    sender: Sender,
}

impl Forwarder {
    /// Forwards to all of `receivers`.
    pub(super) fn new(socket: UdpSocket, receivers: &[SocketAddr]) -> io::Result<Self> {
        let viewers = (0..)
            .zip(receivers)
            .map(|(number, remote)| Viewer::new(*remote, number));
        Ok(Self {
            socket,
            viewers: viewers.collect::<io::Result<_>>()?,
            egress: Egress::new(),
            sender: Sender::new(),
        })
    }

    /// Encrypts `packets` packets with the same payload for every receiver.
    pub(super) fn queue(&mut self, payload: &[u8], packets: u32) {
        let len = Viewer::packet_len(payload.len());
        for viewer in &mut self.viewers {
            for _ in 0..packets {
                self.egress
                    .push_with(SocketId(0), viewer.remote, 0, len, |packet| {
                        viewer.write_packet(payload, packet);
                        viewer.seal(packet)
                    });
            }
        }
    }

    /// Sends what is queued and leaves it there. Returns the datagrams that the kernel took.
    pub(super) fn send_queued(&mut self) -> u64 {
        let (bytes, datagrams) = (self.egress.bytes(), self.egress.datagrams());
        self.sender
            .send(&self.socket, SocketId(0), bytes, datagrams)
            .datagrams
    }

    /// Forgets what is queued.
    pub(super) fn clear(&mut self) {
        self.egress.clear();
    }
}
